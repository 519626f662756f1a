"""The adapter: carries what the database's triggers wrote to Recouple, and Recouple's instructions to the database.

One loop does both. It may be killed at every step: a change is in the outbox from the transaction in which it
happened until the broker has confirmed it, and an instruction is in its queue until it is answered there.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from .broker import Broker, BrokerAwayError, connect
from .config import Config, ConfigError, read_config
from .database import announce, check, install, is_installed, open_database, publish_some
from .instructions import obey
from .wire import MalformedInstructionError, message_of, read_instruction

log = logging.getLogger("table_adapter")

POLL_S = 0.1
"""How long a change waits at most before it is published."""

PAUSE_S = 2.0
"""Before broker or database are tried again."""

BATCH = 200

EPILOG = """examples:
  python -m examples.table_adapter install erp.toml     # once, as the owner of the tables
  python -m examples.table_adapter run erp.toml         # until SIGTERM; several may run
  python -m examples.table_adapter announce erp.toml    # every record as it stands, for the first load

`recouple setup` has to have run, with the app in its mapping file.
"""


def run(engine: sa.Engine, config: Config, stopping: threading.Event) -> None:
    """Work until ``stopping`` is set; broker and database may come and go."""
    while not stopping.is_set():
        try:
            broker = connect(config)
            try:
                log.info("working for %s", config.app)
                work(engine, config, broker, stopping)
            finally:
                broker.close()
        except BrokerAwayError as error:
            log.warning("broker: %s; trying again in %s s", error, PAUSE_S)
        except DBAPIError as error:  # its words may hold values
            log.warning("database: %s; trying again in %s s", type(error.orig).__name__, PAUSE_S)
        else:
            continue
        stopping.wait(PAUSE_S)


def work(engine: sa.Engine, config: Config, broker: Broker, stopping: threading.Event) -> None:
    """Obey and publish in turn."""
    wait_s = POLL_S
    while not stopping.is_set():
        for received in broker.receive(wait_s):
            try:
                instruction = read_instruction(received.body)
            except MalformedInstructionError as error:
                log.error("an instruction that cannot be read: %s", error)
                broker.reject(received)
                continue
            word = obey(engine, config, instruction)
            broker.acknowledge(received)  # after the commit: if we die before, it comes again and is answered again
            order = instruction.data
            log.info("%s %s/%s: %s (%s)", order.action, order.table, order.key or "", word, instruction.id)
        done = publish_some(engine, BATCH, lambda rows: broker.publish([message_of(config.app, row) for row in rows]))
        wait_s = 0 if done else POLL_S


def main(arguments: list[str] | None = None) -> None:
    """Read the command line and do it; exits with 2 where something has to be set right first."""
    parser = argparse.ArgumentParser(
        prog="table_adapter",
        description="Couples an app whose records live in PostgreSQL or SQLite tables to Recouple.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=["install", "run", "announce"])
    parser.add_argument("config", type=Path, help="a TOML file, see README.md")
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("pika").setLevel(logging.CRITICAL)  # what matters of it we say ourselves
    try:
        config = read_config(given.config, os.environ)
        do(given.command, open_database(config.database), config)
    except ConfigError as error:
        sys.exit(_complain(str(error)))
    except DBAPIError as error:
        sys.exit(_complain(f"database: {type(error.orig).__name__}: is it there, and may this user do that?"))


def do(command: str, engine: sa.Engine, config: Config) -> None:
    """Do one of the three.

    Raises:
        ConfigError: something is missing in the database.
    """
    if command == "install":
        install(engine, config)
        return
    check(engine, config)
    if not is_installed(engine, config):
        raise ConfigError("the triggers are not there for every table; run `install` first")
    if command == "announce":
        print(f"{announce(engine, config)} records are in the outbox; `run` publishes them")  # noqa: T201
        return
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    run(engine, config, stopping)


def _complain(sentence: str) -> int:
    print(sentence, file=sys.stderr)  # noqa: T201
    return 2
