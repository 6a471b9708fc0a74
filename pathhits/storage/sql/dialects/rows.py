"""Rows as statements take them and as they come back, past what SQLAlchemy would spend on each."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import CursorResult

#: Values in the order of `Upsert.columns`.
Row = tuple[Any, ...]

#: Rows of one multi-row INSERT (SQLite allows 32,766 parameters, MariaDB a packet of 16 MB).
ROWS_A_STATEMENT = 2_000


def returned(result: CursorResult[Any]) -> list[tuple[Any, ...]]:
    """The rows of RETURNING as the driver has them, without the cost of a Row object for each."""
    if not result.returns_rows:
        return []
    rows = [tuple(row) for row in result.cursor.fetchall()]
    result.close()
    return rows


def array(values: Sequence[Any]) -> str:
    """An array as PostgreSQL writes it, ``{1,2}``: the driver's own way is five times as slow."""
    first = values[0]
    if isinstance(first, int):
        return "{" + ",".join(map(str, values)) + "}"
    if isinstance(first, bytes):
        return '{"\\\\x' + '","\\\\x'.join([value.hex() for value in values]) + '"}'
    if isinstance(first, datetime):
        return "{" + ",".join(isoformat(values)) + "}"
    return '{"' + '","'.join([value.replace("\\", "\\\\").replace('"', '\\"') for value in values]) + '"}'


def isoformat(values: Sequence[datetime]) -> list[str]:
    first = values[0]
    return [first.isoformat()] * len(values) if values.count(first) == len(values) else [v.isoformat() for v in values]
