"""Messages as Hypothesis draws them: everything that the types allow, up to the limits of the contract."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from hypothesis import strategies as st

from messages.changes import Change, Operation
from messages.codec import (
    encode_answer,
    encode_change,
    encode_command,
    encode_error,
    encode_instruction,
    encode_outcome,
)
from messages.commands import (
    Answer,
    Command,
    Couple,
    CoupleMatching,
    Dismiss,
    Done,
    Keep,
    Loaded,
    Pause,
    Purge,
    RefusalCode,
    Refused,
    RestoreRecord,
    Retry,
    RetryAll,
    Synchronize,
)
from messages.errors import ErrorEvent, ErrorKind, ErrorMessage, Family
from messages.instructions import Action, Instruction, Reason
from messages.orders import ORDERS
from messages.outcomes import Applied, Failed, FailureCode
from messages.records import RecordRef
from tests.fuzz.amqp_strategies import frames
from tests.fuzz.codec_targets import APP, AT, NS
from tests.fuzz.mutations import Mutator, Stock, mutated
from tests.unit.messages.samples import TRACE
from tests.unit.messages.test_fuzz import KEPT
from tests.unit.messages.test_round_trips import REPORT

_CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
_TEXTS = st.text(_CHARACTERS, max_size=20)
_IDS = st.text(_CHARACTERS, min_size=1, max_size=50)  # 200 bytes at most
_KEYS = st.text(_CHARACTERS, min_size=1, max_size=256)
_TABLES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0/"), min_size=1, max_size=12)
_NAMES = st.from_regex(r"\A[a-z0-9_-]{1,40}\Z")
_FIELDS = st.dictionaries(_TEXTS, KEPT, max_size=4)
_NUMBERS = st.integers(1, 2**63 - 1)
_TIMES = st.datetimes(timezones=st.just(UTC))
_TRACES = st.sampled_from([None, TRACE])
_KEEPS = st.sampled_from(Keep)


def _maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


def changes() -> st.SearchStrategy[Change]:
    """Any change of ``APP``."""
    return st.builds(
        Change,
        record=st.builds(RecordRef, st.just(APP), _TABLES, _KEYS),
        id=_IDS,
        operation=st.sampled_from([one for one in Operation if one is not Operation.DELETE]),
        version=_maybe(st.integers(0, 2**63 - 1)),
        at=_maybe(_TIMES),
        fields=_FIELDS,
        modified_by=_maybe(st.text(_CHARACTERS, min_size=1)),
        instruction=_maybe(_IDS),
        traceparent=_TRACES,
    )


def outcomes() -> st.SearchStrategy[Applied | Failed]:
    """Any outcome of ``APP``."""
    both = {
        "app": st.just(APP),
        "id": _IDS,
        "instruction": _IDS,
        "attempt": _maybe(st.integers(1, 2**31 - 1)),
        "at": _maybe(_TIMES),
        "traceparent": _TRACES,
    }
    applied = st.builds(
        Applied, **both, key=_maybe(_KEYS), version=_maybe(st.integers(0, 2**63 - 1)), fields=_maybe(_FIELDS)
    )
    waits = st.timedeltas(timedelta(0), timedelta(days=7))
    failed = st.builds(Failed, **both, code=st.sampled_from(FailureCode), detail=_TEXTS, retry_after=_maybe(waits))
    return st.one_of(applied, failed)


def commands() -> st.SearchStrategy[Command]:
    """Any command."""
    records = st.builds(RecordRef, _NAMES, _TABLES, _KEYS)
    typed = st.dictionaries(
        _TEXTS.filter(bool), KEPT.filter(lambda value: not isinstance(value, list | dict)), min_size=1
    )
    orders = st.one_of(
        st.builds(Couple, left=records, right=records, mapping=_maybe(_NAMES), keep=_maybe(_KEEPS)),
        st.builds(CoupleMatching, mapping=_NAMES, keep=_maybe(_KEEPS)),
        st.builds(Loaded, app=_NAMES, table=_TABLES),
        st.builds(Retry, error=_NUMBERS, revision=_maybe(_NUMBERS)),
        st.builds(RestoreRecord, coupling=_NUMBERS, revision=_maybe(_NUMBERS)),
        st.builds(Dismiss, error=_NUMBERS, revision=_maybe(_NUMBERS)),
        st.builds(Synchronize, mapping=_NAMES, keep=_KEEPS),
        st.builds(Synchronize, error=_NUMBERS, revision=_maybe(_NUMBERS), values=typed),
        st.builds(RetryAll, mapping=_maybe(_NAMES), kind=_maybe(st.sampled_from(ErrorKind)), code=_maybe(_IDS)),
        st.builds(Purge, older_than_days=st.integers(0, 36_500), family=_maybe(st.sampled_from(Family))),
        st.builds(Pause, app=_NAMES),
    )
    return st.builds(_command, orders, _IDS, _IDS, _maybe(_TEXTS.filter(bool)), _TRACES)


def _command(order: Any, id_: str, source: str, reason: str | None, trace: str | None) -> Command:
    name = next(name for name, form in ORDERS.items() if isinstance(order, form.order))
    reply_to = f"{NS}.replies.fuzz"
    return Command(id=id_, source=source, name=name, order=order, reason=reason, reply_to=reply_to, traceparent=trace)


def instructions() -> st.SearchStrategy[Instruction]:
    """Any instruction to ``APP``."""
    return st.builds(
        Instruction,
        app=st.just(APP),
        id=_IDS,
        action=st.sampled_from(Action),
        table=_TABLES,
        key=_maybe(_KEYS),
        fields=_FIELDS,
        if_version=_maybe(_NUMBERS),
        coupling=st.integers(0, 2**63 - 1),
        reason=st.sampled_from(Reason),
        attempt=st.integers(1, 2**31 - 1),
        traceparent=_TRACES,
    )


def error_messages() -> st.SearchStrategy[ErrorMessage]:
    """Any error message about one report, with any values."""
    reports = st.builds(_report, _FIELDS, _TEXTS, _TIMES)
    return st.builds(
        ErrorMessage, id=_IDS, event=st.sampled_from(ErrorEvent), report=reports, at=_TIMES, traceparent=_TRACES
    )


def _report(base: dict[str, Any], detail: str, at: datetime) -> Any:
    return type(REPORT)(
        **{name: getattr(REPORT, name) for name in REPORT.__struct_fields__}
        | {"base": base, "detail": detail, "opened_at": at}
    )


def answers() -> st.SearchStrategy[Answer]:
    """Any answer to a command."""
    refused = st.builds(
        Refused, command=_NAMES, code=st.sampled_from(RefusalCode), detail=_TEXTS, error=_maybe(_FIELDS)
    )
    return st.one_of(st.builds(Done, command=_NAMES, result=_FIELDS), refused)


_ASKED = Command(id="c", source="ops", name="retry", order=Retry(error=1), reply_to=f"{NS}.replies.fuzz")

ENCODED: dict[str, st.SearchStrategy[bytes]] = {
    "app_messages": st.one_of(
        changes().map(lambda change: encode_change(change, NS).body),
        outcomes().map(lambda outcome: encode_outcome(outcome, NS).body),
    ),
    "commands": commands().map(lambda command: encode_command(command, NS, AT).body),
    "own_messages": st.one_of(
        instructions().map(lambda instruction: encode_instruction(instruction, NS, AT).body),
        error_messages().map(lambda message: encode_error(message, NS).body),
        answers().map(lambda answer: encode_answer(answer, _ASKED, AT).body),
    ),
    "amqp_properties": frames(),
}
"""Good inputs, of the targets that take single messages."""


@st.composite
def mutations(draw: st.DrawFn, stock: Stock, mutators: Sequence[Mutator]) -> bytes:
    """One of the inputs in stock, with a few small changes."""

    def pick(many: int) -> int:
        return draw(_below(many))

    return mutated(stock.inputs[pick(len(stock.inputs))], stock, mutators, pick)


@lru_cache(maxsize=4096)
def _below(many: int) -> st.SearchStrategy[int]:
    return st.integers(0, many - 1)
