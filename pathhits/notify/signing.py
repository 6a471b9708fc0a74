"""How webhooks are signed and checked: as Standard Webhooks has it, so that other libraries can check them too.

The signature is HMAC-SHA256 over ``<webhook-id>.<webhook-timestamp>.<body>``, in base64 after ``v1,``.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from typing import Any

from pathhits.errors import SettingsError, SignatureError

#: Seconds by which the clocks of sender and receiver may differ, and after which nothing can be played again.
TOLERANCE = 300.0
#: How a secret begins that is bytes in base64, as Standard Webhooks hands them out.
PREFIX = "whsec_"
ID, TIMESTAMP, SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"


def sign(identity: str, body: bytes, secret: str, now: float | None = None) -> dict[str, str]:
    """The three headers of a webhook with this id and body; ``now`` is its Unix time (s)."""
    moment = str(int(time.time() if now is None else now))
    digest = base64.b64encode(_digest(secret, identity, moment, body)).decode()
    return {ID: identity, TIMESTAMP: moment, SIGNATURE: f"v1,{digest}"}


def verify(
    headers: Mapping[str, str], body: bytes, secret: str, *, tolerance: float = TOLERANCE, now: float | None = None
) -> dict[str, Any]:
    """The JSON object of a webhook that was signed with ``secret`` at most ``tolerance`` seconds ago.

    ``headers`` are those of the request in any case, ``body`` its bytes as they came. Raises `SignatureError` for
    any other. A webhook may come twice: its ``id`` is the same then.
    """
    found = {name.lower(): str(value) for name, value in headers.items() if name.lower() in (ID, TIMESTAMP, SIGNATURE)}
    if len(found) != 3:
        raise SignatureError(f"the headers {ID}, {TIMESTAMP} and {SIGNATURE} are needed")
    if not found[TIMESTAMP].isascii() or not found[TIMESTAMP].isdigit() or len(found[TIMESTAMP]) > 15:
        raise SignatureError(f"{TIMESTAMP} is no number of seconds")
    if abs((time.time() if now is None else now) - int(found[TIMESTAMP])) > tolerance:
        raise SignatureError(f"{TIMESTAMP} is more than {tolerance:g} s away from this machine's clock")
    wanted = _digest(secret, found[ID], found[TIMESTAMP], body)
    if not any(hmac.compare_digest(wanted, given) for given in _given(found[SIGNATURE])):
        raise SignatureError(f"{SIGNATURE} was not made with this secret for this id, time and body")
    payload = json.loads(body)
    if not isinstance(payload, dict):
        raise SignatureError("the body is no JSON object")
    return payload


def _given(header: str) -> list[bytes]:
    """The signatures of the header; while a secret is changed there may be several."""
    found = []
    for part in header.split(" "):
        version, _, text = part.partition(",")
        if version == "v1":
            try:
                found.append(base64.b64decode(text, validate=True))
            except (binascii.Error, ValueError):
                continue
    return found


def _digest(secret: str, identity: str, moment: str, body: bytes) -> bytes:
    return hmac.new(_key(secret), f"{identity}.{moment}.".encode() + body, hashlib.sha256).digest()


def _key(secret: str) -> bytes:
    if not secret:
        raise SettingsError("a webhook needs a secret")
    if not secret.startswith(PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret[len(PREFIX) :], validate=True)
    except binascii.Error as error:
        raise SettingsError(f"a secret that begins with {PREFIX} goes on in base64") from error
