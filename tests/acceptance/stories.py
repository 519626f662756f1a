"""What became of one coupling, line by line, for whoever has to find out why a random run ended as it did."""

from __future__ import annotations

from collections.abc import Iterator

from store import couplings as coupling_store
from store import log as log_store
from store import tables
from store.documents import Document
from store.model import Coupling, LogLine, Sent
from tests.acceptance.adapter_stage import WatchedStage
from workers.mapping import Mapping, MappingFile

LONG = 100

_SENT = Document(Sent)


def story(stage: WatchedStage, file: MappingFile, coupling: Coupling) -> str:
    """Tell it; of a long story the beginning and the end."""
    lines = list(_lines(stage, file.mappings[coupling.mapping], coupling))
    return "\n".join(lines if len(lines) < LONG else [*lines[: LONG // 2], "  …", *lines[-LONG // 2 :]])


def story_of_record(stage: WatchedStage, record: str) -> str:
    """Tell what became of a record that is not coupled."""
    with stage.store.reading() as conn:
        lines = [_line(line) for line in log_store.of_record(conn, record, limit=1000)]
        named = [one for one in coupling_store.page(conn, limit=1_000_000) if record in {f"{one.left}", f"{one.right}"}]
        waiting = [f"  {row}" for row in conn.execute(tables.arrivals.select()) if record.endswith(f"/{row.key}")]
    closed = [f"  coupling {one.id} {one.left} {one.right} {one.status}" for one in named]
    return "\n".join([record, *lines, *waiting, *closed])


def _line(line: LogLine) -> str:
    what = [line.event, line.command, line.instruction, line.rule, line.detail, line.values]
    return f"  {line.at:%S.%f} {line.record} {line.outcome} {line.coupling} " + " ".join(
        f"{one}" for one in what if one
    )


def _lines(stage: WatchedStage, mapping: Mapping, coupling: Coupling) -> Iterator[str]:
    names = ("direction", "detect", "on_update_conflict", "on_deletion", "only_coupled", "clock_skew")
    yield f"coupling {coupling.id}: " + ", ".join(f"{name}={getattr(mapping, name)}" for name in names)
    yield from (f"  {one.name} {one.direction} {one.on_conflict} {one.group or ''}" for one in mapping.fields)
    with stage.store.reading() as conn:
        records = {f"{one}" for one in (coupling.left, coupling.right) if one is not None}
        lines = [line for record in records for line in log_store.of_record(conn, record, limit=1000)]
        yield from map(_line, sorted(lines, key=lambda line: line.at))
        given = tables.instructions.select().where(tables.instructions.c.coupling_id == coupling.id)
        for row in conn.execute(given.order_by(tables.instructions.c.made_at)):
            sent = _SENT.read(row.sent)
            yield f"  {sent.made_at:%S.%f} {row.id} {row.action} {row.key} v{sent.if_version} {sent.fields} {row.state}"
        errors = tables.errors.select().where(tables.errors.c.coupling_id == coupling.id)
        yield from (f"  error {row.report}" for row in conn.execute(errors.order_by(tables.errors.c.number)))
    yield f"  {coupling}"
