"""Months of paths and items: sums of days that are over, which long lists read instead of the days.

A row of the tables of years has a column for each month, and `tables.rolled_months` says up to which day a month is in
it. That mark is what keeps a list exact: whoever writes into a day that is long over takes the mark away in the same
transaction (`unroll`), and a list says in its one statement which marks it relies on (`held`), and asks anew when one
of them was gone. A mark's row is also the lock between a roller and those writers: it stays when the mark goes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Engine, Select, case, func, literal, select, update

from pathhits.core.periods import first_day_of, month_of
from pathhits.storage.sql import tables
from pathhits.storage.sql.dialects.engines import take_your_time
from pathhits.storage.sql.dialects.upserts import Upsert, upsert, upsert_selected
from pathhits.storage.sql.tables import ITEMS, MONTHS, PATHS, Family
from pathhits.storage.sql.transactions import read, write

#: Days that must be over before a day is rolled: the usual sync writes into the last two, and never takes a mark away.
SETTLED_DAYS = 2
#: Fewer days of a year are read as days, as a row of the year costs as much as some rows of days. Labels have hits on
#: most days, items views on few.
LEAST_DAYS = {PATHS: 10, ITEMS: 25}
#: What a day may have at most; a month with more is not rolled, so that no sum of months can overflow.
LARGEST = 2**40
#: Stands among the generations of an answer when all marks it relies on are there.
ROLLED = "(rolled)"

#: The rows that a query finds.
Ask = Callable[[Select[Any]], Sequence[Any]]

_KNOWN = Upsert(tables.rolled_months, ("month",))
_MARK = Upsert(tables.rolled_months, ("month",), set=("until_day",))


class Gap(NamedTuple):
    """Days from ``first`` up to, not including, ``after``; None is without end."""

    first: int | None
    after: int | None


@dataclass(frozen=True)
class Cover:
    """How the whole days of a window are read: months (1 to 12) by year, and what lies between them as days.

    ``marks`` are the days up to which these months must be rolled.
    """

    gaps: tuple[Gap, ...]
    months: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    marks: tuple[int, ...] = ()


def cover(first: int | None, after: int | None, rolled: Mapping[int, int], least: int = 1) -> Cover:
    """The days from ``first`` up to ``after``, as few rows as can be; ``rolled`` are marks by month.

    Of a year at least so many days are read as months.
    """
    lies = {
        month: range(first_day_of(month), until)
        for month, until in sorted(rolled.items())
        if (first is None or first_day_of(month) >= first) and (after is None or until <= after)
    }
    years: dict[int, list[int]] = {}
    for month in lies:
        years.setdefault(1970 + month // 12, []).append(month)
    used = [
        month for months in years.values() if sum(len(lies[month]) for month in months) >= least for month in months
    ]
    gaps, start = list[Gap](), first
    for month in used:
        gaps.append(Gap(start, lies[month].start))
        start = lies[month].stop
    gaps.append(Gap(start, after))
    kept = tuple(gap for gap in gaps if gap.first is None or gap.after is None or gap.first < gap.after)
    by_year = {year: tuple(month % 12 + 1 for month in months) for year, months in years.items() if months[0] in used}
    return Cover(kept, by_year, tuple(rolled[month] for month in used))


def covers(ask: Ask, family: Family, first: int | None, after: int | None) -> Iterator[Cover]:
    """Ways to read the days of a window, to be tried until one `is_held`; the last one relies on nothing."""
    least = LEAST_DAYS.get(family)
    everything = first is None and after is None  # that is in the totals
    if least and not everything and not (first is not None and after is not None and after - first < least):
        for _ in range(2):
            found = cover(first, after, _marks(ask), least)
            if not found.marks:
                break
            yield found
    yield cover(first, after, {})


def held(given: Cover, none: Collection[ColumnElement[Any]]) -> list[Select[Any]]:
    """A part of a statement with a row like that of a generation, if all marks are there that it relies on."""
    if not given.marks:
        return []
    until = tables.rolled_months.c.until_day
    there = select(func.count()).where(until.in_(given.marks)).scalar_subquery()
    return [select(literal(ROLLED), *none).where(there == len(given.marks))]


def is_held(given: Cover, applied: Collection[str]) -> bool:
    """Whether an answer is of months that were rolled all the while."""
    return not given.marks or ROLLED in applied


def by_month(family: Family, given: Cover) -> Iterator[Select[Any]]:
    """``owner`` and ``amount`` of the months, a part for each year."""
    years = family.years
    if years is not None:
        for year, months in given.months.items():
            first, *others = (years.c[MONTHS[month - 1]] for month in months)
            amount: ColumnElement[int] = sum(others, first)
            yield select(years.c[family.owner].label("owner"), amount.label("amount")).where(years.c.year == year)


def unroll(connection: Connection, days: Collection[int], today: int) -> None:
    """Take the marks of these UTC days away, as the last thing of the transaction that wrote into them.

    It comes last, and by month, so that nobody who has one waits for anything else.
    """
    months = {month_of(day) for day in days if day <= today - SETTLED_DAYS}
    upsert(connection, _MARK, [(month, 0) for month in sorted(months)])


class Months:
    """Rolls days up. Raises `StoreUnavailable` or `NotMigrated`; the months before that are rolled."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._ask: Ask = partial(read, engine)

    def due(self, today: int) -> list[tuple[int, int]]:
        """Months with days that are over and not rolled, the last first, and the day up to which that is.

        A day is over when `SETTLED_DAYS` and one more lie behind it: clocks may differ.
        """
        settled, marks = today - SETTLED_DAYS, _marks(self._ask)
        days = [select(func.min(one.days.c.day)).scalar_subquery() for one in (PATHS, ITEMS)]
        [oldest] = self._ask(select(*days))
        first = min((day for day in oldest if day is not None), default=settled)
        if first >= settled:
            return []
        months = range(month_of(first), month_of(settled - 1) + 1)
        wanted = ((month, min(first_day_of(month + 1), settled)) for month in reversed(months))
        return [(month, until) for month, until in wanted if marks.get(month, 0) < until]

    def roll(self, month: int, until: int) -> bool:
        """Sum up the days of a month before ``until`` and mark it, in one transaction; False when there was no need."""

        def work(connection: Connection) -> bool:
            take_your_time(connection)
            c = tables.rolled_months.c
            upsert(connection, _KNOWN, [(month,)])
            # From here on nobody writes into days of this month unseen: their last step waits for us.
            marked = connection.scalar(select(c.until_day).where(c.month == month).with_for_update())
            if (
                marked is None
                or marked >= until
                or not all(_sum_up(connection, f, month, until) for f in (PATHS, ITEMS))
            ):
                return False
            connection.execute(update(tables.rolled_months).where(c.month == month).values(until_day=until))
            return True

        return write(self._engine, work)

    def sums(self, family: Family) -> tuple[int, int]:
        """What the rolled months of a family have in all, and what the days that are in them have."""
        whole = [0, 0]
        for month, until in _marks(self._ask).items():
            years, days = _years(family), family.days.c
            column, year = years.c[MONTHS[month % 12]], 1970 + month // 12
            mark = select(tables.rolled_months.c.until_day).where(tables.rolled_months.c.month == month)
            of_month = select(func.sum(column)).where(years.c.year == year)
            of_days = select(func.sum(family.daily)).where(days.day >= first_day_of(month), days.day < until)
            parts = (part.scalar_subquery() for part in (mark, of_month, of_days))
            [(now, left, right)] = self._ask(select(*parts))
            if now == until:  # else a late hit came in between
                whole = [whole[0] + int(left or 0), whole[1] + int(right or 0)]
        return whole[0], whole[1]


def _marks(ask: Ask) -> dict[int, int]:
    c = tables.rolled_months.c
    return {row[0]: row[1] for row in ask(select(c.month, c.until_day).where(c.until_day > 0))}


def _years(family: Family) -> Any:
    if family.years is None:
        raise ValueError(f"{family.totals.name} has no table of years")
    return family.years


def _sum_up(connection: Connection, family: Family, month: int, until: int) -> bool:
    """Write the sums of one family; False when they are too large to be added to others."""
    years, column, year = _years(family), MONTHS[month % 12], 1970 + month // 12
    days, owner = family.days.c, family.days.c[family.owner]
    # A day that is too large is left out, as its sum might be more than a database takes.
    small = func.sum(case((family.daily > LARGEST, 0), else_=family.daily))
    amount = case((func.max(family.daily) > LARGEST, -1), else_=small)
    query = select(literal(year), owner, amount).where(days.day >= first_day_of(month), days.day < until)
    query = query.group_by(owner).order_by(owner)
    upsert_selected(connection, years, ("year", family.owner), column, query)
    too_large = select(years.c.year).where(years.c.year == year, years.c[column] < 0).limit(1)
    return connection.execute(too_large).first() is None
