"""``recouple log``: what became of every event, command and outcome that touched a record."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer
from msgspec import UNSET
from rich.table import Table
from rich.text import Text

from messages.values import Value
from ops.options import DEFAULT_LIMIT, AsJson, Limit
from ops.printing import make_table, plain, say, time_text, value_text
from ops.wiring import session
from store import log as log_store
from store.model import LogLine
from workers.printable import printable


def _read_name(text: str) -> str:
    # `app/table/` is a name here: the log of what was ordered of a whole table.
    if text.count("/") < 2 or text.startswith("/"):
        raise typer.BadParameter(f"{text!r} is no record: write app/table/key, for example bc/customer/10000")
    return text


def log(
    record: Annotated[str, typer.Argument(parser=_read_name, metavar="APP/TABLE/KEY")],
    *,
    limit: Limit = DEFAULT_LIMIT,
    as_json: AsJson = False,
) -> None:
    """Show the synchronization log of a record, the newest last.

    What was ordered of a whole table stands under APP/TABLE/, without a key.
    """
    with session(as_json=as_json) as current, current.store() as store:
        with store.reading() as conn:
            lines = log_store.of_record(conn, record, limit)
        if as_json:
            current.write_json(lines)
        elif lines:
            say(current.out, record, "bold")
            current.out.print(log_table(lines))
        else:
            say(current.out, f"Nothing was heard of {record}.")


def log_table(lines: list[LogLine]) -> Table:
    """Return the lines; values that were overwritten or kept stand below what became of them."""
    table = make_table("at", "coupling", "outcome", "what", right=("at", "coupling"))
    for line in lines:
        outcome = [plain(line.outcome)] + ([] if line.rule is None else [plain(f"({line.rule})")])
        cells = (Text("\n").join(outcome), Text("\n").join(_what(line)))
        table.add_row(time_text(line.at), plain(line.coupling), *cells)
    return table


def _what(line: LogLine) -> Iterator[Text]:
    if line.detail:
        yield plain(line.detail)
    for name, values in line.values.items():
        yield Text.assemble(plain(name, "bold"), ": ", _values(values))
    for what in ("event", "command", "instruction"):
        if id_ := getattr(line, what):
            yield plain(f"{what} {id_}", "dim")


def _values(values: Value) -> str:
    if not isinstance(values, dict):
        return value_text(values)
    known = [name for name in ("base", "left", "right") if values.get(name, UNSET) is not UNSET]
    others = [name for name in values if name not in known]
    return ", ".join(f"{printable(name)} {value_text(values[name])}" for name in (*known, *others))
