"""Opens a store by its URL: SQLite for one machine, PostgreSQL for many."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from sqlalchemy import Connection, Engine, event, make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from messages.masking import masked
from store.failures import StoreNotReadyError, StoreUnavailableError, translated
from store.revisions import current_revision, head_revision
from store.sqlite import BUSY_TIMEOUT, open_sqlite
from store.turns import Turns, TurnTimeoutError

__all__ = ["Store", "StoreNotReadyError", "StoreUnavailableError", "may_be_forgotten", "open_store", "wait_for_locks"]


class Store:
    """One database. Thread-safe; connections are pooled.

    Attributes:
        url: Without the password.
        dialect: ``sqlite`` or ``postgresql``.
    """

    def __init__(self, engine: Engine, given: str | None = None) -> None:
        """``given``: the URL as somebody wrote it; SQLAlchemy may read another password out of it."""
        self._engine = engine
        self._reading = engine.execution_options(recouple_reading=True)
        self.url = masked(given or engine.url.render_as_string(hide_password=False))
        self.dialect = engine.dialect.name
        self._turns = Turns() if self.dialect == "sqlite" else None

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Give a connection inside a transaction, committed at the end and rolled back on an error.

        Raises:
            StoreUnavailableError: try again; after a failed commit it is not known whether it took place.
            StoreNotReadyError: a table is missing.
        """
        with self._turn(), _translating(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """On SQLite, wait in line for the one writer that there may be."""
        if self._turns is None:
            yield
            return
        try:
            with self._turns.turn(BUSY_TIMEOUT):
                yield
        except TurnTimeoutError as error:
            raise StoreUnavailableError(f"the database is busy for {BUSY_TIMEOUT}; try again") from error

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection for reading; nothing is kept.

        Raises:
            StoreUnavailableError: try again.
            StoreNotReadyError: a table is missing.
        """
        with _translating(), self._reading.connect() as connection:
            if self.dialect == "postgresql":
                connection.execution_options(postgresql_readonly=True)
            yield connection

    def check_ready(self) -> None:
        """See that the store was migrated to this version of Recouple.

        Raises:
            StoreNotReadyError: it was not.
            StoreUnavailableError: the database is away.
        """
        revision = None
        if not self._is_missing_file():  # to look at it would make an empty one
            with self.reading() as connection:
                revision = current_revision(connection)
        if revision == head_revision():
            return
        if revision is None:
            raise StoreNotReadyError(f"the store {self.url} is empty: run `recouple setup`")
        raise StoreNotReadyError(
            f"the store {self.url} is at revision {revision}, this version of Recouple needs {head_revision()}: "
            "run `recouple setup`; if that does not help, the store was made by a newer version, use that one"
        )

    def _is_missing_file(self) -> bool:
        name = self._engine.url.database or ""
        return self.dialect == "sqlite" and not name.startswith("file:") and not Path(name).exists()

    def on_answer(self, tell: Callable[[], None]) -> None:
        """Call ``tell``, which must be quick, when the database has answered a statement, in the thread that asked."""
        event.listen(self._engine, "after_cursor_execute", lambda *_: tell())

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()


def open_store(url: str, *, pool_size: int = 5, statement_timeout: timedelta | None = None) -> Store:
    """Return the store at ``url``, ``sqlite:///FILE`` or ``postgresql+psycopg://…``; connects on first use.

    ``statement_timeout`` is PostgreSQL's, 30 seconds if not given; a wait for a lock may take two thirds of it.

    Raises:
        ValueError: the URL is none, or of another database.
        StoreUnavailableError: the folder of the SQLite file cannot be made.
    """
    try:
        parsed = make_url(url)
        backend = parsed.get_backend_name()
    except (ArgumentError, NoSuchModuleError, ValueError):
        raise ValueError(
            "the store URL cannot be read: write sqlite:///FILE or postgresql+psycopg://USER@HOST/NAME"
        ) from None
    if "@" in (parsed.host or ""):  # a piece of the password, which the driver's errors would show as the host's name
        raise ValueError("the store URL has more than one @: write those of user and password as %40")
    if backend == "sqlite":
        return Store(open_sqlite(parsed, pool_size), url)
    if backend == "postgresql":
        return Store(_open_postgresql(parsed, pool_size, statement_timeout), url)
    raise ValueError(f"the store URL names {backend}: only sqlite and postgresql+psycopg are supported")


def wait_for_locks(connection: Connection, at_most: timedelta) -> None:
    """Let no statement of this transaction wait longer for a row; SQLite has one lock, and this transaction has it."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = {at_most // timedelta(milliseconds=1)}")


def may_be_forgotten(connection: Connection) -> None:
    """Do not wait for this transaction to be on disk; where the database dies in the same moment, it did not happen.

    On PostgreSQL only. What others see of it, and its order among other transactions, stay as they are.
    """
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SET LOCAL synchronous_commit = off")


@contextmanager
def _translating() -> Iterator[None]:
    try:
        yield
    except PoolTimeoutError as error:
        raise StoreUnavailableError("all connections to the database are in use; try again") from error
    except DBAPIError as error:
        meaning = translated(error)
        if meaning is None:
            raise
        raise meaning from error


def _open_postgresql(url: URL, pool_size: int, statement_timeout: timedelta | None) -> Engine:
    # Here, for SQLite needs no psycopg, and loading it is a tenth of what the command line takes to start.
    from store.postgresql import STATEMENT_TIMEOUT, open_postgresql  # noqa: PLC0415

    return open_postgresql(url, pool_size, statement_timeout or STATEMENT_TIMEOUT)
