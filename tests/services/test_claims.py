"""A claim credits what is true, to the one whose money it is, once; everything else waits for a
person or is denied.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from hashlib import sha256
from typing import Any

import pytest

from escrow.domain.claims import Claim, ClaimState
from escrow.domain.errors import CannotDo, EscrowMoved, InvalidInput, LimitReached, NotAllowed
from escrow.domain.model import Attempt, Escrow, Evidence
from escrow.domain.money import Money
from escrow.domain.phone import keep
from escrow.services.claims import Claimed
from escrow.services.ports import Answer, Verdict
from tests.rail import PAID, SHORTCODE, masked, stamp
from tests.world import ADMIN, BRIAN, JANE, OTIENO, PHONES, SECOND_ADMIN, World, kes, new_reference

BRIANS = PHONES[BRIAN]


@pytest.fixture
async def world(dsn: str) -> AsyncIterator[World]:
    async with World.open(dsn) as opened:
        opened.rail.can_ask_status = True
        yield opened
        await opened.books()


def body(
    world: World,
    reference: str,
    amount: Money,
    *,
    payer: str = BRIANS,
    receiver: str = SHORTCODE,
    word: str = "Completed",
    code: int = 0,
    at: str | None = None,
) -> bytes:
    """TransactionStatus as M-Pesa sends it: we stand among the payers of our own receipts, too."""
    result: dict[str, Any] = {"ResultType": 0, "ResultCode": code, "ResultDesc": ""}
    if code == 0:
        pairs = [
            ("DebitPartyName", f"{SHORTCODE} - Amana"),
            ("DebitPartyName", f"{payer} - John Doe"),
            ("CreditPartyName", f"{receiver} - Somebody"),
            ("TransactionStatus", word),
            ("Amount", str(amount.to_decimal())),
            ("ReceiptNo", reference),
            ("FinalisedTime", at or stamp(world.clock.now())),
        ]
        items = [{"Key": key, "Value": value} for key, value in pairs]
        result["ResultParameters"] = {"ResultParameter": items}
    return json.dumps({"Result": result}).encode()


async def claims_it(
    world: World,
    reference: str,
    deal: Escrow | None = None,
    *,
    who: int = BRIAN,
    text: str = "",
    cause: str | None = None,
) -> Claimed:
    return await world.claims.claim(
        deal.id if deal else "", who, text or reference, cause or f"test:{new_reference()}"
    )


async def token_of(world: World, claim: Claim) -> str:
    return claim.token


async def in_suspense(
    world: World, deal: Escrow | None, amount: Money, *, shown: str = keep(BRIANS)
) -> str:
    """Money that somebody paid by hand and that nobody could be credited with; its number."""
    reference = new_reference()
    receipt = world.by_hand(deal, amount, reference=reference, shown=shown)
    result = await world.funds.process_escrow_payment(receipt, Evidence.STATUS)
    assert str(result.outcome) == "suspense"
    return reference


async def state_of(world: World, claim: Claim) -> str:
    return str(await world.value("SELECT state FROM payment_claims WHERE id = $1", claim.id))


# -- money that lies in suspense -------------------------------------------------------------------


async def test_the_payer_claims_his_money_out_of_suspense(world: World) -> None:
    deal = await world.deal()
    reference = await in_suspense(world, deal, kes(10_500))
    claimed = await claims_it(world, reference, deal)
    assert claimed.claim.state is ClaimState.CREDITED
    assert await world.status_of(deal) == "HELD"
    assert await world.accounts(deal) == (0, 10_000, 500)
    assert await world.suspense() == 0
    assert (await world.escrow(deal.id)).buyer_telegram_id == BRIAN
    assert "funded" in await world.told(BRIAN)
    assert "held" in await world.told(JANE)


@pytest.mark.parametrize(
    "shown", [BRIANS, f"{BRIANS[:6]}***{BRIANS[-3:]}", sha256(BRIANS.encode()).hexdigest()]
)
async def test_any_way_mpesa_shows_his_number_counts(world: World, shown: str) -> None:
    deal = await world.deal()
    reference = await in_suspense(world, deal, kes(10_500), shown=shown)
    assert (await claims_it(world, reference, deal)).claim.state is ClaimState.CREDITED


async def test_money_without_a_deal_goes_where_the_claim_says(world: World) -> None:
    deal = await world.deal()
    reference = await in_suspense(world, None, kes(10_500))
    await claims_it(world, reference, deal)
    assert await world.status_of(deal) == "HELD"


async def test_money_without_any_deal_becomes_wallet_money(world: World) -> None:
    reference = await in_suspense(world, None, kes(700))
    assert (await claims_it(world, reference)).claim.state is ClaimState.CREDITED
    assert await world.wallet(BRIAN) == 700


async def test_a_short_payment_is_decided_as_usual(world: World) -> None:
    deal = await world.deal()
    reference = await in_suspense(world, deal, kes(9_800))
    await claims_it(world, reference, deal)
    assert await world.accounts(deal) == (9_800, 0, 0)
    assert "underpaid" in await world.told(BRIAN)
    far = await world.deal()
    await claims_it(world, await in_suspense(world, far, kes(1_000)), far)
    assert await world.wallet(BRIAN) == 1_000
    assert await world.status_of(far) == "PENDING"


async def test_a_deal_that_ended_gives_it_to_his_wallet(world: World) -> None:
    deal = await world.deal()
    reference = await in_suspense(world, deal, kes(10_500))
    await world.escrows.cancel(deal.id, JANE)
    assert (await claims_it(world, reference, deal)).claim.state is ClaimState.CREDITED
    assert await world.wallet(BRIAN) == 10_500
    assert await world.status_of(deal) == "CANCELLED"


async def test_a_deal_that_somebody_else_paid_first_gives_it_to_his_wallet(world: World) -> None:
    deal = await world.deal()
    reference = await in_suspense(world, deal, kes(10_500))
    await world.pay(deal, 10_500, buyer=OTIENO)
    await claims_it(world, reference, deal)
    assert await world.wallet(BRIAN) == 10_500
    assert (await world.escrow(deal.id)).buyer_telegram_id == OTIENO


async def test_the_code_may_be_left_out(world: World) -> None:
    deal = await world.deal()
    reference = await in_suspense(world, deal, kes(10_500))
    await claims_it(world, reference)
    assert await world.status_of(deal) == "HELD"


async def test_claiming_again_changes_nothing(world: World) -> None:
    deal = await world.deal()
    reference = await in_suspense(world, deal, kes(10_500))
    first = await claims_it(world, reference, deal, cause="update:1")
    before = await world.snapshot()
    again = await claims_it(world, reference, deal, cause="update:1")
    assert again.claim.id == first.claim.id
    another = await claims_it(world, reference, deal, cause="update:2")
    assert (another.claim.state, another.claim.why) == (ClaimState.DENIED, "counted")
    assert await world.snapshot() == before


async def test_many_taps_at_once_credit_once(world: World) -> None:
    deal = await world.deal()
    reference = await in_suspense(world, deal, kes(10_500))
    done = await asyncio.gather(
        *(claims_it(world, reference, deal, cause=f"update:{n}") for n in range(4)),
        return_exceptions=True,
    )
    assert not [one for one in done if isinstance(one, BaseException) and not _told(one)]
    assert await world.accounts(deal) == (0, 10_000, 500)
    assert await world.wallet(BRIAN) == 0


def _told(error: BaseException) -> bool:
    return isinstance(error, CannotDo)


# -- whose money it is -----------------------------------------------------------------------------


async def _refused_by_machine(world: World, deal: Escrow, claimed: Claimed, why: str) -> None:
    assert (claimed.claim.state, claimed.claim.why) == (ClaimState.PERSON, why)
    assert await world.status_of(deal) == "PENDING"
    assert (await world.escrow(deal.id)).buyer_telegram_id is None
    assert await world.suspense() == 10_500
    assert "claim_card" in await world.told(ADMIN)


async def test_a_stolen_message_and_a_typed_number_credit_nothing(world: World) -> None:
    deal = await world.deal()
    reference = await in_suspense(world, deal, kes(10_500))
    await world.people.set_phone(OTIENO, BRIANS, is_contact=False)
    stolen = await claims_it(world, reference, deal, who=OTIENO)
    assert stolen.contact_helps
    await _refused_by_machine(world, deal, stolen, "number_not_vouched")


async def test_another_number_credits_nothing(world: World) -> None:
    deal = await world.deal()
    reference = await in_suspense(world, deal, kes(10_500))
    stolen = await claims_it(world, reference, deal, who=OTIENO)
    assert not stolen.contact_helps
    await _refused_by_machine(world, deal, stolen, "other_number")
    assert (await claims_it(world, reference, deal)).claim.state is ClaimState.CREDITED


@pytest.mark.parametrize(
    "shown", ["", "***", "N/A", "254722***", "2547***2", "JOHN 222", masked(BRIANS)]
)
async def test_a_number_that_says_nothing_proves_nothing(world: World, shown: str) -> None:
    deal = await world.deal()
    reference = await in_suspense(world, deal, kes(10_500), shown=shown)
    await _refused_by_machine(world, deal, await claims_it(world, reference, deal), "payer_unknown")


async def test_sharing_the_contact_settles_it(world: World) -> None:
    await world.person(4001, "Wanjiru", "254712000444", is_contact=False)
    deal = await world.deal()
    reference = await in_suspense(world, deal, kes(10_500), shown=keep("254712000444"))
    waits = await claims_it(world, reference, deal, who=4001)
    assert waits.contact_helps
    await world.people.set_phone(4001, "254712000444", is_contact=True)
    settled = await world.claims.again(4001, waits.claim.id)
    assert settled.claim.state is ClaimState.CREDITED
    assert (await world.escrow(deal.id)).buyer_telegram_id == 4001
    with pytest.raises(CannotDo):
        await world.claims.again(OTIENO, waits.claim.id)


async def test_a_receipt_of_somebody_else_says_no_more_than_no(world: World) -> None:
    deal = await world.deal()
    reference = new_reference()
    await world.pay(deal, 10_500, buyer=BRIAN, reference=reference)
    other = await world.deal()
    before = await world.snapshot()
    refused = await claims_it(world, reference, other, who=OTIENO)
    assert (refused.claim.state, refused.claim.why) == (ClaimState.DENIED, "used")
    assert refused.claim.escrow_id == other.id
    mine = await claims_it(world, reference, other)
    assert mine.claim.why == "counted"
    assert await world.snapshot() == before


async def test_the_seller_claims_nothing_on_his_own_deal(world: World) -> None:
    deal = await world.deal()
    reference = await in_suspense(world, deal, kes(10_500), shown=masked(PHONES[JANE]))
    for typed in (deal, None):
        with pytest.raises(NotAllowed, match="own_deal"):
            await claims_it(world, reference, typed, who=JANE)
    await world.person(4002, "Jane again", PHONES[JANE])
    with pytest.raises(NotAllowed, match="own_deal"):
        await claims_it(world, reference, deal, who=4002)


async def test_money_under_another_deals_code_waits_for_a_person(world: World) -> None:
    theirs, mine = await world.deal(), await world.deal()
    reference = await in_suspense(world, theirs, kes(10_500))
    claimed = await claims_it(world, reference, mine)
    await _refused_by_machine(world, mine, claimed, "other_deal")
    await world.claims.decide(claimed.claim.id, ADMIN, ours=True)
    assert await world.status_of(mine) == "HELD"
    assert await world.status_of(theirs) == "PENDING"


async def test_five_claims_an_hour(world: World) -> None:
    for _ in range(5):
        await claims_it(world, new_reference())
    with pytest.raises(LimitReached, match="too_many_claims"):
        await claims_it(world, new_reference())
    await claims_it(world, new_reference(), who=OTIENO)
    world.clock.tick(hours=1, minutes=1)
    await claims_it(world, new_reference())


async def test_what_is_no_receipt_is_not_a_claim(world: World) -> None:
    for text in ("", "hello", "ES1008257624", "goodevenin", "I paid SG632NMUAB"):
        with pytest.raises(InvalidInput):
            await claims_it(world, text, text=text)


# -- receipts that never reached us ----------------------------------------------------------------


async def _asked(
    world: World, deal: Escrow | None = None, who: int = BRIAN, text: str = ""
) -> Claim:
    claim = (await claims_it(world, text or new_reference(), deal, who=who)).claim
    assert claim.state is ClaimState.ASKED
    assert world.rail.asked[-1].reference == claim.reference
    return claim


async def test_a_true_receipt_is_credited_as_mpesa_says(world: World) -> None:
    deal = await world.deal()
    said = f"{new_reference()} Confirmed. Ksh10,500.00 sent to AMANA for account {deal.id} on 2"
    claim = await _asked(world, text=said)
    assert claim.escrow_id == deal.id
    word = await world.claim_status(claim.token, body(world, claim.reference, kes(9_800)))
    assert word == "credited"
    assert await world.accounts(deal) == (9_800, 0, 0)  # not what the message says
    assert "underpaid" in await world.told(BRIAN)
    assert await world.claim_status(claim.token, body(world, claim.reference, kes(1))) == "late"


async def test_the_same_answer_many_times_credits_once(world: World) -> None:
    deal = await world.deal()
    claim = await _asked(world, deal)
    answer = world.rail.read_status_result(body(world, claim.reference, kes(10_500)))
    await asyncio.gather(
        *(world.claims.on_status_result(claim.token, answer) for _ in range(4)),
        return_exceptions=True,
    )
    assert await world.accounts(deal) == (0, 10_000, 500)
    await world.paybill(deal.id, kes(10_500), claim.reference, shown=masked(BRIANS))
    assert await world.accounts(deal) == (0, 10_000, 500)
    assert await world.wallet(BRIAN) == 0


@pytest.mark.parametrize("word", ["Reversed", "Failed", "Cancelled", "Declined", "Expired"])
async def test_what_is_not_completed_is_no_payment(world: World, word: str) -> None:
    claim = await _asked(world, await world.deal())
    answer = body(world, claim.reference, kes(10_500), word=word)
    assert await world.claim_status(claim.token, answer) == "not_completed"
    assert await state_of(world, claim) == "DENIED"
    assert await world.told(BRIAN) == ["claim_denied"]
    assert await world.receipts() == []


async def test_a_fake_is_told_so(world: World) -> None:
    claim = await _asked(world, await world.deal())
    answer = body(world, claim.reference, kes(1), code=2032)
    assert await world.claim_status(claim.token, answer) == "no_such_receipt"
    assert (await world.notice(BRIAN, "claim_denied"))["why"] == "unknown"
    assert await world.receipts() == []


@pytest.mark.parametrize("receiver", ["600000", BRIANS, f"1{SHORTCODE}", ""])
async def test_what_was_paid_to_somebody_else_is_not_ours(world: World, receiver: str) -> None:
    """Also what we ourselves paid out: there we are the payer."""
    claim = await _asked(world, await world.deal())
    answer = body(world, claim.reference, kes(10_500), receiver=receiver)
    assert await world.claim_status(claim.token, answer) in ("not_ours", "no_party")
    assert await world.receipts() == []
    assert await world.wallet(BRIAN) == 0


async def test_an_answer_about_another_receipt_changes_nothing(world: World) -> None:
    claim = await _asked(world, await world.deal())
    answer = body(world, new_reference(), kes(10_500))
    assert await world.claim_status(claim.token, answer) == "other_receipt"
    assert await world.claim_status("f" * 32, answer) == "unknown_token"
    assert await state_of(world, claim) == "ASKED"


@pytest.mark.parametrize("payer", [PHONES[OTIENO], "", "2547***", "Till"])
async def test_another_payer_waits_for_a_person(world: World, payer: str) -> None:
    deal = await world.deal()
    claim = await _asked(world, deal)
    answer = body(world, claim.reference, kes(10_500), payer=payer)
    assert await world.claim_status(claim.token, answer) == "person"
    assert await world.receipts() == []
    card = await world.notice(ADMIN, "claim_card")
    assert card["proved"] is True
    assert card["amount"] == "KES 10,500"
    assert "claim_person" in await world.told(BRIAN)


async def test_an_old_payment_waits_for_a_person(world: World) -> None:
    claim = await _asked(world, await world.deal())
    old = world.clock.now()
    world.clock.tick(days=8)
    answer = body(world, claim.reference, kes(10_500), at=stamp(old))
    assert await world.claim_status(claim.token, answer) == "person"
    assert await world.receipts() == []


async def test_no_answer_is_asked_again_then_a_person_looks(world: World) -> None:
    claim = await _asked(world, await world.deal())
    await world.claim_status(claim.token, body(world, claim.reference, kes(1), code=17))
    for _ in range(6):
        world.clock.tick(minutes=20)
        await world.claims.look_due()
    assert len(world.rail.asked) == 3
    assert await state_of(world, claim) == "PERSON"
    assert (await world.notice(ADMIN, "claim_card"))["why"] == "no_answer"
    assert await world.told(BRIAN) == ["claim_person"]


async def test_a_refused_api_user_is_not_asked_again(world: World) -> None:
    claim = await _asked(world, await world.deal())
    await world.claim_status(claim.token, body(world, claim.reference, kes(1), code=2001))
    assert await state_of(world, claim) == "PERSON"
    await claims_it(world, new_reference(), await world.deal())
    assert len(world.rail.asked) == 1


# -- without anybody to ask ------------------------------------------------------------------------


async def test_without_keys_a_person_decides(world: World) -> None:
    world.rail.can_ask_status = False
    deal = await world.deal(300)  # small amounts are not believed either
    claimed = await claims_it(world, new_reference(), deal)
    assert (claimed.claim.state, claimed.claim.why) == (ClaimState.PERSON, "nobody_to_ask")
    card = await world.notice(ADMIN, "claim_card")
    assert (card["amount"], card["proved"]) == ("KES 315", False)
    world.clock.tick(hours=2)
    await world.claims.look_due()
    assert await world.receipts() == []
    await world.claims.decide(claimed.claim.id, ADMIN, ours=True)
    assert await world.status_of(deal) == "HELD"
    assert "claim_confirmed" in await world.events(deal)
    with pytest.raises(EscrowMoved):
        await world.claims.decide(claimed.claim.id, SECOND_ADMIN, ours=True)


async def test_a_claim_never_stands_for_the_payment_itself(world: World) -> None:
    """A wrong amount in a claim must not become the amount of the payment that comes later."""
    world.rail.can_ask_status = False
    deal = await world.deal(300)
    reference = new_reference()
    await claims_it(world, reference, text=f"{reference} Confirmed. Ksh9,000.00 sent to A")
    assert await world.receipts() == []
    await world.paybill(deal.id, kes(315), reference, shown=keep(BRIANS))
    world.clock.tick(minutes=2)
    await world.claims.look_due()
    assert await world.suspense() == 0
    assert await world.status_of(deal) == "HELD"


async def test_an_admin_says_no(world: World) -> None:
    world.rail.can_ask_status = False
    deal = await world.deal()
    claimed = await claims_it(world, new_reference(), deal)
    await world.claims.decide(claimed.claim.id, ADMIN, ours=False)
    assert (await world.notice(BRIAN, "claim_denied"))["why"] == "admin"
    assert await world.receipts() == []


async def test_two_admins_at_once_decide_once(world: World) -> None:
    world.rail.can_ask_status = False
    deal = await world.deal()
    claimed = await claims_it(world, new_reference(), deal)
    done = await asyncio.gather(
        world.claims.decide(claimed.claim.id, ADMIN, ours=True),
        world.claims.decide(claimed.claim.id, SECOND_ADMIN, ours=False),
        return_exceptions=True,
    )
    assert sum(isinstance(one, EscrowMoved) for one in done) == 1
    credited = await state_of(world, claimed.claim) == "CREDITED"
    assert (await world.status_of(deal) == "HELD") is credited
    assert len(await world.receipts()) == int(credited)


async def test_an_admin_decides_nothing_of_his_own(world: World) -> None:
    world.rail.can_ask_status = False
    deal = await world.deal()
    own = await claims_it(world, new_reference(), deal, who=ADMIN)
    with pytest.raises(NotAllowed, match="admin_is_party"):
        await world.claims.decide(own.claim.id, ADMIN, ours=True)


async def test_without_keys_and_amount_the_message_is_asked_for(world: World) -> None:
    world.rail.can_ask_status = False
    with pytest.raises(InvalidInput, match="claim_needs_message"):
        await claims_it(world, new_reference())


async def test_a_receipt_that_waits_is_told_so_and_settled_later(world: World) -> None:
    deal = await world.deal()
    reference = new_reference()
    await world.paybill(deal.id, kes(10_500), reference, shown=keep(BRIANS))
    claimed = await claims_it(world, reference, deal)
    assert claimed.claim.state is ClaimState.WAITING
    question = world.rail.asked[0]
    await world.status(question.token, reference, kes(10_500))
    assert await world.suspense() == 10_500  # he had reserved nothing
    world.clock.tick(minutes=2)
    await world.claims.look_due()
    assert await world.status_of(deal) == "HELD"
    assert await state_of(world, claimed.claim) == "CREDITED"


# -- prompts whose number is not known -------------------------------------------------------------


async def _paid_without_number(world: World, deal: Escrow, who: int = BRIAN) -> Attempt:
    attempt = await world.prompt(deal, who)
    world.rail.query_answer = PAID
    world.clock.tick(minutes=2)
    await world.confirmations.look_due()
    assert await world.status_of(deal) == "HELD"
    return attempt


async def test_the_receipt_of_a_credited_prompt_credits_nothing_more(world: World) -> None:
    deal = await world.deal()
    await _paid_without_number(world, deal)
    claim = await _asked(world, deal)
    answer = body(world, claim.reference, kes(10_500))
    assert await world.claim_status(claim.token, answer) == "denied"
    assert (await world.notice(BRIAN, "claim_denied"))["why"] == "counted"
    assert await world.receipt_states() == {claim.reference: "CREDITED"}
    assert await world.accounts(deal) == (0, 10_000, 500)
    assert await world.wallet(BRIAN) == 0


async def test_nor_on_another_deal(world: World) -> None:
    deal, other = await world.deal(), await world.deal()
    await _paid_without_number(world, deal)
    claim = await _asked(world, other)
    answer = body(world, claim.reference, kes(10_500))
    assert await world.claim_status(claim.token, answer) == "person"
    assert (await world.notice(ADMIN, "claim_card"))["why"] == "maybe_prompt"
    assert await world.status_of(other) == "PENDING"
    assert await world.wallet(BRIAN) == 0


async def test_nor_for_somebody_else_whose_phone_paid(world: World) -> None:
    deal, other = await world.deal(), await world.deal()
    await world.person(4003, "Brian's friend", BRIANS, is_contact=False)
    await _paid_without_number(world, deal, 4003)
    claim = await _asked(world, other)
    answer = body(world, claim.reference, kes(10_500))
    assert await world.claim_status(claim.token, answer) == "person"
    assert await world.status_of(other) == "PENDING"


async def test_an_open_prompts_receipt_is_the_prompts(world: World) -> None:
    deal = await world.deal()
    await world.prompt(deal)
    claim = await _asked(world, deal)
    answer = body(world, claim.reference, kes(10_500))
    assert await world.claim_status(claim.token, answer) == "credited"
    world.rail.query_answer = PAID
    world.clock.tick(minutes=2)
    await world.confirmations.look_due()
    assert await world.accounts(deal) == (0, 10_000, 500)
    assert await world.wallet(BRIAN) == 0


# -- races -----------------------------------------------------------------------------------------


async def test_two_claimants_one_money(world: World) -> None:
    """Both numbers fit the mask; whoever is first has it, the other one is refused."""
    await world.person(4004, "Otieno's twin", "254722111222")
    deal = await world.deal()
    reference = await in_suspense(world, deal, kes(10_500), shown="254722***222")
    first, second = await asyncio.gather(
        claims_it(world, reference, deal), claims_it(world, reference, deal, who=4004)
    )
    states = sorted(str(one.claim.state) for one in (first, second))
    assert states == ["CREDITED", "DENIED"]
    assert await world.accounts(deal) == (0, 10_000, 500)
    assert await world.wallet(BRIAN) == await world.wallet(4004) == 0


async def test_a_claim_and_a_prompt_at_once(world: World) -> None:
    deal = await world.deal()
    reference = await in_suspense(world, deal, kes(10_500))
    attempt = await world.prompt(deal, OTIENO)
    world.rail.query_answer = PAID
    await asyncio.gather(
        claims_it(world, reference, deal), world.callback(attempt, new_reference())
    )
    assert await world.accounts(deal) == (0, 10_000, 500)
    buyer = (await world.escrow(deal.id)).buyer_telegram_id
    assert buyer in (BRIAN, OTIENO)
    loser = OTIENO if buyer == BRIAN else BRIAN
    assert (await world.wallet(loser), await world.wallet(buyer or 0)) == (10_500, 0)


async def test_a_claim_and_a_cancel_at_once(world: World) -> None:
    deal = await world.deal()
    reference = await in_suspense(world, deal, kes(9_800))
    claimed, _ = await asyncio.gather(
        claims_it(world, reference, deal),
        world.escrows.cancel(deal.id, JANE),
        return_exceptions=True,
    )
    assert isinstance(claimed, Claimed)
    assert await world.status_of(deal) == "CANCELLED"
    assert await world.wallet(BRIAN) == 9_800
    assert await world.suspense() == 0


async def test_the_payment_arrives_while_its_claim_is_answered(world: World) -> None:
    deal = await world.deal()
    claim = await _asked(world, deal)
    answer = world.rail.read_status_result(body(world, claim.reference, kes(10_500)))
    receipt = world.by_hand(None, kes(10_500), reference=claim.reference, shown=keep(BRIANS))
    await asyncio.gather(
        world.claims.on_status_result(claim.token, answer),
        world.funds.process_escrow_payment(receipt, Evidence.STATUS),
        return_exceptions=True,
    )
    for _ in range(3):
        world.clock.tick(minutes=20)
        await world.claims.look_due()
    assert await world.suspense() == 0
    assert await world.accounts(deal) == (0, 10_000, 500)


async def test_nothing_is_asked_inside_a_transaction_and_lost_questions_come_again(
    world: World,
) -> None:
    world.rail.status_answer = Answer(Verdict.UNKNOWN, "unreachable", "mpesa_unreachable")
    claim = await _asked(world, await world.deal())
    world.clock.tick(minutes=2)
    await world.claims.look_due()
    assert len(world.rail.asked) == 2
    assert await state_of(world, claim) == "ASKED"


# -- a second number on a prompt ------------------------------------------------------------------


async def second_number(world: World) -> tuple[Escrow, str]:
    """A prompt was paid, and then a callback of it names another receipt with the payer's number:
    a forged one can do that, and the query still says that the prompt was paid.
    """
    deal = await world.deal(1_000)
    attempt = await world.prompt(deal)
    world.rail.query_answer = PAID
    await world.callback(attempt, new_reference())
    reference = new_reference()
    assert await world.callback(attempt, reference, phone=BRIANS) == "suspense"
    return deal, reference


async def test_a_second_number_on_a_prompt_is_claimed_only_when_mpesa_confirms_it(
    world: World,
) -> None:
    deal, reference = await second_number(world)
    claim = (await claims_it(world, reference, deal)).claim
    assert (claim.state, claim.amount) == (ClaimState.ASKED, None)
    assert await world.wallet() == 0
    assert await world.claim_status(claim.token, body(world, reference, kes(1_050))) == "credited"
    assert (await world.wallet(), await world.suspense()) == (1_050, 0)


async def test_a_forged_second_number_is_denied_by_mpesa(world: World) -> None:
    deal, reference = await second_number(world)
    claim = (await claims_it(world, reference, deal)).claim
    word = await world.claim_status(claim.token, body(world, reference, kes(1_050), code=2032))
    assert word in ("no_such_receipt", "unknown")
    assert await world.wallet() == 0


@pytest.mark.parametrize("said", ["another amount", "another payer"])
async def test_a_second_number_of_which_mpesa_says_otherwise_is_a_persons(
    world: World, said: str
) -> None:
    deal, reference = await second_number(world)
    claim = (await claims_it(world, reference, deal)).claim
    found = (
        body(world, reference, kes(50))
        if said == "another amount"
        else body(world, reference, kes(1_050), payer=PHONES[OTIENO])
    )
    assert await world.claim_status(claim.token, found) == "person"
    assert await world.wallet() == 0


async def test_without_keys_to_ask_a_second_number_is_a_persons_decision(world: World) -> None:
    world.rail.can_ask_status = False
    deal, reference = await second_number(world)
    claim = (await claims_it(world, reference, deal)).claim
    assert (claim.state, claim.why) == (ClaimState.PERSON, "nobody_to_ask")
    assert await world.wallet() == 0
