"""The dashboard: pages and a JSON API, as a Flask blueprint, or as a WSGI app for any other host."""

from __future__ import annotations

from pathhits.dashboard.blueprint import make_blueprint
from pathhits.dashboard.mounting import make_app, mount

__all__ = ["make_app", "make_blueprint", "mount"]
