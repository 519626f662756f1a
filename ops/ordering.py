"""Orders a command and waits for its one answer: the way of every command that changes something."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from datetime import timedelta
from typing import TypeAlias

import msgspec

from messages.codec import decode_answer, encode_command
from messages.commands import Answer, Command, Order
from messages.transport.ports import Broker, BrokerUnavailableError, Consumer, PublishOutcome
from ops.answers import Told, command_name, tell_answer, tell_no_answer, tell_sent
from ops.wiring import ExitCode, Session
from workers.durations import format_duration

PUBLISH_WITHIN = timedelta(seconds=10)
"""How long the broker may take to confirm a command."""

LOOK_EVERY = timedelta(milliseconds=500)
"""How often the progress of a job is looked at while we wait for its answer."""


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """How a command is ordered.

    Attributes:
        reason: For the audit.
        wait: For the answer, or not; ``False`` publishes and leaves.
        timeout: How long; the setting's where it is ``None``.
        yes: Do not ask.
        dry_run: Order nothing, only say what would happen.
    """

    reason: str | None = None
    wait: bool = True
    timeout: timedelta | None = None
    yes: bool = False
    dry_run: bool = False


class NoAnswerError(Exception):
    """Nobody answered: the command may still be carried out, and its id says so to whoever looks."""


Look: TypeAlias = Callable[[], bool]
"""Looks how far a job is, and says whether it has got on since."""

Progress: TypeAlias = Callable[[Session, Command], AbstractContextManager[Look]]
"""Shows how far the job of a command is, for as long as we wait."""


def order(session: Session, what: Order, terms: Terms, told: Told, progress: Progress | None = None) -> ExitCode:
    """Order ``what``, print the answer, and return the exit code.

    Args:
        session: Of this run.
        what: Is ordered.
        terms: How.
        told: Makes a sentence of the result of a command that was done.
        progress: Of a command that becomes a job. While the job gets on we wait, unless ``terms`` say how long.

    Raises:
        BrokerUnavailableError: the broker is away, or the command did not get there; nothing was ordered.
    """
    name = command_name(what)
    command = Command(id=session.new_id(), source=session.source, name=name, order=what, reason=terms.reason)
    hint = "" if progress is None else "; `recouple jobs` shows how far it is"
    if not terms.wait:
        _publish(session, command)
        return tell_sent(session, command, hint)
    try:
        answer = _ask(session, command, terms.timeout, progress or _waiting)
    except NoAnswerError as error:
        return tell_no_answer(session, command, f"{error}{hint}")
    return tell_answer(session, command, answer, told)


def _ask(session: Session, command: Command, timeout: timedelta | None, progress: Progress) -> Answer:
    queue, consumer = session.broker().reply_consumer()
    with closing(consumer):
        command = msgspec.structs.replace(command, reply_to=queue)
        _publish(session, command)
        try:
            with progress(session, command) as look:
                if timeout is not None:
                    return await_answer(consumer, command, timeout, _looking_only(look))
                return await_answer(consumer, command, session.settings.command_timeout, look)
        except KeyboardInterrupt:
            raise NoAnswerError("nobody waits for its answer any more") from None


@contextmanager
def _waiting(session: Session, command: Command) -> Iterator[Look]:
    with session.err.status(f"{command.name}: waiting for the answer"):
        yield lambda: False


def _looking_only(look: Look) -> Look:
    def looked() -> bool:
        look()
        return False

    return looked


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


def await_answer(consumer: Consumer, command: Command, timeout: timedelta, look: Look) -> Answer:
    """Wait for the answer until ``timeout`` has passed, since then or since ``look`` last said that the job got on.

    Raises:
        NoAnswerError: there was none.
    """
    deadline_s = time.monotonic() + timeout.total_seconds()
    while (left_s := deadline_s - time.monotonic()) > 0:
        try:
            deliveries = consumer.receive(1, min(LOOK_EVERY, timedelta(seconds=left_s)))
        except BrokerUnavailableError as error:
            raise NoAnswerError(f"the broker was lost while we waited: {error}") from error
        for delivery in deliveries:
            if delivery.properties.correlation_id == command.id:
                return decode_answer(delivery.body)
        if look():
            deadline_s = time.monotonic() + timeout.total_seconds()
    raise NoAnswerError(
        f"no answer within {format_duration(timeout)}: are workers with the roles commands, timers and relay running? "
        "(`recouple work`)"
    )
