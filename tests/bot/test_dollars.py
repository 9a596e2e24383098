"""Dollars leave as coins: asked step by step, shown whole, booked once, sent by an admin's hand."""

from __future__ import annotations

import pytest

from escrow.bot.notices import NOTICES
from escrow.domain.money import Currency, Money
from sandbox.faults import Fault
from sandbox.telegram_chats import Message
from sandbox.telegram_html import parse_html
from tests.bot import samples
from tests.bot.conftest import ADMIN, BUYER, STRANGER, Town
from tests.coin_addresses import ETHEREUM, OTHER_TRON, TRON, txid

_BOOKED = "SELECT coalesce(sum(amount_minor), 0)::bigint FROM payouts WHERE telegram_id = $1"
ON_TRON, ON_ETHEREUM = "USDT · Tron (TRC-20)", "USDC · Ethereum (ERC-20)"


async def give(town: Town, owner: int, minor: int, currency: Currency = Currency.USD) -> None:
    """That much in his wallet."""
    await town.says(owner, "/start")
    number = await town.value("SELECT count(*) FROM ledger_journals")
    async with town.database.unit() as conn:
        await conn.execute(
            "SELECT ledger_post($1)",
            [
                {
                    "kind": "test",
                    "key": f"test:{number}",
                    "hash": "x",
                    "currency": currency.code,
                    "at": town.clock.now(),
                    "escrow": None,
                    "entries": [["external", "blockbee", -minor], ["wallet", str(owner), minor]],
                }
            ],
        )


async def shown(town: Town, typed: str = "USD 25", address: str = TRON) -> Message:
    """The question before the booking."""
    asked = (await town.says(BUYER, f"/withdraw {typed}"))[-1]
    await town.taps(BUYER, asked, ON_TRON if address.startswith("T") else ON_ETHEREUM)
    return (await town.says(BUYER, address))[-1]


async def booked(town: Town, typed: str = "USD 25", address: str = TRON) -> Message:
    """The admin's card of one that waits."""
    await town.says(ADMIN, "/start")
    await give(town, BUYER, 100_00)
    await town.taps(BUYER, await shown(town, typed, address), "Yes, send")
    return town.last(ADMIN)


async def wallet(town: Town, owner: int = BUYER) -> object:
    return await town.value(
        "SELECT available_minor FROM wallet_balances WHERE telegram_id = $1 AND currency = 'USD'",
        owner,
    )


# -- who withdraws ---------------------------------------------------------------------------------


async def test_dollars_are_withdrawn_and_paid_with_a_hash(town: Town) -> None:
    await town.says(ADMIN, "/start")
    await give(town, BUYER, 100_00)
    asked = (await town.says(BUYER, "/withdraw USD 25"))[-1]
    assert "Withdraw USD 25: as which coin?" in asked.text
    assert asked.labels == [ON_TRON, "USDT · Ethereum (ERC-20)", ON_ETHEREUM]
    await town.taps(BUYER, asked, ON_TRON)
    assert f"USD 25 as {ON_TRON}: to which address?" in town.telegram.messages[asked.id].text
    question = (await town.says(BUYER, f"  {TRON} "))[-1]
    assert question.text.startswith(f"Send USD 25 as {ON_TRON}?\nTo {TRON}\nUSD 75 stays")
    assert "a wrong address can't be undone" in question.text
    assert await town.value(_BOOKED, BUYER) == 0
    await town.taps(BUYER, question, "Yes, send")
    done = town.telegram.messages[question.id]
    assert "An admin sends USD 25 by hand, usually within a day." in done.text
    assert TRON in done.text
    assert done.keyboard == []
    assert await wallet(town) == 75_00
    row = "SELECT destination || ' ' || state || ' ' || note FROM payouts"
    assert await town.value(row) == f"USDT-TRC20:{TRON} MANUAL in_coins"
    mine = (await town.says(BUYER, "/wallet"))[-1].text
    assert "On its way to you: USD 25" in mine
    assert "-USD 25 · sent to you as coins" in mine
    card = town.last(ADMIN)
    assert f"Please send USD 25 as {ON_TRON} (payout 1)." in card.text
    assert f"To {TRON}" in card.text
    assert "M-Pesa" not in card.text
    asked = (await town.taps(ADMIN, card, "Paid"))[-1]
    assert "paste the hash of the transaction" in asked.text
    told = (await town.says(ADMIN, f"0x{txid(1).upper()}"))[-1]
    assert f"Payout 1 is paid, transaction {txid(1)}." in told.text
    paid = town.last(BUYER)
    assert paid.text.startswith(f"USD 25 sent to {TRON} (USDT-TRC20).")
    assert txid(1) in paid.text
    assert "M-Pesa" not in paid.text
    assert town.payout_rail.asked == town.payout_rail.sent == []
    out = (
        "SELECT a.owner FROM ledger_entries e JOIN ledger_accounts a ON a.id = e.account_id"
        " JOIN ledger_journals j ON j.id = e.journal_id"
        " WHERE j.kind = 'payout_paid' AND a.kind = 'external' AND e.amount_minor = 2500"
    )
    assert await town.value(out) == "coins"


async def test_all_of_them_are_offered_below_the_wallet(town: Town) -> None:
    await give(town, BUYER, 30_50)
    mine = (await town.says(BUYER, "/wallet"))[-1]
    assert mine.labels == ["Withdraw USD 30.50", "Automatic payouts: on"]
    assert "have it sent as USDT or USDC" in mine.text
    asked = (await town.taps(BUYER, mine, "Withdraw USD 30.50"))[-1]
    assert "Withdraw USD 30.50: as which coin?" in asked.text


@pytest.mark.parametrize("typed", ["", "USD", "$"])
async def test_who_has_dollars_alone_needs_no_amount(town: Town, typed: str) -> None:
    await give(town, BUYER, 30_50)
    asked = (await town.says(BUYER, f"/withdraw {typed}"))[-1]
    assert "Withdraw USD 30.50: as which coin?" in asked.text


async def test_shillings_come_first_and_dollars_stay(town: Town) -> None:
    await give(town, BUYER, 30_00)
    await give(town, BUYER, 500_00, Currency.KES)
    await town.people.set_phone(BUYER, "254711003001", is_contact=True)
    asked = (await town.says(BUYER, "/withdraw"))[-1]
    assert asked.text.startswith("Send KES 500 to")
    mine = (await town.says(BUYER, "/wallet"))[-1]
    assert mine.labels[1] == "Withdraw USD 30"


async def test_what_cannot_be_sent_is_said_in_words(town: Town) -> None:
    await give(town, BUYER, 30_00)
    for typed, words in (
        ("USD 9.99", "USD 10 is the least"),
        ("USD 30.01", "holds USD 30, so no more"),
        ("USD x", "can't read"),
    ):
        assert words in (await town.says(BUYER, f"/withdraw {typed}"))[-1].text
    assert "holds USD 0, so no more" in (await town.says(STRANGER, "/withdraw USD 25"))[-1].text
    small = (await town.says(STRANGER, "/withdraw USD"))[-1]
    assert "USD 10 is the least" in small.text
    assert await town.value(_BOOKED, BUYER) == 0


async def test_a_wrong_address_says_what_to_do_and_changes_nothing(town: Town) -> None:
    await give(town, BUYER, 30_00)
    asked = (await town.says(BUYER, "/withdraw USD 25"))[-1]
    pressed = (await town.says(BUYER, TRON))[-1]
    assert "press one of the buttons" in pressed.text
    await town.taps(BUYER, asked, ON_TRON)
    for typed, words in (
        (ETHEREUM, "no Tron address"),
        (TRON[:-1], "no Tron address"),
        (TRON[:-1] + ("1" if TRON[-1] != "1" else "2"), "Something in that address is wrong"),
        ("TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t", "the address of the coin itself"),
        ("SG632NMUAB", "no Tron address"),
        ("ES1008257624", "no Tron address"),
        ("0712345678", "no Tron address"),
    ):
        said = (await town.says(BUYER, typed))[-1]
        assert words in said.text, typed
        assert "Nothing was sent" in said.text
    good = (await town.says(BUYER, TRON))[-1]
    assert good.labels == ["Yes, send"]


async def test_an_address_of_ours_is_not_withdrawn_to(town: Town) -> None:
    await town.shop()
    deal = await town.deal()
    await give(town, BUYER, 30_00)
    async with town.database.unit() as conn:
        await conn.execute(
            "INSERT INTO crypto_attempts (cause, callback_url, token, provider, escrow_id,"
            " telegram_id, coin,"
            " currency, amount_minor, usd_minor, kes_per_usd, state, coin_amount, address,"
            " created_at, opened_at, expires_at) VALUES ('c', 'x', repeat('a', 32),"
            " 'blockbee', $1, $2,"
            " 'USDC-ERC20', 'KES', 100, 100, 129.5, 'OPEN', 1, $3, now(), now(),"
            " now() + interval '1 hour')",
            deal,
            BUYER,
            ETHEREUM.lower(),
        )
    asked = (await town.says(BUYER, "/withdraw USD 25"))[-1]
    await town.taps(BUYER, asked, ON_ETHEREUM)
    said = (await town.says(BUYER, ETHEREUM))[-1]
    assert "was given out by Amana" in said.text
    assert (await town.says(BUYER, ETHEREUM[:-1] + "x"))[-1].text.startswith("That is no Ethereum")


async def test_a_press_books_once_whatever_becomes_of_its_answer(town: Town) -> None:
    await give(town, BUYER, 100_00)
    question = await shown(town)
    data = str(question.keyboard[0][0]["callback_data"])
    town.telegram.faults.add(Fault("editMessageText", cut=True))
    await town.taps_data(BUYER, question, data)
    await town.taps_data(BUYER, question, data)
    assert await town.value(_BOOKED, BUYER) == 25_00
    town.application.bot_data.pop("pressed")  # a restart
    await town.says(BUYER, "/withdraw USD 30")  # another question is open by now
    await town.taps_data(BUYER, question, data)
    assert "An admin sends USD 25 by hand" in town.telegram.messages[question.id].text
    assert await town.value(_BOOKED, BUYER) == 25_00
    again = await shown(town)
    await town.taps(BUYER, again, "Yes, send")
    assert await town.value(_BOOKED, BUYER) == 50_00


async def test_a_press_after_it_was_sent_sends_nothing(town: Town) -> None:
    await town.says(ADMIN, "/start")
    await give(town, BUYER, 100_00)
    question = await shown(town)
    data = str(question.keyboard[0][0]["callback_data"])
    await town.taps_data(BUYER, question, data)
    await town.taps(ADMIN, town.last(ADMIN), "Paid")
    await town.says(ADMIN, txid(1))
    town.application.bot_data.pop("pressed")
    said = (await town.taps_data(BUYER, question, data))[-1]
    assert "nothing more was sent" in said.text
    assert await wallet(town) == 75_00


async def test_what_was_shown_is_what_is_booked(town: Town) -> None:
    """Another address, coin or amount since: the older question sends nothing."""
    await give(town, BUYER, 100_00)
    first = await shown(town)
    second = (await town.says(BUYER, OTHER_TRON))[-1]
    assert "question is over" in (await town.taps(BUYER, first, "Yes, send"))[-1].text
    await town.taps(BUYER, second, "Yes, send")
    assert await town.value("SELECT destination FROM payouts") == f"USDT-TRC20:{OTHER_TRON}"
    for changed in ("/withdraw USD 26", "/cancel", "/start"):
        await town.says(BUYER, changed)
        assert "is over" in (await town.taps(BUYER, first, "Yes, send"))[-1].text
    assert await town.value(_BOOKED, BUYER) == 25_00


async def test_another_coin_asks_for_the_address_again(town: Town) -> None:
    await give(town, BUYER, 100_00)
    asked = (await town.says(BUYER, "/withdraw USD 25"))[-1]
    await town.taps(BUYER, asked, ON_TRON)
    question = (await town.says(BUYER, TRON))[-1]
    now = town.telegram.messages[asked.id]
    assert ON_TRON not in now.labels
    await town.taps(BUYER, now, ON_ETHEREUM)
    assert "is over" in (await town.taps(BUYER, question, "Yes, send"))[-1].text
    assert "no Ethereum address" in (await town.says(BUYER, TRON))[-1].text
    good = (await town.says(BUYER, ETHEREUM))[-1]
    await town.taps(BUYER, good, "Yes, send")
    assert await town.value("SELECT destination FROM payouts") == f"USDC-ERC20:{ETHEREUM}"


async def test_buttons_that_nobody_was_shown_send_nothing(town: Town) -> None:
    await give(town, BUYER, 100_00)
    question = await shown(town)
    own = (await town.says(BUYER, "/start"))[-1]
    for data in ("b:usd_yes:1", "b:usd_coin:99", "b:usd_coin:9"):
        assert "is over" in (await town.taps_data(BUYER, own, data))[-1].text
    foreign = (await town.says(STRANGER, "/start"))[-1]
    data = str(question.keyboard[0][0]["callback_data"])
    assert "is over" in (await town.taps_data(STRANGER, foreign, data))[-1].text
    assert await town.value("SELECT count(*) FROM payouts") == 0


async def test_what_was_spent_meanwhile_is_not_sent(town: Town) -> None:
    await give(town, BUYER, 30_00)
    question = await shown(town)
    async with town.database.unit() as conn:
        await conn.execute(
            "SELECT ledger_post($1)",
            [
                {
                    "kind": "test",
                    "key": "test:spent",
                    "hash": "x",
                    "currency": "USD",
                    "at": town.clock.now(),
                    "escrow": None,
                    "entries": [["wallet", str(BUYER), -1000], ["external", "blockbee", 1000]],
                }
            ],
        )
    said = (await town.taps(BUYER, question, "Yes, send"))[-1]
    assert "holds USD 20, so no more" in said.text
    assert await town.value(_BOOKED, BUYER) == 0


# -- admins ----------------------------------------------------------------------------------------


async def test_the_list_shows_coin_network_and_whole_address_to_copy(town: Town) -> None:
    await booked(town)
    (listed,) = await town.says(ADMIN, "/payouts")
    assert "USD 25" in listed.text
    assert f"wallet, as {ON_TRON} to {TRON}" in listed.text
    assert "Dollars are sent as coins, by hand." in listed.text
    assert listed.labels == ["1: paid", "1: don't pay"]


async def test_a_hash_is_asked_for_and_nothing_else_closes_it(town: Town) -> None:
    card = await booked(town)
    await town.taps(ADMIN, card, "Paid")
    for typed in ("SG632NMUAB", "done", txid(1)[:-1], TRON, "0" * 63 + "g"):
        assert "no hash of a transaction" in (await town.says(ADMIN, typed))[-1].text
    assert "is paid" in (await town.says(ADMIN, txid(1)))[-1].text
    assert "Nothing changed" in (await town.taps(ADMIN, card, "Can't be paid"))[-1].text
    assert "Nothing changed" in (await town.taps(ADMIN, card, "Paid"))[-1].text


async def test_one_transaction_pays_one_payout(town: Town) -> None:
    first = await booked(town)
    await town.taps(BUYER, await shown(town), "Yes, send")
    second = town.last(ADMIN)
    await town.taps(ADMIN, first, "Paid")
    await town.says(ADMIN, txid(1))
    await town.taps(ADMIN, second, "Paid")
    assert "belongs to another payout" in (await town.says(ADMIN, f"0X{txid(1)}"))[-1].text
    assert "Payout 2 is paid" in (await town.says(ADMIN, txid(2)))[-1].text


async def test_a_hash_pays_no_shillings(town: Town) -> None:
    await town.says(ADMIN, "/start")
    await give(town, BUYER, 500_00, Currency.KES)
    town.payout_rail.can_pay = False
    await town.people.set_phone(BUYER, "254711003001", is_contact=True)
    await town.payouts.book_withdrawal(BUYER, Money(500_00, Currency.KES), "test:1")
    await town.settle()
    await town.taps(ADMIN, town.last(ADMIN), "Paid")
    assert "no receipt number" in (await town.says(ADMIN, txid(1)))[-1].text


async def test_what_can_not_be_sent_goes_back_into_the_wallet(town: Town) -> None:
    card = await booked(town)
    await town.taps(ADMIN, card, "Can't be paid")
    assert "back in the wallet" in (await town.says(ADMIN, "the network is down"))[-1].text
    told = town.last(BUYER).text
    assert "USD 25 could not be sent to" in told
    assert "the network is down" in told
    assert "M-Pesa" not in told
    assert await wallet(town) == 100_00


async def test_an_admin_sends_nothing_to_himself(town: Town) -> None:
    await give(town, ADMIN, 100_00)
    asked = (await town.says(ADMIN, "/withdraw USD 25"))[-1]
    await town.taps(ADMIN, asked, ON_TRON)
    question = (await town.says(ADMIN, TRON))[-1]
    await town.taps(ADMIN, question, "Yes, send")
    card = town.last(ADMIN)
    assert "not for you" in card.text
    assert card.keyboard == []
    (listed,) = await town.says(ADMIN, "/payouts")
    for label in ("1: paid", "1: don't pay"):
        said = (await town.taps(ADMIN, listed, label))[-1]
        assert "another admin decides it" in said.text


async def test_a_day_is_no_delay_and_the_second_one_is_told(town: Town) -> None:
    await booked(town)
    town.clock.advance(hours=23)
    await town.payouts.ask_due()
    await town.settle()
    assert "longer than usual" not in town.last(BUYER).text
    town.clock.advance(hours=2)
    await town.payouts.ask_due()
    await town.settle()
    assert "USD 25 to" in town.last(BUYER).text
    assert "longer than usual" in town.last(BUYER).text
    assert "waits for more than a day" in town.last(ADMIN).text


async def test_an_address_that_came_past_us_breaks_no_screen(town: Town) -> None:
    """PostgreSQL keeps letters and digits alone; what the screens get is escaped all the same."""
    await booked(town)
    values = {"payout": 1, "amount": "USD 25", "number": "<b>T&</b>\n/payouts", "why": "in_coins"}
    hostile = {**values, "coin": "<i>X</i>", "receipt": None, "code": None}
    text, entities = parse_html(str(NOTICES["payout_manual"](hostile, samples.page())))
    assert "<b>T&</b>" in text
    assert [one["type"] for one in entities] == ["bold", "code", "italic"]


@pytest.mark.parametrize("language", ["sw"])
async def test_it_speaks_the_readers_language(town: Town, language: str) -> None:
    await give(town, BUYER, 100_00)
    await town.people.set_language(BUYER, language)
    asked = (await town.says(BUYER, "/withdraw USD 25"))[-1]
    assert "as which coin" not in asked.text
