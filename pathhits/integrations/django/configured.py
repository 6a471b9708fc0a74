"""`hits`: the PathHits of a Django project, made from ``settings.PATHHITS`` when it is first asked for something."""

from __future__ import annotations

from importlib import import_module
from threading import RLock
from typing import Any

from django.conf import settings
from django.utils.module_loading import import_string

from pathhits.app import PathHits
from pathhits.capture.exchange import Exchange
from pathhits.settings import Settings


class DjangoHits(PathHits):
    """A PathHits that may be imported before Django's settings are there: it reads them at its first use."""

    def __init__(self) -> None:
        # PathHits.__init__ needs the settings, and runs when the first attribute is missed.
        self._lock = RLock()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "_lock":
            raise AttributeError(name)
        with self._lock:
            if "settings" not in self.__dict__:
                given = dict(getattr(settings, "PATHHITS", {}))
                identify = given.pop("IDENTIFY", None)
                super().__init__(Settings.from_mapping(given), identify=_imported(identify))
                self.find_route = _find_route
        return object.__getattribute__(self, name)


def _find_route(exchange: Exchange, host: str) -> None:
    # Not before it is asked: the routes of a project may import what is not ready yet.
    import_module("pathhits.integrations.django.labels").find_route(exchange)


def _imported(identify: Any) -> Any:
    """The function itself, or one that imports it by its dotted path when it is first needed: it may need models."""
    if not isinstance(identify, str):
        return identify
    return lambda request: import_string(identify)(request)


hits = DjangoHits()
