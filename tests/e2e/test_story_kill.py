"""`kill -9` in the middle of every guided flow: after a new start it goes on where it was.

Every act of a flow meets a dying process, in turn: `asleep` – killed before the act, started after
it – and `struck` – killed as soon as it has fetched what the person did.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest

from escrow.store import embedded
from tests.e2e.cast import FEE_PAYERS, KES, NO_PHOTO, WAYBILL, Actor, Stage, code_in, find
from tests.e2e.conftest import B2C, started


@pytest.fixture(scope="module")
async def stage(
    cluster: embedded.Cluster, template_database: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stage]:
    folder = tmp_path_factory.mktemp("kill")
    async with started(cluster, template_database, folder, AUTO_PAYOUT="0", **B2C) as running:
        yield Stage(running)


class Trouble:
    """Everything a person does here meets a dying process."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.deaths = 0

    async def act(self, do: Callable[[], object]) -> None:
        await self.stage.handled()
        self.deaths += 1
        if self.deaths % 2:  # asleep
            await self.stage.running.kill()
            do()
        else:
            stored = await self.stage.value("SELECT count(*) FROM telegram_updates")
            do()
            await self.stage.until(
                "SELECT count(*) > $1 FROM telegram_updates", True, stored, timeout=10
            )
            await self.stage.running.kill()
        self.stage.running.output.clear()
        await self.stage.running.start()
        await self.stage.handled()

    async def press(
        self, who: Actor, verb: str, *, deal: str = "", number: int | None = None
    ) -> None:
        message = await who.sees(verb, deal=deal, number=number)
        data = find(message, verb, deal, number)

        def tap() -> None:
            who.since = self.stage.telegram.mark()
            self.stage.telegram.user_taps(who.id, message.id, data=data)

        await self.act(tap)

    async def type(self, who: Actor, text: str) -> None:
        await self.act(lambda: who.types(text))


@pytest.fixture
def trouble(stage: Stage) -> Trouble:
    return Trouble(stage)


async def test_a_guided_deal(stage: Stage, trouble: Trouble) -> None:
    jane = await stage.seller()
    await trouble.type(jane, "/newdeal")
    await trouble.type(jane, "1500")
    await trouble.type(jane, "Blue phone case")
    await trouble.press(jane, "step", number=FEE_PAYERS["split"])
    await trouble.press(jane, "step", number=NO_PHOTO)
    await trouble.press(jane, "create")
    code = code_in(await jane.reads("start=ES"))
    row = await stage.sql(
        "SELECT id, price_minor, description, fee_payer FROM escrow_transactions"
        " WHERE seller_telegram_id = $1",
        jane.id,
    )
    assert [tuple(one) for one in row] == [(code, 1_500 * KES, "Blue phone case", "split")]
    assert trouble.deaths == 6


async def test_the_number_that_is_asked_for_the_first_time(stage: Stage, trouble: Trouble) -> None:
    jane = await stage.seller()
    brian = stage.actor("Brian")
    code = await jane.opens_deal("900 Hat")
    asked = len(stage.daraja.stk_requests)
    await trouble.act(lambda: brian.starts(code))
    await trouble.press(brian, "pay", deal=code)
    await stage.asked(brian, "phone")
    await trouble.act(brian.shares_contact)
    await pays_once(stage, brian, code, asked)


async def test_a_number_typed_twice(stage: Stage, trouble: Trouble) -> None:
    jane = await stage.seller()
    brian = stage.actor("Brian")
    code = await jane.opens_deal("900 Hat")
    asked = len(stage.daraja.stk_requests)
    brian.starts(code)
    await brian.presses("pay", deal=code)
    await stage.asked(brian, "phone")
    typed = "0" + brian.phone[3:]
    await trouble.type(brian, typed)
    await trouble.type(brian, typed)
    await pays_once(stage, brian, code, asked)


async def pays_once(stage: Stage, who: Actor, code: str, asked: int) -> None:
    """The phone asks once and the deal is held. Struck between writing that it will ask M-Pesa and
    asking, the program can't know, and says so: nobody is asked twice.
    """
    await stage.handled()
    await stage.until("SELECT count(*) FROM payment_attempts WHERE escrow_id = $1", 1, code)
    prompts = [p for p in stage.daraja.stk_requests[asked:] if p.phone == who.phone]
    if not prompts:
        await who.reads("don't know yet whether your phone rings")
        return
    assert [p.amount for p in prompts] == [945]
    await who.enters_pin()
    await stage.status(code, "HELD")
    await stage.running.books_are_right()


async def test_registering_a_shop(stage: Stage, trouble: Trouble) -> None:
    jane = stage.actor("Jane")
    await trouble.act(jane.starts)
    await trouble.type(jane, "/sell")
    await trouble.type(jane, "Jane Shop")
    await stage.asked(jane, "phone")
    await trouble.act(jane.shares_contact)
    await stage.seller_is(jane, "PENDING")
    rows = await stage.sql(
        "SELECT shop_name, payout_phone FROM escrow_sellers WHERE telegram_id = $1", jane.id
    )
    assert [tuple(row) for row in rows] == [("Jane Shop", jane.phone)]


async def test_sent_with_a_waybill(stage: Stage, trouble: Trouble) -> None:
    jane, brian = await stage.pair()
    code = await jane.opens_deal("900 Hat")
    await brian.pays(code)
    await trouble.press(jane, "sent", deal=code)
    await stage.asked(jane, "proof")
    await trouble.act(lambda: jane.sends_photo(WAYBILL))
    await stage.status(code, "SHIPPED")
    proofs = await stage.value(
        "SELECT count(*) FROM deal_records WHERE escrow_id = $1 AND purpose = 'shipping'", code
    )
    assert proofs == 1
    await trouble.press(brian, "received", deal=code)
    await trouble.press(brian, "received_yes", deal=code)
    await trouble.press(brian, "stars", deal=code)
    await stage.ends(code, "COMPLETED", seller=(jane, 900 * KES), buyer=(brian, 0))
    assert (
        await stage.value(
            "SELECT count(*) FROM seller_ratings WHERE escrow_id = $1 AND replaced_at IS NULL", code
        )
        == 1
    )


async def test_a_dispute_with_its_reason_words_and_evidence(stage: Stage, trouble: Trouble) -> None:
    jane, brian = await stage.pair()
    code = await jane.opens_deal("900 Hat")
    await brian.pays(code)
    await jane.ships(code)
    brian.types(f"/deal {code}")
    await trouble.press(brian, "dispute", deal=code)
    await trouble.press(brian, "reason", deal=code)
    await stage.asked(brian, "dispute_words")
    await trouble.type(brian, "The box was empty")
    await stage.status(code, "DISPUTED")
    await stage.gives_evidence(brian, code)
    await trouble.act(lambda: brian.sends_photo(b"an empty box"))
    await trouble.type(brian, "and it was taped again")
    kinds = await stage.sql(
        "SELECT kind FROM deal_records WHERE escrow_id = $1 AND purpose = 'evidence' ORDER BY id",
        code,
    )
    assert [row[0] for row in kinds] == ["photo", "text"]
    assert await stage.value("SELECT count(*) FROM escrow_disputes WHERE escrow_id = $1", code) == 1
    await stage.admin.commands(f"/resolve_dispute {code} buyer empty box")
    await stage.ends(code, "REFUNDED", seller=(jane, 0), buyer=(brian, 945 * KES))


async def test_a_message_to_the_other_side(stage: Stage, trouble: Trouble) -> None:
    jane, brian = await stage.pair()
    code = await jane.opens_deal("900 Hat")
    await brian.pays(code)
    brian.types(f"/deal {code}")
    await trouble.press(brian, "message", deal=code)
    await stage.asked(brian, "relay")
    await trouble.type(brian, "Is it still sealed?")
    await stage.quiet()
    heard = [m for m in stage.telegram.from_bot(jane.id) if "Is it still sealed?" in m.text]
    assert len(heard) == 1
    assert await stage.value("SELECT count(*) FROM deal_records WHERE escrow_id = $1", code) == 1


async def test_a_question_to_the_admins(stage: Stage, trouble: Trouble) -> None:
    brian = await stage.buyer()
    brian.types("/help")
    await trouble.press(brian, "help")
    await stage.asked(brian, "help")
    since = stage.telegram.mark()
    await trouble.type(brian, "Are you there?")
    heard = await stage.admin.reads("Are you there?", since=since)
    await stage.quiet()  # the admin's copy is on record by then
    await trouble.act(lambda: stage.admin.replies(heard, "Yes, we are."))
    await brian.reads("Yes, we are.")
    assert (
        await stage.value("SELECT count(*) FROM help_requests WHERE telegram_id = $1", brian.id)
        == 1
    )


async def test_a_withdrawal(stage: Stage, trouble: Trouble) -> None:
    """With the own number asked for on the way: Brian has only typed his before."""
    jane, brian = await stage.pair()
    code = await jane.opens_deal("900 Hat")
    brian.starts(code)
    await brian.presses("pay", deal=code)
    asked = len(stage.daraja.stk_requests)
    typed = "0" + brian.phone[3:]
    for _ in range(2):
        brian.types(typed)
        await stage.handled()
    await brian.asked_on_phone(after=asked)
    await brian.enters_pin()
    await stage.status(code, "HELD")
    await jane.declines(code)
    await trouble.type(brian, "/withdraw 500")
    await stage.asked(brian, "phone")
    await trouble.act(brian.shares_contact)
    await trouble.press(brian, "wd_yes")
    receipt = await stage.payout(brian, 500 * KES)
    await brian.reads(receipt, since=0)
    assert len([p for p in stage.daraja.payouts if p.phone == brian.phone]) == 1
    await stage.ends(code, "REFUNDED", seller=(jane, 0), buyer=(brian, 445 * KES))


async def test_an_offer_and_its_acceptance(stage: Stage, trouble: Trouble) -> None:
    jane, brian = await stage.pair()
    code = await jane.opens_deal("900 Hat")
    await brian.pays(code)
    await jane.ships(code)
    await trouble.type(brian, f"/settle {code} 50/50")
    await trouble.press(brian, "settle_s", deal=code)
    assert await stage.value("SELECT count(*) FROM offers WHERE escrow_id = $1", code) == 1
    await trouble.press(jane, "accept", deal=code)
    await stage.status(code, "COMPLETED")
    assert await stage.value("SELECT count(*) FROM settlements WHERE escrow_id = $1", code) == 1
    await stage.ends(code, "COMPLETED")
