"""Coalesces hits into deltas, visitors and stays until they are cut into batches; bounded in labels and visitors."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator
from itertools import islice
from operator import attrgetter
from typing import NamedTuple

from pathhits.capture.shares import Shares
from pathhits.core.dimensions import Trait
from pathhits.core.rules import Refusal, subject, type_of
from pathhits.hits import DROPS, HITS, OTHER, REFUSALS, REQUESTS, SHOWN, SITE, Delta, Sketch, Stay, Step, Track, View

#: Deltas that one view, and the stay of one visitor, cost Redis about as much as.
VIEW_COST = 3
STAY_COST = 3
#: Deltas that an event of the app costs, and characters of it that cost one more.
TRACK_COST = 3
TRACK_LENGTH = 500
#: Steps of one visitor that one batch takes.
STEPS_A_STAY = 50
#: Distinct traits of the hits of one label and hour that travel in one batch with them.
TRAITS_A_DELTA = 100


class Whose(NamedTuple):
    """A visitor's keyed ids in the order in which Redis looks him up, and the index of the one he is kept under."""

    ids: tuple[str, ...]
    home: int


class _Waiting(NamedTuple):
    """A step, and the view it showed that is to be judged in the same batch."""

    step: Step
    view: View | None

    @property
    def cost(self) -> int:
        return 0 if self.view is None else VIEW_COST

    def marked(self, number: int) -> Step:
        """The step as a batch has it in which its view is the one of this number."""
        if self.view is None:
            return self.step
        return self.step._replace(shown=((str(number), self.view.subject), *self.step.shown))


class _Hits:
    """Hits of one label and hour and their traits, which no batch parts: in no store are there more of these."""

    __slots__ = ("amount", "traits")

    def __init__(self) -> None:
        self.amount = 0
        self.traits: dict[Trait, int] = {}

    @property
    def cost(self) -> int:
        return 1 + len(self.traits)

    def deltas(self, delta: Delta) -> Iterator[tuple[Delta, int]]:
        yield delta, self.amount
        for trait, n in self.traits.items():
            yield trait.delta(delta.hour, delta.subject), n


_moment = attrgetter("step.moment")


def cost_of(tracks: Iterable[Track]) -> int:
    """Deltas that events of the app cost Redis about as much as."""
    return sum(TRACK_COST + len(track.event) // TRACK_LENGTH for track in tracks)


class Accumulator:
    """Deltas and visitors that no batch holds yet. Not thread-safe: its owner holds a lock."""

    def __init__(self, max_labels: int, max_waiting: int) -> None:
        self._max_waiting = max_waiting
        self._deltas: dict[Delta, int] = {}
        self._requests: Counter[int] = Counter()
        self._visitors: dict[Sketch, set[int]] = {}
        self._members = 0
        self._hits: dict[Delta, _Hits] = {}
        self._full: deque[tuple[Delta, _Hits]] = deque()
        self._traits = 0
        self._labels = Shares(max_labels)
        self._items = Shares(max_labels)
        self._views: deque[View] = deque()
        self._tracks: deque[Track] = deque()
        self._stays: dict[Whose, list[_Waiting]] = {}
        self._steps = 0
        #: Visitors that were not noted because too many waited.
        self.visitors_shed = 0
        #: Hits that are in no visit because too many waited.
        self.steps_shed = 0

    def __bool__(self) -> bool:
        return bool(self._counts or self._visitors or self._requests or self._views or self._stays or self._tracks)

    @property
    def _counts(self) -> bool:
        """Whether hits or other deltas wait."""
        return bool(self._hits or self._deltas or self._full)

    def request(self, hour: int, amount: int = 1) -> None:
        """Count requests seen, whatever becomes of them."""
        self._requests[hour] += amount

    def drop(self, hour: int, reason: str, amount: int = 1) -> None:
        """Count requests that were seen and are no hits."""
        self._add(Delta(hour, DROPS, reason), amount)

    def hit(self, hour: int, label: str, visitor: int | None, traits: Iterable[Trait] = ()) -> None:
        """Count one hit, under `OTHER` once the day has had its share of labels, or too much waits for Redis."""
        day = hour // 24
        label = label if self._labels.admit(day, label) else OTHER
        delta = Delta(hour, HITS, label)
        if delta not in self._hits and len(self._hits) + len(self._deltas) >= self._max_waiting:
            label, delta = OTHER, Delta(hour, HITS, OTHER)
        hits = self._hits.get(delta)
        if hits is None:
            hits = self._hits[delta] = _Hits()
        hits.amount += 1
        self._tell(hits, traits)
        if len(hits.traits) >= TRAITS_A_DELTA:
            self._full.append((delta, self._hits.pop(delta)))
        if visitor is not None:
            self._see(Sketch(day, label), visitor)
            self._see(Sketch(day, SITE), visitor)

    def _tell(self, hits: _Hits, traits: Iterable[Trait]) -> None:
        """Note the traits of a hit; when too many wait, those that are new count as others."""
        for trait in traits:
            told = trait
            if trait not in hits.traits:
                if self._traits >= self._max_waiting:
                    told = trait.other()
                self._traits += told not in hits.traits
            hits.traits[told] = hits.traits.get(told, 0) + 1

    def step(self, whose: Whose, step: Step, view: View | None = None) -> None:
        """Take a hit as a part of its visit, with the view it may be, or a page's being left.

        When too many wait, the visit goes without it.
        """
        if self._steps >= self._max_waiting:
            self.steps_shed += 1
            if view is not None:
                self.candidate(view)
            return
        if step.shown:
            admitted = tuple((mark, self.admit_item(step.moment, item)) for mark, item in step.shown)
            step = step._replace(shown=admitted)
        self._stays.setdefault(whose, []).append(_Waiting(step, view))
        self._steps += 1

    def take_stays(self, room: int, views: int) -> tuple[tuple[Stay, ...], tuple[View, ...]]:
        """Remove and return stays that fit into ``room`` deltas, and the views to be judged with them.

        The longest waiting visitor comes first, his steps in the order of their moments; what does not fit stays.
        ``views`` are in the batch already.
        """
        stays: list[Stay] = []
        judged: list[View] = []
        while room >= STAY_COST + VIEW_COST and self._stays:
            whose, waiting = next(iter(self._stays.items()))
            waiting.sort(key=_moment)
            room -= STAY_COST
            steps: list[Step] = []
            for one in waiting:
                if room < one.cost or len(steps) >= STEPS_A_STAY:
                    break
                room -= one.cost
                if one.view is not None:
                    judged.append(one.view)
                steps.append(one.marked(views + len(judged)))
            stays.append(Stay(*whose, tuple(steps)))
            del waiting[: len(steps)]
            self._steps -= len(steps)
            if not waiting:
                del self._stays[whose]
        return tuple(stays), tuple(judged)

    def forgo_stays(self) -> None:
        """Let the visits go without what waits, as Redis that holds them is away; views are judged without them."""
        for waiting in self._stays.values():
            self._views.extend(one.view for one in waiting if one.view is not None)
        self.steps_shed += self._steps
        self._steps = 0
        self._stays.clear()

    def candidate(self, view: View) -> None:
        """Take a view that the rules have yet to judge; refused when too many wait."""
        if len(self._views) >= self._max_waiting:
            self.refuse(view.moment, view.item, Refusal.UNAVAILABLE)
        else:
            self._views.append(view)

    def viewed(self, view: View) -> None:
        """Take a view that the rules have let pass: it counts in any case, in one step with its event."""
        self.candidate(view._replace(viewers=(), grant=""))

    def refuse(self, moment: float, item: str, reason: str, amount: int = 1) -> None:
        """Count views that the rules have refused."""
        self._add(Delta(int(moment // 3_600), REFUSALS, f"{type_of(item)}:{reason}"), amount)

    def take_views(self, size: int) -> tuple[View, ...]:
        """Remove and return at most ``size`` views to be judged, the longest waiting first."""
        return tuple(self._views.popleft() for _ in range(min(size, len(self._views))))

    def show(self, moment: float, subject: str, amount: int) -> None:
        """Count recommendations that were shown, by ``type:reason``."""
        self._add(Delta(int(moment // 3_600), SHOWN, subject), amount)

    def track(self, track: Track) -> None:
        """Take an event that the app told of; how many wait is its owner's to bound."""
        self._tracks.append(track)

    @property
    def tracks(self) -> int:
        """How many events that the app told of wait."""
        return len(self._tracks)

    def take_tracks(self, room: int) -> tuple[Track, ...]:
        """Remove and return events that the app told of, at least one, that fit into ``room`` deltas."""
        return tuple(self._tracks_for(room))

    def _tracks_for(self, room: int) -> Iterator[Track]:
        left = room
        while self._tracks and (left > 0 or left == room):
            track = self._tracks.popleft()
            left -= cost_of((track,))
            yield track

    def admit_item(self, moment: float, item: str) -> str:
        """What a view of ``item`` counts under: `OTHER` of its type once the day has had its share of items."""
        # Apart from labels: a shop with many products still has room for its pages.
        return item if self._items.admit(int(moment // 86_400), item) else subject(type_of(item), OTHER)

    def _add(self, delta: Delta, amount: int) -> None:
        self._deltas[delta] = self._deltas.get(delta, 0) + amount

    def take(self, size: int) -> tuple[dict[Delta, int], dict[Sketch, tuple[int, ...]]]:
        """Remove and return about ``size`` deltas and visitors together, the longest waiting of each first.

        Visitors go before the hits they made: a sync reads the sketches of the labels it finds hits of. Hits go with
        their traits, whole, so that it may be `TRAITS_A_DELTA` more. The requests of these deltas come on top, so that
        no loss of single batches can part requests from hits + drops.
        """
        visitors = self._take_visitors(size)
        room = size - sum(map(len, visitors.values()))
        deltas = self._take_hits(room)
        for delta in list(islice(self._deltas, max(room - len(deltas), 0))):
            deltas[delta] = self._deltas.pop(delta)
        return deltas | self._take_requests(deltas), visitors

    def _take_hits(self, room: int) -> dict[Delta, int]:
        taken: dict[Delta, int] = {}
        while room > 0 and (self._full or self._hits):
            delta, hits = (
                self._full.popleft() if self._full else (first := next(iter(self._hits)), self._hits.pop(first))
            )
            for one, amount in hits.deltas(delta):
                taken[one] = taken.get(one, 0) + amount
            room -= hits.cost
            self._traits -= len(hits.traits)
        return taken

    def _take_visitors(self, room: int) -> dict[Sketch, tuple[int, ...]]:
        visitors: dict[Sketch, tuple[int, ...]] = {}
        while room > 0 and self._visitors:
            sketch, members = next(iter(self._visitors.items()))
            taken = tuple(members.pop() for _ in range(min(room, len(members))))
            visitors[sketch] = taken
            room -= len(taken)
            self._members -= len(taken)
            if not members:
                del self._visitors[sketch]
        return visitors

    def _take_requests(self, taken: dict[Delta, int]) -> dict[Delta, int]:
        """The requests that ``taken`` accounts for, or all that are left when nothing else is."""
        accounted: Counter[int] = Counter()
        for delta, amount in taken.items():
            if delta.counter in (HITS, DROPS):
                accounted[delta.hour] += amount
        share = accounted & self._requests if self._counts else self._requests
        self._requests = self._requests - share
        return {Delta(hour, REQUESTS, ""): amount for hour, amount in share.items()}

    def _see(self, sketch: Sketch, visitor: int) -> None:
        members = self._visitors.setdefault(sketch, set())
        if visitor in members:
            return
        if self._members >= self._max_waiting:
            self.visitors_shed += 1
            if not members:
                del self._visitors[sketch]
            return
        members.add(visitor)
        self._members += 1
