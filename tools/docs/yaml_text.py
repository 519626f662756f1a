"""YAML 1.2, as much of it as a document of plain JSON values needs: texts are quoted as in JSON, which YAML takes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

_PLAIN_NAME = re.compile(r"(?!(?:true|false|null|yes|no|on|off|y|n)$)[A-Za-z][A-Za-z0-9_.-]*")


def yaml_text(document: Any) -> str:
    """Return ``document``, made of dicts, lists, texts, numbers, booleans and ``None``, in block style."""
    return "\n".join(_lines(document)) + "\n"


def _lines(value: Any) -> Iterator[str]:
    if isinstance(value, dict) and value:
        for name, member in value.items():
            shown = name if _PLAIN_NAME.fullmatch(name) else _scalar(name)
            if isinstance(member, (dict, list)) and member:
                yield f"{shown}:"
                yield from (f"  {line}" for line in _lines(member))
            else:
                yield f"{shown}: {_scalar(member)}"
    elif isinstance(value, list) and value:
        for item in value:
            first, *rest = _lines(item)
            yield f"- {first}"
            yield from (f"  {line}" for line in rest)
    else:
        yield _scalar(value)


def _scalar(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
