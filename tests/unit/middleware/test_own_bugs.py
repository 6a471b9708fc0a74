"""A bug of ours never reaches the app or the visitor, a stream is never collected, and no garbage is left."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from pathhits.capture import recorder as recorder_module
from pathhits.hits import DROPS, REQUESTS
from pathhits.middleware import asgi, flask, wsgi
from tests.unit.middleware import asgi_cases, wsgi_cases
from tests.unit.middleware.harness import (
    Case,
    Count,
    Wrap,
    WsgiCase,
    asgi_class,
    environ,
    flask_class,
    scope,
    wsgi_class,
)

CASES: list[tuple[list[Any], Wrap]] = [
    (wsgi_cases.CASES, wsgi_class(wsgi)),
    ([case for case in wsgi_cases.FLASK if case.verdict], flask_class(flask)),
    (asgi_cases.CASES, asgi_class(asgi)),
]


def _bug(*args: Any, **named: Any) -> Any:
    raise ZeroDivisionError("a bug of ours")


def _append(count: Count, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(count.recorder, "_append", _bug)


def _guard(count: Count, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(count.recorder, "_append", _bug)
    patch.setattr(count.guard, "failed", _bug)


def _judging(count: Count, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(recorder_module, "starts_at_zero", _bug)
    patch.setattr(count.buffer._reader, "_count_statuses", None)


def _exchange(count: Count, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(wsgi, "EnvironExchange", _bug)
    patch.setattr(asgi, "ScopeExchange", _bug)


def _route(count: Count, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(wsgi, "note_wsgi_route", _bug)
    patch.setattr(flask, "note_wsgi_route", _bug)
    patch.setattr(asgi, "AsgiRoutes", lambda app: SimpleNamespace(note=_bug))


def _look(count: Count, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(wsgi, "watched", _bug)
    patch.setattr(flask, "watched", _bug)
    patch.setattr(asgi, "is_disconnect", lambda error: False)


BUGS: list[Callable[[Count, pytest.MonkeyPatch], None]] = [_append, _guard, _judging, _exchange, _route, _look]


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.__name__.strip("_"))
@pytest.mark.parametrize(("cases", "wrap"), CASES, ids=["wsgi", "flask", "asgi"])
def test_no_bug_of_ours_changes_a_response(
    cases: list[Case], wrap: Wrap, bug: Callable[[Count, pytest.MonkeyPatch], None]
) -> None:
    different = []
    for case in cases:
        bare = case.trace(None)
        count = Count()
        with pytest.MonkeyPatch.context() as patch:
            bug(count, patch)
            if bare.events != case.trace(wrap, count).events:
                different.append(case.name)
        count.close()
    assert different == []


@pytest.mark.parametrize(("cases", "wrap"), CASES, ids=["wsgi", "flask", "asgi"])
def test_a_request_that_a_bug_kept_from_being_counted_is_a_drop(cases: list[Case], wrap: Wrap) -> None:
    count = Count()
    with pytest.MonkeyPatch.context() as patch:
        _exchange(count, patch)
        for case in cases:
            case.trace(wrap, count)

    assert count.total(REQUESTS) == sum(bool(case.verdict) for case in cases)
    assert count.total(DROPS) == count.sums.deltas[DROPS, "internal"] == count.total(REQUESTS)
    count.close()


class Piece(bytes):
    """A piece that tells how many of its kind there are."""

    alive = most = 0

    def __new__(cls) -> Piece:
        cls.alive += 1
        cls.most = max(cls.most, cls.alive)
        return super().__new__(cls, b"piece")

    def __del__(self) -> None:
        type(self).alive -= 1


def _endless(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
    start_response("200 OK", [])
    while True:
        yield Piece()


def test_an_endless_wsgi_stream_is_passed_on_piece_by_piece() -> None:
    count = Count()
    body = wsgi_class(wsgi)(_endless, count.recorder)(environ(), lambda status, headers: None)

    Piece.most = 0
    for number, _ in enumerate(body):
        if number == 10_000:
            break
    body.close()

    assert Piece.most <= 3
    assert count.verdict() == "hit"
    count.close()


def test_a_long_asgi_stream_is_passed_on_piece_by_piece() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(asgi_cases.start(200, []))
        for _ in range(10_000):
            await send({"type": "http.response.body", "body": Piece(), "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def nowhere(message: Any = None) -> None:
        pass

    count = Count()
    Piece.most = 0
    asyncio.run(asgi_class(asgi)(app, count.recorder)(scope(), nowhere, nowhere))

    assert Piece.most <= 3
    assert count.verdict() == "hit"
    count.close()


@pytest.mark.parametrize("kind", sorted(set(wsgi_cases.KINDS) - {"replaced before sent"}))
def test_a_request_leaves_nothing_more_to_the_garbage_collector(kind: str) -> None:
    make = wsgi_cases.KINDS[kind]
    count = Count()
    case = WsgiCase(kind, lambda trace: make(trace, "200 OK", [], [b"one", b"two"]), "hit")
    wrapped = _garbage(lambda: case.trace(wsgi_class(wsgi), count))

    # What the tests' own trace and body hold of each other. (An exc_info holds the frames it came through, hence not.)
    assert wrapped == _garbage(lambda: case.trace(None))
    count.close()


def _garbage(call: Callable[[], object]) -> int:
    """How many objects only the collector can free after ten calls; the least of three tries, as threads of tests
    that ran before may leave some of their own meanwhile."""
    return min(_garbage_once(call) for _ in range(3))


def _garbage_once(call: Callable[[], object]) -> int:
    call()
    # What other tests have left is not looked at: with all of it a collection takes seconds.
    gc.freeze()
    gc.disable()
    try:
        for _ in range(10):
            call()
        return gc.collect()
    finally:
        gc.enable()
        gc.unfreeze()
