"""URLs as they may be shown: without anything that may be a password, also where they are malformed."""

from __future__ import annotations

import re
from typing import Final

MASK: Final = "***"

SHOWN_OPTIONS: Final = frozenset(
    {
        *("cacertfile", "certfile", "keyfile", "lease_s"),
        *("application_name", "connect_timeout", "dbname", "gssencmode", "host", "hostaddr", "keepalives", "mode"),
        *(
            "options",
            "passfile",
            "port",
            "requirepeer",
            "service",
            "sslcert",
            "sslcrl",
            "sslkey",
            "sslmode",
            "sslrootcert",
        ),
        *("ssl_max_protocol_version", "ssl_min_protocol_version", "target_session_attrs", "timeout", "uri", "user"),
    }
)
"""Options in a query whose values are shown; any other may be a secret under a name that we do not know."""

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_USER = re.compile(r"[^:/@?#\s]*:")
_USER_ALONE = re.compile(r"[^:/@?#\s]*")
_NO_PORT = re.compile(r"(\[[^\]]*\]|[^:/\[]*):(?![0-9]{1,5}(?:/|$))[^/]*")
_OPTION = re.compile(r"([&;]|^)([^=&;]*)(=?)[^&;]*")


def masked(url: str) -> str:
    """Return ``url`` with ``***`` in place of its password, of what may be one, and of options that may hold one.

    Whoever forgets to percent-encode a password has ``@ / ? #`` in it: all that stands before the last ``@`` is hidden
    but scheme and user. What stands where a port should and is none is hidden as well; so are a fragment, and what has
    no scheme.
    """
    scheme = _SCHEME.match(url)
    if scheme is None:
        _, at, rest = url.rpartition("@")
        return f":{MASK}@{_shown_rest(rest)}" if at else url and MASK
    before, at, rest = url[scheme.end() :].rpartition("@")
    return scheme[0] + (_shown_user(before) if at else "") + _shown_rest(rest)


def _shown_user(before: str) -> str:
    if _USER_ALONE.fullmatch(before):
        return f"{before}@"  # no password follows it
    user = _USER.match(before)
    return f"{user[0] if user else ':'}{MASK}@"


def _shown_rest(rest: str) -> str:
    """Return what follows the user: host, port, path and options."""
    rest, fragment, _ = rest.partition("#")
    place, mark, query = rest.partition("?")
    place = _NO_PORT.sub(rf"\1:{MASK}", place, count=1) if _NO_PORT.match(place) else place
    options = _OPTION.sub(_shown_option, query) if mark else ""
    return f"{place}{mark}{options}{f'#{MASK}' if fragment else ''}"


def _shown_option(option: re.Match[str]) -> str:
    before, name, equals = option.groups()
    if name in SHOWN_OPTIONS:
        return option[0]
    return f"{before}{name}{equals}{MASK}" if equals else f"{before}{MASK if name else ''}"
