"""CloudEvents JSON, there and back: what the rest of the house uses of the codec."""

from messages.dead_letters import encode_dead
from messages.decode_changes import AppMessage, decode_app_message
from messages.decode_commands import decode_command, head_of
from messages.decode_own import decode_answer, decode_error, decode_instruction
from messages.encode import (
    NoReplyWantedError,
    encode_answer,
    encode_change,
    encode_command,
    encode_error,
    encode_instruction,
    encode_outcome,
)
from messages.envelope import Limits
from messages.faults import CommandHead, InvalidCommandError, MalformedMessageError
from messages.short_lines import expand_short

__all__ = [
    "AppMessage",
    "CommandHead",
    "InvalidCommandError",
    "Limits",
    "MalformedMessageError",
    "NoReplyWantedError",
    "decode_answer",
    "decode_app_message",
    "decode_command",
    "decode_error",
    "decode_instruction",
    "encode_answer",
    "encode_change",
    "encode_command",
    "encode_dead",
    "encode_error",
    "encode_instruction",
    "encode_outcome",
    "expand_short",
    "head_of",
]
