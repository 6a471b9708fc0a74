"""A demo that a test started as a newcomer does, and how it is looked at from outside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.servers.processes import Process, accepts, alive, wait_until

ROOT = Path(__file__).resolve().parents[2]
START_S = 120.0


@dataclass
class Demo:
    """A demo that was started, and how to look at it from outside."""

    process: Process
    folder: Path
    port: int
    exported: dict[str, str]

    def get(self, path: str, agent: str) -> str:
        """A page, fetched directly, whatever proxy the environment names."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", headers={"User-Agent": agent})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=30) as response:
            return str(response.read().decode())

    def cli(self, *words: str) -> Any:
        """What `pathhits` prints as JSON with nothing but the exported line."""
        env = {"PATH": os.defpath, "PYTHONPATH": str(ROOT), **self.exported}
        done = subprocess.run(
            [sys.executable, "-m", "pathhits", *words, "--json"],
            env=env,
            cwd=self.folder,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    def redis_port(self) -> int:
        """The port of its Redis."""
        return int(self.exported["REDIS_URL"].rpartition(":")[2].partition("/")[0])

    def left(self) -> list[int]:
        """Its processes that still run, in whatever session: those that have its folder in their environment."""
        mark = f"DEMO_DIR={self.folder}".encode()
        return [pid for pid in _pids() if mark in _environ(pid) and alive(pid)]

    def assert_gone(self) -> None:
        """Nothing of it runs or listens any more."""
        wait_until(lambda: not self.left(), 30, "its processes end")
        assert not accepts(self.port)
        assert not accepts(self.redis_port())


def _pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").glob("[0-9]*")]


def _environ(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []
