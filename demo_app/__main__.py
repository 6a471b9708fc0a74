"""`python -m demo_app` starts the whole demo; with another command it does that: see `python -m demo_app --help`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from pathhits.errors import PathHitsError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit status: 0 done, 1 failed, 2 misuse."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except PathHitsError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    from demo_app import history, traffic

    parser = argparse.ArgumentParser(prog="python -m demo_app", description="The demo shop of pathhits.")
    parser.set_defaults(run=_start)
    commands = parser.add_subparsers(metavar="COMMAND")
    start = commands.add_parser("start", help="run the shop with its Redis, worker and clock (this is the default)")
    start.set_defaults(run=_start)
    release = commands.add_parser("release", help="migrate the tables, fill the catalogue, make the users")
    release.set_defaults(run=_release)
    passwords = commands.add_parser("passwords", help="give every user of the shop a new password, and print them")
    passwords.set_defaults(run=_passwords)
    visitors = commands.add_parser("traffic", help="send visitors to the demo that runs")
    visitors.set_defaults(run=traffic.run)
    traffic.add_arguments(visitors)
    past = commands.add_parser("history", help="make up a past, up to yesterday")
    past.set_defaults(run=history.run)
    history.add_arguments(past)
    return parser


def _start(_options: argparse.Namespace) -> int:
    from demo_app.launch import launch

    return launch()


def _release(_options: argparse.Namespace) -> int:
    from demo_app import create_app
    from demo_app.release import release

    released = release(create_app())
    print(f"the tables are up to date; {released.products} products were added to the catalogue")
    _tell(released.passwords)
    return 0


def _passwords(_options: argparse.Namespace) -> int:
    from demo_app import create_app, running
    from demo_app.accounts import new_passwords

    running.take_over()
    with create_app().app_context():
        _tell(new_passwords())
    return 0


def _tell(passwords: dict[str, str]) -> None:
    """Print passwords, this once; or leave them to `make demo`, which names a file and prints them last."""
    lines = "".join(f"{name:<8}{password}\n" for name, password in passwords.items())
    if lines and (path := os.environ.get("DEMO_PASSWORDS_TO")):
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(lines)
    elif lines:
        print(f"sign in as (this is shown once):\n{lines}", end="")


if __name__ == "__main__":
    sys.exit(main())
