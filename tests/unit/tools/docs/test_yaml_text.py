"""YAML as it is written for ``docs/asyncapi.yaml``."""

from __future__ import annotations

from typing import Any

import pytest

from tools.docs.yaml_text import yaml_text


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ({}, "{}\n"),
        ({"a": {}, "b": []}, "a: {}\nb: []\n"),
        ({"a": {"b": 1}}, "a:\n  b: 1\n"),
        ({"a": ["x", None, True, 1.5]}, 'a:\n  - "x"\n  - null\n  - true\n  - 1.5\n'),
        ({"a": [{"b": 1, "c": {"d": 2}}]}, "a:\n  - b: 1\n    c:\n      d: 2\n"),
        ([[1, 2], {}], "- - 1\n  - 2\n- {}\n"),
        ({"$ref": "#/a", "on": 1, "x-y.z": "ü"}, '"$ref": "#/a"\n"on": 1\nx-y.z: "ü"\n'),
        ({"a": 'say "no": # {}\n'}, 'a: "say \\"no\\": # {}\\n"\n'),
    ],
)
def test_a_document_is_written_so_that_yaml_reads_it_back(document: Any, text: str) -> None:
    """Else a tool would read a number, a comment or a structure where a text was meant."""
    assert yaml_text(document) == text
