"""Inputs to begin with: what the unit tests know to be right and wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from messages import codec
from messages.errors import ErrorEvent, ErrorMessage
from tests.fuzz.json_tree import NUMBERS
from tests.fuzz.sentinels import SENTINEL
from tests.fuzz.story_seeds import stories
from tests.fuzz.words import AMQP_WORDS, DURATION_WORDS, URL_WORDS
from tests.unit.messages import test_bad_messages, test_order_faults, test_round_trips
from tests.unit.messages.samples import APPLIED, CHANGE, FAILED, NOW, ORDERED, changed, compact, ordered
from tests.unit.messages.test_short_lines import LINE
from tests.unit.workers import test_mapping_checks, test_mapping_file, test_mapping_where
from tests.unit.workers.mapping_samples import APPS, HEAD, NAME
from tests.unit.workers.test_settings import OTHERS

_ROOT: Final = Path(__file__).parents[2]
_NS: Final = "recouple"
_SECRET: Final = SENTINEL + "\0"


def seeds(name: str) -> list[bytes]:
    """Return the inputs that the target ``name`` begins with."""
    return list(dict.fromkeys(_SEEDS[name]()))


def _app_messages() -> Iterator[bytes]:
    yield from map(compact, (CHANGE, APPLIED, FAILED))
    for change in test_round_trips.CHANGES:
        yield codec.encode_change(change, _NS).body
    for outcome in test_round_trips.OUTCOMES:
        yield codec.encode_outcome(outcome, _NS).body
    for event, path, value, _, _ in test_bad_messages.MEMBERS:
        yield compact(changed(event, path, value))
    yield compact(changed(CHANGE, "data.fields.name", _SECRET))
    for old, new in ((b'"version":17', b'"version":17,"version":18'), (b'"id"', b'"\\u0069d":"e-0","id"')):
        yield compact(CHANGE).replace(old, new)
    for levels in (29, 30, 31):
        yield compact(CHANGE).replace(b"10000}", b"[" * levels + b"]" * levels + b"}")
    for number in NUMBERS:
        yield compact(FAILED).replace(b"1.5", number.encode())
        yield compact(CHANGE).replace(b"10000}", number.encode() + b"}")
    yield from (
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xef\xbb\xbf{}",
        b"\xff",
        b"[" * 40,
        compact(CHANGE).decode().encode("utf-16"),
    )


def _commands() -> Iterator[bytes]:
    yield from (compact(ordered(name, data)) for name, data in ORDERED.items())
    yield from (compact(ordered(name, data)) for name, data, _ in test_order_faults.TAKEN)
    yield from (json.dumps(ordered(name, data)).encode() for name, data, _ in test_order_faults.REFUSED)
    yield compact(ordered("synchronize", {"error": 1, "values": {"name": _SECRET}}))
    yield compact(ordered("couple", {"left": f"bc/customer/{'😀' * 1024}", "right": "sales/account/9"}))


def _own_messages() -> Iterator[bytes]:
    yield codec.encode_instruction(test_round_trips.INSTRUCTION, _NS, NOW).body
    for event in ErrorEvent:
        yield codec.encode_error(ErrorMessage(id="m", event=event, report=test_round_trips.REPORT, at=NOW), _NS).body
    error = codec.encode_error(
        ErrorMessage(id="m", event=ErrorEvent.OPENED, report=test_round_trips.REPORT, at=NOW), _NS
    )
    for time in ("2026-11-20T08:00:00", "9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00", ""):
        yield compact(json.loads(error.body) | {"time": time})
    asked = codec.CommandHead(id="c", source="ops", name="couple", reply_to="recouple.replies.x")
    for answer in test_round_trips.ANSWERS:
        yield codec.encode_answer(answer, asked, NOW).body


def _publish_lines() -> Iterator[bytes]:
    short = [LINE, LINE | {"operation": "delete"}, LINE | {"version": None, "time": "2026-11-20T08:00:00Z"}]
    yield from (json.dumps(line).encode() for line in short)
    yield b"\n".join((compact(CHANGE), b"", compact(APPLIED), json.dumps(LINE).encode(), b"x"))
    yield json.dumps(LINE | {"key": 1, "fields": {"name": SENTINEL}, "table": "a/b"}).encode()


def _amqp_properties() -> Iterator[bytes]:
    yield b""
    yield b"\x03key\x00\x00"
    yield b"\x02\xff\xff\x00\x00"
    yield from (b"\x01k\x20\x00" + len(word).to_bytes(4, "big") + word for word in AMQP_WORDS)
    texts = b"".join(bytes([len(word)]) + word for word in (b"application/json", b"utf-8"))
    rest = b"\x02\x05" + b"".join(bytes([len(word)]) + word for word in (b"c", b"reply", b"1000", b"m-1"))
    rest += (1_700_000_000).to_bytes(8, "big") + b"".join(bytes([len(word)]) + word for word in (b"t", b"jane", b"bc"))
    yield b"\x01k\xdf\xf8" + texts + rest
    many = b"".join(bytes([2]) + b"h%c" % (97 + at) + b"S\x00\x00\x03\xe8" + "😀".encode() * 250 for at in range(20))
    yield b"\x01k\x20\x00" + len(many).to_bytes(4, "big") + many


def _mapping_files() -> Iterator[bytes]:
    yield (_ROOT / "recouple.toml").read_bytes()
    yield (APPS + HEAD + NAME).encode()
    for module in (test_mapping_file, test_mapping_checks, test_mapping_where):
        for text, _, _ in module.FAULTS.values():
            yield text.encode()
    for text in test_mapping_checks.ALLOWED.values():
        yield text.encode()
    yield f'{APPS}{HEAD}{NAME}values = [["{SENTINEL}", 1], ["{SENTINEL}", 2]]'.encode()
    yield from (b"", b"\xff", b"\xef\xbb\xbf[apps.bc]", b"x = 1e99999999999999999999")


def _durations() -> Iterator[bytes]:
    yield from (b"", b"0s", b"1d2h3m4s5ms", b"999999d999999h", *DURATION_WORDS)


def _settings() -> Iterator[bytes]:
    yield b""
    yield _lines(OTHERS)
    for name, text in OTHERS.items():
        yield _lines({name: f"{text}x"})
    yield from (
        _lines({f"RECOUPLE_{kind}_URL_FILE": name}) for kind in ("STORE", "BROKER") for name in ("amqp", "sqlite")
    )
    yield from (_lines({"RECOUPLE_BROKER_URL_FILE": name}) for name in ("empty", "binary", "folder", "missing"))
    for url in (f"postgresql+psycopg://ada:{SENTINEL}@db/x", f"postgresql+psycopg://ada@corp:{SENTINEL}@db/x"):
        yield _lines({"RECOUPLE_STORE_URL": url})


def _broker_urls() -> Iterator[bytes]:
    yield from URL_WORDS
    for url in (
        "amqp://ada:{}@mq",
        "amqps://ada:{}@mq:1/v?cacertfile=x",
        "amqp://ada:5?{}@mq",
        "x://ada:{}#y@mq:z/?a=b",
    ):
        yield url.format(SENTINEL).encode()
    yield from (
        b"embedded:///x.db?lease_s=2.5",
        b"embedded:////x.db",
        b"amqp://[::1]:5673/%2F",
        b"amqp://mq?heartbeat=5",
    )


def _lines(environ: Mapping[str, str]) -> bytes:
    return "\n".join(f"{name}={text}" for name, text in environ.items()).encode()


_SEEDS: Final = {
    "app_messages": _app_messages,
    "commands": _commands,
    "own_messages": _own_messages,
    "publish_lines": _publish_lines,
    "amqp_properties": _amqp_properties,
    "mapping_files": _mapping_files,
    "durations": _durations,
    "settings": _settings,
    "broker_urls": _broker_urls,
    "handling": stories,
}
