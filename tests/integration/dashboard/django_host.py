"""A Django site with the dashboard beside it, as docs/dashboard.md has it; a process of its own, as Django is set up
once. The environment has the settings, the first argument the path of the mount."""

from __future__ import annotations

import sys

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path
from werkzeug.middleware.dispatcher import DispatcherMiddleware

BROWSER = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0"}


def about(request: HttpRequest) -> HttpResponse:
    return HttpResponse("about")


urlpatterns = [path("about", about, name="about")]


def main() -> None:
    """Walk through the dashboard and the site, and say what was counted."""
    settings.configure(
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=__name__,
        MIDDLEWARE=["pathhits.integrations.django.PathHitsMiddleware"],
        SECRET_KEY="of the tests",
        LOGGING_CONFIG=None,
        PATHHITS={"FLUSH_INTERVAL": 3600},
    )
    site = get_wsgi_application()

    from pathhits.integrations.django import hits
    from tests.integration.dashboard.reader import Reader

    hits.migrate()
    mount = sys.argv[1]
    reader = Reader(DispatcherMiddleware(site, {mount: hits.dashboard()}), mount)
    assert reader.get().status_code == 401
    assert reader.log_in().location == f"{mount}/"
    for page in ("/", "/drops", "/health"):
        assert reader.get(page, headers=BROWSER).status_code == 200, page
    assert reader.client.get("/about", headers=BROWSER).text == "about"
    assert hits.flush()
    print(hits.total("hits"), sum(hits.drops().values()))
    hits.close(1.0)
