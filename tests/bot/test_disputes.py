"""Something is wrong: reasons by buttons and words, both told what comes next, taken back once."""

from __future__ import annotations

import pytest

from escrow.bot import dispute_texts
from sandbox import persona
from tests.bot.conftest import ADMIN, BUYER, SELLER, STRANGER, Town

STATUS = "SELECT status FROM escrow_transactions"
REASON = "SELECT reason FROM escrow_disputes"


async def held(town: Town) -> str:
    """A paid deal of 10,000; its code."""
    await town.shop()
    code = await town.deal()
    await town.says(BUYER, f"/start {code}")
    await town.says(BUYER, f"/pay {code}")
    await town.shares(BUYER, persona.BUYER.phone)
    await town.pays_by_hand(10_100, code)
    assert await town.value(STATUS) == "HELD"
    return code


async def test_a_typed_dispute_tells_both_sides_and_the_admins(town: Town) -> None:
    code = await held(town)
    mine = (await town.says(BUYER, f"/dispute {code} It never came, <b>really</b>"))[-1]
    assert mine.text.startswith("Your dispute is open. The money stays held.")
    assert "asked to answer by Wed 25 Nov, 12:00 (in 2 days)" in mine.text
    assert mine.labels == ["Add evidence", "Offer to settle", "Withdraw it"]
    theirs = town.last(SELLER)
    assert theirs.text.startswith("The buyer opened a dispute.")
    assert "It never came, <b>really</b>" in theirs.text
    assert "Please answer by Wed 25 Nov, 12:00 (in 2 days)" in theirs.text
    assert theirs.labels == ["Add evidence", "Offer to settle"]
    card = town.last(ADMIN)
    assert card.text.startswith("The buyer disputes: KES 10,100 is held.")
    assert f"/resolve_dispute {code} split:50 your reason" in card.text
    assert card.labels == ["Take the case", "See the evidence"]
    assert await town.value(STATUS) == "DISPUTED"


async def test_a_bare_dispute_asks_for_the_reason_and_words_open_it(town: Town) -> None:
    code = await held(town)
    asked = (await town.says(BUYER, "/dispute"))[-1]
    assert asked.labels[:4] == list(dispute_texts.reasons("buyer").values())[:4]
    await town.taps(BUYER, asked, "It is broken")
    shown = town.telegram.messages[asked.id]
    assert "It is broken" in shown.text
    assert shown.labels == ["Open it without words"]
    assert await town.value(STATUS) == "HELD", "nothing happens before the words"
    await town.says(BUYER, f"{code} has a crack, see SG632NMUAB")
    assert await town.value(REASON) == f"It is broken: {code} has a crack, see SG632NMUAB"
    assert (
        await town.value(
            "SELECT count(*) FROM conversations WHERE telegram_id = $1 AND step <> 'over'", BUYER
        )
        == 0
    )


async def test_words_are_optional_but_for_something_else(town: Town) -> None:
    await held(town)
    asked = (await town.says(SELLER, "/dispute"))[-1]
    assert asked.labels[:3] == list(dispute_texts.reasons("seller").values())
    await town.taps(SELLER, asked, "Something else")
    assert town.telegram.messages[asked.id].labels == []
    asked = (await town.says(SELLER, "/dispute"))[-1]
    await town.taps(SELLER, asked, "The buyer wants to cancel")
    await town.taps(SELLER, asked, "Open it without words")
    assert await town.value(REASON) == "The buyer wants to cancel"
    assert "Dispute opened" in town.telegram.messages[asked.id].text
    assert town.last(BUYER).text.startswith("The seller opened a dispute.")
    assert (
        await town.value(
            "SELECT count(*) FROM conversations WHERE telegram_id = $1 AND step <> 'over'", SELLER
        )
        == 0
    )


async def test_the_words_may_come_after_a_restart_and_a_replay_opens_one(town: Town) -> None:
    await held(town)
    asked = (await town.says(BUYER, "/dispute"))[-1]
    await town.taps(BUYER, asked, "It has not arrived")
    await town.store.stop()
    await town.store.start()
    await town.says(BUYER, "Two weeks now")
    await town.store.stop()
    async with town.database.unit() as conn:
        await conn.execute("UPDATE telegram_updates SET state = 'NEW', done_at = NULL")
    await town.store.start()
    await town.settle()
    assert await town.value("SELECT count(*) FROM escrow_disputes") == 1
    assert await town.value(REASON) == "It has not arrived: Two weeks now"


async def test_a_dispute_is_withdrawn_once_by_who_opened_it(town: Town) -> None:
    code = await held(town)
    mine = (await town.says(BUYER, f"/dispute {code} It never came"))[-1]
    answer = (await town.says(SELLER, f"/withdraw_dispute {code}"))[-1].text
    assert "Only the one who opened the dispute" in answer
    await town.taps(BUYER, mine, "Withdraw it")
    asked = town.telegram.messages[mine.id]
    assert "This works once" in asked.text
    assert await town.value(STATUS) == "DISPUTED"
    await town.taps(BUYER, asked, "Yes, withdraw it")
    assert "is withdrawn" in town.telegram.messages[mine.id].text
    assert town.last(SELLER).text.startswith("The buyer withdrew the dispute.")
    assert await town.value(STATUS) == "HELD"
    await town.says(BUYER, f"/dispute {code} broken after all")
    answer = (await town.says(BUYER, f"/withdraw_dispute {code}"))[-1].text
    assert "that works once" in answer
    assert await town.value(STATUS) == "DISPUTED"


@pytest.mark.parametrize("command", ["dispute", "withdraw_dispute", "settle", "extend"])
async def test_strangers_and_unpaid_deals_read_why_not(town: Town, command: str) -> None:
    code = await held(town)
    words = {"dispute": " broken", "settle": " 50/50", "extend": " 24"}.get(command, "")
    answer = (await town.says(STRANGER, f"/{command} {code}{words}"))[-1].text
    assert "no deal" in answer
    await town.says(BUYER, f"/dispute {code} broken")
    await town.confirms(f"/manual_refund {code} agreed")
    answer = (await town.says(BUYER, f"/{command} {code}{words}"))[-1].text
    assert "refunded to the buyer" in answer or "no open dispute" in answer


async def test_an_admin_takes_and_resolves_a_dispute(town: Town) -> None:
    code = await held(town)
    await town.says(BUYER, f"/dispute {code} It never came")
    taken = (await town.taps(ADMIN, town.last(ADMIN), "Take the case"))[-1].text
    assert "You decide it" in taken
    listed = (await town.says(ADMIN, "/disputed_transactions"))[-1].text
    assert "Open disputes: 1" in listed
    assert "It never came" in listed
    done = await town.confirms(f"/resolve_dispute {code} split:70 both are right")
    assert "KES 7,070 is in the wallet" in done
    assert "KES 3,000 is in the wallet" in done
    assert "Dispute decided: you get KES 7,070." in town.last(BUYER).text
    assert "Why: both are right" in town.last(BUYER).text.replace("\u2068", "").replace(
        "\u2069", ""
    )
    assert "Dispute decided: you get KES 3,000." in town.last(SELLER).text
    assert (await town.says(ADMIN, "/disputed_transactions"))[-1].text == "No dispute is open."


async def test_admins_freeze_and_rule_by_typed_commands(town: Town) -> None:
    code = await held(town)
    assert "is frozen" in (await town.says(ADMIN, f"/freeze_transaction {code} a look"))[-1].text
    assert town.last(BUYER).text.startswith("This deal is frozen.")
    answer = (await town.says(BUYER, f"/dispute {code} broken"))[-1].text
    assert "frozen by an admin" in answer
    assert "goes on" in (await town.says(ADMIN, f"/unfreeze_transaction {code}"))[-1].text
    done = await town.confirms(f"/manual_release {code} proof of delivery")
    assert "KES 10,000 is in the wallet" in done
    assert town.last(SELLER).text.startswith("You get KES 10,000.")
    again = (await town.says(ADMIN, f"/manual_refund {code}"))[-1].text
    assert again.startswith("The money was released before.")
    assert "By admin Asha, Mon 23 Nov, 12:00." in again.replace("\u2068", "").replace("\u2069", "")


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("/resolve_dispute", "Like this: /resolve_dispute ES"),
        ("/resolve_dispute ES1008257624 split:70", "Like this: /resolve_dispute ES"),
        ("/resolve_dispute ES1008257624 nobody why", "Like this: /resolve_dispute ES"),
        ("/resolve_dispute ES1008257624 split:100 why", "Like this: /resolve_dispute ES"),
        ("/resolve_dispute ES1008257624 buyer why", "no deal"),
        ("/freeze_transaction", "Like this: /freeze_transaction ES"),
        ("/unfreeze_transaction rent", "no deal"),
        ("/manual_refund", "Like this: /manual_refund ES"),
        ("/manual_release", "Like this: /manual_release ES"),
        ("/suspend_seller 2001", "Like this: /suspend_seller 2001"),
        ("/suspend_seller 77 fraud", "There is no seller 77. /pending_sellers shows who waits."),
        ("/disputed_transactions", "No dispute is open."),
    ],
)
async def test_an_admins_slip_gets_one_clear_sentence(town: Town, text: str, answer: str) -> None:
    assert answer in (await town.says(ADMIN, text))[-1].text


async def test_a_suspended_seller_is_told(town: Town) -> None:
    await town.shop()
    answer = (await town.says(ADMIN, f"/suspend_seller {SELLER} fake photos"))[-1].text
    assert "is suspended and was told why" in answer
    assert "was suspended before" in (
        (await town.says(ADMIN, f"/suspend_seller {SELLER} again"))[-1].text
    )
