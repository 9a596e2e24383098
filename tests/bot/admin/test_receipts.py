"""One receipt: what it is, its deal, and reversing it."""

from escrow.domain.model import Channel, Evidence, Receipt
from escrow.domain.money import Currency, Money
from tests.bot.admin.test_unmatched import NUMBER, due, shop, stray
from tests.bot.conftest import ADMIN, BUYER, SELLER, Town
from tests.reversal_rail import reversed_body

__all__ = ["shop"]


async def paid(town: Town, code: str) -> None:
    """The buyer paid by hand."""
    amount = await due(town, code)
    await town.funds.process_escrow_payment(
        Receipt(
            provider="mpesa",
            channel=Channel.C2B,
            reference=NUMBER,
            amount=Money(amount * 100, Currency.KES),
            happened_at=town.clock.now(),
            escrow_code=code,
            payer_shown="254722***222",
        ),
        Evidence.STATUS,
    )
    await town.settle()


async def test_a_receipt_shows_its_deal_its_proof_and_what_became_of_it(
    town: Town, shop: str
) -> None:
    await paid(town, shop)
    (card,) = await town.says(ADMIN, f"/receipt {NUMBER.lower()}")
    for words in ("credited", NUMBER, "0722***222", "Proved by: M-Pesa", shop, "completed"):
        assert words in card.text
    assert "254722" not in card.text


async def test_reversing_ends_the_deal_and_sends_the_money_back(town: Town, shop: str) -> None:
    await paid(town, shop)
    (card,) = await town.says(ADMIN, f"/receipt {NUMBER}")
    (preview,) = await town.taps(ADMIN, card, "Reverse it…")
    assert "ends as refunded" in preview.text
    await town.taps(ADMIN, preview, "Confirm")
    assert await town.value("SELECT status FROM escrow_transactions WHERE id = $1", shop) == (
        "REFUNDED"
    )
    assert "the buyer gets the money back" in town.last(SELLER).text
    assert "goes back to the number that paid it" in town.last(BUYER).text
    (card,) = await town.says(ADMIN, f"/receipt {NUMBER}")
    assert "on its way back" in card.text
    await town.payouts.send_due()
    (one,) = town.reversals.sent
    await town.payouts.on_reversed(one.token, reversed_body(one))
    await town.settle()
    assert "went back to the number that paid it" in town.last(BUYER).text
    (card,) = await town.says(ADMIN, f"/receipt {NUMBER}")
    assert "reversed: it went back" in card.text
    (again,) = await town.says(ADMIN, f"/receipt {NUMBER} reverse")
    assert "goes back to who paid it, or went" in again.text
    (other,) = await town.says(ADMIN, "/receipt SGBACK0001")
    assert f"Receipt {NUMBER} went back by it" in other.text


async def test_the_reason_is_typed_and_so_is_the_confirmation(town: Town, shop: str) -> None:
    await paid(town, shop)
    (preview,) = await town.says(ADMIN, f"/receipt {NUMBER} reverse paid <twice>")
    assert "paid <twice>" in preview.text
    number = preview.text.rpartition("confirm ")[2][:4]
    await town.says(ADMIN, f"/receipt {NUMBER} confirm {number}")
    assert "paid <twice>" in town.last(BUYER).text


async def test_a_receipt_in_suspense_can_be_assigned_or_sent_back(town: Town, shop: str) -> None:
    await stray(town, 700)
    (card,) = await town.says(ADMIN, f"/receipt {NUMBER}")
    assert "in suspense" in card.text
    (preview,) = await town.taps(ADMIN, card, "Send it back")
    assert "Send KES 700" in preview.text
    (no,) = await town.says(ADMIN, f"/receipt {NUMBER} reverse")
    assert "credited to nobody" in no.text


async def test_an_unknown_receipt_is_one_sentence_and_an_empty_one_the_usage(town: Town) -> None:
    await town.says(ADMIN, "/start")
    (unknown,) = await town.says(ADMIN, "/receipt SGNOTHING1")
    assert "Nobody here knows a receipt" in unknown.text
    (usage,) = await town.says(ADMIN, "/receipt")
    assert "/receipt SG632NMUAB" in usage.text
    (odd,) = await town.says(ADMIN, "/receipt <b>x</b>")
    assert "no receipt number" in odd.text


async def test_a_receipt_that_an_admin_booked_is_known(town: Town) -> None:
    await town.confirms("/book float 5000 SGL51H2K3M")
    (card,) = await town.says(ADMIN, "/receipt SGL51H2K3M")
    assert "KES 5,000 · float that was put in" in card.text
    assert f"booked by admin {ADMIN}, Mon 23 Nov, 12:00" in card.text
    assert card.keyboard == []


async def test_a_charge_under_a_customers_receipt_stands_on_its_card(town: Town, shop: str) -> None:
    await paid(town, shop)
    await town.confirms(f"/book charge 33 {NUMBER}")
    (card,) = await town.says(ADMIN, f"/receipt {NUMBER}")
    assert "credited" in card.text
    assert "KES 33 · M-Pesa's charge" in card.text
    assert "Reverse it…" in card.labels
