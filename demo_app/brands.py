"""Workshops and tags: two more types of items, each counted in another way than products are.

A tag's page is an item by its route, as a product's is. The page of a workshop asks by itself, with `hits.track_view`,
and so knows at once whether its view counted.
"""

from __future__ import annotations

from flask import Flask, abort, g, render_template, session
from sqlalchemy import select

from demo_app.catalogue import BRANDS, TAGS
from demo_app.choosing import Choice, chosen
from demo_app.counts import the_hits
from demo_app.models import Product, Tagged, db
from pathhits import PathHits, Rules


def all_brands() -> str:
    """Who makes what is for sale, with a picture of one thing of each, and all tags."""
    views = the_hits().view_counts("brand", BRANDS)
    firsts = {product.brand: product for product in db.session.scalars(select(Product).order_by(Product.id.desc()))}
    return render_template("brands.html", views=views, firsts=firsts, tags=_tags())


def brand(slug: str) -> str:
    """One workshop and its things; a view of it is asked for, and counted if the rules allow."""
    if slug not in BRANDS:
        abort(404)
    hits = the_hits()
    g.verdict = hits.track_view("brand", slug, user_id=session.get("user"))
    stats = hits.item_stats("brand", slug)
    found = chosen(Choice(brand=slug), hits)
    return render_template("brand.html", slug=slug, brand=BRANDS[slug], stats=stats, products=found)


def tag(slug: str) -> str:
    """All that has one tag."""
    if slug not in TAGS:
        abort(404)
    hits = the_hits()
    found = chosen(Choice(tag=slug, sort="viewed"), hits)
    return render_template("tag.html", slug=slug, products=found, views=hits.view_count("tag", slug), tags=_tags())


def register(app: Flask, hits: PathHits) -> None:
    """Give them their addresses, and say which are items."""
    hits.register_item("brand", rules=Rules.antispam())
    hits.register_item("tag", route="tag", id="slug", rules=Rules.antispam())
    app.add_url_rule("/workshops", "brands", all_brands)
    app.add_url_rule("/workshops/<slug>", "brand", brand)
    app.add_url_rule("/tags/<slug>", "tag", tag)


def _tags() -> list[str]:
    """The tags that something has."""
    return list(db.session.scalars(select(Tagged.tag).distinct().order_by(Tagged.tag)))
