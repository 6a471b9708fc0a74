"""Tells people and programs what happened: by e-mail, and by signed webhooks.

The settings say whom: ``NOTIFY_TO``, ``NOTIFY_WEBHOOKS``. With them every worker tells; nothing has to be installed.
`install` adds events of an app's own, `verify` is for who receives a webhook. A listener puts one job for each
recipient into the queue, so that one that fails is tried again apart from the others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from pathhits.errors import SettingsError, StoreUnavailable
from pathhits.notify.signing import sign, verify

if TYPE_CHECKING:
    from redis import Redis

    from pathhits.core.listeners import Listeners
    from pathhits.events import Event
    from pathhits.notify.channels import Channel
    from pathhits.notify.queueing import Failed
    from pathhits.settings import Settings

__all__ = ["Notifier", "install", "sign", "verify"]

T = TypeVar("T")


class Notifier:
    """Tells whom the settings name; ``connect`` gives a client for the Redis of the queue."""

    def __init__(self, settings: Settings, connect: Callable[[], Redis]) -> None:
        self._settings = settings
        self._connect = connect

    def __call__(self, event: Event) -> int:
        """Put a job for each recipient into the queue, once for an event; how many. Raises `StoreUnavailable`."""
        from pathhits.notify.messages import News
        from pathhits.notify.queueing import enqueue

        return self._ask(lambda connection: enqueue(self._settings, connection, News.of(event)))

    def send(self, key: str, news: Mapping[str, Any]) -> bool:
        """What a job does: tell one recipient now; False when the settings name it no longer.

        Raises `NotificationFailed`, and then the job is tried again.
        """
        from pathhits.notify.messages import News
        from pathhits.notify.queueing import send

        return send(self._settings, key, News.parse(news))

    def test(self) -> list[tuple[Channel, str]]:
        """Tell every recipient, here and now, that this is a test: the error of each, "" when it took it."""
        from pathhits.notify.channels import test

        return test(self._settings)

    def failed(self) -> list[Failed]:
        """The notifications that failed for good; raises `StoreUnavailable`."""
        from pathhits.notify.queueing import failed

        return self._ask(lambda connection: failed(self._settings, connection))

    def retry(self) -> int:
        """Put those into the queue again, all attempts ahead of them; how many. Raises `StoreUnavailable`."""
        from pathhits.notify.queueing import retry

        return self._ask(lambda connection: retry(self._settings, connection))

    def _ask(self, ask: Callable[[Redis], T]) -> T:
        from redis import RedisError

        from pathhits.storage.redis.client import explain

        try:
            with closing(self._connect()) as connection:
                return ask(connection)
        except RedisError as error:
            raise StoreUnavailable(explain(error, self._settings.queue_url or self._settings.redis_url)) from error


class Installable(Protocol):
    """What a PathHits has that is needed here."""

    @property
    def settings(self) -> Settings: ...
    @property
    def listeners(self) -> Listeners: ...
    @property
    def notifier(self) -> Notifier: ...


def install(hits: Installable, *events: str) -> None:
    """Tell of these events too, names or patterns (``order.placed``, ``order.*``), beside those of ``NOTIFY_EVENTS``.

    Call it where the app is made that PATHHITS_APP names. Raises `SettingsError` when the settings name nobody to
    tell, and for a pattern that can match nothing.
    """
    if not hits.settings.notifies:
        raise SettingsError("nobody is told of anything: set NOTIFY_TO, NOTIFY_WEBHOOKS or NOTIFY_FILE")
    declare(hits.listeners, events, hits.notifier)


def declare(listeners: Listeners, events: tuple[str, ...], notifier: Notifier) -> None:
    """Make the notifier the listener of these events, each by a name of its own, and each only once."""
    for pattern in events:
        name = f"pathhits.notify {pattern}"
        if listeners.get(name) is None:
            listeners.add(pattern, notifier, name)
