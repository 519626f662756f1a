"""Values for the tests of the command line, and a world of its own for each: store, broker and mapping file."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
from typer.testing import CliRunner, Result

from messages.codec import Limits, decode_command
from messages.commands import Command
from messages.dead import DeadLetter, DeadReason
from messages.dead_letters import encode_dead
from messages.errors import Difference, ErrorKind, ErrorReport, ErrorSide, ErrorStatus
from messages.records import RecordRef
from messages.transport.connect import connect
from messages.transport.ports import Broker, Delivery, Properties, Publication, PublishOutcome
from ops.cli import app
from store import couplings as coupling_store
from store import errors as error_store
from store import log as log_store
from store import records as record_store
from store.connect import open_store
from store.model import Coupling, Form, Image, LogLine, OpenError
from workers.settings import Settings, read_settings

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
RECOUPLE = (sys.executable, "-c", "from ops.cli import main; main()")
"""The command line as a process of its own."""

RED = "\x1b[31m"
"""Turns a terminal red, if anybody lets it through."""

MAPPING = """
[apps.bc]
record_url = "https://bc.example/{table}/{key}"
[apps.sales]
[[mappings]]
name = "customer"
left = "bc/customer"
right = "sales/account"
[[mappings.fields]]
left = "name"
right = "fullname"
[[mappings.fields]]
left = "city"
right = "town"
"""


class World:
    """One installation in a folder: run the command line on it, and look behind it."""

    def __init__(self, folder: Path) -> None:
        config = folder / "recouple.toml"
        config.write_text(MAPPING, encoding="utf-8")
        self.folder = folder
        self.environ = {
            "RECOUPLE_STORE_URL": f"sqlite:///{folder / 'store.db'}",
            "RECOUPLE_BROKER_URL": f"embedded:///{folder / 'broker.db'}",
            "RECOUPLE_CONFIG": str(config),
            "COLUMNS": "80",
            "NO_COLOR": "1",
        }

    @property
    def settings(self) -> Settings:
        """As the command line reads them."""
        return read_settings(self.environ)

    @property
    def broker(self) -> Broker:
        """The same broker."""
        return connect(self.settings.broker_url)

    def run(self, *arguments: str, given: str | bytes | None = None) -> Result:
        """Run ``recouple`` with these arguments and stdin; a fault that nobody turned into a sentence is raised."""
        return CliRunner().invoke(app, list(arguments), input=given, env=self.environ, catch_exceptions=False)

    def json(self, *arguments: str, given: str | None = None, exit_code: int = 0) -> Any:
        """Run with ``--json`` and return the one document on stdout."""
        result = self.run(*arguments, "--json", given=given)
        assert result.exit_code == exit_code, result.output
        return msgspec.json.decode(result.stdout)

    def fill_conflict(self) -> None:
        """Put coupling 1 into the store, with its update conflict, error 12 at revision 3: the name is disputed."""
        report = conflict(
            12,
            coupling=1,
            right=ErrorSide(app="sales", table="account", key="9", exists=True, version=4),
            differences=(Difference(field="name", contested=True, base="A", left="Adatum", right="ADATUM"),),
            actions=("synchronize", "retry", "remove_coupling"),
        )
        error = OpenError(
            number=12, kind=ErrorKind.UPDATE_CONFLICT, revision=3, opened_at=NOW, contested=("name",), seen="s"
        )
        base = {"name": Form(left="A", right="A"), "city": Form(left="Ulm", right="Ulm")}
        left = {"name": "Adatum", "city": "Ulm", "phone": "0731"}
        right = {"fullname": "ADATUM", "town": "Ulm", "tel": "0731"}
        self.fill(
            errors=[report],
            couplings=[coupling(bc("10000"), sales("9"), based=True, base=base, error=error)],
            images=[
                Image(record=bc("10000"), exists=True, version=17, fields=left, versions=dict.fromkeys(left, 17)),
                Image(record=sales("9"), exists=True, version=4, fields=right, versions=dict.fromkeys(right, 4)),
            ],
        )

    def fill(
        self,
        *,
        errors: Sequence[ErrorReport] = (),
        couplings: Sequence[Coupling] = (),
        images: Sequence[Image] = (),
        lines: Sequence[LogLine] = (),
    ) -> None:
        """Put these into the store."""
        store = open_store(self.settings.store_url)
        with store.transaction() as conn:
            error_store.save(conn, errors)
            coupling_store.insert(conn, couplings)
            record_store.save(conn, images)
            log_store.append(conn, lines)
        store.close()

    def ask(self, *arguments: str, answer: str) -> tuple[int, str, str]:
        """Run ``recouple`` where somebody sits at a terminal and answers; return exit code, stdout and stderr."""
        inner, outer = os.openpty()
        try:
            os.write(inner, f"{answer}\n".encode())
            environ = {**os.environ, **self.environ}
            done = subprocess.run(
                [*RECOUPLE, *arguments],
                stdin=outer,
                env=environ,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
        finally:
            os.close(inner)
            os.close(outer)
        return done.returncode, done.stdout, done.stderr

    def ordered(self) -> list[Command]:
        """The commands that wait for a worker."""
        waiting = self.broker.peek("recouple.commands", 100)
        return [decode_command(one.body, one.properties, "recouple", Limits()) for one in waiting]

    def publish(self, *publications: Publication) -> None:
        """Put these into the broker."""
        publisher = self.broker.publisher()
        outcomes = publisher.publish(publications, timedelta(seconds=5))
        publisher.close()
        assert outcomes == [PublishOutcome.CONFIRMED] * len(publications)

    def bury(self, id_: str, queue: str, reason: DeadReason = DeadReason.MALFORMED) -> None:
        """Put a message to dead, as a worker that got it from ``queue`` does."""
        properties = Properties(message_id=id_, headers={"mine": 1})
        delivery = Delivery(queue=queue, body=f'{{"id": "{id_}"}}'.encode(), properties=properties, tag=None)
        letter = DeadLetter(reason=reason, detail="data: wrong", queue=queue, at=NOW)
        self.publish(encode_dead(delivery, letter, "recouple"))

    def bodies(self, queue: str) -> list[bytes]:
        """What waits in ``queue``."""
        return [delivery.body for delivery in self.broker.peek(queue, 100)]


def bc(key: str) -> RecordRef:
    """A record of the left table."""
    return RecordRef("bc", "customer", key)


def sales(key: str) -> RecordRef:
    """A record of the right table."""
    return RecordRef("sales", "account", key)


def conflict(number: int, key: str = "10000", **changes: Any) -> ErrorReport:
    """An update conflict."""
    whole = ErrorReport(
        error=number,
        kind=ErrorKind.UPDATE_CONFLICT,
        family=ErrorKind.UPDATE_CONFLICT.family,
        status=ErrorStatus.OPEN,
        revision=3,
        mapping="customer",
        coupling=7,
        title="Both records were changed",
        detail="Compare them and choose.",
        left=ErrorSide(
            app="bc",
            table="customer",
            key=key,
            url=f"https://bc.example/customer/{key}",
            exists=True,
            version=17,
            modified_by="jane",
            modified_at=NOW,
            fields={"name": "Adatum AG", "city": "Ulm", "limit": Decimal("10.50")},
        ),
        right=ErrorSide(
            app="sales", table="account", key="9", exists=False, version=4, fields={"fullname": "", "town": "Ulm"}
        ),
        base={"name": "Adatum", "city": "Ulm"},
        differences=(Difference(field="name", contested=True, base="Adatum", left="Adatum AG", right=""),),
        opened_at=NOW,
        fingerprint="f",
    )
    return msgspec.structs.replace(whole, **changes)


def coupling(left: RecordRef | None, right: RecordRef | None, **changes: Any) -> Coupling:
    """A coupling at rest."""
    whole = Coupling(id=0, mapping="customer", token="t", left=left, right=right)  # noqa: S106 - a name, no secret
    return msgspec.structs.replace(whole, **changes)
