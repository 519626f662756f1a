"""The smallest mapping file that couples two apps, for tests that are about something else."""

from __future__ import annotations

ONE_FIELD = """
[apps.bc]
[apps.sales]

[[mappings]]
name = "customer"
left = "bc/customer"
right = "sales/account"
[[mappings.fields]]
left = "name"
right = "title"
"""
"""``bc/customer`` and ``sales/account``: the one's ``name`` is the other's ``title``."""
