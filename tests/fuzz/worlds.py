"""Stores in every state of the contract suite, and in some with apps of other kinds: each is built once and shared.

Whoever looks at a world undoes what came of it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Final, NamedTuple

from msgspec.structs import replace

from messages.changes import Change
from store.connect import open_store
from store.migrate import migrate
from tests.contract.workers.by_hand import ByHand, change
from tests.contract.workers.scene import MAPPING_FILE, Scene
from tests.contract.workers.states import STATES
from tests.fuzz.folders import folder

DEFAULT: Final = "healthy"

_OTHER_APPS: Final = """
[apps.bc]
[apps.sales]
confirms = "echo"
max_instructions_per_second = 5
[apps.clock]
order = "time"
record_url = "https://clock.example/{table}/{key}"
[apps.silent]
confirms = "none"

[[mappings]]
name = "article"
left = "bc/article"
right = "sales/product"
detect = "field"
on_update_conflict = "newest"
on_deletion = "restore"
only_coupled = false
match_on = [["name", "street"], ["name"]]
fields = [
    { left = "name", right = "title" },
    { left = "stock", right = "count", on_conflict = "add" },
    { left = "price", right = "cost", on_conflict = "min" },
    { left = "weight", right = "mass", on_conflict = "max" },
    { left = "street", right = "line1", group = "address" },
    { left = "zip", right = "code", group = "address" },
    { left = "iban", right = "account", sensitive = true, on_conflict = "manual" },
    { left = "state", right = "state", values = [[0, "new"], [1.5, true], ["", "none"]] },
    { left = "maker", right = "maker", reference = "note", if_uncoupled = "omit" },
]

[[mappings]]
name = "meeting"
left = "bc/meeting"
right = "clock/meeting"
on_update_conflict = "newest"
on_deletion = "uncouple"
only_coupled = false
match_on = [["name"]]
clock_skew = "2d"
where = [{ side = "right", field = "size", is = ">=", value = 1.5 }]
fields = [{ left = "name", right = "name" }]

[[mappings]]
name = "note"
left = "bc/note"
right = "sales/note"
fields = [{ left = "name", right = "name" }]

[[mappings]]
name = "copy"
left = "bc/article"
right = "silent/article"
direction = "to_right"
only_coupled = false
fields = [{ left = "name", right = "name" }]
"""


class World(NamedTuple):
    """A store, what works on it, and what the commands can name there."""

    hands: ByHand
    scene: Scene


def articles(hands: ByHand) -> Scene:
    """Two articles that agree, with a field of every rule; the app on the right confirms by echo."""
    left = change("bc/article/1", 1, name="x", stock=5, price=1, weight=1, street="s", zip="z", iban="i", state=0)
    right = change("sales/product/9", 1, title="x", count=5, cost=1, mass=1, line1="s", code="z", account="i")
    hands.say(left, replace(right, fields=right.fields | {"state": "new"}))
    return Scene(left="bc/article/1", right="sales/product/9", mapping="article", coupling=_couple(hands, left, right))


def loaded_articles(hands: ByHand) -> Scene:
    """The same, and new articles are matched or created; also in an app that confirms nothing."""
    scene = articles(hands)
    hands.load("bc/article", "sales/product", "silent/article")
    return scene


def meetings(hands: ByHand) -> Scene:
    """Two meetings that agree, one in an app that is ordered by time; new ones are matched or created."""
    left, right = change("bc/meeting/1", 1, name="x"), change("clock/meeting/9", 1, name="x", size=2)
    hands.say(left, replace(right, version=None, at=datetime(2026, 3, 1, 11, tzinfo=UTC)))
    number = _couple(hands, left, right)
    hands.load("bc/meeting", "clock/meeting")
    return Scene(left="bc/meeting/1", right="clock/meeting/9", mapping="meeting", coupling=number)


def _couple(hands: ByHand, left: Change, right: Change) -> int:
    number = hands.couple(str(left.record), str(right.record)).id
    hands.do_due_work()
    hands.now += timedelta(seconds=1)
    return number


_OTHERS: Final[dict[str, Callable[[ByHand], Scene]]] = {
    "articles": articles,
    "loaded articles": loaded_articles,
    "meetings": meetings,
}
WORLDS: Final = (*STATES, *_OTHERS)
"""Every state by its name."""


@cache
def world(name: str) -> World:
    """Return the world in the state ``name``; in that of ``DEFAULT`` where there is none of that name."""
    if name not in WORLDS:
        return world(DEFAULT)
    url = f"sqlite:///{folder('worlds') / name.replace(' ', '-')}.db"
    migrate(url)
    hands = ByHand(open_store(url), _OTHER_APPS if name in _OTHERS else MAPPING_FILE)
    build = _OTHERS.get(name) or STATES[name]
    return World(hands, build(hands))
