"""Money on its way, and everything that can be said of it, in any order: what really happened, the
moves that tell of it (twice, late, never, wrongly, or of money that there is not), and what the
books have to say at the end.

A move is a line in MOVES: what happens next, given two numbers to choose by. Another rail adds its
moves and, where it really brings money, a `Payment`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from escrow.domain.errors import CannotDo
from escrow.domain.model import Attempt, Escrow
from escrow.domain.money import Money
from escrow.services.intake import STATUS_TIMEOUT
from escrow.services.ports import Answer
from tests.rail import (
    CANCELLED,
    PAID,
    PENDING,
    UNREACHABLE,
    checkout_id,
    masked,
    near_miss,
    paybill_body,
    status_body,
)
from tests.world import ADMIN, BRIAN, OTIENO, PHONES, World, kes, new_reference

Move = tuple[str, int, int]
FAILURES: Final = (1032, 1037, 1, 2001, "SFC_IC0003", 31_337)
SPANS: Final = (5, 60, 600, 7_200, 90_000)


def shown(number: str, how: int) -> str:
    """How C2B may show a payer's number: masked, clear, hashed, not at all."""
    hashed = hashlib.sha256(number.encode()).hexdigest()
    return (masked(number), number, hashed, "")[how % 4]


@dataclass(frozen=True)
class Payment:
    """Money that a provider really took. `attempt`: by a prompt, else by hand."""

    reference: str
    amount: Money
    typed: str
    at: datetime
    phone: str
    attempt: Attempt | None = None


@dataclass
class Scene:
    """Two deals with a buyer each, and what M-Pesa knows."""

    world: World
    deals: Sequence[Escrow]
    first_receipt: int
    first_entry: int
    attempts: list[Attempt] = field(default_factory=list)
    fates: dict[str, Answer] = field(default_factory=dict)
    payments: list[Payment] = field(default_factory=list)
    reachable: bool = True
    answered: int = 0

    @classmethod
    async def set(cls, world: World) -> Scene:
        world.clock.tick(minutes=15)
        deals = [await world.deal(9_000, buyer=BRIAN), await world.deal(9_000, buyer=OTIENO)]
        scene = cls(
            world,
            deals,
            await world.value("SELECT coalesce(max(id), 0) FROM receipts"),
            await world.value("SELECT coalesce(max(id), 0) FROM ledger_entries"),
            answered=len(world.rail.asked),
        )
        scene.mpesa_says()
        return scene

    def mpesa_says(self) -> None:
        """What a query answers from now on: the truth, or nothing."""
        rail = self.world.rail
        rail.query_answers = dict(self.fates) if self.reachable else {}
        rail.query_answer = PENDING if self.reachable else UNREACHABLE

    def fated(self, attempt: Attempt, fate: Answer) -> None:
        self.fates[checkout_id(attempt.token)] = fate
        self.mpesa_says()

    def fate(self, attempt: Attempt) -> Answer:
        return self.fates.get(checkout_id(attempt.token), PENDING)

    def payment_of(self, attempt: Attempt) -> Payment:
        return next(one for one in self.payments if one.attempt is attempt)

    def deal(self, which: int) -> Escrow:
        return self.deals[which % len(self.deals)]

    def real(self, reference: str | None) -> Payment | None:
        return next((one for one in self.payments if one.reference == reference), None)

    async def answer(self, place: int) -> None:
        """M-Pesa's own answer to that question about a receipt, once more if need be."""
        asked = self.world.rail.asked[place]
        real = self.real(asked.reference)
        body = (
            status_body(asked.reference, real.amount)
            if real
            else status_body(asked.reference, kes(1), code=2032)
        )
        await self.world.post_status(asked.token, body)
        await self.world.settle_inbox()

    async def answers(self) -> None:
        while self.answered < len(self.world.rail.asked):
            self.answered += 1
            await self.answer(self.answered - 1)

    async def sweep(self) -> None:
        await self.world.settle_inbox()
        await self.world.confirmations.look_due()
        await self.world.confirmations.check_due()

    # -- the end -------------------------------------------------------------------------------

    async def come_to_rest(self) -> None:
        """The outage ends, everything true is told at last, admins look at what waits for them."""
        self.reachable = True
        self.mpesa_says()
        await self._rest()
        for payment in self.payments:
            await tell(self, payment, 99)
        await self._rest()

    async def _rest(self) -> None:
        for seconds in (0, 30, 150, 900, 7_200, 90_000):
            self.world.clock.tick(seconds=seconds)
            await self.sweep()
            await self.answers()
        for row in await self._receipts("WAITING"):
            real = self.real(row["reference"])
            ours = real is not None and real.amount.minor == row["amount_minor"]
            if ours and real is not None and real.attempt is not None and row["attempt_id"] is None:
                ours = not await self._counted(real.attempt)
            try:
                await self.world.confirmations.confirm_receipt(row["id"], ADMIN, ours=ours)
            except CannotDo:
                continue  # somebody was faster, or it is something else by now
        await self.sweep()
        await self.answers()

    async def _counted(self, attempt: Attempt) -> bool:
        return bool(
            await self.world.value(
                "SELECT count(*) FROM receipts WHERE attempt_id = $1 AND state = 'CREDITED'",
                attempt.id,
            )
        )

    async def _receipts(self, *states: str) -> Sequence[Mapping[str, Any]]:
        return await self.world.sql(
            "SELECT id, reference, attempt_id, amount_minor, state FROM receipts"
            " WHERE id > $1 AND state = ANY ($2) ORDER BY id",
            self.first_receipt,
            list(states),
        )

    async def problems(self) -> list[str]:
        """What the books say beside what happened."""
        found = []
        real = sorted((one.reference, one.amount.minor) for one in self.payments)
        booked = sorted(
            (row["reference"] or "", row["amount_minor"])
            for row in await self._receipts("CREDITED", "SUSPENSE")
        )
        if booked != real:
            found.append(f"booked {booked}, paid {real}")
        waiting = await self._receipts("WAITING")
        if waiting:
            found.append(f"still waits: {[row['reference'] for row in waiting]}")
        outside = await self.world.value(
            "SELECT coalesce(sum(-e.amount_minor), 0) FROM ledger_entries e"
            " JOIN ledger_accounts a ON a.id = e.account_id"
            " WHERE e.id > $1 AND a.kind = 'external'",
            self.first_entry,
        )
        if outside != sum(one.amount.minor for one in self.payments):
            found.append(f"{outside} came from outside")
        twice = await self.world.sql(
            "SELECT escrow_id FROM escrow_timeline WHERE event = 'fund' AND escrow_id = ANY ($1)"
            " GROUP BY escrow_id HAVING count(*) > 1",
            [deal.id for deal in self.deals],
        )
        return [*found, *(f"{row['escrow_id']} was funded twice" for row in twice)]


# -- what happens --------------------------------------------------------------------------------


async def prompt(scene: Scene, which: int, how: int) -> None:
    """A phone is asked, if that is allowed now."""
    deal = scene.deal(which)
    try:
        attempt = await scene.world.prompt(deal, (BRIAN, OTIENO)[which % 2])
    except CannotDo:
        return
    scene.attempts.append(attempt)


async def enter_pin(scene: Scene, which: int, how: int) -> None:
    """The payer does as asked: M-Pesa has his money now."""
    waiting = [one for one in scene.attempts if scene.fate(one) is PENDING]
    if not waiting:
        return
    attempt = waiting[which % len(waiting)]
    scene.payments.append(
        Payment(
            new_reference(),
            attempt.amount,
            attempt.escrow_id,
            scene.world.clock.now(),
            attempt.phone,
            attempt,
        )
    )
    scene.fated(attempt, PAID)


async def refuse(scene: Scene, which: int, how: int) -> None:
    waiting = [one for one in scene.attempts if scene.fate(one) is PENDING]
    if waiting:
        scene.fated(waiting[which % len(waiting)], CANCELLED)


async def pay_by_hand(scene: Scene, which: int, how: int) -> None:
    """Somebody types paybill, account and amount, more or less well."""
    deal = scene.deal(which)
    typed = (deal.id, deal.id.lower(), deal.id[2:], near_miss(deal.id), "phone case")[how % 5]
    amount = (deal.due, deal.due - kes(1), deal.due + kes(500), kes(100))[how // 5 % 4]
    phone = PHONES[(BRIAN, OTIENO)[which % 2]]
    scene.payments.append(Payment(new_reference(), amount, typed, scene.world.clock.now(), phone))


async def pass_time(scene: Scene, which: int, how: int) -> None:
    scene.world.clock.tick(seconds=SPANS[which % len(SPANS)])
    await scene.sweep()


async def outage(scene: Scene, which: int, how: int) -> None:
    """M-Pesa's query stops answering, or answers again."""
    scene.reachable = not scene.reachable
    scene.mpesa_says()


# -- what is said of it --------------------------------------------------------------------------


async def tell(scene: Scene, payment: Payment, how: int) -> None:
    """A payment is told as its provider tells it; `how` makes other bytes of it."""
    if payment.attempt is not None:
        await scene.world.callback(payment.attempt, payment.reference, balance=how % 3)
    else:
        await _confirmed(scene, payment, how)


async def _confirmed(scene: Scene, payment: Payment, how: int) -> None:
    body = paybill_body(
        payment.typed,
        payment.amount,
        payment.reference,
        payment.at,
        shown=shown(payment.phone, how),
        balance=f"{how % 3}.00",
    )
    await scene.world.post_paybill(body)
    await scene.world.settle_inbox()


async def callback(scene: Scene, which: int, how: int) -> None:
    """A prompt's own callback, once more if need be."""
    if not scene.attempts:
        return
    attempt = scene.attempts[which % len(scene.attempts)]
    if scene.fate(attempt) is PAID:
        await tell(scene, scene.payment_of(attempt), how)
    elif scene.fate(attempt) is CANCELLED:
        await scene.world.callback(attempt, code=FAILURES[how % 2])


async def confirmation(scene: Scene, which: int, how: int) -> None:
    """C2B tells of any payment, of a prompt's, too."""
    if scene.payments:
        await _confirmed(scene, scene.payments[which % len(scene.payments)], how)


async def status_answer(scene: Scene, which: int, how: int) -> None:
    """TransactionStatus answers a question, an old one perhaps, or its queue timed out."""
    asked = scene.world.rail.asked
    if not asked:
        return
    if how % 4 == 0:
        token = asked[-1].token
        await scene.world.intake.store(STATUS_TIMEOUT, token, "POST", "", b"{}", "")
        await scene.world.settle_inbox()
    else:
        await scene.answer(which % len(asked))


# -- what is not so ------------------------------------------------------------------------------


async def contradict(scene: Scene, which: int, how: int) -> None:
    """A callback says otherwise than it happened to its prompt: a failure of a paid one, or money
    of one that was refused. Not: another number or amount for a prompt that is paid. Whoever can
    say that has the prompt's own secret path, and a query can't tell his number from the true one.
    """
    if not scene.attempts:
        return
    attempt = scene.attempts[which % len(scene.attempts)]
    if scene.fate(attempt) is CANCELLED:
        other = None if how % 2 else kes(1 + how)
        await scene.world.callback(attempt, new_reference(), amount=other)
    elif scene.fate(attempt) is PAID:
        await scene.world.callback(attempt, code=FAILURES[how % len(FAILURES)])


async def forge(scene: Scene, which: int, how: int) -> None:
    """C2B tells of money that there is not, or of a payment by hand that it was for another deal.
    Where M-Pesa can be asked how much it was, it may come with another amount, too.
    """
    deal, now = scene.deal(which), scene.world.clock.now()
    body = paybill_body(deal.id, deal.due, new_reference(), now)
    by_hand = [one for one in scene.payments if one.attempt is None]
    if by_hand and how % 3:
        real = by_hand[how % len(by_hand)]
        amount = real.amount
        if how % 3 == 1 and scene.world.rail.can_ask_status:
            amount += kes(1 + how)
        body = paybill_body(deal.id, amount, real.reference, real.at)
    await scene.world.post_paybill(body)
    await scene.world.settle_inbox()


async def forge_an_answer(scene: Scene, which: int, how: int) -> None:
    """Somebody answers a question that nobody asked."""
    await scene.world.status(f"{which:032x}", new_reference(), scene.deal(which).due)


MOVES: Final[Mapping[str, Callable[[Scene, int, int], Awaitable[None]]]] = {
    "prompt": prompt,
    "enter pin": enter_pin,
    "refuse": refuse,
    "pay by hand": pay_by_hand,
    "pass time": pass_time,
    "outage": outage,
    "callback": callback,
    "confirmation": confirmation,
    "status answer": status_answer,
    "contradict": contradict,
    "forge": forge,
    "forge an answer": forge_an_answer,
}
"""Name → what happens next."""


async def play(world: World, moves: Sequence[Move]) -> list[str]:
    """Plays one sequence to its end; what is wrong then."""
    scene = await Scene.set(world)
    for name, which, how in moves:
        await MOVES[name](scene, which, how)
    await scene.come_to_rest()
    return await scene.problems()
