"""The search: what people look for is logged with what they found, and what many look for is offered to all."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from flask import Flask, render_template, request, session

from demo_app.choosing import LONGEST_QUERY, Choice, chosen
from demo_app.counts import the_hits
from pathhits import PathHits, StoreUnavailable

SHOWN = 8
#: Seconds that the popular searches are kept: reading them asks SQL, and nobody should wait for that.
KEPT_S = 60
WEEK = timedelta(days=7)


def search() -> str:
    """What was found, and the search logged; without words nothing was asked for."""
    query = " ".join(request.args.get("q", "").split())[:LONGEST_QUERY]
    choice, hits = Choice.of(request.args, query), the_hits()
    found = chosen(choice, hits) if query else []
    if query:
        hits.track_search(query, choice.filters, len(found), "product", user_id=session.get("user"))
    return render_template("search.html", products=found, choice=choice, popular=popular())


def popular() -> list[str]:
    """What was looked for most in the last seven days, and found."""
    found: list[str] = the_hits().cache.get_or_make("popular searches", _popular, ttl=KEPT_S)
    return found


def register(app: Flask, _hits: PathHits) -> None:
    """Give it its address."""
    app.add_url_rule("/search", "search", search)


def _popular() -> list[str]:
    try:
        rows = the_hits().popular_searches(datetime.now(UTC) - WEEK, SHOWN, entity_type="product")
    except StoreUnavailable:
        return []
    return [row.query for row in rows]
