"""The catalogue the shop starts with: sixty made-up products in four categories, by eight made-up workshops."""

from __future__ import annotations

from typing import NamedTuple

from demo_app.catalogue import desk, garden, kitchen, rest
from demo_app.catalogue.rows import ProductRow

#: Slug and name of each category, in the order they are shown.
CATEGORIES = {"kitchen": "Kitchen", "desk": "Desk", "garden": "Garden", "rest": "Rest"}


class Brand(NamedTuple):
    """A workshop: what it is called, what it makes, since when, and its story."""

    name: str
    makes: str
    since: int
    story: str


BRANDS: dict[str, Brand] = {
    "alderman": Brand(
        "Alderman & Daughter", "Turned and joined wood", 1987,
        "A lathe, a bench and a yard full of planks that wait their seven years. He turns, she joins, and whatever is "
        "left over becomes spoons.",
    ),
    "candlemere": Brand(
        "Candlemere", "Beeswax candles", 2011,
        "Eleven hives stand behind the workshop, and the rest of the wax comes from neighbours who bring it by "
        "bicycle. Nothing is added to it but a wick.",
    ),
    "greenglass": Brand(
        "Greenglass", "Blown glass", 2004,
        "Bottles go in, bottles come out, better ones. The colour is that of whatever the village drank this week.",
    ),
    "linden-mill": Brand(
        "Linden Mill", "Linen and wool", 1962,
        "Four looms over a mill race that still turns one of them. The flax grows within sight, the sheep within "
        "hearing.",
    ),
    "low-meadow": Brand(
        "Low Meadow", "Seed, willow and tools", 1994,
        "A nursery that began to make the tools it could not buy. The seed is cut by hand in August and cleaned in the "
        "long evenings.",
    ),
    "paper-lane": Brand(
        "Paper Lane", "Paper and ink", 2016,
        "Two people, one press from 1911 and a cellar of offcuts. They sew what others staple.",
    ),
    "pot-house": Brand(
        "The Pot House", "Stoneware and terracotta", 1978,
        "One kiln, fired on the first Friday of the month, with everybody invited. What cracks is sold as "
        "what cracked.",
    ),
    "thornwick": Brand(
        "Thornwick Forge", "Iron, copper and brass", 1951,
        "Third of its name and still on coke. They mend what they sold, whoever bought it, however long ago.",
    ),
}  # fmt: skip

PRODUCTS: tuple[ProductRow, ...] = kitchen.PRODUCTS + desk.PRODUCTS + garden.PRODUCTS + rest.PRODUCTS
#: Each tag, in the order of the alphabet.
TAGS: tuple[str, ...] = tuple(sorted({tag for product in PRODUCTS for tag in product["tags"]}))
#: What is in the shop window when the shop opens; the admin changes it.
FEATURED = ("whistling-kettle", "stoneware-jug", "cedar-pencils", "garden-lantern")
