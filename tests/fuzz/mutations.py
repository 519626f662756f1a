"""Small changes to an input, as its kind of text has them: to the bytes, to the lines, to the JSON in it.

Every choice is made by a ``Pick``, so that the engine that picks can also repeat and shrink.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, TypeAlias

from tests.fuzz.json_tree import read_tree, tree_changed, write_tree

Pick: TypeAlias = Callable[[int], int]
"""Given ``n``, one of 0 to ``n - 1``."""

Mutator: TypeAlias = Callable[[bytes, "Stock", Pick], bytes]

MAX_BYTES: Final = 16_384
"""Of an input; what is longer is cut."""
_HOW_MANY: Final = (1, 1, 1, 1, 2, 2, 3, 5)


class Stock(NamedTuple):
    """What there is to make an input of.

    Attributes:
        inputs: Other inputs of the same target.
        tokens: Words that mean something to it.
    """

    inputs: Sequence[bytes]
    tokens: Sequence[bytes]


def change_bytes(body: bytes, stock: Stock, pick: Pick) -> bytes:
    """A byte set, words put in or over, a piece taken out, doubled, moved or taken from another input."""
    start = pick(len(body) + 1)
    end = min(len(body), start + pick(9))
    head, piece, tail = body[:start], body[start:end], body[end:]
    other = _one_of(stock.inputs, pick)
    acts: Sequence[Callable[[], bytes]] = (
        lambda: head + bytes([pick(256)]) + tail,
        lambda: head + _one_of(stock.tokens, pick) + tail,
        lambda: head + tail,
        lambda: head + piece * (2 + pick(64)) + tail,
        lambda: head,
        lambda: tail + piece + head,
        lambda: head + other[pick(len(other) + 1) :],
    )
    return acts[pick(len(acts))]()


def change_lines(body: bytes, stock: Stock, pick: Pick) -> bytes:
    """A line taken out, doubled, moved, taken from another input, or with another word after its equals sign."""
    lines = body.split(b"\n")
    at = pick(len(lines))
    act = pick(6)
    if act == 0:
        del lines[at]
    elif act == 1:
        lines.insert(pick(len(lines) + 1), lines[at])
    elif act == 2:
        lines.insert(pick(len(lines)), lines.pop(at))
    elif act == 3:
        others = _one_of(stock.inputs, pick).split(b"\n")
        start = pick(len(others))
        lines[at:at] = others[start : start + 1 + pick(4)]
    elif act == 4:
        lines.insert(at, _one_of(stock.tokens, pick) + b" = " + _one_of(stock.tokens, pick))
    else:
        name, equals, _ = lines[at].partition(b"=")
        lines[at] = name + (equals or b" = ") + _one_of(stock.tokens, pick)
    return b"\n".join(lines)


def change_json(body: bytes, stock: Stock, pick: Pick) -> bytes:
    """A member or an item changed, taken out, doubled, renamed, wrapped, or taken from another input."""
    tree = read_tree(body)
    if tree is None:
        return change_bytes(body, stock, pick)
    other = read_tree(_one_of(stock.inputs, pick))
    return write_tree(tree_changed(tree, other, [word.decode(errors="replace") for word in stock.tokens], pick))


def change_told(body: bytes, stock: Stock, pick: Pick) -> bytes:
    """The JSON in one line of a story; other lines' JSON to take from."""
    lines = body.split(b"\n")
    at = pick(len(lines))
    teller, space, said = lines[at].partition(b" ")
    others = [line.partition(b" ")[2] for line in _one_of(stock.inputs, pick).split(b"\n")]
    told = change_json(said, Stock([*others, said], stock.tokens), pick)
    return b"\n".join([*lines[:at], teller + space + told, *lines[at + 1 :]])


def mutated(body: bytes, stock: Stock, mutators: Sequence[Mutator], pick: Pick) -> bytes:
    """Return ``body`` with a small change, or a few: what is changed a lot is refused for the same few reasons."""
    for _ in range(_HOW_MANY[pick(len(_HOW_MANY))]):
        body = mutators[pick(len(mutators))](body, stock, pick)[:MAX_BYTES]
    return body


def _one_of(choices: Sequence[bytes], pick: Pick) -> bytes:
    return choices[pick(len(choices))] if choices else b""
