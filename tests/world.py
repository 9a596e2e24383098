"""A small Amana to test with: its services on a database of their own, a clock that is moved, an
M-Pesa that answers what the test says, and a seller, two buyers and two admins.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Self
from zoneinfo import ZoneInfo

from escrow.domain.model import Attempt, Channel, Escrow, Evidence, PaymentResult, Receipt
from escrow.domain.money import Currency, Money
from escrow.domain.outages import Pulse
from escrow.domain.terms import FeePayer, Terms
from escrow.rails import mpesa_statement
from escrow.rails.mpesa_balances import balances
from escrow.services.actions import Action as AdminAction
from escrow.services.actions import Actions, ActionState
from escrow.services.balances import Balances
from escrow.services.bookings import Book
from escrow.services.cases import Cases
from escrow.services.choice_tokens import Action
from escrow.services.choices import UnderpaymentChoices
from escrow.services.claims import Claims
from escrow.services.comparing import Comparing
from escrow.services.confirmations import Confirmations
from escrow.services.crypto import CoinPayments, CoinsAsked
from escrow.services.figures import Figures
from escrow.services.flags import Flags
from escrow.services.floating import Floating
from escrow.services.fund_manager import EscrowFundManager
from escrow.services.help import HelpDesk
from escrow.services.intake import CLAIM, PAYBILL, STATUS, STK, Intake
from escrow.services.outages import Outages
from escrow.services.pauses import Pauses
from escrow.services.payout_booking import PayoutBooking
from escrow.services.payout_funding import FundingChecks
from escrow.services.payouts import Payouts
from escrow.services.people import People
from escrow.services.prompts import Prompts, Started
from escrow.services.provider_reversals import ProviderReversals
from escrow.services.pulls import Pulls
from escrow.services.ratings import Ratings
from escrow.services.receipts import Receipts
from escrow.services.records import Records
from escrow.services.reversals import receipt_effects
from escrow.services.statements import Statements
from escrow.services.verdicts import verdicts
from escrow.services.wallets import Wallets
from escrow.store import ledger, payments
from escrow.store.database import Database
from escrow_service import EscrowService
from tests.account_rail import FakeAccountRail, FakePullRail
from tests.basics import (
    ADMIN,
    ADMINS,
    BRIAN,
    JANE,
    NAMES,
    NOW,
    OTIENO,
    PHONES,
    SECOND_ADMIN,
    SECRET,
    MovableClock,
    flip,
    kes,
    new_reference,
    numbers,
    terms,
    usd,
)
from tests.coin_rail import FakeCoinRail
from tests.payout_rail import FakePayoutRail
from tests.proving import deals_hold_what_they_say, receipts_are_booked_once
from tests.rail import FakeRail, paybill_body, status_body, stk_body
from tests.reversal_rail import FakeReversalRail

__all__ = [
    "ADMIN",
    "ADMINS",
    "BRIAN",
    "JANE",
    "NAMES",
    "NOW",
    "OTIENO",
    "PHONES",
    "SECOND_ADMIN",
    "SECRET",
    "MovableClock",
    "World",
    "flip",
    "kes",
    "new_reference",
    "terms",
    "usd",
]


@dataclass
class World:
    """See the module. `books()` is called after every test."""

    dsn: str
    clock: MovableClock
    rail: FakeRail
    db: Database
    terms: Terms
    confirm: bool
    escrows: EscrowService = field(init=False)
    actions: Actions = field(init=False)
    funds: EscrowFundManager = field(init=False)
    choices: UnderpaymentChoices = field(init=False)
    prompts: Prompts = field(init=False)
    confirmations: Confirmations = field(init=False)
    claims: Claims = field(init=False)
    intake: Intake = field(init=False)
    payouts: Payouts = field(init=False)
    payout_rail: FakePayoutRail = field(default_factory=FakePayoutRail)
    auto_payout: bool = False
    reversals: FakeReversalRail = field(default_factory=FakeReversalRail)
    coin_rails: list[FakeCoinRail] = field(default_factory=lambda: [FakeCoinRail()])

    def __post_init__(self) -> None:
        base = "https://amana.example/hooks/m/" + "0" * 32
        db, clock, rail = self.db, self.clock, self.rail
        self.booking = PayoutBooking(
            auto=self.auto_payout,
            can_pay_out=lambda: self.payout_rail.can_pay,
            can_reverse=lambda: self.reversals.can_reverse,
            admins=ADMINS,
        )
        self.payouts = Payouts(
            db,
            clock,
            self.payout_rail,
            self.booking,
            ADMINS,
            callback_base=base,
            funding=FundingChecks(
                db,
                clock,
                rail,
                kes(20_000),
                callback_base=base,
                may_ask=lambda: self.confirmations.may_ask,
            ),
            reversals=self.reversals,
        )
        self.funds = EscrowFundManager(db, clock, self.terms, ADMINS)
        self.coins = CoinPayments(
            db,
            clock,
            self.terms,
            self.coin_rails,
            self.funds,
            ADMINS,
            callback_base=lambda provider: f"https://amana.example/hooks/{provider[0]}/{'1' * 32}",
        )
        self.escrows = EscrowService(
            db,
            clock,
            self.terms,
            ADMINS,
            self.booking,
            in_coins=lambda currency: bool(self.coins.offers(currency)),
            by_mpesa=lambda currency: self.rail.offered and currency is Currency.KES,
        )
        self.incoming = Receipts(db, clock)
        self.actions = Actions(
            db,
            clock,
            ADMINS,
            SECRET,
            [
                Book(),
                *verdicts(db, clock, self.terms, ADMINS, self.booking),
                *receipt_effects(db, clock, self.terms, ADMINS, self.booking, self.funds),
            ],
            second_above=kes(50_000),
        )
        self.people = People(db, clock, ADMINS)
        self.flags = Flags(db, clock)
        self.pauses = Pauses(db, clock, ADMINS)
        self.pulse = Pulse()
        self.outages = Outages(db, clock, ADMINS, self.pauses, self.pulse)
        self.records = Records(db, clock, ADMINS)
        self.help = HelpDesk(db, clock, ADMINS)
        self.wallets = Wallets(db, clock)
        self.figures = Figures(db, clock, ZoneInfo("Africa/Nairobi"))
        self.cases = Cases(db, clock, ADMINS, Ratings(db, clock))
        self.choices = UnderpaymentChoices(db, clock, self.terms, SECRET)
        self.prompts = Prompts(db, clock, self.terms, rail, base)
        self.confirmations = Confirmations(
            db,
            clock,
            self.terms,
            rail,
            self.funds,
            ADMINS,
            callback_base=base,
            confirm=self.confirm,
        )
        self.claims = Claims(db, clock, rail, self.funds, ADMINS, callback_base=base)
        self.floating = Floating(
            db,
            clock,
            lambda body: balances(body, self.rail.shortcode),
            comparing=Comparing(clock, ("mpesa:utility",), ADMINS),
        )
        self.statements = Statements(
            db,
            clock,
            mpesa_statement.read,
            self.confirmations,
            self.payouts,
            ProviderReversals(db, clock, ADMINS),
            (rail.shortcode, self.payout_rail.shortcode),
            ADMINS,
        )
        self.account_rail = FakeAccountRail()
        self.balances = Balances(
            db,
            clock,
            [self.account_rail],
            self.floating,
            callback_base=base,
            credential=self.payout_rail.credential,
        )
        self.pull_rail = FakePullRail()
        self.intake = Intake(
            db,
            clock,
            rail,
            self.confirmations,
            ADMINS,
            "0" * 32,
            claims=self.claims,
            payouts=self.payouts,
            floating=self.floating,
            coins=self.coins,
            balances=self.balances,
            pull=self.pull_rail,
            pulse=self.pulse,
        )
        self.pulls = Pulls(db, clock, self.pull_rail, self.intake)

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        dsn: str,
        *,
        people: bool = True,
        confirm: bool = True,
        clock: MovableClock | None = None,
        rail: FakeRail | None = None,
        connections: int = 10,
        auto_payout: bool = False,
        payout_rail: FakePayoutRail | None = None,
        reversals: FakeReversalRail | None = None,
        coin_rails: list[FakeCoinRail] | None = None,
        **changes: Any,
    ) -> AsyncIterator[Self]:
        """A world on this database; `changes` go into the terms. Closes its connections."""
        db = await Database.connect(dsn, minimum=1, maximum=connections)
        try:
            world = cls(
                dsn,
                clock or MovableClock(),
                rail or FakeRail(),
                db,
                terms(**changes),
                confirm,
                payout_rail or FakePayoutRail(),
                auto_payout,
                reversals or FakeReversalRail(),
                [FakeCoinRail()] if coin_rails is None else coin_rails,
            )
            if people:
                await world._people()
            yield world
        finally:
            await db.close()

    @asynccontextmanager
    async def restarted(self) -> AsyncIterator[World]:
        """The same database and time, everything else new: what a restart leaves."""
        db = await Database.connect(self.dsn, minimum=1, maximum=5)
        try:
            yield World(
                self.dsn,
                self.clock,
                self.rail,
                db,
                self.terms,
                self.confirm,
                self.payout_rail,
                self.auto_payout,
                self.reversals,
                self.coin_rails,
            )
        finally:
            await db.close()

    def configured(self, **changes: Any) -> World:
        """The same world with other terms or `confirm` for what is built from now on."""
        confirm = changes.pop("confirm", self.confirm)
        return World(
            self.dsn,
            self.clock,
            self.rail,
            self.db,
            replace(self.terms, **changes),
            confirm,
            self.payout_rail,
            self.auto_payout,
            self.reversals,
            self.coin_rails,
        )

    async def _people(self) -> None:
        for telegram_id, name in NAMES.items():
            await self.person(telegram_id, name, PHONES[telegram_id])
        await self.people.register_seller(JANE, "Jane Shop", PHONES[JANE])
        await self.people.verify_seller(JANE, ADMIN)
        await self.sql("DELETE FROM outbox")

    async def person(
        self, telegram_id: int, name: str, phone: str | None = None, *, is_contact: bool = True
    ) -> None:
        """Somebody who pressed Start, and shared his number."""
        await self.people.seen(telegram_id, name, None, "en")
        if phone is not None:
            await self.people.set_phone(telegram_id, phone, is_contact=is_contact)

    async def suspend(self, telegram_id: int = JANE) -> None:
        """What `/suspend_seller` will do to the row."""
        await self.sql(
            "UPDATE escrow_sellers SET status = 'SUSPENDED', suspended_at = $2,"
            " suspended_by = $3, suspension_reason = 'test' WHERE telegram_id = $1",
            telegram_id,
            self.clock.now(),
            ADMIN,
        )

    # -- deals and money -----------------------------------------------------------------------

    async def deal(
        self,
        price: int | str = 10_000,
        *,
        currency: Currency = Currency.KES,
        fee_percent: int = 5,
        fee_payer: FeePayer = FeePayer.BUYER,
        seller: int = JANE,
        buyer: int | None = None,
    ) -> Escrow:
        """A deal that waits for money; with `buyer` he has joined it."""
        opened = await EscrowService(
            self.db,
            self.clock,
            replace(self.terms, fees=terms(fee_percent).fees),
            ADMINS,
            self.booking,
        ).open_deal(
            telegram_id=seller,
            price=Money.from_decimal(Decimal(price), currency),
            description="Blue phone case",
            cause=f"test:{next(numbers)}",
            fee_payer=fee_payer,
        )
        if buyer is not None:
            await self.join(opened.id, buyer)
        return await self.escrow(opened.id)

    async def usd_deal(self, price: int | str = 100, **kwargs: Any) -> Escrow:
        """The seed's deal: 100 dollars and a fee of 5."""
        return await self.deal(price, currency=Currency.USD, **kwargs)

    async def join(self, code: str, buyer: int) -> None:
        """Writes the buyer into a deal, by the event that does it."""
        await self.sql(
            "UPDATE escrow_transactions SET buyer_telegram_id = $2, joined_at = $3,"
            " updated_at = $3, last_event = 'join', last_actor = 'buyer:' || $2::bigint,"
            " last_data = '{}' WHERE id = $1",
            code,
            buyer,
            self.clock.now(),
        )

    def by_hand(
        self,
        deal: Escrow | str | None,
        amount: Money,
        *,
        reference: str | None = None,
        provider: str = "mpesa",
        shown: str = "",
        at: datetime | None = None,
    ) -> Receipt:
        """A confirmed payment by hand, as the payment path takes it."""
        return Receipt(
            provider=provider,
            channel=Channel.C2B,
            reference=reference or new_reference(),
            amount=amount,
            happened_at=at or self.clock.now(),
            escrow_code=deal.id if isinstance(deal, Escrow) else deal,
            payer_shown=shown,
        )

    async def pay(
        self,
        deal: Escrow,
        amount: int | str,
        *,
        buyer: int = BRIAN,
        reference: str | None = None,
    ) -> PaymentResult:
        """The buyer pays that much under the deal's code, and the payment is confirmed."""
        if (await self.escrow(deal.id)).buyer_telegram_id is None:
            await self.prompts.reserve(deal.id, buyer)
        money = Money.from_decimal(Decimal(amount), deal.currency)
        return await self.funds.process_escrow_payment(
            self.by_hand(deal, money, reference=reference), Evidence.STATUS
        )

    async def prompt(self, deal: Escrow, buyer: int = BRIAN, **kwargs: Any) -> Attempt:
        """The buyer's phone is asked."""
        return (await self.start(deal, buyer, **kwargs)).attempt

    async def start(self, deal: Escrow, buyer: int = BRIAN, **kwargs: Any) -> Started:
        return await self.prompts.start(deal.id, buyer, f"test:{next(numbers)}", **kwargs)

    async def press(self, deal: Escrow, action: Action, who: int = BRIAN) -> Any:
        """Presses a button of the deal's open choice."""
        return await self.choices.press(await self.button(deal, action), who)

    async def button(self, deal: Escrow, action: Action) -> str:
        """The callback data of a button of the deal's open choice."""
        async with self.db.reading() as conn:
            choice = await payments.open_choice(conn, deal.id)
        assert choice is not None, "the deal has no open choice"
        buttons = await self.choices.buttons(choice.id)
        assert buttons is not None
        return buttons[action]

    async def give(self, telegram_id: int, amount: Money) -> None:
        """Money into a wallet, by a payment that its deal can't take any more."""
        deal = await self.deal(100, currency=amount.currency, buyer=telegram_id)
        await self.escrows.cancel(deal.id, telegram_id)
        result = await self.funds.process_escrow_payment(
            self.by_hand(deal, amount), Evidence.STATUS
        )
        assert str(result.outcome) == "to_wallet"

    # -- what providers send -------------------------------------------------------------------

    async def post_stk(self, attempt: Attempt, body: bytes) -> bool:
        """A prompt's callback arrives; whether it is new."""
        return await self.intake.store(STK, attempt.token, "POST", "", body, "127.0.0.1")

    async def post_paybill(self, body: bytes) -> bool:
        """A C2B confirmation arrives; whether it is new."""
        return await self.intake.store(PAYBILL, "", "POST", "", body, "127.0.0.1")

    async def post_status(self, token: str, body: bytes) -> bool:
        """A TransactionStatus result arrives; whether it is new."""
        return await self.intake.store(STATUS, token, "POST", "", body, "127.0.0.1")

    async def callback(self, attempt: Attempt, reference: str | None = None, **kwargs: Any) -> str:
        """A prompt's callback arrives and is processed; the word on its row."""
        body = stk_body(attempt, self.clock.now(), reference=reference, **kwargs)
        await self.post_stk(attempt, body)
        return await self.settle_inbox()

    async def paybill(
        self, typed: str, amount: Money, reference: str | None = None, **kwargs: Any
    ) -> str:
        """A C2B confirmation arrives and is processed; the word on its row."""
        body = paybill_body(typed, amount, reference or new_reference(), self.clock.now(), **kwargs)
        await self.post_paybill(body)
        return await self.settle_inbox()

    async def status(self, token: str, reference: str, amount: Money, **kwargs: Any) -> str:
        """A TransactionStatus result arrives and is processed; the word on its row."""
        await self.post_status(token, status_body(reference, amount, **kwargs))
        return await self.settle_inbox()

    async def claim_status(self, token: str, body: bytes) -> str:
        """M-Pesa's answer about a claimed receipt arrives and is processed; the word on its row."""
        await self.intake.store(CLAIM, token, "POST", "", body, "127.0.0.1")
        return await self.settle_inbox()

    async def ask_coins(
        self, deal: Escrow, buyer: int = BRIAN, coin: str = "USDT-TRC20", cause: str = ""
    ) -> CoinsAsked:
        """The buyer asks for an address."""
        return await self.coins.start(deal.id, buyer, coin, cause or f"test:{next(numbers)}")

    async def send_coins(
        self, asked: CoinsAsked, amount: Decimal | str, txid: str | None = None, **said: Any
    ) -> str:
        """The provider tells of coins at that address; the word on its row."""
        attempt = asked.attempt
        token = said.pop("token", attempt.token)
        body = {
            "txid": txid or f"tx{next(numbers)}",
            "coin": attempt.coin,
            "amount": str(amount),
            "address": attempt.address,
            **said,
        }
        await self.intake.store(attempt.provider, token, "POST", "", json.dumps(body).encode(), "")
        return await self.settle_inbox()

    async def settle_inbox(self) -> str:
        """Processes what is due; the word on the last row that was processed."""
        while await self.intake.process_due():
            pass
        return str(await self.value("SELECT note FROM inbox ORDER BY id DESC LIMIT 1"))

    # -- what a test looks at --------------------------------------------------------------------

    async def sql(self, statement: str, *args: Any) -> list[Mapping[str, Any]]:
        """Any statement, as the program's own role."""
        async with self.db.reading() as conn:
            return [dict(row) for row in await conn.fetch(statement, *args)]

    async def value(self, statement: str, *args: Any) -> Any:
        async with self.db.reading() as conn:
            return await conn.fetchval(statement, *args)

    async def escrow(self, code: str) -> Escrow:
        return (await self.escrows.deal(code, JANE, admin=True)).escrow

    async def status_of(self, deal: Escrow) -> str:
        return str((await self.escrow(deal.id)).status)

    async def rules(
        self, kind: str, target: str, admin: int, /, cause: str = "", **params: Any
    ) -> AdminAction:
        """An admin asks for something that moves money, and confirms what he is shown; where it
        needs a second one, the next admin does, too.
        """
        cause = cause or f"test:{next(numbers)}"
        asked = await self.actions.ask(kind, target, params, admin, cause)
        done = await self.actions.confirm(asked.id, admin, f"{cause}:yes")
        if done.state is ActionState.CONFIRMED:
            done = await self.actions.confirm(asked.id, self.actions.others(done)[0], "second")
        return done

    async def resolve(
        self, code: str, admin: int, decision: str, percent: int | None = None, notes: str = ""
    ) -> AdminAction:
        """The admin decides the deal's dispute."""
        said = {"decision": decision, "percent": percent, "notes": notes}
        return await self.rules("resolve", code, admin, **said)

    async def manual_refund(self, code: str, admin: int, reason: str = "") -> AdminAction:
        """All back to the buyer."""
        return await self.rules("manual_refund", code, admin, reason=reason)

    async def manual_release(self, code: str, admin: int, reason: str = "") -> AdminAction:
        """The seller is paid."""
        return await self.rules("manual_release", code, admin, reason=reason)

    async def accounts(self, deal: Escrow) -> tuple[Decimal, Decimal, Decimal]:
        """(received, holding, pending fee) of a deal, in shillings or dollars."""
        (row,) = await self.sql("SELECT * FROM escrow_balances WHERE escrow_id = $1", deal.id)
        return (
            _major(row["received_minor"]),
            _major(row["holding_minor"]),
            _major(row["pending_fee_minor"]),
        )

    async def wallet(self, telegram_id: int = BRIAN, currency: Currency = Currency.KES) -> Decimal:
        """What a person has available."""
        return await self._balance(
            "SELECT available_minor FROM wallet_balances WHERE telegram_id = $1 AND currency = $2",
            telegram_id,
            currency.code,
        )

    async def suspense(self, currency: Currency = Currency.KES) -> Decimal:
        return await self._balance(
            "SELECT balance_minor FROM ledger_accounts WHERE kind = 'suspense' AND currency = $1",
            currency.code,
        )

    async def _balance(self, statement: str, *args: Any) -> Decimal:
        return _major(await self.value(statement, *args) or 0)

    async def events(self, deal: Escrow) -> list[str]:
        """The words of a deal's timeline, oldest first."""
        rows = await self.sql(
            "SELECT event FROM escrow_timeline WHERE escrow_id = $1 ORDER BY id", deal.id
        )
        return [row["event"] for row in rows]

    async def journals(self, deal: Escrow) -> list[str]:
        """The kinds of a deal's journals, oldest first."""
        rows = await self.sql(
            "SELECT kind FROM ledger_journals WHERE escrow_id = $1 ORDER BY id", deal.id
        )
        return [row["kind"] for row in rows]

    async def told(self, telegram_id: int) -> list[str]:
        """The kinds of the notices to a person, oldest first."""
        rows = await self.sql("SELECT kind FROM outbox WHERE chat_id = $1 ORDER BY id", telegram_id)
        return [row["kind"] for row in rows]

    async def notice(self, telegram_id: int, kind: str) -> Mapping[str, Any]:
        """What the one notice of that kind to that person says."""
        (row,) = await self.sql(
            "SELECT params FROM outbox WHERE chat_id = $1 AND kind = $2", telegram_id, kind
        )
        return row["params"]

    async def receipts(self) -> list[Mapping[str, Any]]:
        """Every receipt, oldest first."""
        return await self.sql("SELECT * FROM receipts ORDER BY id")

    async def receipt_states(self) -> dict[str, str]:
        """reference → state; a receipt without a number is called by its attempt."""
        return {
            row["reference"] or f"attempt {row['attempt_id']}": row["state"]
            for row in await self.receipts()
        }

    async def attempt(self, attempt: Attempt) -> Attempt:
        """The prompt as it is now."""
        async with self.db.reading() as conn:
            found = await payments.attempt(conn, attempt.id)
        assert found is not None
        return found

    async def snapshot(self) -> Mapping[str, Any]:
        """Everything that a refused or repeated call may not change."""
        rows = {
            "deals": "SELECT id, status, version, buyer_telegram_id FROM escrow_transactions",
            "timeline": "SELECT id FROM escrow_timeline",
            "entries": "SELECT id FROM ledger_entries",
            "receipts": "SELECT id, state, reference, attempt_id FROM receipts",
            "choices": "SELECT id, used_at, voided_at FROM underpayment_choices",
            "outbox": "SELECT id FROM outbox",
            "attempts": "SELECT id, state FROM payment_attempts",
            "disputes": "SELECT id, status FROM escrow_disputes",
            "offers": "SELECT id, closed_as FROM offers",
            "records": "SELECT id FROM deal_records",
        }
        return {name: await self.sql(f"{sql} ORDER BY id") for name, sql in rows.items()}

    # -- the books -------------------------------------------------------------------------------

    async def books(self) -> None:
        """Every unit is in some account, exactly once; and nothing is left locked."""
        async with self.db.unit() as conn:
            await ledger.allow_long_statements(conn)
            assert await ledger.proof(conn) == []
            rows = await conn.fetch("SELECT id FROM ledger_journals WHERE kind NOT LIKE 'book%'")
            for first in range(0, len(rows), ledger.PAGE):
                page = [row["id"] for row in rows[first : first + ledger.PAGE]]
                broken = await ledger.broken_among(conn, "journals", page)
                assert broken.lines() == []
        for row in await self.sql("SELECT * FROM ledger_trial_balance"):
            assert row["total_minor"] == 0, row
        await receipts_are_booked_once(self)
        await deals_hold_what_they_say(self)
        pool = self.db.pool
        assert pool.get_idle_size() == pool.get_size(), "a connection was not given back"


def _major(minor: int) -> Decimal:
    return Decimal(minor) / 100
