"""The public counter: the hits of one label for a badge on its page. Off unless PUBLIC_COUNTER is on; cached."""

from __future__ import annotations

import json
from html import escape

from flask import Blueprint, Response

from pathhits.app import PathHits
from pathhits.core.remembered import Remembered
from pathhits.dashboard.api.serving import answered

#: What stands for the whole site in place of a label.
TOTAL = "TOTAL"
#: Seconds that a count is remembered here, and kept by browsers and caches; and how many are remembered.
KEPT = 60
COUNTS = 2_000
#: Characters of the longest label that is looked up.
LONGEST = 1_024
#: The badge: widths of a letter and of the space around the text, and its height.
LETTER, SPACE, HEIGHT = 7.2, 16, 24

CLOSED = "The public counter is off. Set PATHHITS_PUBLIC_COUNTER=1 to show the hits of each label to everybody.\n"


def add_counter(blueprint: Blueprint, hits: PathHits) -> None:
    """Add the URLs of the counter; their endpoint is ``counter``."""
    counter = Counter(hits)
    forms = "<any(json,svg,html):form>"
    blueprint.add_url_rule(f"/count/<path:label>.{forms}", "counter", counter.serve, methods=["GET"])
    blueprint.add_url_rule(f"/count/.{forms}", "counter", counter.serve, methods=["GET"], defaults={"label": "/"})


class Counter:
    """Serves counts."""

    def __init__(self, hits: PathHits) -> None:
        self._hits = hits
        self._known: Remembered[str, int] = Remembered(KEPT, COUNTS)

    def serve(self, label: str, form: str) -> Response:
        """The hits of a label as JSON, a badge or a small page."""
        if not self._hits.settings.public_counter:
            return Response(CLOSED, 403, content_type="text/plain; charset=utf-8")
        if len(label) > LONGEST:
            return Response("The label is too long.\n", 400, content_type="text/plain; charset=utf-8")
        count = self._count(label)
        made = {"json": _json, "svg": _svg, "html": _html}[form](count)
        response = answered(*made)
        response.headers["Cache-Control"] = f"public, max-age={KEPT}"
        response.headers["Access-Control-Allow-Origin"] = "*"
        response.headers["Content-Security-Policy"] = "default-src 'none'; frame-ancestors *"
        response.vary.clear()
        return response

    def _count(self, label: str) -> int:
        """The hits of a label, or of the path that it is without its slash; what is not known in time is 0."""
        known = self._known.get(label)
        if known is not None:
            return known
        if label == TOTAL:
            count = self._hits.total()
        else:
            found = self._hits.hit_counts([label, f"/{label}"])
            count = int(found[label] or found[f"/{label}"])
            if any(one.partial for one in found.values()):
                return count
        self._known.put(label, count)
        return count


def _json(count: int) -> tuple[str, str]:
    return json.dumps({"count": count, "text": f"{count:,}"}) + "\n", "application/json"


def _svg(count: int) -> tuple[str, str]:
    text = f"{count:,} {'view' if count == 1 else 'views'}"
    width = round(len(text) * LETTER + SPACE)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{HEIGHT}" role="img" aria-label="{text}">'
        f'<rect width="{width}" height="{HEIGHT}" rx="4" fill="#0b6e69"/>'
        f'<text x="{width / 2:g}" y="16" text-anchor="middle" font-family="system-ui, sans-serif" font-size="13" '
        f'fill="#fff">{text}</text></svg>\n',
        "image/svg+xml",
    )


def _html(count: int) -> tuple[str, str]:
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{count:,}</title>'
        f"<p>{escape(f'{count:,}')} {'view' if count == 1 else 'views'}</p></html>\n",
        "text/html; charset=utf-8",
    )
