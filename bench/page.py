"""``python -m bench.page``: write ``docs/performance.md`` and its plots of what the last run measured."""

from __future__ import annotations

from pathlib import Path

import msgspec

from bench.plots import draw
from bench.report import markdown
from bench.results import Results

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "performance.md"

HEAD = """# Performance

`make bench` measures, on the machine at hand and in one run, how Recouple compares with two other ways to do its work:

- *the ceiling*, [`bench/ceiling.py`](../bench/ceiling.py): a loop written by hand for the clean update and nothing
  else, as durable as Recouple, with every trick that we know. It leaves the same rows with the same bytes;
- *a Celery task per message*, [`bench/celery_worker.py`](../bench/celery_worker.py): what most teams would write, tuned
  as its documentation says; the same rows again.

A run in which the rows, the messages or the words of the synchronization log are not what they should be is no
measurement, and fails. Contenders take turns, so that what slows the machine for a while slows all alike; ratios are
taken within each turn. *Look at the ratios*: the absolute figures are those of one small machine, on which the worker,
PostgreSQL, RabbitMQ and whoever publishes share the processors. `make bench BENCH=medium` (twenty minutes) adds
what grows: couplings, open errors, the log, backlogs, processes; `BENCH=full` (an hour and a half) has longer runs and
more of them, and tries the contenders in several ways each.

Aimed at, with one process: 0.8 of the ceiling and ten times the task queue for the clean update, half of that rate
where everything conflicts, a p99 of 50 ms at a quarter of full load, 2,000 events a second on the embedded default, 150
MB of memory with a million messages waiting; one and a half times as much with two processes; nine tenths of it with a
million couplings, a log of ten million lines, a hundred thousand open errors.

What came of it in four runs (three medium, the last one full) on three machines, each of two cores that the worker
shares with all else:

| aim | first | second | third | fourth |
|---|---:|---:|---:|---:|
| 0.8 of the ceiling | 0.40 | 0.36 | 0.39 | 0.39 |
| 10 times a Celery task per message | 5.9 | 5.9 | 6.9 | 4.7 |
| 100 % conflicts: 0.5 of clean | 0.84 | 0.66 | 0.73 | 0.70 |
| p99 at a quarter of full load: 50 ms (full load grew from 1,700 to 3,000 events a second) | 49 | 55 | 62 | 88 |
| 2,000 events a second on the embedded default | 3,373 | 2,770 | 3,346 | 3,217 |
| two processes: 1.5 times one | 1.58 | 1.31 | 1.42 | 1.64 |
| a million couplings: 0.9 of ten thousand | 0.79 | 0.96 | 0.75 | 0.84 |
| a log of ten million lines: 0.9 of the same store without | 0.85 | 0.93 | 0.86 | 0.95 |
| a hundred thousand open errors: 0.9 of the same store without | 0.95 | 1.08 | 0.79 | 0.99 |

With a million messages waiting a worker held 102 MiB in the third run and 103 in the fourth. Not reached are the two
first aims nor, in most of the runs, the p99 and the million couplings. [Below](#what-binds) is why, and what would come
next.

This page is written by `python -m bench.page` from `bench/latest.json`.
"""

FOOT = """

## What binds

One interpreter. A worker takes some three and a half to four times the processor time of the ceiling for a clean update
(`worker cpu s per 1000` in the table of costs), and one process has one interpreter: were there no wait at all,
it would stand at some six tenths of the ceiling. What it does for that: whole mappings instead of one case, the law,
a synchronization log and structured lines for every event, errors told in full, limits and hostile input
checked, every wait bounded.

Where the loop that handles changes spends its time under load can be seen with py-spy (`py-spy record --threads
--idle --format raw --pid …` on the worker while `python -m bench --only throughput/clean --plan full` runs).
Before what [decision 22](decisions/0022-the-way-of-a-batch.md) tells it was a quarter waiting for PostgreSQL, a
fifth reading from RabbitMQ, a sixth writing log lines. With frames and lines in large pieces, reading took an
eighth and log lines a twelfth; half of the statements are no longer waited for since
(`tests/contract/workers/test_batch_work.py` counts them).

Full load is what a worker takes from a queue that is full before it starts, with nobody else at work. Where a publisher
and a consumer share its two cores, three quarters of that are too much for them: in runs of half a minute the queue
grew. On the embedded default, where no servers take their part, it did not.

What has grown costs pages that nobody has in memory. The events of a run are spread evenly over all couplings, so
that each finds its two records, its coupling and their index entries cold, in tables of four GiB behind a
`shared_buffers` of 128 MiB; and each line of the log goes to a page of its own in the index by record, of some
600 MiB. A `shared_buffers` of 2 GiB, tried once by hand, made no difference that is larger than that between two runs
(0.84 of ten thousand couplings, and 0.80 with 128 MiB, five rounds each); in the last round of each PostgreSQL took a
third more processor time for a million couplings than for ten thousand, and nearly twice as much. Edits of a day that
go to the same few thousand records do not meet that.

What was tried once and not taken, by changing the code for a run of `python -m bench --only throughput/clean`
or `--only latency`, which the repository does not keep: two loops that handle changes in one process (some
quarter more events, about twice the latency); a shorter switch interval of the interpreter (no difference);
batches of 1,000 instead of 300 (a little more, within what one run differs from the next); sets of rows as binary
arrays instead of JSON (PostgreSQL took a seventh less for its statements, the worker twice as long to make them; no
more events, and a batch of one took longer); what is read asked for in the pipeline of what is written (a batch of
one took a tenth less by itself; under load no difference was seen).

Commands have a transaction each, with some thirty statements: what one person orders is answered in a few
hundredths of a second, and what is ordered about thousands of records is one command, a job.

What would come next, in this order: the rules compiled (they are pure and typed throughout); couplings looked for on
that side alone on which the mapping has the record, where both sides are looked through now; more room in the pages
of `records` and `couplings`, half of whose updates still move to another page where neighbours are edited together;
batches that grow with what waits.
"""


def main() -> None:
    """Write the page."""
    results = msgspec.json.decode((HERE / "latest.json").read_bytes(), type=Results)
    plots = draw(results, PAGE.parent / "plots")
    body = markdown(results, [path.relative_to(PAGE.parent) for path in plots])
    PAGE.write_text(f"{HEAD}\n## The figures\n\n{body}{FOOT}", encoding="utf-8")


if __name__ == "__main__":
    main()
