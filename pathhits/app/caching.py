"""The cache of an app, and what of it the events of the app delete."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple

from pathhits.app.counting import Counting
from pathhits.built import built
from pathhits.capture.cache import Cache
from pathhits.core.cachenames import fields_of, fill
from pathhits.core.listeners import check_pattern, matches
from pathhits.core.rules import Verdict
from pathhits.errors import SettingsError
from pathhits.storage.redis.cached import CacheStore

if TYPE_CHECKING:
    from pathhits.events import Event


class _Outdated(NamedTuple):
    """What an event makes outdated: templates of names and of groups."""

    pattern: str
    names: tuple[str, ...]
    groups: tuple[str, ...]


class Caching(Counting):
    """Values that are read often and change seldom."""

    @built
    def cache(self) -> Cache:
        """A small cache in Redis; see `Cache.get_or_make`, `Cache.cached` and `Cache.delete`."""
        return Cache(self._cache_store, self._deadline, self.guard)

    @built
    def _cache_store(self) -> CacheStore:
        return CacheStore(self.redis, self.keys)

    @built
    def _outdated(self) -> list[_Outdated]:
        return []

    def forget_on(self, pattern: str, *names: str, groups: Iterable[str] = ()) -> None:
        """Have events that match delete cached values: by ``names`` and by ``groups``, templates such as
        ``product:{item_id}``.

        They know ``item_type``, ``item_id`` and the event's properties; one that names what an event does not have is
        left out. It is a listener: the worker does it, within seconds, and again until Redis has done it. The request
        that makes the change does it at once with `track_change`. Raises `SettingsError` for what cannot be.
        """
        rule = _Outdated(check_pattern(pattern), tuple(names), tuple(groups))
        if not rule.names and not rule.groups:
            raise SettingsError(f"forget_on({pattern!r}): give names or groups to delete")
        for template in rule.names + rule.groups:
            fields_of(template)
        told = blake2b(repr(rule[1:]).encode(), digest_size=4).hexdigest()

        def forget(event: Event) -> None:
            values = _values(event.item_type, event.item_id, event.properties)
            self._cache_store.delete(_filled(rule.names, values), _filled(rule.groups, values))

        self.on(pattern, name=f"pathhits.forget_on.{pattern}.{told}")(forget)
        self._outdated.append(rule)

    def track_change(
        self, name: str, item_id: object | None = None, *, properties: Mapping[str, Any] | None = None, **more: Any
    ) -> Verdict:
        """`track` an event, and delete at once what `forget_on` says that it makes outdated; call it after the commit.

        That is one call of Redis, within `Settings.request_deadline`; where it cannot be done in time the listener
        does it. Raises `EventError` as `track` does, before anything is deleted.
        """
        verdict = self.track(name, item_id, properties=properties, **more)
        rules = [rule for rule in self._outdated if matches(rule.pattern, name)]
        values = _values(name.partition(".")[0], item_id, properties or {})
        names = [one for rule in rules for one in _filled(rule.names, values)]
        groups = [one for rule in rules for one in _filled(rule.groups, values)]
        if names or groups:
            self.cache.delete(*names, groups=groups)
        return verdict


def _values(item_type: str, item_id: object, properties: Mapping[str, Any]) -> dict[str, Any]:
    return {**properties, "item_type": item_type, "item_id": "" if item_id is None else item_id}


def _filled(templates: Iterable[str], values: Mapping[str, Any]) -> list[str]:
    filled = (fill(template, values) for template in templates)
    return [one for one in filled if one is not None]
