"""Orders a command and waits for its one answer: the way of every command that changes something."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from typing import Any

import msgspec

from messages.codec import decode_answer, encode_command
from messages.commands import Answer, Command, Done, Order, Refused
from messages.orders import ORDERS
from messages.transport.ports import Broker, BrokerUnavailableError, Consumer, PublishOutcome
from messages.values import Value
from ops.printing import say
from ops.wiring import ExitCode, Session
from workers.durations import format_duration

PUBLISH_WITHIN = timedelta(seconds=10)
"""How long the broker may take to confirm a command."""


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """How a command is ordered.

    Attributes:
        reason: For the audit.
        wait: For the answer, or not; ``False`` publishes and leaves.
        timeout: How long; the setting's where it is ``None``.
    """

    reason: str | None = None
    wait: bool = True
    timeout: timedelta | None = None


class NoAnswerError(Exception):
    """Nobody answered: the command may still be carried out, and its id says so to whoever looks."""


def order(session: Session, what: Order, terms: Terms, told: Callable[[dict[str, Value]], str]) -> ExitCode:
    """Order ``what``, print the answer, and return the exit code.

    Args:
        session: Of this run.
        what: Is ordered.
        terms: How.
        told: Makes a sentence of the result of a command that was done.

    Raises:
        BrokerUnavailableError: the broker is away, or the command did not get there; nothing was ordered.
    """
    name = next(name for name, form in ORDERS.items() if isinstance(what, form.order))
    command = Command(id=session.new_id(), source=session.source, name=name, order=what, reason=terms.reason)
    if not terms.wait:
        _publish(session, command)
        return _tell_sent(session, command)
    timeout = terms.timeout or session.settings.command_timeout
    try:
        answer = _ask(session, command, timeout)
    except NoAnswerError as error:
        return _tell_no_answer(session, command, str(error))
    return _tell(session, command, answer, told)


def _ask(session: Session, command: Command, timeout: timedelta) -> Answer:
    queue, consumer = session.broker().reply_consumer()
    with closing(consumer):
        command = msgspec.structs.replace(command, reply_to=queue)
        _publish(session, command)
        with session.err.status(f"{command.name}: waiting for the answer"):
            return _await_answer(consumer, command, timeout)


def _publish(session: Session, command: Command) -> None:
    publication = encode_command(command, session.settings.namespace, session.now())
    broker: Broker = session.broker()
    with closing(broker.publisher()) as publisher:
        [outcome] = publisher.publish([publication], PUBLISH_WITHIN)
    if outcome is PublishOutcome.UNKNOWN:
        raise BrokerUnavailableError(
            f"the broker did not confirm the command {command.id}; it is not known whether it got there: "
            "look with `recouple tap commands`, and order it again if need be"
        )
    if outcome is not PublishOutcome.CONFIRMED:
        why = "no queue takes commands; run `recouple setup`" if outcome is PublishOutcome.RETURNED else "it is full"
        raise BrokerUnavailableError(f"the broker did not take the command, nothing was ordered: {why}")


def _await_answer(consumer: Consumer, command: Command, timeout: timedelta) -> Answer:
    deadline_s = time.monotonic() + timeout.total_seconds()
    while (left_s := deadline_s - time.monotonic()) > 0:
        try:
            deliveries = consumer.receive(1, timedelta(seconds=left_s))
        except BrokerUnavailableError as error:
            raise NoAnswerError(f"the broker was lost while we waited: {error}") from error
        for delivery in deliveries:
            if delivery.properties.correlation_id == command.id:
                return decode_answer(delivery.body)
    raise NoAnswerError(
        f"no answer within {format_duration(timeout)}: is a worker with the role commands running? (`recouple work`)"
    )


def _tell(session: Session, command: Command, answer: Answer, told: Callable[[dict[str, Value]], str]) -> ExitCode:
    if session.as_json:
        session.write_json({"id": command.id, **msgspec.structs.asdict(answer)})
    elif isinstance(answer, Done):
        say(session.out, told(answer.result))
    if isinstance(answer, Refused):
        if not session.as_json:
            say(session.err, f"Refused ({answer.code}): {answer.detail}", "red")
        return ExitCode.REFUSED
    return ExitCode.DONE


def _tell_sent(session: Session, command: Command) -> ExitCode:
    if session.as_json:
        session.write_json(_without_answer(command))
    else:
        say(session.out, f"Ordered: {command.name}, as {command.id}. A worker carries it out.")
    return ExitCode.DONE


def _tell_no_answer(session: Session, command: Command, why: str) -> ExitCode:
    say(session.err, f"The command {command.id} was sent and may still be carried out; {why}", "yellow")
    if session.as_json:
        session.write_json({**_without_answer(command), "error": why})
    return ExitCode.NO_ANSWER


def _without_answer(command: Command) -> dict[str, Any]:
    return {"id": command.id, "command": command.name, "result": None}
