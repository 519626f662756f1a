"""A command that cannot be carried out: refused with a code and a sentence, and nothing has happened."""

from __future__ import annotations

from collections.abc import Collection

from messages.commands import RefusalCode
from messages.errors import ErrorReport
from workers.spelling import did_you_mean


class RefusedError(Exception):
    """Raised before anything was changed; becomes the ``refused`` answer of the command.

    Attributes:
        error: As it is now, where the command was meant for an earlier revision.
    """

    def __init__(self, code: RefusalCode, detail: str, error: ErrorReport | None = None) -> None:
        super().__init__(detail)
        self.code = code
        self.error = error


def no_such(what: str, name: str, known: Collection[str], code: RefusalCode = RefusalCode.NOT_FOUND) -> RefusedError:
    """The refusal of a command that names an app or a mapping that the mapping file does not have."""
    return RefusedError(code, f"there is no {what} {name}{did_you_mean(name, known)}; there are: {', '.join(known)}")
