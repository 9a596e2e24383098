"""Deals paid in coins: the quote, what arrives in time, late, twice, short, odd; and the price."""

import asyncio
from datetime import timedelta
from decimal import Decimal

import pytest

from escrow.domain.coins import BY_CODE
from escrow.domain.errors import LimitReached, NotAllowed, NotFound
from escrow.domain.model import CryptoState
from escrow.domain.money import Currency
from escrow.services.choice_tokens import Action
from escrow.services.ports import Answer, Verdict
from tests.coin_rail import FakeCoinRail, busy
from tests.world import ADMIN, BRIAN, JANE, OTIENO, World, kes, usd


async def shillings(world: World, rate: str = "130") -> None:
    """There is a fresh price of the dollar."""
    await world.coins.set_rate(Decimal(rate), "host")


# -- quotes --------------------------------------------------------------------------------------


async def test_a_dollar_deal_is_quoted_what_it_is_due(world: World) -> None:
    deal = await world.usd_deal()
    asked = await world.ask_coins(deal)
    attempt = asked.attempt
    assert asked.answer.verdict is Verdict.PENDING
    assert (attempt.amount, attempt.usd, attempt.coin_amount) == (usd(105), usd(105), Decimal(105))
    assert attempt.expires_at == world.clock.now() + timedelta(minutes=30)
    assert attempt.address
    assert (await world.escrow(deal.id)).buyer_telegram_id is None, "asking binds nobody"


async def test_a_shilling_deal_is_quoted_at_the_price_kept_on_the_attempt(world: World) -> None:
    await shillings(world, "128.37")
    deal = await world.deal()
    attempt = (await world.ask_coins(deal)).attempt
    # 10,500 / 128.37 = 81.795…: rounded up to the cent, so that the quote covers the deal
    assert (attempt.amount, attempt.usd) == (kes(10_500), usd("81.80"))
    assert attempt.kes_per_usd == Decimal("128.37")
    await world.coins.set_rate(Decimal(150), "host")
    word = await world.send_coins((await world.ask_coins(deal)), attempt.coin_amount)
    assert word == "funded"
    assert await world.accounts(deal) == (0, 10_000, 500), "the quote's price, not today's"


async def test_without_a_fresh_price_shilling_deals_offer_no_coins(world: World) -> None:
    deal = await world.deal()
    assert world.coins.offers(Currency.KES) == ()
    assert world.coins.offers(Currency.USD)
    with pytest.raises(LimitReached) as caught:
        await world.ask_coins(deal)
    assert caught.value.reason == "no_rate"
    await shillings(world)
    assert world.coins.offers(Currency.KES)
    assert (await world.escrows.deal(deal.id, BRIAN)).in_coins
    world.clock.tick(hours=24)
    assert world.coins.offers(Currency.KES) == (), "24 hours are not fresh"
    assert not (await world.escrows.deal(deal.id, BRIAN)).in_coins


async def test_a_price_from_the_environment_gets_no_younger_by_a_restart(world: World) -> None:
    assert await world.coins.set_rate(Decimal(130), "env")
    world.clock.tick(hours=23)
    assert not await world.coins.set_rate(Decimal("130.0"), "env"), "read again at a restart"
    world.clock.tick(hours=1)
    assert world.coins.rate is None
    assert await world.coins.set_rate(Decimal(131), "env"), "a new one counts"
    assert world.coins.rate == 131
    async with world.restarted() as after:
        assert after.coins.rate is None, "not read yet"
        await after.coins.look_due()
        assert after.coins.rate == 131


async def test_without_rails_nothing_is_offered(world: World) -> None:
    world.coin_rails.clear()
    bare = world.configured()
    assert bare.coins.offers(Currency.USD) == ()
    deal = await world.usd_deal()
    with pytest.raises(LimitReached) as caught:
        await bare.ask_coins(deal)
    assert caught.value.reason == "coin_not_offered"


async def test_a_coin_is_asked_for_at_the_first_rail_that_has_it(world: World) -> None:
    usdt, xrp = BY_CODE["USDT-TRC20"], BY_CODE["XRP"]
    world.coin_rails[:] = [
        FakeCoinRail("blockbee", [usdt]),
        FakeCoinRail("dynopay", [usdt, xrp]),
    ]
    both = world.configured()
    deal = await world.usd_deal()
    assert both.coins.offers(Currency.USD) == (usdt, xrp)
    assert (await both.ask_coins(deal)).attempt.provider == "blockbee"
    tagged = (await both.ask_coins(deal, coin="XRP")).attempt
    assert (tagged.provider, tagged.tag) == ("dynopay", "4711")


async def test_the_same_wish_shows_the_same_quote_while_enough_of_it_is_left(world: World) -> None:
    deal = await world.usd_deal()
    first = (await world.ask_coins(deal)).attempt
    world.clock.tick(minutes=20)
    assert (await world.ask_coins(deal)).attempt.id == first.id
    world.clock.tick(seconds=1)
    second = (await world.ask_coins(deal)).attempt
    assert second.id != first.id, "less than a third of its time is left"
    assert second.address != first.address


async def test_an_address_that_got_coins_is_not_shown_again(world: World) -> None:
    """Where amounts may be sums, a full second payment there would count as the difference."""
    world.coin_rails[0].running_totals = True
    deal = await world.usd_deal()
    first = await world.ask_coins(deal)
    assert await world.send_coins(first, "85") == "refunded_to_wallet"
    second = await world.ask_coins(deal)
    assert second.attempt.amount == first.attempt.amount
    assert second.attempt.address != first.attempt.address
    assert await world.send_coins(second, "105") == "funded"
    assert await world.wallet(BRIAN, Currency.USD) == 85


async def test_the_same_press_asks_for_one_address_however_often_it_is_handled(
    world: World,
) -> None:
    deal = await world.usd_deal()
    asked = await asyncio.gather(
        *(world.ask_coins(deal, cause="update:17") for _ in range(10)), return_exceptions=True
    )
    ids = {one.attempt.id for one in asked if not isinstance(one, BaseException)}
    assert len(ids) == 1
    assert await world.value("SELECT count(*) FROM crypto_attempts") == 1


async def test_a_lost_answer_is_asked_again_under_the_same_token(world: World) -> None:
    rail = world.coin_rails[0]
    rail.answers.append(busy())
    deal = await world.usd_deal()
    lost = await world.ask_coins(deal)
    assert lost.answer.verdict is Verdict.UNKNOWN
    assert lost.attempt.state is CryptoState.CREATED
    found = await world.ask_coins(deal)
    assert found.attempt.state is CryptoState.OPEN
    assert rail.opened == [lost.attempt.token] * 2


async def test_a_provider_that_says_no_is_heard_and_not_asked_again_for_it(world: World) -> None:
    rail = world.coin_rails[0]
    rail.answers.append(Answer(Verdict.DECLINED, "400", "too_small"))
    deal = await world.usd_deal()
    asked = await world.ask_coins(deal, cause="update:1")
    assert (asked.attempt.state, asked.answer.reason) == (CryptoState.REFUSED, "too_small")
    again = await world.ask_coins(deal, cause="update:1")
    assert again.answer.reason == "too_small"
    assert len(rail.opened) == 1


async def test_the_admins_hear_once_a_day_that_a_provider_refuses_our_set_up(
    world: World,
) -> None:
    rail = world.coin_rails[0]
    for day in range(2):
        for _ in range(2):
            rail.answers.append(Answer(Verdict.DECLINED, "api_key_invalid", "misconfigured"))
            deal = await world.usd_deal()
            asked = await world.ask_coins(deal)
            assert asked.answer.reason == "misconfigured"
        told = [kind for kind in await world.told(ADMIN) if kind == "coins_misconfigured"]
        assert len(told) == day + 1
        world.clock.tick(days=1)
    rows = await world.sql("SELECT params FROM outbox WHERE kind = 'coins_misconfigured'")
    assert rows[0]["params"] == {"provider": "blockbee", "word": "api_key_invalid"}


async def test_who_may_not_pay_gets_no_address(world: World) -> None:
    deal = await world.usd_deal()
    with pytest.raises(NotAllowed) as own:
        await world.ask_coins(deal, JANE)
    assert own.value.reason == "own_deal"
    taken = await world.usd_deal(buyer=OTIENO)
    with pytest.raises(NotFound):
        await world.ask_coins(taken, BRIAN)
    await world.ask_coins(deal, OTIENO)
    with pytest.raises(NotAllowed) as reserved:
        await world.ask_coins(deal, BRIAN)
    assert reserved.value.reason == "reserved"
    assert await world.value("SELECT count(*) FROM crypto_attempts") == 1


async def test_addresses_are_not_handed_out_without_end(world: World) -> None:
    for _ in range(10):
        await world.ask_coins(await world.usd_deal(buyer=BRIAN))
    with pytest.raises(LimitReached) as caught:
        await world.ask_coins(await world.usd_deal(buyer=BRIAN))
    assert caught.value.reason == "too_many_addresses"
    world.clock.tick(hours=1)
    await world.ask_coins(await world.usd_deal(buyer=BRIAN))


# -- what arrives --------------------------------------------------------------------------------


async def test_the_quote_exactly_funds_the_deal_and_binds_its_payer(world: World) -> None:
    deal = await world.usd_deal()
    asked = await world.ask_coins(deal)
    assert await world.send_coins(asked, "105", "tx1") == "funded"
    assert await world.accounts(deal) == (0, 100, 5)
    assert (await world.escrow(deal.id)).buyer_telegram_id == BRIAN
    (receipt,) = await world.receipts()
    assert (receipt["provider"], receipt["channel"], receipt["evidence"]) == (
        "blockbee",
        "crypto",
        "signed",
    )
    assert (receipt["coin"], receipt["coin_amount"]) == ("USDT-TRC20", Decimal(105))
    assert receipt["reference"] == f"tx1#{asked.attempt.id}"
    assert await world.told(BRIAN) == ["funded"]
    assert "held" in await world.told(JANE)


async def test_pending_coins_are_told_and_credit_nothing_until_they_are_confirmed(
    world: World,
) -> None:
    deal = await world.usd_deal()
    asked = await world.ask_coins(deal)
    before = await world.snapshot()
    assert await world.send_coins(asked, "105", "tx1", pending=True) == "pending"
    after = await world.snapshot()
    assert {**after, "outbox": before["outbox"]} == before
    assert (await world.notice(BRIAN, "coins_seen"))["amount"] == "105"
    assert await world.send_coins(asked, "105", "tx1") == "funded"
    assert await world.send_coins(asked, "105.0", "tx1", pending=True) == "duplicate"
    assert await world.send_coins(asked, "105.00", "tx1") == "duplicate"
    assert len(await world.receipts()) == 1
    assert (await world.told(BRIAN)).count("coins_seen") == 1


async def test_a_receipt_in_coins_is_credited_once_however_many_deliveries_race(
    world: World,
) -> None:
    deal = await world.usd_deal()
    asked = await world.ask_coins(deal)
    for pending in (True, False):
        for shape in ("105", "105.0", "105.00", "105.000", "1.05e2", "10.5E+1"):
            raw = (
                f'{{"txid": "tx1", "coin": "USDT-TRC20", "amount": "{shape}",'
                f' "pending": {str(pending).lower()}, "address": "{asked.attempt.address}"}}'
            ).encode()
            await world.intake.store("blockbee", asked.attempt.token, "POST", "", raw, "")
    await asyncio.gather(*(world.intake.process_due() for _ in range(8)))
    await world.settle_inbox()
    assert len(await world.receipts()) == 1
    assert await world.accounts(deal) == (0, 100, 5)


async def test_network_and_provider_cost_is_ours_not_the_payers(world: World) -> None:
    deal = await world.usd_deal()
    asked = await world.ask_coins(deal)
    await world.send_coins(asked, "105", cost="1.239")
    assert await world.accounts(deal) == (0, 100, 5)
    sums = {
        (row["kind"], row["owner"]): row["total"]
        for row in await world.sql(
            "SELECT a.kind, a.owner, sum(e.amount_minor)::int AS total FROM ledger_entries e"
            " JOIN ledger_accounts a ON a.id = e.account_id"
            " WHERE a.kind IN ('external', 'costs') GROUP BY 1, 2"
        )
    }
    assert sums == {("external", "blockbee"): -103_77, ("costs", "blockbee"): -1_23}


@pytest.mark.parametrize("sent", ["104", "104.999999"])
async def test_a_little_short_is_accepted_as_the_seed_says(world: World, sent: str) -> None:
    deal = await world.usd_deal()
    assert await world.send_coins(await world.ask_coins(deal), sent) == "funded"
    shown = Decimal(sent).quantize(Decimal("0.01"), "ROUND_DOWN")
    received, holding, fee = await world.accounts(deal)
    assert (received, holding + fee) == (0, shown)


async def test_too_much_goes_to_the_wallet(world: World) -> None:
    deal = await world.usd_deal()
    await world.send_coins(await world.ask_coins(deal), "110")
    assert await world.accounts(deal) == (0, 100, 5)
    assert await world.wallet(BRIAN, Currency.USD) == 5


async def test_far_too_little_goes_to_the_wallet_and_the_deal_waits_on(world: World) -> None:
    deal = await world.usd_deal()
    assert await world.send_coins(await world.ask_coins(deal), "85") == "refunded_to_wallet"
    assert await world.status_of(deal) == "PENDING"
    assert await world.wallet(BRIAN, Currency.USD) == 85


@pytest.mark.parametrize("action", [Action.PROCEED, Action.CANCEL])
async def test_a_short_payment_offers_the_three_choices(world: World, action: Action) -> None:
    deal = await world.usd_deal()
    assert await world.send_coins(await world.ask_coins(deal), "98") == "choice"
    await world.press(deal, action)
    if action is Action.PROCEED:
        _, holding, fee = await world.accounts(deal)
        assert (await world.status_of(deal), holding + fee) == ("HELD", 98)
    else:
        assert await world.status_of(deal) == "CANCELLED"
        assert await world.wallet(BRIAN, Currency.USD) == 98


async def test_the_missing_coins_complete_a_short_payment(world: World) -> None:
    deal = await world.usd_deal()
    first = await world.ask_coins(deal)
    await world.send_coins(first, "98")
    assert await world.coins.pays(deal.id, BRIAN)
    assert not await world.coins.pays(deal.id, OTIENO)
    pressed = await world.press(deal, Action.COMPLETE)
    assert pressed.choice.missing == usd(7)
    rest = await world.ask_coins(deal)
    assert (rest.attempt.amount, rest.attempt.choice_id) == (usd(7), pressed.choice.id)
    assert (first.choice_until, rest.choice_until) == (None, pressed.choice.expires_at)
    assert await world.send_coins(rest, "7") == "funded"
    assert await world.accounts(deal) == (0, 100, 5)


async def test_several_deposits_to_one_address_add_up(world: World) -> None:
    deal = await world.usd_deal()
    asked = await world.ask_coins(deal)
    assert await world.send_coins(asked, "98") == "choice"
    assert await world.send_coins(asked, "7") == "funded"
    assert await world.send_coins(asked, "20") == "to_wallet"
    assert await world.wallet(BRIAN, Currency.USD) == 20
    assert len(await world.receipts()) == 3


async def test_coins_months_late_are_the_payers_at_their_price_then(world: World) -> None:
    deal = await world.usd_deal()
    world.coin_rails[0].prices["BTC"] = Decimal(50_000)
    asked = await world.ask_coins(deal, coin="BTC")
    assert asked.attempt.coin_amount == Decimal("0.0021")
    await world.escrows.cancel(deal.id, JANE)
    world.clock.tick(days=120)
    world.coin_rails[0].prices["BTC"] = Decimal(60_000)
    assert await world.send_coins(asked, "0.0021") == "to_wallet"
    assert await world.wallet(BRIAN, Currency.USD) == 126
    assert await world.status_of(deal) == "CANCELLED"


@pytest.mark.parametrize(
    ("seconds", "holding"),
    [(0, 100), (30 * 60, 100), (30 * 60 + 1, 95)],
    ids=["at once", "at the last second", "one second late"],
)
async def test_the_quote_counts_for_what_is_seen_within_its_time(
    world: World, seconds: int, holding: int
) -> None:
    deal = await world.usd_deal()
    rail = world.coin_rails[0]
    rail.prices["TRX"] = Decimal("0.50")
    asked = await world.ask_coins(deal, coin="TRX")
    rail.prices["TRX"] = Decimal("0.475")  # it fell: 210 TRX are 99.75 dollars by now
    world.clock.tick(seconds=seconds)
    word = await world.send_coins(asked, "210")
    if holding == 100:
        assert (word, await world.accounts(deal)) == ("funded", (0, 100, 5))
    else:
        assert (word, (await world.accounts(deal))[0]) == ("choice", Decimal("99.75"))


async def test_coins_seen_in_time_keep_the_quote_however_long_they_take(world: World) -> None:
    deal = await world.usd_deal()
    rail = world.coin_rails[0]
    rail.prices["TRX"] = Decimal("0.50")
    asked = await world.ask_coins(deal, coin="TRX")
    world.clock.tick(minutes=29)
    await world.send_coins(asked, "210", "tx1", pending=True)
    rail.prices["TRX"] = Decimal("0.10")
    world.clock.tick(hours=5)
    assert await world.send_coins(asked, "210", "tx1") == "funded"


async def test_the_providers_own_price_values_late_coins(world: World) -> None:
    deal = await world.usd_deal()
    asked = await world.ask_coins(deal)
    world.clock.tick(hours=1)
    world.coin_rails[0].silent = True
    assert await world.send_coins(asked, "105", usd="0.99") == "funded"
    received, holding, fee = await world.accounts(deal)
    assert (received, holding + fee) == (0, Decimal("103.95"))


async def test_late_coins_wait_while_nobody_knows_their_price(world: World) -> None:
    deal = await world.usd_deal()
    asked = await world.ask_coins(deal)
    world.clock.tick(hours=1)
    world.coin_rails[0].silent = True
    await world.send_coins(asked, "105", "tx1")
    (row,) = await world.sql("SELECT state, tries FROM inbox")
    assert (row["state"], row["tries"]) == ("NEW", 1)
    for _ in range(10):
        world.clock.tick(minutes=10)
        await world.settle_inbox()
    assert await world.receipts() == []
    assert await world.value("SELECT state FROM inbox") == "NEW", "never parked for that"
    world.coin_rails[0].silent = False
    world.clock.tick(minutes=10)
    assert await world.settle_inbox() == "funded"


async def test_late_coins_of_a_shilling_deal_without_a_price_are_dollars_in_the_wallet(
    world: World,
) -> None:
    await shillings(world)
    deal = await world.deal()
    asked = await world.ask_coins(deal)
    world.clock.tick(hours=25)
    await world.send_coins(asked, "80.77")
    assert await world.receipts() == [], "a fresh price is waited for"
    assert (await world.notice(ADMIN, "odd_coins"))["why"] == "no_rate"
    world.clock.tick(hours=24)
    assert await world.settle_inbox() == "to_wallet"
    assert await world.wallet(BRIAN, Currency.USD) == Decimal("80.77")
    assert (await world.accounts(deal))[0] == 0


async def test_late_coins_of_a_shilling_deal_count_at_the_price_of_then(world: World) -> None:
    await shillings(world, "130")
    deal = await world.deal()
    asked = await world.ask_coins(deal)
    world.clock.tick(hours=1)
    await shillings(world, "131.30")
    assert await world.send_coins(asked, "80") == "funded"  # 10,504 of 10,500
    assert await world.wallet(BRIAN) == 4


async def test_a_wrong_coin_is_worth_its_price_to_whoever_sent_it(world: World) -> None:
    deal = await world.usd_deal()
    world.coin_rails[0].prices["TRX"] = Decimal("0.25")
    asked = await world.ask_coins(deal)
    assert await world.send_coins(asked, "420", "tx1", coin="TRX") == "funded"
    (receipt,) = await world.receipts()
    assert receipt["reference"] == f"tx1#{asked.attempt.id}:TRX"
    assert (receipt["coin"], receipt["amount_minor"]) == ("TRX", 105_00)


async def test_a_coin_nobody_knows_is_kept_for_a_person(world: World) -> None:
    deal = await world.usd_deal()
    asked = await world.ask_coins(deal)
    assert await world.send_coins(asked, "1000", coin="shib_bep20") == "other_coin"
    assert await world.receipts() == []
    assert await world.value("SELECT state FROM inbox") == "PARKED"
    assert (await world.notice(ADMIN, "odd_coins"))["coin"] == "shib_bep20"


async def test_a_signed_request_for_another_address_credits_nothing(world: World) -> None:
    mine, other = await world.usd_deal(), await world.usd_deal()
    asked = await world.ask_coins(mine)
    theirs = await world.ask_coins(other, OTIENO)
    word = await world.send_coins(theirs, "105", token=asked.attempt.token)
    assert word == "other_address"
    assert await world.receipts() == []
    assert (await world.notice(ADMIN, "odd_coins"))["why"] == "other_address"


async def test_another_tag_is_another_person(world: World) -> None:
    deal = await world.usd_deal()
    asked = await world.ask_coins(deal, coin="XRP")
    world.coin_rails[0].prices["XRP"] = Decimal(1)
    assert await world.send_coins(asked, "105", tag="4712") == "other_tag"
    assert await world.send_coins(asked, "105", tag="4711") == "funded"


async def test_contradicting_amounts_credit_the_lesser_one_and_are_told(world: World) -> None:
    """An underpaid coin payment is later confirmed with the whole amount (rails.md 3)."""
    deal = await world.usd_deal()
    asked = await world.ask_coins(deal)
    await world.send_coins(asked, "1", "tx1", pending=True)
    assert await world.send_coins(asked, "105", "tx1") == "refunded_to_wallet"
    assert await world.wallet(BRIAN, Currency.USD) == 1
    assert (await world.notice(ADMIN, "odd_coins"))["why"] == "amounts_differ"


async def test_less_confirmed_than_was_on_its_way_is_told(world: World) -> None:
    deal = await world.usd_deal()
    asked = await world.ask_coins(deal)
    await world.send_coins(asked, "105", "tx1", pending=True)
    assert await world.send_coins(asked, "85", "tx1") == "refunded_to_wallet"
    assert await world.wallet(BRIAN, Currency.USD) == 85
    assert (await world.notice(ADMIN, "odd_coins"))["why"] == "amounts_differ"


async def test_a_crash_after_crediting_credits_nothing_twice(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before the deposit is known as confirmed: the receipt is."""
    deal = await world.usd_deal()
    asked = await world.ask_coins(deal)
    with monkeypatch.context() as dying:
        dying.setattr("escrow.store.crypto.confirmed", None)
        await world.send_coins(asked, "105", "tx1")
    assert await world.accounts(deal) == (0, 100, 5)
    assert await world.value("SELECT state FROM inbox") == "NEW"
    world.clock.tick(minutes=1)
    assert await world.settle_inbox() == "duplicate"
    assert len(await world.receipts()) == 1
    assert await world.value("SELECT confirmed_at FROM crypto_deposits") == world.clock.now()


@pytest.mark.parametrize(
    ("second", "credited", "told"),
    [("7", 98, True), ("105", 105, True), ("98", 98, True), ("120", 120, True)],
    ids=["less than before", "the sum", "the same again", "more than both"],
)
async def test_where_amounts_may_be_sums_no_more_is_credited_than_came(
    world: World, second: str, credited: int, told: bool
) -> None:
    """Whether DynoPay's second confirmation of an address is a sum is documented nowhere."""
    world.coin_rails[0].running_totals = True
    deal = await world.usd_deal()
    asked = await world.ask_coins(deal)
    await world.send_coins(asked, "98", "tx1")
    world.clock.tick(minutes=1)
    await world.send_coins(asked, second, "tx2", pending=True)
    await world.send_coins(asked, second, "tx2")
    await world.send_coins(asked, "98", "tx1")
    received, holding, fee = await world.accounts(deal)
    wallet = await world.wallet(BRIAN, Currency.USD)
    assert received + holding + fee + wallet == credited
    assert ("odd_coins" in await world.told(ADMIN)) is told


async def test_a_sum_that_comes_first_is_not_doubled_by_its_part(world: World) -> None:
    world.coin_rails[0].running_totals = True
    deal = await world.usd_deal()
    asked = await world.ask_coins(deal)
    assert await world.send_coins(asked, "105", "tx2") == "funded"
    assert await world.send_coins(asked, "98", "tx1") == "maybe_counted"
    assert (await world.accounts(deal), await world.wallet(BRIAN, Currency.USD)) == ((0, 100, 5), 0)
    assert (await world.notice(ADMIN, "odd_coins"))["why"] == "maybe_counted"
    assert await world.value("SELECT state FROM inbox ORDER BY id DESC LIMIT 1") == "PARKED"


async def test_a_payment_that_replaces_a_pending_one_is_credited_whole(world: World) -> None:
    """Replaced by fee: the first hash never confirms."""
    world.coin_rails[0].running_totals = True
    deal = await world.usd_deal()
    asked = await world.ask_coins(deal)
    await world.send_coins(asked, "105", "tx1", pending=True)
    world.clock.tick(minutes=1)
    assert await world.send_coins(asked, "105", "tx2") == "funded"
    assert await world.accounts(deal) == (0, 100, 5)


async def test_what_a_provider_saw_and_never_told_is_said_to_the_admins(world: World) -> None:
    deal = await world.usd_deal()
    await world.ask_coins(deal)
    world.coin_rails[0].found = Answer(Verdict.UNKNOWN, "no_events", "unknown")
    for minutes in (1, 58):
        world.clock.tick(minutes=minutes)
        await world.coins.look_due()
        assert "odd_coins" not in await world.told(ADMIN)
    world.clock.tick(minutes=5)
    for _ in range(2):
        await world.coins.look_due()
        world.clock.tick(hours=6)
    assert (await world.notice(ADMIN, "odd_coins"))["why"] == "unheard"


async def test_an_address_is_called_for_ever_where_it_was_given(world: World) -> None:
    asked = await world.ask_coins(await world.usd_deal())
    assert asked.attempt.callback_url == (
        f"https://amana.example/hooks/b/{'1' * 32}/{asked.attempt.token}"
    )


async def test_dust_credits_nothing_and_breaks_nothing(world: World) -> None:
    deal = await world.usd_deal()
    asked = await world.ask_coins(deal)
    assert await world.send_coins(asked, "0.009999") == "dust"
    assert await world.send_coins(asked, "0.0000000000000000001") == "nothing"
    (kept,) = await world.sql("SELECT dust, confirmed_at FROM crypto_deposits")
    assert kept["dust"]
    assert kept["confirmed_at"] == world.clock.now()
    assert await world.receipts() == []


async def test_an_unknown_token_is_parked_with_an_alert(world: World) -> None:
    asked = await world.ask_coins(await world.usd_deal())
    await world.send_coins(asked, "105", token="f" * 32)
    for _ in range(5):
        world.clock.tick(minutes=10)
        await world.settle_inbox()
    assert await world.value("SELECT state FROM inbox") == "PARKED"
    assert "request_parked" in await world.told(ADMIN)
    assert await world.receipts() == []


async def test_a_provider_cant_speak_for_another_ones_address(world: World) -> None:
    world.coin_rails.append(FakeCoinRail("dynopay"))
    both = world.configured()
    asked = await both.ask_coins(await world.usd_deal())
    raw = b'{"txid": "t", "coin": "USDT-TRC20", "amount": "105"}'
    await both.intake.store("dynopay", asked.attempt.token, "POST", "", raw, "")
    await both.settle_inbox()
    assert await world.receipts() == []
