"""Recommendations that were shown and clicked, by the reason that the app gave."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

#: Characters kept of a reason: with its type it is a part of a counter's name.
REASON_LENGTH = 31
#: Distinct reasons that a process counts a UTC day.
MAX_REASONS = 100
#: Places in a list beyond this one are none.
LAST_POSITION = 10_000
#: What counts that gave no reason.
NO_REASON = "(none)"
#: How the names of events end that are such clicks.
CLICKED_VERB = ".recommendation_clicked"


@dataclass(frozen=True, slots=True)
class ClickRate:
    """Recommendations of one type for one reason: how many were shown and clicked; ``rate`` is None where none was.

    What was clicked may have been shown before the period, so that a rate may be above 1.
    """

    item_type: str
    reason: str
    shown: int
    clicks: int

    @property
    def rate(self) -> float | None:
        """Clicks for each one shown."""
        return self.clicks / self.shown if self.shown else None

    def as_dict(self) -> dict[str, Any]:
        """All of it as plain values, for JSON."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        return fields | {"rate": self.rate}


def reason_of(reason: object) -> str:
    """What a reason counts under: on one line, at most `REASON_LENGTH` characters; `NO_REASON` for nothing."""
    text = "" if reason is None else str(reason)[:1_000].encode("utf-8", "replace").decode()
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:REASON_LENGTH].rstrip() or NO_REASON


def click_properties(given: Mapping[str, Any]) -> dict[str, Any]:
    """The properties of a click as they are logged: a reason that counts, and a position that is one, else none.

    Both often come with the click itself, so that a visitor may have written them: nothing raises.
    """
    said = {name: value for name, value in given.items() if name not in ("reason", "position")}
    if given.get("reason") is not None:
        said["reason"] = reason_of(given["reason"])
    position = _position(given.get("position"))
    return said if position is None else said | {"position": position}


def clicked_counter(item_type: str, properties: object) -> str:
    """The name of the counter of the site that a click with these logged properties adds to."""
    reason = properties.get("reason") if isinstance(properties, dict) else None
    return f"clicked:{item_type}:{reason_of(reason)}"


def click_rates(sums: Mapping[str, int]) -> list[ClickRate]:
    """The rates that counters of the site make, those with the most clicks first, then those shown most."""
    found: dict[tuple[str, str], dict[str, int]] = {}
    for counter, n in sums.items():
        what, item_type, reason = counter.split(":", 2)
        found.setdefault((item_type, reason), {})[what] = n
    rates = [ClickRate(*which, n.get("shown", 0), n.get("clicked", 0)) for which, n in found.items()]
    return sorted(rates, key=lambda one: (-one.clicks, -one.shown, one.item_type, one.reason))


def _position(given: object) -> int | None:
    try:
        position = int(str(given)) if given is not None else -1
    except ValueError:
        return None
    return position if 0 <= position <= LAST_POSITION else None
