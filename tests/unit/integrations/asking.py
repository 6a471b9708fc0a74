"""Asks an ASGI app for one page, with the scope that a server makes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote

from pathhits.testing import Counted
from tests.unit.integrations.tables import AGENT, Row, differences, outcome


def scope_of(row: Row, root_path: str = "") -> dict[str, Any]:
    """What uvicorn makes of a request: ``path`` begins with the root path that the server was told."""
    raw, _, query = row.path.partition("?")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": row.method,
        "scheme": "http",
        "path": root_path + unquote(raw),
        "raw_path": (root_path + raw).encode(),
        "query_string": query.encode(),
        "root_path": root_path,
        "headers": [(b"host", row.host.encode()), (b"user-agent", AGENT.encode()), (b"accept", b"text/html")],
        "client": ("192.0.2.1", 50_000),
        "server": ("localhost", 80),
        "state": {},
    }


async def exchange(app: Any, scope: dict[str, Any]) -> tuple[int, bytes]:
    """Status and body of the response; what the app raises is raised."""
    messages: list[dict[str, Any]] = []
    asked = False

    async def receive() -> dict[str, Any]:
        nonlocal asked
        if asked:
            await asyncio.Event().wait()
        asked = True
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        messages.append(message)

    await app(scope, receive, send)
    body = b"".join(message.get("body", b"") for message in messages[1:])
    return messages[0]["status"], body


def ask(counted: Counted, app: Any, row: Row, root_path: str = "") -> str:
    """Send the request of ``row``; what it came to."""
    counted.clear()
    try:
        asyncio.run(exchange(app, scope_of(row, root_path)))
    except RuntimeError as error:
        if "broken on purpose" not in str(error):
            raise
    return outcome(counted)


def check(counted: Counted, app: Any, rows: Iterable[Row], root_path: str = "") -> None:
    """Fail unless each request comes to what its row says."""
    wrong = differences((row, ask(counted, app, row, root_path)) for row in rows)
    assert not wrong, "\n".join(wrong)
