"""What a worker counts of its work, for Prometheus. One registry for the process, as there is one log.

Labels are words of ours, or names that stand in the mapping file: never a record, an id, a number of an error or a
coupling, or anything that an app or an operator wrote. Most is counted from the lines of the log, after the commit.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from types import MappingProxyType
from typing import Any, Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
)

from messages.orders import ORDERS
from messages.transport.ports import Delivery
from workers.log_lines import Line

disable_created_metrics()  # they double the series, and tell no more than the start of the process does
REGISTRY: Final = CollectorRegistry()


def _counter(name: str, sentence: str, *labels: str) -> Counter:
    return Counter(f"recouple_{name}", sentence, labels, registry=REGISTRY)


MESSAGES = _counter("messages", "Messages handled, by their queue and what became of them.", "queue", "outcome")
REDELIVERED = _counter("messages_redelivered", "Messages that the broker had delivered before.", "queue")
DEAD = _counter("messages_dead", "Messages that could not be taken, by their queue and why.", "queue", "reason")
DECISIONS = _counter("decisions", "Decisions on couplings, by what they came to.", "mapping", "outcome")
ERRORS_OPENED = _counter("errors_opened", "Errors opened.", "mapping", "kind")
ERRORS_RESOLVED = _counter("errors_resolved", "Errors that are over.", "mapping", "kind")
INSTRUCTIONS = _counter(
    "instructions", "Instructions, by app: sent, confirmed, failed, or to be retried.", "app", "event"
)
COMMANDS = _counter("commands", "Commands of operators, done or refused.", "command", "outcome")
JOBS = _counter("jobs", "Jobs that have finished.", "command")
PUBLISHED = _counter("relay_published", "Messages of the outbox that the broker has confirmed.")
RETURNED = _counter("relay_returned", "Attempts to publish that the broker did not confirm.", "outcome")
FAULTS = _counter("faults", "Faults in Recouple itself, by the event that the log has of each.", "event")
LOST = _counter("lost", "How often a loop lost the broker or the store.", "service", "loop")
RECONNECTED = _counter("reconnected", "How often a loop had it back.", "service", "loop")
STEPS = _counter("loop_steps", "Steps of the loops that found something to do.", "loop")
AWAY = Gauge(
    "recouple_away", "1 while a loop does without the broker or the store.", ("service", "loop"), registry=REGISTRY
)
BATCH_SECONDS = Histogram(
    "recouple_batch_duration_seconds",
    "From the begin of a batch's transaction to the end of its commit.",
    ("job",),
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60),
    registry=REGISTRY,
)
BATCH_MESSAGES = Histogram(
    "recouple_batch_messages",
    "Messages in a batch that was committed.",
    ("job",),
    buckets=(1, 3, 10, 30, 100, 300, 1000, 3000, 10000),
    registry=REGISTRY,
)
Info("recouple_build", "Which version of Recouple runs.", registry=REGISTRY).info({"version": version("recouple")})
ProcessCollector(registry=REGISTRY)

UNKNOWN: Final = "?"
"""The label of a command that there is not: whoever makes up names makes up no series."""

_COMMANDS = frozenset(ORDERS)


def count_lines(lines: Sequence[Line]) -> None:
    """Count what a committed transaction did."""
    for line in lines:
        count = _COUNTING.get(line.event)
        if count is not None:
            count(line.fields)


def count_batch(job: str, deliveries: Sequence[Delivery], lines: Sequence[Line], duration_s: float) -> None:
    """Count a batch that was committed, and what became of each of its messages.

    ``decided``: the couplings that the message is about were decided on; ``recouple_decisions_total`` says to what end.
    """
    BATCH_SECONDS.labels(job).observe(duration_s)
    BATCH_MESSAGES.labels(job).observe(len(deliveries))
    for queue, many in Tally(one.queue for one in deliveries if one.redelivered).items():
        REDELIVERED.labels(queue).inc(many)
    words: dict[str, list[str]] = {}
    for line in lines:
        if line.event in _OF_MESSAGES and "message_id" in line.fields:
            words.setdefault(line.fields["message_id"], []).append(_word(line))
    fates = Tally((one.queue, _next(words.get(one.properties.message_id or "", []))) for one in deliveries)
    for queue, many in Tally(line.fields["queue"] for line in lines if line.event == "change.dead").items():
        fates[queue, "decided"] -= many
        fates[queue, "dead"] += many
    for (queue, outcome), many in fates.items():
        if many > 0:
            MESSAGES.labels(queue, outcome).inc(many)


_OF_MESSAGES: Final = {
    "change.decided": "",
    "instruction.confirmed": "confirmed",
    "instruction.failed": "failed",
    "instruction.retried": "retried",
    "command.done": "done",
    "command.refused": "refused",
}
"""The lines that name a message, and what they say of it where they have no ``outcome``."""


def _next(words: list[str]) -> str:
    """A message that stands in a batch twice has a word for each time."""
    return words.pop(0) if words else "decided"


def _word(line: Line) -> str:
    return str(line.fields.get("outcome") or _OF_MESSAGES[line.event])


def _decided(fields: Mapping[str, Any]) -> None:
    if "mapping" in fields:  # else it is of a message, not of a coupling
        DECISIONS.labels(fields["mapping"], fields["outcome"]).inc()


def _of_error(counter: Counter) -> Callable[[Mapping[str, Any]], None]:
    return lambda fields: counter.labels(fields["mapping"], fields["kind"]).inc()


def _of_instruction(event: str) -> Callable[[Mapping[str, Any]], None]:
    return lambda fields: INSTRUCTIONS.labels(fields["record"].partition("/")[0], event).inc()


def _of_command(outcome: str) -> Callable[[Mapping[str, Any]], None]:
    return lambda fields: COMMANDS.labels(_known(fields["command"]), outcome).inc()


def _known(command: str) -> str:
    return command if command in _COMMANDS else UNKNOWN


_COUNTING: Mapping[str, Callable[[Mapping[str, Any]], None]] = MappingProxyType(
    {
        "change.decided": _decided,
        "change.dead": lambda fields: DEAD.labels(fields["queue"], fields["reason"]).inc(),
        "error.opened": _of_error(ERRORS_OPENED),
        "error.resolved": _of_error(ERRORS_RESOLVED),
        "instruction.sent": _of_instruction("sent"),
        "instruction.confirmed": _of_instruction("confirmed"),
        "instruction.failed": _of_instruction("failed"),
        "instruction.retried": _of_instruction("retried"),
        "command.done": _of_command("done"),
        "command.refused": _of_command("refused"),
        "job.finished": lambda fields: JOBS.labels(_known(fields["command"])).inc(),
        "relay.published": lambda fields: PUBLISHED.inc(fields["messages"]),
        "relay.returned": lambda fields: RETURNED.labels(fields["outcome"]).inc(fields["messages"]),
    }
)
