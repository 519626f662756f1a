"""A message on its way to dead: nothing of it lost, and nothing in it that could close our connection."""

from __future__ import annotations

from datetime import timedelta, timezone
from decimal import Decimal
from typing import Any

from messages.codec import encode_dead
from messages.dead import DeadLetter, DeadReason
from messages.dead_letters import encode_replay
from messages.transport.limits import travels
from messages.transport.ports import Delivery, Properties, Publication
from tests.unit.messages.samples import NOW

LETTER = DeadLetter(
    reason=DeadReason.MALFORMED,
    detail="data.version: missing",
    field="data.version",
    queue="recouple.changes.bc",
    at=NOW.astimezone(timezone(timedelta(hours=2))),
)
REASON = {
    "x-recouple-reason": "malformed",
    "x-recouple-detail": "data.version: missing",
    "x-recouple-field": "data.version",
    "x-recouple-queue": "recouple.changes.bc",
    "x-recouple-at": "2026-11-20T08:00:00Z",
}


def delivery(**properties: Any) -> Delivery:
    """A delivery with these properties."""
    return Delivery(queue="recouple.changes.bc", body=b"\xff\0{", properties=Properties(**properties), tag=1)


def test_dead_letter() -> None:
    """The bytes must come out as they went in, else a replay is another message."""
    publication = encode_dead(delivery(message_id="e-1", content_type="text/plain", timestamp_s=5), LETTER, "recouple")
    assert (publication.exchange, publication.routing_key) == ("recouple.dead", "recouple.changes.bc")
    assert publication.body == b"\xff\0{"
    assert publication.properties == Properties(
        message_id="e-1", content_type="text/plain", timestamp_s=5, headers=REASON
    )


def test_what_is_kept_of_the_headers() -> None:
    """Plain headers are the sender's and stay; those that a broker acts on would act with our rights."""
    headers = {
        "tenant": "x",
        "n": 5,
        "ok": True,
        "CC": ["sales.account.update"],
        "BCC": ["x"],
        "x-death": [{}],
        "Cc": "x",
    }
    publication = encode_dead(delivery(headers=headers), LETTER, "recouple")
    assert publication.properties.headers == {"tenant": "x", "n": 5, "ok": True} | REASON


def test_an_earlier_reason_gives_way() -> None:
    """A message that was replayed and is dead again says why it is now."""
    headers = {"x-recouple-reason": "not_json", "x-recouple-other": "x"}
    assert encode_dead(delivery(headers=headers), LETTER, "recouple").properties.headers == REASON


def test_what_cannot_be_published_is_left_out() -> None:
    """A property that AMQP cannot carry would close the connection, and the message would come again, forever."""
    publication = encode_dead(
        delivery(
            message_id="x" * 256,
            type="\ud800",
            app_id="ü" * 128,
            timestamp_s=-1,
            user_id="jane",
            headers={"x" * 256: 1, "a": "\ud800", "b": 2**63, "c": Decimal(1), "d": None, "e": "x" * 1001, "\ud800": 1},
        ),
        LETTER,
        "recouple",
    )
    assert publication.properties == Properties(headers=REASON)


def test_what_the_broker_said_of_an_earlier_death_is_left_out() -> None:
    """Else it would be told of the next death, too, whatever that one came from: the broker only says it once."""
    said = {"x-first-death-reason": "delivery_limit", "x-last-death-queue": "q", "x-death": "d", "kept": "yes"}
    again = encode_replay(Delivery(queue="ns.dead", body=b"", properties=Properties(headers=said), tag=1))

    assert again.properties.headers == {"kept": "yes"}


def test_headers_are_bounded() -> None:
    """All headers have to fit into one frame, or the connection is closed."""
    letter = DeadLetter(reason=DeadReason.MALFORMED, detail="ü" * 5000, field="\ud800" * 5000, queue="q", at=NOW)
    headers = {f"h{number}": "x" * 1000 for number in range(500)}
    publication = encode_dead(delivery(headers=headers), letter, "recouple")
    assert len(publication.properties.headers) <= 55
    assert max(len(str(text)) for text in publication.properties.headers.values()) == 1000
    assert sum(len(str(text).encode()) for text in publication.properties.headers.values()) < 100_000


def test_headers_leave_room_for_ours() -> None:
    """A sender may fill a frame with headers; were they all kept, the dead letter could never be published."""
    headers = {f"h{number}": "😀" * 790 for number in range(37)}
    assert travels(Publication(exchange="", routing_key="", body=b"", properties=Properties(headers=headers)))
    publication = encode_dead(delivery(headers=headers), LETTER, "recouple")
    assert travels(publication)
    kept = publication.properties.headers
    assert kept.items() >= REASON.items()
    assert 60_000 < sum(len(str(text).encode()) for text in kept.values()) < 70_000
