"""Where commands are given: two apps, mappings that overlap, and a customer that nobody has coupled."""

from __future__ import annotations

from typing import Any

from tests.contract.workers.by_hand import ByHand, change

MAPPING_FILE = """
[apps.bc]
[apps.sales]

[[mappings]]
name = "customer"
left = "bc/customer"
right = "sales/account"
[[mappings.fields]]
left = "name"
right = "title"
[[mappings.fields]]
left = "city"
right = "town"

[[mappings]]
name = "prospect"
left = "bc/customer"
right = "sales/lead"
[[mappings.fields]]
left = "name"
right = "topic"

[[mappings]]
name = "prospect-too"
left = "bc/customer"
right = "sales/lead"
[[mappings.fields]]
left = "city"
right = "place"

[[mappings]]
name = "vendor"
left = "bc/vendor"
right = "sales/supplier"
only_coupled = false
match_on = [["name"]]
[[mappings.fields]]
left = "name"
right = "name"
"""


def two(hands: ByHand, left: dict[str, Any] | None = None, right: dict[str, Any] | None = None) -> None:
    """A customer and an account that nobody has coupled."""
    mine, theirs = left or {"name": "Ada", "city": "x"}, right or {"title": "Ada", "town": "x"}
    hands.say(change("bc/customer/1", 3, **mine), change("sales/account/9", 5, **theirs))
