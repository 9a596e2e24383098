"""What a refusal may name: one sample of every value."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from tests.world import NOW, kes

CODE = "ES1008257624"


def values(reason: str, said: str) -> Mapping[str, Any]:
    """`said` stands where somebody's own words go."""
    found = {
        "usage": "/newdeal 1500 Blue phone case",
        "typed": said,
        "code": said,
        "number": 99,
        "payout": 7,
        "state": "PAID",
        "minimum": kes(100),
        "maximum": kes(250_000),
        "price": kes(1),
        "missing": kes(700),
        "wallet": kes(9_800),
        "seconds": 65,
        "limit": 3,
        "amount": kes(500),
        "until": NOW + timedelta(minutes=20),
        "currency": "USD",
        "status": "HELD",
        "by": said,
        "days": 30,
        "length": 5000,
        "shop": said,
        "reference": "SG632NMUAB",
        "deals": CODE,
        "person": 3001,
        "seller": 5,
        "receipt": "SGL51H2K3M",
        "what": "float",
        "at": NOW,
        "most": kes(300),
        "shortcode": "174379",
    }
    if reason.startswith("new_seller"):
        found["until"] = 5
    if reason in ("description", "shop_name"):
        found["maximum"] = 200
    if reason != "no_deal":  # only there a code is what somebody typed
        found["code"] = CODE
    if reason in ("decided_before", "action_moved"):
        found |= {"event": "resolve", "role": "admin", "at": NOW}
    return found
