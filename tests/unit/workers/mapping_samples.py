"""Pieces of mapping files that the tests put together, and what is wrong with them."""

from __future__ import annotations

import re

import pytest

from workers.mapping_file import MappingFileError, parse_mapping_file

APPS = """
[apps.bc]
[apps.sales]
[apps.careless]
checks_version = false
[apps.silent]
confirms = "none"
"""
HEAD = """
[[mappings]]
name = "customer"
left = "bc/customer"
right = "sales/account"
"""
NAME = """
[[mappings.fields]]
left = "name"
right = "fullname"
"""
FIELD = """
[[mappings.fields]]
left = "phone_no"
right = "telephone1"
"""
PLACE, FIRST, SECOND = "mappings[1] customer", "mappings[1] customer.fields[1]", "mappings[1] customer.fields[2]"


def faults_of(text: str) -> tuple[str, ...]:
    """What is wrong with a mapping file."""
    with pytest.raises(MappingFileError) as caught:
        parse_mapping_file(text, "recouple.toml")
    return caught.value.faults


def other_mapping(left: str, right: str, name: str = "contact") -> str:
    """A second mapping that is in order."""
    return f'[[mappings]]\nname = "{name}"\nleft = "{left}"\nright = "{right}"\n{NAME}'


def has_fault(faults: tuple[str, ...], place: str, sentence: str) -> bool:
    """Whether one of the faults stands at this place and says this."""
    expected = re.escape(f"{place}: " if place else "") + ".*" + re.escape(sentence) + ".*"
    return any(re.fullmatch(expected, fault, re.DOTALL) for fault in faults)
