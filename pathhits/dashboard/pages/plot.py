"""The chart of a page: its drawing, the rows of its table, and what the page's script needs to draw it anew."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pathhits.core.periods import By, bucket_starts
from pathhits.dashboard.chart import Chart, Unit, Value, draw, formatted, short_name, step_name
from pathhits.dashboard.queries import Query

Points = Sequence[tuple[datetime, Value]]


@dataclass(frozen=True, slots=True)
class Row:
    """One step in words."""

    name: str
    value: str
    before: str
    running: bool


@dataclass(frozen=True, slots=True)
class Plot:
    """All of one chart."""

    name: str
    by: By
    now_name: str
    before_name: str
    chart: Chart
    rows: tuple[Row, ...]
    data: str


def make_plot(
    name: str, query: Query, unit: Unit, points: Points, before: Points | None, names: tuple[str, str] = ("", "")
) -> Plot:
    """The plot of the steps that have begun; the axis is as long as the period.

    ``before`` are the steps of the period before, None where they are not compared; ``names`` are those of both
    periods.
    """
    starts = bucket_starts(*query.period, query.by, query.tz)
    running = query.is_running and bool(points)
    values = [value for _, value in points]
    was = [value for _, value in before or ()][: len(starts)]
    chart = draw(starts, values, was, query.by, unit, running=running)
    return Plot(
        name,
        query.by,
        names[0],
        names[1] if before is not None else "",
        chart,
        _rows(points, was, query.by, unit, running),
        _data(starts, values, before, query.by, unit, running, chart),
    )


def _rows(points: Points, was: Sequence[Value], by: By, unit: Unit, running: bool) -> tuple[Row, ...]:
    show = formatted(unit)
    last = len(points) - 1
    return tuple(
        Row(
            step_name(start, by),
            show(value),
            show(was[place]) if place < len(was) else "",
            running and place == last,
        )
        for place, (start, value) in enumerate(points)
    )


def _data(
    starts: Sequence[datetime],
    values: Sequence[Value],
    before: Points | None,
    by: By,
    unit: Unit,
    running: bool,
    chart: Chart,
) -> str:
    """For the script: an index a step, as steps of a clock change are no even distance, and the names of each."""
    data: dict[str, Any] = {
        "unit": unit,
        "running": running,
        "top": chart.top,
        "rows": [(mark.at, mark.text) for mark in chart.rows],
        "names": [step_name(start, by) for start in starts],
        "labels": [short_name(start, by) for start in starts],
        "values": _filled(values, len(starts)),
    }
    if before is not None:
        shown = list(before)[: len(starts)]
        data["before"] = _filled([value for _, value in shown], len(starts))
        data["beforeNames"] = [step_name(start, by) for start, _ in shown]
    return json.dumps(data, separators=(",", ":"))


def _filled(values: Sequence[Value], length: int) -> list[Value]:
    return [*values, *[None] * (length - len(values))][:length]
