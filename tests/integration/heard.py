"""A deliver job with two listeners that write down what they hear: ``python -m tests.integration.heard``."""

from __future__ import annotations

import os
import time
from functools import partial

from pathhits import Event, PathHits
from pathhits.jobs import deliver

#: Milliseconds of a lease, so that what a killed job had is soon another's.
LEASE = 500


def hear(name: str, file: int, event: Event) -> None:
    """One line, written in one piece, that a killed process leaves behind."""
    os.write(file, f"{name} {event.id}\n".encode())
    time.sleep(0.001)


def main() -> None:
    """Call what is due, once."""
    deliver.LEASE = LEASE
    file = os.open(os.environ["HEARD"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    hits = PathHits()
    hits.on("*.viewed", name="one")(partial(hear, "one", file))
    hits.on("product.*", name="two")(partial(hear, "two", file))
    hits.deliver()


if __name__ == "__main__":
    main()
