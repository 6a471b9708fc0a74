"""`python -m demo_app` starts the whole demo; with `release` it only migrates the tables and fills the catalogue."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from pathhits.errors import PathHitsError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit status: 0 done, 1 failed, 2 misuse."""
    parser = argparse.ArgumentParser(prog="python -m demo_app", description=__doc__)
    parser.add_argument("command", nargs="?", choices=("start", "release"), default="start", help="default: start")
    command = parser.parse_args(arguments).command
    try:
        return _release() if command == "release" else _start()
    except PathHitsError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1


def _start() -> int:
    from demo_app.launch import launch

    return launch()


def _release() -> int:
    from demo_app import create_app
    from demo_app.release import release

    added = release(create_app())
    print(f"the tables are up to date; {added} products were added to the catalogue")
    return 0


if __name__ == "__main__":
    sys.exit(main())
