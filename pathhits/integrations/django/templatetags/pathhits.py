"""``{% load pathhits %}`` brings ``{% hit_count %}``, ``{% view_count "product" slug %}`` and ``{% item_stats %}``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django import template
from django.template import Context

from pathhits.integrations.django.configured import hits
from pathhits.integrations.django.labels import label_of

if TYPE_CHECKING:
    from pathhits.core.counts import Count
    from pathhits.core.itemstats import ItemStats

register = template.Library()


@register.simple_tag(takes_context=True)
def hit_count(context: Context, label: str = "") -> Count:
    """All hits of ``label``, by default of the page shown; ``.partial`` when a store did not answer in time."""
    if not label:
        request = getattr(context, "request", None) or context["request"]
        label = label_of(request, hits.settings.route_label)
    return hits.hit_count(label)


@register.simple_tag
def view_count(item_type: str, item_id: object) -> Count:
    """All views of an item; ``.partial`` when a store did not answer in time."""
    return hits.view_count(item_type, item_id)


@register.simple_tag
def item_stats(item_type: str, item_id: object) -> ItemStats:
    """All that is known of an item: ``{% item_stats "product" slug as stats %}{{ stats.recent_views }}``."""
    return hits.item_stats(item_type, item_id)
