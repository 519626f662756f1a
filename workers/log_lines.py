"""A line for the structured log in the making: collected inside a transaction, written after its commit."""

from __future__ import annotations

from typing import Any

import msgspec


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One event of ``workers.log_events`` with its fields; record keys, never field values."""

    event: str
    fields: dict[str, Any] = {}
    level: str = "info"
