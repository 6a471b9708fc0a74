"""What a page of the dashboard asks SQL: sums by steps of a zone, and one page of a list; few statements, each indexed.

Each answer says which of some generations it includes, as those of `reads` do.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from sqlalchemy import (
    CTE,
    BigInteger,
    ColumnElement,
    Engine,
    Select,
    String,
    case,
    func,
    literal,
    select,
    union_all,
)
from sqlalchemy.exc import SQLAlchemyError

from pathhits.core import labels
from pathhits.core.periods import Run
from pathhits.hits import HITS
from pathhits.storage.sql import tables
from pathhits.storage.sql.dialects.expressions import by_code_point, sums_once
from pathhits.storage.sql.months import Cover, covers, held, is_held
from pathhits.storage.sql.reads import LABELS_A_STATEMENT, Window, counted_in
from pathhits.storage.sql.tables import Family
from pathhits.storage.sql.transactions import explained

Order = Literal["most", "name"]
#: Events that are counted; beyond that a list has "more".
COUNTED = 10_000
#: Events among which those of one name are looked for.
NAMED_AMONG = 50_000
_ESCAPE = "!"


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums by counter and step, and which of some generations they include."""

    amounts: dict[tuple[str, int], int]
    applied: frozenset[str]


class Listed(NamedTuple):
    """The first rows of a list, those also asked for, how many it has in all, and which generations that includes."""

    first: dict[str, int]
    also: dict[str, int]
    total: int
    applied: frozenset[str]


class ItemMore(NamedTuple):
    """What else is stored of an item: its counters, its place among those of its type, when it became hot or cooled.

    ``rank`` is None for one without views; of ``changes`` each is (moment in ms, is hot, recent views).
    """

    counters: tuple[str, ...]
    rank: int | None
    changes: tuple[tuple[int, bool, int], ...]


class StoredEvent(NamedTuple):
    """A row of the log; ``item`` is ``type:id`` or "", ``moment`` in milliseconds."""

    id: bytes
    moment: int
    name: str
    item: str
    visitor: int
    user_id: str
    user_agent: str
    referrer: str
    properties: str


class Browse:
    """Questions of pages; each may raise `StoreUnavailable` or `NotMigrated`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def site(self, counters: Sequence[str], steps: Sequence[Run], generations: Sequence[str]) -> Sums:
        """Some counters of the whole site, each summed by step; steps with nothing are not there."""
        c = tables.site_hours.c
        parts = [
            select(c.counter, step.label("step"), func.sum(c.total).label("n"))
            .where(c.counter.in_(counters), c.hour >= run.first, c.hour < run.first + run.width * run.steps)
            .group_by(c.counter, "step")
            for run, step in _steps(c.hour, steps)
        ]
        return self._sums(parts, generations)

    def first_hour(self) -> int | None:
        """The UTC hour of the first hit that was ever counted; None where SQL has none."""
        c = tables.site_hours.c
        hour = self._rows(select(func.min(c.hour)).where(c.counter == HITS))[0][0]
        return None if hour is None else int(hour)

    def subjects(self, family: Family, wanted: Sequence[str], steps: Sequence[Run], generations: Sequence[str]) -> Sums:
        """What was counted of each subject by step, under its name; of days where steps are whole UTC days."""
        daily = all(run.first % 24 == 0 and run.width % 24 == 0 for run in steps)
        table, amount, unit = (family.days, family.daily, 24) if daily else (family.hours, family.hourly, 1)
        when, owned = table.c.day if daily else table.c.hour, family.totals.c.id == table.c[family.owner]
        parts = [
            select(family.name.label("counter"), step.label("step"), func.sum(amount).label("n"))
            .join_from(table, family.totals, owned)
            .where(family.key.in_([labels.key(one) for one in wanted]))
            .where(when >= run.first, when < run.first + run.width * run.steps)
            .group_by(family.name, "step")
            for run, step in _steps(when, [Run(run.first // unit, run.width // unit, run.steps) for run in steps])
        ]
        return self._sums(parts, generations)

    def prefixed(self, prefix: str, window: Window, generations: Sequence[str]) -> Sums:
        """The counters of the whole site that begin with ``prefix``, over the window; all as step 0."""
        c, named = tables.site_hours.c, _site_counters()
        wanted = select(named.c.counter).where(named.c.counter.like(f"{prefix}%"))
        query = select(c.counter, literal(0, BigInteger()).label("step"), func.sum(c.total).label("n"))
        query = query.where(c.counter.in_(wanted), window.hours(c.hour)).group_by(c.counter)
        return self._sums([query], generations)

    def page(
        self,
        family: Family,
        window: Window,
        *,
        first: int,
        order: Order = "most",
        search: str = "",
        also: Sequence[str] = (),
        item_type: str | None = None,
        generations: Sequence[str] = (),
    ) -> Listed:
        """The ``first`` subjects with something in the window in their order, and those of ``also`` that are stored.

        ``search`` is a part of the name, or of the id where they are items of one type; the case of Latin letters does
        not matter.
        """
        for given in covers(self._rows, family, *window.whole_days()):
            listed = self._listed(family, window, given, first, order, search, also, item_type, generations)
            if is_held(given, listed.applied):
                return listed
        raise AssertionError("the last one relies on nothing")

    def _listed(
        self,
        family: Family,
        window: Window,
        given: Cover,
        first: int,
        order: Order,
        search: str,
        also: Sequence[str],
        item_type: str | None,
        generations: Sequence[str],
    ) -> Listed:
        counted = select(counted_in(family, window, given)).cte("counted")
        name, owned = family.name, family.totals.c.id == counted.c.owner
        each = select(name.label("name"), counted.c.amount.label("n")).join_from(counted, family.totals, owned)
        each = each.where(counted.c.amount > 0)
        if item_type is not None:
            each = each.where(family.totals.c.item_type == item_type)
        listed = each.add_columns(func.count().over().label("total"))
        if search:
            shown = name if item_type is None else func.substr(name, len(item_type) + 2)
            listed = listed.where(func.lower(shown).like(_pattern(search), escape=_ESCAPE))
        elif order == "most" and item_type is None and sums_once(self._engine.dialect):
            listed = _with_the_most(counted, each, first)
        if order == "most":
            listed = listed.order_by(counted.c.amount.desc(), by_code_point(name))
        else:
            listed = listed.order_by(by_code_point(name))
        best = listed.limit(first).subquery()
        parts = [select(_text(""), best.c.name, best.c.n, best.c.total)]
        for start in range(0, len(also), LABELS_A_STATEMENT):
            keys = [labels.key(subject) for subject in also[start : start + LABELS_A_STATEMENT]]
            asked = each.where(family.key.in_(keys)).subquery()
            parts.append(select(_text(""), asked.c.name, asked.c.n, _number(0)))
        none: list[ColumnElement[Any]] = [_text(""), _number(0), _number(0)]
        rows = self._with_applied([*parts, *held(given, none)], generations, none)
        own = [row for row in rows if not row[0]]
        return Listed(
            {row[1]: int(row[2]) for row in own if row[3]},
            {row[1]: int(row[2]) for row in own if not row[3]},
            max((int(row[3]) for row in own), default=0),
            frozenset(row[0] for row in rows if row[0]),
        )

    def visitors(self, family: Family, wanted: Collection[str], days: range, apart: int) -> dict[str, dict[int, int]]:
        """Visitors of each subject in the ``days`` (UTC): by day from the day ``apart`` on, what is before as one sum.

        That sum stands under the day before ``apart``.
        """
        keys = {labels.key(subject): subject for subject in wanted}
        c, owned = family.days.c, family.totals.c.id == family.days.c[family.owner]
        day: ColumnElement[int] = case((c.day < apart, apart - 1), else_=c.day)
        query = select(family.key, day.label("d"), func.sum(c.visitors)).join_from(family.days, family.totals, owned)
        query = query.where(family.key.in_(list(keys)), c.day >= days.start, c.day < days.stop)
        found: dict[str, dict[int, int]] = {subject: {} for subject in keys.values()}
        for key, at, n in self._rows(query.group_by(family.key, "d")):
            found[keys[bytes(key)]][int(at)] = int(n)
        return found

    def item(self, subject: str, changes: int) -> ItemMore:
        """What else is stored of one item (``type:id``), and its last ``changes``."""
        i, n, h = tables.items.c, tables.item_counters.c, tables.hot_changes.c
        found = self._rows(select(i.id, i.item_type, i.view_count).where(i.item_key == labels.key(subject)))
        if not found:
            return ItemMore((), None, ())
        [(one, item_type, views)] = found
        ahead = select(func.count()).where(i.item_type == item_type, i.view_count > views)
        names = self._rows(select(n.counter).where(n.item_id == one).order_by(n.counter))
        history = select(h.moment, h.is_hot, h.recent_views).where(h.item_id == one)
        history = history.order_by(h.moment.desc(), h.id.desc()).limit(changes)
        return ItemMore(
            tuple(row[0] for row in names),
            self._rows(ahead)[0][0] + 1 if views else None,
            tuple((row[0], bool(row[1]), row[2]) for row in self._rows(history)),
        )

    def events(
        self, since: int, until: int, *, item: str = "", name: str = "", first: int = 0, limit: int = 10
    ) -> tuple[list[StoredEvent], int | None]:
        """Rows of the log between two moments (ms), the last first, and how many there are, None for over `COUNTED`.

        ``item`` is ``type:id``. With a ``name`` it looks at the last `NAMED_AMONG` of them.
        """
        e, i = tables.events.c, tables.items.c
        among = select(e.id, e.moment, e.name).where(e.moment >= since, e.moment < until)
        if item:
            found = self._rows(select(i.id).where(i.item_key == labels.key(item)))
            if not found:
                return [], 0
            among = among.where(e.item_id == found[0][0])
        among = among.order_by(e.moment.desc(), e.id.desc())
        if name:
            newest = among.limit(NAMED_AMONG).subquery()
            c = newest.c
            among = select(c.id, c.moment, c.name).where(c.name == name).order_by(c.moment.desc(), c.id.desc())
        counted = self._rows(select(func.count()).select_from(among.limit(COUNTED + 1).subquery()))[0][0]
        page = among.offset(first).limit(limit).subquery()
        columns = (e.id, e.moment, e.name, func.coalesce(i.item, ""), e.visitor, e.user_id, e.user_agent, e.referrer)
        query = select(*columns, e.properties).select_from(
            tables.events.join(page, page.c.id == e.id).outerjoin(tables.items, i.id == e.item_id)
        )
        rows = self._rows(query.order_by(e.moment.desc(), e.id.desc()))
        events = [StoredEvent(bytes(row[0]), *row[1:]) for row in rows]
        return events, None if counted > COUNTED else counted

    def _sums(self, parts: Sequence[Any], generations: Sequence[str]) -> Sums:
        if not parts:
            return Sums({}, frozenset())
        counted = _together(parts).subquery()
        query = select(_text(""), counted.c.counter, counted.c.step, counted.c.n)
        rows = self._with_applied([query], generations, [_text(""), _number(0), _number(0)])
        amounts = {(row[1], int(row[2])): int(row[3]) for row in rows if not row[0]}
        return Sums(amounts, frozenset(row[0] for row in rows if row[0]))

    def _with_applied(
        self, parts: Sequence[Any], generations: Sequence[str], none: Sequence[ColumnElement[Any]]
    ) -> Sequence[Any]:
        """The rows of ``parts``, "" before each, and in the same statement the generations that the ledger has."""
        c = tables.ledger.c.generation
        asked = [select(c, *none).where(c.in_(generations))] if generations else []
        return self._rows(_together([*parts, *asked]))

    def _rows(self, query: Any) -> Sequence[Any]:
        try:
            with self._engine.connect() as connection:
                return connection.execute(query).all()
        except SQLAlchemyError as error:
            raise explained(self._engine, error) from error


def _steps(when: ColumnElement[int], steps: Sequence[Run]) -> list[tuple[Run, ColumnElement[int]]]:
    """Each run with the number of the step that a moment of it is in, beginning at 0 with the first run."""
    found, place = [], 0
    for run in steps:
        if run.width:
            found.append((run, literal(place, BigInteger()) + (when - run.first) // run.width))
        place += run.steps
    return found


def _together(parts: Sequence[Any]) -> Any:
    """All rows of some selects."""
    unite: Any = union_all  # mypy stumbles over its types
    return unite(*parts) if len(parts) > 1 else parts[0]


def _with_the_most(counted: CTE, each: Select[Any], first: int) -> Select[Any]:
    """Those of ``each`` that may be among the ``first``, and how many there are: only these are joined to their names.

    That are the ``first`` with the largest amounts, and what has as much as the last of them.
    """
    some = counted.c.amount > 0
    largest = select(counted.c.amount).where(some).order_by(counted.c.amount.desc()).limit(first).subquery()
    least = select(func.min(largest.c.amount)).scalar_subquery()
    total = select(func.count()).select_from(counted).where(some).scalar_subquery()
    return each.add_columns(total.label("total")).where(counted.c.amount >= least)


def _site_counters() -> CTE:
    """The names of all counters of the site, each found by one step through the index rather than by reading it all."""
    c = tables.site_hours.c
    found = select(func.min(c.counter).label("counter")).cte("counters", recursive=True)
    following = select(func.min(c.counter)).where(c.counter > found.c.counter).scalar_subquery()
    return found.union_all(select(following).where(found.c.counter.is_not(None)))


def _pattern(search: str) -> ColumnElement[str]:
    for special in (_ESCAPE, "%", "_"):
        search = search.replace(special, _ESCAPE + special)
    # The database makes both sides small, so that it is one idea of what that is.
    return func.lower(_text(f"%{search}%"))


def _text(value: str) -> ColumnElement[str]:
    return literal(value, String())


def _number(value: int) -> ColumnElement[int]:
    return literal(value, BigInteger())
