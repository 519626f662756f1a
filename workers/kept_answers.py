"""Answers as the audit keeps them: what was answered once is answered again, word for word."""

from __future__ import annotations

import msgspec

from messages.commands import Answer, Done, Refused
from store.documents import Document


class _Kept(msgspec.Struct, frozen=True):
    """One of the two."""

    done: Done | None = None
    refused: Refused | None = None


_KEPT = Document(_Kept)


def kept(answer: Answer) -> str:
    """Return ``answer`` as JSON text."""
    return _KEPT.write(_Kept(done=answer) if isinstance(answer, Done) else _Kept(refused=answer))


def answer_kept(text: str) -> Answer:
    """Return the answer of a text that ``kept`` wrote."""
    found = _KEPT.read(text)
    answer = found.done or found.refused
    assert answer is not None  # noqa: S101 - one of the two is always kept
    return answer
