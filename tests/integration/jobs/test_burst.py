"""`worker.py --burst`: does what waits, then ends; and takes its settings from the app that PATHHITS_APP names."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import redis
from rq import Queue
from rq.serializers import JSONSerializer

from pathhits import PathHits
from tests.faults.writer import BROWSER
from tests.servers.processes import Process, wait_until

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
    named = {name: value for name, value in env.items() if name != "PATHHITS_APP"}
    for command, environ in ((worker, env), ([*worker, "--app", "shop"], named)):
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, "REDIS_URL's default was tried: " + done.stderr


@pytest.mark.parametrize("options", [[], ["--no-clock"]])
def test_a_worker_makes_the_listeners_known_before_its_first_job(
    options: list[str], redis_url: str, sqlite_url: str, tmp_path: Path, start_process: Callable[..., Process]
) -> None:
    (tmp_path / "shop.py").write_text(
        "from pathhits import PathHits\n"
        f"urls = dict(redis_url={redis_url!r}, database_url={sqlite_url!r})\n"
        "hits = PathHits(**urls, sync_every=86400, deliver_every=86400)\n"
        "hits.on('product.viewed', name='remember')(print)\n"
    )
    hits = PathHits(redis_url=redis_url, database_url=sqlite_url, request_deadline=30)
    hits.migrate()
    env = {"PATHHITS_APP": "shop", "PYTHONPATH": f"{ROOT}:{tmp_path}"}
    worker = start_process([sys.executable, str(ROOT / "worker.py"), *options], env=env)
    wait_until(hits.deliveries.listeners, message="it was made known")
    assert [one.name for one in hits.deliveries.listeners()] == ["remember"]
    worker.terminate()  # its clock would sync as soon as an event waits
    hits.register_item("product")
    assert hits.track_view("product", 1, ip="203.0.113.9", user_agent=BROWSER)
    hits.flush()
    assert hits.sync().deliveries == 1, "a sync that knows no listener writes its delivery down"
    hits.close()


def test_a_worker_whose_database_is_not_there_yet_starts_all_the_same(
    redis_url: str, sqlite_url: str, tmp_path: Path
) -> None:
    (tmp_path / "shop.py").write_text(
        "from pathhits import PathHits\n"
        f"hits = PathHits(redis_url={redis_url!r}, database_url={sqlite_url!r})\n"
        "hits.on('product.viewed', name='remember')(print)\n"
    )
    env = {"PATHHITS_APP": "shop", "PYTHONPATH": f"{ROOT}:{tmp_path}"}
    worker = [sys.executable, str(ROOT / "worker.py"), "--burst", "--no-clock"]
    done = subprocess.run(worker, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "not everything was prepared" in done.stderr
    assert "pathhits db upgrade" in done.stderr
    assert "Traceback" not in done.stderr
