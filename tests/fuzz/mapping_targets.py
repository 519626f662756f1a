"""The mapping file and the lengths of time in it: read whole, or refused with every fault."""

from __future__ import annotations

import tomllib
from collections import Counter
from pathlib import Path
from typing import Any, Final

from tests.fuzz.folders import folder
from tests.fuzz.sentinels import SENTINEL
from tests.fuzz.toml_text import mapping_text
from tests.fuzz.verdicts import Verdict
from workers.durations import MalformedDurationError, format_duration, parse_duration
from workers.mapping import MappingFile
from workers.mapping_file import MappingFileError, load_mapping_file, parse_mapping_file

_NAME: Final = "recouple.toml"
_ONE_MORE: Final = "no_such_option_at_all"
_MANY_DAYS: Final = 1_000_000
"""More than a length of time is written with."""


def mapping_files(data: bytes) -> Verdict:
    """Any bytes, as ``recouple.toml``."""
    path = folder("mapping") / _NAME
    path.write_bytes(data)
    found = _loaded(path)
    text = _text(data)
    if text is None:
        assert isinstance(found, tuple)
        return Verdict.REJECTED
    again = _parsed(text, str(path))
    assert again == found, "two readings"
    if isinstance(found, tuple):
        _check_faults(text, found)
        return Verdict.REJECTED
    _check_one_more_fault(text, ())
    if all(days < _MANY_DAYS for days in _days(found)):
        assert _parsed(mapping_text(found), _NAME) == found
    return Verdict.ACCEPTED


def durations(data: bytes) -> Verdict:
    """Any bytes, as a length of time."""
    text = data.decode(errors="surrogateescape")
    try:
        found = parse_duration(text)
    except MalformedDurationError:
        return Verdict.REJECTED
    assert found.days >= 0
    if found.days < _MANY_DAYS:
        assert parse_duration(format_duration(found)) == found
    return Verdict.ACCEPTED


def _check_faults(text: str, faults: tuple[str, ...]) -> None:
    assert faults
    for fault in faults:
        assert fault
        fault.encode()
    document = _document(text)
    if document is None:
        assert len(faults) == 1
        return
    if SENTINEL in text and SENTINEL not in _said_elsewhere(document):
        assert not any(SENTINEL in fault for fault in faults), f"a value is told: {faults}"
    _check_one_more_fault(text, faults)


def _check_one_more_fault(text: str, faults: tuple[str, ...]) -> None:
    """See that one fault more, at the other end of the file, hides none and makes none but itself."""
    if _ONE_MORE in text:
        return
    more = _parsed(f"{_ONE_MORE} = 1\n{text}", _NAME)
    assert isinstance(more, tuple)
    (added,) = (Counter(more) - Counter(faults)).elements()
    assert added.startswith(f"there is no option '{_ONE_MORE}'")
    assert not Counter(faults) - Counter(more)


def _said_elsewhere(document: dict[str, Any]) -> str:
    """Return everything that a mapping file says, but the values of fields in value maps and conditions."""

    def rest(value: Any, name: str) -> str:
        if isinstance(value, dict):
            # the left values of a value map stand as names
            return " ".join("" if name == "values" else f"{key} {rest(one, key)}" for key, one in value.items())
        if name in ("value", "values"):
            return ""
        return " ".join(rest(one, name) for one in value) if isinstance(value, list) else str(value)

    return rest(document, "")


def _days(file: MappingFile) -> list[int]:
    spans = [app.answer_within for app in file.apps.values()]
    return [span.days for span in (*spans, *(mapping.clock_skew for mapping in file.mappings.values()))]


def _loaded(path: Path) -> MappingFile | tuple[str, ...]:
    try:
        return load_mapping_file(path)
    except MappingFileError as error:
        return error.faults


def _parsed(text: str, name: str) -> MappingFile | tuple[str, ...]:
    try:
        return parse_mapping_file(text, name)
    except MappingFileError as error:
        return error.faults


def _text(data: bytes) -> str | None:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
    return text.replace("\r\n", "\n").replace("\r", "\n")  # as a text file is read


def _document(text: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text, parse_float=str)
    except (ValueError, RecursionError):
        return None
