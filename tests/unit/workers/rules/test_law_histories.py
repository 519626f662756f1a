"""The histories behind the law of DESIGN.md section 5: each one breaks when its rule is taken away.

``L`` and ``R`` are what users do; messages are delivered, and instructions worked on, in the order written here.
Two-sided creation, a couple that races an event and a change after an uncoupling need a store: see
``tests/contract/workers``.
"""

from __future__ import annotations

from datetime import timedelta

from msgspec.structs import replace

from messages.changes import Change, Operation
from messages.errors import Confidence, ErrorEvent, ErrorKind
from messages.instructions import Action
from messages.outcomes import Applied, Failed, FailureCode
from messages.records import RecordRef
from messages.values import Value
from store.model import CouplingStatus, InstructionState, Side
from tests.rules_world import Engine, World, field, mapping_of
from tests.simulated_app import EPOCH, Habits
from workers.mapping import App, Confirms, DeletionRule, Detect, Direction, Table, UpdateRule

LEFT, RIGHT = Side.LEFT, Side.RIGHT


def log_of(world: World, word: str) -> list[dict[str, Value]]:
    """The values of every line of the log with this word."""
    return [line.values for line in world.engine.log if line.outcome == word]


def agreed(world: World, **values: Value) -> None:
    """Both records hold these, nothing is in flight, no error is open, and a further pass sends nothing."""
    before = world.engine.sent_count
    world.engine.wake(world.number)
    for side in Side:
        fields = world.fields(side)
        assert fields is not None
        assert {name: fields[name] for name in values} == values
    assert (world.coupling.flight, world.error, world.engine.sent_count) == ((), None, before)


def test_r1_confirm_before_stale() -> None:
    """The echo tells all that the outcome tells: that would count as stale, and the instruction would never end."""
    w = World(mapping_of("a"), {"a": 1})
    w.deliver(w.L(a=5))
    echo, outcome = w.work(RIGHT)
    w.deliver(echo)
    assert w.coupling.flight[0].state is InstructionState.SENT
    w.deliver(outcome)
    assert w.words[-1] == "unchanged"
    assert "confirmed" in w.words
    agreed(w, a=5)


def test_r2_the_event_comes_before_the_refusal() -> None:
    """The refusal would wait for a newer event that has come already."""
    w = World(mapping_of("a"), {"a": 1})
    w.deliver(w.L(a=5))
    theirs = w.R(a=7)
    (refusal,) = w.work(RIGHT)
    assert isinstance(refusal, Failed)
    w.deliver(theirs)
    w.deliver(refusal)
    assert w.sent() == []
    assert w.error is not None
    assert (w.error.kind, w.error.contested) == (ErrorKind.UPDATE_CONFLICT, ("a",))
    assert (w.fields(LEFT), w.fields(RIGHT)) == ({"a": 5}, {"a": 7})


def test_r2_a_version_that_moves_without_an_event() -> None:
    """The refusal would wait for an event that never comes; a read tells where the record stands, and all goes on."""
    w = World(mapping_of("a"), {"a": 1})
    w.right.move_silently("k")
    w.deliver(w.L(a=5))
    w.flush()
    w.deliver(*w.work(RIGHT))
    assert [sent.action for sent in w.sent(RIGHT)] == [Action.READ]
    w.run()
    agreed(w, a=5)


def test_r3_one_decision_in_flight() -> None:
    """The echo of a sum, before its outcome, would look like one more sum, and so on without end."""
    w = World(mapping_of(field("n", on_conflict=UpdateRule.ADD)), {"n": 1000})
    w.deliver(w.L(n=1001))
    echo, outcome = w.work(RIGHT)
    w.deliver(echo)
    assert w.words[-1] == "queued"
    w.deliver(outcome)
    assert w.sent() == []
    agreed(w, n=1001)


def test_r3_a_half_confirmed_merge_is_no_edit() -> None:
    """What one side has confirmed of a merge would be taken for a new edit while the other has yet to answer."""
    w = World(mapping_of("a", "b", detect=Detect.FIELD), {"a": 1, "b": 1})
    w.deliver(w.L(a=5), w.R(b=6))
    assert [sent.reason for sent in w.sent()] == ["merge", "merge"]
    w.deliver(*w.work(LEFT))
    assert [sent.side for sent in w.sent()] == [RIGHT]
    w.run()
    agreed(w, a=5, b=6)


def test_r4_the_base_moves_only_with_what_was_confirmed() -> None:
    """The operator's 7 would be the base before the right side took it, and its user's 8 would be overwritten by it."""
    w = World(mapping_of("a"), {"a": 0})
    w.deliver(w.L(a=1), w.R(a=2))
    w.engine.instruct(w.number, left={"a": 7}, right={"a": 7})
    w.deliver(*w.work(LEFT))
    theirs = w.R(a=8)
    w.deliver(*w.work(RIGHT))
    w.deliver(theirs)
    w.run()
    assert w.fields(RIGHT) == {"a": 8}
    assert w.error is not None
    assert w.error.kind is ErrorKind.UPDATE_CONFLICT
    assert w.fields(LEFT) == {"a": 7}


def test_r4_a_typed_value_becomes_the_base_when_both_have_it() -> None:
    """A value that neither side held would never become the base, or would before both have it."""
    w = World(mapping_of("a"), {"a": 0})
    w.deliver(w.L(a=1), w.R(a=2))
    w.engine.instruct(w.number, left={"a": 7}, right={"a": 7})
    w.deliver(*w.work(LEFT))
    assert w.coupling.base["a"].left == 0
    w.run()
    assert (w.coupling.base["a"].left, w.coupling.base["a"].right) == (7, 7)
    agreed(w, a=7)


def test_r5_two_equal_deltas_are_two() -> None:
    """The sides agree on 1001, and one of the two would be lost."""
    w = World(mapping_of(field("n", on_conflict=UpdateRule.ADD)), {"n": 1000})
    w.deliver(w.L(n=1001), w.R(n=1001))
    w.run()
    agreed(w, n=1002)


def test_r5_a_delta_is_delivered_once() -> None:
    """1000, +1 and +10, one write refused: it would come to 1010 or to 1012."""
    w = World(mapping_of(field("n", on_conflict=UpdateRule.ADD)), {"n": 1000})
    w.deliver(w.L(n=1001), w.R(n=1010))
    w.deliver(*w.work(LEFT))
    w.right.move_silently("k")
    w.run()
    agreed(w, n=1011)


def test_r5_an_equal_delta_of_a_user_is_no_echo() -> None:
    """An app that confirms by echo: its user's own +1 looks like the echo of ours, which the app then refuses."""
    w = World(mapping_of(field("n", on_conflict=UpdateRule.ADD), right={"confirms": Confirms.ECHO}), {"n": 1000})
    w.deliver(w.L(n=1001))
    theirs = w.R(n=1001)
    (refusal,) = w.work(RIGHT)
    w.deliver(theirs)
    w.deliver(refusal)
    w.run()
    agreed(w, n=1002)


def test_r6_an_instruction_of_unknown_fate_keeps_its_slot() -> None:
    """Decided anew while the old write lands, the sum would count twice."""
    w = World(mapping_of(field("n", on_conflict=UpdateRule.ADD)), {"n": 1000})
    w.deliver(w.R(n=1001))
    late = w.work(LEFT)
    w.engine.silence(w.number)
    assert w.error is not None
    assert w.error.kind is ErrorKind.NO_ANSWER
    w.engine.wake(w.number)
    assert w.sent() == []
    w.engine.retry(w.number)
    (again,) = w.sent(LEFT)
    assert (again.id, again.attempt) == (w.left.received[0].id, 2)
    w.deliver(*late)
    assert w.engine.told[-1][0] is ErrorEvent.RESOLVED
    w.run()
    agreed(w, n=1001)


def test_r6_a_create_of_unknown_fate_makes_one_record() -> None:
    """A create that was not answered would be made anew, and there would be two."""
    w = World(mapping_of("a"))
    w.deliver(w.L(a=1))
    w.number = w.engine.couple(w.mapping, RecordRef("l", "t", "k"), None)
    late = w.work(RIGHT)
    w.engine.silence(w.number)
    w.engine.retry(w.number)
    w.work(RIGHT)
    w.deliver(*late)
    w.run()
    assert len(w.right.rows) == 1
    agreed(w, a=1)


def test_r7_a_refusal_of_an_earlier_attempt_is_ignored() -> None:
    """Attempts 1 and 2 are both under way; the refusal of 1 would kill the retry that is about to be applied."""
    w = World(mapping_of(field("n", on_conflict=UpdateRule.ADD)), {"n": 1000})
    w.deliver(w.R(n=1001))
    (first,) = w.sent(LEFT)
    w.engine.silence(w.number)
    w.engine.retry(w.number)
    w.engine.outbox.remove(first)
    w.deliver(w.left.refuse(first, FailureCode.VALIDATION_FAILED))
    assert w.words[-1] == "stale"
    assert w.coupling.flight[0].state is InstructionState.SENT
    w.run()
    agreed(w, n=1001)


def test_r8_a_refusal_stays_until_something_else_would_be_sent() -> None:
    """An app that notes each refusal on its record would be asked again because of the note, and refuse without end."""
    w = World(
        mapping_of("b", "note", detect=Detect.FIELD),
        {"b": 0, "note": "-"},
        habits=(Habits(notes_refusals="note"), Habits()),
    )
    w.left.refuses = lambda sent: FailureCode.VALIDATION_FAILED if sent.fields.get("b") == 102 else None
    w.R(b=102)
    w.run()
    assert w.error is not None
    assert (w.error.kind, w.error.code) == (ErrorKind.APPLY_FAILED, "validation_failed")
    assert len([sent for sent in w.left.received if "b" in sent.fields]) == 1
    w.R(b=103)
    w.run()
    assert w.engine.told[-1][0] is ErrorEvent.RESOLVED
    agreed(w, b=103)


def test_r8_a_failure_when_both_are_gone_brings_nothing_back() -> None:
    """The restore that failed would be made again although the other record is gone meanwhile."""
    w = World(mapping_of("a", on_deletion=DeletionRule.RESTORE), {"a": 1})
    w.deliver(w.delete(LEFT))
    (create,) = w.sent(LEFT)
    w.engine.outbox.remove(create)
    w.deliver(w.delete(RIGHT))
    w.deliver(w.left.refuse(create, FailureCode.VALIDATION_FAILED))
    assert (w.coupling.status, w.error, w.sent()) == (CouplingStatus.CLOSED, None, [])


def test_r9_an_edit_of_the_restored_record_before_the_outcome() -> None:
    """The edit came before we knew that the new record is ours; the image would begin with the outcome, without it."""
    w = World(mapping_of("a", "b", on_deletion=DeletionRule.RESTORE), {"a": 1, "b": 2})
    old = w.ref(RIGHT)
    w.deliver(w.delete(RIGHT))
    echo, outcome = w.work(RIGHT)
    assert isinstance(outcome, Applied)
    assert outcome.key is not None
    edit = w.right.edit(outcome.key, {"b": 9})
    w.deliver(echo)
    w.deliver(edit)
    w.deliver(outcome)
    assert w.ref(RIGHT) == replace(old, key=outcome.key)
    assert ("m", old) in w.engine.apart
    w.run()
    agreed(w, a=1, b=9)


def test_r10_a_field_that_flows_nowhere_still_holds_a_delete_back() -> None:
    """Nothing flows from the right, so that its edit would count for nothing and be deleted."""
    w = World(
        mapping_of(field("a", direction="to_right"), direction=Direction.TO_RIGHT, on_deletion=DeletionRule.DELETE),
        {"a": 1},
    )
    w.deliver(w.R(a=101))
    w.deliver(w.delete(LEFT))
    assert w.sent() == []
    assert w.error is not None
    assert w.error.kind is ErrorKind.DELETION_CONFLICT
    assert w.fields(RIGHT) == {"a": 101}


def test_r11_the_target_of_a_one_way_field_is_not_overwritten_silently() -> None:
    """What the target's user had entered would be nowhere."""
    w = World(mapping_of(field("a", direction="to_left")), {"a": 1})
    w.deliver(w.L(a=77))
    assert w.words[-1] == "ignored"
    w.deliver(w.R(a=5))
    assert log_of(w, "resolved") == [{"a": {"base": 1, "left": 77, "right": 5}}]
    w.run()
    agreed(w, a=5)


def test_r11_a_value_that_the_instruction_had_not_seen() -> None:
    """An app without ``if_version`` takes our write over a user's edit, which is told while the write is in flight."""
    w = World(mapping_of("a", right={"checks_version": False}), {"a": 1})
    w.deliver(w.L(a=5))
    theirs = w.R(a=7)
    answers = w.work(RIGHT)
    w.deliver(theirs)
    assert log_of(w, "overtaken") == [{"a": 7}]
    w.deliver(*answers)
    assert w.engine.instructions[w.right.received[0].id].sent.overtaken == {"a": [7]}
    agreed(w, a=5)


def test_r11_a_value_that_is_told_when_all_is_over() -> None:
    """The same, when the answer to our write comes first: the image knows better, and the value would be gone."""
    w = World(mapping_of("a", right={"checks_version": False}), {"a": 1})
    w.deliver(w.L(a=5))
    theirs = w.R(a=7)
    w.deliver(*w.work(RIGHT))
    w.deliver(theirs)
    assert log_of(w, "overtaken") == [{"a": 7}]
    agreed(w, a=5)


def test_r12_our_own_writes_do_not_make_a_side_newest() -> None:
    """Our write to the right would look like its newest change, and the left user's later edit would lose."""
    mapping = mapping_of(
        "a", field("n", on_conflict=UpdateRule.ADD), detect=Detect.RECORD, on_update_conflict=UpdateRule.NEWEST
    )
    w = World(mapping, {"a": 1, "n": 0})
    theirs = w.R(n=1)
    w.deliver(theirs)
    w.run()
    w.deliver(w.L(a=2))
    w.later(60)
    w.deliver(*w.work(RIGHT))
    assert w.image(RIGHT).user_modified_at == theirs.at
    w.deliver(w.R(n=3), w.L(a=4))
    w.run()
    assert w.error is None
    assert w.fields(RIGHT) == w.fields(LEFT) == {"a": 4, "n": 1}  # newest takes the whole record


def test_r12_an_echo_that_nobody_knew_is_forgotten_with_the_outcome() -> None:
    """The app made something else of our value and told that first: it would count as its user's newest change."""
    w = World(mapping_of("a"), {"a": 1}, habits=(Habits(), Habits(makes={"a": lambda _: 9})))
    before = w.image(RIGHT).user_modified_at
    w.deliver(w.L(a=5))
    echo, outcome = w.work(RIGHT)
    w.deliver(echo)
    w.deliver(outcome)
    assert w.image(RIGHT).user_modified_at == before


def test_r13_two_apps_that_turn_a_value_to_and_fro() -> None:
    """Each stores another value than it is sent and says so in an ordinary change: a fight without end."""
    turned = (
        Habits(makes={"a": lambda _: 100}, alters_later=True),
        Habits(makes={"a": lambda _: 101}, alters_later=True),
    )
    w = World(mapping_of("a"), {"a": 0}, habits=turned)
    w.R(a=101)
    w.run()
    assert w.error is not None
    assert (w.error.kind, w.error.code, w.error.field) == (ErrorKind.APPLY_FAILED, "altered", "a")
    assert len(w.left.received) <= 2
    w.later(60)
    w.L(a=100)
    w.R(a=100)
    w.run()
    assert w.error is None


def test_r13_an_altered_value_flows_back_once() -> None:
    """One app that alters is no fight: what it made flows back, and that is the end of it."""
    w = World(
        mapping_of("a"),
        {"a": 0},
        habits=(Habits(makes={"a": lambda value: min(value, 100)}, alters_later=True), Habits()),
    )
    w.R(a=101)
    w.run()
    agreed(w, a=100)


def test_r13_two_people_are_no_fight() -> None:
    """A status that two people set to and fro would be taken for two apps that fight."""
    w = World(mapping_of("a"), {"a": "open"})
    for _ in range(3):
        w.later(60)
        w.L(a="closed")
        w.run()
        w.later(60)
        w.R(a="open")
        w.run()
    agreed(w, a="open")


def test_r14_versions_per_field() -> None:
    """Our name @18 would make the user's whole change @17 stale, and the phone would be lost."""
    w = World(mapping_of("name", "phone", right={"checks_version": False}), {"name": "x", "phone": "1"})
    w.deliver(w.L(name="y"))
    theirs = w.R(phone="2")
    _, outcome = w.work(RIGHT)
    w.deliver(outcome)
    w.deliver(theirs)
    w.run()
    agreed(w, name="y", phone="2")


def test_r14_sparse_events_out_of_order() -> None:
    """Events that tell only what was changed: the later one, come first, would make the earlier one stale."""
    w = World(mapping_of("a", "b"), {"a": 1, "b": 1}, habits=(Habits(sparse=True), Habits()))
    first, second = w.L(a=2), w.L(b=2)
    w.deliver(second)
    w.deliver(first)
    w.run()
    agreed(w, a=2, b=2)


def test_r15_the_echo_of_a_create_by_echo() -> None:
    """The echo of our own create would be a new record, created back on the other side, and so on without end."""
    w = World(mapping_of("a", only_coupled=False, right={"confirms": Confirms.ECHO}))
    w.deliver(w.L(a=1))
    w.number = w.engine.couple(w.mapping, RecordRef("l", "t", "k"), None)
    (echo,) = w.work(RIGHT)
    w.deliver(echo)
    assert w.coupling.status is CouplingStatus.ACTIVE
    assert isinstance(echo, Change)
    assert w.ref(RIGHT) == echo.record
    assert ("m", echo.record) not in w.engine.uncoupled
    agreed(w, a=1)


def test_r15_the_echo_of_a_create_before_its_outcome() -> None:
    """The outcome would find the record known already; the coupling takes it with all that was heard of it."""
    w = World(mapping_of("a", only_coupled=False))
    w.deliver(w.L(a=1))
    w.number = w.engine.couple(w.mapping, RecordRef("l", "t", "k"), None)
    echo, outcome = w.work(RIGHT)
    w.deliver(echo)
    assert w.coupling.status is CouplingStatus.CREATING
    w.deliver(outcome)
    assert isinstance(echo, Change)
    assert w.ref(RIGHT) == echo.record
    agreed(w, a=1)


def test_a_create_that_is_answered_with_a_coupled_record() -> None:
    """An app that finds the record there already would have it coupled twice, and the batch would fail for ever."""
    w = World(mapping_of("a"), {"a": 1})
    w.deliver(replace(w.L(a=1), record=RecordRef("l", "t", "k2"), id="k2-1"))
    number = w.engine.couple(w.mapping, RecordRef("l", "t", "k2"), None)
    (create,) = w.sent(RIGHT)
    w.deliver(Applied(app="r", id="o-1", instruction=create.id, key="k", version=99))
    error = w.engine.couplings[number].error
    assert error is not None
    assert (error.kind, error.code) == (ErrorKind.APPLY_FAILED, "duplicate")


def test_fan_out_to_a_third_app() -> None:
    """The app bc filters its own echoes: what sales wrote to bc would never reach the shop but for the outcome."""
    apps = {name: App(name=name, title=name) for name in ("sales", "bc", "shop")}
    tables = {name: Table(app=name, name="t") for name in apps}
    one = replace(
        mapping_of("a"),
        name="one",
        left=tables["sales"],
        right=tables["bc"],
        left_app=apps["sales"],
        right_app=apps["bc"],
    )
    two = replace(
        mapping_of("a"),
        name="two",
        left=tables["bc"],
        right=tables["shop"],
        left_app=apps["bc"],
        right_app=apps["shop"],
    )
    engine = Engine(one, two)
    refs = {name: RecordRef(name, "t", "k") for name in apps}

    def seen(name: str, version: int, value: int) -> Change:
        fields: dict[str, Value] = {"a": value}
        return Change(
            record=refs[name],
            id=f"{name}-{version}",
            operation=Operation.UPDATE,
            version=version,
            at=EPOCH,
            fields=fields,
        )

    engine.handle(*(seen(name, 1, 0) for name in apps))
    engine.couple(one, refs["sales"], refs["bc"])
    engine.couple(two, refs["bc"], refs["shop"])
    engine.handle(seen("sales", 2, 5))
    (sent,) = engine.outbox
    engine.handle(Applied(app="bc", id="o", instruction=sent.id, version=2))
    assert [(one.record.app, one.fields) for one in engine.outbox] == [("bc", {"a": 5}), ("shop", {"a": 5})]


def test_truncation_told_in_the_outcome() -> None:
    """The app keeps less than it is sent: the source would be truncated by the echo."""
    for says, names in ((True, False), (False, False), (False, True)):
        habits = Habits(makes={"a": lambda value: value[:3]}, says_what_it_made=says, names_instructions=names)
        for echo_first in (True, False):
            w = World(mapping_of("a"), {"a": "x"}, habits=(Habits(), habits))
            w.deliver(w.L(a="abcdef"))
            answers = w.work(RIGHT)
            for answer in answers if echo_first else answers[::-1]:
                w.deliver(answer)
            assert w.words.count("normalized") == 1, (says, names, echo_first)
            assert (w.fields(LEFT), w.fields(RIGHT)) == ({"a": "abcdef"}, {"a": "abc"})
            assert (w.coupling.base["a"].left, w.coupling.base["a"].right) == ("abcdef", "abc")
            assert (w.sent(), w.error) == ([], None)
            w.R(a="new")
            w.run()
            agreed(w, a="new")


def test_a_field_that_is_mapped_later() -> None:
    """Every coupling whose values differ would conflict at once; or the first change afterwards would be swallowed."""
    w = World(mapping_of("a"), {"a": 1, "b": 1}, right_start={"a": 1, "b": 2})
    w.mapping = mapping_of("a", "b")
    w.engine.file = replace(w.engine.file, mappings={"m": w.mapping})
    w.engine.wake(w.number)
    assert (w.error, w.sent()) == (None, [])
    w = World(mapping_of("a"), {"a": 1, "b": 1}, right_start={"a": 1, "b": 2})
    w.engine.file = replace(w.engine.file, mappings={"m": mapping_of("a", "b")})
    w.L(b=5)
    w.run()
    agreed(w, a=1, b=5)


def test_a_mapping_that_has_left_the_file() -> None:
    """Couplings of a mapping that is gone would fail the batch, or never learn of what was answered meanwhile."""
    w = World(mapping_of(field("n", on_conflict=UpdateRule.ADD)), {"n": 1000})
    file = w.engine.file
    for refuse in (False, True):
        w.deliver(w.L(n=w.left.row("k").fields["n"] + 1))
        w.engine.file = replace(file, mappings={})
        if refuse:
            w.right.refusals.append(FailureCode.OTHER)
        w.deliver(*w.work(RIGHT))
        w.engine.file = file
        w.engine.wake(w.number)
        assert (w.error is not None) is refuse
        assert w.sent() == []


def test_poison_of_a_counter() -> None:
    """One event with the highest version would make all that follows stale, until a read replaces the image."""
    w = World(mapping_of("a"), {"a": 1})
    mad = Change(
        record=w.ref(RIGHT), id="mad", operation=Operation.UPDATE, version=2**63 - 1, at=w.now, fields={"a": 1}
    )
    w.deliver(mad)
    w.R(a=3)
    w.flush()
    assert w.image(RIGHT).fields == {"a": 1}
    w.L(a=2)
    w.run()
    assert w.error is not None
    assert w.error.kind is ErrorKind.UPDATE_CONFLICT
    assert w.image(RIGHT).version == w.right.row("k").version
    w.R(a=2)
    w.run()
    agreed(w, a=2)


def test_poison_of_a_clock() -> None:
    """A clock that is an hour fast would rule for an hour; it is clipped to the arrival, and the decision says so."""
    w = World(mapping_of("a", left={"order": "time"}), {"a": 1})
    fast = replace(w.L(a=5), at=w.now + timedelta(hours=1))
    w.waiting[LEFT].clear()
    w.deliver(fast)
    assert w.image(LEFT).clipped
    w.run()
    w.later(60)
    w.L(a=6)
    w.run()
    agreed(w, a=6)
    w.deliver(w.L(a=7), w.R(a=8))
    assert w.error is not None
    assert w.error.confidence is Confidence.DEGRADED
