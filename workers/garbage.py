"""How often the interpreter looks for garbage that reference counts do not free.

A batch makes some hundred thousand small values that live until it is over. By itself Python looks through them again
and again, and now and then through everything else that the process holds: a fifth of a worker's time
(``docs/decisions/0022``). Nothing that a batch makes refers to itself, so there is next to nothing to be found.
"""

from __future__ import annotations

import gc

YOUNG, MIDDLE, OLD = 50_000, 20, 50
"""After so many new values the young ones are looked through; and how often that happens until older ones are."""


def look_less_often() -> None:
    """Leave out what is there by now, the modules above all, and look through the rest less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, MIDDLE, OLD)
