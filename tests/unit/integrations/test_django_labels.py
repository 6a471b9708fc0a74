"""What Django's requests count under, through the real middleware, buffer and judge; sync and async."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.unit.integrations import django_site

django_site.configure()

from django.core.handlers.asgi import ASGIHandler  # noqa: E402  # Django is configured first
from django.core.handlers.wsgi import WSGIHandler  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.http import HttpRequest, HttpResponse  # noqa: E402
from django.test import override_settings  # noqa: E402
from starlette.applications import Starlette  # noqa: E402
from werkzeug.middleware.dispatcher import DispatcherMiddleware  # noqa: E402
from werkzeug.test import Client, EnvironBuilder  # noqa: E402

from pathhits import PathHits, SettingsError  # noqa: E402
from pathhits.app import load  # noqa: E402
from pathhits.integrations.django import PathHitsMiddleware, hits  # noqa: E402
from pathhits.integrations.django.labels import readable  # noqa: E402
from pathhits.testing import Counted, counting  # noqa: E402
from tests.unit.integrations import asking  # noqa: E402
from tests.unit.integrations.tables import AGENT, Row, differences, outcome  # noqa: E402

BY_NAME = [
    Row("/", "home"),
    Row("/?page=2", "home"),
    Row("/about/", "about"),
    Row("/about", "!status"),
    Row("/products/", "products"),
    Row("/products/blue-mug/", "product"),
    Row("/p/1", "by_id"),
    Row("/p/2", "by_id"),
    Row("/p/two", "!status"),
    Row("/files/a/b/c.txt", "file"),
    Row("/u/123e4567-e89b-12d3-a456-426614174000/", "by_key"),
    Row("/letters/abc/", "letters"),
    Row("/letters/ABC/", "!status"),
    Row("/caf%C3%A9/", "café"),
    Row("/async/1/", "async"),
    Row("/report/2026/", "report"),
    Row("/unnamed/1/", "/unnamed/<int:id>/"),
    Row("/also-unnamed/1/", "/also-unnamed/<str:x>/"),
    Row("/archive/2026/", "archive"),
    Row("/archive/2026/7/", "archive"),
    Row("/articles/2026/hello/", "article"),
    Row("/articles/26/hello/", "!status"),
    Row("/numbers/12/abc", "numbers"),
    Row("/feed.rss", "/feed.<kind>"),
    Row("/comments/", "/comments/"),
    Row("/comments/page-2/", "/comments/"),
    Row("/moved/", "!status"),
    Row("/broken/", "!status"),
    Row("/forbidden/", "!status"),
    Row("/missing/", "!status"),
    Row("/picture/", "!excluded"),
    Row("/download/", "download"),
    Row("/stream/", "stream"),
    Row("/blog/mine/posts/", "blog:posts:list"),
    Row("/blog/mine/posts/2026/hello/", "blog:posts:detail"),
    Row("/blog/mine/posts/tag/cats/", "blog:posts:tag"),
    Row("/blog/mine/posts/unnamed/3/", "/blog/<slug:blog>/posts/unnamed/<int:id>/"),
    Row("/blog/mine/about/", "blog:about"),
    Row("/blog/mine/old/tag/cats/", "blog:old-posts:tag"),
    Row("/journal/posts/2026/hello/", "journal:posts:detail"),
    Row("/journal/about/", "journal:about"),
    Row("/shop/basket/", "basket"),
    Row("/shop/3/", "item"),
    Row("/static/app.txt", "!excluded"),
    Row("/about/", "!method", "POST"),
    Row("/about/", "!method", "HEAD"),
    Row("/about/", "!method", "OPTIONS"),
    Row("/nowhere/", "!status"),
    Row("/nowhere", "!status"),
]
BY_PATTERN = [
    Row("/", "/"),
    Row("/about/", "/about/"),
    Row("/products/", "/products/"),
    Row("/products/blue-mug/", "/products/<slug:slug>/"),
    Row("/p/1", "/p/<int:id>"),
    Row("/files/a/b/c.txt", "/files/<path:name>"),
    Row("/u/123e4567-e89b-12d3-a456-426614174000/", "/u/<uuid:key>/"),
    Row("/letters/abc/", "/letters/<letters:word>/"),
    Row("/caf%C3%A9/", "/café/"),
    Row("/async/1/", "/async/<int:id>/"),
    Row("/report/2026/", "/report/<int:year>/"),
    Row("/unnamed/1/", "/unnamed/<int:id>/"),
    Row("/archive/2026/", "/archive/<int:year>/"),
    Row("/archive/2026/7/", "/archive/<int:year>/<int:month>/"),
    Row("/articles/2026/hello/", "/articles/<year>/<slug>/"),
    Row("/numbers/12/abc", "/numbers/<var>/<var>"),
    Row("/feed.rss", "/feed.<kind>"),
    Row("/comments/", "/comments/"),
    Row("/comments/page-2/", "/comments/"),
    Row("/download/", "/download/"),
    Row("/blog/mine/posts/", "/blog/<slug:blog>/posts/"),
    Row("/blog/mine/posts/2026/hello/", "/blog/<slug:blog>/posts/<int:year>/<slug:slug>/"),
    Row("/blog/mine/posts/tag/cats/", "/blog/<slug:blog>/posts/tag/<tag>/"),
    Row("/blog/mine/old/tag/cats/", "/blog/<slug:blog>/old/tag/<tag>/"),
    Row("/journal/about/", "/journal/about/"),
    Row("/shop/basket/", "/shop/basket/"),
    Row("/shop/3/", "/shop/<int:id>/"),
    Row("/static/app.txt", "!excluded"),
    Row("/nowhere/", "!status"),
]
BY_PATH = [
    Row("/", "/"),
    Row("/about/", "/about"),
    Row("/products/blue-mug/", "/products/blue-mug"),
    Row("/p/1", "/p/{int}"),
    Row("/caf%C3%A9/", "/café"),
    Row("/u/123e4567-e89b-12d3-a456-426614174000/", "/u/{uuid}"),
    Row("/nowhere/", "!status"),
]
ROUTES = {"name": BY_NAME, "pattern": BY_PATTERN, "path": BY_PATH}
Ask = Callable[[Counted, Any, Row], str]


@pytest.fixture(autouse=True)
def _quiet() -> None:
    logging.getLogger("django.request").setLevel(logging.CRITICAL)


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Callable[..., PathHits]:
    """Puts another PathHits, with settings of a test's own, in the place of the configured one."""

    def replace(**options: Any) -> PathHits:
        fresh = type(hits)()
        with override_settings(PATHHITS={name.upper(): value for name, value in options.items()}):
            assert fresh.settings is not None
        monkeypatch.setattr("pathhits.integrations.django.middleware.hits", fresh)
        monkeypatch.setattr("pathhits.integrations.django.templatetags.pathhits.hits", fresh)
        return fresh

    return replace


@pytest.mark.parametrize("tag", ["hit_count", "hit_count None", "hit_count unknown"])
def test_a_template_that_knows_no_request_or_label_is_rendered_all_the_same(
    tag: str, use: Callable[..., PathHits], caplog: pytest.LogCaptureFixture
) -> None:
    from django.template import engines

    with counting(use()):
        assert engines["django"].from_string(f"{{% load pathhits %}}{{% {tag} %}}").render({}) == "0"
    assert ("context_processors.request" in caplog.text) == (tag == "hit_count")


def ask_wsgi(counted: Counted, app: Any, row: Row, script_name: str = "") -> str:
    counted.clear()
    environ = {"SCRIPT_NAME": script_name}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Django says that it has to collect an async stream
        response = Client(app, use_cookies=False).open(
            row.path, method=row.method, headers=[("User-Agent", AGENT)], environ_overrides=environ, buffered=True
        )
        response.close()
    return outcome(counted)


def check_wsgi(counted: Counted, app: Any, rows: list[Row], script_name: str = "") -> None:
    wrong = differences((row, ask_wsgi(counted, app, row, script_name)) for row in rows)
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("prefer", ROUTES)
@pytest.mark.parametrize("script_name", ["", "/root"])
def test_every_route_counts_once_under_the_label_written_down(
    prefer: str, script_name: str, use: Callable[..., PathHits]
) -> None:
    with counting(use(route_label=prefer)) as counted:
        check_wsgi(counted, WSGIHandler(), ROUTES[prefer], script_name)


@pytest.mark.parametrize("prefer", ROUTES)
@pytest.mark.parametrize("root_path", ["", "/root"])
def test_every_route_counts_once_under_asgi(prefer: str, root_path: str, use: Callable[..., PathHits]) -> None:
    with counting(use(route_label=prefer)) as counted, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Django says that it has to collect a sync stream
        asking.check(counted, ASGIHandler(), ROUTES[prefer], root_path)


def test_the_tables_hold_enough_routes() -> None:
    for rows in (BY_NAME, BY_PATTERN):
        assert len({row.label for row in rows if not row.label.startswith("!")}) >= 25


TWICE = [django_site.MIDDLEWARE, django_site.MIDDLEWARE, "django.middleware.common.CommonMiddleware"]


def test_a_project_that_is_wrapped_as_well_counts_once(use: Callable[..., PathHits]) -> None:
    counted_by_django = use()
    around = PathHits()
    with counting(counted_by_django) as inner, counting(around) as outer, override_settings(MIDDLEWARE=TWICE):
        check_wsgi(outer, around.wsgi(WSGIHandler()), BY_NAME)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Django says that it has to collect a sync stream
            asking.check(outer, around.asgi(ASGIHandler()), BY_NAME)
        assert inner.requests() == 0
        check_wsgi(inner, WSGIHandler(), BY_NAME[:5])


def test_what_is_mounted_goes_by_its_pattern_with_the_mount(use: Callable[..., PathHits]) -> None:
    use()
    around = PathHits()
    rows = [
        Row("/dj/about/", "/dj/about/"),
        Row("/dj/p/1", "/dj/p/<int:id>"),
        Row("/dj/blog/mine/posts/tag/cats/", "/dj/blog/<slug:blog>/posts/tag/<tag>/"),
    ]
    with counting(around) as counted:
        check_wsgi(counted, around.wsgi(DispatcherMiddleware(WSGIHandler(), {"/dj": WSGIHandler()})), rows)
        check_wsgi(counted, around.wsgi(DispatcherMiddleware(WSGIHandler(), {"/dj": WSGIHandler()})), rows, "/root")
        app = Starlette()
        mounted: Any = ASGIHandler()
        app.mount("/dj", mounted)
        asking.check(counted, around.asgi(app), rows)
        asking.check(counted, around.asgi(app), rows, "/root")


def soft_404(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """A middleware that answers what was not found with a page of status 200."""

    def answer(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        return HttpResponse("Nothing here, but look around") if response.status_code == 404 else response

    return answer


def early(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """A middleware that answers before Django looks for a route, as a cache of whole pages does."""
    return lambda request: HttpResponse("from the cache")


def test_a_page_for_what_no_route_matches_is_dropped_even_with_status_200(use: Callable[..., PathHits]) -> None:
    with counting(use()) as counted, override_settings(MIDDLEWARE=[django_site.MIDDLEWARE, f"{__name__}.soft_404"]):
        check_wsgi(
            counted,
            WSGIHandler(),
            [Row("/nowhere/", "!unmatched"), Row("/blog/x/", "!unmatched"), Row("/missing/", "missing")],
        )


def test_a_page_from_a_cache_counts_as_the_page_it_is(use: Callable[..., PathHits]) -> None:
    with counting(use()) as counted, override_settings(MIDDLEWARE=[django_site.MIDDLEWARE, f"{__name__}.early"]):
        check_wsgi(counted, WSGIHandler(), [Row("/p/1", "by_id"), Row("/nowhere/", "!unmatched")])


# Streams.


def environ_of(path: str) -> dict[str, Any]:
    return EnvironBuilder(path, headers=[("User-Agent", AGENT)]).get_environ()


def started(status: str, headers: Any, exc_info: Any = None) -> Callable[[bytes], object]:
    return lambda data: None


def test_a_stream_counts_at_its_end(use: Callable[..., PathHits]) -> None:
    with counting(use()) as counted:
        body = WSGIHandler()(environ_of("/stream/"), started)
        assert counted.requests() == 0
        assert list(body) == [b"one ", b"two"]
        assert outcome(counted) == "stream"
        body.close()
        assert outcome(counted) == "stream"


def test_a_stream_counts_when_the_client_leaves_early(use: Callable[..., PathHits]) -> None:
    with counting(use()) as counted:
        body = WSGIHandler()(environ_of("/stream/"), started)
        assert next(iter(body)) == b"one "
        assert counted.requests() == 0
        body.close()
        assert outcome(counted) == "stream"


def test_a_stream_that_breaks_is_dropped_as_failed(use: Callable[..., PathHits]) -> None:
    with counting(use()) as counted:
        body = WSGIHandler()(environ_of("/stream/?fail"), started)
        with pytest.raises(RuntimeError, match="broken on purpose"):
            list(body)
        body.close()
        assert outcome(counted) == "!failed"


@pytest.mark.parametrize("path", ["/stream-async/", "/stream-async/?fail"])
def test_an_async_stream_counts_like_a_sync_one(path: str, use: Callable[..., PathHits]) -> None:
    with counting(use()) as counted:
        label = "!failed" if "fail" in path else "stream_async"
        asking.check(counted, ASGIHandler(), [Row(path, label)])
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", ResourceWarning
            )  # Django leaves its file of the body open when a view fails
            gc.collect()
        if label != "!failed":
            assert asyncio.run(asking.exchange(ASGIHandler(), asking.scope_of(Row(path, "")))) == (200, b"one two")


def test_an_async_stream_counts_when_the_client_leaves_early(use: Callable[..., PathHits]) -> None:
    async def leave() -> list[Any]:
        left = asyncio.Event()
        messages: list[Any] = []
        asked = False

        async def receive() -> dict[str, Any]:
            nonlocal asked
            if not asked:
                asked = True
                return {"type": "http.request", "body": b"", "more_body": False}
            await left.wait()
            return {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            messages.append(message)
            if message.get("body"):
                left.set()
                await asyncio.Event().wait()

        app: Any = ASGIHandler()
        await app(asking.scope_of(Row("/stream-async/", "")), receive, send)
        return messages

    with counting(use()) as counted:
        messages = asyncio.run(leave())
        assert [message.get("body") for message in messages] == [None, b"one "]
        assert outcome(counted) == "stream_async"


def test_a_file_keeps_the_fast_way_of_its_server(use: Callable[..., PathHits]) -> None:
    class Wrapper:
        def __init__(self, file: Any, size: int = 0) -> None:
            self.file = file

        def __iter__(self) -> Iterator[bytes]:
            return iter(self.file)

    with counting(use()) as counted:
        environ = environ_of("/download/") | {"wsgi.file_wrapper": Wrapper}
        body: Any = WSGIHandler()(environ, started)
        assert type(body) is Wrapper
        assert b"".join(body) == b"a file"
        assert outcome(counted) == "download"


# The bad.


def test_a_bug_in_reading_the_route_reaches_the_log_and_not_the_visitor(
    use: Callable[..., PathHits], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def wrong(*args: object) -> None:
        raise ValueError("our own bug")

    monkeypatch.setattr("pathhits.integrations.django.middleware.note_match", wrong)
    configured = use()
    with counting(configured) as counted:
        response = Client(WSGIHandler()).get("/p/1", headers=[("User-Agent", AGENT)])
        assert (response.status_code, response.text) == (200, "a page {'id': 1}")
        assert counted.labels() == {"/p/{int}": 1}
    assert configured.guard.failures["internal"] == 1
    assert "internal" in caplog.text


def test_a_bug_in_reading_the_request_is_a_drop(use: Callable[..., PathHits], monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(*args: object) -> None:
        raise ValueError("our own bug")

    monkeypatch.setattr("pathhits.integrations.django.middleware.EnvironReader.read", wrong)
    with counting(use()) as counted:
        assert Client(WSGIHandler()).get("/p/1").status_code == 200
        assert counted.drops() == {"internal": 1}


# The middleware, the configured object, the tag and the command.


def test_the_middleware_is_a_coroutine_where_what_it_wraps_is_one(use: Callable[..., PathHits]) -> None:
    use()

    async def get_response(request: HttpRequest) -> HttpResponse:
        return HttpResponse("page")

    assert asyncio.iscoroutinefunction(PathHitsMiddleware(get_response))
    assert not asyncio.iscoroutinefunction(PathHitsMiddleware(lambda request: HttpResponse("page")))


def test_what_is_not_enabled_is_left_out(use: Callable[..., PathHits]) -> None:
    use(enabled=False)
    assert WSGIHandler()._middleware_chain.__class__.__name__ != "PathHitsMiddleware"  # type: ignore[attr-defined]
    assert Client(WSGIHandler()).get("/about/").status_code == 200


def test_a_wrong_setting_stops_the_start_with_one_line() -> None:
    fresh = type(hits)()
    with override_settings(PATHHITS={"REDIS_URI": "redis://localhost"}):
        with pytest.raises(SettingsError, match=r"PATHHITS\['REDIS_URI'\]: unknown setting"):
            fresh.settings  # noqa: B018  # reading it is what fails


def test_hits_is_the_configured_pathhits_and_may_be_imported_before_the_settings_are_there() -> None:
    assert isinstance(hits, PathHits)
    assert hits.settings.namespace == "django"
    assert load("pathhits.integrations.django:hits") is hits
    code = (
        "from pathhits.integrations.django import hits\n"
        "from django.conf import settings\n"
        "assert not settings.configured\n"
        "settings.configure(PATHHITS={'NAMESPACE': 'later'})\n"
        "assert hits.settings.namespace == 'later'\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_the_template_tag_shows_the_count_of_its_page_and_of_others(use: Callable[..., PathHits]) -> None:
    with counting(use(request_deadline=10)) as counted:
        client = Client(WSGIHandler())
        for path in ("/about/", "/about/", "/counted/a/", "/counted/b/"):
            response = client.get(path, headers=[("User-Agent", AGENT)])
            assert counted.requests() > 0
        assert response.text == "1 2"


def test_the_command_hands_its_arguments_to_the_command_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from django.core.management import ManagementUtility

    monkeypatch.setenv("PATHHITS_APP", "left:alone")
    with pytest.raises(SystemExit) as ended:
        call_command("pathhits", "clock", "--list")
    assert ended.value.code == 0
    assert "sync" in capsys.readouterr().out
    for arguments in (["clock", "--list"], ["clock", "--list", "--settings", "some.settings"]):
        with pytest.raises(SystemExit) as ended:
            ManagementUtility(["manage.py", "pathhits", *arguments]).fetch_command("pathhits").run_from_argv(
                ["manage.py", "pathhits", *arguments]
            )
        assert ended.value.code == 0
        assert "Schedule" in capsys.readouterr().out
    assert os.environ["PATHHITS_APP"] == "left:alone"


@pytest.mark.parametrize(
    ("route", "shown"),
    [
        ("", "/"),
        ("products/<slug:slug>/", "/products/<slug:slug>/"),
        ("^articles/(?P<year>[0-9]{4})/$", "/articles/<year>/"),
        (r"blog/^(?P<slug>(a|b)+)\.html$", "/blog/<slug>.html"),
        (r"^(\d+)/x\-y/([a-z]+)\Z", "/<var>/x-y/<var>"),
        ("/already/", "/already/"),
        (r"^(?:en|de)/(?:v\d+/)?x[\])(]{2,3}y(?=z)(?P<rest>(a(b)\)))/", "/en|de/x<var>y<rest>/"),
        (r"^year/\d{4}/\w+/$", "/year/<var>/<var>/"),
        ("^(unclosed", "/<var>"),
    ],
)
def test_routes_are_made_readable(route: str, shown: str) -> None:
    assert readable(route) == shown


@pytest.mark.parametrize("row", [row for row in BY_NAME if not row.label.startswith("!")])
def test_explain_finds_the_route_without_a_request(row: Row) -> None:
    assert hits.explain(row.path).label == row.label


def test_explain_says_that_no_route_matched() -> None:
    assert hits.explain("/nowhere/at/all/").reason == "unmatched"
