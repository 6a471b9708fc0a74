"""Expressions that each dialect spells its own way, and what it does with a query."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Boolean, ColumnElement, Dialect, String
from sqlalchemy.ext.compiler import compiles


def reads_side_by_side(dialect: Dialect) -> bool:
    """Whether two questions are answered sooner side by side; SQLite computes in our own process, one at a time."""
    return dialect.name != "sqlite"


def sums_once(dialect: Dialect) -> bool:
    """Whether what a WITH names is computed once, however often it is read; MariaDB does so for each reader."""
    return dialect.name not in ("mysql", "mariadb")


class EachTime(ColumnElement[bool]):
    """True, and in a sub-select a reason to run it for each row.

    MariaDB else remembers its answer by the outer column, and takes ``a`` and ``A`` of that for the same.
    """

    inherit_cache = True
    type = Boolean()


@compiles(EachTime)
def _true(element: EachTime, compiler: Any, **options: Any) -> str:
    return "1 = 1"


@compiles(EachTime, "mysql", "mariadb")
def _uncacheable(element: EachTime, compiler: Any, **options: Any) -> str:
    return "RAND() >= 0"


class by_code_point(ColumnElement[str]):  # used as a function
    """A text that sorts by its code points, as Python sorts, whatever the locale of the database."""

    inherit_cache = True
    type = String()

    def __init__(self, text: ColumnElement[str]) -> None:
        self.text = text


@compiles(by_code_point)
def _as_it_is(element: by_code_point, compiler: Any, **options: Any) -> str:
    return str(compiler.process(element.text, **options))


@compiles(by_code_point, "postgresql")
def _with_collation(element: by_code_point, compiler: Any, **options: Any) -> str:
    return f'{compiler.process(element.text, **options)} COLLATE "C"'
