"""The environment, read once: defaults, faults, and no password in any sentence."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest

from workers.settings import SETTINGS, Settings, SettingsError, read_settings

ROOT = Path(__file__).parents[3]


def faults_of(environ: dict[str, str]) -> tuple[str, ...]:
    """What is wrong with an environment."""
    with pytest.raises(SettingsError) as caught:
        read_settings(environ)
    return caught.value.faults


def test_runs_on_nothing_but_defaults() -> None:
    """Else the embedded default would need an environment."""
    assert read_settings({"PATH": "/bin", "RECOUPLE_TEST_BROKER_URL": "amqp://x"}) == Settings(
        store_url="sqlite:///.recouple/store.db",
        broker_url="embedded:///.recouple/broker.db",
        config=Path("recouple.toml"),
        namespace="recouple",
        log_format="json",
        log_level="info",
        batch_size=300,
        max_message_bytes=1_048_576,
        errors_max_length=100_000,
        retry_first=timedelta(seconds=1),
        retry_ceiling=timedelta(minutes=5),
        retry_limit=10,
        outbox_lease=timedelta(seconds=30),
        shutdown_within=timedelta(seconds=8),
        command_timeout=timedelta(seconds=30),
        keep_errors=timedelta(days=90),
        keep_log=timedelta(days=90),
        keep_handled=timedelta(days=14),
        http=None,
        stuck_after=timedelta(minutes=2),
    )


OTHERS = {
    "RECOUPLE_STORE_URL": "postgresql+psycopg://ada@db:5432/recouple",
    "RECOUPLE_BROKER_URL": "amqps://ada@mq:5671/prod",
    "RECOUPLE_CONFIG": "other.toml",
    "RECOUPLE_NAMESPACE": "prod-1",
    "RECOUPLE_LOG_FORMAT": "console",
    "RECOUPLE_LOG_LEVEL": "debug",
    "RECOUPLE_BATCH_SIZE": "17",
    "RECOUPLE_MAX_MESSAGE_BYTES": "2048",
    "RECOUPLE_ERRORS_MAX_LENGTH": "5",
    "RECOUPLE_RETRY_FIRST": "250ms",
    "RECOUPLE_RETRY_CEILING": "1h30m",
    "RECOUPLE_RETRY_LIMIT": "3",
    "RECOUPLE_OUTBOX_LEASE": "1m",
    "RECOUPLE_SHUTDOWN_WITHIN": "5s",
    "RECOUPLE_COMMAND_TIMEOUT": "2m",
    "RECOUPLE_KEEP_ERRORS": "7d",
    "RECOUPLE_KEEP_LOG": "365d",
    "RECOUPLE_KEEP_HANDLED": "1d12h",
    "RECOUPLE_HTTP": "[::1]:9464",
    "RECOUPLE_STUCK_AFTER": "5m",
}


def test_takes_every_setting_as_it_is_meant() -> None:
    """Else a setting would be read and forgotten, or shown as another than it is."""
    assert OTHERS.keys() == {setting.name for setting in SETTINGS}
    assert read_settings(OTHERS).shown() == OTHERS


def test_an_empty_variable_is_one_that_is_not_set() -> None:
    """Else a compose file that passes on what is not set would break the start."""
    assert read_settings(dict.fromkeys(OTHERS, "")) == read_settings({})


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("RECOUPLE_STORE_URL", "mysql://ada@db/recouple", "begins with sqlite:/// or postgresql+psycopg://"),
        ("RECOUPLE_STORE_URL", "store.db", "begins with sqlite:/// or postgresql+psycopg://"),
        ("RECOUPLE_STORE_URL", "sqlite://", "begins with sqlite:/// or postgresql+psycopg://"),
        ("RECOUPLE_STORE_URL", "postgresql+psycopg://ada@db:port/x", "it is no URL"),
        ("RECOUPLE_BROKER_URL", "redis://127.0.0.1", "is neither amqp://"),
        ("RECOUPLE_NAMESPACE", "Prod", "'Prod' is no namespace"),
        ("RECOUPLE_NAMESPACE", "a.b", "'a.b' is no namespace"),
        ("RECOUPLE_NAMESPACE", "a" * 41, "is no namespace"),
        ("RECOUPLE_LOG_FORMAT", "jsn", "(did you mean 'json'?)"),
        ("RECOUPLE_LOG_LEVEL", "warn", "must be one of debug, info, warning, error, critical"),
        ("RECOUPLE_BATCH_SIZE", "0", "'0' must be a whole number from 1 to 10000"),
        ("RECOUPLE_BATCH_SIZE", "many", "must be a whole number"),
        ("RECOUPLE_BATCH_SIZE", "1e3", "must be a whole number"),
        ("RECOUPLE_RETRY_FIRST", "20", "is no length of time"),
        ("RECOUPLE_RETRY_FIRST", "2h", "must lie between 1ms and 1h"),
        ("RECOUPLE_MAX_MESSAGE_BYTES", "1023", "must be a whole number from 1024"),
        ("RECOUPLE_ERRORS_MAX_LENGTH", "-1", "must be a whole number from 1"),
        ("RECOUPLE_RETRY_FIRST", "0s", "must lie between 1ms and 1h"),
        ("RECOUPLE_RETRY_CEILING", "500ms", "it must not be shorter than RECOUPLE_RETRY_FIRST"),
        ("RECOUPLE_RETRY_LIMIT", "0", "must be a whole number from 1"),
        ("RECOUPLE_OUTBOX_LEASE", "0s", "must lie between 1s and 1h"),
        ("RECOUPLE_SHUTDOWN_WITHIN", "1d", "must lie between 1s and 5m"),
        ("RECOUPLE_COMMAND_TIMEOUT", "soon", "is no length of time"),
        ("RECOUPLE_HTTP", "9464", "'9464' is no address: write host:port"),
        ("RECOUPLE_STUCK_AFTER", "30s", "must lie between 1m and 1d"),
        ("RECOUPLE_BATCHSIZE", "300", "there is no such setting (did you mean 'RECOUPLE_BATCH_SIZE'?)"),
        ("RECOUPLE_CONFIG_FILE", "x", "there is no such setting (did you mean 'RECOUPLE_CONFIG'?)"),
        ("RECOUPLE_STORE_URL_FILE", "no/such/file", "the file that RECOUPLE_STORE_URL_FILE names cannot be read"),
    ],
)
def test_says_what_is_wrong(name: str, text: str, sentence: str) -> None:
    """Else a worker would start on a setting that nobody meant."""
    (fault,) = faults_of({name: text})

    assert fault.startswith(name.removesuffix("_FILE") if "cannot be read" in sentence else f"{name}: ")
    assert sentence in fault


def test_lists_every_fault_at_once() -> None:
    """Else a deployment would be mended one restart at a time."""
    faults = faults_of({"RECOUPLE_BATCH_SIZE": "x", "RECOUPLE_NAMESPACE": "X", "RECOUPLE_X": "", "RECOUPLE_Y": "1"})

    assert [fault.partition(":")[0] for fault in faults] == [
        "RECOUPLE_X",
        "RECOUPLE_Y",
        "RECOUPLE_NAMESPACE",
        "RECOUPLE_BATCH_SIZE",
    ]


@pytest.mark.parametrize("name", ["RECOUPLE_STORE_URL", "RECOUPLE_BROKER_URL"])
def test_reads_a_secret_from_the_file_that_a_platform_hands_out(tmp_path: Path, name: str) -> None:
    """Else passwords would have to stand in the environment."""
    path = tmp_path / "secret"
    path.write_text(f"{OTHERS[name]}\n", encoding="utf-8")

    assert read_settings({f"{name}_FILE": str(path)}).shown()[name] == OTHERS[name]
    assert "set one of the two" in faults_of({f"{name}_FILE": str(path), name: OTHERS[name]})[0]
    path.write_text("\n", encoding="utf-8")
    assert "is empty" in faults_of({f"{name}_FILE": str(path)})[0]


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("RECOUPLE_STORE_URL", "postgresql+psycopg://ada:hunter2@db/x"),
        ("RECOUPLE_STORE_URL", "postgresql+psycopg://ada:hunter2%40@db:5432/x?sslmode=require"),
        ("RECOUPLE_STORE_URL", "postgresql+psycopg://ada@db/x?sslpassword=hunter2&sslmode=require"),
        ("RECOUPLE_STORE_URL", "postgresql+psycopg://ada:12/hunter2@db/x"),
        ("RECOUPLE_STORE_URL", "postgresql+psycopg://:hunter2@db/x"),
        ("RECOUPLE_BROKER_URL", "amqp://ada:hunter2@mq:5672//"),
        ("RECOUPLE_BROKER_URL", "amqp://ada:@hunter2@mq//"),
        ("RECOUPLE_BROKER_URL", "amqp://ada:12/hunter2@mq//"),
    ],
)
def test_never_shows_a_password(name: str, url: str) -> None:
    """Else the first line of every log would hold it."""
    settings = read_settings({name: url})

    assert "hunter2" in settings.store_url + settings.broker_url
    assert "hunter2" not in f"{settings.shown()} {settings!r} {settings}"


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("RECOUPLE_STORE_URL", "postgresql+psycopg://ada:hunt/hunter2@db/x"),
        ("RECOUPLE_STORE_URL", "postgres://ada:hunter2@db/x"),
        ("RECOUPLE_BROKER_URL", "http://ada:hunter2@mq//"),
        ("RECOUPLE_BROKER_URL", "amqp://ada:hunter2/x@mq//"),
    ],
)
def test_no_sentence_tells_a_password(name: str, url: str) -> None:
    """Else a misspelt URL would put it into a log."""
    with pytest.raises(SettingsError) as caught:
        read_settings({name: url})

    assert "hunter2" not in str(caught.value)


def test_the_readme_lists_every_setting() -> None:
    """Else an operator would have to read the source."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(RECOUPLE_[A-Z_]+)` \| (.*) \|$", readme, re.MULTILINE))

    defaults = {setting.name: f"`{setting.default}`" if setting.default else "" for setting in SETTINGS}

    assert rows == {setting.name: f"{defaults[setting.name]} | {setting.sentence}" for setting in SETTINGS}
