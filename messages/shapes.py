"""Every fault of a document that should have the shape of a wire struct: the slow look.

The decoder stops at the first fault. Here each member is tried by itself against the same struct, so that there is
one place that says what is expected.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from typing import Any, Final, TypeVar, get_args, get_origin

import msgspec
from msgspec.structs import FieldInfo

from messages.dead import DeadReason
from messages.documents import MAX_DIGITS, MAX_EXPONENT, UnfitNumber, is_fit
from messages.faults import Fault

_Shape = TypeVar("_Shape", bound=msgspec.Struct)

_SHOWN_CHARACTERS: Final = 60
_SURROGATE = re.compile("[\ud800-\udfff]")


def shape_faults(shape: type[msgspec.Struct], document: Any, path: str = "") -> Iterator[Fault]:
    """Yield what is missing in ``document`` as a ``shape`` or of the wrong type there."""
    if not isinstance(document, dict):
        yield Fault(DeadReason.MALFORMED, path, f"expected an object, found {kind_of(document)}")
        return
    for member in _members_of(shape):
        name, place = member.encode_name, join(path, member.encode_name)
        if name not in document:
            if member.required:
                yield Fault(DeadReason.MALFORMED, place, f"missing, expected {_expected(member)}")
        elif inner := _struct_of(member):
            yield from shape_faults(inner, document[name], place)
        elif (item := _item_of(member.type)) and isinstance(document[name], dict):
            for key, value in document[name].items():
                yield from _misfit(item, value, join(place, key))
        else:
            yield from _misfit(member.type, document[name], place)


def _misfit(type_: Any, value: Any, place: str) -> Iterator[Fault]:
    if not _fits(type_, value):
        words = f"expected {_meta(type_).description or 'a value'}, found {_found(type_, value)}"
        yield Fault(DeadReason.MALFORMED, place, words)


def converted(shape: type[_Shape], document: dict[str, Any]) -> _Shape:
    """Return ``document``, which has no faults, as a ``shape``; what the shape does not know is passed over unread.

    msgspec would read its name, and half of a surrogate pair in it is more than msgspec can read.
    """
    known = {member.encode_name for member in _members_of(shape)}
    return msgspec.convert({name: value for name, value in document.items() if name in known}, shape)


def kept_faults(shape: type[msgspec.Struct], document: Any, path: str = "") -> Iterator[Fault]:
    """Yield what is well-formed in the members that ``shape`` knows, but cannot be kept (see ``value_faults``)."""
    if not isinstance(document, dict):
        return
    for member in _members_of(shape):
        name, place = member.encode_name, join(path, member.encode_name)
        if name in getattr(document, "twice", ()):
            yield twice(place)
        if name in document and _is_exact(member):
            inner = _struct_of(member)
            yield from kept_faults(inner, document[name], place) if inner else value_faults(document[name], place)


def value_faults(value: Any, path: str) -> Iterator[Fault]:
    """Yield what cannot be kept of a value, however deep in it: U+0000, unfit numbers, names that stand twice."""
    if isinstance(value, str):
        yield from _text_faults(value, path, "")
    elif isinstance(value, UnfitNumber) or (isinstance(value, (int, Decimal)) and not is_fit(value)):
        words = f"a number of more than {MAX_DIGITS} digits or with an exponent beyond {MAX_EXPONENT}"
        yield Fault(DeadReason.NUMBER_OUT_OF_RANGE, path, words)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from value_faults(item, f"{path}[{index}]")
    elif isinstance(value, dict):
        yield from (twice(join(path, name)) for name in sorted(getattr(value, "twice", ())))
        for name, item in value.items():
            place = join(path, name)
            yield from _text_faults(name, place, "its name ")
            yield from value_faults(item, place)


def _text_faults(text: str, place: str, what: str) -> Iterator[Fault]:
    if "\0" in text:
        yield Fault(DeadReason.NUL_CHARACTER, place, f"{what}holds the character U+0000")
    if not text.isascii() and _SURROGATE.search(text):
        yield Fault(DeadReason.MALFORMED, place, f"{what}holds half of a surrogate pair, which is no character")


def kind_of(value: Any) -> str:
    """Return what ``value`` is, without saying it."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else "true or false"
    if isinstance(value, (Decimal, float)):
        return "a number with a fraction or exponent"
    kinds: tuple[tuple[type, str], ...] = ((str, "text"), (int, "an integer"), (list, "a list"), (dict, "an object"))
    return next((kind for type_, kind in kinds if isinstance(value, type_)), "a number")


def join(path: str, name: str) -> str:
    """Return the path of the member ``name``, which somebody else chose: printable and short."""
    shown = name.encode("unicode_escape", "replace").decode("ascii")
    shown = shown if len(shown) <= _SHOWN_CHARACTERS else shown[:_SHOWN_CHARACTERS] + "…"
    return f"{path}.{shown}" if path else shown


@cache
def _members_of(shape: type[msgspec.Struct]) -> tuple[FieldInfo, ...]:
    return msgspec.structs.fields(shape)


def _struct_of(member: FieldInfo) -> type[msgspec.Struct] | None:
    return member.type if isinstance(member.type, type) and issubclass(member.type, msgspec.Struct) else None


@cache
def _item_of(type_: Any) -> Any:
    """Return what each value in an object has to be, where a type says it in words; else ``None``."""
    kinds = get_args(next(iter(get_args(type_)), None))
    items = [get_args(kind)[1] for kind in kinds if get_origin(kind) is dict]
    return next((item for item in items if _meta(item).description), None)


def _fits(type_: Any, value: Any) -> bool:
    max_bytes = (_meta(type_).extra or {}).get("max_bytes")
    if max_bytes is not None and isinstance(value, str) and _size_bytes(value) > max_bytes:
        return False
    try:
        msgspec.convert(value, type_)
    except ValueError:  # what msgspec raises, half of a surrogate pair included
        return False
    return True


def _found(type_: Any, value: Any) -> str:
    """What stands there instead; its length where that may be what is wrong."""
    if isinstance(value, str) and "max_bytes" in (_meta(type_).extra or {}):
        return f"{_size_bytes(value)} bytes"
    return kind_of(value)


def _size_bytes(text: str) -> int:
    return len(text.encode(errors="surrogatepass"))


def _is_exact(member: FieldInfo) -> bool:
    """Say whether the member is kept to the letter."""
    return bool((_meta(member.type).extra or {}).get("exact", True))


def _expected(member: FieldInfo) -> str:
    return "an object" if _struct_of(member) else _meta(member.type).description or "a value"


def _meta(type_: Any) -> msgspec.Meta:
    """The outermost annotation, which is the one with the words."""
    metas = [meta for meta in get_args(type_) if isinstance(meta, msgspec.Meta)]
    return metas[-1] if metas else msgspec.Meta()


def twice(place: str) -> Fault:
    """Return the fault of a member that stands twice in one object."""
    return Fault(DeadReason.DUPLICATE_MEMBER, place, "stands twice in one object")
