"""The three buttons after a moderate shortage: one effect at most, one polite refusal."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import pytest

from escrow.domain.errors import ChoiceRefused
from escrow.domain.model import Escrow
from escrow.domain.money import Currency
from escrow.services.choice_tokens import Action
from escrow.services.choices import Pressed, UnderpaymentChoices
from escrow.store import payments
from tests.rail import PAID
from tests.world import ADMIN, BRIAN, JANE, OTIENO, SECRET, World, flip, kes, new_reference


async def _offered(world: World, amount: int = 9_800) -> Escrow:
    """A deal of 10,500 with so much received, and a choice open."""
    deal = await world.deal()
    await world.pay(deal, amount)
    return deal


async def _end(world: World, deal: Escrow) -> datetime:
    async with world.db.reading() as conn:
        choice = await payments.open_choice(conn, deal.id)
    assert choice is not None
    return choice.expires_at


async def _refused(world: World, token: str, who: int = BRIAN) -> None:
    """Refused, counted, and nothing changed."""
    before, counted = await world.snapshot(), world.choices.refused
    with pytest.raises(ChoiceRefused) as error:
        await world.choices.press(token, who)
    assert (error.value.reason, error.value.values) == ("choice_refused", {})
    assert world.choices.refused == counted + 1
    assert await world.snapshot() == before


# -- each button ---------------------------------------------------------------------------------


async def test_the_three_buttons_are_signed_and_short(world: World) -> None:
    deal = await _offered(world)
    buttons = [await world.button(deal, action) for action in Action]
    assert len(set(buttons)) == 3
    assert all(len(button.encode()) <= 64 for button in buttons)


async def test_complete_moves_nothing_and_says_what_is_missing(world: World) -> None:
    await world.give(BRIAN, kes(300))
    deal = await _offered(world)
    before = await world.snapshot()
    for _ in range(3):
        pressed = await world.press(deal, Action.COMPLETE)
        assert (pressed.choice.missing, pressed.wallet) == (kes(700), kes(300))
    assert await world.snapshot() == before, "a wrong PIN leaves the buttons alive"


async def test_proceed_holds_what_came_and_tells_both(world: World) -> None:
    deal = await _offered(world)
    pressed = await world.press(deal, Action.PROCEED)
    assert isinstance(pressed, Pressed)
    assert str(pressed.escrow.status) == "HELD"
    received, holding, fee = await world.accounts(deal)
    assert (received, holding + fee) == (0, 9_800)
    assert await world.told(JANE) == ["held_less"]
    assert (await world.events(deal))[-1] == "fund"
    actor = await world.value("SELECT actor FROM escrow_timeline WHERE event = 'fund'")
    assert actor == f"choice:{BRIAN}"


async def test_after_proceeding_the_seller_may_still_decline(world: World) -> None:
    deal = await _offered(world)
    await world.press(deal, Action.PROCEED)
    await world.escrows.decline(deal.id, JANE)
    assert await world.wallet() == 9_800
    assert await world.status_of(deal) == "REFUNDED"


async def test_cancel_returns_everything_and_ends_the_deal(world: World) -> None:
    deal = await _offered(world)
    pressed = await world.press(deal, Action.CANCEL)
    assert str(pressed.escrow.status) == "CANCELLED"
    assert pressed.wallet == kes(9_800)
    assert (await world.events(deal))[-1] == "cancel"


async def test_the_buttons_of_a_closed_choice_are_not_shown_again(world: World) -> None:
    deal = await _offered(world)
    choice_id = (await world.press(deal, Action.PROCEED)).choice.id
    assert await world.choices.buttons(choice_id) is None
    assert await world.choices.buttons(choice_id + 1) is None


async def test_a_secret_that_is_too_short_is_refused_at_the_start(world: World) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        UnderpaymentChoices(world.db, world.clock, world.terms, SECRET[:31])


# -- forged, foreign, late, used -----------------------------------------------------------------


async def test_a_button_changed_anywhere_is_refused(world: World) -> None:
    deal = await _offered(world)
    token = await world.button(deal, Action.PROCEED)
    tampered = {flip(token, place) for place in range(len(token))}
    tampered |= {token.replace(":p:", f":{letter}:") for letter in "cx"}
    tampered |= {token[:-1], token + "0", token.upper(), "", "junk"}
    assert token not in tampered
    for wrong in sorted(tampered):
        await _refused(world, wrong)
    await world.press(deal, Action.PROCEED)


async def test_a_button_signed_with_another_secret_is_refused(world: World) -> None:
    deal = await _offered(world)
    other = UnderpaymentChoices(world.db, world.clock, world.terms, SECRET[::-1])
    choice_id = (await world.press(deal, Action.COMPLETE)).choice.id
    buttons = await other.buttons(choice_id)
    assert buttons is not None
    for token in buttons.values():
        await _refused(world, token)


async def test_a_button_of_one_deal_does_nothing_on_another(world: World) -> None:
    first, second = await _offered(world), await _offered(world)
    one, two = [(await world.button(deal, Action.PROCEED)).split(":") for deal in (first, second)]
    await _refused(world, ":".join([*one[:3], two[3]]))
    await _refused(world, ":".join([*two[:3], one[3]]))


@pytest.mark.parametrize("who", [OTIENO, JANE, ADMIN, 9_999], ids=str)
@pytest.mark.parametrize("action", Action)
async def test_somebody_elses_tap_is_refused(world: World, who: int, action: Action) -> None:
    deal = await _offered(world)
    await _refused(world, await world.button(deal, action), who)


@pytest.mark.parametrize("action", Action)
async def test_the_window_is_open_until_its_last_microsecond(world: World, action: Action) -> None:
    deal = await _offered(world)
    token, end = await world.button(deal, action), await _end(world, deal)
    for late in (timedelta(0), timedelta(microseconds=1), timedelta(hours=1)):
        world.clock.at = end + late
        await _refused(world, token)
    world.clock.at = end - timedelta(microseconds=1)
    await world.choices.press(token, BRIAN)


@pytest.mark.parametrize("first", [Action.PROCEED, Action.CANCEL])
@pytest.mark.parametrize("second", Action)
async def test_a_button_works_once_and_ends_the_others(
    world: World, first: Action, second: Action
) -> None:
    deal = await _offered(world)
    tokens = {action: await world.button(deal, action) for action in Action}
    await world.choices.press(tokens[first], BRIAN)
    await _refused(world, tokens[second])


@pytest.mark.parametrize("action", Action)
async def test_ten_taps_at_once_are_one_effect(world: World, action: Action) -> None:
    deal = await _offered(world)
    token = await world.button(deal, action)
    results = await asyncio.gather(
        *(world.choices.press(token, BRIAN) for _ in range(10)), return_exceptions=True
    )
    done = [result for result in results if isinstance(result, Pressed)]
    refused = [result for result in results if isinstance(result, ChoiceRefused)]
    assert (len(done), len(refused)) == ((10, 0) if action is Action.COMPLETE else (1, 9))
    assert (await world.events(deal)).count("fund") == (action is Action.PROCEED)


async def test_proceed_and_cancel_at_once_are_one_effect(world: World) -> None:
    for _ in range(10):
        deal = await _offered(world)
        before = await world.wallet()
        tokens = [await world.button(deal, action) for action in (Action.PROCEED, Action.CANCEL)]
        results = await asyncio.gather(
            *(world.choices.press(token, BRIAN) for token in tokens * 5), return_exceptions=True
        )
        assert sum(isinstance(result, Pressed) for result in results) == 1
        cancelled = await world.status_of(deal) == "CANCELLED"
        assert await world.wallet() - before == (9_800 if cancelled else 0)


async def test_a_tap_and_the_sweep_at_the_same_moment_are_one_effect(world: World) -> None:
    for _ in range(10):
        deal = await _offered(world)
        token, before = await world.button(deal, Action.PROCEED), await world.wallet()
        world.clock.at = await _end(world, deal) - timedelta(microseconds=1)
        late = World(
            world.dsn, type(world.clock)(world.clock.at), world.rail, world.db, world.terms, True
        )
        late.clock.tick(microseconds=1)
        results = await asyncio.gather(
            world.choices.press(token, BRIAN), late.choices.expire(), return_exceptions=True
        )
        status = await world.status_of(deal)
        assert status in ("HELD", "PENDING")
        assert isinstance(results[0], Pressed) == (status == "HELD")
        assert await world.wallet() - before == (0 if status == "HELD" else 9_800)


async def test_a_tap_and_a_top_up_at_the_same_moment_lose_nothing(world: World) -> None:
    for _ in range(10):
        deal = await _offered(world)
        token, before = await world.button(deal, Action.CANCEL), await world.wallet()
        await asyncio.gather(
            world.choices.press(token, BRIAN), world.pay(deal, 700), return_exceptions=True
        )
        status = await world.status_of(deal)
        assert await world.wallet() - before == (10_500 if status == "CANCELLED" else 0)
        assert status in ("HELD", "CANCELLED")


# -- replaced, moved, suspended ------------------------------------------------------------------


async def test_a_button_that_a_new_receipt_replaced_is_refused_and_the_new_one_keeps_the_end(
    world: World,
) -> None:
    deal = await _offered(world, 9_700)
    old, end = await world.button(deal, Action.PROCEED), await _end(world, deal)
    world.clock.tick(minutes=9)
    await world.pay(deal, 100)
    assert await _end(world, deal) == end
    await _refused(world, old)
    await world.press(deal, Action.PROCEED)
    received, holding, fee = await world.accounts(deal)
    assert (received, holding + fee) == (0, 9_800)


@pytest.mark.parametrize("action", Action)
async def test_a_button_of_a_deal_that_was_cancelled_is_refused(
    world: World, action: Action
) -> None:
    deal = await _offered(world)
    token = await world.button(deal, action)
    await world.escrows.cancel(deal.id, JANE)
    await _refused(world, token)
    assert await world.wallet() == 9_800


async def test_a_suspended_seller_gets_nothing_and_the_window_returns_the_money(
    world: World,
) -> None:
    deal = await _offered(world)
    token = await world.button(deal, Action.PROCEED)
    await world.suspend()
    await _refused(world, token)
    world.clock.tick(minutes=10)
    assert await world.choices.expire() == (1, 1)
    assert await world.wallet() == 9_800


# -- the window's end ----------------------------------------------------------------------------


async def test_the_sweep_acts_at_the_end_and_not_before(world: World) -> None:
    deal = await _offered(world)
    world.clock.at = await _end(world, deal) - timedelta(microseconds=1)
    assert await world.choices.expire() == (0, 0)
    world.clock.tick(microseconds=1)
    assert await world.choices.expire() == (1, 1)
    assert (await world.events(deal))[-1] == "choice_expired"


async def test_a_prompt_for_the_missing_amount_holds_the_window_at_most_three_minutes(
    world: World,
) -> None:
    deal = await _offered(world)
    end = await _end(world, deal)
    world.clock.at = end - timedelta(seconds=20)
    choice_id = (await world.press(deal, Action.COMPLETE)).choice.id
    await world.prompt(deal, choice_id=choice_id)
    for late in (timedelta(0), timedelta(minutes=3) - timedelta(microseconds=1)):
        world.clock.at = end + late
        assert await world.choices.expire() == (0, 0)
    world.clock.at = end + timedelta(minutes=3)
    assert await world.choices.expire() == (1, 1)
    assert await world.wallet() == 9_800


async def test_a_prompt_that_is_paid_past_the_end_still_funds_the_deal_in_full(
    world: World,
) -> None:
    deal = await _offered(world)
    choice_id = (await world.press(deal, Action.COMPLETE)).choice.id
    attempt = await world.prompt(deal, choice_id=choice_id)
    world.clock.tick(minutes=12)
    world.rail.query_answer = PAID
    assert await world.callback(attempt, new_reference()) == "funded"
    assert await world.accounts(deal) == (0, 10_000, 500)


async def test_a_prompt_that_ended_no_longer_holds_the_window(world: World) -> None:
    deal = await _offered(world)
    attempt = await world.prompt(deal)
    world.clock.tick(minutes=10)
    assert await world.choices.expire() == (0, 0)
    await world.callback(attempt, code=2001)
    assert await world.choices.expire() == (1, 1)


async def test_twenty_windows_end_in_one_sweep_and_two_sweeps_do_it_once(world: World) -> None:
    for _ in range(20):
        await _offered(world)
    world.clock.tick(minutes=10)
    swept = await asyncio.gather(*(world.choices.expire() for _ in range(3)))
    assert sum(done for _, done in swept) == 20
    assert await world.wallet() == 20 * 9_800
    assert await world.wallet(BRIAN, Currency.USD) == 0


async def test_a_window_that_cant_be_ended_stops_no_other(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck, fine = await _offered(world), await _offered(world)
    world.clock.tick(minutes=10)
    real = payments.use_choice

    async def broken(conn: object, choice_id: int, *args: object, **kwargs: object) -> bool:
        if choice_id == 1:
            raise RuntimeError("a bug")
        return await real(conn, choice_id, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(payments, "use_choice", broken)
    assert await world.choices.expire() == (2, 1)
    assert await world.accounts(stuck) == (9_800, 0, 0)
    assert await world.accounts(fine) == (0, 0, 0)
    monkeypatch.undo()
    assert await world.choices.expire() == (0, 0), "it rests until its next try"
    world.clock.tick(minutes=1)
    assert await world.choices.expire() == (1, 1)
    assert await world.sql("SELECT * FROM deal_setbacks") == []


async def test_a_new_choice_ends_in_its_own_time_whatever_became_of_the_one_before(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    deal = await _offered(world)

    async def broken(*_: object, **__: object) -> bool:
        raise RuntimeError("a bug")

    monkeypatch.setattr(payments, "use_choice", broken)
    for _ in range(4):
        world.clock.tick(hours=2)
        assert await world.choices.expire() == (1, 0)
    monkeypatch.undo()
    await world.pay(deal, 10)
    assert await world.wallet() == 9_810, "its time was over"
    await world.pay(deal, 9_900)
    world.clock.at = await _end(world, deal)
    assert await world.value("SELECT max(next_try_at) FROM deal_setbacks") is None
    assert await world.choices.expire() == (1, 1)
    assert await world.wallet() == 9_810 + 9_900
