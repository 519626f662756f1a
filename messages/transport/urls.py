"""Broker URLs: read once, here, and never shown with their password.

kombu and pika read the same URL differently (``//`` and ``/%2F`` for the virtual host ``/``), so neither gets to see
it: both are given the parts.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import timedelta
from pathlib import Path
from typing import TypeAlias
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import msgspec

from messages.masking import masked

_EMBEDDED_FORMS = "embedded:///relative/broker.db or embedded:////absolute/broker.db"
_AMQP_FORM = "amqp://user:password@host:5672/vhost"
_OPTION_NAME = re.compile(r"[a-z_]{1,30}")
_TLS_FILES = ("cacertfile", "certfile", "keyfile")


class BrokerUrlError(ValueError):
    """The broker's URL cannot be used; the text says why and holds no password."""


class AmqpUrl(msgspec.Struct, frozen=True, kw_only=True):
    """Where a RabbitMQ is and who we are there.

    Attributes:
        shown: The URL for logs and errors, its password masked.
        tls: Whether the connection is encrypted (``amqps``); the server's certificate is then always verified.
        cacertfile: Whom to trust for that, the system's authorities when absent.
        certfile: Our own certificate, with ``keyfile``, where the broker wants one.
    """

    host: str
    port: int
    user: str
    password: str
    virtual_host: str
    shown: str
    tls: bool = False
    cacertfile: str | None = None
    certfile: str | None = None
    keyfile: str | None = None

    def __repr__(self) -> str:
        """Leave out the password, so that no traceback and no failed comparison shows it."""
        return f"AmqpUrl({self.shown})"


class EmbeddedUrl(msgspec.Struct, frozen=True, kw_only=True):
    """Where the file of the embedded broker is.

    Attributes:
        lease: How long a delivered message stays invisible to others when its consumer falls silent.
    """

    path: Path
    shown: str
    lease: timedelta | None = None


BrokerUrl: TypeAlias = AmqpUrl | EmbeddedUrl


def parse_broker_url(url: str) -> BrokerUrl:
    """Return what ``url`` says.

    Raises:
        BrokerUrlError: the scheme is unknown or a part is missing, malformed or too much.
    """
    scheme, separator, _ = url.partition("://")
    if separator and scheme in ("amqp", "amqps"):
        return _parse_amqp(url)
    if separator and scheme == "embedded":
        return _parse_embedded(url)
    raise BrokerUrlError(f"the broker URL {masked(url)} is neither {_AMQP_FORM} (or amqps) nor {_EMBEDDED_FORMS}")


def _parse_amqp(url: str) -> AmqpUrl:
    try:
        parts = urlsplit(url)
        tls = parts.scheme == "amqps"
        host, port = parts.hostname or "", parts.port or (5671 if tls else 5672)
        host.encode("idna")
    except ValueError as error:
        reason = f"the broker URL {masked(url)} does not have the form {_AMQP_FORM} (percent-encode special characters)"
        raise BrokerUrlError(reason) from _cause(url, error)
    if not host or parts.fragment:
        raise BrokerUrlError(f"the broker URL {masked(url)} does not have the form {_AMQP_FORM}")
    files = _query(parts, _TLS_FILES if tls else ())
    return AmqpUrl(
        host=host,
        port=port,
        user=unquote(parts.username or "guest"),
        password=unquote(parts.password or "guest"),
        virtual_host=unquote(parts.path[1:]) or "/",
        shown=masked(url),
        tls=tls,
        **files,
    )


def _parse_embedded(url: str) -> EmbeddedUrl:
    malformed = f"the broker URL {masked(url)} does not have the form {_EMBEDDED_FORMS}"
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise BrokerUrlError(malformed) from _cause(url, error)
    path = unquote(parts.path[1:])
    if parts.netloc or parts.fragment or not path or path.endswith("/"):
        raise BrokerUrlError(malformed)
    lease = _query(parts, ("lease_s",)).get("lease_s")
    if lease is not None and not re.fullmatch(r"[0-9]{1,5}(\.[0-9]{1,3})?", lease):
        raise BrokerUrlError(f"lease_s in the broker URL {masked(url)} is not a number of seconds")
    return EmbeddedUrl(
        path=Path(path),
        shown=masked(url),
        lease=timedelta(seconds=float(lease)) if lease is not None else None,
    )


def _cause(url: str, error: ValueError) -> ValueError | None:
    """None where a password may stand in the URL: the error may quote a piece of it; urlsplit knows other @ as well."""
    return None if "@" in unicodedata.normalize("NFKC", url) else error


def _query(parts: SplitResult, known: tuple[str, ...]) -> dict[str, str]:
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    unknown = sorted(options.keys() - set(known))
    if unknown:
        allowed = f"known here: {', '.join(known)}" if known else "none is known here"
        # What follows the question mark of a password that should have been encoded is no option, and not to be told.
        told = "@" not in parts.query and _OPTION_NAME.fullmatch(unknown[0])
        which = f"the unknown option {unknown[0]!r}" if told else "an unknown option"
        raise BrokerUrlError(f"the broker URL {masked(parts.geturl())} has {which}; {allowed}")
    return options
