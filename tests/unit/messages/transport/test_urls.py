"""Broker URLs: what they mean, and that no password is ever shown."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from messages.transport.amqp_connection import AmqpTimeouts
from messages.transport.connect import connect
from messages.transport.embedded import EmbeddedBroker
from messages.transport.pika_parameters import pika_parameters
from messages.transport.rabbitmq import RabbitBroker
from messages.transport.urls import AmqpUrl, BrokerUrlError, EmbeddedUrl, parse_broker_url


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("amqp://guest:guest@127.0.0.1:5672//", ("127.0.0.1", 5672, "guest", "guest", "/")),
        ("amqp://guest:guest@127.0.0.1:5672/%2F", ("127.0.0.1", 5672, "guest", "guest", "/")),
        ("amqp://guest:guest@127.0.0.1:5672/", ("127.0.0.1", 5672, "guest", "guest", "/")),
        ("amqp://mq", ("mq", 5672, "guest", "guest", "/")),
        ("amqp://u:p@mq/prod", ("mq", 5672, "u", "p", "prod")),
        ("amqp://u:p@mq//prod", ("mq", 5672, "u", "p", "/prod")),
        ("amqp://u%40x:p%2F%3A%40@mq:1/a%2Fb", ("mq", 1, "u@x", "p/:@", "a/b")),
        ("amqp://u:p@[::1]:5673/v", ("::1", 5673, "u", "p", "v")),
        ("amqps://u:p@mq/v", ("mq", 5671, "u", "p", "v")),
    ],
)
def test_amqp_urls(url: str, parts: tuple[str, int, str, str, str]) -> None:
    """If the two grammars of the virtual host were mixed up, consumers and publishers would meet in different ones."""
    found = parse_broker_url(url)
    assert isinstance(found, AmqpUrl)
    assert (found.host, found.port, found.user, found.password, found.virtual_host) == parts
    assert isinstance(connect(url), RabbitBroker)


def test_tls_is_verified_on_both_libraries(tmp_path: Path) -> None:
    """If one of the two connections took any certificate, credentials would go to whoever answers."""
    found = parse_broker_url("amqps://u:p@mq/v")
    assert isinstance(found, AmqpUrl)
    options = pika_parameters(found, AmqpTimeouts()).ssl_options
    assert options.context.check_hostname
    assert options.server_hostname == "mq"
    file = tmp_path / "ca.pem"
    named = parse_broker_url(f"amqps://u:p@mq/v?cacertfile={file}")
    assert isinstance(named, AmqpUrl)
    assert named.cacertfile == str(file)


@pytest.mark.parametrize(
    ("url", "path", "lease"),
    [
        ("embedded:///.recouple/broker.db", ".recouple/broker.db", None),
        ("embedded:////var/lib/broker.db", "/var/lib/broker.db", None),
        ("embedded:///with%20space.db?lease_s=2.5", "with space.db", timedelta(seconds=2.5)),
    ],
)
def test_embedded_urls(url: str, path: str, lease: timedelta | None) -> None:
    """If relative and absolute paths were confused, two processes would each have a broker of their own."""
    assert parse_broker_url(url) == EmbeddedUrl(path=Path(path), shown=url, lease=lease)
    assert isinstance(connect(url), EmbeddedBroker)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "redis://u:secret@mq/0",
        "amqp:/u:secret@mq",
        "amqp://",
        "amqp://u:secret@",
        "amqp://u:secret@mq:port/v",
        "amqp://u:secret/with@slash:5672/v",
        "amqp://u:secret#hash@mq/v",
        "amqp://u:secret@mq/v?heartbeat=5",
        "amqp://u:secret@mq/v?cacertfile=ca.pem",
        f"amqp://u:secret@{'long' * 20}/v",
        "amqp://u:secret\uff20mq/v",
        "embedded://host/broker.db",
        "embedded://[/",
        "embedded://u:secret@[/x",
        "embedded:///",
        "embedded:///folder/",
        "embedded:///broker.db?lease_s=soon",
        "embedded:///broker.db?sync=off",
    ],
)
def test_wrong_urls_are_a_sentence_without_the_password(url: str) -> None:
    """If a wrong URL were taken or shown as it is, a worker would run elsewhere, or a password stand in a log."""
    with pytest.raises(BrokerUrlError, match="broker URL") as raised:
        parse_broker_url(url)
    words = [str(raised.value)]
    words += [str(raised.value.__cause__)] if raised.value.__cause__ else []
    assert not any("secret" in one for one in words)
