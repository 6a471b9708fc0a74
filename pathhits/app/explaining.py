"""Explaining a request without making it: the answer to "why is this page not counted?"."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

from pathhits.app.parts import Parts
from pathhits.capture.exchange import PURPOSE_HEADERS, Exchange
from pathhits.capture.explaining import Explanation, explain
from pathhits.errors import SettingsError

#: An address for documentation (RFC 5737), and a browser that is none in particular.
SOMEONE = "192.0.2.1"
SOME_BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0"


class Explaining(Parts):
    """What would become of a request."""

    def explain(
        self,
        url: str,
        *,
        method: str = "GET",
        status: int = 200,
        content_type: str = "text/html",
        ip: str = SOMEONE,
        headers: Mapping[str, str] | None = None,
    ) -> Explanation:
        """What counting would make of a request for ``url``, answered with that status and content type.

        Nothing is counted and the app is not called. Routes are asked of Flask and Django; elsewhere the path decides.
        Raises `SettingsError` for what is no URL.
        """
        given = {"user-agent": SOME_BROWSER} | {name.lower(): value for name, value in (headers or {}).items()}
        try:
            parts = urlsplit(url)
        except ValueError as error:
            raise SettingsError(f"{url!r} is no URL: {error}; give a path such as /products/42") from None
        exchange = Exchange()
        exchange.method, exchange.status, exchange.content_type = method.upper(), status, content_type
        exchange.path, exchange.root = unquote(parts.path) or "/", ""
        exchange.peer, exchange.forwarded = ip, given.get(self.settings.proxy_header.lower(), "")
        exchange.user_agent, exchange.referrer = given["user-agent"], given.get("referer", "")
        exchange.purpose = next(filter(None, map(given.get, PURPOSE_HEADERS)), "")
        exchange.host, exchange.query = given.get("host", parts.netloc), parts.query
        exchange.languages = given.get("accept-language", "")
        exchange.cookies, exchange.privacy = given.get("cookie", ""), given.get("sec-gpc", "")
        return explain(exchange, parts.netloc or "localhost", self.find_route, self.settings, self.reader, self.items)
