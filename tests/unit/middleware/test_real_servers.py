"""Over real servers and raw sockets, the bytes of a response are the same with the middleware and without it."""

from __future__ import annotations

import json
import re
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pathhits.hits import DROPS, HITS, REQUESTS
from tests.servers.processes import Process, free_port
from tests.unit.middleware import served
from tests.unit.middleware.harness import AGENT

ROOT = Path(__file__).parents[3]
APP = "tests.unit.middleware.served"
PYTHON = [sys.executable, "-m"]

#: Without their port, which comes last.
SERVERS = {
    "wsgiref": [*PYTHON, APP, "wsgiref", "{port}"],
    "werkzeug": [*PYTHON, APP, "werkzeug", "{port}"],
    "gevent": [*PYTHON, APP, "gevent", "{port}"],
    "waitress": [*PYTHON, "waitress", "--listen=127.0.0.1:{port}", f"{APP}:wsgi"],
    "gunicorn sync": [*PYTHON, "gunicorn", "-b", "127.0.0.1:{port}", f"{APP}:wsgi"],
    "gunicorn gthread": [*PYTHON, "gunicorn", "-k", "gthread", "-b", "127.0.0.1:{port}", f"{APP}:wsgi"],
    "uwsgi": [
        str(Path(sys.executable).with_name("uwsgi")),
        "--http-socket=127.0.0.1:{port}",
        f"--module={APP}:wsgi",
        "--enable-threads",
        "--need-app",
        "--die-on-term",
        f"--virtualenv={sys.prefix}",
    ],
}


def _bytes(port: int, method: str, path: str) -> bytes:
    """The whole answer, to the end of the connection, without its Date."""
    request = f"{method} {path} HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: {AGENT}\r\nConnection: close\r\n\r\n"
    received = bytearray()
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(request.encode())
        try:
            while part := connection.recv(1 << 16):
                received += part
        except ConnectionResetError:
            # A server that gives up in the middle.
            pass
    return re.sub(rb"\r\nDate: [^\r]*", b"", bytes(received), flags=re.IGNORECASE)


def _compare(port: int, names: list[str]) -> None:
    """Ask for each case bare and counted. Which of them are hits depends on what a server takes; none is forgotten."""
    different = []
    for number, name in enumerate(names):
        for method in ("GET", "HEAD"):
            bare = _bytes(port, method, f"/bare/{number}")
            counted = _bytes(port, method, f"/counted/{number}")
            if bare != counted:
                different.append(f"{method} {name}: {bare[:300]!r} counted {counted[:300]!r}")
    assert different == []
    sums = json.loads(_bytes(port, "GET", "/count").partition(b"\r\n\r\n")[2].strip(b"\r\n"))
    assert sums[REQUESTS] == 2 * len(names) == sums[HITS] + sums[DROPS]
    assert len(names) / 2 < sums[HITS] < len(names)


@pytest.mark.parametrize("server", SERVERS)
def test_the_bytes_of_a_wsgi_server_are_the_same(server: str, start_process: Callable[..., Process]) -> None:
    if server == "uwsgi":
        pytest.importorskip("pyuwsgi")
    port = free_port()
    process = start_process([word.format(port=port) for word in SERVERS[server]], cwd=ROOT)
    process.wait_for_port(port)

    assert len(served.WSGI) >= 100
    _compare(port, [case.name for case in served.WSGI])


def test_the_bytes_of_uvicorn_are_the_same(start_process: Callable[..., Process]) -> None:
    port = free_port()
    process = start_process([*PYTHON, "uvicorn", f"{APP}:asgi", "--port", str(port), "--lifespan=off"], cwd=ROOT)
    process.wait_for_port(port)

    assert len(served.ASGI) >= 100
    _compare(port, [case.name for case in served.ASGI])
