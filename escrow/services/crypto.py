"""Deals paid in coins: a quote with an address of its own, and what arrives there, for ever.

Quote: the attempt and its path token are committed before the provider hears of it; the same token
always gets the same address, so a lost answer costs nothing. Deposit: believed when its provider
signed it or, asked by us, says so; coins on their way are only noted. What was seen within the
quote's time is worth what was asked for it, later coins their price on arrival. The value goes the
way of every payment (`fund_manager`). No network call here stands inside a transaction.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from escrow.domain import crypto as worth
from escrow.domain.coins import BY_CODE, Coin
from escrow.domain.errors import DatabaseDown, LimitReached, Paused, PriceUnknown
from escrow.domain.model import (
    Channel,
    CoinPart,
    CryptoAttempt,
    CryptoState,
    Escrow,
    Evidence,
    Notice,
    Receipt,
)
from escrow.domain.money import Currency, Money
from escrow.domain.terms import Terms
from escrow.services.batches import each
from escrow.services.fund_manager import EscrowFundManager
from escrow.services.paying import payable, reserve
from escrow.services.ports import (
    Answer,
    Clock,
    CoinAsked,
    CoinQuote,
    CoinRail,
    Deposit,
    RawRequest,
    Verdict,
)
from escrow.store import crypto, escrows, outbox, pauses, payments
from escrow.store.crypto import StoredDeposit
from escrow.store.database import Connection, Database

_LOG: Final = logging.getLogger(__name__)
_BATCH: Final = 20
_UNHEARD_AFTER: Final = timedelta(hours=1)
_CAME: Final = frozenset({"no_events", "delivered", "resent"})
"""A provider's words for: something came, and I can't tell you here how much."""
_LOOK_AFTER_FAILING: Final = timedelta(days=1)
"""An address with coins that could not be taken is looked at that often, however old it is."""
_RATE_PATIENCE: Final = timedelta(hours=24)
"""How long late coins of a shilling deal wait for a fresh price of the dollar."""


@dataclass(frozen=True, slots=True)
class CoinsAsked:
    """A quote for a payer: `answer` is PENDING when he can pay it now, else why he can't.
    `choice_until`: when the choice ends that these coins are to complete.
    """

    attempt: CryptoAttempt
    coin: Coin
    escrow: Escrow
    answer: Answer
    choice_until: datetime | None = None


class CoinPayments:
    """Asks for coins, takes what comes.

    `rails` in the order of preference: a coin is asked for at the first that has it.
    `callback_base` says below which address a provider's requests come in.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        platform: Terms,
        rails: Sequence[CoinRail],
        funds: EscrowFundManager,
        admins: Sequence[int],
        *,
        callback_base: Callable[[str], str],
    ) -> None:
        self._db = database
        self._clock = clock
        self._terms = platform
        self._rails = {rail.name: rail for rail in rails}
        self._funds = funds
        self._admins = tuple(admins)
        self._callback_base = callback_base
        self._rate: crypto.Rate | None = None

    # -- what is offered -------------------------------------------------------------------------

    @property
    def providers(self) -> tuple[str, ...]:
        """The rails that are set up."""
        return tuple(self._rails)

    def offers(self, currency: Currency) -> tuple[Coin, ...]:
        """The coins that a deal in that currency can be paid in now. Shillings need a price of the
        dollar that is fresh.
        """
        if currency is Currency.KES and self.rate is None:
            return ()
        offered = {coin.code: coin for rail in self._rails.values() for coin in rail.coins}
        return tuple(coin for code, coin in BY_CODE.items() if code in offered)

    async def pays(self, code: str, telegram_id: int) -> bool:
        """Whether this person was given an address for this deal, and can have one now."""
        async with self._db.reading() as conn:
            escrow = await escrows.get(conn, code)
            asked = await crypto.asked_for(conn, code, telegram_id)
        return asked and bool(self.offers(escrow.currency))

    @property
    def rate(self) -> Decimal | None:
        """Shillings for a dollar, while that price counts."""
        known = self._rate
        if known is None or self._clock.now() - known.set_at >= self._terms.rate_life:
            return None
        return known.kes_per_usd

    @property
    def newest_rate(self) -> crypto.Rate | None:
        """The price that was set last, fresh or not."""
        return self._rate

    async def read_rate(self) -> None:
        """Takes over the newest price; the sweep does, so that every process knows it."""
        async with self._db.reading() as conn:
            self._rate = await crypto.newest_rate(conn)

    async def set_rate(self, kes_per_usd: Decimal, source: str) -> bool:
        """Sets the price of a dollar. One from the environment (`env`) counts from when it was
        first read: a restart makes no old price fresh. False when it said nothing new.
        """
        async with self._db.unit() as conn:
            new = await crypto.add_rate(conn, kes_per_usd, source, self._clock.now())
        await self.read_rate()
        return new

    # -- asking for coins ------------------------------------------------------------------------

    async def start(self, typed: str, telegram_id: int, coin_code: str, cause: str) -> CoinsAsked:
        """A quote and an address for what the deal still needs. The same wish within the quote's
        time shows the same quote; the same cause asks for nothing twice.

        `NotFound`, `NotAllowed` (as for every payment), `LimitReached` (`coin_not_offered`,
        `no_rate`, `too_many_addresses`).
        """
        attempt, escrow = await self._db.run(
            lambda conn: self._prepare(conn, typed, telegram_id, coin_code, cause)
        )
        coin = BY_CODE[attempt.coin]
        if attempt.state is CryptoState.CREATED:
            attempt, answer = await self._open(attempt, coin)
        else:
            answer = _word(attempt)
        _LOG.info(
            "coins asked for: %s",
            answer.verdict,
            extra={
                "action": "coins_asked",
                "escrow": attempt.escrow_id,
                "attempt": attempt.id,
                "provider": attempt.provider,
                "code": answer.code,
            },
        )
        return CoinsAsked(attempt, coin, escrow, answer, await self._choice_until(attempt))

    async def _choice_until(self, attempt: CryptoAttempt) -> datetime | None:
        async with self._db.reading() as conn:
            choice = await payments.open_choice(conn, attempt.escrow_id)
        mine = choice is not None and choice.telegram_id == attempt.telegram_id
        return choice.expires_at if choice is not None and mine else None

    async def _prepare(
        self, conn: Connection, typed: str, telegram_id: int, coin_code: str, cause: str
    ) -> tuple[CryptoAttempt, Escrow]:
        known = await crypto.attempt_by_cause(conn, cause)
        if known is not None:
            return known, await escrows.get(conn, known.escrow_id)
        escrow = await payable(conn, typed, telegram_id)
        if await pauses.open_one(conn) is not None:  # an address that was given before, too
            raise Paused
        now = self._clock.now()
        coin = BY_CODE.get(coin_code)
        rail = self._rail_of(coin) if coin is not None else None
        if coin is None or rail is None:
            raise LimitReached("coin_not_offered", deal=escrow.id)
        rate = self.rate if escrow.currency is Currency.KES else None
        if escrow.currency is Currency.KES and rate is None:
            raise LimitReached("no_rate", deal=escrow.id)
        missing = escrow.due - escrow.received
        again = await crypto.reusable(
            conn,
            escrow.id,
            telegram_id,
            coin.code,
            missing,
            good_until=now + self._terms.coin_quote / 3,
            created_since=now - self._terms.coin_quote,
        )
        if again is not None and again.provider in self._rails:
            return again, escrow
        asked = await crypto.asked_since(conn, telegram_id, now - timedelta(hours=1))
        if asked >= self._terms.addresses_per_user_hour:
            raise LimitReached("too_many_addresses", deal=escrow.id)
        if escrow.buyer_telegram_id is None:
            await reserve(conn, self._terms, escrow.id, telegram_id, now)
        choice = await payments.open_choice(conn, escrow.id)
        token = secrets.token_hex(16)
        attempt, _ = await crypto.insert_attempt(
            conn,
            cause=cause,
            token=token,
            provider=rail.name,
            escrow_id=escrow.id,
            telegram_id=telegram_id,
            coin=coin.code,
            amount=missing,
            usd=worth.dollars(missing, rate),
            kes_per_usd=rate,
            choice_id=choice.id if choice is not None else None,
            callback_url=f"{self._callback_base(rail.name)}/{token}",
            now=now,
        )
        return attempt, escrow

    def _rail_of(self, coin: Coin) -> CoinRail | None:
        return next((rail for rail in self._rails.values() if coin in rail.coins), None)

    async def _open(self, attempt: CryptoAttempt, coin: Coin) -> tuple[CryptoAttempt, Answer]:
        """Asks the provider for price and address, and keeps what he says."""
        rail = self._rails[attempt.provider]
        said = await rail.open(
            token=attempt.token,
            coin=coin,
            usd=attempt.usd,
            callback_url=attempt.callback_url,
        )
        async with self._db.unit() as conn:
            if isinstance(said, CoinQuote):
                now = self._clock.now()
                await crypto.opened(
                    conn,
                    attempt.id,
                    coin_amount=worth.coins(said.amount),
                    address=said.address,
                    tag=said.tag,
                    reference=said.reference,
                    now=now,
                    expires_at=now + self._terms.coin_quote,
                    next_look_at=worth.next_look(now, now),
                )
            elif said.verdict is Verdict.DECLINED and not said.retry:
                await crypto.refused(conn, attempt.id, said.reason or "refused")
                if said.reason == "misconfigured":
                    await self._tell_misconfigured(conn, attempt.provider, said.code)
            after = await crypto.attempt(conn, attempt.id)
        assert after is not None  # noqa: S101 attempts are never deleted
        if isinstance(said, CoinQuote) or after.state is not CryptoState.CREATED:
            return after, _word(after)
        return after, said

    async def _tell_misconfigured(self, conn: Connection, provider: str, word: str) -> None:
        """The admins hear once a day of each word by which a provider refuses our set-up."""
        now = self._clock.now()
        cause = f"coins-misconfigured:{provider}:{word}:{now:%Y-%m-%d}"
        values = {"provider": provider, "word": word}
        told = [Notice(cause, "coins_misconfigured", admin, values) for admin in self._admins]
        await outbox.queue(conn, told, now)

    # -- what comes in ---------------------------------------------------------------------------

    async def authentic(self, provider: str, token: str, request: RawRequest) -> bool | None:
        """Whether that provider signed exactly this request; None: nobody can say now. What is
        signed with its address is signed with the one that it was given, which may be an old one.
        """
        rail = self._rails.get(provider)
        if rail is None:
            return None
        async with self._db.reading() as conn:
            attempt = await crypto.attempt_by_token(conn, token)
        if attempt is not None:
            request = replace(request, origin=attempt.callback_url.rpartition("/hooks/")[0])
        return await rail.authentic(request)

    def read(self, provider: str, request: RawRequest) -> Sequence[Deposit]:
        """What an authentic request says. `UnreadableError`."""
        return self._rails[provider].read(request)

    async def on_request(
        self, provider: str, token: str, request: RawRequest, seen_at: datetime, inbox_id: int
    ) -> str:
        """A stored, authentic request; returns a word for the inbox row. Safe to repeat.

        `PriceUnknown` when what came late can't be valued now: again later. What came beside it is
        taken before that is raised.
        """
        deposits = self.read(provider, request)
        if not deposits:
            return "noted"
        async with self._db.reading() as conn:
            attempt = await crypto.attempt_by_token(conn, token)
        if attempt is None or attempt.provider != provider:
            raise LookupError("no address was given under this token")
        seen = [(one, seen_at) for one in deposits]
        said, failed = await self._take_each(attempt, seen, Evidence.SIGNED, inbox_id)
        if failed is not None:
            raise failed
        odd = [one for one in said if one in ODD]
        return (odd or said)[0]

    async def look_due(self) -> tuple[int, int]:
        """The sweep that finds lost callbacks: asks the providers what they saw. (looked at,
        failed).
        """
        await self.read_rate()
        async with self._db.unit() as conn:
            due = await crypto.claim_looks(conn, self._clock.now(), _BATCH)
        return await each(due, self.look, "looking for coins failed", "look_failed")

    async def look(self, attempt: CryptoAttempt) -> str:
        """Asks the provider what he saw at one address, and takes it. What can't be taken is raised
        when the others are, and the address is looked at again.
        """
        now = self._clock.now()
        rail = self._rails.get(attempt.provider)
        if rail is None or attempt.opened_at is None:
            found: Sequence[Deposit] | Answer = Answer(Verdict.UNKNOWN, "off")
        else:
            found = await rail.deposits(self._asked(attempt))
        word = found.code or "unknown" if isinstance(found, Answer) else "nothing"
        failed: Exception | None = None
        if not isinstance(found, Answer):
            seen = [(one, max(min(one.at or now, now), attempt.created_at)) for one in found]
            said, failed = await self._take_each(attempt, seen, Evidence.QUERY, None)
            word = said[-1] if said else word
        elif found.code in _CAME and now - (attempt.opened_at or now) >= _UNHEARD_AFTER:
            await self._unheard(attempt)
        async with self._db.unit() as conn:
            at = worth.next_look(attempt.opened_at or attempt.created_at, now)
            if failed is not None:
                soon = now + worth.PENDING_LOOK
                at = now + _LOOK_AFTER_FAILING if at is None else min(at, soon)
            await crypto.look_again(
                conn,
                attempt.id,
                at,
                pending_at=now + worth.PENDING_LOOK,
                pending_since=now - worth.HOLD,
            )
        if failed is not None:
            raise failed
        return word

    async def _unheard(self, attempt: CryptoAttempt) -> None:
        """The provider says that something came, and nothing of it ever reached us."""
        async with self._db.reading() as conn:
            if await crypto.any_deposit(conn, attempt.id):
                return
        asked = attempt.coin_amount or Decimal(0)
        await self._odd(attempt, Deposit("?", attempt.coin, asked, pending=True), "unheard")

    def _asked(self, attempt: CryptoAttempt) -> CoinAsked:
        return CoinAsked(
            token=attempt.token,
            coin=BY_CODE[attempt.coin],
            amount=attempt.coin_amount or Decimal(0),
            address=attempt.address,
            callback_url=attempt.callback_url,
            tag=attempt.tag,
            reference=attempt.reference,
        )

    # -- one deposit -----------------------------------------------------------------------------

    async def _take_each(
        self,
        attempt: CryptoAttempt,
        seen: Sequence[tuple[Deposit, datetime]],
        evidence: Evidence,
        inbox_id: int | None,
    ) -> tuple[list[str], Exception | None]:
        """Takes deposits that were seen then, each by itself: one that can't be taken now stops no
        other. Words on what became of them, and the first failure.
        """
        said: list[str] = []
        failed: Exception | None = None
        for one, seen_at in seen:
            try:
                said.append(await self._take(attempt, one, seen_at, evidence, inbox_id))
            except (DatabaseDown, Paused):
                raise
            except Exception as error:  # noqa: BLE001 one bad deposit must not stop the others
                failed = failed or error
                _LOG.warning(
                    "coins could not be taken: %r",
                    error,
                    extra={"action": "coins_not_taken", "attempt": attempt.id, "txid": one.txid},
                )
        return said, failed

    async def _take(
        self,
        attempt: CryptoAttempt,
        found: Deposit,
        seen_at: datetime,
        evidence: Evidence,
        inbox_id: int | None,
    ) -> str:
        """Notes coins on their way, credits confirmed ones. A word on what became of them."""
        if attempt.state is not CryptoState.OPEN:
            raise LookupError("the address is not known yet")
        if found.address and not worth.same_address(found.address, attempt.address):
            return await self._odd(attempt, found, "other_address")
        if found.tag and found.tag != attempt.tag:
            return await self._odd(attempt, found, "other_tag")
        stored, doubts = await self._keep(attempt, found, seen_at)
        for why in doubts:
            await self._odd(attempt, found, why)
        if stored is None:
            return doubts[0] if doubts else "nothing"
        if stored.confirmed_at is not None:
            return "duplicate"
        if found.pending:
            return "pending"
        value = await self._value(attempt, found, stored)
        if value is None:
            return await self._odd(attempt, found, "other_coin")
        word = "dust"
        if value:
            cost = Money(_share(value, found, stored), value.currency)
            receipt = self._receipt(attempt, found, stored, value, cost, inbox_id)
            result = await self._funds.process_escrow_payment(receipt, evidence)
            word = str(result.outcome)
        async with self._db.unit() as conn:
            await crypto.confirmed(
                conn, attempt.id, found.txid, found.coin, self._clock.now(), dust=not value
            )
        return word

    async def _keep(
        self, attempt: CryptoAttempt, found: Deposit, seen_at: datetime
    ) -> tuple[StoredDeposit | None, list[str]]:
        """The deposit as it is known from now on, the payer told of one on its way; None for one of
        nothing. And what has to be said about its amount.
        """
        doubts: list[str] = []
        amount = worth.coins(found.amount)
        counts = not found.pending
        async with self._db.unit() as conn:
            if self._rails[attempt.provider].running_totals and counts:
                before, known = await crypto.before(conn, attempt.id, found.txid, found.coin)
                if before and not known:
                    if amount <= before:  # are they in it, or did they come first? nobody can tell
                        return None, ["maybe_counted"]
                    amount -= before  # it may include them: never more than came
                    doubts.append("maybe_total")
            if not amount:
                return None, doubts
            stored = await crypto.saw(
                conn, attempt.id, found.txid, found.coin, amount, seen_at, counts=counts
            )
            if found.pending and stored.confirmed_at is None:
                await outbox.queue(conn, [_seen(attempt, stored)], self._clock.now())
        if not stored.amount == amount == (stored.known_before or amount):
            doubts.append("amounts_differ")
        return stored, doubts

    async def _value(
        self, attempt: CryptoAttempt, found: Deposit, stored: StoredDeposit
    ) -> Money | None:
        """What coins are credited as: at the quote when they were seen in its time, else at their
        price now; in dollars where shillings have no price. None for a coin that has none.
        `PriceUnknown`: nobody can say now.
        """
        if found.coin == attempt.coin and worth.in_window(attempt, stored.seen_at):
            return worth.at_quote(attempt, stored.amount)
        usd = None if found.usd is None else Fraction(found.usd) * Fraction(stored.amount)
        if usd is None:
            coin = BY_CODE.get(found.coin)
            if coin is None:
                return None
            usd = await self._worth(attempt.provider, coin, stored.amount)
        currency = attempt.amount.currency
        if currency is Currency.KES and self.rate is None:
            if self._clock.now() - stored.seen_at < _RATE_PATIENCE:
                await self._odd(attempt, found, "no_rate")
                raise PriceUnknown
            currency = Currency.USD
        return worth.at_price(currency, usd, self.rate)

    async def _worth(self, provider: str, coin: Coin, amount: Decimal) -> Fraction:
        """Dollars for that many coins now, by their own provider, else by another one.
        `PriceUnknown`.
        """
        own = [rail for rail in self._rails.values() if rail.name == provider]
        for rail in [*own, *(one for one in self._rails.values() if one not in own)]:
            asked = await rail.worth(coin, amount)
            if asked is not None:
                return Fraction(asked)
        raise PriceUnknown

    @staticmethod
    def _receipt(
        attempt: CryptoAttempt,
        found: Deposit,
        stored: StoredDeposit,
        value: Money,
        cost: Money,
        inbox_id: int | None,
    ) -> Receipt:
        other = found.coin != attempt.coin
        return Receipt(
            provider=attempt.provider,
            channel=Channel.CRYPTO,
            reference=worth.reference(found.txid, attempt.id, found.coin, other=other),
            amount=value,
            happened_at=stored.seen_at,
            escrow_code=attempt.escrow_id,
            inbox_id=inbox_id,
            payer=attempt.telegram_id,
            coins=CoinPart(attempt.id, found.coin, stored.amount, cost, other=other),
        )

    async def _odd(self, attempt: CryptoAttempt, found: Deposit, why: str) -> str:
        """Authentic, and not what we know: nothing is credited for it, the admins look."""
        _LOG.warning(
            "odd coins: %s",
            why,
            extra={"action": "odd_coins", "escrow": attempt.escrow_id, "attempt": attempt.id},
        )
        values: dict[str, Any] = {
            "code": attempt.escrow_id,
            "why": why,
            "provider": attempt.provider,
            "coin": found.coin,
            "amount": plain(worth.coins(found.amount)),
            "asked": attempt.coin,
            "txid": found.txid,
        }
        cause = f"odd-coins:{attempt.id}:{found.txid}:{found.coin}:{why}"
        async with self._db.unit() as conn:
            await outbox.queue(
                conn,
                [
                    Notice(cause, "odd_coins", admin, values, attempt.escrow_id)
                    for admin in self._admins
                ],
                self._clock.now(),
            )
        return why


ODD: Final = frozenset({"other_address", "other_tag", "other_coin", "maybe_counted"})
"""Words for requests that a person has to look at."""


def plain(amount: Decimal) -> str:
    """A coin amount as people read and copy it: no exponent, no zeros at its end."""
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _word(attempt: CryptoAttempt) -> Answer:
    """What is known of an attempt, as the answer to whoever asks for it."""
    if attempt.state is CryptoState.OPEN:
        return Answer(Verdict.PENDING)
    if attempt.state is CryptoState.REFUSED:
        return Answer(Verdict.DECLINED, "", attempt.refusal)
    return Answer(Verdict.UNKNOWN, "", "unknown")


def _share(value: Money, found: Deposit, stored: StoredDeposit) -> int:
    """The cost of coins in the currency of their value, in minor units, rounded down."""
    part = Fraction(Fraction(found.cost), Fraction(stored.amount))
    return min((value.minor * part).__floor__(), value.minor)


def _seen(attempt: CryptoAttempt, stored: StoredDeposit) -> Notice:
    values = {
        "code": attempt.escrow_id,
        "amount": plain(stored.amount),
        "coin": stored.coin,
        "in_time": worth.in_window(attempt, stored.seen_at),
    }
    cause = f"coins:{attempt.id}:{stored.txid}:{stored.coin}"
    return Notice(cause, "coins_seen", attempt.telegram_id, values, attempt.escrow_id)
