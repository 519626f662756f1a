"""``docs/operations.md`` names every metric that a worker tells, and none that it does not."""

from __future__ import annotations

import re
from pathlib import Path

from store.connect import open_store
from store.migrate import migrate
from tests.unit.docs.marked import page, table_after
from workers.bootstrap import utc_now
from workers.gauges import Scrape
from workers.progress import Progress

PAGE = page("operations.md")
MARK = "<!-- metrics, compared by a test -->"


def told(folder: Path) -> set[str]:
    """Every metric of ours that a worker tells, by the name that a query has for it."""
    url = f"sqlite:///{folder / 'store.db'}"
    migrate(url)
    store = open_store(url)
    try:
        families = list(Scrape(Progress(), store, utc_now).collect())
    finally:
        store.close()
    suffix = {"counter": "_total", "info": "_info"}
    return {f"{one.name}{suffix.get(one.type, '')}" for one in families if one.name.startswith("recouple_")}


def test_every_metric_is_explained(tmp_path: Path) -> None:
    """Else a graph would be drawn of what nobody explains, or an alarm be set on what is never told."""
    rows = table_after(PAGE, MARK)
    named = {name for row in rows for name in re.findall(r"recouple_\w+", row[0])}

    assert named == told(tmp_path)


def test_alarms_ask_for_metrics_that_there_are(tmp_path: Path) -> None:
    """Else an alarm would never go off."""
    asked = set(re.findall(r"\b(recouple_[a-z_]+)", PAGE.split("Alarms worth having")[1].split("\n## ")[0]))

    assert asked
    assert asked <= told(tmp_path)
