"""The API as another program sees it: who may ask, both forms, caching, problems, and events that it takes in."""

from __future__ import annotations

import csv
import io
import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Blueprint, Flask, Request
from flask.testing import FlaskClient
from werkzeug.test import Client, TestResponse

from pathhits import PathHits
from pathhits.dashboard.api.counter import add_counter
from pathhits.dashboard.api.endpoints import ENDPOINTS
from pathhits.dashboard.api.ingestion import MOST_EVENTS
from pathhits.dashboard.api.serving import add_api
from pathhits.errors import PathHitsError, SettingsError
from pathhits.hits import DROPS, HITS, REQUESTS, VIEWS, Batch, Delta

API = "/_pathhits/api/v1"
#: Labels that somebody wrote who means no good.
HOSTILE = (
    "=cmd|' /C calc'!A0", "+1+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "<script>alert(1)</script>", "/x\u202egnp.exe",
    "/" + "ä" * 5_000, '","', "/a\nb", "＝1", "/café", "{{7*7}}",
)  # fmt: skip
_numbers = itertools.count(1)


class Door:
    """Lets in whom the test says."""

    def __init__(self, *, reads: bool = False, acts: bool = False) -> None:
        self.reads = reads
        self.acts = acts

    def may_read(self, request: Request) -> bool:
        return self.reads or self.acts

    def may_act(self, request: Request) -> bool:
        return self.acts

    def told(self, request: Request, error: PathHitsError) -> str:
        return str(error) if self.acts else ""


@pytest.fixture
def hits(redis_url: str, database_url: str) -> Iterator[PathHits]:
    hits = PathHits(redis_url=redis_url, database_url=database_url, request_deadline=60.0, public_counter=True)
    hits.migrate()
    yield hits
    hits.close(0.1)


@pytest.fixture
def lite(redis_url: str, sqlite_url: str) -> Iterator[PathHits]:
    hits = PathHits(redis_url=redis_url, database_url=sqlite_url, request_deadline=60.0, public_counter=True)
    hits.migrate()
    yield hits
    hits.close(0.1)


def client_of(hits: PathHits, door: Door | None = None) -> FlaskClient:
    app = Flask(__name__)
    blueprint = Blueprint("pathhits", __name__)
    add_api(blueprint, hits, door or Door(acts=True))
    add_counter(blueprint, hits)
    app.register_blueprint(blueprint, url_prefix="/_pathhits")
    return app.test_client()


def put(hits: PathHits, deltas: dict[Delta, int]) -> None:
    number = next(_numbers)
    added = hits.pending.add(Batch("test", number, f"g{number}", deltas, {}), "")
    assert (added.status, added.rejected) == ("added", ())


def this_hour() -> int:
    import time

    return int(time.time() // 3600)


def rows_of(response: TestResponse) -> list[list[str]]:
    return list(csv.reader(io.StringIO(response.text)))


def problem(response: TestResponse, status: int) -> dict[str, Any]:
    assert (response.status_code, response.content_type) == (status, "application/problem+json")
    found: dict[str, Any] = json.loads(response.data)
    assert found["status"] == status
    return found


def test_each_endpoint_answers_in_both_forms(hits: PathHits) -> None:
    client = client_of(hits)
    for endpoint in ENDPOINTS:
        own = {"item": "?type=product&id=7", "values": "?of=browser"}.get(endpoint.name, "")
        as_json = client.get(f"{API}/{endpoint.name}{own}")
        assert (as_json.status_code, as_json.content_type) == (200, "application/json"), as_json.text
        as_csv = client.get(f"{API}/{endpoint.name}.csv{own}")
        assert (as_csv.status_code, as_csv.content_type) == (200, "text/csv; charset=utf-8"), as_csv.text
        assert client.get(f"{API}/{endpoint.name}{own}", headers={"Accept": "text/csv"}).mimetype == "text/csv"
        problem(client.get(f"{API}/{endpoint.name}{own}", headers={"Accept": "image/png"}), 406)


def test_lists_are_the_same_in_both_forms_whatever_the_labels_hold(hits: PathHits) -> None:
    for label in HOSTILE:
        hits.track_hit(label)
    hits.flush()
    client = client_of(hits)
    for _ in range(2):
        found = client.get(f"{API}/paths?limit=100").get_json()
        assert found["total"] == len(HOSTILE)
        names, *rows = rows_of(client.get(f"{API}/paths.csv?limit=100"))
        assert names == ["path", "hits", "visitors", "share"]
        assert [row[0].removeprefix("'") for row in rows] == [row["path"].removeprefix("'") for row in found["rows"]]
        assert not [row[0] for row in rows if row[0].startswith(("=", "+", "-", "@", "\t", "\r", "＝"))]
        assert {row[1] for row in rows} == {"1"}
        hits.sync()


def test_numbers_below_nothing_are_no_formulas(lite: PathHits) -> None:
    put(lite, {Delta(this_hour() - ago, HITS, "/"): n for ago, n in ((24, 1), (48, 4), (24 * 9, 1))})
    rows = {row[0]: row[1:] for row in rows_of(client_of(lite).get(f"{API}/summary.csv?range=yesterday"))}
    assert rows["hits"] == ["1", "1", "4", "-0.75"]


def test_a_bad_parameter_is_named_and_an_unknown_one_too(lite: PathHits) -> None:
    client = client_of(lite)
    for url, field in (
        ("summary?range=ever", "range"),
        ("summary?tz=Nowhere/Else", "tz"),
        ("series?by=minute", "by"),
        ("paths?limit=0", "limit"),
        ("paths?page=1&page=2", "page"),
        ("paths?colour=red", "colour"),
        ("active?range=7d", "range"),
        ("item?type=product", "id"),
        ("item?type=Pro%00duct&id=1", "type"),
        ("hot?type=No!", "type"),
        ("health.csv?of=points", "of"),
        ("item?type=product&id=1&of=checks", "of"),
        ("values", "of"),
        ("sources?of=browser", "of"),
        ("series?browser=Firefox&by=hour", "by"),
        ("paths?browser=Firefox&path=/", "browser"),
        ("events?page=10000&limit=500", "page"),
        ("events?name=%00", "name"),
        ("paths?search=%00", "search"),
    ):
        assert problem(client.get(f"{API}/{url}"), 400)["field"] == field


def test_what_is_not_there_is_a_problem_too(lite: PathHits) -> None:
    client = client_of(lite)
    problem(client.get(f"{API}/secrets"), 404)
    problem(client.get("/_pathhits/api/v2/summary"), 404)
    refused = client.delete(f"{API}/paths")
    problem(refused, 405)
    assert "GET" in refused.headers["Allow"]


def test_an_answer_that_did_not_change_is_not_sent_again(lite: PathHits) -> None:
    client = client_of(lite)
    first = client.get(f"{API}/paths")
    assert first.headers["Cache-Control"] == "private, no-cache"
    again = client.get(f"{API}/paths", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    put(lite, {Delta(this_hour(), HITS, "/"): 1})
    assert client.get(f"{API}/paths", headers={"If-None-Match": first.headers["ETag"]}).status_code == 200
    assert "max-age=300" in client.get(f"{API}/paths?since=2020-01-01&until=2020-01-31").headers["Cache-Control"]


def test_no_key_and_a_wrong_key_are_401_and_a_key_without_the_scope_403(hits: PathHits) -> None:
    reader, writer = hits.api_keys.add("reader", ("read",)), hits.api_keys.add("writer", ("write",))
    client = client_of(hits, Door())

    def get(key: str, header: str = "Authorization") -> TestResponse:
        return client.get(f"{API}/summary", headers={header: f"Bearer {key}" if header == "Authorization" else key})

    assert problem(client.get(f"{API}/summary"), 401)["type"].endswith("no-key")
    assert client.get(f"{API}/summary").headers["WWW-Authenticate"].startswith("Bearer")
    assert problem(get("phk_wrong"), 401)["type"].endswith("unknown-key")
    assert problem(get("x" * 10_000), 401)
    assert problem(get(writer), 403)["type"].endswith("scope")
    assert get(reader).status_code == get(reader, "X-API-Key").status_code == 200
    for path in ("health", "events", "../../metrics"):
        assert (
            client.get(f"{API}/{path}".replace("api/v1/../../", ""), headers={"X-API-Key": reader}).status_code == 200
        )
    assert hits.api_keys.remove("reader")
    assert not hits.api_keys.remove("reader")
    problem(get(reader), 401)
    assert [key.name for key in hits.api_keys.known()] == ["writer"]
    with pytest.raises(SettingsError, match="already"):
        hits.api_keys.add("writer", ("read",))


def test_everybody_may_read_counts_and_nothing_else_where_they_are_public(lite: PathHits) -> None:
    client = client_of(lite, Door(reads=True))
    assert client.get(f"{API}/summary").status_code == 200
    for path in (f"{API}/searches", f"{API}/searches.csv", f"{API}/events", f"{API}/health", "/_pathhits/metrics"):
        problem(client.get(path), 401)
    problem(client.post(f"{API}/events", json={"events": [{"name": "product.liked", "item_id": 1}]}), 401)


def test_no_key_is_kept_as_it_is(hits: PathHits) -> None:
    from sqlalchemy import select

    from pathhits.storage.sql import tables

    key = hits.api_keys.add("one", ("read", "write"))
    with hits.engine.connect() as connection:
        [row] = connection.execute(select(tables.api_keys)).all()
    assert key.encode() not in bytes(row.key_hash)
    assert key not in str(row)


def send(client: FlaskClient, key: str, events: Any) -> TestResponse:
    return client.post(f"{API}/events", json={"events": events}, headers={"Authorization": f"Bearer {key}"})


def test_events_are_taken_in_each_apart_and_once_by_key(lite: PathHits) -> None:
    key = lite.api_keys.add("shop", ("write",))
    client = client_of(lite, Door())
    batch: list[Any] = [
        {"name": "product.liked", "item_id": 7, "key": "a"},
        {"name": "product.liked", "item_id": "8", "properties": {"from": "mail"}, "ip": "192.0.2.7", "user_agent": "X"},
        {"name": "product.liked"},
        {"name": "nonsense", "item_id": 1},
        {"name": "product.rated", "item_id": 1, "value": 9},
        {"name": "product.liked", "item_id": 1, "ip": "here"},
        {"name": "product.liked", "item_id": 1, "colour": "red"},
        {"name": "product.liked", "item_id": {"a": 1}},
        {"name": "product.liked", "item_id": 1, "properties": [1]},
        {"name": "product.liked", "item_id": 1, "user_id": "\ud800"},
        "product.liked",
        {"name": "search.performed", "properties": {"query": "<b>"}},
    ]
    for _ in range(2):
        receipt = send(client, key, batch)
        assert receipt.status_code == 202
        found = receipt.get_json()
        assert (found["accepted"], found["stored"]) == (3, True)
        assert [one["index"] for one in found["rejected"]] == list(range(2, 11))
        fields = [one["field"] for one in found["rejected"]]
        assert fields == [None, None, None, "ip", "colour", "item_id", "properties", "user_id", "events"]
    lite.sync()
    assert lite.counter("product", 7, "likes") == 1
    assert lite.counter("product", 8, "likes") == 2


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, b"{", "application/json"),
        (400, b"[" * 100_000, "application/json"),
        (400, b"[]", "application/json"),
        (400, b'{"events": []}', "application/json"),
        (400, b'{"events": {}, "more": 1}', "application/json"),
        (400, b"\xff", "application/json"),
        (413, json.dumps({"events": [{"name": "a.b"}] * (MOST_EVENTS + 1)}).encode(), "application/json"),
        (413, b" " * 3_000_000, "application/json"),
        (415, b"events=1", "application/x-www-form-urlencoded"),
    ],
)
def test_a_batch_that_is_none_is_a_problem(lite: PathHits, status: int, body: bytes, kind: str) -> None:
    key = lite.api_keys.add("shop", ("write",))
    headers = {"Authorization": f"Bearer {key}", "Content-Type": kind}
    problem(client_of(lite).post(f"{API}/events", data=body, headers=headers), status)


def test_a_store_that_is_away_is_503_and_names_itself_to_who_may_know(sqlite_url: str) -> None:
    gone = PathHits(redis_url="redis://127.0.0.1:1/0", database_url=sqlite_url, redis_timeout=0.2)
    gone.migrate()
    said = problem(client_of(gone).get(f"{API}/summary"), 503)
    assert said["type"].endswith("store-unavailable")
    assert "127.0.0.1:1" in said["detail"]
    public = client_of(gone, Door(reads=True))
    assert problem(public.get(f"{API}/summary"), 503)["detail"].startswith("A store does not answer.")
    key = {"X-API-Key": gone.api_keys.add("grafana", ("read",))}
    assert "127.0.0.1:1" in problem(public.get(f"{API}/summary", headers=key), 503)["detail"]
    assert client_of(gone).get(f"{API}/health").get_json()["state"] == "error"
    assert client_of(gone).get("/_pathhits/metrics").status_code == 200
    gone.close(0.1)


def test_tables_that_are_not_there_are_503(redis_url: str, sqlite_url: str) -> None:
    hits = PathHits(redis_url=redis_url, database_url=sqlite_url)
    assert "db upgrade" in problem(client_of(hits).get(f"{API}/summary"), 503)["detail"]
    hits.close(0.1)


def test_the_counter_shows_the_hits_of_a_label_and_may_be_kept(lite: PathHits) -> None:
    put(lite, {Delta(this_hour(), HITS, "/about"): 1234, Delta(this_hour(), HITS, "product_detail"): 1})
    client = client_of(lite, Door())
    for label in ("about", "/about"):
        found = client.get(f"/_pathhits/count/{label}.json", follow_redirects=True)
        assert found.get_json() == {"count": 1234, "text": "1,234"}
        assert found.headers["Cache-Control"] == "public, max-age=60"
    assert "1 view<" in client.get("/_pathhits/count/product_detail.svg").text
    assert client.get("/_pathhits/count/.json").get_json()["count"] == 0
    assert "1,235 views" in client.get("/_pathhits/count/TOTAL.html").text
    evil = client.get("/_pathhits/count/<script>.svg")
    assert "script" not in evil.text
    assert client.get("/_pathhits/count/about.exe").status_code == 404


def test_the_counter_is_off_unless_it_is_turned_on(redis_url: str, sqlite_url: str) -> None:
    hits = PathHits(redis_url=redis_url, database_url=sqlite_url)
    answer = client_of(hits).get("/_pathhits/count/about.json")
    assert (answer.status_code, "PATHHITS_PUBLIC_COUNTER" in answer.text) == (403, True)
    hits.close(0.1)


def test_metrics_are_what_prometheus_reads(lite: PathHits) -> None:
    put(
        lite,
        {Delta(this_hour(), HITS, "/"): 3, Delta(this_hour(), REQUESTS, ""): 5, Delta(this_hour(), DROPS, "bot"): 2},
    )
    client = client_of(lite)
    before = client.get("/_pathhits/metrics").text
    assert "\npathhits_pending_hits 3\n" in before
    lite.sync()
    after = client.get("/_pathhits/metrics").text
    assert "\npathhits_pending_hits 0\n" in after
    for text in (before, after):
        assert "\npathhits_today_requests 5\n" in text
        assert '\npathhits_today_drops{reason="bot"} 2\n' in text
    names = [line.split()[2] for line in after.splitlines() if line.startswith("# TYPE")]
    assert len(names) == len(set(names)) > 10


def test_items_are_found_as_they_are_counted(lite: PathHits) -> None:
    put(lite, {Delta(this_hour(), VIEWS, "product:=1"): 2})
    client = client_of(lite)
    assert client.get(f"{API}/items?type=product").get_json()["rows"][0]["item_id"] == "=1"
    assert rows_of(client.get(f"{API}/items.csv"))[1][:3] == ["product", "'=1", "2"]
    assert client.get(f"{API}/item?type=product&id=%3D1").get_json()["views"] == 2


def test_mounted_it_is_closed_opened_by_the_password_and_by_keys(redis_url: str, sqlite_url: str) -> None:
    closed = PathHits(redis_url=redis_url, database_url=sqlite_url, public_counter=True)
    closed.migrate()
    key = closed.api_keys.add("reader", ("read", "write"))
    shown = {"X-API-Key": key}
    client = Client(closed.dashboard())
    answer = client.get("/api/v1/summary", headers=shown)
    assert (answer.status_code, "PATHHITS_DASHBOARD_PASSWORD" in answer.text) == (403, True)
    assert client.get("/count/about.json").status_code == 200
    opened = PathHits(redis_url=redis_url, database_url=sqlite_url, dashboard_password="a long password")
    client = Client(opened.dashboard())
    problem(client.get("/api/v1/summary"), 401)
    assert client.get("/api/v1/summary", headers=shown).status_code == 200
    assert client.get("/count/about.json").status_code == 403
    events = {"events": [{"name": "product.liked", "item_id": 1}]}
    assert client.post("/api/v1/events", json=events, headers=shown).status_code == 202
    problem(client.post("/api/v1/events", json=events), 401)
    assert client.get("/?browser=Firefox").status_code == 401
    for url in ("/api/v1/summary", "/api/v1/nothing", "/metrics"):
        assert "Set-Cookie" not in client.get(url).headers
    public = PathHits(redis_url=redis_url, database_url=sqlite_url, dashboard_public=True)
    narrowed = Client(public.dashboard()).get("/?browser=Firefox&range=today")
    assert (narrowed.status_code, "Firefox" in narrowed.text) == (200, True)
    for hits in (closed, opened, public):
        hits.close(0.1)
