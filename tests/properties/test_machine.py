"""Two apps, a queue that doubles, delays and shuffles, refusals of every code: it always ends in agreement."""

from __future__ import annotations

import os

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from messages.outcomes import FailureCode
from messages.values import Value
from store.model import CouplingStatus, Side
from tests.properties.histories import SIDES, VALUES, History, Play, Step, check_all, check_errors, habits, mappings
from workers.mapping import Mapping

PLACES = st.integers(0, 5)


class TwoApps(RuleBasedStateMachine):
    """Everything that can happen to one coupling; at the end all is delivered, and guarantee 5 holds."""

    play: Play

    @initialize(mapping=mappings(), data=st.data(), seed=st.integers(0, 100))
    def begin(self, mapping: Mapping, data: st.DataObject, seed: int) -> None:
        """Two records that agree."""
        both = tuple(data.draw(habits(mapping.app(side).confirms, altering=True)) for side in Side)
        self.play = Play(History(mapping, both, (), seed))  # type: ignore[arg-type]

    @rule(side=SIDES, data=st.data())
    def edit(self, side: Side, data: st.DataObject) -> None:
        """A user changes a field."""
        one = data.draw(st.sampled_from(self.play.history.mapping.fields))
        states: list[Value] = [pair[0 if side is Side.LEFT else 1] for pair in one.values or ()]
        value = data.draw(st.sampled_from(states) if states else VALUES)
        self.play.step(Step("edit", side, 0, one.name, value))

    @rule(side=SIDES)
    def delete(self, side: Side) -> None:
        """A user deletes the record."""
        self.play.step(Step("delete", side))

    @rule(side=SIDES, place=PLACES)
    def deliver(self, side: Side, place: int) -> None:
        """One or several messages are delivered, out of order."""
        self.play.step(Step("deliver", side, place))

    @rule(side=SIDES, place=PLACES)
    def repeat(self, side: Side, place: int) -> None:
        """A message is delivered again."""
        self.play.step(Step("repeat", side, place))

    @rule(side=SIDES, place=PLACES)
    def work(self, side: Side, place: int) -> None:
        """The app does an instruction."""
        self.play.step(Step("work", side, place))

    @rule(side=SIDES, place=PLACES)
    def work_again(self, side: Side, place: int) -> None:
        """The app is given an instruction a second time."""
        self.play.step(Step("work_again", side, place))

    @rule(side=SIDES, code=st.sampled_from(FailureCode))
    def refuse(self, side: Side, code: FailureCode) -> None:
        """The app will refuse its next instruction."""
        self.play.step(Step("refuse", side, code=code))

    @rule(side=SIDES)
    def move(self, side: Side) -> None:
        """A version moves without an event."""
        self.play.step(Step("move", side))

    @rule()
    def silence(self) -> None:
        """What is in flight is not answered in time."""
        self.play.step(Step("silence", Side.LEFT))

    @rule()
    def retry(self) -> None:
        """An operator orders another try."""
        self.play.step(Step("retry", Side.LEFT))

    @rule()
    def back_off(self) -> None:
        """A back-off is over."""
        self.play.step(Step("back_off", Side.LEFT))

    @invariant()
    def one_decision_and_one_error(self) -> None:
        """R3: at most one instruction to each side; at most one error."""
        if not hasattr(self, "play"):
            return
        coupling = self.play.world.coupling
        assert len({sent.side for sent in coupling.flight}) == len(coupling.flight)
        check_errors(self.play.world)

    def teardown(self) -> None:
        """All comes to rest, and both agree or a person is asked."""
        if hasattr(self, "play"):
            self.play.end()
            if self.play.world.coupling.status is not CouplingStatus.CREATING:
                check_all(self.play)


TestTwoApps = TwoApps.TestCase
LONG = os.environ.get("HYPOTHESIS_PROFILE") == "long"
TestTwoApps.settings = settings(
    max_examples=2_000 if LONG else 150, stateful_step_count=60 if LONG else 25, deadline=None
)
