"""``pathhits explain``: what would become of a request."""

from __future__ import annotations

import click

from pathhits.app import PathHits
from pathhits.app.explaining import SOME_BROWSER, SOMEONE
from pathhits.capture.explaining import Explanation
from pathhits.cli.options import json_option, with_hits
from pathhits.cli.output import print_json, print_table


class Header(click.ParamType[tuple[str, str]]):
    """A header as it stands in a request: ``Name: value``."""

    name = "header"

    def convert(
        self, value: str | tuple[str, str], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        name, colon, text = value.partition(":")
        if not colon or not name.strip():
            self.fail(f"{value!r} is no header: give 'Sec-GPC: 1'", param, ctx)
        return name.strip(), text.strip()


@click.command("explain")
@click.argument("url")
@click.option("--method", default="GET", show_default=True, help="The method of the request.")
@click.option(
    "--status", type=click.IntRange(100, 599), default=200, show_default=True, help="What it is answered with."
)
@click.option("--content-type", default="text/html", show_default=True, help="The type of the response.")
@click.option("--ip", default=SOMEONE, show_default=True, help="The address of the connection.")
@click.option("--user-agent", default=SOME_BROWSER, help="What the client calls itself; a browser by default.")
@click.option(
    "--header", "headers", type=Header(), multiple=True, metavar="'NAME: VALUE'", help="A header; repeatable."
)
@json_option
@with_hits
def explain_command(
    hits: PathHits,
    url: str,
    method: str,
    status: int,
    content_type: str,
    ip: str,
    user_agent: str,
    headers: tuple[tuple[str, str], ...],
    as_json: bool,
) -> None:
    """Say what a request for URL counts under, or why it does not count. Nothing is counted, no page is fetched.

    The routes are those of the Flask app that PATHHITS_APP names, or of the Django project.
    """
    found = hits.explain(
        url,
        method=method,
        status=status,
        content_type=content_type,
        ip=ip,
        headers={"User-Agent": user_agent, **dict(headers)},
    )
    if as_json:
        print_json(found.as_dict())
    else:
        print_table(f"{method} {url}", [("", "left"), ("", "left")], _rows(hits, found), "")


def _rows(hits: PathHits, found: Explanation) -> list[tuple[str, str]]:
    rows = [("counted", "yes" if found.counted else f"no, it is dropped as {found.reason!r}"), ("", found.says)]
    if found.routes_known:
        rows += [("route", found.route or "none"), ("pattern", found.pattern or "none")]
    else:
        rows.append(("route", "not known to this command; a real request may count under its route instead"))
    if found.counted:
        rows += [("label", found.label), ("address", found.address or "none")]
        rows.append(
            ("visitor", "hashed, and counted" if found.visitor else "not counted: who asks not to be is nobody")
        )
        rows.append(("view of", _view(hits, found)))
    return rows


def _view(hits: PathHits, found: Explanation) -> str:
    if not found.item:
        return "no item"
    limits = hits.items[found.item.partition(":")[0]].rules.limits._asdict()
    rules = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in limits.items() if value)
    return f"{found.item}, where its rules allow it ({rules})" if rules else found.item
