"""How the tests themselves find their services."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from sqlalchemy import create_engine, inspect, text

from tests.services import (
    Choice,
    NamedServiceError,
    Probe,
    Service,
    Services,
    broker_probes,
    choose,
    imported,
    rabbitmq_at,
    store_probes,
)


def found(url: str) -> Probe:
    """A place where there is a service."""
    return lambda: Service(url, "1.0")


def missing(reason: str) -> Probe:
    """A place where there is none."""
    return lambda: reason


def never() -> Service | str:
    """A place that must not be looked at."""
    raise AssertionError("an earlier place had a service")


@pytest.mark.parametrize(
    ("probes", "how", "reasons"),
    [
        ({"named": found("a"), "local": never}, "named", ()),
        ({"named": missing("is not set"), "local": found("b"), "container": never}, "local", ("named: is not set",)),
        ({"named": missing("is not set"), "local": missing("no")}, "", ("named: is not set", "local: no")),
        ({}, "", ()),
    ],
    ids=["the first", "a later one", "none", "nowhere to look"],
)
def test_takes_the_first_that_answers(probes: dict[str, Probe], how: str, reasons: tuple[str, ...]) -> None:
    """Else containers would be started beside a server that runs, or a skipped test would not say why."""
    choice = choose(probes)

    assert (choice.how, choice.reasons) == (how, reasons)
    assert (choice.service is not None) == bool(how)


@pytest.mark.parametrize("probes_of", [store_probes, broker_probes])
def test_looks_in_the_promised_order(probes_of: Callable[[dict[str, str]], dict[str, Probe]]) -> None:
    """Else a service that somebody named would be passed over for one that happens to run."""
    places = list(probes_of({}))

    assert places[0].startswith("RECOUPLE_TEST_")
    assert places[1:] == ["local server", "container", "server binaries"]


@pytest.mark.parametrize(
    ("kind", "environ"),
    [
        ("store", {"RECOUPLE_TEST_STORE_URL": "postgresql+psycopg://nobody@127.0.0.1:1/nowhere"}),
        ("broker", {"RECOUPLE_TEST_BROKER_URL": "amqp://guest:guest@127.0.0.1:1//"}),
    ],
)
def test_a_named_service_that_does_not_answer_is_a_mistake(kind: str, environ: dict[str, str]) -> None:
    """Else a misspelt URL would silently test against another server."""
    with pytest.raises(NamedServiceError, match="does not answer"):
        Services(environ).choice(kind)


def test_a_place_where_nobody_listens_is_a_reason() -> None:
    """Else the search would end with an exception at the first machine that has no broker."""
    assert "does not answer" in rabbitmq_at("amqp://guest:guest@127.0.0.1:1//")


def test_says_what_was_chosen_and_why_not() -> None:
    """Else nobody could tell from a test report which server, and which version, it is about."""
    assert str(Choice("local server", Service("x://", "16.1"), ())) == "local server, version 16.1"
    assert str(Choice("", None, ("a: no", "b: no"))) == "none: a: no; b: no"


@pytest.mark.parametrize("turn", ["first", "second"])
def test_a_store_is_handed_out_without_tables(store_url: str, turn: str) -> None:
    """Else what an earlier test left behind would decide what a later one sees."""
    engine = create_engine(store_url)
    try:
        assert inspect(engine).get_table_names() == []
        with engine.begin() as connection:
            connection.execute(text(f"CREATE TABLE {turn} (id INTEGER)"))
    finally:
        engine.dispose()


def test_a_broker_is_handed_out_under_a_name_of_its_own(broker_url: str, namespace: str) -> None:
    """Else two tests would read from one queue."""
    assert broker_url.startswith(("amqp://", "embedded:////"))
    assert re.fullmatch("test-[0-9a-f]{12}", namespace)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("testcontainers.community.postgres", "PostgresContainer"),
        ("testcontainers.community.rabbitmq", "RabbitMqContainer"),
    ],
)
def test_containers_are_at_hand(module: str, name: str) -> None:
    """Where no server is found, a warning of the library itself would end the run instead of skipping the tests."""
    assert callable(getattr(imported(module), name))
