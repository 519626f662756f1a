"""Bad input through the wire, all of it in one backlog with good events between: each is told apart, the good go on."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

import pytest

from tests.acceptance.bad_messages import KEY, MARK, UNKNOWN, Bad, bad_messages
from tests.acceptance.cases import APPS, Pair, mapping
from tests.acceptance.harness import Backend, Stage, open_stage
from tests.acceptance.wire import Message, Received, change

MAPPING = "\n".join((APPS, mapping("customer", "name"), mapping("good", "name", only_coupled=False)))

NAMES = list(bad_messages(change("bc/customer/x", "update", 1, {}), UNKNOWN))

BIG = 2**70 + 1
EXACT = "0.100000000000000000000000000000001"


class Aftermath(NamedTuple):
    """A stage on which everything bad has been sent and handled.

    Attributes:
        good: How many good events were sent between.
        ignored: Events that are in order but concern nobody.
        repeated: An event that was sent twice, alike.
    """

    stage: Stage
    pair: Pair
    bad: dict[str, Bad]
    good: int
    ignored: dict[str, Message]
    repeated: Message

    def dead(self, sent: Message) -> list[Received]:
        """Return what became of ``sent`` in the dead queue."""
        return [one for one in self.stage.dead() if one.body == sent.body]


@pytest.fixture(scope="module")
def aftermath(backend: Backend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aftermath]:
    """Send everything while no worker runs, so that it waits as one backlog; then let one work it off."""
    with open_stage(backend, tmp_path_factory.mktemp("stage"), MAPPING) as stage:
        first = stage.start_worker()
        pair = Pair(stage, "customer", KEY)
        pair.couple(name="base")
        for app in ("bc", "sales"):
            stage.order("loaded", table=f"{app}/good")
        stage.settle(pair.edit("left", 2, name="in flight"))
        assert first.stop() == 0

        accepted = change("bc/customer/accepted", "update", 1, {"name": "first of its id"})
        repeated = change("bc/customer/repeated", "update", 1, {"name": "sent twice"})
        ignored = {
            "unknown table": change("bc/warehouse/1", "update", 1, {"name": MARK}),
            "unmapped fields only": pair.edit("left", 3, fax=MARK),
        }
        bad = bad_messages(accepted, pair.sent_to("right")[0])
        sent = [accepted, repeated, *ignored.values(), *(one.sent for one in bad.values()), repeated]
        between = [change(f"bc/good/{number}", "create", 1, {"name": f"{number}"}) for number in range(len(sent))]
        stage.publish(*[message for both in zip(sent, between, strict=True) for message in both])
        stage.start_worker()
        stage.settle()
        yield Aftermath(stage, pair, bad, len(between), ignored, repeated)


@pytest.mark.parametrize("name", NAMES)
def test_what_cannot_be_taken_goes_to_dead_with_a_reason_and_its_bytes_unchanged(
    aftermath: Aftermath, name: str
) -> None:
    """Else it is lost, comes again for ever, or an administrator finds it and cannot tell what is wrong with it."""
    bad = aftermath.bad[name]
    (dead,) = aftermath.dead(bad.sent)

    assert dead.body == bad.sent.body
    headers = dead.headers
    assert (headers["x-recouple-reason"], headers["x-recouple-field"]) == (bad.reason, bad.field)
    assert bad.words in headers["x-recouple-detail"]
    assert MARK not in headers["x-recouple-detail"]
    assert headers["x-recouple-queue"] == dead.routing_key == f"{aftermath.stage.namespace}.changes.bc"
    assert datetime.fromisoformat(headers["x-recouple-at"]).tzinfo is not None
    assert dead.properties["type"] == bad.sent.properties["type"]


def test_nothing_else_went_to_dead(aftermath: Aftermath) -> None:
    """Else a message in order was taken for a bad one, or a bad one came twice."""
    assert len(aftermath.stage.dead()) == len(aftermath.bad)


@pytest.mark.parametrize("name", ["unknown table", "unmapped fields only"])
def test_what_concerns_nobody_is_ignored_and_logged(aftermath: Aftermath, name: str) -> None:
    """Else an app that tells more than is wanted fills the dead queue, or nobody can find out why nothing happens."""
    sent = aftermath.ignored[name]

    assert aftermath.stage.outcome(sent) == ["ignored"]
    assert aftermath.dead(sent) == []


def test_the_same_event_again_is_a_duplicate(aftermath: Aftermath) -> None:
    """Else every redelivery by a connector would be work, or a reproach."""
    assert sorted(aftermath.stage.outcome(aftermath.repeated)) == ["duplicate", "uncoupled"]
    assert aftermath.dead(aftermath.repeated) == []


def test_the_good_events_between_go_on(aftermath: Aftermath) -> None:
    """Else one bad message holds up an app."""
    created = [event["data"]["fields"]["name"] for event in aftermath.stage.instructions("sales", "good")]

    assert sorted(created, key=int) == [str(number) for number in range(aftermath.good)]


def test_the_instruction_is_still_in_flight(aftermath: Aftermath) -> None:
    """Else whoever guesses an instruction's id answers for another app."""
    pair = aftermath.pair
    aftermath.stage.settle(aftermath.stage.apply(pair.sent_to("right")[0]))

    assert pair.standing == "synchronized"
    assert pair.writes("right") == [{"name": "in flight"}]


def test_what_was_dead_is_not_remembered_as_handled(aftermath: Aftermath) -> None:
    """Else an event that its app has mended, or that was replayed, would be a duplicate."""
    mended = change("bc/customer/mended", "update", 1, {"name": "x"}, id=aftermath.bad["no version"].sent.id)
    aftermath.stage.settle(mended)

    assert aftermath.stage.outcome(mended) == ["uncoupled"]


@pytest.mark.parametrize("text", [str(BIG), EXACT])
def test_a_number_that_no_float_holds_travels_exactly(aftermath: Aftermath, text: str) -> None:
    """Else amounts change on their way."""
    stage = aftermath.stage
    sent = change(f"bc/good/exact-{len(text)}", "create", 1, {"name": "NUMBER"})
    stage.settle(sent._replace(body=sent.body.replace(b'"NUMBER"', text.encode())))

    assert f'"fields":{{"name":{text}}}'.encode() in stage.client.arrived["instructions.sales"][-1].body


def test_no_log_line_holds_anything_of_the_messages(aftermath: Aftermath) -> None:
    """Else field values end up where logs go: with everybody."""
    for worker in aftermath.stage.workers:
        assert worker.events("batch.committed")
        assert MARK not in worker.output
        assert not worker.events("batch.failed")
    reasons = [line["reason"] for line in aftermath.stage.workers[-1].events("change.dead")]
    assert sorted(reasons) == sorted(bad.reason for bad in aftermath.bad.values())
