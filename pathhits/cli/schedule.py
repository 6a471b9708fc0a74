"""``pathhits schedule``: every job with its period, its last run and its next one."""

from __future__ import annotations

from datetime import datetime

import click

from pathhits.app import PathHits
from pathhits.cli.options import json_option, with_hits
from pathhits.cli.output import print_json, print_table, told
from pathhits.jobs.runs import JobState

_UNITS = ((86_400, "day", "days"), (3_600, "h", "h"), (60, "min", "min"))


@click.command("schedule")
@json_option
@with_hits
def schedule_command(hits: PathHits, as_json: bool) -> None:
    """Print every job: how often it runs, when it last did and how long that took, when it will, its last error."""
    states = hits.schedule()
    if as_json:
        print_json([state.as_dict() for state in states])
        return
    headings = [("job", "left"), ("every", "right"), ("last run (UTC)", "left"), ("took", "right")]
    more = [("next run (UTC)", "left"), ("state", "left"), ("last error", "left")]
    print_table("Schedule", [*headings, *more], [_row(state) for state in states], "There are no jobs.")


def _row(state: JobState) -> tuple[object, ...]:
    took = "-" if state.seconds is None else f"{state.seconds:.2f} s"
    moments = (told(state.last_run), took, told(state.next_run))
    return (state.job, every(state.every), *moments, _how(state), _error(state.error, state.failed_at))


def _how(state: JobState) -> str:
    failed = f"failed {state.failures:,}x in a row" if state.failures else ""
    if state.state == "idle":
        return failed or ("ok" if state.last_run else "not run yet")
    return ", ".join(filter(None, [state.state, failed]))


def _error(error: str, at: datetime | None) -> str:
    return f"{told(at)}: {error}" if error else "-"


def every(seconds: float) -> str:
    """A period in the largest unit that has it whole."""
    for size, one, more in _UNITS:
        if seconds % size == 0:
            count = int(seconds // size)
            return f"{count} {one if count == 1 else more}"
    return f"{seconds:g} s"
