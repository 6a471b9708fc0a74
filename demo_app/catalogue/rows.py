"""How a product is written down, before it is a row of the shop's table."""

from __future__ import annotations

import datetime
from typing import TypedDict


class ProductRow(TypedDict):
    """One product of the catalogue; ``tags`` are words."""

    slug: str
    name: str
    category: str
    shape: str
    price_cents: int
    brand: str
    tags: tuple[str, ...]
    summary: str
    description: str
    material: str
    size: str
    added_on: datetime.date


def product(
    slug: str,
    name: str,
    category: str,
    shape: str,
    price_cents: int,
    added: str,
    brand: str,
    tags: str,
    summary: str,
    material: str,
    size: str,
    text: str,
) -> ProductRow:
    """A product; ``added`` is a date, ``tags`` are words with spaces between."""
    return ProductRow(
        slug=slug,
        name=name,
        category=category,
        shape=shape,
        price_cents=price_cents,
        brand=brand,
        tags=tuple(tags.split()),
        summary=summary,
        description=text,
        material=material,
        size=size,
        added_on=datetime.date.fromisoformat(added),
    )
