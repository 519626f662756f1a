"""What users of a secured installation do at the broker: plain pika, as an app is written by somebody else."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pika
from pika.adapters.blocking_connection import BlockingChannel

from tests.acceptance.secured_stage import NAMESPACE, VHOST, Secured
from tests.acceptance.wire import Message

QUEUES = ("changes.bc", "changes.sales", "instructions.bc", "instructions.sales", "errors", "commands", "dead")


def named(name: str) -> str:
    """Return the full name."""
    return f"{NAMESPACE}.{name}"


def signed_in(secured: Secured, user: str, password: str | None = None) -> pika.BlockingConnection:
    """Connect as this user, as an app written by somebody else does."""
    context = ssl.create_default_context(cafile=str(secured.papers.authority))
    context.load_cert_chain(secured.papers.client)
    parameters = pika.ConnectionParameters(
        "localhost",
        secured.rabbit.tls_port,
        VHOST,
        pika.PlainCredentials(f"{NAMESPACE}.{user}", secured.password if password is None else password),
        ssl_options=pika.SSLOptions(context, "localhost"),
    )
    return pika.BlockingConnection(parameters)


@contextmanager
def channel_of(secured: Secured, user: str) -> Iterator[BlockingChannel]:
    """Give a channel in confirm mode."""
    connection = signed_in(secured, user)
    try:
        channel = connection.channel()
        channel.confirm_delivery()
        yield channel
    finally:
        if connection.is_open:
            connection.close()


def publish(secured: Secured, app: str, *messages: Message, headers: dict[str, Any] | None = None) -> None:
    """Publish as an app, confirmed."""
    with channel_of(secured, app_user := f"app.{app}") as channel:
        for one in messages:
            properties = pika.BasicProperties(**one.properties, headers=headers, user_id=f"{NAMESPACE}.{app_user}")
            channel.basic_publish(named(one.exchange), one.routing_key, one.body, properties, mandatory=True)


def instruction(secured: Secured, app: str) -> dict[str, Any]:
    """Take the one instruction that waits for an app, as this app."""
    with channel_of(secured, f"app.{app}") as channel:
        found = [channel.basic_get(named(f"instructions.{app}"), auto_ack=True) for _ in range(2)]
    assert found[1] == (None, None, None)
    event: dict[str, Any] = json.loads(found[0][2])
    return event


def depth(secured: Secured, queue: str) -> int:
    """How many messages wait."""
    with channel_of(secured, "ops") as channel:
        return int(channel.queue_declare(named(queue), passive=True).method.message_count)
