"""A hit's whole way through real processes: gunicorn, Redis, `worker.py`, the clock, a database server, the CLI."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.servers.processes import Process, free_port, wait_until

ROOT = Path(__file__).resolve().parents[2]
BROWSERS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 14) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Safari/605.1.15",
    "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0",
)
BOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
SYNC_S = 60.0

pytestmark = pytest.mark.slow  # four processes and a database, each time


@dataclass
class Site:
    """A site that runs, and the environment it runs with."""

    port: int
    env: dict[str, str]
    web: Process
    worker: Process
    clock: Process

    def get(self, path: str, agent: str = BROWSERS[0], **headers: str) -> int:
        """Fetch a page; its status."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", headers={"User-Agent": agent, **headers}
        )
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as response:
                response.read()
                return int(response.status)
        except urllib.error.HTTPError as error:
            return error.code

    def cli(self, *words: str, code: int = 0) -> Any:
        """What a command prints as JSON, in a process of its own."""
        done = subprocess.run(
            [sys.executable, "-m", "pathhits", *words, "--json"], env=self.env, cwd=ROOT, capture_output=True, text=True
        )
        assert done.returncode == code, done.stdout + done.stderr
        return json.loads(done.stdout)

    def stored(self) -> int:
        """Hits that the worker has brought to SQL; nobody else syncs here."""
        stats = self.cli("stats")
        return int(stats["hits"] - stats["pending_hits"])


@pytest.fixture
def site(redis_url: str, database_url: str, tmp_path: Path) -> Iterator[Site]:
    """gunicorn with two workers, the worker and the clock as the Procfile starts them."""
    port = free_port()
    env = {**os.environ, "REDIS_URL": redis_url, "DATABASE_URL": database_url, "PYTHONPATH": str(ROOT)}
    env |= {"PATHHITS_SYNC_EVERY": "1", "PATHHITS_FLUSH_INTERVAL": "0.2", "PATHHITS_NAMESPACE": f"site{port}"}
    subprocess.run([sys.executable, "-m", "pathhits", "db", "upgrade"], env=env, cwd=ROOT, check=True)
    python = sys.executable
    web = [python, "-m", "gunicorn", "tests.acceptance.sites:wsgi()", "--bind", f"127.0.0.1:{port}"]
    web += ["--workers", "2", "--threads", "2", "--no-control-socket"]
    with ExitStack() as stack:
        processes = [
            stack.enter_context(Process(command, env=env, cwd=ROOT))
            for command in (web, [python, "worker.py", "--no-clock"], [python, "worker.py", "--clock-only"])
        ]
        processes[0].wait_for_port(port)
        yield Site(port, env, *processes)


def test_pages_seen_are_counts_in_sql_and_nothing_else_is(site: Site) -> None:
    for number in range(30):
        assert site.get(f"/page/{number}", BROWSERS[number % 3]) == 200
    assert site.get("/page/1", BOT) == 200
    assert site.get("/page/1", **{"Sec-Purpose": "prefetch"}) == 200
    assert site.get("/nothing") == 404
    wait_until(lambda: site.stored() == 30, SYNC_S, "the worker has synced all hits")
    assert site.cli("top") == [{"path": "page", "hits": 30, "visitors": 3}]
    stats = site.cli("stats")
    assert stats["drops"] == {"bot": 1, "prefetch": 1, "status": 1}
    assert stats["requests"] == 33
    assert site.cli("verify")["ok"] is True
    findings = {finding["what"]: finding["state"] for finding in site.cli("doctor")}
    assert findings["clock"] == findings["worker"] == findings["SQL"] == "ok"


def test_killing_web_worker_and_clock_costs_at_most_what_was_not_flushed(site: Site) -> None:
    for number in range(20):
        site.get(f"/page/{number}")
    wait_until(lambda: site.cli("stats")["hits"] == 20, SYNC_S, "all is at least in Redis")
    for process in (site.worker, site.clock):
        process.send_to_group(signal.SIGKILL)
        process.wait()
    for number in range(20):
        site.get(f"/page/{number}")
    wait_until(lambda: site.cli("stats")["hits"] == 40, SYNC_S, "all is at least in Redis")
    site.web.send_to_group(signal.SIGKILL)
    for process in (site.worker, site.clock):
        process.start()
    wait_until(lambda: site.stored() == 40, SYNC_S, "the new worker and clock have synced all hits")
    assert site.cli("verify")["ok"] is True
