"""People and sellers: verified once, suspended with a reason, restored; the number that gets the
money changes loudly; a shop's name is fixed once it was verified.
"""

from __future__ import annotations

import asyncio

import pytest

from escrow.domain.errors import InvalidInput, NotAllowed, NotFound
from escrow.domain.model import Escrow, SellerStatus
from tests.world import ADMIN, ADMINS, BRIAN, JANE, OTIENO, SECOND_ADMIN, World, kes

MARY = 2_002
PHONE = "254711222333"


async def _open(world: World, telegram_id: int = JANE) -> Escrow:
    return await world.escrows.open_deal(
        telegram_id=telegram_id,
        price=kes(10_000),
        description="Blue phone case",
        cause=f"update:{telegram_id}",
    )


async def _mary(world: World) -> None:
    """A seller whom no admin has verified yet."""
    await world.person(MARY, "Mary", PHONE)
    await world.people.register_seller(MARY, "Mary Shop", PHONE)


async def _reasons(world: World) -> list[str]:
    rows = await world.sql(
        "SELECT h.reason FROM seller_history h JOIN escrow_sellers s ON s.id = h.seller_id"
        " WHERE s.telegram_id = $1 ORDER BY h.id",
        MARY,
    )
    return [row["reason"] for row in rows]


async def test_a_new_seller_waits_and_every_admin_hears_of_him_once(world: World) -> None:
    await _mary(world)
    again = await world.people.register_seller(MARY, "Another name", "254711222333")
    assert (again.shop_name, again.status) == ("Mary Shop", SellerStatus.PENDING)
    assert [await world.told(admin) for admin in ADMINS] == [["seller_waits"]] * 2


@pytest.mark.parametrize("name", ["", " x ", "x" * 61])
async def test_a_shops_name_has_two_to_sixty_characters(world: World, name: str) -> None:
    with pytest.raises(InvalidInput):
        await world.people.register_seller(BRIAN, name, "254722000222")


async def test_verifying_a_seller_makes_his_waiting_deals_payable_from_that_moment(
    world: World,
) -> None:
    await _mary(world)
    deal = await _open(world, telegram_id=MARY)
    assert (deal.can_be_paid, deal.pay_by) == (False, None)
    with pytest.raises(NotAllowed):
        await world.prompts.reserve(deal.id, BRIAN)
    world.clock.tick(days=3)
    seller, changed = await world.people.verify_seller(MARY, ADMIN)
    assert (seller.status, changed) == (SellerStatus.VERIFIED, True)
    after = await world.escrow(deal.id)
    assert after.can_be_paid
    assert after.pay_by == world.clock.now() + world.terms.pay_window
    assert (await world.notice(MARY, "seller_verified"))["codes"] == [deal.id]


async def test_a_deal_that_nobody_can_pay_yet_is_never_cancelled_for_its_time(
    world: World,
) -> None:
    await _mary(world)
    deal = await _open(world, telegram_id=MARY)
    world.clock.tick(days=30)
    assert await world.escrows.cancel_overdue() == (0, 0)
    assert await world.status_of(deal) == "PENDING"


async def test_a_seller_is_verified_once_by_row_or_telegram_id(world: World) -> None:
    await _mary(world)
    row = await world.value("SELECT id FROM escrow_sellers WHERE telegram_id = $1", MARY)
    assert (await world.people.verify_seller(row, ADMIN))[1]
    assert not (await world.people.verify_seller(MARY, SECOND_ADMIN))[1]
    assert await world.told(MARY) == ["seller_verified"]
    with pytest.raises(NotFound):
        await world.people.verify_seller(999_999, ADMIN)


async def test_verifying_lifts_a_suspension_and_leaves_a_row_of_history(world: World) -> None:
    deal = await _open(world)
    await world.suspend()
    assert not (await world.escrow(deal.id)).can_be_paid
    assert (await world.people.verify_seller(JANE, ADMIN))[1]
    assert (await world.escrow(deal.id)).can_be_paid
    history = await world.sql("SELECT status, reason, actor FROM seller_history ORDER BY id")
    assert [row["reason"] for row in history] == ["registered", "verified", "lifted"]
    assert history[-1]["actor"] == f"admin:{ADMIN}"


async def test_an_admin_does_not_verify_himself(world: World) -> None:
    await world.people.register_seller(ADMIN, "Amina Shop", "254700000001")
    with pytest.raises(NotAllowed):
        await world.people.verify_seller(ADMIN, ADMIN)


async def test_a_shop_changes_its_name_while_it_waits_and_the_admins_read_the_new_one(
    world: World,
) -> None:
    await _mary(world)
    world.clock.tick(minutes=1)
    assert (await world.people.rename_shop(MARY, " Mary  Phones ")).shop_name == "Mary Phones"
    await world.people.rename_shop(MARY, "Mary Phones")
    assert await _reasons(world) == ["registered", "renamed"]
    assert await world.told(ADMIN) == ["seller_waits", "seller_waits"]
    await world.people.verify_seller(MARY, ADMIN)
    with pytest.raises(NotAllowed) as fixed:
        await world.people.rename_shop(MARY, "Safaricom Shop")
    assert fixed.value.reason == "shop_name_fixed"
    assert (await world.people.rename_shop(MARY, "Mary Phones")).shop_name == "Mary Phones"
    with pytest.raises(NotFound):
        await world.people.rename_shop(BRIAN, "Brian Shop")


async def test_a_suspended_seller_reads_why_and_his_unpaid_deals_cant_be_paid(
    world: World,
) -> None:
    deal = await _open(world)
    seller, changed = await world.people.suspend_seller(JANE, ADMIN, "  Sold   fakes ")
    assert (seller.status, seller.suspension_reason, changed) == (
        SellerStatus.SUSPENDED,
        "Sold fakes",
        True,
    )
    assert (await world.notice(JANE, "seller_suspended"))["reason"] == "Sold fakes"
    assert not (await world.escrow(deal.id)).can_be_paid
    with pytest.raises(NotAllowed):
        await world.prompts.reserve(deal.id, BRIAN)
    assert not (await world.people.suspend_seller(JANE, SECOND_ADMIN, "Again"))[1]
    assert (await world.told(JANE)).count("seller_suspended") == 1


async def test_who_is_restored_is_told_so(world: World) -> None:
    await world.people.suspend_seller(JANE, ADMIN, "Sold fakes")
    seller, changed = await world.people.verify_seller(JANE, SECOND_ADMIN)
    assert (seller.status, seller.suspension_reason, changed) == (
        SellerStatus.VERIFIED,
        None,
        True,
    )
    assert (await world.told(JANE))[-2:] == ["seller_suspended", "seller_restored"]


async def test_suspending_needs_a_reason_and_somebody_else(world: World) -> None:
    with pytest.raises(InvalidInput):
        await world.people.suspend_seller(JANE, ADMIN, "  ")
    with pytest.raises(InvalidInput):
        await world.people.suspend_seller(JANE, ADMIN, "x" * 501)
    with pytest.raises(NotAllowed):
        await world.people.suspend_seller(JANE, JANE, "Sold fakes")
    with pytest.raises(NotFound):
        await world.people.suspend_seller(999_999, ADMIN, "Sold fakes")


async def test_suspended_by_two_admins_at_once_is_told_once(world: World) -> None:
    done = await asyncio.gather(
        *(world.people.suspend_seller(JANE, admin, "Sold fakes") for admin in ADMINS)
    )
    assert sorted(changed for _, changed in done) == [False, True]
    assert (await world.told(JANE)).count("seller_suspended") == 1


async def test_another_payout_number_is_told_to_the_seller_and_dated(world: World) -> None:
    await _mary(world)
    seller, changed = await world.people.change_payout_phone(MARY, "254733444555")
    assert (seller.payout_phone, changed) == ("254733444555", True)
    assert seller.payout_phone_since == world.clock.now()
    told = await world.notice(MARY, "payout_number_changed")
    assert (told["old"], told["new"]) == ("0711***333", "0733***555")
    assert "254733444555" not in str(await _reasons(world))
    assert len(await _reasons(world)) == 2


async def test_the_same_payout_number_again_changes_and_tells_nothing(world: World) -> None:
    await _mary(world)
    seller, changed = await world.people.change_payout_phone(MARY, PHONE)
    assert (seller.payout_phone_since, changed) == (None, False)
    assert await world.told(MARY) == []


async def test_what_he_pays_with_stays_when_the_payout_number_changes(world: World) -> None:
    await _mary(world)
    await world.people.change_payout_phone(MARY, "254733444555")
    kept = await world.value("SELECT phone FROM people WHERE telegram_id = $1", MARY)
    assert kept == PHONE


async def test_only_a_seller_has_a_payout_number_and_it_is_a_kenyan_mobile(world: World) -> None:
    with pytest.raises(NotFound):
        await world.people.change_payout_phone(OTIENO, "254733444555")
    with pytest.raises(InvalidInput):
        await world.people.change_payout_phone(JANE, "254222444555")


async def test_a_language_is_english_or_kiswahili(world: World) -> None:
    await world.people.set_language(BRIAN, "sw")
    assert await world.value("SELECT language FROM people WHERE telegram_id = $1", BRIAN) == "sw"
    with pytest.raises(InvalidInput):
        await world.people.set_language(BRIAN, "fr")


async def test_an_admins_decision_is_made_once_per_cause_and_its_repeat_gets_the_first_answer(
    world: World,
) -> None:
    await _mary(world)
    assert (await world.people.verify_seller(MARY, ADMIN, "update:1"))[1]
    assert (await world.people.verify_seller(MARY, ADMIN, "update:1"))[1]
    assert not (await world.people.verify_seller(MARY, ADMIN, "update:2"))[1]
    assert (await world.people.suspend_seller(MARY, ADMIN, "Sold fakes", "update:3"))[1]
    assert (await world.people.suspend_seller(MARY, ADMIN, "Sold fakes", "update:3"))[1]
    assert not (await world.people.suspend_seller(MARY, SECOND_ADMIN, "Again", "update:4"))[1]
    assert await _reasons(world) == ["registered", "verified", "Sold fakes"]
    assert (await world.people.verify_seller(MARY, ADMIN, "update:1"))[1], "handled before"
    seller = await world.people.seller_of(MARY)
    assert seller is not None
    assert seller.status is SellerStatus.SUSPENDED, "a repeat does not lift what came after it"


async def test_two_admins_at_once_decide_once(world: World) -> None:
    await _mary(world)
    done = await asyncio.gather(
        *(world.people.verify_seller(MARY, admin, f"update:{admin}") for admin in ADMINS)
    )
    assert sorted(changed for _, changed in done) == [False, True]
    done = await asyncio.gather(
        *(world.people.suspend_seller(MARY, one, f"by {one}", f"test:{one}") for one in ADMINS)
    )
    assert sorted(changed for _, changed in done) == [False, True]
    reasons = await _reasons(world)
    assert reasons[:2] == ["registered", "verified"]
    assert len(reasons) == 3
    assert (await world.told(MARY)).count("seller_suspended") == 1


async def test_the_button_of_a_new_seller_lifts_no_suspension(world: World) -> None:
    await world.people.suspend_seller(JANE, SECOND_ADMIN, "Sold fakes")
    with pytest.raises(NotAllowed) as refused:
        await world.people.verify_seller(JANE, ADMIN, "update:1", lift=False)
    assert refused.value.reason == "seller_is_suspended"
    assert refused.value.values["by"] == SECOND_ADMIN
    assert refused.value.values["name"] == "Abdi"
    assert await world.value("SELECT status FROM escrow_sellers") == "SUSPENDED"


async def test_an_admin_suspends_nobody_who_is_himself_or_not_there(world: World) -> None:
    await world.people.register_seller(ADMIN, "Amina Shop", "254700000001")
    for act in (
        world.people.suspend_seller(ADMIN, ADMIN, "why not"),
        world.people.judged_by(ADMIN, ADMIN),
    ):
        with pytest.raises(NotAllowed):
            await act
    with pytest.raises(NotFound):
        await world.people.suspend_seller(777, ADMIN, "why not")


async def test_what_hangs_on_a_seller_is_counted(world: World) -> None:
    for amount in (10_000, 2_000):
        await world.pay(await world.deal(amount, buyer=BRIAN), amount * 105 // 100)
    await world.deal(500, buyer=OTIENO)
    cancelled = await world.deal(500, buyer=OTIENO)
    await world.escrows.cancel(cancelled.id, OTIENO)
    await world.people.suspend_seller(JANE, ADMIN, "Sold fakes", "update:1")
    standing = await world.people.judged_by(JANE, SECOND_ADMIN)
    assert [(one.funded, one.held, one.unpaid) for one in standing.deals] == [(2, kes(12_600), 1)]
    assert (standing.judged.suspended_by, standing.judged.suspended_name) == (ADMIN, "Amina")
    change = standing.by_cause("update:1")
    assert change is not None
    assert (change.reason, change.name) == ("Sold fakes", "Amina")
    assert [one.reason for one in standing.history] == ["Sold fakes", "verified", "registered"]


async def test_sellers_who_wait_are_listed_the_oldest_first(world: World) -> None:
    for number in range(3):
        world.clock.tick(hours=1)
        await world.person(5_000 + number, f"S{number}", PHONE)
        await world.people.register_seller(5_000 + number, f"Shop {number}", PHONE)
    await _open(world, telegram_id=5_001)
    found, count = await world.people.pending_sellers(0, 2)
    assert (count, [one.shop_name for one in found]) == (3, ["Shop 0", "Shop 1"])
    assert [one.deals for one in found] == [0, 1]
    rest, _ = await world.people.pending_sellers(2, 2)
    assert [one.telegram_id for one in rest] == [5_002]


async def test_the_chats_that_show_the_admins_commands_are_known(world: World) -> None:
    for _ in range(2):
        await world.people.keep_menu(ADMIN, shown=True)
    assert await world.people.admin_menus() == [ADMIN]
    for _ in range(2):
        await world.people.keep_menu(ADMIN, shown=False)
    assert await world.people.admin_menus() == []
