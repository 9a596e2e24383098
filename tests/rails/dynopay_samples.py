"""The known bodies of DynoPay (`samples/dynopay`) as webhooks that are signed and posted."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import datetime
from pathlib import Path

from escrow.services.ports import RawRequest
from tests.rails.fakes import NOW

SECRET = "whsec_of_the_tests"
TOKEN = "5f" * 16
PATH = f"/hooks/dynopay/{TOKEN}"
HASH = "0x" + "ab12" * 16

FOLDER = Path(__file__).parent / "samples" / "dynopay"
_BODIES = {path.stem: json.loads(path.read_bytes()) for path in FOLDER.glob("*.json")}
WEBHOOKS = {name: body for name, body in _BODIES.items() if name.startswith("webhook-")}
QUOTED = _BODIES["cryptopayment-response"]
LINKED = _BODIES["createpayment-response"]
NO_KEY = _BODIES["error-api-key-missing"]
STATUS = _BODIES["paymentstatus-response"]
SUPPORTED = _BODIES["supported-currencies"]


def webhook(name: str, **changes: object) -> dict[str, object]:
    """A sample with changes; `...` drops a field."""
    fields = {**WEBHOOKS[name], **changes}
    return {key: value for key, value in fields.items() if value is not ...}


def v2(body: bytes, secret: str = SECRET, at: datetime = NOW) -> str:
    """The hex of one v1 of a V2 signature."""
    message = f"{int(at.timestamp())}.".encode() + body
    return hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()


def posted(body: object, header: str | None = None, path: str = PATH) -> RawRequest:
    """A request as the door hands it over, signed unless told otherwise."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    if header is None:
        header = f"t={int(NOW.timestamp())},v1={v2(raw)}"
    headers = {"content-type": "application/json", "x-dynopay-signature-v2": header}
    return RawRequest("POST", path, "", headers, raw)
