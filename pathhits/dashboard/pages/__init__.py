"""The pages, one file a page: what it asks for, and the template that shows it."""

from __future__ import annotations

from flask import Blueprint

from pathhits.app import PathHits
from pathhits.dashboard.access import Access
from pathhits.dashboard.pages.item import Items
from pathhits.dashboard.pages.overview import Overview
from pathhits.dashboard.pages.pagelists import Lists
from pathhits.dashboard.pages.watch import Watch
from pathhits.dashboard.rendering import Renderer


def add_pages(blueprint: Blueprint, hits: PathHits, access: Access, renderer: Renderer) -> None:
    """Add the rule of every page."""
    overview, watch = Overview(hits, access, renderer), Watch(hits, renderer)
    for page in (overview, Lists(hits, renderer), Items(hits, renderer), watch):
        page.add_rules(blueprint)
    blueprint.add_url_rule("/meaning", "meaning", lambda: renderer.page("meaning.html"))
