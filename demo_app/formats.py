"""How numbers, prices and counts are written on the pages."""

from __future__ import annotations

from flask import Flask

COMPACT_FROM = 10_000


def price(cents: int) -> str:
    """Euro cents as "€1,240.00"."""
    return f"€{cents // 100:,}.{cents % 100:02d}"


def exact(number: int) -> str:
    """A number with its thousands set apart: "27,431"."""
    return f"{number:,}"


def compact(number: int) -> str:
    """A number short enough for a card: "1,284", "27.4k", "3.1M"; rounded down: never more than there is."""
    if number < COMPACT_FROM:
        return exact(number)
    if number < 1_000_000:
        return f"{number // 100 / 10:g}k"
    return f"{number // 100_000 / 10:,g}M"


def duration(seconds: float | None) -> str:
    """ "9s", "2m 41s", a dash for none."""
    if seconds is None:
        return "–"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m {rest}s" if minutes else f"{rest}s"


def period(seconds: float) -> str:
    """How often: "hour", "minute", "2m 30s"."""
    return {3600: "hour", 60: "minute"}.get(round(seconds)) or duration(seconds)


def times(number: int) -> str:
    """ "1 time", "1,284 times"."""
    return f"{compact(number)} {'time' if number == 1 else 'times'}"


def register(app: Flask) -> None:
    """Make the formats known to the templates."""
    for filter_ in (price, exact, compact, duration, period, times):
        app.add_template_filter(filter_)
