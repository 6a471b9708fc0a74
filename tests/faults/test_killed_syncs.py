"""Syncs that are killed at any step lose nothing and double nothing, while writers write and a reader looks on."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.scene import Scene, check_events, observer, said
from tests.faults.syncer import POINTS
from tests.servers.processes import Process

KILLS = 20


def run_killed(folder: Path, redis_url: str, database_url: str, kills: int, seed: int) -> None:
    """Kill that many syncers among three while two writers write, then compare everything."""
    with Scene(folder, redis_url, database_url) as scene:
        with said("killed at", scene.died_at):
            scene.kill_syncers(kills, random.Random(seed))
        with said("meanwhile", scene.finish()):
            assert scene.died_at.total() >= kills
            at_work = scene.died_at.total() - scene.died_at["between"]
            assert at_work >= kills // 2, f"the kills hit no work: {dict(scene.died_at)}"


@pytest.mark.slow
def test_twenty_killed_syncs_of_three_at_once_lose_and_double_nothing(
    tmp_path: Path, redis_url: str, database_url: str
) -> None:
    """Slow: twenty processes are killed one after the other, at moments left to chance."""
    run_killed(tmp_path, redis_url, database_url, KILLS, seed=1)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(5))
def test_two_hundred_killed_syncs_lose_and_double_nothing(
    tmp_path: Path, redis_url: str, database_url: str, seed: int
) -> None:
    run_killed(tmp_path, redis_url, database_url, 200, seed)


def test_a_sync_may_die_before_and_after_every_step(
    redis_url: str, database_url: str, start_process: Callable[..., Process]
) -> None:
    hits = observer(redis_url, database_url)
    hits.migrate()
    environment = {"REDIS_URL": redis_url, "DATABASE_URL": database_url}
    process = start_process([sys.executable, "-m", "tests.faults.syncer", "points"], env=environment)
    assert process.wait(120) == 0, process.output()
    died = [line.removeprefix("died ") for line in process.output().splitlines() if line.startswith("died ")]
    print(f"\ndied: {', '.join(died)}")
    hits.sync(force=True)
    assert died == list(POINTS), process.output()
    assert {label: count.stored for label, count in hits.hit_counts(POINTS).items()} == dict.fromkeys(POINTS, 3)
    check_events(hits, {f"point:{point}": 3 for point in POINTS})
    assert hits.verify().ok
    assert hits.pending.live() == []
    hits.close()
