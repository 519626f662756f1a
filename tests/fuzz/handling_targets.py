"""The whole way of what was read: through the handlers, on a store, to an effect, to dead or to an answer.

An input is text: the name of a world, then a line for everything that happens there. ``bc {…}`` is a message of the app
``bc``, ``&bc {…}`` one more of the same batch, ``! {…}`` a command, ``+5`` lets five minutes pass. ``$I`` in a message
stands for the last instruction, ``"$C"`` and ``"$E"`` for the numbers of the coupling and of the error.
"""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import timedelta
from typing import Final

from tests.fuzz.stories import Story
from tests.fuzz.verdicts import Verdict
from tests.fuzz.worlds import world

MAX_STEPS: Final = 8
"""Of one story; what follows is left out."""

_SAYING = re.compile(r"(?P<joined>&?)(?P<app>[a-z0-9_-]{1,40}) (?P<body>.*)", re.DOTALL)
_PASSING = re.compile(r"\+(?P<minutes>[0-9]{1,6})")


class _UndoneError(Exception):
    """Ends the transaction, so that the next input finds the world as it was."""


def handling(data: bytes) -> Verdict:
    """Any story in any world."""
    name, *lines = data.decode(errors="surrogateescape").split("\n")
    place = world(name)
    with suppress(_UndoneError), place.hands.store.transaction() as conn:
        story = Story(conn, place)
        _tell(story, lines[:MAX_STEPS])
        raise _UndoneError
    return Verdict.ACCEPTED if story.taken else Verdict.REJECTED


def _tell(story: Story, lines: list[str]) -> None:
    batch: list[tuple[str, bytes]] = []
    for line in lines:
        saying = _SAYING.fullmatch(line)
        if batch and not (saying and saying["joined"]):
            story.hear(batch)
            batch = []
        if line.startswith("! "):
            story.order(_bytes(line[2:]))
        elif passing := _PASSING.fullmatch(line):
            story.wait(timedelta(minutes=int(passing["minutes"])))
        elif saying:
            batch.append((saying["app"], _bytes(saying["body"])))
    if batch:
        story.hear(batch)


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogateescape")
