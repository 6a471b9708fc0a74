"""Starlette and FastAPI: ``app.add_middleware(PathHitsMiddleware, hits=hits)``."""

from __future__ import annotations

from starlette.requests import Request

from pathhits.app import PathHits
from pathhits.capture.asking import Identify
from pathhits.middleware.asgi import AsgiApp


class PathHitsMiddleware:
    """`PathHits.asgi` in the form that ``add_middleware`` takes.

    Starlette puts its last added middleware outermost: add this one last. Its own handler of uncaught errors stays
    outside, so such a request is dropped as *failed*; with ``app = hits.asgi(app)`` it is the status 500 that is seen.
    """

    def __new__(cls, app: AsgiApp, hits: PathHits, identify: Identify | None = None) -> AsgiApp:  # type: ignore[misc]  # Starlette calls it, that is all
        """The middleware itself, not one around it: each would cost a coroutine a request."""
        if identify is not None:
            hits.asking.identify_by(identify)
        return hits.asgi(app, as_request=Request)
