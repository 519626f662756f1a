"""One worker takes all that there is, and is held to what it may hold meanwhile."""

from __future__ import annotations

from typing import NamedTuple

from tests.load import figures as told
from tests.load.figures import Row
from tests.load.ground import Ground
from tests.load.sizes import ANSWER_WITHIN, AT_LENGTH, BATCHES, GROWTH_BYTES, WITHIN, WORKER_BYTES
from tests.load.watching import Operator, Watch, watched

CONNECTIONS = 12
"""Of a worker: two consumers, a relay, a look at the queues, a pool of five to the database, and some to spare."""


class Drained(NamedTuple):
    """How one worker took a backlog, with an operator at work."""

    seconds: float
    batch_s: float
    watch: Watch
    operator: Operator

    def row(self, scenario: str, messages: int, remark: str = "") -> Row:
        """The row of the table."""
        seen = (told.rss(self.watch), told.connections(self.watch), told.answers(self.operator))
        return Row(scenario, messages, self.seconds, *seen, remark)

    def check(self) -> None:
        """See that the worker stayed small and that the operator was answered."""
        patience_s = max(ANSWER_WITHIN.total_seconds(), BATCHES * self.batch_s)
        assert self.watch.peak.rss_bytes < WORKER_BYTES
        assert self.watch.growth_bytes < GROWTH_BYTES
        assert self.watch.peak.connections <= CONNECTIONS
        assert self.operator.unanswered == 0
        assert self.operator.quantile_s(0.5) < patience_s
        assert not AT_LENGTH or self.operator.quantile_s(0.99) < patience_s


def drain(ground: Ground, messages: int) -> Drained:
    """Have one worker take all that there is."""
    until = ground.handled() + messages
    worker = ground.start_worker()
    with watched([worker.pid]) as (watch,), Operator(ground.broker_url, ground.namespace) as operator:
        seconds = ground.wait_until_handled(until, WITHIN)
    assert worker.stop() == 0
    return Drained(seconds, ground.batch_s(worker), watch, operator)
