"""What is stored of searches: the queries searched for most, those that found nothing apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import Select, func, select

from pathhits.storage.sql.dialects.expressions import by_code_point
from pathhits.storage.sql.tables import SEARCHES

if TYPE_CHECKING:
    from sqlalchemy import FromClause

    from pathhits.storage.sql.reads import Window


class StoredSearch(NamedTuple):
    """One query in a period: ``results`` were found by ``counted`` of its searches; ``last_at`` is in ms."""

    query: str
    entity_type: str
    searches: int
    counted: int
    results: int
    visitors: int
    last_at: int


#: Columns beside the number of searches that all three tables have.
SUMS = ("counted", "results")


def search_query(
    counted: FromClause | None,
    window: Window,
    limit: int,
    entity_type: str | None,
    *,
    failed: bool,
    holding: str = "",
    by_name: bool = False,
) -> Select[Any]:
    """The statement for the queries with the most searches, or the first by their name, that hold some text.

    ``counted`` has owners and amounts in the window; without it that is all time, for which an index has the order.
    """
    c, d = SEARCHES.totals.c, SEARCHES.days.c
    amount, sums = (c.search_count, c) if counted is None else (counted.c.amount, counted.c)
    best = select(c.id, c.search, c.entity_type, amount.label("amount"), *(sums[name] for name in SUMS), c.last_at)
    if counted is not None:
        best = best.join_from(counted, SEARCHES.totals, c.id == counted.c.owner)
    best = best.where(c.failed == int(failed))
    if entity_type is not None:
        best = best.where(c.entity_type == entity_type)
    if holding:
        best = best.where(c.search.contains(holding, autoescape=True))
    names = [by_code_point(c.search), by_code_point(c.entity_type)]
    equals = [c.id.desc()] if counted is None else [c.search, c.entity_type]
    b = best.order_by(*(names if by_name else [amount.desc(), *equals])).limit(limit).subquery().c
    visitors = select(func.coalesce(func.sum(d.visitors), 0)).where(d.search_id == b.id, window.days(d.day))
    query = select(
        b.search, b.entity_type, b.amount, b.counted, b.results, visitors.scalar_subquery().label("visitors"), b.last_at
    )
    names = [by_code_point(b.search), by_code_point(b.entity_type)]
    return query.order_by(*(names if by_name else [b.amount.desc(), b.search, b.entity_type]))
