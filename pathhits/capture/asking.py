"""Asks the app what only it knows of a request, while that is still there: which item it shows, and whose it is."""

from __future__ import annotations

from collections.abc import Callable
from inspect import iscoroutine
from typing import Any

from pathhits.capture.exchange import UNASKED, Exchange
from pathhits.capture.guard import Guard
from pathhits.capture.items import Items
from pathhits.errors import SettingsError

#: From a request, as the framework has it, to the id of its user; None, or no text at all, for nobody.
Identify = Callable[[Any], object]


def check_identify(identify: Identify) -> Identify:
    """The function itself; raises `SettingsError` for what is none."""
    if not callable(identify):
        raise SettingsError(f"identify={identify!r}: give a function from a request to the id of its user, or None")
    return identify


class Asking:
    """The app's own functions, called on the time of a request; what they raise is counted, logged, and stays here."""

    def __init__(self, items: Items, guard: Guard) -> None:
        self.items = items
        self._guard = guard
        self._identify: Identify | None = None
        #: Whether there is anything to ask: a middleware looks at it for each request.
        self.wanted = False

    def identify_by(self, identify: Identify) -> None:
        """Take over the app's function; raises `SettingsError` for what is none, and for a second one."""
        check_identify(identify)
        if self._identify not in (None, identify):
            raise SettingsError("identify= is given twice: one function says whose all requests are")
        self._identify = identify
        self.wanted = True

    def shows_item(self, exchange: Exchange) -> bool:
        """Whether the route of the exchange is one that shows an item, or may."""
        return bool(self.items.shown(exchange.name, exchange.pattern))

    def attend(self, exchange: Exchange) -> None:
        """Ask for the item, and where there is one whose request it is; the exchange holds the answers."""
        if exchange.request is None or exchange.method != "GET":
            return
        for one in self.items.shown(exchange.name, exchange.pattern):
            if one.asks:
                found = self._answer(f"the id of register_item({one.name!r})", one.id, exchange.request)
                exchange.item = None if found is None else (one.name, found)
            if exchange.item is not None or not one.asks:
                self.user(exchange)
                return

    def user(self, exchange: Exchange) -> str | None:
        """The id of the user whose request it is, asked for once; None for nobody, and where asking failed."""
        if exchange.user is UNASKED:
            exchange.user = None
            if self._identify is not None and exchange.request is not None:
                exchange.user = self._answer("identify=", self._identify, exchange.request)
        return exchange.user

    def _answer(self, what: str, ask: Any, request: Callable[[], Any]) -> str | None:
        try:
            found = ask(request())
            if iscoroutine(found):
                found.close()
                raise TypeError("it is async: give a plain function")
            # Now: what stands for a value of the request is nothing any more when that is over.
            return None if found is None else str(found) or None
        except Exception as error:
            self._guard.failed(f"{what} failed", error, quote=False)
            return None
