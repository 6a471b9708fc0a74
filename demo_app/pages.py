"""The shop's pages: plain Flask views that know nothing of counting; their names become the labels."""

from __future__ import annotations

from collections.abc import Sequence

from flask import Flask, Response, abort, render_template, request
from sqlalchemy import func, select

from demo_app import pictures
from demo_app.catalogue import BRANDS, CATEGORIES
from demo_app.choosing import PRICES, SORTS, Choice, chosen
from demo_app.counts import the_hits
from demo_app.kept import hot_products, product_to_show
from demo_app.models import Product, db
from demo_app.recommending import recommended, related
from demo_app.shelves import shelves

NEWEST_ON_HOME = 4
HOT_ON_HOME = 4
PICTURE_MAX_AGE_S = 86_400


def home() -> str:
    """The shop window: its shelves, what is hot, what is new, and the ways in."""
    return render_template(
        "home.html", shelves=shelves(), hot=hot_products(HOT_ON_HOME), newest=_newest(NEWEST_ON_HOME), sizes=_sizes()
    )


def products() -> str:
    """All products, or those that somebody chooses, in the order they want."""
    if request.args.get("category", "") not in ("", *CATEGORIES):
        abort(404)
    choice = Choice.of(request.args)
    return render_template("products.html", products=chosen(choice, the_hits()), choice=choice, sizes=_sizes())


def product_detail(slug: str) -> str:
    """One product; all of them are counted under the one label of this route."""
    product = product_to_show(slug)
    beside = related(product)
    more = recommended(product, beside)
    the_hits().track_recommendations_shown("product", more.reason, len(more.products))
    return render_template("product_detail.html", product=product, related=beside, recommended=more)


def about() -> str:
    """What this shop is for."""
    return render_template("about.html")


def privacy() -> str:
    """What is counted here, and what is not kept."""
    return render_template("privacy.html")


def picture(shape: str, slug: str) -> Response:
    """A product's picture; below /static/, which is never counted."""
    if shape not in pictures.SHAPES:
        abort(404)
    response = Response(pictures.picture(shape, slug), mimetype="image/svg+xml")
    response.cache_control.public = True
    response.cache_control.max_age = PICTURE_MAX_AGE_S
    return response


def not_found(_error: Exception) -> tuple[str, int]:
    """The page for an address that is none; an answer 404 is not a hit."""
    return render_template("404.html"), 404


def forbidden(_error: Exception) -> tuple[str, int]:
    """The page for what one may not do."""
    return render_template("403.html"), 403


def register(app: Flask) -> None:
    """Give the pages their addresses and names."""
    app.add_url_rule("/", "home", home)
    app.add_url_rule("/products", "products", products)
    app.add_url_rule("/products/<slug>", "product_detail", product_detail)
    app.add_url_rule("/about", "about", about)
    app.add_url_rule("/privacy", "privacy", privacy)
    app.add_url_rule("/static/pictures/<shape>/<slug>.svg", "picture", picture)
    app.register_error_handler(404, not_found)
    app.register_error_handler(403, forbidden)
    app.context_processor(lambda: {"categories": CATEGORIES, "brands": BRANDS, "sorts": SORTS, "prices": PRICES})


def _newest(limit: int) -> Sequence[Product]:
    return db.session.scalars(select(Product).order_by(Product.added_on.desc(), Product.name).limit(limit)).all()


def _sizes() -> dict[str, int]:
    """How many products each category holds."""
    rows = db.session.execute(select(Product.category, func.count()).group_by(Product.category))
    return dict(rows.all())
