"""The requests of one day of the past, in their order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time
from random import Random
from typing import NamedTuple

from demo_app.history.shape import HOURS, TALK, Day, day_of
from demo_app.traffic.people import BOTS, Crowd, Kind, Person
from demo_app.traffic.plans import Step, crawl, visit

#: People of the past take their time: the pauses of a run of minutes are so much longer in life.
SLOWER = 4.0
#: How many of a hundred visits are of one who was there before on that day, at least so many seconds ago.
AGAIN, LEAST_GAP = 14, 2_400.0
#: How many of a hundred visitors ask not to be followed; and a bot comes for so many visits.
PRIVATE, VISITS_A_BOT = 4, 9
HOUR_S, DAY_S = 3_600, 86_400.0


class Request(NamedTuple):
    """One request, ``moment`` seconds after midnight UTC."""

    moment: float
    person: Person
    step: Step


def requests_of(when: date) -> list[Request]:
    """All requests of a UTC day in their order; none of its visits goes on after midnight."""
    random, day = Random(f"visits {when}"), day_of(when)
    crowd, begun = Crowd(random), sorted(_moments(day.visits, random))
    found = list(_bots(day, crowd, random))
    were: list[tuple[float, Person]] = []
    for moment in begun:
        person = _someone(moment, were, day, crowd, random)
        made = list(_timed(moment, person, visit(person, _sought(person, day), random), SLOWER))
        found += made
        were.append((made[-1].moment, person))
    return sorted((one for one in found if one.moment < DAY_S), key=lambda one: one.moment)


def midnight(when: date) -> datetime:
    """The beginning of a UTC day."""
    return datetime.combine(when, time(), UTC)


def _moments(many: int, random: Random) -> Iterator[float]:
    for hour in random.choices(range(24), HOURS, k=many):
        yield (hour + random.random()) * HOUR_S


def _someone(moment: float, were: list[tuple[float, Person]], day: Day, crowd: Crowd, random: Random) -> Person:
    """Who comes at this moment: somebody new, or one who was there before, by typing the address."""
    if were and random.random() * 100 < AGAIN:
        left, person = random.choice(were)
        if moment - left > LEAST_GAP:
            return person
    for_it = random.random() * day.visits < day.come_for_it
    kind: Kind = "private" if random.random() * 100 < PRIVATE else "visitor"
    return crowd.visitor(kind, TALK if for_it else None)


def _sought(person: Person, day: Day) -> Sequence[tuple[float, str]]:
    talked = sum(weight for weight, _ in day.taste) * 3
    return (*day.taste, (talked, day.talked)) if person.source is TALK else day.taste


def _bots(day: Day, crowd: Crowd, random: Random) -> Iterator[Request]:
    for _ in range(day.visits // VISITS_A_BOT):
        yield from _timed(random.random() * DAY_S, crowd.bot(random.choice(BOTS)), crawl(random), 1.0)


def _timed(moment: float, person: Person, steps: Iterable[Step], slower: float) -> Iterator[Request]:
    for step in steps:
        moment += step.pause * slower
        yield Request(moment, person, replace(step, pause=0.0))
