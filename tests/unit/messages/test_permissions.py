"""Rights as patterns: what they match, and that whoever looks may look. What they allow is tried on a RabbitMQ."""

from __future__ import annotations

import re

import pytest

from messages.permissions import NOTHING, BrokerUser, app_users, own_users
from messages.topology import topology

APPS = ("bc", "sales", "a-b_c")
DECLARED = topology("recouple", APPS)
EXCHANGES = [one.name for one in DECLARED.exchanges]
NAMES = {*EXCHANGES, *(one.name for one in DECLARED.queues)}
USERS = {one.name: one for one in (*own_users("recouple"), *app_users("recouple", APPS))}


def matches(pattern: str, name: str) -> bool:
    """As RabbitMQ matches: an empty pattern allows nothing that has a name."""
    return re.search(pattern or "^$", name) is not None


def touches(user: BrokerUser, name: str) -> bool:
    """Say whether the user has any right to it."""
    return any(matches(pattern, name) for pattern in (user.configure, user.write, user.read))


@pytest.mark.parametrize("name", ["recouple.setup", "recouple.worker", "recouple.ops"])
def test_whoever_looks_whether_all_is_there_may_look(name: str) -> None:
    """Else, from RabbitMQ 4.3.1 on, a worker could not start and `recouple health` could not answer."""
    assert [one for one in sorted(NAMES) if not touches(USERS[name], one)] == []


@pytest.mark.parametrize("name", USERS)
def test_every_exchange_that_a_user_touches_has_its_routing_keys(name: str) -> None:
    """Else RabbitMQ would let any routing key pass there."""
    user = USERS[name]
    touched = {one for one in EXCHANGES if matches(user.write, one) or matches(user.read, one)}

    assert touched == {topic.exchange for topic in user.topics}


@pytest.mark.parametrize("name", USERS)
@pytest.mark.parametrize(
    "other",
    [
        "recoupleXdead",
        "recouple.dead.more",
        "xrecouple.dead",
        "recouple2.changes.bc",
        "recouple.changes.",
        "recouple.instructions.BC",
        "amq.topic",
        "amq.gen",
    ],
)
def test_nothing_that_only_looks_like_ours_is_matched(name: str, other: str) -> None:
    """Else a pattern that was not closed would open the queues of somebody else."""
    assert not touches(USERS[name], other)


def test_namespaces_and_apps_share_no_users() -> None:
    """Else two installations on one broker would share a password."""
    names = [one.name for ns in ("a", "a-app", "a_worker") for one in (*own_users(ns), *app_users(ns, ["b", "worker"]))]

    assert len(names) == len(set(names))


def test_one_app_is_not_another() -> None:
    """Else the app `bc` could speak for `bc2`, or be instructed as it is."""
    [one, _, _] = app_users("recouple", APPS)
    [topic] = one.topics

    assert matches(topic.write, "bc.customer.update")
    assert [key for key in ("bc2.x.update", "bc", "sales.bc.x", ".bc.x", "") if matches(topic.write, key)] == []
    assert not matches(NOTHING, "")
