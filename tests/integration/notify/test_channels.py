"""Mails over SMTP and webhooks over HTTP, to real servers: with TLS, a log-in and signatures, and no secret told."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import trustme

from pathhits import Settings, SettingsError
from pathhits.errors import NotificationFailed, SignatureError
from pathhits.notify import sign, verify
from pathhits.notify.channels import Channel, channels
from pathhits.notify.channels import test as tell_everybody
from pathhits.notify.mail import compose
from pathhits.notify.messages import News
from tests.servers.receivers import PASSWORD, USER, Hook, Mailbox

SECRET = "a secret of some length"
TO = "anna@example.org"
MOMENT = datetime(2026, 11, 21, 14, 30, 5, 250_000, tzinfo=UTC)


def news(**changes: Any) -> News:
    said: dict[str, Any] = {
        "id": "0190" * 8,
        "name": "product.updated",
        "item_type": "product",
        "item_id": "stoneware-jug",
    }
    return News(**({**said, "properties": {"by": "the admin"}, "moment": MOMENT} | changes))


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def trusted(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The servers' certificates are believed."""
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hook]:
    monkeypatch.setenv("no_proxy", "*")
    with Hook() as hook:
        yield hook


def mailing(box: Mailbox, **changes: Any) -> Settings:
    said: dict[str, Any] = {"notify_to": TO, "notify_from": "shop@example.org", "notify_smtp_host": "127.0.0.1"}
    said |= {"notify_smtp_user": USER, "notify_smtp_password": PASSWORD, "notify_timeout": 20.0}
    return Settings(**(said | {"notify_smtp_port": box.port} | changes))


def tell(settings: Settings, what: News | None = None) -> None:
    """Tell everybody whom the settings name."""
    for channel in channels(settings):
        channel.send(settings, what or news())


# Mail.


@pytest.mark.parametrize("security", ["starttls", "ssl"])
@pytest.mark.usefixtures("trusted")
@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")  # of the server, which is under TLS here
def test_a_mail_goes_out_over_tls_with_a_log_in(authority: trustme.CA, security: str) -> None:
    with Mailbox(authority, over=security) as box:
        tell(mailing(box, notify_smtp_security=security))
    [mail], [envelope] = box.mails, box.envelopes
    assert box.log_ins == [USER.encode()]
    assert (envelope.mail_from, envelope.rcpt_tos) == ("shop@example.org", [TO])
    assert (mail["From"], mail["To"]) == ("shop@example.org", TO)
    assert mail["Subject"] == "[pathhits] product stoneware-jug was changed"
    assert mail["Date"].datetime == MOMENT.replace(microsecond=0)
    assert mail["Message-ID"] == f"<{'0190' * 8}.pathhits@example.org>"
    assert mail["Auto-Submitted"] == "auto-generated"
    text = mail.get_content().replace("\r\n", "\n")
    assert "by: the admin\n" in text
    assert "when: 2026-11-21 14:30:05 UTC" in text


def test_without_tls_nobody_logs_in(authority: trustme.CA) -> None:
    with Mailbox(authority, over="none") as box:
        tell(mailing(box, notify_smtp_security="none", notify_smtp_user=""))
    assert len(box.mails) == 1
    assert box.log_ins == []


def test_a_certificate_that_nobody_vouches_for_is_not_believed(authority: trustme.CA) -> None:
    with Mailbox(authority) as box, pytest.raises(NotificationFailed, match="CERTIFICATE_VERIFY_FAILED"):
        tell(mailing(box))
    assert box.log_ins == []


@pytest.mark.usefixtures("trusted")
def test_a_server_without_starttls_gets_no_password(authority: trustme.CA) -> None:
    with Mailbox(authority, over="none") as box, pytest.raises(NotificationFailed, match="STARTTLS"):
        tell(mailing(box))
    assert (box.mails, box.log_ins) == ([], [])


@pytest.mark.usefixtures("trusted")
def test_what_the_server_refuses_is_an_error_without_the_password(
    authority: trustme.CA, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with Mailbox(authority) as box:
        with pytest.raises(NotificationFailed, match="535") as error:
            tell(mailing(box, notify_smtp_password=f"{PASSWORD}-and-more"))
        box.answers = ["452 4.2.2 the mailbox is full"]
        with pytest.raises(NotificationFailed, match=r"452 4\.2\.2 the mailbox is full"):
            tell(mailing(box))
    told = f"{error.getrepr(showlocals=False)}{caplog.text}{mailing(box)!r}"
    assert PASSWORD not in told


def test_a_server_that_is_away_is_one_line() -> None:
    settings = Settings(notify_to=(TO,), notify_smtp_host="127.0.0.1", notify_smtp_port=1)
    with pytest.raises(NotificationFailed, match=r"^127\.0\.0\.1:1 did not take an e-mail: ConnectionRefusedError"):
        tell(settings)


@pytest.mark.usefixtures("trusted")
def test_a_name_in_any_script_and_a_long_one_arrive(authority: trustme.CA) -> None:
    with Mailbox(authority) as box:
        tell(mailing(box), news(item_id="grün-日本-" + "x" * 300))
    subject = box.mails[0]["Subject"]
    assert subject.strip().startswith("[pathhits] product grün-日本-xxx")
    assert len(subject) < 180
    assert "grün-日本-" + "x" * 300 in box.mails[0].get_content()


@pytest.mark.usefixtures("trusted")
def test_an_item_that_brings_a_header_along_brings_none(authority: trustme.CA) -> None:
    evil = "1\r\nBcc: everybody@example.com\r\n\r\nBuy\x00this\u2028now"
    with Mailbox(authority) as box:
        tell(mailing(box), news(item_id=evil, properties={"name\r\nX-Evil: 1": evil}))
    [mail], [envelope] = box.mails, box.envelopes
    assert mail["Bcc"] is None
    assert mail["X-Evil"] is None
    assert mail["Subject"].strip().startswith("[pathhits] product 1  Bcc: everybody@example.com")
    assert envelope.rcpt_tos == [TO]
    assert "\nBcc:" not in mail.get_content()


def test_a_text_has_each_property_in_a_line_as_it_is_or_as_json() -> None:
    lines = news(properties={"name": "a kettle", "changed": {"price": [9, None]}, "new": True}).text().splitlines()
    assert "name: a kettle" in lines
    assert 'changed: {"price": [9, null]}' in lines
    assert "new: true" in lines


@pytest.mark.parametrize(
    "address", ["a@b.c\nBcc: x@y.z", "a@b\r.c", "a b@c.d", "a@b.c, d@e.f", "<a@b.c>", "a@b@c", "ü@x.y", "a", "@"]
)
def test_an_address_that_could_be_more_than_one_is_refused(address: str) -> None:
    for name in ("notify_to", "notify_from"):
        given: Any = [address] if name == "notify_to" else address
        with pytest.raises(SettingsError, match="give an e-mail address"):
            Settings(notify_smtp_host="h", **{name: given})


def test_a_header_with_a_line_break_is_refused_wherever_it_comes_from() -> None:
    settings = Settings(notify_to=(TO,), notify_file="x")
    for to, what in [(f"{TO}\nBcc: x@y.z", news()), (TO, news(id="1\n2"))]:
        with pytest.raises(ValueError, match="one line"):
            compose(settings, to, what)


# A file in place of mail.


def test_while_developing_mails_go_to_a_file(tmp_path: Path) -> None:
    file = tmp_path / "mails.txt"
    for to in ((), (TO, "ben@example.org")):
        tell(Settings(notify_file=str(file), notify_to=to, notify_smtp_host="127.0.0.1", notify_smtp_port=1))
    text = file.read_text()
    assert [line for line in text.splitlines() if line.startswith("To: ")] == [
        "To: developer@localhost",
        f"To: {TO}",
        "To: ben@example.org",
    ]
    assert "\r" not in text
    assert text.count("Subject: [pathhits] product stoneware-jug was changed\n") == 3
    with pytest.raises(NotificationFailed, match="NOTIFY_FILE="):
        tell(Settings(notify_file=str(tmp_path)))


# Webhooks.


def hooking(hook: Hook, **changes: Any) -> Settings:
    said: dict[str, Any] = {"notify_webhooks": hook.url, "notify_secret": SECRET, "notify_timeout": 20.0}
    return Settings(**(said | changes))


def test_a_webhook_is_signed_json_that_its_receiver_can_check(hook: Hook) -> None:
    tell(hooking(hook))
    [posted] = hook.requests
    found = verify(posted.headers, posted.body, SECRET)
    assert found == json.loads(posted.body)
    assert found["type"] == "product.updated"
    assert found["id"] == posted.headers["Webhook-Id"] == "0190" * 8
    assert found["timestamp"] == "2026-11-21T14:30:05.250+00:00"
    assert found["data"] == {"item_type": "product", "item_id": "stoneware-jug", "properties": {"by": "the admin"}}
    assert posted.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("status", [301, 307, 400, 404, 410, 500, 503])
def test_any_answer_but_2xx_is_an_error_that_says_neither_path_nor_secret(hook: Hook, status: int) -> None:
    hook.statuses = [status]
    with pytest.raises(NotificationFailed) as error:
        tell(hooking(hook))
    assert str(error.value) == f"the webhook at 127.0.0.1 answered {status}"
    assert len(hook.requests) == 1, "it is not sent on to where a redirect points"
    assert "nobody-should-read" not in str(error.getrepr(showlocals=False))


def test_a_webhook_that_is_away_or_says_nothing_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        for port in (1, silent.getsockname()[1]):
            url = f"http://127.0.0.1:{port}/hooks/path-that-nobody-should-read"
            settings = Settings(notify_webhooks=(url,), notify_secret=SECRET, notify_timeout=0.2)
            with pytest.raises(NotificationFailed, match=r"^the webhook at 127\.0\.0\.1 did not answer") as error:
                tell(settings)
            assert "nobody-should-read" not in str(error.value)


BODY = b'{"type":"product.updated"}'


def _other(headers: dict[str, str], **changes: str) -> dict[str, str]:
    return headers | {name.replace("_", "-"): value for name, value in changes.items()}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda headers: (headers, BODY + b" "),
        lambda headers: (_other(headers, webhook_id="2"), BODY),
        lambda headers: (_other(headers, webhook_timestamp="1000001"), BODY),
        lambda headers: (_other(headers, webhook_timestamp="²"), BODY),
        lambda headers: (_other(headers, webhook_timestamp="9" * 5_000), BODY),
        lambda headers: (_other(headers, webhook_signature="v1,"), BODY),
        lambda headers: (_other(headers, webhook_signature="v2," + headers["webhook-signature"][3:]), BODY),
        lambda headers: (_other(headers, webhook_signature="v1,é"), BODY),
        lambda headers: ({name: value for name, value in headers.items() if name != "webhook-signature"}, BODY),
        lambda headers: ({}, BODY),
    ],
)
def test_what_was_changed_on_the_way_is_not_believed(spoil: Callable[[dict[str, str]], tuple[Any, bytes]]) -> None:
    headers = sign("1", BODY, SECRET, now=1_000_000)
    assert verify(headers, BODY, SECRET, now=1_000_000) == {"type": "product.updated"}
    with pytest.raises(SignatureError):
        verify(*spoil(headers), SECRET, now=1_000_000)


def test_another_secret_and_another_time_are_not_believed() -> None:
    headers = sign("1", BODY, SECRET, now=1_000_000)
    with pytest.raises(SignatureError, match="this secret"):
        verify(headers, BODY, SECRET + "!", now=1_000_000)
    for now in (1_000_301, 999_699):
        with pytest.raises(SignatureError, match="300 s away"):
            verify(headers, BODY, SECRET, now=now)
    assert verify(headers, BODY, SECRET, now=1_000_301, tolerance=600)
    with pytest.raises(SignatureError, match="no JSON object"):
        verify(sign("1", b"[]", SECRET), b"[]", SECRET)


def test_a_signature_is_the_one_of_standard_webhooks() -> None:
    """Computed by hand from the standard's definition: base64 secret, id.timestamp.body, HMAC-SHA256."""
    key = bytes(range(24))
    headers = sign("msg_1", BODY, f"whsec_{base64.b64encode(key).decode()}", now=1_614_265_330)
    digest = hmac.new(key, b"msg_1.1614265330." + BODY, hashlib.sha256).digest()
    assert headers["webhook-signature"] == f"v1,{base64.b64encode(digest).decode()}"
    both = {name.title(): value for name, value in headers.items()}
    both["Webhook-Signature"] = f"v1,AAAA {headers['webhook-signature']}"
    assert verify(both, BODY, f"whsec_{base64.b64encode(key).decode()}", now=1_614_265_330)


# Whom.


def test_each_recipient_is_one_channel_and_its_key_gives_nothing_away(hook: Hook) -> None:
    settings = hooking(hook, notify_to=f"{TO},ben@example.org,{TO}", notify_smtp_host="h")
    found = channels(settings)
    assert [(one.kind, one.shown) for one in found] == [
        ("mail", TO),
        ("mail", "ben@example.org"),
        ("webhook", "127.0.0.1"),
    ]
    assert len({one.key for one in found}) == 3
    assert all("example" not in one.key and "hooks" not in one.key for one in found)
    assert Channel("mail", TO).key == found[0].key


def test_everybody_can_be_told_that_this_is_a_test(hook: Hook) -> None:
    hook.statuses = [500, 204]
    settings = hooking(hook, notify_to=TO, notify_smtp_host="127.0.0.1", notify_smtp_port=1)
    first, second = (tell_everybody(settings) for _ in range(2))
    assert [error.split(":")[0] for _, error in first] == ["127.0.0.1", "the webhook at 127.0.0.1 answered 500"]
    assert [bool(error) for _, error in second] == [True, False]
    assert verify(hook.requests[1].headers, hook.requests[1].body, SECRET)["type"] == "site.tested"
