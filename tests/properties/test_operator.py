"""Random histories with an operator in them: whatever was ordered, whenever, it ends in agreement and loses nothing."""

from __future__ import annotations

from hypothesis import event, given

from store.model import CouplingStatus
from tests.properties.histories import History, check_all
from tests.properties.operators import OperatedPlay, is_settled, operated


@given(history=operated())
def test_an_operator_can_settle_every_history(history: History) -> None:
    """An error that no command settles would be there for ever; a resolution might lose or repeat something."""
    play = OperatedPlay(history)
    for step in history.steps:
        play.step(step)
    play.settle()
    for name in play.ordered:
        event(name)
    assert is_settled(play.world), f"{play.world.error} after {play.ordered}"
    if play.world.coupling.status is not CouplingStatus.CREATING:
        check_all(play)


@given(history=operated(altering=True))
def test_orders_harm_no_history(history: History) -> None:
    """With apps that alter what they are sent, some errors stay; what is ordered still loses and repeats nothing."""
    play = OperatedPlay(history)
    for step in history.steps:
        play.step(step)
    play.settle()
    if play.world.coupling.status is not CouplingStatus.CREATING:
        check_all(play)
