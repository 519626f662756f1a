"""``python -m examples.table_adapter``."""

from .adapter import main

main()
