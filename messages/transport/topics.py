"""When a topic pattern takes a routing key, as AMQP 0-9-1 has it."""

from __future__ import annotations

from collections.abc import Sequence


def topic_matches(pattern: str, routing_key: str) -> bool:
    """Say whether ``pattern`` takes ``routing_key``; ``*`` stands for one word, ``#`` for any number, also none."""
    return _match(_words(pattern), _words(routing_key))


def _words(text: str) -> Sequence[str]:
    return text.split(".") if text else ()


def _match(pattern: Sequence[str], words: Sequence[str]) -> bool:
    if not pattern:
        return not words
    first, rest = pattern[0], pattern[1:]
    if first == "#":
        return any(_match(rest, words[skipped:]) for skipped in range(len(words) + 1))
    return bool(words) and first in ("*", words[0]) and _match(rest, words[1:])
