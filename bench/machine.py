"""On what was measured: without it no figure means anything."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil
import psycopg
from kombu.connection import Connection

from bench.grounds import Grounds

PACKAGES = ("recouple", "kombu", "amqp", "pika", "msgspec", "SQLAlchemy", "psycopg", "celery")
SETTINGS = (
    "server_version",
    "fsync",
    "synchronous_commit",
    "full_page_writes",
    "wal_sync_method",
    "shared_buffers",
    "max_wal_size",
)


def machine(grounds: Grounds) -> dict[str, Any]:
    """Return the processor, the memory, the versions, and what else the machine was doing."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": sys.version.split()[0],
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
        "postgresql": _postgresql(grounds),
        "rabbitmq": _rabbitmq(grounds),
        "commit": _commit(),
        "niceness": os.nice(0),
        "load_before": round(os.getloadavg()[0], 2),
    }


def _processor() -> str:
    found = Path("/proc/cpuinfo")
    if found.exists():
        for line in found.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _postgresql(grounds: Grounds) -> dict[str, str]:
    if grounds.embedded:
        return {}
    with psycopg.connect(grounds.admin_url) as connection:
        rows = connection.execute(
            "SELECT name, current_setting(name) FROM pg_settings WHERE name = ANY(%s)", [[*SETTINGS]]
        )
        return {str(name): str(value) for name, value in rows}


def _rabbitmq(grounds: Grounds) -> dict[str, str]:
    if grounds.embedded:
        return {}
    with Connection(grounds.broker_url) as connection:
        connection.ensure_connection(max_retries=1)
        return {"version": str(connection.connection.server_properties["version"]), "queues": "quorum, one node"}


def _commit() -> str:
    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], capture_output=True, text=True, check=False, cwd=Path(__file__).parent)
        return done.stdout.strip()

    found = git("rev-parse", "--short", "HEAD")
    return f"{found}, changed" if found and git("status", "--porcelain", "--untracked-files=no") else found
