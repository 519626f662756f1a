"""The demo's data, and its mapping file, which has to fit it."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops.demo.northwind import (
    COUNTRY_CODES,
    Customer,
    as_bc_contact,
    as_bc_customer,
    as_sales_account,
    as_sales_contact,
    read_customers,
)
from ops.demo.story import MAPPING_FILE
from workers.mapping_file import load_mapping_file


@pytest.fixture(scope="module")
def customers() -> dict[str, Customer]:
    """All customers, by their number."""
    return {customer.number: customer for customer in read_customers()}


def test_reads_every_customer(customers: dict[str, Customer]) -> None:
    """Else the demo would show fewer than it says."""
    assert len(customers) == 91
    assert len({customer.contact for customer in customers.values()}) == 91
    assert next(iter(customers)) == "ALFKI"
    assert list(customers)[-1] == "WOLZA"


def test_puts_an_address_with_commas_together(customers: dict[str, Customer]) -> None:
    """Else every column behind it would hold its neighbour's value."""
    customer = customers["BLONP"]

    assert (customer.address, customer.city, customer.country) == ("24, place Kléber", "Strasbourg", "France")
    assert {customer.country for customer in customers.values()} <= COUNTRY_CODES.keys()


def test_null_is_no_text(customers: dict[str, Customer]) -> None:
    """Else both apps would keep a region named NULL."""
    assert customers["ALFKI"].region is None
    assert not [customer for customer in customers.values() if "NULL" in str(customer)]


def test_the_mapping_fits_the_data() -> None:
    """Else a field would be mapped that no record has, and the demo would show its being in step in vain."""
    file = load_mapping_file(MAPPING_FILE)
    customer = read_customers()[0]
    kept = {
        "customer": (as_bc_customer(customer), as_sales_account(customer)),
        "contact": (as_bc_contact(customer, "D1"), as_sales_contact(customer, "A1")),
    }

    for name, (left, right) in kept.items():
        assert {field.left for field in file.mappings[name].fields} == left.keys()
        assert {field.right for field in file.mappings[name].fields} <= right.keys()
    countries = next(field.values for field in file.mappings["customer"].fields if field.left == "country_region_code")
    assert dict(countries or ()) == {code: name for name, code in COUNTRY_CODES.items()}


def test_says_where_the_data_comes_from() -> None:
    """Else nobody could tell whose names these are."""
    assert "Northwind" in MAPPING_FILE.parent.joinpath("data", "ORIGIN.md").read_text(encoding="utf-8")
    assert Path(MAPPING_FILE).is_file()
