"""``couple_matching`` over real stores: what belongs together is coupled, the rest is told, whatever the order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import permutations
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from sqlalchemy import event

from messages import topology
from messages.changes import Change, Operation
from messages.codec import encode_command
from messages.commands import CoupleMatching, Done, Keep, Loaded, RefusalCode
from messages.errors import ErrorEvent
from messages.instructions import Reason
from messages.records import RecordRef
from messages.values import Value
from store import pauses as pause_store
from store import records as record_store
from store.couplings import Standing
from store.model import Image, Side
from store.pauses import Pause, Scope
from tests.contract.workers.by_hand import (
    MANY,
    NS,
    ByHand,
    applied,
    by_hand,
    change,
    command,
    delivery,
    gone,
    take_due,
)
from tests.services import empty
from workers.bulk import jobs
from workers.bulk.chunks import fail_chunk
from workers.mapping import Comparison, Condition
from workers.timers import do_due_work

MAPPING_FILE = """
[apps.bc]
[apps.sales]

[[mappings]]
name = "customer"
left = "bc/customer"
right = "sales/account"
match_on = [["email"], ["name", "city"]]
[[mappings.fields]]
left = "name"
right = "title"
[[mappings.fields]]
left = "city"
right = "town"
[[mappings.fields]]
left = "email"
right = "mail"

[[mappings]]
name = "vendor"
left = "bc/vendor"
right = "sales/supplier"
only_coupled = false
match_on = [["name"]]
[[mappings.fields]]
left = "name"
right = "name"

[[mappings]]
name = "contact"
left = "bc/contact"
right = "sales/person"
[[mappings.fields]]
left = "name"
right = "name"
"""
WHERE = (
    Condition(side=Side.LEFT, field="kind", comparison=Comparison.NOT_EQUAL, value="intern"),
    Condition(side=Side.RIGHT, field="state", comparison=Comparison.NOT_EQUAL, value="dead"),
)
MATCH = CoupleMatching(mapping="customer")


@pytest.fixture
def hands(store_url: str) -> Iterator[ByHand]:
    """Nothing is there, nothing is loaded."""
    with by_hand(store_url, MAPPING_FILE) as hands:
        file = hands.context.file
        customers = replace(file.mappings["customer"], where=WHERE)
        hands.context = replace(hands.context, file=replace(file, mappings={**file.mappings, "customer": customers}))
        yield hands


def customer(key: object, name: str = "", city: str = "", email: str = "", **more: Value) -> Change:
    """A customer of the left app."""
    return change(f"bc/customer/{key}", 1, name=name, city=city, email=email, **more)


def account(key: object, name: str = "", city: str = "", email: str = "", **more: Value) -> Change:
    """An account of the right app."""
    return change(f"sales/account/{key}", 1, title=name, town=city, mail=email, **more)


def matched(hands: ByHand, order: CoupleMatching = MATCH) -> dict[str, Any]:
    """Order it, do it, and return the result without what is 0."""
    answer = hands.job(order)
    assert isinstance(answer, Done), answer
    return {name: value for name, value in answer.result.items() if value}


def pairs(hands: ByHand) -> set[tuple[str, str]]:
    """The keys of what is coupled."""
    return {(str(one.left and one.left.key), str(one.right and one.right.key)) for one in hands.couplings()}


def values(hands: ByHand, mapping: str = "customer") -> int:
    """How many records could be matched by what is kept of ``mapping``."""
    with hands.store.reading() as conn:
        query = "SELECT count(*) FROM match_values WHERE mapping = '" + mapping + "'"
        return int(conn.exec_driver_sql(query).scalar_one())


def test_what_matches_is_coupled_and_the_rest_is_told(hands: ByHand) -> None:
    """Thousands of records would have to be coupled one by one, or those without a match be looked for by hand."""
    hands.say(
        customer(1, "Ada", "Rome", "ADA@x "),
        customer(2, "Bea", "Oslo"),
        customer(3, "Cid", "Bern", "cid@x"),
        customer(4, "Dan"),
        account("a", "Someone", "Else", "ada@X"),
        account("b", "BEA", "oslo", "bea@x"),
        account("c", "Eve", "Kiel"),
        account("d", "Dan"),
    )
    result = matched(hands)
    assert result == {"job": result["job"], "coupled": 2, "total": 8, "done": 8, "unmatched": 4}
    assert pairs(hands) == {("1", "a"), ("2", "b")}
    assert hands.job_lines(result["job"]) == [
        (record, "unmatched", "matches none")
        for record in ("bc/customer/3", "bc/customer/4", "sales/account/c", "sales/account/d")
    ]
    assert hands.log("bc/customer/1")[-1] == "coupled"
    assert hands.log("sales/account/c")[-1] == "unmatched"
    assert (hands.instructions(), hands.errors(), values(hands)) == ([], [], 0)


def test_the_first_group_that_matches_decides(hands: ByHand) -> None:
    """A customer would be tied to a namesake although the e-mail address says who it is."""
    hands.say(
        customer(1, "Ada", "Rome", "ada@x"),
        account("a", "Ada", "Rome", "other@x"),
        account("b", "Ada L.", "Paris", "ada@x"),
    )
    result = matched(hands)
    assert pairs(hands) == {("1", "b")}
    assert hands.job_lines(result["job"]) == [("sales/account/a", "unmatched", "matches none")]


SEVERAL = {
    "several on the right": (
        [customer(1, email="x")],
        [account("a", email="x"), account("b", email="X")],
        {"bc/customer/1": "matches 2: sales/account/a, sales/account/b"},
    ),
    "several on the left": (
        [customer(1, email="x"), customer(2, email="X")],
        [account("a", email="x")],
        {"sales/account/a": "matches 2: bc/customer/1, bc/customer/2"},
    ),
    "several on both": (
        [customer(1, email="x"), customer(2, email="x")],
        [account(key, email="x") for key in "abcde"],
        {"bc/customer/1": "matches 5: sales/account/a, sales/account/b, sales/account/c, …"},
    ),
    "by their name another's": (
        [customer(1, "Ada", "Rome"), customer(2, email="x"), customer(3, email="x")],
        [account("a", "Ada", "Rome", "x")],
        {"bc/customer/1": "matches 1: sales/account/a, and so do others"},
    ),
}


@pytest.mark.parametrize("case", SEVERAL)
def test_several_matches_couple_nobody(hands: ByHand, case: str) -> None:
    """A record would be tied to whichever comes first, and another customer's address be written over it."""
    left, right, said = SEVERAL[case]
    hands.say(*left, *right)
    result = matched(hands)
    several = len(left) + len(right)
    counts = dict.fromkeys(("failed", "unmatched", "ambiguous", "total", "done"), several)
    assert result == {"job": result["job"], **counts}
    assert hands.couplings() == []
    lines = {record: detail for record, outcome, detail in hands.job_lines(result["job"]) if outcome == "unmatched"}
    assert len(lines) == several
    assert said.items() <= lines.items()
    assert {hands.log(record)[-1] for record in lines} == {"unmatched"}


@pytest.mark.parametrize("keys", list(permutations("123")), ids="".join)
@pytest.mark.parametrize("chunk", [1, 200])
def test_it_does_not_depend_on_who_comes_first(
    hands: ByHand, keys: tuple[str, ...], chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same two tables would be coupled one way today and another way tomorrow, by the keys of their records."""
    monkeypatch.setattr(jobs, "CHUNK", chunk)
    by_mail, by_name, alone = keys
    hands.say(
        customer(by_mail, "Bea", "Oslo", "x"),
        customer(by_name, "Ada", "Rome"),
        customer(alone, "Ada", "Bern"),
        account("a", "Ada", "Rome", "x"),
        account("b", "Ada", "Rome"),
    )
    result = matched(hands)
    assert pairs(hands) == {(by_mail, "a"), (by_name, "b")}
    assert hands.job_lines(result["job"]) == [(f"bc/customer/{alone}", "unmatched", "matches none")]
    assert (result["coupled"], result["done"], result["total"]) == (2, 5, 5)


@pytest.mark.parametrize(("keep", "app"), [(Keep.LEFT, "sales"), (Keep.RIGHT, "bc")])
def test_keep_synchronizes_at_once(hands: ByHand, keep: Keep, app: str) -> None:
    """Records that differ would be coupled and stay as they are; or the wrong ones would win."""
    hands.say(customer(1, "Ada", "Rome", "x"), account("a", "Bea", "Rome", "X"), customer(2, email="y"))
    hands.say(account("b", email="y"))
    result = matched(hands, CoupleMatching(mapping="customer", keep=keep))
    assert result == {"job": result["job"], "coupled": 2, "modified": 1, "total": 4, "done": 4}
    sent = hands.instruction()
    assert (sent.app, sent.reason) == (app, Reason.SYNCHRONIZE)
    hands.say(applied(sent, 2))
    assert {pair[2] for pair in hands.pairs()} == {Standing.SYNCHRONIZED}


def test_without_keep_records_that_differ_are_left_as_they_are(hands: ByHand) -> None:
    """Coupling alone would overwrite what nobody has looked at."""
    hands.say(customer(1, "Ada", "Rome", "x"), account("a", "Bea", "Rome", "x"))
    assert matched(hands)["coupled"] == 1
    assert (hands.instructions(), hands.errors()) == ([], [])


def test_who_is_coupled_gone_apart_or_outside_is_left_alone(hands: ByHand) -> None:
    """What a person has coupled or uncoupled, or the mapping leaves out, would be coupled by a machine."""
    hands.say(
        *(customer(key, email=f"{key}@x") for key in "123"),
        customer(4, email="4@x", kind="intern"),
        customer(5, email="5@x"),
        *(account(key, email=f"{key}@x") for key in "1234"),
        account(5, email="5@x", state="dead"),
        account(6, email="1@x"),
    )
    hands.couple("bc/customer/1", "sales/account/6")
    hands.say(gone("sales/account/2", 2))
    with hands.store.transaction() as conn:
        record_store.mark_apart(conn, [("customer", RecordRef.parse("bc/customer/3"))])
    result = matched(hands)
    assert result == {"job": result["job"], "skipped": 3, "unmatched": 5, "total": 8, "done": 8}
    lines = {record: (outcome, detail) for record, outcome, detail in hands.job_lines(result["job"])}
    unmatched = ("bc/customer/2", "bc/customer/5", "sales/account/1", "sales/account/3", "sales/account/4")
    assert lines == {
        "bc/customer/3": ("skipped", "apart"),
        "bc/customer/4": ("skipped", "outside where"),
        "sales/account/5": ("skipped", "outside where"),
        **dict.fromkeys(unmatched, ("unmatched", "matches none")),
    }
    assert pairs(hands) == {("1", "6")}


def test_a_namesake_outside_of_where_is_no_match(hands: ByHand) -> None:
    """A record that the mapping leaves out would make an ambiguity of a plain match."""
    hands.say(customer(1, email="x"), account("a", email="x"), account("b", email="x", state="dead"))
    assert matched(hands)["coupled"] == 1
    assert pairs(hands) == {("1", "a")}


def test_doing_it_again_takes_what_is_left(hands: ByHand) -> None:
    """After the duplicates were put right it could not be ordered again, or would touch what is coupled."""
    hands.say(customer(1, email="x"), account("a", email="x"), account("b", email="x"))
    assert matched(hands)["ambiguous"] == 3
    hands.say(gone("sales/account/b", 2))
    assert matched(hands)["coupled"] == 1
    before = hands.couplings()
    again = matched(hands)
    assert (again, hands.couplings()) == ({"job": again["job"]}, before)


def test_it_ends_ambiguities_of_a_mapping_that_matches_by_itself(hands: ByHand) -> None:
    """A record would be coupled, and an error about it or about its namesake stay open."""
    hands.say(*(change(f"bc/vendor/{key}", 1, name="Ada") for key in "12"), change("bc/vendor/3", 1, name="Bea"))
    hands.say(change("sales/supplier/a", 1, name="Bea"))
    waiting, kept = hands.waiting(), values(hands, "vendor")
    assert matched(hands, CoupleMatching(mapping="vendor"))["coupled"] == 1
    assert (waiting, hands.waiting()) == (4, 2)  # the tables are not loaded yet: the others still wait
    assert (kept, values(hands, "vendor")) == (4, 4)  # the values are needed for those that come
    assert pairs(hands) == {("3", "a")}


def test_an_open_ambiguity_is_resolved(hands: ByHand) -> None:
    """An error would ask a person for what is settled."""
    hands.load("bc/vendor", "sales/supplier")
    hands.say(*(change(f"sales/supplier/{key}", 1, name="Ada") for key in "ab"))
    with hands.store.transaction() as conn:  # they stay alone, as under a mapping that does not flow to the left
        record_store.mark_apart(conn, [("vendor", RecordRef("sales", "supplier", key)) for key in "ab"])
    hands.do_due_work()
    with hands.store.transaction() as conn:
        record_store.clear_apart(conn, [("vendor", RecordRef("sales", "supplier", key)) for key in "ab"])
    hands.say(change("bc/vendor/1", 1, name="Ada"))
    hands.do_due_work()
    (opened,) = hands.errors()
    with hands.store.transaction() as conn:
        record_store.mark_apart(conn, [("vendor", RecordRef("sales", "supplier", "b"))])
    assert matched(hands, CoupleMatching(mapping="vendor"))["coupled"] == 1
    (resolved,) = hands.errors()
    assert (resolved.event, resolved.report.error) == (ErrorEvent.RESOLVED, opened.report.error)
    assert (resolved.report.resolution, hands.waiting()) == ("couple_matching", 0)


def test_a_record_that_may_be_the_echo_of_a_create_is_left_alone(hands: ByHand) -> None:
    """R15: a record that is just being created would be coupled to a namesake, and its own counterpart be refused."""
    hands.load("bc/vendor", "sales/supplier")
    hands.say(change("bc/vendor/1", 1, name="Ada"))
    hands.do_due_work()
    create = hands.instruction()
    hands.say(change("sales/supplier/a", 1, name="Ada"))
    hands.do_due_work()
    with hands.store.transaction() as conn:
        record_store.mark_apart(conn, [("vendor", RecordRef("bc", "vendor", "2"))])
    hands.say(change("bc/vendor/2", 1, name="Ada"))
    with hands.store.transaction() as conn:
        record_store.clear_apart(conn, [("vendor", RecordRef("bc", "vendor", "2"))])
    result = matched(hands, CoupleMatching(mapping="vendor"))
    assert result == {"job": result["job"], "skipped": 2, "total": 2, "done": 2}
    assert {line[1:] for line in hands.job_lines(result["job"])} == {
        ("skipped", "waits for a record that is being created")
    }
    hands.say(applied(create, 1, key="a"))
    hands.do_due_work()
    assert ("1", "a") in pairs(hands)


@pytest.mark.parametrize("who", ["left", "right", "a new one", "gone"])
def test_what_changed_since_it_was_looked_at_is_not_coupled(hands: ByHand, who: str) -> None:
    """Two records would be coupled for a name that one of them no longer has."""
    hands.say(customer(1, "Ada", "Rome", "x"), account("a", "Ada", "Rome", "x"))
    begin(hands, MATCH)
    for _ in range(3):  # it begins, and keeps what either side is matched by
        assert hands.do_one_turn()
    changes = {
        "left": change("bc/customer/1", 2, Operation.UPDATE, name="Bea", email="y"),
        "right": change("sales/account/a", 2, Operation.UPDATE, title="Bea", mail="y"),
        "a new one": account("b", "Ada", "Rome", "x"),
        "gone": gone("sales/account/a", 2),
    }
    hands.say(changes[who])
    hands.do_due_work()
    (answer,) = hands.answers()
    assert isinstance(answer, Done)
    said = {record: detail for record, _, detail in hands.job_lines(answer.result["job"])}
    if who == "a new one":  # it came too late to be seen as a match
        assert pairs(hands) == {("1", "a")}
        assert said == {"sales/account/b": "matches none"}
        return
    assert (hands.couplings(), answer.result["coupled"]) == ([], 0)
    alone = {"left": {"bc/customer/1": "matches none"}, "gone": {"bc/customer/1": "matches none"}}
    assert alone.get(who, {"bc/customer/1": "has changed meanwhile, order it again"}).items() <= said.items()
    hands.say(change("sales/account/b", 1, title="", mail="y"))
    assert matched(hands)["done"]


def begin(hands: ByHand, order: CoupleMatching) -> None:
    """Order it; nothing is done yet."""
    hands.deliver_command(delivery(topology.commands_queue(NS), encode_command(command(order), NS, hands.now)))


def test_one_job_at_a_time(hands: ByHand) -> None:
    """The first that is through would take from the other what the records are matched by."""
    hands.say(customer(1, email="x"), account("a", email="x"))
    begin(hands, MATCH)
    answer = hands.refusal(MATCH)
    assert answer.code is RefusalCode.NOT_APPLICABLE
    assert "already" in answer.detail
    hands.do_due_work()
    (done,) = hands.answers()
    assert isinstance(done, Done)
    assert matched(hands)["job"] > done.result["job"]


def test_the_same_command_twice(hands: ByHand) -> None:
    """A command that is delivered again would begin a second job, or get no answer."""
    hands.say(customer(1, email="x"), account("a", email="x"))
    first = hands.job(MATCH, name="c1")
    assert hands.order(MATCH, name="c1") == first
    assert hands.due() == 0


def test_what_cannot_be_handled_is_passed_over(hands: ByHand) -> None:
    """One damaged record would keep all others from being coupled."""
    hands.say(*(customer(key, email=f"{key}@x") for key in range(8)))
    hands.say(*(account(key, email=f"{key}@x") for key in range(8)))
    with hands.store.transaction() as conn:
        conn.exec_driver_sql("UPDATE records SET image = '{' WHERE app = 'bc' AND key = '5'")
    answer = failing(hands, MATCH)
    assert (answer.result["coupled"], answer.result["total"]) == (7, 16)
    passed_over = [detail for _, outcome, detail in hands.job_lines(answer.result["job"]) if outcome == "failed"]
    assert [detail.split(":")[0] for detail in passed_over] == [
        f"passed over at {phase} bc/customer/5" for phase in ("left", "match-1", "match-2")
    ]


def failing(hands: ByHand, order: CoupleMatching) -> Done:
    """Do a job of which chunks fail, as the timers do."""
    begin(hands, order)
    for _ in range(MANY):
        try:
            if not hands.do_one_turn():
                break
        except msgspec.DecodeError:
            with hands.store.transaction() as conn:
                (item,) = take_due(conn, 1, hands.now)
                fail_chunk(conn, item.job or 0, hands.now)
    (answer,) = hands.answers()
    assert isinstance(answer, Done)
    return answer


LARGE, MOST_STATEMENTS = 3_000, 40
"""Records a side, and statements of a chunk."""


def test_thousands_of_records_a_side(hands: ByHand) -> None:
    """A customer table would take an hour: a statement for each record, or every record read in each chunk."""
    fill(hands, LARGE)
    begin(hands, MATCH)
    turns = []
    while taken := one_turn(hands):
        turns.append(taken)
    (answer,) = hands.answers()
    assert isinstance(answer, Done)
    result = answer.result
    assert (result["coupled"], result["total"], result["unmatched"]) == (LARGE - 100, 2 * LARGE, 200)
    assert max(turns) <= MOST_STATEMENTS
    # at most each record once: to be indexed, on either side, and for each of the two groups
    assert len(turns) < 4 * LARGE / jobs.CHUNK + 20


def one_turn(hands: ByHand) -> int:
    """Do a chunk, and return how many statements it took; 0 where nothing is due."""
    statements: list[str] = []
    with hands.store.transaction() as conn:
        taken = take_due(conn, MANY, hands.now)
        event.listen(conn, "before_cursor_execute", lambda *given: statements.append(given[2]))
        if taken:
            do_due_work(conn, hands.context, taken, hands.now)
    return len(statements)


def fill(hands: ByHand, number: int) -> None:
    """Both apps have announced many customers, a few of whom match nobody."""
    for side, fields in ((customer, "name city email"), (account, "title town mail")):
        images = [image_of(one_of_many(side, key, number), fields) for key in range(number)]
        with hands.store.transaction() as conn:
            record_store.save(conn, images)


def image_of(announced: Change, fields: str) -> Image:
    """What is known of a record that has been announced."""
    known = {name: announced.fields[name] for name in fields.split()}
    versions = dict.fromkeys(known, 1)
    return Image(record=announced.record, exists=True, fields=known, versions=versions, version=1, existence_version=1)


def one_of_many(side: Callable[..., Change], key: int, number: int) -> Change:
    """One of many customers: matched by an address, by name and city, or not at all."""
    if key >= number - 100:
        return side(key, f"{side.__name__} {key}", "Rome")
    return side(key, f"Name {key}", "Rome", f"{key}@x" if key % 2 else "")


REFUSED = {
    "there is no mapping custmer (did you mean 'customer'?); there are: customer, vendor": (
        RefusalCode.NOT_FOUND,
        "custmer",
    ),
    "contact has nothing to match by": (RefusalCode.NOT_APPLICABLE, "contact"),
}


@pytest.mark.parametrize("said", REFUSED)
def test_what_cannot_be_matched_is_refused(hands: ByHand, said: str) -> None:
    """A typing error would be answered with a job that does nothing."""
    code, mapping = REFUSED[said]
    answer = hands.refusal(CoupleMatching(mapping=mapping))
    assert (answer.code, hands.due()) == (code, 0)
    assert said in answer.detail


@pytest.mark.parametrize(("scope", "name"), [(Scope.MAPPING, "customer"), (Scope.APP, "sales")])
def test_what_is_paused_is_not_coupled(hands: ByHand, scope: Scope, name: str) -> None:
    """A mapping that was stopped would go on under another name."""
    hands.say(customer(1, email="x"), account("a", email="x"))
    with hands.store.transaction() as conn:
        pause_store.begin(conn, [Pause(scope=scope, name=name, at=hands.now, by="ops/jane")])
    answer = hands.refusal(MATCH)
    assert answer.code is RefusalCode.NOT_APPLICABLE
    assert f"{scope} {name} is paused" in answer.detail
    assert hands.couplings() == []


@pytest.fixture
def at_once(postgres_url: str) -> Iterator[ByHand]:
    """A store in which several transactions are open at once."""
    empty(postgres_url)
    with by_hand(postgres_url, MAPPING_FILE) as hands:
        yield hands


def test_while_arrivals_are_settled_and_records_change(at_once: ByHand) -> None:
    """Workers would stop each other for good, or couple one record twice."""
    many = [str(number) for number in range(300)]
    at_once.say(*(change(f"bc/vendor/{key}", 1, name=f"Name {key}") for key in many))
    at_once.say(*(change(f"sales/supplier/{key}", 1, name=f"NAME {key}") for key in many))
    order = CoupleMatching(mapping="vendor")
    for name, app in (("vendor", "bc"), ("supplier", "sales")):
        assert isinstance(at_once.order(Loaded(app=app, table=name)), Done)
    begin(at_once, order)

    def work() -> None:
        while at_once.due():  # what another worker has at hand counts, too
            at_once.do_one_turn()

    def announce() -> None:
        for key in many:
            at_once.say(change(f"bc/vendor/{key}", 2, Operation.UPDATE, name=f"Name {key}"))

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(work), pool.submit(work), pool.submit(work), pool.submit(announce)]:
            done.result(timeout=120)
    at_once.do_due_work()
    assert pairs(at_once) == {(key, key) for key in many}
    assert len(at_once.couplings()) == len(many)
    assert (at_once.waiting(), at_once.instructions(), at_once.errors()) == (0, [], [])
    (answer,) = at_once.answers()
    assert isinstance(answer, Done)
