"""Reading counts: what pathhits knows about the page a visitor is on and the products it shows, put into words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flask import Flask, current_app, request
from sqlalchemy import select

from demo_app.models import Product, db
from pathhits import PathHits

if TYPE_CHECKING:
    from pathhits.core.counts import Count

#: All products share one route, hence one label and one count.
SUBJECTS = {"product_detail": "The product pages together have been viewed"}
NOT_ROUTED = "No page has this address, so there is nothing to count."
UNAVAILABLE = "The count could not be read in time."


@dataclass(frozen=True)
class PageCount:
    """The count of one page; the numbers are None when they are not known, and ``reason`` says why."""

    label: str
    views: int | None = None
    stored: int | None = None
    pending: int | None = None
    reason: str = ""

    @property
    def subject(self) -> str:
        """The beginning of the sentence that ends with the number."""
        return SUBJECTS.get(self.label, "This page has been viewed")


def page_count(hits: PathHits, label: str | None) -> PageCount:
    """The count of the page with this label, stored in SQL plus pending in Redis; never raises, never waits long."""
    if label is None:
        return PageCount("", reason=NOT_ROUTED)
    count = hits.hit_count(label)
    if count.partial:
        return PageCount(label, reason=UNAVAILABLE)
    return PageCount(label, int(count), count.stored, count.pending)


def register(app: Flask, hits: PathHits) -> None:
    """Give each template the count of the page it draws, and a way to ask for those of products, from the start."""
    hits.warm_up()
    app.context_processor(_for_this_page)
    app.add_template_global(views_of)
    app.add_template_global(hot_products)
    app.add_template_global(counters_of)


def views_of(products: Iterable[Product]) -> Mapping[str, Count]:
    """The views of each product by its slug, all read at once; a count is ``partial`` when it is not known."""
    hits: PathHits = current_app.extensions["pathhits"]
    return hits.view_counts("product", [product.slug for product in products])


def counters_of(product: Product) -> Mapping[str, Count]:
    """The likes and downloads of a product."""
    hits: PathHits = current_app.extensions["pathhits"]
    return hits.counters("product", [product.slug], ["likes", "downloads"])[product.slug]


def hot_products(limit: int) -> Sequence[Product]:
    """The products that are hot now, those with the most views of the last seven days first."""
    hits: PathHits = current_app.extensions["pathhits"]
    slugs = [row.item_id for row in hits.hot_items("product", limit)]
    found = db.session.scalars(select(Product).where(Product.slug.in_(slugs))).all() if slugs else []
    return sorted(found, key=lambda product: slugs.index(product.slug))


def _for_this_page() -> dict[str, Any]:
    hits: PathHits = current_app.extensions["pathhits"]
    return {"count": page_count(hits, request.endpoint)}
