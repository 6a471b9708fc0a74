"""The errors a user of pathhits can meet; each message says what to do."""

from __future__ import annotations


class PathHitsError(Exception):
    """Base of every error raised on purpose by pathhits."""


class SettingsError(PathHitsError):
    """A setting is unknown or impossible; the message is one line that names it and the remedy."""


class EventError(PathHitsError, ValueError):
    """An event that cannot be: unknown, without its item, or with a value or properties out of range."""


class StoreUnavailable(PathHitsError):
    """Redis or the SQL database did not answer; nothing was lost, the call may be repeated."""


class NotMigrated(PathHitsError):
    """The SQL database lacks the tables this version needs; run ``pathhits db upgrade``."""


class SignatureError(PathHitsError, ValueError):
    """A webhook that was not signed with the secret, or not just now: do not believe it."""


class NotificationFailed(PathHitsError):
    """Nobody took an e-mail or a webhook; the job that sends it is tried again."""
