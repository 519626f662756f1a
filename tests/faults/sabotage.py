"""What a test breaks in a worker on purpose, to see that the checks of this suite find it.

Each is a mistake that somebody could make; ``sabotage_of_broker`` and ``sabotage_of_store`` make them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum

from tests.faults import sabotage_of_broker as of_broker
from tests.faults import sabotage_of_store as of_store
from workers.bootstrap import Doors


class Sabotage(StrEnum):
    """Which guarantee is broken, and how."""

    ACKNOWLEDGE_FIRST = "acknowledge_first"
    """A batch is acknowledged as soon as it is received (guarantee 2)."""
    KEEP_REPEATED = "keep_repeated"
    """What was delivered before is handled, and never acknowledged (guarantee 4)."""
    STUMBLE_OVER_REPEATED = "stumble_over_repeated"
    """What was delivered before is handled, and to acknowledge it raises (guarantee 4)."""
    PUBLISH_UNCOMMITTED = "publish_uncommitted"
    """What a transaction has to say is published before its commit, which may never come (guarantee 2)."""
    PUBLISH_BESIDE = "publish_beside"
    """The same, and a commit that fails is passed over: what it was about is not tried again (guarantee 2)."""
    LOSE_A_FIELD = "lose_a_field"
    """Of several fields of an instruction the last is not sent (guarantee 5)."""
    FORGET_UNCONFIRMED = "forget_unconfirmed"
    """The relay deletes its rows before it publishes them (guarantee 2)."""
    NO_DEDUPLICATION = "no_deduplication"
    """Every event counts as new (guarantee 1)."""
    BURY_REPEATED = "bury_repeated"
    """An event that came before counts as another one under its id (guarantee 1)."""
    FAIL_REPEATED = "fail_repeated"
    """To handle an event that came before raises (guarantee 1)."""
    NO_LOCKS = "no_locks"
    """Records and couplings are read without being locked (guarantee 3)."""
    FORGET_APPLIED = "forget_applied"
    """What an instruction wrote, and wrote over, is not kept once it is applied (guarantee 6)."""


_WAYS: Mapping[Sabotage, Callable[[Doors], Doors]] = {
    Sabotage.ACKNOWLEDGE_FIRST: of_broker.acknowledge_first,
    Sabotage.KEEP_REPEATED: of_broker.keep_repeated,
    Sabotage.STUMBLE_OVER_REPEATED: of_broker.stumble_over_repeated,
    Sabotage.PUBLISH_UNCOMMITTED: of_broker.publish_uncommitted,
    Sabotage.PUBLISH_BESIDE: lambda doors: of_store.pass_over_failure(of_broker.publish_uncommitted(doors)),
    Sabotage.LOSE_A_FIELD: of_broker.lose_a_field,
    Sabotage.FORGET_UNCONFIRMED: of_store.forget_unconfirmed,
    Sabotage.NO_DEDUPLICATION: of_store.no_deduplication,
    Sabotage.BURY_REPEATED: of_store.bury_repeated,
    Sabotage.FAIL_REPEATED: of_store.fail_repeated,
    Sabotage.NO_LOCKS: of_store.no_locks,
    Sabotage.FORGET_APPLIED: of_store.forget_applied,
}


def commit(what: Sabotage, doors: Doors) -> Doors:
    """Break it; return the doors through which the worker is to go."""
    return _WAYS[what](doors)
