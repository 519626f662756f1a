"""PostgreSQL's connections, such that each of their waits comes to an end, whatever the server does.

libpq waits for an answer without end. ``statement_timeout`` is kept by the server, and a frozen one keeps nothing;
TCP's time limits say nothing of a host whose kernel goes on acknowledging.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any, Self, TypeVar, cast

import psycopg
from psycopg.abc import PQGen
from psycopg.errors import PipelineAborted

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
        is_sending: Whether nobody waits for the answer to what is executed now.
    """

    answer_within_s = 60.0
    alive_within_s = 5.0
    is_sending = False
    _pipe: AbstractContextManager[psycopg.Pipeline] | None = None

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

    @contextmanager
    def sending(self) -> Iterator[None]:
        """Send what is executed inside and go on; nobody waits for its answer before something else is asked.

        It must return no rows. What is wrong with it is raised by what is asked next, or by ``commit``.
        """
        if self._pipe is None:
            self._pipe = self.pipeline()
            self._pipe.__enter__()
        self.is_sending = True
        try:
            yield
        finally:
            self.is_sending = False
        self.pgconn.send_flush_request()  # so that its answer comes when it is done, and not with all others at the end

    def settle(self) -> None:
        """Wait for the answers to all that was sent.

        Raises:
            psycopg.Error: what PostgreSQL says of the first that went wrong; those that followed were not executed.
        """
        if self._pipe is not None:
            try:
                self._pipe.__exit__(None, None, None)
            finally:
                self._pipe = None

    def cursor(self, *args: Any, **kwargs: Any) -> Any:
        """As psycopg's; unless it is for something that is only sent, all that was sent is answered first."""
        if not self.is_sending:
            self.settle()
        return super().cursor(*args, **kwargs)

    def commit(self) -> None:
        """As psycopg's, once all that was sent is answered."""
        self.settle()
        super().commit()

    def rollback(self) -> None:
        """As psycopg's; what was wrong with what was sent does not matter any more."""
        with suppress(psycopg.Error):
            self.settle()
        super().rollback()

    def wait(self, gen: PQGen[_Answer], interval: float = _LOOK_S, timeout: float | None = None) -> _Answer:
        """Wait for what ``gen`` waits for, within the time that it may take.

        Raises:
            NoAnswerError: it took longer; whatever comes later would be taken for the answer to something else.
        """
        if timeout is None:
            # Nothing runs in autocommit but the pool's look at a connection that it is about to lend.
            timeout = self.alive_within_s if self.autocommit else self.answer_within_s
        if self._pipe is not None:  # of several statements, for each of their answers
            gen, timeout = _each_within(gen, timeout), None
        try:
            return super().wait(gen, interval, timeout)
        except psycopg.OperationalError as error:
            if error.sqlstate is not None or self.closed or isinstance(error, PipelineAborted):
                raise
            self.close()
            raise NoAnswerError from error


def _each_within(gen: PQGen[_Answer], limit_s: float) -> PQGen[_Answer]:
    """Wait for what ``gen`` waits for, as long as something comes every ``limit_s`` seconds."""
    heard_s = time.monotonic()
    try:
        state = next(gen)
        while True:
            ready = yield state
            if ready:
                heard_s = time.monotonic()
            elif time.monotonic() - heard_s > limit_s:
                raise psycopg.OperationalError("nothing was heard for too long")
            state = gen.send(ready)
    except StopIteration as end:
        return cast("_Answer", end.value)
