"""A process that is killed at a statement of its work: `python -m tests.faults.victim`.

It reads orders, one line of JSON each, and forks a child for every one. The child connects to the
database, starts its work and kills itself (SIGKILL) at the k-th boundary: just before a statement
or a question to M-Pesa leaves, or just after a COMMIT or a question left. The answer says where it
died, or that it lived.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import struct
import sys
from asyncio import selector_events
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

from escrow.domain.errors import CannotDo
from escrow.services.ports import Answer, Verdict
from tests.payout_rail import Bank
from tests.rail import PAID, FakeRail
from tests.reversal_rail import ReversalBank
from tests.world import MovableClock, World, kes

WORK: dict[str, Callable[[World, dict[str, Any]], Awaitable[object]]] = {}


def work(step: Callable[[World, dict[str, Any]], Awaitable[object]]) -> Any:
    """Registers what a child, and after it the restarted program, can be told to do."""
    WORK[step.__name__] = step
    return step


@work
async def intake(world: World, _: dict[str, Any]) -> None:
    """What a start does, and then its worker."""
    await world.intake.recover()
    while await world.intake.process_due():
        pass


@work
async def look(world: World, _: dict[str, Any]) -> None:
    await world.confirmations.look_due()


@work
async def check(world: World, _: dict[str, Any]) -> None:
    await world.confirmations.check_due()


@work
async def press(world: World, args: dict[str, Any]) -> None:
    await world.choices.press(args["token"], args["who"])


@work
async def expire(world: World, _: dict[str, Any]) -> None:
    await world.choices.expire()


@work
async def wallet(world: World, args: dict[str, Any]) -> None:
    await world.prompts.pay_from_wallet(args["code"], args["who"], args["cause"])


@work
async def prompt(world: World, args: dict[str, Any]) -> None:
    await world.prompts.start(args["code"], args["who"], args["cause"])


@work
async def cancel(world: World, args: dict[str, Any]) -> None:
    await world.escrows.cancel(args["code"], args["who"])


@work
async def decline(world: World, args: dict[str, Any]) -> None:
    await world.escrows.decline(args["code"], args["who"])


@work
async def overdue(world: World, _: dict[str, Any]) -> None:
    await world.escrows.cancel_overdue()


@work
async def decide(world: World, args: dict[str, Any]) -> None:
    await world.confirmations.confirm_receipt(args["receipt"], args["admin"], ours=args["ours"])


@work
async def receive(world: World, args: dict[str, Any]) -> None:
    await world.escrows.receive(args["code"], args["who"], args["cause"])


@work
async def send(world: World, _: dict[str, Any]) -> None:
    await world.payouts.send_due()


@work
async def ask(world: World, _: dict[str, Any]) -> None:
    await world.payouts.ask_due()


@work
async def withdraw(world: World, args: dict[str, Any]) -> None:
    await world.payouts.book_withdrawal(args["who"], kes(args["amount"]), args["cause"])


@work
async def mark_paid(world: World, args: dict[str, Any]) -> None:
    await world.payouts.mark_paid(args["payout"], args["admin"], args["receipt"])


@work
async def mark_failed(world: World, args: dict[str, Any]) -> None:
    await world.payouts.mark_failed(args["payout"], args["admin"], "the number is closed")


_LASTING = ("COMMIT", "(")
"""After any other statement nothing is there that its transaction would not take away again."""


class Killer:
    """Counts boundaries once it is armed, and dies at the k-th."""

    def __init__(self, at: int, *, after: bool, report: int) -> None:
        self.at = at
        self.after = after
        self.report = report
        self.armed = False
        self.count = 0
        self._names: dict[bytes, str] = {}

    def boundary(self, what: str) -> bool:
        """Dies here if this is the one and death comes before it; else whether it comes after."""
        if not self.armed or (self.after and not what.startswith(_LASTING)):
            return False
        self.count += 1
        if self.count != self.at:
            return False
        if not self.after:
            self.die(what)
        return True

    def die(self, what: str) -> None:
        os.write(self.report, " ".join(what.split())[:60].encode())
        os.kill(os.getpid(), signal.SIGKILL)

    def watch(self) -> None:
        """From now on everything written to a socket is looked at first."""
        transport = selector_events._SelectorSocketTransport
        real = transport.write
        killer = self

        def write(self: Any, block: Any) -> None:
            statement = killer.statement(bytes(block))
            last = statement is not None and killer.boundary(statement)
            real(self, block)
            if last:
                killer.die(statement or "")

        transport.write = write

    def statement(self, block: bytes) -> str | None:
        """The SQL that these messages make the server run; None when they run nothing."""
        found, place = None, 0
        while place + 5 <= len(block):
            kind = block[place : place + 1]
            (size,) = struct.unpack_from("!I", block, place + 1)
            body = block[place + 5 : place + 1 + size]
            if kind == b"P":
                name, _, rest = body.partition(b"\0")
                self._names[name] = rest.partition(b"\0")[0].decode()
            elif kind == b"B":
                name = body.partition(b"\0")[2].partition(b"\0")[0]
                found = self._names.get(name, "?")
            elif kind == b"Q":
                found = body[:-1].decode()
            place += 1 + size
        return found


class DeadlyRail(FakeRail):
    """An M-Pesa of the child's: each question to it is a boundary, too."""

    killer: Killer

    async def query(self, checkout_request_id: str) -> Answer:
        return await self._asked("(query)", super().query(checkout_request_id))

    async def prompt(self, **asked: Any) -> Any:
        return await self._asked("(prompt)", super().prompt(**asked))

    async def ask_status(self, **asked: Any) -> Any:
        return await self._asked("(ask status)", super().ask_status(**asked))

    async def _asked(self, what: str, question: Awaitable[Any]) -> Any:
        return await deadly(self.killer, what, question)


async def deadly(killer: Killer, what: str, question: Awaitable[Any]) -> Any:
    """A question that is a boundary."""
    last = killer.boundary(what)
    answer = await question
    if last:
        killer.die(what)
    return answer


@work
async def confirm(world: World, args: dict[str, Any]) -> object:
    return await world.actions.confirm(args["action"], args["admin"], "update:confirm")


class DeadlyBank(Bank):
    """A paying M-Pesa of the child's, whose book outlives it."""

    killer: Killer

    async def pay(self, **asked: Any) -> Any:
        return await self._asked("(pay)", super().pay(**asked))

    async def ask(self, **asked: Any) -> Any:
        return await self._asked("(ask)", super().ask(**asked))

    async def ask_receipt(self, **asked: Any) -> Any:
        return await self._asked("(ask receipt)", super().ask_receipt(**asked))

    async def _asked(self, what: str, question: Awaitable[Any]) -> Any:
        return await deadly(self.killer, what, question)


class DeadlyReversals(ReversalBank):
    """The half of it that sends payments back."""

    killer: Killer

    async def reverse(self, **asked: Any) -> Any:
        return await deadly(self.killer, "(reverse)", super().reverse(**asked))

    async def ask(self, **asked: Any) -> Any:
        return await deadly(self.killer, "(ask)", super().ask(**asked))


async def live(order: dict[str, Any], killer: Killer) -> None:
    """The child's life."""
    rail = DeadlyRail(can_ask_status=order["keys"], query_answer=PAID)
    rail.killer = killer
    clock = MovableClock(datetime.fromisoformat(order["at"]))
    bank = DeadlyBank(order["pays"])
    bank.killer, bank.path = killer, order["bank"]
    reversals = DeadlyReversals()
    reversals.killer, reversals.path = killer, order["bank"] + ".back"
    async with World.open(
        order["dsn"],
        people=False,
        clock=clock,
        rail=rail,
        connections=3,
        auto_payout=order["auto"],
        payout_rail=bank,
        reversals=reversals,
    ) as world:
        killer.armed = True
        try:
            await WORK[order["work"]](world, order["args"])
        except CannotDo as refused:
            print(f"refused: {refused}", file=sys.stderr)
        killer.armed = False


def child(order: dict[str, Any], report: int) -> None:
    killer = Killer(order["kill"], after=order["after"], report=report)
    killer.watch()
    asyncio.run(live(order, killer))


def main() -> None:
    """Forks a child per order, one after the other; nothing here ever runs an event loop."""
    assert Verdict.PAID is PAID.verdict
    for line in sys.stdin:
        order = json.loads(line)
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(read)
            code = 1
            try:
                child(order, write)
                code = 0
            finally:
                sys.stderr.flush()
                os._exit(code)
        os.close(write)
        with os.fdopen(read, "rb") as pipe:
            died_at = pipe.read().decode()
        _, status = os.waitpid(pid, 0)
        killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        failed = not killed and os.waitstatus_to_exitcode(status) != 0
        answer = {"killed": killed, "failed": failed, "died_at": died_at}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
