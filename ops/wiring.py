"""Where the command line meets the world: environment, clock, chance, streams, and what to say when it fails."""

from __future__ import annotations

import getpass
import logging
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any

import typer
from rich.console import Console

from messages.topology import MAX_ID_BYTES
from messages.transport.connect import connect
from messages.transport.ports import Broker, BrokerUnavailableError, TopologyMismatchError
from ops.printing import json_text, make_console, say
from store.connect import Store, open_store
from store.failures import StoreNotReadyError, StoreUnavailableError
from workers.bootstrap import EndpointError, NotSetUpError
from workers.mapping_file import MappingFileError
from workers.printable import printable
from workers.settings import Settings, SettingsError, read_settings

WRONG = (SettingsError, MappingFileError)
"""What has to be mended in the environment or the mapping file: exit code 2, as for a wrong option."""

FAILED = (
    StoreUnavailableError,
    StoreNotReadyError,
    BrokerUnavailableError,
    TopologyMismatchError,
    NotSetUpError,
    EndpointError,
)
"""The world did not let us: exit code 1. Each says in its text what to do."""


class ExitCode(IntEnum):
    """What the command line returns to the shell."""

    DONE = 0
    """What was asked for has happened."""
    REFUSED = 1
    """It has not: refused, or the store or the broker is away."""
    USAGE = 2
    """It was asked wrongly: options, settings or mapping file."""
    NO_ANSWER = 3
    """A command was sent and not answered in time; it may still be carried out."""


class Session:
    """What one run of the command line works with.

    Attributes:
        out: For the result; a program reads it.
        err: For what only a person wants to know: progress, notes, errors.
        as_json: The result is one JSON document.
    """

    def __init__(self, settings: Settings, out: Console, err: Console, *, as_json: bool) -> None:
        self.settings = settings
        self.out = out
        self.err = err
        self.as_json = as_json

    def now(self) -> datetime:
        """The clock, in UTC."""
        return datetime.now(UTC)

    def new_id(self) -> str:
        """A name that nothing else has."""
        return str(uuid.uuid4())

    @property
    def source(self) -> str:
        """Who orders: ``ops/<user of the system>``."""
        source = f"ops/{printable(_user())}"
        return source.encode()[:MAX_ID_BYTES].decode(errors="ignore")

    def broker(self) -> Broker:
        """The broker that the settings name."""
        return connect(self.settings.broker_url)

    @contextmanager
    def store(self) -> Iterator[Store]:
        """The store that the settings name, seen to be of this version.

        Raises:
            SettingsError: the settings name none.
            StoreNotReadyError, StoreUnavailableError: it cannot be used.
        """
        store = self.open_store()
        try:
            store.check_ready()
            yield store
        finally:
            store.close()

    def open_store(self) -> Store:
        """The store, whatever state it is in.

        Raises:
            SettingsError: the settings name none.
        """
        try:
            return open_store(self.settings.store_url)
        except ValueError as error:
            raise SettingsError((f"RECOUPLE_STORE_URL: {error}",)) from error

    def write_json(self, value: Any) -> None:
        """Write the one JSON document of this run."""
        self.out.file.write(f"{json_text(value)}\n")

    def note(self, sentence: str) -> None:
        """Tell a person something that is no part of the result."""
        say(self.err, sentence, "dim")


@contextmanager
def session(*, as_json: bool) -> Iterator[Session]:
    """Read the settings and give a session; what the world does wrong inside becomes a sentence and an exit code.

    Raises:
        typer.Exit: with a code of ``ExitCode``.
    """
    out, err = make_console(), make_console(stderr=True)
    try:
        yield Session(read_settings(os.environ), out, err, as_json=as_json)
    except WRONG as error:
        _fail(str(error), out, err, as_json=as_json)
        raise typer.Exit(ExitCode.USAGE) from error
    except FAILED as error:
        _fail(str(error), out, err, as_json=as_json)
        raise typer.Exit(ExitCode.REFUSED) from error


def quiet_libraries() -> None:
    """Keep what libraries log off the terminal; what matters of it comes as an exception, in words."""
    logging.getLogger().addHandler(logging.NullHandler())


def _fail(sentence: str, out: Console, err: Console, *, as_json: bool) -> None:
    say(err, sentence, "red")
    if as_json:
        out.file.write(f"{json_text({'error': sentence})}\n")


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container may run under a number that has no name
        return "unknown"
