r"""Words that mean something to each target: names of members and options, and what they can be.

What stands in no type of ours stands in ``dictionaries/``, a word a line; ``\xNN`` is a byte.
"""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec

from messages import envelope
from messages.changes import Operation
from messages.commands import Keep, RefusalCode
from messages.errors import Confidence, ErrorEvent, ErrorKind, ErrorReport, ErrorStatus, Family
from messages.instructions import Action, Instruction, Reason
from messages.orders import ORDERS
from messages.outcomes import FailureCode
from messages.short_lines import ShortChange
from tests.fuzz.sentinels import SENTINEL
from workers.settings import SETTINGS

_SAID: Final[tuple[type[StrEnum], ...]] = (Operation, FailureCode, Keep, ErrorKind, Family, Action, Reason)
_TOLD: Final[tuple[type[StrEnum], ...]] = (ErrorEvent, ErrorStatus, Confidence, RefusalCode)
_BYTE = re.compile(rb"\\x([0-9a-f]{2})")


def _members(*shapes: type[msgspec.Struct]) -> list[str]:
    return sorted({name for shape in shapes for name in shape.__struct_fields__})


def _words(*kinds: type[StrEnum]) -> list[str]:
    return [word.value for kind in kinds for word in kind]


def _file(name: str) -> tuple[bytes, ...]:
    lines = (Path(__file__).parent / "dictionaries" / f"{name}.txt").read_bytes().splitlines()
    return tuple(_BYTE.sub(lambda byte: bytes.fromhex(byte[1].decode()), line) for line in lines)


def _encoded(words: list[str]) -> tuple[bytes, ...]:
    return tuple(word.encode() for word in dict.fromkeys(words))


_EVENTS = (envelope.ChangeEvent, envelope.AppliedEvent, envelope.FailedEvent)
_DATA = (envelope.ChangeData, envelope.AppliedData, envelope.FailedData)
_TYPES = [envelope.RECORD_CHANGED, envelope.INSTRUCTION_APPLIED, envelope.INSTRUCTION_FAILED]

MESSAGE_WORDS: Final = _encoded(["type", *_members(*_EVENTS, *_DATA), *_words(*_SAID), *_TYPES, SENTINEL])
COMMAND_WORDS: Final = _encoded(
    [
        "type",
        *_members(envelope.Attributes, *(form.shape for form in ORDERS.values())),
        *(envelope.COMMAND_PREFIX + name for name in ORDERS),
        *_words(*_SAID),
        "bc/customer/1",
        "sales/account/9",
        "bc/customer",
        SENTINEL,
    ]
)
OWN_WORDS: Final = _encoded(
    [
        "type",
        *_members(Instruction, ErrorReport, *_EVENTS),
        *_words(*_SAID, *_TOLD),
        envelope.COMMAND_DONE,
        envelope.COMMAND_REFUSED,
        envelope.INSTRUCTION,
        *(envelope.ERROR_PREFIX + event for event in ErrorEvent),
    ]
)
LINE_WORDS: Final = _encoded([*_members(ShortChange, *_EVENTS), *_words(Operation), *_TYPES, "specversion", SENTINEL])
STORY_WORDS: Final = (*MESSAGE_WORDS, *COMMAND_WORDS, b"$I", b"$C", b"$E", b"name", b"title", b"rank", b"stock", b"e1")
SETTING_WORDS: Final = _encoded(
    [
        *(setting.name for setting in SETTINGS),
        *(f"{setting.name}_FILE" for setting in SETTINGS if setting.secret),
        *(setting.default for setting in SETTINGS),
        *("amqp", "sqlite", "empty", "binary", "folder", "missing"),
        f"amqp://ada:{SENTINEL}@mq/v",
        f"postgresql+psycopg://ada:{SENTINEL}@db/recouple",
        *("json", "console", "debug", "0", "1", "10000", "999999999999", "1h30m", "999999d999999h", "-1", "１"),
    ]
)
URL_WORDS: Final = _file("urls")
DURATION_WORDS: Final = _file("durations")
MAPPING_WORDS: Final = _file("mapping")
AMQP_WORDS: Final = _file("amqp")
