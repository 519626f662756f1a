"""Opening a store, its transactions, and how it says that it cannot be used."""

from __future__ import annotations

import socket
import stat
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from store import handled, records
from store.connect import Store, open_store
from store.failures import StoreNotReadyError, StoreUnavailableError
from store.migrate import migrate
from store.sets import UnstorableTextError
from tests.contract.store.samples import NOW, bc, image


class InterruptionError(Exception):
    """Something goes wrong in the middle of a transaction."""


def test_a_transaction_is_kept_whole(store: Store) -> None:
    """What a transaction wrote would be lost after it ended well."""
    with store.transaction() as connection:
        records.save(connection, [image(bc(1))])
    with store.reading() as connection:
        assert records.read(connection, [bc(1)]) == {bc(1): image(bc(1))}


def test_a_transaction_is_undone_whole(store: Store) -> None:
    """Half of a batch would stay behind after an error in it."""

    def fail() -> None:
        with store.transaction() as connection:
            records.save(connection, [image(bc(1))])
            raise InterruptionError

    with pytest.raises(InterruptionError):
        fail()
    with store.reading() as connection:
        assert records.read(connection, [bc(1)])[bc(1)].exists is None


def test_an_empty_store_is_not_ready(store_url: str) -> None:
    """A worker would start on a store without tables and fail at the first message."""
    store = open_store(store_url)
    with pytest.raises(StoreNotReadyError, match="recouple setup"):
        store.check_ready()
    with pytest.raises(StoreNotReadyError, match="recouple setup"), store.transaction() as connection:
        handled.claim(connection, [("bc", "1", "d")], NOW)
    store.close()


def test_a_migrated_store_is_ready(store: Store) -> None:
    """No worker would ever start."""
    store.check_ready()


def test_a_store_of_a_newer_version_is_not_ready(store: Store, store_url: str) -> None:
    """An old worker would write into tables that a newer version has changed."""
    with store.transaction() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreNotReadyError, match="newer"):
        store.check_ready()
    with pytest.raises(StoreNotReadyError, match="newer"):
        migrate(store_url)


def test_a_server_that_is_away_is_unavailable() -> None:
    """A worker would die instead of backing off when PostgreSQL restarts."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # bound and not listening: nobody else gets the port, and nobody answers
        store = open_store(f"postgresql+psycopg://someone:secret@127.0.0.1:{bound.getsockname()[1]}/none")
        with pytest.raises(StoreUnavailableError, match="cannot be reached") as caught, store.transaction():
            pass
        assert "secret" not in str(caught.value) + store.url
        store.close()


def test_a_lost_connection_is_unavailable_and_then_replaced(shared_store: Store) -> None:
    """A worker would die, or never recover, when PostgreSQL closes its connection in the middle of a batch."""

    def lose() -> None:
        with shared_store.transaction() as connection:
            pid = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
            with shared_store.transaction() as other:
                other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
            records.save(connection, [image(bc(1))])

    with pytest.raises(StoreUnavailableError):
        lose()
    with shared_store.transaction() as connection:
        assert records.read(connection, [bc(1)])[bc(1)].exists is None


def test_a_statement_that_takes_too_long_is_unavailable(postgres_url: str) -> None:
    """A worker would wait for a stopped worker's locks without end."""
    impatient = open_store(postgres_url, statement_timeout=timedelta(milliseconds=20))
    with pytest.raises(StoreUnavailableError, match="57014"), impatient.transaction() as connection:
        connection.execute(text("SELECT pg_sleep(20)"))
    impatient.close()


@pytest.mark.parametrize("content", [b"this is no database" * 100, None])
def test_a_file_that_cannot_be_used_is_unavailable(tmp_path: Path, content: bytes | None) -> None:
    """An operator would read a driver's error instead of a sentence."""
    path = tmp_path / "store.db"
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    store = open_store(f"sqlite:///{path}")
    with pytest.raises(StoreUnavailableError, match="SQLite store cannot be used"), store.transaction():
        pass
    store.close()


def test_a_folder_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    """An operator would read a traceback instead of a sentence."""
    (tmp_path / "file").touch(mode=stat.S_IRUSR)
    with pytest.raises(StoreUnavailableError, match="cannot be made"):
        open_store(f"sqlite:///{tmp_path / 'file' / 'store.db'}")


def test_a_locked_file_is_unavailable(tmp_path: Path) -> None:
    """A worker would die instead of trying again while another process writes for long."""
    url = f"sqlite:///{tmp_path / 'folder' / 'store.db'}"
    migrate(url)
    one, other = open_store(url), open_store(f"{url}?timeout=0.01")
    with one.transaction(), pytest.raises(StoreUnavailableError, match="another process"), other.transaction():
        pass
    with one.transaction(), other.reading() as connection:
        assert records.read(connection, [bc(1)])[bc(1)].exists is None, "a reader waits for a writer"
    one.close()
    other.close()


@pytest.mark.parametrize(
    "url",
    [
        *("nonsense", "mysql://somewhere/x", "sqlite://", "nosuch://x/y"),
        *("postgresql://ada:SECRET", "postgresql://ada:an@SECRET@somewhere/x"),
    ],
)
def test_a_wrong_url_is_a_sentence(url: str) -> None:
    """A mistyped setting would end in a traceback, in a store in memory, or in a log line with part of a password."""
    with pytest.raises(ValueError, match="store URL") as caught:
        open_store(url)
    assert "SECRET" not in str(caught.value)


def test_a_name_with_a_nul_is_refused_before_anything_is_written(store: Store) -> None:
    """On PostgreSQL a hostile name would show as a database error, with field values in its text."""
    with store.transaction() as connection:
        with pytest.raises(UnstorableTextError, match="NUL"):
            records.save(connection, [image(bc("a\0b"))])
        records.save(connection, [image(bc("\\u0000"))])
        assert records.read(connection, [bc("\\u0000")])[bc("\\u0000")].exists, "no NUL, only its spelling"


def test_a_database_error_shows_no_values(shared_store: Store) -> None:
    """Field values would reach the log with the text of an unexpected error."""
    with pytest.raises(DBAPIError) as caught, shared_store.transaction() as connection:
        connection.execute(text("SELECT CAST(:value AS text) / 2"), {"value": "confidential"})
    assert "confidential" not in str(caught.value)


def test_looking_at_a_store_that_is_not_there_makes_none(tmp_path: Path) -> None:
    """Whoever runs ``recouple errors`` in the wrong folder would leave an empty store behind."""
    store = open_store(f"sqlite:///{tmp_path / 'store.db'}")

    with pytest.raises(StoreNotReadyError, match="run `recouple setup`"):
        store.check_ready()

    store.close()
    assert list(tmp_path.iterdir()) == []
