"""``{% load pathhits %}`` brings ``{% hit_count %}``, ``{% view_count "product" slug %}`` and ``{% item_stats %}``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django import template
from django.template import Context

from pathhits.core.counts import Count
from pathhits.integrations.django.configured import hits
from pathhits.integrations.django.labels import label_of

if TYPE_CHECKING:
    from pathhits.core.itemstats import ItemStats

register = template.Library()
#: The label of the page that is shown.
_PAGE = object()


@register.simple_tag(takes_context=True)
def hit_count(context: Context, label: object = _PAGE) -> Count:
    """All hits of ``label``, by default of the page shown; ``.partial`` when a store did not answer in time.

    Where a template does not know its request, as that of an error page, that is 0, and the log says so.
    """
    if label is not _PAGE:
        return hits.hit_count(label)
    request = getattr(context, "request", None) or context.get("request")
    if request is None:
        missing = "{% hit_count %} without a label needs django.template.context_processors.request"
        hits.guard.failed("a template does not know its page", missing)
        return Count(0, 0, partial=True)
    return hits.hit_count(label_of(request, hits.settings.route_label))


@register.simple_tag
def view_count(item_type: str, item_id: object) -> Count:
    """All views of an item; ``.partial`` when a store did not answer in time."""
    return hits.view_count(item_type, item_id)


@register.simple_tag
def item_stats(item_type: str, item_id: object) -> ItemStats:
    """All that is known of an item: ``{% item_stats "product" slug as stats %}{{ stats.recent_views }}``."""
    return hits.item_stats(item_type, item_id)
