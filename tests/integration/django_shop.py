"""A Django shop with users, asked for its pages, sync or async (the first argument); `main` prints JSON.

Django is set up when this is imported, so a process of its own does that. Settings of pathhits come from the
environment; SHOP names the SQLite file of the shop's own users.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

import django
from django.conf import settings

settings.configure(
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    MIDDLEWARE=[
        "pathhits.integrations.django.PathHitsMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
    INSTALLED_APPS=["pathhits.integrations.django", "django.contrib.contenttypes", "django.contrib.auth"],
    SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["SHOP"]}},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    SECRET_KEY="of the tests",
    LOGGING_CONFIG=None,
    PATHHITS={
        "FLUSH_INTERVAL": 3600,
        "REQUEST_DEADLINE": 30,
        "USER_IDS": "plain",
        "TRUSTED_PROXIES": 1,
        "IDENTIFY": f"{__name__}.user_of",
    },
)
django.setup()

from django.contrib.auth import get_user_model  # noqa: E402  # Django is set up first
from django.core.management import call_command  # noqa: E402
from django.http import HttpRequest, HttpResponse  # noqa: E402
from django.test import AsyncClient, Client  # noqa: E402
from django.urls import path  # noqa: E402

from pathhits import Rules  # noqa: E402
from pathhits.integrations.django import hits  # noqa: E402

BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0"


def user_of(request: HttpRequest) -> Any:
    """The id of who is logged in, which asks the database; None for others."""
    return request.user.pk


def page(request: HttpRequest, **named: Any) -> HttpResponse:
    return HttpResponse("a page")


async def page_async(request: HttpRequest, **named: Any) -> HttpResponse:
    return HttpResponse("a page")


def story(request: HttpRequest) -> HttpResponse:
    return HttpResponse(hits.track_view("story", 1).reason)


async def story_async(request: HttpRequest) -> HttpResponse:
    return HttpResponse((await hits.atrack_view("story", 1)).reason)


IS_ASYNC = sys.argv[1:] == ["async"]
urlpatterns = [
    path("p/<slug:slug>/", page_async if IS_ASYNC else page, name="product"),
    path("lookup/", page_async if IS_ASYNC else page, name="lookup"),
    path("story/", story_async if IS_ASYNC else story, name="story"),
]
hits.register_item("product", route="product", id="slug", rules=Rules.antispam())
hits.register_item("book", route="lookup", id=lambda request: request.GET.get("id"), rules=Rules.antispam())
hits.register_item("story", rules=Rules.antispam())


def ask(where: str, user: Any = None, peer: str = "203.0.113.7") -> str:
    """The page as that user, who is logged in."""
    client = AsyncClient() if IS_ASYNC else Client()
    if user is not None:
        client.force_login(user)
    headers = {"user-agent": BROWSER, "x-forwarded-for": peer}
    if isinstance(client, AsyncClient):
        return str(asyncio.run(client.get(where, headers=headers)).content.decode())
    return str(client.get(where, headers=headers).content.decode())


def main() -> None:
    call_command("migrate", verbosity=0)
    users: Any = get_user_model().objects
    ann, bob = users.create_user("ann"), users.create_user("bob")
    hits.migrate()
    for user, peer in ((ann, "203.0.113.7"), (ann, "198.51.100.1"), (bob, "203.0.113.7"), (None, ""), (None, "")):
        ask("/p/jug/", user, peer or "203.0.113.7")
    for query in ("?id=7", "?id=7", "?id=8", ""):
        ask(f"/lookup/{query}")
    verdicts = [ask("/story/", user) for user in (ann, ann, bob)]
    assert hits.flush(30.0)
    hits.sync()
    with hits.engine.connect() as connection:
        events = "SELECT user_id FROM pathhits_events WHERE user_id <> ''"
        logged = list(connection.exec_driver_sql(events).scalars())
    items = [("product", "jug"), ("book", "7"), ("book", "8"), ("story", "1")]
    found = {
        "failures": hits.guard.failures,
        "views": {f"{kind} {one}": hits.stats.view_counts(kind, [one])[one].stored for kind, one in items},
        "refusals": hits.stats.refusals(),
        "verdicts": verdicts,
        "top": [(row.item_id, row.views) for row in hits.top_items("product")],
        "users": logged,
        "verified": hits.verify().ok,
    }
    print(json.dumps(found))
    hits.close()
