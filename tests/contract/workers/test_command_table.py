"""Every command in every state, over both stores: ``command_table`` says what comes of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from messages.orders import ORDERS
from store.connect import open_store
from store.migrate import migrate
from tests.contract.workers.by_hand import ByHand
from tests.contract.workers.command_cells import OneTransaction, Scene, cell, orders
from tests.contract.workers.command_table import TABLE
from tests.contract.workers.states import MAPPING_FILE, STATES

ABOUT_ONE = ("remove_coupling", "retry", "synchronize", "restore_record", "delete_record")
"""Commands that name an error or a coupling."""


@pytest.fixture
def hands(store_url: str) -> Iterator[ByHand]:
    """Nothing is there yet, and nothing will be."""
    migrate(store_url)
    store = open_store(store_url)
    with store.transaction() as conn:
        yield ByHand(OneTransaction(conn), MAPPING_FILE)
        conn.rollback()
    store.close()


def test_every_cell_is_filled() -> None:
    """A new command, or a new state, would have an effect in places that nobody has thought of."""
    assert TABLE.keys() == STATES.keys()
    assert {state for state, row in TABLE.items() if row.keys() != ORDERS.keys()} == set()


def cells(hands: ByHand, scene: Scene) -> dict[str, str]:
    """What each command comes to, each as if no other had been ordered."""
    assert isinstance(hands.store, OneTransaction)
    found = {}
    for name, order in orders(scene).items():
        with hands.store.in_vain():
            found[name] = cell(hands, scene, order)
    return found


@pytest.mark.parametrize("state", STATES)
def test_every_command(hands: ByHand, state: str) -> None:
    """A command would do something else than the table says, say something else, or be refused and do it all the same."""
    scene = STATES[state](hands)
    assert cells(hands, scene) == TABLE[state]
    if scene.error is None or scene.coupling is None:
        return
    by_coupling = cells(hands, replace(scene, error=None))
    over = state == "settled"  # there is no error any more, but its coupling is as good as any other
    expected = TABLE["healthy" if over else state]
    assert {name: by_coupling[name] for name in ABOUT_ONE} == {name: expected[name] for name in ABOUT_ONE}
