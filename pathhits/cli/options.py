"""What commands share: the PathHits they ask, options, moments, exit codes."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import Any

import click

from pathhits.app import PathHits, load
from pathhits.errors import PathHitsError, SettingsError
from pathhits.settings import DIMENSIONS

_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


class Moment(click.ParamType[datetime]):
    """A moment: an ISO date or time (UTC unless it says otherwise), or how long ago, such as 30m, 24h, 7d, 4w."""

    name = "moment"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        ago = re.fullmatch(r"(\d{1,6})([mhdw])", value)
        try:
            if ago:
                return datetime.now(UTC) - int(ago[1]) * _UNITS[ago[2]]
            found = datetime.fromisoformat(value)
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is no moment: give 24h, 7d, 2026-11-20 or 2026-11-20T14:00+01:00", param, ctx)
        return found if found.tzinfo else found.replace(tzinfo=UTC)


class Value(click.ParamType[tuple[str, str]]):
    """A value of a dimension, ``browser=Firefox``."""

    name = "dimension=value"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        dimension, _, wanted = value.partition("=")
        if dimension not in DIMENSIONS or not wanted:
            self.fail(f"{value!r} is no value: give browser=Firefox; there are {', '.join(DIMENSIONS)}", param, ctx)
        return dimension, wanted


def period_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give ``command`` the moments ``since`` and ``until``, None where they are not given; refuses a period of none."""

    @wraps(command)
    def run(*args: Any, since: datetime | None, until: datetime | None, **options: Any) -> None:
        if since is not None and until is not None and since >= until:
            raise click.UsageError("--since is not before --until: nothing lies between them")
        command(*args, since=since, until=until, **options)

    upto = click.option("--until", type=Moment(), help="Up to this moment.")(run)
    help = "From this moment on (24h, 7d, 2026-11-20), in whole UTC hours."
    return click.option("--since", type=Moment(), help=help)(upto)


def with_hits(command: Callable[..., int | None]) -> Callable[..., None]:
    """Give ``command`` the PathHits as its first argument; its int is the exit code, an error of ours one line."""

    @wraps(command)
    @click.pass_context
    def run(ctx: click.Context, /, *args: Any, **options: Any) -> None:
        hits: PathHits | None = None
        try:
            hits = _find_hits(ctx)
            code = command(hits, *args, **options) or 0
        except SettingsError as error:
            _fail(error, 2)
        except PathHitsError as error:
            _fail(error, 1)
        else:
            ctx.exit(code)
        finally:
            if hits is not None:
                hits.close()

    return run


def _find_hits(ctx: click.Context) -> PathHits:
    given = ctx.find_object(PathHits)
    if given is not None:
        return given
    if "flask.cli" in sys.modules:
        info = ctx.find_object(sys.modules["flask.cli"].ScriptInfo)
        if info is not None:
            app = info.load_app()
            if "pathhits" not in app.extensions:
                raise SettingsError("this Flask app is not counted: call hits.init_app(app) first")
            found: PathHits = app.extensions["pathhits"]
            return found
    return load()


def _fail(error: Exception, code: int) -> None:
    click.echo(f"pathhits: {error}", err=True)
    sys.exit(code)
