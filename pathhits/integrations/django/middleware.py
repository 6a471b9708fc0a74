"""`PathHitsMiddleware`: counts what passes through Django's handler, sync or async."""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, MutableMapping
from contextvars import Token
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.core.exceptions import MiddlewareNotUsed
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from pathhits.capture.exchange import Exchange, current
from pathhits.capture.recorder import Recorder
from pathhits.integrations.django.configured import hits
from pathhits.integrations.django.labels import note_match, path_and_root
from pathhits.middleware.wsgi import ENVIRON_KEY, EnvironReader

GetResponse = Callable[[HttpRequest], Any]
#: What undoes that an exchange became `current`.
Began = Token[Exchange | None]


class PathHitsMiddleware:
    """Counts each request once, also where the WSGI or ASGI app around Django is counted: then it adds the route.

    Put it first in ``MIDDLEWARE``, so that it sees what the visitor gets. Views' errors have become responses of
    status 500 when they come here.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: GetResponse) -> None:
        settings = hits.settings
        if not settings.enabled:
            raise MiddlewareNotUsed("pathhits is not enabled")
        self._get_response = get_response
        self._recorder = hits.recorder
        self._asking = hits.asking
        self._read = EnvironReader(settings.believed_header).read
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if self._is_async:
            return self._answer(request)
        exchange, token = self._begun(request)
        try:
            response: HttpResponseBase = self._get_response(request)
        except BaseException as error:
            self._broken(exchange, token, error)
            raise
        finally:
            if token is not None:
                current.put_back(token)
        self._answered(request, response, exchange, token)
        return response

    async def _answer(self, request: HttpRequest) -> HttpResponseBase:
        exchange, token = self._begun(request)
        try:
            response: HttpResponseBase = await self._get_response(request)
        except BaseException as error:
            self._broken(exchange, token, error)
            raise
        finally:
            if token is not None:
                current.put_back(token)
        try:
            if self._asking.wanted and exchange is not None:
                await self._attend(request, exchange)
        finally:
            self._answered(request, response, exchange, token)
        return response

    async def _attend(self, request: HttpRequest, exchange: Exchange) -> None:
        """Ask where the ORM may be used, as ``request.user`` may do."""
        try:
            if request.method == "GET" and exchange.name is None and exchange.pattern is None:
                note_match(exchange, request)
            if self._asking.shows_item(exchange):
                await sync_to_async(self._recorder.attend)(exchange)
        except Exception as error:
            self._recorder.unlabelled(None, error)

    def _begun(self, request: HttpRequest) -> tuple[Exchange | None, Began | None]:
        """The exchange of this request, and what made it `current`: None where a middleware further out counts."""
        try:
            scope: MutableMapping[str, Any] | None = getattr(request, "scope", None)
            place = request.META if scope is None else scope
            if ENVIRON_KEY in place and place[ENVIRON_KEY].under_way:
                outer: Exchange = place[ENVIRON_KEY]
                if self._asking.wanted:
                    outer.request = lambda: request
                return outer, None
            exchange = place[ENVIRON_KEY] = self._read(request.META)
            # Django has decoded what META says of the path; without a mount that is all of it.
            exchange.path, exchange.root = path_and_root(request) if exchange.taken[1] else (request.path, "")
            # They are looked at before they are set, and are found in the exchange sooner than on its class.
            exchange.name = exchange.pattern = None
            if self._asking.wanted:
                exchange.request = lambda: request
            return exchange, current.set(exchange)
        except Exception as error:
            self._recorder.broken(error)
            return None, None

    def _broken(self, exchange: Exchange | None, token: Began | None, error: BaseException) -> None:
        """No response: Django turns what views raise into one, so this is the end of the process, or of the client."""
        if token is not None and exchange is not None:
            exchange.failed = not isinstance(error, CancelledError)
            self._recorder.record(exchange)

    def _answered(
        self, request: HttpRequest, response: HttpResponseBase, exchange: Exchange | None, token: Began | None
    ) -> None:
        """Note the route, and unless somebody further out does so, the response."""
        if exchange is None:
            return
        recorder = self._recorder
        try:
            if exchange.pattern is None and exchange.name is None and request.method == "GET":
                note_match(exchange, request)
                if not recorder.item_routes:
                    exchange.params = None
            if self._asking.wanted and not self._is_async:
                recorder.attend(exchange)
        except Exception as error:
            recorder.unlabelled(exchange, error)
        if token is None:
            return
        try:
            status = exchange.status = response.status_code
            try:
                exchange.content_type = response.headers["Content-Type"]
            except KeyError:
                # It has none; to ask by `get` costs every other response two calls more.
                exchange.content_type = ""
            if status == 206:
                exchange.content_range = response.headers.get("Content-Range", "")
            if response.streaming and not recorder.is_settled(exchange) and not _is_file(response):
                _watch(response, exchange, recorder)
            else:
                recorder.record(exchange)
        except Exception as error:
            recorder.broken(error)


def _is_file(response: HttpResponseBase) -> bool:
    """Whether the server may send this file in its own fast way, which a watch over its pieces would prevent."""
    return getattr(response, "file_to_stream", None) is not None


def _watch(response: Any, exchange: Exchange, recorder: Recorder) -> None:
    """Record the exchange when the stream ends, breaks, or is closed."""
    kind = _AsyncStream if response.is_async else _Stream
    response.streaming_content = kind(response.streaming_content, exchange, recorder)


class _Watched:
    """The exchange of a stream, recorded once. Django closes responses; ``__del__`` is for those it forgot."""

    def __init__(self, pieces: Any, exchange: Exchange, recorder: Recorder) -> None:
        self._pieces = pieces
        self._exchange: Exchange | None = exchange
        self._recorder = recorder

    def close(self) -> None:
        """The response is over; a client that went away before its end is a hit all the same."""
        self._finish(failed=False)

    def __del__(self) -> None:
        self._finish(failed=False)

    def _finish(self, *, failed: bool) -> None:
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.failed = failed
            self._recorder.record(exchange)


class _Stream(_Watched):
    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            piece: bytes = next(self._pieces)
        except StopIteration:
            self._finish(failed=False)
            raise
        except BaseException:
            self._finish(failed=True)
            raise
        return piece


class _AsyncStream(_Watched):
    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            piece: bytes = await anext(self._pieces)
        except StopAsyncIteration:
            self._finish(failed=False)
            raise
        except CancelledError:
            # The client has gone; `close` says the rest.
            raise
        except BaseException:
            self._finish(failed=True)
            raise
        return piece
