"""Which entries each happening makes (money.md, the table of accounts). Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from escrow.domain.model import Entry, Journal
from escrow.domain.money import Money
from escrow.domain.payouts import Payout
from escrow.domain.terms import Division

EXTERNAL: Final = {"mpesa": "mpesa:utility"}
"""Provider → the account of his that customers' payments land in."""


COINS: Final = "coins"
"""The account that dollars leave by which an admin sends as coins."""

Source = tuple[str, str]
"""The account that money comes from: (kind, owner)."""


def external(provider: str) -> Source:
    """Money that a provider took in for us."""
    return "external", EXTERNAL.get(provider, provider)


def suspense() -> Source:
    """Money that was booked before, and now is known to be somebody's."""
    return "suspense", ""


def _receipt_key(source: Source, key: str) -> str:
    """A receipt is booked once, and taken out of suspense once."""
    return f"receipt:{key}" if source[0] == "external" else f"claim:{key}"


def received(source: Source, key: str, escrow_id: str, amount: Money, at: datetime) -> Journal:
    """A receipt is credited to its deal: external → received."""
    return Journal(
        "receipt",
        _receipt_key(source, key),
        amount.currency,
        (
            Entry(source[0], source[1], -amount.minor),
            Entry("received", escrow_id, amount.minor),
        ),
        at,
        escrow_id,
    )


def coin_cost(provider: str, key: str, escrow_id: str | None, cost: Money, at: datetime) -> Journal:
    """What the network and the provider kept of coins that were credited whole: costs → external,
    for that much less is there.
    """
    return Journal(
        "coin_cost",
        f"coin_cost:{key}",
        cost.currency,
        (
            Entry("costs", provider, -cost.minor),
            Entry("external", EXTERNAL.get(provider, provider), cost.minor),
        ),
        at,
        escrow_id,
    )


def wallet_part(key: str, telegram_id: int, escrow_id: str, part: Money, at: datetime) -> Journal:
    """The buyer's wallet pays (a part of) his deal: wallet → received."""
    return Journal(
        "wallet_payment",
        f"wallet_payment:{key}",
        part.currency,
        (
            Entry("wallet", str(telegram_id), -part.minor),
            Entry("received", escrow_id, part.minor),
        ),
        at,
        escrow_id,
    )


def accepted(escrow_id: str, buyer: int, division: Division, at: datetime) -> list[Journal]:
    """The deal is funded: received → holding and pending fee; the excess by its own journal."""
    held = division.holding + division.fee
    entries = [
        Entry("received", escrow_id, -held.minor),
        Entry("holding", escrow_id, division.holding.minor),
    ]
    if division.fee:
        entries.append(Entry("pending_fee", escrow_id, division.fee.minor))
    journals = [Journal("fund", f"fund:{escrow_id}", held.currency, tuple(entries), at, escrow_id)]
    if division.excess:
        journals.append(
            Journal(
                "overpayment",
                f"overpayment:{escrow_id}",
                held.currency,
                (
                    Entry("received", escrow_id, -division.excess.minor),
                    Entry("wallet", str(buyer), division.excess.minor),
                ),
                at,
                escrow_id,
            )
        )
    return journals


def returned(
    kind: str, key: str, escrow_id: str, buyer: int, amount: Money, at: datetime
) -> Journal:
    """Undecided money goes back: received → the buyer's wallet (auto-refund, cancel, window)."""
    return Journal(
        kind,
        f"{kind}:{key}",
        amount.currency,
        (
            Entry("received", escrow_id, -amount.minor),
            Entry("wallet", str(buyer), amount.minor),
        ),
        at,
        escrow_id,
    )


def to_wallet(
    source: Source, key: str, escrow_id: str | None, telegram_id: int, amount: Money, at: datetime
) -> Journal:
    """Money that the deal can't take: external → wallet."""
    return Journal(
        "late_payment",
        _receipt_key(source, key),
        amount.currency,
        (
            Entry(source[0], source[1], -amount.minor),
            Entry("wallet", str(telegram_id), amount.minor),
        ),
        at,
        escrow_id,
    )


def to_suspense(
    source: Source, key: str, escrow_id: str | None, amount: Money, at: datetime
) -> Journal:
    """Money that nobody can be credited with yet: external → suspense."""
    return Journal(
        "suspense",
        _receipt_key(source, key),
        amount.currency,
        (
            Entry(source[0], source[1], -amount.minor),
            Entry("suspense", "", amount.minor),
        ),
        at,
        escrow_id,
    )


def settled(
    escrow_id: str,
    seller: tuple[int, Money],
    buyer: tuple[int, Money],
    fee: Money,
    held: tuple[Money, Money],
    at: datetime,
    covers: int = 0,
) -> Journal:
    """The end of a funded deal: `held` (holding, pending fee) → the two wallets and the fees.
    `seller` and `buyer` are (Telegram id, what he gets). So many minor units of the buyer's part
    cover his payment that was taken back, in place of his wallet.
    """
    holding, pending = held
    entries = [Entry("holding", escrow_id, -holding.minor)]
    if pending:
        entries.append(Entry("pending_fee", escrow_id, -pending.minor))
    entries += [
        Entry("wallet", str(person), minor)
        for person, minor in ((seller[0], seller[1].minor), (buyer[0], buyer[1].minor - covers))
        if minor
    ]
    if covers:
        entries.append(Entry("receivable", escrow_id, covers))
    if fee:
        entries.append(Entry("fees", "", fee.minor))
    divided = "split" if seller[1] or fee else "refund"
    kind = divided if buyer[1] else "release"
    return Journal(kind, f"settlement:{escrow_id}", holding.currency, tuple(entries), at, escrow_id)


def written_off(escrow_id: str, amount: Money, at: datetime) -> Journal:
    """What a payment that was taken back left open when its deal ended is our loss."""
    return Journal(
        "written_off",
        f"written_off:{escrow_id}",
        amount.currency,
        (Entry("owner", "", -amount.minor), Entry("receivable", escrow_id, amount.minor)),
        at,
        escrow_id,
    )


def _payout(
    kind: str, key: str, payout: Payout, source: Source, target: Source, at: datetime
) -> Journal:
    return Journal(
        kind,
        f"{key}:{payout.id}",
        payout.amount.currency,
        (Entry(*source, -payout.amount.minor), Entry(*target, payout.amount.minor)),
        at,
        payout.escrow_id,
    )


def _home(payout: Payout) -> Source:
    """Where a payout's money comes from, and goes back to."""
    owner = payout.telegram_id
    return suspense() if owner is None else ("wallet", str(owner))


def payout_booked(payout: Payout, at: datetime) -> Journal:
    """Money is on its way out: wallet → payable; of a receipt that is nobody's: suspense."""
    source = _home(payout)
    return _payout("payout", "payout", payout, source, ("payable", str(payout.id)), at)


def payout_paid(payout: Payout, at: datetime) -> Journal:
    """It arrived: payable → external."""
    source = ("payable", str(payout.id))
    out = external(COINS if payout.in_coins else "mpesa")
    return _payout("payout_paid", "payout_paid", payout, source, out, at)


def payout_failed(payout: Payout, at: datetime) -> Journal:
    """It can't be paid: payable → wallet, or suspense."""
    source = ("payable", str(payout.id))
    return _payout("payout_returned", "payout_failed", payout, source, _home(payout), at)
