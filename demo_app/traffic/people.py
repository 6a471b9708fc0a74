"""Who comes to the shop: browsers, languages and the places people come from, and the programs that are nobody."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from random import Random
from typing import Literal, NamedTuple, TypeVar
from urllib.parse import urlencode

T = TypeVar("T")
Kind = Literal["visitor", "private", "bot", "abuser"]


def _chrome(system: str, more: str = "Chrome/141.0.0.0 Safari/537.36") -> str:
    return f"Mozilla/5.0 ({system}) AppleWebKit/537.36 (KHTML, like Gecko) {more}"


def _safari(system: str, more: str) -> str:
    return f"Mozilla/5.0 ({system}) AppleWebKit/605.1.15 (KHTML, like Gecko) {more}"


def _firefox(system: str, engine: str = "20100101") -> str:
    return f"Mozilla/5.0 ({system}; rv:143.0) Gecko/{engine} Firefox/143.0"


class Browser(NamedTuple):
    """A browser as people know it, and what it says of itself."""

    name: str
    system: str
    device: str
    agent: str


WINDOWS, MACINTOSH, LINUX = "Windows NT 10.0; Win64; x64", "Macintosh; Intel Mac OS X 10_15_7", "X11; Linux x86_64"
IPHONE, IPAD = "iPhone; CPU iPhone OS 18_6 like Mac OS X", "iPad; CPU OS 17_7 like Mac OS X"
ANDROID, GALAXY = "Linux; Android 10; K", "Linux; Android 14; SAMSUNG SM-S921B"
ON_PHONE, ON_IPHONE = "Chrome/141.0.0.0 Mobile Safari/537.36", "Version/18.6 Mobile/15E148 Safari/604.1"
#: How many of a hundred visitors have which browser.
BROWSERS: tuple[tuple[int, Browser], ...] = (
    (24, Browser("Chrome", "Windows", "desktop", _chrome(WINDOWS))),
    (18, Browser("Safari", "iOS", "mobile", _safari(IPHONE, ON_IPHONE))),
    (16, Browser("Chrome", "Android", "mobile", _chrome(ANDROID, ON_PHONE))),
    (8, Browser("Safari", "macOS", "desktop", _safari(MACINTOSH, "Version/18.6 Safari/605.1.15"))),
    (7, Browser("Edge", "Windows", "desktop", _chrome(WINDOWS, "Chrome/141.0.0.0 Safari/537.36 Edg/141.0.0.0"))),
    (6, Browser("Firefox", "Windows", "desktop", _firefox(WINDOWS))),
    (5, Browser("Chrome", "macOS", "desktop", _chrome(MACINTOSH))),
    (4, Browser("Firefox", "Linux", "desktop", _firefox(LINUX))),
    (3, Browser("Samsung Internet", "Android", "mobile", _chrome(GALAXY, f"SamsungBrowser/28.0 {ON_PHONE}"))),
    (3, Browser("Safari", "iOS", "tablet", _safari(IPAD, "Version/17.7 Mobile/15E148 Safari/604.1"))),
    (2, Browser("Chrome", "Linux", "desktop", _chrome(LINUX))),
    (2, Browser("Firefox", "Android", "mobile", _firefox("Android 15; Mobile", "143.0"))),
    (1, Browser("Opera", "Windows", "desktop", _chrome(WINDOWS, "Chrome/140.0.0.0 Safari/537.36 OPR/124.0.0.0"))),
    (1, Browser("Chrome", "Chrome OS", "desktop", _chrome("X11; CrOS x86_64 14541.0.0"))),
)

LANGUAGES: tuple[tuple[int, str], ...] = (
    (40, "en-GB,en;q=0.9"),
    (20, "en-US,en;q=0.9"),
    (14, "de-DE,de;q=0.9,en;q=0.7"),
    (8, "fr-FR,fr;q=0.9,en;q=0.6"),
    (6, "nl-NL,nl;q=0.9,en;q=0.8"),
    (5, "es-ES,es;q=0.9"),
    (4, "sv-SE,sv;q=0.9,en;q=0.8"),
    (3, "pl-PL,pl;q=0.9,en;q=0.5"),
)

#: Crawlers, monitors and scripts; the last one says nothing at all.
BOTS = (
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
    "Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)",
    "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)",
    "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
    "python-requests/2.32.4",
    "curl/8.14.1",
    "",
)


@dataclass(frozen=True)
class Source:
    """Where someone came from: what the browser says of it, and what the link carried along."""

    referrer: str = ""
    campaign: tuple[tuple[str, str], ...] = ()

    def link(self, path: str) -> str:
        """The path as that place links to it."""
        return f"{path}?{urlencode(self.campaign)}" if self.campaign else path


def _campaign(source: str, medium: str, name: str) -> tuple[tuple[str, str], ...]:
    return ("utm_source", source), ("utm_medium", medium), ("utm_campaign", name)


SOURCES: tuple[tuple[int, Source], ...] = (
    (34, Source()),
    (26, Source("https://www.google.com/")),
    (5, Source("https://duckduckgo.com/")),
    (4, Source("https://www.bing.com/")),
    (6, Source("https://www.pinterest.com/")),
    (5, Source("https://www.reddit.com/")),
    (3, Source("https://news.ycombinator.com/")),
    (3, Source("https://slow-kitchen.example/jugs-worth-keeping")),
    (7, Source("", _campaign("letter", "email", "autumn"))),
    (4, Source("https://l.instagram.com/", _campaign("instagram", "social", "shelf"))),
    (3, Source("https://www.google.com/", _campaign("google", "cpc", "blankets"))),
)


@dataclass
class Person:
    """Someone, or something, with an address of its own; ``cookies`` are what the shop gave them."""

    kind: Kind
    address: str
    browser: Browser
    language: str = ""
    source: Source = field(default_factory=Source)
    cookies: dict[str, str] = field(default_factory=dict)

    @property
    def headers(self) -> dict[str, str]:
        """What their browser sends with each request."""
        given = {
            "User-Agent": self.browser.agent,
            "Accept": "text/html,application/xhtml+xml,*/*;q=0.8",
            "Accept-Language": self.language,
            "Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items()),
            "Sec-GPC": "1" if self.kind == "private" else "",
        }
        return {name: value for name, value in given.items() if value}


class Crowd:
    """Makes people. What they are like follows from the random numbers given; their addresses are new each time.

    So two runs with one seed do the same, and are different visitors: else the second would be refused as a reload.
    """

    def __init__(self, random: Random) -> None:
        self._random = random
        self._numbers = count(secrets.randbelow(2**23))

    def visitor(self, kind: Kind = "visitor", source: Source | None = None) -> Person:
        """Someone with a browser, who came from ``source``, or from somewhere."""
        chosen = self._random
        browser, language = pick(chosen, BROWSERS), pick(chosen, LANGUAGES)
        return Person(kind, self._address(), browser, language, source or pick(chosen, SOURCES))

    def bot(self, agent: str) -> Person:
        """A program."""
        return Person("bot", self._address(), Browser("", "", "", agent))

    def _address(self) -> str:
        """An address of the loopback that nobody else has: 127.0.0.0/8 holds sixteen million."""
        number = 2**16 + next(self._numbers)
        return f"127.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def pick(random: Random, weighted: Sequence[tuple[float, T]]) -> T:
    """One of some things, each as likely as its weight."""
    return random.choices([thing for _, thing in weighted], [weight for weight, _ in weighted])[0]
