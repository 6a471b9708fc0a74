"""``python worker.py``: the worker with the clock beside it, or one of the two (``--no-clock``, ``--clock-only``)."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from pathhits.app import PathHits, load
from pathhits.errors import PathHitsError, SettingsError
from pathhits.jobs.worker import run_both, run_clock, run_worker
from pathhits.logs import log_to_stderr


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until SIGTERM or SIGINT; returns the exit code: 0 done, 1 done with errors, 2 misuse."""
    options = parser().parse_args(arguments)
    log_to_stderr()
    if options.app:
        os.environ["PATHHITS_APP"] = options.app  # jobs look there too
    try:
        return _run(options, load())
    except PathHitsError as error:
        sys.stderr.write(f"worker.py: {error}\n")
        return 2 if isinstance(error, SettingsError) else 1


def _run(options: argparse.Namespace, hits: PathHits) -> int:
    if options.clock_only:
        return run_clock(hits.settings)
    from pathhits.tasks import ALLOWED  # brings SQLAlchemy along, which the clock does without

    run = run_worker if options.no_clock else run_both
    return run(hits.settings, ALLOWED, burst=options.burst, prepare=hits.prepare_worker)


def parser() -> argparse.ArgumentParser:
    """The options of ``worker.py``; argparse ends a misuse with exit code 2."""
    found = argparse.ArgumentParser(prog="worker.py", description="Performs the jobs of pathhits.")
    which = found.add_mutually_exclusive_group()
    which.add_argument("--no-clock", action="store_true", help="only the worker; the clock runs elsewhere")
    which.add_argument("--clock-only", action="store_true", help="only the clock; run one, or more as spares")
    found.add_argument("--app", metavar="MODULE:NAME", help="your app's PathHits, before PATHHITS_APP")
    found.add_argument("--burst", action="store_true", help="end when the queue is empty")
    return found


if __name__ == "__main__":
    sys.exit(main())
