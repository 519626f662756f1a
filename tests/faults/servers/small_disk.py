"""A disk that is soon full: some of the machine's memory, mounted in a server's folder. Only root may mount."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from pathlib import Path

from tests.faults.servers.own import FaultUnavailableError
from tests.servers.server import Server

SIZE_BYTES = 128 * 1024 * 1024
FULL_BELOW_BYTES = 4096
ATTEMPTS = 1000


class SmallDisk:
    """A folder on a disk of its own. It goes with the server.

    Attributes:
        folder: Where it is mounted.
    """

    def __init__(self, server: Server) -> None:
        """Mount it.

        Raises:
            FaultUnavailableError: it cannot be mounted.
        """
        self.folder = server.folder / "small-disk"
        self.folder.mkdir()
        server.guard.mount(self.folder)
        mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_BYTES},mode=0700", "recouple-test", str(self.folder)]
        try:
            subprocess.run(mount, check=True, capture_output=True, text=True)
        except FileNotFoundError:
            raise FaultUnavailableError("there is no command mount, to make a small disk with") from None
        except subprocess.CalledProcessError as error:
            raise FaultUnavailableError(f"a small disk cannot be mounted: {error.stderr.strip()}") from None
        if server.owner is not None:
            shutil.chown(self.folder, server.owner)

    @property
    def _ballast(self) -> Path:
        return self.folder / "ballast"

    def fill(self) -> None:
        """Leave no page free, though whoever works there goes on taking some.

        Raises:
            FaultUnavailableError: it did not get full.
        """
        free_bytes = self._free_bytes()
        with self._ballast.open("ab") as file:
            for _ in range(ATTEMPTS):
                free_bytes = self._free_bytes()
                if free_bytes < FULL_BELOW_BYTES:
                    return
                with contextlib.suppress(OSError):  # somebody was quicker, and nothing was taken
                    os.posix_fallocate(file.fileno(), file.seek(0, os.SEEK_END), free_bytes)
        raise FaultUnavailableError(f"{free_bytes} bytes of the small disk are still free")

    def free(self) -> None:
        """Give back what ``fill`` took."""
        self._ballast.unlink(missing_ok=True)

    def _free_bytes(self) -> int:
        found = os.statvfs(self.folder)
        return found.f_bavail * found.f_frsize
