"""A small cache in Redis for what an app reads often: made once, deleted at once when what it shows changes."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterable
from functools import wraps
from inspect import iscoroutinefunction, signature
from typing import Any, NamedTuple

import redis

from pathhits.capture.deadline import Deadline, Overdue
from pathhits.capture.guard import Guard
from pathhits.core.cachenames import fields_of, fill
from pathhits.errors import SettingsError
from pathhits.storage.redis.cached import CacheStore, Taken

#: Bytes of the largest value that is stored.
VALUE_SIZE = 256 * 1024
#: Seconds that a value is kept where nobody says: those of a featured item or a product's page.
TTL = 600.0
#: Part of the deadline for which a reader waits for another one who is making the value, and how often (s) it looks.
WAIT = 0.5
LOOK_EVERY = 0.005

_FAILED = "the cache could not be asked in time"


class _Name(NamedTuple):
    """What is asked for: its name, groups and time (s)."""

    name: str
    groups: tuple[str, ...]
    ttl: float


class Cache:
    """Values as JSON, in the Redis of the counts. Nothing here raises but what ``make`` does.

    All of Redis that one call waits for takes at most the request's deadline; without an answer the value is made.
    """

    def __init__(self, store: CacheStore, deadline: Deadline, guard: Guard) -> None:
        self._store = store
        self._deadline = deadline
        self._guard = guard

    def get_or_make(self, name: str, make: Callable[[], Any], ttl: float = TTL, groups: Iterable[str] = ()) -> Any:
        """The value of that name, else what ``make()`` returns, which is then kept for ``ttl`` seconds.

        It is as JSON gives it back: a tuple is a list. What is no JSON or larger than 256 kB is returned and not kept.
        One caller at a time makes it; the others wait half a deadline for it, then make their own.
        """
        wanted = _Name(name, tuple(groups), _checked(ttl))
        taken, left = self._taken(wanted)
        if taken.text is not None:
            return json.loads(taken.text)
        try:
            value = make()
        except BaseException:
            self._kept(wanted, taken.token, "", left)
            raise
        return self._done(wanted, taken.token, value, left)

    async def aget_or_make(
        self, name: str, make: Callable[[], Awaitable[Any]], ttl: float = TTL, groups: Iterable[str] = ()
    ) -> Any:
        """`get_or_make` for async code, with a ``make`` that is awaited: it does not hold up the event loop."""
        wanted = _Name(name, tuple(groups), _checked(ttl))
        taken, left = await asyncio.to_thread(self._taken, wanted)
        if taken.text is not None:
            return json.loads(taken.text)
        try:
            value = await make()
        except BaseException:
            self._given_up(wanted, taken.token, left)
            raise
        return await asyncio.to_thread(self._done, wanted, taken.token, value, left)

    def delete(self, *names: str, groups: Iterable[str] = ()) -> bool:
        """Delete values by name, and all of some groups; False when Redis did not say in time that they are gone.

        Call it after the commit of what they show: who reads then sees the new state, and who began before stores
        nothing.
        """
        return self._ask(lambda: self._store.delete(names, tuple(groups)), self._deadline.seconds) is not None

    def cached(self, name: str, ttl: float = TTL, groups: Iterable[str] = ()) -> Callable[[Any], Any]:
        """Decorate a function, plain or async, so that it is called only for what is not cached.

        ``name`` and ``groups`` are templates over its arguments: ``product:{slug}``. The function has a ``forget``
        that takes the same arguments and is `delete` of that name. Raises `SettingsError` for a template that names
        what is no argument.
        """
        templates = (name, *groups)
        _checked(ttl)

        def decorate(function: Any) -> Any:
            parameters = signature(function)
            for template in templates:
                if missing := set(fields_of(template)) - parameters.parameters.keys():
                    raise SettingsError(f"cached({template!r}): {function.__name__} has no argument {missing.pop()!r}")

            def names(*args: Any, **named: Any) -> list[str]:
                bound = parameters.bind(*args, **named)
                bound.apply_defaults()
                values = {field: "\0" if value is None else value for field, value in bound.arguments.items()}
                return [fill(template, values) or template for template in templates]

            @wraps(function)
            def plain(*args: Any, **named: Any) -> Any:
                own, *of = names(*args, **named)
                return self.get_or_make(own, lambda: function(*args, **named), ttl, of)

            @wraps(function)
            async def awaited(*args: Any, **named: Any) -> Any:
                own, *of = names(*args, **named)
                return await self.aget_or_make(own, lambda: function(*args, **named), ttl, of)

            wrapped: Any = awaited if iscoroutinefunction(function) else plain
            wrapped.forget = lambda *args, **named: self.delete(names(*args, **named)[0])
            return wrapped

        return decorate

    def _taken(self, wanted: _Name) -> tuple[Taken, float]:
        """What Redis has, and the seconds of the deadline that are left."""
        started, patience = time.monotonic(), self._deadline.seconds
        until = started + patience * WAIT

        def look() -> Taken:
            while True:
                taken = self._store.take(*wanted)
                if taken.token and time.monotonic() > started + patience:
                    # Nobody waits any more: another one may make it.
                    self._store.put(*wanted, taken.token, "")
                if taken.text is not None or taken.token or time.monotonic() + LOOK_EVERY > until:
                    return taken
                time.sleep(LOOK_EVERY)

        taken = self._ask(look, patience)
        return taken or Taken(), patience - (time.monotonic() - started)

    def _done(self, wanted: _Name, token: str, value: Any, left: float) -> Any:
        """The value as every later caller gets it, stored if it can be."""
        try:
            text = json.dumps(value, separators=(",", ":"), allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            self._guard.failed(f"what was made for the cache as {wanted.name!r} is no JSON", error)
            self._kept(wanted, token, "", left)
            return value
        if len(text) > VALUE_SIZE:
            self._guard.failed(f"{wanted.name!r} is too large for the cache", f"{len(text)} bytes")
            self._kept(wanted, token, "", left)
        else:
            self._kept(wanted, token, text, left)
        return json.loads(text)

    def _kept(self, wanted: _Name, token: str, text: str, left: float) -> None:
        if token:
            self._ask(lambda: self._store.put(*wanted, token, text), left)

    def _given_up(self, wanted: _Name, token: str, left: float) -> None:
        """Let another one make the value, aside: the loop goes on, and so does the error or the cancellation."""
        if not token:
            return
        try:
            asyncio.get_running_loop().run_in_executor(None, self._kept, wanted, token, "", left)
        except RuntimeError:
            # There is no loop any more, or it ends: nobody else waits for it.
            self._kept(wanted, token, "", left)

    def _ask(self, question: Callable[[], Any], seconds: float) -> Any:
        """The answer, in time; else None, and the reason is in the log."""
        try:
            return self._deadline.ask(question, seconds)
        except (redis.RedisError, Overdue) as error:
            self._guard.failed(_FAILED, error)
        except Exception as error:
            self._guard.failed("internal", error)
        return None


def _checked(ttl: float) -> float:
    if not 0 < ttl <= 366 * 86_400:
        raise SettingsError(f"ttl={ttl!r}: give the seconds a value is kept, at most those of a year")
    return ttl
