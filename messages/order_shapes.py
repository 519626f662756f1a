"""What each command may hold in its ``data``, member by member; which members go together is in ``order_faults``.

Explicit null is as absent, here as everywhere. Every member that is checked carries, as its description, the words in
which a fault is told.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from messages.commands import Keep
from messages.envelope import MAX_VERSION, MaybeIdentifier, MaybeText
from messages.errors import ErrorKind, Family
from messages.topology import MAX_KEY_BYTES, MAX_TABLE_BYTES

MAX_NUMBER: Final = MAX_VERSION
"""The largest number of an error or a coupling, and the largest revision."""

MAX_OLDER_THAN_DAYS: Final = 36_500
"""A hundred years; what is older than that does not exist."""

_APP = "[a-z0-9_-]{1,40}"
_TABLE = f"[^/]{{1,{MAX_TABLE_BYTES}}}"

AppName = Annotated[
    Annotated[str, Meta(pattern=rf"\A{_APP}\Z")],
    Meta(description="a name of 1 to 40 of the characters a-z, 0-9, _ and -"),
]
_App = Annotated[AppName | UnsetType | None, Meta(description="the name of an app")]
_GivenMapping = Annotated[AppName, Meta(description="the name of a mapping")]
_Mapping = Annotated[AppName | UnsetType | None, Meta(description="the name of a mapping")]
_Keep = Annotated[Keep | UnsetType | None, Meta(description="left or right")]
_Record = Annotated[
    Annotated[str, Meta(pattern=rf"\A{_APP}/{_TABLE}/(?s:.{{1,{MAX_KEY_BYTES}}})\Z")],
    Meta(description="a record as app/table/key, for example bc/customer/10000"),
]
_Table = Annotated[
    Annotated[str, Meta(pattern=rf"\A{_APP}/{_TABLE}\Z")],
    Meta(description="a table as app/table, for example bc/customer"),
]
_Bounded = Annotated[int, Meta(ge=1, le=MAX_NUMBER)]
_Number = Annotated[_Bounded | UnsetType | None, Meta(description=f"an integer from 1 to {MAX_NUMBER}")]
_GivenNumber = Annotated[_Bounded, Meta(description=f"an integer from 1 to {MAX_NUMBER}")]
_Days = Annotated[
    Annotated[int, Meta(ge=0, le=MAX_OLDER_THAN_DAYS)] | UnsetType | None,
    Meta(description=f"an integer from 0 to {MAX_OLDER_THAN_DAYS}"),
]
_Flag = Annotated[bool | UnsetType | None, Meta(description="true or false")]
_Kind = Annotated[ErrorKind | UnsetType | None, Meta(description="one of " + ", ".join(ErrorKind))]
_Family = Annotated[Family | UnsetType | None, Meta(description="one of " + ", ".join(Family))]

_SCALARS: Final = {"type": ["string", "number", "boolean", "null"]}
_Sides = Annotated[
    dict[str, Annotated[Keep, Meta(description="left or right")]] | UnsetType | None,
    Meta(description="an object with left or right for each field"),
]
_Typed = Annotated[
    dict[str, Annotated[Any, Meta(extra_json_schema=_SCALARS)]] | UnsetType | None,
    Meta(description="an object with a value for each field"),
]


class OrderData(msgspec.Struct, kw_only=True):
    """The members that the ``data`` of every command may have."""

    reason: MaybeText = UNSET


class CoupleData(OrderData, kw_only=True):
    """``data`` of ``couple``."""

    left: _Record
    right: _Record
    mapping: _Mapping = UNSET
    keep: _Keep = UNSET


class CoupleMatchingData(OrderData, kw_only=True):
    """``data`` of ``couple_matching``."""

    mapping: _GivenMapping
    keep: _Keep = UNSET


class LoadedData(OrderData, kw_only=True):
    """``data`` of ``loaded``."""

    table: _Table


class TargetData(OrderData, kw_only=True):
    """``data`` of ``remove_coupling``, ``retry``, ``restore_record``, ``delete_record``: one of error and coupling."""

    error: _Number = UNSET
    coupling: _Number = UNSET
    revision: _Number = UNSET


class DismissData(OrderData, kw_only=True):
    """``data`` of ``dismiss``."""

    error: _GivenNumber
    revision: _Number = UNSET


class SynchronizeData(TargetData, kw_only=True):
    """``data`` of ``synchronize``: one of error, coupling and mapping; either keep, or fields, values or both."""

    mapping: _Mapping = UNSET
    keep: _Keep = UNSET
    fields: _Sides = UNSET
    values: _Typed = UNSET


class RetryAllData(OrderData, kw_only=True):
    """``data`` of ``retry_all``."""

    mapping: _Mapping = UNSET
    kind: _Kind = UNSET
    code: MaybeIdentifier = UNSET
    fingerprint: MaybeIdentifier = UNSET


class PurgeData(OrderData, kw_only=True):
    """``data`` of ``purge``: at most one of older_than_days and all."""

    older_than_days: _Days = UNSET
    all: _Flag = UNSET
    family: _Family = UNSET


class ScopeData(OrderData, kw_only=True):
    """``data`` of ``pause`` and ``resume``: one of app and mapping."""

    app: _App = UNSET
    mapping: _Mapping = UNSET
