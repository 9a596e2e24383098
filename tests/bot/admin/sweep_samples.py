"""Everything that the sweeps say by themselves."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from markupsafe import Markup

from escrow.bot.admin.sweep_texts import NOTICES
from escrow.bot.page import Page
from tests.world import NOW

CODE = "ES1008257624"


def notices(said: str) -> dict[str, dict[str, Any]]:
    deal = {"code": CODE, "shop": said, "description": said}
    until = (NOW + timedelta(days=2)).isoformat()
    began = {"source": "bot", "began_at": (NOW - timedelta(hours=5)).isoformat()}
    money = {"amount": "KES 21,000", "receipt": "SGLARGE001", "payer": said}
    return {
        "outage_moved": {
            **deal,
            "role": "buyer",
            "source": "bot",
            "status": "HELD",
            "until": until,
        },
        "outage_began": {**began, "source": "rail"},
        "outage_over": {**began, "seconds": 18_000, "moved": 12},
        "funding_refused": {
            "reference": "SGLARGE001",
            "amount": "KES 21,000",
            "code": CODE,
            "frozen": True,
        },
        "unclaimed_back": {**deal, **money},
        "unclaimed_seller": {**deal, **money},
        "float_short": {
            "short": "KES 5,000",
            "due": "KES 25,000",
            "utility": "KES 20,000",
            "read_at": NOW.isoformat(),
        },
        "provider_off": {
            "off": "KES 300",
            "more": True,
            "says": "KES 20,300",
            "books": "KES 20,000",
            "read_at": NOW.isoformat(),
        },
        "dispute_silent": {**deal, "by": "buyer", "reason": said, "amount": "KES 10,500"},
    }


def variants(said: str, on: Page) -> dict[str, Markup]:
    """The same with other values, as far as other words follow."""
    other: dict[str, dict[str, Any]] = {
        "outage_moved": {"source": "rail", "role": "seller"},
        "outage_over": {"source": "rail"},
        "funding_refused": {"frozen": False},
        "unclaimed_back": {"payer": ""},
        "float_short": {"read_at": None},
        "provider_off": {"more": False},
        "dispute_silent": {"by": "seller"},
    }
    return {
        f"{kind} otherwise": NOTICES[kind]({**notices(said)[kind], **values}, on)
        for kind, values in other.items()
    }
