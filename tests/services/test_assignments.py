"""An admin says whose money in suspense is; the engine decides as for any payment, once."""

import asyncio

import pytest

from escrow.domain.errors import CannotDo, NotAllowed, NotFound
from escrow.domain.model import Evidence
from tests.world import ADMIN, BRIAN, JANE, OTIENO, PHONES, SECOND_ADMIN, World, kes, new_reference


async def stray(world: World, amount: int, *, shown: str = "254722***222") -> str:
    number = new_reference()
    await world.funds.process_escrow_payment(
        world.by_hand(None, kes(amount), reference=number, shown=shown), Evidence.STATUS
    )
    await world.sql("DELETE FROM outbox")
    return number


# -- done ------------------------------------------------------------------------------------------


async def test_it_funds_the_deal_and_tells_both_sides(world: World) -> None:
    deal = await world.deal(1_000, buyer=BRIAN)
    number = await stray(world, 1_050)
    asked = await world.actions.ask(
        "assign_payment", number, {"code": deal.id, "person": None}, ADMIN, "update:1"
    )
    assert (asked.facts["would"], asked.facts["name"], asked.facts["doubt"]) == (
        "funded",
        "Brian",
        "",
    )
    assert await world.status_of(deal) == "PENDING"
    done = await world.actions.confirm(asked.id, ADMIN, "update:2")
    assert done.outcome["outcome"] == "funded"
    assert await world.accounts(deal) == (0, 1_000, 50)
    assert "funded" in await world.told(BRIAN)
    assert "held" in await world.told(JANE)
    assert "payment_assigned" in await world.events(deal)
    row = (await world.sql("SELECT * FROM receipts WHERE reference = $1", number))[0]
    assert (row["state"], row["evidence"], row["telegram_id"]) == ("CREDITED", "admin", BRIAN)


@pytest.mark.parametrize(
    ("amount", "would", "outcome", "wallet"),
    [
        (1_200, "funded", "funded", 150),
        (1_040, "funded", "funded", 0),
        (920, "choice", "choice", 0),
        (300, "short", "refunded_to_wallet", 300),
    ],
)
async def test_the_preview_says_what_the_engine_will_do(
    world: World, amount: int, would: str, outcome: str, wallet: int
) -> None:
    deal = await world.deal(1_000, buyer=BRIAN)
    number = await stray(world, amount)
    done = await world.rules("assign_payment", number, ADMIN, code=deal.id, person=None)
    assert (done.facts["would"], done.outcome["outcome"]) == (would, outcome)
    assert await world.wallet() == wallet


async def test_a_deal_that_is_over_leaves_it_in_the_buyers_wallet(world: World) -> None:
    deal = await world.deal(1_000, buyer=BRIAN)
    await world.escrows.cancel(deal.id, BRIAN)
    number = await stray(world, 1_050)
    done = await world.rules("assign_payment", number, ADMIN, code=deal.id, person=None)
    assert (done.facts["would"], done.outcome["outcome"]) == ("wallet", "to_wallet")
    assert (await world.status_of(deal), await world.wallet()) == ("CANCELLED", 1_050)
    assert "late_money" in await world.told(BRIAN)


async def test_without_a_deal_it_is_his_wallets(world: World) -> None:
    number = await stray(world, 700)
    await world.rules("assign_payment", number, ADMIN, code="", person=BRIAN)
    assert await world.wallet() == 700


async def test_who_is_named_becomes_the_buyer_of_a_deal_without_one(world: World) -> None:
    deal = await world.deal(1_000)
    number = await stray(world, 1_050)
    await world.rules("assign_payment", number, ADMIN, code=deal.id, person=BRIAN)
    after = await world.escrow(deal.id)
    assert (str(after.status), after.buyer_telegram_id) == ("HELD", BRIAN)


async def test_who_holds_a_deal_is_its_buyer_without_being_named(world: World) -> None:
    deal = await world.deal(1_000)
    await world.prompts.reserve(deal.id, OTIENO)
    number = await stray(world, 1_050, shown="254733***333")
    await world.rules("assign_payment", number, ADMIN, code=deal.id, person=None)
    assert (await world.escrow(deal.id)).buyer_telegram_id == OTIENO


async def test_a_payers_number_that_is_another_is_a_warning(world: World) -> None:
    deal = await world.deal(1_000, buyer=BRIAN)
    other = await stray(world, 1_050, shown="254733***333")
    asked = await world.actions.ask("assign_payment", other, {"code": deal.id}, ADMIN, "update:1")
    assert asked.facts["doubt"] == "other_number"
    sellers = await stray(world, 1_050, shown=PHONES[JANE])
    asked = await world.actions.ask("assign_payment", sellers, {"code": deal.id}, ADMIN, "update:2")
    assert (asked.facts["doubt"], asked.facts["would"]) == ("sellers_number", "wallet")


# -- refused ---------------------------------------------------------------------------------------


async def test_what_is_counted_unknown_or_nobodys_is_refused(world: World) -> None:
    deal = await world.deal(1_000, buyer=BRIAN)
    number = await stray(world, 1_050)
    open_link = await world.deal(1_000)
    before = await world.snapshot()
    for target, params, reason in [
        ("SGNOTHING1", {"code": deal.id}, "unknown_receipt"),
        (number, {"code": "ES0000000000"}, "no_deal"),
        (number, {"code": open_link.id}, "assign_to_whom"),
        (number, {"code": deal.id, "person": OTIENO}, "assign_other_buyer"),
        (number, {"code": "", "person": 999}, "nobody_so"),
    ]:
        with pytest.raises(CannotDo, match=reason):
            await world.rules("assign_payment", target, ADMIN, **params)
    assert await world.snapshot() == before
    await world.rules("assign_payment", number, ADMIN, code=deal.id)
    with pytest.raises(NotAllowed, match="receipt_is"):
        await world.rules("assign_payment", number, ADMIN, code="", person=OTIENO)
    assert await world.wallet(OTIENO) == 0


async def test_an_admin_assigns_nothing_to_himself_or_his_own_deal(world: World) -> None:
    number = await stray(world, 1_050)
    mine = await world.deal(1_000, buyer=ADMIN)
    for params in ({"code": "", "person": ADMIN}, {"code": mine.id}):
        with pytest.raises(NotAllowed, match="admin_is_party"):
            await world.rules("assign_payment", number, ADMIN, **params)
    await world.rules("assign_payment", number, SECOND_ADMIN, code=mine.id)
    assert await world.status_of(mine) == "HELD"


# -- repeated and raced ----------------------------------------------------------------------------


async def test_repeated_it_is_credited_once(world: World) -> None:
    number = await stray(world, 700)
    params = {"code": "", "person": BRIAN}
    asked = await world.actions.ask("assign_payment", number, params, ADMIN, "update:1")
    first = await world.actions.confirm(asked.id, ADMIN, "update:2")
    assert await world.actions.confirm(asked.id, ADMIN, "update:2") == first
    assert await world.actions.ask("assign_payment", number, params, ADMIN, "update:1") == first
    assert await world.wallet() == 700


async def test_admins_claimants_and_ways_back_at_once_move_it_once(world: World) -> None:
    deal = await world.deal(1_000, buyer=BRIAN)
    number = await stray(world, 1_050)
    ask = world.actions.ask
    asked = [
        (await ask("assign_payment", number, {"code": deal.id}, ADMIN, "a"), ADMIN),
        (await ask("assign_payment", number, {"person": OTIENO}, SECOND_ADMIN, "b"), SECOND_ADMIN),
        (await ask("send_back", number, {}, SECOND_ADMIN, "c"), SECOND_ADMIN),
    ]
    await asyncio.gather(
        *(world.actions.confirm(one.id, admin, "x") for one, admin in asked),
        world.claims.claim("", BRIAN, number, "d"),
        return_exceptions=True,
    )
    held = sum(await world.accounts(deal))
    back = await world.value("SELECT coalesce(sum(amount_minor), 0) / 100 FROM payouts")
    assert held + await world.wallet() + await world.wallet(OTIENO) + back == 1_050


async def test_what_moved_since_it_was_shown_is_not_done(world: World) -> None:
    deal = await world.deal(1_000, buyer=BRIAN)
    number = await stray(world, 1_050)
    asked = await world.actions.ask("assign_payment", number, {"code": deal.id}, ADMIN, "a")
    await world.escrows.cancel(deal.id, BRIAN)
    with pytest.raises(CannotDo, match="action_moved"):
        await world.actions.confirm(asked.id, ADMIN, "b")
    assert await world.wallet() == 0
    with pytest.raises(NotFound, match="unknown_receipt"):
        await world.rules("assign_payment", "SGNOBODY01", ADMIN, person=BRIAN)
