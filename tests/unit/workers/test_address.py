"""Where a worker's endpoint listens."""

from __future__ import annotations

import pytest

from workers.address import Address, parse_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:9464", Address("127.0.0.1", 9464)),
        ("localhost:0", Address("localhost", 0)),
        ("[::1]:9464", Address("::1", 9464)),
        ("", None),
    ],
)
def test_there_and_back(text: str, address: Address | None) -> None:
    """A worker would listen elsewhere than the setting says, or on where it says nothing."""
    assert parse_address(text) == address
    assert address is None or str(address) == text


@pytest.mark.parametrize("text", ["9464", ":9464", "127.0.0.1", "::1:9464", "a b:1", "h:70000", "http://h:1", "h:1/x"])
def test_what_is_none(text: str) -> None:
    """A slip would have a worker listen at every address of its host, or fail with a riddle."""
    with pytest.raises(ValueError, match="is no address: write host:port"):
        parse_address(text)


def test_each_process_has_a_port_of_its_own() -> None:
    """The second of several processes would not start."""
    first = Address("127.0.0.1", 9464)
    assert [first.of_process(number).port for number in range(3)] == [9464, 9465, 9466]
    assert first._replace(port=0).of_process(2).port == 0
