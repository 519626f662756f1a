"""The adapter's command line and its configuration."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from examples.table_adapter.adapter import main
from examples.table_adapter.config import ConfigError, read_config

CONFIG = """
app = "erp"
broker = "embedded:///broker.db"
database = "sqlite:///{folder}/erp.db"
[tables.customer]
table = "customers"
key = "number"
columns = ["name"]
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration, and the database that it names, with two customers."""
    path = tmp_path / "erp.toml"
    path.write_text(CONFIG.format(folder=tmp_path), encoding="utf-8")
    with closing(sqlite3.connect(tmp_path / "erp.db")) as conn:
        conn.executescript("""CREATE TABLE customers (number TEXT PRIMARY KEY, name TEXT);
            INSERT INTO customers VALUES ('A', 'Ann'), ('B', 'Bob')""")
    return path


@pytest.mark.parametrize(
    ("wrong", "right", "place"),
    [
        ('app = "erp"', "", "app"),
        ('app = "erp"', "app = 1", "app"),
        ('app = "erp"', 'app = "erp"\nqueue = "x"', "queue"),
        ("[tables.customer]", '[tables."a b"]', "a b"),
        ('columns = ["name"]', "columns = []", "columns"),
        ('columns = ["name"]', "", "columns"),
        ("[tables.customer]", "[tables", "line"),
    ],
)
def test_says_what_is_wrong_with_the_configuration(config: Path, wrong: str, right: str, place: str) -> None:
    """Else whoever sets it up would have to read the source."""
    config.write_text(config.read_text(encoding="utf-8").replace(wrong, right), encoding="utf-8")

    with pytest.raises(ConfigError, match=place):
        read_config(config, {})


def test_urls_may_come_from_the_environment(config: Path) -> None:
    """Else passwords would have to stand in a file."""
    read = read_config(config, {"ADAPTER_DATABASE": "sqlite:///other.db", "ADAPTER_BROKER": "amqp://mq"})

    assert (read.database, read.broker, read.namespace) == ("sqlite:///other.db", "amqp://mq", "recouple")


def test_installs_and_announces(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Else the first load would have to be written by hand."""
    main(["install", str(config)])
    main(["install", str(config)])
    main(["announce", str(config)])

    assert capsys.readouterr().out.startswith("2 records")
    with closing(sqlite3.connect(config.with_name("erp.db"))) as conn:
        said = conn.execute("SELECT record_key, operation, version, fields FROM recouple_changes").fetchall()
    assert said == [("A", "read", 0, '{"name":"Ann"}'), ("B", "read", 0, '{"name":"Bob"}')]


@pytest.mark.parametrize(
    ("command", "mistake", "sentence"),
    [
        ("run", ("", ""), "run `install` first"),
        ("announce", ("", ""), "run `install` first"),
        ("install", ('"customers"', '"kunden"'), "no table kunden"),
        ("install", ('["name"]', '["name", "phone"]'), "customers has no column phone"),
        ("install", ("sqlite:///", "mysql://"), "no such kind of URL"),
        ("install", ("/erp.db", "/none/erp.db"), "is it there"),
    ],
)
def test_says_what_to_set_right_first(
    config: Path, capsys: pytest.CaptureFixture[str], command: str, mistake: tuple[str, str], sentence: str
) -> None:
    """Else it would fail later, with records already changed."""
    config.write_text(config.read_text(encoding="utf-8").replace(*mistake), encoding="utf-8")

    with pytest.raises(SystemExit) as ended:
        main([command, str(config)])

    assert ended.value.code == 2
    assert sentence in capsys.readouterr().err


def test_helps(capsys: pytest.CaptureFixture[str]) -> None:
    """Else nobody would know where to begin."""
    with pytest.raises(SystemExit) as ended:
        main(["--help"])

    assert ended.value.code == 0
    assert "announce" in capsys.readouterr().out
