"""A buyer pays in coins: which one, how much, where to, and what he reads until it is held."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from escrow.bot import coin_texts, keyboards
from escrow.bot.buttons import Verb, unpack
from escrow.bot.desk import OFFICE
from escrow.domain.coins import COINS
from escrow.domain.money import Currency
from escrow.services.ports import Answer, Verdict
from sandbox import persona
from sandbox.telegram_chats import Message
from tests.bot import coin_samples, samples
from tests.bot.conftest import ADMIN, BUYER, SELLER, STRANGER, Town
from tests.world import usd

_STATUS = "SELECT status FROM escrow_transactions WHERE id = $1"
_ATTEMPTS = "SELECT count(*) FROM crypto_attempts"


def _now(town: Town, message: Message) -> Message:
    """What stands in that message by now."""
    return town.telegram.messages[message.id]


async def _dollars(town: Town) -> str:
    """A deal of 100 dollars, due 101; its code."""
    await town.shop()
    return await town.deal("USD 100", "Logo design")


async def _quoted(town: Town, code: str, coin: str = "USDT, Tron") -> Message:
    """The buyer looks at it, wants to pay in crypto and picks a coin; what stands there then."""
    card = (await town.says(BUYER, code))[-1]
    which = (await town.taps(BUYER, card, "Pay in crypto"))[-1]
    await town.taps(BUYER, which, coin)
    return _now(town, which)


def _copied(message: Message) -> list[str]:
    return [
        button["copy_text"]["text"]
        for row in message.keyboard
        for button in row
        if "copy_text" in button
    ]


# -- the way to the money -----------------------------------------------------------------------


async def test_a_dollar_deal_is_opened_paid_in_coins_and_held(town: Town) -> None:
    code = await _dollars(town)
    card = (await town.says(BUYER, code))[-1]
    assert "USD 101 · waiting for payment" in card.text
    assert card.labels == ["Pay in crypto", *card.labels[1:]]
    assert not any("M-Pesa" in label or "paybill" in label for label in card.labels)
    which = (await town.taps(BUYER, card, "Pay in crypto"))[-1]
    assert "USD 101 in crypto" in which.text
    assert which.labels == [
        "USDT, Tron (TRC-20)",
        "USDT, Ethereum (ERC-20)",
        "USDC, Ethereum (ERC-20)",
        "Bitcoin",
        "Litecoin",
        "ETH, Ethereum",
        "TRX, Tron",
        "XRP, XRP Ledger",
        "Back to the deal",
    ]
    await town.taps(BUYER, which, "USDT, Tron")
    quote = _now(town, which)
    address = await town.value("SELECT address FROM crypto_attempts")
    for words in (
        "Send 101 USDT",
        "Network: Tron (TRC-20)",
        f"To: {address}",
        f"USD 101 for deal {code}",
        "by 12:30 (in 30 minutes)",
        "Send only USDT on Tron (TRC-20)",
    ):
        assert words in quote.text
    assert _copied(quote) == [address, "101"]
    await town.sends_coins("101", "tx1", pending=True)
    seen = town.last(BUYER)
    assert "I see your 101 USDT." in seen.text
    assert "don't pay again" in seen.text
    assert "too late" not in seen.text
    assert await town.value(_STATUS, code) == "PENDING"
    assert "waiting for payment" in (await town.taps(BUYER, seen, "Back to the deal"))[-1].text
    assert await town.sends_coins("101", "tx1") == "funded"
    assert await town.value(_STATUS, code) == "HELD"
    assert "your money is held" in town.last(BUYER).text
    assert "USD 100" in town.last(SELLER).text
    assert "Pay in crypto" not in (await town.says(BUYER, code))[-1].labels


async def test_dollars_as_the_amount_of_the_guided_way_lead_to_coins(town: Town) -> None:
    await town.shop()
    asked = (await town.says(SELLER, "/newdeal"))[-1]
    assert "USD 20 to be paid in crypto" in asked.text
    await town.says(SELLER, "USD 100")
    fee = (await town.says(SELLER, "Logo design"))[-1]
    await town.taps(SELLER, fee, "The buyer")
    await town.taps(SELLER, _now(town, fee), "Skip")
    preview = _now(town, fee)
    assert "USD 101" in preview.text
    await town.taps(SELLER, preview, "Create")
    code = _now(town, preview).text.split("Deal ")[1].split()[0]
    await _quoted(town, code)
    assert await town.sends_coins("101", "tx1") == "funded"
    assert await town.value(_STATUS, code) == "HELD"


async def test_pay_on_a_dollar_deal_asks_for_no_number_and_leads_to_the_coins(town: Town) -> None:
    code = await _dollars(town)
    which = (await town.says(BUYER, f"/pay {code}"))[-1]
    assert "Which coin do you pay with?" in which.text
    await town.taps(BUYER, which, "Bitcoin")
    assert "Send 101 Bitcoin" in _now(town, which).text
    assert town.rail.prompts == []


async def test_a_coin_whose_address_is_shared_shows_its_tag_to_copy(town: Town) -> None:
    quote = await _quoted(town, await _dollars(town), "XRP")
    assert "With the tag (memo) 4711, or it is lost." in quote.text
    address = await town.value("SELECT address FROM crypto_attempts")
    assert _copied(quote) == [address, "101", "4711"]


async def test_a_small_amount_of_a_dear_coin_is_written_out(town: Town) -> None:
    town.coin_rail.prices["BTC"] = Decimal(97_531)
    quote = await _quoted(town, await _dollars(town), "Bitcoin")
    assert "Send 0.00103557 Bitcoin" in quote.text
    assert _copied(quote)[1] == "0.00103557"


async def test_the_same_coin_again_is_the_same_address(town: Town) -> None:
    code = await _dollars(town)
    first = await _quoted(town, code)
    second = await _quoted(town, code)
    assert _copied(first) == _copied(second)
    assert await town.value(_ATTEMPTS) == 1


async def test_a_press_handled_again_opens_no_second_address(town: Town) -> None:
    quote = await _quoted(town, await _dollars(town))
    await town.store.stop()
    async with town.database.unit() as conn:
        await conn.execute("UPDATE telegram_updates SET state = 'NEW', done_at = NULL")
    await town.store.start()
    await town.settle()
    assert await town.value(_ATTEMPTS) == 1
    assert len(town.coin_rail.opened) == 1
    assert _now(town, quote).text == quote.text


# -- no address ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer(Verdict.DECLINED, "400", "too_small"), "too little to be paid in USDT"),
        (Answer(Verdict.DECLINED, "404", "coin_unavailable"), "USDT can't be used now"),
        (Answer(Verdict.DECLINED, "500", "misconfigured"), "our admins are told"),
        (Answer(Verdict.UNKNOWN, "lost", "unknown"), "can't get an address just now"),
    ],
)
async def test_a_quote_that_is_not_given_says_why_and_has_ways_on(
    town: Town, answer: Answer, words: str
) -> None:
    town.coin_rail.answers.append(answer)
    told = await _quoted(town, await _dollars(town))
    assert "No address yet. Nothing was paid." in told.text
    assert words in told.text
    assert told.labels == ["Try again", "Another coin", "Back to the deal"]
    which = (await town.taps(BUYER, told, "Another coin"))[-1]
    assert "Which coin" in which.text
    await town.taps(BUYER, _now(town, told), "Try again")
    assert "Send 101 USDT" in _now(town, told).text


async def test_a_lost_answer_is_asked_again_for_the_same_address(town: Town) -> None:
    town.coin_rail.answers.append(Answer(Verdict.UNKNOWN, "lost", "unknown"))
    told = await _quoted(town, await _dollars(town))
    await town.taps(BUYER, told, "Try again")
    assert town.coin_rail.opened == [town.coin_rail.opened[0]] * 2
    assert await town.value(_ATTEMPTS) == 1


async def test_too_many_addresses_are_refused_with_a_way_back(town: Town) -> None:
    code = await _dollars(town)
    await _quoted(town, code)
    async with town.database.unit() as conn:
        await conn.execute(
            "INSERT INTO crypto_attempts (cause, token, provider, escrow_id, telegram_id, coin,"
            " currency, amount_minor, usd_minor, callback_url, created_at) SELECT 'x' || n,"
            " repeat('0', 31) || n, provider, escrow_id, telegram_id, coin, currency,"
            " amount_minor, usd_minor, callback_url, created_at FROM crypto_attempts,"
            " generate_series(1, 9) n"
        )
    told = await _quoted(town, code, "Bitcoin")
    assert "many addresses within an hour" in told.text
    assert "waiting for payment" in _text(await town.taps(BUYER, told, "Show the deal"), town, told)


def _text(answers: list[Message], town: Town, pressed: Message) -> str:
    return answers[-1].text if answers else _now(town, pressed).text


async def test_who_may_not_pay_gets_no_address(town: Town) -> None:
    code = await _dollars(town)
    own = (await town.says(SELLER, code))[-1]
    assert "Pay in crypto" not in own.labels
    for data in (f"b:coins:{code}", f"b:coin:{code}:1"):
        told = await town.taps_data(SELLER, own, data)
        assert "your own deal" in _text(told, town, own)
    await _quoted(town, code)
    town.telegram.user_starts(STRANGER, code)
    await town.settle()
    shown = town.last(STRANGER)
    assert "Somebody else is paying it just now." in shown.text
    assert shown.keyboard == []
    for data in (f"b:coins:{code}", f"b:coin:{code}:1"):
        told = await town.taps_data(STRANGER, shown, data)
        assert "Somebody else is paying" in _text(told, town, shown)
    assert await town.value(_ATTEMPTS) == 1
    assert await town.value("SELECT telegram_id FROM crypto_attempts") == BUYER


@pytest.mark.parametrize("number", [9, 77, 2**31])
async def test_a_coin_that_is_not_there_is_refused(town: Town, number: int) -> None:
    code = await _dollars(town)
    card = (await town.says(BUYER, code))[-1]
    told = await town.taps_data(BUYER, card, f"b:coin:{code}:{number}")
    assert "This coin can't be used now." in _text(told, town, card)
    assert await town.value(_ATTEMPTS) == 0


async def test_a_deal_that_was_paid_gets_no_address(town: Town) -> None:
    code = await _dollars(town)
    await _quoted(town, code)
    await town.sends_coins("101", "tx1")
    card = (await town.says(BUYER, code))[-1]
    told = await town.taps_data(BUYER, card, f"b:coin:{code}:1")
    assert "already paid" in _text(told, town, card)
    assert "already paid" in (await town.says(BUYER, f"/pay {code}"))[-1].text


# -- without providers, without a price ----------------------------------------------------------


async def test_without_a_provider_dollars_are_refused_with_words(town: Town) -> None:
    await town.shop()
    town.coin_rail.coins = ()
    for words in ("/newdeal USD 100 Logo design", "/newdeal $100 Logo", "/newdeal 100 USD Logo"):
        told = (await town.says(SELLER, words))[-1]
        assert "Dollar deals are paid in crypto" in told.text
        assert "/newdeal KES 1500 Blue phone case" in told.text
    asked = (await town.says(SELLER, "/newdeal"))[-1]
    assert "USD" not in asked.text
    assert "Dollar deals are paid in crypto" in (await town.says(SELLER, "USD 100"))[-1].text
    assert await town.value("SELECT count(*) FROM escrow_transactions") == 0


async def test_without_a_provider_a_dollar_deal_says_so_and_asks_for_no_number(
    town: Town,
) -> None:
    code = await _dollars(town)
    town.coin_rail.coins = ()
    card = (await town.says(BUYER, code))[-1]
    assert "can only be paid from the wallet for now" in card.text
    assert "Pay in crypto" not in card.labels
    told = (await town.says(BUYER, f"/pay {code}"))[-1]
    assert "No crypto provider can be used now, and this deal is in USD" in told.text
    assert told.button("Show the deal")


async def test_without_a_provider_a_dollar_deal_is_not_offered_again(town: Town) -> None:
    code = await _dollars(town)
    await _quoted(town, code)
    await town.sends_coins("101", "tx1")
    await town.escrows.receive(code, BUYER, "test:1")
    town.clock.advance(days=30)
    await town.escrows.release_due()
    await town.settle()
    over = (await town.says(SELLER, code))[-1]
    town.coin_rail.coins = ()
    same = await town.taps_data(SELLER, over, f"b:again:{code}")
    assert "Dollar deals are paid in crypto" in _text(same, town, over)


async def test_a_shilling_deal_shows_coins_only_while_the_dollars_price_is_fresh(
    town: Town,
) -> None:
    await town.shop()
    await town.shares(BUYER, persona.BUYER.phone)
    code = await town.deal()
    assert "Pay in crypto" not in (await town.says(BUYER, code))[-1].labels
    await town.coins.set_rate(Decimal(130), "host")
    card = (await town.says(BUYER, code))[-1]
    assert [label for label in card.labels if label.startswith("Pay")] == [
        "Pay 10,100 from 0711***001",
        "Pay by paybill",
        "Pay in crypto",
    ]
    quote = await _quoted(town, code)
    assert "Send 77.7 USDT" in quote.text
    assert f"That is KES 10,100 (USD 77.70) for deal {code}." in quote.text
    town.clock.advance(hours=24)
    told = await town.taps(BUYER, card, "Pay in crypto")
    assert "don't know today's price of the dollar" in _text(told, town, card)
    assert "Please choose another way on the deal's card" in _text(told, town, card)


async def test_a_shilling_deal_is_paid_in_coins(town: Town) -> None:
    await town.shop()
    await town.coins.set_rate(Decimal(130), "host")
    code = await town.deal()
    await _quoted(town, code)
    assert await town.sends_coins("77.7", "tx1") == "funded"
    assert await town.value(_STATUS, code) == "HELD"
    assert "KES 10,000" in town.last(SELLER).text


# -- DEFAULT_CURRENCY ----------------------------------------------------------------------------


async def test_an_amount_without_a_currency_is_of_the_one_that_is_set(town: Town) -> None:
    await town.shop()
    kes = (await town.says(SELLER, "/newdeal 150 Logo"))[-1]
    assert "you get KES 150" in kes.text
    town.application.bot_data[OFFICE] = replace(town.office, currency=Currency.USD)
    usd = (await town.says(SELLER, "/newdeal 150 Logo"))[-1]
    assert "you get USD 150" in usd.text
    assert "you get KES 150" in (await town.says(SELLER, "/newdeal KES 150 Logo"))[-1].text
    asked = (await town.says(SELLER, "/newdeal"))[-1]
    assert "like: 20 to be paid in crypto, or KES 1500" in asked.text
    await town.says(SELLER, "20")
    assert "USD" in (await town.says(SELLER, "Logo"))[-1].text


# -- less than it should be ----------------------------------------------------------------------


async def _short(town: Town) -> tuple[str, Message]:
    """95 of 101 dollars came: the choice."""
    code = await _dollars(town)
    await _quoted(town, code)
    assert await town.sends_coins("95", "tx1") == "choice"
    return code, town.last(BUYER)


async def test_a_short_payment_goes_on_with_what_came(town: Town) -> None:
    code, choice = await _short(town)
    assert "USD 6 short" in choice.text
    await town.taps(BUYER, choice, "Proceed")
    assert await town.value(_STATUS, code) == "HELD"


async def test_a_short_payment_is_cancelled_into_the_wallet(town: Town) -> None:
    code, choice = await _short(town)
    await town.taps(BUYER, choice, "Cancel")
    assert await town.value(_STATUS, code) == "CANCELLED"
    assert "USD 95" in (await town.says(BUYER, "/wallet"))[-1].text


async def test_a_short_payment_is_completed_in_coins(town: Town) -> None:
    code, choice = await _short(town)
    which = (await town.taps(BUYER, choice, "Complete payment"))[-1]
    assert "USD 6 in crypto" in which.text
    assert which.labels[0] == "USDT, Tron (TRC-20)"
    assert town.rail.prompts == []
    await town.taps(BUYER, which, "USDT, Tron")
    assert "Send 6 USDT" in _now(town, which).text
    assert await town.sends_coins("6", "tx2") == "funded"
    assert await town.value(_STATUS, code) == "HELD"


async def test_a_short_payment_of_shillings_is_completed_by_mpesa_or_coins(town: Town) -> None:
    await town.shop()
    await town.shares(BUYER, persona.BUYER.phone)
    await town.coins.set_rate(Decimal(100), "host")
    code = await town.deal()
    await _quoted(town, code)
    assert await town.sends_coins("95", "tx1") == "choice"
    which = (await town.taps(BUYER, town.last(BUYER), "Complete payment"))[-1]
    assert which.labels[:2] == ["From M-Pesa: KES 600", "USDT, Tron (TRC-20)"]
    await town.taps(BUYER, which, "From M-Pesa")
    assert [str(amount) for _, amount, _ in town.rail.prompts] == ["KES 600"]
    await town.answers_prompt(1, Answer(Verdict.PAID, "0"))
    assert await town.value(_STATUS, code) == "HELD"


async def test_without_a_provider_a_short_payment_of_dollars_is_not_asked_from_a_phone(
    town: Town,
) -> None:
    _, choice = await _short(town)
    town.coin_rail.coins = ()
    told = await town.taps(BUYER, choice, "Complete payment")
    assert "No crypto provider can be used now" in _text(told, town, choice)
    assert town.rail.prompts == []


async def test_far_too_little_goes_to_the_wallet_and_the_way_to_pay_stays(town: Town) -> None:
    await _quoted(town, await _dollars(town))
    assert await town.sends_coins("20", "tx1") == "refunded_to_wallet"
    told = town.last(BUYER)
    assert "USD 20" in told.text
    assert "Pay in crypto" in told.labels
    assert not any("M-Pesa" in label for label in told.labels)


async def test_coins_that_come_late_are_told_so(town: Town) -> None:
    await _quoted(town, await _dollars(town))
    town.clock.advance(minutes=31)
    await town.sends_coins("101", "tx1", pending=True)
    assert "came too late for the price that I named" in town.last(BUYER).text


async def test_odd_coins_are_an_admins_with_the_way_to_the_case(town: Town) -> None:
    code = await _dollars(town)
    await _quoted(town, code)
    assert await town.sends_coins("1000", "ab" * 32, coin="shib_bep20") == "other_coin"
    told = town.last(ADMIN)
    for words in ("Odd coins at BlockBee", "1000", "shib_bep20", code, "ab" * 32):
        assert words in told.text
    assert "nothing was credited" in told.text
    assert code in (await town.taps(ADMIN, told, f"Case {code}"))[-1].text
    assert await town.value("SELECT count(*) FROM receipts") == 0


# -- buttons and words --------------------------------------------------------------------------


def test_a_coins_button_means_that_coin_for_ever() -> None:
    keyboard = coin_texts.coins(samples.CODE, COINS)
    for coin, row in zip(COINS, keyboard.inline_keyboard, strict=False):
        button = unpack(str(row[0].callback_data))
        assert button is not None
        assert (button.verb, button.deal) == (Verb.COIN, samples.CODE)
        assert coin_texts.numbered(button.number) is coin
    assert coin_texts.numbered(0) is None
    assert coin_texts.numbered(-1) is None
    assert coin_texts.numbered(len(COINS) + 1) is None


@pytest.mark.parametrize("address", [coin_samples.ADDRESS, coin_samples.LONG, "0x" + "aB" * 20])
def test_the_buttons_copy_exactly_what_the_wallet_app_needs(address: str) -> None:
    asked = coin_samples.with_address(address, "4294967295")
    copied = [
        row[0].copy_text.text
        for row in coin_texts.copies(asked).inline_keyboard
        if row[0].copy_text is not None
    ]
    assert copied == [address, "80.77", "4294967295"]
    assert address in str(coin_texts.quote(asked, samples.page()))


def test_a_transaction_is_shown_whole_however_it_looks() -> None:
    txid = ("254712345678" * 6)[:64]
    values = {**coin_samples.notices("x")["odd_coins"], "txid": txid}
    assert txid in str(coin_texts.odd_coins(values, samples.page()))
    values["txid"] = "call 0712345678 <b>now</b>"
    shown = str(coin_texts.odd_coins(values, samples.page()))
    assert "0712345678" not in shown
    assert "<b>now" not in shown


def test_completing_in_dollars_offers_no_mpesa() -> None:
    assert (
        keyboards.ways_to_complete(
            replace(samples.CHOICE, due=usd(101), received=usd(95)), usd(0), by_mpesa=False
        )
        == []
    )
    ways = keyboards.ways_to_complete(
        replace(samples.CHOICE, due=usd(101), received=usd(95)), usd(6), by_mpesa=False
    )
    assert [way.text for way in ways] == ["From wallet: USD 6"]


# -- without M-Pesa ------------------------------------------------------------------------------


async def test_without_its_keys_mpesa_is_offered_nowhere(town: Town) -> None:
    await town.shop()
    code = await town.deal()
    town.rail.offered = False
    assert "by M-Pesa" not in (await town.says(BUYER, "/start"))[-1].text
    card = (await town.says(BUYER, code))[-1]
    assert not [label for label in card.labels if "M-Pesa" in label or "aybill" in label]
    assert "This deal can only be paid from the wallet for now." in card.text
    told = (await town.says(BUYER, f"/pay {code}"))[-1]
    assert "choose another way on the deal's card" in told.text
    assert told.button("Show the deal")
    assert town.rail.prompts == []


async def test_without_mpesa_a_shilling_deal_is_paid_in_coins(town: Town) -> None:
    await town.shop()
    town.rail.offered = False
    await town.office.coins.set_rate(Decimal(100), "host")
    code = await town.deal()
    card = (await town.says(BUYER, code))[-1]
    assert card.labels[0] == "Pay in crypto"
    assert "174379" not in card.text
    await _quoted(town, code)
    assert await town.sends_coins("95", "tx1") == "choice"
    which = (await town.taps(BUYER, town.last(BUYER), "Complete payment"))[-1]
    assert which.labels[0] == "USDT, Tron (TRC-20)"


async def test_without_mpesa_and_a_price_no_shilling_deal_is_opened(town: Town) -> None:
    await town.shop()
    town.rail.offered = False
    told = (await town.says(SELLER, "/newdeal 1500 Blue phone case"))[-1]
    assert "there is no M-Pesa and no price of the dollar" in told.text
    assert await town.value("SELECT count(*) FROM escrow_transactions") == 0
