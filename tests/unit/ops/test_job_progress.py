"""Waiting for the answer of a job: for as long as it gets on."""

from __future__ import annotations

import io
import os
import signal
import subprocess
from contextlib import closing
from datetime import timedelta

import msgspec
import pytest

from messages.codec import encode_answer
from messages.commands import Command, Done, Purge
from ops.job_progress import job_progress
from ops.ordering import NoAnswerError, await_answer
from ops.printing import make_console
from ops.wiring import Session
from store import jobs as job_store
from store.connect import open_store
from store.jobs import Counters, Job
from tests.unit.ops.samples import NOW, RECOUPLE, World

PURGE = Command(id="c1", source="ops/jane", name="purge", order=Purge())


def session_of(world: World, err: io.StringIO) -> Session:
    """A run of the command line whose stderr is looked at."""
    return Session(world.settings, make_console(io.StringIO()), make_console(err), as_json=False)


def test_a_job_that_gets_on_is_noticed(world: World) -> None:
    """If it failed, the command line would give up a long job that is well on its way."""
    job = Job(command="c1", name="purge", by="ops/jane", body="{}", started_at=NOW, total=5)
    store = open_store(world.settings.store_url)
    with closing(store), job_progress(session_of(world, io.StringIO()), PURGE) as look:
        assert not look(), "there is no job yet"
        with store.transaction() as conn:
            job = job_store.insert(conn, job)
        assert look()
        assert not look(), "nothing has happened since"
        with store.transaction() as conn:
            job_store.save(conn, msgspec.structs.replace(job, done=2, counters=Counters(deleted=2)))
        assert look()


def test_without_the_store_the_answer_is_awaited_all_the_same(world: World) -> None:
    """If it failed, a machine that only reaches the broker could order nothing."""
    world.environ["RECOUPLE_STORE_URL"] = "postgresql+psycopg://u@127.0.0.1:1/x"
    with job_progress(session_of(world, io.StringIO()), PURGE) as look:
        assert not look()


def test_the_wait_is_as_long_as_the_job_gets_on(world: World) -> None:
    """If it failed, a job longer than the timeout could never be awaited, or a dead one would be awaited for ever."""
    queue, consumer = world.broker.reply_consumer()
    command = msgspec.structs.replace(PURGE, reply_to=queue)
    looks = 0

    def look() -> bool:
        nonlocal looks
        looks += 1
        if looks == 3:
            world.publish(encode_answer(Done(command="purge", result={"job": 1}), command, NOW))
        return looks <= 3

    with closing(consumer):
        answer = await_answer(consumer, command, timedelta(milliseconds=50), look)
        assert answer == Done(command="purge", result={"job": 1})
        with pytest.raises(NoAnswerError, match="no answer within 50ms"):
            await_answer(consumer, command, timedelta(milliseconds=50), lambda: False)


def test_who_stops_waiting_is_told_that_the_command_goes_on(world: World) -> None:
    """If it failed, somebody would order a second time what is already being done."""
    environ = {**os.environ, **world.environ}
    command = [*RECOUPLE, "purge", "--yes"]
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as waiting:
        while not world.bodies("recouple.commands"):
            assert waiting.poll() is None
        waiting.send_signal(signal.SIGINT)
        _, stderr = waiting.communicate(timeout=20)
    assert waiting.returncode == 3
    assert "may still be carried out" in stderr
