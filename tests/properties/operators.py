"""An operator in a random history: orders what applies, and in the end settles whatever is open."""

from __future__ import annotations

from collections.abc import Callable
from random import Random  # noqa: TID251 - of what is ordered in the end, with a seed

from hypothesis import strategies as st
from msgspec.structs import replace

from messages.changes import Change
from messages.commands import (
    DeleteRecord,
    Dismiss,
    Keep,
    RemoveCoupling,
    RestoreRecord,
    Retry,
    Synchronize,
)
from messages.values import Value
from store.model import CouplingStatus, Side
from tests.properties.histories import ROUGH, SIDES, STATES, History, Play, Step, histories
from tests.rules_world import World
from workers.mapping import Comparison, Condition
from workers.refusal import RefusedError
from workers.rules.answers import waiting
from workers.rules.applicability import applicable
from workers.rules.differences import compare, contested
from workers.rules.filters import outside
from workers.rules.resolutions import Resolution
from workers.rules.situation import Situation

OPERATED = (*ROUGH, "retry", "retry", "pause", "resume", "wake", "never")
"""What happens in a history with an operator in it, and apps that never answer."""


@st.composite
def operated(draw: st.DrawFn, *, altering: bool = False) -> History:
    """Any history with an operator in it, under any mapping, with or without a ``where``."""
    history = draw(histories(kinds=OPERATED, altering=altering))
    if draw(st.integers(0, 2)):
        return history
    side, name = draw(SIDES), draw(st.sampled_from(["a", "b"]))
    where = Condition(side=side, field=name, comparison=Comparison.LESS_OR_EQUAL, value=4)
    return replace(history, mapping=replace(history.mapping, where=(where,)))


PLAIN: dict[str, Callable[..., Resolution]] = {
    "retry": Retry,
    "restore_record": RestoreRecord,
    "delete_record": DeleteRecord,
    "dismiss": Dismiss,
    "remove_coupling": RemoveCoupling,
}
"""Orders that hold nothing but what they are about."""


class OperatedPlay(Play):
    """A history in which an operator has a say.

    Attributes:
        ordered: What was ordered and carried out, by name.
        dismissed: An error was closed without effect, and nothing has been decided since.
    """

    def __init__(self, history: History) -> None:
        super().__init__(history)
        self.ordered: list[str] = []
        self.dismissed = False

    def step(self, step: Step) -> None:
        """Let one thing happen; ``retry`` steps order whatever applies."""
        engine = self.world.engine
        if step.what in ("pause", "resume", "wake"):
            {"pause": engine.pause, "resume": engine.resume, "wake": engine.do_due}[step.what]()
            return
        if step.what == "never":
            self.lose(step)
            return
        if step.what != "retry":
            super().step(step)
            return
        names = [name for name in self.applicable() if name != "remove_coupling" or (step.place == 5 and self.safe)]
        if names:
            self.order(names[step.place % len(names)], step)

    def lose(self, step: Step) -> None:
        """An app never sees an instruction, or its answer never comes; what its users do is always told."""
        inbox, said = self.world.sent(step.side), self.world.waiting[step.side]
        answers = [one for one in said if not isinstance(one, Change)]
        if step.place % 2 and inbox:
            self.world.engine.outbox.remove(inbox[step.place % len(inbox)])
        elif answers:
            lost = answers[step.place % len(answers)]
            said[:] = [one for one in said if one is not lost]

    def end(self) -> None:
        """Let everything come to rest: no pause lasts, and who has never answered is asked once more."""
        engine = self.world.engine
        for _ in range(10):
            engine.resume()
            engine.do_due()
            super().end()
            if not waiting(self.world.coupling) or self.world.coupling.status is CouplingStatus.CLOSED:
                return
            engine.silence(self.world.number)
            engine.retry(self.world.number)

    def bring_in(self, random: Random) -> bool:
        """A user brings a record back that is outside of the mapping's ``where``; say whether there was one."""
        found = outside(self.world.mapping, self.world.engine.situation(self.world.number).images)
        if found is None or self.world.coupling.status is CouplingStatus.CLOSED:
            return False
        for one in self.world.mapping.where:
            if one.side is found:
                super().step(Step("edit", found, 0, one.field, random.randrange(5)))
        return True

    @property
    def safe(self) -> bool:
        """Whether nothing is on its way to an app that checks no versions.

        Its user's edit may be overwritten, and told after the echo of what overwrote it; once the coupling is removed
        nothing ties the two any more (docs/decisions/0012).
        """
        mapping = self.world.mapping
        return all(mapping.app(sent.side).checks_version for sent in waiting(self.world.coupling))

    def applicable(self) -> list[str]:
        """What applies now, by name."""
        world = self.world
        if world.coupling.status is CouplingStatus.CLOSED:
            return []
        return list(applicable(world.engine.situation(world.number)))

    def order(self, name: str, step: Step) -> None:
        """Order this; a refusal changes nothing."""
        world, number = self.world, self.world.number
        what = order_of(name, world.engine.situation(number), step)
        try:
            world.engine.order(number, what)
        except RefusedError:
            return
        self.ordered.append(name)
        self.dismissed = name == "dismiss"

    def settle(self) -> None:
        """Settle whatever is open until nothing is; everything is brought to rest in between."""
        random = Random(self.history.seed)  # noqa: S311
        for _ in range(30):
            self.end()
            if self.bring_in(random):
                continue
            if self.dismissed:
                self.dismissed = False
                self.world.engine.wake(self.world.number)
                continue
            names = [name for name in self.applicable() if name not in ("remove_coupling", "dismiss")]
            if self.world.error is None or not names:
                return
            side = random.choice(list(Side))
            self.order(random.choice(names), Step("retry", side, random.randrange(6), "", random.randrange(5)))


def order_of(name: str, situation: Situation, step: Step) -> Resolution:
    """Make an order of this name; of ``synchronize``, one of its three forms."""
    number = situation.coupling.id
    if name != "synchronize":
        return PLAIN[name](coupling=number)
    keep = Keep(step.side.value)
    mapping, base = situation.mapping, situation.coupling.base
    states = compare(mapping, situation.images, base, situation.references, insist=True)
    disputed = {state.field.name for state in contested(mapping, states)}
    groups = {one.group for one in mapping.fields if one.name in disputed and one.group is not None}
    named = [one.name for one in mapping.fields if one.name in disputed or one.group in groups]
    if step.place % 3 == 0 or not named:
        return Synchronize(coupling=number, keep=keep)
    if step.place % 3 == 1:
        return Synchronize(coupling=number, fields=dict.fromkeys(named, keep))
    return Synchronize(coupling=number, values={one: typed(one, step.value) for one in named})


def typed(name: str, value: Value) -> Value:
    """What the operator types into this field."""
    if name == "s":
        return STATES[0][0]
    return value if isinstance(value, int) else 7


def is_settled(world: World) -> bool:
    """Say whether the coupling is over, or nothing is open about it."""
    return world.coupling.status is CouplingStatus.CLOSED or world.error is None
