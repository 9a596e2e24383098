"""Seed 2's scenarios through each rail, from the provider's HTTP request to the cent in the ledger:
the real door, the real clients of BlockBee and DynoPay against their stand-ins, the real services,
the real database. M-Pesa's client answers what the test says.

Amounts are those of the seed's 105 dollars; in a shilling deal each of its dollars is KES 100,
which is its price there, too.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from escrow.domain.model import Escrow
from escrow.domain.money import Currency, Money
from escrow.services.choice_tokens import Action
from escrow.services.crypto import CoinsAsked
from sandbox.blockbee_wire import CoinPayment as BeePayment
from sandbox.dynopay_wire import CONFIRMED, PENDING, UNDERPAID, Hook
from tests.coin_house import SECRETS, CoinHouse, coin_house
from tests.rail import PAID, masked, paybill_body, status_body, stk_body
from tests.world import ADMIN, BRIAN, JANE, OTIENO, PHONES, World, new_reference

MPESA = "/hooks/m/" + "0" * 32
DUE = Decimal(105)
PARTIAL = {"USD": ("93.33", "4.67"), "KES": ("9333.33", "466.67")}
"""What is held when the buyer goes on with 98 of 105: price and fee."""


@dataclass
class Shop:
    """A deal of 100 + 5 and the ways its money comes in over HTTP."""

    house: CoinHouse
    deal: Escrow

    @property
    def world(self) -> World:
        return self.house.world

    def of(self, dollars: Decimal | int | str) -> Decimal:
        """The seed's amount in the deal's currency."""
        return Decimal(dollars) * (100 if self.deal.currency is Currency.KES else 1)

    def money_of(self, dollars: Decimal | int | str) -> Money:
        return Money.from_decimal(self.of(dollars), self.deal.currency)

    async def pay(self, dollars: Decimal | int | str) -> None:
        """Brian pays that much of the 105, and the provider says so."""
        raise NotImplementedError

    async def complete(self) -> None:
        """Brian pays what is missing, as he is asked."""
        raise NotImplementedError

    async def again(self) -> None:
        """The provider says the last thing once more, in a request of its own."""
        raise NotImplementedError

    async def accounts(self) -> tuple[Decimal, ...]:
        """received, holding, pending fee of the deal, and Brian's wallet."""
        wallet = await self.world.wallet(BRIAN, self.deal.currency)
        return (*await self.world.accounts(self.deal), wallet)

    async def has(self, *dollars: Decimal | int | str) -> None:
        """Exactly that stands in received, holding, pending fee and Brian's wallet."""
        assert await self.accounts() == tuple(self.of(one) for one in dollars)

    async def entries(self) -> int:
        return int(await self.world.value("SELECT count(*) FROM ledger_entries"))

    async def references(self) -> dict[str, str]:
        return await self.world.receipt_states()


@dataclass
class MpesaShop(Shop):
    """By hand to the paybill, what is missing by a prompt."""

    last: tuple[str, Decimal] = ("", Decimal(0))

    async def pay(self, dollars: Decimal | int | str) -> None:
        number, amount = new_reference(), self.of(dollars)
        self.last = (number, amount)
        assert (await self._announce("100.00")).json() == {"ResultCode": 0, "ResultDesc": "Success"}
        await self.world.settle_inbox()
        token = self.world.rail.asked[-1].token
        body = status_body(number, Money.from_decimal(amount, Currency.KES))
        assert (await self.house.http.post(f"{MPESA}/r/{token}", content=body)).status_code == 200
        await self.world.settle_inbox()

    async def _announce(self, balance: str) -> Any:
        number, amount = self.last
        body = paybill_body(
            self.deal.id,
            Money.from_decimal(amount, Currency.KES),
            number,
            self.world.clock.now(),
            shown=masked(PHONES[BRIAN]),
            balance=balance,
        )
        return await self.house.http.post(f"{MPESA}/c", content=body)

    async def complete(self) -> None:
        attempt = await self.world.prompt(self.deal)
        self.world.rail.query_answer = PAID
        body = stk_body(attempt, self.world.clock.now(), reference=new_reference())
        answer = await self.house.http.post(f"{MPESA}/s/{attempt.token}", content=body)
        assert answer.json() == {"ResultCode": 0, "ResultDesc": "Accepted"}
        await self.world.settle_inbox()

    async def again(self) -> None:
        assert (await self._announce("2.00")).status_code == 200
        await self.world.settle_inbox()


@dataclass
class CoinShop(Shop):
    """Coins to the address that Brian is given. `coin` is worth a dollar."""

    coin: str = "USDT-TRC20"
    asked: CoinsAsked = field(init=False)

    async def ask(self, buyer: int = BRIAN) -> CoinsAsked:
        self.asked = await self.world.ask_coins(self.deal, buyer, self.coin)
        assert self.asked.attempt.address, self.asked.answer
        return self.asked

    async def pay(self, dollars: Decimal | int | str) -> None:
        await self.ask()
        await self.send(Decimal(dollars))

    async def complete(self) -> None:
        attempt = (await self.ask()).attempt
        await self.send(attempt.coin_amount)

    async def send(self, coins: Decimal, **how: Any) -> None:
        """Coins to the newest address; their provider's callbacks are processed."""
        await self.deposit(coins, **how)
        await self.world.settle_inbox()

    async def deposit(self, coins: Decimal, **how: Any) -> None:
        """The same, and the callbacks are only taken in. `how`: `txid`, `pending` (not confirmed
        yet), `lost` (nobody hears of it).
        """
        raise NotImplementedError

    async def confirm(self) -> None:
        """The coins on their way are confirmed."""
        raise NotImplementedError

    async def forged(self) -> list[int | None]:
        """Well-formed callbacks about the due amount with each wrong signature; the answers."""
        raise NotImplementedError

    async def replayed(self, to: CoinsAsked) -> int | None:
        """The last confirmed callback to another address' path; the answer."""
        raise NotImplementedError

    async def priced(self, coin: str, dollars: str) -> None:
        """The coin's price changes."""
        raise NotImplementedError

    def path_of(self, asked: CoinsAsked) -> str:
        """Where the provider of that address calls us."""
        letter = asked.attempt.provider[0]
        return f"/hooks/{letter}/{SECRETS['blockbee']}/{asked.attempt.token}"


@dataclass
class BeeShop(CoinShop):
    last: BeePayment = field(init=False)

    async def deposit(self, coins: Decimal, **how: Any) -> None:
        self.last = await self.house.bee.pay(
            self.asked.attempt.address,
            coins,
            txid=how.get("txid", ""),
            coin=how.get("coin", ""),
            mode=how.get("mode"),
            confirm=not how.get("pending"),
            deliver="never" if how.get("lost") else "once",
        )
        assert not self.last.ignored, "below BlockBee's minimum"
        assert all(one.acknowledged for one in self.last.deliveries)

    async def confirm(self) -> None:
        await self.house.bee.confirm(self.last)
        await self.world.settle_inbox()

    async def again(self) -> None:
        """With another uuid, too: only the hash on the chain says that it is the same."""
        told = self.last
        await self.house.bee.replay(told.deliveries[-1])
        await self.house.bee.pay(
            told.receiver.address, told.amount, txid=told.txid, pending_first=False
        )
        await self.world.settle_inbox()

    async def forged(self) -> list[int | None]:
        bee, address = self.house.bee, self.asked.attempt.address
        sent = [
            await bee.pay(address, DUE, mode=mode, sign=sign, pending_first=False)
            for mode in ("get", "post", "json")
            for sign in ("bad", "none", "other")
        ]
        return [one.status for payment in sent for one in payment.deliveries]

    async def replayed(self, to: CoinsAsked) -> int | None:
        delivery = self.last.deliveries[-1]
        path = f"https://amana.example{self.path_of(to)}"
        query = delivery.url.partition("?")[2]
        return (await self.house.bee.replay(delivery, url=f"{path}?{query}")).status

    async def priced(self, coin: str, dollars: str) -> None:
        self.house.bee.prices[coin.lower()] = Decimal(dollars)


@dataclass
class DynoShop(CoinShop):
    last: list[Hook] = field(init=False)
    txid: str = ""

    async def deposit(self, coins: Decimal, **how: Any) -> None:
        attempt = self.asked.attempt
        self.txid = how.get("txid") or f"{len(self.house.dyno.hooks):064x}"
        self.last = await self.house.dyno.pay(
            attempt.reference,
            coins,
            txid=self.txid,
            events=(PENDING,) if how.get("pending") else None,
            manner="lost" if how.get("lost") else "signed",
            **({"currency": how["coin"]} if how.get("coin") else {}),
        )
        assert how.get("lost") or all(hook.delivered for hook in self.last)

    async def confirm(self) -> None:
        attempt, sent = self.asked.attempt, self.last[0].payload["amount"]
        self.last = await self.house.dyno.pay(
            attempt.reference, Decimal(sent.digits), txid=self.txid, events=(CONFIRMED,)
        )
        await self.world.settle_inbox()

    async def again(self) -> None:
        """Under a new id, with a new time and signature."""
        for hook in self.last:
            sent = await self.house.dyno.redeliver(hook)
            assert sent is not None
            assert sent.delivered
        await self.world.settle_inbox()

    async def forged(self) -> list[int | None]:
        hooks: list[Hook] = []
        for manner in ("unsigned", "v1", "stale", "forged"):
            hooks += await self.house.dyno.pay(
                self.asked.attempt.reference, DUE, events=(CONFIRMED,), manner=manner
            )
        return [hook.status for hook in hooks]

    async def replayed(self, to: CoinsAsked) -> int | None:
        (hook,) = [one for one in self.last if one.event == CONFIRMED]
        answer = await self.house.http.post(
            self.path_of(to), content=hook.body.encode(), headers=hook.headers
        )
        return answer.status_code

    async def priced(self, coin: str, dollars: str) -> None:
        self.house.dyno.prices[coin] = Decimal(dollars)


SHOPS: dict[str, type[Shop]] = {"mpesa": MpesaShop, "blockbee": BeeShop, "dynopay": DynoShop}


async def _open(dsn: str, rail: str, currency: Currency) -> AsyncIterator[Shop]:
    rails = [rail] if rail != "mpesa" else []
    async with coin_house(dsn, rails) as house:
        world = house.world
        world.rail.can_ask_status = True
        await world.coins.set_rate(Decimal(100), "host")
        price = 100 if currency is Currency.USD else 10_000
        deal = await world.deal(price, currency=currency, buyer=BRIAN)
        yield SHOPS[rail](house, deal)
        await world.books()


@pytest.fixture(
    params=[
        ("mpesa", Currency.KES),
        ("blockbee", Currency.USD),
        ("blockbee", Currency.KES),
        ("dynopay", Currency.USD),
        ("dynopay", Currency.KES),
    ],
    ids=lambda found: f"{found[0]}-{found[1].code}",
)
async def shop(dsn: str, request: pytest.FixtureRequest) -> AsyncIterator[Shop]:
    """A deal, paid through each rail that can."""
    async for one in _open(dsn, *request.param):
        yield one


@pytest.fixture(params=["blockbee", "dynopay"])
async def coins(dsn: str, request: pytest.FixtureRequest) -> AsyncIterator[Any]:
    """A dollar deal, paid in coins."""
    async for one in _open(dsn, request.param, Currency.USD):
        yield one


@pytest.fixture
async def dyno(dsn: str) -> AsyncIterator[Any]:
    async for one in _open(dsn, "dynopay", Currency.USD):
        yield one


@pytest.fixture
async def bee(dsn: str) -> AsyncIterator[Any]:
    async for one in _open(dsn, "blockbee", Currency.USD):
        yield one


# -- the five scenarios and the three choices, through each rail -----------------------------------


async def test_process_payment_with_exact_amount(shop: Shop) -> None:
    await shop.pay(105)
    assert await shop.world.status_of(shop.deal) == "HELD"
    await shop.has(0, 100, 5, 0)
    assert await shop.world.told(JANE) == ["held"]


async def test_process_payment_with_exact_amount_as_it_is_asked_for(shop: Shop) -> None:
    await shop.complete()
    assert await shop.world.status_of(shop.deal) == "HELD"
    await shop.has(0, 100, 5, 0)


async def test_process_payment_with_overpayment(shop: Shop) -> None:
    await shop.pay(110)
    assert await shop.world.status_of(shop.deal) == "HELD"
    await shop.has(0, 100, 5, 5)
    assert "overpayment" in await shop.world.journals(shop.deal)
    assert (await shop.world.told(BRIAN))[-1] == "funded_over"


async def test_process_payment_with_underpayment_within_tolerance(shop: Shop) -> None:
    await shop.pay(104)
    assert await shop.world.status_of(shop.deal) == "HELD"
    await shop.has(0, 100, 4, 0)
    assert (await shop.world.told(BRIAN))[-1] == "funded_short"


async def test_process_payment_with_moderate_underpayment_offers_a_choice(shop: Shop) -> None:
    await shop.pay(98)
    assert await shop.world.status_of(shop.deal) == "PENDING"
    await shop.has(98, 0, 0, 0)
    assert (await shop.world.told(BRIAN))[-1] == "underpaid"
    assert await shop.world.told(JANE) == []


async def test_process_payment_completed_with_the_missing_amount(shop: Shop) -> None:
    await shop.pay(98)
    pressed = await shop.world.press(shop.deal, Action.COMPLETE)
    assert pressed.choice.missing == shop.money_of(7)
    await shop.complete()
    await shop.has(0, 100, 5, 0)
    assert len(await shop.references()) == 2


async def test_process_payment_going_on_with_the_partial_amount(shop: Shop) -> None:
    await shop.pay(98)
    await shop.world.press(shop.deal, Action.PROCEED)
    assert await shop.world.status_of(shop.deal) == "HELD"
    holding, fee = PARTIAL[shop.deal.currency.code]
    assert await shop.accounts() == (0, Decimal(holding), Decimal(fee), 0)
    assert await shop.world.told(JANE) == ["held_less"]


async def test_process_payment_cancelled_and_refunded_to_the_wallet(shop: Shop) -> None:
    await shop.pay(98)
    await shop.world.press(shop.deal, Action.CANCEL)
    assert await shop.world.status_of(shop.deal) == "CANCELLED"
    await shop.has(0, 0, 0, 98)


async def test_process_payment_with_large_underpayment_is_refunded_and_can_start_again(
    shop: Shop,
) -> None:
    await shop.pay(85)
    assert await shop.world.status_of(shop.deal) == "PENDING"
    await shop.has(0, 0, 0, 85)
    assert (await shop.world.told(BRIAN))[-1] == "too_short"
    await shop.complete()
    await shop.has(0, 100, 5, 85)


# -- what providers do, through each rail ----------------------------------------------------------


@pytest.mark.parametrize("amount", [105, 98, 85])
async def test_the_same_payment_told_again_credits_nothing(shop: Shop, amount: int) -> None:
    await shop.pay(amount)
    entries, had = await shop.entries(), await shop.accounts()
    for _ in range(3):
        await shop.again()
    assert await shop.entries() == entries
    assert await shop.accounts() == had
    assert list((await shop.references()).values()) == ["CREDITED"]


async def test_a_second_payment_of_a_funded_deal_is_the_buyers_wallet_money(shop: Shop) -> None:
    await shop.pay(98)
    await shop.pay(7)
    if isinstance(shop, CoinShop):  # to the last address
        await shop.send(Decimal(105))
    else:
        await shop.pay(105)
    # DynoPay may name the sum of what came to an address: only the difference counts there.
    counted = 98 if isinstance(shop, DynoShop) else 105
    await shop.has(0, 100, 5, counted)
    assert "late_money" in await shop.world.told(BRIAN)
    assert ("odd_coins" in await shop.world.told(ADMIN)) is isinstance(shop, DynoShop)


async def test_money_for_a_deal_that_is_over_is_the_buyers(shop: Shop) -> None:
    if isinstance(shop, CoinShop):
        await shop.ask()
        await shop.world.escrows.cancel(shop.deal.id, JANE)
        await shop.send(DUE)
    else:
        await shop.world.escrows.cancel(shop.deal.id, JANE)
        await shop.pay(105)
    assert await shop.world.status_of(shop.deal) == "CANCELLED"
    await shop.has(0, 0, 0, 105)


# -- what only coins do ----------------------------------------------------------------------------


async def test_pending_coins_are_told_and_credited_when_they_are_confirmed(coins: CoinShop) -> None:
    await coins.ask()
    await coins.send(DUE, pending=True)
    await coins.has(0, 0, 0, 0)
    assert await coins.references() == {}
    assert await coins.world.told(BRIAN) == ["coins_seen"]
    await coins.again()
    await coins.confirm()
    await coins.has(0, 100, 5, 0)
    assert await coins.world.told(BRIAN) == ["coins_seen", "funded"]


async def test_coins_of_an_odd_price_are_the_shillings_that_were_asked_for(dsn: str) -> None:
    """10,500 / 129.37 = 81.16…: asked for is a cent more, credited is what is due."""
    for rail in ("blockbee", "dynopay"):
        async with coin_house(dsn, [rail], people=rail == "blockbee") as house:
            await house.world.coins.set_rate(Decimal("129.37"), "host")
            deal = await house.world.deal(10_000, buyer=BRIAN)
            shop = SHOPS[rail](house, deal)
            assert isinstance(shop, CoinShop)
            shop.coin = "BTC"
            await shop.complete()
            assert shop.asked.attempt.usd == Money(81_17, Currency.USD)
            assert await house.world.accounts(deal) == (0, 10_000, 500)
            assert await house.world.wallet() == 0


async def test_late_coins_count_at_their_price_on_arrival(coins: CoinShop) -> None:
    coins.coin = "TRX"
    await coins.priced("TRX", "0.2625")
    await coins.ask()
    assert coins.asked.attempt.coin_amount == 400
    await coins.priced("TRX", "0.25")
    coins.world.clock.tick(minutes=31)
    await coins.send(Decimal(400))
    await coins.has(100, 0, 0, 0)
    assert (await coins.world.told(BRIAN))[-1] == "underpaid"


async def test_coins_seen_in_time_keep_their_price(coins: CoinShop) -> None:
    coins.coin = "TRX"
    await coins.priced("TRX", "0.25")
    await coins.ask()
    coins.world.clock.tick(minutes=29)
    await coins.send(Decimal(420), pending=True)
    await coins.priced("TRX", "0.10")
    coins.world.clock.tick(hours=3)
    await coins.confirm()
    await coins.has(0, 100, 5, 0)


async def test_another_coin_is_worth_its_own_price(coins: CoinShop) -> None:
    coins.house.bee.multi_token = True
    words = {"blockbee": "trx", "dynopay": "TRX"}
    await coins.priced("TRX", "0.25")
    await coins.ask()
    await coins.send(Decimal(420), coin=words[coins.asked.attempt.provider])
    await coins.has(0, 100, 5, 0)
    (reference,) = await coins.references()
    assert reference.endswith(":TRX")


async def test_a_coin_without_a_price_is_a_persons_to_look_at(coins: CoinShop) -> None:
    coins.house.bee.multi_token = True
    coins.house.bee.prices["bep20/shib"] = Decimal(0)
    words = {"blockbee": "bep20/shib", "dynopay": "DOGE"}
    await coins.ask()
    await coins.send(Decimal(1_000), coin=words[coins.asked.attempt.provider])
    await coins.has(0, 0, 0, 0)
    assert (await coins.world.notice(ADMIN, "odd_coins"))["why"] == "other_coin"


async def test_a_wrong_signature_stores_nothing(coins: CoinShop) -> None:
    await coins.ask()
    answers = await coins.forged()
    assert set(answers) == {403}
    assert await coins.world.value("SELECT count(*) FROM inbox") == 0
    await coins.pay(105)
    await coins.has(0, 100, 5, 0)


async def test_a_callback_replayed_to_another_deals_address_credits_nothing(
    coins: CoinShop,
) -> None:
    await coins.pay(105)
    other = await coins.world.usd_deal(buyer=OTIENO)
    theirs = await coins.world.ask_coins(other, OTIENO, coins.coin)
    entries = await coins.entries()
    assert await coins.replayed(theirs) in (400, 403)
    await coins.world.settle_inbox()
    assert await coins.entries() == entries
    assert await coins.world.status_of(other) == "PENDING"


async def test_a_lost_callback_is_found_by_asking(coins: CoinShop) -> None:
    """BlockBee's logs tell it; DynoPay is asked to send its webhooks again."""
    await coins.ask()
    await coins.send(DUE, lost=True)
    await coins.has(0, 0, 0, 0)
    coins.world.clock.tick(minutes=1)
    assert await coins.world.coins.look_due() == (1, 0)
    await coins.world.settle_inbox()
    await coins.has(0, 100, 5, 0)
    for _ in range(5):
        coins.world.clock.tick(days=1)
        assert (await coins.world.coins.look_due())[1] == 0
        await coins.world.settle_inbox()
    assert len(await coins.references()) == 1


async def test_a_short_payment_whose_callback_was_lost_is_short(coins: CoinShop) -> None:
    await coins.ask()
    await coins.send(Decimal(98), lost=True)
    coins.world.clock.tick(minutes=1)
    await coins.world.coins.look_due()
    await coins.world.settle_inbox()
    await coins.has(98, 0, 0, 0)


# -- BlockBee --------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["plain", "exponent"])
@pytest.mark.parametrize("mode", ["get", "post", "json"])
async def test_blockbee_calls_in_three_ways(bee: BeeShop, mode: Any, form: Any) -> None:
    await bee.ask()
    await bee.house.bee.pay(bee.asked.attempt.address, DUE, mode=mode, form=form)
    await bee.world.settle_inbox()
    await bee.has(0, 100, 5, 0)


async def test_blockbees_signed_body_at_another_deals_address_is_a_persons_to_look_at(
    bee: BeeShop,
) -> None:
    """A POST's signature covers the body, not the path."""
    await bee.ask()
    await bee.send(DUE, mode="json")
    other = await bee.world.usd_deal(buyer=OTIENO)
    theirs = await bee.world.ask_coins(other, OTIENO)
    replayed = bee.last.deliveries[-1]
    answer = await bee.house.bee.replay(replayed, url=f"https://amana.example{bee.path_of(theirs)}")
    assert answer.acknowledged
    await bee.world.settle_inbox()
    assert await bee.world.status_of(other) == "PENDING"
    assert (await bee.world.notice(ADMIN, "odd_coins"))["why"] == "other_address"


# -- DynoPay ---------------------------------------------------------------------------------------


async def test_dynopays_base_amount_is_never_what_came(dyno: DynoShop) -> None:
    """Underpaid, then confirmed with the full base_amount (rails.md 3)."""
    await dyno.pay(1)
    assert [hook.event for hook in dyno.last][:3] == [PENDING, UNDERPAID, CONFIRMED]
    confirmed = dyno.last[2].payload
    assert (str(confirmed["base_amount"].digits), confirmed["amount"].digits) == ("105", "1")
    await dyno.has(0, 0, 0, 1)


async def test_a_confirmed_amount_that_contradicts_the_underpaid_one_counts_less(
    dyno: DynoShop,
) -> None:
    await dyno.ask()
    reference, txid = dyno.asked.attempt.reference, "ab" * 32
    await dyno.house.dyno.pay(reference, Decimal(98), txid=txid, events=(PENDING, UNDERPAID))
    await dyno.house.dyno.pay(reference, Decimal(98), txid=txid, events=(CONFIRMED,), says=DUE)
    await dyno.world.settle_inbox()
    await dyno.has(98, 0, 0, 0)
    assert (await dyno.world.notice(ADMIN, "odd_coins"))["why"] == "amounts_differ"


async def test_one_shared_address_the_tag_says_whose_coins_they_are(dyno: DynoShop) -> None:
    dyno.coin = "XRP"
    await dyno.priced("XRP", "0.50")
    await dyno.ask()
    other = await dyno.world.usd_deal(buyer=OTIENO)
    theirs = await dyno.world.ask_coins(other, OTIENO, "XRP")
    mine = dyno.asked.attempt
    assert mine.address == theirs.attempt.address
    assert mine.tag
    assert mine.tag != theirs.attempt.tag
    await dyno.house.dyno.pay(theirs.attempt.address, tag=theirs.attempt.tag)
    await dyno.world.settle_inbox()
    assert await dyno.world.accounts(other) == (0, 100, 5)
    await dyno.has(0, 0, 0, 0)
    await dyno.send(Decimal(210))
    await dyno.has(0, 100, 5, 0)


async def test_another_tag_than_ours_is_a_persons_to_look_at(dyno: DynoShop) -> None:
    dyno.coin = "XRP"
    await dyno.ask()
    tag = int(dyno.asked.attempt.tag) + 1
    await dyno.house.dyno.pay(
        dyno.asked.attempt.reference, events=(PENDING, CONFIRMED), destination_tag=tag
    )
    await dyno.world.settle_inbox()
    await dyno.has(0, 0, 0, 0)
    assert (await dyno.world.notice(ADMIN, "odd_coins"))["why"] == "other_tag"


async def test_dynopays_signature_stays_good_while_its_secret_is_changed(dyno: DynoShop) -> None:
    dyno.house.dyno.old_secret = dyno.house.dyno.secret
    dyno.house.dyno.secret = "whsec_new"
    await dyno.pay(105)
    await dyno.has(0, 100, 5, 0)


async def test_a_price_that_nobody_says_holds_late_coins_back(dyno: DynoShop) -> None:
    dyno.coin = "TRX"
    await dyno.ask()
    dyno.world.clock.tick(minutes=31)
    dyno.house.dyno.fail("cryptoPayment", "rate_unavailable")
    await dyno.send(dyno.asked.attempt.coin_amount)
    await dyno.has(0, 0, 0, 0)
    dyno.world.clock.at += timedelta(seconds=2)
    await dyno.world.settle_inbox()
    await dyno.has(0, 100, 5, 0)
