"""The dashboard by keyboard alone, in a real browser: what has the focus is always seen."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect
from rq import Queue
from rq.serializers import JSONSerializer

from pathhits import Settings
from tests.acceptance.dashboard.shown import Open, Site
from tests.servers.processes import Process

# A browser, and a worker twice.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("dashboard")]

#: Whether what has the focus, its label or what lies over it is seen to have it.
SEEN = """one => [one, ...(one.labels ?? [])].some(some => ['', '::after'].some(part => {
  const style = getComputedStyle(some, part);
  return style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 1;
}))"""


def tab_to(page: Page, name: str, wanted: Locator | None = None) -> None:
    """Press Tab until a link or button of that name has the focus; what has it meanwhile is always seen."""
    wanted = wanted or page.locator("a, button").filter(has_text=re.compile(f"^\\s*{name}\\s*$")).first
    if wanted.count() == 0:
        wanted = page.get_by_role("button", name=name)
    for _ in range(150):
        page.keyboard.press("Tab")
        focused = page.locator("*:focus")
        assert focused.evaluate(SEEN), focused.evaluate("one => one.outerHTML")
        if wanted.evaluate("one => one === document.activeElement"):
            return
    pytest.fail(f"Tab does not lead to {name}")


def test_everything_is_done_by_keyboard_alone(open_page: Open, full: Site) -> None:
    page = open_page(full, "/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="To the content")).to_be_focused()
    page.keyboard.press("w")
    page.wait_for_url(re.compile("range=7d"))
    page.keyboard.press("2")
    page.wait_for_url(re.compile("metric=visitors"))
    page.keyboard.press("c")
    page.wait_for_url(re.compile("compare=0"))
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.keyboard.press("r")
    expect(page.locator(".sheet").first).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator(".sheet").first).to_be_hidden()
    focused = set()
    for _ in range(80):
        page.keyboard.press("Tab")
        focused.add(page.evaluate("document.activeElement.textContent.trim().slice(0, 20)"))
    assert {"Overview", "Events", "Drops", "Health", "home", "jug"} <= focused
    page.goto(full.url + "/paths")
    page.keyboard.press("/")
    page.keyboard.type("page/5")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("search=page"))
    expect(page.locator("table.bars tbody tr")).to_have_count(11)


def test_filter_theme_and_tabs_by_keyboard_and_the_focus_is_seen(open_page: Open, full: Site) -> None:
    page = open_page(full, "/?range=90d", color_scheme="light")
    tab_to(page, "Dark colours")
    page.keyboard.press("Enter")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    tab_to(page, "about")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("path=about"))
    tab_to(page, "Referrer", page.locator("#sources-1"))
    page.keyboard.press("ArrowRight")
    expect(page.get_by_text("No link with utm_source in this period.")).to_be_visible()
    page.keyboard.press("x")
    page.wait_for_url(lambda url: "path=" not in url)


def test_a_failed_job_is_retried_by_keyboard_and_the_worker_makes_it_anew(
    open_page: Open, full: Site, start_process: Callable[..., Process], tmp_path: Path
) -> None:
    settings = full.hits.settings
    with full.hits.queue_connection() as connection:
        queue = Queue(settings.namespace, connection=connection, serializer=JSONSerializer)
        job = queue.enqueue("pathhits.tasks.items")
        _work(start_process, settings, f"sqlite:///{tmp_path}/no/such.db")
        assert job.id in queue.failed_job_registry
        page = open_page(full, "/health")
        section = page.locator("section", has=page.get_by_role("heading", name="Failed jobs"))
        expect(section).to_contain_text("pathhits.tasks.items")
        expect(section).to_contain_text("StoreUnavailable")
        tab_to(page, "Retry", section.get_by_role("button"))
        page.keyboard.press("Enter")
        expect(page.get_by_role("status")).to_have_text("1 is tried again by the worker.")
        expect(section).to_contain_text("None.")
        assert (job.id in queue.job_ids, len(queue.failed_job_registry)) == (True, 0)
        _work(start_process, settings, settings.database_url)
        assert (queue.job_ids, len(queue.failed_job_registry)) == ([], 0)


def _work(start_process: Callable[..., Process], settings: Settings, database_url: str) -> None:
    """Let a worker do what is in the queue."""
    stores = {"REDIS_URL": settings.redis_url, "DATABASE_URL": database_url}
    environment = stores | {"PATHHITS_NAMESPACE": settings.namespace}
    worker = start_process([sys.executable, "-m", "pathhits", "worker", "--burst"], env=environment)
    assert worker.wait() == 0, worker.output()
