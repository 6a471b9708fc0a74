"""A Django site with routes of every kind, and the settings that its tests share."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Iterator
from typing import Any

import django
from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import (
    FileResponse,
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseRedirect,
    StreamingHttpResponse,
)
from django.urls import URLPattern, URLResolver, include, path, re_path, register_converter
from django.views import View

MIDDLEWARE = "pathhits.integrations.django.PathHitsMiddleware"


def configure() -> None:
    """Give this process Django's settings; Django takes them once."""
    if settings.configured:
        return
    settings.configure(
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=__name__,
        MIDDLEWARE=[MIDDLEWARE, "django.middleware.common.CommonMiddleware"],
        INSTALLED_APPS=["pathhits.integrations.django"],
        TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
        CACHES={"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}},
        USE_I18N=False,
        SECRET_KEY="of the tests",
        LOGGING_CONFIG=None,
        PATHHITS={"NAMESPACE": "django"},
    )
    django.setup()


class Letters:
    """A converter of the site's own."""

    regex = "[a-z]+"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


register_converter(Letters, "letters")


def page(request: HttpRequest, *values: Any, **named: Any) -> HttpResponse:
    """A view for any route."""
    return HttpResponse(f"a page {named}")


def other(request: HttpRequest, **named: Any) -> HttpResponse:
    return HttpResponse("another page")


async def page_async(request: HttpRequest, **named: Any) -> HttpResponse:
    """A view that is a coroutine."""
    await asyncio.sleep(0)
    return HttpResponse("a page made by a coroutine")


class Report(View):
    """A view that is a class."""

    def get(self, request: HttpRequest, year: int) -> HttpResponse:
        return HttpResponse(f"report of {year}")


def broken(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("broken on purpose")


def forbidden(request: HttpRequest) -> HttpResponse:
    raise PermissionDenied


def missing(request: HttpRequest) -> HttpResponse:
    raise Http404


def moved(request: HttpRequest) -> HttpResponse:
    return HttpResponseRedirect("/about/")


def picture(request: HttpRequest) -> HttpResponse:
    return HttpResponse(b"", content_type="image/png")


def download(request: HttpRequest) -> FileResponse:
    return FileResponse(io.BytesIO(b"a file"), filename="a.txt")


def pieces(fail: bool) -> Iterator[bytes]:
    yield b"one "
    if fail:
        raise RuntimeError("broken on purpose")
    yield b"two"


async def pieces_async(fail: bool) -> AsyncIterator[bytes]:
    for piece in pieces(fail):
        await asyncio.sleep(0)
        yield piece


def stream(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(pieces("fail" in request.GET))


def stream_async(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(pieces_async("fail" in request.GET))


def counted_page(request: HttpRequest, slug: str) -> HttpResponse:
    """Shows the count of the page it is on."""
    from django.template import engines

    source = "{% load pathhits %}{% hit_count %} {% hit_count 'about' as about %}{{ about }}"
    return HttpResponse(engines["django"].from_string(source).render({}, request))


posts: list[URLPattern | URLResolver] = [
    path("", page, name="list"),
    path("<int:year>/<slug:slug>/", page, name="detail"),
    re_path(r"^tag/(?P<tag>[\w-]+)/$", page, name="tag"),
    path("unnamed/<int:id>/", page),
]
blog: list[URLPattern | URLResolver] = [
    path("posts/", include((posts, "posts"))),
    path("about/", page, name="about"),
    re_path(r"^old/", include((posts, "old"), namespace="old-posts")),
]
urlpatterns: list[URLPattern | URLResolver] = [
    path("", page, name="home"),
    path("about/", page, name="about"),
    path("products/", page, name="products"),
    path("products/<slug:slug>/", page, name="product"),
    path("p/<int:id>", page, name="by_id"),
    path("files/<path:name>", page, name="file"),
    path("u/<uuid:key>/", page, name="by_key"),
    path("letters/<letters:word>/", page, name="letters"),
    path("café/", page, name="café"),
    path("async/<int:id>/", page_async, name="async"),
    path("report/<int:year>/", Report.as_view(), name="report"),
    path("unnamed/<int:id>/", page),
    path("also-unnamed/<str:x>/", page),
    path("archive/<int:year>/", page, name="archive"),
    path("archive/<int:year>/<int:month>/", page, name="archive"),
    re_path(r"^articles/(?P<year>[0-9]{4})/(?P<slug>[\w-]+)/$", page, name="article"),
    re_path(r"^numbers/([0-9]+)/([a-z]+)$", page, name="numbers"),
    re_path(r"^feed\.(?P<kind>(rss|atom))\Z", page),
    re_path(r"^comments/(?:page-(?P<number>\d+)/)?$", page),
    path("moved/", moved, name="moved"),
    path("broken/", broken, name="broken"),
    path("forbidden/", forbidden, name="forbidden"),
    path("missing/", missing, name="missing"),
    path("picture/", picture, name="picture"),
    path("download/", download, name="download"),
    path("stream/", stream, name="stream"),
    path("stream-async/", stream_async, name="stream_async"),
    path("counted/<slug:slug>/", counted_page, name="counted"),
    path("blog/<slug:blog>/", include((blog, "blog"))),
    path("journal/", include((blog, "blog"), namespace="journal")),
    path("shop/", include([path("basket/", page, name="basket"), path("<int:id>/", page, name="item")])),
    path("static/<path:name>", page, name="static"),
]
