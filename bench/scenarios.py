"""What lies in the queues before a contender starts, and by what its progress is seen.

Progress is seen from outside, by what arrives in queues: each event leads to ``yields`` messages in ``targets``. Where
events lead to none (echoes, stale ones, outcomes), every fiftieth message is a clean update instead, as a marker.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import msgspec
from sqlalchemy import text

from bench import scenery
from bench.scenery import LARGE, LEFT, RIGHT, SMALL, Shape
from messages.changes import Change
from messages.codec import Limits, decode_app_message, encode_change, encode_command, encode_outcome
from messages.commands import Command, Keep, Synchronize
from messages.outcomes import Applied
from messages.transport.ports import Publication
from store import handled as handled_store
from store.connect import Store
from tests.contract.workers.by_hand import ByHand
from tests.load.seeding import couple_many, key

MARK_EVERY = 50
BATCH = 300
REPLIES = "replies.bench"


class Scenario(NamedTuple):
    """One kind of work.

    Attributes:
        seed: Puts into an empty, migrated store what so many events need.
        messages: Makes so many events for a namespace; reads the seeded store where it has to.
        targets: Queues without namespace in which the progress is seen.
        yields: Arrivals per event, over all targets.
        part: So much of a plan's events: kinds that are slow by nature get fewer.
        outcomes: What becomes of its events, in the words of the synchronization log, as shares; a run in which they
            came to anything else is no measurement.
    """

    name: str
    shape: Shape
    detect: str
    seed: Callable[[Scenario, Store, int], None]
    messages: Callable[[Scenario, Store, str, int], Iterator[Publication]]
    targets: tuple[str, ...] = ("instructions.sales",)
    yields: float = 1.0
    part: float = 1.0
    outcomes: tuple[tuple[str, float], ...] = (("sent", 1.0),)

    def expected(self, events: int) -> dict[str, int]:
        """How many lines of each outcome so many events lead to."""
        return {outcome: round(share * events) for outcome, share in self.outcomes}

    @property
    def mapping_file(self) -> str:
        """The mapping file of its workers."""
        return scenery.mapping_file(self.shape, self.detect)


def seed_agreeing(scenario: Scenario, store: Store, events: int) -> None:
    """All pairs agree, and nothing is known of what led there."""
    couple_many(store, scenario.mapping_file, scenery.pair(scenario.shape), events)
    with store.transaction() as conn:
        for table in ("handled", "log", "commands"):
            conn.execute(text(f"DELETE FROM {table}"))


def _ahead(field: str, every: int) -> Callable[[Scenario, Store, int], None]:
    """On the right a user changed this field, and nobody has decided on that yet; of one record in so many."""

    def seed(scenario: Scenario, store: Store, events: int) -> None:
        seed_agreeing(scenario, store, events)
        agreed, theirs = (f'"r{field}":"{value}"' for value in (scenario.shape.value(field), "theirs"))
        with store.transaction() as conn:
            conn.execute(
                text(
                    "UPDATE records SET image = replace(image, :agreed, :theirs)"
                    " WHERE app = 'sales' AND CAST(substr(key, 2) AS integer) % :every = 0"
                ),
                {"agreed": agreed, "theirs": theirs, "every": every},
            )

    return seed


def seed_conflicts(scenario: Scenario, store: Store, numbers: Sequence[int]) -> None:
    """Both sides of these pairs, which agreed, have been edited: each is an open error."""
    ours = scenario.shape.values("f") | {"f01": "ours"}
    theirs = scenario.shape.values("r") | {"r01": "theirs"}
    changes = []
    for number in numbers:
        changes.append(scenery.change(f"{LEFT}/{key(number)}", f"conflict-left-{number}", 2, ours))
        changes.append(scenery.change(f"{RIGHT}/{key(number)}", f"conflict-right-{number}", 2, theirs))
    _by_hand(scenario, store, changes)  # the two of a pair never part: a batch is even


def _handled_before(scenario: Scenario, store: Store, events: int) -> None:
    """Every second event was handled before."""
    seed_agreeing(scenario, store, events)
    claims = []
    for number, one in enumerate(_stale_changes(scenario, events), 1):
        if number % 2 == 0 and number % MARK_EVERY:
            sent = encode_change(one, "recouple")
            message = decode_app_message(sent.body, sent.properties, "bc", Limits())
            claims.append(("bc", one.id, message.digest))
    with store.transaction() as conn:
        handled_store.claim(conn, claims, scenery.SINCE)


def _in_flight(scenario: Scenario, store: Store, events: int) -> None:
    """The records on the right were instructed; every fiftieth is at rest, to be a marker."""
    seed_agreeing(scenario, store, events)
    _by_hand(scenario, store, [_edit(scenario, number) for number in range(1, events + 1) if number % MARK_EVERY])


def _in_conflict(scenario: Scenario, store: Store, events: int) -> None:
    """Every coupling is in conflict."""
    _ahead("01", 1)(scenario, store, events)
    _by_hand(scenario, store, [_edit(scenario, number) for number in range(1, events + 1)])


def _by_hand(scenario: Scenario, store: Store, changes: list[Change]) -> None:
    """The product handles these here and now; nothing is published."""
    hands = ByHand(store, scenario.mapping_file)
    for start in range(0, len(changes), BATCH):
        hands.say(*changes[start : start + BATCH])
    with store.transaction() as conn:
        conn.execute(text("DELETE FROM outbox"))


def _edit(scenario: Scenario, number: int) -> Change:
    return scenery.change(f"{LEFT}/{key(number)}", f"bench-{number}", 2, scenery.edited(scenario.shape, "f"))


def _edits(scenario: Scenario, _store: Store, ns: str, events: int) -> Iterator[Publication]:
    return (encode_change(_edit(scenario, number), ns) for number in range(1, events + 1))


def _echoes(scenario: Scenario, _store: Store, ns: str, events: int) -> Iterator[Publication]:
    same = scenario.shape.values("f")
    for number in range(1, events + 1):
        one = _edit(scenario, number)
        yield encode_change(one if number % MARK_EVERY == 0 else msgspec.structs.replace(one, fields=same), ns)


def _stale_changes(scenario: Scenario, events: int) -> Iterator[Change]:
    for number in range(1, events + 1):
        one = _edit(scenario, number)
        if number % MARK_EVERY == 0 or number % 2 == 0:
            yield one
        else:
            yield msgspec.structs.replace(one, version=0)


def _stale(scenario: Scenario, _store: Store, ns: str, events: int) -> Iterator[Publication]:
    return (encode_change(one, ns) for one in _stale_changes(scenario, events))


def _outcomes(scenario: Scenario, store: Store, ns: str, events: int) -> Iterator[Publication]:
    with store.reading() as conn:
        given = {row.key: row.id for row in conn.execute(text("SELECT key, id FROM instructions"))}
    for number in range(1, events + 1):
        record, id_ = f"{RIGHT}/{key(number)}", f"bench-r-{number}"
        if number % MARK_EVERY == 0:
            yield encode_change(scenery.change(record, id_, 2, scenery.edited(scenario.shape, "r")), ns)
        else:
            applied = Applied(app="sales", id=id_, instruction=given[key(number)], attempt=1, version=2)
            yield encode_outcome(applied, ns)


def _commands(_scenario: Scenario, store: Store, ns: str, events: int) -> Iterator[Publication]:
    with store.reading() as conn:
        numbers = conn.execute(text("SELECT number FROM errors ORDER BY number")).scalars().all()
    for number in numbers[:events]:
        order = Synchronize(error=number, keep=Keep.LEFT)
        one = Command(
            id=f"bench-c-{number}", source="ops/jane", name="synchronize", order=order, reply_to=f"{ns}.{REPLIES}"
        )
        yield encode_command(one, ns, scenery.SINCE)


_MARKED = 1 / MARK_EVERY
_MARKER = ("sent", _MARKED)


def _marked(outcome: str) -> tuple[tuple[str, float], ...]:
    return ((outcome, 1 - _MARKED), _MARKER)


CLEAN = Scenario("clean", SMALL, "record", seed_agreeing, _edits)
CLEAN_LARGE = CLEAN._replace(name="clean 2 kB", shape=LARGE)
CONFLICTS_10 = CLEAN._replace(
    name="10 % conflicts",
    seed=_ahead("01", 10),
    targets=("instructions.sales", "errors"),
    outcomes=(("conflict", 0.1), ("sent", 0.9)),
)
CONFLICTS_100 = CLEAN._replace(
    name="100 % conflicts", seed=_ahead("01", 1), targets=("errors",), outcomes=(("conflict", 1.0),)
)
CONFLICTS_LARGE = CONFLICTS_100._replace(name="100 % conflicts 2 kB", shape=LARGE)
MERGES = CLEAN._replace(
    name="merges",
    detect="field",
    seed=_ahead("02", 1),
    targets=("instructions.sales", "instructions.bc"),
    yields=2.0,
    outcomes=(("merged", 1.0),),
)
ECHOES = CLEAN._replace(
    name="unchanged echoes", messages=_echoes, yields=_MARKED, part=2.0, outcomes=_marked("unchanged")
)
STALE = CLEAN._replace(
    name="stale duplicates",
    seed=_handled_before,
    messages=_stale,
    yields=_MARKED,
    part=2.0,
    outcomes=(("duplicate", 0.5 - _MARKED), ("stale", 0.5), _MARKER),
)
OUTCOMES = CLEAN._replace(
    name="outcomes",
    seed=_in_flight,
    messages=_outcomes,
    targets=("instructions.bc",),
    yields=_MARKED,
    part=1.5,
    outcomes=(*_marked("confirmed"), ("unchanged", 1 - _MARKED)),  # each coupling is decided anew
)
COMMANDS = CLEAN._replace(
    name="commands",
    seed=_in_conflict,
    messages=_commands,
    targets=(REPLIES,),
    part=0.2,
    outcomes=(("done", 2.0), ("resolved", 2.0)),
)  # a line for each record

KINDS = (CLEAN, CONFLICTS_10, CONFLICTS_100, MERGES, ECHOES, STALE, OUTCOMES, COMMANDS)
"""What Recouple is measured on, the clean case first: all others are told in its terms."""
