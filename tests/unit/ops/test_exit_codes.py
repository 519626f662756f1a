"""What the shell gets to know, and that no fault of the world is a traceback."""

from __future__ import annotations

import pytest

from tests.unit.ops.samples import World

READERS = (["errors"], ["show", "1"], ["couplings"], ["log", "bc/customer/1"], ["jobs"], ["retry", "1", "--dry-run"])
LOOKING = ("errors", "show", "couplings", "log", "jobs", "health", "tap", "dead")
SETTLING = ("retry", "synchronize", "restore", "delete", "remove-coupling", "dismiss")
ORDERING = ("couple", "loaded", "couple-matching", "retry-all", "purge", "pause", "resume")
COMMANDS = ("demo", "setup", "definitions", "work", "publish", *LOOKING, *SETTLING, *ORDERING)
BROKERED = (
    ["tap", "errors"],
    ["dead"],
    ["loaded", "bc/customer"],
    ["dead", "replay"],
    ["retry", "1"],
    ["purge", "--yes"],
)


@pytest.mark.parametrize("arguments", [*READERS, *BROKERED])
def test_before_setup_every_command_names_it(bare: World, arguments: list[str]) -> None:
    """If it failed, the first thing that a new user sees would be a traceback."""
    result = bare.run(*arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "recouple setup" in result.stderr
    assert "recouple setup" in bare.json(*arguments, exit_code=1)["error"]


@pytest.mark.parametrize("arguments", [*READERS, *BROKERED])
def test_a_wrong_setting_is_a_usage_error(world: World, arguments: list[str]) -> None:
    """If it failed, a mistyped variable would be passed over."""
    world.environ["RECOUPLE_STORE_URI"] = "x"
    result = world.run(*arguments)
    assert result.exit_code == 2
    assert "did you mean 'RECOUPLE_STORE_URL'" in result.stderr


@pytest.mark.parametrize("arguments", [["errors"], ["setup"], ["work", "--drain"]])
def test_a_store_url_that_names_no_file_is_a_wrong_setting(world: World, arguments: list[str]) -> None:
    """If it failed, it would be a traceback."""
    world.environ["RECOUPLE_STORE_URL"] = "sqlite:///:memory:"
    result = world.run(*arguments)
    assert (result.exit_code, "RECOUPLE_STORE_URL" in result.stderr) == (2, True)


def test_a_password_is_never_said(world: World) -> None:
    """If it failed, a password would stand in a terminal or a log of CI."""
    world.environ["RECOUPLE_BROKER_URL"] = "amqp://u:geheim@127.0.0.1:1//"
    world.environ["RECOUPLE_STORE_URL"] = "postgresql+psycopg://u:geheim@127.0.0.1:1/x"
    for arguments in (["errors"], ["tap", "errors"], ["setup"]):
        result = world.run(*arguments)
        assert result.exit_code == 1
        assert result.stderr
        assert "geheim" not in result.output


def test_setup_says_what_is_there_and_can_be_repeated(bare: World) -> None:
    """If it failed, nobody would know what setup did, or dare to run it again."""
    said = bare.json("setup")
    assert said == bare.json("setup")
    assert said["mappings"] == ["customer"]
    assert "recouple.changes.bc" in said["declared"]
    assert "The mapping file is in order: 1 mapping, customer." in bare.run("setup").stdout


def test_a_faulty_mapping_file_is_told_whole(bare: World) -> None:
    """If it failed, setup would run on half a mapping, or tell one fault a time."""
    (bare.folder / "recouple.toml").write_text("[apps.BC]\n[apps.ops]\n", encoding="utf-8")
    result = bare.run("setup")
    assert result.exit_code == 2
    assert "3 faults" in result.stderr


def test_work_knows_its_apps(world: World) -> None:
    """If it failed, a worker for a mistyped app would start and wait for ever."""
    result = world.run("work", "--app", "sale", "--drain")
    assert (result.exit_code, "'sale' is no app" in result.stderr) == (2, True)


def test_every_command_explains_itself_with_examples(world: World) -> None:
    """If it failed, somebody at night would have to guess how a command is written."""
    overview = world.run("--help")
    assert overview.exit_code == 0
    for command in COMMANDS:
        assert f" {command} " in overview.stdout
        assert f"recouple {command}" in world.run(command, "--help").stdout


def test_the_version_is_said_also_of_a_checkout(world: World) -> None:
    """If it failed, the first question about a fault could not be answered."""
    result = world.run("--version")
    assert (result.exit_code, result.stdout.startswith("recouple")) == (0, True)


@pytest.mark.parametrize(
    "arguments", [["errors", "--kind", "x"], ["synchronize", "1", "--keep", "left"], ["resume"], ["nothing"], ["show"]]
)
def test_a_usage_error_is_json_too(world: World, arguments: list[str]) -> None:
    """If it failed, a program that reads stdout would choke where it has typed something wrongly."""
    assert world.json(*arguments, exit_code=2)["error"]
    assert world.run(*arguments).stdout == ""
