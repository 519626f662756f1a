"""Messages made to be expensive: each is told apart within bounds of time and memory, at the largest size allowed."""

from __future__ import annotations

import gc
import gzip
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from messages.codec import InvalidCommandError, Limits, MalformedMessageError, decode_app_message, decode_command
from messages.transport.ports import Properties

MIB = 1024 * 1024
ROOT = Path(__file__).parents[3]

WITHIN_S = 3.0
"""Of processor time; measured is less than one on a slow machine."""

WITHIN_BYTES = 128 * MIB
"""What messages of a MiB may take while they are read one after the other."""

FIELDS = (
    '{"specversion":"1.0","id":"1","source":"bc","type":"recouple.record.changed","subject":"customer/1",'
    '"data":{"operation":"update","version":1,"fields":%s}}'
)
COMMAND = (
    '{"specversion":"1.0","id":"1","source":"ops/x","type":"recouple.command.synchronize",'
    '"data":{"error":1,"values":%s}}'
)

FRAMES = {"alone": "%s", "in a change": FIELDS, "in a command": COMMAND}


def filled(part: str, size: int = MIB - 300) -> str:
    """Repeat ``part`` up to ``size``."""
    return part * (size // len(part))


BOMBS = {
    "opening brackets": filled("["),
    "opening braces": filled('{"a":'),
    "brackets in the fields": f'{{"a":{filled("[")}',
    "lists in a list": f'{{"a":[{filled("[],")}[]]}}',
    "many members": "{" + ",".join(f'"{n}":1' for n in range(90_000)) + "}",
    "one member, many times": "{" + filled('"a":1,') + '"a":1}',
    "many empty objects": f'{{"a":[{filled("{},")}{{}}]}}',
    "a long number": f'{{"a":{filled("9")}}}',
    "a long fraction": f'{{"a":0.{filled("9")}}}',
    "many large exponents": f'{{"a":[{filled("1e308,")}1]}}',
    "an exponent without end": '{"a":1e999999999999}',
    "many exponents without end": f'{{"a":[{filled("1e99999999,")}1]}}',
    "a long text": f'{{"a":"{filled("x")}"}}',
    "many escapes": f'{{"a":"{filled(chr(92) + "u0041")}"}}',
    "lone surrogates": f'{{"a":"{filled(chr(92) + "ud800")}"}}',
    "many NUL": f'{{"a":"{filled(chr(92) + "u0000")}"}}',
    "names in an unlucky order": '{"z":1,' + ",".join(f'"n{one:07}":1' for one in range(MIB // 14)) + "}",
    "a long name": f'{{"{filled("x")}":1}}',
    "blanks": f'{{"a":{filled(" ")}1}}',
}


def read(body: bytes) -> None:
    """Decode as what an app says and as what an operator orders; what cannot be taken is told as such."""
    with suppress(MalformedMessageError):
        decode_app_message(body, Properties(), "bc", Limits())
    with suppress(MalformedMessageError, InvalidCommandError):
        decode_command(body, Properties(), "recouple", Limits())


def bombs() -> Iterator[bytes]:
    """Yield all of them: alone, as the fields of a change, and as the values of a command."""
    yield from ((frame % bomb).encode() for bomb in BOMBS.values() for frame in FRAMES.values())


@pytest.mark.parametrize("name", BOMBS)
@pytest.mark.parametrize("frame", FRAMES)
def test_a_message_takes_little_time(name: str, frame: str) -> None:
    """Else one message of an app could hold up a worker again and again."""
    body = (FRAMES[frame] % BOMBS[name]).encode()
    gc.freeze()  # else Python looks through all that other tests have left in this process, again and again
    began = time.thread_time()
    read(body)
    taken_s = time.thread_time() - began
    gc.unfreeze()

    assert taken_s < WITHIN_S


def test_no_message_takes_much_memory() -> None:
    """Else one message could have a worker killed for its memory, and then the next worker."""
    script = (
        "import resource; from tests.unit.messages.test_bombs import bombs, read; all = [*bombs()];"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss; [read(one) for one in all];"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)

    assert int(done.stdout) * 1024 < WITHIN_BYTES


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "deflate", "br", "zstd"])
def test_nothing_is_ever_unpacked(encoding: str) -> None:
    """Else a kilobyte that unpacks to a gigabyte would end the worker."""
    body = gzip.compress(b"0" * 64 * MIB)
    tracemalloc.start()
    with pytest.raises(MalformedMessageError) as refused:
        decode_app_message(body, Properties(content_encoding=encoding), "bc", Limits())
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert refused.value.reason == "wrong_encoding"
    assert peak_bytes < MIB
