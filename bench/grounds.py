"""Where the measurements run: the servers or the embedded default, seeded stores, and a fresh copy of one per run."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import psycopg
from psycopg.sql import SQL, Identifier
from sqlalchemy import make_url

from store.connect import Store, open_store
from store.migrate import migrate
from tests.services import Services

_SEEDED_WITHIN = timedelta(hours=1)


class Seeded(NamedTuple):
    """A store to be copied: a database, or a file."""

    url: str


class Grounds:
    """Stores of one kind, made, copied and removed; and the broker that goes with them.

    Attributes:
        folder: For logs, and for what is embedded; removed at the end.
        broker_url: RabbitMQ; where everything is embedded, each run has a file of its own.
        admin_url: PostgreSQL's own database, as libpq reads it; empty where everything is embedded.
    """

    def __init__(self, *, embedded: bool) -> None:
        self.embedded, self.broker_url, self._server_url = embedded, "", ""
        self.folder = Path(tempfile.mkdtemp(prefix="recouple-bench-"))
        self._services = Services(os.environ)
        self._seeded: dict[str, Seeded] = {}
        self._made: list[str] = []
        if not embedded:
            self._server_url, self.broker_url = self._found("store"), self._found("broker")

    def __enter__(self) -> Self:
        """Nothing is made yet."""
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _fault: BaseException | None, _where: TracebackType | None
    ) -> None:
        """Remove all that was made."""
        for name in self._made:
            self._drop(name)
        shutil.rmtree(self.folder, ignore_errors=True)
        self._services.close()

    @property
    def admin_url(self) -> str:
        """Where databases are made."""
        return libpq(self._server_url)

    def seeded(self, name: str, seed: Callable[[Store], None]) -> Seeded:
        """Return the store of that name, seeded when first asked for."""
        if name not in self._seeded:
            found = self._seeded[name] = self._empty()
            migrate(found.url)
            with self.opened(found) as store:
                seed(store)
            self._settle(found)
        return self._seeded[name]

    def forget(self, name: str) -> None:
        """Remove a seeded store that is needed no more: a large one takes gigabytes."""
        found = self._seeded.pop(name, None)
        if found is not None:
            self._discard(found.url)

    @contextmanager
    def opened(self, seeded: Seeded) -> Iterator[Store]:
        """Give a seeded store, to be looked at; whoever changes it changes all copies to come."""
        store = open_store(seeded.url, statement_timeout=_SEEDED_WITHIN)
        try:
            yield store
        finally:
            store.close()

    @contextmanager
    def copy(self, seeded: Seeded) -> Iterator[str]:
        """Give the URL of a copy of a seeded store, removed afterwards. All of it is on disk when it is given."""
        if self.embedded:
            path = self.folder / f"{secrets.token_hex(4)}.db"
            shutil.copyfile(_path(seeded.url), path)
            url = f"sqlite:///{path}"
        else:
            name = self._create(_database(seeded.url))
            url = make_url(self._server_url).set(database=name).render_as_string(hide_password=False)
        try:
            yield url
        finally:
            self._discard(url)

    def _found(self, kind: str) -> str:
        choice = self._services.choice(kind)
        if choice.service is None:
            raise SystemExit(f"there is no {kind} to be measured: {'; '.join(choice.reasons)}")
        return choice.service.url

    def _empty(self) -> Seeded:
        if self.embedded:
            return Seeded(f"sqlite:///{self.folder / f'seed-{secrets.token_hex(4)}.db'}")
        name = self._create("template1")
        return Seeded(make_url(self._server_url).set(database=name).render_as_string(hide_password=False))

    def _create(self, template: str) -> str:
        name = f"recouple_bench_{os.getpid()}_{secrets.token_hex(4)}"
        # Copied as files, after a checkpoint: not a byte of it is in the write-ahead log that is measured.
        order = SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy")
        self._made.append(name)  # before it is there: whoever is interrupted must not leave it behind
        with psycopg.connect(self.admin_url, autocommit=True) as connection:
            connection.execute(order.format(Identifier(name), Identifier(template)))
            connection.execute("CHECKPOINT")
        return name

    def _settle(self, seeded: Seeded) -> None:
        """Leave nothing to be cleaned up or counted during a run."""
        if self.embedded:
            with self.opened(seeded) as store, store.reading() as conn:
                conn.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        else:
            with psycopg.connect(libpq(seeded.url), autocommit=True) as connection:
                connection.execute("VACUUM (FREEZE, ANALYZE)")

    def _discard(self, url: str) -> None:
        if self.embedded:
            for suffix in ("", "-wal", "-shm"):
                Path(_path(url) + suffix).unlink(missing_ok=True)
        else:
            self._drop(_database(url))

    def _drop(self, name: str) -> None:
        with psycopg.connect(self.admin_url, autocommit=True) as connection:
            connection.execute(SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(Identifier(name)))


@contextmanager
def open_grounds(*, embedded: bool) -> Iterator[Grounds]:
    """Open the grounds of one kind."""
    with ExitStack() as stack:
        yield stack.enter_context(Grounds(embedded=embedded))


def libpq(url: str) -> str:
    """Return a store's URL as libpq reads it."""
    return url.replace("postgresql+psycopg://", "postgresql://", 1)


def _database(url: str) -> str:
    return make_url(url).database or ""


def _path(url: str) -> str:
    return url.removeprefix("sqlite:///")
