"""The panel "What just happened" at the foot of each page, where DEMO_DEBUG is on: the way of this very request.

`hits.explain` says what becomes of it, and counts nothing.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flask import Flask, g, request

from demo_app.counts import the_hits
from pathhits.core.rules import REFUSALS

if TYPE_CHECKING:
    from pathhits import Verdict
    from pathhits.core.counts import Count

#: The route that asks by itself whether its view counts, so that pathhits does not know its item from the address.
ASKING = "brand"


@dataclass(frozen=True)
class Happened:
    """What becomes of a request: ``dropped`` is why it is no hit ("" when it is one), the rest is of the item shown."""

    dropped: str
    why_dropped: str
    item: str
    views: Count | None
    verdict: Verdict | None

    @property
    def why_refused(self) -> str:
        """Why the view did not count, where that is known already; "" when it did."""
        return REFUSALS[self.verdict.reason] if self.verdict is not None and not self.verdict else ""


def happened() -> Happened:
    """What becomes of the request that is being answered, with success: an error is no hit anyway."""
    hits = the_hits()
    told = hits.explain(request.url, method=request.method, headers=dict(request.headers))
    item = f"brand:{(request.view_args or {}).get('slug', '')}" if request.endpoint == ASKING else told.item
    views = hits.view_count(*item.split(":", 1)) if item else None
    return Happened(told.reason, told.says, item, views, g.get("verdict"))


def register(app: Flask) -> None:
    """Let templates ask, where the panel is on."""
    app.jinja_env.globals["debug_panel"] = os.environ.get("DEMO_DEBUG", "") not in ("", "0")
    app.add_template_global(happened)
