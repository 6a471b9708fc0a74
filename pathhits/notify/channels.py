"""Whom the settings name: each recipient is a channel of its own, known by a key that gives nothing away."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal
from urllib.parse import urlsplit

from pathhits.errors import NotificationFailed
from pathhits.events import milliseconds, new_id
from pathhits.notify import mail, webhooks
from pathhits.notify.messages import News
from pathhits.settings import Settings

Kind = Literal["mail", "file", "webhook"]
_WAYS: dict[Kind, Callable[[Settings, str, News], None]] = {
    "mail": mail.send,
    "file": mail.write,
    "webhook": webhooks.post,
}


@dataclass(frozen=True, slots=True)
class Channel:
    """One recipient: an address or a URL, and the way to it."""

    kind: Kind
    target: str

    @property
    def key(self) -> str:
        """What the queue knows it by: neither an address nor a URL stands in Redis."""
        return f"{self.kind}-{hashlib.sha256(self.target.encode()).hexdigest()[:16]}"

    @property
    def shown(self) -> str:
        """What a person knows it by; of a URL the host alone, as its path may be a secret."""
        return urlsplit(self.target).hostname or "" if self.kind == "webhook" else self.target

    def send(self, settings: Settings, news: News) -> None:
        """Tell it; raises `NotificationFailed`."""
        _WAYS[self.kind](settings, self.target, news)


def channels(settings: Settings) -> list[Channel]:
    """Every recipient, each once. With `Settings.notify_file` no e-mail is sent."""
    if settings.notify_file:
        found = [Channel("file", to) for to in settings.notify_to or (mail.NOBODY,)]
    else:
        found = [Channel("mail", to) for to in settings.notify_to]
    return list(dict.fromkeys([*found, *(Channel("webhook", url) for url in settings.notify_webhooks)]))


def test(settings: Settings) -> list[tuple[Channel, str]]:
    """Tell everybody now that this is a test: the error of each, "" when it took it."""
    now = datetime.now(UTC)
    news = News(new_id(milliseconds(now.timestamp())).hex(), "site.tested", "", "", {}, now)
    return [(channel, _error(channel, settings, news)) for channel in channels(settings)]


def _error(channel: Channel, settings: Settings, news: News) -> str:
    try:
        channel.send(settings, news)
    except NotificationFailed as error:
        return str(error)
    return ""
