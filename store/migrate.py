"""Brings the tables of a store to the form that this version of Recouple needs."""

from __future__ import annotations

from alembic import command
from alembic.util import CommandError
from sqlalchemy import text

from store.connect import open_store
from store.failures import StoreNotReadyError
from store.revisions import alembic_config, current_revision, head_revision

__all__ = ["current_revision", "head_revision", "migrate"]

_LOCK = int.from_bytes(b"recouple", "big")
"""The number of the advisory lock under which one process migrates while the others wait."""


def migrate(url: str) -> None:
    """Migrate the store at ``url`` to the newest revision; does nothing where that is the present one.

    Raises:
        StoreNotReadyError: the store was migrated by a newer version.
        StoreUnavailableError: the database is away.
    """
    store = open_store(url, pool_size=1)
    try:
        with store.transaction() as connection:
            if store.dialect == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            config = alembic_config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except CommandError as error:
        raise StoreNotReadyError(
            f"the store {store.url} was migrated by a newer version of Recouple: use that"
        ) from error
    finally:
        store.close()
