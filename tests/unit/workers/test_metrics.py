"""What is counted of the lines of the log and of a batch, and that no label can grow without end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

from messages.transport.ports import Delivery, Properties
from workers import metrics
from workers.log_lines import Line

Sample = tuple[str, dict[str, str]]


class Counted:
    """The counters as they were, to be compared with what they are."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._before = self._all()

    def _all(self) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        return {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in self._registry.collect()
            if family.name.startswith("recouple_")
            for sample in family.samples
        }

    def grown(self, prefix: str) -> dict[tuple[str, ...], float]:
        """By the values of its labels, in the order of their names, how much each of these has grown."""
        return {
            tuple(value for _, value in labels): now - before
            for (name, labels), now in self._all().items()
            if name == prefix and (now - (before := self._before.get((name, labels), 0.0)))
        }


@pytest.fixture
def counted() -> Counted:
    """What was counted so far."""
    return Counted(metrics.REGISTRY)


def line(event: str, **fields: Any) -> Line:
    """A line of the log."""
    return Line(event=event, fields=fields)


def delivery(name: str, *, queue: str = "recouple.changes.bc", redelivered: bool = False) -> Delivery:
    """A message of this id."""
    return Delivery(queue=queue, body=b"", properties=Properties(message_id=name), tag=0, redelivered=redelivered)


@pytest.mark.parametrize(
    ("lines", "name", "grown"),
    [
        (
            [line("change.decided", mapping="customer", outcome="sent", coupling=7)] * 2,
            "recouple_decisions_total",
            {("customer", "sent"): 2},
        ),
        ([line("change.decided", record="bc/customer/1", outcome="stale")], "recouple_decisions_total", {}),
        (
            [line("change.dead", queue="recouple.changes.bc", reason="not_json", field="")],
            "recouple_messages_dead_total",
            {("recouple.changes.bc", "not_json"): 1},
        ),
        (
            [line("error.opened", error=1, kind="update_conflict", mapping="customer", coupling=7)],
            "recouple_errors_opened_total",
            {("update_conflict", "customer"): 1},
        ),
        (
            [line("error.resolved", error=1, kind="update_conflict", mapping="customer", resolution="converged")],
            "recouple_errors_resolved_total",
            {("update_conflict", "customer"): 1},
        ),
        (
            [line("error.updated", error=1, kind="update_conflict", mapping="customer")],
            "recouple_errors_opened_total",
            {},
        ),
        (
            [
                line("instruction.sent", record="sales/account/1", instruction="i", action="update"),
                line("instruction.confirmed", record="sales/account/1", instruction="i"),
                line("instruction.failed", record="bc/customer/", instruction="i"),
                line("instruction.retried", record="bc/customer/1", instruction="i"),
            ],
            "recouple_instructions_total",
            {("sales", "sent"): 1, ("sales", "confirmed"): 1, ("bc", "failed"): 1, ("bc", "retried"): 1},
        ),
        (
            [line("command.done", command="couple"), line("command.refused", command="retry", code="stale")],
            "recouple_commands_total",
            {("couple", "done"): 1, ("retry", "refused"): 1},
        ),
        ([line("job.finished", job=1, command="retry_all")], "recouple_jobs_total", {("retry_all",): 1}),
        ([line("relay.published", messages=17, kept=2)], "recouple_relay_published_total", {(): 17}),
        (
            [line("relay.returned", outcome="refused", messages=3, routing_key="bc.x")],
            "recouple_relay_returned_total",
            {("refused",): 3},
        ),
    ],
)
def test_what_a_line_counts(
    counted: Counted, lines: Sequence[Line], name: str, grown: dict[tuple[str, ...], float]
) -> None:
    """A graph would show another number than the log has lines."""
    metrics.count_lines(lines)
    assert counted.grown(name) == grown


def test_whoever_makes_up_commands_makes_up_no_series(counted: Counted) -> None:
    """A sender of nonsense would fill the memory of the worker, and of Prometheus."""
    metrics.count_lines([line("command.refused", command=f"nonsense-{number}") for number in range(50)])
    assert counted.grown("recouple_commands_total") == {("?", "refused"): 50}


def test_what_becomes_of_the_messages_of_a_batch(counted: Counted) -> None:
    """Nobody would see that an app sends everything twice, or that half of it is dead."""
    deliveries = [delivery(name) for name in ("plain", "stale", "dead", "again")]
    deliveries.append(delivery("again", redelivered=True))
    deliveries.append(delivery("answer", queue="recouple.changes.sales"))
    lines = [
        line("change.decided", mapping="customer", outcome="sent", coupling=7),
        line("change.decided", record="bc/customer/1", outcome="stale", message_id="stale"),
        line("change.decided", outcome="duplicate", message_id="again"),
        line("change.dead", queue="recouple.changes.bc", reason="not_json"),
        line("instruction.confirmed", record="sales/account/1", outcome="confirmed", message_id="answer"),
    ]
    metrics.count_batch("changes", deliveries, lines, 0.02)
    assert counted.grown("recouple_messages_total") == {
        ("decided", "recouple.changes.bc"): 2,
        ("stale", "recouple.changes.bc"): 1,
        ("duplicate", "recouple.changes.bc"): 1,
        ("dead", "recouple.changes.bc"): 1,
        ("confirmed", "recouple.changes.sales"): 1,
    }
    assert counted.grown("recouple_messages_redelivered_total") == {("recouple.changes.bc",): 1}
    assert counted.grown("recouple_batch_messages_sum") == {("changes",): 6}
    assert counted.grown("recouple_batch_duration_seconds_sum") == {("changes",): pytest.approx(0.02)}


LABELS = {"queue", "outcome", "reason", "mapping", "kind", "app", "event", "command", "service", "loop", "job"}
"""Each has few values: words of ours, or names that stand in the mapping file."""


def test_labels_and_names() -> None:
    """A label with a value for each record would bring Prometheus down; a name against its conventions misleads."""
    for one in metrics.REGISTRY._collector_to_names:  # noqa: SLF001 - there is no public way to list them
        if isinstance(one, MetricWrapperBase):
            assert set(one._labelnames) <= LABELS  # noqa: SLF001
            assert one._name.startswith("recouple_")  # noqa: SLF001
            assert not one._name.endswith(("_ms", "_minutes", "_kb"))  # noqa: SLF001
            assert one._documentation.endswith(".")  # noqa: SLF001
