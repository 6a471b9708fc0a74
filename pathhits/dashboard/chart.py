"""A chart as SVG, made on the server: what is shown without script, and before it. Sizes are in percent, so it is as
wide as its box; the page's script puts one with a cursor in its place, at the same height."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from pathhits.core.periods import By
from pathhits.dashboard.shown import NONE, duration, exact, percent, short

#: Units of the drawing; it is stretched to its box.
WIDTH = 1_000.0
HEIGHT = 100.0
#: Grid lines above the ground, at most, and labels below it.
LINES = 4
LABELS = 7
#: Steps (s) of an axis of durations.
SECONDS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400, 36_000, 86_400)

Unit = Literal["count", "share", "seconds"]
Value = float | None
_FORMATS: dict[Unit, Callable[[float], str]] = {"count": exact, "share": percent, "seconds": duration}
#: How they are written beside the axis, where there is little room.
_MARKS = _FORMATS | {"count": lambda number: short(number).replace(".0", "")}


@dataclass(frozen=True, slots=True)
class Mark:
    """A grid line or a label: where it is, in percent, and what it says."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Chart:
    """Paths of one drawing of `WIDTH` by `HEIGHT`; dots and marks in percent from the left and from the top.

    ``top`` is the value at its upper end.
    """

    line: str
    area: str
    running: str
    before: str
    dots: tuple[tuple[float, float], ...]
    rows: tuple[Mark, ...]
    columns: tuple[Mark, ...]
    top: float


def draw(
    starts: Sequence[datetime], values: Sequence[Value], before: Sequence[Value], by: By, unit: Unit, *, running: bool
) -> Chart:
    """The chart of ``values``, None where there is nothing; ``running``: the last is not over, and is dashed.

    There may be fewer values than ``starts``: the others have not begun.
    """
    largest = max((one for one in (*values, *before) if one is not None), default=0)
    top, step = scale(largest, unit)
    lines = _lines(values, top, len(starts))
    dashed = ""
    if running and lines and len(lines[-1]) > 1 and values[-1] is not None:
        *rest, last = lines
        dashed, lines = _path(last[-2:]), [*rest, last[:-1]]
    name = _MARKS[unit]
    return Chart(
        line="".join(_path(line) for line in lines if len(line) > 1),
        area="".join(_area(line) for line in lines if len(line) > 1),
        running=dashed,
        before="".join(_path(line) for line in _lines(before, top, len(starts)) if len(line) > 1),
        dots=tuple((x / WIDTH * 100, y) for line in lines if len(line) == 1 and not dashed for x, y in line),
        rows=tuple(Mark(100 - 100 * n * step / top, name(n * step)) for n in range(round(top / step) + 1)),
        columns=_columns(starts, by),
        top=top,
    )


def scale(largest: float, unit: Unit = "count") -> tuple[float, float]:
    """The top of an axis that holds the largest value, and the step of its grid, in round numbers."""
    if unit == "share":
        return 1.0, 0.25
    least = max(largest, 1) / LINES
    if unit == "seconds":
        step = next((one for one in SECONDS if one >= least), SECONDS[-1] * math.ceil(least / SECONDS[-1]))
    else:
        power = 10 ** math.floor(math.log10(max(least, 1)))
        step = next(power * n for n in (1, 2, 5, 10) if power * n >= least)
    return step * math.ceil(max(largest, 1) / step), step


def formatted(unit: Unit) -> Callable[[Value], str]:
    """How a value of that unit is written; None is a dash."""
    return lambda value: NONE if value is None else _FORMATS[unit](value)


def sparkline(values: Sequence[int], top: int, places: int) -> str:
    """The path of a small line of ``places`` steps, on the scale that its neighbours have."""
    return "".join(_path(line) for line in _lines(values, max(top, 1), places) if len(line) > 1)


def _lines(values: Sequence[Value], top: float, places: int) -> list[list[tuple[float, float]]]:
    """The points, each run of values without a gap a line of its own."""
    across = WIDTH / (places - 1) if places > 1 else 0.0
    lines: list[list[tuple[float, float]]] = [[]]
    for index, value in enumerate(values[:places]):
        if value is None:
            lines.append([])
        else:
            lines[-1].append((index * across, HEIGHT - HEIGHT * min(max(value, 0), top) / top))
    return [line for line in lines if line]


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.2f}" for x, y in points)


def _area(points: Sequence[tuple[float, float]]) -> str:
    return f"{_path(points)}L{points[-1][0]:.1f} {HEIGHT:.0f}L{points[0][0]:.1f} {HEIGHT:.0f}Z"


def _columns(starts: Sequence[datetime], by: By) -> tuple[Mark, ...]:
    count = len(starts)
    every = max(1, math.ceil(count / LABELS))
    across = 100 / (count - 1) if count > 1 else 0.0
    return tuple(Mark(index * across, short_name(starts[index], by)) for index in range(0, count, every))


def short_name(start: datetime, by: By) -> str:
    """What stands below the axis."""
    if by == "hour":
        return f"{start:%-d %b}" if start.hour == 0 else f"{start:%H:%M}"
    return f"{start:%b %Y}" if by == "month" else f"{start:%-d %b}"


def step_name(start: datetime, by: By) -> str:
    """A step by its full name, in the reader's zone, as tooltip and table have it."""
    if by == "hour":
        end = (start.astimezone(UTC) + timedelta(hours=1)).astimezone(start.tzinfo)
        return f"{start:%a %-d %b %Y, %H:%M}–{end:%H:%M}"
    if by == "month":
        return f"{start:%B %Y}"
    return f"{'Week of ' if by == 'week' else ''}{start:%a %-d %b %Y}"
