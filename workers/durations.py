"""How ``recouple.toml`` and the settings write a length of time: ``500ms``, ``2s``, ``10m``, ``1h30m``, ``7d``."""

from __future__ import annotations

import re
from datetime import timedelta

_UNITS = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds", "ms": "milliseconds"}
# Six digits of days are 2,700 years: enough for anybody, and timedelta cannot overflow.
_DURATION = re.compile("".join(rf"(?:(?P<{unit}>[0-9]{{1,6}}){unit})?" for unit in _UNITS))
_MOST = 999_999


class MalformedDurationError(ValueError):
    """A length of time is written in a way that cannot be read."""


def parse_duration(text: str) -> timedelta:
    """Read a length of time: numbers with their units, ``d h m s ms``, in this order.

    Raises:
        MalformedDurationError: it is not written so, or empty.
    """
    match = _DURATION.fullmatch(text)
    if not text or match is None:
        raise MalformedDurationError(f"{text!r} is no length of time: write 500ms, 2s, 10m, 1h30m or 7d")
    return timedelta(**{_UNITS[unit]: int(number) for unit, number in match.groupdict().items() if number is not None})


def format_duration(duration: timedelta) -> str:
    """Write a length of time as ``parse_duration`` reads it; less than a millisecond is dropped."""
    rest_ms = duration // timedelta(milliseconds=1)
    parts = []
    for unit, name in _UNITS.items():
        unit_ms = timedelta(**{name: 1}) // timedelta(milliseconds=1)
        number = min(rest_ms // unit_ms, _MOST)  # what goes beyond that can be read in the next unit only
        rest_ms -= number * unit_ms
        if number:
            parts.append(f"{number}{unit}")
    return "".join(parts) or "0s"
