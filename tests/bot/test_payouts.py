"""An admin pays by hand: the card with the full number, the receipt, the refusal, the list."""

from escrow.domain.money import Currency, Money
from tests.bot.conftest import ADMIN, BUYER, SELLER, Town
from tests.payout_rail import LOCKED, LOST, SHORT


async def by_hand(town: Town, owner: int = BUYER, *, rests: bool = False) -> None:
    """He wants 500 of his wallet, and nothing sends it by itself, or (`rests`) not today."""
    town.payout_rail.can_pay = rests
    await town.says(BUYER, "/start")
    await town.says(ADMIN, "/start")
    await town.people.set_phone(owner, "254722000222", is_contact=True)
    if rests:
        await town.people.register_seller(owner, "A shop", "254799000999")
    async with town.database.unit() as conn:
        await conn.execute(
            "SELECT ledger_post($1)",
            [
                {
                    "kind": "test",
                    "key": "test:wallet",
                    "hash": "x",
                    "currency": "KES",
                    "at": town.clock.now(),
                    "escrow": None,
                    "entries": [["owner", "", -1000_00], ["wallet", str(owner), 1000_00]],
                }
            ],
        )
    await town.payouts.book_withdrawal(owner, Money(500_00, Currency.KES), "test:1")
    await town.settle()


async def test_the_card_names_the_full_number_and_paid_takes_the_receipt(town: Town) -> None:
    await by_hand(town)
    card = town.last(ADMIN)
    assert "KES 500" in card.text
    assert "254722000222" in card.text
    await town.taps(ADMIN, card, "Paid")
    (again,) = await town.says(ADMIN, "no receipt")
    assert "no receipt number" in again.text
    (done,) = await town.says(ADMIN, "SGHAND0001")
    assert "is paid" in done.text
    told = town.last(BUYER)
    assert "KES 500 sent to 0722***222" in told.text
    assert "SGHAND0001" in told.text
    (late,) = await town.taps(ADMIN, card, "Can't be paid")
    assert "Nothing changed" in late.text


async def test_a_named_receipt_is_asked_about_and_a_second_press_closes_without_an_answer(
    town: Town,
) -> None:
    await by_hand(town)
    card = town.last(ADMIN)
    town.payout_rail.can_pay = True
    await town.taps(ADMIN, card, "Paid")
    (asked,) = await town.says(ADMIN, "SGHAND0001")
    assert "I ask M-Pesa about receipt SGHAND0001" in asked.text
    for _ in range(3):
        town.clock.advance(minutes=6)
        await town.payouts.ask_due()
    await town.settle()
    silent = town.last(ADMIN)
    assert "gives no answer" in silent.text
    await town.taps(ADMIN, silent, "Close it on my word")
    assert "SGHAND0001" in town.last(BUYER).text


async def test_what_can_not_be_paid_goes_back_and_says_why(town: Town) -> None:
    await by_hand(town)
    await town.taps(ADMIN, town.last(ADMIN), "Can't be paid")
    (done,) = await town.says(ADMIN, "the number is closed")
    assert "back in the wallet" in done.text
    assert "the number is closed" in town.last(BUYER).text


async def test_the_list_shows_what_waits_and_its_buttons(town: Town) -> None:
    await by_hand(town)
    (listed,) = await town.says(ADMIN, "/payouts")
    assert "Payouts that are not over: 1" in listed.text
    await town.taps(ADMIN, listed, "1: paid")
    await town.says(ADMIN, "SGHAND0002")
    (empty,) = await town.says(ADMIN, "/payouts")
    assert "No payout waits" in empty.text


async def test_an_admin_reads_no_number_of_the_other_side_and_decides_nothing(town: Town) -> None:
    await by_hand(town, ADMIN)
    card = town.last(ADMIN)
    assert "there is no other admin" in card.text
    assert "254722000222" not in card.text
    assert card.keyboard == []
    (listed,) = await town.says(ADMIN, "/payouts")
    assert "Payouts that are not over: 1" in listed.text
    for label in ("1: paid", "1: don't pay"):
        (refused,) = await town.taps(ADMIN, listed, label)
        assert "another admin decides it" in refused.text


async def test_what_rests_is_listed_with_its_time_and_can_be_stopped(town: Town) -> None:
    await by_hand(town, rests=True)
    (listed,) = await town.says(ADMIN, "/payouts")
    assert "The number is new: not before" in listed.text
    assert listed.labels == ["1: don't pay"]
    await town.taps(ADMIN, listed, "1: don't pay")
    (done,) = await town.says(ADMIN, "that is not his number")
    assert "back in the wallet" in done.text


async def test_a_stop_is_ended_by_a_typed_word(town: Town) -> None:
    (answer,) = await town.says(ADMIN, "/payouts resume")
    assert "were not stopped" in answer.text


async def test_nobody_else_sees_payouts(town: Town) -> None:
    (answer,) = await town.says(BUYER, "/payouts")
    assert "admins" in answer.text


async def test_who_lifts_a_suspension_reads_which_payouts_it_held(town: Town) -> None:
    await town.shop()
    await town.people.suspend_seller(SELLER, ADMIN, "test")
    await by_hand(town, SELLER)
    number = await town.value("SELECT max(id) FROM payouts")
    answer = (await town.says(ADMIN, f"/verify_seller {SELLER}"))[-1].text
    assert f"now to be paid by hand: payouts {number}." in answer


# -- the whole list ------------------------------------------------------------------------------


async def booked(town: Town) -> None:
    """As `by_hand`, but the program can send it."""
    await by_hand(town, rests=True)
    town.clock.advance(hours=25)


async def test_one_that_was_refused_for_our_reason_is_sent_at_once_by_a_button(town: Town) -> None:
    await booked(town)
    town.payout_rail.answers = [SHORT]
    await town.payouts.send_due()
    await town.settle()
    (listed,) = await town.says(ADMIN, "/payouts")
    assert "too little money" in listed.text
    assert await town.payouts.send_due() == (0, 0)
    await town.taps(ADMIN, listed, "1: send it now")
    await town.payouts.send_due()
    assert len(town.payout_rail.sent) == 2


async def test_what_nobody_can_say_is_asked_about_and_never_sent_again(town: Town) -> None:
    await booked(town)
    town.payout_rail.answers = [LOST]
    await town.payouts.send_due()
    (listed,) = await town.says(ADMIN, "/payouts")
    assert "nobody can say yet" in listed.text
    (done,) = await town.taps(ADMIN, listed, "1: ask M-Pesa")
    assert "I asked M-Pesa about payout 1" in done.text
    assert len(town.payout_rail.asked) == 1
    (no,) = await town.taps_data(ADMIN, listed, "b:po_retry:1")
    assert "Nothing changed" in no.text
    await town.payouts.send_due()
    assert len(town.payout_rail.sent) == 1


async def test_a_stop_is_lifted_by_a_button(town: Town) -> None:
    await booked(town)
    town.payout_rail.answers = [LOCKED]
    await town.payouts.send_due()
    await town.settle()
    (listed,) = await town.says(ADMIN, "/payouts")
    assert "Stopped (code 8006)" in listed.text
    (done,) = await town.taps(ADMIN, listed, "The credential is fixed: go on")
    assert "Payouts go on" in done.text


async def test_the_list_names_whose_it_is_and_masks_the_number(town: Town) -> None:
    await by_hand(town)
    (listed,) = await town.says(ADMIN, "/payouts")
    assert "0722***222" in listed.text
    assert "254722000222" not in listed.text
    assert "waits for a person" in listed.text
    assert "by hand 1, unknown 0, on their way 0" in listed.text
