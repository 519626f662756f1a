"""The customers of several branches: each branch a table in either app, under a mapping with policies of its own.

All of it is drawn from a seed. Both apps refuse something that the other takes: a ``!`` in the phone number, in the
town; a name that is there already; a country without a code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping as Dict
from random import Random
from typing import Any, NamedTuple

from ops.demo.northwind import COUNTRY_CODES, Customer
from tests.acceptance.table_apps import AppTable
from workers.mapping import Direction, MappedField, Mapping

LEFT = ("name", "address", "city", "post_code", "country", "phone", "fax", "credit", "rating")
RIGHT = ("title", "line1", "town", "zip", "country_name", "telephone", "telefax", "credit_limit", "stars")
NUMBERS = {"credit", "rating", "credit_limit", "stars"}
COUNTRIES = {"country", "country_name"}

TOKEN = re.compile(r"#(\d+)#")
"""In every text that a user enters there is one; no two are the same."""


class Branch(NamedTuple):
    """A pair of tables, and what the mapping file says of them."""

    name: str
    left: AppTable
    right: AppTable
    toml: str
    only_coupled: bool

    def table(self, app: str) -> AppTable:
        """Its table in the app."""
        return self.left if app == "bc" else self.right


def draw_branch(number: int, chance: Random) -> Branch:
    """Return a branch with random policies."""
    left = _table(f"customer{number}", f"customers_{number}", "number {text_key}", LEFT, "phone")
    right = _table(f"account{number}", f"accounts_{number}", "id {identity}", RIGHT, "town")
    name, only_coupled = f"branch{number}", chance.random() < 0.4
    way = chance.choice(["both"] * 5 + ["to_left", "to_right"])
    options = {
        "left": f"bc/{left.wire}",
        "right": f"sales/{right.wire}",
        "direction": way,
        "detect": chance.choice(["record", "field"]),
        "on_update_conflict": chance.choice(["manual", "left", "right", "newest"]),
        "on_deletion": chance.choice(["manual", "restore", "delete", "uncouple"]),
        "clock_skew": chance.choice(["0s", "10ms", "2s"]),
    }
    brake = chance.choice(["", "", f"max_deletes_per_minute = {chance.choice([2, 5])}"])
    lines = [
        f'name = "{name}"',
        brake or "max_deletes_per_minute = 0",
        *(f'{key} = "{value}"' for key, value in options.items()),
    ]
    lines += [f"only_coupled = {str(only_coupled).lower()}", 'match_on = [["name"]]', *_fields(way, chance)]
    return Branch(name, left, right, "[[mappings]]\n" + "\n".join(lines) + "\n", only_coupled)


def _fields(way: str, chance: Random) -> list[str]:
    rules = ["manual", "left", "right", "newest", None]
    options: dict[str, dict[str, str | None]] = {name: {} for name in LEFT}
    if chance.random() < 0.5:
        together = {"group": "address", "on_conflict": chance.choice(rules)}
        options |= dict.fromkeys(("address", "city", "post_code"), together)
    options["phone"]["on_conflict"] = chance.choice(rules)
    options["fax"]["direction"] = chance.choice(["both", "to_left", "to_right"]) if way == "both" else None
    if way == "both":
        options["credit"]["on_conflict"] = chance.choice(["add", "add", "max", None])
        options["rating"]["on_conflict"] = chance.choice(["min", "max", "right", None])
    lines = []
    for left, right in zip(LEFT, RIGHT, strict=True):
        lines += ["[[mappings.fields]]", f'left = "{left}"', f'right = "{right}"']
        lines += [f'{key} = "{value}"' for key, value in options[left].items() if value is not None]
        if left == "country":
            lines += ["[mappings.fields.values]", *(f'{code} = "{title}"' for title, code in COUNTRY_CODES.items())]
    return lines


def _table(wire: str, name: str, key: str, columns: tuple[str, ...], refusing: str) -> AppTable:
    types = {column: "integer" if column in NUMBERS else "text" for column in columns}
    types[columns[0]] += " NOT NULL UNIQUE"
    types[refusing] += f" CHECK ({refusing} = replace({refusing}, '!', ''))"
    ddl = ", ".join([key, *(f"{column} {kind}" for column, kind in types.items())])
    return AppTable(wire, name, key.split(maxsplit=1)[0], columns, f"CREATE TABLE {name} ({ddl})")


def as_row(customer: Customer, app: str) -> dict[str, Any]:
    """Return the customer as a table of the app has it, without a key."""
    country = COUNTRY_CODES[customer.country] if app == "bc" else customer.country
    values = (customer.name, customer.address, customer.city, customer.post_code, country, customer.phone, customer.fax)
    return dict(zip(LEFT if app == "bc" else RIGHT, (*values, 100, 3), strict=True))


def agree(field: MappedField, left: Dict[str, Any], right: Dict[str, Any]) -> bool:
    """Say whether the two records hold the same value in this field, each in its own form."""
    one, other = left[field.left], right[field.right]
    if field.values is not None:
        one = dict(field.values).get(one, one)
    return bool(one == other)


def one_way(field: MappedField) -> str | None:
    """Return the app that this field flows to and never from."""
    return {Direction.TO_LEFT: "bc", Direction.TO_RIGHT: "sales"}.get(field.direction)


def units(mapping: Mapping, names: set[str]) -> dict[str, list[str]]:
    """Return the fields that are to be named together if these are: each group as one, the others by themselves."""
    found: dict[str, list[str]] = {}
    for field in mapping.fields:
        found.setdefault(field.group or field.name, []).append(field.name)
    return {unit: members for unit, members in found.items() if names & set(members)}
