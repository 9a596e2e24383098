"""Who says that he paid hears how it stands; what it came to follows by itself."""

from __future__ import annotations

from decimal import Decimal

import pytest

from escrow.domain.model import Channel, Evidence, Receipt
from escrow.domain.money import Currency, Money
from escrow.services.ports import Answer, StatusResult, Verdict
from sandbox import persona
from tests.bot.conftest import ADMIN, BUYER, SELLER, STRANGER, Town

_STATUS = "SELECT status FROM escrow_transactions WHERE id = $1"
MASKED = "254711***001"


async def _deal(town: Town) -> str:
    await town.shop()
    return await town.deal()


async def _in_suspense(town: Town, code: str, reference: str = "SKN0000009") -> str:
    """Money by hand under a deal that nobody reserved."""
    word = await town.pays_by_hand(10_100, code, shown=MASKED, receipt=reference)
    assert word == "suspense"
    return reference


async def _says_mpesa(town: Town, answer: Answer, *, payer: str = persona.BUYER.phone) -> str:
    """M-Pesa's answer about the last claim."""
    row = str(await town.value("SELECT token FROM payment_claims ORDER BY id DESC LIMIT 1"))
    reference = str(
        await town.value("SELECT reference FROM payment_claims ORDER BY id DESC LIMIT 1")
    )
    word = await town.claims.on_status_result(
        row,
        StatusResult(
            answer,
            reference=reference,
            amount=Money.from_decimal(Decimal(10_100), Currency.KES),
            payers=(f"{payer} - John",),
            receivers=("174379 - Amana",),
            happened_at=town.clock.now(),
        ),
    )
    await town.settle()
    return word


@pytest.mark.parametrize(
    "form",
    [
        "/paid {code} {reference}",
        "/paid {reference}",
        "{reference}",
        "/paid {reference} Confirmed. Ksh10,100.00 sent to AMANA for account {code} on 23/11/26",
        "{reference} Imethibitishwa. Ksh10,100.00 imetumwa kwa AMANA kwa akaunti {code} tarehe 23",
    ],
)
async def test_money_in_suspense_is_found_in_every_form(town: Town, form: str) -> None:
    code = await _deal(town)
    reference = await _in_suspense(town, code)
    await town.shares(BUYER, persona.BUYER.phone)
    said = await town.says(BUYER, form.format(code=code, reference=reference))
    texts = [message.text for message in said]
    assert any(f"{reference} is found and counted." in text for text in texts)
    assert any("your money is held" in text for text in texts)
    assert await town.value(_STATUS, code) == "HELD"


async def test_a_fake_reads_the_one_sentence(town: Town) -> None:
    code = await _deal(town)
    await town.shares(BUYER, persona.BUYER.phone)
    town.rail.can_ask_status = True
    asked = (await town.says(BUYER, f"/paid {code} SG632NMUAB"))[-1]
    assert "I asked M-Pesa about SG632NMUAB." in asked.text
    await _says_mpesa(town, Answer(Verdict.UNKNOWN, "2032", "no_such_receipt"))
    told = town.last(BUYER).text
    assert told.startswith("M-Pesa doesn't know this code. An SMS or screenshot is not payment.\n")
    assert await town.value(_STATUS, code) == "PENDING"


async def test_a_true_one_is_credited_by_mpesas_word(town: Town) -> None:
    code = await _deal(town)
    await town.shares(BUYER, persona.BUYER.phone)
    town.rail.can_ask_status = True
    await town.says(BUYER, f"/paid {code} SG632NMUAB")
    assert await _says_mpesa(town, Answer(Verdict.PAID, "0")) == "credited"
    assert "KES 10,100 received – your money is held." in town.last(BUYER).text
    again = (await town.says(BUYER, f"/paid {code} SG632NMUAB"))[-1].text
    assert "already counted" in again


async def test_somebody_elses_receipt_says_nothing_about_him(town: Town) -> None:
    code = await _deal(town)
    reference = await _in_suspense(town, code)
    await town.shares(BUYER, persona.BUYER.phone)
    await town.says(BUYER, f"/paid {reference}")
    town.telegram.user_starts(STRANGER)
    await town.settle()
    told = (await town.says(STRANGER, f"/paid {reference}"))[-1].text
    assert "can't be counted for you" in told
    assert code not in told
    assert "10,100" not in told


async def test_sharing_the_own_number_settles_it(town: Town) -> None:
    code = await _deal(town)
    reference = await _in_suspense(town, code)
    progress, asked = await town.says(BUYER, f"/paid {code} {reference}")
    assert "A person at Amana looks at it" not in asked.text
    assert f"A person at Amana looks at {reference}." in progress.text
    assert "share the one that paid" in asked.text
    texts = [message.text for message in await town.shares(BUYER, persona.BUYER.phone)]
    assert any("is found and counted" in text for text in texts)
    assert await town.value(_STATUS, code) == "HELD"


async def test_a_typed_number_is_not_asked_for_for_ever(town: Town) -> None:
    code = await _deal(town)
    reference = await _in_suspense(town, code)
    await town.says(BUYER, f"/paid {code} {reference}")
    await town.says(BUYER, "0711003001")
    told = await town.says(BUYER, "0711003001")
    assert "A person at Amana looks" in told[-1].text
    assert await town.value(_STATUS, code) == "PENDING"
    assert (
        await town.value(
            "SELECT count(*) FROM conversations WHERE telegram_id = $1 AND step <> 'over'", BUYER
        )
        == 0
    )


async def _card(town: Town) -> str:
    """A claim of a stranger that waits for the admin; the deal's code."""
    code = await _deal(town)
    await town.shares(STRANGER, persona.STRANGER.phone)
    await town.says(
        STRANGER, f"SG632NMUAB Confirmed. Ksh10,100.00 sent to AMANA for account {code} on 1"
    )
    return code


async def test_without_keys_the_admin_gets_a_card_and_credits(town: Town) -> None:
    code = await _card(town)
    card = town.last(ADMIN)
    assert "Is this payment his? KES 10,100" in card.text
    assert "only what he says" in card.text
    assert card.labels == ["Credit", "Not ours"]
    told = await town.taps(ADMIN, card, "Credit")
    assert f"credited to {STRANGER}" in told[-1].text
    assert await town.value(_STATUS, code) == "HELD"
    assert "your money is held" in town.last(STRANGER).text
    assert town.telegram.messages[card.id].keyboard == []


async def test_the_admin_refuses(town: Town) -> None:
    code = await _card(town)
    await town.taps(ADMIN, town.last(ADMIN), "Not ours")
    assert "SG632NMUAB was not counted" in town.last(STRANGER).text
    assert await town.value(_STATUS, code) == "PENDING"


async def test_nobody_but_an_admin_can_press_his_buttons(town: Town) -> None:
    code = await _card(town)
    own = (await town.says(STRANGER, "/start"))[-1]
    for data in ("b:claim_yes:1", "b:claim_no:1"):
        await town.taps_data(STRANGER, own, data)
    assert await town.value("SELECT state FROM payment_claims") == "PERSON"
    assert await town.value(_STATUS, code) == "PENDING"


@pytest.mark.parametrize("text", ["/paid", "/paid hello", "/paid ES1008257626"])
async def test_what_names_no_receipt_is_told_how(town: Town, text: str) -> None:
    told = (await town.says(BUYER, text))[-1].text
    assert "/paid SG632NMUAB" in told
    assert await town.value("SELECT count(*) FROM payment_claims") == 0


async def test_the_seller_and_the_sixth_claim_are_refused(town: Town) -> None:
    code = await _deal(town)
    assert "your own deal" in (await town.says(SELLER, f"/paid {code} SG632NMUAB"))[-1].text
    town.rail.can_ask_status = True
    for number in range(5):
        await town.says(BUYER, f"/paid SG632NMUA{number}")
    assert "for this hour" in (await town.says(BUYER, "/paid SG632NMUA9"))[-1].text


async def test_money_of_a_finished_deal_is_said_to_be_in_the_wallet(town: Town) -> None:
    code = await _deal(town)
    await town.shares(BUYER, persona.BUYER.phone)
    await town.says(SELLER, f"/cancel {code}")
    receipt = Receipt(
        provider="mpesa",
        channel=Channel.C2B,
        reference="SKN0000009",
        amount=Money(10_100_00, Currency.KES),
        happened_at=town.clock.now(),
        escrow_code=code,
        payer_shown=MASKED,
    )
    await town.funds.process_escrow_payment(receipt, Evidence.STATUS)
    await town.says(BUYER, "SKN0000009")
    assert "KES 10,100 is in your wallet." in town.last(BUYER).text
