"""The request side: turns a finished exchange into one small tuple on the buffer's queue. Never raises."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from pathhits.capture.asking import Asking
from pathhits.capture.exchange import UNASKED, Exchange, Resolve, current
from pathhits.capture.guard import Guard
from pathhits.capture.unseen import unseen
from pathhits.core.bots import is_prefetch
from pathhits.core.campaigns import MARK
from pathhits.core.statuses import Reason, starts_at_zero
from pathhits.core.visitors import has_cookie
from pathhits.settings import Settings

#: Characters kept of a header that a client writes; no real user agent or chain of proxies is longer.
HEADER_LENGTH = 1024
#: Characters kept of a path: what a server accepts in one request line.
PATH_LENGTH = 65_536


class Entry(NamedTuple):
    """One request as the judge sees it.

    ``reason`` is "" for a candidate hit, else why it is none. ``path`` is None for an explicit label, which is
    then ``name``. ``user_agent`` is None where no request is known. ``params`` are those of the route, ``referrer``
    is the header, None where no request is known. ``viewed`` are the views that the app asked about in the request,
    as `Step.shown` has them. ``user`` and ``item`` (type and id) are what the app said when it
    was asked. With ``left`` it is no request that counts: the client left a page after these seconds. ``host`` is
    where the request was sent to, ``query`` the query string where it speaks of a campaign, ``languages`` the header.
    """

    moment: float
    reason: str
    name: str | None
    pattern: str | None
    path: str | None
    content_type: str
    peer: str
    forwarded: str
    user_agent: str | None
    anonymous: bool
    params: Mapping[str, Any] | None = None
    referrer: str | None = None
    viewed: tuple[tuple[str, str], ...] = ()
    user: str | None = None
    item: tuple[str, str] | None = None
    left: float | None = None
    host: str = ""
    query: str = ""
    languages: str = ""


#: What the buffer queues: an entry, or an exchange that is over. That holds what a server passed on of the request,
#: which is no more than servers accept, for a flush interval.
Noted = Exchange | Entry


class Recorder:
    """Decides what needs no thought, leaves the rest to the flusher, and appends."""

    def __init__(
        self, settings: Settings, append: Callable[[Noted], None], guard: Guard, reader: EntryReader, asking: Asking
    ) -> None:
        #: Statuses, 0 for none yet, with which a response may still become a hit.
        self.open_statuses = frozenset(settings.count_statuses) | {0}
        #: The routes that show items: only while there are some, the parameters of a route are kept.
        self.item_routes = asking.items.by_route
        self.asking = asking
        self._append = append
        self._guard = guard
        self._reader = reader

    def record(self, exchange: Exchange) -> None:
        """Note one finished exchange, as a candidate hit or as a drop with its reason."""
        try:
            exchange.moment = time.time()
            if self.asking.wanted:
                # It is not the flusher's, who may hold on to it for long.
                exchange.request = None
            self._append(exchange)
        except Exception as error:
            self.broken(error)

    def broken(self, error: Exception) -> None:
        """Note a request that a bug of ours kept from being counted; its error is the guard's to tell."""
        try:
            self._guard.failed("internal", error)
            self._append(Entry(time.time(), Reason.INTERNAL, None, None, "", "", "", "", "", True))
        except Exception:
            # The buffer itself is broken, and the guard has just said so.
            pass

    @contextmanager
    def redirected(self, append: Callable[[Noted], None]) -> Iterator[None]:
        """Hand what is recorded meanwhile to ``append``: how `pathhits.testing` counts in memory."""
        before, self._append = self._append, append
        try:
            yield
        finally:
            self._append = before

    def unlabelled(self, exchange: Exchange | None, error: Exception) -> None:
        """Note a bug of ours that kept a route from being found: the request goes by its path."""
        try:
            if exchange is not None:
                exchange.forget_route()
            self._guard.failed("internal", error)
        except Exception:
            # It could not even be said; the visitor's page is what matters.
            pass

    def attend(self, exchange: Exchange) -> None:
        """Have the app asked for what only it knows of an exchange that may become a hit."""
        try:
            if not self.is_settled(exchange):
                if exchange.resolve is not None:
                    exchange.resolve(exchange)
                self.asking.attend(exchange)
        except Exception as error:
            self.unlabelled(None, error)

    def is_settled(self, exchange: Exchange) -> bool:
        """Whether nothing that may still happen to the body can make this exchange a hit."""
        return exchange.method != "GET" or exchange.status not in self.open_statuses

    def track(self, label: str) -> None:
        """Note one hit on an explicit label; inside a request it is that visitor's."""
        try:
            self._append(self._reader.person(current.get())._replace(reason=unseen(), name=str(label)))
        except Exception as error:
            self._guard.failed("internal", error)


class EntryReader:
    """Makes entries of what the recorder noted; the flusher's work, so that no visitor waits for it."""

    def __init__(self, settings: Settings, guard: Guard) -> None:
        self._count_statuses = frozenset(settings.count_statuses)
        self._opt_out = settings.opt_out_cookie
        self._guard = guard

    def read(self, noted: Noted) -> Entry:
        """The entry; where a bug of ours, or a server's oddity, prevents one, that is its reason."""
        if isinstance(noted, Entry):
            return noted
        try:
            return self._entry(noted)
        except Exception as error:
            self._guard.failed("internal", error)
            return Entry(noted.moment, Reason.INTERNAL, None, None, "", "", "", "", "", True)

    def person(self, exchange: Exchange | None) -> Entry:
        """An entry of this moment that says whose it is: the exchange's client, or nobody."""
        now = time.time()
        if exchange is None:
            return Entry(now, "", None, None, None, "", "", "", None, True)
        return Entry(
            now,
            "",
            None,
            None,
            None,
            "",
            exchange.peer or "",
            exchange.forwarded[-HEADER_LENGTH:],
            exchange.user_agent[:HEADER_LENGTH],
            self._is_anonymous(exchange),
            None,
            exchange.referrer[:HEADER_LENGTH],
            **_noted(exchange),
        )

    def _entry(self, exchange: Exchange) -> Entry:
        if exchange.resolve is not None:
            self._resolve(exchange, exchange.resolve)
        path = exchange.path[len(exchange.root) :] if exchange.root else exchange.path
        return Entry(
            exchange.moment,
            self._reason(exchange),
            exchange.name,
            exchange.pattern,
            path[:PATH_LENGTH],
            exchange.content_type,
            exchange.peer or "",
            exchange.forwarded[-HEADER_LENGTH:],
            exchange.user_agent[:HEADER_LENGTH],
            self._is_anonymous(exchange),
            exchange.params,
            exchange.referrer[:HEADER_LENGTH],
            exchange.viewed,
            None if exchange.user is UNASKED else exchange.user,
            exchange.item,
            **_noted(exchange),
        )

    def _is_anonymous(self, exchange: Exchange) -> bool:
        return exchange.privacy == "1" or has_cookie(exchange.cookies, self._opt_out)

    def _resolve(self, exchange: Exchange, resolve: Resolve) -> None:
        try:
            resolve(exchange)
        except Exception as error:
            exchange.forget_route()
            self._guard.failed("internal", error)

    def _reason(self, exchange: Exchange) -> str:
        """Why this exchange is no hit, "" when it may be one."""
        if exchange.method != "GET":
            return Reason.METHOD
        if exchange.failed or not exchange.status:
            return Reason.FAILED
        if exchange.status not in self._count_statuses:
            return Reason.STATUS
        if exchange.status == 206 and not starts_at_zero(exchange.content_range):
            return Reason.RANGE
        if exchange.excluded:
            return Reason.EXCLUDED
        if exchange.purpose and is_prefetch(exchange.purpose):
            return Reason.PREFETCH
        return ""


def _noted(exchange: Exchange) -> dict[str, Any]:
    """What is told apart of a hit by more than its label; a query string is kept for its campaign only."""
    query = exchange.query
    return {
        "host": exchange.host[:HEADER_LENGTH],
        "query": query[:PATH_LENGTH] if MARK in query else "",
        "languages": exchange.languages[:HEADER_LENGTH],
    }
