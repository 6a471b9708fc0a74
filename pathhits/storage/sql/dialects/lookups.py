"""Which of many keys a table holds, and questions asked of many numbers at once."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Column, Connection

from pathhits.storage.sql.dialects.rows import ROWS_A_STATEMENT, array, returned


def present(connection: Connection, column: Column[bytes], keys: Sequence[bytes]) -> set[bytes]:
    """Which of ``keys`` a column of bytes holds."""
    return {bytes(row[0]) for row in _found(connection, column.name, column, keys)}


def ids_of(connection: Connection, column: Column[bytes], keys: Sequence[bytes]) -> dict[bytes, int]:
    """The ids of those rows whose column of bytes holds one of ``keys``, by key."""
    return {bytes(row[0]): row[1] for row in _found(connection, f"{column.name}, id", column, keys)}


def _found(
    connection: Connection, wanted: str, column: Column[bytes], keys: Sequence[bytes]
) -> Iterator[tuple[Any, ...]]:
    query = f"SELECT {wanted} FROM {column.table} WHERE {column.name}"
    if connection.dialect.name == "postgresql":
        if keys:
            yield from returned(connection.exec_driver_sql(f"{query} = ANY(%s::bytea[])", (array(keys),)))
        return
    mark = "?" if connection.dialect.name == "sqlite" else "%s"
    for first in range(0, len(keys), ROWS_A_STATEMENT):
        some = tuple(keys[first : first + ROWS_A_STATEMENT])
        statement = f"{query} IN ({', '.join([mark] * len(some))})"
        yield from returned(connection.exec_driver_sql(statement, some))


def look_up(connection: Connection, asked: Sequence[Sequence[int]], questions: Sequence[str]) -> list[tuple[Any, ...]]:
    """For each row of numbers the answer to each question, in bulk: a sub-select that gives 1, or NULL.

    A question names the numbers of its row ``a.n0``, ``a.n1`` and so on, and its table ``{events}``. Each is answered
    row by row through an index, as no database can turn a sub-select with a LIMIT into a scan of its table.
    """
    if not asked:
        return []
    statement = look_up_statement(connection.dialect.name, len(asked[0]), tuple(questions))
    if connection.dialect.name == "postgresql":
        given: tuple[str, ...] = tuple(map(array, zip(*asked, strict=True)))
    else:
        given = (json.dumps(asked, separators=(",", ":")),)
    return [row[1:] for row in returned(connection.exec_driver_sql(statement, given))]


@lru_cache(maxsize=32)
def look_up_statement(dialect_name: str, width: int, questions: tuple[str, ...]) -> str:
    """The statement of `look_up` for rows of so many numbers."""
    # MariaDB takes the first index that begins with the item, and reads all events of the item.
    hint = " FORCE INDEX (ix_pathhits_events_item_visitor)" if dialect_name in ("mysql", "mariadb") else ""
    columns = ", ".join(
        f"({question} LIMIT 1)".replace("{events}", f"pathhits_events e{hint}") for question in questions
    )
    return f"SELECT a.n, {columns} FROM {_asked(dialect_name, width)} ORDER BY 1"


def _asked(dialect_name: str, width: int) -> str:
    """Rows of numbers ``a.n0``, ``a.n1``, ... with their place ``a.n``, out of one parameter (or one a column)."""
    names = [f"n{i}" for i in range(width)]
    if dialect_name == "postgresql":
        return f"unnest({', '.join(['%s::bigint[]'] * width)}) WITH ORDINALITY AS a({', '.join(names)}, n)"
    if dialect_name == "sqlite":
        parts = ", ".join(f"json_extract(value, '$[{i}]') AS {name}" for i, name in enumerate(names))
        return f"(SELECT key AS n, {parts} FROM json_each(?)) AS a"
    parts = ", ".join(f"{name} BIGINT PATH '$[{i}]'" for i, name in enumerate(names))
    return f"JSON_TABLE(%s, '$[*]' COLUMNS (n FOR ORDINALITY, {parts})) AS a"
