"""Loads the Lua scripts that are shipped in ``lua/``, one action a file."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources
from typing import Any

import redis

_INCLUDE = re.compile(r"^-- include (\w+)$", re.MULTILINE)


@cache
def source(name: str, package: str = __package__) -> str:
    """The text of ``lua/<name>.lua`` of a package; a line ``-- include other`` becomes the text of that file."""
    text = resources.files(package).joinpath("lua", f"{name}.lua").read_text(encoding="utf-8")
    return _INCLUDE.sub(lambda found: source(found[1], package), text)


def script(client: redis.Redis, name: str, package: str = __package__) -> Any:
    """The script ``name``, to be called with ``keys=`` and ``args=``; it is sent to the server when first needed."""
    return client.register_script(source(name, package))
