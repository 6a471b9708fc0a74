"""Webhooks: one signed POST of JSON. Of a URL only the host is ever said, as its path may be a secret."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from email.message import Message
from http.client import HTTPException
from typing import IO
from urllib.parse import urlsplit

from pathhits.errors import NotificationFailed
from pathhits.notify.messages import News
from pathhits.notify.signing import sign
from pathhits.settings import Settings


class _Stay(urllib.request.HTTPRedirectHandler):
    """A redirect is an answer like any other that is not 2xx: what was meant for one host goes to no other."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> None:
        return None


_opener = urllib.request.build_opener(_Stay)


def post(settings: Settings, url: str, news: News) -> None:
    """Post the event, signed now; raises `NotificationFailed` unless the answer is 2xx."""
    body = json.dumps(news.payload(), ensure_ascii=False, separators=(",", ":")).encode()
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "pathhits",
        **sign(news.id, body, settings.notify_secret),
    }
    request = urllib.request.Request(url, body, headers, method="POST")
    try:
        with _opener.open(request, timeout=settings.notify_timeout) as answer:
            answer.read(1_000)
    except urllib.error.HTTPError as error:
        error.close()
        raise NotificationFailed(f"the webhook at {urlsplit(url).hostname} answered {error.code}") from None
    except (OSError, HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        why = f"{type(reason).__name__}: {reason}" if isinstance(reason, OSError) else type(reason).__name__
        raise NotificationFailed(f"the webhook at {urlsplit(url).hostname} did not answer: {why}") from None
