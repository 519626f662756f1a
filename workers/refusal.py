"""A command that cannot be carried out: refused with a code and a sentence, and nothing has happened."""

from __future__ import annotations

from messages.commands import RefusalCode
from messages.errors import ErrorReport


class RefusedError(Exception):
    """Raised before anything was changed; becomes the ``refused`` answer of the command.

    Attributes:
        error: As it is now, where the command was meant for an earlier revision.
    """

    def __init__(self, code: RefusalCode, detail: str, error: ErrorReport | None = None) -> None:
        super().__init__(detail)
        self.code = code
        self.error = error
