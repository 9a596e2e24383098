"""What an admin does with money is what he was shown, done once, by somebody who may."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from escrow.domain.actions import Action, ActionState
from escrow.domain.errors import CannotDo, ChoiceRefused, NotAllowed, NotFound
from escrow.domain.model import Escrow
from escrow.services.action_tokens import Word
from escrow.services.actions import Actions
from escrow.services.verdicts import verdicts
from tests.services.test_disputes import dispute, funded, settlement
from tests.world import ADMIN, BRIAN, JANE, SECOND_ADMIN, SECRET, World, flip, kes

RULINGS = ("resolve", "manual_refund", "manual_release")
BUYERS = {"decision": "buyer", "percent": None, "notes": "The photos are clear"}
LARGE = 60_000


def said(kind: str) -> dict[str, Any]:
    return BUYERS if kind == "resolve" else {"reason": "The photos are clear"}


async def disputed(world: World, price: int = 10_000) -> Escrow:
    deal = await funded(world, "SHIPPED", price)
    await dispute(world, deal, cause=f"dispute:{deal.id}")
    return deal


async def asked(
    world: World, deal: Escrow, kind: str = "manual_refund", admin: int = ADMIN, cause: str = ""
) -> Action:
    return await world.actions.ask(
        kind, deal.id, said(kind), admin, cause or f"{kind}:{admin}:{deal.id}"
    )


async def refused(act: Awaitable[Any], reason: str) -> CannotDo:
    with pytest.raises(CannotDo) as error:
        await act
    assert error.value.reason == reason
    return error.value


def alone(world: World, admins: tuple[int, ...] = (ADMIN,)) -> Actions:
    """The actions of a house with these admins."""
    effects = verdicts(world.db, world.clock, world.terms, admins, world.booking)
    return Actions(world.db, world.clock, admins, SECRET, effects, second_above=kes(50_000))


# -- done ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", RULINGS)
async def test_a_preview_moves_nothing_and_its_confirmation_does_what_it_said(
    world: World, kind: str
) -> None:
    deal = await disputed(world)
    before = await world.snapshot()
    action = await asked(world, deal, kind)
    assert await world.snapshot() == before
    assert (action.state, action.amount) == (ActionState.ASKED, kes(10_500))
    assert action.facts["names"] == {"buyer": "Brian", "seller": "Jane Shop"}
    assert action.facts["dispute"] == {"by": "buyer", "reason": "It never came"}
    done = await world.actions.confirm(action.id, ADMIN, "update:2")
    assert done.state is ActionState.DONE
    shown = [action.facts[part] for part in ("seller", "buyer", "fee")]
    assert [done.outcome[part] for part in ("seller", "buyer", "fee")] == shown
    got = await settlement(world, deal)
    assert [f"KES {minor // 100:,}" for minor in got[1:]] == shown
    (row,) = await world.sql("SELECT * FROM escrow_disputes")
    assert row["status"] == "RESOLVED"
    assert row["taken_by"] == (ADMIN if kind == "resolve" else None)


async def test_the_timeline_names_the_admin_his_reason_and_the_second(world: World) -> None:
    deal = await disputed(world, LARGE)
    action = await asked(world, deal)
    await world.actions.confirm(action.id, ADMIN, "update:2")
    await world.actions.confirm(action.id, SECOND_ADMIN, "update:3")
    (row,) = await world.sql("SELECT * FROM escrow_timeline WHERE event = 'manual_refund'")
    assert row["actor"] == f"admin:{ADMIN}"
    data = row["data"]
    assert (data["notes"], data["action"]) == ("The photos are clear", action.id)
    assert data["second"] == SECOND_ADMIN


async def test_settled_money_is_shown_where_it_will_be_sent(dsn: str) -> None:
    async with World.open(dsn, auto_payout=True) as world:
        deal = await disputed(world)
        action = await asked(world, deal, "manual_release")
        assert action.facts["ways"] == {"seller": {"amount": "KES 10,000", "to": "0712***111"}}
        done = await world.actions.confirm(action.id, ADMIN, "update:2")
        assert done.outcome["payouts"]["seller"] == {"amount": "KES 10,000", "to": "0712***111"}
        await world.books()


# -- refused -------------------------------------------------------------------------------------


async def test_only_admins_who_are_no_party_ask_and_confirm(world: World) -> None:
    deal = await world.deal()
    await world.pay(deal, 10_500, buyer=SECOND_ADMIN)
    await refused(asked(world, deal, admin=SECOND_ADMIN), "admin_is_party")
    await refused(asked(world, deal, admin=BRIAN), "not_allowed")
    action = await asked(world, deal)
    for who, reason in (
        (SECOND_ADMIN, "admin_is_party"),
        (JANE, "not_allowed"),
        (7, "not_allowed"),
    ):
        await refused(world.actions.confirm(action.id, who, "x"), reason)
        await refused(
            world.actions.leave(action.id, who),
            reason if who != SECOND_ADMIN else "action_not_yours",
        )
    assert await world.status_of(deal) == "HELD"


async def test_who_is_no_admin_any_more_confirms_nothing(world: World) -> None:
    deal = await disputed(world)
    action = await asked(world, deal)
    await refused(alone(world, (SECOND_ADMIN,)).confirm(action.id, ADMIN, "x"), "not_allowed")
    large = await disputed(world, LARGE)
    waiting = await asked(world, large)
    await world.actions.confirm(waiting.id, ADMIN, "x")
    # nor is done what he asked for while he was one
    await refused(
        alone(world, (SECOND_ADMIN,)).confirm(waiting.id, SECOND_ADMIN, "x"), "action_gone"
    )
    assert await world.status_of(large) == "DISPUTED"


async def test_a_dispute_is_resolved_by_another_once_who_took_it_is_no_admin_any_more(
    world: World,
) -> None:
    deal = await disputed(world)
    action = await asked(world, deal, "resolve")
    await world.cases.open(deal.id, SECOND_ADMIN)
    taken = await refused(world.actions.confirm(action.id, ADMIN, "x"), "dispute_taken")
    assert taken.values["by"] == "Abdi"
    await refused(asked(world, deal, "resolve", cause="again"), "dispute_taken")
    assert await world.status_of(deal) == "DISPUTED"
    done = await alone(world).confirm(action.id, ADMIN, "x")
    assert done.state is ActionState.DONE
    assert await world.status_of(deal) == "REFUNDED"
    assert await world.value("SELECT taken_by FROM escrow_disputes") == ADMIN


async def test_a_dispute_is_his_who_took_it_as_long_as_he_is_an_admin(world: World) -> None:
    """The list of admins counts as it is when the deal would end, not when the preview was made."""
    deal = await disputed(world)
    await world.cases.open(deal.id, SECOND_ADMIN)
    action = await alone(world).ask("resolve", deal.id, BUYERS, ADMIN, "update:1")
    await refused(world.actions.confirm(action.id, ADMIN, "x"), "dispute_taken")
    assert await world.status_of(deal) == "DISPUTED"


EDGE = ((-1, True), (0, False), (1, False))
"""Seconds from the end, and whether it can still be confirmed."""


@pytest.mark.parametrize(("seconds", "open_"), EDGE)
@pytest.mark.parametrize("swept", [True, False])
async def test_a_preview_can_be_confirmed_until_ten_minutes_are_over(
    world: World, seconds: int, open_: bool, swept: bool
) -> None:
    """Whether the sweep came by, or nobody looked at it before."""
    deal = await disputed(world)
    action = await asked(world, deal)
    world.clock.tick(minutes=10, seconds=seconds)
    if swept:
        assert await world.actions.expire() == ((0, 0) if open_ else (1, 1))
        state = "ASKED" if open_ else "EXPIRED"
        assert await world.value("SELECT state FROM admin_actions") == state
    if open_:
        done = await world.actions.confirm(action.id, ADMIN, "x")
        assert done.state is ActionState.DONE
        assert await world.status_of(deal) == "REFUNDED"
        return
    await refused(world.actions.confirm(action.id, ADMIN, "x"), "action_expired")
    await refused(world.actions.confirm(action.id, ADMIN, "x"), "action_expired")
    assert await world.value("SELECT state FROM admin_actions") == "EXPIRED"
    assert await world.status_of(deal) == "DISPUTED"


async def test_what_was_left_stays_left(world: World) -> None:
    deal = await disputed(world)
    action = await asked(world, deal)
    left = await world.actions.leave(action.id, ADMIN)
    assert left.state is ActionState.LEFT
    assert await world.actions.leave(action.id, ADMIN) == left
    await refused(world.actions.confirm(action.id, ADMIN, "x"), "action_left")
    assert await world.status_of(deal) == "DISPUTED"


async def test_nothing_is_done_once_the_preview_would_say_something_else(world: World) -> None:
    deal = await funded(world, "SHIPPED")
    action = await asked(world, deal)
    world.clock.tick(minutes=1)
    disputed_at = world.clock.now()
    await dispute(world, deal)
    world.clock.tick(minutes=1)
    error = await refused(world.actions.confirm(action.id, ADMIN, "x"), "action_moved")
    said = [error.values[name] for name in ("event", "role", "by", "at")]
    assert said == ["dispute", "buyer", "Brian", disputed_at], "who moved it, and when"
    assert await world.status_of(deal) == "DISPUTED"
    assert await world.value("SELECT count(*) FROM admin_approvals") == 0


async def test_a_changed_payout_number_is_something_else(dsn: str) -> None:
    async with World.open(dsn, auto_payout=True) as world:
        deal = await disputed(world)
        world.clock.tick(minutes=1)
        action = await asked(world, deal, "manual_release")
        await world.sql("UPDATE escrow_sellers SET payout_phone = '254799000999'")
        error = await refused(world.actions.confirm(action.id, ADMIN, "x"), "action_moved")
        assert "by" not in error.values, "nobody moved the deal since"


async def test_an_action_that_is_none_is_told(world: World) -> None:
    for act in (
        world.actions.confirm(77, ADMIN, "x"),
        world.actions.leave(77, ADMIN),
        world.actions.approve_on_host(77),
        world.actions.confirm_typed("manual_refund", "ES1008257624", 4821, ADMIN, "x"),
    ):
        with pytest.raises(NotFound) as error:
            await act
        assert error.value.reason == "action_gone"


# -- who was first -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "role", "act"),
    [
        ("manual_release", "admin", lambda w, d: w.manual_release(d.id, SECOND_ADMIN)),
        ("decline", "seller", lambda w, d: w.escrows.decline(d.id, JANE)),
        ("release", "buyer", lambda w, d: w.escrows.receive(d.id, BRIAN, "update:9")),
        ("refund", "timer", lambda w, d: w.escrows.refund_due()),
    ],
)
async def test_whoever_was_first_is_named_with_what_happened_and_when(
    world: World, event: str, role: str, act: Callable[[World, Escrow], Awaitable[Any]]
) -> None:
    deal = await funded(world, "HELD")
    if event == "refund":
        world.clock.tick(days=3)
    action = await asked(world, deal)
    world.clock.tick(minutes=1)
    await act(world, deal)
    for late in (world.actions.confirm(action.id, ADMIN, "x"), asked(world, deal, cause="again")):
        error = await refused(late, "decided_before")
        assert (error.values["event"], error.values["role"]) == (event, role)
        assert error.values["at"] == world.clock.now()
    assert error.values["by"] == {"admin": "Abdi", "seller": "Jane", "buyer": "Brian"}.get(role, "")


async def test_a_dispute_that_its_side_withdrew_is_told_with_him(world: World) -> None:
    deal = await disputed(world)
    action = await asked(world, deal, "resolve")
    await world.escrows.withdraw_dispute(deal.id, BRIAN)
    error = await refused(world.actions.confirm(action.id, ADMIN, "x"), "decided_before")
    assert (error.values["event"], error.values["by"]) == ("withdraw_dispute", "Brian")


# -- repeated ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", RULINGS)
async def test_repeated_it_is_the_first_answer(world: World, kind: str) -> None:
    deal = await disputed(world)
    action = await asked(world, deal, kind)
    assert await asked(world, deal, kind) == action
    done = await world.actions.confirm(action.id, ADMIN, "update:2")
    before = await world.snapshot()
    for cause in ("update:2", "update:3"):
        assert await world.actions.confirm(action.id, ADMIN, cause) == done
    typed = await world.actions.confirm_typed(kind, deal.id, action.number, ADMIN, "update:4")
    assert typed == await asked(world, deal, kind) == done
    assert await world.snapshot() == before
    late = await refused(world.actions.confirm(action.id, SECOND_ADMIN, "x"), "decided_before")
    assert late.values["by"] == "Amina"


# -- raced ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", RULINGS)
async def test_ten_confirmations_at_once_are_one(world: World, kind: str) -> None:
    deal = await disputed(world, LARGE)
    action = await asked(world, deal, kind)
    await world.actions.confirm(action.id, ADMIN, "x")
    results = await asyncio.gather(
        *(world.actions.confirm(action.id, SECOND_ADMIN, f"update:{n}") for n in range(8)),
        *(world.actions.approve_on_host(action.id) for _ in range(2)),
        return_exceptions=True,
    )
    done = [one for one in results if isinstance(one, Action)]
    assert {one.state for one in done} == {ActionState.DONE}
    assert {getattr(one, "reason", "") for one in results} <= {"", "decided_before"}
    assert await world.value("SELECT count(*) FROM settlements") == 1
    assert await world.value("SELECT count(*) FROM admin_approvals") == 2


# -- two admins ----------------------------------------------------------------------------------


async def test_a_large_sum_waits_for_another_admin_who_is_told_all_of_it(world: World) -> None:
    deal = await disputed(world, LARGE)
    action = await asked(world, deal)
    waiting = await world.actions.confirm(action.id, ADMIN, "update:2")
    assert waiting.state is ActionState.CONFIRMED
    assert await world.status_of(deal) == "DISPUTED"
    assert await world.actions.confirm(action.id, ADMIN, "update:3") == waiting, "he is not two"
    card = Action.of((await world.notice(SECOND_ADMIN, "second_wanted"))["action"])
    assert (card.facts, card.number) == (waiting.facts, waiting.number)
    world.clock.tick(hours=23)
    done = await world.actions.confirm(action.id, SECOND_ADMIN, "update:4")
    assert (done.state, done.second) == (ActionState.DONE, SECOND_ADMIN)
    assert await world.wallet(BRIAN) == 63_000
    assert (await world.notice(ADMIN, "action_done"))["by"] == "Abdi"


@pytest.mark.parametrize(("price", "second"), [(47_619, False), (47_620, True)])
async def test_fifty_thousand_is_moved_by_one_and_a_shilling_more_by_two(
    world: World, price: int, second: bool
) -> None:
    deal = await world.deal(price, buyer=BRIAN)
    await world.pay(deal, deal.due.minor // 100 + (1 if deal.due.minor % 100 else 0))
    action = await asked(world, deal)
    assert action.needs_second is second


async def test_dollars_always_need_two(world: World) -> None:
    deal = await world.usd_deal(10)
    await world.pay(deal, "10.50")
    assert (await asked(world, deal)).needs_second


async def test_the_second_may_say_no_and_the_first_is_told(world: World) -> None:
    deal = await disputed(world, LARGE)
    action = await asked(world, deal)
    await refused(world.actions.confirm(action.id, SECOND_ADMIN, "x"), "action_not_yours")
    await world.actions.confirm(action.id, ADMIN, "x")
    await world.actions.leave(action.id, SECOND_ADMIN)
    assert (await world.notice(ADMIN, "action_left_by"))["by"] == "Abdi"
    await refused(world.actions.confirm(action.id, ADMIN, "x"), "action_left")
    assert await world.status_of(deal) == "DISPUTED"


async def test_where_there_is_no_second_admin_the_host_is(world: World) -> None:
    only, deal = alone(world), await disputed(world, LARGE)
    action = await only.ask("manual_refund", deal.id, {}, ADMIN, "update:1")
    assert only.others(action) == []
    await refused(only.approve_on_host(action.id), "action_not_confirmed")
    assert (await only.confirm(action.id, ADMIN, "x")).state is ActionState.CONFIRMED
    done = await only.approve_on_host(action.id)
    assert (done.state, done.second) == (ActionState.DONE, "host")
    assert await only.approve_on_host(action.id) == done
    assert (await world.notice(ADMIN, "action_done"))["by"] == "host"
    assert (
        await world.value(
            "SELECT data ->> 'second' FROM escrow_timeline WHERE event = 'manual_refund'"
        )
        == "host"
    )


async def test_nobody_waits_longer_than_a_day_for_the_second(world: World) -> None:
    small, deal = await disputed(world), await disputed(world, LARGE)
    await asked(world, small)
    action = await asked(world, deal)
    await world.actions.confirm(action.id, ADMIN, "x")
    assert await world.actions.expire() == (0, 0)
    world.clock.tick(hours=24)
    assert await world.actions.expire() == (2, 2)
    assert await world.actions.expire() == (0, 0)
    assert (await world.told(ADMIN)).count("action_over") == 1, "only of what he confirmed"
    await refused(world.actions.confirm(action.id, SECOND_ADMIN, "x"), "action_expired")


@pytest.mark.parametrize(("seconds", "open_"), EDGE)
@pytest.mark.parametrize("swept", [True, False])
async def test_the_second_may_confirm_until_his_day_is_over(
    world: World, seconds: int, open_: bool, swept: bool
) -> None:
    """It runs from the first one's confirmation, not from the preview."""
    deal = await disputed(world, LARGE)
    action = await asked(world, deal)
    world.clock.tick(minutes=9)
    await world.actions.confirm(action.id, ADMIN, "x")
    world.clock.tick(hours=24, seconds=seconds)
    if swept:
        assert await world.actions.expire() == ((0, 0) if open_ else (1, 1))
        state = "CONFIRMED" if open_ else "EXPIRED"
        assert await world.value("SELECT state FROM admin_actions") == state
    if open_:
        done = await world.actions.confirm(action.id, SECOND_ADMIN, "x")
        assert (done.state, done.second) == (ActionState.DONE, SECOND_ADMIN)
        assert await world.status_of(deal) == "REFUNDED"
        return
    await refused(world.actions.confirm(action.id, SECOND_ADMIN, "x"), "action_expired")
    assert (await world.told(ADMIN)).count("action_over") == 1
    assert await world.status_of(deal) == "DISPUTED"


# -- buttons and numbers -------------------------------------------------------------------------


async def test_a_button_works_for_its_admin_and_for_what_it_said(world: World) -> None:
    deal = await disputed(world)
    action = await asked(world, deal)
    mine = world.actions.buttons(action, ADMIN)
    his = world.actions.buttons(action, SECOND_ADMIN)
    assert all(len(one) <= 64 for one in mine.values())
    before = await world.snapshot()
    yes = mine[Word.YES]
    forged = [his[Word.YES], yes.replace(":y:", ":n:"), yes[:-1], yes + "0", f"a1:y:{action.id}:"]
    forged += [flip(yes, place) for place in range(3, len(yes))]
    for token in forged:
        with pytest.raises(ChoiceRefused):
            await world.actions.press(token, ADMIN, "x")
    with pytest.raises(ChoiceRefused):
        await world.actions.press(yes, SECOND_ADMIN, "x")
    assert await world.snapshot() == before
    done = await world.actions.press(yes, ADMIN, "update:2")
    assert done.state is ActionState.DONE
    assert await world.actions.press(yes, ADMIN, "update:3") == done


async def test_no_is_a_button_too(world: World) -> None:
    action = await asked(world, await disputed(world))
    token = world.actions.buttons(action, ADMIN)[Word.NO]
    assert (await world.actions.press(token, ADMIN, "x")).state is ActionState.LEFT


async def test_a_number_is_typed_by_the_one_who_asked_and_by_the_second(world: World) -> None:
    deal = await disputed(world, LARGE)
    action = await asked(world, deal)
    type_ = world.actions.confirm_typed
    await refused(
        type_("manual_refund", deal.id, action.number, SECOND_ADMIN, "x"), "action_not_yours"
    )
    assert (await type_("manual_refund", deal.id, action.number, ADMIN, "y")).is_open
    done = await type_("manual_refund", deal.id, action.number, SECOND_ADMIN, "z")
    assert done.state is ActionState.DONE


async def test_the_newest_of_two_with_a_number_counts(world: World) -> None:
    deal = await disputed(world)
    first, second = await asked(world, deal, cause="a"), await asked(world, deal, cause="b")
    done = await world.actions.confirm_typed("manual_refund", deal.id, second.number, ADMIN, "x")
    assert done.id == (second.id if first.number != second.number else done.id)


async def test_three_wrong_numbers_end_it_and_a_repeat_counts_once(world: World) -> None:
    deal = await disputed(world)
    action = await asked(world, deal)
    wrong = 1000 + (action.number - 999) % 9000

    def type_(cause: str, number: int = wrong) -> Awaitable[Action]:
        return world.actions.confirm_typed("manual_refund", deal.id, number, ADMIN, cause)

    for cause in ("update:2", "update:2", "update:3"):
        await refused(type_(cause), "action_wrong_number")
    await refused(type_("update:4"), "action_left")
    await refused(type_("update:5", action.number), "action_left")
    await refused(world.actions.confirm(action.id, ADMIN, "x"), "action_left")
    assert await world.status_of(deal) == "DISPUTED"


async def test_two_admins_at_once_have_one_winner_and_the_other_reads_who(world: World) -> None:
    for number in range(10):
        deal = await disputed(world)
        mine = await asked(world, deal, RULINGS[number % 3], ADMIN)
        his = await asked(world, deal, RULINGS[(number + 1) % 3], SECOND_ADMIN)
        results = await asyncio.gather(
            world.actions.confirm(mine.id, ADMIN, "x"),
            world.actions.confirm(his.id, SECOND_ADMIN, "x"),
            return_exceptions=True,
        )
        (won,) = (one for one in results if isinstance(one, Action))
        (lost,) = (one for one in results if isinstance(one, NotAllowed))
        assert lost.reason == "decided_before"
        assert lost.values["by"] == {ADMIN: "Amina", SECOND_ADMIN: "Abdi"}[won.asked_by]


async def test_a_party_can_not_end_an_action_with_wrong_numbers(world: World) -> None:
    deal = await world.deal(LARGE, buyer=SECOND_ADMIN)
    await world.pay(deal, LARGE * 105 // 100, buyer=SECOND_ADMIN)
    waiting = await asked(world, deal, "manual_release")
    await world.actions.confirm(waiting.id, ADMIN, "x")
    wrong = 1000 if waiting.number != 1000 else 1001
    for turn in range(3):
        typing = world.actions.confirm_typed(
            "manual_release", deal.id, wrong, SECOND_ADMIN, f"update:{turn}"
        )
        await refused(typing, "admin_is_party")
    assert (await world.actions.action(waiting.id)).state is ActionState.CONFIRMED
