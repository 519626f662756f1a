"""What several runs come to."""

from __future__ import annotations

import pytest

from bench.medians import quantile, ratios, spread
from bench.report import cell, number


def test_one_slow_run_does_not_make_a_figure() -> None:
    """A neighbour on the machine would decide how fast Recouple is said to be."""
    found = spread([100, 10, 101])
    assert (found.median, found.least, found.most, found.runs) == (100, 10, 101, 3)
    assert cell(found) == "100 (10–101)"


def test_ratios_are_taken_within_each_round() -> None:
    """A machine that is slow for one round would be taken for a difference between those that are compared."""
    found = ratios([50, 100, 500], [100, 200, 1000])
    assert (found.median, found.least, found.most) == (0.5, 0.5, 0.5)
    with pytest.raises(ValueError, match="shorter"):
        ratios([1, 2], [1])


@pytest.mark.parametrize(("share", "value"), [(0.0, 0), (0.5, 50), (0.99, 99), (0.999, 99), (1.0, 99)])
def test_a_quantile_is_one_of_the_values(share: float, value: int) -> None:
    """A p99 would be the most, or a value that nothing took."""
    assert quantile(range(100), share) == value


@pytest.mark.parametrize(
    ("value", "text"), [(1234567.8, "1,234,568"), (99.96, "100"), (0.3456, "0.346"), (4.9e-12, "0"), (0, "0")]
)
def test_a_figure_has_as_many_digits_as_it_deserves(value: float, text: str) -> None:
    """A page would claim to know the twelfth digit, or of nothing how little it is."""
    assert number(value) == text
