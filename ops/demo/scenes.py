"""The working day, scene by scene. Anna works in the ERP, Sam in the CRM; nobody settles anything until evening."""

from __future__ import annotations

import msgspec

from messages.envelope import CONTENT_TYPE, RECORD_CHANGED
from messages.errors import ErrorKind
from messages.topology import change_key, changes_exchange, changes_queue, dead_queue
from messages.transport.ports import Properties, Publication
from ops.demo.apps import INTEGRATION_USER
from ops.demo.stage import Play, Stage

ANNA, SAM = "anna", "sam"

DISPUTED, DELETED = "AROUT", "PARIS"
"""The two customers about which people have to decide when the day is over."""


def update_to_sales(stage: Stage) -> None:
    """A change on the left travels to the right."""
    customer, account = stage.customer("ALFKI")
    stage.play(stage.bc.edit(customer, ANNA, phone_no="030-0074399"))
    stage.expect("Sales has the new number", stage.value(account, "telephone1") == "030-0074399")
    stage.expect("it was one instruction", len(stage.instructions("sales")) == 1)


def update_to_bc(stage: Stage) -> None:
    """A change on the right travels to the left, a country in the left's own form."""
    customer, account = stage.customer("BERGS")
    stage.play(stage.sales.edit(account, SAM, address1_city="Oslo", address1_country="Norway"))
    stage.expect("Business Central has the city", stage.value(customer, "city") == "Oslo")
    stage.expect("and the country by its code", stage.value(customer, "country_region_code") == "NO")


def update_conflict(stage: Stage) -> None:
    """Both change a record before either has heard of the other."""
    customer, account = stage.customer(DISPUTED)
    by_anna = stage.bc.edit(customer, ANNA, address="4 Bishopsgate")
    by_sam = stage.sales.edit(account, SAM, address1_line1="25 Great Queen St.")
    stage.play(by_anna, by_sam)
    kinds = [error.kind for error in stage.open_errors(customer)]
    stage.expect("an update conflict stands open", kinds == [ErrorKind.UPDATE_CONFLICT])
    stage.expect(
        "neither side was overwritten",
        (stage.value(customer, "address"), stage.value(account, "address1_line1"))
        == ("4 Bishopsgate", "25 Great Queen St."),
    )


def merge(stage: Stage) -> None:
    """Both change a record, each another field, under a mapping that looks at fields."""
    left, right = stage.contact("Hanna Moos")
    stage.play(
        stage.bc.edit(left, ANNA, phone_no="0621-08499"), stage.sales.edit(right, SAM, fullname="Hanna Moos-Keller")
    )
    stage.expect("Sales has the number", stage.value(right, "telephone1") == "0621-08499")
    stage.expect("Business Central has the name", stage.value(left, "name") == "Hanna Moos-Keller")
    stage.expect("no error was opened", not stage.open_errors(left))


def deletion_conflict(stage: Stage) -> None:
    """One side deletes what the other still has, and no policy says what follows."""
    customer, account = stage.customer(DELETED)
    stage.play(stage.bc.delete(customer, ANNA))
    kinds = [error.kind for error in stage.open_errors(account)]
    stage.expect("a deletion conflict stands open", kinds == [ErrorKind.DELETION_CONFLICT])
    stage.expect("Sales still has the account", stage.exists(account))


def settled_by_rule(stage: Stage) -> None:
    """Both change the same field, and the field has a rule."""
    left, right = stage.contact("Thomas Hardy")
    by_anna = stage.bc.edit(left, ANNA, job_title="Head of Sales")
    by_sam = stage.sales.edit(right, SAM, jobtitle="Senior Sales Representative")
    stage.play(by_anna, by_sam)
    stage.expect("Sales took Business Central's title", stage.value(right, "jobtitle") == "Head of Sales")
    stage.expect("no error was opened", not stage.open_errors(left))
    kept = [line.values["job_title"]["right"] for line in stage.lines() if "job_title" in line.values]
    stage.expect("the title that lost is kept in the log", kept == ["Senior Sales Representative"])


def settled_by_restoring(stage: Stage) -> None:
    """One side deletes a record, and the policy is to bring it back."""
    left, right = stage.contact("Ann Devon")
    stage.play(stage.sales.delete(right, SAM))
    back = stage.partner(left)
    stage.expect("Sales has the contact again", back is not None and back != right and stage.exists(back))
    method = None if back is None else stage.value(back, "preferredcontactmethod")
    stage.expect("with the field that only Sales knows", method == "email")
    stage.expect("no error was opened", not stage.open_errors(left))


def echo(stage: Stage) -> None:
    """An app announces what it was instructed to write, like any other change."""
    customer, account = stage.customer("BOTTM")
    stage.play(stage.bc.edit(customer, ANNA, fax_no="(604) 555-3700"))
    said = stage.sales.changes[-1]
    stage.expect("Sales announced the write", (said.record, said.modified_by) == (account, INTEGRATION_USER))
    stage.expect("nothing came back to Business Central", not stage.instructions("bc"))
    stage.expect("the log has the echo as unchanged", stage.heard(said) == ("unchanged",))


def duplicate(stage: Stage) -> None:
    """The same event is delivered a second time."""
    customer, account = stage.customer("BSBEV")
    event = stage.bc.edit(customer, ANNA, fax_no="(171) 555-1213")
    stage.play(event)
    stage.play(event)
    stage.expect("Sales was instructed once", len(stage.instructions("sales")) == 1)
    stage.expect("the log has the second as a duplicate", stage.heard(event) == ("sent", "duplicate"))
    stage.expect("Sales has the number", stage.value(account, "fax") == "(171) 555-1213")


def stale(stage: Stage) -> None:
    """Two events of one record arrive in the wrong order."""
    customer, account = stage.customer("CACTU")
    older = stage.bc.edit(customer, ANNA, phone_no="(1) 135-5500")
    newer = stage.bc.edit(customer, ANNA, phone_no="(1) 135-5566")
    stage.play(newer)
    stage.play(older)
    stage.expect("the newer number stands in Sales", stage.value(account, "telephone1") == "(1) 135-5566")
    stage.expect("Sales was instructed once", len(stage.instructions("sales")) == 1)
    stage.expect("the log has the older event as stale", stage.heard(older) == ("stale",))


def malformed(stage: Stage) -> None:
    """An app sends what nobody can take, and a good event right behind it."""
    customer, account = stage.customer("CHOPS")
    world, namespace = stage.world, stage.world.namespace
    dead_before = world.broker.depth(dead_queue(namespace))
    event = {
        "specversion": "1.0",
        "id": "bc-broken",
        "type": RECORD_CHANGED,
        "source": "bc",
        "subject": "customer/CHOPS",
        "data": {"operation": "update", "version": "seventeen", "fields": {}},
    }
    world.publish(
        [
            Publication(
                exchange=changes_exchange(namespace),
                routing_key=change_key("bc", "customer", "update"),
                body=msgspec.json.encode(event),
                properties=Properties(content_type=CONTENT_TYPE),
            )
        ]
    )
    stage.play(stage.bc.edit(customer, ANNA, name="Chop-suey Chinese AG"))
    depth = world.broker.depth(dead_queue(namespace))
    stage.expect(f"it went from {changes_queue(namespace, 'bc')} to the dead queue", depth == dead_before + 1)
    stage.expect("the event behind it was not held up", stage.value(account, "name") == "Chop-suey Chinese AG")


SCENES: tuple[tuple[str, str, Play], ...] = (
    (
        "Update, Business Central to Sales",
        "Anna enters a new phone number for Alfreds Futterkiste.",
        update_to_sales,
    ),
    (
        "Update, Sales to Business Central",
        "Sam hears that Berglunds snabbköp has moved to Oslo.",
        update_to_bc,
    ),
    (
        "Update conflict",
        "Anna and Sam both enter a new address for Around the Horn, each a different one.",
        update_conflict,
    ),
    (
        "Disjoint edits, merged",
        "Anna changes Hanna Moos's phone number while Sam changes her name.",
        merge,
    ),
    (
        "Deletion conflict",
        "Anna deletes Paris spécialités, which Sam still works with.",
        deletion_conflict,
    ),
    (
        "Conflict settled by a rule",
        "Anna and Sam both change Thomas Hardy's job title; the mapping says that the left side wins.",
        settled_by_rule,
    ),
    (
        "Deletion settled by a policy",
        "Sam deletes Ann Devon; the mapping says that a deleted contact comes back.",
        settled_by_restoring,
    ),
    (
        "Echo",
        "Anna enters a fax number; Sales announces the write it was told to make as a change of its own.",
        echo,
    ),
    (
        "Duplicate",
        "Anna enters a fax number, and the event is delivered twice.",
        duplicate,
    ),
    (
        "Stale event",
        "Anna corrects a phone number at once; the first event arrives after the second.",
        stale,
    ),
    (
        "Malformed message",
        "Business Central sends a version in words, and Anna's new name for Chop-suey Chinese right behind it.",
        malformed,
    ),
)
"""Title, story and play of each scene, in the order of the day."""
