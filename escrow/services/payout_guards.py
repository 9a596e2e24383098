"""What holds a payout back: its own people among the admins, a number that is new, a receipt that
paid something else. And what the owner of a chat gets back when he finds his number changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from escrow.domain import phone
from escrow.domain.errors import NotAllowed
from escrow.domain.model import Notice
from escrow.domain.payouts import Payout, PayoutState
from escrow.services import postings
from escrow.store import floating, ledger, outbox, payouts
from escrow.store.database import Connection


async def may_decide(conn: Connection, payout: Payout, admin: int) -> None:
    """An admin decides nothing about money of his own, or of a deal that he is a side of.
    `NotAllowed`.
    """
    if admin in (await payouts.sides(conn, [payout.id]))[payout.id]:
        raise NotAllowed("payout_own", payout=payout.id)


async def rests(conn: Connection, payout: Payout, now: datetime) -> bool:
    """Whether it waits because its number is new; one that was asked for before waits for other
    reasons.
    """
    waits = payout.not_before is not None and payout.not_before > now
    return waits and await payouts.attempts_made(conn, payout.id) == 0


async def may_have_paid(conn: Connection, payout: Payout, reference: str, now: datetime) -> None:
    """An admin says that this receipt paid it. `NotAllowed`: its number is too new to be paid, or
    the receipt is another payment's.
    """
    if await rests(conn, payout, now):
        raise NotAllowed("payout_rests", payout=payout.id, until=payout.not_before)
    if await payouts.by_reference(conn, reference) is not None:
        raise NotAllowed("receipt_used")
    came_in = payouts.coins_came_in if payout.in_coins else payouts.came_in
    if await came_in(conn, reference):
        raise NotAllowed("receipt_came_in")
    await not_ours(conn, reference)


async def not_ours(conn: Connection, receipt: str, *, charge: bool = False) -> None:
    """`NotAllowed` for a receipt that an admin booked by hand as our own money. M-Pesa's `charge`
    for a payment bears that payment's number, so it is in nobody's way.
    """
    before = await floating.booking(conn, receipt)
    if before is not None and (charge or before.kind != "charge"):
        raise NotAllowed(
            "booked_before",
            receipt=receipt,
            what=before.kind,
            amount=before.amount,
            by=before.booked_by,
            at=before.booked_at,
        )


async def take_back(conn: Connection, telegram_id: int, number: str, now: datetime) -> None:
    """What still rests on its way to a number that was replaced is in its owner's wallet again, and
    he is told: the number was perhaps not his.
    """
    for one in await payouts.lock_resting(conn, telegram_id, number, now):
        if one.state is PayoutState.READY:  # its steps know no other way to an end
            await payouts.set_state(conn, one.id, PayoutState.MANUAL)
        await ledger.post(conn, [postings.payout_failed(one, now)])
        done = await payouts.finish(conn, one.id, PayoutState.FAILED, now, note="number_changed")
        await outbox.queue(conn, failed_notices(done, (), "number_changed"), now)


def shown(payout: Payout) -> str:
    """Where it goes, for people's eyes: a number masked, an address whole."""
    if payout.in_coins:
        return f"{payout.address} ({payout.coin})"
    if phone.is_msisdn(payout.destination):
        return phone.mask(payout.destination)
    return phone.mask_shown(payout.destination)


def told(
    payout: Payout, admins: Sequence[int], cause: str, kind: str, values: Mapping[str, Any]
) -> list[Notice]:
    """What its owner hears of it, as `back_…` of money that goes back to its payer; the admins
    where it is nobody's.
    """
    named = kind if payout.receipt is None else kind.replace("payout", "back", 1)
    if payout.telegram_id is None:
        return [Notice(cause, f"{named}_admin", one, values, payout.escrow_id) for one in admins]
    return [Notice(cause, named, payout.telegram_id, values, payout.escrow_id)]


def failed_notices(
    payout: Payout, admins: Sequence[int], why: str, words: str = ""
) -> list[Notice]:
    """Its owner hears that it is in his wallet again."""
    values = {
        "payout": payout.id,
        "amount": str(payout.amount),
        "code": payout.escrow_id,
        "to": shown(payout),
        "leg": payout.leg,
        "receipt": payout.receipt,
        "coin": payout.coin,
        "why": why,
        "words": words,
    }
    return told(payout, admins, f"payout:{payout.id}:failed", "payout_failed", values)


async def cards(
    conn: Connection,
    kind: str,
    waiting: Sequence[Payout],
    admins: Sequence[int],
    step: str = "",
    **more: Any,
) -> list[Notice]:
    """Every admin's card of payouts that wait for a person. It names the full number, but not to
    an admin who is a side: `own` tells him that `another` decides it, or that there is `none`.
    `step` is for the cause; its note where there is none.
    """
    sides = await payouts.sides(conn, [one.id for one in waiting])
    found = []
    for one in waiting:
        able = [admin for admin in admins if admin not in sides[one.id]]
        for admin in admins:
            values = {
                "payout": one.id,
                "amount": str(one.amount),
                "number": (one.address or one.destination) if admin in able else None,
                "coin": one.coin,
                "receipt": one.receipt,
                "code": one.escrow_id,
                "why": one.note,
                "not_before": one.not_before.isoformat() if one.not_before else None,
                **more,
            }
            if admin not in able:
                values["own"] = "another" if able else "none"
            cause = f"payout:{one.id}:{step or one.note}"
            found.append(Notice(cause, kind, admin, values, one.escrow_id))
    return found
