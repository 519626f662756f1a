"""Arrivals settled one after the other: what one takes the next finds taken; what changed is looked at again."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace

from messages.errors import ErrorKind
from messages.instructions import Action, Reason
from messages.records import RecordRef
from messages.values import Value
from store.arrivals import Arrival
from store.instructions import InstructionRow
from store.matches import Candidates
from store.model import Coupling, CouplingStatus, Image, InstructionState, Sent, Side
from tests.rules_world import field, mapping_of
from workers.mapping import MappingFile
from workers.rules.desk import Desk
from workers.rules.matching import echo_marks, match_values, written_mark
from workers.settling import Bench, Key, Surroundings, new_coupling

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LEFT, RIGHT = Side.LEFT, Side.RIGHT
MAPPING = mapping_of("name", field("size", right="grade"), only_coupled=False, match_on=(("name",),))
APPS = {app.name: app for app in (MAPPING.left_app, MAPPING.right_app)}
FILE = MappingFile(apps=APPS, mappings={"m": MAPPING})


def left(key: str) -> RecordRef:
    """A record of the left."""
    return RecordRef("l", "t", key)


def right(key: str) -> RecordRef:
    """A record of the right."""
    return RecordRef("r", "t", key)


class Scene:
    """Records and couplings around a bench, looked around as the job does it."""

    def __init__(self) -> None:
        self.images: dict[RecordRef, Image] = {}
        self.couplings: dict[int, Coupling] = {}
        self.rows: dict[str, InstructionRow] = {}

    def record(self, ref: RecordRef, exists: bool = True, **fields: Value) -> RecordRef:  # noqa: FBT001, FBT002
        """A record that is known."""
        self.images[ref] = Image(record=ref, exists=exists, fields=fields, version=1)
        return ref

    def coupling(self, mine: RecordRef | None, theirs: RecordRef | None) -> Coupling:
        """A coupling."""
        number = len(self.couplings) + 1
        self.couplings[number] = replace(new_coupling(MAPPING, f"c{number}", mine, theirs), id=number)
        return self.couplings[number]

    def create(self, source: RecordRef, state: InstructionState = InstructionState.SENT) -> Sent:
        """A create towards the other side, for ``source``, in this state; applied ones have their record already."""
        side = LEFT if source.app == "l" else RIGHT
        coupling = self.coupling(*((source, None) if side is LEFT else (None, source)))
        fields = {MAPPING.fields[0].on(side.other): self.images[source].fields["name"]}
        target = RecordRef("r" if side is LEFT else "l", "t", "")
        sent = Sent(
            id=f"{coupling.token}-1-{side.other}",
            side=side.other,
            record=target,
            action=Action.CREATE,
            reason=Reason.CREATE,
            made_at=NOW,
            fields=fields,
            state=state,
        )
        flight = (sent,) if state is InstructionState.SENT else ()
        self.couplings[coupling.id] = replace(coupling, flight=flight)
        self.rows[sent.id] = InstructionRow(sent.id, coupling.id, target.app, sent.side, sent)
        return sent

    def bench(self, *arrivals: Arrival, seen: dict[RecordRef, Image] | None = None) -> Bench:
        """A bench for these; ``seen`` is what the records were when somebody looked around."""
        images = {**self.images, **(seen or {})}
        values = {
            (one.mapping, one.record): match_values(MAPPING, one.side, images[one.record], {}) for one in arrivals
        }
        around = Surroundings(
            values=values,
            candidates={
                ("m", one.side.other, group, value): self._candidates(one.side.other, value)
                for one in arrivals
                for group, value in values["m", one.record]
            },
            creates=self._creates(),
            rows=self.rows,
        )
        tokens = (f"new{number}" for number in itertools.count(1))
        return Bench(Desk(FILE, NOW, dict(self.images), self.couplings.values()), around, lambda: next(tokens))

    def _candidates(self, side: Side, value: str) -> Candidates:
        app = "l" if side is LEFT else "r"
        coupled = {one.record(side) for one in self.couplings.values()}
        found = tuple(
            ref
            for ref, image in sorted(self.images.items())
            if ref.app == app
            and image.exists
            and ref not in coupled
            and (0, value) in match_values(MAPPING, side, image, {})
        )
        return Candidates(found[:20], len(found))

    def _creates(self) -> dict[tuple[str, str], list[tuple[str, Side]]]:
        found: dict[tuple[str, str], list[tuple[str, Side]]] = {}
        for row in self.rows.values():
            coupling = self.couplings[row.coupling_id]
            source = coupling.record(row.side.other)
            assert source is not None
            values = [value for _, value in match_values(MAPPING, row.side.other, self.images[source], {})]
            mark = written_mark(MAPPING, row.side, row.sent.fields)
            for value in [*values, *([] if mark is None else [mark])]:
                found.setdefault(("m", value), []).append((row.id, row.side))
        return found


def arrival(ref: RecordRef, **more: Any) -> Arrival:
    """A record that waits."""
    return Arrival(mapping="m", record=ref, side=LEFT if ref.app == "l" else RIGHT, since=NOW, **more)


def settled(scene: Scene, *arrivals: Arrival, apart: frozenset[RecordRef] = frozenset()) -> Bench:
    """Settle these, in this order."""
    bench = scene.bench(*arrivals)
    for one in arrivals:
        bench.settle(one, apart=one.record in apart)
    bench.end_taken(arrivals)
    return bench


def pairs(bench: Bench) -> list[tuple[RecordRef | None, RecordRef | None, CouplingStatus]]:
    """The couplings that were made."""
    return [(one.left, one.right, one.status) for one in bench.made]


def words(bench: Bench) -> list[tuple[str, str | None]]:
    """What the log is told, by record."""
    return [(str(touch.record), touch.word) for touch in bench.touches]


def keys(arrivals: list[Arrival]) -> list[Key]:
    """Which arrivals these are."""
    return [(one.mapping, one.record) for one in arrivals]


def test_a_match_is_coupled() -> None:
    """A record that is known on both sides would be created a second time."""
    scene = Scene()
    mine, theirs = scene.record(left("1"), name="Ada"), scene.record(right("9"), name="ADA")
    bench = settled(scene, arrival(mine, traceparent="trace"))
    assert pairs(bench) == [(mine, theirs, CouplingStatus.ACTIVE)]
    assert (keys(bench.gone), bench.kept, bench.again) == ([("m", mine)], [], [])
    assert (words(bench), bench.traces) == ([("l/t/1", "coupled")], ["trace"])


def test_no_match_is_created() -> None:
    """A new record would stay alone."""
    scene = Scene()
    bench = settled(scene, arrival(scene.record(right("9"), name="Ada")))
    assert pairs(bench) == [(None, right("9"), CouplingStatus.CREATING)]
    assert words(bench) == [("r/t/9", "sent")]


@pytest.mark.parametrize("why", ["coupled", "apart", "gone", "unknown"])
def test_what_needs_no_match_waits_no_more(why: str) -> None:
    """A record would be coupled twice, against a person's will, or after its end."""
    scene = Scene()
    mine = scene.record(left("1"), name="Ada", exists=why != "gone")
    scene.record(right("9"), name="Ada")
    if why == "coupled":
        scene.coupling(mine, right("8"))
    if why == "unknown":
        scene.images[mine] = Image(record=mine, fields={"name": "Ada"})
    bench = settled(scene, arrival(mine), apart=frozenset([mine] if why == "apart" else []))
    assert (keys(bench.gone), bench.made, bench.touches) == ([("m", mine)], [], [])


def test_what_changed_since_somebody_looked_is_looked_at_again() -> None:
    """A record would be matched by a value that nobody has locked: two workers could both create it."""
    scene = Scene()
    mine = scene.record(left("1"), name="Bea")
    one = arrival(mine)
    bench = scene.bench(one, seen={mine: Image(record=mine, exists=True, fields={"name": "Ada"})})
    bench.settle(one, apart=False)
    assert (keys(bench.again), bench.gone, bench.made) == ([("m", mine)], [], [])


def test_two_arrivals_for_one_partner() -> None:
    """Both would be tied to it, and the whole batch be refused by the store."""
    scene = Scene()
    ones = [arrival(scene.record(left(key), name="Ada")) for key in ("1", "2")]
    theirs = scene.record(right("9"), name="Ada")
    bench = settled(scene, *ones)
    assert pairs(bench) == [
        (left("1"), theirs, CouplingStatus.ACTIVE),
        (left("2"), None, CouplingStatus.CREATING),
    ]


def test_two_arrivals_of_one_name_with_no_partner() -> None:
    """R15: the second would be created although the answer to the first may show that it is the same."""
    scene = Scene()
    ones = [arrival(scene.record(left(key), name="Ada")) for key in ("1", "2")]
    bench = settled(scene, *ones)
    assert pairs(bench) == [(left("1"), None, CouplingStatus.CREATING)]
    ((_, kept),) = bench.kept
    assert (kept.record, kept.waits_for) == (left("2"), "new1-1-right")
    assert words(bench) == [("l/t/1", "sent"), ("l/t/2", "queued")]


def test_the_two_sides_of_a_match_arrive_together() -> None:
    """Each would be created on the other side; or the second be left waiting for ever."""
    scene = Scene()
    ones = [arrival(scene.record(ref, name="Ada")) for ref in (left("1"), right("9"))]
    bench = settled(scene, *ones)
    assert pairs(bench) == [(left("1"), right("9"), CouplingStatus.ACTIVE)]
    assert keys(bench.gone) == [("m", left("1")), ("m", right("9"))]
    assert words(bench) == [("l/t/1", "coupled"), ("r/t/9", "coupled")]


def test_an_echo_waits_for_the_create_that_it_may_be_of() -> None:
    """R15: what we have created ourselves would be created once more where it came from."""
    scene = Scene()
    sent = scene.create(scene.record(right("9"), name="Ada"))
    bench = settled(scene, arrival(scene.record(left("1"), name="Ada"), gated=True))
    ((_, kept),) = bench.kept
    assert (kept.waits_for, kept.gated, bench.made, bench.gone) == (sent.id, False, [], [])


def test_an_echo_is_known_by_its_fields_where_nothing_else_tells() -> None:
    """R15: an app may make another match value of what it was sent; the very same fields still tell."""
    scene = Scene()
    sent = scene.create(scene.record(right("9"), name=""))
    one = arrival(scene.record(left("1"), name="", size=3))
    assert echo_marks(MAPPING, LEFT, scene.images[one.record].fields)
    bench = settled(scene, one)
    assert [kept.waits_for for _, kept in bench.kept] == [sent.id]


def test_a_create_of_the_own_side_s_record_is_no_reason_to_wait_for_its_fields() -> None:
    """Two nameless records of one side would wait for each other."""
    scene = Scene()
    scene.create(scene.record(left("2"), name=""))
    bench = settled(scene, arrival(scene.record(left("1"), name="")))
    assert pairs(bench) == [(left("1"), None, CouplingStatus.CREATING)]


@pytest.mark.parametrize("name", ["Ada", "ADA"])
def test_a_refused_create_adopts_what_was_there(name: str) -> None:
    """``duplicate``: the app has the record; once it is announced, the coupling would stay stuck, a second be made."""
    scene = Scene()
    scene.create(scene.record(left("1"), name="Ada"), InstructionState.FAILED)
    theirs = scene.record(right("9"), name=name)
    bench = settled(scene, arrival(theirs))
    adopted = bench.desk.couplings[1]
    assert (adopted.left, adopted.right, adopted.status) == (left("1"), theirs, CouplingStatus.ACTIVE)
    assert (adopted.based, adopted.base, adopted.flight) == (False, {}, ())
    assert (list(bench.desk.decide), bench.made, keys(bench.gone)) == ([1], [], [("m", theirs)])
    assert words(bench) == [("r/t/9", "coupled")]


def test_a_refused_create_adopts_one_only() -> None:
    """Two records of the name would both take the one place."""
    scene = Scene()
    scene.create(scene.record(left("1"), name="Ada"), InstructionState.FAILED)
    bench = settled(scene, *(arrival(scene.record(right(key), name="Ada")) for key in ("8", "9")))
    assert bench.desk.couplings[1].right == right("8")
    assert pairs(bench) == [(None, right("9"), CouplingStatus.CREATING)]


def test_a_refused_create_does_not_adopt_from_the_other_side() -> None:
    """A record would be coupled with another of its own app."""
    scene = Scene()
    scene.create(scene.record(left("1"), name="Ada"), InstructionState.FAILED)
    bench = settled(scene, arrival(scene.record(left("2"), name="Ada")))
    assert bench.desk.couplings[1].right is None
    assert pairs(bench) == [(left("2"), None, CouplingStatus.CREATING)]


def test_a_twin_is_ambiguous() -> None:
    """It waited for a create to its side, and that brought another record to life: a person has to say what it is."""
    scene = Scene()
    theirs = scene.record(right("9"), name="Ada")
    sent = scene.create(theirs, InstructionState.APPLIED)
    scene.couplings[1] = replace(scene.couplings[1], left=left("5"), status=CouplingStatus.ACTIVE)
    bench = settled(scene, arrival(scene.record(left("1"), name="Ada"), waits_for=sent.id))
    ((_, kept),) = bench.kept
    assert kept.error is not None
    assert (kept.error.kind, kept.error.candidates, bench.made) == (ErrorKind.MATCH_AMBIGUOUS, ("r/t/9",), [])


def test_the_record_that_it_waited_for_is_no_twin_of_itself() -> None:
    """Every echo would end as an error."""
    scene = Scene()
    sent = scene.create(scene.record(right("9"), name="Ada"), InstructionState.APPLIED)
    mine = scene.record(left("1"), name="Ada")
    scene.couplings[1] = replace(scene.couplings[1], left=mine, status=CouplingStatus.ACTIVE)
    bench = settled(scene, arrival(mine, waits_for=sent.id))
    assert (keys(bench.gone), bench.kept) == ([("m", mine)], [])


def ambiguous(scene: Scene, one: Arrival) -> Arrival:
    """Settle an arrival that several match, and return it as it is kept."""
    ((_, kept),) = settled(scene, one).kept
    assert kept.error is not None
    return kept


def test_an_ambiguity_keeps_its_number_and_grows_when_it_looks_different() -> None:
    """An operator would find a new error for each change, or decide on what was yesterday."""
    scene = Scene()
    mine = scene.record(left("1"), name="Ada")
    for number in range(25):
        scene.record(right(f"{number:02}"), name="Ada")
    first = ambiguous(scene, arrival(mine)).error
    assert first is not None
    assert (len(first.candidates), first.candidates_total, first.revision) == (20, 25, 1)
    numbered = arrival(mine, error=replace(first, number=6))
    again = ambiguous(scene, numbered).error
    assert again == numbered.error
    scene.record(mine, name="Ada", size=2)
    changed = ambiguous(scene, numbered).error
    assert changed is not None
    assert (changed.number, changed.revision) == (6, 2)


def test_an_ambiguity_that_another_arrival_ends_in_the_same_batch() -> None:
    """The record would be coupled, and its error be opened all the same and stay open for ever."""
    scene = Scene()
    refs = [scene.record(ref, name="Ada") for ref in (left("1"), right("8"), right("9"))]
    bench = settled(scene, *(arrival(ref) for ref in refs))
    assert pairs(bench)[0] == (left("1"), right("8"), CouplingStatus.ACTIVE)
    assert (bench.kept, keys(bench.gone)[-1]) == ([], ("m", left("1")))
    assert ("l/t/1", "error") not in words(bench)


@pytest.mark.parametrize(
    ("exists", "coupled", "how"), [(True, True, "matched"), (True, False, "converged"), (False, False, "closed")]
)
def test_how_an_ambiguity_ended(*, exists: bool, coupled: bool, how: str) -> None:
    """The record of an error would say that a match was found where the record is simply gone."""
    scene = Scene()
    mine = scene.record(left("1"), name="Ada", exists=exists)
    if coupled:
        scene.record(right("9"), name="Ada")
    one = arrival(mine)
    assert settled(scene, one).how_it_ended(one) == how
