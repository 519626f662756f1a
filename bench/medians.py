"""Medians with their spread, and ratios that are taken within one round before anything is averaged."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

import msgspec


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    """What several runs came to: the median, the least, the most, and how many there were."""

    median: float
    least: float
    most: float
    runs: int


def spread(values: Sequence[float]) -> Spread:
    """Return the median of ``values`` with its spread; there is at least one."""
    return Spread(median=median(values), least=min(values), most=max(values), runs=len(values))


def ratios(values: Sequence[float], references: Sequence[float]) -> Spread:
    """Return how ``values`` compare to ``references``, round by round: what slows a whole round slows both alike."""
    return spread([value / reference for value, reference in zip(values, references, strict=True)])


def quantile(ordered: Sequence[float], share: float) -> float:
    """Return that value of an ordered row which that share of it does not exceed."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
