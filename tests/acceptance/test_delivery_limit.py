"""A queue of RabbitMQ with a small delivery limit: the broker puts messages to dead by itself, and nothing is lost."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from typer.testing import CliRunner, Result

from messages.topology import changes_queue, dead_queue, topology
from messages.transport.connect import connect
from messages.transport.ports import Broker, Delivery, Properties, Publication, PublishOutcome
from ops.cli import app
from tests.acceptance.clients import wait_for

LIMIT = 2
BODY = b'{"id": "e1", "subject": "customer/1"}'
MAPPING = '[apps.bc]\n[apps.sales]\n[[mappings]]\nname = "customer"\nleft = "bc/customer"\nright = "sales/account"\n'
MAPPING += '[[mappings.fields]]\nleft = "name"\nright = "name"\n'


class Installation:
    """An installation whose queue of ``bc`` somebody gave a small limit, as a policy does, too."""

    def __init__(self, url: str, namespace: str, folder: Path) -> None:
        config = folder / "recouple.toml"
        config.write_text(MAPPING, encoding="utf-8")
        self.broker: Broker = connect(url)
        self.queue, self.dead = changes_queue(namespace, "bc"), dead_queue(namespace)
        declared = topology(namespace, ["bc", "sales"])
        queues = [
            replace(one, arguments={**one.arguments, "x-delivery-limit": LIMIT}) if one.name == self.queue else one
            for one in declared.queues
        ]
        self.broker.declare(replace(declared, queues=tuple(queues)))
        self.environ = {
            "RECOUPLE_STORE_URL": f"sqlite:///{folder / 'store.db'}",
            "RECOUPLE_BROKER_URL": url,
            "RECOUPLE_CONFIG": str(config),
            "RECOUPLE_NAMESPACE": namespace,
            "NO_COLOR": "1",
        }

    def run(self, *arguments: str) -> Result:
        """Run ``recouple``."""
        return CliRunner().invoke(app, list(arguments), env=self.environ, catch_exceptions=False)

    def json(self, *arguments: str) -> Any:
        """Run it, and return what it says."""
        result = self.run(*arguments, "--json")
        assert result.exit_code == 0, result.output
        return msgspec.json.decode(result.stdout)

    def publish(self) -> None:
        """Publish one message for the queue."""
        publisher = self.broker.publisher()
        properties = Properties(message_id="e1", headers={"kept": "yes"})
        message = Publication(exchange="", routing_key=self.queue, body=BODY, properties=properties)
        assert publisher.publish([message], timedelta(seconds=10)) == [PublishOutcome.CONFIRMED]
        publisher.close()

    def receive_and_die(self) -> Delivery:
        """Receive the message as a worker that does not come to acknowledging it."""
        consumer, got = self.broker.consumer([self.queue], prefetch=1), list[Delivery]()
        wait_for(lambda: bool(got), lambda: got.extend(consumer.receive(1, timedelta(seconds=0.1))), "the message")
        consumer.close()
        return got[0]


@pytest.fixture
def installation(amqp_url: str, namespace: str, tmp_path: Path) -> Installation:
    """One on RabbitMQ."""
    return Installation(amqp_url, namespace, tmp_path)


def test_what_the_broker_takes_away_lies_in_the_dead_queue_and_goes_back(installation: Installation) -> None:
    """Else a policy that somebody set would lose messages, or leave them where no command finds them."""
    installation.publish()
    attempts = [installation.receive_and_die().attempts for _ in range(LIMIT + 1)]
    wait_for(lambda: installation.broker.depth(installation.dead) == 1, lambda: None, "the dead letter")

    assert attempts == [0, 1, 2]
    assert installation.broker.depth(installation.queue) == 0
    (row,) = installation.json("dead", "show", "--reason", "delivery_limit")
    assert (row["reason"], row["queue"], row["detail"], row["at"]) == ("delivery_limit", installation.queue, None, None)
    assert row["message"]["body"] == msgspec.json.decode(BODY)
    assert "delivery_limit" in installation.run("dead").stdout
    assert installation.json("dead", "replay", "--reason", "delivery_limit") == {"replayed": 1, "failed": []}
    again = installation.receive_and_die()
    assert (again.body, again.attempts, again.properties.headers) == (BODY, 0, {"kept": "yes"})


def test_a_queue_with_another_limit_is_noticed(installation: Installation) -> None:
    """Else `recouple setup` would say that all is well with a queue that takes messages away."""
    result = installation.run("setup")

    assert result.exit_code == 1
    assert "x-delivery-limit" in result.output
