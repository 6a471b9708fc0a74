"""Links from a table that is seen on a page to the same table as CSV: one question, asked of the API."""

from __future__ import annotations

from pathhits.dashboard.api.endpoints import BY_NAME
from pathhits.dashboard.queries import LARGEST_LIMIT, Query
from pathhits.dashboard.rendering import to


def csv_url(query: Query, asked: str, /, **own: str) -> str:
    """The URL of the table that the endpoint that is asked answers with; ``own`` are the endpoint's own parameters.

    Of a list that is read by pages it has as many rows as there may be at once, those that are seen among them.
    """
    endpoint = BY_NAME[asked]
    first = (query.page - 1) * query.limit
    given = query.parameters(limit=LARGEST_LIMIT, page=first // LARGEST_LIMIT + 1)
    taken = {name: value for name, value in given.items() if name in endpoint.takes}
    return to(f"api_{asked}_csv", **taken, **{name: value for name, value in own.items() if value})
