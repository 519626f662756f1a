"""Text of others, made safe for a terminal."""

from __future__ import annotations

import re

# C0 and C1 controls drive terminals, bidirectional marks reorder what a person reads, surrogates cannot be encoded.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    r"""Return ``text`` with what could drive or deceive a terminal written as ``\x1b`` or ``\u202e``."""
    return _UNSAFE.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)
