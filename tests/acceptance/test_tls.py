"""TLS to broker and database: who is verified is spoken to, nobody else, and the reason is a sentence."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from messages.transport.connect import connect
from messages.transport.ports import BrokerUnavailableError, Properties, Publication, PublishOutcome
from store.connect import open_store
from store.failures import StoreUnavailableError
from tests.acceptance.secured_stage import NAMESPACE, Secured

pytestmark = pytest.mark.timeout(300)  # the first test starts two servers

WITHIN = timedelta(seconds=5)


def by_kombu(url: str) -> None:
    """Look at a queue."""
    connect(url).depth(f"{NAMESPACE}.commands")


def by_pika(url: str) -> None:
    """Publish something that nobody misses."""
    publisher = connect(url).publisher()
    try:
        sent = Publication(exchange=f"{NAMESPACE}.errors", routing_key="x.y", body=b"x", properties=Properties())
        assert publisher.publish([sent], WITHIN) == [PublishOutcome.CONFIRMED]
    finally:
        publisher.close()


LIBRARIES = pytest.mark.parametrize("way", [by_kombu, by_pika])
Way = Callable[[str], None]


def broker_refuses(url: str, way: Way) -> str:
    """See that nothing is sent there, and return the sentence; no password is in it."""
    with pytest.raises(BrokerUnavailableError) as caught:
        way(url)
    assert "@localhost" in str(caught.value) or "@127.0.0.1" in str(caught.value)
    assert ":***@" in str(caught.value)
    return str(caught.value)


@LIBRARIES
def test_a_broker_of_the_right_authority_and_name_is_spoken_to(secured: Secured, way: Way) -> None:
    """Else nobody could use TLS, and everybody would turn it off."""
    way(secured.broker_url("worker"))


@LIBRARIES
def test_a_broker_of_another_authority_is_not(secured: Secured, way: Way) -> None:
    """Else whoever stands between us and the broker reads the password, and all records."""
    url = secured.broker_url("worker", secured.broker_query(secured.papers.stranger))

    assert "certificate" in broker_refuses(url, way)


@LIBRARIES
def test_without_a_file_the_authorities_of_the_system_decide(secured: Secured, way: Way) -> None:
    """Else to name no authority would mean to trust all of them."""
    assert "certificate" in broker_refuses(secured.broker_url("worker", ""), way)


@LIBRARIES
def test_a_broker_of_another_name_is_not(secured: Secured, way: Way) -> None:
    """Else any server with a certificate of the same authority could pass for the broker."""
    assert "certificate" in broker_refuses(secured.broker_url("worker", host="127.0.0.1"), way)


@LIBRARIES
def test_who_shows_no_certificate_where_one_is_wanted_is_told(secured: Secured, way: Way) -> None:
    """Else a broker that wants client certificates would look as if it were away."""
    url = secured.broker_url("worker", f"cacertfile={secured.papers.authority}")

    assert " of us" in broker_refuses(url, way)


@LIBRARIES
@pytest.mark.parametrize("option", ["cacertfile", "certfile", "keyfile"])
def test_a_file_that_is_not_there_is_a_sentence(secured: Secured, way: Way, option: str) -> None:
    """Else a mistyped path would be a traceback, or a worker that dies."""
    query = secured.broker_query().replace(f"{option}=", f"{option}=/nowhere")

    assert option in broker_refuses(secured.broker_url("worker", query), way)


@LIBRARIES
def test_a_file_that_holds_no_certificate_is_a_sentence(secured: Secured, way: Way, tmp_path: Path) -> None:
    """Else a file that was cut short would be a traceback."""
    empty = tmp_path / "empty.pem"
    empty.write_text("", encoding="utf-8")

    assert "cacertfile" in broker_refuses(secured.broker_url("worker", f"cacertfile={empty}"), way)


@LIBRARIES
def test_amqp_without_tls_at_the_port_of_tls_is_a_sentence(secured: Secured, way: Way) -> None:
    """Else a forgotten s in the URL would be waited for, or a traceback."""
    url = secured.broker_url("worker", "").replace("amqps://", "amqp://").removesuffix("?")

    assert "amqps://" in broker_refuses(url, way)


@LIBRARIES
def test_tls_at_a_port_without_it_is_a_sentence(secured: Secured, way: Way) -> None:
    """Else a broker that has not been set up for TLS yet would look as if it were away."""
    url = secured.broker_url("worker").replace(f":{secured.rabbit.tls_port}/", f":{secured.rabbit.port}/")

    assert "TLS" in broker_refuses(url, way)


def database_refuses(url: str) -> str:
    """See that nothing is sent there, and return the sentence."""
    store = open_store(url)
    try:
        with pytest.raises(StoreUnavailableError) as caught:
            store.check_ready()
    finally:
        store.close()
    return str(caught.value)


def test_a_database_of_the_right_authority_and_name_is_spoken_to(secured: Secured) -> None:
    """Else nobody could verify it."""
    store = open_store(secured.store_url("worker"))
    store.check_ready()
    with store.reading() as conn:
        encrypted = conn.exec_driver_sql("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").scalar_one()
    store.close()
    assert encrypted


def test_a_database_of_another_authority_is_not(secured: Secured) -> None:
    """Else whoever stands between us and the database reads all records."""
    query = f"sslmode=verify-full&sslrootcert={secured.papers.stranger}"

    assert "certificate verify failed" in database_refuses(secured.store_url("worker", query))


def test_a_database_of_another_name_is_not(secured: Secured) -> None:
    """Else any server with a certificate of the same authority could pass for the database."""
    assert "does not match host name" in database_refuses(secured.store_url("worker", host="127.0.0.1"))


def test_a_root_certificate_that_is_not_there_is_a_sentence(secured: Secured) -> None:
    """Else a mistyped path would be a traceback."""
    said = database_refuses(secured.store_url("worker", "sslmode=verify-full&sslrootcert=/nowhere.pem"))

    assert "/nowhere.pem" in said


def test_what_is_not_verified_is_let_in_by_anybody(secured: Secured) -> None:
    """Said in `docs/security.md`: without `verify-full` libpq asks nobody for a certificate; the log warns of it."""
    store = open_store(secured.store_url("worker", "sslmode=require"))
    store.check_ready()
    store.close()


def test_a_database_that_wants_encryption_says_so(secured: Secured) -> None:
    """Else nobody would know why he is refused."""
    assert "no encryption" in database_refuses(secured.store_url("worker", "sslmode=disable"))
