"""How numbers, durations, moments and labels look on a page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

NONE = "–"
#: Characters of a label that are shown before it is cut in the middle.
LABEL_LENGTH = 48


def exact(number: float) -> str:
    """``27431`` as ``27,431``."""
    return f"{number:,.0f}"


def short(number: float) -> str:
    """``1284`` as ``1,284``, ``27431`` as ``27.4k``: three figures from ten thousand on."""
    sign, size = ("-" if number < 0 else ""), abs(number)
    if size < 10_000:
        return f"{number:,.0f}"
    for unit, name in ((1e3, "k"), (1e6, "M"), (1e9, "G"), (1e12, "T")):
        scaled = size / unit
        text = f"{scaled:.1f}" if scaled < 99.95 else f"{scaled:.0f}"
        if float(text) < 1000:
            return f"{sign}{text}{name}"
    return f"{number:.3g}"


def duration(seconds: float | None) -> str:
    """``161`` as ``2m 41s``."""
    if seconds is None:
        return NONE
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02d}s"
    return f"{whole // 3600:,}h {whole % 3600 // 60:02d}m"


def every(seconds: float) -> str:
    """A round period: ``1800`` as ``30m``, ``86400`` as ``24h``."""
    return duration(seconds).removesuffix(" 00s").removesuffix(" 00m")


def took(seconds: float | None) -> str:
    """How long something took: ``0.041`` as ``41 ms``, ``3.77`` as ``3.8 s``."""
    if seconds is None:
        return NONE
    if seconds >= 60:
        return duration(seconds)
    return f"{seconds:.1f} s" if seconds >= 0.9995 else "under 1 ms" if seconds < 0.0005 else f"{seconds * 1000:.0f} ms"


def percent(share: float | None) -> str:
    """``0.431`` as ``43%``."""
    return NONE if share is None else f"{share * 100:.0f}%"


def cut(label: str, length: int = LABEL_LENGTH) -> str:
    """A long label with its middle left out: both ends tell more than one."""
    if len(label) <= length:
        return label
    kept = length - 1
    return f"{label[: kept - kept // 2]}…{label[-(kept // 2) :]}"


def clip(text: str, length: int = 500) -> str:
    """As much of a text as a tooltip shows."""
    return text if len(text) <= length else text[: length - 1] + "…"


def moment(when: datetime | None) -> str:
    """A moment to the minute, in its own zone."""
    return NONE if when is None else when.strftime("%-d %b %Y, %H:%M")


def day_clock(when: datetime | None, now: datetime) -> str:
    """The time of day, with the day where that is not today."""
    if when is None:
        return NONE
    return f"{when:%H:%M:%S}" if when.date() == now.date() else f"{when:%-d %b, %H:%M:%S}"


def share(part: float) -> str:
    """A part of a whole; what is there is never 0%."""
    return "under 1%" if 0 < part < 0.005 else percent(part)


def last_line(text: str) -> str:
    """The last line of a traceback, which says what went wrong."""
    lines = text.strip().splitlines()
    return clip(lines[-1], 300) if lines else ""


@dataclass(frozen=True, slots=True)
class Change:
    """How a figure differs from the one of the period before: the arrow's name, and words."""

    arrow: str
    words: str


def change(share: float | None, before: float | None) -> Change:
    """A change in words and a direction, never by colour alone: ``0.12`` is 12 % more than ``before``."""
    if share is None:
        return Change("", "none before" if before == 0 else "nothing to compare")
    if share == 0:
        return Change("same", "the same")
    size = (
        f"{1 + share:,.0f} times" if share >= 9 else f"{abs(share) * 100:.0f}%" if abs(share) >= 0.005 else "under 1%"
    )
    if share >= 9:
        return Change("up", size)
    return Change("up", f"{size} more") if share > 0 else Change("down", f"{size} less")


def ago(seconds: float) -> str:
    """How long ago that was, to one unit."""
    for size, name in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= size:
            whole = int(seconds // size)
            return f"{whole:,} {name}{'' if whole == 1 else 's'} ago"
    return "just now" if seconds < 5 else f"{int(seconds)} seconds ago"


FILTERS = {
    "exact": exact,
    "short": short,
    "duration": duration,
    "every": every,
    "took": took,
    "percent": percent,
    "cut": cut,
    "clip": clip,
    "moment": moment,
    "day_clock": day_clock,
    "share": share,
    "last_line": last_line,
}
