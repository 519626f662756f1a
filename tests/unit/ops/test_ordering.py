"""``recouple couple`` and ``recouple loaded``: ordered, answered, or not."""

from __future__ import annotations

import pytest

from messages.codec import Limits, decode_command
from messages.commands import Couple, Keep
from tests.unit.ops.samples import World, bc, sales

PAIR = ("bc/customer/1", "sales/account/a/b")


def test_a_command_that_is_done_says_so_and_one_that_is_refused_why(served: World) -> None:
    """If it failed, an operator would not know whether the order was carried out."""
    done = served.run("couple", *PAIR)
    assert (done.exit_code, "are coupled under customer: coupling 1" in done.stdout) == (0, True), done.output
    refused = served.json("couple", *PAIR, exit_code=1)
    assert (refused["command"], refused["code"]) == ("couple", "duplicate_coupling")
    assert "Refused (duplicate_coupling)" in served.run("couple", *PAIR).stderr
    loaded = served.json("loaded", "bc/customer")
    assert (loaded["command"], loaded["result"]["table"]) == ("loaded", "bc/customer")
    assert "the other table is still to be loaded" in served.run("loaded", "bc/customer").stdout


def test_no_answer_in_time_is_an_exit_code_of_its_own(world: World) -> None:
    """If it failed, a script would take a command that is still to be carried out for one that was refused."""
    result = world.run("couple", *PAIR, "--timeout", "50ms")
    assert result.exit_code == 3
    assert "may still be carried out" in result.stderr
    said = world.json("loaded", "bc/customer", "--timeout", "50ms", exit_code=3)
    assert (said["result"], "no answer within 50ms" in said["error"]) == (None, True)


def test_no_wait_leaves_the_order_with_everything_in_it(world: World) -> None:
    """If it failed, the audit would not know who ordered what, and why."""
    said = world.json("couple", *PAIR, "--mapping", "customer", "--keep", "left", "--reason", "as told", "--no-wait")
    [waiting] = world.broker.peek("recouple.commands", 10)
    command = decode_command(waiting.body, waiting.properties, "recouple", Limits())
    assert command.order == Couple(left=bc("1"), right=sales("a/b"), mapping="customer", keep=Keep.LEFT)
    assert (command.id, command.reason, command.reply_to) == (said["id"], "as told", None)
    assert command.source.startswith("ops/")


@pytest.mark.parametrize(
    "arguments",
    [
        ["couple", "bc/customer", "sales/account/a"],
        ["couple", "bc/customer/1", "sales/account/a", "--keep", "both"],
        ["couple", "bc/customer/1", "sales/account/a", "--timeout", "soon"],
        ["loaded", "bc"],
        ["loaded", "bc/customer/1"],
    ],
)
def test_a_wrong_order_is_a_usage_error(world: World, arguments: list[str]) -> None:
    """If it failed, a mistyped record would travel to a worker to be refused there."""
    assert world.run(*arguments).exit_code == 2
    assert world.bodies("recouple.commands") == []
