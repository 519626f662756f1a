"""Text of others, made safe for a terminal."""

from __future__ import annotations

import re

_DRIVES = "\x00-\x1f\x7f-\x9f"
"""C0 and C1 controls: they drive terminals."""

_REORDERS = "\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"
"""Bidirectional marks and line separators: they change the order in which a person reads, or where a line ends."""

_HIDES = (
    "\u00ad\u034f\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200d\u2060-\u2065"
    "\u206a-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
"""What has no width, or shows nothing: with it two keys look like one."""

_LIKE_SPACES = "\u00a0\u1680\u2000-\u200a\u202f\u205f"
"""Spaces that are none. The ideographic one (U+3000) is as wide as its neighbours and stays."""

_NO_TEXT = "\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff"
"""Surrogates, which cannot be encoded, and what is no character."""

_MARKS = "\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"
"""Combining marks; no script stacks more than a few on one letter, and a tower of them covers the lines around it."""

_MOST_MARKS = 4

_UNSAFE = re.compile(
    f"[{_DRIVES}{_REORDERS}{_HIDES}{_LIKE_SPACES}{_NO_TEXT}]|(?<=[{_MARKS}]{{{_MOST_MARKS}}})[{_MARKS}]"
)


def printable(text: str) -> str:
    r"""Return ``text`` with what could drive or deceive a terminal written as ``\x1b`` or ``\u202e``."""
    if text.isascii() and text.isprintable():
        return text
    return _UNSAFE.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)


def printable_json(document: str) -> str:
    r"""Return a JSON ``document`` with the same escaped as JSON does, ``\u001b``: it reads as before."""
    if document.isascii() and document.isprintable():
        return document
    return _UNSAFE.sub(_as_json, document)


def _as_json(match: re.Match[str]) -> str:
    pairs = match[0].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{pairs[at : at + 2].hex()}" for at in range(0, len(pairs), 2))
