"""Ends the demo's processes when the launcher was killed and could not; run as a script, so that it starts at once.

Reads lines from its standard input: "+12" for a process group that began, "-12" for one that ended, "done" when the
launcher has cleaned up by itself. The end of that input without "done" is the end of the launcher. The first group is
what the others write to: it goes last.
"""

from __future__ import annotations

import os
import signal
import sys
import time

PATIENCE_S = 8.0


def main() -> None:
    """Wait for the end of the launcher, then end what it left."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: list[int] = []
    for line in sys.stdin:
        if line.strip() == "done":
            return
        group = int(line[1:])
        if line.startswith("+"):
            groups.append(group)
        else:
            groups.remove(group)
    end(groups[1:])
    end(groups[:1])


def end(groups: list[int]) -> None:
    """SIGTERM to each group, SIGKILL to those that are still there after a while."""
    deadline = time.monotonic() + PATIENCE_S
    left = [group for group in groups if send(group, signal.SIGTERM)]
    while left and time.monotonic() < deadline:
        time.sleep(0.1)
        left = [group for group in left if send(group, 0)]
    for group in left:
        send(group, signal.SIGKILL)


def send(group: int, number: int) -> bool:
    """Signal a process group (0 only asks); returns whether it is there."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


if __name__ == "__main__":
    main()
