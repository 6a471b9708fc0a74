"""Settings: each wrong value stops with one line that says what to do and shows no password; all ways in agree."""

from __future__ import annotations

import dataclasses
import ipaddress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pathhits import PathHits, Settings, SettingsError
from pathhits.settings import DIMENSIONS, LONGEST, MOST, names, redact
from pathhits.storage.redis.client import connect

PASSWORD = "hunter2"
SECRET = "0123456789abcdef"

#: Setting, impossible value, and what the line says to do about it.
IMPOSSIBLE: list[tuple[str, Any, str]] = [
    ("redis_url", "", "REDIS_URL is empty: give a URL such as redis://"),
    ("redis_url", "localhost:6379", "give a URL that starts with redis://"),
    ("redis_url", "http://localhost", "give a URL that starts with redis://"),
    ("redis_url", "redis://localhost:63x9/0", "its port is no number"),
    ("redis_url", "redis://localhost:70000/0", "its port is no number up to 65535"),
    ("redis_url", f"redis://:{PASSWORD}/x@localhost/0", "%2F"),
    ("redis_url", "redis://localhost/shop", "the number of a Redis database"),
    ("redis_url", "redis://localhost/0?db=shop", "the number of a Redis database"),
    ("redis_url", f"redis://:{PASSWORD}@[::1:6379/0", "Invalid IPv6 URL"),
    ("redis_url", f"redis://:{PASSWORD}@localhost/x".encode(), "give a URL that starts with redis://"),
    ("queue_url", "amqp://localhost", "give a URL that starts with redis://"),
    ("database_url", "", "give a URL that starts with sqlite://"),
    ("database_url", "shop.db", "give a URL that starts with sqlite://"),
    ("database_url", f"oracle://shop:{PASSWORD}@localhost/shop", "give a URL that starts with sqlite://"),
    ("database_url", f"postgresql://shop:{PASSWORD}@localhost:54x2/shop", "its port is no number"),
    ("database_url", f"postgresql://shop:x@{PASSWORD}@localhost/shop", "write the @ of a password as %40"),
    ("redis_tls_verify", "maybe", "give 1 or 0"),
    ("enabled", 2, "give 1 or 0"),
    ("namespace", "", "give 1 to 64 letters"),
    ("namespace", "my shop", "give 1 to 64 letters"),
    ("namespace", "{shop}", "give 1 to 64 letters"),
    ("app", None, "give text"),
    ("secret", None, "give text"),
    ("route_label", "route", "give one of name, pattern, path"),
    ("bots", "yes", "give one of drop, count"),
    ("bots", "drop\ncount", "give one of drop, count"),
    ("salt_rotation", "hour", "give one of day, week, month, never"),
    ("salt_rotation", "never", "needs SECRET"),
    ("exclude", 5, "give a list, or words separated by commas"),
    ("exclude_types", b"image/", "give a list, or words separated by commas"),
    ("exclude_prefixes", "static/", "every path begins with /"),
    ("count_statuses", "", "give HTTP statuses such as 200-203,304"),
    ("count_statuses", "ok", "give HTTP statuses"),
    ("count_statuses", "200,999", "give HTTP statuses"),
    ("count_statuses", "200-100", "give HTTP statuses"),
    ("count_statuses", "200,300-200", "give HTTP statuses"),
    ("count_statuses", "0-99999999999", "give HTTP statuses"),
    ("count_statuses", True, "give HTTP statuses"),
    ("trusted_proxies", "0.0.0.0/0", "name the proxies' own networks or a number of hops"),
    ("trusted_proxies", "::/0", "name the proxies' own networks or a number of hops"),
    ("trusted_proxies", "10.0.0.0/8,0.0.0.0/0", "name the proxies' own networks"),
    ("trusted_proxies", "0.0.0.0/1,128.0.0.0/1", "name the proxies' own networks"),
    ("trusted_proxies", "2000::/3", "name the proxies' own networks"),
    ("trusted_proxies", ipaddress.ip_network("::/0"), "name the proxies' own networks"),
    ("trusted_proxies", "10.0.0.1/8", "host bits set; give a number of proxies, or networks such as 10.0.0.0/8"),
    ("trusted_proxies", "proxy.example", "give a number of proxies, or networks such as 10.0.0.0/8"),
    ("trusted_proxies", "-1", "0 to 32"),
    ("trusted_proxies", 33, "0 to 32"),
    ("trusted_proxies", True, "0 to 32"),
    ("proxy_header", "", "give the name of a header, such as X-Forwarded-For"),
    ("proxy_header", "X-Förwarded", "give the name of a header"),
    ("proxy_header", "X-Forwarded-For: 1", "give the name of a header"),
    ("opt_out_cookie", "a=b", "give the name of a cookie"),
    ("opt_out_cookie", "a b", "give the name of a cookie"),
    ("max_labels", 0, "give a number above 0"),
    ("max_labels", "many", "give a whole number"),
    ("max_labels", 2.5, "give a whole number"),
    ("max_labels", True, "give a whole number"),
    ("max_labels", 10**400, "give a whole number"),
    ("buffer_size", -1, "give a number above 0"),
    ("flush_interval", -1, "give a number above 0"),
    ("flush_interval", "-0.5", "give a number above 0"),
    ("flush_interval", 0, "give a number above 0"),
    ("flush_interval", "soon", "give a number of seconds"),
    ("flush_interval", "nan", "give a number of seconds"),
    ("flush_interval", "inf", "give a number of seconds"),
    ("flush_interval", 1e300, "give a number of seconds"),
    ("sync_every", None, "give a number of seconds"),
    ("sync_every", 10**400, "give a number of seconds"),
    ("redis_timeout", 0, "give a number above 0"),
    ("sql_timeout", 0, "give a number above 0"),
    ("user_ids", "hashed", "give one of keyed, plain"),
    ("search_log", "found", "give one of all, with_results"),
    ("max_searches", 0, "give a number above 0"),
    ("fallback_after", -1, "give 0 or more"),
    ("request_deadline", True, "give a number of seconds"),
    ("beacon", "maybe", "give 1 or 0"),
    ("dimensions", "browser,colour", "give some of referrer, utm_source"),
    ("retention_values", -1, "give 0 or more"),
    ("max_values", 0, "give a number above 0"),
    ("own_hosts", "https://shop.example.org/", "give hosts such as shop.example.org"),
    ("own_hosts", 5, "give a list, or words separated by commas"),
    ("geoip_path", None, "give text"),
    ("dashboard_public", "maybe", "give 1 or 0"),
    ("public_counter", "maybe", "give 1 or 0"),
    ("dashboard_password", "short", "at least 8 characters"),
    ("visit_timeout", -1, "give seconds, at most 86400"),
    ("visit_timeout", 86_401, "give seconds, at most 86400"),
    ("hot_at", 0, "give a number above 0"),
    ("hot_at", 40, "COLD_BELOW=50 is above HOT_AT=40"),
    ("cold_below", 101, "COLD_BELOW=101 is above HOT_AT=100"),
    ("cold_below", -1, "COLD_BELOW=-1"),
    ("retention_events", 7, "give 0 (for ever) or at least 8 days"),
    ("retention_events", -1, "give 0 (for ever) or at least 8 days"),
    ("items_every", 0, "give a number above 0"),
    ("months_every", 0, "give a number above 0"),
    ("prune_every", 0, "give a number above 0"),
    ("popularity_every", 0, "give a number above 0"),
    ("popularity_half_life", 0, "give a number above 0"),
    ("snapshot_every", 0, "give a number above 0"),
    ("retention_snapshots", -1, "give 0 or more"),
    ("deliver_every", 0, "give a number above 0"),
    ("listeners_off", 5, "give a list, or words separated by commas"),
    ("listener_attempts", 0, "give a number above 0"),
    ("listener_timeout", -1, "give 0 or more"),
    ("listener_timeout", 801, "give at most 800 s"),
    ("listener_waits", "", "give seconds such as 10,30,60"),
    ("listener_waits", "10,-1", "give seconds such as 10,30,60"),
    ("listener_waits", "soon", "give seconds such as 10,30,60"),
    ("notify_to", "you", "give an e-mail address"),
    ("notify_to", "you@example.org", "NOTIFY_TO needs NOTIFY_SMTP_HOST"),
    ("notify_from", "a@b.c\nBcc: d@e.f", "give an e-mail address"),
    ("notify_webhooks", "ftp://example.org", "give URLs that start with https://"),
    ("notify_webhooks", f"https://u:{PASSWORD}@example.org", "without a password"),
    ("notify_webhooks", "https://example.org:99999/", "port"),
    ("notify_webhooks", "https://example.org/a b", "no spaces"),
    ("notify_webhooks", "https://example.org/", "NOTIFY_WEBHOOKS needs NOTIFY_SECRET"),
    ("notify_events", 5, "give a list, or words separated by commas"),
    ("notify_events", "updated", "give events such as product.updated"),
    ("notify_events", f"{'x' * 60}.updated", "give events such as product.updated"),
    ("notify_most", -1, "give 0 or more"),
    ("notify_failures", -1, "give 0 or more"),
    ("notify_smtp_host", "smtp example", "give the name of a host"),
    ("notify_smtp_port", 0, "give a port"),
    ("notify_smtp_port", 65_536, "give a port"),
    ("notify_smtp_security", "tls", "give one of starttls, ssl, none"),
    ("notify_smtp_user", "a\nb", "give text on one line"),
    ("notify_smtp_password", f"{PASSWORD}\r", "give text on one line"),
    ("notify_secret", f"{PASSWORD} ", "give text on one line"),
    ("notify_file", "a\0b", "give text on one line"),
    ("notify_timeout", 0, "give a number above 0"),
    ("spikes_every", 0, "give a number above 0"),
    ("spike_factor", 1, "give a number above 1"),
    ("spike_minimum", -1, "give 0 or more"),
    ("silence_share", 1, "give a share of 1"),
    ("silence_share", -0.1, "give a share of 1"),
    ("silence_minimum", -1, "give 0 or more"),
    ("spike_alarms", -1, "give 0 or more"),
    ("cache_recent_views", -1, "CACHE_RECENT_VIEWS=-1: give 0 or more"),
    ("cache_visitors", "long", "give a number of seconds"),
    ("cache_hot_items", -0.5, "give 0 or more"),
    ("cache_also_viewed", -0.5, "give 0 or more"),
    ("recommend_every", 0, "give a number above 0"),
    ("recommend_days", 0, "give a number above 0"),
    ("recommend_min_visitors", 0, "give a number above 0"),
]


def made(**values: Any) -> Settings:
    """Settings from values of any type, as the outside world has them."""
    return Settings(**values)


def told(error: pytest.ExceptionInfo[SettingsError]) -> str:
    return str(error.value)


@pytest.mark.parametrize(("name", "value", "advice"), IMPOSSIBLE)
def test_an_impossible_value_stops_with_one_line_that_says_what_to_do(name: str, value: Any, advice: str) -> None:
    with pytest.raises(SettingsError) as error:
        Settings(**{name: value})
    line = told(error)
    assert advice in line
    assert name.upper() in line
    assert line.isprintable(), "one line, and no control characters"
    assert len(line) < 500
    assert PASSWORD not in line


def test_every_setting_that_can_be_wrong_has_a_wrong_value_above() -> None:
    assert {name for name, _, _ in IMPOSSIBLE} == set(names())


def test_wrong_text_from_the_environment_says_the_same() -> None:
    for name, value, advice in IMPOSSIBLE:
        if isinstance(value, str) and value:
            with pytest.raises(SettingsError) as error:
                Settings.from_env({f"PATHHITS_{name.upper()}": value})
            assert advice in told(error)


def test_a_secret_is_never_shown() -> None:
    with pytest.raises(SettingsError) as error:
        made(secret=PASSWORD.encode())
    assert PASSWORD not in told(error)
    with pytest.raises(SettingsError) as short:
        Settings(salt_rotation="never", secret=PASSWORD)
    assert PASSWORD not in told(short)


# --- unknown names ---


@pytest.mark.parametrize("name", ["REDDIS_URL", "redis_url", "FLUSHINTERVAL", ""])
def test_an_unknown_variable_stops_and_the_known_ones_are_named(name: str) -> None:
    with pytest.raises(SettingsError) as error:
        Settings.from_env({f"PATHHITS_{name}": PASSWORD})
    assert told(error).startswith(f"PATHHITS_{name}: unknown setting; known are APP, BEACON, BOTS, ")
    assert PASSWORD not in told(error)


@pytest.mark.parametrize("key", ["REDDIS_URL", "redis_url", 5])
def test_an_unknown_key_of_a_mapping_stops(key: Any) -> None:
    with pytest.raises(SettingsError, match="unknown setting"):
        Settings.from_mapping({key: PASSWORD}, {})


def test_an_unknown_keyword_stops() -> None:
    with pytest.raises(SettingsError, match=r"unknown setting: .*reddis_url"):
        PathHits(reddis_url="redis://localhost")


def test_settings_and_keywords_together_stop() -> None:
    with pytest.raises(SettingsError, match="give settings or keywords, not both: namespace"):
        PathHits(Settings(), namespace="shop")


@pytest.mark.parametrize(
    "url",
    [
        f"redis://:{PASSWORD}@localhost/0?sockettimeout=3",
        f"rediss://:{PASSWORD}@localhost/0?ssl_cert_reqs=some",
        f"redis://:{PASSWORD}@localhost/0?max_connections=many",
    ],
)
def test_an_option_of_the_url_that_redis_does_not_know_stops_before_the_first_hit(url: str) -> None:
    with pytest.raises(SettingsError) as error:
        PathHits(redis_url=url).wsgi(lambda environ, start_response: [])
    assert "look at what follows ?" in told(error)
    assert PASSWORD not in told(error)
    assert "\n" not in told(error)


# --- what is accepted ---


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("postgres://u:p@h/d", "postgresql+psycopg://u:p@h/d"),
        ("postgresql://u:p@h:5432/d?sslmode=require", "postgresql+psycopg://u:p@h:5432/d?sslmode=require"),
        ("postgresql://u:p/w@[::1]:5432/d", "postgresql+psycopg://u:p/w@[::1]:5432/d"),
        ("mysql://u:p@h/d", "mariadb+pymysql://u:p@h/d"),
        ("mariadb://u@/d?unix_socket=/run/mysqld/mysqld.sock", "mariadb+pymysql://u@/d?unix_socket=/run/mysqld/mysqld.sock"),
        ("mysql+pymysql://u:p@h/d", "mysql+pymysql://u:p@h/d"),
        ("sqlite:///shop.db", "sqlite:///shop.db"),
        ("sqlite://", "sqlite://"),
        ("sqlite:////srv/a@b:c/shop.db", "sqlite:////srv/a@b:c/shop.db"),
        (" sqlite:///shop.db\n", "sqlite:///shop.db"),
    ],
)  # fmt: skip
def test_database_urls_of_hosting_platforms_are_rewritten(given: str, kept: str) -> None:
    assert Settings(database_url=given).database_url == kept


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost",
        "redis://localhost:6379/",
        "redis://:p%2Fw@localhost:6379/15",
        "rediss://user:pw@h.example:6380/0?ssl_cert_reqs=none",
        "unix:///run/redis.sock?db=3",
        "redis://[::1]:6379/0",
    ],
)
def test_redis_urls_are_taken_as_they_are_and_redis_takes_them(url: str) -> None:
    assert Settings(redis_url=url).redis_url == url
    connect(url, timeout=1.0)


@pytest.mark.parametrize("text", [" redis://localhost/3\n", "REDIS://localhost/3", "Redis://localhost/3"])
def test_a_redis_url_is_put_into_the_form_that_redis_takes(text: str) -> None:
    assert Settings(redis_url=text).redis_url == "redis://localhost/3"


def test_trusted_proxies_are_hops_or_networks() -> None:
    ten, six = ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("fd00::/8")
    assert made(trusted_proxies=" 2 ").trusted_proxies == 2
    assert made(trusted_proxies="10.0.0.0/8, fd00::/8").trusted_proxies == (ten, six)
    assert made(trusted_proxies=(ten, six)).trusted_proxies == (ten, six)
    assert made(trusted_proxies=ten).trusted_proxies == (ten,)
    assert made(trusted_proxies="192.0.2.7").trusted_proxies == (ipaddress.ip_network("192.0.2.7/32"),)
    assert made(trusted_proxies="").trusted_proxies == 0


def test_statuses_are_numbers_and_ranges() -> None:
    assert made(count_statuses="200-203, 304").count_statuses == (200, 201, 202, 203, 304)
    assert made(count_statuses=[304, 200]).count_statuses == (200, 304)
    assert made(count_statuses=200).count_statuses == (200,)


def test_flags_are_words_or_digits() -> None:
    assert all(made(enabled=text).enabled is True for text in ("1", "on", "TRUE", "yes", 1))
    assert all(made(enabled=text).enabled is False for text in ("0", "off", "no", "False", "", 0))


def test_the_seeds_presets_of_the_sync_are_possible() -> None:
    for seconds in (300, 900, 86_400):
        assert Settings(sync_every=seconds).sync_every == seconds


def test_never_rotating_needs_a_secret_of_16_characters() -> None:
    assert Settings(salt_rotation="never", secret=SECRET).secret == SECRET


def test_what_the_notifications_need_can_be_given() -> None:
    found = made(
        notify_to="a@b.c, d@e.f", notify_file="x", notify_webhooks="https://h/a,http://h:8/b", notify_secret=SECRET
    )
    assert found.notify_to == ("a@b.c", "d@e.f")
    assert found.notify_webhooks == ("https://h/a", "http://h:8/b")
    assert found.notifies
    assert not Settings(notify_smtp_host="h").notifies


def test_a_password_is_not_sent_in_the_clear() -> None:
    with pytest.raises(SettingsError, match="NOTIFY_SMTP_SECURITY=none would send the password in the clear"):
        Settings(notify_smtp_user="u", notify_smtp_password=PASSWORD, notify_smtp_security="none")


def test_what_nobody_should_read_is_not_shown() -> None:
    shown = repr(Settings(secret=PASSWORD, notify_secret=PASSWORD, notify_smtp_password=PASSWORD))
    assert PASSWORD not in shown


def test_equal_values_are_no_contradiction() -> None:
    assert Settings(hot_at=50, cold_below=50).cold_below == 50


# --- the ways in ---


def test_the_bare_names_of_hosting_platforms_are_read_and_ours_win() -> None:
    bare = {"REDIS_URL": "redis://bare/1", "DATABASE_URL": "postgres://u@bare/d"}
    found = Settings.from_env(bare)
    assert (found.redis_url, found.database_url) == ("redis://bare/1", "postgresql+psycopg://u@bare/d")
    assert Settings.from_env(bare | {"PATHHITS_REDIS_URL": "redis://ours/1"}).redis_url == "redis://ours/1"
    assert Settings.from_env(bare, redis_url="redis://keyword/1").redis_url == "redis://keyword/1"
    assert Settings.from_mapping({"REDIS_URL": "redis://mapping/1"}, bare).redis_url == "redis://mapping/1"


def test_an_empty_bare_name_is_not_given() -> None:
    assert Settings.from_env({"REDIS_URL": "", "DATABASE_URL": ""}) == Settings()


_words = st.text("abcdefghijklmnopqrstuvwxyz*._", min_size=1, max_size=8)
_seconds = st.floats(0.001, LONGEST).map(str) | st.integers(1, int(LONGEST)).map(str)
_counts = st.integers(1, MOST).map(str)
_TEXTS: dict[str, st.SearchStrategy[str]] = {
    "redis_url": st.integers(0, 15).map("redis://h:6379/{}".format),
    "queue_url": st.sampled_from(["", "unix:///run/r.sock", "rediss://:p%40@h"]),
    "database_url": st.sampled_from(["sqlite:///a.db", "postgres://u:p@h/d", "mysql://h/d"]),
    "redis_tls_verify": st.sampled_from(["0", "1", "yes", "off"]),
    "enabled": st.sampled_from(["0", "1", "true", ""]),
    "namespace": st.from_regex(r"[A-Za-z0-9_.-]{1,64}", fullmatch=True),
    "app": st.text(max_size=20),
    "secret": st.text(min_size=16, max_size=40),
    "route_label": st.sampled_from(["name", "pattern", "path"]),
    "bots": st.sampled_from(["drop", "count"]),
    "user_ids": st.sampled_from(["keyed", "plain"]),
    "search_log": st.sampled_from(["all", "with_results"]),
    "salt_rotation": st.sampled_from(["day", "week", "month"]),
    "exclude": st.lists(_words).map(",".join),
    "exclude_prefixes": st.lists(_words.map("/{}".format)).map(" , ".join),
    "exclude_types": st.lists(_words).map(",".join),
    "count_statuses": st.sampled_from(["200", "200-299", "200,304", "201-203,206"]),
    "trusted_proxies": st.integers(0, 32).map(str) | st.sampled_from(["10.0.0.0/8", "fd00::/8,192.0.2.0/24"]),
    "proxy_header": st.sampled_from(["X-Forwarded-For", "CF-Connecting-IP", "Forwarded"]),
    "opt_out_cookie": st.from_regex(r"[a-z_]{0,20}", fullmatch=True),
    "max_labels": _counts,
    "max_searches": _counts,
    "max_values": _counts,
    "retention_values": _counts | st.just("0"),
    "dimensions": st.lists(st.sampled_from(DIMENSIONS)).map(",".join),
    "own_hosts": st.lists(st.sampled_from(["shop.example", "www.b.example:8000", "[::1]"])).map(",".join),
    "geoip_path": st.text(max_size=20),
    "buffer_size": _counts,
    "hot_at": st.integers(50, MOST).map(str),
    "cold_below": st.integers(0, 50).map(str),
    "items_every": _seconds,
    "recommend_every": _seconds,
    "recommend_days": _counts,
    "recommend_min_visitors": _counts,
    "months_every": _seconds,
    "prune_every": _seconds,
    "snapshot_every": _seconds,
    "popularity_every": _seconds,
    "popularity_half_life": st.sampled_from(["0.5", "7", "30"]),
    "deliver_every": _seconds,
    "listeners_off": st.lists(_words).map(",".join),
    "listener_attempts": _counts,
    "listener_timeout": st.sampled_from(["0", "0.5", "60", "800"]),
    "listener_waits": st.lists(_seconds, min_size=1, max_size=4).map(",".join),
    "retention_snapshots": st.integers(0, MOST).map(str),
    "notify_to": st.just(""),  # others need an SMTP server
    "notify_from": st.sampled_from(["you@example.org", "a+b@localhost"]),
    "notify_webhooks": st.just(""),  # others need a secret
    "notify_events": st.lists(st.sampled_from(["*", "*.updated", "site.*", "product.rated"])).map(",".join),
    "notify_most": _counts | st.just("0"),
    "notify_failures": _counts | st.just("0"),
    "notify_smtp_host": st.sampled_from(["", "smtp.example.org", "127.0.0.1", "::1"]),
    "notify_smtp_port": st.integers(1, 65_535).map(str),
    "notify_smtp_security": st.sampled_from(["starttls", "ssl"]),
    "notify_smtp_user": _words,
    "notify_smtp_password": _words,
    "notify_secret": _words,
    "notify_file": _words,
    "notify_timeout": _seconds,
    "spikes_every": _seconds,
    "spike_factor": st.floats(1.001, 1000).map(str),
    "spike_minimum": _counts | st.just("0"),
    "silence_share": st.floats(0, 0.999).map(str),
    "silence_minimum": _counts | st.just("0"),
    "spike_alarms": _counts | st.just("0"),
    "retention_events": st.just("0") | st.integers(32, MOST).map(str),
    "cache_recent_views": _seconds | st.just("0"),
    "cache_visitors": _seconds | st.just("0"),
    "cache_hot_items": _seconds | st.just("0"),
    "cache_also_viewed": _seconds | st.just("0"),
    "redis_timeout": _seconds,
    "sql_timeout": _seconds,
    "fallback_after": _seconds,
    "flush_interval": _seconds,
    "beacon": st.sampled_from(["0", "1", "yes", "off"]),
    "dashboard_public": st.sampled_from(["0", "1", "yes", "off"]),
    "public_counter": st.sampled_from(["0", "1", "yes", "off"]),
    "dashboard_password": st.text(st.characters(exclude_categories=["C"]), min_size=8, max_size=40) | st.just(""),
    "visit_timeout": st.integers(0, 86_400).map(str),
    "sync_every": _seconds,
    "request_deadline": _seconds,
}


def test_the_property_below_covers_every_setting() -> None:
    assert set(_TEXTS) == set(names())


@given(st.fixed_dictionaries({}, optional=_TEXTS))
def test_environment_mapping_and_keywords_agree(texts: dict[str, str]) -> None:
    upper = {name.upper(): text for name, text in texts.items()}
    from_env = Settings.from_env({f"PATHHITS_{name}": text for name, text in upper.items()})
    assert from_env == Settings.from_mapping(upper, {})
    assert from_env == made(**texts)
    parsed = {name: getattr(from_env, name) for name in texts}
    assert from_env == Settings(**parsed), "a value that was parsed is parsed to itself"


@given(st.sampled_from(names()), st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary())
def test_whatever_is_given_is_taken_or_refused_on_one_line(name: str, value: Any) -> None:
    try:
        made(**{name: value})
    except SettingsError as error:
        told = str(error)
    else:
        told = ""
    assert told.isprintable()


# --- passwords ---


@pytest.mark.parametrize(
    "url",
    [
        f"redis://:{PASSWORD}@h:6379/0",
        f"redis://user:{PASSWORD}@h",
        f"postgresql://u:{PASSWORD}@h/d",
        f"postgresql://u:a/{PASSWORD}@h/d",
        f"postgresql://u:a@{PASSWORD}@h/d",
        f"postgresql://u:a?{PASSWORD}#b@h/d",
        f"postgresql://h/d?user=u&password={PASSWORD}&sslmode=require",
        f"mysql://h/d?passwd={PASSWORD}",
        f"Error 111 connecting to redis://:{PASSWORD}@h:6379/0. Refused",
    ],
)
def test_a_redacted_text_holds_no_password_and_still_says_where(url: str) -> None:
    shown = redact(url)
    assert PASSWORD not in shown
    assert "***" in shown
    assert "h" in shown.rpartition("***")[2] or "://h/" in shown


@pytest.mark.parametrize("text", ["redis://h:6379/0", "sqlite:////srv/shop.db", "unix:///run/redis.sock?db=3", "plain"])
def test_a_text_without_a_password_stays_as_it_is(text: str) -> None:
    assert redact(text) == text


def test_each_setting_has_a_sentence() -> None:
    for spec in dataclasses.fields(Settings):
        assert spec.metadata["help"].endswith("."), spec.name
