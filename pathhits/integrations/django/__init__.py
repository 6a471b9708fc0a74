"""Django: the middleware, the configured `hits`, and as an installed app a template tag and ``manage.py pathhits``."""

from __future__ import annotations

from pathhits.integrations.django.configured import hits
from pathhits.integrations.django.middleware import PathHitsMiddleware

__all__ = ["PathHitsMiddleware", "hits"]
