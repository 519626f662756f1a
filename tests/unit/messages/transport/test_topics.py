"""Topic patterns of the embedded broker match as RabbitMQ's do."""

from __future__ import annotations

import pytest

from messages.transport.topics import topic_matches


@pytest.mark.parametrize(
    ("pattern", "routing_key", "matches"),
    [
        ("bc.#", "bc", True),
        ("bc.#", "bc.customer.update", True),
        ("bc.#", "bcx.customer", False),
        ("bc.#", "x.bc", False),
        ("#", "", True),
        ("#", "a.b.c", True),
        ("*", "", False),
        ("*", "a", True),
        ("*", "a.b", False),
        ("*.b", "a.b", True),
        ("*.b", ".b", True),
        ("a.*.c", "a.b.c", True),
        ("a.*.c", "a.c", False),
        ("#.c", "a.b.c", True),
        ("a.#.c", "a.c", True),
        ("a.#.#.c", "a.b.c", True),
        ("a.#.c", "a.c.d", False),
        ("a.b", "a.b", True),
        ("a.b", "a.b.c", False),
        ("a%2E*", "a%2Eb", False),
        ("", "", True),
        ("", "a", False),
    ],
)
def test_topic_matches(pattern: str, routing_key: str, matches: bool) -> None:  # noqa: FBT001 - a table
    """If a pattern matched otherwise, a message would reach another app, or nobody."""
    assert topic_matches(pattern, routing_key) is matches
