"""Reading counts: what pathhits knows of the page a visitor is on and of the products it shows, put into words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flask import Flask, current_app, request

from demo_app.models import Product
from pathhits import PathHits

if TYPE_CHECKING:
    from pathhits.core.counts import Count

#: Routes that many pages share, hence one label and one count.
SUBJECTS = {
    "product_detail": "The product pages together have been viewed",
    "brand": "The pages of the workshops together have been viewed",
    "tag": "The pages of the tags together have been viewed",
}
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


def the_hits() -> PathHits:
    """What counts the shop that serves this request."""
    hits: PathHits = current_app.extensions["pathhits"]
    return hits


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


def views_of(products: Iterable[Product]) -> Mapping[str, Count]:
    """The views of each product by its slug, all read at once; a count is ``partial`` when it is not known."""
    return the_hits().view_counts("product", [product.slug for product in products])


def _for_this_page() -> dict[str, Any]:
    return {"count": page_count(the_hits(), request.endpoint)}
