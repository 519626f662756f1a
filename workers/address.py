"""Where the worker's own HTTP endpoint listens: ``host:port``."""

from __future__ import annotations

import re
from typing import NamedTuple

MAX_PORT = 65535
_FORM = re.compile(r"(?:\[(?P<v6>[0-9a-fA-F:.%a-z]+)\]|(?P<host>[A-Za-z0-9.-]+)):(?P<port>[0-9]{1,5})")


class Address(NamedTuple):
    """A host and a port; port 0 is any that is free."""

    host: str
    port: int

    def __str__(self) -> str:
        """As it is written in the setting."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def of_process(self, number: int) -> Address:
        """Return the address of the process ``number``, from 0, of several: each has the next port."""
        return self._replace(port=self.port + number) if self.port else self


def parse_address(text: str) -> Address | None:
    """Return the address, ``None`` for an empty text.

    Raises:
        ValueError: it is none.
    """
    if not text:
        return None
    found = _FORM.fullmatch(text)
    if found is None or int(found["port"]) > MAX_PORT:
        raise ValueError(f"{text!r} is no address: write host:port, as 127.0.0.1:9464 or [::1]:9464; empty is off")
    return Address(found["v6"] or found["host"], int(found["port"]))
