"""The search: what people look for is logged with what they found, and what many look for is offered to all."""

from __future__ import annotations

from flask import Flask, render_template, request, session

from demo_app.choosing import LONGEST_QUERY, Choice, chosen
from demo_app.counts import the_hits
from pathhits import PathHits


def search() -> str:
    """What was found, and the search logged; without words nothing was asked for."""
    query = " ".join(request.args.get("q", "").split())[:LONGEST_QUERY]
    choice = Choice.of(request.args, query)
    found = chosen(choice, the_hits()) if query else []
    if query:
        said = {"query": query, "filters": choice.filters, "result_count": len(found), "entity_type": "product"}
        the_hits().track("search.performed", properties=said, user_id=session.get("user"))
    return render_template("search.html", products=found, choice=choice)


def register(app: Flask, _hits: PathHits) -> None:
    """Give it its address."""
    app.add_url_rule("/search", "search", search)
