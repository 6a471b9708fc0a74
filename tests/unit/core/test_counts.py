"""A count is a number that keeps its parts, also when it is copied or kept elsewhere."""

from __future__ import annotations

import copy
import pickle  # noqa: TID251  # what an app's cache does to it

from pathhits.core.counts import Count


def test_a_copy_has_the_same_parts() -> None:
    count = Count(40, 2, partial=True)
    for other in (copy.copy(count), copy.deepcopy(count), pickle.loads(pickle.dumps(count))):  # noqa: S301  # our own
        assert (other, other.stored, other.pending, other.partial) == (42, 40, 2, True)
