"""PostgreSQL's connections, such that each of their waits comes to an end, whatever the server does.

libpq waits for an answer without end. ``statement_timeout`` is kept by the server, and a frozen one keeps nothing;
TCP's time limits say nothing of a host whose kernel goes on acknowledging.
"""

from __future__ import annotations

from typing import Any, Self, TypeVar

import psycopg
from psycopg.abc import PQGen

_Answer = TypeVar("_Answer")

_LOOK_S = 0.1
"""How often a wait looks whether it was interrupted, as psycopg's own do."""


class NoConnectionError(psycopg.OperationalError):
    """No connection was made. The text is PostgreSQL's or libpq's; no statement was sent that it could quote."""

    @property
    def sentence(self) -> str:
        """What happened, on one line."""
        return f"the database cannot be reached: {' '.join(str(self).removeprefix('connection failed: ').split())}"


class NoAnswerError(psycopg.OperationalError):
    """PostgreSQL was silent for longer than it may take; the connection was closed."""

    sentence = "the database does not answer in time; is it frozen, or its host?"


class BoundedConnection(psycopg.Connection[Any]):
    """A connection that is closed when PostgreSQL says nothing for too long.

    Attributes:
        answer_within_s: How long PostgreSQL may take for a statement; more than its own ``statement_timeout``.
        alive_within_s: How long it may take to show that the connection still stands.
    """

    answer_within_s = 60.0
    alive_within_s = 5.0

    @classmethod
    def connect(cls, *args: Any, **kwargs: Any) -> Self:
        """Connect, within ``connect_timeout`` for each address of each host.

        Raises:
            NoConnectionError: nobody answers, or we are not let in.
        """
        try:
            return super().connect(*args, **kwargs)
        except psycopg.OperationalError as error:
            raise NoConnectionError(str(error)) from error

    def wait(self, gen: PQGen[_Answer], interval: float = _LOOK_S, timeout: float | None = None) -> _Answer:
        """Wait for what ``gen`` waits for, within the time that it may take.

        Raises:
            NoAnswerError: it took longer; whatever comes later would be taken for the answer to something else.
        """
        if timeout is None:
            # Nothing runs in autocommit but the pool's look at a connection that it is about to lend.
            timeout = self.alive_within_s if self.autocommit else self.answer_within_s
        try:
            return super().wait(gen, interval, timeout)
        except psycopg.OperationalError as error:
            if error.sqlstate is not None or self.closed:
                raise
            self.close()
            raise NoAnswerError from error
