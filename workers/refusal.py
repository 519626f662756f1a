"""A command that cannot be carried out: refused with a code and a sentence, and nothing has happened."""

from __future__ import annotations

from messages.commands import RefusalCode


class RefusedError(Exception):
    """Raised before anything was changed; becomes the ``refused`` answer of the command."""

    def __init__(self, code: RefusalCode, detail: str) -> None:
        super().__init__(detail)
        self.code = code
