"""``python -m pathhits``: the command line."""

from __future__ import annotations

from pathhits.cli import main

if __name__ == "__main__":
    main(prog_name="python -m pathhits")
