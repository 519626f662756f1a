"""When an app is silent: the clock of its answer runs only while it could have answered and been heard."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from store.hearing import Hearing
from workers.rules.silence import LONGEST_RHYTHM, SHORTEST_RHYTHM, Look, after_look, is_time, rhythm, wait_for_answer

EVERY = timedelta(seconds=30)
WITHIN = timedelta(minutes=10)
ALL_IS_WELL = Look(reached=True, read=True)


def at(minutes: float) -> datetime:
    """So many minutes after the beginning."""
    return datetime(2026, 3, 1, 12, tzinfo=UTC) + timedelta(minutes=minutes)


def listened(*looks: tuple[float, Look]) -> Hearing:
    """What is known after these looks."""
    hearing = None
    for minute, look in looks:
        hearing = after_look(hearing, look, at(minute), EVERY)
    assert hearing is not None
    return hearing


def steadily(begin: float, end: float, look: Look = ALL_IS_WELL) -> list[tuple[float, Look]]:
    """A look every half minute, from ``begin`` until before ``end``."""
    return [(begin + half / 2, look) for half in range(round(2 * (end - begin)))]


def waits(hearing: Hearing | None, now: float, due: float = 10) -> float | None:
    """Return until which minute an answer that was due is waited for; ``None`` where its app is silent."""
    until = wait_for_answer(at(due), WITHIN, hearing, at(now), EVERY)
    return None if until is None else (until - at(0)) / timedelta(minutes=1)


def test_who_could_have_answered_is_silent() -> None:
    """Nobody would ever be told of an app that does not answer."""
    assert waits(listened(*steadily(0, 12)), 11.5) is None


def test_before_it_is_due_nobody_is_silent() -> None:
    """A row of due work that comes too early, of an earlier attempt, would be an error."""
    assert waits(listened(*steadily(0, 5)), 4.5) == 10


def test_without_a_look_nobody_is_silent() -> None:
    """The first worker after an upgrade, or the first ever, would declare silence on what it did not see."""
    assert waits(None, 11) == 21


def test_while_nobody_can_look_nobody_is_silent() -> None:
    """An outage of the broker, or of all workers, would become an error for each instruction in flight."""
    assert waits(listened(*steadily(0, 8)), 11) == 21


def test_after_an_outage_an_app_has_all_its_time_anew() -> None:
    """An adapter that has to connect again, with a day's instructions before it, would be called silent at once."""
    hearing = listened(*steadily(0, 8), *steadily(30, 31))
    assert waits(hearing, 30.5) == 40
    assert waits(listened(*steadily(0, 8), *steadily(30, 42)), 41.5) is None


def test_a_short_gap_is_none() -> None:
    """A worker that is restarted every hour, or a look that comes late, would put off silence for ever."""
    hearing = listened(*steadily(0, 5), *steadily(6, 12))
    assert waits(hearing, 11.5) is None


def test_what_waits_in_the_outbox_has_not_been_said() -> None:
    """A relay that is behind, or a broker that takes nothing, would make errors of what nobody has seen."""
    held_up = Look(reached=False, read=True)
    hearing = listened(*steadily(0, 5), *steadily(5, 9, held_up), *steadily(9, 12))
    assert waits(hearing, 11.5) == 18.5


def test_what_waits_to_be_read_has_been_said() -> None:
    """Workers that come back to a long queue would call apps silent whose answers wait in it."""
    hearing = listened(*steadily(0, 10), *steadily(10, 20, Look(reached=True, read=False)))
    assert waits(hearing, 19.5) == 20.5
    hearing = listened(*steadily(0, 10), *steadily(10, 20, Look(reached=True, read=False)), (20, ALL_IS_WELL))
    assert waits(hearing, 20) == 21  # a batch may be at hand
    read = [*steadily(0, 10), *steadily(10, 20, Look(reached=True, read=False)), *steadily(20, 21)]
    assert waits(listened(*read), 20.5) is None


def test_two_that_look_at_once_are_one() -> None:
    """Two workers that look one after the other would take a batch that is at hand for one that was handled."""
    hearing = listened((0, ALL_IS_WELL))
    assert not is_time(hearing, at(0.1), EVERY)
    assert is_time(hearing, at(0.5), EVERY)
    assert is_time(None, at(0), EVERY)


def test_a_clock_that_ran_ahead() -> None:
    """A host with a clock of tomorrow would keep all others from looking, and from being heard, until then."""
    hearing = listened((24 * 60, ALL_IS_WELL))
    assert is_time(hearing, at(0), EVERY)
    assert after_look(hearing, ALL_IS_WELL, at(0), EVERY).since == at(0)


@pytest.mark.parametrize(
    ("shortest", "expected"),
    [
        (timedelta(minutes=10), LONGEST_RHYTHM),
        (timedelta(days=1), LONGEST_RHYTHM),
        (timedelta(minutes=1), timedelta(seconds=3)),
        (timedelta(seconds=1), SHORTEST_RHYTHM),
    ],
)
def test_the_rhythm(shortest: timedelta, expected: timedelta) -> None:
    """An app with a minute to answer in would be told of after two; or the broker would be asked without pause."""
    assert rhythm([timedelta(days=2), shortest]) == expected


def test_the_rhythm_without_apps() -> None:
    """A worker for a file without apps would not start."""
    assert rhythm([]) == LONGEST_RHYTHM
