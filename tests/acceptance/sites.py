"""Sites that acceptance tests serve: one page in WSGI (Flask) and in ASGI (FastAPI)."""

from __future__ import annotations

import os
from typing import Any

from pathhits import PathHits


def wsgi() -> Any:
    """A Flask app."""
    from flask import Flask

    app = Flask(__name__)
    PathHits().init_app(app)

    @app.get("/page/<int:number>")
    def page(number: int) -> str:
        return f"page {number}"

    return app


def asgi() -> Any:
    """A FastAPI app, wrapped from outside."""
    from fastapi import FastAPI

    app = FastAPI()

    @app.get("/page/{number}")
    async def page(number: int) -> str:
        return f"page {number}"

    return PathHits().asgi(app)


def django_asgi() -> Any:
    """A Django project in one file; its ASGI app knows no lifespan."""
    from django.conf import settings
    from django.core.asgi import get_asgi_application
    from django.http import HttpRequest, HttpResponse
    from django.urls import path

    def page(request: HttpRequest, number: int) -> HttpResponse:
        return HttpResponse(f"page {number}")

    routes = type("routes", (), {"urlpatterns": [path("page/<int:number>", page, name="page")]})
    settings.configure(
        ALLOWED_HOSTS=["*"],
        SECRET_KEY="of a test",  # it signs nothing
        ROOT_URLCONF=routes,
        MIDDLEWARE=["pathhits.integrations.django.PathHitsMiddleware"],
    )
    application = get_asgi_application()
    from pathhits.integrations.django import hits

    return hits.asgi(application, has_lifespan=False)


def serve_with_waitress() -> None:
    """Run the WSGI site on ``PORT`` with waitress, which leaves SIGTERM alone."""
    import waitress

    waitress.serve(wsgi(), host="127.0.0.1", port=int(os.environ["PORT"]), threads=4)


def serve_with_werkzeug() -> None:
    """Run the WSGI site on ``PORT`` with the development server."""
    from werkzeug.serving import run_simple

    run_simple("127.0.0.1", int(os.environ["PORT"]), wsgi(), threaded=True)
