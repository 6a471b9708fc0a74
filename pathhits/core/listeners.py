"""Listeners: functions of the app that are called with events, each known by a name and a pattern of event names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from pathhits.errors import SettingsError
from pathhits.events import Event
from pathhits.settings import EVENT_PATTERN, EVENT_PATTERN_LENGTH

#: Characters of the longest name, as its column holds it.
NAME_LENGTH = 255


class Listener(NamedTuple):
    """One listener: its name is how its deliveries are known, from one release to the next."""

    name: str
    pattern: str
    function: Callable[[Event], Any]


class Listeners:
    """The listeners of one app, by name."""

    def __init__(self) -> None:
        self._by_name: dict[str, Listener] = {}

    def add(self, pattern: str, function: Callable[[Event], Any], name: str = "") -> None:
        """Have ``function`` called for events that match; raises `SettingsError` for a name that is taken."""
        check_pattern(pattern)
        if not name and not hasattr(function, "__qualname__"):
            raise SettingsError(f"on({pattern!r}): {function!r} has no name of its own; give it one: name=")
        name = name or f"{function.__module__}.{function.__qualname__}"
        if len(name) > NAME_LENGTH or not name.isprintable() or name != name.strip():
            raise SettingsError(f"on({pattern!r}): a name is at most {NAME_LENGTH} printable characters: {name!r}")
        if name in self._by_name:
            raise SettingsError(f"on({pattern!r}): there is a listener {name!r} already; give this one another name=")
        self._by_name[name] = Listener(name, pattern, function)

    def get(self, name: str) -> Listener | None:
        """The listener of that name."""
        return self._by_name.get(name)

    def patterns(self) -> dict[str, str]:
        """The pattern of each listener, by its name."""
        return {listener.name: listener.pattern for listener in self}

    def __iter__(self) -> Iterator[Listener]:
        return iter(self._by_name.values())


def check_pattern(pattern: str) -> str:
    """The pattern; raises `SettingsError` unless it is an event's name, parts of which may be ``*``."""
    if len(pattern) > EVENT_PATTERN_LENGTH or not EVENT_PATTERN.fullmatch(pattern):
        raise SettingsError(f"on({pattern!r}): give an event such as product.viewed, product.*, *.viewed or *")
    return pattern


def matches(pattern: str, event: str) -> bool:
    """Whether a pattern takes an event of that name in."""
    if pattern == "*":
        return True
    wanted, had = pattern.partition("."), event.partition(".")
    return wanted[0] in ("*", had[0]) and wanted[2] in ("*", had[2])


def switched_on(names: Iterable[str], off: Iterable[str]) -> list[str]:
    """The names that no glob of ``off`` takes in, sorted."""
    globs = tuple(off)
    return sorted(name for name in names if not any(fnmatchcase(name, glob) for glob in globs))


def wait_after(attempts: int, waits: tuple[float, ...]) -> float:
    """Seconds to wait after so many attempts that failed; the last wait holds for all further ones."""
    return waits[min(attempts, len(waits)) - 1]
