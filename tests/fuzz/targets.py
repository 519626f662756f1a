"""Everything that is fuzzed, by name: what is done with an input, and what inputs are made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from tests.fuzz import words
from tests.fuzz.amqp_targets import amqp_properties_read
from tests.fuzz.codec_targets import app_messages, commands, publish_lines
from tests.fuzz.handling_targets import handling
from tests.fuzz.mapping_targets import durations, mapping_files
from tests.fuzz.mutations import Mutator, change_bytes, change_json, change_lines, change_told
from tests.fuzz.own_targets import own_messages
from tests.fuzz.settings_targets import broker_urls, settings
from tests.fuzz.verdicts import Run

_JSON = (change_json, change_json, change_json, change_bytes)
_STORY = (change_told, change_told, change_told, change_lines, change_bytes)


class Target(NamedTuple):
    """One part of the product that takes what others wrote.

    Attributes:
        run: Takes any bytes, and raises if and only if a property is broken.
        mutators: What may be done to an input to make another one; what stands here twice is done twice as often.
        words: What means something to the target.
        share: Of all inputs, in parts.
    """

    run: Run
    mutators: Sequence[Mutator]
    words: Sequence[bytes]
    share: int


TARGETS: Final[dict[str, Target]] = {
    "app_messages": Target(app_messages, _JSON, words.MESSAGE_WORDS, 20),
    "commands": Target(commands, _JSON, words.COMMAND_WORDS, 20),
    "own_messages": Target(own_messages, _JSON, words.OWN_WORDS, 10),
    "publish_lines": Target(publish_lines, (*_JSON, change_lines), words.LINE_WORDS, 8),
    "amqp_properties": Target(amqp_properties_read, (change_bytes,), words.AMQP_WORDS, 10),
    "mapping_files": Target(mapping_files, (change_lines, change_lines, change_bytes), words.MAPPING_WORDS, 10),
    "durations": Target(durations, (change_bytes,), words.DURATION_WORDS, 2),
    "settings": Target(settings, (change_lines, change_bytes), words.SETTING_WORDS, 5),
    "broker_urls": Target(broker_urls, (change_bytes,), words.URL_WORDS, 5),
    "handling": Target(handling, _STORY, words.STORY_WORDS, 10),
}
"""Every target by its name, which is also that of its folder in ``corpus/``."""
