"""What is known of whether an app can be heard; ``workers.rules.silence`` makes something of it."""

from __future__ import annotations

from datetime import datetime

import msgspec


class Hearing(msgspec.Struct, frozen=True, kw_only=True):
    """Since when an app could have answered, and until when all that it said has been read.

    Attributes:
        since: From then on without a gap the broker was there, and what was said to the app went out.
        looked_at: When somebody looked last.
        empty_at: Then, if nothing that the app had said waited to be read.
        heard_at: All that it had said by then has been read and handled.
    """

    since: datetime
    looked_at: datetime
    empty_at: datetime | None = None
    heard_at: datetime | None = None
