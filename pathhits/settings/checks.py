"""What settings may be together, and between which bounds; `SettingsError` says in one line what to change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pathhits.errors import SettingsError

if TYPE_CHECKING:
    from pathhits.settings import Settings

#: Characters of the shortest password that opens the dashboard.
SHORTEST_PASSWORD = 8
#: Characters of the shortest secret.
SECRET_LENGTH = 16
#: Seconds of the longest time limit for a listener: the job that calls it is itself ended after 900.
LONGEST_LISTENER = 800
_NOT_NEGATIVE = (
    "fallback_after",
    "cache_recent_views",
    "cache_visitors",
    "cache_hot_items",
    "retention_snapshots",
    "retention_values",
    "listener_timeout",
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


def check(settings: Settings) -> None:
    """Raise for the first setting that cannot be meant."""
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
    if settings.listener_timeout > LONGEST_LISTENER:
        raise SettingsError(
            f"LISTENER_TIMEOUT={settings.listener_timeout:g}: give at most {LONGEST_LISTENER} s, as the job that calls "
            "listeners is ended after 900, or 0 for no limit"
        )
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
