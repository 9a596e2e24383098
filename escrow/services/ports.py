"""What the services need from outside, and the answers they understand.

Every provider answer is one of three: a definite yes, a definite no, or unknown. A timeout, a
broken body and a code nobody lists are unknown, never a no.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Protocol

from escrow.domain.coins import Coin
from escrow.domain.money import Money


class Clock(Protocol):
    """Says what time it is (UTC, aware). Tests bring one they move."""

    def now(self) -> datetime: ...

    @property
    def steady(self) -> bool:
        """False while the clock can't be trusted: then timers do nothing."""


class Verdict(StrEnum):
    """What a provider's answer means."""

    PAID = "paid"
    DECLINED = "declined"  # definite: no money moved and none will for this request
    PENDING = "pending"  # the provider is still at it: ask again
    UNKNOWN = "unknown"  # nobody can say: ask again, then a person looks


@dataclass(frozen=True, slots=True)
class Answer:
    """A provider's answer. `code` is his own, `reason` the key of the words that help the payer
    (`bot/texts.py`), `retry` whether the same request may simply be sent again later (it was
    refused before it was looked at).
    """

    verdict: Verdict
    code: str = ""
    reason: str = ""
    retry: bool = False

    @property
    def unreachable(self) -> bool:
        """Whether M-Pesa could not be asked at all, or only its gateway's error page answered."""
        silent = self.code == "unreachable" or self.code.startswith("http_5")
        return self.verdict is Verdict.UNKNOWN and silent


@dataclass(frozen=True, slots=True)
class PromptAnswer:
    """The synchronous answer to a prompt. PENDING: accepted, the phone is asking."""

    answer: Answer
    checkout_request_id: str = ""
    merchant_request_id: str = ""


@dataclass(frozen=True, slots=True)
class StkCallback:
    """A prompt's callback. The money fields are set only when it says paid."""

    checkout_request_id: str
    merchant_request_id: str
    answer: Answer
    reference: str = ""
    amount: Money | None = None
    happened_at: datetime | None = None
    phone: str = ""


@dataclass(frozen=True, slots=True)
class PaybillPayment:
    """A C2B validation or confirmation. `shown` is the payer's number as it came: clear, masked
    or hashed.
    """

    reference: str
    amount: Money
    shortcode: str
    typed_reference: str
    happened_at: datetime
    shown: str = ""
    name: str = ""
    balance: str = ""


@dataclass(frozen=True, slots=True)
class StatusResult:
    """What TransactionStatus says of a receipt. PAID: completed. UNKNOWN: the question failed,
    which says nothing about the payment. `parties` are all who are named, `payers` and `receivers`
    those named as such; M-Pesa names us among the payers of our own receipts, too.
    """

    answer: Answer
    reference: str = ""
    amount: Money | None = None
    parties: Sequence[str] = ()
    payers: Sequence[str] = ()
    receivers: Sequence[str] = ()
    happened_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class AccountBalance:
    """What the provider says that one of our accounts with him holds; `at` where he says when."""

    account: str
    balance: Money
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class AccountBalances:
    """The answer to AccountBalance. UNKNOWN: the question failed; reason `api_user_refused` that
    asking on would lock our API user.
    """

    answer: Answer
    balances: Sequence[AccountBalance] = ()


@dataclass(frozen=True, slots=True)
class PulledRow:
    """A row of what came in lately, as it came; `reference` its receipt where it names one."""

    body: bytes
    reference: str


class UnreadableError(Exception):
    """The body is not what the provider documents; the message says where."""


class Rail(Protocol):
    """The paying-in half of M-Pesa (`rails/mpesa.py`)."""

    @property
    def shortcode(self) -> str: ...

    @property
    def offered(self) -> bool:
        """Whether its keys are set: without them nobody is offered to pay by M-Pesa."""

    @property
    def till(self) -> str:
        """The till that prompts pay, `shortcode` being its store number; empty: a paybill, which
        can be paid by hand, too.
        """

    @property
    def numbers(self) -> frozenset[str]:
        """What M-Pesa may call us where a payment names its parties: shortcode and till."""

    @property
    def display_name(self) -> str: ...

    @property
    def can_ask_status(self) -> bool:
        """Whether initiator keys are set, so that a receipt can be asked about."""

    async def prompt(
        self, *, phone: str, amount: Money, reference: str, callback_url: str
    ) -> PromptAnswer: ...

    async def query(self, checkout_request_id: str) -> Answer: ...

    async def ask_status(self, *, reference: str, result_url: str, timeout_url: str) -> Answer: ...

    def read_stk_callback(self, body: bytes) -> StkCallback: ...

    def read_paybill(self, body: bytes) -> PaybillPayment: ...

    def read_status_result(self, body: bytes) -> StatusResult: ...


class Blame(StrEnum):
    """Whose a refusal of a payout is, which decides what follows."""

    PAYEE = "payee"  # his number can't take it: back to his wallet
    OURS = "ours"  # float, pace, set-up: the money stays on its way, sent again later
    STOP = "stop"  # our API user is refused: trying on would lock it


@dataclass(frozen=True, slots=True)
class PayoutAnswer:
    """What M-Pesa says of a payout. PENDING: accepted, a result will come. `blame` is set when it
    is DECLINED; only then nothing was paid for certain.
    """

    verdict: Verdict
    code: str = ""
    reason: str = ""
    blame: Blame | None = None
    conversation_id: str = ""


@dataclass(frozen=True, slots=True)
class PayoutResult:
    """A result about a payout, asked for or not. `ocid`: the request it is about, as we named it.
    Receipt and amount are only set when it says paid; `receiver` is whom it was paid to, as shown;
    `original` the receipt whose money went back.
    """

    answer: PayoutAnswer
    ocid: str
    reference: str = ""
    amount: Money | None = None
    receiver: str = ""
    original: str = ""


class PayoutRail(Protocol):
    """The paying-out half of M-Pesa (`rails/mpesa_payouts.py`)."""

    @property
    def can_pay(self) -> bool:
        """Whether its keys are set."""

    @property
    def credential(self) -> str:
        """A digest that names the API user and his secret, in hex."""

    @property
    def shortcode(self) -> str:
        """The one that pays."""

    async def pay(
        self, *, ocid: str, phone: str, amount: Money, result_url: str, timeout_url: str
    ) -> PayoutAnswer: ...

    async def ask(self, *, ocid: str, result_url: str, timeout_url: str) -> PayoutAnswer: ...

    async def ask_receipt(
        self, *, reference: str, result_url: str, timeout_url: str
    ) -> PayoutAnswer: ...

    def read_receipt(self, body: bytes) -> StatusResult: ...

    def read_result(self, body: bytes) -> PayoutResult: ...

    def read_asked(self, body: bytes) -> PayoutResult: ...


class ReversalRail(Protocol):
    """The half of M-Pesa that sends payments back (`rails/mpesa_reversals.py`)."""

    @property
    def can_reverse(self) -> bool:
        """Whether its keys are set."""

    @property
    def shortcode(self) -> str:
        """The one that was paid."""

    async def reverse(
        self, *, reference: str, amount: Money, remarks: str, result_url: str, timeout_url: str
    ) -> PayoutAnswer: ...

    async def ask(self, *, ocid: str, result_url: str, timeout_url: str) -> PayoutAnswer: ...

    async def ask_receipt(
        self, *, reference: str, result_url: str, timeout_url: str
    ) -> PayoutAnswer: ...

    def read_result(self, body: bytes) -> PayoutResult: ...


class AccountRail(Protocol):
    """A shortcode whose accounts can be asked about (`rails/mpesa_accounts.py`)."""

    @property
    def shortcode(self) -> str: ...

    @property
    def can_ask(self) -> bool:
        """Whether its keys are set and an answer can reach us."""

    async def ask_balance(self, *, result_url: str, timeout_url: str) -> Answer: ...

    def read_balances(self, body: bytes) -> AccountBalances: ...


class PullRail(Protocol):
    """Lists what came in lately (`rails/mpesa_accounts.py`)."""

    @property
    def can_pull(self) -> bool:
        """Whether it is set up."""

    async def pull(
        self, since: datetime, until: datetime, offset: int
    ) -> Sequence[PulledRow] | Answer: ...

    def read_pulled(self, body: bytes) -> PaybillPayment: ...


class Sent(StrEnum):
    """What became of a message."""

    DELIVERED = "delivered"
    UNREACHABLE = "unreachable"  # 403: blocked, never started, deleted
    REFUSED = "refused"  # 400 even as plain text: counts as a try
    LATER = "later"  # 429, 5xx, network: doesn't count


@dataclass(frozen=True, slots=True)
class SendResult:
    """The fate of one message; `retry_after_seconds` where Telegram named it."""

    sent: Sent
    message_id: int | None = None
    retry_after_seconds: float | None = None
    error: str = ""


class Messenger(Protocol):
    """Renders a notice in the recipient's language and sends it."""

    async def send(
        self, chat_id: int, kind: str, params: Mapping[str, Any], language: str
    ) -> SendResult: ...


class FileTooLarge(Exception):
    """More than a bot may fetch; it will not become less."""


class FileGone(Exception):
    """The provider does not give it; mostly it is gone for good."""


class FetchLater(Exception):
    """Nobody can say now: ask again later."""


class Files(Protocol):
    """Fetches what people sent."""

    async def fetch(self, file_id: str) -> bytes:
        """The bytes. `FileTooLarge`, `FileGone`, `FetchLater`."""


@dataclass(frozen=True, slots=True)
class RawRequest:
    """A provider's request as it came over the wire: `target` is path and query, byte for byte as
    received, `query` its raw part behind the `?`; header names are in lower case. `origin`: what
    stood before the target when we gave the address out, where it is known.
    """

    method: str
    target: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    origin: str = ""


@dataclass(frozen=True, slots=True)
class Deposit:
    """Coins that a provider saw at the address of one of our attempts. `pending`: on their way,
    nothing is credited yet. `txid` names the payment on its chain, `coin` is our own code or, for
    one that we do not know, the provider's word. `cost`: what the network and the provider kept,
    in the coin. `usd`: one coin's price at that time where the provider says so.
    """

    txid: str
    coin: str
    amount: Decimal
    pending: bool
    address: str = ""
    tag: str = ""
    cost: Decimal = Decimal(0)
    usd: Decimal | None = None
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class CoinQuote:
    """What the payer is asked for: `amount` of the coin to `address`, with `tag` where the coin
    needs one. `reference` is the provider's own id of it.
    """

    amount: Decimal
    address: str
    tag: str = ""
    reference: str = ""


@dataclass(frozen=True, slots=True)
class CoinAsked:
    """The attempt that a rail is asked about: everything it needs to name it to its provider."""

    token: str
    coin: Coin
    amount: Decimal
    address: str
    callback_url: str
    tag: str = ""
    reference: str = ""


class CoinRail(Protocol):
    """A provider of coin addresses (`rails/blockbee.py`, `rails/dynopay.py`)."""

    @property
    def name(self) -> str:
        """`blockbee` or `dynopay`: the provider of attempts and receipts."""

    @property
    def coins(self) -> Sequence[Coin]:
        """What it takes."""

    @property
    def running_totals(self) -> bool:
        """Whether the amount of a second deposit at an address may include the first one: nobody
        documents it.
        """

    async def open(
        self, *, token: str, coin: Coin, usd: Money, callback_url: str
    ) -> CoinQuote | Answer:
        """Price and address for that many dollars. The same token again gives the same address.
        DECLINED (`too_small`, `misconfigured`, …) or UNKNOWN otherwise.
        """

    async def worth(self, coin: Coin, amount: Decimal) -> Decimal | None:
        """What that much of the coin is worth in dollars now; None: nobody can say now."""

    async def authentic(self, request: RawRequest) -> bool | None:
        """Whether the provider signed exactly this request; None: that can't be told now."""

    def read(self, request: RawRequest) -> Sequence[Deposit]:
        """What an authentic request says; none where it says nothing of money.
        `UnreadableError`.
        """

    async def deposits(self, asked: CoinAsked) -> Sequence[Deposit] | Answer:
        """What the provider saw for this attempt, asked by ourselves."""
