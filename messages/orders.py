"""What each command may hold in its ``data``, and what is ordered by it: one row of ``_ORDERS`` for each command."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final, NamedTuple

import msgspec
from msgspec import UNSET, Meta, UnsetType

from messages.commands import Couple, Keep, Loaded, Order
from messages.envelope import MaybeText
from messages.records import RecordRef
from messages.topology import MAX_KEY_BYTES, MAX_TABLE_BYTES

_APP = "[a-z0-9_-]{1,40}"
_TABLE = f"[^/]{{1,{MAX_TABLE_BYTES}}}"

AppName = Annotated[
    Annotated[str, Meta(pattern=rf"\A{_APP}\Z")],
    Meta(description="a name of 1 to 40 of the characters a-z, 0-9, _ and -"),
]
_MappingName = Annotated[AppName | UnsetType | None, Meta(description="the name of a mapping")]
_Keep = Annotated[Keep | UnsetType | None, Meta(description="left or right")]
_Record = Annotated[
    Annotated[str, Meta(pattern=rf"\A{_APP}/{_TABLE}/(?s:.{{1,{MAX_KEY_BYTES}}})\Z")],
    Meta(description="a record as app/table/key, for example bc/customer/10000"),
]
_Table = Annotated[
    Annotated[str, Meta(pattern=rf"\A{_APP}/{_TABLE}\Z")],
    Meta(description="a table as app/table, for example bc/customer"),
]


class OrderData(msgspec.Struct, kw_only=True):
    """The members that the ``data`` of every command may have."""

    reason: MaybeText = UNSET


class CoupleData(OrderData, kw_only=True):
    """``data`` of ``couple``."""

    left: _Record
    right: _Record
    mapping: _MappingName = UNSET
    keep: _Keep = UNSET


class LoadedData(OrderData, kw_only=True):
    """``data`` of ``loaded``."""

    table: _Table


class OrderForm(NamedTuple):
    """How one command stands on the wire: the shape of its ``data``, and the way there and back."""

    order: type[Order]
    shape: type[OrderData]
    read: Callable[[Any], Order]
    write: Callable[[Any], OrderData]


def _read_couple(data: CoupleData) -> Couple:
    return Couple(
        left=RecordRef.parse(data.left),
        right=RecordRef.parse(data.right),
        mapping=data.mapping or None,
        keep=data.keep or None,
    )


def _write_couple(order: Couple) -> CoupleData:
    return CoupleData(
        left=str(order.left), right=str(order.right), mapping=order.mapping or UNSET, keep=order.keep or UNSET
    )


def _read_loaded(data: LoadedData) -> Loaded:
    app, _, table = data.table.partition("/")
    return Loaded(app=app, table=table)


def _write_loaded(order: Loaded) -> LoadedData:
    return LoadedData(table=f"{order.app}/{order.table}")


ORDERS: Final[dict[str, OrderForm]] = {
    "couple": OrderForm(Couple, CoupleData, _read_couple, _write_couple),
    "loaded": OrderForm(Loaded, LoadedData, _read_loaded, _write_loaded),
}
"""Every command that there is, by the last word of its type."""


def order_data(order: Order, reason: str | None) -> OrderData:
    """Return the ``data`` of a command that orders this."""
    write = next(form.write for form in ORDERS.values() if isinstance(order, form.order))
    return msgspec.structs.replace(write(order), reason=reason or UNSET)
