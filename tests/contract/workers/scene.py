"""What the states of the table of commands are made of: the mapping file, and the two records of each state."""

from __future__ import annotations

import msgspec

MAPPING_FILE = """
[apps.bc]
[apps.sales]

[[mappings]]
name = "customer"
left = "bc/customer"
right = "sales/account"
match_on = [["name"]]
[[mappings.fields]]
left = "name"
right = "title"
[[mappings.fields]]
left = "rank"
right = "grade"
values = { A = "gold", B = "silver" }
[[mappings.fields]]
left = "seller"
right = "owner"
reference = "seller"

[[mappings]]
name = "seller"
left = "bc/seller"
right = "sales/owner"
[[mappings.fields]]
left = "name"
right = "name"

[[mappings]]
name = "vendor"
left = "bc/vendor"
right = "sales/supplier"
only_coupled = false
match_on = [["name"]]
[[mappings.fields]]
left = "name"
right = "name"

[[mappings]]
name = "part"
left = "bc/part"
right = "sales/part"
direction = "to_right"
only_coupled = false
match_on = [["name"]]
[[mappings.fields]]
left = "name"
right = "name"

[[mappings]]
name = "lead"
left = "bc/lead"
right = "sales/lead"
match_on = [["name"]]
where = [{ side = "left", field = "country", is = "=", value = "DE" }]
[[mappings.fields]]
left = "name"
right = "name"

[[mappings]]
name = "item"
left = "bc/item"
right = "sales/product"
match_on = [["name"]]
on_deletion = "delete"
max_deletes_per_minute = 1
[[mappings.fields]]
left = "name"
right = "name"
"""


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """What a state is about.

    Attributes:
        left, right: The records that ``couple`` would tie.
        coupling, error: What the commands name: the error where there is one, else the coupling.
    """

    left: str = "bc/customer/1"
    right: str = "sales/account/9"
    mapping: str = "customer"
    coupling: int | None = None
    error: int | None = None
