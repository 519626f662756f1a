"""``recouple definitions``: users, rights and, if wanted, queues, in the form that RabbitMQ imports."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import msgspec
import typer

from messages.permissions import BrokerUser, app_users, own_users
from messages.topology import Topology, topology
from messages.transport.urls import AmqpUrl, parse_broker_url
from ops.wiring import Session, session
from workers.mapping_file import load_mapping_file
from workers.printable import printable_json
from workers.spelling import did_you_mean


def definitions(
    *,
    app: Annotated[
        list[str] | None, typer.Option(help="Only the user of this app, to add it later; may be repeated.")
    ] = None,
    users: Annotated[
        bool, typer.Option(help="--no-users renews rights alone: a user that is imported again loses its password.")
    ] = True,
    queues: Annotated[
        bool, typer.Option("--queues", help="Exchanges, queues and bindings as well, as `recouple setup` makes them.")
    ] = False,
    vhost: Annotated[
        str | None, typer.Option(help="Its virtual host; the one of RECOUPLE_BROKER_URL by default.")
    ] = None,
) -> None:
    """Print RabbitMQ users with the least rights: one for each app, and setup, worker, ops and replay.

    The JSON is for `rabbitmqctl import_definitions`. No user can sign in
    before you give it a password: `rabbitmqctl change_password`.
    """
    with session(as_json=False) as current:
        settings = current.settings
        known = list(load_mapping_file(settings.config).apps)
        wanted = _checked(app or [], known)
        found = app_users(settings.namespace, wanted or known)
        if not wanted:
            found = (*own_users(settings.namespace), *found)
        document: dict[str, Any] = definitions_document(found, vhost or _vhost(current), users=users)
        if queues:
            document |= topology_document(
                topology(settings.namespace, known, settings.errors_max_length), document["vhosts"][0]["name"]
            )
        lines = msgspec.json.format(msgspec.json.encode(document)).decode().split("\n")
        current.out.file.write("".join(f"{printable_json(line)}\n" for line in lines))


def definitions_document(accounts: Iterable[BrokerUser], vhost: str, *, users: bool) -> dict[str, Any]:
    """Return ``accounts`` as RabbitMQ's definitions; without ``users`` their rights only."""
    accounts = tuple(accounts)
    document: dict[str, Any] = {"vhosts": [{"name": vhost}]}
    if users:
        document["users"] = [_user(one.name) for one in accounts]
    document["permissions"] = [
        {"user": one.name, "vhost": vhost, "configure": one.configure, "write": one.write, "read": one.read}
        for one in accounts
    ]
    document["topic_permissions"] = [
        {"user": one.name, "vhost": vhost, **msgspec.structs.asdict(topic)} for one in accounts for topic in one.topics
    ]
    return document


def topology_document(declared: Topology, vhost: str) -> dict[str, Any]:
    """Return exchanges, queues and bindings as RabbitMQ's definitions."""
    kept = {"vhost": vhost, "durable": True, "auto_delete": False}
    return {
        "exchanges": [
            {"name": one.name, **kept, "type": "topic", "internal": False, "arguments": {}}
            for one in declared.exchanges
        ],
        "queues": [{"name": one.name, **kept, "arguments": dict(one.arguments)} for one in declared.queues],
        "bindings": [
            {
                "source": one.exchange,
                "vhost": vhost,
                "destination": one.name,
                "destination_type": "queue",
                "routing_key": one.pattern,
                "arguments": {},
            }
            for one in declared.queues
        ],
    }


def _user(name: str) -> Mapping[str, Any]:
    # No password fits an empty hash.
    return {
        "name": name,
        "password_hash": "",
        "hashing_algorithm": "rabbit_password_hashing_sha256",
        "tags": [],
    }


def _checked(apps: list[str], known: list[str]) -> list[str]:
    for app in apps:
        if app not in known:
            words = f"{app!r} is no app of the mapping file{did_you_mean(app, known)}; there are {', '.join(known)}"
            raise typer.BadParameter(words, param_hint="--app")
    return apps


def _vhost(current: Session) -> str:
    url = parse_broker_url(current.settings.broker_url)
    return url.virtual_host if isinstance(url, AmqpUrl) else "/"
