"""A mapping file that was read, written again: as a person who writes every option would have written it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from enum import StrEnum
from typing import Any

from workers.durations import format_duration
from workers.mapping import App, MappedField, Mapping, MappingFile


def mapping_text(file: MappingFile) -> str:
    """Return ``file`` as TOML."""
    return "\n".join([*_apps(file), *(line for mapping in file.mappings.values() for line in _mapping(mapping))])


def _apps(file: MappingFile) -> Iterator[str]:
    for app in file.apps.values():
        yield f"[apps.{app.name}]"
        yield from _options(_app(app))


def _app(app: App) -> dict[str, Any]:
    return {
        "title": app.title,
        "record_url": app.record_url,
        "order": app.order,
        "checks_version": app.checks_version,
        "confirms": app.confirms,
        "answer_within": format_duration(app.answer_within),
        "max_instructions_per_second": app.max_instructions_per_second,
    }


def _mapping(mapping: Mapping) -> Iterator[str]:
    yield "[[mappings]]"
    conditions = [
        {"side": one.side, "field": one.field, "is": one.comparison, "value": one.value} for one in mapping.where
    ]
    yield from _options(
        {
            "name": mapping.name,
            "left": str(mapping.left),
            "right": str(mapping.right),
            "direction": mapping.direction,
            "detect": mapping.detect,
            "on_update_conflict": mapping.on_update_conflict,
            "on_deletion": mapping.on_deletion,
            "only_coupled": mapping.only_coupled,
            "match_on": mapping.match_on,
            "clock_skew": format_duration(mapping.clock_skew),
            "where": conditions or None,
            "max_deletes_per_minute": mapping.max_deletes_per_minute,
            "max_creates_per_minute": mapping.max_creates_per_minute,
        }
    )
    for field in mapping.fields:
        yield "[[mappings.fields]]"
        yield from _options(_field(field))


def _field(field: MappedField) -> dict[str, Any]:
    return {
        "left": field.left,
        "right": field.right,
        "direction": field.direction,
        "on_conflict": field.on_conflict,
        "group": field.group,
        "sensitive": field.sensitive,
        "values": field.values,
        "reference": field.reference,
        "if_uncoupled": field.if_uncoupled if field.reference else None,
    }


def _options(options: dict[str, Any]) -> Iterator[str]:
    for name, value in options.items():
        if value is not None:
            yield f"{name} = {_written(value)}"


def _written(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | Decimal):
        return str(value)
    if isinstance(value, str):
        text = value.value if isinstance(value, StrEnum) else value
        return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007F")
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{name} = {_written(one)}" for name, one in value.items()) + " }"
    return "[" + ", ".join(map(_written, value)) + "]"
