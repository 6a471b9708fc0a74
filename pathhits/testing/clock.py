"""The clock of what is counted in memory, and a buffer whose entries happen at its moments."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from pathhits.app import PathHits
from pathhits.capture.buffer import Buffer
from pathhits.capture.court import MemoryCourt
from pathhits.capture.deadline import Deadline
from pathhits.capture.folding import Seen, Told
from pathhits.capture.recorder import Entry, Noted
from pathhits.capture.viewing import Viewing
from pathhits.testing.memory import FixedSalts, MemorySink

#: Seconds the last fold may take before something is taken to be broken.
PATIENCE = 10.0


class Clock:
    """The time at which hits happen: the real one until it is frozen."""

    def __init__(self, at: datetime | None = None) -> None:
        self._frozen: datetime | None = None
        if at is not None:
            self.freeze(at)

    @property
    def now(self) -> datetime:
        """The moment, aware, in UTC."""
        return self._frozen or datetime.now(UTC)

    def freeze(self, at: datetime) -> None:
        """Stop at an aware datetime; raises ValueError for one without a time zone."""
        if at.tzinfo is None:
            raise ValueError("give an aware datetime, such as datetime(2026, 11, 20, 12, tzinfo=UTC)")
        self._frozen = at.astimezone(UTC)

    def advance(self, step: timedelta) -> None:
        """Freeze at a moment that is ``step`` later."""
        self._frozen = self.now + step


def stamped(append: Callable[[Noted], None], clock: Clock) -> Callable[[Noted], None]:
    """``append``, with the moment of each entry taken from ``clock``."""

    def stamped(noted: Noted) -> None:
        moment = clock.now.timestamp()
        if isinstance(noted, Entry):
            noted = noted._replace(moment=moment)
        else:
            noted.moment = moment
        append(noted)

    return stamped


def _at(seen: Seen, clock: Clock) -> Seen:
    """``seen``, with its moment taken from ``clock``."""
    return seen._replace(entry=seen.entry._replace(moment=clock.now.timestamp()))


class StampedBuffer(Buffer):
    """A buffer in memory; the views that an app asked about happen at the moments of a clock."""

    def __init__(self, hits: PathHits, sink: MemorySink, clock: Clock) -> None:
        super().__init__(hits.settings, sink, FixedSalts(), hits.guard, hits.items)
        self._clock = clock

    def see(self, seen: Seen) -> None:
        super().see(_at(seen, self._clock))

    def tell(self, told: Told) -> None:
        super().tell(told._replace(entry=told.entry._replace(moment=self._clock.now.timestamp())))


class StampedViewing(Viewing):
    """`track_view` in memory; views are judged at the moments of a clock."""

    def __init__(self, hits: PathHits, buffer: Buffer, court: MemoryCourt, clock: Clock) -> None:
        drop_bots = hits.settings.bots == "drop"
        super().__init__(hits.items, buffer, court, Deadline(PATIENCE), hits.guard, hits.reader, hits.asking, drop_bots)
        self._clock = clock

    def _asked(self, seen: Seen) -> str | None:
        return super()._asked(_at(seen, self._clock))
