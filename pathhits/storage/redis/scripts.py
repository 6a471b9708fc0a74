"""Loads the Lua scripts that are shipped in ``lua/``, one action a file."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any

import redis


@cache
def source(name: str) -> str:
    """The text of ``lua/<name>.lua``."""
    return resources.files(__package__).joinpath("lua", f"{name}.lua").read_text(encoding="utf-8")


def script(client: redis.Redis, name: str) -> Any:
    """The script ``name``, to be called with ``keys=`` and ``args=``; it is sent to the server when first needed."""
    return client.register_script(source(name))
