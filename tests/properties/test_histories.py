"""Random histories: whatever happens, both apps agree in the end or a person is asked, and nothing is lost on the way."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.properties.histories import (
    QUIET,
    History,
    Play,
    check_all,
    histories,
    mirrored,
    what_came_out,
)


@given(histories(kinds=QUIET))
def test_edits_in_any_order(history: History) -> None:
    """Edits alone would not converge, would lose a value, or would go on for ever."""
    play = Play(history)
    play.play()
    check_all(play)


@given(histories())
def test_anything_in_any_order(history: History) -> None:
    """Deletions, refusals, repeats, silence and retries would break guarantee 5 or 6, or leave an error that never ends."""
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


@given(histories(kinds=("edit",), checked=True, timed=False), st.integers(0, 1000))
def test_arrival_order_of_edits_does_not_matter(history: History, seed: int) -> None:
    """What is contested, or who wins, would depend on which queue was faster."""
    fresh = tuple(
        replace(step, value=step.value if step.name == "s" else 1000 + place, place=0)
        for place, step in enumerate(history.steps)
    )
    once = {(step.side, step.name): step for step in fresh if step.name != "s"}
    habits = tuple(replace(one, sparse=False) for one in history.habits)
    history = replace(history, habits=habits, steps=tuple(step for step in fresh if step in once.values()))
    world, other = Play(history).play(), Play(replace(history, seed=seed)).play()
    assert what_came_out(world) == what_came_out(other)
