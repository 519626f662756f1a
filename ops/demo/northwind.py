"""The 91 Northwind customers, and how each of the two apps keeps them: in its own fields, forms and keys."""

from __future__ import annotations

import csv
from pathlib import Path

import msgspec

from messages.values import Value

_BEFORE_ADDRESS, _AFTER_ADDRESS = 4, 6
"""Columns before and after the address, which alone may hold commas, and is not quoted."""

COUNTRY_CODES = {
    "Argentina": "AR",
    "Austria": "AT",
    "Belgium": "BE",
    "Brazil": "BR",
    "Canada": "CA",
    "Denmark": "DK",
    "Finland": "FI",
    "France": "FR",
    "Germany": "DE",
    "Ireland": "IE",
    "Italy": "IT",
    "Mexico": "MX",
    "Norway": "NO",
    "Poland": "PL",
    "Portugal": "PT",
    "Spain": "ES",
    "Sweden": "SE",
    "Switzerland": "CH",
    "UK": "GB",
    "USA": "US",
    "Venezuela": "VE",
}
"""ISO 3166 codes, as the ERP writes countries; the CRM writes their names."""


class Customer(msgspec.Struct, frozen=True, array_like=True):
    """One row of the table, in the order of its columns; ``None`` where the file says ``NULL``."""

    number: str
    name: str
    contact: str
    job_title: str
    address: str
    city: str
    region: str | None
    post_code: str | None
    country: str
    phone: str
    fax: str | None


def read_customers() -> list[Customer]:
    """Return all customers, in the order of the file."""
    text = Path(__file__).with_name("data").joinpath("northwind-customers.csv").read_text(encoding="utf-8")
    _names, *rows = csv.reader(text.splitlines())
    return [_customer(row) for row in rows]


def _customer(row: list[str]) -> Customer:
    address = ",".join(row[_BEFORE_ADDRESS:-_AFTER_ADDRESS])
    columns = [*row[:_BEFORE_ADDRESS], address, *row[-_AFTER_ADDRESS:]]
    return msgspec.convert([None if text == "NULL" else text for text in columns], Customer)


def as_bc_customer(customer: Customer) -> dict[str, Value]:
    """Return the customer as the ERP keeps it."""
    return {
        "name": customer.name,
        "address": customer.address,
        "city": customer.city,
        "county": customer.region,
        "post_code": customer.post_code,
        "country_region_code": COUNTRY_CODES[customer.country],
        "phone_no": customer.phone,
        "fax_no": customer.fax,
    }


def as_sales_account(customer: Customer) -> dict[str, Value]:
    """Return the customer as the CRM keeps it."""
    return {
        "name": customer.name,
        "address1_line1": customer.address,
        "address1_city": customer.city,
        "address1_stateorprovince": customer.region,
        "address1_postalcode": customer.post_code,
        "address1_country": customer.country,
        "telephone1": customer.phone,
        "fax": customer.fax,
    }


def as_bc_contact(customer: Customer, company_no: str) -> dict[str, Value]:
    """Return the customer's contact as the ERP keeps it."""
    return {
        "name": customer.contact,
        "job_title": customer.job_title,
        "phone_no": customer.phone,
        "company_no": company_no,
    }


def as_sales_contact(customer: Customer, account: str) -> dict[str, Value]:
    """Return the customer's contact as the CRM keeps it, with a field that the ERP does not know."""
    return {
        "fullname": customer.contact,
        "jobtitle": customer.job_title,
        "telephone1": customer.phone,
        "parentcustomerid": account,
        "preferredcontactmethod": "email",
    }
