"""The Procfile under load: gunicorn with two workers, worker and clock, on PostgreSQL and Redis, with wrk in front.

Each request that wrk had an answer to was counted, once, and nothing else. The short form needs some twenty seconds,
mostly for starting; `make soak` runs the one of a minute.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from http.client import HTTPConnection
from pathlib import Path

import pytest
from honcho.environ import parse_procfile

from pathhits import PathHits
from tests.acceptance.demos import ROOT
from tests.servers.processes import Process, free_port, in_ci, wait_until
from tests.servers.redis import RedisServer

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="gunicorn needs fork")]
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0"
#: Path and label of what is asked for.
PAGES = {"/products/iron-pan": "product_detail", "/products": "products"}
#: Each of its threads has one connection and stops by itself after an answer, so that none is cut off while it waits.
SCRIPT = """
local ends
function response()
  ends = ends or os.time() + {seconds}
  if os.time() >= ends then wrk.thread:stop() end
end
"""
THREADS = 4


@pytest.fixture
def wrk() -> str:
    """The program; without it the test is skipped, in CI it fails."""
    found = shutil.which("wrk")
    if found is None:
        (pytest.fail if in_ci() else pytest.skip)("not installed: wrk")
    return str(found)


@pytest.fixture
def procfile(
    own_server: Callable[[type[RedisServer]], RedisServer],
    postgresql_url: str,
    start_process: Callable[..., Process],
) -> Iterator[tuple[dict[str, Process], str, PathHits]]:
    """The processes of the Procfile, the address of the shop, and what counts it."""
    redis_url, port = own_server(RedisServer).url, free_port()
    env = {"REDIS_URL": redis_url, "DATABASE_URL": postgresql_url, "PORT": str(port), "BIND": "127.0.0.1"}
    env |= {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "WEB_CONCURRENCY": "2", "PATHHITS_SYNC_EVERY": "2"}
    commands = dict(parse_procfile((ROOT / "Procfile").read_text()).processes)

    def start(name: str) -> Process:
        return start_process(["/bin/sh", "-c", f"exec {commands[name]}"], env=env, cwd=ROOT)

    release = start("release")
    assert release.wait(120) == 0, release.output()
    processes = {name: start(name) for name in ("web", "worker", "clock")}
    processes["web"].wait_for_port(port)
    with closing(HTTPConnection("127.0.0.1", port, timeout=60.0)) as first:
        # It waits until a worker has loaded the shop, and is no hit.
        first.request("HEAD", "/", headers={"User-Agent": AGENT})
        assert first.getresponse().status == 200
    with closing(PathHits(redis_url=redis_url, database_url=postgresql_url, request_deadline=10.0)) as hits:
        yield processes, f"http://127.0.0.1:{port}", hits


def ask(wrk: str, url: str, seconds: int, folder: Path) -> dict[str, int]:
    """Ask for all pages at once for so long; how many answers each had, all of them good."""
    script = folder / "until.lua"
    script.write_text(SCRIPT.replace("{seconds}", str(seconds)))
    with ExitStack() as stack:
        runs = {}
        for path in PAGES:
            # It is told to end a bit later than its threads do.
            words = f"{wrk} -t{THREADS} -c{THREADS} -d{seconds + 5}s --timeout 30s -s {script} -H 'User-Agent: {AGENT}'"
            command = [*shlex.split(words), url + path]
            runs[path] = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        said = {path: run.communicate()[0] for path, run in runs.items()}
    for path, text in said.items():
        print(path, text)
        assert "Non-2xx" not in text, text
        assert "Socket errors" not in text, text
    return {path: int(re.findall(r"(\d+) requests in", text)[0]) for path, text in said.items()}


def hold(seconds: int, wrk: str, procfile: tuple[dict[str, Process], str, PathHits], folder: Path) -> None:
    """Ask, and compare with what was counted."""
    processes, url, hits = procfile
    asked = ask(wrk, url, seconds, folder)
    assert min(asked.values()) > seconds
    wait_until(lambda: hits.total("hits") >= sum(asked.values()), 60, "all requests are in Redis")
    wait_until(lambda: hits.stats.pending_total() == 0, 60, "worker and clock have moved all into SQL")
    assert {PAGES[path]: n for path, n in asked.items()} == {row.path: row.hits for row in hits.top_paths()}
    assert hits.total("hits") == sum(asked.values())
    assert hits.drops() == {"method": 1}
    views, refused = hits.view_count("product", "iron-pan"), hits.rule_stats()["refusals"]
    assert views + sum(refused.values()) == asked["/products/iron-pan"]
    assert {name: n for name, n in refused.items() if n} == {"product:cooldown": asked["/products/iron-pan"] - views}
    assert hits.visits().visits == 1
    report = hits.verify()
    assert report.ok, report
    for name, process in processes.items():
        assert process.running, name
        assert "Traceback" not in process.output(), process.output()


def test_three_seconds_of_load_are_counted_to_the_request(
    wrk: str, procfile: tuple[dict[str, Process], str, PathHits], tmp_path: Path
) -> None:
    hold(3, wrk, procfile, tmp_path)


@pytest.mark.soak
def test_a_minute_of_load_is_counted_to_the_request(
    wrk: str, procfile: tuple[dict[str, Process], str, PathHits], tmp_path: Path
) -> None:
    hold(60, wrk, procfile, tmp_path)
