"""The one way to build a Redis client: no hidden retries, short timeouts, no password in any message."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from pathhits.errors import SettingsError
from pathhits.settings import redact


def connect(url: str, *, timeout: float | None, verify: bool = True, **options: Any) -> redis.Redis:
    """A client for ``url`` that waits ``timeout`` seconds (None: without end) and never repeats a command by itself.

    redis-py repeats ten times by default, writes included, which would double counts; repeating is the
    business of the buffer, which knows what a repeat means. ``verify=False`` accepts any certificate of a
    ``rediss://`` server. Raises `SettingsError` for an option in the URL that redis-py does not know or take.
    """
    if urlsplit(url).scheme == "rediss" and not verify:
        options |= {"ssl_cert_reqs": "none", "ssl_check_hostname": False}
    try:
        client = redis.Redis.from_url(
            url,
            socket_timeout=timeout,
            socket_connect_timeout=timeout if timeout is not None else 5.0,
            retry=Retry(NoBackoff(), 0),
            client_name="pathhits",
            **options,
        )
        # Made and thrown away, it connects to nothing: a wrong option is found now and not by the first hit.
        client.connection_pool.connection_class(**client.connection_pool.connection_kwargs)
    except (TypeError, ValueError, redis.RedisError) as error:
        raise SettingsError(f"{redact(url)}: {redact(str(error))}; look at what follows ? in the URL") from error
    return client


def explain(error: Exception, url: str) -> str:
    """One line that says which Redis failed and why; passwords hidden."""
    return f"Redis at {redact(url)} did not answer: {type(error).__name__}: {redact(str(error))}"
