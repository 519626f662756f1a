"""Names of exchanges, queues and routing keys, and the arguments of each: pure functions of the namespace."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import quote

import msgspec

DEFAULT_NAMESPACE = "recouple"
"""The prefix of every name where ``RECOUPLE_NAMESPACE`` says nothing else."""

MAX_ID_BYTES = 200
"""Of ``id`` and ``source``; AMQP 0-9-1 allows 255 bytes to the properties that repeat them."""

MAX_KEY_BYTES = 1024
"""Of a record's key; the key is part of an index, and PostgreSQL takes at most 2704 bytes in a row of one."""

MAX_TABLE_BYTES = 150
"""Of a table once it is percent-encoded; AMQP 0-9-1 allows 255 bytes to a whole routing key."""

DELIVERY_LIMIT = 1_000_000
"""As good as none: RabbitMQ 4 drops at 20 unless told otherwise, and ``-1`` drops at once on 3.10."""

ERRORS_MAX_LENGTH = 100_000
"""How many messages the error feed keeps; the oldest go first, the store has them all."""


class UnroutableTableError(ValueError):
    """The name of a table is empty or too long to be part of a routing key."""


class ExchangeSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A durable topic exchange."""

    name: str


class QueueSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A durable queue, bound to one exchange under one topic pattern."""

    name: str
    exchange: str
    pattern: str
    arguments: Mapping[str, Any]


class Topology(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that ``recouple setup`` declares."""

    exchanges: tuple[ExchangeSpec, ...]
    queues: tuple[QueueSpec, ...]


def changes_exchange(ns: str) -> str:
    """Where apps publish changes and outcomes."""
    return f"{ns}.changes"


def instructions_exchange(ns: str) -> str:
    """Where the relay publishes instructions."""
    return f"{ns}.instructions"


def errors_exchange(ns: str) -> str:
    """Where the relay publishes errors."""
    return f"{ns}.errors"


def commands_exchange(ns: str) -> str:
    """Where operators and programs publish commands."""
    return f"{ns}.commands"


def dead_exchange(ns: str) -> str:
    """Where workers and the broker put what cannot be taken."""
    return f"{ns}.dead"


def changes_queue(ns: str, app: str) -> str:
    """The queue of the changes and outcomes of ``app``."""
    return f"{ns}.changes.{app}"


def instructions_queue(ns: str, app: str) -> str:
    """The queue of the instructions to ``app``."""
    return f"{ns}.instructions.{app}"


def errors_queue(ns: str) -> str:
    """The queue of the error feed."""
    return f"{ns}.errors"


def commands_queue(ns: str) -> str:
    """The queue of commands."""
    return f"{ns}.commands"


def dead_queue(ns: str) -> str:
    """The queue of what could not be taken."""
    return f"{ns}.dead"


def app_of_changes_queue(ns: str, queue: str) -> str | None:
    """Return the app whose changes wait in ``queue``, ``None`` where it is no queue of changes."""
    prefix = changes_queue(ns, "")
    return queue[len(prefix) :] or None if queue.startswith(prefix) else None


@lru_cache(maxsize=1024)
def table_word(table: str) -> str:
    """Return ``table`` as one word of a routing key: all but ``[A-Za-z0-9_-]`` percent-encoded, byte for byte.

    Raises:
        UnroutableTableError: the table is empty, not Unicode, or longer than ``MAX_TABLE_BYTES`` once encoded.
    """
    try:
        word = quote(table, safe="").replace(".", "%2E").replace("~", "%7E")
    except UnicodeEncodeError as error:
        raise UnroutableTableError("the name of a table must be Unicode text") from error
    if not word:
        raise UnroutableTableError("the name of a table must not be empty")
    if len(word) > MAX_TABLE_BYTES:
        raise UnroutableTableError(
            f"the name of the table takes {len(word)} bytes in a routing key, at most {MAX_TABLE_BYTES} are possible: "
            "every character but letters, digits, _ and - counts three for each of its UTF-8 bytes"
        )
    return word


def change_key(app: str, table: str, operation: str) -> str:
    """Return the routing key of a change.

    Raises:
        UnroutableTableError: as ``table_word`` says.
    """
    return f"{app}.{table_word(table)}.{operation}"


def outcome_key(app: str) -> str:
    """Return the routing key of what ``app`` answers to instructions."""
    return f"{app}.outcome"


def instruction_key(app: str, table: str, action: str) -> str:
    """Return the routing key of an instruction.

    Raises:
        UnroutableTableError: as ``table_word`` says.
    """
    return f"{app}.{table_word(table)}.{action}"


def error_key(kind: str, mapping: str) -> str:
    """Return the routing key of an error message."""
    return f"{kind}.{mapping}"


_SERVER_NAMED = re.compile(r"amq\.gen-[A-Za-z0-9_-]{1,100}|amq\.rabbitmq\.reply-to(\.[!-~]{1,200})?")
_OWN_REPLIES = re.compile(r"[A-Za-z0-9._-]{1,100}")


def is_reply_queue(ns: str, name: str) -> bool:
    """Say whether an answer may go to ``name``: a server-named queue, direct reply-to, or ``<ns>.replies.*``."""
    prefix = f"{ns}.replies."
    if name.startswith(prefix):
        return _OWN_REPLIES.fullmatch(name, len(prefix)) is not None
    return _SERVER_NAMED.fullmatch(name) is not None


def topology(ns: str, apps: Iterable[str], errors_max_length: int = ERRORS_MAX_LENGTH) -> Topology:
    """Return everything that has to exist for ``apps`` under the namespace ``ns``, in the order of declaration."""
    names = list(apps)
    exchanges = (dead_exchange, changes_exchange, instructions_exchange, errors_exchange, commands_exchange)
    queues = [QueueSpec(name=dead_queue(ns), exchange=dead_exchange(ns), pattern="#", arguments=_KEEPS_ALL)]
    queues += [_work_queue(ns, changes_queue(ns, app), changes_exchange(ns), f"{app}.#") for app in names]
    queues += [_work_queue(ns, instructions_queue(ns, app), instructions_exchange(ns), f"{app}.#") for app in names]
    queues.append(_work_queue(ns, commands_queue(ns), commands_exchange(ns), "#"))
    feed = {**_QUORUM, "x-max-length": errors_max_length, "x-overflow": "drop-head"}
    queues.append(QueueSpec(name=errors_queue(ns), exchange=errors_exchange(ns), pattern="#", arguments=feed))
    return Topology(exchanges=tuple(ExchangeSpec(name=named(ns)) for named in exchanges), queues=tuple(queues))


_QUORUM: dict[str, Any] = {"x-queue-type": "quorum", "x-delivery-limit": DELIVERY_LIMIT}
_KEEPS_ALL: dict[str, Any] = {**_QUORUM, "x-overflow": "reject-publish"}


def _work_queue(ns: str, name: str, exchange: str, pattern: str) -> QueueSpec:
    """A queue that loses nothing: what it cannot deliver goes to dead, at least once."""
    arguments = {
        **_KEEPS_ALL,
        "x-dead-letter-exchange": dead_exchange(ns),
        "x-dead-letter-routing-key": name,
        "x-dead-letter-strategy": "at-least-once",
    }
    return QueueSpec(name=name, exchange=exchange, pattern=pattern, arguments=arguments)
