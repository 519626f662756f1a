"""Random mappings, random apps and random histories between them, and what must hold when all is quiet."""

from __future__ import annotations

from collections import Counter
from random import Random  # noqa: TID251 - of the order in which all is brought to an end, with a seed
from typing import Literal

import msgspec
from hypothesis import strategies as st
from msgspec.structs import replace

from messages.errors import ErrorEvent
from messages.instructions import Action
from messages.outcomes import FailureCode
from messages.values import Value, same
from store.model import CouplingStatus, InstructionState, Side
from tests.rules_world import World, field, mapping_of
from tests.simulated_app import Habits
from workers.mapping import (
    App,
    Confirms,
    DeletionRule,
    Detect,
    Direction,
    MappedField,
    Mapping,
    Ordering,
    UpdateRule,
)
from workers.rules.failures import Patience
from workers.rules.forms import agree

START: dict[str, Value] = {"a": 0, "b": 0, "g1": 0, "g2": 0, "n": 100, "note": "-"}
"""The two records before the first edit; ``s`` is added in each side's own form."""

STATES = (("A", "one"), ("B", "two"), ("C", "three"))
"""The value map of ``s``."""

SIDES = st.sampled_from(Side)
PLAIN_RULES = st.sampled_from([None, UpdateRule.MANUAL, UpdateRule.LEFT, UpdateRule.RIGHT, UpdateRule.NEWEST])


class Step(msgspec.Struct, frozen=True):
    """One thing that happens; ``place`` chooses among what it could happen to."""

    what: Literal[
        "edit",
        "delete",
        "deliver",
        "repeat",
        "work",
        "work_again",
        "move",
        "silence",
        "retry",
        "back_off",
        "refuse",
        "pause",
        "resume",
        "wake",
        "never",
    ]
    side: Side
    place: int = 0
    name: str = ""
    value: Value = None
    code: FailureCode = FailureCode.OTHER

    def __repr__(self) -> str:
        said = {"edit": f"{self.name}={self.value!r}", "refuse": str(self.code)}.get(self.what, str(self.place))
        return f"{self.what} {self.side.value} {said}"


class History(msgspec.Struct, frozen=True):
    """Everything that decides what comes out of it.

    Attributes:
        seed: Of the order in which all is brought to an end.
        first: The side that goes first where nothing else says so.
    """

    mapping: Mapping
    habits: tuple[Habits, Habits]
    steps: tuple[Step, ...]
    seed: int = 0
    first: Side = Side.LEFT

    def __repr__(self) -> str:
        mapping = self.mapping
        apps = [
            f"{app.order} {app.confirms} checks={app.checks_version}" for app in (mapping.left_app, mapping.right_app)
        ]
        fields = [f"{one.name} {one.direction} {one.on_conflict} {one.group}" for one in mapping.fields]
        rules = f"{mapping.direction} {mapping.detect} {mapping.on_update_conflict} {mapping.on_deletion}"
        rules += "".join(f" where {one.side}.{one.field} {one.comparison} {one.value!r}" for one in mapping.where)
        return "\n".join(
            ["", *apps, *map(repr, self.habits), *fields, rules, *map(repr, self.steps), f"seed {self.seed}"]
        )


def mirrored(history: History) -> History:
    """The same history with the two sides exchanged."""
    mapping, turn = history.mapping, {UpdateRule.LEFT: UpdateRule.RIGHT, UpdateRule.RIGHT: UpdateRule.LEFT}
    ways = {Direction.TO_LEFT: Direction.TO_RIGHT, Direction.TO_RIGHT: Direction.TO_LEFT}
    fields = tuple(
        replace(
            one,
            direction=ways.get(one.direction, one.direction),
            on_conflict=one.on_conflict and turn.get(one.on_conflict, one.on_conflict),
            values=None if one.values is None else tuple((right, left) for left, right in one.values),
        )
        for one in mapping.fields
    )
    other = replace(
        mapping,
        left_app=replace(mapping.right_app, name="l"),
        right_app=replace(mapping.left_app, name="r"),
        fields=fields,
        direction=ways.get(mapping.direction, mapping.direction),
        on_update_conflict=turn.get(mapping.on_update_conflict, mapping.on_update_conflict),
    )
    steps = tuple(replace(step, side=step.side.other) for step in history.steps)
    return History(other, history.habits[::-1], steps, history.seed, history.first.other)


@st.composite
def mappings(draw: st.DrawFn, *, checked: bool = False, timed: bool = True) -> Mapping:
    """Any mapping that the mapping file lets in.

    Args:
        checked: Both apps check versions.
        timed: Policies and orders that rest on clocks may be drawn.
    """
    direction = draw(st.sampled_from([Direction.BOTH, Direction.BOTH, Direction.TO_LEFT, Direction.TO_RIGHT]))
    ways = list(Direction) if direction is Direction.BOTH else [direction]
    rules = PLAIN_RULES if timed else PLAIN_RULES.filter(lambda rule: rule is not UpdateRule.NEWEST)
    apps = [_app(draw, checked or draw(st.booleans()), timed=timed and not checked) for _ in Side]
    checks = [app["checks_version"] for app in apps]
    fields = [
        field("a", direction=draw(st.sampled_from(ways)), on_conflict=draw(rules)),
        field("b", direction=direction),
    ]
    if draw(st.booleans()):
        way, rule = draw(st.sampled_from(ways)), draw(rules)
        fields += [field(name, direction=way, on_conflict=rule, group="g") for name in ("g1", "g2")]
    if direction is Direction.BOTH and draw(st.booleans()):
        sums = [UpdateRule.MIN, UpdateRule.MAX, *([UpdateRule.ADD] if all(checks) else [])]
        fields.append(field("n", on_conflict=draw(st.sampled_from(sums))))
    if draw(st.booleans()):
        fields.append(field("s", direction=draw(st.sampled_from(ways)), values=STATES))
    deletions = [rule for rule in DeletionRule if all(checks) or rule is not DeletionRule.DELETE]
    return mapping_of(
        *fields,
        left=apps[0],
        right=apps[1],
        direction=direction,
        detect=draw(st.sampled_from(Detect)),
        on_update_conflict=draw(rules.filter(lambda rule: rule is not None)),
        on_deletion=draw(st.sampled_from(deletions)),
    )


def _app(draw: st.DrawFn, checks: bool, *, timed: bool) -> dict[str, object]:  # noqa: FBT001
    order = draw(st.sampled_from([Ordering.VERSION, Ordering.VERSION, Ordering.TIME])) if timed else Ordering.VERSION
    confirms = draw(st.sampled_from([Confirms.OUTCOME, Confirms.OUTCOME, Confirms.ECHO]))
    return {"checks_version": checks and order is Ordering.VERSION, "order": order, "confirms": confirms}


@st.composite
def habits(draw: st.DrawFn, confirms: Confirms, *, altering: bool) -> Habits:
    """Any habits that go with how the app confirms."""
    names = draw(st.booleans())
    makes = altering and draw(st.booleans()) and (names or confirms is Confirms.OUTCOME)
    return Habits(
        makes={"a": _at_most_two} if makes else {},
        says_what_it_made=draw(st.booleans()),
        alters_later=draw(st.booleans()),
        names_instructions=names,
        echoes=confirms is Confirms.ECHO or draw(st.booleans()) or makes,
        sparse=draw(st.booleans()),
        keeps_keys=draw(st.booleans()),
    )


def _at_most_two(value: Value) -> Value:
    return min(value, 2) if isinstance(value, int) else value


VALUES = st.one_of(st.integers(0, 4), st.integers(10, 10**6))


@st.composite
def steps(draw: st.DrawFn, mapping: Mapping, *, kinds: tuple[str, ...], limit: int = 25) -> tuple[Step, ...]:
    """A history of up to ``limit`` steps."""
    found = []
    for _ in range(draw(st.integers(1, limit))):
        side, what = draw(SIDES), draw(st.sampled_from(kinds))
        name, value, code = "", None, FailureCode.OTHER
        if what == "edit":
            name = draw(st.sampled_from([one.name for one in mapping.fields] + ["note"]))
            states = [pair[0 if side is Side.LEFT else 1] for pair in STATES]
            value = draw(st.sampled_from(states)) if name == "s" else draw(VALUES)
        if what == "refuse":
            code = draw(st.sampled_from(FailureCode))
        found.append(Step(what, side, draw(st.integers(0, 5)), name, value, code))  # type: ignore[arg-type]
    return tuple(found)


QUIET = ("edit", "edit", "deliver", "deliver", "work", "work")
ROUGH = (
    *QUIET,
    "edit",
    "deliver",
    "work",
    "delete",
    "repeat",
    "work_again",
    "move",
    "silence",
    "retry",
    "back_off",
    "refuse",
)


@st.composite
def histories(
    draw: st.DrawFn,
    *,
    kinds: tuple[str, ...] = ROUGH,
    altering: bool = False,
    checked: bool = False,
    timed: bool = True,
) -> History:
    """Any mapping, any two apps, any history of them."""
    mapping = draw(mappings(checked=checked, timed=timed))
    both = tuple(draw(habits(mapping.app(side).confirms, altering=altering)) for side in Side)
    return History(mapping, both, draw(steps(mapping, kinds=kinds)), draw(st.integers(0, 1000)))  # type: ignore[arg-type]


class Play:
    """A world in which a history is played.

    Attributes:
        edits: When, by the count of steps, each side's user last changed each field.
        set_back: Fields that a side's user set to a value that they had before.
    """

    def __init__(self, history: History) -> None:
        self.history = history
        state = next((one.values[0] for one in history.mapping.fields if one.values), ("-", "-"))
        self.start = start = {side: {**START, "s": state[0 if side is Side.LEFT else 1]} for side in Side}
        self.world = World(
            history.mapping,
            start[Side.LEFT],
            right_start=start[Side.RIGHT],
            habits=history.habits,
            patience=Patience(limit=3),
        )
        self.edits: Counter[tuple[Side, str]] = Counter()
        self.set_back: set[tuple[Side, str]] = set()
        self._count = 0
        self._values = {(side, name, value) for side, fields in start.items() for name, value in fields.items()}

    def _note(self, side: Side, name: str, value: Value) -> None:
        now = (self.world.fields(side) or {}).get(name)
        if not same(now, value):
            self.edits[side, name] = self._count
        if (side, name, value) in self._values:
            self.set_back.add((side, name))
        self._values.add((side, name, value))

    def met(self, one: MappedField, source: Side) -> bool:
        """Whether the target's user entered, at some time, what the source holds now: then the two agreed meanwhile."""
        value = (self.world.fields(source) or {}).get(one.name)
        theirs = [entered for side, name, entered in self._values if (side, name) == (source.other, one.name)]
        pairs = [(value, each) if source is Side.LEFT else (each, value) for each in theirs]
        return any(agree(one, left, right, {}) for left, right in pairs)

    def step(self, step: Step) -> None:  # noqa: C901, PLR0912 - a table of what can happen
        """Let one thing happen, if it can."""
        world, engine, side = self.world, self.world.engine, step.side
        self._count += 1
        waiting, inbox, got = world.waiting[side], world.sent(side), world.app(side).received
        if step.what == "edit" and (world.fields(side) is not None or step.place == 0):
            fields = {step.name: step.value}
            if world.fields(side) is None:
                fields = {**self.start[side], **fields}
            for name, value in fields.items():
                self._note(side, name, value)
            world.edit(side, fields)
        elif step.what == "delete" and world.fields(side) is not None and step.place < 2:
            world.delete(side)
        elif step.what == "deliver" and waiting:
            world.deliver(*waiting[step.place % len(waiting) :][: 1 + step.place % 2])
        elif step.what == "repeat" and world.past:
            world.deliver(world.past[-1 - step.place % len(world.past)])
        elif step.what == "work" and inbox:
            world.work(side, step.place % len(inbox))
        elif step.what == "work_again" and got:
            world.app(side).work(got[-1 - step.place % len(got)])
        elif step.what == "move" and world.fields(side) is not None:
            world.app(side).move_silently(world.key(side))
        elif step.what == "silence":
            engine.silence(world.number)
        elif step.what == "retry" and world.error is not None and world.coupling.status is not CouplingStatus.CLOSED:
            engine.retry(world.number)
        elif step.what == "back_off":
            engine.send_again(world.number)
        elif step.what == "refuse":
            world.app(side).refusals.append(step.code)

    def end(self) -> None:
        """Let everything come to rest: refusals end, what is unanswered is asked for again, all is delivered."""
        random, world = Random(self.history.seed), self.world  # noqa: S311
        for side in Side:
            world.app(side).refusals.clear()
        for _ in range(5):
            world.run(random.randrange, first=self.history.first)
            silent = [sent for sent in world.coupling.flight if sent.state is InstructionState.UNANSWERED]
            if not silent or world.coupling.status is CouplingStatus.CLOSED:
                return
            world.engine.retry(world.number)

    def play(self) -> World:
        """Play the whole history to its end."""
        for step in self.history.steps:
            self.step(step)
        self.end()
        return self.world


def check_all(play: Play) -> None:
    """Everything that holds of any history that has come to its end."""
    check_answered(play)
    check_converged(play)
    check_errors(play.world)
    check_nothing_lost(play.world)
    check_quiet(play)


def check_answered(play: Play) -> None:
    """No instruction is left without an end."""
    world = play.world
    if world.coupling.status is CouplingStatus.ACTIVE:
        assert not world.coupling.flight, world.coupling.flight


def check_converged(play: Play) -> None:
    """Guarantee 5: no error open, all quiet: two-way fields agree, one-way targets hold the source's last change."""
    world, mapping = play.world, play.world.mapping
    left, right = world.fields(Side.LEFT), world.fields(Side.RIGHT)
    if world.error is not None or world.coupling.status is not CouplingStatus.ACTIVE:
        return
    if world.coupling.held_by == "where":
        return
    assert left is not None, "a coupling of a missing record, and no error"
    assert right is not None, "a coupling of a missing record, and no error"
    for one in mapping.fields:
        if agree(one, left[one.left], right[one.right], {}):
            continue
        form = world.coupling.base[one.name]
        altered = any(one.name in habit.makes for habit in play.history.habits)
        if altered and same(form.left, left[one.left]) and same(form.right, right[one.right]):
            continue
        if one.direction is not Direction.BOTH:
            source = Side.LEFT if one.direction is Direction.TO_RIGHT else Side.RIGHT
            later = play.edits[source, one.name] > play.edits[source.other, one.name]
            if mistakes_echoes(mapping.app(source.other)):
                continue
            if altered or not later or (source, one.name) in play.set_back or play.met(one, source):
                continue
        raise AssertionError(f"{one.name}: {left[one.left]!r} and {right[one.right]!r}, base {form}")


def mistakes_echoes(app: App) -> bool:
    """Whether a user who happens to enter what we have just sent is taken for its echo; our write comes afterwards."""
    return app.confirms is Confirms.ECHO and not app.checks_version


def check_errors(world: World) -> None:
    """Each error is opened once, resolved at most once, and its revisions grow; at most one is open per coupling."""
    revisions: dict[int, int] = {}
    ended: set[int] = set()
    for event, told in world.engine.told:
        assert told.error not in ended
        assert (event is ErrorEvent.OPENED) == (told.error not in revisions), (event, told.error)
        if event is ErrorEvent.UPDATED:
            assert told.revision > revisions[told.error], (event, told.revision)
        revisions[told.error] = told.revision
        ended |= {told.error} if event is ErrorEvent.RESOLVED else set()
    still_open = revisions.keys() - ended
    assert len(still_open) <= 1
    assert still_open == ({world.error.number} if world.error is not None else set())


def check_nothing_lost(world: World) -> None:
    """Guarantee 6: every value that an instruction overwrote or deleted is in that instruction, an error or the log."""
    lines = [value for line in world.engine.log for value in line.values.values()]
    logged = [each for value in lines for each in (value.values() if isinstance(value, dict) else [value])]
    for side in Side:
        app = world.app(side)
        if mistakes_echoes(app.app):
            continue
        told = [getattr(report, side.value) for _, report in world.engine.told]
        shown = [value for one in told if one is not None for value in one.fields.values()]
        written = [pair for one in world.engine.instructions.values() for pair in one.sent.fields.items()]
        ours = [made for name, value in written for made in (value, app.made_of(name, value))]
        for instruction, name, value in app.overwritten:
            sent = world.engine.instructions[instruction].sent
            kept = [write.replaced for write in sent.writes.values()] + sent.overtaken.get(name, []) + ours
            image = world.engine.images[sent.record].fields if not sent.fields and sent.record.key else {}
            now = [row.fields.get(name) for each in Side for row in world.app(each).rows.values()]
            known = any(same(value, one) for one in [*kept, *logged, *shown, *now, *image.values()])
            assert known, f"{instruction} overwrote {name}={value!r} on {side}"


def check_quiet(play: Play) -> None:
    """A further pass sends nothing and says nothing; so does all that comes again, outcomes with new ids too."""
    world, engine = play.world, play.world.engine
    rows = {side: {key: copy_of(row) for key, row in world.app(side).rows.items()} for side in Side}
    before, told, coupling = engine.sent_count, len(engine.told), world.coupling
    engine.wake(world.number)
    assert engine.sent_count == before, "a further pass sent something"
    for message in list(world.past):
        engine.handle(message)
    for side in Side:
        for sent in [one for one in world.app(side).received if one.action is not Action.READ]:
            world.app(side).work(sent)
    world.flush()
    assert engine.sent_count == before, "a repeated answer sent something"
    assert len(engine.told) == told, "a further pass told something"
    assert world.coupling.base == coupling.base
    assert {side: world.app(side).rows for side in Side} == rows


def copy_of(row: object) -> object:
    """A copy of a row."""
    return msgspec.convert(msgspec.to_builtins(row), type(row))


def what_came_out(world: World) -> tuple[object, ...]:
    """What people see of the end: both records, and what is wrong between them."""
    error = world.error
    wrong = None if error is None else (error.kind, error.code, frozenset(error.contested))
    return world.fields(Side.LEFT), world.fields(Side.RIGHT), world.coupling.status, wrong


def what_was_settled(world: World) -> tuple[object, ...]:
    """What of the end does not depend on which queue was faster: what is contested, else both records."""
    left, right, status, wrong = what_came_out(world)
    return (status, wrong) if wrong is not None else (left, right, status)
