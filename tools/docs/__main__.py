"""Write every page that comes out of the code, as it has to be today."""

from __future__ import annotations

from tools.docs.pages import DOCS, pages


def main() -> None:
    """Write what has changed."""
    for name, text in pages().items():
        (DOCS / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
