"""``recouple.toml`` -> ``MappingFile``. Every fault is found in one pass, with its place; half a file is never used.

Places count from one, as people do: ``mappings[1] customer.fields[3]`` is the third field of the first mapping.
What makes sense of itself is checked here, what has to fit together in ``workers.mapping_checks``.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping as Dict
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from messages.documents import UnfitNumber, exact_decimal, is_fit
from messages.topology import UnroutableTableError, table_word
from messages.values import Value
from workers.mapping import (
    App,
    Confirms,
    DeletionRule,
    Detect,
    Direction,
    MappedField,
    Mapping,
    MappingFile,
    Ordering,
    Table,
    UpdateRule,
)
from workers.mapping_checks import Draft, check_drafts
from workers.mapping_raw import NUMBERS, Faults, Section
from workers.mapping_sensitive import spread_sensitivity
from workers.mapping_where import read_where
from workers.spelling import did_you_mean

_NAME = re.compile(r"[a-z0-9_-]{1,40}")
_RESERVED = ("ops", "recouple")
_MAPPING_RULES = (UpdateRule.MANUAL, UpdateRule.LEFT, UpdateRule.RIGHT, UpdateRule.NEWEST)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://")
_PLACEHOLDER = re.compile(r"{[^{}]*}")


class MappingFileError(Exception):
    """The mapping file cannot be used.

    Attributes:
        faults: ``place: sentence`` for each of them.
    """

    def __init__(self, name: str, faults: tuple[str, ...]) -> None:
        many = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        super().__init__("\n".join((f"{name} has {many}; nothing runs until it is mended:", *faults)))
        self.faults = faults


def load_mapping_file(path: Path) -> MappingFile:
    """Read and validate the mapping file at ``path``.

    Raises:
        MappingFileError: it cannot be read or has faults; all of them are listed.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise MappingFileError(str(path), (f"it cannot be read: {error.strerror}",)) from error
    except UnicodeDecodeError as error:
        raise MappingFileError(str(path), (f"it is not UTF-8 text, from byte {error.start} on",)) from error
    return parse_mapping_file(text, str(path))


def parse_mapping_file(text: str, name: str) -> MappingFile:
    """Validate the ``text`` of a mapping file; ``name`` is what messages call the file.

    Raises:
        MappingFileError: it has faults; all of them are listed.
    """
    try:
        document = tomllib.loads(text, parse_float=_number)
    except (ValueError, RecursionError) as error:
        raise MappingFileError(name, (f"it is not TOML: {error}",)) from error
    faults: Faults = []
    root = Section(document, "", faults)
    apps = _read_apps(root.typed("apps", dict), faults)
    mappings = root.typed("mappings", list)
    drafts = [_read_mapping(item, number, apps, faults) for number, item in enumerate(mappings or (), 1)]
    if not (root.has("mappings") and mappings is None) and not drafts:
        root.fault("there is no mapping: write one as [[mappings]]")
    root.close()
    check_drafts(drafts)
    if faults:
        raise MappingFileError(name, tuple(faults))
    return MappingFile(apps=apps, mappings=spread_sensitivity([draft.mapping for draft in drafts]))


def _number(text: str) -> Decimal | UnfitNumber:
    try:
        return exact_decimal(text)
    except ValueError:
        return UnfitNumber()


def _read_apps(tables: dict[str, Any] | None, faults: Faults) -> dict[str, App]:
    if not tables:
        faults.append("there is no app: write one as [apps.<name>]")
        return {}
    return {name: _read_app(name, content, faults) for name, content in tables.items()}


def _read_app(name: str, content: Any, faults: Faults) -> App:
    section = Section(content, f"apps.{name}", faults)
    _check_name(section, name)
    answer_within = section.duration("answer_within", timedelta(minutes=10))
    if not answer_within:
        section.fault("answer_within must be longer than nothing")
    app = App(
        name=name,
        title=section.text("title") or name,
        record_url=_read_record_url(section),
        order=section.choice("order", Ordering) or Ordering.VERSION,
        checks_version=section.flag("checks_version", default=True),
        confirms=section.choice("confirms", Confirms) or Confirms.OUTCOME,
        answer_within=answer_within,
        max_instructions_per_second=section.count("max_instructions_per_second", default=0, least=1) or None,
    )
    section.close()
    return app


def _read_record_url(section: Section) -> str | None:
    url = section.text("record_url")
    if url is None:
        return None
    if not _SCHEME.match(url):
        section.fault("record_url must begin with a scheme, for example https://")
    if "{key}" not in url:
        section.fault("record_url must contain {key}")
    for placeholder in _PLACEHOLDER.findall(url):
        if placeholder not in ("{key}", "{table}"):
            section.fault(f"record_url knows {{table}} and {{key}}, not {placeholder}")
    return url


def _check_name(section: Section, name: str) -> None:
    if not _NAME.fullmatch(name):
        section.fault(f"{name!r} is no name: 1 to 40 of a-z, 0-9, _ and -")
    elif name in _RESERVED:
        section.fault(f"the name {name!r} is reserved")


def _read_mapping(content: Any, number: int, apps: Dict[str, App], faults: Faults) -> Draft:
    section = Section(content, f"mappings[{number}]", faults)
    name = section.required_text("name")
    if name:
        section.place += f" {name}"
        _check_name(section, name)
    left, right = _read_table(section, "left", apps), _read_table(section, "right", apps)
    direction = section.choice("direction", Direction) or Direction.BOTH
    fields, places = _read_fields(section, direction, faults)
    mapping = Mapping(
        name=name,
        left=left,
        right=right,
        left_app=apps.get(left.app) or App(name=left.app, title=""),
        right_app=apps.get(right.app) or App(name=right.app, title=""),
        fields=fields,
        direction=direction,
        detect=section.choice("detect", Detect) or Detect.RECORD,
        on_update_conflict=section.choice("on_update_conflict", UpdateRule, _MAPPING_RULES) or UpdateRule.MANUAL,
        on_deletion=section.choice("on_deletion", DeletionRule) or DeletionRule.MANUAL,
        only_coupled=section.flag("only_coupled", default=True),
        match_on=_read_match_on(section),
        clock_skew=section.duration("clock_skew", timedelta(seconds=2)),
        where=read_where(section, faults),
        max_deletes_per_minute=section.count("max_deletes_per_minute", default=100, least=0),
        max_creates_per_minute=section.count("max_creates_per_minute", default=1000, least=0),
    )
    section.close()
    return Draft(mapping=mapping, section=section, field_sections=places)


def _read_table(section: Section, side: str, apps: Dict[str, App]) -> Table:
    """Return the table; an empty one where it is faulty."""
    nowhere = Table(app="", name="")
    text = section.required_text(side)
    if not text:
        return nowhere
    app, slash, table = text.partition("/")
    if not (app and slash and table) or "/" in table:
        section.fault(f"{side} = {text!r} must read app/table")
        return nowhere
    if app not in apps:
        section.fault(f"{side} = {text!r} names an app that is not there{did_you_mean(app, apps)}: write [apps.{app}]")
        return nowhere
    try:
        table_word(table)
    except UnroutableTableError as error:
        section.fault(f"{side}: {error}")
    return Table(app=app, name=table)


def _read_match_on(section: Section) -> tuple[tuple[str, ...], ...]:
    groups = section.typed("match_on", list) or []
    for group in groups:
        if not (isinstance(group, list) and group and all(isinstance(name, str) for name in group)):
            section.fault('match_on must be a list of groups of fields: [["email"], ["name", "city"]]')
            return ()
    return tuple(tuple(group) for group in groups)


def _read_fields(
    section: Section, direction: Direction, faults: Faults
) -> tuple[tuple[MappedField, ...], list[Section]]:
    contents = section.typed("fields", list)
    if not contents and not (section.has("fields") and contents is None):
        section.fault("there is no field: write one as [[mappings.fields]]")
    places = [
        Section(content, f"{section.place}.fields[{number}]", faults)
        for number, content in enumerate(contents or (), 1)
    ]
    return tuple(_read_field(place, direction) for place in places), places


def _read_field(section: Section, mapping_direction: Direction) -> MappedField:
    field = MappedField(
        left=section.required_text("left"),
        right=section.required_text("right"),
        direction=_read_field_direction(section, mapping_direction),
        on_conflict=section.choice("on_conflict", UpdateRule),
        group=section.text("group"),
        sensitive=section.flag("sensitive", default=False),
        values=_read_values(section),
        reference=section.text("reference"),
        if_uncoupled="omit" if section.word("if_uncoupled", ("error", "omit")) == "omit" else "error",
    )
    if section.has("if_uncoupled") and not section.has("reference"):
        section.fault("if_uncoupled says what happens to a reference, but there is no reference")
    section.close()
    return field


def _read_field_direction(section: Section, mapping_direction: Direction) -> Direction:
    """Return the direction in which the field flows: its own, as far as the mapping's allows."""
    own = section.choice("direction", Direction)
    if mapping_direction is Direction.BOTH:
        return own or Direction.BOTH
    if own not in (None, Direction.BOTH, mapping_direction):
        section.fault(f"direction = '{own}' runs against the mapping's direction = '{mapping_direction}'")
    return mapping_direction


def _read_values(section: Section) -> tuple[tuple[Value, Value], ...] | None:
    written = section.anything("values")
    if written is None:
        return None
    pairs = list(written.items()) if isinstance(written, dict) else written
    if not (
        isinstance(pairs, list) and pairs and all(isinstance(pair, (list, tuple)) and len(pair) == 2 for pair in pairs)
    ):
        section.fault('values must be { LEFT = "right" } or [["left", "right"]], with at least one pair')
        return None
    faulty = [number for number, pair in enumerate(pairs, 1) if not all(map(_is_scalar, pair))]
    for number in faulty:
        section.fault(f"values: pair {number} must be two texts, numbers, or true or false; {NUMBERS}")
    return None if faulty else tuple((left, right) for left, right in pairs)


def _is_scalar(value: Any) -> bool:
    if isinstance(value, str):
        return "\0" not in value
    return isinstance(value, (int, Decimal)) and is_fit(value)
