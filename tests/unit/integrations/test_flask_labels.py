"""What Flask's requests count under, through the real middleware, buffer and judge."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from flask import Blueprint, Flask, Response, abort, redirect, stream_with_context
from flask.views import MethodView
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.routing import BaseConverter
from werkzeug.test import Client, EnvironBuilder

from pathhits import PathHits, SettingsError
from pathhits.capture.exchange import current
from pathhits.testing import Counted, counting
from tests.unit.integrations.tables import AGENT, Row, differences, outcome


class Letters(BaseConverter):
    """A converter of the app's own."""

    regex = "[a-z]+"


class Report(MethodView):
    """A view that is a class."""

    def get(self, year: int) -> str:
        return f"report of {year}"


def page(**values: Any) -> str:
    """A view for any route."""
    return f"a page {values}"


def make_shop(**options: Any) -> Flask:
    """Some thirty routes of every kind that Flask has."""
    app = Flask("shop", static_folder=None, **options)
    app.url_map.converters["letters"] = Letters
    api, v1, admin = Blueprint("api", "shop"), Blueprint("v1", "shop"), Blueprint("admin", "shop", url_prefix="/admin")
    for rule, endpoint in {
        "/": "index",
        "/about": "about",
        "/products/": "products",
        "/products/<slug>": "product",
        "/p/<int:id>": "product_by_id",
        "/prices/<float:price>": "price",
        "/files/<path:name>": "file",
        "/any/<any(red, green):colour>": "colour",
        "/u/<uuid:key>": "by_key",
        "/letters/<letters:word>": "letters",
        "/two/<int:a>-<int:b>": "between",
        "/café": "café",
        "/lang/<string(length=2):code>": "language",
        "/static/<path:filename>": "static",
        "/search": "search",
        "/basket/": "basket",
        "/archive/<int:year>/<int(fixed_digits=2):month>/": "archive",
        "/tags/<path:tags>/feed": "feed",
    }.items():
        app.add_url_rule(rule, endpoint, page)
    app.add_url_rule("/old/<int:page>", "paged", page)
    app.add_url_rule("/old", "paged", page, defaults={"page": 1})
    app.add_url_rule("/reports/<int:year>", view_func=Report.as_view("report"))
    app.add_url_rule("/form", "form", page, methods=["POST"])
    app.add_url_rule("/both", "both", page, methods=["GET", "POST"])
    app.add_url_rule("/moved", "moved", lambda: redirect("/about"))
    app.add_url_rule("/gone", "gone", lambda: abort(410))
    app.add_url_rule("/empty", "empty", lambda: ("", 204))
    app.add_url_rule("/picture", "picture", lambda: Response(b"", content_type="image/png"))
    app.add_url_rule("/broken", "broken", broken)
    v1.add_url_rule("/users", "users", page)
    v1.add_url_rule("/users/<int:id>/posts/<slug>", "post", page)
    v1.add_url_rule("/static/<path:filename>", "static", page)
    api.register_blueprint(v1, url_prefix="/v1")
    api.add_url_rule("/", "root", page)
    admin.add_url_rule("/", "home", page)
    app.register_blueprint(api, url_prefix="/api")
    app.register_blueprint(admin)
    app.register_blueprint(admin, name="office", url_prefix="/office")
    return app


def broken() -> str:
    raise RuntimeError("the view is broken")


BY_NAME = [
    Row("/", "index"),
    Row("/?page=2", "index"),
    Row("/about", "about"),
    Row("/products/", "products"),
    Row("/products", "!status"),
    Row("/products/blue-mug", "product"),
    Row("/products/red%20mug", "product"),
    Row("/p/1", "product_by_id"),
    Row("/p/2", "product_by_id"),
    Row("/p/two", "!status"),
    Row("/prices/1.5", "price"),
    Row("/files/a/b/c.txt", "file"),
    Row("/any/red", "colour"),
    Row("/any/blue", "!status"),
    Row("/u/123e4567-e89b-12d3-a456-426614174000", "by_key"),
    Row("/letters/abc", "letters"),
    Row("/letters/ABC", "!status"),
    Row("/two/1-2", "between"),
    Row("/caf%C3%A9", "café"),
    Row("/lang/en", "language"),
    Row("/old", "paged"),
    Row("/old/2", "paged"),
    Row("/reports/2026", "report"),
    Row("/search?q=mug&q=cup", "search"),
    Row("/basket/", "basket"),
    Row("/basket", "!status"),
    Row("/archive/2026/07/", "archive"),
    Row("/archive/2026/7/", "!status"),
    Row("/tags/a/b/feed", "feed"),
    Row("/form", "!method", "POST"),
    Row("/form", "!status"),
    Row("/both", "both"),
    Row("/both", "!method", "POST"),
    Row("/about", "!method", "HEAD"),
    Row("/about", "!method", "OPTIONS"),
    Row("/moved", "!status"),
    Row("/gone", "!status"),
    Row("/empty", "!status"),
    Row("/broken", "!status"),
    Row("/picture", "!excluded"),
    Row("/static/app.js", "!excluded"),
    Row("/api/", "api.root"),
    Row("/api/v1/users", "api.v1.users"),
    Row("/api/v1/users/7/posts/hello", "api.v1.post"),
    Row("/api/v1/static/x.txt", "!excluded"),
    Row("/admin/", "admin.home"),
    Row("/office/", "office.home"),
    Row("/nowhere", "!status"),
    Row("//about", "!status"),
]
BY_PATTERN = [
    Row("/", "/"),
    Row("/about", "/about"),
    Row("/products/", "/products/"),
    Row("/products/blue-mug", "/products/<slug>"),
    Row("/p/1", "/p/<int:id>"),
    Row("/prices/1.5", "/prices/<float:price>"),
    Row("/files/a/b/c.txt", "/files/<path:name>"),
    Row("/any/red", "/any/<any(red, green):colour>"),
    Row("/u/123e4567-e89b-12d3-a456-426614174000", "/u/<uuid:key>"),
    Row("/letters/abc", "/letters/<letters:word>"),
    Row("/two/1-2", "/two/<int:a>-<int:b>"),
    Row("/caf%C3%A9", "/café"),
    Row("/lang/en", "/lang/<string(length=2):code>"),
    Row("/old", "/old"),
    Row("/old/2", "/old/<int:page>"),
    Row("/reports/2026", "/reports/<int:year>"),
    Row("/search?q=mug&q=cup", "/search"),
    Row("/basket/", "/basket/"),
    Row("/archive/2026/07/", "/archive/<int:year>/<int(fixed_digits=2):month>/"),
    Row("/tags/a/b/feed", "/tags/<path:tags>/feed"),
    Row("/both", "/both"),
    Row("/admin/", "/admin/"),
    Row("/letters/xyz?", "/letters/<letters:word>"),
    Row("/api/", "/api/"),
    Row("/api/v1/users", "/api/v1/users"),
    Row("/api/v1/users/7/posts/hello", "/api/v1/users/<int:id>/posts/<slug>"),
    Row("/api/v1/static/x.txt", "!excluded"),
    Row("/office/", "/office/"),
    Row("/static/app.js", "!excluded"),
    Row("/nowhere", "!status"),
]
BY_PATH = [
    Row("/", "/"),
    Row("/products/", "/products"),
    Row("/products/blue-mug", "/products/blue-mug"),
    Row("/p/1", "/p/{int}"),
    Row("/p/2", "/p/{int}"),
    Row("/u/123e4567-e89b-12d3-a456-426614174000", "/u/{uuid}"),
    Row("/caf%C3%A9", "/café"),
    Row("/products/red%20mug", "/products/red%20mug"),
    Row("/api/v1/users/7/posts/hello", "/api/v1/users/{int}/posts/hello"),
    Row("/api/v1/static/x.txt", "!excluded"),
    Row("/nowhere", "!status"),
]


def ask(counted: Counted, app: Any, row: Row, **environ: str) -> str:
    """Send the request of ``row`` to a WSGI app; what it came to."""
    counted.clear()
    client = Client(app, use_cookies=False)
    response = client.open(
        row.path,
        method=row.method,
        base_url=f"http://{row.host}",
        headers={"User-Agent": AGENT},
        environ_overrides=environ,
        buffered=True,
    )
    response.close()
    return outcome(counted)


def check(counted: Counted, app: Any, rows: Iterable[Row], **environ: str) -> None:
    wrong = differences((row, ask(counted, app, row, **environ)) for row in rows)
    assert not wrong, "\n".join(wrong)


def rewire(app: Flask, wsgi_app: Any) -> Any:
    """Put a WSGI app in the place of the app's own, as Flask's documentation does."""
    app.wsgi_app = wsgi_app  # type: ignore[method-assign]  # how Flask is wrapped
    return app


Wrap = Callable[[PathHits, Flask], Any]


def init_app(hits: PathHits, app: Flask) -> Any:
    hits.init_app(app)
    return app


def wsgi_only(hits: PathHits, app: Flask) -> Any:
    return rewire(app, hits.wsgi(app.wsgi_app))


def wrapped_from_outside(hits: PathHits, app: Flask) -> Any:
    return hits.wsgi(app)


def behind_a_copy_of_environ(hits: PathHits, app: Flask) -> Any:
    """A middleware between Flask and us hands on a copy of environ."""
    inner = app.wsgi_app
    rewire(app, lambda environ, start_response: inner(dict(environ), start_response))
    return init_app(hits, app)


def behind_a_new_environ(hits: PathHits, app: Flask) -> Any:
    """A middleware between Flask and us builds environ anew from what it knows."""
    inner = app.wsgi_app

    def anew(environ: dict[str, Any], start_response: Any) -> Any:
        known = {name: value for name, value in environ.items() if name.isupper() or name.startswith("wsgi.")}
        return inner(known, start_response)

    rewire(app, anew)
    return init_app(hits, app)


def init_app_and_wrapped_again(hits: PathHits, app: Flask) -> Any:
    hits.init_app(app)
    return hits.wsgi(hits.wsgi(app))


ROUTES = {"name": BY_NAME, "pattern": BY_PATTERN, "path": BY_PATH}


@pytest.mark.parametrize("prefer", ROUTES)
@pytest.mark.parametrize(
    "wrap",
    [
        init_app,
        wsgi_only,
        wrapped_from_outside,
        behind_a_copy_of_environ,
        behind_a_new_environ,
        init_app_and_wrapped_again,
    ],
)
def test_every_route_counts_once_under_the_label_written_down(wrap: Wrap, prefer: str) -> None:
    hits = PathHits(route_label=prefer)
    app = wrap(hits, make_shop())
    logging.getLogger("shop").setLevel(logging.CRITICAL)
    with counting(hits) as counted:
        check(counted, app, ROUTES[prefer])


def test_the_tables_hold_enough_routes() -> None:
    for rows in (BY_NAME, BY_PATTERN):
        assert len({row.label for row in rows if not row.label.startswith("!")}) >= 25


def test_a_page_for_what_no_route_matches_is_dropped_even_with_status_200() -> None:
    hits = PathHits()
    app = make_shop()
    app.register_error_handler(404, lambda error: ("Nothing here, but look around", 200))
    hits.init_app(app)
    with counting(hits) as counted:
        check(counted, app, [Row("/nowhere", "!unmatched"), Row("/wp-login.php", "!unmatched"), Row("/", "index")])
        # A view that finds nothing was matched all the same.
    app = Flask("finds")
    app.add_url_rule("/p/<slug>", "product", lambda slug: abort(404))
    app.register_error_handler(404, lambda error: ("Nothing here, but look around", 200))
    other = PathHits()
    other.init_app(app)
    with counting(other) as counted:
        check(counted, app, [Row("/p/none", "product"), Row("/q", "!unmatched")])


def test_the_root_that_the_server_mounts_the_app_at_is_no_part_of_the_label() -> None:
    hits = PathHits(route_label="pattern")
    app = init_app(hits, make_shop())
    app.config["APPLICATION_ROOT"] = "/root"
    with counting(hits) as counted:
        check(counted, app, [Row("/p/1", "/p/<int:id>"), Row("/", "/")], SCRIPT_NAME="/root")


def test_a_prefix_that_a_proxy_took_off_is_no_part_of_the_label() -> None:
    hits = PathHits(route_label="pattern")
    app = make_shop()
    rewire(app, ProxyFix(app.wsgi_app, x_prefix=1))
    hits.init_app(app)
    with counting(hits) as counted:
        check(counted, app, [Row("/p/1", "/p/<int:id>")], HTTP_X_FORWARDED_PREFIX="/prefix")


def make_blog() -> Flask:
    """An app whose endpoints have the names of another's."""
    app = Flask("blog", static_folder=None)
    app.add_url_rule("/", "index", page)
    app.add_url_rule("/<int:year>/<slug>", "post", page)
    app.add_url_rule("/static/<path:filename>", "static", page)
    return app


MOUNTED = [
    Row("/", "index"),
    Row("/p/1", "product_by_id"),
    Row("/blog/", "/blog/"),
    Row("/blog/2026/hello", "/blog/<int:year>/<slug>"),
    Row("/blog/static/x.txt", "!excluded"),
    Row("/deep/down/2026/hello", "/deep/down/<int:year>/<slug>"),
    Row("/bl%C3%BCten/2026/hello", "/blüten/<int:year>/<slug>"),
    Row("/plain/a/1", "/plain/a/{int}"),
    Row("/blog/nowhere", "!status"),
    Row("/nowhere", "!status"),
]


def plain(environ: Any, start_response: Any) -> list[bytes]:
    """A WSGI app without a framework."""
    start_response("200 OK", [("Content-Type", "text/html")])
    return [b"plain"]


def dispatcher(main: Any, blog: Flask) -> Any:
    # The dispatcher compares with PATH_INFO as WSGI has it: bytes in Latin-1 clothes.
    flowers = "/blüten".encode().decode("latin-1")
    return DispatcherMiddleware(
        main, {"/blog": blog, "/deep": DispatcherMiddleware(plain, {"/down": blog}), "/plain": plain, flowers: blog}
    )


@pytest.mark.parametrize("server_root", ["", "/root"])
@pytest.mark.parametrize("counted_twice", [False, True])
def test_what_is_mounted_goes_by_its_pattern_with_the_mount(server_root: str, counted_twice: bool) -> None:
    hits = PathHits()
    shop, blog = make_shop(), make_blog()
    rewire(shop, dispatcher(shop.wsgi_app, blog))
    hits.init_app(shop)
    if counted_twice:
        PathHits().init_app(blog)
    with counting(hits) as counted:
        check(counted, shop, MOUNTED, SCRIPT_NAME=server_root)


def test_two_apps_with_one_pathhits_below_a_dispatcher_are_kept_apart() -> None:
    hits = PathHits()
    shop, blog = init_app(hits, make_shop()), init_app(hits, make_blog())
    app = DispatcherMiddleware(shop, {"/blog": blog})
    with counting(hits) as counted:
        check(
            counted,
            app,
            [
                Row("/", "/"),
                Row("/blog/", "/blog/"),
                Row("/p/1", "/p/<int:id>"),
                Row("/blog/2026/hello", "/blog/<int:year>/<slug>"),
                Row("/blog/static/x.txt", "!excluded"),
            ],
        )


def test_an_app_that_a_factory_makes_again_keeps_its_names() -> None:
    hits = PathHits()
    for _ in range(2):
        app = init_app(hits, make_shop())
    with counting(hits) as counted:
        check(counted, app, [Row("/", "index")])


@pytest.mark.parametrize("prefer", ["name", "pattern"])
def test_subdomains_are_told_apart(prefer: str) -> None:
    app = Flask("hosts", static_folder=None, subdomain_matching=True)
    app.config["SERVER_NAME"] = "example.test"
    app.add_url_rule("/", "index", page)
    app.add_url_rule("/", "api_index", page, subdomain="api")
    app.add_url_rule("/<int:id>", "tenant", page, subdomain="<tenant>")
    hits = PathHits(route_label=prefer)
    hits.init_app(app)
    rows = {
        "name": [
            Row("/", "index", host="example.test"),
            Row("/", "api_index", host="api.example.test"),
            Row("/1", "tenant", host="a.example.test"),
        ],
        "pattern": [
            Row("/", "/", host="example.test"),
            Row("/", "//api/", host="api.example.test"),
            Row("/1", "//<tenant>/<int:id>", host="a.example.test"),
        ],
    }
    with counting(hits) as counted:
        check(counted, app, rows[prefer])


def test_hosts_are_told_apart() -> None:
    app = Flask("hosts", static_folder=None, host_matching=True)
    app.add_url_rule("/", "a", page, host="a.test")
    app.add_url_rule("/", "b", page, host="b.test")
    hits = PathHits(route_label="pattern")
    hits.init_app(app)
    with counting(hits) as counted:
        check(counted, app, [Row("/", "//a.test/", host="a.test"), Row("/", "//b.test/", host="b.test")])


def test_a_request_that_an_app_makes_to_itself_is_no_hit_and_leaves_the_label_alone() -> None:
    app = Flask("asks")
    app.add_url_rule("/inner", "inner", page)
    app.add_url_rule("/outer", "outer", lambda: app.test_client().get("/inner", headers={"User-Agent": "curl/8"}).text)
    hits = PathHits()
    hits.init_app(app)
    with counting(hits) as counted:
        client = Client(app)
        client.get("/outer", headers={"User-Agent": AGENT}).close()
        assert counted.labels() == {"outer": 1}
        assert counted.drops() == {"bot": 1}


@pytest.mark.parametrize("by_init_app", [True, False])
def test_each_app_finds_its_own_exchange_while_one_asks_another(by_init_app: bool) -> None:
    """Flask's is found by Flask's context, the others' by a contextvar; each sees the path of its own request."""
    hits, seen = PathHits(), []

    def look() -> str:
        exchange = current.get()
        seen.append(None if exchange is None else exchange.path)
        return "seen"

    def plain(environ: Any, start_response: Any) -> list[bytes]:
        look()
        start_response("200 OK", [])
        return [b""]

    inner = Flask("inner")
    inner.add_url_rule("/inner", "inner", look)
    if by_init_app:
        hits.init_app(inner)
    else:
        inner.wsgi_app = hits.wsgi(inner.wsgi_app)  # type: ignore[assignment, method-assign]  # how it is wrapped
    others = Client(inner), Client(hits.wsgi(plain)), Client(hits.wsgi(inner.wsgi_app))

    def ask() -> str:
        look()
        for other in others:
            other.get("/inner", headers={"User-Agent": AGENT}).close()
            look()
        return "asked"

    outer = Flask("outer")
    outer.add_url_rule("/outer", "outer", ask)
    hits.init_app(outer)
    with counting(hits) as counted:
        Client(outer).get("/outer", headers={"User-Agent": AGENT}).close()
        assert look() == "seen"
        assert seen == ["/outer", *["/inner", "/outer"] * 3, None]
        assert sum(counted.labels().values()) == 4


def test_what_a_stream_tells_of_is_the_visitors_where_flask_keeps_the_request() -> None:
    hits, seen = PathHits(), []
    app = Flask("streams")

    def pieces() -> Iterator[str]:
        exchange = current.get()
        seen.append(None if exchange is None else exchange.path)
        yield "one"

    app.add_url_rule("/kept", "kept", lambda: Response(stream_with_context(pieces())))
    hits.init_app(app)
    with counting(hits) as counted:
        Client(app).get("/kept", headers={"User-Agent": AGENT}).close()
        assert seen == ["/kept"]
        assert counted.labels() == {"kept": 1}


def test_environ_may_be_used_again() -> None:
    hits = PathHits()
    app = init_app(hits, make_shop())
    with counting(hits) as counted:
        environ = EnvironBuilder("/about", headers=[("User-Agent", AGENT)]).get_environ()
        for _ in range(3):
            list(app(environ, lambda status, headers, exc_info=None: None))
        assert "pathhits.exchange" in environ
        assert counted.labels() == {"about": 3}


def test_a_second_init_app_is_refused_with_one_line() -> None:
    hits = PathHits()
    app = init_app(hits, make_shop())
    with pytest.raises(SettingsError, match="call init_app once"):
        hits.init_app(app)


def test_what_is_not_enabled_leaves_the_app_alone() -> None:
    app = make_shop()
    before = app.wsgi_app
    PathHits(enabled=False).init_app(app)
    assert app.wsgi_app == before
    assert Client(app).get("/about").status_code == 200


@pytest.mark.parametrize("wrap", [init_app, wsgi_only, behind_a_new_environ])
def test_a_bug_in_reading_the_route_reaches_the_log_and_not_the_visitor(
    wrap: Wrap, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def wrong(*args: object, **named: object) -> None:
        raise ValueError("our own bug")

    for name in ("integrations.flask.name_rule", "middleware.wsgi.note_wsgi_route"):
        monkeypatch.setattr(f"pathhits.{name}", wrong)
    hits = PathHits()
    app = wrap(hits, make_shop())
    with counting(hits) as counted:
        response = Client(app).get("/p/1", headers={"User-Agent": AGENT})
        assert (response.status_code, response.text) == (200, "a page {'id': 1}")
        response.close()
        assert counted.labels() == {"/p/{int}": 1}
    assert hits.guard.failures["internal"] >= 1
    assert "internal" in caplog.text
