"""``{% load pathhits %}`` and ``{% hit_count %}`` or ``{% hit_count "product_detail" %}``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django import template
from django.template import Context

from pathhits.integrations.django.configured import hits
from pathhits.integrations.django.labels import label_of

if TYPE_CHECKING:
    from pathhits.core.counts import Count

register = template.Library()


@register.simple_tag(takes_context=True)
def hit_count(context: Context, label: str = "") -> Count:
    """All hits of ``label``, by default of the page shown; ``.partial`` when a store did not answer in time."""
    if not label:
        request = getattr(context, "request", None) or context["request"]
        label = label_of(request, hits.settings.route_label)
    return hits.hit_count(label)
