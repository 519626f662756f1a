"""Cleans up after servers that a run started, however that run ends: a process that outlives it for a moment.

It is told what was made, a line each, through a pipe that only the run holds. When the pipe closes, because the run is
done with it, failed or was killed, it undoes everything in reverse order: kills the processes, unmounts, removes.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import IO

import psutil

KILLED_WITHIN_S = 10
CLEANED_WITHIN_S = 30


class Guard:
    """The run's side: says what was made."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is for the run; what follows from it is for the guard
        )

    def folder(self, path: Path) -> None:
        """Have the folder removed."""
        self._tell("folder", str(path))

    def mount(self, path: Path) -> None:
        """Have what is mounted there unmounted, if there is something then."""
        self._tell("mount", str(path))

    def process(self, pid: int) -> None:
        """Have the process killed, and all that descend from it. It must not have been waited for yet."""
        self._tell("process", str(pid))

    def close(self) -> None:
        """Have everything undone, and wait for it; a second time does nothing."""
        if self._process.returncode is not None:
            return
        self._pipe(self._process.stdin).close()
        try:
            if self._process.wait(CLEANED_WITHIN_S):
                raise RuntimeError("not everything could be cleaned up after a server: see standard error")
        finally:
            self._process.kill()
            self._process.wait()
            self._pipe(self._process.stdout).close()

    def _tell(self, what: str, name: str) -> None:
        pipe = self._pipe(self._process.stdin)
        pipe.write(f"{what} {name}\n")
        pipe.flush()
        if not self._pipe(self._process.stdout).readline():
            raise RuntimeError("the guard has died: nobody would clean up")

    @staticmethod
    def _pipe(pipe: IO[str] | None) -> IO[str]:
        assert pipe is not None
        return pipe


def family(root: psutil.Process) -> list[psutil.Process]:
    """Stop ``root``, so that it starts no more, and return it and all that descend from it."""
    try:
        root.suspend()
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def kill_family(root: psutil.Process) -> None:
    """Kill ``root`` and all that descend from it, at once and without warning."""
    members = family(root)
    for member in reversed(members):
        with contextlib.suppress(psutil.NoSuchProcess):
            member.kill()
    deadline = time.monotonic() + KILLED_WITHIN_S
    while any(map(lives, members)):
        if time.monotonic() > deadline:
            raise TimeoutError(f"processes live on after SIGKILL: {[one.pid for one in members if lives(one)]}")
        time.sleep(0.01)


def lives(process: psutil.Process) -> bool:
    """Say whether it has not ended, waited for or not."""
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


# --- the guard's side


def _kill(pid: str) -> Callable[[], None]:
    try:
        process = psutil.Process(int(pid))  # remembers when it began: another one that gets its number is left alone
    except psutil.NoSuchProcess:
        return lambda: None
    return lambda: kill_family(process)


def _unmount(path: str) -> Callable[[], None]:
    def unmount() -> None:
        if Path(path).is_mount():
            _call("umount", "--lazy", path)

    return unmount


def _remove(path: str) -> Callable[[], None]:
    def remove() -> None:
        _free_shared_memory(Path(path))
        shutil.rmtree(path)

    return remove


def _free_shared_memory(folder: Path) -> None:
    """Remove the System V segment that a killed PostgreSQL leaves behind, until the machine starts anew."""
    for lock in folder.glob("data/postmaster.pid"):
        if segment := re.search(r"^ *\d+ +(\d+)$", lock.read_text(encoding="utf-8"), re.MULTILINE):
            _call("ipcrm", "-m", segment[1])


def _call(*command: str) -> None:
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)


UNDOING = {"folder": _remove, "mount": _unmount, "process": _kill}


def main() -> None:
    """Listen until the run is over, then undo; what fails does not keep the rest from being undone."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    with ExitStack() as undoing:
        for line in sys.stdin:
            what, _, name = line.rstrip("\n").partition(" ")
            undoing.callback(UNDOING[what](name))
            print("noted", flush=True)  # noqa: T201 - the answer that the run waits for


if __name__ == "__main__":
    main()
