"""The installed app ``"pathhits.integrations.django"``."""

from __future__ import annotations

from django.apps import AppConfig


class PathHitsConfig(AppConfig):
    """Brings the template tag and the management command; pathhits' tables are no Django models."""

    name = "pathhits.integrations.django"
    label = "pathhits"
    verbose_name = "pathhits"
