"""The panel "What just happened" at the foot of each page, where DEMO_DEBUG is on: the way of this very request."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flask import Flask, g, request

from demo_app.counts import the_hits
from pathhits.core.bots import is_bot, is_prefetch
from pathhits.core.rules import REFUSALS
from pathhits.core.statuses import REASONS, Reason

if TYPE_CHECKING:
    from pathhits import Verdict
    from pathhits.core.counts import Count

#: The routes that show items, with their type and the name of their parameter.
ITEMS = {"product_detail": ("product", "slug"), "brand": ("brand", "slug"), "tag": ("tag", "slug")}
#: What a browser says when it fetches a page that nobody looks at yet.
PURPOSES = ("Sec-Purpose", "Purpose", "X-Moz", "X-Purpose")


@dataclass(frozen=True)
class Happened:
    """What becomes of a request: ``dropped`` is why it is no hit ("" when it is one), the rest is of the item shown."""

    dropped: str
    item: str
    views: Count | None
    verdict: Verdict | None

    @property
    def why_dropped(self) -> str:
        """The reason in a sentence."""
        return REASONS[self.dropped]

    @property
    def why_refused(self) -> str:
        """Why the view did not count, where that is known already; "" when it did."""
        return REFUSALS[self.verdict.reason] if self.verdict is not None and not self.verdict else ""


def happened() -> Happened:
    """What becomes of the request that is being answered, with success: an error is no hit anyway."""
    kind, name = ITEMS.get(request.endpoint or "", ("", ""))
    item_id = (request.view_args or {}).get(name, "")
    views = the_hits().view_count(kind, item_id) if kind else None
    return Happened(_dropped(), f"{kind}:{item_id}" if kind else "", views, g.get("verdict"))


def register(app: Flask) -> None:
    """Let templates ask, where the panel is on."""
    app.jinja_env.globals["debug_panel"] = os.environ.get("DEMO_DEBUG", "") not in ("", "0")
    app.add_template_global(happened)


def _dropped() -> str:
    """The reason for which pathhits will drop the request: the rules of its README, asked once more."""
    if request.method != "GET":
        return Reason.METHOD
    if is_prefetch(" ".join(request.headers.get(name, "") for name in PURPOSES)):
        return Reason.PREFETCH
    if the_hits().settings.bots == "drop" and is_bot(request.headers.get("User-Agent", "")):
        return Reason.BOT
    return ""
