"""What the dashboard and the API ask: figures of a period, series by steps of a zone, and pages of lists.

A `View` is one look at the stores: Redis is read once, when it is made, and every question then adds what waits there
to what SQL has, so that the numbers of one page agree with each other.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Generic, NamedTuple, TypeVar

import redis

from pathhits.core import labels
from pathhits.core.periods import bucket_index, days_of, runs, to_hour
from pathhits.core.rules import type_of
from pathhits.errors import StoreUnavailable
from pathhits.hits import BOUNCES, DROPS, HITS, REQUESTS, SECONDS, SITE, VIEWS, VISITS, Delta, Sketch
from pathhits.stats import LIVE_DAYS, PENDING_LABELS, parse_deltas
from pathhits.storage.redis.client import explain
from pathhits.storage.redis.pending import NotAGeneration, PendingStore
from pathhits.storage.sql.browse import Browse, ItemMore, Listed, Order, StoredEvent, Sums
from pathhits.storage.sql.reads import Reads, Window
from pathhits.storage.sql.tables import ITEMS, PATHS, Family
from pathhits.valuestats import ValueReads

R = TypeVar("R")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: Counters of the whole site that have no subject in a delta; hits have one, their label.
SITE_COUNTERS = (HITS, REQUESTS, VISITS, BOUNCES, SECONDS)


class Step(NamedTuple):
    """The numbers of one step of a series; ``visitors`` is None in a step that holds no UTC noon."""

    start: datetime
    amounts: Mapping[str, int]
    visitors: int | None


class Row(NamedTuple):
    """One line of a list: a label or an item's id, its hits or views, and its visitors, None where no day was whole."""

    name: str
    amount: int
    visitors: int | None


@dataclass(frozen=True, slots=True)
class Page(Generic[R]):
    """One page of a list, and how many rows the list has in all."""

    rows: tuple[R, ...]
    total: int


class Browsing:
    """Makes views; each may raise `StoreUnavailable`, and its questions `NotMigrated` too."""

    def __init__(self, pending: PendingStore, reads: Reads, browse: Browse, values: ValueReads, redis_url: str) -> None:
        self._pending = pending
        self._reads = reads
        self._browse = browse
        self._values = values
        self._redis_url = redis_url

    def view(self) -> View:
        """A look at what is counted now."""
        live = self._redis(lambda: {identity: self._deltas(identity) for identity in self._pending.live()})
        return View(live, self._reads, self._browse, self._sketched, self._values.look())

    def item(self, item: str, changes: int) -> ItemMore:
        """What else is stored of one item (``type:id``): its counters, rank and last ``changes``."""
        return self._browse.item(item, changes)

    def events(
        self, since: datetime, until: datetime, *, item: str = "", name: str = "", page: int = 1, limit: int = 10
    ) -> tuple[list[StoredEvent], int | None]:
        """A page of the stored events, the last first, and how many there are; see `Browse.events`."""
        first = (page - 1) * limit
        return self._browse.events(
            _milliseconds(since), _milliseconds(until), item=item, name=name, first=first, limit=limit
        )

    def _deltas(self, generation: str) -> dict[Delta, int]:
        try:
            return parse_deltas(self._pending.read(generation))
        except NotAGeneration:
            return {}

    def _sketched(self, sketches: Sequence[Sketch]) -> dict[Sketch, int]:
        return self._redis(lambda: self._pending.visitors(sketches))

    def _redis(self, ask: Callable[[], R]) -> R:
        try:
            return ask()
        except redis.RedisError as error:
            raise StoreUnavailable(explain(error, self._redis_url)) from error


class View:
    """One look at both stores."""

    def __init__(
        self,
        live: Mapping[str, Mapping[Delta, int]],
        reads: Reads,
        browse: Browse,
        sketched: Callable[[Sequence[Sketch]], dict[Sketch, int]],
        values: ValueReads,
    ) -> None:
        #: What hits are told apart by besides their label; it looks at Redis by itself, and once.
        self.values = values
        self._live = live
        self._generations = list(live)
        self._reads = reads
        self._browse = browse
        self._sketched = sketched
        #: What was asked of the site: a page names the hits of its period as the whole of each list.
        self._site: dict[tuple[datetime, ...], list[Step]] = {}

    def site(self, starts: Sequence[datetime], until: datetime) -> list[Step]:
        """Hits, requests, visits, bounces and seconds of the whole site, and its visitors, by step; asked once."""
        # In UTC: two moments of one zone are else equal by their wall clock, which may show an hour twice.
        asked = tuple(moment.astimezone(UTC) for moment in (*starts, until))
        if asked not in self._site:
            self._site[asked] = self._steps_of_site(starts, until)
        return [step._replace(start=start) for step, start in zip(self._site[asked], starts, strict=True)]

    def _steps_of_site(self, starts: Sequence[datetime], until: datetime) -> list[Step]:
        stored, waiting = self._sums(None, starts, until)
        days = days_of(starts[0], until) if starts else range(0)
        visitors = self._visitors(PATHS, [SITE], days)[SITE]
        return _steps(stored, waiting, visitors, starts, until)

    def label(self, label: str, starts: Sequence[datetime], until: datetime) -> list[Step]:
        """Hits of one label, and its visitors, by step."""
        return self._subject(PATHS, HITS, labels.clean(label), starts, until)

    def _sums(
        self, label: str | None, starts: Sequence[datetime], until: datetime
    ) -> tuple[Sums, Counter[tuple[str, int]]]:
        """What SQL has of the site, or of a label, by step, and what waits."""
        if label is not None:
            return self._sums_of(PATHS, HITS, labels.clean(label), starts, until)
        stored = self._browse.site(SITE_COUNTERS, runs(starts, until), self._generations)
        waiting = self._waiting(stored, starts, until, lambda delta: delta.counter in SITE_COUNTERS and _is_site(delta))
        return stored, waiting

    def amounts(self, label: str | None, since: datetime, until: datetime) -> Mapping[str, int]:
        """What `site`, or `label` of the one that is given, has between two moments, without visitors."""
        stored, waiting = self._sums(label, [since], until)
        return _steps(stored, waiting, {}, [since], until)[0].amounts

    def first_hour(self) -> int | None:
        """The UTC hour of the first hit that was ever counted; None where there is none."""
        stored = self._browse.first_hour()
        hours = {delta.hour for deltas in self._live.values() for delta in deltas if delta.counter == HITS}
        return min(hours if stored is None else {*hours, stored}, default=None)

    def visitors(self, label: str | None, days: range) -> dict[int, int]:
        """Visitors of the site, or of a label, by UTC day (days since 1970)."""
        subject = SITE if label is None else labels.clean(label)
        return self._visitors(PATHS, [subject], days)[subject]

    def courses(self, wanted: Sequence[str], starts: Sequence[datetime], until: datetime) -> dict[str, list[int]]:
        """Hits of each label by step, in one statement for all of them."""
        named = {label: labels.clean(label) for label in wanted}
        stored = self._browse.subjects(PATHS, sorted(set(named.values())), runs(starts, until), self._generations)
        sums, where, window = Counter(stored.amounts), bucket_index(starts), _window(starts[0], until)
        asked = set(named.values())
        for delta, n in self._unstored(stored.applied):
            if delta.counter == HITS and delta.subject in asked and window.holds(delta.hour):
                sums[delta.subject, where(delta.hour)] += n
        return {label: [sums[clean, step] for step in range(len(starts))] for label, clean in named.items()}

    def item(self, subject: str, starts: Sequence[datetime], until: datetime) -> list[Step]:
        """Views of one item (``type:id``), and its visitors, by step."""
        return self._subject(ITEMS, VIEWS, subject, starts, until)

    def _subject(
        self, family: Family, counter: str, subject: str, starts: Sequence[datetime], until: datetime
    ) -> list[Step]:
        stored, waiting = self._sums_of(family, counter, subject, starts, until)
        days = days_of(starts[0], until) if starts else range(0)
        visitors = self._visitors(family, [subject], days)[subject]
        return _steps(stored, waiting, visitors, starts, until)

    def _sums_of(
        self, family: Family, counter: str, subject: str, starts: Sequence[datetime], until: datetime
    ) -> tuple[Sums, Counter[tuple[str, int]]]:
        found = self._browse.subjects(family, [subject], runs(starts, until), self._generations)
        stored = Sums({(counter, step): n for (_, step), n in found.amounts.items()}, found.applied)
        waiting = self._waiting(
            stored, starts, until, lambda delta: delta.counter == counter and delta.subject == subject
        )
        return stored, waiting

    def reasons(self, since: datetime, until: datetime) -> dict[str, int]:
        """Requests that are no hits, by reason, the most frequent first."""
        window = _window(since, until)
        stored = self._browse.prefixed(f"{DROPS}:", window, self._generations)
        reasons = Counter({counter.partition(":")[2]: n for (counter, _), n in stored.amounts.items()})
        for delta, n in self._unstored(stored.applied):
            if delta.counter == DROPS and window.holds(delta.hour):
                reasons[delta.subject] += n
        return dict(sorted(((reason, n) for reason, n in reasons.items() if n), key=lambda one: (-one[1], one[0])))

    def paths(
        self,
        since: datetime,
        until: datetime,
        *,
        page: int = 1,
        limit: int = 10,
        order: Order = "most",
        search: str = "",
    ) -> Page[Row]:
        """A page of the labels with hits between two moments; ``search`` is a part of the label."""
        return self._page(PATHS, HITS, None, since, until, page, limit, order, search)

    def items(
        self,
        item_type: str | None,
        since: datetime,
        until: datetime,
        *,
        page: int = 1,
        limit: int = 10,
        order: Order = "most",
        search: str = "",
    ) -> Page[Row]:
        """A page of the items with views between two moments, as ``type:id``; ``search`` is a part of that.

        Of one type, where it is given: ``search`` is then a part of the id.
        """
        return self._page(ITEMS, VIEWS, item_type, since, until, page, limit, order, search)

    def pending_hits(self) -> int:
        """Hits that are in Redis and not yet in SQL."""
        applied = self._reads.counts(PATHS, [], self._generations).applied
        return sum(n for delta, n in self._unstored(applied) if delta.counter == HITS)

    def _page(
        self,
        family: Family,
        counter: str,
        item_type: str | None,
        since: datetime,
        until: datetime,
        page: int,
        limit: int,
        order: Order,
        search: str,
    ) -> Page[Row]:
        window, days = _window(since, until), days_of(since, until)
        waiting = self._by_generation(
            lambda delta: (
                delta.counter == counter and window.holds(delta.hour) and item_type in (None, type_of(delta.subject))
            )
        )
        asked = sum(waiting.values(), Counter[str]()).most_common(PENDING_LABELS)
        stored = self._browse.page(
            family,
            window,
            first=page * limit,
            order=order,
            search=search,
            also=sorted(name for name, _ in asked),
            item_type=item_type,
            generations=self._generations,
        )
        listed, total = _merged(stored, waiting, [name for name, _ in asked if _matches(name, search, item_type)])
        by = {"most": lambda one: (-one[1], one[0]), "name": lambda one: one[0]}
        shown = sorted(listed.items(), key=by[order])[(page - 1) * limit : page * limit]
        visitors = self._visitors(family, [name for name, _ in shown], days, by_day=False)
        # A UTC day that lies in the period with its noon may lie outside of it with hits.
        rows = (Row(name, n, min(n, sum(visitors[name].values())) if days else None) for name, n in shown)
        return Page(tuple(rows), total)

    def _by_generation(self, is_meant: Callable[[Delta], bool]) -> dict[str, Counter[str]]:
        """What waits in each generation, by subject."""
        found: dict[str, Counter[str]] = {}
        for identity, deltas in self._live.items():
            sums = found.setdefault(identity, Counter())
            for delta, n in deltas.items():
                if is_meant(delta):
                    sums[delta.subject] += n
        return found

    def _unstored(self, applied: frozenset[str]) -> Iterable[tuple[Delta, int]]:
        """Every delta that waits and that SQL did not have."""
        for identity, deltas in self._live.items():
            if identity not in applied:
                yield from deltas.items()

    def _waiting(
        self, stored: Sums, starts: Sequence[datetime], until: datetime, is_meant: Callable[[Delta], bool]
    ) -> Counter[tuple[str, int]]:
        """What waits, by counter and step."""
        found: Counter[tuple[str, int]] = Counter()
        if not starts:
            return found
        where, window = bucket_index(starts), _window(starts[0], until)
        for delta, n in self._unstored(stored.applied):
            if window.holds(delta.hour) and is_meant(delta):
                found[delta.counter, where(delta.hour)] += n
        return found

    def _visitors(
        self, family: Family, subjects: Sequence[str], days: range, *, by_day: bool = True
    ) -> dict[str, dict[int, int]]:
        """Visitors by UTC day: what SQL has, or the sketch in Redis where there is one and it has seen more.

        Unless they are wanted ``by_day``, those of the days that have no sketch any more are one sum.
        """
        found: dict[str, dict[int, int]] = {subject: {} for subject in subjects}
        if not days or not subjects:
            return found
        today = int(time.time() // 86_400)
        first_live = today - LIVE_DAYS + 1
        if subjects == [SITE]:
            found[SITE] = self._reads.site_visitors(Window(days.start * 24, days.stop * 24))
        else:
            found |= self._browse.visitors(family, subjects, days, days.start if by_day else first_live)
        if family is not PATHS:
            return found
        live = [Sketch(day, one) for day in range(first_live, today + 2) if day in days for one in subjects]
        for sketch, n in self._sketched(live).items() if live else ():
            if n:
                known = found[sketch.label]
                known[sketch.day] = max(known.get(sketch.day, 0), n)
        return found


def _merged(stored: Listed, waiting: Mapping[str, Counter[str]], asked: Sequence[str]) -> tuple[dict[str, int], int]:
    """Names with their amounts, and how many there are: what is stored, and what waits of the names asked for."""
    pending: Counter[str] = Counter()
    for identity, sums in waiting.items():
        if identity not in stored.applied:
            pending.update(sums)
    known = stored.first | stored.also
    new = [name for name in asked if name not in known and pending[name] > 0]
    names = {*stored.first, *(name for name in asked if name in known), *new}
    return {name: known.get(name, 0) + pending[name] for name in names}, stored.total + len(new)


def _matches(name: str, search: str, item_type: str | None) -> bool:
    shown = name if item_type is None else name.partition(":")[2]
    return search.lower() in shown.lower()


def _is_site(delta: Delta) -> bool:
    # Of visits there are also those of items: the site's have no subject.
    return delta.counter == HITS or not delta.subject


def _steps(
    stored: Sums, waiting: Mapping[tuple[str, int], int], visitors: Mapping[int, int], starts: Sequence[datetime],
    until: datetime,
) -> list[Step]:  # fmt: skip
    amounts: list[dict[str, int]] = [{} for _ in starts]
    for (counter, step), n in (*stored.amounts.items(), *waiting.items()):
        amounts[step][counter] = amounts[step].get(counter, 0) + n
    by_step = _by_noon(visitors, starts, until)
    # A correction may be in SQL before what it corrects, for a moment.
    return [
        Step(start, {counter: max(n, 0) for counter, n in found.items()}, seen)
        for start, found, seen in zip(starts, amounts, by_step, strict=True)
    ]


def _by_noon(visitors: Mapping[int, int], starts: Sequence[datetime], until: datetime) -> list[int | None]:
    """Visitors by step: a UTC day belongs to the step that holds its noon; None for a step that holds none."""
    found: list[int | None] = []
    for start, after in zip(starts, [*starts[1:], until], strict=True):
        days = days_of(start, after)
        found.append(sum(visitors.get(day, 0) for day in days) if days else None)
    return found


def _milliseconds(moment: datetime) -> int:
    return -(-(moment - _EPOCH) // timedelta(milliseconds=1))


def _window(since: datetime, until: datetime) -> Window:
    return Window(to_hour(since, round_up=True), to_hour(until, round_up=True))
