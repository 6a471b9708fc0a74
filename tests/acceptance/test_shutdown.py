"""SIGTERM loses nothing: what a server counted is in Redis when it has ended, whichever server it is."""

from __future__ import annotations

import importlib.util
import signal
import sys
import urllib.request
from pathlib import Path

import pytest

from pathhits import PathHits
from tests.servers.processes import Process, free_port

ROOT = Path(__file__).resolve().parents[2]
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0"
HITS = 60
#: Longer than any of these tests: what arrives was sent by the last flush.
NEVER = "3600"

GUNICORN = [sys.executable, "-m", "gunicorn", "--bind", "127.0.0.1:{port}", "--no-control-socket"]
UVICORN = [sys.executable, "-m", "uvicorn", "tests.acceptance.sites:asgi", "--factory", "--port", "{port}"]
PYTHON = [sys.executable, "-c"]
SERVERS = {
    "gunicorn sync": [*GUNICORN, "--workers", "2", "tests.acceptance.sites:wsgi()"],
    "gunicorn gthread": [*GUNICORN, "--workers", "2", "--threads", "4", "tests.acceptance.sites:wsgi()"],
    "gunicorn preload": [*GUNICORN, "--workers", "2", "--preload", "tests.acceptance.sites:wsgi()"],
    "gunicorn gevent": [*GUNICORN, "--worker-class", "gevent", "tests.acceptance.sites:wsgi()"],
    "gunicorn gevent preload": [
        *GUNICORN,
        "--worker-class",
        "gevent",
        "--preload",
        "tests.acceptance.sites:wsgi()",
    ],
    "waitress": [*PYTHON, "from tests.acceptance.sites import serve_with_waitress as serve; serve()"],
    "werkzeug": [*PYTHON, "from tests.acceptance.sites import serve_with_werkzeug as serve; serve()"],
    "uvicorn": UVICORN,
    "uvicorn two workers": [*UVICORN, "--workers", "2"],
    "uvicorn with Django": [word.replace("sites:asgi", "sites:django_asgi") for word in UVICORN],
}

pytestmark = pytest.mark.slow  # each starts a real server


def fetch(port: int, number: int) -> None:
    request = urllib.request.Request(f"http://127.0.0.1:{port}/page/{number}", headers={"User-Agent": AGENT})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=30) as response:
        assert str(number).encode() in response.read()


def counted(redis_url: str, sqlite_url: str, label: str) -> int:
    """Hits of the label that have reached Redis."""
    hits = PathHits(redis_url=redis_url, database_url=sqlite_url, request_deadline=30)
    hits.migrate()
    try:
        return hits.stats.hit_counts([label])[label].pending
    finally:
        hits.close()


@pytest.mark.parametrize("server", SERVERS)
def test_all_hits_arrive_when_sigterm_ends_the_server(server: str, redis_url: str, sqlite_url: str) -> None:
    port = free_port()
    command = [word.format(port=port) for word in SERVERS[server]]
    env = {"REDIS_URL": redis_url, "PATHHITS_FLUSH_INTERVAL": NEVER, "PORT": str(port), "PYTHONPATH": str(ROOT)}
    with Process(command, env=env, cwd=ROOT) as process:
        process.wait_for_port(port)
        for number in range(HITS):
            fetch(port, number)
        label = "/page/{number}" if server in ("uvicorn", "uvicorn two workers") else "page"
        assert counted(redis_url, sqlite_url, label) < HITS, "the last flush has nothing to prove"
        process.send(signal.SIGTERM)
        process.wait()
        output = process.output()
    assert counted(redis_url, sqlite_url, label) == HITS, output


@pytest.mark.skipif(importlib.util.find_spec("pyuwsgi") is None, reason="pyuwsgi has no wheel for this Python")
def test_uwsgi_without_threads_flushes_on_a_later_hit(redis_url: str, sqlite_url: str) -> None:
    port = free_port()
    command = [str(Path(sys.executable).parent / "pyuwsgi"), "--http-socket", f"127.0.0.1:{port}", "--master"]
    command += [
        "--processes",
        "1",
        "--module",
        "tests.acceptance.sites:wsgi()",
        "--die-on-term",
        "--pyhome",
        sys.prefix,
    ]
    env = {"REDIS_URL": redis_url, "PATHHITS_FLUSH_INTERVAL": "0.2", "PYTHONPATH": str(ROOT)}
    with Process(command, env=env, cwd=ROOT) as process:
        process.wait_for_port(port)
        sent = 0
        while sent < 2_000 and counted(redis_url, sqlite_url, "page") == 0:
            fetch(port, sent)
            sent += 1
        assert 0 < counted(redis_url, sqlite_url, "page") <= sent, process.output()
        process.terminate()
        assert counted(redis_url, sqlite_url, "page") == sent, process.output()
