"""Who may do what on RabbitMQ: a user for each app and each of our own jobs, and no right that its job does not need.

RabbitMQ asks for *configure* to declare and delete, for *write* on an exchange to publish and on a queue to bind it,
for *read* on a queue to consume and on an exchange to bind to it. Exchanges and queues of one name share one right, and
from 4.3.1 on whoever looks whether one exists needs any of the three. Hence topic permissions for every exchange that a
user can touch: they say which routing keys it may publish there (``write``) and under which it may bind (``read``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from messages.topology import (
    changes_exchange,
    changes_queue,
    commands_exchange,
    commands_queue,
    dead_exchange,
    dead_queue,
    errors_exchange,
    errors_queue,
    instructions_exchange,
    instructions_queue,
)

NOTHING = "(?!)"
"""A routing key that matches this does not exist; an empty pattern would match the empty key, which ``#`` takes."""

_APP = "[a-z0-9_-]+"
_DEFAULT_EXCHANGE = "amq.default"
"""What RabbitMQ calls the exchange without a name where it asks for rights."""


class TopicRight(msgspec.Struct, frozen=True, kw_only=True):
    """What a user may do at one topic exchange.

    Attributes:
        write: Pattern of the routing keys that it may publish.
        read: Pattern of the routing keys under which it may bind a queue.
    """

    exchange: str
    write: str = NOTHING
    read: str = NOTHING


class BrokerUser(msgspec.Struct, frozen=True, kw_only=True):
    """A user of the broker; each pattern is matched against names of exchanges and queues, empty allows none.

    Attributes:
        configure: What it may declare and delete.
        write: Where it may publish, and which queues it may bind.
        read: What it may consume, and to which exchanges it may bind.
        topics: For every exchange that ``write`` or ``read`` matches; without one RabbitMQ lets any routing key pass.
    """

    name: str
    configure: str = ""
    write: str = ""
    read: str = ""
    topics: tuple[TopicRight, ...] = ()


def app_user(ns: str, app: str) -> str:
    """The name of the user as which ``app`` signs in. Apps have no dots: two namespaces never share a user."""
    return f"{ns}.app.{app}"


def own_users(ns: str) -> tuple[BrokerUser, ...]:
    """Return the users of Recouple itself: for setup, workers, operators, and for sending dead messages back."""
    return (_setup(ns), _worker(ns), _ops(ns), _replay(ns))


def app_users(ns: str, apps: Iterable[str]) -> tuple[BrokerUser, ...]:
    """Return a user for each app: it publishes under its own name, and reads what it is instructed."""
    return tuple(_app(ns, app) for app in apps)


def _app(ns: str, app: str) -> BrokerUser:
    own = f"^{re.escape(app)}\\."
    return BrokerUser(
        name=app_user(ns, app),
        write=_exactly(changes_exchange(ns)),
        read=_exactly(instructions_queue(ns, app)),
        topics=(TopicRight(exchange=changes_exchange(ns), write=own),),
    )


def _worker(ns: str) -> BrokerUser:
    """Takes changes and commands; instructs, tells errors, buries, and answers through the default exchange.

    It looks whether everything is there: for that alone it has read on the exchange of changes, and write on the queues
    of instructions, which it could bind were there a key under which it may.
    """
    says = (instructions_exchange(ns), errors_exchange(ns), dead_exchange(ns))
    return BrokerUser(
        name=f"{ns}.worker",
        write=_exactly(*says, _DEFAULT_EXCHANGE, families=[instructions_queue(ns, "")]),
        read=_exactly(changes_exchange(ns), commands_queue(ns), families=[changes_queue(ns, "")]),
        topics=(
            *(TopicRight(exchange=name, write=".*") for name in says),
            *(TopicRight(exchange=name) for name in (changes_exchange(ns), commands_exchange(ns))),
        ),
    )


def _ops(ns: str) -> BrokerUser:
    """Orders, has a queue of its own for the answer, and looks into every queue.

    AMQP knows no look: whoever may look may also take away.
    """
    replies = ("amq\\.gen-.*", f"{re.escape(ns)}\\.replies\\..*")
    return BrokerUser(
        name=f"{ns}.ops",
        configure=_any_of(*replies),
        write=_exactly(commands_exchange(ns)),
        read=_any_of(*replies, *_everything(ns)),
        topics=tuple(
            TopicRight(exchange=name, write=".*" if name == commands_exchange(ns) else NOTHING)
            for name in _exchanges(ns)
        ),
    )


def _replay(ns: str) -> BrokerUser:
    """Sends dead messages back to their queues; through the default exchange it can write into any queue."""
    return BrokerUser(
        name=f"{ns}.replay",
        write=_exactly(_DEFAULT_EXCHANGE),
        read=_exactly(dead_queue(ns)),
        topics=(TopicRight(exchange=dead_exchange(ns)),),
    )


def _setup(ns: str) -> BrokerUser:
    """Declares and binds, and publishes nothing.

    A queue that dead-letters asks its declarer for read on the queue itself, and for write on the exchange of the dead.
    """
    queues = (errors_queue(ns), commands_queue(ns), dead_queue(ns))
    families = [changes_queue(ns, ""), instructions_queue(ns, "")]
    per_app = (changes_exchange(ns), instructions_exchange(ns))
    return BrokerUser(
        name=f"{ns}.setup",
        configure=_any_of(*_everything(ns)),
        write=_exactly(*queues, families=families),
        read=_any_of(*_everything(ns)),
        topics=tuple(
            TopicRight(exchange=name, read=f"^{_APP}\\.#$" if name in per_app else "^#$") for name in _exchanges(ns)
        ),
    )


def _exchanges(ns: str) -> tuple[str, ...]:
    named = (changes_exchange, instructions_exchange, errors_exchange, commands_exchange, dead_exchange)
    return tuple(one(ns) for one in named)


def _everything(ns: str) -> tuple[str, ...]:
    """Patterns of all exchanges and queues; the queues of errors, commands and the dead bear their exchange's name."""
    families = (changes_queue(ns, ""), instructions_queue(ns, ""))
    return (*map(re.escape, _exchanges(ns)), *(re.escape(prefix) + _APP for prefix in families))


def _exactly(*names: str, families: Iterable[str] = ()) -> str:
    """Return the pattern of these names, and of each of ``families`` with an app after it."""
    return _any_of(*map(re.escape, names), *(re.escape(prefix) + _APP for prefix in families))


def _any_of(*patterns: str) -> str:
    return f"^({'|'.join(patterns)})$"
