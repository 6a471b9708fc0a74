"""What is going on: the live tail of events, and how pathhits itself is doing, with buttons to retry."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace

from flask import Blueprint, Response, redirect, request
from redis import RedisError
from rq.exceptions import InvalidJobOperation, NoSuchJobError
from rq.job import Job
from rq.serializers import JSONSerializer

from pathhits.app import PathHits
from pathhits.dashboard.api import resources
from pathhits.dashboard.api.endpoints import BY_NAME
from pathhits.dashboard.api.health import health
from pathhits.dashboard.api.shapes import EventRow
from pathhits.dashboard.pages.csvs import csv_url
from pathhits.dashboard.pages.pagelists import paging
from pathhits.dashboard.pages.view import read_view
from pathhits.dashboard.queries import BadParameter
from pathhits.dashboard.rendering import Renderer, to
from pathhits.errors import StoreUnavailable
from pathhits.notify.queueing import requeue
from pathhits.storage.redis.client import explain

#: Events of one page of the tail.
ROWS = 50


class Watch:
    """Events and health; neither is ever public."""

    def __init__(self, hits: PathHits, renderer: Renderer) -> None:
        self._hits = hits
        self._renderer = renderer

    def add_rules(self, blueprint: Blueprint) -> None:
        """Their URLs."""
        blueprint.add_url_rule("/events", "events", self.events)
        blueprint.add_url_rule("/health", "health", self.health)
        blueprint.add_url_rule("/retry", "retry", self.retry, methods=["POST"])

    def events(self) -> Response:
        """The log, the last first."""
        view = read_view(request, "events", "name", "item")
        query = replace(view.query, limit=ROWS)
        found = resources.events(self._hits, query, item=view.own["item"], name=view.own["name"])
        total = found.total if found.total is not None else 10_000
        return self._renderer.page(
            "events.html",
            view=view,
            rows=found.rows,
            properties=_properties,
            total=found.total,
            csv_url=csv_url(query, "events", name=view.own["name"], **_item(view.own["item"])),
            paging=paging(view, total, len(found.rows), ROWS),
        )

    def health(self) -> Response:
        """How pathhits is doing."""
        view = read_view(request, "health", "done")
        done = view.own["done"]
        found = health(self._hits, view.query)
        return self._renderer.page(
            "health.html",
            view=view,
            health=found,
            csv_urls={table: csv_url(view.query, "health", of=table) for table in BY_NAME["health"].tables},
            checks=sorted(found.checks, key=lambda one: ("error", "warning", "ok").index(one.state)),
            done=int(done) if done.isascii() and done.isdigit() and len(done) < 10 else None,
        )

    def retry(self) -> Response:
        """Have what failed for good made anew: deliveries of one listener, or a job."""
        listener, job = request.form.get("listener", ""), request.form.get("job", "")
        if not listener and not job:
            raise BadParameter("listener", "name what to retry")
        done = self._hits.retry_dead(listener) if listener else self._retry_job(job)
        return redirect(to("health", done=done), 303)  # type: ignore[return-value]  # Flask's is typed as werkzeug's

    def _retry_job(self, identity: str) -> int:
        """Queue a failed job again; 0 when it is failed no more."""
        try:
            with closing(self._hits.queue_connection()) as connection:
                requeue(Job.fetch(identity, connection=connection, serializer=JSONSerializer))
        except (InvalidJobOperation, NoSuchJobError):
            return 0
        except RedisError as error:
            settings = self._hits.settings
            raise StoreUnavailable(explain(error, settings.queue_url or settings.redis_url)) from error
        return 1


def _item(item: str) -> dict[str, str]:
    """An item as the API has it: by its type and its id."""
    kind, _, identity = item.partition(":")
    return {"type": kind, "id": identity} if identity else {}


def _properties(row: EventRow) -> str:
    """What an event says beside its name, as "query jug, result_count 3"."""
    said = ((name, value if isinstance(value, str) else json.dumps(value)) for name, value in row.properties.items())
    return ", ".join(f"{name} {value}" for name, value in said)
