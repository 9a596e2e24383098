"""The bot between a stand-in Telegram over HTTP and real services on PostgreSQL; only M-Pesa is
played here, and time stands still until a test moves it.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import asyncpg
import pytest

from escrow.bot.application import Bot, build
from escrow.bot.commands import USER_COMMANDS
from escrow.bot.context import Office
from escrow.bot.messenger import TelegramMessenger
from escrow.bot.updates import UpdateStore
from escrow.domain.money import Currency, Money
from escrow.domain.terms import Terms
from escrow.rails import mpesa_statement
from escrow.rails.mpesa_balances import balances
from escrow.services.actions import Actions
from escrow.services.auditing import Audits
from escrow.services.bookings import Book
from escrow.services.cases import Cases
from escrow.services.choices import UnderpaymentChoices
from escrow.services.claims import Claims
from escrow.services.confirmations import Confirmations
from escrow.services.crypto import CoinPayments
from escrow.services.delivery import Delivery
from escrow.services.figures import Figures
from escrow.services.flags import Flags
from escrow.services.floating import Floating
from escrow.services.fund_manager import EscrowFundManager
from escrow.services.help import HelpDesk
from escrow.services.oversight import Oversight
from escrow.services.pauses import Pauses
from escrow.services.payout_booking import PayoutBooking
from escrow.services.payouts import Payouts
from escrow.services.people import People
from escrow.services.ports import (
    Answer,
    PaybillPayment,
    PromptAnswer,
    RawRequest,
    StatusResult,
    StkCallback,
    Verdict,
)
from escrow.services.prompts import Prompts
from escrow.services.provider_reversals import ProviderReversals
from escrow.services.ratings import Ratings
from escrow.services.receipts import Receipts
from escrow.services.records import Records
from escrow.services.reversals import receipt_effects
from escrow.services.statements import Statements
from escrow.services.verdicts import verdicts
from escrow.services.wallets import Wallets
from escrow.store.database import Database
from escrow_handlers_admin import ADMIN_BUTTONS, ADMIN_COMMANDS
from escrow_service import EscrowService
from sandbox import persona
from sandbox.server import Sandbox
from sandbox.telegram_api import TelegramStandIn
from sandbox.telegram_chats import Message
from tests.coin_rail import FakeCoinRail
from tests.payout_rail import FakePayoutRail
from tests.reversal_rail import FakeReversalRail

ADMIN = persona.ADMIN.id
SELLER = persona.SELLER.id
SECOND_ADMIN = persona.SECOND_ADMIN.id
BUYER = persona.BUYER.id
STRANGER = persona.STRANGER.id
SECRET = b"a secret for tests, long enough for it"
NAIROBI = ZoneInfo("Africa/Nairobi")


class FixedClock:
    """Stands still; `advance` moves it."""

    def __init__(self) -> None:
        self.at = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
        self.steady = True

    def now(self) -> datetime:
        return self.at

    def __call__(self) -> datetime:
        return self.at

    def advance(self, **parts: float) -> None:
        self.at += timedelta(**parts)


@dataclass
class FakeRail:
    """M-Pesa as a test wants it: `answers` come first, then every prompt reaches its phone."""

    shortcode: str = "174379"
    till: str = ""
    display_name: str = "AMANA LTD"
    offered: bool = True
    can_ask_status: bool = False
    answers: list[Answer] = field(default_factory=list)
    prompts: list[tuple[str, Money, str]] = field(default_factory=list)

    @property
    def numbers(self) -> frozenset[str]:
        return frozenset({self.shortcode, self.till} - {""})

    async def prompt(
        self, *, phone: str, amount: Money, reference: str, callback_url: str
    ) -> PromptAnswer:
        self.prompts.append((phone, amount, reference))
        if self.answers:
            return PromptAnswer(self.answers.pop(0))
        number = len(self.prompts)
        return PromptAnswer(Answer(Verdict.PENDING, "0"), f"ws_CO_{number:06d}", f"m-{number}")

    async def query(self, checkout_request_id: str) -> Answer:
        return Answer(Verdict.UNKNOWN)

    async def ask_status(self, *, reference: str, result_url: str, timeout_url: str) -> Answer:
        return Answer(Verdict.UNKNOWN)

    def read_stk_callback(self, body: bytes) -> StkCallback:
        raise NotImplementedError

    def read_paybill(self, body: bytes) -> PaybillPayment:
        raise NotImplementedError

    def read_status_result(self, body: bytes) -> StatusResult:
        raise NotImplementedError


class Town:
    """People, the bot and the books. Methods named after people's acts return when the bot has
    handled them and its notices are out.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        database: Database,
        clock: FixedClock,
        admins: tuple[int, ...] = (ADMIN,),
    ) -> None:
        self.telegram: TelegramStandIn = sandbox.telegram
        self.database = database
        self.clock = clock
        self.rail = FakeRail()
        terms = Terms()
        self.funds = EscrowFundManager(database, clock, terms, admins)
        self.confirmations = Confirmations(
            database,
            clock,
            terms,
            self.rail,
            self.funds,
            admins,
            callback_base="https://pay.example",
            confirm=False,
        )
        self.claims = Claims(
            database, clock, self.rail, self.funds, admins, callback_base="https://pay.example"
        )
        self.payout_rail = FakePayoutRail()
        self.reversals = FakeReversalRail()
        self.booking = PayoutBooking(
            can_pay_out=lambda: self.payout_rail.can_pay,
            can_reverse=lambda: self.reversals.can_reverse,
            admins=admins,
        )
        self.payouts = Payouts(
            database,
            clock,
            self.payout_rail,
            self.booking,
            admins,
            callback_base="https://pay.example",
            reversals=self.reversals,
        )
        self.coin_rail = FakeCoinRail()
        self.coins = CoinPayments(
            database,
            clock,
            terms,
            [self.coin_rail],
            self.funds,
            admins,
            callback_base=lambda provider: "https://pay.example",
        )
        self.escrows = EscrowService(
            database,
            clock,
            terms,
            admins,
            self.booking,
            in_coins=lambda currency: bool(self.coins.offers(currency)),
            by_mpesa=lambda currency: self.rail.offered and currency is Currency.KES,
        )
        self.floating = Floating(database, clock, lambda body: balances(body, "174379"))
        self.actions = Actions(
            database,
            clock,
            admins,
            SECRET,
            [
                Book(),
                *verdicts(database, clock, terms, admins, self.booking),
                *receipt_effects(database, clock, terms, admins, self.booking, self.funds),
            ],
            second_above=Money(50_000_00, Currency.KES),
        )
        self.people = People(database, clock, admins)
        self.flags = Flags(database, clock)
        self.records = Records(database, clock, admins)
        self.cases = Cases(database, clock, admins, Ratings(database, clock))
        self.help = HelpDesk(database, clock, admins)
        self.wallets = Wallets(database, clock)
        self.choices = UnderpaymentChoices(database, clock, terms, SECRET)
        self.office = Office(
            escrows=self.escrows,
            actions=self.actions,
            people=self.people,
            flags=self.flags,
            wallets=self.wallets,
            ratings=Ratings(database, clock),
            prompts=Prompts(database, clock, terms, self.rail, "https://pay.example"),
            choices=self.choices,
            confirmations=self.confirmations,
            claims=self.claims,
            payouts=self.payouts,
            receipts=Receipts(database, clock),
            records=self.records,
            help=self.help,
            cases=self.cases,
            figures=Figures(database, clock, NAIROBI),
            oversight=(oversight := Oversight(database, clock, admins, floating=self.floating)),
            audits=Audits(database, clock, oversight),
            statements=Statements(
                database,
                clock,
                mpesa_statement.read,
                self.confirmations,
                self.payouts,
                ProviderReversals(database, clock, admins),
                (self.rail.shortcode, self.payout_rail.shortcode),
                admins,
            ),
            pauses=Pauses(database, clock, admins),
            coins=self.coins,
            rail=self.rail,
            clock=clock,
            admins=admins,
            zone=NAIROBI,
            sandbox=True,
        )
        self.application: Bot = build(
            persona.BOT_TOKEN,
            api_url=sandbox.telegram_url,
            office=self.office,
            user_commands=USER_COMMANDS,
            admin_commands=ADMIN_COMMANDS,
            admin_buttons=ADMIN_BUTTONS,
        )
        self.messenger = TelegramMessenger(self.application.bot, self.office)
        self.delivery = Delivery(
            database, clock, self.messenger, admins, per_second=10_000, chat_seconds=0
        )
        self.store = UpdateStore(self.application, database, clock, retry_seconds=0.01)
        self._receipts = 0

    async def settle(self) -> None:
        """Until every update is handled and every notice sent."""
        await self.telegram.updates.wait_empty()
        await self.store.drained()
        while await self.delivery.send_due():
            pass

    async def says(self, person: int, text: str) -> list[Message]:
        """What the bot wrote or changed in that chat in answer."""
        since = self.telegram.mark()
        self.telegram.user_sends(person, text)
        await self.settle()
        return self.telegram.from_bot(person, since=since)

    async def shares(self, person: int, phone: str, *, of: int | None = None) -> list[Message]:
        since = self.telegram.mark()
        self.telegram.user_shares_contact(person, phone, contact_user_id=of)
        await self.settle()
        return self.telegram.from_bot(person, since=since)

    async def taps(self, person: int, message: Message, button: str) -> list[Message]:
        since = self.telegram.mark()
        self.telegram.user_taps(person, message.id, button)
        await self.settle()
        return [m for m in self.telegram.from_bot(person, since=since) if m.id != message.id]

    async def taps_data(self, person: int, message: Message, data: str) -> list[Message]:
        since = self.telegram.mark()
        self.telegram.user_taps(person, message.id, data=data)
        await self.settle()
        return [m for m in self.telegram.from_bot(person, since=since) if m.id != message.id]

    async def confirms(self, command: str, admin: int = ADMIN) -> str:
        """An admin's command that moves money, with its [Confirm]; what stands there then."""
        preview = (await self.says(admin, command))[-1]
        pressed = preview.keyboard[0][0]["callback_data"]
        assert pressed.startswith("a1:y:")
        await self.taps_data(admin, preview, pressed)
        return self.telegram.messages[preview.id].text

    def last(self, person: int) -> Message:
        return self.telegram.from_bot(person)[-1]

    async def pays_by_hand(
        self, amount: int, reference: str, *, shown: str = "254711***001", receipt: str = ""
    ) -> str:
        """A payment to the paybill, reported by M-Pesa."""
        self._receipts += 1
        word = await self.confirmations.on_paybill(
            PaybillPayment(
                reference=receipt or f"SKN{self._receipts:07d}",
                amount=Money(amount * 100, Currency.KES),
                shortcode=self.rail.shortcode,
                typed_reference=reference,
                happened_at=self.clock.now(),
                shown=shown,
            ),
            None,
        )
        await self.settle()
        return word

    async def answers_prompt(self, number: int, answer: Answer) -> str:
        """The phone answers the `number`-th prompt (from 1)."""
        checkout = f"ws_CO_{number:06d}"
        phone, amount, _ = self.rail.prompts[number - 1]
        attempt = await self.attempt(checkout)
        paid = answer.verdict is Verdict.PAID
        word = await self.confirmations.on_callback(
            attempt,
            StkCallback(
                checkout_request_id=checkout,
                merchant_request_id=f"m-{number}",
                answer=answer,
                reference=f"SKP{number:07d}" if paid else "",
                amount=amount if paid else None,
                happened_at=self.clock.now() if paid else None,
                phone=phone if paid else "",
            ),
            None,
        )
        await self.settle()
        return word

    async def sends_coins(self, amount: str, txid: str, **said: object) -> str:
        """The provider tells of coins at the address that was given last."""
        async with self.database.reading() as conn:
            row = await conn.fetchrow("SELECT * FROM crypto_attempts ORDER BY id DESC LIMIT 1")
        body = {"txid": txid, "coin": row["coin"], "amount": amount, "address": row["address"]}
        raw = RawRequest("POST", "", "", {}, json.dumps({**body, **said}).encode())
        word = await self.coins.on_request("blockbee", row["token"], raw, self.clock.now(), 0)
        await self.settle()
        return word

    async def attempt(self, checkout: str):  # type: ignore[no-untyped-def]
        from escrow.store import payments

        async with self.database.reading() as conn:
            token = await conn.fetchval(
                "SELECT token FROM payment_attempts WHERE checkout_request_id = $1", checkout
            )
            return await payments.attempt_by_token(conn, token)

    async def value(self, query: str, *args: object) -> object:
        async with self.database.reading() as conn:
            return await conn.fetchval(query, *args)

    # -- short ways --------------------------------------------------------------------------------

    async def shop(self, person: int = SELLER, phone: str = persona.SELLER.phone) -> None:
        """A verified seller."""
        await self.says(person, "/sell Jane Shop")
        await self.shares(person, phone)
        await self.says(ADMIN, f"/verify_seller {person}")

    async def deal(self, price: str = "10000", what: str = "Blue phone case") -> str:
        """A deal that can be paid; its code."""
        preview = (await self.says(SELLER, f"/newdeal {price} {what}"))[-1]
        await self.taps(SELLER, preview, "Create")
        opened = self.telegram.messages[preview.id]
        return opened.text.split("Deal ")[1].split()[0]


@pytest.fixture(autouse=True)
def durations(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library warns about waits in plain seconds, and a warning fails a test."""
    monkeypatch.setenv("PTB_TIMEDELTA", "1")


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
async def database(dsn: str) -> AsyncIterator[Database]:
    database = await Database.connect(dsn, maximum=8)
    try:
        yield database
    finally:
        await database.close()


@pytest.fixture
async def sandbox(clock: FixedClock) -> AsyncIterator[Sandbox]:
    async with Sandbox(clock=clock) as running:
        yield running


@pytest.fixture
async def town(sandbox: Sandbox, database: Database, clock: FixedClock) -> AsyncIterator[Town]:
    town = Town(sandbox, database, clock)
    await town.application.initialize()
    await town.store.start()
    try:
        yield town
    finally:
        await town.store.stop()
        await town.application.shutdown()


@pytest.fixture
async def books(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection of the test's own."""
    conn = await asyncpg.connect(dsn)
    try:
        yield conn
    finally:
        await conn.close()
