"""The file of the embedded broker: its tables, how it is made and how it is opened."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

from messages.transport.ports import BrokerUnavailableError

_VERSION = 1

# AUTOINCREMENT, so that no number of a message ever comes back: an acknowledgement that arrives late hits nothing else.
# Leases stand apart from the messages, so that delivering one does not rewrite its body.
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS exchange (name TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS queue (
    name TEXT PRIMARY KEY, arguments TEXT NOT NULL,
    owner TEXT, owned_until_ms INTEGER
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS binding (
    exchange TEXT NOT NULL, pattern TEXT NOT NULL, queue TEXT NOT NULL,
    PRIMARY KEY (exchange, pattern, queue)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS message (
    id INTEGER PRIMARY KEY AUTOINCREMENT, queue TEXT NOT NULL,
    exchange TEXT NOT NULL, routing_key TEXT NOT NULL, properties BLOB NOT NULL, body BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS message_queue ON message (queue);
CREATE TABLE IF NOT EXISTS lease (
    message INTEGER PRIMARY KEY, owner TEXT, until_ms INTEGER NOT NULL, deliveries INTEGER NOT NULL
);
PRAGMA user_version = {_VERSION};
"""


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn what SQLite has to say about ``path`` into a ``BrokerUnavailableError``."""
    try:
        yield
    except sqlite3.Error as error:
        raise BrokerUnavailableError(f"the embedded broker's file {path} cannot be used: {error}") from error


def create_file(path: Path) -> None:
    """Make the file and its folder where they are missing.

    Raises:
        BrokerUnavailableError: the folder cannot be made, or the file is something else.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():  # ours alone, whatever the umask; SQLite makes its log beside it likewise
            with suppress(FileExistsError, PermissionError):  # SQLite says it better
                path.touch(mode=0o600, exist_ok=False)
    except OSError as error:
        raise BrokerUnavailableError(
            f"the folder of the embedded broker's file {path} cannot be made: {error}"
        ) from error
    with explained(path):
        database = _connect(path, mode="rwc", busy=timedelta(seconds=10))
        try:
            if database.execute("PRAGMA user_version").fetchone() == (_VERSION,):
                return
            if database.execute("SELECT count(*) FROM sqlite_master").fetchone() != (0,):
                raise BrokerUnavailableError(
                    f"{path} is a SQLite file, but not a broker's: choose another RECOUPLE_BROKER_URL"
                )
            # The journal's mode is a property of the file and cannot be changed inside a transaction.
            database.execute("PRAGMA journal_mode = WAL")
            database.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT;")
        finally:
            database.close()


def open_file(path: Path, *, durable: bool, busy: timedelta) -> sqlite3.Connection:
    """Return a connection to an existing broker file.

    Args:
        path: Where the file is.
        durable: Commits survive a power loss (``synchronous=FULL``). Without it they survive the death of the process,
            not of the machine: enough for leases and acknowledgements, whose loss means that a message comes again.
        busy: How long to wait for another process's transaction.

    Raises:
        BrokerUnavailableError: there is no such file, or it is something else.
    """
    if not path.exists():
        raise BrokerUnavailableError(f"the embedded broker's file {path} does not exist; run `recouple setup`")
    with explained(path):
        database = _connect(path, mode="rw", busy=busy)
        if database.execute("PRAGMA user_version").fetchone() != (_VERSION,):
            database.close()
            raise BrokerUnavailableError(f"{path} is not a broker file of this version; run `recouple setup`")
        database.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
        return database


def _connect(path: Path, *, mode: str, busy: timedelta) -> sqlite3.Connection:
    # kombu may close a channel from whichever thread collects it; one thread at a time owns a connection all the same.
    return sqlite3.connect(
        f"file:{quote(str(path))}?mode={mode}",
        uri=True,
        isolation_level=None,
        timeout=busy.total_seconds(),
        check_same_thread=False,
    )
