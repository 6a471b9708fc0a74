"""How a made-up past looks: how many come on a day and at which hour, what is sought then, and one day like no other.

All of it follows from the date, so that a day is the same whenever it is made.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date
from random import Random

from demo_app.catalogue import PRODUCTS
from demo_app.traffic.people import Source

#: Visits of a plain day, of which more come with time: one percent a day is 2.7 times as many in a hundred days.
VISITS = 110
GROWTH_A_DAY = 0.004
#: Monday to Sunday.
WEEK = (1.0, 1.06, 1.04, 1.0, 0.88, 0.78, 0.97)
#: The share of each UTC hour: few at night, a rise at lunch, most in the evening.
HOURS = (5, 3, 2, 2, 2, 4, 8, 14, 21, 26, 29, 32, 38, 35, 31, 30, 32, 36, 43, 52, 55, 44, 26, 12)
#: In each stretch of so many days one product is talked about elsewhere: many come at once, fewer on the next days.
STRETCH = 40
SPIKE, FADES = 2.6, 0.4
SPIKE_DAYS = 5
#: What those come from.
TALK = Source("https://news.ycombinator.com/")
#: Days in which the interest in a product comes and goes.
SHORTEST_WAVE, LONGEST_WAVE = 45.0, 90.0


@dataclass(frozen=True)
class Day:
    """One day: how many visits it has, of which so many come for the ``talked`` product, and how all are sought."""

    visits: int
    come_for_it: int
    talked: str
    taste: tuple[tuple[float, str], ...]


def day_of(when: date) -> Day:
    """What the day is like."""
    number, random = when.toordinal(), Random(f"day {when}")
    plain = VISITS * math.exp(GROWTH_A_DAY * (number % 365)) * WEEK[when.weekday()] * random.uniform(0.88, 1.12)
    begins, talked = _spike(number)
    come = plain * SPIKE * FADES ** (number - begins) if 0 <= number - begins < SPIKE_DAYS else 0.0
    return Day(round(plain) + round(come), round(come), talked, tuple(_taste(number)))


def _spike(number: int) -> tuple[int, str]:
    """The day on which a product is talked about, in the stretch of this day, and which product it is."""
    first = number // STRETCH * STRETCH
    random = Random(f"stretch {first}")
    return first + random.randrange(8, STRETCH - SPIKE_DAYS), random.choice(PRODUCTS)["slug"]


def _taste(number: int) -> list[tuple[float, str]]:
    """How much each product is sought on a day: a few much for some weeks, which are others later."""
    taste = []
    for product in PRODUCTS:
        random = Random(f"product {product['slug']}")
        wave, phase, appeal = random.uniform(SHORTEST_WAVE, LONGEST_WAVE), random.random(), random.uniform(1.0, 3.0)
        height = max(0.0, math.cos(2 * math.pi * (number / wave + phase)))
        taste.append((appeal * (0.25 + 4 * height**6), product["slug"]))
    return taste
