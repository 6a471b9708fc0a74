"""What is stored: one statement in a fresh transaction for each question."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Engine,
    FromClause,
    LargeBinary,
    Select,
    String,
    and_,
    func,
    literal,
    or_,
    select,
    union_all,
)
from sqlalchemy.exc import SQLAlchemyError

from pathhits.core import labels
from pathhits.errors import NotMigrated, StoreUnavailable
from pathhits.hits import DROPS, HITS
from pathhits.settings import redact
from pathhits.storage.sql import tables
from pathhits.storage.sql.migrate import missing_tables

#: Labels asked for in one statement.
LABELS_A_STATEMENT = 1_000
#: Counters are summed in two halves: SQLite refuses a sum beyond 64 bits, and a clamped counter alone has 63.
_HALF = 2**32


@dataclass(frozen=True, slots=True)
class Window:
    """UTC hours from ``since`` up to, not including, ``until``; None is without end."""

    since: int | None = None
    until: int | None = None

    def holds(self, hour: int) -> bool:
        return (self.since is None or hour >= self.since) and (self.until is None or hour < self.until)

    def hours(self, column: ColumnElement[int]) -> ColumnElement[bool]:
        """The condition that a column of hours lies in the window."""
        conditions = [column >= self.since] if self.since is not None else []
        conditions += [column < self.until] if self.until is not None else []
        return and_(literal(True), *conditions)

    def days(self, column: ColumnElement[int]) -> ColumnElement[bool]:
        """The condition that a column of days touches the window."""
        conditions = [column >= self.since // 24] if self.since is not None else []
        conditions += [column <= (self.until - 1) // 24] if self.until is not None else []
        return and_(literal(True), *conditions)

    def whole_days(self) -> tuple[int | None, int | None]:
        """The days that lie wholly in the window: first, and first after."""
        first = None if self.since is None else -(-self.since // 24)
        after = None if self.until is None else self.until // 24
        return first, after


@dataclass(frozen=True, slots=True)
class Stored:
    """Amounts by key (a label, an hour, a reason), and which of some generations they include."""

    amounts: dict[Any, int]
    applied: frozenset[str]


class Reads:
    """Questions to SQL; each may raise `StoreUnavailable` or `NotMigrated`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def hit_counts(self, wanted: Sequence[str], generations: Sequence[str] = ()) -> Stored:
        """All hits of each label, 0 for one that SQL does not know; ask for at most `LABELS_A_STATEMENT` at once.

        More would take several statements, which see several moments: a generation may be in the second and not in
        the first.
        """
        keys = {labels.key(label): label for label in wanted}
        c = tables.path_counters.c
        query = select(c.path_key, c.hit_count).where(c.path_key.in_(list(keys)))
        stored = self._stored(query, generations, LargeBinary())
        found = {keys[bytes(key)]: n for key, n in stored.amounts.items()}
        return Stored(dict.fromkeys(wanted, 0) | found, stored.applied)

    def drops(self, window: Window, generations: Sequence[str] = ()) -> Stored:
        """Drops by reason."""
        c = tables.site_hours.c
        query = select(c.counter, func.sum(c.total)).where(c.counter.like(f"{DROPS}:%"), window.hours(c.hour))
        stored = self._stored(query.group_by(c.counter), generations, String())
        return Stored({key.partition(":")[2]: n for key, n in stored.amounts.items()}, stored.applied)

    def site_hours(self, counter: str, window: Window, generations: Sequence[str] = ()) -> Stored:
        """One counter of the whole site by hour."""
        c = tables.site_hours.c
        query = select(c.hour, c.total)
        return self._stored(query.where(c.counter == counter, window.hours(c.hour)), generations, c.hour.type)

    def path_hours(self, label: str, window: Window, generations: Sequence[str] = ()) -> Stored:
        """Hits of one label by hour."""
        c, path = tables.path_hours.c, tables.path_counters.c
        query = select(c.hour, c.hits).join_from(tables.path_hours, tables.path_counters, path.id == c.path_id)
        return self._stored(
            query.where(path.path_key == labels.key(label), window.hours(c.hour)), generations, c.hour.type
        )

    def site_visitors(self, window: Window) -> dict[int, int]:
        """Visitors of the whole site by UTC day."""
        c = tables.site_days.c
        return {row.day: row.visitors for row in self._rows(select(c.day, c.visitors).where(window.days(c.day)))}

    def path_visitors(self, wanted: Iterable[str], window: Window) -> dict[str, dict[int, int]]:
        """Visitors of each label by UTC day; a day counts whole when the window touches it."""
        keys = {labels.key(label): label for label in wanted}
        c, path = tables.path_days.c, tables.path_counters.c
        query = select(path.path_key, c.day, c.visitors).join_from(
            tables.path_days, tables.path_counters, path.id == c.path_id
        )
        found: dict[str, dict[int, int]] = {label: {} for label in keys.values()}
        for key, day, n in self._rows(query.where(path.path_key.in_(list(keys)), window.days(c.day))):
            found[keys[bytes(key)]][day] = n
        return found

    def top_paths(
        self, window: Window, limit: int, also: Sequence[str] = (), generations: Sequence[str] = ()
    ) -> Stored:
        """Hits in the window of the ``limit`` labels with the most, and of the labels ``also`` asked for."""
        hits = self._hits_in(window)
        path = tables.path_counters.c
        per_path = select(path.path, hits.c.hits).join_from(hits, tables.path_counters, path.id == hits.c.path_id)
        best = per_path.order_by(hits.c.hits.desc(), path.path).limit(limit).subquery()
        queries = [select(best.c.path, best.c.hits)]
        for first in range(0, len(also), LABELS_A_STATEMENT):
            keys = [labels.key(label) for label in also[first : first + LABELS_A_STATEMENT]]
            queries.append(per_path.where(path.path_key.in_(keys)))
        query = union_all(*queries) if len(queries) > 1 else queries[0]
        found = query.subquery()
        return self._stored(select(found.c.path, found.c.hits), generations, String())

    def totals(self) -> dict[str, int]:
        """The sums that must agree: of the counters, the hours, the days, the site and the ledger."""
        site, days, hours = tables.site_hours.c, tables.path_days.c, tables.path_hours.c
        sums: dict[str, tuple[ColumnElement[int], ColumnElement[bool]]] = {
            "path_counters": (tables.path_counters.c.hit_count, literal(True)),
            "path_hours": (hours.hits, literal(True)),
            "path_days": (days.hits, literal(True)),
            "site_hits": (site.total, site.counter == HITS),
            "requests": (site.total, site.counter == "requests"),
            "drops": (site.total, site.counter.like(f"{DROPS}:%")),
            "ledger": (tables.ledger.c.hits, literal(True)),
        }
        counter = tables.path_counters.c
        parts = {
            "paths": select(func.count()).select_from(tables.path_counters),
            "dead_letters": select(func.count()).select_from(tables.dead_letters),
            "near_max": select(func.count()).where(counter.hit_count >= tables.COUNTER_NEAR_MAX),
        }
        for name, (column, where) in sums.items():
            parts[f"high {name}"] = select(func.sum(column // _HALF)).where(where)
            parts[f"low {name}"] = select(func.sum(column % _HALF)).where(where)
        row = self._rows(select(*(part.scalar_subquery().label(name) for name, part in parts.items())))[0]
        found = {name: int(value or 0) for name, value in row._mapping.items()}
        whole = {name: found.pop(f"high {name}") * _HALF + found.pop(f"low {name}") for name in sums}
        return found | whole

    def last_syncs(self, limit: int) -> list[Mapping[str, Any]]:
        """The generations taken in last: moment, paths, hits, errors, seconds."""
        c = tables.ledger.c
        query = select(c.applied_at, c.paths, c.hits, c.errors, c.seconds).order_by(c.applied_at.desc()).limit(limit)
        return [row._mapping for row in self._rows(query)]

    def _hits_in(self, window: Window) -> FromClause:
        """Path ids and their hits in the window: whole days from the table of days, the edges from the hours."""
        if window.since is None and window.until is None:
            c = tables.path_counters.c
            return select(c.id.label("path_id"), c.hit_count.label("hits")).subquery()
        days, hours = tables.path_days.c, tables.path_hours.c
        first, after = window.whole_days()
        whole = [days.day >= first] if first is not None else []
        whole += [days.day < after] if after is not None else []
        edges = [hours.hour < first * 24] if first is not None else []
        edges += [hours.hour >= after * 24] if after is not None else []
        if first is not None and after is not None and first >= after:
            parts = [select(hours.path_id, hours.hits).where(window.hours(hours.hour))]
        else:
            parts = [
                select(days.path_id, days.hits).where(*whole),
                select(hours.path_id, hours.hits).where(window.hours(hours.hour), or_(*edges)),
            ]
        both = union_all(*parts).subquery()
        return select(both.c.path_id, func.sum(both.c.hits).label("hits")).group_by(both.c.path_id).subquery()

    def _stored(self, query: Select[Any], generations: Sequence[str], key_type: Any) -> Stored:
        """Run ``query`` (key, amount), and in the same statement ask which generations the ledger has.

        One statement sees one moment, so a generation is either in the amounts or not in the answer.
        """
        none: Any = {"LargeBinary": b"", "String": ""}.get(type(key_type).__name__, 0)
        counted = query.subquery()
        key, amount = counted.c
        parts = [select(literal("", String()).label("g"), key.label("k"), amount.label("n"))]
        if generations:
            c = tables.ledger.c
            parts.append(
                select(c.generation, literal(none, key_type), literal(0, tables.path_counters.c.hit_count.type)).where(
                    c.generation.in_(generations)
                )
            )
        rows = self._rows(union_all(*parts))
        amounts = {row[1]: int(row[2]) for row in rows if not row[0]}
        return Stored(amounts, frozenset(row[0] for row in rows if row[0]))

    def _rows(self, query: Any) -> Sequence[Any]:
        try:
            with self._engine.connect() as connection:
                return connection.execute(query).all()
        except SQLAlchemyError as error:
            raise self._explained(error) from error

    def _explained(self, error: SQLAlchemyError) -> StoreUnavailable | NotMigrated:
        url = redact(self._engine.url.render_as_string(hide_password=True))
        reason = redact(str(getattr(error, "orig", None) or error).partition("\n")[0])
        try:
            missing = missing_tables(self._engine)
        except SQLAlchemyError:
            return StoreUnavailable(f"SQL at {url} did not answer: {reason}")
        if missing:
            return NotMigrated(f"The database {url} lacks {', '.join(missing)}: run 'pathhits db upgrade'")
        return StoreUnavailable(f"SQL at {url} refused a question: {reason}")
