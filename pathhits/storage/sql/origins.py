"""Which database this is, and of which others it holds counts: an import must never count the same hits twice.

A database is given a random identity once, by ``pathhits db upgrade``. Its exports tell it, together with those of the
databases whose exports it has taken in. It is among the positions, where other names are ``from:<identity>`` for each
of these databases, and ``file:<id>`` for each file.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable

from sqlalchemy import Connection, Table, select

from pathhits.errors import PathHitsError
from pathhits.storage.sql.dialects.upserts import Upsert, upsert
from pathhits.storage.sql.tables import IMPORTED, ledger, positions

#: The identity of a database that nobody knows: exports of the first version of the format did not tell it.
UNKNOWN = "0" * 32
_OWN = "database"
_FROM, _FILE = "from:", "file:"
_NOTED = Upsert(positions, ("name",), fixed=("position",))


class Twice(PathHitsError):
    """An export of what is counted here already, or may be; the message says what to do."""


def own(connection: Connection) -> str | None:
    """The identity of this database; None when it has none yet."""
    found = connection.scalar(select(positions.c.position).where(positions.c.name == _OWN))
    return None if found is None else bytes(found).hex()


def ensure_own(connection: Connection) -> str:
    """The identity of this database, which is made where there is none."""
    upsert(connection, _NOTED, [(_OWN, uuid.uuid4().bytes)])
    found = own(connection)
    assert found is not None, "it was written just now"
    return found


def held(connection: Connection) -> str:
    """The identity of this database, which no other transaction holds until this one ends: imports take turns."""
    found = connection.scalar(select(positions.c.position).where(positions.c.name == _OWN).with_for_update())
    return bytes(found or b"").hex()


def taken_in(connection: Connection) -> set[str]:
    """The identities of the databases whose exports were taken in; `UNKNOWN` where one did not tell its own."""
    names = connection.scalars(select(positions.c.name).where(positions.c.name.startswith(_FROM))).all()
    first = connection.scalars(select(ledger.c.generation).where(ledger.c.generation.like(f"{IMPORTED}%:0"))).all()
    files = {name.removeprefix(IMPORTED).removesuffix(":0") for name in first}
    told = connection.scalars(select(positions.c.name).where(positions.c.name.startswith(_FILE))).all()
    untold = files - {name.removeprefix(_FILE) for name in told}
    return {name.removeprefix(_FROM) for name in names} | ({UNKNOWN} if untold else set())


def claim(connection: Connection, here: str, file: str, databases: Collection[str], counts: Iterable[Table]) -> None:
    """Note that a file with the counts of these databases is taken in ``here``; raises `Twice` when it must not be.

    It belongs to the transaction that takes its first chunk in, and that holds the identity. Where all ``counts`` are
    empty, there is nothing that could be counted twice.
    """
    if any(connection.execute(select(*table.primary_key).limit(1)).first() is not None for table in counts):
        _check(here, taken_in(connection), set(databases))
    rows = [(f"{_FROM}{one}", bytes.fromhex(one)) for one in databases]
    upsert(connection, _NOTED, sorted([*rows, (f"{_FILE}{file}", bytes.fromhex(file))]))


def _check(here: str, others: set[str], databases: set[str]) -> None:
    remedy = "import the newest export into an empty database (after 'pathhits db upgrade') instead"
    if here in databases:
        raise Twice(f"this export holds counts of this very database, which would count twice: {remedy}")
    if (others & databases) - {UNKNOWN}:
        raise Twice(f"another export with counts of the same database was imported here before: {remedy}")
    if UNKNOWN in databases:
        raise Twice(
            "this export does not say of which database it is, so what is counted here may be in it: "
            "export again with this version of pathhits, or import it into an empty database"
        )
    if UNKNOWN in others:
        raise Twice(
            "an export that did not say of which database it is was imported here before, and this one may hold "
            "the same counts: import this one into an empty database"
        )
