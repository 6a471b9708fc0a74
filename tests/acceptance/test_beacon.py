"""In a real browser: the beacon tells when a page was left, and pages of other sites cannot."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask
from playwright.sync_api import Browser, Page
from werkzeug.serving import make_server
from werkzeug.wsgi import ClosingIterator

from pathhits import PathHits
from pathhits.capture.beacon import POST_PATH, SCRIPT_PATH
from tests.servers.processes import wait_until

pytestmark = pytest.mark.slow  # a browser, and pages that are looked at

#: Seconds for which a page is looked at.
LOOK = 1.6


class Site:
    """A shop of two pages on a port of its own, and the statuses of what was posted to its beacon."""

    def __init__(self, hits: PathHits) -> None:
        self.hits = hits
        self.posts: list[str] = []
        app = Flask("shop")
        text = f"<!doctype html><link rel=icon href='data:,'><script src='{SCRIPT_PATH}' defer></script><p>Page"
        app.add_url_rule("/", "home", lambda: text)
        app.add_url_rule("/jug", "jug", lambda: text)
        app.add_url_rule("/plain", "plain", lambda: "<!doctype html><link rel=icon href='data:,'>")
        hits.init_app(app)
        self._server = make_server("127.0.0.1", 0, self._noting(app.wsgi_app), threaded=True)
        self.url = f"http://127.0.0.1:{self._server.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def _noting(self, app: Any) -> Any:
        def noting(environ: Any, start_response: Any) -> Any:
            statuses: list[str] = []

            def started(status: str, headers: Any, *more: Any) -> Any:
                statuses.append(status[:3])
                return start_response(status, headers, *more)

            def over() -> None:
                # Not before: only now the buffer has it.
                if environ["PATH_INFO"] == POST_PATH:
                    self.posts.extend(statuses)

            return ClosingIterator(app(environ, started), over)

        return noting

    def __enter__(self) -> Site:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._thread.join(10)
        self._server.server_close()
        self.hits.close(1.0)


@pytest.fixture
def site(redis_url: str, sqlite_url: str) -> Iterator[Site]:
    hits = PathHits(
        redis_url=redis_url, database_url=sqlite_url, beacon=True, request_deadline=60.0, flush_interval=3600
    )
    hits.migrate()
    with Site(hits) as site:
        yield site


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A tab of a visitor of their own."""
    context = browser.new_context()
    yield context.new_page()
    context.close()


def _navigate(page: Page) -> None:
    page.goto("about:blank")


@pytest.mark.parametrize("leave", [_navigate, Page.close], ids=["for another page", "for good"])
def test_the_last_page_has_its_time_and_the_visit_stays_a_bounce(
    page: Page, site: Site, leave: Callable[[Page], None]
) -> None:
    page.goto(f"{site.url}/jug")
    assert (
        page.evaluate("performance.getEntriesByType('resource').map(one => one.name).join()") == site.url + SCRIPT_PATH
    )
    time.sleep(LOOK)
    leave(page)
    wait_until(lambda: site.posts, message="a post")
    assert site.hits.flush()
    found = site.hits.visits()
    assert (found.visits, found.bounces, site.hits.total("requests")) == (1, 1, 1)
    assert 1 <= found.seconds < 30
    assert set(site.posts) == {"204"}


def test_a_walk_through_the_site_is_one_visit_with_all_its_time(page: Page, site: Site) -> None:
    began = time.time()
    for path in ("/", "/jug", "/"):
        page.goto(site.url + path)
        time.sleep(LOOK)
    page.close()
    wait_until(lambda: len(site.posts) >= 3, message="three posts")
    assert site.hits.flush()
    found = site.hits.visits()
    assert (found.visits, found.bounces, site.hits.total("hits")) == (1, 0, 3)
    assert int(3 * LOOK) - 1 <= found.seconds <= time.time() - began + 1


def test_a_page_of_another_site_cannot_post(page: Page, site: Site, sqlite_url: str, redis_url: str) -> None:
    page.goto(f"{site.url}/plain")
    script = page.evaluate(f"fetch('{SCRIPT_PATH}').then(answer => answer.text())")
    token = script.partition('"')[2].partition('."')[0].rpartition('"')[2]
    assert token.count(".") == 1
    with Site(PathHits(redis_url=redis_url, namespace="other", database_url=sqlite_url)) as other:
        page.goto(f"{other.url}/plain")
        assert page.evaluate(f"navigator.sendBeacon('{site.url}{POST_PATH}', '{token}.5')") is True
        wait_until(lambda: site.posts, message="a post")
        read = f"fetch('{site.url}{SCRIPT_PATH}', {{mode: 'no-cors'}}).then(() => 'read', () => 'refused')"
        assert page.evaluate(read) == "refused"
    assert site.posts == ["403"]
    assert site.hits.flush()
    assert site.hits.visits().seconds == 0
