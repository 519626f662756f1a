"""How lengths of time are written."""

from __future__ import annotations

from datetime import timedelta

import pytest

from workers.durations import MalformedDurationError, format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("0s", timedelta()),
        ("500ms", timedelta(milliseconds=500)),
        ("2s", timedelta(seconds=2)),
        ("10m", timedelta(minutes=10)),
        ("1h30m", timedelta(hours=1, minutes=30)),
        ("7d", timedelta(days=7)),
        ("999999d36h", timedelta(days=1_000_000, hours=12)),
        ("1d2h3m4s5ms", timedelta(days=1, hours=2, minutes=3, seconds=4, milliseconds=5)),
    ],
)
def test_reads_and_writes(text: str, duration: timedelta) -> None:
    """Else ``recouple.toml`` would wait a minute where it says a month."""
    assert parse_duration(text) == duration
    assert format_duration(duration) == text


@pytest.mark.parametrize(
    "text", ["", "10", "10 m", "-2s", "1.5s", "30m1h", "1h1h", "m", "1w", "٣s", "9999999d", "2s\n"]
)
def test_refuses(text: str) -> None:
    """Else a length of time that means nothing, or overflows, would be found at night."""
    with pytest.raises(MalformedDurationError, match="write 500ms, 2s, 10m"):
        parse_duration(text)
