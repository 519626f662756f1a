"""Stories to begin with: every command and a change of either side in every world, and answers of apps."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from messages.outcomes import FailureCode
from tests.fuzz.sentinels import SENTINEL
from tests.fuzz.worlds import WORLDS
from tests.unit.messages.samples import ABSENT, APPLIED, CHANGE, FAILED, changed, compact, ordered

_ORDERS: Final[dict[str, dict[str, Any]]] = {
    "couple": {"left": "bc/customer/2", "right": "sales/account/8", "keep": "left"},
    "couple_matching": {"mapping": "customer"},
    "loaded": {"table": "bc/vendor"},
    "remove_coupling": {"coupling": "$C"},
    "retry": {"error": "$E", "revision": 1},
    "retry_all": {"kind": "apply_failed"},
    "synchronize": {"coupling": "$C", "values": {"name": SENTINEL}},
    "restore_record": {"error": "$E"},
    "delete_record": {"error": "$E"},
    "dismiss": {"error": "$E"},
    "purge": {"all": True},
    "pause": {"mapping": "customer"},
    "resume": {"app": "bc"},
}


def stories() -> Iterator[bytes]:
    """Yield one story of every kind in every world, and more where much can happen."""
    left, right = (("bc", "customer/1", "name"), ("sales", "account/9", "title"))
    for name in WORLDS:
        said = [_change(app, subject, {field: SENTINEL}, at) for at, (app, subject, field) in enumerate((left, right))]
        yield _story(name, said[0], f"&{said[1]}", "+20")
        for kind, data in _ORDERS.items():
            yield _story(name, _command(kind, data), "+1")
    for name in ("in flight", "creating", "resolving", "no answer", "restore refused", "articles", "meetings"):
        for answer in (APPLIED, *(changed(FAILED, "data.code", code) for code in FailureCode)):
            for app in ("bc", "sales"):
                event = changed(changed(answer, "data.instruction", "$I"), "data.attempt", ABSENT) | {"source": app}
                yield _story(name, f"{app} {compact(event).decode()}", "+60")
    article = {
        "name": SENTINEL,
        "stock": 7,
        "price": 1.5,
        "weight": "heavy",
        "street": None,
        "iban": SENTINEL,
        "state": 2,
    }
    product = {
        "title": SENTINEL,
        "count": 9,
        "cost": 2,
        "mass": True,
        "line1": [],
        "account": SENTINEL,
        "state": "none",
    }
    both = (_change("bc", "article/1", article, 1), "&" + _change("sales", "product/9", product, 2))
    new = [_change("bc", f"article/{key}", article, key, "create") for key in (5, 6)]
    for name in ("articles", "loaded articles"):
        yield _story(name, *both, "+5", _command("synchronize", {"error": 1, "values": {"stock": SENTINEL}}))
        yield _story(name, *new, "+5", _change("sales", "product/8", product, 4, "create"), "+600")
    for stock in ([5], ["many"], [["x"], 5], ["many", 5], [None, 5]):
        yield _story("articles", *(line for at, one in enumerate(stock) for line in _stocks(one, one, at)))
        yield _story("articles", *(line for at, one in enumerate(stock) for line in _stocks(one, 9 + at, at)))
    meeting = {"name": "y", "size": 1}
    yield _story(
        "meetings", _change("clock", "meeting/9", meeting, 1), _change("bc", "meeting/2", meeting, 2, "create")
    )
    yield from _at_the_edges()


def _stocks(left: Any, right: Any, at: int) -> Iterator[str]:
    """Yield what both apps say of the stock and the name, in one batch; neither says when."""
    yield _change("bc", "article/1", {"stock": left, "name": f"l{at}"}, 2 * at, time=None)
    yield "&" + _change("sales", "product/9", {"count": right, "title": f"r{at}"}, 2 * at + 1, time=None)


def _at_the_edges() -> Iterator[bytes]:
    """Yield changes at the first and the last moment, with the least and the largest version, back and forth."""
    times = ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "0001-01-01T00:00:00Z")
    versions = (2**63 - 1, 0, 2**63 - 2)
    sides = {
        "healthy": (("bc", "customer/1", "name"), ("sales", "account/9", "title")),
        "articles": (("bc", "article/1", "name"), ("sales", "product/9", "title")),
        "meetings": (("bc", "meeting/1", "name"), ("clock", "meeting/9", "name")),
    }
    for name, (left, right) in sides.items():
        for operation in ("update", "delete", "create"):
            lines = [
                _change(app, subject, {field: f"{app}{at}"}, at, operation, time=time, version=version)
                for at, (time, version) in enumerate(zip(times, versions, strict=True))
                for app, subject, field in (left, right)
            ]
            yield _story(name, *lines, "+999999")


def _change(app: str, subject: str, fields: dict[str, Any], number: int, operation: str = "update", **more: Any) -> str:
    data = {"operation": operation, "version": more.pop("version", 5 + number), "fields": fields}
    data["modified_by"] = SENTINEL
    event = CHANGE | {
        "id": f"e{number}",
        "source": app,
        "subject": subject,
        "time": "2026-03-01T13:00:00Z",
        "data": data,
        **more,
    }
    return f"{app} {json.dumps(event)}"


def _command(kind: str, data: dict[str, Any]) -> str:
    return "! " + json.dumps(ordered(kind, data | {"reason": SENTINEL}))


def _story(name: str, *lines: str) -> bytes:
    return "\n".join((name, *lines)).encode()
