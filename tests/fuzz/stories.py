"""What happens in a world, step by step, and what must hold after each."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Final

from sqlalchemy import Connection, select

from messages import topology
from messages.codec import (
    AppMessage,
    MalformedMessageError,
    decode_answer,
    decode_app_message,
    decode_error,
    decode_instruction,
)
from messages.commands import Refused
from messages.transport.limits import travels
from messages.transport.ports import Delivery, Properties, Publication
from messages.values import encode_json
from store.documents import Document
from store.tables import handled as handled_table
from store.tables import outbox as outbox_table
from tests.contract.workers.by_hand import NS, take_due
from tests.fuzz.sentinels import SENTINEL
from tests.fuzz.worlds import World
from workers.changes import handle_changes
from workers.commands import handle_command
from workers.log_events import LOG_EVENTS
from workers.log_lines import Line
from workers.timers import do_due_work

MAX_TURNS: Final = 60
"""In which all that is due is done, jobs included."""

_MANY: Final = 1000
_REPLIES: Final = f"{NS}.replies.fuzz"
_PROPERTIES = Document(Properties)
_SECRET_MEMBERS: Final = ("fields", "values", "detail", "reason", "modified_by")
"""Of ``data``: what may not be told in a log line, nor in a refusal."""


class Story:
    """One course of events in a world.

    Attributes:
        taken: Nothing went to dead, and nothing was refused.
    """

    def __init__(self, conn: Connection, world: World) -> None:
        self.taken = True
        self._conn, self._context, self._scene = conn, world.hands.context, world.scene
        self._now = world.hands.now
        self._seen = 0
        self._hidden = True
        self._instruction = "none"
        self._look()

    def hear(self, said: list[tuple[str, bytes]]) -> None:
        """Apps say this, in one batch; then it is delivered again, whole."""
        deliveries = [self._delivery(topology.changes_queue(NS, app), body) for app, body in said]
        self._check_lines(handle_changes(self._conn, self._context, deliveries, self._now))
        published = self._look()
        dead = [one.body for one in published if one.exchange == topology.dead_exchange(NS)]
        for delivery in deliveries:
            message = self._message(delivery)
            assert delivery.body in dead or (message is not None and self._is_handled(message, delivery.queue))
        self.taken &= not dead
        self._check_lines(handle_changes(self._conn, self._context, deliveries, self._now))
        sent = [one for one in self._look() if one.exchange != topology.dead_exchange(NS)]
        assert not sent, f"a repetition is not without effect: {sent}"

    def order(self, body: bytes) -> None:
        """An operator orders this; then the command is delivered again."""
        delivery = self._delivery(topology.commands_queue(NS), body, _REPLIES)
        answer = self._answer(delivery)
        if answer is None:
            self.taken = False
            return
        told = decode_answer(answer.body)
        assert answer.properties.correlation_id == json.loads(delivery.body)["id"]
        if isinstance(told, Refused):
            self.taken = False
            assert not (self._hidden and SENTINEL in told.detail), f"told: {told.detail}"
        again = self._answer(delivery)
        assert again is not None
        assert again.body == answer.body, "a repetition has another answer"

    def wait(self, span: timedelta) -> None:
        """Time passes, and what is due is done."""
        self._now += span
        for _ in range(MAX_TURNS):
            if not self._do_due_work():
                break
        self._look()

    def _answer(self, delivery: Delivery) -> Publication | None:
        """Return the one answer to a command, of which a job may be the author; ``None`` where it went to dead."""
        self._check_lines(handle_command(self._conn, self._context, delivery, self._now))
        published = self._look()
        if any(one.exchange == topology.dead_exchange(NS) and one.body == delivery.body for one in published):
            return None
        for _ in range(MAX_TURNS):
            if any(one.exchange == "" for one in published) or not self._do_due_work():
                break
            published = self._look()
        (answer,) = (one for one in published if one.exchange == "")
        assert answer.routing_key == _REPLIES
        return answer

    def _do_due_work(self) -> bool:
        taken = take_due(self._conn, _MANY, self._now)
        lines = do_due_work(self._conn, self._context, taken, self._now) if taken else []
        self._check_lines(lines)
        return bool(taken)

    def _delivery(self, queue: str, body: bytes, reply_to: str | None = None) -> Delivery:
        numbers = {b'"$C"': self._scene.coupling, b'"$E"': self._scene.error}
        for name, number in numbers.items():
            body = body.replace(name, b"%d" % (number or 1))
        body = body.replace(b"$I", self._instruction.encode())
        self._hidden &= _hides(body) and SENTINEL not in queue
        return Delivery(queue=queue, body=body, properties=Properties(reply_to=reply_to), tag=1)

    def _look(self) -> list[Publication]:
        """Return what was put into the outbox since the last look; all of it can be published and read."""
        rows = self._conn.execute(
            select(outbox_table).where(outbox_table.c.id > self._seen).order_by(outbox_table.c.id)
        ).all()
        found = [
            Publication(
                exchange=row.exchange,
                routing_key=row.routing_key,
                body=row.body,
                properties=_PROPERTIES.read(row.properties),
            )
            for row in rows
        ]
        self._seen = max([self._seen, *(row.id for row in rows)])
        for one in found:
            self._check_published(one)
        return found

    def _check_published(self, one: Publication) -> None:
        assert travels(one)
        if one.exchange == topology.instructions_exchange(NS):
            self._instruction = decode_instruction(one.body, one.routing_key.partition(".")[0]).id
        elif one.exchange == topology.errors_exchange(NS):
            decode_error(one.body)
        elif one.exchange == "":
            decode_answer(one.body)

    def _message(self, delivery: Delivery) -> AppMessage | None:
        app = topology.app_of_changes_queue(NS, delivery.queue) or ""
        try:
            return decode_app_message(delivery.body, delivery.properties, app, self._context.limits)
        except MalformedMessageError:
            return None

    def _is_handled(self, message: AppMessage, queue: str) -> bool:
        table, app = handled_table, topology.app_of_changes_queue(NS, queue)
        query = select(table.c.id).where(table.c.app == app, table.c.id == message.id)
        return self._conn.execute(query).first() is not None

    def _check_lines(self, lines: list[Line]) -> None:
        for line in lines:
            assert line.event in LOG_EVENTS
            written = encode_json(line.fields).decode()
            assert not (self._hidden and SENTINEL in written), f"logged: {line}"


def _hides(body: bytes) -> bool:
    """Say whether the sentinel stands in ``body`` only where nobody may tell it."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return True
    data = document.get("data") if isinstance(document, dict) else None
    if isinstance(data, dict):
        secret = {name: _names(data.pop(name, None)) for name in _SECRET_MEMBERS}
        return SENTINEL not in json.dumps([document, secret])
    return SENTINEL not in json.dumps(document)


def _names(value: object) -> object:
    """Return the names in a value: those of fields are told."""
    if isinstance(value, dict):
        return [[name, _names(one)] for name, one in value.items()]
    return [_names(one) for one in value] if isinstance(value, list) else None
