"""A host that swallows what is sent to it, as one behind a firewall or without power does."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager


@contextmanager
def full_line() -> Iterator[int]:
    """Yield a port of this machine that answers no attempt to connect: the line before it is full."""
    with ExitStack() as waiting, socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            one = waiting.enter_context(socket.socket())
            one.settimeout(0)
            one.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]
