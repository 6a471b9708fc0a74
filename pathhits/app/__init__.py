"""`PathHits`: what an app holds in its hand, put together of what it declares, counts, reads, runs and shows."""

from __future__ import annotations

import importlib
import os
from typing import Any

from pathhits.app.caching import Caching
from pathhits.app.explaining import Explaining
from pathhits.app.forgetting import Forgetting
from pathhits.app.popularity import Popular
from pathhits.app.reading import Reading
from pathhits.app.recommending import Recommending
from pathhits.app.searching import Searching
from pathhits.app.showing import Showing
from pathhits.app.snapshots import Snapshotting
from pathhits.app.transferring import Transferring
from pathhits.app.watching import Watching
from pathhits.errors import SettingsError


class PathHits(
    Caching,
    Explaining,
    Forgetting,
    Popular,
    Reading,
    Recommending,
    Searching,
    Showing,
    Snapshotting,
    Transferring,
    Watching,
):
    """Counts the pages of one app. Building it connects to nothing; what it needs is made when first used.

    ``PathHits()`` takes its settings from the environment, keywords win over it, ``settings`` replaces both.
    ``identify`` is a function from a request, as the framework has it, to the id of its user, None for nobody.
    Raises `SettingsError` for a setting that is unknown or impossible.
    """


def load(path: str = "") -> PathHits:
    """The PathHits of ``path`` ("module:attribute", by default PATHHITS_APP), else a new one from the environment.

    The attribute may be a PathHits, a function that returns one, or an app that has one in ``extensions``. Raises
    `SettingsError` when there is none.
    """
    path = path or os.environ.get("PATHHITS_APP", "")
    if not path:
        return PathHits()
    module_name, _, attribute = path.partition(":")
    if not all(part.isidentifier() for part in module_name.split(".")):
        raise SettingsError(f"APP={path}: {module_name!r} is no module; give module:attribute of your PathHits object")
    try:
        found: Any = importlib.import_module(module_name)
        for name in (attribute or "hits").split("."):
            found = getattr(found, name)
    except (ImportError, AttributeError) as error:
        raise SettingsError(f"APP={path}: {error}; give module:attribute of your PathHits object") from error
    return _as_pathhits(found, path)


def _as_pathhits(found: Any, path: str) -> PathHits:
    if callable(found) and not isinstance(found, PathHits) and not hasattr(found, "extensions"):
        found = found()
    found = getattr(found, "extensions", {}).get("pathhits", found)
    if not isinstance(found, PathHits):
        raise SettingsError(f"APP={path} is a {type(found).__name__}: give module:attribute of your PathHits object")
    return found
