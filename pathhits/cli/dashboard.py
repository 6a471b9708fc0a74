"""``pathhits dashboard``: the dashboard alone, beside whatever the app is served by."""

from __future__ import annotations

import signal
from types import FrameType

import click

from pathhits.app import PathHits
from pathhits.cli.options import with_hits
from pathhits.errors import SettingsError


@click.command("dashboard")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8080, show_default=True, type=click.IntRange(0, 65_535), help="Port to listen on.")
@click.option("--threads", default=4, show_default=True, type=click.IntRange(1, 64), help="Requests served at once.")
@with_hits
def dashboard_command(hits: PathHits, host: str, port: int, threads: int) -> None:
    """Serve the dashboard alone, by waitress, until Ctrl-C. Needs DASHBOARD_PASSWORD or DASHBOARD_PUBLIC."""
    import waitress

    if not (hits.settings.dashboard_password or hits.settings.dashboard_public):
        raise SettingsError("the dashboard is closed: set PATHHITS_DASHBOARD_PASSWORD, or PATHHITS_DASHBOARD_PUBLIC=1")
    try:
        server = waitress.create_server(hits.dashboard(), host=host, port=port, threads=threads, ident="pathhits")
    except OSError as error:
        raise SettingsError(
            f"port {port} of {host} cannot be used: {error.strerror}; choose another with --port"
        ) from None
    signal.signal(signal.SIGTERM, _end)
    click.echo(f"The dashboard is at http://{host}:{server.effective_port}/ (Ctrl-C ends it).")
    server.run()


def _end(number: int, frame: FrameType | None) -> None:
    """Let the server end as by Ctrl-C: what is being answered is answered."""
    raise SystemExit(0)
