"""What travels: deltas, and the batches that carry them to Redis.

A *delta* is an addition to one counter in one UTC hour: ``(hour, counter, subject) += n``. A *batch* is a bag
of deltas, and of the visitors seen, with an identity of its own: client id and sequence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

#: Hits of one label; the subject is the label.
HITS = "hits"
#: Requests seen, counted or not; the subject is empty. Requests = hits + drops, always.
REQUESTS = "requests"
#: Requests seen and not counted; the subject is the reason.
DROPS = "drops"
#: The last UTC hour that can be meant: what the columns of hours hold.
LAST_HOUR = 2**31 - 1
#: Views of one item that passed its rules; the subject is ``type:id``.
VIEWS = "views"
#: Views that its rules refused; the subject is ``type:reason``.
REFUSALS = "refusals"
#: Visits, visits of one hit, and the time they took: the subject is empty, or an item's ``type:id`` (visits, seconds).
VISITS = "visits"
BOUNCES = "bounces"
SECONDS = "seconds"
#: Views of one item whose time is known, as something followed in the visit; the subject is ``type:id``.
TIMED = "timed"
#: Counters of an item that tell of visits.
ITEM_TIMES = (VISITS, SECONDS, TIMED)
#: Recommendations that were shown; the subject is ``type:reason``.
SHOWN = "shown"
#: Counters that are ours; all others are those that events add to, and may be taken from.
OWN_COUNTERS = frozenset((HITS, REQUESTS, DROPS, VIEWS, REFUSALS, *ITEM_TIMES, BOUNCES, SHOWN))
#: Counters to which a late hit may add less than nothing, in the hour of what it corrects.
CORRECTED = frozenset((VISITS, BOUNCES, SECONDS))
#: The label of what came after `Settings.max_labels` distinct labels.
OTHER = "(other)"
#: Sets what is remembered of items apart from what is of labels, which hold no control characters.
ITEM_MARK = "\x1f"
#: Stands in a subject between a label and what else is told of its hits, which holds no control characters either.
TRAIT_MARK = "\x1f"
#: The subject under which the visitors of the whole site are sketched.
SITE = ""


class Delta(NamedTuple):
    """One counter in one UTC hour (whole hours since 1970) to which a number is added."""

    hour: int
    counter: str
    subject: str

    def field(self) -> str:
        """The delta's name in a generation, ``hour:counter:subject``."""
        return f"{self.hour}:{self.counter}:{self.subject}"

    @property
    def is_trait(self) -> bool:
        """Whether it tells hits apart that another delta counts, see `pathhits.core.dimensions`."""
        return TRAIT_MARK in self.subject

    @classmethod
    def parse(cls, field: bytes) -> Delta:
        """The delta named by ``field``; raises ValueError when it is none."""
        hour, counter, subject = field.decode("utf-8").split(":", 2)
        if not hour.isdigit() or not counter.isidentifier() or int(hour) > LAST_HOUR:
            raise ValueError(f"not a delta: {field!r}")
        return cls(int(hour), counter, subject)


class View(NamedTuple):
    """A hit that may be a view of an item, once the rules have judged it.

    ``item`` is ``type:id``; ``viewers`` are the viewer's keyed ids in the current and the previous salt period;
    ``visitor`` is None for one who is none; ``limits`` are the numbers of the rules; ``grant`` names a view whose
    verdict was asked for before, so that asking again gives the same; without viewers it counts in any case.
    ``event`` is what is logged when it counts, as `pathhits.events.Logged` writes it. ``counts_as`` is what it counts
    under where that is not the item: `OTHER` of its type, while its own item is what the rules go by.
    """

    moment: float
    item: str
    viewers: tuple[str, ...]
    visitor: int | None
    limits: tuple[int, ...]
    grant: str = ""
    event: str = ""
    counts_as: str = ""

    @property
    def subject(self) -> str:
        """What it counts under, ``type:id``."""
        return self.counts_as or self.item


class Track(NamedTuple):
    """An event that the app told of: what it adds to which counters of its item ("" for none), and what is logged.

    With ``once``, keyed hashes of its key (the first is remembered), it happens only if none of them is known.
    """

    moment: float
    name: str
    item: str
    amounts: tuple[tuple[str, int], ...]
    event: str
    once: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """What a refusal of it counts under: its item, or the first word of its name."""
        return self.item or self.name.partition(".")[0]

    @property
    def deltas(self) -> tuple[tuple[Delta, int], ...]:
        """What it adds when it happens."""
        hour = int(self.moment // 3_600)
        return tuple((Delta(hour, counter, self.item), n) for counter, n in self.amounts)


#: What a step of a visit says of a view it showed: it counted, or it did not; or `ASKED` and the view's grant, where
#: Redis knows; or the view's place in the batch, beginning at 1.
PASSED = "+"
REFUSED = "-"
ASKED = "?"


class Step(NamedTuple):
    """A hit as a part of its visit; ``shown`` are marks (`PASSED` ...) and items of the views it may be.

    With ``age``, the seconds for which a page was shown, it is no hit: it says that the visitor left that page.
    """

    moment: float
    shown: tuple[tuple[str, str], ...] = ()
    age: float | None = None


class Stay(NamedTuple):
    """Hits of one visitor in their order, to be sorted into visits.

    ``ids`` are his keyed ids in the order in which he is looked up, ``home`` is the index of the one he is kept under.
    """

    ids: tuple[str, ...]
    home: int
    steps: tuple[Step, ...]


class Sketch(NamedTuple):
    """The visitors of one label (or `SITE`) on one UTC day (whole days since 1970)."""

    day: int
    label: str


@dataclass(frozen=True, slots=True)
class Batch:
    """What one script call adds to Redis, once: resent verbatim until it is known to be there.

    ``events`` happened whatever the rules say of the views; those of ``views`` are logged when their view counts.
    ``run_id`` is the Redis server's when the batch was first sent ("" when it was never sent): a resend that
    finds another server cannot know whether the first try was applied and rolled back.
    """

    client: str
    sequence: int
    generation: str
    deltas: Mapping[Delta, int]
    visitors: Mapping[Sketch, tuple[int, ...]]
    views: tuple[View, ...] = ()
    events: tuple[str, ...] = ()
    stays: tuple[Stay, ...] = ()
    tracks: tuple[Track, ...] = ()

    @property
    def requests(self) -> int:
        """How many requests this batch accounts for."""
        return sum(n for delta, n in self.deltas.items() if delta.counter == REQUESTS)
