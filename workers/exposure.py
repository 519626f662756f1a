"""Which connections can be read, or taken over, by whoever stands between two hosts: told at start, and by health."""

from __future__ import annotations

from enum import StrEnum
from ipaddress import ip_address
from urllib.parse import parse_qs, urlsplit

import msgspec

from messages.transport.urls import AmqpUrl, parse_broker_url
from workers.settings import Settings

_VERIFYING = ("verify-full", "verify-ca")


class Exposure(StrEnum):
    """What is missing on the way to another host."""

    NOT_ENCRYPTED = "not_encrypted"
    """Passwords and records travel so that they can be read."""
    NOT_VERIFIED = "not_verified"
    """They are encrypted, if at all, for whoever answers: nobody looks at the other side's certificate."""


class Exposed(msgspec.Struct, frozen=True, kw_only=True):
    """A connection that is not protected.

    Attributes:
        setting: The variable that names it.
    """

    setting: str
    why: Exposure

    def __str__(self) -> str:
        mend = "write amqps://" if self.setting == "RECOUPLE_BROKER_URL" else "add sslmode=verify-full and sslrootcert"
        return f"{self.setting} reaches another host {self.why.replace('_', ' ')}: {mend} (docs/security.md)"


def exposed(settings: Settings) -> list[Exposed]:
    """Return which of broker and store are on another host and not protected on the way."""
    found = []
    broker = parse_broker_url(settings.broker_url)
    if isinstance(broker, AmqpUrl) and not broker.tls and not _is_here(broker.host):
        found.append(Exposed(setting="RECOUPLE_BROKER_URL", why=Exposure.NOT_ENCRYPTED))
    why = _store_exposure(settings.store_url)
    if why is not None:
        found.append(Exposed(setting="RECOUPLE_STORE_URL", why=why))
    return found


def _store_exposure(url: str) -> Exposure | None:
    parts = urlsplit(url)
    options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    host = options.get("host", parts.hostname or "")
    if not parts.scheme.startswith("postgresql") or host.startswith("/") or _is_here(host):
        return None
    mode = options.get("sslmode", "prefer")
    if mode in _VERIFYING:
        return None
    return Exposure.NOT_ENCRYPTED if mode in ("disable", "allow") else Exposure.NOT_VERIFIED


def _is_here(host: str) -> bool:
    if host in ("", "localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
