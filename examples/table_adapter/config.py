"""What the adapter is told: for which app it speaks, over which broker, and which tables hold its records."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

import msgspec

WIRE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,39}")
"""It becomes part of the names of a view and of triggers."""


class ConfigError(Exception):
    """The configuration cannot be used; the text says what to change."""


class TableConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One table: its name in the database, its key column, and the columns that Recouple sees, by their own names."""

    table: str
    key: str
    columns: list[str]


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file.

    Attributes:
        tables: By their names on the wire, as the mapping file of Recouple has them.
    """

    app: str
    broker: str
    database: str
    tables: dict[str, TableConfig]
    namespace: str = "recouple"


def read_config(path: Path, environ: Mapping[str, str]) -> Config:
    """Return the configuration in the TOML file at ``path``.

    ``ADAPTER_BROKER`` and ``ADAPTER_DATABASE`` in ``environ`` stand in for the two URLs, which may hold passwords.

    Raises:
        ConfigError: it cannot be read, or something in it is missing, unknown or of the wrong type.
    """
    given = {
        name: environ[f"ADAPTER_{name.upper()}"]
        for name in ("broker", "database")
        if f"ADAPTER_{name.upper()}" in environ
    }
    try:
        config = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")) | given, Config)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: {error}") from error
    wrong = [wire for wire in config.tables if not WIRE_NAME.fullmatch(wire)]
    if wrong:
        raise ConfigError(f"{path}: tables: {', '.join(wrong)}: a name is a letter and up to 39 letters, digits or _")
    empty = [wire for wire, table in config.tables.items() if not table.columns]
    if empty:
        raise ConfigError(f"{path}: tables: {', '.join(empty)}: columns: name at least one")
    return config
