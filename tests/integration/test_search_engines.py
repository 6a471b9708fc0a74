"""Popularity in Elasticsearch and OpenSearch: their own clients, over HTTP, to a server that knows the protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from elasticsearch import Elasticsearch
from opensearchpy import OpenSearch

from pathhits import ItemPopularity, PathHits, PathHitsError
from pathhits.integrations.elasticsearch import ElasticsearchSink
from pathhits.integrations.opensearch import OpenSearchSink
from pathhits.jobs import bulk
from pathhits.jobs.bulk import TRIES, BulkSink
from tests.integration.test_popularity import see
from tests.servers.bulk import BulkServer

#: Where nothing listens.
NOBODY = "http://127.0.0.1:1"

Make = Callable[..., BulkSink]


@pytest.fixture
def server() -> Iterator[BulkServer]:
    with BulkServer() as server:
        yield server
        assert server.problems == []


@pytest.fixture(params=["elasticsearch", "opensearch"])
def make(request: pytest.FixtureRequest, server: BulkServer) -> Iterator[Make]:
    """Makes a sink of the index "products", that does not really wait."""
    client: Any
    sink: type[BulkSink]
    if request.param == "elasticsearch":
        client, sink = Elasticsearch(server.url), ElasticsearchSink
    else:
        server.product = "OpenSearch"
        client, sink = OpenSearch([server.url], max_retries=0), OpenSearchSink

    def made(**options: Any) -> BulkSink:
        given: dict[str, Any] = {"sleep": lambda seconds: None, "upsert": True}
        return sink(client, "products", **given | options)

    yield made
    client.close()


def some(n: int, start: int = 0) -> list[ItemPopularity]:
    return [ItemPopularity("product", f"p{i}", i / 2, {"views": i}) for i in range(start, start + n)]


def ids(server: BulkServer) -> list[str]:
    return sorted(identity for _, identity in server.documents)


def test_documents_get_popularity_views_and_counters(make: Make, server: BulkServer) -> None:
    server.documents["products", "p1"] = {"name": "Pan", "views": 0}
    make().send(some(2))
    assert server.documents == {
        ("products", "p0"): {"views": 0, "popularity": 0.0},
        ("products", "p1"): {"name": "Pan", "views": 1, "popularity": 0.5},
    }


def test_a_document_that_is_not_there_is_made_only_if_asked(make: Make, server: BulkServer) -> None:
    server.documents["products", "p1"] = {}
    make(upsert=False).send(some(3))
    assert ids(server) == ["p1"]
    assert server.tries == {"p0": 1, "p1": 1, "p2": 1}, "that it is missing is an answer"


def test_the_app_says_what_a_document_is_called_and_holds(make: Make, server: BulkServer) -> None:
    sink = make(
        document_id=lambda item: f"{item.item_type}-{item.item_id}", fields=lambda item: {"rank": item.popularity}
    )
    sink.send(some(1, 4))
    assert server.documents == {("products", "product-p4"): {"rank": 2.0}}


def test_only_the_documents_that_were_refused_for_now_are_sent_again(make: Make, server: BulkServer) -> None:
    refusals = {"p1": 429, "p3": 409, "p5": 503}
    server.single = lambda identity, attempt: refusals.get(identity, 0) if attempt < 3 else 0
    waits: list[float] = []
    make(sleep=waits.append).send(some(6))
    assert ids(server) == [f"p{i}" for i in range(6)]
    assert (server.sizes, server.tries["p0"], server.tries["p1"]) == ([6, 3, 3], 1, 3)
    assert len(waits) == 2


def test_a_document_that_is_refused_each_time_ends_it_within_bounds(make: Make, server: BulkServer) -> None:
    server.single = lambda identity, attempt: 429 if identity == "p1" else 0
    with pytest.raises(PathHitsError, match="products: 1 documents were not taken: 429: made"):
        make().send(some(3))
    assert (ids(server), server.tries["p1"]) == (["p0", "p2"], TRIES)


def test_a_document_that_is_refused_for_good_is_said_and_left_out(
    make: Make, server: BulkServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.single = lambda identity, attempt: 400 if identity == "p1" else 0
    make().send(some(3))
    assert (ids(server), server.tries["p1"]) == (["p0", "p2"], 1)
    said = [record.getMessage() for record in caplog.records if record.name == "pathhits"]
    assert said == ["products refused document p1 for good: made"]


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_server_that_is_busy_is_asked_again(make: Make, server: BulkServer, status: int) -> None:
    server.whole = [status, status]
    make().send(some(2))
    assert (ids(server), server.sizes) == (["p0", "p1"], [2])


def test_a_server_that_stays_busy_is_given_up(make: Make, server: BulkServer) -> None:
    server.whole = [503] * (TRIES + 3)
    with pytest.raises(PathHitsError, match="2 documents were not taken: 503"):
        make().send(some(2))
    assert len(server.whole) == 3


@pytest.mark.parametrize("status", [400, 401, 403])
def test_a_server_that_refuses_everything_is_asked_once(make: Make, server: BulkServer, status: int) -> None:
    server.whole = [status, status]
    with pytest.raises(PathHitsError, match=f"products: {status}"):
        make().send(some(2))
    assert len(server.whole) == 1


def test_a_request_that_is_too_large_is_halved(make: Make, server: BulkServer) -> None:
    server.largest = 3
    make().send(some(10))
    assert ids(server) == [f"p{i}" for i in range(10)]
    assert all(size <= 3 or size in (10, 5) for size in server.sizes)
    server.largest = 0
    with pytest.raises(PathHitsError, match="413"):
        make().send(some(2))


def test_requests_have_bounds(make: Make, server: BulkServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "DOCUMENTS", 4)
    make().send(some(10))
    assert server.sizes == [4, 4, 2]
    monkeypatch.setattr(bulk, "REQUEST_SIZE", 1_000)
    server.sizes.clear()
    make(fields=lambda item: {"text": "x" * 400}).send(some(4))
    assert server.sizes == [2, 2]


def test_a_server_that_was_away_catches_up(make: Make, server: BulkServer, redis_url: str, sqlite_url: str) -> None:
    hits = PathHits(redis_url=redis_url, database_url=sqlite_url, request_deadline=60.0)
    hits.migrate()
    hits.popularity_sink(make(), "product")
    see(hits, "pan", "jug")
    server.whole = [503] * TRIES
    assert hits.refresh_popularity().failed
    assert server.documents == {}
    assert hits.refresh_popularity().checked().sinks[0].name == "index products"
    assert ids(server) == ["jug", "pan"]
    assert server.documents["products", "pan"]["views"] == 1
    hits.close(0.1)


@pytest.mark.parametrize("engine", ["elasticsearch", "opensearch"])
def test_where_nothing_listens_it_is_tried_within_bounds(engine: str) -> None:
    client: Any = Elasticsearch(NOBODY) if engine == "elasticsearch" else OpenSearch([NOBODY], max_retries=0)
    waits: list[float] = []
    kind: type[BulkSink] = ElasticsearchSink if engine == "elasticsearch" else OpenSearchSink
    sink = kind(client, "products", sleep=waits.append)
    with pytest.raises(PathHitsError, match="1 documents were not taken: no answer: "):
        sink.send(some(1))
    assert len(waits) == TRIES - 1
    client.close()
