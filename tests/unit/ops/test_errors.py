"""``recouple errors`` and ``recouple show``."""

from __future__ import annotations

import io
from datetime import timedelta

import msgspec
import pytest

from messages.errors import Confidence, Difference, ErrorKind, ErrorReport, ErrorSide, ErrorStatus, Handling
from messages.values import encode_json
from ops.errors_view import errors_table
from ops.printing import make_console
from tests.unit.ops.samples import NOW, RED, World, conflict

LONG = "4f2c9a1e-8f2b-4c0d-9b1e-0f2c9a1e8f2b"


def failure(number: int) -> ErrorReport:
    """An integration error."""
    kind = ErrorKind.APPLY_FAILED
    return conflict(number, kind=kind, family=kind.family, code="validation_failed", mapping="contact")


def rendered(width: int, *errors: ErrorReport) -> list[str]:
    """The list as it stands on a terminal of this width."""
    console = make_console(io.StringIO())
    console.width = width
    with console.capture() as captured:
        console.print(errors_table(list(errors), NOW + timedelta(hours=2), width))
    return captured.get().splitlines()


@pytest.mark.parametrize("width", [80, 140])
def test_a_list_fits_the_terminal_and_cuts_no_key(width: int) -> None:
    """If it failed, an operator could not read which record is meant."""
    lines = rendered(width, conflict(12), conflict(1234, key=LONG, kind=ErrorKind.REFERENCE_NOT_COUPLED))
    assert max(map(len, lines)) <= width
    # Column by column, as a folded cell goes on below.
    start = lines[0].index("records"), lines[0].index("what")
    assert LONG in "".join(line[slice(*start)].strip() for line in lines)
    assert lines[1].split()[:4] == ["12", "2h", "3", "update_conflict"]


def test_a_row_says_what_applies_and_how_the_app_failed() -> None:
    """If it failed, an operator would have to open every error to see what can be done about it."""
    lines = rendered(140, msgspec.structs.replace(failure(2), actions=("retry", "remove_coupling", "dismiss")))
    assert "retry, remove-coupling, dismiss" in lines[2]
    assert "validation_failed" in lines[2]
    assert [line for line in lines if "sales/account/9" in line]


def test_a_key_cannot_drive_the_terminal(world: World) -> None:
    """If it failed, whoever may name a record could write on the operator's screen."""
    world.environ["COLUMNS"] = "160"
    world.fill(errors=[conflict(1, key=f"{RED}[bold]x")])
    for arguments in (["errors"], ["show", "1"], ["errors", "--json"]):
        result = world.run(*arguments)
        assert result.exit_code == 0
        assert "\x1b" not in result.output
        assert "[bold]" in result.output


def test_a_row_of_json_is_the_data_of_the_error_message(world: World) -> None:
    """If it failed, a program would need two ways to read one error."""
    report = conflict(1)
    world.fill(errors=[report])
    assert world.json("errors") == [world.json("show", "1")]
    assert world.json("show", "1") == msgspec.json.decode(encode_json(report))
    assert '"limit":10.50' in world.run("show", "1", "--json").stdout


@pytest.mark.parametrize(
    ("options", "numbers"),
    [
        ([], [1, 2, 4]),
        (["--all"], [1, 2, 3, 4]),
        (["--family", "integration"], [2]),
        (["--kind", "update_conflict"], [1, 4]),
        (["--mapping", "contact"], [2]),
        (["--code", "validation_failed"], [2]),
        (["--record", "bc/customer/x/y"], [4]),
        (["--limit", "1", "--after", "1"], [2]),
        (["--after", "4"], []),
        (["--status", "resolving"], [4]),
        (["--app", "bc"], [1, 4]),
        (["--older-than", "1h", "--all"], [1, 2, 3, 4]),
        (["--newer-than", "1h"], []),
        (["--fingerprint", "other"], []),
    ],
)
def test_filters_and_pages(world: World, options: list[str], numbers: list[int]) -> None:
    """If it failed, a list would hold what was not asked for, or hide what was."""
    resolved = conflict(3, status=ErrorStatus.RESOLVED, resolved_at=NOW, resolution="converged")
    resolving = conflict(4, key="x/y", status=ErrorStatus.RESOLVING)
    world.fill(errors=[conflict(1), failure(2), resolved, resolving])
    assert [row["error"] for row in world.json("errors", *options)] == numbers


@pytest.mark.parametrize(
    "options", [["--app", "bcc"], ["--older-than", "yesterday"], ["--all", "--status", "open"], ["--every", "soon"]]
)
def test_a_wrong_filter_is_a_usage_error(world: World, options: list[str]) -> None:
    """If it failed, a mistyped filter would show an empty list, as if all were well."""
    assert world.run("errors", *options).exit_code == 2


def test_a_page_says_how_to_get_the_next(world: World) -> None:
    """If it failed, an operator would take the first page for all there is."""
    world.fill(errors=[conflict(number) for number in (1, 2, 3)])
    assert "3 errors in all; those that follow: --after 2" in world.run("errors", "--limit", "2").stderr
    assert not world.run("errors", "--limit", "3").stderr


def test_show_puts_both_sides_next_to_each_other(world: World) -> None:
    """If it failed, an operator could not compare what to choose between."""
    world.fill(errors=[conflict(1)])
    shown = world.run("show", "1").stdout
    rows = [line.split() for line in shown.splitlines()]
    assert "Compare them and choose." in shown
    assert ["exists", "yes", "no,", "deleted"] in rows
    assert ["version", "17", "4"] in rows
    assert ["modified", "by", "jane", "—"] in rows
    assert ["name", "Adatum", "Adatum", "AG", '""', "◆", "contested"] in rows
    assert ["city", "Ulm", "Ulm", "Ulm"] in rows
    assert "Not mapped of bc/customer/10000" in shown
    assert ["limit", "10.50"] in rows
    assert "https://bc.example/customer" in shown


def test_show_does_without_a_mapping_file(world: World) -> None:
    """If it failed, a typing error in the file would hide the errors that it caused."""
    world.fill(errors=[conflict(1)])
    (world.folder / "recouple.toml").write_text("[", encoding="utf-8")
    result = world.run("show", "1")
    assert result.exit_code == 0
    assert "Fields of sales/account/9" in result.stdout
    assert "not known" in result.stderr


def test_show_tells_what_else_there_is_to_know(world: World) -> None:
    """If it failed, candidates, failure codes, doubts or the end of an error would be kept from the operator."""
    ambiguous = conflict(
        1,
        kind=ErrorKind.MATCH_AMBIGUOUS,
        code="unavailable",
        attempts=3,
        retryable=True,
        confidence=Confidence.DEGRADED,
        confidence_reasons=("no versions",),
        candidates=("sales/account/1", "sales/account/2"),
        candidates_total=40,
        right=ErrorSide(app="sales", table="account", key=None),
        status=ErrorStatus.RESOLVED,
        resolved_at=NOW,
        resolution="couple",
        resolved_by="ops/jane",
    )
    world.fill(errors=[ambiguous])
    shown = world.run("show", "1").stdout
    expected = (
        "unavailable after 3 attempts",
        "no versions",
        "2 of 40",
        "sales/account/2",
        "resolved 2026-03-04 05:06:07Z: couple by ops/jane",
    )
    assert [words for words in expected if words not in shown] == []


def test_show_ends_with_what_can_be_done_ready_to_be_typed(world: World) -> None:
    """If it failed, a night operator would have to look up how a command is written."""
    world.fill_conflict()
    shown = world.run("show", "12").stdout
    for line in (
        "recouple synchronize 12 --keep left",
        "recouple synchronize 12 --keep right",
        "recouple synchronize 12 --value 'name=…'",
        "recouple retry 12",
        "recouple remove-coupling 12",
    ):
        assert f"  {line}  # " in shown


@pytest.mark.parametrize(
    ("kind", "action", "line"),
    [
        (ErrorKind.DELETION_CONFLICT, "restore_record", "recouple restore 1  #"),
        (ErrorKind.DELETION_CONFLICT, "delete_record", "recouple delete 1  #"),
        (ErrorKind.LIMIT_EXCEEDED, "resume", "recouple resume --mapping customer"),
        (ErrorKind.NO_ANSWER, "retry", "send the same instruction again"),
        (ErrorKind.MATCH_AMBIGUOUS, "couple", "recouple couple 'bc/customer/a b' sales/account/2"),
    ],
)
def test_every_action_has_its_line(world: World, kind: ErrorKind, action: str, line: str) -> None:
    """If it failed, a command that applies would not be offered, or one that cannot be typed."""
    right = ErrorSide(app="sales", table="account", key=None)
    report = conflict(
        1, key="a b", kind=kind, right=right, actions=(action,), candidates=("sales/account/2",), candidates_total=1
    )
    world.fill(errors=[report])
    assert line in world.run("show", "1").stdout


def test_show_tells_what_was_ordered(world: World) -> None:
    """If it failed, a second operator would not know what the first has tried, and why."""
    handled = Handling(at=NOW, command="retry", id="c1", by="ops/jane", reason="try", revision=2, effect="failed again")
    world.fill(errors=[conflict(1, history=(handled,))])
    shown = world.run("show", "1").stdout
    for words in ("retry of revision 2", "ops/jane", "failed again", "because: try"):
        assert words in shown


def test_an_unknown_error_is_refused_in_words(world: World) -> None:
    """If it failed, a program could take nothing for an error without fields."""
    assert world.run("show", "7").exit_code == 1
    assert "no error 7" in world.json("show", "7", exit_code=1)["error"]


def test_where_nothing_is_contested_no_side_is_said_to_win(world: World) -> None:
    """If it failed, somebody would keep the right side, and what the left changed would be written over it."""
    differences = (Difference(field="name", contested=False, base="A", left="B", right="A"),)
    right = ErrorSide(app="sales", table="account", key="9", exists=True)
    report = conflict(
        1, kind=ErrorKind.APPLY_FAILED, right=right, differences=differences, actions=("synchronize", "retry")
    )
    world.fill(errors=[report])
    shown = world.run("show", "1").stdout
    assert "--keep right" not in shown
    assert "recouple synchronize 1 --field name=right  # the right values of sales win, whoever changed them" in shown


def test_an_error_of_a_whole_mapping_has_no_empty_tables(world: World) -> None:
    """If it failed, the sentence that matters would drown in dashes."""
    world.fill(errors=[conflict(1, kind=ErrorKind.LIMIT_EXCEEDED, left=None, right=None, actions=("resume",))])
    shown = world.run("show", "1").stdout
    assert "modified by" not in shown
    assert "field" not in shown
