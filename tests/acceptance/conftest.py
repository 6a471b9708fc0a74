"""Fixtures of the acceptance tests: a browser, and the demo, in a folder and on a port of its own."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.acceptance.demos import ROOT, START_S, Demo
from tests.conftest import present
from tests.servers.chromium import chromium
from tests.servers.processes import Process, free_port

# A loaded machine shows a page late; Playwright's own five seconds are for quick ones.
expect.set_options(timeout=30_000)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser for the tests of a module; take a context of it for each person.

    Not for a session: while Playwright runs, no other test of this process could run an event loop.
    """
    with present(), chromium() as browser:
        yield browser


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, str]:
    """The environment of a demo with a folder and a port of its own, no Redis on PATH, and no made-up past."""
    empty = tmp_path / "bin"
    empty.mkdir()
    folder, port = str(tmp_path / "demo"), str(free_port())
    return {"DEMO_DIR": folder, "PORT": port, "PATH": str(empty), "DEMO_HISTORY": "0"}


@pytest.fixture
def start_demo(start_process: Callable[..., Process], settings: dict[str, str]) -> Callable[[], Demo]:
    """Starts the demo and returns once it has said where it is."""

    def start() -> Demo:
        process = start_process([sys.executable, "-m", "demo_app"], env=settings, cwd=ROOT)
        line = process.wait_for_line(r"^export (.*)$", START_S)
        exported = dict(word.split("=", 1) for word in shlex.split(line[1]))
        assert f"http://127.0.0.1:{settings['PORT']}/" in process.output()
        return Demo(process, Path(settings["DEMO_DIR"]), int(settings["PORT"]), exported)

    return start
