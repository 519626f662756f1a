"""Random histories: whatever happens, both apps agree in the end or a person is asked, and nothing is lost."""

from __future__ import annotations

from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec.structs import replace

from store.model import Side
from tests.properties.histories import (
    QUIET,
    History,
    Play,
    check_all,
    histories,
    mirrored,
    what_came_out,
    what_was_settled,
)
from workers.mapping import Confirms


@given(histories(kinds=QUIET))
def test_edits_in_any_order(history: History) -> None:
    """Edits alone would not converge, would lose a value, or would go on for ever."""
    play = Play(history)
    play.play()
    check_all(play)


@given(histories())
def test_anything_in_any_order(history: History) -> None:
    """Deletions, refusals, repeats, silence and retries would break guarantee 5 or 6, or leave an endless error."""
    play = Play(history)
    play.play()
    check_all(play)


@given(histories(altering=True))
def test_apps_that_make_something_else_of_a_value(history: History) -> None:
    """An app that alters what it is sent would be fought with for ever, or alter the other side (R13, truncation)."""
    play = Play(history)
    play.play()
    check_all(play)


@given(histories())
def test_sides_are_alike(history: History) -> None:
    """The rules would favour the left side, or the right one."""
    world, other = Play(history).play(), Play(mirrored(history)).play()
    left, right, *rest = what_came_out(world)
    assert (right, left, *rest) == what_came_out(other)


@given(histories(kinds=("edit",), checked=True, timed=False), st.integers(0, 1000), st.booleans())
def test_arrival_order_of_edits_does_not_matter(history: History, seed: int, together: bool) -> None:  # noqa: FBT001
    """What is contested, or who wins, would depend on which queue was faster."""
    edits = {side: {step.name: step.value for step in history.steps if step.side is side} for side in Side}
    # Where an app confirms by echo, a user's edit to the very same value may be taken for it, and then it agrees.
    alike = {
        one.name
        for one in history.mapping.fields
        if edits[Side.LEFT].get(one.name, edits) == edits[Side.RIGHT].get(one.name)
    }
    assume(not alike or Confirms.ECHO not in (history.mapping.left_app.confirms, history.mapping.right_app.confirms))
    ends = []
    for one in (history, replace(history, seed=seed)):
        play = Play(replace(one, steps=()))
        said = [play.world.edit(side, fields) for side, fields in edits.items() if fields]
        if together and one is not history:
            play.world.deliver(*said)
        play.end()
        ends.append(what_was_settled(play.world))
    assert ends[0] == ends[1]
