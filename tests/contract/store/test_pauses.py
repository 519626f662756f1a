"""Pauses, what they hold, allowances and paces: kept over all workers, and locked in one order."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from sqlalchemy import Connection

from messages.instructions import Action
from store import brake_levels, due, outbox, paces, pauses
from store.brake_levels import Level
from store.connect import Store
from store.due import Due, DueKind
from store.model import Side
from store.pauses import Pause, Scope, is_pause
from tests.contract.store.samples import NOW, SECOND, bc, publication
from tests.unit.workers.mapping_samples import APPS, HEAD, NAME
from workers.mapping_file import parse_mapping_file

CUSTOMER = parse_mapping_file(APPS + HEAD + NAME, "recouple.toml").mappings["customer"]
MAPPING = Pause(scope=Scope.MAPPING, name="customer", at=NOW, by="ops/jane", reason="stocktaking", error=7)
APP = Pause(scope=Scope.APP, name="sales", at=NOW, by="recouple")
DELETES, CREATES = ("customer", Side.RIGHT, Action.DELETE), ("customer", Side.LEFT, Action.CREATE)


def test_a_pause_comes_back_as_it_was(connection: Connection) -> None:
    """Nobody could tell since when, by whom and why something is paused."""
    assert pauses.begin(connection, [APP, MAPPING]) == {(Scope.APP, "sales"), (Scope.MAPPING, "customer")}
    assert list(pauses.read(connection)) == [APP, MAPPING]
    assert list(pauses.hold(connection)) == [APP, MAPPING]
    assert pauses.read(connection).get(Scope.APP, "customer") is None


def test_the_first_pause_stands(connection: Connection) -> None:
    """A second operator, or the brake, would take the place of the first, and one error would be lost."""
    pauses.begin(connection, [MAPPING])
    again = Pause(scope=Scope.MAPPING, name="customer", at=NOW + SECOND, by="ops/joe")
    assert pauses.begin(connection, [again]) == set()
    assert pauses.end(connection, Scope.MAPPING, "customer") == MAPPING
    assert pauses.end(connection, Scope.MAPPING, "customer") is None


@pytest.mark.parametrize(
    ("paused", "expected"),
    [([], None), ([MAPPING], "mapping customer"), ([APP], "app sales"), ([APP, MAPPING], "mapping customer")],
    ids=["nothing", "the mapping", "an app", "both"],
)
def test_what_pauses_a_mapping(connection: Connection, paused: list[Pause], expected: str | None) -> None:
    """A mapping would go on although one of its apps is paused, or one would be held up by another's pause."""
    other = Pause(scope=Scope.MAPPING, name="other", at=NOW, by="ops/jane")
    pauses.begin(connection, [*paused, other])
    assert pauses.read(connection).of(CUSTOMER) == expected
    assert is_pause(expected) == (expected is not None)


def test_where_is_no_pause() -> None:
    """What has left the filter would wait for a command that nobody is going to give."""
    assert not is_pause("where")
    assert not is_pause(None)


def test_held_work_is_not_due_before_it_is_let_go(connection: Connection) -> None:
    """A timer would take what is paused again and again, and a drain would never end."""
    items = [
        Due(kind=DueKind.WAKE, coupling=3, mapping="customer", due_at=NOW),
        Due(kind=DueKind.ARRIVAL, record=bc(1), mapping="customer", due_at=NOW),
        Due(kind=DueKind.WAKE, coupling=4, mapping="vendor", due_at=NOW),
    ]
    due.hold(connection, items)
    later = NOW + timedelta(days=1000)
    assert due.count(connection, later) == 0
    assert due.claim(connection, later, 9) == []
    assert [due.let_go(connection, "customer", NOW, limit) for limit in (1, 9, 9)] == [1, 1, 0]
    claimed = due.claim(connection, NOW, 9)
    assert [(one.kind, one.coupling, one.record) for one in claimed] == [
        (DueKind.WAKE, 3, None),
        (DueKind.ARRIVAL, None, bc(1)),
    ]


def test_an_allowance_is_kept(connection: Connection) -> None:
    """The second batch would not know what the first has used up."""
    assert brake_levels.lock(connection, [DELETES], NOW) == {DELETES: Level(0, NOW)}
    brake_levels.save(connection, {DELETES: Level(1500, NOW + SECOND)})
    found = brake_levels.lock(connection, [DELETES, CREATES], NOW)
    assert found == {DELETES: Level(1500, NOW + SECOND), CREATES: Level(0, NOW)}
    brake_levels.reset(connection, ["other"])
    assert brake_levels.lock(connection, [DELETES], NOW) == {DELETES: Level(1500, NOW + SECOND)}
    brake_levels.reset(connection, ["customer"])
    assert brake_levels.lock(connection, [DELETES], NOW)[DELETES].thousandths == 0


def test_a_pace_is_kept(connection: Connection) -> None:
    """Two workers would each send an app as much as it can take."""
    assert paces.lock(connection, ["sales", "bc"], NOW) == {"sales": NOW, "bc": NOW}
    paces.save(connection, {"sales": NOW + SECOND})
    assert paces.lock(connection, ["sales", "bc"], NOW + 9 * SECOND) == {"sales": NOW + SECOND, "bc": NOW}


def test_a_message_is_not_published_before_its_turn(connection: Connection) -> None:
    """An app with a limit would get everything at once; others must not wait for it."""
    later, now = publication(b"later"), publication(b"now")
    name = later.properties.message_id
    assert name is not None
    outbox.put(connection, [(later, None)], {name: NOW + SECOND})
    outbox.put(connection, [(now, None)])
    assert [one.publication.body for one in outbox.claim(connection, 9, NOW, SECOND / 2)] == [b"now"]
    assert outbox.count(connection) == 2
    assert [one.publication.body for one in outbox.claim(connection, 9, NOW + SECOND, SECOND)] == [b"later", b"now"]


def test_a_resume_waits_for_what_is_being_put_off(shared_store: Store) -> None:
    """What a batch puts off while the pause ends would never be looked at again."""
    with shared_store.transaction() as conn:
        pauses.begin(conn, [MAPPING])
    held, let_go = threading.Event(), []

    def resume() -> None:
        held.wait()
        with shared_store.transaction() as conn:
            pauses.end(conn, Scope.MAPPING, "customer")
            let_go.append(due.let_go(conn, "customer", NOW, 9))

    other = threading.Thread(target=resume)
    other.start()
    with shared_store.transaction() as conn:
        assert pauses.hold(conn).of(CUSTOMER) is not None
        held.set()
        other.join(0.3)
        assert other.is_alive()
        due.hold(conn, [Due(kind=DueKind.WAKE, coupling=3, mapping="customer", due_at=NOW)])
    other.join()
    assert let_go == [1]
