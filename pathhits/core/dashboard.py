"""What a dashboard shows, computed beforehand: the parts of a snapshot, and how old it is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

#: Days, back from the moment of a snapshot in whole UTC hours, that its lists and sums are of.
DAYS = 7
#: UTC days of its daily trend, today among them.
TREND_DAYS = 30
#: Lines of each of its lists.
LINES = 10
#: Types of items it has lists of, those with the most views.
TYPES = 20
#: Periods of the job after which a snapshot is so old that asking anew is better.
STALE_PERIODS = 4

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A computed dashboard: its ``parts`` as plain values, the ``moment`` (aware) it is as of, and the seconds it took.

    ``source`` is where it was found: ``redis``, ``sql``, or ``live`` when it was computed for this very call.
    """

    moment: datetime
    seconds: float
    parts: Mapping[str, Any]
    source: Literal["redis", "sql", "live"]

    def age(self, now: datetime | None = None) -> float:
        """Seconds since its moment; never below 0."""
        return max(0.0, ((now or datetime.now(UTC)) - self.moment).total_seconds())

    def as_dict(self) -> dict[str, Any]:
        """All of it as plain values, for JSON."""
        return {
            "moment": self.moment.isoformat(timespec="milliseconds"),
            "age": round(self.age(), 3),
            "source": self.source,
            "seconds": self.seconds,
            **self.parts,
        }

    def text(self) -> str:
        """The snapshot as it is stored; `parse` reads it."""
        stored = {"at": to_ms(self.moment), "seconds": self.seconds, "parts": self.parts}
        return json.dumps(stored, separators=(",", ":"), allow_nan=False)

    @classmethod
    def parse(cls, text: str | bytes, source: Literal["redis", "sql"]) -> Snapshot:
        """The snapshot that `text` wrote; ValueError for anything else."""
        found = json.loads(text)
        try:
            parts, moment = dict(found["parts"]), _EPOCH + timedelta(milliseconds=found["at"])
            return cls(moment, float(found["seconds"]), parts, source)
        except (KeyError, TypeError, OverflowError) as error:
            raise ValueError(f"no snapshot: {error!r}") from error


def to_ms(moment: datetime) -> int:
    """Milliseconds since 1970 of an aware moment."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)
