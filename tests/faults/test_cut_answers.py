"""Requests and replies that are lost between the processes and their stores change no number."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.faults.scene import Scene, said
from tests.servers.processes import wait_until
from tests.servers.proxy import CUTS, Fault, FaultProxy, is_commit

#: Share of the requests to Redis that a fault meets.
RATE = 0.08
#: Seconds the processes wait for Redis, so that a reply that hangs costs no more.
SHORT_TIMEOUT = 0.3
FAULTS = (*CUTS, Fault.HANG, Fault.HANG_REPLY)


def run_cut(folder: Path, redis_url: str, database_url: str, cuts: int, kills: int, seed: int) -> None:
    """Lose at least that many requests and replies of Redis and kill that many syncers, then compare everything."""
    with FaultProxy.to(redis_url, seed=seed) as proxy:
        cut_url = proxy.url_for(redis_url)
        with Scene(
            folder, redis_url, database_url, process_redis_url=cut_url, redis_timeout=SHORT_TIMEOUT
        ) as scene:  # fmt: skip
            with said("cut to Redis", proxy.counts), said("killed at", scene.died_at):
                proxy.at_random(RATE, FAULTS)
                scene.kill_syncers(kills, random.Random(seed))
                wait_until(lambda: proxy.counts.total() >= cuts, 180.0, f"{cuts} cuts")
                wait_until(lambda: all(proxy.counts[fault] for fault in FAULTS), message="one of each kind")
                wait_until(lambda: any(one["resent"] for one in scene.truths), message="a batch of unknown outcome")
                wait_until(lambda: any(one["failed"] for one in scene.slots), message="a sync that failed")
                proxy.calm()
                scene.wait_for_syncs(3)
            done = scene.finish()
            with said("meanwhile", done):
                assert done["resent"] > 0
                assert done["failed syncs"] > 0


@pytest.mark.slow
def test_requests_and_replies_lost_between_processes_and_redis_change_no_number(
    tmp_path: Path, redis_url: str, database_url: str
) -> None:
    """Slow: some hundred faults meet real processes, each of which costs a time-out or a back-off."""
    run_cut(tmp_path, redis_url, database_url, cuts=100, kills=3, seed=2)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(5))
def test_two_thousand_lost_requests_and_replies_change_no_number(
    tmp_path: Path, redis_url: str, database_url: str, seed: int
) -> None:
    run_cut(tmp_path, redis_url, database_url, cuts=2000, kills=50, seed=seed)


def run_lost_commits(folder: Path, redis_url: str, database_url: str, losses: int, seed: int) -> None:
    """Lose the answers to at least that many COMMITs, and some COMMITs too, then compare everything."""
    with FaultProxy.to(database_url, seed=seed) as proxy:
        with Scene(folder, redis_url, database_url, process_database_url=proxy.url_for(database_url)) as scene:
            with said("cut to SQL", proxy.counts):
                proxy.at_random(0.3, (Fault.LOSE_REPLY, Fault.LOSE_REPLY, Fault.LOSE_REQUEST), is_commit)
                wait_until(lambda: proxy.counts[Fault.LOSE_REPLY] >= losses, 180.0, f"{losses} lost answers")
                wait_until(lambda: proxy.counts[Fault.LOSE_REQUEST], message="a COMMIT that was lost itself")
                there = proxy.counts.total()
                proxy.at_random(0.02)
                wait_until(lambda: proxy.counts.total() >= there + losses // 2, 180.0, "cuts elsewhere")
                proxy.calm()
                scene.wait_for_syncs(3)
            with said("meanwhile", scene.finish()):
                assert proxy.counts[Fault.LOSE_REPLY] >= losses


@pytest.mark.slow
@pytest.mark.parametrize("database", ["postgresql", "mariadb"])
def test_commits_whose_answer_is_lost_count_once(
    tmp_path: Path, redis_url: str, request: pytest.FixtureRequest, database: str
) -> None:
    """Slow: each lost answer costs a new connection and a wait."""
    run_lost_commits(tmp_path, redis_url, request.getfixturevalue(f"{database}_url"), losses=20, seed=3)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("database", ["postgresql", "mariadb"])
def test_five_hundred_commits_whose_answer_is_lost_count_once(
    tmp_path: Path, redis_url: str, request: pytest.FixtureRequest, database: str, seed: int
) -> None:
    run_lost_commits(tmp_path, redis_url, request.getfixturevalue(f"{database}_url"), losses=500, seed=seed)
