"""The store's own random name."""

from __future__ import annotations

from sqlalchemy import Connection, text


def installation_id(connection: Connection) -> str:
    """Return the random name that the store was given when it was made."""
    store_id: str = connection.execute(text("SELECT store_id FROM installation")).scalar_one()
    return store_id
