"""A short look by each target at inputs that Hypothesis makes; ``make fuzz`` takes as long a one as one likes."""

from __future__ import annotations

import json
import resource
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from msgspec.structs import replace

from messages import codec
from messages.changes import Change
from messages.commands import Answer, Command
from messages.errors import ErrorMessage
from messages.instructions import Instruction
from messages.outcomes import Applied, Failed
from messages.transport.ports import Properties
from tests.fuzz import curating, strategies, verdicts
from tests.fuzz.codec_targets import APP, AT, LIMITS, NS
from tests.fuzz.hypothesis_engine import fuzz_chunk, inputs_of
from tests.fuzz.mapping_targets import durations
from tests.fuzz.mutations import Stock
from tests.fuzz.seeds import seeds
from tests.fuzz.sentinels import SENTINEL, planted, untold
from tests.fuzz.tallies import Tally
from tests.fuzz.targets import TARGETS
from tests.fuzz.verdicts import LimitExceededError, Verdict, within_limits

FEW = settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
MANY_INPUTS = 80
STORIES, EACH_STORY = 12, 20
"""Stories take longer than all other inputs: so many new ones, and of the seeds one in so many."""
_ASKED = codec.CommandHead(id="c", source="ops", name="couple", reply_to=f"{NS}.replies.fuzz")


@pytest.mark.parametrize("name", TARGETS)
def test_target(name: str) -> None:
    """Else a valid input, a bad one that is known, or something near to them, breaks a property of this target."""
    tally, stock = Tally(TARGETS[name].run), Stock(seeds(name), TARGETS[name].words)
    for seed in stock.inputs[:: EACH_STORY if name == "handling" else 1]:
        tally.note(seed)
    fuzz_chunk(inputs_of(name, stock), tally, 0, STORIES if name == "handling" else MANY_INPUTS)
    assert not tally.findings, "\n".join(words for _, words in tally.findings.values())


@FEW
@given(strategies.changes())
def test_every_change_comes_back(change: Change) -> None:
    """Else what an app says through our own encoder is another thing when it arrives."""
    sent = codec.encode_change(change, NS)
    found = codec.decode_app_message(sent.body, sent.properties, APP, LIMITS)
    assert replace(found, digest="") == change


@FEW
@given(strategies.outcomes())
def test_every_outcome_comes_back(outcome: Applied | Failed) -> None:
    """Else an adapter's answer is not the one that it gave."""
    sent = codec.encode_outcome(outcome, NS)
    found = codec.decode_app_message(sent.body, sent.properties, APP, LIMITS)
    assert replace(found, digest="") == outcome


@FEW
@given(strategies.commands())
def test_every_command_comes_back(command: Command) -> None:
    """Else an operator's order is carried out as another one."""
    sent = codec.encode_command(command, NS, AT)
    found = codec.decode_command(sent.body, Properties(reply_to=command.reply_to), NS, LIMITS)
    assert replace(found, digest="") == command


@FEW
@given(strategies.instructions(), strategies.error_messages(), strategies.answers())
def test_what_recouple_says_comes_back(instruction: Instruction, error: ErrorMessage, answer: Answer) -> None:
    """Else an adapter, or the command line, is told another thing than was said."""
    assert codec.decode_instruction(codec.encode_instruction(instruction, NS, AT).body, APP) == instruction
    assert codec.decode_error(codec.encode_error(error, NS).body) == error
    assert codec.decode_answer(codec.encode_answer(answer, _ASKED, AT).body) == answer


def test_what_breaks_is_found_and_made_small() -> None:
    """Else a broken property would be passed over, or be told with an input that nobody can read."""

    def breaks(data: bytes) -> Verdict:
        assert b"name" not in data
        return Verdict.REJECTED

    tally = Tally(breaks)
    fuzz_chunk(inputs_of("durations", Stock([b"-" * 100], [b"name", b"other"])), tally, 0, 500)
    ((data, words),) = tally.findings.values()
    assert b"name" in data
    assert "AssertionError" in words


def test_what_takes_long_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else an input that holds up a worker for minutes would pass."""
    monkeypatch.setattr(verdicts, "MAX_CPU_S", 0.2)

    def is_slow(data: bytes) -> Verdict:
        started_s = time.process_time()
        while time.process_time() - started_s < float(data):
            pass
        return Verdict.ACCEPTED

    assert within_limits(is_slow, b"0.01") is Verdict.ACCEPTED
    with pytest.raises(LimitExceededError, match="processor time"):
        within_limits(is_slow, b"0.3")


def test_what_takes_much_memory_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else an input that makes a worker grow until it is killed would pass."""
    monkeypatch.setattr(verdicts, "MAX_GROWTH_BYTES", 32 * 1024**2)
    held_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    def is_large(data: bytes) -> Verdict:
        assert bytearray(int(data))
        return Verdict.ACCEPTED

    with pytest.raises(LimitExceededError, match="MiB"):
        within_limits(is_large, b"%d" % (held_bytes + 64 * 1024**2))


@pytest.mark.parametrize(
    ("words", "body", "told"),
    [
        (f"data.version: found {SENTINEL}", '{"version": "s3nt1n3l"}', True),
        (f"data.{SENTINEL}: expected text", '{"s3nt1n3l": 1}', False),
        (f"no JSON: {SENTINEL}", '{"version": "s3nt1n3l"', True),
        ("data.version: expected an integer", '{"version": "s3nt1n3l"}', False),
    ],
)
def test_a_told_value_is_found(words: str, body: str, *, told: bool) -> None:
    """Else a fault that quotes a value would pass, or one that names a member would not."""
    if told:
        with pytest.raises(AssertionError, match="a value is told"):
            untold(words, body.encode())
    else:
        untold(words, body.encode())


@pytest.mark.parametrize(
    ("document", "found"),
    [
        ('{"type": "t", "data": {"a": ["x", 1, null]}}', {"type": "t", "data": {"a": [f"{SENTINEL}x", 1, None]}}),
        ("[]", None),
        ("{", None),
    ],
)
def test_planting(document: str, found: Any) -> None:
    """Else values would be looked for in what is said of a document that holds none."""
    with_sentinel = planted(document.encode())
    assert (None if with_sentinel is None else json.loads(with_sentinel)) == found


def test_few_inputs_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the corpus grows by inputs that show nothing new."""
    monkeypatch.setattr(curating, "MOST", 2)
    chosen = curating.fewest(durations, [b"1h", b"2h", b"", b"-", b"3h"])
    assert len(chosen) == 2
    assert {durations(data) for data in chosen} == set(Verdict)
