"""Hypothesis picks the inputs, and makes those that break a property as small as it can."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.fuzz.corpus import kept
from tests.fuzz.mutations import Stock
from tests.fuzz.seeds import seeds
from tests.fuzz.strategies import ENCODED, mutations
from tests.fuzz.tallies import Tally
from tests.fuzz.targets import TARGETS

CHUNK: Final = 1000
"""Inputs that Hypothesis picks at a time; it remembers all of a chunk."""

_GOOD_TO_BAD: Final = 2


def stock_of(name: str, tally: Tally) -> Stock:
    """Try what there is, and return it to make inputs of: mostly what is accepted, as the rest is near to it."""
    inputs = list(dict.fromkeys([*kept(name).values(), *seeds(name)]))
    good = [one for one in inputs if tally.is_accepted(one)]
    times = _GOOD_TO_BAD * len(inputs) // max(1, len(good))
    return Stock([*inputs, *good * times], TARGETS[name].words)


def inputs_of(name: str, stock: Stock) -> st.SearchStrategy[bytes]:
    """Return what makes inputs of a target: small changes to what is in stock, and messages made anew."""
    changed = mutations(stock, TARGETS[name].mutators)
    return st.one_of(changed, changed, changed, ENCODED[name]) if name in ENCODED else changed


def fuzz_chunk(inputs: st.SearchStrategy[bytes], tally: Tally, number: int, many: int) -> None:
    """Try ``many`` inputs; the chunk ``number`` is always the same."""
    known = frozenset(tally.findings)

    @seed(number)
    @settings(
        max_examples=many,
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
    )
    @given(inputs)
    def check(data: bytes) -> None:
        place = tally.note(data)
        if place is not None and place not in known:
            raise AssertionError(place)

    before = tally.inputs
    with suppress(AssertionError):  # the tally has it, made small
        check()
    if tally.inputs == before:
        raise RuntimeError("no input was made")
