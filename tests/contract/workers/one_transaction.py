"""A store that forgets: all that happens in it is in one transaction, which is never committed. Quick on any disk."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, select

from store.connect import Store, open_store
from store.migrate import migrate
from store.worker_tables import metadata
from tests.contract.workers.by_hand import ByHand


class OneTransaction(Store):
    """A store in which everything happens in one transaction, so that it can be as if it had not happened."""

    def __init__(self, conn: Connection) -> None:
        super().__init__(conn.engine)
        self._conn = conn

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Give the connection inside a savepoint."""
        with self._conn.begin_nested():
            yield self._conn

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give the connection."""
        yield self._conn

    @contextmanager
    def in_vain(self) -> Iterator[None]:
        """What happens inside has not happened afterwards."""
        savepoint = self._conn.begin_nested()
        try:
            yield
        finally:
            savepoint.rollback()

    def everything(self) -> dict[str, list[Any]]:
        """All rows but those in which a refusal leaves its trace: the audit, and the answer on its way."""
        tables = [one for one in metadata.sorted_tables if one.name not in ("commands", "outbox")]
        return {one.name: sorted(map(repr, self._conn.execute(select(one)))) for one in tables}


@contextmanager
def in_one_transaction(store_url: str, mapping_file: str) -> Iterator[ByHand]:
    """Migrate a store and work on it by hand, without keeping anything."""
    migrate(store_url)
    store = open_store(store_url)
    try:
        with store.transaction() as conn:
            yield ByHand(OneTransaction(conn), mapping_file)
            conn.rollback()
    finally:
        store.close()
