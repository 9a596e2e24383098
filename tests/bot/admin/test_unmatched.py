"""Money that nobody is credited with: an admin finds whose it is by buttons, or sends it back."""

import pytest

from escrow.domain.model import Channel, Evidence, Receipt
from escrow.domain.money import Currency, Money
from tests.bot.conftest import ADMIN, BUYER, SELLER, Town
from tests.reversal_rail import reversed_body

NUMBER = "SG632NMUAB"


async def stray(
    town: Town, amount: int, typed: str = "", *, number: str = NUMBER, shown: str = ""
) -> None:
    """Somebody pays by hand, and nobody can say for what."""
    await town.funds.process_escrow_payment(
        Receipt(
            provider="mpesa",
            channel=Channel.C2B,
            reference=number,
            amount=Money(amount * 100, Currency.KES),
            happened_at=town.clock.now(),
            escrow_code=None,
            typed_reference=typed,
            payer_shown=shown,
            payer_name="OTIENO <b>",
        ),
        Evidence.STATUS,
    )
    await town.settle()


@pytest.fixture
async def shop(town: Town) -> str:
    """A verified seller's deal of 1,000, with a buyer who holds it."""
    await town.says(ADMIN, "/start")
    await town.shop()
    code = await town.deal("1000")
    await town.says(BUYER, f"/start {code}")
    await town.people.set_phone(BUYER, "254722000222", is_contact=True)
    await town.office.prompts.reserve(code, BUYER)
    await town.settle()
    return code


async def due(town: Town, code: str) -> int:
    return int(
        str(await town.value("SELECT due_minor / 100 FROM escrow_transactions WHERE id = $1", code))
    )


async def test_nothing_unmatched_says_so(town: Town) -> None:
    await town.says(ADMIN, "/start")
    (listed,) = await town.says(ADMIN, "/unmatched")
    assert "All money is somebody's" in listed.text


async def test_one_wrong_digit_is_found_and_two_taps_fund_the_deal(town: Town, shop: str) -> None:
    wrong = shop[2:-1] + str((int(shop[-1]) + 1) % 10)
    await stray(town, await due(town, shop), f"es {wrong}", shown="254722***222")
    (listed,) = await town.says(ADMIN, "/unmatched")
    assert NUMBER in listed.text
    assert "the code fits" in listed.text
    assert "the payer's number fits" in listed.text
    assert "0722***222" in listed.text
    assert "OTIENO <b>" in listed.text
    (preview,) = await town.taps(ADMIN, listed, f"1: assign to {shop}")
    assert "The deal is funded" in preview.text
    assert await town.value("SELECT status FROM escrow_transactions WHERE id = $1", shop) == (
        "PENDING"
    )
    await town.taps(ADMIN, preview, "Confirm")
    assert await town.value("SELECT status FROM escrow_transactions WHERE id = $1", shop) == "HELD"
    assert any("held" in one.text.lower() for one in (town.last(BUYER), town.last(SELLER)))
    (listed,) = await town.says(ADMIN, "/unmatched")
    assert "All money is somebody's" in listed.text


async def test_the_same_amount_makes_a_deal_likely(town: Town, shop: str) -> None:
    await stray(town, await due(town, shop))
    (listed,) = await town.says(ADMIN, "/unmatched")
    assert "the amount fits" in listed.text
    assert shop in listed.text


async def test_of_deals_of_one_amount_the_one_that_was_being_paid_then_comes_first(
    town: Town, shop: str
) -> None:
    others = [await town.deal("1000") for _ in range(2)]  # newer, and nobody holds them
    await stray(town, await due(town, shop))
    (listed,) = await town.says(ADMIN, "/unmatched")
    assert "it was about to be paid then" in listed.text
    assert listed.text.index(shop) < min(
        listed.text.index(one) for one in others if one in listed.text
    )


async def test_assigning_is_typed_too_and_warns_of_another_number(town: Town, shop: str) -> None:
    await stray(town, await due(town, shop), shown="254733***333")
    (preview,) = await town.says(ADMIN, f"/assign_payment {NUMBER} {shop} {BUYER}")
    assert "Careful: the payer's number is not" in preview.text
    number = preview.text.rpartition("confirm ")[2][:4]
    (done,) = await town.says(ADMIN, f"/assign_payment {NUMBER} confirm {number}")
    assert "the deal is funded" in done.text


async def test_a_deal_without_a_buyer_gets_the_line_to_complete(town: Town) -> None:
    await town.says(ADMIN, "/start")
    await town.says(BUYER, "/start")
    await town.shop()
    code = await town.deal("1000")
    await stray(town, await due(town, code))
    (listed,) = await town.says(ADMIN, "/unmatched")
    (asked,) = await town.taps(ADMIN, listed, f"1: assign to {code}")
    line = f"/assign_payment {NUMBER} {code} {BUYER}"
    assert asked.text.endswith(line)
    (preview,) = await town.says(ADMIN, line)
    assert "The deal is funded" in preview.text


async def test_his_wallet_by_his_telegram_id(town: Town, shop: str) -> None:
    await stray(town, 700)
    (preview,) = await town.says(ADMIN, f"/assign_payment {NUMBER} {BUYER}")
    assert "It goes to the wallet of" in preview.text
    await town.taps(ADMIN, preview, "Confirm")
    assert await town.value("SELECT available_minor FROM wallet_balances") == 700_00


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("", "/assign_payment SG632NMUAB ES1008257624"),
        (NUMBER, "/assign_payment SG632NMUAB ES1008257624"),
        (f"{NUMBER} what", "/assign_payment SG632NMUAB ES1008257624"),
        (f"{NUMBER} ES1008257625 x y", "/assign_payment SG632NMUAB ES1008257624"),
        ("SGNOTHING1 3001", "Nobody here knows a receipt SGNOTHING1"),
        (f"{NUMBER} 999999", "Nobody with Telegram id 999999"),
    ],
)
async def test_what_can_not_be_read_or_found_is_one_sentence(
    town: Town, shop: str, typed: str, said: str
) -> None:
    await stray(town, 700)
    (answer,) = await town.says(ADMIN, f"/assign_payment {typed}".strip())
    assert said in answer.text
    assert await town.value("SELECT state FROM receipts") == "SUSPENSE"


async def test_it_is_sent_back_and_the_admin_hears_of_its_end(town: Town, shop: str) -> None:
    await stray(town, 700)
    (listed,) = await town.says(ADMIN, "/unmatched")
    (preview,) = await town.taps(ADMIN, listed, "1: send it back")
    assert "Send KES 700" in preview.text
    assert "M-Pesa reverses the payment" in preview.text
    await town.taps(ADMIN, preview, "Confirm")
    (listed,) = await town.says(ADMIN, "/unmatched")
    assert "1 more on the way back" in listed.text
    await town.payouts.send_due()
    (one,) = town.reversals.sent
    await town.payouts.on_reversed(one.token, reversed_body(one))
    await town.settle()
    assert "went back to who paid it" in town.last(ADMIN).text
    assert await town.value("SELECT state FROM receipts") == "RETURNED"


async def test_sending_back_is_typed_too(town: Town, shop: str) -> None:
    await stray(town, 700)
    (listed,) = await town.says(ADMIN, "/unmatched")
    (preview,) = await town.taps(ADMIN, listed, "1: send it back")
    number = preview.text.rpartition("confirm ")[2][:4]
    (done,) = await town.says(ADMIN, f"/unmatched {NUMBER} confirm {number}")
    assert "begins its way back" in done.text


async def test_without_keys_the_admin_gets_a_card(town: Town, shop: str) -> None:
    town.reversals.can_reverse = False
    await stray(town, 700, shown="254722***222")
    (listed,) = await town.says(ADMIN, "/unmatched")
    (preview,) = await town.taps(ADMIN, listed, "1: send it back")
    assert "By hand" in preview.text
    await town.taps(ADMIN, preview, "Confirm")
    card = town.last(ADMIN)
    assert "Please send KES 700 back by hand" in card.text
    assert NUMBER in card.text
    await town.taps(ADMIN, card, "Paid")
    await town.says(ADMIN, "SGHAND0001")
    assert await town.value("SELECT state FROM receipts") == "RETURNED"


async def test_many_are_paged(town: Town, shop: str) -> None:
    for n in range(9):
        await stray(town, 300 + n, number=f"SG00000{n:03d}")
    (listed,) = await town.says(ADMIN, "/unmatched")
    assert "credited with: 9" in listed.text
    assert "SG00000000" in listed.text
    assert "SG00000008" not in listed.text
    assert len(listed.text) < 4096


async def test_nobody_else_sees_or_moves_it(town: Town, shop: str) -> None:
    await stray(town, 700)
    for command in ("/unmatched", f"/assign_payment {NUMBER} {BUYER}", f"/receipt {NUMBER}"):
        (answer,) = await town.says(BUYER, command)
        assert NUMBER not in answer.text
    assert await town.value("SELECT count(*) FROM admin_actions") == 0
