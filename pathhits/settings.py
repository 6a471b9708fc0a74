"""Every knob of pathhits, in one table: name, default, unit, sentence."""

from __future__ import annotations

import dataclasses
import ipaddress
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast
from urllib.parse import parse_qs, urlsplit

from pathhits.errors import SettingsError

RouteLabel = Literal["name", "pattern", "path"]
Bots = Literal["drop", "count"]
SaltRotation = Literal["day", "week", "month", "never"]
UserIds = Literal["keyed", "plain"]
SearchLog = Literal["all", "with_results"]
SmtpSecurity = Literal["starttls", "ssl", "none"]
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

ENV_PREFIX = "PATHHITS_"
#: Settings that are also read under the name every host platform uses.
BARE_ENV_NAMES = {"redis_url": "REDIS_URL", "database_url": "DATABASE_URL"}
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
#: Settings that nobody should read: no error shows them.
SECRETS = ("secret", "dashboard_password", "notify_secret", "notify_smtp_password")
#: Characters of the shortest password that opens the dashboard.
SHORTEST_PASSWORD = 8
#: A pattern of event names, and its longest: an event such as product.viewed, product.*, *.viewed, or * for all.
EVENT_PATTERN = re.compile(r"\*|(?:\*|\w+)\.(?:\*|\w+)")
EVENT_PATTERN_LENGTH = 64
#: Characters of a wrong value that an error shows.
SHOWN = 200
#: Characters of the shortest secret.
SECRET_LENGTH = 16


def setting(default: Any, unit: str, sentence: str, *, shown: bool = True) -> Any:
    """Declare one field of `Settings` together with its unit ("" when it has none) and its sentence."""
    return field(default=default, metadata={"unit": unit, "help": sentence}, repr=shown)


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """All settings, validated when made; impossible values raise `SettingsError` with one clear line.

    Each field is set by keyword, by ``PATHHITS_<NAME>`` in the environment (`from_env`) or by an upper-case
    key of a mapping (`from_mapping`, the form of Django's ``PATHHITS`` dict).
    """

    redis_url: str = setting(
        "redis://127.0.0.1:6379/0", "URL", "Redis that holds what is not yet in SQL; also read from REDIS_URL."
    )
    database_url: str = setting(
        "sqlite:///pathhits.db", "URL", "SQL database that keeps the counts; also read from DATABASE_URL."
    )
    queue_url: str = setting("", "URL", "Redis of RQ and the clock, when it is not the one of redis_url.")
    redis_tls_verify: bool = setting(True, "", "Verify a rediss:// server's certificate (Heroku's is self-signed: 0).")
    redis_timeout: float = setting(1.0, "s", "How long the flusher, a sync or a command waits for one answer of Redis.")
    sql_timeout: float = setting(30.0, "s", "How long a read, a sync or a command waits for one answer of SQL.")
    namespace: str = setting(
        "pathhits", "", "Prefix of every Redis key and of the RQ queue; two apps on one Redis never meet."
    )
    app: str = setting("", "import path", "module:attribute of the PathHits object that jobs and commands use.")
    secret: str = setting(
        "", "", "Key of what must stay the same across restarts; needed by salt_rotation=never.", shown=False
    )
    enabled: bool = setting(True, "", "0 makes every middleware a plain pass-through that counts nothing.")

    route_label: RouteLabel = setting("name", "", "What a hit counts under: name, pattern or path, else the next.")
    exclude: tuple[str, ...] = setting(("static", "*.static"), "globs", "Route names or patterns that are not counted.")
    exclude_prefixes: tuple[str, ...] = setting(
        ("/static/", "/favicon.ico", "/robots.txt", "/_pathhits/"), "paths", "URL path prefixes that are not counted."
    )
    exclude_types: tuple[str, ...] = setting(
        ("image/", "font/", "audio/", "video/", "text/css", "text/javascript", "application/javascript"),
        "prefixes",
        "Content types of responses that are not counted.",
    )
    count_statuses: tuple[int, ...] = setting(
        (200, 201, 202, 203, 206, 207, 208, 226, 304), "", "Response statuses that make a hit (206 only from byte 0)."
    )
    max_labels: int = setting(10_000, "labels", "Distinct labels a process and UTC day, then (other).")

    trusted_proxies: TrustedProxies = setting(
        0, "hops or CIDRs", "Proxies in front of the app whose forwarded address is believed, counted from the right."
    )
    proxy_header: str = setting("X-Forwarded-For", "header", "The header in which trusted proxies name the client.")
    bots: Bots = setting("drop", "", "drop: bots are not hits, they are counted as drops; count: they are hits.")
    salt_rotation: SaltRotation = setting("day", "", "How long a visitor can be recognised: day, week, month or never.")
    user_ids: UserIds = setting(
        "keyed", "", "Users in the event log: keyed (a hash, new with each salt) or plain (as your app names them)."
    )
    opt_out_cookie: str = setting("pathhits_optout", "cookie", "A request with this cookie counts without a visitor.")

    dimensions: tuple[str, ...] = setting(
        DIMENSIONS, "", "What hits are told apart by besides the label; country needs geoip_path. Empty: by nothing."
    )
    max_values: int = setting(1_000, "values", "Distinct values of one dimension a process and UTC day, then (other).")
    own_hosts: tuple[str, ...] = setting(
        (), "hosts", "Hosts whose links count as internal, besides the host that a request was sent to."
    )
    geoip_path: str = setting(
        "", "path", "A MaxMind database (.mmdb) of yours that knows countries; without it none are counted."
    )

    visit_timeout: int = setting(1_800, "s", "A visit ends when its visitor makes no hit for so long; 0: no visits.")

    beacon: bool = setting(False, "", "Answer /_pathhits/beacon.js, a script that tells when a page was left.")

    dashboard_password: str = setting(
        "",
        "",
        "Opens the dashboard: plain, or as werkzeug's generate_password_hash writes it (scrypt:...).",
        shown=False,
    )
    dashboard_public: bool = setting(
        False,
        "",
        "1 shows the counts of the dashboard to everybody; events, health and buttons stay with the password.",
    )
    public_counter: bool = setting(
        False, "", "Answer count/<label>.json, .svg and .html under the dashboard to everybody: a badge with its hits."
    )

    flush_interval: float = setting(1.0, "s", "How often a process sends what it counted to Redis.")
    buffer_size: int = setting(50_000, "entries", "What a process holds while Redis is away; the rest is shed.")
    fallback_after: float = setting(
        60.0, "s", "How long Redis refuses before a process counts into SQL itself; 0: it never does."
    )
    sync_every: float = setting(
        30.0, "s", "How often the clock moves the counts from Redis into SQL; while events wait, at once."
    )
    request_deadline: float = setting(0.05, "s", "How long a read inside a request may take before it answers without.")

    hot_at: int = setting(100, "views", "Recent views at which an item becomes hot.")
    cold_below: int = setting(50, "views", "Recent views below which a hot item cools; must not exceed hot_at.")
    cache_recent_views: float = setting(
        300.0, "s", "How long recent views of an item that does not change are not counted again; 0 counts each time."
    )
    cache_visitors: float = setting(
        600.0,
        "s",
        "How long a process remembers the visitors by day of an item that does not change; 0: not.",
    )
    cache_hot_items: float = setting(
        3600.0, "s", "How long a process remembers the hot items while none of them changes; 0: not."
    )
    retention_events: int = setting(90, "days", "How long events are kept, whole UTC days; 0 keeps them for ever.")
    retention_values: int = setting(
        400, "days", "How long the values of single labels are kept, whole UTC days; 0 keeps them for ever."
    )
    items_every: float = setting(60.0, "s", "How often the clock has the recent views of items counted.")
    snapshot_every: float = setting(1800.0, "s", "How often the clock has what a dashboard shows computed.")
    retention_snapshots: int = setting(7, "days", "How long snapshots of the dashboard are kept; 0 keeps all.")
    popularity_every: float = setting(3600.0, "s", "How often popularity is sent to the sinks.")
    popularity_half_life: float = setting(7.0, "days", "After how long a view counts half in popularity.")
    months_every: float = setting(3_600.0, "s", "How often the clock has days that are over summed up by month.")
    prune_every: float = setting(86_400.0, "s", "How often the clock has old events deleted; a day: at midnight UTC.")

    search_log: SearchLog = setting("all", "", "Searches that are logged and counted: all, or with_results.")
    max_searches: int = setting(10_000, "queries", "Distinct queries counted a UTC day, then (other).")

    recommend_every: float = setting(3_600.0, "s", "How often the clock has recommendations made of new views.")
    recommend_days: int = setting(30, "days", "Views of so many UTC days are what recommendations are made of.")
    recommend_min_visitors: int = setting(
        2, "visitors", "Visitors in common from which an item is recommended; of 1, a list may tell of one person."
    )
    cache_also_viewed: float = setting(
        3600.0, "s", "How long a process remembers recommendations while none are made anew; 0: not."
    )

    listeners_off: tuple[str, ...] = setting((), "globs", "Names of listeners that are not called; their events wait.")
    listener_attempts: int = setting(3, "calls", "How often a listener that fails is called with an event in all.")
    listener_waits: tuple[float, ...] = setting(
        (10.0, 30.0, 60.0), "s", "Waits before its further calls; the last one holds for all that follow."
    )
    deliver_every: float = setting(
        10.0, "s", "How often the clock has listeners called; with new events and after a wait, at once."
    )

    notify_to: tuple[str, ...] = setting((), "addresses", "Who gets an e-mail about what notify_events names.")
    notify_webhooks: tuple[str, ...] = setting((), "URLs", "Where it is posted to, as signed JSON.")
    notify_events: tuple[str, ...] = setting(
        ("*.updated", "*.became_hot", "*.cooled", "site.*"), "patterns", "The events that are told of."
    )
    notify_failures: int = setting(5, "runs", "Failed runs in a row of one job that are told of; 0: none are.")
    notify_most: int = setting(50, "e-mails", "E-mails a day to one recipient about events of one name; 0: no end.")
    notify_from: str = setting("pathhits@localhost", "address", "The sender of the e-mails.")
    notify_smtp_host: str = setting("", "host", "The SMTP server that takes the e-mails, such as smtp.sendgrid.net.")
    notify_smtp_port: int = setting(587, "port", "Its port: 587 for starttls, 465 for ssl.")
    notify_smtp_security: SmtpSecurity = setting("starttls", "", "How it is talked to: starttls, ssl or none.")
    notify_smtp_user: str = setting("", "", "The user to log in as there; for SendGrid the word apikey.")
    notify_smtp_password: str = setting("", "", "Its password; for SendGrid the API key.", shown=False)
    notify_secret: str = setting("", "", "Key that webhooks are signed with, as their receivers know it.", shown=False)
    notify_file: str = setting("", "path", "A file that e-mails are added to instead of being sent, while developing.")
    notify_timeout: float = setting(10.0, "s", "How long an SMTP server or a webhook may take to answer.")

    spikes_every: float = setting(900.0, "s", "How often the clock has the traffic compared with that of other days.")
    spike_factor: float = setting(4.0, "times", "Hits in an hour, against the usual number, that are a spike.")
    spike_minimum: int = setting(200, "hits", "Hits in an hour below which nothing is a spike.")
    silence_share: float = setting(0.1, "", "Share of the usual hits in an hour up to which the site is silent.")
    silence_minimum: int = setting(50, "hits", "Usual hits in an hour below which no silence is told of.")
    spike_alarms: int = setting(2, "events", "Spikes, and silences, that are told of in a UTC day at most.")

    def __post_init__(self) -> None:
        for spec in dataclasses.fields(self):
            object.__setattr__(self, spec.name, _coerce(spec, getattr(self, spec.name)))
        _check(self)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
        """Settings from ``PATHHITS_*``, ``REDIS_URL`` and ``DATABASE_URL``; keywords win over the environment.

        Raises `SettingsError` for a ``PATHHITS_`` variable that is no setting.
        """
        environ = os.environ if environ is None else environ
        values: dict[str, Any] = {name: environ[bare] for name, bare in BARE_ENV_NAMES.items() if environ.get(bare)}
        prefixed = {key[len(ENV_PREFIX) :]: value for key, value in environ.items() if key.startswith(ENV_PREFIX)}
        values.update(_known(prefixed, lambda name: f"{ENV_PREFIX}{name}"))
        return cls(**{**values, **overrides})

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any], environ: Mapping[str, str] | None = None) -> Settings:
        """Settings from keys such as ``{"REDIS_URL": ...}``; what is not given comes from the environment."""
        return cls.from_env(environ, **_known(mapping, lambda name: f"PATHHITS[{name!r}]"))

    @property
    def notifies(self) -> bool:
        """Whether anybody is told of anything."""
        return bool(self.notify_to or self.notify_webhooks or self.notify_file)

    @property
    def believed_header(self) -> str:
        """The header that a middleware has to read for the client's address; "" where no proxy is trusted."""
        return self.proxy_header if self.trusted_proxies else ""


def redact(url: str) -> str:
    """The URL with its password, if any, replaced by ``***``; safe to log."""
    # Up to the last @ of the word: people write passwords with / and @ in them.
    return re.sub(r"(?<=://)([^/?#@\s:]*):\S*@", r"\1:***@", re.sub(r"(?i)(passw(?:or)?d=)[^&#\s]*", r"\1***", url))


def names() -> tuple[str, ...]:
    """The names of all settings, in the order of `Settings`."""
    return tuple(spec.name for spec in dataclasses.fields(Settings))


def _known(mapping: Mapping[str, Any], spell: Callable[[str], str]) -> dict[str, Any]:
    known = set(names())
    for key in map(str, mapping):
        if key.lower() not in known or key != key.upper():
            raise SettingsError(
                f"{spell(key)}: unknown setting; known are {', '.join(sorted(n.upper() for n in known))}"
            )
    return {key.lower(): value for key, value in mapping.items()}


def _coerce(spec: dataclasses.Field[Any], value: Any) -> Any:
    parse = _PARSERS.get(spec.name) or _PARSERS_BY_TYPE[str(spec.type)]
    try:
        return parse(value)
    except ValueError as error:
        raise SettingsError(f"{spec.name.upper()}={_shown(spec.name, value)}: {error}") from None


def _shown(name: str, value: Any) -> str:
    """A wrong value on one line, without what nobody should read."""
    if name in SECRETS:
        return "***"
    shown = redact(value if isinstance(value, str) and value.isprintable() else repr(value))
    return shown if len(shown) <= SHOWN else f"{shown[:SHOWN]}…"


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


_PARSERS: dict[str, Callable[[Any], Any]] = {
    "redis_url": _redis_url,
    "queue_url": _redis_url,
    "database_url": _database_url,
    "namespace": _namespace,
    "exclude_prefixes": _paths,
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
_PARSERS_BY_TYPE: dict[str, Callable[[Any], Any]] = {
    "str": _text,
    "bool": _flag,
    "float": _number,
    "int": _integer,
    "tuple[str, ...]": _words,
}
_NOT_NEGATIVE = (
    "fallback_after",
    "cache_recent_views",
    "cache_visitors",
    "cache_hot_items",
    "retention_snapshots",
    "retention_values",
    "notify_failures",
    "notify_most",
    "spike_minimum",
    "silence_minimum",
    "spike_alarms",
    "cache_also_viewed",
)
_POSITIVE = (
    "redis_timeout",
    "sql_timeout",
    "flush_interval",
    "sync_every",
    "items_every",
    "months_every",
    "prune_every",
    "popularity_every",
    "popularity_half_life",
    "snapshot_every",
    "deliver_every",
    "recommend_every",
    "recommend_days",
    "recommend_min_visitors",
    "listener_attempts",
    "notify_timeout",
    "spikes_every",
    "request_deadline",
    "max_labels",
    "max_searches",
    "max_values",
    "buffer_size",
    "hot_at",
)


def _check(settings: Settings) -> None:
    for name in _POSITIVE:
        if getattr(settings, name) <= 0:
            raise SettingsError(f"{name.upper()}={getattr(settings, name):g}: give a number above 0")
    for name in _NOT_NEGATIVE:
        if getattr(settings, name) < 0:
            raise SettingsError(f"{name.upper()}={getattr(settings, name):g}: give 0 or more")
    if not settings.redis_url:
        raise SettingsError("REDIS_URL is empty: give a URL such as redis://127.0.0.1:6379/0")
    if not 0 <= settings.visit_timeout <= 86_400:
        raise SettingsError(f"VISIT_TIMEOUT={settings.visit_timeout}: give seconds, at most 86400, or 0 for no visits")
    if settings.cold_below < 0 or settings.cold_below > settings.hot_at:
        raise SettingsError(
            f"COLD_BELOW={settings.cold_below} is above HOT_AT={settings.hot_at}: "
            "an item would be hot and cold at once; lower it"
        )
    shortest = 32 if settings.salt_rotation == "month" else 8
    if settings.retention_events and settings.retention_events < shortest:
        raise SettingsError(
            f"RETENTION_EVENTS={settings.retention_events}: give 0 (for ever) or at least {shortest} days, "
            "in which recent views and visitors are looked up"
        )
    if 0 < len(settings.dashboard_password) < SHORTEST_PASSWORD:
        raise SettingsError(f"DASHBOARD_PASSWORD=***: give at least {SHORTEST_PASSWORD} characters, or a hash")
    if settings.salt_rotation == "never" and len(settings.secret) < SECRET_LENGTH:
        raise SettingsError("SALT_ROTATION=never needs SECRET, at least 16 characters, kept the same everywhere")
    if settings.spike_factor <= 1:
        raise SettingsError(f"SPIKE_FACTOR={settings.spike_factor:g}: give a number above 1")
    if not 0 <= settings.silence_share < 1:
        raise SettingsError(f"SILENCE_SHARE={settings.silence_share:g}: give a share of 1, such as 0.1")
    _check_notify(settings)


def _check_notify(settings: Settings) -> None:
    if not 0 < settings.notify_smtp_port < 65_536:
        raise SettingsError(f"NOTIFY_SMTP_PORT={settings.notify_smtp_port}: give a port, up to 65535")
    if settings.notify_to and not (settings.notify_smtp_host or settings.notify_file):
        raise SettingsError(
            "NOTIFY_TO needs NOTIFY_SMTP_HOST, which takes the e-mails, or NOTIFY_FILE while developing"
        )
    if settings.notify_smtp_user and settings.notify_smtp_security == "none":
        raise SettingsError("NOTIFY_SMTP_SECURITY=none would send the password in the clear: give starttls or ssl")
    if settings.notify_webhooks and len(settings.notify_secret) < SECRET_LENGTH:
        raise SettingsError("NOTIFY_WEBHOOKS needs NOTIFY_SECRET, at least 16 characters, which their receivers know")
