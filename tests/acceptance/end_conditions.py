"""What has to hold when all is quiet and no error is open: both sides agree, and nothing entered is lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, TypeAlias

from store import tables
from store.couplings import Standing, standing
from store.model import Coupling, Side
from tests.acceptance.branches import TOKEN, Branch, agree, one_way
from tests.acceptance.random_users import Field, UsersApp
from tests.acceptance.random_world import RandomWorld
from tests.acceptance.stories import story, story_of_record
from workers.mapping import MappedField

Row: TypeAlias = dict[str, Any]

KEPT_IN = (tables.errors.c.report, tables.log.c.line, tables.instructions.c.sent)
"""Where a value is kept that no app has any more: errors with both images, the log, and the decisions."""


def check(world: RandomWorld) -> Counter[str]:
    """See that it all holds; return how many records are coupled and how many are not."""
    stage, couplings = world.stage, world.stage.couplings()
    stage.wait(lambda: not stage.depths(), "the last messages to be taken from their queues")
    nothing("surprising answers", world.operator.surprises)
    nothing("dead messages", stage.dead())
    nothing("unsettled couplings", [one.id for one in couplings if standing(one) is not Standing.SYNCHRONIZED])
    different = {one.id: list(differences(world, one)) for one in couplings}
    at_odds = next((one for one in couplings if different[one.id]), None)
    assert at_odds is None, f"{list(filter(None, different.values()))}\n{story(stage, world.file, at_odds)}"
    nothing("forgotten records", list(forgotten(world)))
    nothing("lost values", [value for app in world.users_apps for value in lost_values(world, app)])
    return census(world)


def nothing(what: str, found: Any) -> None:
    """See that there is none."""
    assert not found, f"{what}: " + "\n".join(map(str, found))


def differences(world: RandomWorld, coupling: Coupling) -> Iterator[str]:
    """Every field in which two coupled records do not agree, said in words."""
    branch = next(one for one in world.branches if one.name == coupling.mapping)
    left, right = (_row(app, branch, coupling) for app in world.users_apps)
    if left is None or right is None:
        yield f"coupling {coupling.id}: one of {coupling.left} and {coupling.right} is not there"
        return
    for field in world.file.mappings[branch.name].fields:
        if not agree(field, left, right) and not _by_its_own_user(world, coupling, field, (left, right)):
            yield f"coupling {coupling.id} {field.name}: {left[field.left]!r} and {right[field.right]!r}"


def _row(app: UsersApp, branch: Branch, coupling: Coupling) -> dict[str, Any] | None:
    record = coupling.left if app.name == "bc" else coupling.right
    rows = {str(key): row for key, row in app.rows(branch.table(app.name)).items()}
    return None if record is None else rows.get(record.key)


def _by_its_own_user(world: RandomWorld, coupling: Coupling, field: MappedField, rows: tuple[Row, Row]) -> bool:
    """Say whether the target of a one-way field holds what its own user typed, and the source did not change since."""
    target = one_way(field)
    if target is None or coupling.left is None or coupling.right is None:
        return False
    ends = [(coupling.left, field.left, rows[0][field.left]), (coupling.right, field.right, rows[1][field.right])]
    own, source = ends if target == "bc" else ends[::-1]
    if own[2] in world.operator.typed:
        return True  # what is typed for a one-way field is written only where it flows to
    (record, name, value), users = source, world.users
    if not users.entered.get(Field(record.app, record.table, record.key, name)):
        return True  # nobody ever changed the source
    typed, since = (
        users.when(own[0].app, own[0].table, own[1], own[2]),
        users.when(record.app, record.table, name, value),
    )
    is_told_apart = TOKEN.search(f"{value}")  # countries and numbers are typed more than once
    return typed is not None and (since is None or since <= typed or not is_told_apart)


def forgotten(world: RandomWorld) -> Iterator[str]:
    """Every record that should have been coupled or created on the other side and was not."""
    with world.stage.store.reading() as conn:
        apart = {(row.mapping, row.app, row.key) for row in conn.execute(tables.apart.select())}
    for branch in world.branches:
        if branch.only_coupled:
            continue
        for app in world.users_apps:
            if not _flows_from(world, branch, app):
                continue
            for key in world.uncoupled(branch, app.name):
                if (branch.name, app.name, key) not in apart:
                    yield story_of_record(world.stage, f"{app.name}/{branch.table(app.name).wire}/{key}")


def _flows_from(world: RandomWorld, branch: Branch, app: UsersApp) -> bool:
    """Say whether the mapping creates records of this app on the other side."""
    return world.file.mappings[branch.name].direction.flows_from(Side.LEFT if app.name == "bc" else Side.RIGHT)


def lost_values(world: RandomWorld, app: UsersApp) -> Iterator[str]:
    """Every text that was overwritten or deleted in the app by anybody but its own users, and is nowhere any more."""
    kept = {token for column in KEPT_IN for text in world.stage.column(column) for token in TOKEN.findall(text or "")}
    for one in world.users_apps:
        for branch in world.branches:
            kept |= {token for row in one.rows(branch.table(one.name)).values() for token in TOKEN.findall(f"{row}")}
    wires = {table.name: table for table in app.tables}
    for was, now, table in ((one.was, one.now, wires[one.table]) for one in world.replaced(app)):
        key = str(was[table.key])
        if now is None and (app.name, table.wire, key) in world.users.deleted:
            continue
        for name in table.columns:
            if now is not None and now[name] == was[name]:
                continue
            typed = world.users.entered.get(Field(app.name, table.wire, key, name), ())
            by_user = now is not None and now[name] in typed
            if not by_user and not set(TOKEN.findall(f"{was[name]}")) <= kept:
                became = "deleted" if now is None else f"overwritten by {now[name]!r}"
                told = story_of_record(world.stage, f"{app.name}/{table.wire}/{key}")
                yield f"{app.name}/{table.wire}/{key} {name}: {was[name]!r}, {became}\n{told}"


def census(world: RandomWorld) -> Counter[str]:
    """Count the records that are coupled, and those that are not and are exempt."""
    found = Counter({"couplings": len(world.stage.couplings())})
    for branch in world.branches:
        for app in world.users_apps:
            found[_what(branch)] += len(world.uncoupled(branch, app.name))
    return found


def _what(branch: Branch) -> str:
    return "not coupled yet" if branch.only_coupled else "apart"
