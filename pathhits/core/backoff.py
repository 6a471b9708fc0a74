"""How long to wait before the next try: longer each time, and not at the same moment as everybody else."""

from __future__ import annotations

import random

#: Waits (s) before the three further attempts of a job that failed; after the last it stands in RQ's failed registry.
RETRY_WAITS = (10, 30, 60)


def back_off(failures: int, first: float, longest: float) -> float:
    """Seconds to wait after so many failures in a row: doubling from twice ``first`` up to ``longest``, with jitter."""
    return min(first * 2.0 ** min(failures, 16), longest) * random.uniform(0.5, 1.0)  # jitter, not a secret
