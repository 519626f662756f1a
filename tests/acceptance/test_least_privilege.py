"""Guarantee 10: what each user of the broker can do, tried on a RabbitMQ, and that it is enough for the whole."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import AMQPError, ChannelClosedByBroker, ConnectionClosedByBroker, NackError

from messages.topology import topology
from tests.acceptance.clients import wait_for
from tests.acceptance.secured_stage import APPS, NAMESPACE, USERS, VHOST, Secured, import_definitions
from tests.acceptance.secured_users import QUEUES, channel_of, named, signed_in

pytestmark = pytest.mark.timeout(300)  # the first test starts two servers

FOREIGN = "of-somebody-else"
"""A queue in the same virtual host that Recouple knows nothing of."""

EXCHANGES = ("changes", "instructions", "errors", "commands", "dead")
KEYS = {
    "changes": ("bc.customer.update", "bc.outcome", "sales.customer.update", "sales.outcome", "bcc.outcome", ""),
    "instructions": ("sales.customer.update", ""),
    "errors": ("update_conflict.customer", ""),
    "commands": ("retry", ""),
    "dead": (f"{NAMESPACE}.changes.bc", ""),
}
PATTERNS = {"changes": "bc.#", "instructions": "bc.#", "errors": "#", "commands": "#", "dead": "#"}
UNUSED = "none.#"
"""A key under which nothing is bound: what is unbound by an attempt would be missing in the next."""

BOUND = {(one.name, one.exchange, one.pattern) for one in topology(NAMESPACE, APPS).queues}
ACCESS_REFUSED = 403

Attempt = Callable[[BlockingChannel], Any]


def attempts() -> dict[str, Attempt]:
    """Return everything that somebody may try, by what the tables below call it."""
    tried: dict[str, Attempt] = {"declare a private queue": lambda ch: ch.queue_declare("", exclusive=True)}
    for exchange, keys in KEYS.items():
        for key in keys:
            tried[f"publish {exchange} {key}"] = publishing(named(exchange), key)
    for queue in (*QUEUES, FOREIGN):
        name = FOREIGN if queue == FOREIGN else named(queue)
        tried[f"publish straight to {queue}"] = publishing("", name)
        tried[f"get {queue}"] = lambda ch, name=name: ch.basic_get(name)  # type: ignore[misc]
        tried[f"consume {queue}"] = lambda ch, name=name: ch.basic_consume(name, print)  # type: ignore[misc]
        tried[f"purge {queue}"] = lambda ch, name=name: ch.queue_purge(name)  # type: ignore[misc]
        tried[f"declare {queue}"] = lambda ch, name=name: ch.queue_declare(name, durable=True)  # type: ignore[misc]
        tried[f"delete {queue}"] = lambda ch, name=name: ch.queue_delete(name, if_unused=True)  # type: ignore[misc]
        for exchange, pattern in PATTERNS.items():
            tried[f"bind {queue} to {exchange}"] = binding(name, named(exchange), pattern)
            tried[f"unbind {queue} from {exchange}"] = unbinding(name, named(exchange))
    for exchange in EXCHANGES:
        name = named(exchange)
        tried[f"declare exchange {exchange}"] = lambda ch, name=name: ch.exchange_declare(name, "topic", durable=True)  # type: ignore[misc]
        tried[f"delete exchange {exchange}"] = lambda ch, name=name: ch.exchange_delete(name, if_unused=True)  # type: ignore[misc]
    return tried


def publishing(exchange: str, key: str) -> Attempt:
    """Return what publishes something that nobody takes for ours."""
    properties = pika.BasicProperties(type="attempt")
    return lambda channel: channel.basic_publish(exchange, key, b"attempt", properties)


def binding(queue: str, exchange: str, pattern: str) -> Attempt:
    """Return what binds, and undoes it: the dead would be commands, and dead again, for ever."""

    def bind(channel: BlockingChannel) -> None:
        channel.queue_bind(queue, exchange, pattern)
        if (queue, exchange, pattern) not in BOUND:
            channel.queue_unbind(queue, exchange, pattern)

    return bind


def unbinding(queue: str, exchange: str) -> Attempt:
    """Return what unbinds where nothing is bound."""
    return lambda channel: channel.queue_unbind(queue, exchange, UNUSED)


def own_app(app: str) -> set[str]:
    """What the user of an app can do."""
    queue = f"instructions.{app}"
    keys = [key for key in KEYS["changes"] if key.startswith(f"{app}.")]
    return {*(f"publish changes {key}" for key in keys), *(f"{verb} {queue}" for verb in ("get", "consume", "purge"))}


def reading(*queues: str) -> set[str]:
    """What read on these queues allows."""
    return {f"{verb} {queue}" for verb in ("get", "consume", "purge") for queue in queues}


def saying(*exchanges: str) -> set[str]:
    """What it means to be allowed to publish anything there."""
    return {f"publish {exchange} {key}" for exchange in exchanges for key in KEYS[exchange]}


ANYWHERE = {f"publish straight to {queue}" for queue in (*QUEUES, FOREIGN)}
"""What the right to the default exchange means."""

PREPARING = {
    *(f"{verb} {queue}" for verb in ("declare", "delete") for queue in QUEUES),
    *(f"{verb} exchange {exchange}" for verb in ("declare", "delete") for exchange in EXCHANGES),
    *(f"bind {queue} to {exchange}" for queue in QUEUES for exchange in EXCHANGES),
    *(f"unbind {queue} from {exchange}" for queue in QUEUES for exchange in ("changes", "instructions")),
}

ALLOWED = {
    "app.bc": own_app("bc"),
    "app.sales": own_app("sales"),
    "worker": reading("changes.bc", "changes.sales", "commands") | saying("instructions", "errors", "dead") | ANYWHERE,
    "ops": reading(*QUEUES) | saying("commands") | {"declare a private queue"},
    "replay": reading("dead") | ANYWHERE,
    "setup": reading(*QUEUES) | PREPARING,
}
"""All that each user can do of everything that is tried; written by hand, as `docs/security.md` tells it."""


class Trying:
    """One user, who tries one thing after the other."""

    def __init__(self, secured: Secured, user: str) -> None:
        self._secured, self._user = secured, user
        self._connection = signed_in(secured, user)

    def may(self, attempt: Attempt) -> bool:
        """Say whether RabbitMQ lets the user do it; that it then fails for another reason does not count."""
        if not self._connection.is_open:
            self._connection = signed_in(self._secured, self._user)
        channel = self._connection.channel()
        channel.confirm_delivery()
        try:
            attempt(channel)
            channel.basic_qos()  # its answer comes after a refusal's
            channel.close()
        except ChannelClosedByBroker as fault:
            return bool(fault.reply_code != ACCESS_REFUSED)
        except (ConnectionClosedByBroker, NackError):
            return True
        return True

    def close(self) -> None:
        """Leave."""
        if self._connection.is_open:
            self._connection.close()


@pytest.fixture(scope="module")
def foreign(secured: Secured) -> None:
    """Somebody else's queue in our virtual host."""
    queue = {"name": FOREIGN, "vhost": VHOST, "durable": True, "auto_delete": False, "arguments": {}}
    printed = json.dumps({"vhosts": [{"name": VHOST}], "queues": [queue], "topic_permissions": []})
    import_definitions(secured.rabbit, secured.folder / "foreign.json", printed)
    wait_for(
        lambda: FOREIGN in secured.rabbit.ctl("list_queues", "-p", VHOST, "name"), lambda: None, "the foreign queue"
    )


@pytest.mark.usefixtures("foreign")
@pytest.mark.parametrize("user", USERS)
def test_a_user_can_do_what_its_job_needs_and_nothing_else(secured: Secured, user: str) -> None:
    """Else whoever gets hold of one password speaks for other apps, reads what they are told, or takes a queue away."""
    trying = Trying(secured, user)
    try:
        can = {what for what, attempt in attempts().items() if trying.may(attempt)}
    finally:
        trying.close()

    assert can == ALLOWED[user]


@pytest.mark.parametrize("user", USERS)
def test_nobody_speaks_in_the_name_of_another_user(secured: Secured, user: str) -> None:
    """Else the audit could say that a command was ordered by somebody who slept."""
    what = next((one for one in ALLOWED[user] if one.startswith("publish ")), None)
    exchange, key = what.split(" ")[1:] if what and " to " not in what else ("commands", "retry")
    properties = pika.BasicProperties(user_id=f"{NAMESPACE}.somebody")
    with channel_of(secured, user) as channel, pytest.raises(ChannelClosedByBroker):
        channel.basic_publish(named(exchange), key, b"attempt", properties)


@pytest.mark.parametrize("password", ["", "guest", "wrong"])
def test_a_user_is_let_in_by_its_password_only(secured: Secured, password: str) -> None:
    """Else the users that the definitions make would stand open."""
    with pytest.raises(AMQPError):
        signed_in(secured, "worker", password)


def test_a_user_that_was_imported_has_no_password(secured: Secured) -> None:
    """Else between the import and the first password anybody could sign in."""
    one = {"name": f"{NAMESPACE}.fresh", "password_hash": "", "tags": []}
    row = {"user": one["name"], "vhost": VHOST, "configure": "", "write": "", "read": ""}
    topic = {"user": one["name"], "vhost": VHOST, "exchange": named("changes"), "write": "a", "read": "a"}
    vhosts = [{"name": VHOST}]
    printed = json.dumps({"vhosts": vhosts, "users": [one], "permissions": [row], "topic_permissions": [topic]})
    import_definitions(secured.rabbit, secured.folder / "fresh.json", printed)
    for password in ("", one["name"]):
        with pytest.raises(AMQPError):
            signed_in(secured, "fresh", str(password))
