"""Every knob of pathhits, in one table: name, default, unit, sentence."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pathhits.errors import SettingsError
from pathhits.settings.checks import check
from pathhits.settings.parsing import (
    DIMENSIONS,
    EVENT_PATTERN,
    EVENT_PATTERN_LENGTH,
    LONGEST,
    MOST,
    PARSERS,
    PARSERS_BY_TYPE,
    TrustedProxies,
    redact,
)

__all__ = [
    "BARE_ENV_NAMES",
    "DIMENSIONS",
    "ENV_PREFIX",
    "EVENT_PATTERN",
    "EVENT_PATTERN_LENGTH",
    "LONGEST",
    "MOST",
    "SaltRotation",
    "Settings",
    "TrustedProxies",
    "names",
    "redact",
    "setting",
]

RouteLabel = Literal["name", "pattern", "path"]
Bots = Literal["drop", "count"]
SaltRotation = Literal["day", "week", "month", "never"]
UserIds = Literal["keyed", "plain"]
SearchLog = Literal["all", "with_results"]
SmtpSecurity = Literal["starttls", "ssl", "none"]
ENV_PREFIX = "PATHHITS_"
#: Settings that are also read under the name every host platform uses.
BARE_ENV_NAMES = {"redis_url": "REDIS_URL", "database_url": "DATABASE_URL"}
#: Settings that nobody should read: no error shows them.
SECRETS = ("secret", "dashboard_password", "notify_secret", "notify_smtp_password")
#: Characters of a wrong value that an error shows.
SHOWN = 200


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
    enabled: bool = setting(
        True, "", "0 counts nothing: every middleware passes all through, and no view, event or search is taken."
    )

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
        "1 shows the counts of the dashboard to everybody; searches, events, health and buttons need the password.",
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
    listener_timeout: float = setting(
        60.0,
        "s",
        "How long one call of a listener may take before it is ended, which is a failure; 0: as long as it does.",
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
        check(self)

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
    parse = PARSERS.get(spec.name) or PARSERS_BY_TYPE[str(spec.type)]
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
