"""What admins read of the system's health, of an audit, and of bookings."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Final

from markupsafe import Markup

from escrow.bot.admin import audit_texts, health_texts
from escrow.bot.page import Page
from escrow.domain.actions import Action, ActionState
from escrow.domain.money import Currency, Money
from escrow.services.auditing import Audit, Break, Difference
from escrow.services.floating import Float
from escrow.services.health import Health, JobHealth, judged, without_database
from escrow.store.floating import ProviderDifference
from escrow.store.health import Waiting
from escrow.store.payouts import OpenCount
from escrow.store.setbacks import Setback
from tests.bot.refusal_samples import CODE
from tests.world import NOW, kes

KINDS: Final = ("holding", "pending_fee", "received", "suspense", "wallet", "payable")
QUIET: Final = Health("", (), database_ms=1.4, proved_at=NOW)


def health(said: str) -> Health:
    """A look that finds everything that can be found."""
    waiting = Waiting((CODE,) * 9, NOW - timedelta(days=20))
    money = kes(12_300)
    look = replace(
        QUIET,
        database_ms=301.4,
        breaks=[said] * 30,
        outbox_waiting=3,
        outbox_oldest=NOW - timedelta(minutes=7),
        inbox_waiting=1,
        inbox_parked=7,
        parked_rows=(4, 7),
        receipts_waiting=4,
        clock_steady=False,
        held=[{"currency": "KES", "kind": kind, "total_minor": 1_000_000} for kind in KINDS],
        jobs=[
            JobHealth("outbox", NOW, NOW, said, NOW, late=False),
            JobHealth("well", NOW, NOW, "", NOW, late=False),
            JobHealth("late", NOW, None, "", None, late=True),
            JobHealth("never", None, None, "", None, late=True),
        ]
        * 5,
        payouts=OpenCount(2, 1, 3, NOW),
        stopped="8006",
        stuck=waiting,
        disputes=waiting,
        critical_flags=2,
        setbacks=[Setback("release", CODE, 3, NOW)],
        float=Float(money, NOW, money, money, money),
        difference=ProviderDifference(300, NOW, 300, NOW),
        paused_at=NOW,
    )
    return judged(look, NOW)


def audits(said: str) -> dict[str, Audit]:
    trial = {(kind, currency): 100 for kind in KINDS for currency in Currency}
    more = {("external", Currency.KES): -900, ("receivable", Currency.KES): -100}
    ours = dict.fromkeys((("fees", Currency.KES), ("owner", Currency.KES)), 200)
    whole = Audit(
        {"journals": 1_000_000}, {**trial, **more, **ours}, at=NOW, took=timedelta(seconds=3.2)
    )
    breaks = [
        Break("journal", "5"),
        Break("account", said),
        Break("deal", CODE),
        Break("payout", "7", kes(-3)),
        Break("trial", "KES", kes(3)),
        Break("kept", "external:mpesa:utility", kes(3)),
        Break("total", "wallet", kes(3)),
        Break("other", said),
    ]
    return {
        "whole": whole,
        "broken": replace(whole, breaks=breaks * 9),
        "cut": replace(whole, failed=said),
        "empty": replace(whole, trial={("owner", Currency.KES): 5, ("external", Currency.KES): -5}),
        **{
            f"provider:{off}": replace(whole, provider=Difference(kes(100 + off), kes(100), NOW))
            for off in (-5, 0, 5)
        },
    }


def answers(said: str, on: Page) -> dict[str, Markup]:
    """Texts by name."""
    look = health(said)
    paused = judged(replace(QUIET, paused_at=NOW), NOW)
    looks = {
        "everything": look,
        "quiet": judged(replace(QUIET, jobs=[look.jobs[1]]), NOW),
        "books": judged(replace(QUIET, float=replace(look.float, read_at=None)), NOW)
        if look.float
        else QUIET,
        "less": judged(replace(QUIET, difference=ProviderDifference(-300, NOW, -300, NOW)), NOW),
        "watch": judged(replace(QUIET, critical_flags=1), NOW),
        "paused": paused,
        "down": without_database(said),
    }
    found = {f"health:{name}": health_texts.health(one, on) for name, one in looks.items()}
    found["jobs"] = health_texts.jobs(look, on)
    found["jobs:none"] = health_texts.jobs(QUIET, on)
    found["progress"] = audit_texts.progress({"journals": 5000}, on)
    found |= {f"audited:{n}": audit_texts.audited(one, on) for n, one in audits(said).items()}
    for what in ("float", "withdraw", "charge"):
        facts = {"what": what, "receipt": "SGL51H2K3M", "before": 100, "after": -200}
        asked = action(facts)
        found[f"book:{what}:preview"] = audit_texts.book_preview(facts, asked, on)
        found[f"book:{what}:done"] = audit_texts.book_done(facts, asked, on)
    return found


def action(facts: dict[str, object]) -> Action:
    return Action(
        id=1,
        kind="book",
        target="float 500 SGL51H2K3M",
        params={},
        escrow_id=None,
        amount=Money(50_000, Currency.KES),
        facts=facts,
        asked_by=1001,
        asked_at=NOW,
        expires_at=NOW,
        number=4821,
        needs_second=False,
        state=ActionState.ASKED,
    )
