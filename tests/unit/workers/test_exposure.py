"""Which connections can be read on their way."""

from __future__ import annotations

import pytest

from workers.exposure import Exposure, exposed
from workers.settings import read_settings


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("embedded:///broker.db", None),
        ("amqp://mq/v", Exposure.NOT_ENCRYPTED),
        ("amqp://10.0.0.1/v", Exposure.NOT_ENCRYPTED),
        ("amqps://mq/v", None),
        ("amqp://localhost//", None),
        ("amqp://127.0.0.2//", None),
        ("amqp://[::1]//", None),
        ("amqp://localhost.example//", Exposure.NOT_ENCRYPTED),
    ],
)
def test_a_broker_on_another_host_is_reached_by_tls_or_told(url: str, why: Exposure | None) -> None:
    """Else passwords cross a network in the clear and nobody is told."""
    found = exposed(read_settings({"RECOUPLE_BROKER_URL": url}))

    assert [one.why for one in found] == ([] if why is None else [why])
    assert all("amqps://" in str(one) for one in found)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("sqlite:///store.db", None),
        ("postgresql+psycopg://u:secret@db/x", Exposure.NOT_VERIFIED),
        ("postgresql+psycopg://u:secret@db/x?sslmode=require", Exposure.NOT_VERIFIED),
        ("postgresql+psycopg://u:secret@db/x?sslmode=disable", Exposure.NOT_ENCRYPTED),
        ("postgresql+psycopg://u:secret@db/x?sslmode=verify-full&sslrootcert=ca.pem", None),
        ("postgresql+psycopg://u@127.0.0.1:5432/x", None),
        ("postgresql+psycopg://u@/x?host=/var/run/postgresql", None),
        ("postgresql+psycopg://u@localhost/x?host=db.example", Exposure.NOT_VERIFIED),
    ],
)
def test_a_database_on_another_host_is_verified_or_told(url: str, why: Exposure | None) -> None:
    """Else libpq's default, which takes any server and even no encryption, would pass for safe."""
    found = exposed(read_settings({"RECOUPLE_STORE_URL": url}))

    assert [one.why for one in found] == ([] if why is None else [why])
    assert all("verify-full" in str(one) and "secret" not in str(one) for one in found)
