"""What every job is given: the mapping file and the few settings that bear on decisions. Built once, passed down."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

import msgspec
from sqlalchemy import Connection

from messages.codec import Limits
from messages.transport.ports import Publication
from store import outbox as outbox_store
from workers.mapping import MappingFile
from workers.rules.failures import Patience


class Put(Protocol):
    """Adds messages to the outbox as ``store.outbox.put`` does."""

    def __call__(
        self,
        connection: Connection,
        publications: Sequence[tuple[Publication, str | None]],
        turns: Mapping[str, datetime],
        /,
    ) -> None:
        """Add these."""


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """What the jobs know of the world they work in.

    Attributes:
        tokens: Makes a token that no other coupling has; with it instruction ids are unique across stores.
        put: Leaves what a decision has to say to the apps, and of errors, in the outbox.
    """

    file: MappingFile
    tokens: Callable[[], str]
    namespace: str = "recouple"
    limits: Limits = Limits()
    patience: Patience = Patience()
    outbox_lease: timedelta = timedelta(seconds=30)
    put: Put = outbox_store.put
