"""Names on the broker: other programs are written against them, so they are spelled out here once more."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

import pytest

from messages import topology
from messages.topology import UnroutableTableError

QUORUM = {"x-queue-type": "quorum", "x-delivery-limit": 1_000_000}


def work_queue(name: str) -> dict[str, Any]:
    """The arguments of a queue that dead-letters."""
    return QUORUM | {
        "x-dead-letter-exchange": "recouple.dead",
        "x-dead-letter-routing-key": name,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }


QUEUES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "recouple.dead": ("recouple.dead", "#", QUORUM | {"x-overflow": "reject-publish"}),
    "recouple.changes.bc": ("recouple.changes", "bc.#", work_queue("recouple.changes.bc")),
    "recouple.changes.sales": ("recouple.changes", "sales.#", work_queue("recouple.changes.sales")),
    "recouple.instructions.bc": ("recouple.instructions", "bc.#", work_queue("recouple.instructions.bc")),
    "recouple.instructions.sales": ("recouple.instructions", "sales.#", work_queue("recouple.instructions.sales")),
    "recouple.commands": ("recouple.commands", "#", work_queue("recouple.commands")),
    "recouple.errors": ("recouple.errors", "#", QUORUM | {"x-max-length": 5, "x-overflow": "drop-head"}),
}


def test_topology_is_the_contract() -> None:
    """Were a name or argument different, a broker set up before would refuse ours, and other programs miss it."""
    found = topology.topology("recouple", ["bc", "sales"], errors_max_length=5)
    assert {queue.name: (queue.exchange, queue.pattern, queue.arguments) for queue in found.queues} == QUEUES
    assert {exchange.name for exchange in found.exchanges} == {
        f"recouple.{name}" for name in ("changes", "instructions", "errors", "commands", "dead")
    }


def test_namespace_changes_every_name() -> None:
    """Two installations on one broker would take each other's messages if one name ignored the namespace."""
    found = topology.topology("other", ["bc"])
    names = [exchange.name for exchange in found.exchanges] + [queue.name for queue in found.queues]
    names += [queue.exchange for queue in found.queues]
    names += [str(queue.arguments.get("x-dead-letter-exchange", "other.dead")) for queue in found.queues]
    assert [name for name in names if not fnmatchcase(name, "other.*")] == []


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (topology.change_key("bc", "customer", "update"), "bc.customer.update"),
        (topology.change_key("bc", "Sales Invoice", "create"), "bc.Sales%20Invoice.create"),
        (topology.change_key("bc", "a.b#c*d~e", "read"), "bc.a%2Eb%23c%2Ad%7Ee.read"),
        (topology.change_key("bc", "Kündi_g-1", "delete"), "bc.K%C3%BCndi_g-1.delete"),
        (topology.outcome_key("bc"), "bc.outcome"),
        (topology.instruction_key("sales", "account", "create"), "sales.account.create"),
        (topology.error_key("update_conflict", "customer"), "update_conflict.customer"),
    ],
)
def test_routing_keys(key: str, expected: str) -> None:
    """A dot or wildcard of a table's name in a routing key would send the message to another queue or to none."""
    assert key == expected


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("", "must not be empty"),
        ("x" * 151, "151 bytes in a routing key, at most 150"),
        ("ü" * 26, "156 bytes"),
        ("\ud800", "must be Unicode"),
    ],
)
def test_tables_that_fit_no_routing_key(table: str, words: str) -> None:
    """A routing key above 255 bytes closes the connection for everybody who shares it."""
    with pytest.raises(UnroutableTableError, match=words):
        topology.change_key("bc", table, "update")


def test_longest_tables_fit() -> None:
    """The limit itself is still allowed."""
    assert len(topology.table_word("x" * 150)) == len(topology.table_word("ü" * 25)) == 150


@pytest.mark.parametrize(
    ("queue", "app"),
    [
        ("recouple.changes.bc", "bc"),
        ("recouple.changes.", None),
        ("recouple.commands", None),
        ("other.changes.bc", None),
        ("recouple.changes", None),
    ],
)
def test_app_of_a_queue(queue: str, app: str | None) -> None:
    """The queue is the only proof of who speaks; another answer would let one app speak for another."""
    assert topology.app_of_changes_queue("recouple", queue) == app


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("amq.gen-JzTY20BRgKO-HjmUJj0wLg", True),
        ("amq.rabbitmq.reply-to", True),
        ("amq.rabbitmq.reply-to.g1h2AA5yZXBseUAxMjM0AAAB.abc+/==", True),
        ("recouple.replies.jane-1", True),
        ("recouple.replies.", False),
        ("recouple.replies.a b", False),
        ("recouple.replies.a\n", False),
        ("other.replies.jane", False),
        ("recouple.changes.bc", False),
        ("recouple.instructions.sales", False),
        ("recouple.repliesX", False),
        ("recoupleXreplies.a", False),
        ("amq.gen-", False),
        ("amq.gen-a\n", False),
        ("amq.rabbitmq.reply-to.", False),
        ("amq.rabbitmq.reply-toX", False),
        ("", False),
        ("amq.gen-" + "x" * 300, False),
    ],
)
def test_reply_queues(name: str, *, allowed: bool) -> None:
    """A command that could name any queue would make us write instructions to apps with our rights."""
    assert topology.is_reply_queue("recouple", name) is allowed
