"""What every job is given: the mapping file and the few settings that bear on decisions. Built once, passed down."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import msgspec

from messages.codec import Limits
from workers.mapping import MappingFile
from workers.rules.failures import Patience


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """What the jobs know of the world they work in.

    Attributes:
        tokens: Makes a token that no other coupling has; with it instruction ids are unique across stores.
    """

    file: MappingFile
    tokens: Callable[[], str]
    namespace: str = "recouple"
    limits: Limits = Limits()
    patience: Patience = Patience()
    outbox_lease: timedelta = timedelta(seconds=30)
