"""A process that serves requests through the middleware without a server, and notes the truth before each.

``python -m tests.faults.writer <file of Truth>``; settings come from the environment. Ends when `stop` is set, once
Redis has everything, and prints what it did as JSON.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from pathhits import PathHits
from pathhits.capture.exchange import current
from tests.faults.truth import LABELS, Truth

BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0"
BOT = "Googlebot/2.1 (+http://www.google.com/bot.html)"
#: Requests at a time, and seconds between: about 300 requests a second.
BURST, PAUSE = 3, 0.01
#: One request in so many is a bot's.
BOT_EVERY = 9
LAST_FLUSH = 60.0
#: Every page is an item of this type: each of its hits is a view, and so an event.
ITEM_TYPE = "page"
ROUTE = "/page/<path>"


def page(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """The app: one short page for every path."""
    start_response("200 OK", [("Content-Type", "text/html")])
    return [b"hello"]


def shop(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """`page`, of which each is an item: what an adapter does for a route that has one."""
    exchange = current.get()
    assert exchange is not None
    exchange.pattern, exchange.params = ROUTE, {"path": environ["PATH_INFO"]}
    return page(environ, start_response)


def request(app: WSGIApplication, path: str, agent: str, peer: str, **extra: str) -> bytes:
    """One GET of ``path``; the body of the answer. ``extra`` goes into environ."""
    environ = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "REMOTE_ADDR": peer,
        "HTTP_USER_AGENT": agent,
        **extra,
    }
    body = app(environ, lambda status, headers, exc_info=None: lambda data: None)
    try:
        return b"".join(body)
    finally:
        if hasattr(body, "close"):
            body.close()


def serve(app: WSGIApplication, truth: Truth, rng: random.Random) -> None:
    """One request of a visitor or a bot."""
    truth["requests"] += 1
    name, agent = (rng.choice(LABELS), BROWSER) if rng.randrange(BOT_EVERY) else ("bots", BOT)
    truth[name] += 1
    request(app, name if name in LABELS else "/page/aa", agent, f"203.0.113.{rng.randrange(1, 200)}")


def main(path: Path) -> None:
    """Serve until told to stop, then flush."""
    truth = Truth(path)
    hits = PathHits(route_label="path")
    hits.register_item(ITEM_TYPE, route=ROUTE, id="path")
    app = hits.wsgi(shop)
    rng = random.Random(0)
    print("ready", flush=True)
    while not truth["stop"]:
        for _ in range(BURST):
            serve(app, truth, rng)
        truth["resent"] = hits.buffer.resent
        time.sleep(PAUSE)
    done = hits.flush(LAST_FLUSH)
    truth["done"] = 1
    buffer = hits.buffer
    print(json.dumps({"done": done, "sent": buffer.sent, "resent": buffer.resent, "failures": hits.guard.failures}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
