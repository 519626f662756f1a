"""Every command in every state, over both stores: ``command_table`` says what comes of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pytest
from msgspec.structs import replace

from messages.orders import ORDERS
from tests.contract.workers.by_hand import ByHand
from tests.contract.workers.command_cells import cell, orders
from tests.contract.workers.command_table import TABLE
from tests.contract.workers.one_transaction import OneTransaction, in_one_transaction
from tests.contract.workers.scene import MAPPING_FILE, Scene
from tests.contract.workers.states import STATES

ABOUT_ONE = ("remove_coupling", "retry", "synchronize", "restore_record", "delete_record")
"""Commands that name an error or a coupling."""


@pytest.fixture
def hands(store_url: str) -> Iterator[ByHand]:
    """Nothing is there yet, and nothing will be."""
    with in_one_transaction(store_url, MAPPING_FILE) as hands:
        yield hands


def test_every_cell_is_filled() -> None:
    """A new command, or a new state, would have an effect in places that nobody has thought of."""
    assert TABLE.keys() == STATES.keys()
    assert {state for state, row in TABLE.items() if row.keys() != ORDERS.keys()} == set()


def cells(hands: ByHand, scene: Scene, names: Iterable[str] = ORDERS) -> dict[str, str]:
    """What each command comes to, each as if no other had been ordered."""
    assert isinstance(hands.store, OneTransaction)
    found, ordered = {}, orders(scene)
    for name in names:
        with hands.store.in_vain():
            found[name] = cell(hands, scene, ordered[name])
    return found


@pytest.mark.parametrize("state", STATES)
def test_every_command(hands: ByHand, state: str) -> None:
    """A command would do, say or log something else than the table says, or be refused and do it all the same."""
    scene = STATES[state](hands)
    assert cells(hands, scene) == TABLE[state]
    if scene.error is None or scene.coupling is None:
        return
    expected = TABLE["healthy" if state == "settled" else state]  # its error is over, its coupling is not
    by_coupling = cells(hands, replace(scene, error=None), ABOUT_ONE)
    assert by_coupling == {name: expected[name] for name in ABOUT_ONE}
