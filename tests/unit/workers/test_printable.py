"""Text of others, on a terminal."""

from __future__ import annotations

import pytest

from workers.printable import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Müller & Söhne, 東京", "Müller & Söhne, 東京"),
        ("\x1b[2J\x1b]0;title\x07", r"\x1b[2J\x1b]0;title\x07"),
        ("a\nb\tc\r", r"a\nb\tc\r"),
        ("\x9b31m\x7f\x00", r"\x9b31m\x7f\x00"),
        ("invoice\u202efdp.exe\u2066", r"invoice\u202efdp.exe\u2066"),
        ("\ud800", r"\ud800"),
    ],
)
def test_nothing_drives_or_deceives_the_terminal(text: str, shown: str) -> None:
    """Else the key of a record could clear an operator's screen, or look like another key."""
    assert printable(text) == shown
    assert printable(text).encode()
