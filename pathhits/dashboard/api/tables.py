"""The CSV form of an answer: the table that is seen on screen, safe to open in a spreadsheet.

A cell of text that begins like a formula gets an apostrophe before it, as the OWASP page on CSV injection advises;
numbers, which no visitor can write, are left as they are.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import datetime
from typing import Any

from pathhits.dashboard.api.shapes import Active, Drops, Series, Summary, types_of

#: What a formula begins with; some spreadsheets take the full-width forms for the same.
FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def to_csv(answer: Any, which: str = "") -> str:
    """The rows of an answer with a line of names before them; of the list that is its field ``which``."""
    names, rows = table(answer, which)
    return written(names, rows)


def written(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table as CSV (RFC 4180)."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(names)
    writer.writerows([cell(value) for value in row] for row in rows)
    return out.getvalue()


def cell(value: Any) -> str:
    """One value: numbers as they are, moments as ISO 8601, nothing for None, text made safe."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(int(value)) if isinstance(value, int) else repr(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return json.dumps(value, ensure_ascii=False, sort_keys=True) if value else ""
    return safe(str(value))


def safe(text: str) -> str:
    """The text, with an apostrophe before it where a spreadsheet would take it for a formula."""
    return f"'{text}" if text.startswith(FORMULAS) else text


def table(answer: Any, which: str = "") -> tuple[Sequence[str], Iterable[Sequence[Any]]]:
    """The table of an answer, or of one of its fields: its names and rows."""
    if which:
        return _rows(getattr(answer, which), None, _names_of(answer, which))
    if isinstance(answer, Summary):
        return ("figure", "value", "compared", "before", "change"), _figures(answer)
    if isinstance(answer, Drops):
        parts = [("requests", answer.requests), ("hits", answer.hits)]
        return ("reason", "requests"), [*parts, *((row.reason, row.requests) for row in answer.rows)]
    if isinstance(answer, Active):
        return _rows([answer], Active)
    if isinstance(answer, Series):
        return _rows(answer.points, None, _names_of(answer, "points"))
    return _rows(answer.rows, None, _names_of(answer, "rows"))


def _figures(answer: Summary) -> Iterable[Sequence[Any]]:
    for one in fields(answer.figures):
        parts = (answer.figures, answer.compared, answer.before, answer.changes)
        yield one.name, *(None if part is None else getattr(part, one.name) for part in parts)


def _rows(rows: Sequence[Any], kind: Any, names: Sequence[str] = ()) -> tuple[Sequence[str], Iterable[Sequence[Any]]]:
    names = names or [one.name for one in fields(kind)]
    return names, ([getattr(row, name) for name in names] for row in rows)


def _names_of(answer: Any, field: str) -> list[str]:
    """The names of the dataclass that a field is a tuple of, whether it has rows or not."""
    kind = types_of(type(answer))[field].__args__[0]
    if not is_dataclass(kind):
        raise TypeError(f"{field} of {type(answer).__name__} is no table")
    return [one.name for one in fields(kind)]
