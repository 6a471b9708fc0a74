"""pathhits: who looks at what on your site, counted in your own database."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathhits.app import PathHits
    from pathhits.core.popularity import ItemPopularity, PopularitySink
    from pathhits.core.rules import Rules, Verdict
    from pathhits.errors import EventError, NotMigrated, PathHitsError, SettingsError, StoreUnavailable
    from pathhits.events import Event
    from pathhits.settings import Settings

__version__ = "0.1.0"
__all__ = [
    "Event",
    "EventError",
    "ItemPopularity",
    "NotMigrated",
    "PathHits",
    "PathHitsError",
    "PopularitySink",
    "Rules",
    "Settings",
    "SettingsError",
    "StoreUnavailable",
    "Verdict",
    "__version__",
]

_HOMES = {
    "PathHits": "pathhits.app",
    "Event": "pathhits.events",
    "ItemPopularity": "pathhits.core.popularity",
    "PopularitySink": "pathhits.core.popularity",
    "EventError": "pathhits.errors",
    "NotMigrated": "pathhits.errors",
    "PathHitsError": "pathhits.errors",
    "SettingsError": "pathhits.errors",
    "StoreUnavailable": "pathhits.errors",
    "Verdict": "pathhits.core.rules",
    "Rules": "pathhits.core.rules",
    "Settings": "pathhits.settings",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that ``import pathhits`` costs next to nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
