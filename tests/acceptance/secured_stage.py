"""An installation as `docs/security.md` sets it up: TLS everywhere, a user with the least rights for each job."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import trustme

from tests.acceptance.cases import mapping
from tests.acceptance.clients import wait_for
from tests.acceptance.processes import COMMAND
from tests.servers.postgresql import PostgresqlServer, start_postgresql
from tests.servers.rabbitmq import RabbitmqServer, start_rabbitmq
from tests.servers.server import Tls

NAMESPACE = "guarded"
VHOST = "/guarded"
APPS = ("bc", "sales")
MAPPING = "\n".join(("[apps.bc]", "[apps.sales]", mapping("customer", "name")))
USERS = ("setup", "worker", "ops", "replay", *(f"app.{app}" for app in APPS))
RUN_WITHIN_S = 60

HBA = ("hostssl all all 127.0.0.1/32 scram-sha-256", "hostnossl all all 127.0.0.1/32 reject")

OWNERSHIP = """
CREATE ROLE recouple_setup LOGIN PASSWORD '{password}';
CREATE ROLE recouple_worker LOGIN PASSWORD '{password}';
CREATE ROLE recouple_ops LOGIN PASSWORD '{password}';
CREATE DATABASE recouple OWNER recouple_setup;
"""
"""As the superuser; from `docs/security.md`, which a test compares."""

GRANTS = """
ALTER DEFAULT PRIVILEGES GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO recouple_worker;
ALTER DEFAULT PRIVILEGES GRANT USAGE ON SEQUENCES TO recouple_worker;
ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO recouple_ops;
"""
"""As recouple_setup, in its database, before anything is in it; likewise."""


class Papers(NamedTuple):
    """Certificates as files.

    Attributes:
        authority: Whom to trust.
        stranger: Another authority, whom nobody here trusts.
        client: Certificate and key in one file, by ``authority``.
    """

    authority: Path
    stranger: Path
    client: Path
    server: Tls


class Secured(NamedTuple):
    """The servers, and how each user reaches them. ``password`` is everybody's."""

    rabbit: RabbitmqServer
    postgres: PostgresqlServer
    papers: Papers
    password: str
    folder: Path

    def broker_url(self, user: str, query: str | None = None, host: str = "localhost") -> str:
        """Return the broker for ``user``, over TLS with verification."""
        query = self.broker_query() if query is None else query
        vhost = VHOST.replace("/", "%2F")
        return f"amqps://{NAMESPACE}.{user}:{self.password}@{host}:{self.rabbit.tls_port}/{vhost}?{query}"

    def broker_query(self, authority: Path | None = None) -> str:
        """Return the files that an URL of the broker names."""
        client = self.papers.client
        return f"cacertfile={authority or self.papers.authority}&certfile={client}&keyfile={client}"

    def store_url(self, role: str, query: str | None = None, host: str = "localhost") -> str:
        """Return the store for ``role``, over TLS with verification."""
        query = f"sslmode=verify-full&sslrootcert={self.papers.authority}" if query is None else query
        return f"postgresql+psycopg://recouple_{role}:{self.password}@{host}:{self.postgres.port}/recouple?{query}"

    def environ(self, user: str, role: str = "ops") -> dict[str, str]:
        """Return the settings of somebody who is ``user`` to the broker and ``role`` to the store."""
        return {
            "RECOUPLE_STORE_URL": self.store_url(role),
            "RECOUPLE_BROKER_URL": self.broker_url(user),
            "RECOUPLE_CONFIG": str(self.folder / "recouple.toml"),
            "RECOUPLE_NAMESPACE": NAMESPACE,
            "RECOUPLE_COMMAND_TIMEOUT": "15s",
        }

    def run(self, *arguments: str, user: str, role: str = "ops", given: str = "") -> tuple[int, str, str]:
        """Run the command line as this user; return exit code, stdout and stderr."""
        return recouple(self.environ(user, role), arguments, given)

    def json(self, *arguments: str, user: str, role: str = "ops") -> Any:
        """Run it with ``--json``, see that it succeeds, and return the document."""
        code, said, complaint = self.run(*arguments, "--json", user=user, role=role)
        assert code == 0, said + complaint
        return json.loads(said)


def recouple(environ: dict[str, str], arguments: Sequence[str], given: str = "") -> tuple[int, str, str]:
    """Run the command line as a process of its own; return exit code, stdout and stderr."""
    done = subprocess.run(
        [*COMMAND, *arguments],
        env=os.environ | environ,
        input=given,
        capture_output=True,
        text=True,
        timeout=RUN_WITHIN_S,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def make_papers(folder: Path) -> Papers:
    """Make an authority, a server of the name ``localhost``, a client, and a stranger."""
    authority, stranger = trustme.CA(), trustme.CA()
    paths = {name: folder / f"{name}.pem" for name in ("authority", "stranger", "client", "certificate", "key")}
    authority.cert_pem.write_to_path(str(paths["authority"]))
    stranger.cert_pem.write_to_path(str(paths["stranger"]))
    authority.issue_cert("client").private_key_and_cert_chain_pem.write_to_path(str(paths["client"]))
    server = authority.issue_cert("localhost")
    server.private_key_pem.write_to_path(str(paths["key"]))
    server.cert_chain_pems[0].write_to_path(str(paths["certificate"]))
    tls = Tls(paths["certificate"], paths["key"], paths["authority"])
    return Papers(paths["authority"], paths["stranger"], paths["client"], tls)


@contextmanager
def open_secured(folder: Path) -> Iterator[Secured]:
    """Start both servers, make their users, and set up."""
    (folder / "recouple.toml").write_text(MAPPING, encoding="utf-8")
    papers, password = make_papers(folder), secrets.token_urlsafe(12)
    with ExitStack() as stack:
        rabbit = start_rabbitmq(
            tls=papers.server, config=["ssl_options.verify = verify_peer", "ssl_options.fail_if_no_peer_cert = true"]
        )
        stack.callback(rabbit.stop)
        postgres = start_postgresql(tls=papers.server, hba=HBA)
        stack.callback(postgres.stop)
        secured = Secured(rabbit, postgres, papers, password, folder)
        make_broker_users(secured)
        make_roles(secured)
        code, said, complaint = secured.run("setup", user="setup", role="setup")
        assert code == 0, said + complaint
        yield secured


def make_broker_users(secured: Secured) -> None:
    """Import what ``recouple definitions`` prints, and give each user a password."""
    environ = secured.environ("setup") | {"RECOUPLE_BROKER_URL": "", "RECOUPLE_STORE_URL": ""}
    code, printed, complaint = recouple(environ, ["definitions", "--vhost", VHOST])
    assert code == 0, complaint
    import_definitions(secured.rabbit, secured.folder / "definitions.json", printed)
    secured.rabbit.ctl("change_password", f"{NAMESPACE}.setup", given=f"{secured.password}\n")
    give_passwords(secured, [user for user in USERS if user != "setup"])
    secured.rabbit.ctl("delete_user", "guest")


def give_passwords(secured: Secured, of: Sequence[str] = USERS) -> None:
    """What `rabbitmqctl change_password` does, for all at once: each of its runs starts an Erlang of its own."""
    users = ",".join(f'<<"{NAMESPACE}.{user}">>' for user in of)
    change = f'rabbit_auth_backend_internal:change_password(User, <<"{secured.password}">>, <<"test">>)'
    secured.rabbit.ctl("eval", f"[{change} || User <- [{users}]].")


def import_definitions(rabbit: RabbitmqServer, path: Path, printed: str) -> None:
    """Import, and wait until it is done: RabbitMQ goes on after its command has returned."""
    path.write_text(printed, encoding="utf-8")
    rabbit.ctl("import_definitions", str(path))
    document = json.loads(printed)
    vhost = document["vhosts"][0]["name"]
    topics = {(one["user"], one["exchange"]) for one in document["topic_permissions"]}

    def there() -> bool:
        try:
            rows = json.loads(rabbit.ctl("list_topic_permissions", "--vhost", vhost, "--formatter", "json"))
        except subprocess.CalledProcessError:  # the virtual host itself is not there yet
            return False
        return topics <= {(row["user"], row["exchange"]) for row in rows}

    wait_for(there, lambda: None, "the definitions to be imported")


def make_roles(secured: Secured) -> None:
    """Make the database and its roles."""
    superuser = secured.postgres.url.replace("+psycopg", "")
    _execute(superuser, OWNERSHIP.format(password=secured.password))
    _execute(secured.store_url("setup").replace("+psycopg", ""), GRANTS)


def _execute(url: str, statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in filter(None, map(str.strip, statements.split(";"))):
            connection.execute(statement.encode())
