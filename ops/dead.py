"""``recouple dead``: what could not be taken, and what becomes of it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from contextlib import closing
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any, TypeAlias

import msgspec
import typer
from rich.table import Table

from messages.dead import ROUTING_KEY, DeadReason
from messages.dead_letters import HEADER_PREFIX, encode_replay
from messages.topology import app_of_changes_queue, commands_queue, dead_queue, instructions_queue
from messages.transport.ports import Delivery, Publisher, PublishOutcome
from ops.asking import ask
from ops.options import AsJson
from ops.printing import counted, make_table, plain, say, told_time
from ops.queues_view import MAX_LOOKED_AT, MessageRow, envelope_of, message_row, queue_name, taken_and_put_back
from ops.wiring import ExitCode, Session, session

DEFAULT_SHOWN = 20
BATCH = 100
LOOK_WITHIN = timedelta(seconds=2)
CONFIRM_WITHIN = timedelta(seconds=30)

_MAX_PREFETCH = 65_535  # of AMQP 0-9-1; what is passed over stays unacknowledged until the end

_BROKERS_REASONS = ("delivery_limit", "rejected", "expired", "maxlen")
"""Why RabbitMQ itself dead-letters."""


class Action(StrEnum):
    """What is to be done with dead messages."""

    SHOW = "show"
    """Look at them."""
    REPLAY = "replay"
    """Send them back to where they came from."""
    DROP = "drop"
    """Remove them for good."""


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """Which dead messages are meant.

    Attributes:
        queue: Full name of the queue that they came from.
        most: At most so many; all of them where it is ``None``.
    """

    reason: str | None = None
    queue: str | None = None
    most: int | None = None

    def holds(self, delivery: Delivery) -> bool:
        """Say whether ``delivery`` is meant."""
        if self.reason is not None and said(delivery)["reason"] != self.reason:
            return False
        return self.queue is None or delivery.routing_key == self.queue

    def __str__(self) -> str:
        which = "every dead message" if self.most is None else f"up to {self.most:,} dead messages"
        which += f" with the reason {self.reason}" if self.reason else ""
        return which + (f" that came from {self.queue}" if self.queue else "")


class DeadRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of ``recouple dead --json``: why and where from, and the message itself."""

    reason: str | None
    detail: str | None
    field: str | None
    queue: str
    at: str | None
    message: MessageRow


def _read_reason(text: str) -> str:
    known = (*DeadReason, *_BROKERS_REASONS)
    if text not in known:
        raise typer.BadParameter(f"{text!r} is none of {', '.join(known)}")
    return text


def dead(  # noqa: PLR0913 - one parameter for each option
    action: Annotated[Action, typer.Argument(help="What to do with them.")] = Action.SHOW,
    *,
    reason: Annotated[
        str | None, typer.Option(parser=_read_reason, metavar="REASON", help="Only for this reason.")
    ] = None,
    queue: Annotated[str | None, typer.Option(help="Only from this queue, e.g. changes.bc or commands.")] = None,
    most: Annotated[
        int | None, typer.Option("--max", min=1, help=f"At most so many; {DEFAULT_SHOWN} are shown by default.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Drop without asking.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show messages that could not be taken, send them back to where they came from, or drop them.

    Replay them once what was wrong is mended: a worker takes them then, or
    puts them back here.
    """
    with session(as_json=as_json) as current:
        from_queue = None if queue is None else queue_name(current.settings.namespace, queue)
        selection = Selection(reason=reason, queue=from_queue, most=most)
        if action is Action.DROP and not yes:
            _agree(current, selection)
        raise typer.Exit({Action.SHOW: _show, Action.REPLAY: _replay, Action.DROP: _drop}[action](current, selection))


def said(delivery: Delivery) -> dict[str, str | None]:
    """Return what the headers say of why ``delivery`` is dead; of what the broker put there, only its reason."""
    headers = delivery.properties.headers
    names = ("reason", "detail", "field", "at")
    found = {name: headers.get(f"{HEADER_PREFIX}{name}") for name in names}
    found["reason"] = found["reason"] or headers.get("x-first-death-reason")
    return {name: None if value is None else str(value) for name, value in found.items()}


def _show(current: Session, selection: Selection) -> ExitCode:
    most = min(selection.most or DEFAULT_SHOWN, MAX_LOOKED_AT)
    found: list[Delivery] = []

    def collect(chosen: list[Delivery]) -> list[Delivery]:
        found.extend(chosen)
        return []  # all of them stay

    depth = _go_through(current, msgspec.structs.replace(selection, most=most), collect)
    if current.as_json:
        current.write_json([DeadRow(**said(one), queue=one.routing_key, message=message_row(one)) for one in found])
    elif found:
        current.out.print(dead_table(found))
    else:
        say(current.out, "Nothing is dead." if not depth else "Nothing dead is like that.")
    if found:
        current.note(f"{len(found):,} of {counted(depth, 'dead message')}{taken_and_put_back(current)}")
    return ExitCode.DONE


def dead_table(found: Iterable[Delivery]) -> Table:
    """Return why each message is dead, where it came from, and what it says it is."""
    table = make_table("at", "reason", "from", "message", "detail", right=("at",))
    for delivery in found:
        why, event = said(delivery), envelope_of(delivery)
        what = " ".join(str(event[name]) for name in ("id", "subject") if event.get(name))
        table.add_row(told_time(why["at"]), *map(plain, (why["reason"], delivery.routing_key, what, why["detail"])))
    return table


def _replay(current: Session, selection: Selection) -> ExitCode:
    failed: list[dict[str, Any]] = []
    with closing(current.broker().publisher()) as publisher:
        replayed = 0

        def send_back(chosen: list[Delivery]) -> list[Delivery]:
            nonlocal replayed
            outcomes = _send_back(publisher, chosen, current.settings.namespace)
            gone = [one for one, outcome in zip(chosen, outcomes, strict=True) if outcome is PublishOutcome.CONFIRMED]
            failed.extend(
                {"id": one.properties.message_id, "queue": one.routing_key, "outcome": outcome}
                for one, outcome in zip(chosen, outcomes, strict=True)
                if outcome is not PublishOutcome.CONFIRMED
            )
            replayed += len(gone)
            return gone

        _go_through(current, selection, send_back)
    if current.as_json:
        current.write_json({"replayed": replayed, "failed": failed})
    else:
        say(current.out, f"{counted(replayed, 'message')} sent back to where they came from.")
        for one in failed:
            say(current.err, f"{one['id']} stays here: {one['queue']} does not take it ({one['outcome']}).", "red")
    return ExitCode.REFUSED if failed else ExitCode.DONE


def _send_back(publisher: Publisher, chosen: list[Delivery], ns: str) -> list[PublishOutcome]:
    """Publish to the queues they came from; what somebody put here by hand came from none, and stays.

    So does what another app had routed there: sent back, nothing would tell it from the app's own any more.
    """
    going = [one for one in chosen if _may_return(ns, one)]
    outcomes = iter(publisher.publish([encode_replay(one) for one in going], CONFIRM_WITHIN) if going else [])
    return [next(outcomes) if _may_return(ns, one) else PublishOutcome.RETURNED for one in chosen]


def _may_return(ns: str, one: Delivery) -> bool:
    return _is_origin(ns, one.routing_key) and said(one)["field"] != ROUTING_KEY


def _is_origin(ns: str, queue: str) -> bool:
    is_instructions = queue.startswith(instructions_queue(ns, ""))
    return queue == commands_queue(ns) or is_instructions or app_of_changes_queue(ns, queue) is not None


def _drop(current: Session, selection: Selection) -> ExitCode:
    dropped = 0

    def drop(chosen: list[Delivery]) -> list[Delivery]:
        nonlocal dropped
        dropped += len(chosen)
        return chosen

    _go_through(current, selection, drop)
    if current.as_json:
        current.write_json({"dropped": dropped})
    else:
        say(current.out, f"{counted(dropped, 'dead message')} dropped.")
    return ExitCode.DONE


def _agree(current: Session, selection: Selection) -> None:
    if not sys.stdin.isatty():
        raise typer.BadParameter("it cannot be undone: say --yes to drop without being asked", param_hint="--yes")
    ask(current, f"Remove {selection} for good?", "Nothing was dropped.")


_Act: TypeAlias = Callable[[list[Delivery]], list[Delivery]]
"""Is given messages of the dead queue, and returns those that are to be removed from it."""


def _go_through(current: Session, selection: Selection, act: _Act) -> int:
    """Go once through the dead queue and let ``act`` have what is meant; return how many waited there at first.

    What is not removed stays unacknowledged meanwhile, so that nothing is seen twice, and goes back at the end.
    """
    broker, queue = current.broker(), dead_queue(current.settings.namespace)
    depth = broker.depth(queue)
    looked_at, left = 0, depth if selection.most is None else selection.most
    with closing(broker.consumer([queue], prefetch=max(1, min(depth, _MAX_PREFETCH)))) as consumer:
        while left > 0 and looked_at < depth:
            deliveries = consumer.receive(min(BATCH, depth - looked_at), LOOK_WITHIN)
            if not deliveries:
                break
            looked_at += len(deliveries)
            chosen = [one for one in deliveries if selection.holds(one)][:left]
            left -= len(chosen)
            consumer.acknowledge(act(chosen))
            consumer.heartbeat()
    return depth
