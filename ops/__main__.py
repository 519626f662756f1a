"""``python -m ops``: the ``recouple`` command where its entry point is not on the PATH."""

from ops.cli import main

main()
