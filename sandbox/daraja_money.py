"""What the stand-in Daraja remembers: phones, prompts, payments, and how the next call shall go."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Literal

from sandbox.daraja_wire import AmountForm, BalanceForm, Json

Deliver = Literal["once", "twice", "never", "late", "before_answer"]
"""How a callback comes: `late` waits for `release()`, `before_answer` overtakes the answer."""

DEFAULT_BALANCE = Decimal(500_000)


@dataclass(frozen=True, slots=True)
class StkPlan:
    """How one STK request goes. As it stands: the prompt waits for a person, then one callback."""

    result: int | str | None = None  # None: a person decides on the phone
    desc: str = ""  # empty: one of the usual texts
    amount: Decimal | None = None  # what the callback says was paid; None: what was asked
    deliver: Deliver = "once"
    delay_seconds: float = 0.0
    prompt: bool = True  # False: accepted, but nothing ever reaches the phone
    balance: BalanceForm = "absent"
    amount_form: AmountForm = "decimal"
    receipt: str = ""  # empty: a new one


@dataclass(frozen=True, slots=True)
class StatusPlan:
    """How one TransactionStatus query goes."""

    deliver: Literal["once", "twice", "never", "late", "timeout"] = "once"
    result: int | str = 0  # the query's own fate
    status: str = ""  # the payment's fate; empty: the true one
    amount: Decimal | None = None  # another amount than the true one


@dataclass(frozen=True, slots=True)
class B2cPlan:
    """How one payout goes. `timeout` calls QueueTimeOutURL instead of ResultURL; `then` is another
    result that contradicts the first, whatever is true.
    """

    result: int | str = 0
    desc: str = ""
    deliver: Literal["once", "twice", "never", "late", "timeout"] = "once"
    then: int | str | None = None


@dataclass(frozen=True, slots=True)
class ReversalPlan:
    """How one reversal goes; as `B2cPlan`. `result="R000001"` says that it was reversed before."""

    result: int | str = 0
    desc: str = ""
    deliver: Literal["once", "twice", "never", "late", "timeout"] = "once"
    then: int | str | None = None


@dataclass(frozen=True, slots=True)
class BalancePlan:
    """How one AccountBalance query goes. `value` replaces the packed text of the accounts."""

    result: int | str = "0"
    deliver: Literal["once", "twice", "never", "late", "timeout"] = "once"
    value: str | None = None


@dataclass(slots=True)
class Sms:
    """A message on a phone."""

    at: datetime
    text: str


@dataclass(slots=True)
class Phone:
    """A subscriber with an M-Pesa wallet."""

    number: str
    first_name: str = "JOHN"
    last_name: str = "DOE"
    balance: Decimal = DEFAULT_BALANCE
    sms: list[Sms] = field(default_factory=list)

    @property
    def public_name(self) -> str:
        return f"{self.number} - {self.first_name} {self.last_name}".rstrip()


@dataclass(slots=True)
class Payment:
    """Money that moved, or tried to: by prompt, by paybill or as a payout."""

    receipt: str
    kind: Literal["stk", "paybill", "b2c", "reversal"]
    phone: str
    amount: Decimal
    account: str
    at: datetime
    status: str = "Completed"
    accepted: bool = True
    refusal: str = ""  # why not
    originator_id: str = ""
    conversation_id: str = ""
    original: str = ""  # the receipt that a reversal sends back


@dataclass(slots=True)
class Prompt:
    """One accepted STK request; the phone shows it while `open`."""

    merchant_id: str
    checkout_id: str
    shortcode: str
    phone: str
    amount: int
    account: str
    description: str
    callback_url: str
    at: datetime
    plan: StkPlan
    request: Json  # the body as the bot sent it
    seq: int = 0
    open: bool = True
    result: int | str | None = None
    desc: str = ""
    payment: Payment | None = None

    @property
    def receipt(self) -> str:
        """The receipt of the payment; empty while there is none."""
        return self.payment.receipt if self.payment else ""


@dataclass(frozen=True, slots=True)
class Registration:
    """Where C2B payments of a shortcode are announced."""

    shortcode: str
    version: str  # "v1" or "v2"
    confirmation_url: str
    validation_url: str
    response_type: str  # Completed or Cancelled: when validation does not answer


@dataclass(slots=True)
class Delivery:
    """One POST to the bot, with its fate. Nothing is ever retried."""

    kind: Literal[
        "stk", "validation", "confirmation", "status", "b2c", "reversal", "balance", "timeout"
    ]
    url: str
    body: str
    at: datetime
    status: int | None = None  # None: nobody answered
    answer: str = ""
    error: str = ""
    seq: int = 0


@dataclass(slots=True)
class DarajaCall:
    """One request of the bot."""

    endpoint: str
    body: Json
    at: datetime
    status: int | None = None  # None: still open, or cut
    answer: str = ""
