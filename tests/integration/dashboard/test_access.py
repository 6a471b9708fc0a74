"""The dashboard is closed until somebody says who may see it, and then lets in nobody else."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from flask import Flask
from werkzeug.security import generate_password_hash

from pathhits import PathHits, SettingsError
from pathhits.dashboard import sessions
from pathhits.dashboard.access import LOGIN_TRIES
from pathhits.dashboard.api.endpoints import ENDPOINTS
from pathhits.dashboard.pages.entrance import is_inside
from pathhits.storage.redis.dashboard import DashboardStore
from pathhits.storage.redis.keys import SESSION_TTL
from tests.integration.dashboard.reader import FROM_A_FORM, PASSWORD, Reader

BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0"
URLS = ("/", "/login", "/static/x/dashboard.css", "/health", "/events", "/drops", "/nothing/here", "/api/v1/summary")

Make = Callable[..., Reader]


@pytest.fixture
def make(redis_url: str, sqlite_url: str) -> Iterator[Make]:
    made: list[PathHits] = []

    def make(authorize: Any = None, **settings: Any) -> Reader:
        hits = PathHits(redis_url=redis_url, database_url=sqlite_url, flush_interval=3600, **settings)
        hits.migrate()
        made.append(hits)
        app = Flask("shop")
        hits.init_app(app, dashboard="/_pathhits", authorize=authorize)
        return Reader(app, hits=hits)

    yield make
    for hits in made:
        hits.close(1.0)


@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_without_a_word_every_url_is_closed_and_says_what_to_set(make: Make, url: str, method: str) -> None:
    answer = make().client.open("/_pathhits" + url, method=method)
    if answer.status_code != 405:  # Flask's own answer to a method that a page does not know
        assert answer.status_code == 403
        assert "PATHHITS_DASHBOARD_PASSWORD" in answer.text
        assert answer.text.count("\n") == 1


@pytest.mark.parametrize("hashed", [False, True], ids=["plain", "scrypt"])
def test_the_password_opens_it_and_nothing_else_does(make: Make, hashed: bool) -> None:
    reader = make(dashboard_password=generate_password_hash(PASSWORD) if hashed else PASSWORD)
    assert reader.get().status_code == 401
    for wrong in ("", PASSWORD + " ", PASSWORD[:-1], "\udc80", "x" * 100_000, generate_password_hash(PASSWORD)):
        if wrong.isprintable():
            assert reader.log_in(wrong).status_code == 401
            assert reader.get().status_code == 401
    answer = reader.log_in()
    assert (answer.status_code, answer.location) == (303, "/_pathhits/")
    assert reader.get().status_code == 200


def test_the_form_is_shown_where_one_wanted_to_go_and_leads_there(make: Make) -> None:
    reader = make(dashboard_password=PASSWORD)
    asked = reader.get("/drops?range=7d")
    assert asked.status_code == 401
    assert 'name="next" value="/_pathhits/drops?range=7d"' in asked.text
    assert reader.log_in(next="/_pathhits/drops?range=7d").location == "/_pathhits/drops?range=7d"


@pytest.mark.parametrize(
    "target",
    [
        "//evil.example", "https://evil.example/_pathhits/", "/\\evil.example", "/_pathhits/\\..", "/_pathhits",
        "/other", "/_pathhits/../other", "javascript:alert(1)", "/_pathhits/\nx", "\t//evil.example", "///evil.example",
        "",
    ],
)  # fmt: skip
def test_a_login_leads_nowhere_else(make: Make, target: str) -> None:
    assert make(dashboard_password=PASSWORD).log_in(next=target).location == "/_pathhits/"


def test_at_the_root_another_host_is_no_target() -> None:
    assert is_inside("/drops", "/")
    assert not any(
        is_inside(target, "/") for target in ("//evil.example", "///evil.example", "/\\evil", "http://evil/")
    )


def test_the_cookie_is_for_us_alone(make: Make) -> None:
    reader = make(dashboard_password=PASSWORD)
    cookie = reader.log_in().headers["Set-Cookie"]
    assert {"HttpOnly", "Path=/_pathhits", "SameSite=Lax"} <= set(cookie.split("; "))
    assert "Secure" not in cookie
    secure = reader.client.get("/_pathhits/login", base_url="https://shop.example")
    assert "; Secure;" in secure.headers["Set-Cookie"]


def test_a_session_is_known_to_every_process_and_needs_no_secret_of_the_app(make: Make) -> None:
    one, other = make(dashboard_password=PASSWORD), make(dashboard_password=PASSWORD)
    one.log_in()
    other.client = one.client
    assert other.get().status_code == 200


def test_another_password_ends_the_sessions_of_the_one_before(make: Make) -> None:
    before = make(dashboard_password=PASSWORD)
    before.log_in()
    cookie = _cookie(before)
    after = make(dashboard_password=PASSWORD + "!")
    after.client.set_cookie("pathhits_session", cookie, path="/_pathhits")
    assert after.get().status_code == 401


def test_a_forged_and_an_expired_cookie_open_nothing(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = make(dashboard_password=PASSWORD)
    reader.log_in()
    cookie = _cookie(reader)
    # Not the last character, of which some bits say nothing.
    for forged in (
        cookie[:-2] + ("A" if cookie[-2] != "A" else "B") + cookie[-1],
        "x",
        cookie.partition(".")[0],
        "a.b.c",
    ):
        reader.client.set_cookie("pathhits_session", forged, path="/_pathhits")
        assert reader.get().status_code == 401
    reader.client.set_cookie("pathhits_session", cookie, path="/_pathhits")
    assert reader.get().status_code == 200
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + SESSION_TTL + 2)
    assert reader.get().status_code == 401


def test_who_logs_out_is_out_with_every_copy_of_the_cookie(make: Make) -> None:
    reader = make(dashboard_password=PASSWORD)
    reader.log_in()
    cookie = _cookie(reader)
    assert reader.post("/logout").status_code == 303
    assert reader.get().status_code == 401
    reader.client.set_cookie("pathhits_session", cookie, path="/_pathhits")
    assert reader.get().status_code == 401


def test_deleting_the_key_logs_everybody_out_in_every_process_within_seconds(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr(sessions, "monotonic", lambda: clock[0])
    one, other = make(dashboard_password=PASSWORD), make(dashboard_password=PASSWORD)
    one.log_in()
    other.log_in()
    assert one.get().status_code == other.get().status_code == 200
    store = DashboardStore(one.hits.redis, one.hits.keys)
    store.client.delete(store.keys.dashboard_secret())
    clock[0] += sessions.KEY_KEPT
    assert one.get().status_code == other.get().status_code == 401
    # All agree on the new one, also those who had no reason yet to look again.
    one.log_in()
    other.client = one.client
    assert other.get().status_code == 200


def test_a_key_that_changed_is_seen_at_once_by_who_gets_a_cookie_of_the_new_one(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr(sessions, "monotonic", lambda: clock[0])
    one, other = make(dashboard_password=PASSWORD), make(dashboard_password=PASSWORD)
    assert other.get().status_code == 401
    store = DashboardStore(one.hits.redis, one.hits.keys)
    store.client.delete(store.keys.dashboard_secret())
    one.log_in()
    clock[0] += sessions.KEY_DOUBTED
    other.client = one.client
    assert other.get().status_code == 200


def test_forged_cookies_do_not_keep_redis_busy(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "monotonic", lambda: 0.0)
    reader = make(dashboard_password=PASSWORD)
    assert reader.get().status_code == 401
    monkeypatch.setattr(DashboardStore, "secret", lambda self: pytest.fail("asked again"))
    reader.client.set_cookie("pathhits_session", "a.b.c", path="/_pathhits")
    for _ in range(20):
        assert reader.get().status_code == 401


def test_guessing_ends_after_some_tries_also_with_the_right_password(make: Make, redis_url: str) -> None:
    reader = make(dashboard_password=PASSWORD, trusted_proxies=1)
    for _ in range(LOGIN_TRIES):
        assert reader.log_in("not it").status_code == 401
    answer = reader.log_in()
    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) > 0
    data = {"token": reader.token(), "password": PASSWORD}
    elsewhere = {**FROM_A_FORM, "X-Forwarded-For": "198.51.100.7"}
    assert reader.client.post("/_pathhits/login", data=data, headers=elsewhere).status_code == 303


def test_no_address_is_kept_of_those_who_try(make: Make, redis_server: Any, redis_url: str) -> None:
    reader = make(dashboard_password=PASSWORD)
    reader.client.environ_base = {"REMOTE_ADDR": "203.0.113.77"}  # type: ignore[attr-defined]
    reader.log_in("not it")
    with redis.Redis.from_url(redis_url) as client:
        kept = b" ".join(key + b" " + (client.dump(key) or b"") for key in client.keys("*"))
    assert b"dashboard:login:" in kept
    assert b"203.0.113.77" not in kept


@pytest.mark.parametrize("path", ["/login", "/logout", "/theme", "/nothing"])
def test_a_post_without_our_token_or_from_another_site_is_refused(make: Make, path: str) -> None:
    reader = make(dashboard_password=PASSWORD)
    reader.log_in()
    token = reader.token()
    assert token
    for given in ("", "0" * 32, token[:-1], "é"):
        assert reader.post(path, given, password=PASSWORD).status_code == 403
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}, {"Origin": "null"}):
        answer = reader.client.post("/_pathhits" + path, data={"token": token}, headers=headers)
        assert answer.status_code == 403
    assert reader.get().status_code == 200


def test_a_token_of_another_session_is_refused(make: Make) -> None:
    mine, theirs = make(dashboard_password=PASSWORD), make(dashboard_password=PASSWORD)
    mine.log_in()
    theirs.log_in()
    assert mine.post("/logout", theirs.token()).status_code == 403


def test_authorize_decides_by_the_request(make: Make) -> None:
    reader = make(lambda request: request.headers.get("X-Staff") == "yes")
    assert reader.get().status_code == 403
    assert "PATHHITS" not in reader.get().text
    assert reader.get(headers={"X-Staff": "yes"}).status_code == 200
    assert reader.get("/health", headers={"X-Staff": "yes"}).status_code == 200


def test_public_shows_counts_and_neither_events_nor_buttons(make: Make) -> None:
    reader = make(dashboard_public=True)
    assert reader.get().status_code == 200
    private = [endpoint.name for endpoint in ENDPOINTS if endpoint.private]
    assert private == ["searches", "events", "health"]
    for name in private:
        assert (reader.get(f"/{name}").status_code, reader.get(f"/api/v1/{name}").status_code) == (403, 401)
    assert (reader.post("/logout").status_code, reader.post("/retry", job="sync").status_code) == (403, 403)


def test_what_somebody_searched_for_is_never_public(make: Make) -> None:
    reader = make(dashboard_public=True, dashboard_password=PASSWORD)
    reader.hits.track_search("is my neighbour anna ill", result_count=1, user_agent=BROWSER)
    reader.hits.track_hit("/")
    reader.hits.track_search("anna has what", result_count=0, user_agent=BROWSER)
    assert reader.hits.flush()
    reader.hits.sync(force=True)
    for path in ("/searches", "/searches?failed=1", "/api/v1/searches", "/api/v1/searches.csv?failed=1"):
        assert reader.get(path).status_code == 401, path
    for path in ("/", "/?range=today", "/items", "/paths", "/api/v1/summary"):
        answer = reader.get(path)
        assert answer.status_code == 200
        assert "anna" not in answer.text
        assert "earches" not in answer.text
    key = reader.hits.api_keys.add("one", ("read",))
    assert "anna" in reader.get("/api/v1/searches.csv", headers={"X-API-Key": key}).text
    reader.log_in()
    assert "neighbour" in reader.get("/").text
    assert "anna has what" in reader.get("/searches?failed=1").text


def test_public_with_a_password_has_a_login_for_the_rest(make: Make) -> None:
    reader = make(dashboard_public=True, dashboard_password=PASSWORD)
    assert reader.get("/health").status_code == 401
    reader.log_in()
    assert reader.get("/health").status_code == 200


def test_every_answer_is_sealed(make: Make) -> None:
    reader = make(dashboard_password=PASSWORD)
    for path in ("/", "/login", "/nothing", "/static/x/dashboard.css"):
        headers = reader.get(path).headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "*" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
    assert reader.get().headers["Cache-Control"] == "private, no-store"


def test_the_theme_is_remembered_and_is_in_the_page_that_the_server_sends(make: Make) -> None:
    reader = make(dashboard_password=PASSWORD)
    assert 'data-theme="' not in reader.get("/login").text
    assert reader.post("/theme", theme="dark", next="/_pathhits/login").location == "/_pathhits/login"
    assert 'data-theme="dark"' in reader.get("/login").text
    reader.post("/theme", theme="'><script>")
    assert 'data-theme="' not in reader.get("/login").text


def test_without_redis_a_page_says_so_and_nobody_is_let_in(sqlite_url: str) -> None:
    hits = PathHits(redis_url="redis://127.0.0.1:1/0", database_url=sqlite_url, dashboard_password=PASSWORD)
    app = Flask("shop")
    hits.init_app(app, dashboard="/_pathhits")
    answer = Reader(app).get()
    assert answer.status_code == 503
    assert "does not answer" in answer.text
    hits.close(0.1)


def test_without_redis_who_logged_in_still_sees_what_is_wrong_and_nothing_else(
    sqlite_url: str, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, out = make(dashboard_password=PASSWORD), make(dashboard_password=PASSWORD)
    for one in (reader, out):
        one.log_in()
        token, cookie = one.token(), _cookie(one)
    for method in ("has_ended", "end", "secret", "attempt"):
        monkeypatch.setattr(DashboardStore, method, _gone)
    clock = time.monotonic() + sessions.KEY_KEPT
    monkeypatch.setattr(sessions, "monotonic", lambda: clock)
    assert reader.get("/meaning").status_code == 200
    health = reader.get("/health")
    assert health.status_code == 200
    assert "Checks" in health.text
    for path in ("/", "/items", "/searches", "/events", "/drops"):
        assert reader.get(path).status_code == 503, path
    for path in ("/retry", "/logout"):
        assert reader.post(path, token, job="sync").status_code == 503, path
    # Nobody is let in by less than a cookie that we signed.
    stranger = make(dashboard_password=PASSWORD)
    stranger.client.set_cookie("pathhits_session", cookie, path="/_pathhits")
    assert stranger.get("/health").status_code == 503
    reader.client.set_cookie("pathhits_session", cookie[:-9] + "A" * 9, path="/_pathhits")
    assert reader.get("/health").status_code == 401


def _gone(*_: Any) -> Any:
    raise redis.ConnectionError("gone")


def test_a_short_password_stops_the_start_and_is_not_shown() -> None:
    with pytest.raises(SettingsError, match="DASHBOARD_PASSWORD") as caught:
        PathHits(dashboard_password="hunter2")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("path", ["stats", "/", "//"])
def test_a_mount_that_is_no_path_stops_the_start(make: Make, path: str) -> None:
    with pytest.raises(SettingsError, match="give a path"):
        PathHits().init_app(Flask("shop"), dashboard=path)


def _cookie(reader: Reader) -> str:
    cookie = reader.client.get_cookie("pathhits_session", path="/_pathhits")
    assert cookie is not None
    return cookie.value
