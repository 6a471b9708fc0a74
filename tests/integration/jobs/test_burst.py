"""`worker.py --burst`: does what waits, then ends; and takes its settings from the app that PATHHITS_APP names."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import redis
from rq import Queue
from rq.serializers import JSONSerializer

from pathhits import PathHits

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("options", [["--burst"], ["--burst", "--no-clock"]])
def test_a_burst_does_the_job_that_waits_then_ends(options: list[str], redis_url: str, sqlite_url: str) -> None:
    hits = PathHits(redis_url=redis_url, database_url=sqlite_url, request_deadline=30)
    hits.migrate()
    hits.track_hit("/")
    hits.flush()
    with redis.Redis.from_url(redis_url) as connection:
        Queue("pathhits", connection=connection, serializer=JSONSerializer).enqueue("pathhits.tasks.sync")
    env = {"REDIS_URL": redis_url, "DATABASE_URL": sqlite_url, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(ROOT / "worker.py"), *options]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert hits.hit_count("/").stored == 1, done.stderr
    hits.close()


def test_the_worker_takes_its_settings_from_the_app(redis_url: str, sqlite_url: str, tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(
        "from pathhits import PathHits\n"
        f"hits = PathHits(redis_url={redis_url!r}, database_url={sqlite_url!r}, sync_every=7, namespace='shop')\n"
    )
    env = {"PATHHITS_APP": "shop", "PYTHONPATH": str(ROOT)}
    command = [str(Path(sys.executable).parent / "pathhits"), "clock", "--list"]
    done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert "7 s" in done.stdout, done.stderr
    worker = [sys.executable, str(ROOT / "worker.py"), "--burst", "--no-clock"]
    env["PYTHONPATH"] = f"{ROOT}:{tmp_path}"
    done = subprocess.run(worker, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, "REDIS_URL's default was tried: " + done.stderr
