"""The catalogue, its pictures, and how numbers are written."""

from __future__ import annotations

import re
from collections import Counter
from xml.etree import ElementTree

import pytest

from demo_app import formats
from demo_app.catalogue import BRANDS, CATEGORIES, FEATURED, PRODUCTS, TAGS
from demo_app.pictures import PALETTES, SHAPES, picture


def luminance(colour: str) -> float:
    """Relative luminance of "#rrggbb" as WCAG 2 defines it."""
    parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_sixty_products_each_with_an_address_of_its_own() -> None:
    assert len({product["slug"] for product in PRODUCTS}) == len(PRODUCTS) == 60
    assert len({product["name"] for product in PRODUCTS}) == len(PRODUCTS)
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", product["slug"]) for product in PRODUCTS)


def test_every_category_has_products_and_every_product_a_known_category_and_shape() -> None:
    assert Counter(product["category"] for product in PRODUCTS).keys() == CATEGORIES.keys()
    assert {product["shape"] for product in PRODUCTS} == SHAPES.keys()


def test_every_product_has_a_known_workshop_and_tags_and_every_workshop_makes_something() -> None:
    assert {product["brand"] for product in PRODUCTS} == BRANDS.keys()
    assert all(2 <= len(set(product["tags"])) == len(product["tags"]) for product in PRODUCTS)
    assert all(re.fullmatch(r"[a-z]+", tag) for tag in TAGS)
    assert set(FEATURED) <= {product["slug"] for product in PRODUCTS}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_picture_is_well_formed_has_two_colours_and_is_the_same_each_time(shape: str) -> None:
    drawn = picture(shape, "some-thing")
    ElementTree.fromstring(drawn)
    assert len(set(re.findall(r"#[0-9a-f]{6}", drawn))) == 2
    assert drawn == picture(shape, "some-thing")
    assert len({picture(shape, f"thing-{n}") for n in range(10)}) > 5


def test_a_figure_stands_out_from_its_ground() -> None:
    for ground, figure in PALETTES:
        assert (luminance(ground) + 0.05) / (luminance(figure) + 0.05) >= 3


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (0, "0"),
        (1_284, "1,284"),
        (9_999, "9,999"),
        (10_000, "10k"),
        (27_431, "27.4k"),
        (99_999, "99.9k"),
        (999_999, "999.9k"),
        (1_000_000, "1M"),
        (3_190_000, "3.1M"),
        (12_345_678_901, "12,345.6M"),
    ],
)
def test_a_count_is_written_short_and_never_as_more_than_it_is(number: int, shown: str) -> None:
    assert formats.compact(number) == shown


def test_a_price_always_has_its_cents() -> None:
    assert [formats.price(cents) for cents in (5, 1_850, 124_000)] == ["€0.05", "€18.50", "€1,240.00"]
