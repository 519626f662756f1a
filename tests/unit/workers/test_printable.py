"""Text of others, on a terminal."""

from __future__ import annotations

import json
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.printable import printable, printable_json

DECEIVING = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Categories of Unicode of which nothing may stand on a terminal as it is."""


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Müller & Söhne, 東京", "Müller & Söhne, 東京"),
        ("山田\u3000太郎", "山田\u3000太郎"),
        ("Việt Nam, e\u0301\u0323", "Việt Nam, e\u0301\u0323"),
        ("\x1b[2J\x1b]0;title\x07", r"\x1b[2J\x1b]0;title\x07"),
        ("\x1b]8;;https://evil.example\x07bc\x1b]8;;\x07", r"\x1b]8;;https://evil.example\x07bc\x1b]8;;\x07"),
        ("a\nb\tc\r", r"a\nb\tc\r"),
        ("\x9b31m\x7f\x00", r"\x9b31m\x7f\x00"),
        ("invoice\u202efdp.exe\u2066", r"invoice\u202efdp.exe\u2066"),
        ("AL\u200bFKI\ufeff\u00ad", r"AL\u200bFKI\ufeff\xad"),
        ("a\u00a0b\u2009c", r"a\xa0b\u2009c"),
        ("bc\U000e0041\U000e007f", r"bc\U000e0041\U000e007f"),
        ("\u3164\u2800\u115f", r"\u3164\u2800\u115f"),
        ("e" + "\u0301" * 6, "e" + "\u0301" * 4 + r"\u0301\u0301"),
        ("\ud800", r"\ud800"),
    ],
)
def test_nothing_drives_or_deceives_the_terminal(text: str, shown: str) -> None:
    """Else the key of a record could clear an operator's screen, or look like another key."""
    assert printable(text) == shown
    assert printable(text).encode()


def test_no_character_that_drives_reorders_or_hides_is_left_out() -> None:
    """Else one of the many that Unicode has would get through."""
    every = map(chr, range(sys.maxunicode + 1))
    passed = [char for char in every if unicodedata.category(char) in DECEIVING and printable(char) == char]

    assert passed == []


def test_letters_of_every_script_stay_as_they_are() -> None:
    """Else the names of most people of the world would be unreadable."""
    every = map(chr, range(sys.maxunicode + 1))
    letters = [char for char in every if unicodedata.category(char) in {"Ll", "Lu", "Lt", "Nd", "Po", "Sc"}]

    assert [char for char in letters if printable(char) != char] == []


@given(st.text() | st.text(st.characters(categories=["Cc", "Cf", "Mn", "Zs"])))
def test_json_reads_as_before_and_shows_nothing_that_drives(text: str) -> None:
    """Else ``--json`` would change a key, or let it paint the terminal on which it is looked at."""
    document = printable_json(json.dumps([text], ensure_ascii=False))

    assert json.loads(document) == [text]
    assert printable(document) == document
