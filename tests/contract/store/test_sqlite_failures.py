"""What SQLite says when it cannot, and a file that is taken away under us: away, and nothing is lost in silence."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from store.connect import Store, open_store
from store.failures import StoreUnavailableError


def run(store: Store, *statements: str) -> None:
    """Execute statements in one transaction."""
    with store.transaction() as connection:
        for statement in statements:
            connection.execute(text(statement))


def count(store: Store) -> int:
    """Return how many rows there are."""
    with store.reading() as connection:
        return int(connection.execute(text("SELECT count(*) FROM kept")).scalar_one())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the file is."""
    return tmp_path / "store.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    """A store in that file, with a table of one row."""
    store = open_store(f"sqlite:///{path}")
    run(store, "CREATE TABLE kept (name text)", "INSERT INTO kept VALUES ('first')")
    yield store
    store.close()


def fills_the_disk(store: Store, _: Path) -> None:
    """The file may not grow any more."""
    run(store, "PRAGMA max_page_count = 1", "INSERT INTO kept VALUES (zeroblob(1000000))")


def may_only_read(_: Store, path: Path) -> None:
    """The file system was mounted for reading, as after a fault of the disk."""
    reader = open_store(f"sqlite:///file:{path}?mode=ro&uri=true")
    try:
        run(reader, "INSERT INTO kept VALUES ('second')")
    finally:
        reader.close()


def is_locked(store: Store, _: Path) -> None:
    """Something else in the same connection is at the table."""
    with store.transaction() as connection:
        connection.execute(text("INSERT INTO kept VALUES ('second')"))
        reading = connection.connection.cursor()
        try:
            reading.execute("SELECT * FROM kept")
            reading.fetchone()
            connection.execute(text("DROP TABLE kept"))
        finally:
            reading.close()


def is_damaged(store: Store, path: Path) -> None:
    """Pages of the file were overwritten."""
    store.close()
    content = path.read_bytes()
    path.write_bytes(content[:100] + b"\xff" * (len(content) - 100))
    count(store)


def lost_its_write_ahead_log(store: Store, path: Path) -> None:
    """Somebody tidied up beside the file."""
    path.with_name("store.db-wal").unlink()
    other = open_store(f"sqlite:///{path}")
    try:
        count(other)
    finally:
        other.close()
        assert count(store) == 1, "who has it open goes on"


@pytest.mark.parametrize(
    ("fail", "words"),
    [
        (fills_the_disk, "disk is full"),
        (may_only_read, "read-only"),
        (is_locked, "another process"),
        (is_damaged, "damaged"),
        (lost_its_write_ahead_log, "disk fails"),
    ],
)
def test_what_concerns_the_file_is_away(
    store: Store, path: Path, fail: Callable[[Store, Path], None], words: str
) -> None:
    """Else a full disk would be blamed on the messages that it meets, and they would go to the dead queue."""
    with pytest.raises(StoreUnavailableError, match=words):
        fail(store, path)


@pytest.mark.parametrize(
    "statement", ["INSERT INTO kept VALUES (zeroblob(2000000000))", "SELECT abs(-9223372036854775808)"]
)
def test_a_fault_of_what_was_asked_is_seen_as_it_is(store: Store, statement: str) -> None:
    """Else one message that the database cannot take would be tried again for ever, and hold up its queue."""
    with pytest.raises(DBAPIError):
        run(store, statement)


@pytest.mark.parametrize("which", ["the file", "the file and its log"])
def test_a_file_that_is_taken_away_takes_no_more_writes(store: Store, path: Path, which: str) -> None:
    """Else a worker acknowledges what it writes to a file that nobody can open any more: lost in silence."""
    elsewhere = path.parent / "elsewhere"
    elsewhere.mkdir()
    for name in ("store.db", "store.db-wal", "store.db-shm") if "log" in which else ("store.db",):
        path.with_name(name).rename(elsewhere / name)
    for _ in range(3):
        with pytest.raises(StoreUnavailableError, match="put it back"):
            run(store, "INSERT INTO kept VALUES ('second')")
        with pytest.raises(StoreUnavailableError, match="put it back"):
            count(store)
    assert not path.exists(), "an empty one would look like a new store"

    for moved in elsewhere.iterdir():
        moved.rename(path.with_name(moved.name))
    run(store, "INSERT INTO kept VALUES ('second')")
    assert count(store) == 2


def test_an_address_of_sqlite_makes_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else looking into a store by ``file:…?mode=ro`` leaves folders of that name where one stands."""
    monkeypatch.chdir(tmp_path)
    open_store(f"sqlite:///file:{tmp_path}/store.db?mode=ro&uri=true").close()
    assert list(tmp_path.iterdir()) == []


def test_what_could_only_be_read_for_a_while_is_written_again(store: Store) -> None:
    """Else a worker that was started meanwhile never writes again: what was opened for reading stays so."""
    with store.reading() as connection:
        connection.execute(text("PRAGMA query_only = ON"))  # as SQLite opens a file that may not be written
    with pytest.raises(StoreUnavailableError, match="read-only"):
        run(store, "INSERT INTO kept VALUES ('second')")
    run(store, "INSERT INTO kept VALUES ('second')")
    assert count(store) == 2


def test_a_file_that_is_replaced_is_opened_anew(store: Store, path: Path, tmp_path: Path) -> None:
    """Else who restores a backup has workers that write to what was there before, until they are restarted."""
    backup = open_store(f"sqlite:///{tmp_path / 'backup.db'}")
    run(backup, "CREATE TABLE kept (name text)", *["INSERT INTO kept VALUES ('backup')"] * 3)
    backup.close()
    for name in ("store.db", "store.db-wal", "store.db-shm"):
        path.with_name(name).unlink()
    (tmp_path / "backup.db").rename(path)
    assert count(store) == 3
    run(store, "INSERT INTO kept VALUES ('second')")
    assert count(store) == 4


def test_a_file_that_goes_in_the_middle_of_a_transaction_is_not_committed_to(store: Store, path: Path) -> None:
    """Else the batch at hand would be acknowledged, and lost with the file."""

    def transact() -> None:
        with store.transaction() as connection:
            connection.execute(text("INSERT INTO kept VALUES ('second')"))
            path.rename(path.with_name("elsewhere.db"))

    with pytest.raises(StoreUnavailableError, match="nothing was written"):
        transact()
    path.with_name("elsewhere.db").rename(path)
    assert count(store) == 1
