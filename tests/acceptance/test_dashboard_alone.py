"""``pathhits dashboard`` serves it alone: closed unless it is told otherwise, and SIGTERM ends it."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, expect

from pathhits import PathHits
from tests.integration.dashboard.reader import PASSWORD
from tests.servers.processes import Process

pytestmark = pytest.mark.slow  # a server and a browser

COMMAND = [sys.executable, "-m", "pathhits", "dashboard", "--port", "0"]
Start = Callable[..., Process]


@pytest.fixture
def stores(redis_url: str, sqlite_url: str) -> dict[str, str]:
    """The environment of a site that was migrated."""
    hits = PathHits(redis_url=redis_url, database_url=sqlite_url)
    hits.migrate()
    hits.close(0.1)
    return {"REDIS_URL": redis_url, "DATABASE_URL": sqlite_url}


def test_without_a_password_it_does_not_start_and_says_what_to_set(
    start_process: Start, stores: dict[str, str]
) -> None:
    process = start_process(COMMAND, env=stores)
    assert process.wait() == 2
    assert "PATHHITS_DASHBOARD_PASSWORD" in process.output()
    assert "Traceback" not in process.output()


def test_a_taken_port_is_one_clear_line(start_process: Start, stores: dict[str, str]) -> None:
    open_to_all = stores | {"PATHHITS_DASHBOARD_PUBLIC": "1"}
    first = start_process(COMMAND, env=open_to_all)
    port = first.wait_for_line(r"127\.0\.0\.1:(\d+)/")[1]
    second = start_process([*COMMAND[:-1], port], env=open_to_all)
    assert second.wait() == 2
    assert f"port {port}" in second.output()
    assert "Traceback" not in second.output()


@pytest.mark.parametrize("ends_it", [signal.SIGTERM, signal.SIGINT])
def test_it_is_served_until_a_signal_ends_it(
    start_process: Start, stores: dict[str, str], browser: Browser, ends_it: signal.Signals
) -> None:
    process = start_process(COMMAND, env=stores | {"PATHHITS_DASHBOARD_PASSWORD": PASSWORD})
    url = process.wait_for_line(r"The dashboard is at (http://\S+)")[1]
    page = browser.new_context().new_page()
    answer = page.goto(url)
    assert answer is not None
    assert answer.status == 401
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="No hit has arrived yet")).to_be_visible()
    page.get_by_role("link", name="Health").first.click()
    expect(page.get_by_role("heading", name="Checks")).to_be_visible()
    page.context.close()
    process.send(ends_it)
    assert process.wait() == 0, process.output()
    assert "Traceback" not in process.output()
