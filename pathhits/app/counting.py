"""The request side of `PathHits`: middleware, and what an app counts by itself."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable, Mapping
from typing import Any
from wsgiref.types import WSGIApplication

from pathhits.app.declaring import Declaring
from pathhits.capture.asking import Identify
from pathhits.core.rules import Refusal, Verdict
from pathhits.errors import SettingsError
from pathhits.middleware.asgi import AsgiApp, count_asgi
from pathhits.middleware.beacon import serve_asgi, serve_wsgi
from pathhits.middleware.wsgi import count_wsgi

#: Seconds that the end of an ASGI app's lifespan may spend on the last flush.
LIFESPAN_FLUSH = 3.0


class Counting(Declaring):
    """Middleware for any app, and explicit counting."""

    def wsgi(self, app: WSGIApplication) -> WSGIApplication:
        """``app`` with every request counted; its responses are the same to the byte."""
        if not self.settings.enabled:
            return app
        return self.with_beacon(count_wsgi(app, self.recorder, self.settings.believed_header))

    def asgi(
        self, app: AsgiApp, *, has_lifespan: bool = True, as_request: Callable[[Any], Any] | None = None
    ) -> AsgiApp:
        """``app`` with every HTTP request counted; websockets pass, the end of the lifespan flushes.

        ``has_lifespan=False`` says that the app refuses the lifespan, as Django's does: it is answered in its place,
        as uvicorn tells nobody else that it ends. ``as_request`` makes of a scope what ``identify`` and the functions
        of `register_item` are given; without it that is the scope.
        """
        if not self.settings.enabled:
            return app
        header = self.settings.believed_header
        counted = count_asgi(
            app, self.recorder, header, self._last_flush, has_lifespan=has_lifespan, as_request=as_request
        )
        return serve_asgi(counted, self._beacon, header) if self.settings.beacon else counted

    def with_beacon(self, app: WSGIApplication) -> WSGIApplication:
        """A WSGI app that is counted already, with the beacon answered where `Settings.beacon` is on."""
        return serve_wsgi(app, self._beacon, self.settings.believed_header) if self.settings.beacon else app

    def init_app(
        self,
        app: Any,
        *,
        identify: Identify | None = None,
        dashboard: str = "",
        authorize: Callable[[Any], Any] | None = None,
    ) -> None:
        """Count the requests of a Flask app; it is then ``app.extensions["pathhits"]``. ``identify`` as above.

        ``dashboard`` is the path at which it gets the dashboard ("/_pathhits"), "" for none; ``authorize`` as for
        `PathHits.dashboard`.
        """
        if identify is not None:
            self.asking.identify_by(identify)
        # An adapter is a layer above: it is found by name, and Flask is imported only by those who have it.
        importlib.import_module("pathhits.integrations.flask").init_app(self, app)
        if dashboard:
            importlib.import_module("pathhits.dashboard").mount(self, app, dashboard, authorize)

    async def _last_flush(self) -> None:
        try:
            await asyncio.get_running_loop().run_in_executor(None, self.buffer.close, LIFESPAN_FLUSH)
        except Exception:
            # Not asyncio (trio), or its threads are gone: flush here, nobody is served any more.
            self.buffer.close(LIFESPAN_FLUSH)

    def track_hit(self, label: str) -> None:
        """Count one hit under ``label``; never raises, never blocks. Inside a request it is that visitor's hit."""
        if self.settings.enabled:
            self.recorder.track(label)

    def track_view(
        self,
        item_type: str,
        item_id: object,
        *,
        ip: str | None = None,
        user_agent: str | None = None,
        user_id: object | None = None,
    ) -> Verdict:
        """Count a view of an item when its rules allow it; truthy when counted, else with a reason. Never raises.

        Inside a request that is counted, address and agent are known; else give them. ``user_id`` makes the rules
        look at the user instead of the visitor; it is stored keyed. One round trip to Redis within
        `Settings.request_deadline`; where that is not enough the reason is ``unavailable``, and it is judged later.
        In a request that nobody looks at yet, a prefetch or a HEAD, it is refused.
        """
        try:
            return self.viewing.track(item_type, item_id, ip, user_agent, user_id)
        except SettingsError as error:
            self.guard.failed("track_view was given what cannot be", error)
            return Verdict(Refusal.INVALID)
        except Exception as error:
            self.guard.failed("internal", error)
            return Verdict(Refusal.UNAVAILABLE)

    async def atrack_view(self, item_type: str, item_id: object, **whose: Any) -> Verdict:
        """`track_view` for async code: it does not hold up the event loop."""
        return await asyncio.to_thread(self.track_view, item_type, item_id, **whose)

    def track(
        self,
        name: str,
        item_id: object | None = None,
        *,
        properties: Mapping[str, Any] | None = None,
        value: int = 1,
        key: str | None = None,
        ip: str | None = None,
        user_agent: str | None = None,
        user_id: object | None = None,
    ) -> Verdict:
        """Log an event, ``track("movie.liked", 7)``, and add it to its counter; truthy unless it is a bot's, or
        happens in a prefetch or a HEAD.

        Asks neither Redis nor SQL. Inside a request it is that visitor's; else, or in an app that knows better, give
        ``ip``, ``user_agent`` and ``user_id``. ``value`` is how often, or the rating (1 to 5); ``properties`` are kept
        with it, up to 8 kB of JSON. Events of one name, item and ``key`` are one for a day. Raises `EventError`
        for an event that cannot be.
        """
        return self.tracking.track(name, item_id, properties, value, key, ip, user_agent, user_id)
