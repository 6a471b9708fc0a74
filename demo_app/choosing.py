"""Finding products: full text, filters and orders; the list of all products and the search share them.

SQLite searches with its FTS5, PostgreSQL with its text search; anything else has LIKE, which is good enough for sixty
rows. Two orders are of pathhits: the most viewed first by `hits.order_by_views`, the most popular first by a column
that it writes, `hits.mirror_popularity`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flask import abort
from sqlalchemy import ColumnElement, Select, and_, column, func, literal_column, select, table

from demo_app.catalogue import BRANDS, CATEGORIES, TAGS
from demo_app.models import SEARCH_TABLE, Product, Tagged, db
from pathhits import PathHits

#: What one can sort by, in the order it is offered.
SORTS = {"best": "Best match", "popular": "Most popular", "viewed": "Most viewed", "newest": "Newest",
         "cheap": "Price, low first", "dear": "Price, high first", "name": "Name"}  # fmt: skip
#: Euros that a product may cost at most.
PRICES = (20, 50, 100)
LONGEST_QUERY = 200
WEIGHTS = "10.0, 6.0, 3.0, 1.0, 1.0"


@dataclass(frozen=True)
class Choice:
    """What somebody wants to see; "" and 0 for what they did not say."""

    query: str = ""
    category: str = ""
    brand: str = ""
    tag: str = ""
    up_to: int = 0
    hot: bool = False
    sort: str = "name"

    @classmethod
    def of(cls, given: Mapping[str, str], query: str = "") -> Choice:
        """The choice that an address makes; words that mean nothing are as good as none."""
        usual = "best" if query else "name"
        allowed = [name for name in SORTS if query or name != "best"]
        return cls(
            query=query,
            category=_known(given.get("category", ""), CATEGORIES),
            brand=_known(given.get("brand", ""), BRANDS),
            tag=_known(given.get("tag", ""), TAGS),
            up_to=next((price for price in PRICES if given.get("up_to") == str(price)), 0),
            hot=given.get("hot") == "1",
            sort=_known(given.get("sort", ""), allowed) or usual,
        )

    @property
    def filters(self) -> dict[str, Any]:
        """What narrows the search, as the search log keeps it."""
        said = {"category": self.category, "brand": self.brand, "tag": self.tag, "up_to": self.up_to, "hot": self.hot}
        return {name: value for name, value in said.items() if value}


def chosen(choice: Choice, hits: PathHits) -> list[Product]:
    """The products of a choice, in its order."""
    statement = select(Product).where(*_conditions(choice))
    words = re.findall(r"\w+", choice.query)
    if words:
        statement = _matching(statement, words, ranked=choice.sort == "best")
    elif choice.query:
        return []
    return list(db.session.scalars(_sorted(statement, choice.sort, hits)).unique())


def product_or_404(slug: str) -> Product:
    """The product of this address; the page "not found" where there is none."""
    product = db.session.scalar(select(Product).where(Product.slug == slug))
    if product is None:
        abort(404)
    return product


def products_of(slugs: Sequence[str]) -> list[Product]:
    """Products by their slugs, in the order given; those that are gone are left out."""
    found = db.session.scalars(select(Product).where(Product.slug.in_(slugs))).all() if slugs else []
    return sorted(found, key=lambda product: slugs.index(product.slug))


def _known(word: str, among: Any) -> str:
    return word if word in among else ""


def _conditions(choice: Choice) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if choice.category:
        conditions.append(Product.category == choice.category)
    if choice.brand:
        conditions.append(Product.brand == choice.brand)
    if choice.tag:
        conditions.append(Product.tagged.any(Tagged.tag == choice.tag))
    if choice.up_to:
        conditions.append(Product.price_cents <= choice.up_to * 100)
    if choice.hot:
        conditions.append(Product.is_hot.is_(True))
    return conditions


def _sorted(statement: Select[Product], sort: str, hits: PathHits) -> Select[Product]:
    if sort == "viewed":
        return hits.order_by_views(statement, Product.slug)
    order: dict[str, Any] = {
        # Of what matches equally well too, the most popular first.
        "best": Product.popularity.desc(),
        "popular": Product.popularity.desc(),
        "newest": Product.added_on.desc(),
        "cheap": Product.price_cents,
        "dear": Product.price_cents.desc(),
    }
    return statement.order_by(order[sort], Product.name) if sort in order else statement.order_by(Product.name)


def _matching(statement: Select[Product], words: list[str], *, ranked: bool) -> Select[Product]:
    """Those that have all the words, the last of which may be the beginning of one."""
    dialect = db.engine.dialect.name
    if dialect == "sqlite":
        index = table(SEARCH_TABLE, column("rowid"), column(SEARCH_TABLE))
        asked = " ".join(f'"{word}"' for word in words) + "*"
        statement = statement.join(index, index.c.rowid == Product.id).where(index.c[SEARCH_TABLE].op("MATCH")(asked))
        rank: Any = literal_column(f"bm25({SEARCH_TABLE}, {WEIGHTS})")
    elif dialect == "postgresql":
        text = func.to_tsvector("english", func.concat_ws(" ", Product.name, Product.words, *_LESS))
        query = func.to_tsquery("english", " & ".join(words) + ":*")
        statement = statement.where(text.op("@@")(query))
        rank = func.ts_rank(func.to_tsvector("english", func.concat_ws(" ", Product.name, Product.words)), query).desc()
    else:
        everything = func.concat_ws(" ", Product.name, Product.words, *_LESS)
        statement = statement.where(and_(*(everything.icontains(word, autoescape=True) for word in words)))
        rank = Product.name.icontains(words[0], autoescape=True).desc()
    return statement.order_by(rank) if ranked else statement


_LESS = (Product.summary, Product.description, Product.material)
