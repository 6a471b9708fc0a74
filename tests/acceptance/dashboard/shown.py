"""Sites with a dashboard on a port of their own, and how a browser reads it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from playwright.sync_api import ConsoleMessage, Page, expect
from werkzeug.serving import make_server
from werkzeug.test import Client

from pathhits import PathHits, Rules
from pathhits.dashboard.rendering import has_static
from tests.integration.dashboard.reader import PASSWORD
from tests.servers.processes import in_ci

HOSTILE = (
    "<script>document.title='owned'</script>",
    '"><img src=x onerror="document.title=\'owned\'">',
    "/\u202egnp.exe",
    "=cmd|' /C calc'!A0",
    "/" + "a very long path " * 600,
)
PATHS = ("home", "product", "about", *HOSTILE, *(f"/page/{number}" for number in range(60)))
ITEMS = ("product:jug", "product:mug", *(f"product:item-{number}" for number in range(20)))
#: Opens a page of a site as somebody who has logged in.
Open = Callable[..., Page]


class Site:
    """A site with a dashboard on a port of its own."""

    def __init__(self, hits: PathHits) -> None:
        self.hits = hits
        app = Flask("shop")
        app.add_url_rule("/", "home", lambda: "<!doctype html><link rel=icon href='data:,'><p>Shop")
        hits.register_item("product", rules=Rules.none())
        hits.init_app(app, dashboard="/_pathhits")
        self.client = Client(app)
        self._server = make_server("127.0.0.1", 0, app, threaded=True)
        self.url = f"http://127.0.0.1:{self._server.port}/_pathhits"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        #: Of somebody who has logged in.
        self.cookies: list[Any] = []
        #: Those that are open: they ask for news by themselves, and would find nobody.
        self.pages: list[Page] = []

    def __enter__(self) -> Site:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        for page in self.pages:
            page.close()
        self._server.shutdown()
        self._thread.join(10)
        self._server.server_close()
        self.hits.close(1.0)


def a_site(redis_url: str, folder: Path, name: str, **settings: Any) -> Site:
    """A site of a namespace of its own."""
    hits = PathHits(
        redis_url=redis_url,
        database_url=f"sqlite:///{folder / name}.db",
        namespace=name,
        dashboard_password=PASSWORD,
        flush_interval=3600,
        request_deadline=60.0,
        **settings,
    )
    hits.migrate()
    return Site(hits)


def is_complaint(said: ConsoleMessage) -> bool:
    """Whether the browser finds fault with a page; a status that is meant is none."""
    return said.type == "error" and "the server responded with a status of" not in said.text


def needs_chart() -> None:
    """Skip where npm did not bring what draws the chart; in CI that is a failure."""
    if not has_static("vendor/uPlot.js"):
        pytest.fail("make assets brings uPlot") if in_ci() else pytest.skip("npm brought no uPlot")


def value(page: Page, key: str) -> str:
    """A figure as it is read to somebody who does not see."""
    name = page.locator(".figure", has=page.locator(f"a.name[href$='#{key}']"))
    return str(name.locator(".value .sr").inner_text()).split(" ")[0]


def asked(page: Page, site: Site, path: str) -> Any:
    """What the API says."""
    answer = page.request.get(f"{site.url}/api/v1/{path}")
    assert answer.ok, answer.text()
    return answer.json()


def settled(page: Page) -> None:
    """Wait until the script has drawn the chart, where there is one."""
    expect(page.locator("#plot[data-uplot]:not([data-drawn])")).to_have_count(0)


def listed(page: Page, heading: str) -> list[tuple[str, str]]:
    """The rows of a list: labels and numbers in full, as they are read to somebody who does not see."""
    table = page.locator("table.bars", has=page.locator("caption", has_text=heading)).first
    read = """rows => rows.map(row => {
      const words = one => (one.querySelector('.sr') ?? one).textContent.trim();
      return [words(row.querySelector('.text > :first-child')), words(row.querySelector('td.n'))];
    })"""
    return [(label, number) for label, number in table.locator("tbody tr").evaluate_all(read)]


def course(page: Page) -> list[tuple[str, str]]:
    """The rows of the table of the chart."""
    read = "rows => rows.map(row => [...row.cells].slice(0, 2).map(one => one.textContent.trim()))"
    return [(name, number) for name, number in page.locator(".as-table tbody tr").evaluate_all(read)]
