"""What each setting may be written as: text of the environment or a Python value; a ValueError says what to give."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

#: What a hit is told apart by besides its label. The place of each is its number in SQL: add at the end only.
DIMENSIONS = (
    "referrer",
    "utm_source",
    "utm_medium",
    "utm_campaign",
    "browser",
    "system",
    "device",
    "language",
    "country",
)
TrustedProxies = int | tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]
SQL_DRIVERS = {
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "mysql": "mariadb+pymysql",
    "mariadb": "mariadb+pymysql",
}
SQL_SCHEMES = ("sqlite", "postgresql+psycopg", "mariadb+pymysql", "mysql+pymysql")
REDIS_SCHEMES = ("redis", "rediss", "unix")
#: Bounds of what can be meant: seconds of a year, a thousand million of anything.
LONGEST = 366 * 86_400.0
MOST = 10**9
#: Prefix length at which a trusted network is taken for a mistake: an eighth of the internet holds clients too.
WIDEST_NETWORK = 3
#: A pattern of event names, and its longest: an event such as product.viewed, product.*, *.viewed, or * for all.
EVENT_PATTERN = re.compile(r"\*|(?:\*|\w+)\.(?:\*|\w+)")
EVENT_PATTERN_LENGTH = 64


def redact(url: str) -> str:
    """The URL with its password, if any, replaced by ``***``; safe to log."""
    # Up to the last @ of the word: people write passwords with / and @ in them.
    return re.sub(r"(?<=://)([^/?#@\s:]*):\S*@", r"\1:***@", re.sub(r"(?i)(passw(?:or)?d=)[^&#\s]*", r"\1***", url))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("give text")
    return value


def _flag(value: Any) -> bool:
    if isinstance(value, bool | int) and value in (0, 1):
        return bool(value)
    if str(value).lower() in ("1", "true", "yes", "on"):
        return True
    if str(value).lower() in ("0", "false", "no", "off", ""):
        return False
    raise ValueError("give 1 or 0")


def _number(value: Any) -> float:
    try:
        number = float("nan") if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = float("nan")
    if not -LONGEST <= number <= LONGEST:
        raise ValueError(f"give a number of seconds, at most {LONGEST:.0f}")
    return number


def _integer(value: Any) -> int:
    try:
        number = None if isinstance(value, bool) or int(value) != float(value) else int(value)
    except (TypeError, ValueError, OverflowError):
        number = None
    if number is None or abs(number) > MOST:
        raise ValueError(f"give a whole number, at most {MOST}")
    return number


def _words(value: Any) -> tuple[str, ...]:
    parts: Iterable[Any] = value.split(",") if isinstance(value, str) else value
    if isinstance(parts, bytes) or not isinstance(parts, Iterable):
        raise ValueError("give a list, or words separated by commas")
    return tuple(str(part).strip() for part in parts if str(part).strip())


def _waits(value: Any) -> tuple[float, ...]:
    try:
        found = tuple(_number(part) for part in ([value] if isinstance(value, int | float) else _words(value)))
    except ValueError:
        found = ()
    if not found or min(found) < 0:
        raise ValueError("give seconds such as 10,30,60")
    return found


def _paths(value: Any) -> tuple[str, ...]:
    found = _words(value)
    if not all(path.startswith("/") for path in found):
        raise ValueError("every path begins with /")
    return found


def _hosts(value: Any) -> tuple[str, ...]:
    found = _words(value)
    if not all(re.fullmatch(r"[\w.-]+(:[0-9]+)?|\[[0-9A-Fa-f:]+\](:[0-9]+)?", host) for host in found):
        raise ValueError("give hosts such as shop.example.org")
    return found


def _event_patterns(value: Any) -> tuple[str, ...]:
    found = _words(value)
    if not all(len(one) <= EVENT_PATTERN_LENGTH and EVENT_PATTERN.fullmatch(one) for one in found):
        raise ValueError("give events such as product.updated, product.*, *.updated or *")
    return found


def _address(value: Any) -> str:
    """One e-mail address; whatever could begin another header or another recipient is refused."""
    if (
        not isinstance(value, str)
        or len(value) > 254
        or not re.fullmatch(r"[\w.!#$%&'*+/=?^`{|}~-]+@[\w.-]+", value, re.A)
    ):
        raise ValueError("give an e-mail address such as you@example.org")
    return value


def _addresses(value: Any) -> tuple[str, ...]:
    return tuple(_address(part) for part in _words(value))


def _hook_urls(value: Any) -> tuple[str, ...]:
    found = _words(value)
    for url in found:
        parts = urlsplit(url)
        _port_of(lambda parts=parts: parts.port)  # type: ignore[misc]  # mypy reads no defaults
        if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
            raise ValueError("give URLs that start with https:// or http://, without a password")
        if not re.fullmatch(r"[!-~]+", url):
            raise ValueError("a URL has no spaces, and other letters than ASCII are written %C3%BC")
    return found


def _host(value: Any) -> str:
    if not re.fullmatch(r"[A-Za-z0-9.:_-]{0,253}", str(value)):
        raise ValueError("give the name of a host, such as smtp.example.org")
    return str(value)


def _one_line(value: Any) -> str:
    if not isinstance(value, str) or not (value.isprintable() and value == value.strip()):
        raise ValueError("give text on one line")
    return value


def _header(value: Any) -> str:
    if not re.fullmatch(r"[A-Za-z0-9-]{1,64}", str(value)):
        raise ValueError("give the name of a header, such as X-Forwarded-For")
    return str(value)


def _cookie(value: Any) -> str:
    if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{0,64}", str(value)):
        raise ValueError("give the name of a cookie, or nothing to have none")
    return str(value)


def _dimensions(value: Any) -> tuple[str, ...]:
    found = _words(value)
    if not set(found) <= set(DIMENSIONS):
        raise ValueError(f"give some of {', '.join(DIMENSIONS)}")
    return tuple(name for name in DIMENSIONS if name in found)


def _statuses(value: Any) -> tuple[int, ...]:
    """Statuses from an iterable or from text such as ``200-203,304``."""
    found: set[int] = set()
    for part in [value] if isinstance(value, int) else _words(value):
        bounds = re.fullmatch(r"([1-5][0-9]{2})(?:-([1-5][0-9]{2}))?", str(part))
        some = range(int(bounds[1]), int(bounds[2] or bounds[1]) + 1) if bounds else ()
        if not some:
            found.clear()
            break
        found.update(some)
    if not found:
        raise ValueError("give HTTP statuses such as 200-203,304")
    return tuple(sorted(found))


def _proxies(value: Any) -> TrustedProxies:
    """A number of hops, or networks; a network that holds every address would trust everyone."""
    if isinstance(value, int) or (isinstance(value, str) and re.fullmatch(r"\s*[+-]?[0-9]+\s*", value)):
        if isinstance(value, bool) or not 0 <= int(value) <= 32:
            raise ValueError("give the number of proxies in front of the app, 0 to 32, or their CIDRs")
        return int(value)
    networks = _networks([value] if isinstance(value, ipaddress.IPv4Network | ipaddress.IPv6Network) else value)
    merged: list[ipaddress.IPv4Network | ipaddress.IPv6Network] = [
        *ipaddress.collapse_addresses(one for one in networks if isinstance(one, ipaddress.IPv4Network)),
        *ipaddress.collapse_addresses(one for one in networks if isinstance(one, ipaddress.IPv6Network)),
    ]
    if any(network.prefixlen <= WIDEST_NETWORK for network in merged):
        raise ValueError("this would believe every client's header; name the proxies' own networks or a number of hops")
    return networks or 0


def _networks(value: Any) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    try:
        return tuple(ipaddress.ip_network(part) for part in _words(value))
    except ValueError as error:
        raise ValueError(f"{error}; give a number of proxies, or networks such as 10.0.0.0/8") from None


def _redis_url(value: Any) -> str:
    """The URL; what redis-py would only find out, or silently read otherwise, later is an error here."""
    url = str(value).strip()
    if not url:
        return ""
    scheme, colon, rest = url.partition("://")
    if not colon or scheme.lower() not in REDIS_SCHEMES:
        raise ValueError("give a URL that starts with redis://, rediss:// or unix://")
    parts = urlsplit(url)
    _port_of(lambda: parts.port)
    numbers = parse_qs(parts.query).get("db", []) + ([] if parts.scheme == "unix" else [parts.path.strip("/")])
    if not all(re.fullmatch("[0-9]*", number) for number in numbers):
        raise ValueError("its path is the number of a Redis database, such as /0")
    return f"{scheme.lower()}://{rest}"


def _database_url(value: Any) -> str:
    """The URL with the schemes of hosting platforms rewritten to the drivers pathhits uses."""
    scheme, colon, rest = str(value).strip().partition("://")
    scheme = SQL_DRIVERS.get(scheme, scheme)
    if not colon or scheme not in SQL_SCHEMES:
        raise ValueError("give a URL that starts with sqlite://, postgresql:// or mysql://")
    if scheme != "sqlite":
        user, at, after = rest.partition("@")
        host = re.split("[/?]", after if at else user, maxsplit=1)[0]
        if "@" in host:
            raise ValueError("write the @ of a password as %40")
        _port_of(lambda: urlsplit(f"//{host}").port)
    return f"{scheme}://{rest}"


def _port_of(port: Callable[[], int | None]) -> None:
    try:
        port()
    except ValueError:
        raise ValueError(
            "its port is no number up to 65535 (the / ? # @ of a password are written %2F %3F %23 %40)"
        ) from None


def _choice(*allowed: str) -> Callable[[Any], str]:
    def parse(value: Any) -> str:
        if value not in allowed:
            raise ValueError(f"give one of {', '.join(allowed)}")
        return cast(str, value)

    return parse


def _namespace(value: Any) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", str(value)):
        raise ValueError("give 1 to 64 letters, digits, dots, dashes or underscores")
    return str(value)


#: By name; the others go by their type.
PARSERS: dict[str, Callable[[Any], Any]] = {
    "redis_url": _redis_url,
    "queue_url": _redis_url,
    "database_url": _database_url,
    "namespace": _namespace,
    "exclude_prefixes": _paths,
    "own_hosts": _hosts,
    "proxy_header": _header,
    "opt_out_cookie": _cookie,
    "listener_waits": _waits,
    "notify_to": _addresses,
    "notify_from": _address,
    "notify_webhooks": _hook_urls,
    "notify_events": _event_patterns,
    "notify_smtp_host": _host,
    "notify_smtp_security": _choice("starttls", "ssl", "none"),
    "notify_smtp_user": _one_line,
    "notify_smtp_password": _one_line,
    "notify_secret": _one_line,
    "notify_file": _one_line,
    "route_label": _choice("name", "pattern", "path"),
    "bots": _choice("drop", "count"),
    "user_ids": _choice("keyed", "plain"),
    "search_log": _choice("all", "with_results"),
    "salt_rotation": _choice("day", "week", "month", "never"),
    "trusted_proxies": _proxies,
    "count_statuses": _statuses,
    "dimensions": _dimensions,
}
PARSERS_BY_TYPE: dict[str, Callable[[Any], Any]] = {
    "str": _text,
    "bool": _flag,
    "float": _number,
    "int": _integer,
    "tuple[str, ...]": _words,
}
