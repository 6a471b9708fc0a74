"""``manage.py pathhits ...``: the command line, with the settings of the project."""

from __future__ import annotations

import os
from argparse import REMAINDER
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from pathhits.integrations.django.configured import hits

#: Where the jobs of a worker started from here find the project's settings.
APP = "pathhits.integrations.django:hits"


class Command(BaseCommand):
    """Hands its arguments on; ``manage.py pathhits --help`` lists the commands."""

    help = "Counts of pages: sync, stats, top, doctor, worker, clock ..."
    requires_system_checks = []  # noqa: RUF012  # as Django declares it

    def run_from_argv(self, argv: list[str]) -> None:
        """Run ``argv[2:]``, but for the options that Django has acted on already, and end the process."""
        parser = CommandParser(add_help=False, allow_abbrev=False)
        for option in ("--settings", "--pythonpath"):
            parser.add_argument(option)
        _, arguments = parser.parse_known_args(argv[2:])
        self._run(arguments, prog_name=f"{os.path.basename(argv[0])} {argv[1]}")

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("arguments", nargs=REMAINDER)

    def handle(self, *args: Any, **options: Any) -> None:
        """For ``call_command("pathhits", "sync")``; raises SystemExit with the exit code."""
        self._run(options["arguments"], prog_name="pathhits")

    def _run(self, arguments: Sequence[str], prog_name: str) -> None:
        os.environ.setdefault("PATHHITS_APP", APP)
        # The command line is a layer above: it is found by name.
        import_module("pathhits.cli").main(list(arguments), hits, prog_name)
