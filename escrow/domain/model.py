"""What the store gives back and the services work on: plain frozen records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from escrow.domain.flow import Actor, Status
from escrow.domain.money import Currency, Money
from escrow.domain.terms import Tier


class SellerStatus(StrEnum):
    """`escrow_sellers.status`."""

    PENDING = "PENDING"  # waits for an admin
    VERIFIED = "VERIFIED"
    SUSPENDED = "SUSPENDED"


class AttemptState(StrEnum):
    """`payment_attempts.state`: one STK prompt."""

    CREATED = "CREATED"  # committed; the request may or may not have left
    PROMPTED = "PROMPTED"  # M-Pesa accepted the request; the phone is asking
    PAID = "PAID"  # credited
    DECLINED = "DECLINED"  # a definite no, by the payer or by M-Pesa
    EXPIRED = "EXPIRED"  # no answer in its lifetime; late money is still taken


class ReceiptState(StrEnum):
    """`receipts.state`: what became of a piece of money that arrived."""

    WAITING = "WAITING"  # claimed by a callback, not confirmed, not posted
    CREDITED = "CREDITED"
    SUSPENSE = "SUSPENSE"  # posted, but nobody knows whose it is
    RETURNED = "RETURNED"
    REVERSED = "REVERSED"
    IGNORED = "IGNORED"  # not money of ours: the provider denies it


class Channel(StrEnum):
    """How a payment reached us (`receipts.channel`)."""

    STK = "stk"  # a prompt on the phone
    C2B = "c2b"  # the paybill, typed by hand
    CRYPTO = "crypto"  # coins at an address of our own


class Evidence(StrEnum):
    """Why a receipt was believed (`receipts.evidence`)."""

    QUERY = "query"  # an STK query said paid
    STATUS = "status"  # TransactionStatus said Completed
    LIMIT = "limit"  # the provider could not be asked; below the unconfirmed limit
    UNCHECKED = "unchecked"  # MPESA_CONFIRM_BEFORE_CREDIT=0
    ADMIN = "admin"  # an admin said so
    SIGNED = "signed"  # the provider signed it


@dataclass(frozen=True, slots=True)
class By:
    """Who does something, as the timeline keeps it: `buyer:3001`, `timer`."""

    actor: Actor
    telegram_id: int | None = None

    def __str__(self) -> str:
        return f"{self.actor}:{self.telegram_id}" if self.telegram_id else str(self.actor)


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who has pressed Start. `phone` is twelve digits or None."""

    telegram_id: int
    first_name: str
    username: str | None
    language: str
    phone: str | None
    phone_is_contact: bool
    unreachable_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Seller:
    """A seller's account; `id` is the row, `telegram_id` the person."""

    id: int
    telegram_id: int
    shop_name: str
    status: SellerStatus
    payout_phone: str
    completed_deals: int = 0
    payout_phone_since: datetime | None = None
    suspension_reason: str | None = None


@dataclass(frozen=True, slots=True)
class SellerChange:
    """One line of a seller's history: what he became, by whom (`admin:1001` and his first name),
    why.
    """

    status: SellerStatus
    actor: str
    reason: str
    at: datetime
    cause: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class JudgedBy:
    """Who decided about a seller, and when; None where nobody did."""

    verified_at: datetime | None
    verified_by: int | None
    verified_name: str | None
    suspended_at: datetime | None
    suspended_by: int | None
    suspended_name: str | None


@dataclass(frozen=True, slots=True)
class OpenDeals:
    """A seller's deals of one currency that are not over: `held` is everything that the `funded`
    ones hold.
    """

    unpaid: int
    funded: int
    held: Money


@dataclass(frozen=True, slots=True)
class PendingSeller:
    """Somebody who wants to sell; `deals` and `photos` are what he has opened and shown."""

    id: int
    telegram_id: int
    shop_name: str
    payout_phone: str
    created_at: datetime
    first_name: str
    deals: int
    photos: int


@dataclass(frozen=True, slots=True)
class Card:
    """A message of ours in an admin's chat."""

    chat_id: int
    message_id: int
    language: str


@dataclass(frozen=True, slots=True)
class FraudFlag:
    """What an admin should look at about a person. `rule` is its figure in English; `deals` are
    behind it, the newest first.
    """

    id: int
    telegram_id: int
    user_type: str
    flag_type: str
    severity: str
    rule: str
    deals: tuple[str, ...]
    created_at: datetime
    first_name: str = ""
    seller_id: int | None = None
    shop_name: str | None = None
    seller_status: SellerStatus | None = None
    reviewed_at: datetime | None = None
    reviewed_by: int | None = None
    review_notes: str | None = None
    review_cause: str | None = None

    @property
    def suspendable(self) -> int | None:
        """The row of the seller whom it is about, where he may sell."""
        verified = self.seller_status is SellerStatus.VERIFIED
        return self.seller_id if self.user_type == "seller" and verified else None


@dataclass(frozen=True, slots=True)
class Escrow:
    """A deal as a locked or read row."""

    id: str
    seller_id: int
    seller_telegram_id: int
    shop_name: str
    seller_status: SellerStatus
    buyer_telegram_id: int | None
    opened_by: int
    description: str
    currency: Currency
    price: Money
    fee: Money
    due: Money
    fee_payer: str
    held_price: Money | None
    held_fee: Money | None
    tiers: tuple[Tier, ...]
    terms: Mapping[str, Any]
    status: Status
    version: int
    received: Money
    pay_by: datetime | None
    ship_by: datetime | None
    release_at: datetime | None
    created_at: datetime
    funded_at: datetime | None
    joined_at: datetime | None = None
    shipped_at: datetime | None = None
    delivered_at: datetime | None = None
    disputed_at: datetime | None = None
    frozen_at: datetime | None = None
    extended_at: datetime | None = None
    finished_at: datetime | None = None
    frozen_from: Status | None = None
    tracking: str | None = None

    @property
    def can_be_paid(self) -> bool:
        """Whether money would fund it now: PENDING, a verified seller, accepted terms."""
        return (
            self.status is Status.PENDING
            and self.seller_status is SellerStatus.VERIFIED
            and self.pay_by is not None
        )


@dataclass(frozen=True, slots=True)
class Attempt:
    """One STK prompt. `amount` is what M-Pesa was asked for, `wallet_part` what the buyer's
    wallet adds in the transaction that credits it.
    """

    id: int
    token: str
    escrow_id: str
    telegram_id: int
    phone: str
    amount: Money
    wallet_part: Money
    choice_id: int | None
    state: AttemptState
    checkout_request_id: str | None
    result_code: str | None
    chat_message_id: int | None
    created_at: datetime
    prompted_at: datetime | None
    claimed_at: datetime | None
    queries: int

    @property
    def is_open(self) -> bool:
        return self.state in (AttemptState.CREATED, AttemptState.PROMPTED)


@dataclass(frozen=True, slots=True)
class CoinPart:
    """What arrived in coins, of which a receipt's amount is the value: for which crypto attempt,
    which coin (our code; `other` when it is not the one that was asked for), how much, and the
    network's and the provider's cost in the deal's currency.
    """

    attempt_id: int
    coin: str
    amount: Decimal
    cost: Money
    other: bool = False


@dataclass(frozen=True, slots=True)
class Receipt:
    """Money that a provider says arrived. `reference` is the provider's receipt number, None
    when only a query told of it; `escrow_code` what was typed by hand, already read as a code.
    `payer` is who asked for the coins' address; prompts know theirs by `attempt_id`.
    """

    provider: str
    channel: Channel
    reference: str | None
    amount: Money
    happened_at: datetime
    attempt_id: int | None = None
    escrow_code: str | None = None
    typed_reference: str = ""
    payer_shown: str = ""
    payer_name: str = ""
    inbox_id: int | None = None
    payer: int | None = None
    coins: CoinPart | None = None


@dataclass(frozen=True, slots=True)
class StoredReceipt:
    """A row of `receipts`. `from_statement`: nobody but a statement told of it at first."""

    id: int
    provider: str
    channel: Channel
    reference: str | None
    attempt_id: int | None
    escrow_id: str | None
    telegram_id: int | None
    amount: Money
    state: ReceiptState
    evidence: Evidence | None
    happened_at: datetime
    received_at: datetime
    payer_shown: str = ""
    payer_name: str = ""
    typed_reference: str = ""
    outcome: Mapping[str, Any] = field(default_factory=dict)
    from_statement: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    """An open underpayment choice. A button carries `id` and a signature over the rest."""

    id: int
    escrow_id: str
    telegram_id: int
    due: Money
    received: Money
    expires_at: datetime
    used_at: datetime | None = None
    voided_at: datetime | None = None

    @property
    def missing(self) -> Money:
        return self.due - self.received


class CryptoState(StrEnum):
    """`crypto_attempts.state`."""

    CREATED = "CREATED"  # committed; the provider may or may not have been asked
    OPEN = "OPEN"  # the payer has an address; money to it is taken for ever
    REFUSED = "REFUSED"  # the provider gives no address for it


@dataclass(frozen=True, slots=True)
class CryptoAttempt:
    """What somebody was asked for in coins: `amount` is what the deal needs, in its currency,
    `usd` the same in dollars at `kes_per_usd`. `coin_amount` of `coin` to `address` (with `tag`)
    is the provider's quote, which stands until `expires_at`; `reference` is his id of it.
    """

    id: int
    token: str
    provider: str
    escrow_id: str
    telegram_id: int
    coin: str
    amount: Money
    usd: Money
    kes_per_usd: Decimal | None
    choice_id: int | None
    callback_url: str
    state: CryptoState
    coin_amount: Decimal | None
    address: str
    tag: str
    reference: str
    refusal: str
    created_at: datetime
    opened_at: datetime | None
    expires_at: datetime | None
    looks: int


class MediaKind(StrEnum):
    """What a person can send besides words (`deal_records.kind`)."""

    PHOTO = "photo"
    DOCUMENT = "document"
    VOICE = "voice"
    AUDIO = "audio"
    VIDEO = "video"


@dataclass(frozen=True, slots=True)
class Media:
    """A file that Telegram keeps. `file_id` finds it again, `file_unique_id` is the same for the
    same file whoever sends it, `file_size` is in bytes, `words` is its caption.
    """

    kind: MediaKind
    file_id: str
    file_unique_id: str
    file_size: int | None = None
    words: str = ""


class Purpose(StrEnum):
    """What somebody sent something with a deal for (`deal_records.purpose`)."""

    PHOTO = "photo"  # of the thing that is sold
    SHIPPING = "shipping"  # proof that it left
    EVIDENCE = "evidence"  # in a dispute
    MESSAGE = "message"  # to the other side


@dataclass(frozen=True, slots=True)
class DealRecord:
    """What somebody sent with a deal: words, media or both. `sha256` is the fingerprint of the
    media's bytes; without one, `note` says why (`too_large`, `gone`, empty: not taken yet).
    """

    id: int
    escrow_id: str
    purpose: Purpose
    telegram_id: int
    words: str
    media: Media | None
    at: datetime
    dispute_id: int | None = None
    sha256: bytes | None = None
    note: str = ""


class DisputeStatus(StrEnum):
    """`escrow_disputes.status`."""

    OPEN = "OPEN"
    UNDER_REVIEW = "UNDER_REVIEW"  # an admin took it
    RESOLVED = "RESOLVED"
    WITHDRAWN = "WITHDRAWN"


@dataclass(frozen=True, slots=True)
class Dispute:
    """A dispute. `disputed_from` is where the deal goes back to when it is withdrawn; by
    `answer_by` the other side should say something, `answered_at` is when it first did.
    """

    id: int
    escrow_id: str
    raised_by: int
    raised_role: str
    disputed_from: Status
    reason: str
    status: DisputeStatus
    opened_at: datetime
    answer_by: datetime
    answered_at: datetime | None = None
    taken_by: int | None = None
    taken_at: datetime | None = None
    resolution: str | None = None
    buyer_percent: int | None = None
    notes: str | None = None
    closed_at: datetime | None = None

    @property
    def is_open(self) -> bool:
        return self.status in (DisputeStatus.OPEN, DisputeStatus.UNDER_REVIEW)


class OfferKind(StrEnum):
    """What one side offers the other (`offers.kind`)."""

    SETTLE = "settle"  # a division of everything held
    EXTEND = "extend"  # more time


@dataclass(frozen=True, slots=True)
class Offer:
    """An offer for the deal as it was at `version`. A settlement says who gets what, an extension
    how many hours are added.
    """

    id: int
    escrow_id: str
    kind: OfferKind
    version: int
    offered_by: int
    created_at: datetime
    seller: Money | None = None
    buyer: Money | None = None
    fee: Money | None = None
    buyer_percent: int | None = None
    hours: int | None = None
    closed_as: str | None = None
    closed_by: int | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One leg of a journal: `account` is (kind, owner), e.g. ("holding", "ES1008257624")."""

    kind: str
    owner: str
    minor: int


@dataclass(frozen=True, slots=True)
class Journal:
    """A posting: entries of one currency that sum to zero, under one idempotency key."""

    kind: str
    key: str
    currency: Currency
    entries: Sequence[Entry]
    happened_at: datetime
    escrow_id: str | None = None


@dataclass(frozen=True, slots=True)
class Notice:
    """A message to be sent: `kind` names its text, `values` fill it, `cause` makes it unique with
    kind and recipient.
    """

    cause: str
    kind: str
    recipient: int
    values: Mapping[str, Any] = field(default_factory=dict)
    escrow_id: str | None = None


class PaymentOutcome(StrEnum):
    """What became of a payment."""

    FUNDED = "funded"  # the deal is HELD
    CHOICE = "choice"  # short: the buyer chooses
    REFUNDED_TO_WALLET = "refunded_to_wallet"  # far too short
    TO_WALLET = "to_wallet"  # the deal can't take it: the payer's wallet
    SUSPENSE = "suspense"  # nobody knows whose it is
    DUPLICATE = "duplicate"  # this receipt was posted before; the first answer again
    WAITING = "waiting"  # stored, not confirmed, not posted


@dataclass(frozen=True, slots=True)
class PaymentResult:
    """The answer of `process_escrow_payment`. `fund_breakdown` holds exact Decimals in major
    units: escrow_held, platform_fee, overpayment_credited, shortage_waived.
    """

    outcome: PaymentOutcome
    escrow_id: str | None
    status: Status | None
    receipt_id: int | None
    fund_breakdown: Mapping[str, Decimal] = field(default_factory=dict)
    choice_id: int | None = None

    @property
    def success(self) -> bool:
        """Whether the deal is funded by this payment, or was by its first delivery."""
        return bool(self.fund_breakdown.get("escrow_held"))
