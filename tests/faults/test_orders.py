"""One prompt is paid once, and M-Pesa tells of it three ways: by query, by callback, by C2B. In
every order, with repeats, and with a second real payment by hand between them, each payment is
credited exactly once.
"""

from __future__ import annotations

import hashlib
import itertools
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pytest

from escrow.domain.model import Attempt, AttemptState, Escrow
from escrow.services.ports import Answer
from tests.rail import PAID, UNREACHABLE, masked
from tests.world import BRIAN, PHONES, World, new_reference

QUERY, CALLBACK, PAYBILL, BY_HAND = "query", "callback", "paybill", "by hand"
ONE_PAYMENT = (QUERY, CALLBACK, PAYBILL)
DUE = 9_450


@dataclass(frozen=True)
class Setting:
    """How the operator runs it: `keys` to ask TransactionStatus, `prompt_answers` when it answers
    at once rather than at the end, `confirm` as MPESA_CONFIRM_BEFORE_CREDIT, and what the query
    says to callbacks (the sweep's own query always says paid).
    """

    name: str
    keys: bool = False
    answers_at_once: bool = True
    confirm: bool = True
    callback_query: Answer = PAID


SETTINGS = (
    Setting("no keys"),
    Setting("keys", keys=True),
    Setting("keys, slow answers", keys=True, answers_at_once=False),
    Setting("no confirmation", confirm=False),
    Setting("query fails at callbacks", callback_query=UNREACHABLE),
    Setting(
        "query fails at callbacks, slow answers",
        keys=True,
        answers_at_once=False,
        callback_query=UNREACHABLE,
    ),
)


SHOWN = itertools.cycle(
    (
        masked(PHONES[BRIAN]),
        PHONES[BRIAN],
        hashlib.sha256(PHONES[BRIAN].encode()).hexdigest(),
        "",
    )
)
"""How a payer's number comes by C2B, order by order: masked, clear, hashed, not at all."""


class Play:
    """One deal, one prompt, and what M-Pesa tells of it."""

    def __init__(
        self, world: World, setting: Setting, deal: Escrow, attempt: Attempt, shown: str
    ) -> None:
        self.world = world
        self.shown = shown
        self.setting = setting
        self.deal = deal
        self.stk = attempt
        self.numbers = {PAYBILL: new_reference(), BY_HAND: new_reference()}
        self.answered = len(world.rail.asked)
        self.bodies = itertools.count()

    async def tell(self, event: str) -> None:
        rail = self.world.rail
        if event == QUERY:
            rail.query_answer = PAID
            await self.world.confirmations.look(await self.world.attempt(self.stk))
        elif event == CALLBACK:
            rail.query_answer = self.setting.callback_query
            await self.world.callback(self.stk, self.numbers[PAYBILL], balance=next(self.bodies))
        else:
            await self.world.paybill(
                self.deal.id,
                self.deal.due,
                self.numbers[event],
                shown=self.shown,
                balance=f"{next(self.bodies)}.00",
            )
        if self.setting.answers_at_once:
            await self.answer_questions()

    async def answer_questions(self) -> None:
        asked = self.world.rail.asked
        while self.answered < len(asked):
            question = asked[self.answered]
            self.answered += 1
            await self.world.status(question.token, question.reference, self.deal.due)

    async def settle(self) -> None:
        """The sweeps run for a day, and whoever was asked answers."""
        self.world.rail.query_answer = PAID
        for minutes in (0, 2, 24 * 60):
            self.world.clock.tick(minutes=minutes)
            await self.world.settle_inbox()
            await self.world.confirmations.look_due()
            await self.world.confirmations.check_due()
            await self.answer_questions()

    async def problems(self, payments: int) -> list[str]:
        """What is not as it should be after that many real payments."""
        world, found = self.world, []
        due = dict.fromkeys(self._real(payments), "CREDITED")
        states = {
            row["reference"]: row["state"]
            for row in await world.sql(
                "SELECT reference, state FROM receipts WHERE escrow_id = $1", self.deal.id
            )
        }
        if states != due:
            found.append(f"receipts {states} instead of {due}")
        if await world.accounts(self.deal) != (0, 9_000, 450):
            found.append(f"accounts {await world.accounts(self.deal)}")
        if (await world.attempt(self.stk)).state is not AttemptState.PAID:
            found.append("the prompt is not paid")
        credited = await world.value(
            "SELECT sum(e.amount_minor) FROM ledger_entries e"
            " JOIN ledger_accounts a ON a.id = e.account_id"
            " JOIN ledger_journals j ON j.id = e.journal_id"
            " WHERE a.kind = 'wallet' AND j.escrow_id = $1",
            self.deal.id,
        )
        if (credited or 0) != (payments - 1) * DUE * 100:
            found.append(f"{credited} in the wallet")
        funded = (await world.events(self.deal)).count("fund")
        if funded != 1:
            found.append(f"funded {funded} times")
        again = await world.value(
            "SELECT next_query_at FROM payment_attempts WHERE id = $1", self.stk.id
        )
        if again is not None:
            found.append("M-Pesa is still asked about a paid prompt")
        return found

    def _real(self, payments: int) -> Iterable[str]:
        return [self.numbers[PAYBILL], self.numbers[BY_HAND]][:payments]


async def play(world: World, setting: Setting, order: Sequence[str]) -> list[str]:
    """Tells one order; what went wrong."""
    world.clock.tick(minutes=15)
    deal = await world.deal(9_000)
    started = Play(world, setting, deal, await world.prompt(deal), next(SHOWN))
    for event in order:
        await started.tell(event)
        world.clock.tick(seconds=5)
    await started.settle()
    found = await started.problems(2 if BY_HAND in order else 1)
    return [f"{' → '.join(order)}: {', '.join(found)}"] if found else []


async def play_all(dsn: str, setting: Setting, orders: Iterable[Sequence[str]]) -> None:
    async with World.open(dsn, prompts_per_user_hour=10_000, confirm=setting.confirm) as world:
        world.rail.can_ask_status = setting.keys
        failed = [line for order in orders for line in await play(world, setting, order)]
        await world.books()
    assert not failed, "\n".join(failed)


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
async def test_every_order_of_query_callback_and_paybill_is_one_credit(
    dsn: str, setting: Setting
) -> None:
    orders = [
        order
        for count in (1, 2, 3)
        for order in itertools.permutations(ONE_PAYMENT, count)
        if order != (QUERY,)  # a query names no receipt: see the slot in test_odd_cases.py
    ]
    await play_all(dsn, setting, orders)


@pytest.mark.parametrize("setting", SETTINGS[::2], ids=lambda setting: setting.name)
async def test_every_order_with_every_message_twice_is_one_credit(
    dsn: str, setting: Setting
) -> None:
    orders = sorted(set(itertools.permutations(ONE_PAYMENT * 2)))
    assert len(orders) == 90
    await play_all(dsn, setting, orders)


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
async def test_every_order_with_a_second_payment_by_hand_is_two_credits(
    dsn: str, setting: Setting
) -> None:
    orders = list(itertools.permutations((*ONE_PAYMENT, BY_HAND)))
    assert len(orders) == 24
    await play_all(dsn, setting, orders)


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
async def test_orders_with_a_second_payment_and_repeats_are_two_credits(
    dsn: str, setting: Setting
) -> None:
    """A sample of the 2,520 orders of eight messages, the same one in every run."""
    draw = random.Random(setting.name)  # noqa: S311
    messages = [*ONE_PAYMENT, BY_HAND] * 2
    await play_all(dsn, setting, [draw.sample(messages, 8) for _ in range(25)])
