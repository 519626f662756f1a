"""How each command stands on the wire, and what is ordered by it: one row of ``ORDERS`` for each command."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import UNSET

from messages.commands import (
    Couple,
    CoupleMatching,
    DeleteRecord,
    Dismiss,
    Loaded,
    Order,
    Pause,
    Purge,
    RemoveCoupling,
    RestoreRecord,
    Resume,
    Retry,
    RetryAll,
    Synchronize,
)
from messages.faults import Fault
from messages.order_faults import (
    Document,
    couple_faults,
    purge_faults,
    scope_faults,
    synchronize_faults,
    target_faults,
)
from messages.order_shapes import (
    CoupleData,
    CoupleMatchingData,
    DismissData,
    LoadedData,
    OrderData,
    PurgeData,
    RetryAllData,
    ScopeData,
    SynchronizeData,
    TargetData,
)
from messages.records import RecordRef
from messages.values import decode_json

_Check = Callable[[Document], Iterator[Fault]]


class OrderForm(NamedTuple):
    """How one command stands on the wire: the shape of its ``data``, and the way there and back.

    Attributes:
        check: What goes together in ``data`` and what does not, where the shape does not say it all.
    """

    order: type[Order]
    shape: type[OrderData]
    read: Callable[[Any], Order]
    write: Callable[[Any], OrderData]
    check: _Check | None = None


def _alike(order: type[Order], shape: type[OrderData], check: _Check | None = None) -> OrderForm:
    """Return the form of a command whose ``data`` has the members of the order itself."""

    def read(data: OrderData) -> Order:
        return order(**_given(data, set(order.__struct_fields__)))

    def write(ordered: Order) -> OrderData:
        return shape(**_given(ordered, set(shape.__struct_fields__)))

    return OrderForm(order, shape, read, write, check)


def _given(members: msgspec.Struct, names: set[str]) -> dict[str, Any]:
    """Return those of the named members that say something."""
    found = msgspec.structs.asdict(members).items()
    return {name: value for name, value in found if name in names and value is not UNSET and value not in (None, {})}


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


def _read_purge(data: PurgeData) -> Purge:
    given = _given(data, {"older_than_days", "family"})
    return Purge(**(given | {"older_than_days": 0} if data.all is True else given))


def _write_purge(order: Purge) -> PurgeData:
    return PurgeData(older_than_days=order.older_than_days, family=order.family or UNSET)


ORDERS: Final[dict[str, OrderForm]] = {
    "couple": OrderForm(Couple, CoupleData, _read_couple, _write_couple, couple_faults),
    "couple_matching": _alike(CoupleMatching, CoupleMatchingData),
    "loaded": OrderForm(Loaded, LoadedData, _read_loaded, _write_loaded),
    "remove_coupling": _alike(RemoveCoupling, TargetData, target_faults),
    "retry": _alike(Retry, TargetData, target_faults),
    "retry_all": _alike(RetryAll, RetryAllData),
    "synchronize": _alike(Synchronize, SynchronizeData, synchronize_faults),
    "restore_record": _alike(RestoreRecord, TargetData, target_faults),
    "delete_record": _alike(DeleteRecord, TargetData, target_faults),
    "dismiss": _alike(Dismiss, DismissData),
    "purge": OrderForm(Purge, PurgeData, _read_purge, _write_purge, purge_faults),
    "pause": _alike(Pause, ScopeData, scope_faults),
    "resume": _alike(Resume, ScopeData, scope_faults),
}
"""Every command that there is, by the last word of its type."""


def order_data(order: Order, reason: str | None) -> OrderData:
    """Return the ``data`` of a command that orders this."""
    write = next(form.write for form in ORDERS.values() if isinstance(order, form.order))
    return msgspec.structs.replace(write(order), reason=reason or UNSET)


def read_order(name: str, data: str) -> Order:
    """Return what the command ``name`` orders, of its ``data`` as ``order_data`` gave it and as JSON kept it."""
    form = ORDERS[name]
    return form.read(msgspec.convert(decode_json(data), form.shape))
