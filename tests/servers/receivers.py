"""Who receives notifications in the tests, on loopback: an SMTP server with TLS and a log-in, and an HTTP server."""

from __future__ import annotations

import ssl
import threading
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, NamedTuple, Self, cast

import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.servers.processes import free_port

USER, PASSWORD = "apikey", "SG.a-password-that-nobody-should-read"


class Mailbox:
    """An SMTP server on 127.0.0.1 that takes mail after STARTTLS (or under TLS: ``ssl``) and a log-in.

    ``answers`` are what it says to the next mails instead of taking them.
    """

    def __init__(self, authority: trustme.CA, *, over: str = "starttls", user: str = USER) -> None:
        self.mails: list[EmailMessage] = []
        self.envelopes: list[Envelope] = []
        self.log_ins: list[bytes] = []
        self.answers: list[str] = []
        self._user = user
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(tls)
        options: dict[str, Any] = {"none": {}, "ssl": {"ssl_context": tls}, "starttls": {"tls_context": tls}}[over]
        if over == "starttls":
            options |= {"require_starttls": True}
        if over != "none":
            options |= {"authenticator": self._authenticate, "auth_required": True}
            # Under TLS from the first byte on, aiosmtpd does not know that it is.
            options |= {"auth_require_tls": over == "starttls"}
        self._controller = Controller(self, hostname="127.0.0.1", port=free_port(), ready_timeout=30, **options)

    def _authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
    ) -> AuthResult:
        given = cast(LoginPassword, data)
        self.log_ins.append(given.login)
        known = given.login == self._user.encode() and given.password == PASSWORD.encode()
        return AuthResult(success=known, handled=False)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Take a mail, unless something else is to be answered."""
        if self.answers:
            return self.answers.pop(0)
        assert isinstance(envelope.content, bytes)
        self.envelopes.append(envelope)
        self.mails.append(message_from_bytes(envelope.content, EmailMessage, policy=policy.default))
        return "250 OK"

    @property
    def port(self) -> int:
        """Where it listens."""
        port: int = self._controller.port
        return port

    def __enter__(self) -> Self:
        self._controller.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._controller.stop()


class Posted(NamedTuple):
    """One request that a `Hook` received."""

    path: str
    headers: dict[str, str]
    body: bytes


class Hook:
    """An HTTP server on 127.0.0.1 that keeps what is posted to it, and answers ``statuses``, then 204."""

    def __init__(self) -> None:
        self.requests: list[Posted] = []
        self.statuses: list[int] = []
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                hook.requests.append(Posted(self.path, dict(self.headers), body))
                self.send_response(hook.statuses.pop(0) if hook.statuses else 204)
                self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = do_POST

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    @property
    def url(self) -> str:
        """Where to post to; the path is as secret as those of chat services are."""
        return f"http://127.0.0.1:{self._server.server_port}/hooks/path-that-nobody-should-read"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
