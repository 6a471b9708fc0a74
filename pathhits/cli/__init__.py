"""The command line: one click group, run as ``pathhits``, ``flask pathhits`` or ``manage.py pathhits``.

Exit codes: 0 done, 1 done with errors or a store is away, 2 misuse or an impossible setting.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence

import click

from pathhits import __version__
from pathhits.app import PathHits
from pathhits.cli import (
    clicks,
    counts,
    dashboard,
    db,
    explain,
    keys,
    listeners,
    notify,
    popularity,
    processes,
    recommendations,
    schedule,
    searches,
    snapshot,
    transfer,
    upkeep,
)
from pathhits.cli.options import Moment
from pathhits.logs import log_to_stderr

__all__ = ["Moment", "group", "main"]


#: For each command, as click keeps what it asked the first caller's group: a host's may know no ``-h``.
HELP = {"help_option_names": ["-h", "--help"]}


@click.group(context_settings=HELP)
@click.version_option(__version__, prog_name="pathhits")
@click.option("-v", "--verbose", is_flag=True, help="Say in the log what is being done.")
def group(verbose: bool) -> None:
    """Who looks at what on your site, counted in your own database.

    REDIS_URL and DATABASE_URL say where the counts are; PATHHITS_APP names your app's PathHits object, if you have one.
    """
    if verbose:
        log_to_stderr()
    else:
        # What goes wrong is said once, as the command's own line.
        logging.getLogger("pathhits").addHandler(logging.NullHandler())


#: Every command there is.
COMMANDS = (
    db.db,
    counts.sync_command,
    counts.stats_command,
    counts.top_command,
    counts.item_command,
    searches.searches_command,
    recommendations.also_viewed_command,
    recommendations.recommend_command,
    clicks.clicks_command,
    upkeep.doctor_command,
    upkeep.verify_command,
    explain.explain_command,
    upkeep.items_command,
    upkeep.recount_command,
    upkeep.months_command,
    upkeep.prune_command,
    upkeep.forget_command,
    listeners.listeners_command,
    listeners.dead,
    notify.notify_command,
    keys.key,
    transfer.export_command,
    transfer.import_command,
    popularity.popularity_command,
    schedule.schedule_command,
    snapshot.snapshot_command,
    dashboard.dashboard_command,
    processes.worker_command,
    processes.clock_command,
)
for command in COMMANDS:
    group.add_command(command)
    for one in (command, *(command.commands.values() if isinstance(command, click.Group) else ())):
        one.context_settings |= HELP


def main(arguments: Sequence[str] | None = None, hits: PathHits | None = None, prog_name: str = "pathhits") -> None:
    """Run the command line with ``arguments`` (by default the process's) and end the process.

    ``hits`` is the object to ask; None takes the one of PATHHITS_APP, else one made from the environment.
    """
    if os.getcwd() not in sys.path:
        # Where gunicorn, flask and uvicorn look for an app, its PATHHITS_APP is found by a console script too.
        sys.path.insert(0, os.getcwd())
    group.main(args=arguments, obj=hits, prog_name=prog_name)
