"""What a user agent says of a browser: its family, the system under it and the kind of device."""

from __future__ import annotations

import re
from functools import cache
from typing import Any, NamedTuple

from pathhits.core.dimensions import UNKNOWN

#: Characters of a user agent that are read: what comes later says nothing, and long ones take milliseconds.
MAX_USER_AGENT = 320

DESKTOP, MOBILE, TABLET, OTHER_DEVICE = "desktop", "mobile", "tablet", "other"

# The forms a browser has on small devices: the device says that, and people look for the browser.
_FORMS = re.compile(r"\b(?:Mobile|iOS)\b")
_SYSTEMS = {"Mac OS X": "macOS"}
_DESKTOPS = re.compile(
    r"Windows|macOS|Chrome OS|Solaris|(?:Arch |Free|Open|Net|DragonFly |PC)?(?:BSD|Linux(?:OS)?)|Linux Mint|K?Ubuntu"
    r"|Debian|Fedora|Red Hat|CentOS|SUSE|Gentoo|Mandriva|Slackware"
)
_TELEVISION = re.compile(r"\b(?:Smart-?|Google|Apple|Android)?TV\b|BRAVIA|\bAFT[A-Z]", re.IGNORECASE)
# "Tablet PC" is said by Windows of many that are none.
_TABLET = re.compile(r"iPad|\bTablet\b(?! PC)")


class Agent(NamedTuple):
    """Families without versions; `UNKNOWN` where the user agent does not say."""

    browser: str
    system: str
    device: str


def read_agent(user_agent: str) -> Agent:
    """What a user agent says; half a millisecond each, so its answers are to be remembered."""
    text = user_agent[:MAX_USER_AGENT]
    browser, system = _parser().parse_user_agent(text), _parser().parse_os(text)
    family = _SYSTEMS.get(system.family, system.family) if system else UNKNOWN
    return Agent(_plain(browser.family) if browser else UNKNOWN, family, _device(text, family))


@cache
def _parser() -> Any:
    """The parser of the ua-parser project, without a cache of its own; imported when the first user agent comes."""
    import ua_parser

    return ua_parser.Parser(ua_parser.BestAvailableResolver(ua_parser.load_lazy_builtins()))


def _plain(family: str) -> str:
    return " ".join(_FORMS.sub(" ", family).split()) or family


def _device(text: str, system: str) -> str:
    """By the tokens that browsers are asked to send ("Mobi", MDN); an iPad that passes for a Mac is a desktop."""
    if _TELEVISION.search(text):
        return OTHER_DEVICE
    if _TABLET.search(text) or (system == "Android" and "Mobi" not in text):
        return TABLET
    if "Mobi" in text or system == "iOS":
        return MOBILE
    return DESKTOP if _DESKTOPS.fullmatch(system) else OTHER_DEVICE
