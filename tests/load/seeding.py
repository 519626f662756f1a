"""Many couplings, quickly: one pair is coupled by the product itself, the others are copies that the database makes."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection, text

from messages.changes import Change
from messages.records import RecordRef
from store import couplings as coupling_store
from store.connect import Store
from tests.contract.workers.by_hand import ByHand
from workers.bootstrap import utc_now

PATTERN = "K00000000"
"""The key of the pair that is copied; number 1 is ``K00000001``."""

_COLUMNS = "mapping, left_app, left_table, right_app, right_table, closed, standing, error_number"
_SERIES = {
    "postgresql": (
        "(SELECT i, 'K' || lpad(i::text, 8, '0') AS k FROM generate_series(1, :count) AS i) AS s",
        "OVERRIDING SYSTEM VALUE",
    ),
    "sqlite": (
        """(
            WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :count)
            SELECT i, printf('K%08d', i) AS k FROM n
        ) AS s""",
        "",
    ),
}


class Pair(NamedTuple):
    """The first events of two records that are coupled, both with the key ``PATTERN``."""

    left: Change
    right: Change


def key(number: int) -> str:
    """Return the key of the records of one of the pairs."""
    return f"K{number:08d}"


def series(dialect: str) -> str:
    """Return a FROM clause that counts ``s.i`` from 1 to ``:count``, with the key ``s.k`` of each pair."""
    return _SERIES[dialect][0]


def couple_many(store: Store, mapping_file: str, pair: Pair, count: int, *, analyze: bool = True) -> None:
    """Couple ``count`` pairs of records, which are like ``pair`` but for their keys; ``analyze``: tell PostgreSQL."""
    hands = ByHand(store, mapping_file)
    hands.now = utc_now()  # what is older than the settings say is deleted, and then not counted any more
    hands.say(pair.left, pair.right)
    hands.couple(str(pair.left.record), str(pair.right.record))
    with store.transaction() as conn:
        conn.execute(text("DELETE FROM outbox"))  # the answer, to nobody
        _copy(conn, pair.left.record, count)
    if analyze and store.dialect == "postgresql":
        with store.transaction() as conn:
            conn.execute(text("ANALYZE"))


def _copy(conn: Connection, record: RecordRef, count: int) -> None:
    (found,) = coupling_store.by_record(conn, [record])[record]
    series, overriding = _SERIES[conn.dialect.name]
    tables = [(one.app, one.table) for one in (found.left, found.right) if one is not None]
    for app, table in tables:
        conn.execute(
            text(
                "INSERT INTO records (app, table_name, key, alive, image)"
                " SELECT app, table_name, s.k, alive, replace(image, :pattern, s.k)"
                f" FROM records, {series} WHERE key = :pattern AND app = :app AND table_name = :table_name"
            ),
            {"count": count, "pattern": PATTERN, "app": app, "table_name": table},
        )
    first = conn.execute(text("SELECT max(id) FROM couplings")).scalar_one()
    number = "CAST(:first AS bigint) + s.i"
    named = "replace(replace(state, :pattern, s.k), :token, :number || s.k)"
    state = f"replace({named}, :own, '\"id\":' || ({number}) || ',')"
    conn.execute(
        text(
            f"INSERT INTO couplings (id, {_COLUMNS}, left_key, right_key, state) {overriding}"
            f" SELECT {number}, {_COLUMNS}, s.k, s.k, {state}"
            f" FROM couplings, {series} WHERE id = :id"
        ),
        {
            "count": count,
            "pattern": PATTERN,
            "first": first,
            "id": found.id,
            "token": found.token,
            "number": str(found.id),
            "own": f'"id":{found.id},',
        },
    )
    _go_on_counting(conn)


def _go_on_counting(conn: Connection) -> None:
    if conn.dialect.name == "postgresql":
        conn.execute(text("SELECT setval(pg_get_serial_sequence('couplings', 'id'), (SELECT max(id) FROM couplings))"))
    else:
        highest = "(SELECT max(id) FROM couplings)"
        conn.execute(text(f"UPDATE sqlite_sequence SET seq = {highest} WHERE name = 'couplings'"))
