"""The worker's own small HTTP endpoint: a few pages, read only, off unless a setting says where.

It is bounded in every respect, so that nobody who reaches it can hold up the worker: so many requests at a time, so
long each, and no body is read.
"""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any, NamedTuple

from workers.address import MAX_PORT, Address
from workers.logs import get_logger

log = get_logger("workers.endpoint")

MAX_REQUESTS = 16
"""So many are answered at a time; who comes beyond that is sent away at once."""

REQUEST_WITHIN_S = 10.0
"""For so long one request may take, from the first byte to the last."""

_CLOSE_WITHIN_S = 2.0


class EndpointError(Exception):
    """The address cannot be listened at; says why and what to do."""


class Page(NamedTuple):
    """What a path answers."""

    status: HTTPStatus
    kind: str
    body: bytes


Pages = Mapping[str, Callable[[str], Page]]
"""By path, what makes its page; it is given the ``Accept`` header."""


class Endpoint:
    """Listens from the moment it is made, and answers in threads of its own until it is closed.

    ``within_s``: so long one request may take.

    Raises:
        EndpointError: it cannot listen there.

    Attributes:
        address: Where it listens; with the port that it was given, where any was asked for.
    """

    def __init__(self, address: Address, pages: Pages, within_s: float = REQUEST_WITHIN_S) -> None:
        try:
            self._server = _Server(address, pages, within_s)
        except OSError as error:
            raise EndpointError(_cannot_listen(address, error)) from error
        self.address = address._replace(port=int(self._server.server_address[1]))
        self._thread = threading.Thread(target=self._server.serve_forever, name="endpoint", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Listen no more; what is being answered is cut off."""
        self._server.shutdown()
        self._thread.join(_CLOSE_WITHIN_S)
        self._server.server_close()


def addresses_of(first: Address | None, processes: int) -> list[Address | None]:
    """Return where each of several processes listens: each at the next port.

    Raises:
        EndpointError: one of the ports is not free, or there is none.
    """
    if first is None:
        return [None] * processes
    if first.port and first.port + processes - 1 > MAX_PORT:
        raise EndpointError(
            f"RECOUPLE_HTTP: {processes} processes from port {first.port} on need ports beyond {MAX_PORT}"
        )
    addresses = [first.of_process(number) for number in range(processes)]
    for address in addresses:
        Endpoint(address, {}).close()
    return [*addresses]


def _cannot_listen(address: Address, error: OSError) -> str:
    why = error.strerror or type(error).__name__
    return f"RECOUPLE_HTTP: cannot listen at {address} ({why}): does another worker? Name another port, or none"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: Address, pages: Pages, within_s: float) -> None:
        self.pages, self.within_s = pages, within_s
        self.address_family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        self._room = threading.BoundedSemaphore(MAX_REQUESTS)
        self._until_s: dict[socket.socket, float] = {}
        super().__init__((address.host, address.port), _Request)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread of its own, if there is room."""
        if not self._room.acquire(blocking=False):
            self.shutdown_request(request)
            return
        self._until_s[request] = time.monotonic() + self.within_s
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # no thread is to be had
            self._forget(request)
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer, and make room."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._forget(request)

    def _forget(self, request: Any) -> None:
        self._until_s.pop(request, None)
        self._room.release()

    def service_actions(self) -> None:
        """Cut off who takes too long; called twice a second."""
        now_s = time.monotonic()
        for request, until_s in list(self._until_s.items()):
            if until_s < now_s:
                with suppress(OSError):  # it may be gone already
                    request.shutdown(socket.SHUT_RDWR)

    def server_bind(self) -> None:
        """Bind without asking a name server what this host is called."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - as the base class has it
        """Say that a page could not be made; that a client went away is its own affair."""
        fault = sys.exception()
        if not isinstance(fault, OSError):
            log.error("endpoint.failed", exc_info=fault)


class _Request(BaseHTTPRequestHandler):
    server: _Server
    server_version, sys_version = "recouple", ""

    def do_GET(self) -> None:
        """Answer with the page of the path."""
        make = self.server.pages.get(self.path.partition("?")[0])
        if make is None:
            paths = ", ".join(self.server.pages).encode()
            page = Page(HTTPStatus.NOT_FOUND, "text/plain; charset=utf-8", b"there is: " + paths + b"\n")
        else:
            page = make(self.headers.get("Accept", ""))
        self.send_response(page.status)
        self.send_header("Content-Type", page.kind)
        self.send_header("Content-Length", str(len(page.body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(page.body)

    do_HEAD = do_GET  # noqa: N815 - as the base class looks for it

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as the base class has it
        """Say nothing: what is asked how often is no news."""
