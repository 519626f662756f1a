"""The end of the working day: Mia, an operator, settles what Anna and Sam have left open, by commands on the queue."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from messages.commands import DeleteRecord, Keep, Order, RemoveCoupling, RestoreRecord, Retry, Synchronize
from messages.errors import ErrorKind, ErrorReport
from messages.records import RecordRef
from ops.demo.scenes import ANNA, DELETED, DISPUTED, SAM
from ops.demo.stage import Play, Stage


class Settling(NamedTuple):
    """How Mia settles an error.

    Attributes:
        kind: What the error is expected to be.
        typed: What she types, with ``{}`` for the number of the error.
        order: Makes the order, with the number and the revision that she has seen.
    """

    kind: ErrorKind
    typed: str
    order: Callable[[ErrorReport], Order]
    reason: str


def settle(stage: Stage, record: RecordRef, how: Settling) -> None:
    """Settle the open error of a record as it is shown, and note whether it is settled."""
    shown = [error for error in stage.open_errors(record) if error.kind is how.kind]
    if not shown:
        stage.expect(f"there was the {how.kind} to be settled", holds=False)
        return
    done = stage.order(f"recouple {how.typed.format(shown[0].error)}", how.order(shown[0]), how.reason)
    stage.expect("the error is settled", done and not stage.open_errors(record))


def keep_a_side(stage: Stage) -> None:
    """The disputed address: one side is right."""
    customer, account = stage.customer(DISPUTED)
    settle(
        stage,
        customer,
        Settling(
            ErrorKind.UPDATE_CONFLICT,
            "synchronize {} --keep right",
            lambda shown: Synchronize(error=shown.error, revision=shown.revision, keep=Keep.RIGHT),
            "Sam has visited them",
        ),
    )
    values = (stage.value(customer, "address"), stage.value(account, "address1_line1"))
    stage.expect("both have Sam's address", set(values) == {"25 Great Queen St."})


def choose_fields(stage: Stage) -> None:
    """Both change the same two fields: each side is right in one of them."""
    left, right = stage.contact("Maria Anders")
    stage.play(
        stage.bc.edit(left, ANNA, name="Maria Anders-Kohl", phone_no="030-0074325"),
        stage.sales.edit(right, SAM, fullname="M. Anders", telephone1="030-0074327"),
    )
    chosen = {"name": Keep.LEFT, "phone_no": Keep.RIGHT}
    settle(
        stage,
        left,
        Settling(
            ErrorKind.UPDATE_CONFLICT,
            "synchronize {} --field name=left --field phone_no=right",
            lambda shown: Synchronize(error=shown.error, revision=shown.revision, fields=chosen),
            "asked her",
        ),
    )
    names = {stage.value(left, "name"), stage.value(right, "fullname")}
    numbers = {stage.value(left, "phone_no"), stage.value(right, "telephone1")}
    stage.expect("both have Anna's name", names == {"Maria Anders-Kohl"})
    stage.expect("and Sam's number", numbers == {"030-0074327"})


def restore(stage: Stage) -> None:
    """A record deleted by mistake comes back under a new key, and its coupling follows it."""
    account = stage.sales.find("account", name="Paris spécialités")
    stage.watch(account)
    settle(
        stage,
        account,
        Settling(
            ErrorKind.DELETION_CONFLICT,
            "restore {}",
            lambda shown: RestoreRecord(error=shown.error, revision=shown.revision),
            "deleted by mistake",
        ),
    )
    back = stage.partner(account)
    there = back is not None and back.key != DELETED and stage.exists(back)
    stage.expect("Business Central has it again, under a new number", there)
    if back is None or not there:
        return
    contact, in_sales = stage.contact("Marie Bertrand")
    stage.play(stage.bc.edit(contact, ANNA, company_no=back.key))
    stage.expect("its contact follows it", stage.value(in_sales, "parentcustomerid") == account.key)
    stage.expect("which is nothing new to Sales", len(stage.instructions("sales")) == 0)


def delete(stage: Stage) -> None:
    """A customer is deleted on purpose: its contact is let go, and the other side's record deleted, too."""
    customer, account = stage.customer("FISSA")
    contact, in_sales = stage.contact("Diego Roel")
    coupling = stage.coupling(contact)
    stage.order(
        f"recouple remove-coupling --coupling {coupling}", RemoveCoupling(coupling=coupling), "has left the company"
    )
    stage.expect("both keep the contact, uncoupled", stage.exists(contact) and stage.exists(in_sales))
    stage.play(stage.sales.delete(account, SAM))
    settle(
        stage,
        customer,
        Settling(
            ErrorKind.DELETION_CONFLICT,
            "delete {}",
            lambda shown: DeleteRecord(error=shown.error, revision=shown.revision),
            "out of business",
        ),
    )
    stage.expect("Business Central has deleted the customer", not stage.exists(customer))


def retry(stage: Stage) -> None:
    """An app refuses; when the cause is mended, the same is tried again."""
    customer, account = stage.customer("FOLKO")
    stage.sales.locked.add(account)
    stage.play(stage.bc.edit(customer, ANNA, fax_no="0695-34 67 22"))
    stage.expect("Sales refused", stage.value(account, "fax") != "0695-34 67 22")
    stage.sales.locked.clear()
    settle(
        stage,
        customer,
        Settling(
            ErrorKind.APPLY_FAILED,
            "retry {}",
            lambda shown: Retry(error=shown.error, revision=shown.revision),
            "unlocked it",
        ),
    )
    stage.expect("Sales has the number", stage.value(account, "fax") == "0695-34 67 22")


EVENING: tuple[tuple[str, str, Play], ...] = (
    (
        "An operator keeps one side",
        "Mia looks at the two addresses of Around the Horn, and Sam's is the right one.",
        keep_a_side,
    ),
    (
        "An operator chooses field by field",
        "Anna and Sam both change Maria Anders's name and number; each is right in one of them.",
        choose_fields,
    ),
    (
        "An operator restores a record",
        "Anna did not mean to delete Paris spécialités. Mia has it made again.",
        restore,
    ),
    (
        "An operator lets go, and deletes",
        "Sam deletes FISSA Fabrica, for good. Mia lets its contact go and has the customer deleted, too.",
        delete,
    ),
    (
        "An operator retries",
        "Anna enters a fax number; in Sales the account is locked, until Mia has asked for it.",
        retry,
    ),
)
"""Title, story and play of each scene, in the order of the evening."""
