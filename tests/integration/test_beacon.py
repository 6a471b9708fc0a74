"""The beacon gives the last page of a visit its time; only pages of the site itself can, and nothing is counted."""

from __future__ import annotations

import asyncio
import io
import re
import secrets
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask

from pathhits import PathHits
from pathhits.capture.beacon import POST_PATH, SCRIPT_PATH
from pathhits.core.tokens import TOKEN_LIFE, make_token
from pathhits.core.visitors import salt_period
from pathhits.hits import PASSED, Batch, Stay, Step
from pathhits.stats import Visits
from pathhits.storage.redis.salts import SaltStore
from tests.faults.writer import BROWSER, page

#: Status, headers and body of a response.
Response = tuple[int, dict[str, str], bytes]
#: Sends a request: method, path, body, and headers.
Ask = Callable[..., Response]
ADDRESS = "203.0.113.7"


@pytest.fixture
def hits(redis_url: str, sqlite_url: str) -> Iterator[PathHits]:
    hits = PathHits(
        redis_url=redis_url, database_url=sqlite_url, beacon=True, request_deadline=60.0, flush_interval=3600
    )
    hits.migrate()
    yield hits
    hits.close(0.1)


def wsgi_ask(app: Any, mount: str = "") -> Ask:
    def ask(method: str, path: str, body: bytes = b"", **headers: str) -> Response:
        environ: dict[str, Any] = {f"HTTP_{name.upper()}": value for name, value in headers.items()}
        environ |= {"REQUEST_METHOD": method, "SCRIPT_NAME": mount, "PATH_INFO": path, "REMOTE_ADDR": ADDRESS}
        environ |= {"HTTP_USER_AGENT": BROWSER, "HTTP_HOST": "shop.example", "CONTENT_LENGTH": str(len(body))}
        environ |= {
            "SERVER_NAME": "shop",
            "SERVER_PORT": "80",
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(body),
        }
        said: list[Any] = []
        pieces = app(environ, lambda *args: said.extend(args))
        answer = b"".join(pieces)
        getattr(pieces, "close", lambda: None)()
        return int(said[0][:3]), {name.lower(): value for name, value in said[1]}, answer

    return ask


def asgi_ask(app: Any, mount: str = "") -> Ask:
    def ask(method: str, path: str, body: bytes = b"", **headers: str) -> Response:
        sent: list[Any] = []
        named = {"host": "shop.example", "user-agent": BROWSER, **headers}
        scope = {
            "type": "http", "method": method, "path": mount + path, "root_path": mount, "query_string": b"",
            "client": (ADDRESS, 5), "headers": [(k.replace("_", "-").encode(), v.encode()) for k, v in named.items()],
        }  # fmt: skip
        pieces = [body[:7], body[7:]]

        async def receive() -> Any:
            return {"type": "http.request", "body": pieces.pop(0), "more_body": bool(pieces)}

        async def send(message: Any) -> None:
            sent.append(message)

        asyncio.run(app(scope, receive, send))
        start, *rest = sent
        found = {name.decode(): value.decode() for name, value in start["headers"]}
        return start["status"], found, b"".join(message["body"] for message in rest)

    return ask


async def asgi_page(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]})
    await send({"type": "http.response.body", "body": b"page"})


@pytest.fixture(params=["wsgi", "asgi", "flask", "mounted"])
def ask(request: pytest.FixtureRequest, hits: PathHits) -> Ask:
    if request.param == "asgi":
        return asgi_ask(hits.asgi(asgi_page), "/mount")
    if request.param == "flask":
        flask = Flask("shop")
        flask.add_url_rule("/", "home", lambda: "page")
        hits.init_app(flask)
        return wsgi_ask(flask)
    return wsgi_ask(hits.wsgi(page), "/shop" if request.param == "mounted" else "")


def token_in(script: bytes) -> str:
    found = re.search(rb'"([0-9a-f]+\.[0-9a-f]{32})\."', script)
    assert found
    return found[1].decode()


def counts(hits: PathHits) -> tuple[Visits, int]:
    """Visits, and requests seen."""
    assert hits.flush()
    return hits.visits(), hits.total("requests")


def test_the_script_is_small_and_is_not_counted(hits: PathHits, ask: Ask) -> None:
    status, headers, body = ask("GET", SCRIPT_PATH, sec_fetch_site="same-origin")
    assert (status, headers["content-type"]) == (200, "text/javascript; charset=utf-8")
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert int(headers["content-length"]) == len(body) < 1000
    assert token_in(body)
    assert counts(hits) == (Visits(0, 0, 0), 0)
    assert ask("GET", SCRIPT_PATH, sec_fetch_site="cross-site")[0] == 403
    assert ask("POST", SCRIPT_PATH)[0] == 405


def test_a_post_gives_a_bounce_its_time_and_is_no_hit(hits: PathHits, ask: Ask) -> None:
    assert ask("GET", "/")[0] == 200
    token = token_in(ask("GET", SCRIPT_PATH)[2])
    began = time.time()
    while int(time.time()) == int(began):
        time.sleep(0.05)
    assert ask("POST", POST_PATH, f"{token}.0".encode(), sec_fetch_site="same-origin")[::2] == (204, b"")
    found, requests = counts(hits)
    assert (found.visits, found.bounces, requests) == (1, 1, 1)
    assert 1 <= found.seconds <= time.time() - began + 1


def test_only_pages_of_this_site_may_post_and_only_with_a_token_of_ours(hits: PathHits, ask: Ask) -> None:
    ask("GET", "/")
    now = time.time()
    token = token_in(ask("GET", SCRIPT_PATH)[2])
    old = salt_period(now, "day")
    key = SaltStore(hits.redis, hits.keys).get(old)
    assert key is not None
    stale = make_token(key, now - TOKEN_LIFE - 10)
    ours = {"origin": "http://shop.example"}
    held = hits.buffer.waiting
    refused: list[tuple[str, dict[str, str]]] = [
        (token, {}),
        (token, {"origin": "https://evil.example"}),
        (token, {"origin": "null"}),
        (token, {"origin": "http://shop.example", "sec_fetch_site": "cross-site"}),
        (token, {"origin": "http://shop.example", "sec_fetch_site": "same-site"}),
        (token[:-1] + ("0" if token[-1] != "0" else "1"), ours),
        (make_token(secrets.token_bytes(16), now), ours),
        (stale, ours),
        ("", ours),
        ("x" * 60, ours),
    ]
    for wrong, headers in refused:
        assert ask("POST", POST_PATH, f"{wrong}.5".encode(), **headers)[0] == 403, (wrong, headers)
    for body in (b"", f"{token}.".encode(), f"{token}.-5".encode(), f"{token}.{'9' * 200}".encode()):
        assert ask("POST", POST_PATH, body, **ours)[0] == 403
    assert ask("GET", POST_PATH, **ours)[0] == 405
    assert hits.buffer.waiting == held
    assert counts(hits) == (Visits(1, 1, 0), 1)
    assert ask("POST", POST_PATH, f"{token}.0".encode(), **ours)[0] == 204


def test_who_opted_out_and_bots_leave_no_time(hits: PathHits) -> None:
    ask = wsgi_ask(hits.wsgi(page))
    token = token_in(ask("GET", SCRIPT_PATH)[2])
    ask("POST", POST_PATH, f"{token}.5".encode(), sec_fetch_site="same-origin", sec_gpc="1")
    ask("POST", POST_PATH, f"{token}.5".encode(), sec_fetch_site="same-origin", cookie="pathhits_optout=1")
    assert counts(hits) == (Visits(0, 0, 0), 0)
    assert not [key for key in hits.redis.scan_iter() if b":visit:" in key]


def test_a_server_without_redis_answers_all_the_same(sqlite_url: str) -> None:
    hits = PathHits(redis_url="redis://127.0.0.1:1/0", database_url=sqlite_url, beacon=True)
    ask = wsgi_ask(hits.wsgi(page))
    assert ask("GET", SCRIPT_PATH)[::2] == (200, b"")
    token = make_token(bytes(16), time.time())
    assert ask("POST", POST_PATH, f"{token}.5".encode(), sec_fetch_site="same-origin")[0] == 204
    hits.close(0.1)


def test_without_the_setting_the_paths_are_the_apps(redis_url: str, sqlite_url: str) -> None:
    hits = PathHits(redis_url=redis_url, database_url=sqlite_url)
    for ask in (wsgi_ask(hits.wsgi(page)), asgi_ask(hits.asgi(asgi_page))):
        assert (ask("GET", SCRIPT_PATH)[0], ask("POST", POST_PATH)[0]) == (200, 200)
    hits.close(1.0)


# What a beacon does to a visit.

NOON = 1_774_699_200.0


def seconds(hits: PathHits, *steps: Step) -> tuple[int, int, int]:
    """Seconds of the site and of the item, and its timed views, after these steps of one visitor."""
    marked = tuple(step._replace(moment=NOON + step.moment) for step in steps)
    hits.pending.add(Batch("c", 1, secrets.token_hex(8), {}, {}, stays=(Stay(("a",), 0, marked),)), "")
    amounts = {name: int(n) for g in hits.pending.live() for name, n in hits.pending.read(g).items()}
    hour = int(NOON // 3600)
    names = ("seconds:", "seconds:product:1", "timed:product:1")
    site, item, timed = (amounts.get(f"{hour}:{name}".encode(), 0) for name in names)
    return site, item, timed


ITEM = ((PASSED, "product:1"),)


def test_the_last_page_has_its_time(hits: PathHits) -> None:
    assert seconds(hits, Step(0, ITEM), Step(40, age=41), Step(70, age=71)) == (70, 70, 1)
    assert hits.visits() == Visits(1, 1, 70)


def test_a_page_that_was_open_for_longer_than_a_visit_has_the_time_of_one(hits: PathHits) -> None:
    assert seconds(hits, Step(0, ITEM), Step(5000, age=5000)) == (1800, 1800, 1)


def test_a_page_left_for_the_next_does_not_time_the_next(hits: PathHits) -> None:
    assert seconds(hits, Step(0), Step(30, ITEM), Step(30.1, age=30)) == (30, 0, 0)


def test_a_beacon_without_a_visit_and_one_that_comes_late_change_nothing(hits: PathHits) -> None:
    assert seconds(hits, Step(0, age=5)) == (0, 0, 0)
    assert not [key for key in hits.redis.scan_iter() if b":visit:" in key]
