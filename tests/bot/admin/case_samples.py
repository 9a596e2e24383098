"""Lists, cases and a case's file, with everything that can stand in them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from fractions import Fraction
from typing import Any

from markupsafe import Markup

from escrow.bot.admin import bundle, case_texts, paging
from escrow.bot.page import Page, lines
from escrow.domain.flow import Event, Status
from escrow.domain.model import (
    Channel,
    DealRecord,
    Dispute,
    DisputeStatus,
    Escrow,
    Evidence,
    Media,
    MediaKind,
    Person,
    Purpose,
    ReceiptState,
    Seller,
    SellerStatus,
    StoredReceipt,
)
from escrow.domain.payouts import Payout, PayoutState
from escrow.domain.terms import Level, Shares
from escrow.services.cases import Case, Listed, Side
from escrow.services.ratings import SellerPage
from escrow.store.cases import BuyerRecord, Entry
from tests.bot.admin import action_samples
from tests.world import NOW, kes

EVENTS = (
    *(str(event) for event in Event),
    "dispute_taken",
    "deadline_moved",
    "settle_offered",
    "extend_offered",
    "offer_declined",
    "choice_offered",
    "choice_expired",
    "payment_assigned",
    "receipt_goes_back",
    "something_else",
)
ACTORS = ("buyer:3001", "seller:2001", "admin:1001", "timer", "system", "payment", "choice", "x")


def dispute(said: str, **changes: Any) -> Dispute:
    by = changes.pop("raised_role", "buyer")
    until = NOW + timedelta(hours=48)
    made = Dispute(4, "", 3001, by, Status.SHIPPED, said, DisputeStatus.OPEN, NOW, until)
    return replace(made, **changes)


def case(said: str, deal: Escrow, **changes: Any) -> Case:
    """A case in which everything has happened."""
    person = Person(3001, said, said, "en", "254712345678", True, unreachable_at=NOW)
    seller = Seller(5, 2001, said, SellerStatus.SUSPENDED, "254712345678", suspension_reason=said)
    page = SellerPage(seller, Level.GOLD, Fraction(47, 10), 12, 51, Fraction(9, 10), 2, NOW)
    receipt = StoredReceipt(
        1,
        "mpesa",
        Channel.STK,
        "SGL51H2K3M",
        None,
        deal.id,
        3001,
        kes(10_500),
        ReceiptState.CREDITED,
        Evidence.QUERY,
        NOW,
        NOW,
        payer_shown="254712345678",
        payer_name=said,
        typed_reference=said,
    )
    payout = Payout(
        8, 2001, deal.id, "seller", kes(500), "254712345678", PayoutState.PAID, "", "SGM1", 0, NOW
    )
    record = DealRecord(1, deal.id, Purpose.EVIDENCE, 3001, said, None, NOW)
    photo = Media(MediaKind.PHOTO, "AgAC1", "u1", 10)
    values: dict[str, Any] = {
        "escrow": deal,
        "dispute": dispute(said, taken_by=1001),
        "taken_by": said,
        "mine": False,
        "shares": Shares(kes(200), kes(10_290), kes(10)),
        "balances": {kind: kes(1) for kind in ("received", "holding", "pending_fee", "receivable")},
        "receipts": [
            *(replace(receipt, state=state) for state in ReceiptState),
            replace(receipt, reference=None, payer_shown="", outcome={"excess_minor": 500}),
        ],
        "payouts": [replace(payout, state=state) for state in PayoutState],
        "sides": (
            Side("seller", person, page, None, [("unshipped_order", "MEDIUM")] * 10),
            Side("buyer", person, None, BuyerRecord(9, 5, 3, 4), [("multiple_disputes", "HIGH")]),
        ),
        "timeline": [
            Entry(
                event,
                "HELD",
                "HELD",
                ACTORS[place % len(ACTORS)],
                NOW,
                _data(said, place),
                said,
                said,
            )
            for place, event in enumerate(EVENTS)
        ],
        "records": [
            record,
            replace(record, id=2, purpose=Purpose.PHOTO, telegram_id=2001, media=photo),
            replace(record, id=3, purpose=Purpose.SHIPPING, media=photo, sha256=bytes(32)),
            replace(record, id=4, purpose=Purpose.MESSAGE, words=""),
        ],
        "moves": frozenset(Event),
        "waiting": [(action_samples.action(said), said)],
    }
    return Case(**{**values, **changes})


def _actor(place: int) -> str:
    return ACTORS[place % len(ACTORS)]


def _data(said: str, place: int) -> dict[str, Any]:
    return [{}, {"reason": said}, {"notes": said, "second": said}][place % 3]


def cases(said: str) -> dict[str, Case]:
    """Cases of every kind."""
    from tests.bot.samples import escrow

    deal = escrow(said, Status.DISPUTED, tracking=said)
    silent = dispute(said, answer_by=NOW - timedelta(hours=1), raised_role="seller")
    closed = dispute(said, status=DisputeStatus.RESOLVED, answered_at=NOW)
    clocks = {"pay_by": NOW, "ship_by": NOW, "release_at": NOW + timedelta(days=3)}
    bare = {"receipts": [], "payouts": [], "records": [], "sides": (), "shares": None}
    found = {
        "all": case(said, deal),
        "mine": case(said, deal, mine=True),
        "silent": case(said, deal, dispute=silent, taken_by=""),
        "closed": case(said, deal, dispute=closed),
        "withdrawn": case(said, deal, dispute=replace(closed, status=DisputeStatus.WITHDRAWN)),
        "answered": case(said, deal, dispute=dispute(said, answered_at=NOW)),
        "seller_pays": case(said, replace(deal, fee_payer="seller")),
        "unrated": case(said, deal, sides=(_unrated(said),)),
    }
    for status in Status:
        stands = escrow(said, status, **clocks)
        found[f"bare:{status}"] = case(said, stands, **bare, dispute=None, taken_by="")
    return found


def _unrated(said: str) -> Side:
    seller = Seller(5, 2001, said, SellerStatus.VERIFIED, "254712345678")
    page = SellerPage(seller, Level.NEW, None, 0, 0, None, 0, NOW)
    return Side("seller", None, page, None, [])


def files(said: str) -> list[bytes]:
    """The files of these cases."""
    from tests.bot.samples import page

    return [bundle.render(one, {2: b"\x89PNG"}, page()) for one in cases(said).values()]


def answers(said: str, on: Page) -> dict[str, Markup]:
    """Name → text."""
    from tests.bot.samples import escrow

    deal = escrow(said, Status.DISPUTED)
    silent = dispute(said, answer_by=NOW - timedelta(hours=1), raised_role="seller")
    rows = [(dispute(said), deal, said), (silent, deal, "")]
    listed = [Listed(deal, NOW, said), Listed(escrow(said), NOW, "")]
    found = {f"case:{name}": case_texts.case(one, on) for name, one in cases(said).items()}
    return {
        **found,
        "disputed": case_texts.disputes(rows * 3, 6, on),
        "disputed:typed": case_texts.disputes(rows * 3, 6, on, buttons=False),
        "disputed:none": case_texts.disputes([], 0, on),
        "counts": case_texts.counts({Status.HELD: 3}, on),
        "counts:typed": case_texts.counts({Status.HELD: 3}, on, buttons=False),
        "place": lines(paging.place("payouts", 1, 2), paging.place("payouts", 2, 2)),
        "transactions": case_texts.transactions(Status.HELD, listed * 3, on),
        "transactions:none": case_texts.transactions(Status.HELD, [], on),
        "bundle_caption": case_texts.bundle_caption(case(said, deal), on),
        "quoted": case_texts.quoted(said),
    }
