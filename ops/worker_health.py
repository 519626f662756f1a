"""How a worker says it is itself, at its own HTTP endpoint (``RECOUPLE_HTTP``)."""

from __future__ import annotations

import http.client
from contextlib import closing
from enum import StrEnum

import msgspec

from workers.address import Address
from workers.health import LIVE, READY

ANSWER_WITHIN_S = 5.0
MAX_BYTES = 65_536


class WorkerState(StrEnum):
    """How a worker is."""

    READY = "ready"
    """It works, or could."""
    NOT_READY = "not_ready"
    """It runs and cannot work now; its loops say why."""
    STUCK = "stuck"
    """A loop of it hangs."""
    AWAY = "away"
    """Nobody answers there, or nobody who is a worker."""


class WorkerHealth(msgspec.Struct, frozen=True, kw_only=True):
    """How one worker is; of each of its loops, what it says of it."""

    address: str
    state: WorkerState
    loops: dict[str, str] = {}


class _Alive(msgspec.Struct, frozen=True):
    status: str
    loops: list[str] = []


class _Ready(msgspec.Struct, frozen=True):
    status: str
    loops: dict[str, str] = {}


def ask_worker(address: Address) -> WorkerHealth:
    """Ask the worker at ``address`` how it is; takes a few seconds at most."""
    try:
        alive = msgspec.json.decode(_read(address, LIVE), type=_Alive)
        ready = msgspec.json.decode(_read(address, READY), type=_Ready)
    except (OSError, http.client.HTTPException, msgspec.DecodeError, UnicodeDecodeError):
        return WorkerHealth(address=str(address), state=WorkerState.AWAY)
    state = WorkerState.READY if ready.status == "ready" else WorkerState.NOT_READY
    if alive.status != "alive":
        state = WorkerState.STUCK
    return WorkerHealth(address=str(address), state=state, loops=ready.loops | dict.fromkeys(alive.loops, "stuck"))


def worker_problem(worker: WorkerHealth) -> str | None:
    """What a person has to know of a worker that does not work."""
    if worker.state is WorkerState.READY:
        return None
    if worker.state is WorkerState.AWAY:
        return f"The worker at {worker.address} does not answer: does it run, and is its RECOUPLE_HTTP set so?"
    why = ", ".join(f"{loop} {said}" for loop, said in worker.loops.items() if said != "ready") or "it starts or stops"
    if worker.state is WorkerState.STUCK:
        return f"The worker at {worker.address} hangs ({why}): it should end itself within seconds; else end it"
    return f"The worker at {worker.address} is not ready: {why}"


def _read(address: Address, path: str) -> bytes:
    with closing(http.client.HTTPConnection(address.host, address.port, timeout=ANSWER_WITHIN_S)) as connection:
        connection.request("GET", path)
        return connection.getresponse().read(MAX_BYTES)
