"""Starlette and FastAPI: ``app.add_middleware(PathHitsMiddleware, hits=hits)``."""

from __future__ import annotations

from pathhits.app import PathHits
from pathhits.middleware.asgi import AsgiApp, Receive, Scope, Send


class PathHitsMiddleware:
    """`PathHits.asgi` in the form that ``add_middleware`` takes.

    Starlette puts its last added middleware outermost: add this one last. Its own handler of uncaught errors stays
    outside, so such a request is dropped as *failed*; with ``app = hits.asgi(app)`` it is the status 500 that is seen.
    """

    def __init__(self, app: AsgiApp, hits: PathHits) -> None:
        self.app = hits.asgi(app)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)
