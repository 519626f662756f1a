"""``make docs``: the pages of ``docs/`` that come out of the code, written anew."""
