"""A field that one mapping calls sensitive is shown by none."""

from __future__ import annotations

from messages.records import RecordRef
from store.model import Image, Side
from workers.mapping import MappingFile
from workers.mapping_file import parse_mapping_file
from workers.rules.reports import masked

FILE = """
[apps.bc]
[apps.sales]
[apps.pos]
[[mappings]]
name = "customer"
left = "bc/customer"
right = "sales/account"
[[mappings.fields]]
left = "name"
right = "title"
[[mappings.fields]]
left = "iban"
right = "bank_account"
sensitive = true
[[mappings]]
name = "shop"
left = "sales/account"
right = "pos/client"
[[mappings.fields]]
left = "title"
right = "name"
[[mappings]]
name = "bank"
left = "sales/account"
right = "pos/payer"
[[mappings.fields]]
left = "bank_account"
right = "account"
[[mappings]]
name = "payer"
left = "pos/payer"
right = "bc/payer"
[[mappings.fields]]
left = "number"
right = "no"
"""


def read() -> MappingFile:
    """The file, as it is validated at start."""
    return parse_mapping_file(FILE, "recouple.toml")


def test_a_mapping_that_does_not_map_it_masks_it() -> None:
    """The errors of one mapping would show what the other hides: unmapped fields are shown, too."""
    mapping = read().mappings["shop"]
    image = Image(record=RecordRef("sales", "account", "1"), fields={"title": "A", "bank_account": "DE02"})

    assert masked(mapping, Side.LEFT, image) == {"title": "A", "bank_account": "***"}


def test_a_mapping_that_maps_it_masks_it() -> None:
    """Whoever wrote the second mapping would have to know of the first."""
    (field,) = read().mappings["bank"].fields

    assert field.sensitive


def test_it_goes_on_from_table_to_table() -> None:
    """The value is the same, wherever it has been copied to."""
    assert read().mappings["payer"].sensitive(Side.LEFT) == {"account"}


def test_what_nobody_calls_sensitive_is_shown() -> None:
    """An operator could compare nothing."""
    assert read().mappings["customer"].sensitive(Side.LEFT) == {"iban"}
    assert read().mappings["shop"].sensitive(Side.RIGHT) == frozenset()
