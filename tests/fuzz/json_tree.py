"""JSON documents as they are written, so that they can be spoilt: doubled names, odd numbers and all."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final


class Spelled(str):
    """A number, or what stands where one could, as it is spelled."""

    __slots__ = ()


class Members(list[list[Any]]):
    """An object: a list of name and value for each member."""


NUMBERS: Final = (
    "0",
    "-0",
    "1",
    "-1",
    "2",
    "7",
    "0.5",
    "1.0",
    "1e2",
    "-1.5e-7",
    "9223372036854775807",
    "9223372036854775808",
    "2147483647",
    "2147483648",
    "1e308",
    "1e309",
    "1e-308",
    "1e-400",
    "1e99999999999999999999",
    "9" * 38,
    "9" * 39,
    "0." + "0" * 40 + "1",
    "1" * 400,
    "604800",
    "604801",
    "NaN",
    "-Infinity",
    "01",
    "true",
    "null",
)
TEXTS: Final = (
    "",
    "\0",
    "\ud800",
    "a\ud800b",
    "é",
    "😀" * 60,
    "x" * 151,
    "x" * 201,
    "k" * 1025,
    "😀" * 300,
    "/",
    "a/b",
    "a/b/c",
    "bc/customer/",
    "bc",
    "bc/1",
    "sales",
    "customer/1",
    "customer/",
    "%2E",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59.999999Z",
    "9999-12-31T23:59:59-14:00",
    "2026-11-20T08:00:00",
    "2026-11-20T08:00:00.1234567Z",
    "2026-11-20",
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "\u202e",
    "\x1b[31m",
    "'; DROP TABLE",
    "{0}",
    "%s",
    "\\",
    '":',
    "s3nt1n3l",
    "s3nt1n3l\0",
)


def read_tree(body: bytes) -> Any:
    """Return the document, ``None`` where it is none."""
    try:
        return json.loads(
            body, object_pairs_hook=_members, parse_int=Spelled, parse_float=Spelled, parse_constant=Spelled
        )
    except (ValueError, RecursionError):
        return None


def write_tree(tree: Any) -> bytes:
    """Return the document as bytes."""
    return _written(tree).encode()


def tree_changed(tree: Any, other: Any, words: Sequence[str], pick: Callable[[int], int]) -> Any:
    """Return ``tree``, which is altered, with one change; ``other`` is a document to take something from."""
    places = list(_places(tree))
    if not places:
        return _value(words, pick)
    holder, at = places[pick(len(places))]
    entry = holder[at] if isinstance(holder, Members) else None
    act = pick(9)
    if act == 0:
        del holder[at]
    elif act == 1:
        holder.insert(pick(len(holder) + 1), [entry[0], entry[1]] if entry else holder[at])
    elif act == 2 and entry:
        entry[0] = _word(words, pick)
    elif act == 3 and (graft := list(_places(other))):
        theirs, where = graft[pick(len(graft))]
        _put(holder, at, theirs[where][1] if isinstance(theirs, Members) else theirs[where])
    elif act == 4:
        depth = (1, 2, 30, 33)[pick(4)]
        _put(holder, at, _wrapped(_value_at(holder, at), depth, as_list=pick(2) == 0))
    elif act == 5:
        new = [_word(words, pick), _value(words, pick)]
        holder.insert(at, new if entry else new[1])
    elif act == 6 and type(text := _value_at(holder, at)) is str:
        cut = pick(len(text) + 1)
        _put(holder, at, text[:cut] + _word(words, pick) + text[cut:])
    else:
        _put(holder, at, _value(words, pick))
    return tree


def _members(pairs: list[tuple[str, Any]]) -> Members:
    return Members([name, value] for name, value in pairs)


def _places(tree: Any) -> Iterator[tuple[list[Any], int]]:
    """Yield every place of a value: what holds it, and where in that."""
    if isinstance(tree, list):
        for at in range(len(tree)):
            yield tree, at
            yield from _places(_value_at(tree, at))


def _value_at(holder: list[Any], at: int) -> Any:
    return holder[at][1] if isinstance(holder, Members) else holder[at]


def _put(holder: list[Any], at: int, value: Any) -> None:
    holder[at] = [holder[at][0], value] if isinstance(holder, Members) else value


def _wrapped(value: Any, depth: int, *, as_list: bool) -> Any:
    for _ in range(depth):
        value = [value] if as_list else Members([["a", value]])
    return value


def _value(words: Sequence[str], pick: Callable[[int], int]) -> Any:
    kind = pick(4)
    if kind == 0:
        return Spelled(NUMBERS[pick(len(NUMBERS))])
    if kind == 1:
        return (Members(), [], Spelled("null"), Spelled("true"), Spelled("false"))[pick(5)]
    return _word(words, pick)


def _word(words: Sequence[str], pick: Callable[[int], int]) -> str:
    at = pick(len(TEXTS) + len(words))
    return TEXTS[at] if at < len(TEXTS) else words[at - len(TEXTS)]


def _written(tree: Any) -> str:
    if isinstance(tree, Spelled):
        return str(tree)
    if isinstance(tree, Members):
        return "{" + ",".join(f"{json.dumps(name)}:{_written(value)}" for name, value in tree) + "}"
    return "[" + ",".join(map(_written, tree)) + "]" if isinstance(tree, list) else json.dumps(tree)
