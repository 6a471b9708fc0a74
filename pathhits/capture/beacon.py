"""The beacon: a script of a few hundred bytes tells when a page was left, so that the last page of a visit has a time.

It is answered by the middleware itself, off unless the settings say otherwise, and its requests are not counted.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from importlib import resources
from typing import NamedTuple
from urllib.parse import urlsplit

import redis

from pathhits.capture.deadline import Deadline, Overdue
from pathhits.capture.exchange import Exchange
from pathhits.capture.guard import Guard
from pathhits.capture.recorder import Entry, EntryReader
from pathhits.core.tokens import is_good, make_token, token_moment

#: Where the script is, and where it posts to; below the place at which the server mounts the app.
SCRIPT_PATH = "/_pathhits/beacon.js"
POST_PATH = "/_pathhits/beacon"
#: Seconds for which a browser may keep the script, and so the token in it.
SCRIPT_AGE = 1_800
#: Bytes of a post; a longer one is none of ours.
LONGEST_POST = 100
#: Seconds for which a page may say to have been open.
LONGEST_PAGE = 86_400

_PLAIN = (("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", "no-store"))
_SCRIPT = (
    ("Content-Type", "text/javascript; charset=utf-8"),
    ("X-Content-Type-Options", "nosniff"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)


class Answer(NamedTuple):
    """A whole response."""

    status: int
    reason: str
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""


class Sender(NamedTuple):
    """What a browser says of the site a request comes from; "" for a header that it did not send."""

    site: str
    origin: str
    host: str

    @property
    def is_ours(self) -> bool:
        """Whether a page of this very host made the request; a browser lets no page lie about it."""
        if self.site:
            return self.site == "same-origin"
        return bool(self.origin) and urlsplit(self.origin).netloc.lower() == self.host.lower()


_REFUSED = Answer(403, "Forbidden", _PLAIN, b"not from a page of this site\n")
_TAKEN = Answer(204, "No Content", ())
_WRONG_METHOD = Answer(405, "Method Not Allowed", _PLAIN, b"method not allowed\n")


class Beacon:
    """Answers the requests of the script. ``find_key`` gives the secret of a moment, and may ask Redis for it."""

    def __init__(
        self,
        find_key: Callable[[float], bytes | None],
        leave: Callable[[Entry], None],
        reader: EntryReader,
        deadline: Deadline,
        guard: Guard,
    ) -> None:
        self._find_key = find_key
        self._leave = leave
        self._reader = reader
        self._deadline = deadline
        self._guard = guard

    def answer(self, exchange: Exchange, sender: Sender, body: bytes) -> Answer:
        """The response to one request on one of the two paths; never raises."""
        try:
            if exchange.path.endswith(".js"):
                return self._script(exchange, sender)
            return self._post(exchange, sender, body)
        except Exception as error:
            self._guard.failed("internal", error)
            return _REFUSED

    def _script(self, exchange: Exchange, sender: Sender) -> Answer:
        if exchange.method not in ("GET", "HEAD"):
            return _WRONG_METHOD
        if sender.site and sender.site not in ("same-origin", "none"):
            return _REFUSED
        now = time.time()
        key = self._key(now)
        if key is None:
            # A page without a beacon is a page all the same; the next one asks anew.
            return Answer(200, "OK", (*_SCRIPT, ("Cache-Control", "no-store")))
        body = _source().replace("TOKEN", make_token(key, now)).encode()
        kept = ("Cache-Control", f"private, max-age={SCRIPT_AGE}")
        return Answer(200, "OK", (*_SCRIPT, kept), b"" if exchange.method == "HEAD" else body)

    def _post(self, exchange: Exchange, sender: Sender, body: bytes) -> Answer:
        if exchange.method != "POST":
            return _WRONG_METHOD
        token, _, age = body.decode("latin-1").rpartition(".")
        made = token_moment(token)
        if not sender.is_ours or made is None or not (age.isascii() and age.isdigit()):
            return _REFUSED
        now = time.time()
        key = self._key(made)
        if key is not None:
            if not is_good(token, key, now):
                return _REFUSED
            self._leave(self._reader.person(exchange)._replace(left=min(float(age), LONGEST_PAGE)))
        return _TAKEN

    def _key(self, moment: float) -> bytes | None:
        """The secret of a moment, None where Redis does not tell it in time."""
        try:
            return self._deadline.ask(lambda: self._find_key(moment))
        except (redis.RedisError, Overdue) as error:
            self._guard.failed("the key of the beacon could not be read in time", error)
            return None


@cache
def _source() -> str:
    return resources.files(__package__).joinpath("beacon.js").read_text(encoding="utf-8")
