"""The worker's own HTTP endpoint, over real sockets: what it answers, and that nobody can hold it up."""

from __future__ import annotations

import http.client
import io
import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import NamedTuple

import pytest
import structlog

from workers.address import Address
from workers.endpoint import MAX_REQUESTS, Endpoint, EndpointError, Page, addresses_of
from workers.logs import set_up_logging

HERE = Address("127.0.0.1", 0)
WITHIN_S = 1.0


def fail(_: str) -> Page:
    """A page with a fault."""
    raise LookupError("secret words")


PAGES: dict[str, Callable[[str], Page]] = {
    "/one": lambda accept: Page(HTTPStatus.OK, "text/plain", f"one for {accept}".encode()),
    "/bad": lambda _: Page(HTTPStatus.SERVICE_UNAVAILABLE, "application/json", b"{}"),
    "/faulty": fail,
}


class Answer(NamedTuple):
    """What came back."""

    status: int
    kind: str | None
    body: bytes


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    """An endpoint at a free port, which has little patience."""
    found = Endpoint(HERE, PAGES, within_s=WITHIN_S)
    yield found
    found.close()


def ask(endpoint: Endpoint, path: str, method: str = "GET") -> Answer:
    """Ask for a page."""
    connection = http.client.HTTPConnection(endpoint.address.host, endpoint.address.port, timeout=10)
    try:
        connection.request(method, path, headers={"Accept": "x/y"})
        response = connection.getresponse()
        return Answer(response.status, response.getheader("Content-Type"), response.read())
    finally:
        connection.close()


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for it, ten seconds at most."""
    until_s = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < until_s
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("path", "method", "answer"),
    [
        ("/one", "GET", Answer(200, "text/plain", b"one for x/y")),
        ("/one?a=b", "GET", Answer(200, "text/plain", b"one for x/y")),
        ("/one", "HEAD", Answer(200, "text/plain", b"")),
        ("/bad", "GET", Answer(503, "application/json", b"{}")),
        ("/", "GET", Answer(404, "text/plain; charset=utf-8", b"there is: /one, /bad, /faulty\n")),
        ("/../etc/passwd", "GET", Answer(404, "text/plain; charset=utf-8", b"there is: /one, /bad, /faulty\n")),
    ],
)
def test_what_it_answers(endpoint: Endpoint, path: str, method: str, answer: Answer) -> None:
    """A probe would take a sick worker for a sound one, or find nothing."""
    assert ask(endpoint, path, method) == answer


def test_nothing_can_be_changed(endpoint: Endpoint) -> None:
    """Whoever reaches the port would have more than a look."""
    assert {ask(endpoint, "/one", method).status for method in ("POST", "PUT", "DELETE")} == {501}


def test_a_page_with_a_fault_costs_that_page_only(endpoint: Endpoint) -> None:
    """A fault in a page would end the endpoint, or write a traceback with its words beside the log."""
    stream, handlers = io.StringIO(), [*logging.getLogger().handlers]
    set_up_logging("json", "info", stream, strict=True)
    try:
        with pytest.raises(http.client.RemoteDisconnected):
            ask(endpoint, "/faulty")
        wait_until(lambda: stream.getvalue().endswith("\n"))
    finally:
        structlog.reset_defaults()
        logging.getLogger().handlers[:] = handlers
    line = json.loads(stream.getvalue())
    assert (line["event"], line["raised"]) == ("endpoint.failed", "LookupError")
    assert "secret" not in stream.getvalue()
    assert ask(endpoint, "/one").status == 200


def test_who_says_nothing_holds_up_nobody_for_long(endpoint: Endpoint) -> None:
    """A handful of connections that send nothing, or a byte at a time, would shut out every probe for good."""
    before = threading.active_count()
    silent = [socket.create_connection(endpoint.address, timeout=10) for _ in range(3 * MAX_REQUESTS)]
    try:
        for one in silent[::2]:
            one.sendall(b"GET /one HT")
        assert threading.active_count() <= before + MAX_REQUESTS
        wait_until(lambda: threading.active_count() <= before)
        assert ask(endpoint, "/one").status == 200
    finally:
        for one in silent:
            one.close()


def test_a_port_in_use_is_a_sentence(endpoint: Endpoint) -> None:
    """The second worker on a host would start with a traceback, or listen nowhere without a word."""
    with pytest.raises(
        EndpointError, match=r"RECOUPLE_HTTP: cannot listen at 127\.0\.0\.1:\d+ \(Address already in use\)"
    ):
        Endpoint(endpoint.address, PAGES)
    with pytest.raises(EndpointError, match="does another worker"):
        addresses_of(endpoint.address, 2)


def test_where_several_processes_listen() -> None:
    """Some of them could not be scraped, or not be started."""
    assert addresses_of(None, 2) == [None, None]
    assert addresses_of(HERE, 2) == [HERE, HERE]
    with pytest.raises(EndpointError, match="2 processes from port 65535 on need ports beyond 65535"):
        addresses_of(Address("127.0.0.1", 65535), 2)


def test_once_closed_it_is_gone(endpoint: Endpoint) -> None:
    """The next worker could not take the port."""
    endpoint.close()
    Endpoint(endpoint.address, PAGES).close()
