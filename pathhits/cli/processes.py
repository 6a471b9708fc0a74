"""``pathhits worker`` and ``pathhits clock``: the processes beside the web."""

from __future__ import annotations

import click

from pathhits.app import PathHits
from pathhits.cli.options import with_hits
from pathhits.cli.output import print_table
from pathhits.logs import log_to_stderr


@click.command("worker")
@click.option("--burst", is_flag=True, help="End when the queue is empty.")
@click.option("--with-clock", is_flag=True, help="Run the clock beside the worker, for a single machine.")
@with_hits
def worker_command(hits: PathHits, burst: bool, with_clock: bool) -> int:
    """Perform the jobs: an RQ worker that runs pathhits' own tasks and nothing else."""
    from pathhits.jobs.worker import run_both, run_worker
    from pathhits.tasks import ALLOWED

    log_to_stderr()
    run = run_both if with_clock else run_worker
    return run(hits.settings, ALLOWED, burst=burst, prepare=hits.prepare_worker)


@click.command("clock")
@click.option("--list", "show_list", is_flag=True, help="Print the schedule and end.")
@with_hits
def clock_command(hits: PathHits, show_list: bool) -> int | None:
    """Ask for the jobs when they are due."""
    from pathhits.jobs.schedule import SCHEDULE
    from pathhits.jobs.worker import run_clock

    if show_list:
        rows = [(job.id, f"{job.period(hits.settings):g} s", job.description) for job in SCHEDULE]
        print_table("Schedule", [("job", "left"), ("every", "right"), ("", "left")], rows, "")
        return None
    log_to_stderr()
    return run_clock(hits.settings)
