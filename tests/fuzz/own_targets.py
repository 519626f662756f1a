"""What Recouple itself says, as adapters and the command line read it back."""

from __future__ import annotations

from msgspec.structs import replace

from messages.codec import (
    CommandHead,
    MalformedMessageError,
    decode_answer,
    decode_error,
    decode_instruction,
    encode_answer,
    encode_error,
    encode_instruction,
)
from messages.topology import UnroutableTableError
from tests.fuzz.codec_targets import APP, AT, NS
from tests.fuzz.verdicts import Verdict

_ASKED = CommandHead(id="c", source="ops", name="couple", reply_to=f"{NS}.replies.fuzz")


def own_messages(body: bytes) -> Verdict:
    """Any bytes, as an instruction, an error and an answer: what is read can be said again."""
    verdicts = [_instruction(body), _error(body), _answer(body)]
    return Verdict.ACCEPTED if Verdict.ACCEPTED in verdicts else Verdict.REJECTED


def _instruction(body: bytes) -> Verdict:
    try:
        found = decode_instruction(body, APP)
        sent = encode_instruction(found, NS, AT)
    except MalformedMessageError as error:
        return _refused(error)
    except UnroutableTableError:
        return Verdict.REJECTED
    assert decode_instruction(sent.body, APP) == found
    return Verdict.ACCEPTED


def _error(body: bytes) -> Verdict:
    try:
        found = decode_error(body)
    except MalformedMessageError as error:
        return _refused(error)
    again = decode_error(encode_error(found, NS).body)
    assert replace(again, extensions={}) == replace(found, extensions={})
    assert again.extensions == found.extensions
    return Verdict.ACCEPTED


def _answer(body: bytes) -> Verdict:
    try:
        found = decode_answer(body)
    except MalformedMessageError as error:
        return _refused(error)
    assert decode_answer(encode_answer(found, _ASKED, AT).body) == found
    return Verdict.ACCEPTED


def _refused(error: MalformedMessageError) -> Verdict:
    (error.detail + error.field).encode()
    return Verdict.REJECTED
