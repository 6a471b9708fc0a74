"""The dashboard of a `PathHits`. It is a layer above, found by name, so that who only counts imports none of it."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any
from wsgiref.types import WSGIApplication

from pathhits.app.parts import Parts


class Showing(Parts):
    """Pages and API for people who look."""

    def dashboard(self, *, authorize: Callable[[Any], Any] | None = None) -> WSGIApplication:
        """The dashboard as a WSGI app, to be mounted in any host; `init_app` mounts it in Flask by itself.

        ``authorize`` is a function from a `flask.Request` to whether it may see and do everything. Without it, and
        without `Settings.dashboard_password` and `Settings.dashboard_public`, each URL answers 403.
        """
        app: WSGIApplication = importlib.import_module("pathhits.dashboard").make_app(self, authorize)
        return app
