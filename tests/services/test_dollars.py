"""Dollars that leave as coins by an admin's hand: once, with a hash, by an account of their own."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from escrow.domain.coins import BY_CODE
from escrow.domain.errors import Conflict, InvalidInput, LimitReached, NotAllowed, Paused
from escrow.domain.money import Currency, Money
from escrow.domain.payouts import InCoins, Payout, PayoutState
from escrow.services.auditing import Audits
from escrow.services.floating import books_of
from escrow.services.oversight import Oversight
from escrow.services.payout_asking import LATE_DOLLARS
from escrow.services.payout_booking import SettledLeg
from tests.coin_addresses import ETHEREUM, OTHER_TRON, TRON, txid
from tests.world import ADMIN, ADMINS, BRIAN, JANE, PHONES, SECOND_ADMIN, World, kes, usd

TO_TRON = InCoins(usd(25), BY_CODE["USDT-TRC20"], TRON)


@pytest.fixture
async def rich(world: World) -> AsyncIterator[World]:
    """Brian has 100 dollars."""
    await world.give(BRIAN, usd(100))
    await world.sql("DELETE FROM outbox")
    yield world
    held = "SELECT coalesce(sum(balance_minor), 0)::bigint FROM ledger_accounts WHERE kind = $1"
    waiting = "SELECT coalesce(sum(amount_minor), 0)::bigint FROM payouts WHERE state = 'MANUAL'"
    assert await world.value(held, "payable") == await world.value(waiting)


async def book(world: World, wish: InCoins | None = TO_TRON, cause: str = "1") -> Payout:
    booked = await world.payouts.book_dollars(BRIAN, wish, cause)
    return await world.payouts.payout(booked.id)


async def dollars(world: World, owner: int = BRIAN) -> Any:
    return await world.wallet(owner, Currency.USD)


async def left_by(world: World) -> list[tuple[str, int]]:
    """The accounts outside that payouts left by, with how much."""
    rows = await world.sql(
        "SELECT a.owner, sum(e.amount_minor)::bigint AS minor FROM ledger_entries e"
        " JOIN ledger_accounts a ON a.id = e.account_id JOIN ledger_journals j"
        " ON j.id = e.journal_id WHERE a.kind = 'external' AND j.kind = 'payout_paid'"
        " GROUP BY a.owner"
    )
    return [(row["owner"], row["minor"]) for row in rows]


# -- booked ------------------------------------------------------------------------------------


async def test_the_wallet_becomes_a_persons_task_with_the_address_frozen(rich: World) -> None:
    payout = await book(rich)
    assert payout.state is PayoutState.MANUAL
    assert (payout.coin, payout.address) == ("USDT-TRC20", TRON)
    assert payout.note == "in_coins"
    assert await dollars(rich) == 75
    for admin in ADMINS:
        card = await rich.notice(admin, "payout_manual")
        assert (card["amount"], card["coin"], card["number"]) == ("USD 25", "USDT-TRC20", TRON)


async def test_the_same_question_again_gets_the_first_answer(rich: World) -> None:
    first = await rich.payouts.book_dollars(BRIAN, TO_TRON, "1")
    assert await rich.payouts.book_dollars(BRIAN, TO_TRON, "1") == first
    assert await rich.payouts.book_dollars(BRIAN, None, "1") == first
    for other in (
        InCoins(usd(26), TO_TRON.coin, TRON),
        InCoins(usd(25), TO_TRON.coin, OTHER_TRON),
        InCoins(usd(25), BY_CODE["USDT-ERC20"], ETHEREUM),
    ):
        with pytest.raises(Conflict):
            await rich.payouts.book_dollars(BRIAN, other, "1")
    assert await dollars(rich) == 75


async def test_somebody_elses_question_is_another_one(rich: World) -> None:
    await book(rich)
    with pytest.raises(NotAllowed, match="dollars_over"):
        await rich.payouts.book_dollars(JANE, None, "1")


@pytest.mark.parametrize(
    ("wish", "error", "reason"),
    [
        (None, NotAllowed, "dollars_over"),
        (replace(TO_TRON, amount=usd("9.99")), LimitReached, "dollars_small"),
        (replace(TO_TRON, amount=usd("100.01")), LimitReached, "withdraw_short"),
        (replace(TO_TRON, address=ETHEREUM), InvalidInput, "not_tron_address"),
        (replace(TO_TRON, address=TRON[:-1]), InvalidInput, "not_tron_address"),
        (replace(TO_TRON, address="<b>"), InvalidInput, "not_tron_address"),
    ],
)
async def test_what_can_not_be_sent_is_refused(
    rich: World, wish: InCoins | None, error: type[Exception], reason: str
) -> None:
    before = await rich.snapshot()
    with pytest.raises(error, match=reason):
        await book(rich, wish)
    assert await rich.snapshot() == before
    assert await dollars(rich) == 100


async def test_the_least_and_everything_can_be_sent(rich: World) -> None:
    await book(rich, replace(TO_TRON, amount=usd(10)), "least")
    await book(rich, replace(TO_TRON, amount=usd(90)), "rest")
    assert await dollars(rich) == 0


async def test_an_address_that_we_gave_out_is_none_of_his(rich: World) -> None:
    deal = await rich.deal(buyer=BRIAN)
    await rich.sql(
        "INSERT INTO crypto_attempts (cause, callback_url, token, provider, escrow_id,"
        " telegram_id, coin,"
        " currency, amount_minor, usd_minor, kes_per_usd, state, coin_amount, address, created_at,"
        " opened_at, expires_at) VALUES ('c', 'x', repeat('a', 32), 'dynopay', $1, $2,"
        " 'USDT-TRC20',"
        " 'KES', 100, 100, 129.5, 'OPEN', 1, $3, now(), now(), now() + interval '1 hour')",
        deal.id,
        BRIAN,
        TRON,
    )
    with pytest.raises(InvalidInput, match="address_of_ours"):
        await book(rich)
    await book(rich, replace(TO_TRON, address=OTHER_TRON))


async def test_a_suspended_seller_waits_for_an_admin_as_with_shillings(rich: World) -> None:
    await rich.people.register_seller(BRIAN, "A shop", PHONES[BRIAN])
    await rich.suspend(BRIAN)
    booked = await rich.payouts.book_dollars(BRIAN, TO_TRON, "1")
    assert booked.why == "suspended"


async def test_a_pause_books_nothing(rich: World) -> None:
    await rich.pauses.pause(ADMIN, "test", "test:pause")
    with pytest.raises(Paused):
        await book(rich)
    assert await dollars(rich) == 100


async def test_ten_presses_at_once_book_once(rich: World) -> None:
    done = await asyncio.gather(
        *(rich.payouts.book_dollars(BRIAN, TO_TRON, "1") for _ in range(10))
    )
    assert len({one.id for one in done}) == 1
    assert await dollars(rich) == 75


async def test_more_than_there_is_is_booked_by_nobody_however_many_try(rich: World) -> None:
    wish = replace(TO_TRON, amount=usd(30))
    done = await asyncio.gather(
        *(rich.payouts.book_dollars(BRIAN, wish, str(number)) for number in range(8)),
        return_exceptions=True,
    )
    refused = [one for one in done if isinstance(one, LimitReached)]
    assert (len(done) - len(refused), len(refused)) == (3, 5)
    assert await dollars(rich) == 10


async def test_a_deal_paid_from_the_wallet_and_a_withdrawal_spend_it_once(rich: World) -> None:
    deal = await rich.usd_deal(80, buyer=BRIAN)
    done = await asyncio.gather(
        rich.prompts.pay_from_wallet(deal.id, BRIAN, "test:wallet"),
        rich.payouts.book_dollars(BRIAN, replace(TO_TRON, amount=usd(50)), "1"),
        return_exceptions=True,
    )
    assert sum(isinstance(one, Exception) for one in done) == 1, done
    assert await dollars(rich) in (usd(50).to_decimal(), usd(16).to_decimal())


# -- never by itself -------------------------------------------------------------------------------


async def test_nothing_is_sent_or_asked_at_mpesa(rich: World) -> None:
    await book(rich)
    assert rich.payout_rail.can_pay
    for _ in range(3):
        rich.clock.tick(hours=1)
        assert await rich.payouts.send_due() == (0, 0)
        assert await rich.payouts.ask_due() == (0, 0)
    assert rich.payout_rail.sent == rich.payout_rail.asked == rich.payout_rail.receipts == []


async def test_automatic_payouts_send_no_dollars(dsn: str) -> None:
    async with World.open(dsn, auto_payout=True) as world:
        deal = await world.usd_deal(buyer=BRIAN)
        leg = SettledLeg(deal.id, "seller", JANE, usd(100))
        async with world.db.unit() as conn:
            assert await world.booking.plan_settled(conn, [leg], world.clock.now()) == []
        await world.books()


# -- sent by an admin ------------------------------------------------------------------------------


async def test_an_admin_names_the_hash_and_it_is_paid(rich: World) -> None:
    payout = await book(rich)
    done = await rich.payouts.mark_paid(payout.id, ADMIN, f"0x{txid(1).upper()}")
    assert (done.state, done.provider_reference) == (PayoutState.PAID, txid(1))
    assert rich.payout_rail.receipts == []
    told = await rich.notice(BRIAN, "payout_paid")
    assert (told["reference"], told["coin"]) == (txid(1), "USDT-TRC20")
    assert TRON in told["to"]
    assert await left_by(rich) == [("coins", 25_00)]
    before = await rich.snapshot()
    assert await rich.payouts.mark_paid(payout.id, ADMIN, txid(1)) == done
    assert await rich.payouts.mark_paid(payout.id, SECOND_ADMIN, txid(1)) == done
    with pytest.raises(NotAllowed, match="payout_not_yours"):
        await rich.payouts.mark_paid(payout.id, ADMIN, txid(2))
    with pytest.raises(NotAllowed, match="payout_not_yours"):
        await rich.payouts.mark_failed(payout.id, ADMIN, "no")
    assert await rich.snapshot() == before


@pytest.mark.parametrize("typed", ["SG632NMUAB", "", txid(1)[:-1], txid(1) + "0", TRON])
async def test_what_is_no_hash_closes_nothing(rich: World, typed: str) -> None:
    payout = await book(rich)
    with pytest.raises(InvalidInput, match="not_a_hash"):
        await rich.payouts.mark_paid(payout.id, ADMIN, typed)
    assert (await rich.payouts.payout(payout.id)).state is PayoutState.MANUAL


async def test_a_hash_closes_no_payout_of_shillings(rich: World) -> None:
    await rich.give(BRIAN, kes(500))
    rich.payout_rail.can_pay = False
    booked = await rich.payouts.book_withdrawal(BRIAN, kes(500), "update:1")
    for typed in (txid(1), f"0x{txid(1)}"):
        with pytest.raises(InvalidInput, match="not_a_receipt"):
            await rich.payouts.mark_paid(booked.id, ADMIN, typed)


async def test_it_can_be_given_back_with_a_reason(rich: World) -> None:
    payout = await book(rich)
    done = await rich.payouts.mark_failed(payout.id, ADMIN, "an exchange's old address")
    assert done.state is PayoutState.FAILED
    assert await dollars(rich) == 100
    told = await rich.notice(BRIAN, "payout_failed")
    assert (told["words"], told["coin"]) == ("an exchange's old address", "USDT-TRC20")
    with pytest.raises(NotAllowed, match="payout_not_yours"):
        await rich.payouts.mark_paid(payout.id, ADMIN, txid(1))
    with pytest.raises(NotAllowed, match="sent_before"):
        await book(rich)
    assert await left_by(rich) == []


async def test_one_hash_pays_one_payout_for_ever(rich: World) -> None:
    first, second = await book(rich), await book(rich, cause="2")
    await rich.payouts.mark_paid(first.id, ADMIN, txid(1))
    for typed in (txid(1), txid(1).upper(), f"0x{txid(1)}"):
        with pytest.raises(NotAllowed, match="receipt_used"):
            await rich.payouts.mark_paid(second.id, ADMIN, typed)
    await rich.payouts.mark_paid(second.id, ADMIN, txid(2))


async def test_a_transaction_that_brought_coins_in_paid_nothing_out(rich: World) -> None:
    payout = await book(rich)
    deal = await rich.deal(buyer=BRIAN)
    await rich.sql(
        "WITH a AS (INSERT INTO crypto_attempts (cause, callback_url, token, provider,"
        " escrow_id, telegram_id,"
        " coin, currency, amount_minor, usd_minor, kes_per_usd, created_at) VALUES ('c', 'x',"
        " repeat('a', 32), 'dynopay', $1, $2, 'USDT-ERC20', 'KES', 100, 100, 129.5, now())"
        " RETURNING id) INSERT INTO crypto_deposits (attempt_id, txid, coin, amount, seen_at)"
        " SELECT id, t, 'USDT-ERC20', 1, now() FROM a, unnest($3::text[]) AS t",
        deal.id,
        BRIAN,
        [f"0x{txid(1).upper()}", txid(2)],
    )
    for number in (1, 2):
        with pytest.raises(NotAllowed, match="receipt_came_in"):
            await rich.payouts.mark_paid(payout.id, ADMIN, txid(number))
    await rich.payouts.mark_paid(payout.id, ADMIN, txid(3))


async def test_an_admin_decides_nothing_about_his_own(rich: World) -> None:
    await rich.give(ADMIN, usd(50))
    booked = await rich.payouts.book_dollars(ADMIN, TO_TRON, "1")
    for act in (
        rich.payouts.mark_paid(booked.id, ADMIN, txid(1)),
        rich.payouts.mark_failed(booked.id, ADMIN, "no"),
        rich.payouts.task(booked.id, ADMIN),
    ):
        with pytest.raises(NotAllowed, match="payout_own"):
            await act
    card = await rich.notice(ADMIN, "payout_manual")
    assert (card["own"], card["number"]) == ("another", None)
    await rich.payouts.mark_paid(booked.id, SECOND_ADMIN, txid(1))


async def test_two_admins_at_once_end_it_once(rich: World) -> None:
    for number in range(4):
        payout = await book(rich, replace(TO_TRON, amount=usd(10)), str(number))
        done = await asyncio.gather(
            rich.payouts.mark_paid(payout.id, ADMIN, txid(10 + number)),
            rich.payouts.mark_failed(payout.id, SECOND_ADMIN, "no"),
            rich.payouts.mark_paid(payout.id, SECOND_ADMIN, txid(20 + number)),
            return_exceptions=True,
        )
        assert sum(isinstance(one, Payout) for one in done) == 1, done
        ends = await rich.told(BRIAN)
        assert len(ends) == number + 1


async def test_one_hash_named_for_two_payouts_at_once_pays_one(rich: World) -> None:
    both = [await book(rich, cause=cause) for cause in "12"]
    done = await asyncio.gather(
        *(rich.payouts.mark_paid(one.id, ADMIN, txid(1)) for one in both), return_exceptions=True
    )
    assert sorted(type(one) for one in done if isinstance(one, Exception)) == [NotAllowed]
    assert await left_by(rich) == [("coins", 25_00)]


async def test_nobody_is_told_of_a_delay_before_a_day(rich: World) -> None:
    await book(rich)
    rich.clock.tick(hours=23)
    await rich.payouts.ask_due()
    assert await rich.told(BRIAN) == []
    rich.clock.tick(hours=1)
    for _ in range(2):
        await rich.payouts.ask_due()
    assert await rich.told(BRIAN) == ["payout_waits"]
    assert (await rich.notice(ADMIN, "payout_late"))["coin"] == "USDT-TRC20"


# -- the books -------------------------------------------------------------------------------------


async def test_the_books_of_mpesa_know_nothing_of_it(rich: World) -> None:
    async with rich.db.reading() as conn:
        before = await books_of(conn), await rich.floating.figure(conn)
    payout = await book(rich)
    async with rich.db.reading() as conn:
        assert (await books_of(conn), await rich.floating.figure(conn)) == before
    await rich.payouts.mark_paid(payout.id, ADMIN, txid(1))
    async with rich.db.reading() as conn:
        assert (await books_of(conn), await rich.floating.figure(conn)) == before


async def test_the_audit_finds_every_cent(rich: World) -> None:
    await rich.payouts.mark_paid((await book(rich)).id, ADMIN, txid(1))
    await rich.payouts.mark_failed((await book(rich, cause="2")).id, ADMIN, "no")
    await book(rich, cause="3")
    audits = Audits(rich.db, rich.clock, Oversight(rich.db, rich.clock, ADMINS))

    async def tell(part: str, rows: int) -> None:
        return None

    audit = await audits.run(tell)
    assert audit.breaks == []
    dollars = {kind: minor for (kind, one), minor in audit.trial.items() if one is Currency.USD}
    assert {kind: minor for kind, minor in dollars.items() if minor} == {
        "external": -75_00,
        "wallet": 50_00,
        "payable": 25_00,
    }


async def test_what_can_be_withdrawn_is_seen_before(rich: World) -> None:
    assert (await rich.wallets.view(BRIAN))["dollars"] == usd(100)
    assert await rich.wallets.only_dollars(BRIAN)
    assert await rich.wallets.dollars(BRIAN) == usd(100)
    assert await rich.wallets.preview_coins(BRIAN, TO_TRON) == usd(75)
    await rich.give(BRIAN, kes(500))
    assert not await rich.wallets.only_dollars(BRIAN)
    assert not await rich.wallets.only_dollars(JANE)
    with pytest.raises(LimitReached, match="dollars_small"):
        await rich.wallets.dollars(JANE)
    await book(rich, replace(TO_TRON, amount=Money(90_01, Currency.USD)))
    assert (await rich.wallets.view(BRIAN))["dollars"] is None
    with pytest.raises(LimitReached, match="dollars_small"):
        await rich.wallets.dollars(BRIAN)


def test_a_day_is_what_people_are_told() -> None:
    assert timedelta(hours=24) == LATE_DOLLARS
