"""Notices go out in order per chat, at Telegram's pace, and never stand in the way of money."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any

import asyncpg
import pytest

from escrow.domain.errors import DatabaseDown
from escrow.domain.model import Notice, PaymentOutcome
from escrow.services.delivery import Delivery
from escrow.services.ports import SendResult, Sent
from escrow.store import outbox
from tests.world import ADMIN, ADMINS, BRIAN, JANE, OTIENO, World

REFUSED = SendResult(Sent.REFUSED, error="can't parse entities")
BLOCKED = SendResult(Sent.UNREACHABLE, error="bot was blocked by the user")
OFFLINE = SendResult(Sent.LATER, error="ConnectError")


class FakeMessenger:
    """Answers what it is told, chat by chat; delivered when it was told nothing."""

    def __init__(self) -> None:
        self.sent: list[tuple[int, str]] = []
        self.tried: list[tuple[int, str]] = []
        self.answers: dict[int, SendResult] = {}
        self.broken_kinds: set[str] = set()
        self.gate: asyncio.Event | None = None
        self.asked = asyncio.Event()

    async def send(
        self, chat_id: int, kind: str, params: Mapping[str, Any], language: str
    ) -> SendResult:
        self.tried.append((chat_id, kind))
        self.asked.set()
        if kind in self.broken_kinds:
            raise KeyError(kind)
        if self.gate is not None:
            await self.gate.wait()
        answer = self.answers.get(chat_id)
        if answer is not None:
            return answer
        self.sent.append((chat_id, kind))
        return SendResult(Sent.DELIVERED, message_id=len(self.sent))


def _delivery(world: World, messenger: FakeMessenger, **pace: float) -> Delivery:
    pace = {"per_second": 1e9, "chat_seconds": 0.0, **pace}
    return Delivery(world.db, world.clock, messenger, ADMINS, **pace)


async def _queue(world: World, *notices: tuple[int, str]) -> None:
    async with world.db.unit() as conn:
        for chat_id, kind in notices:
            await outbox.queue(conn, [Notice(f"test:{kind}", kind, chat_id)], world.clock.now())


async def _states(world: World) -> list[tuple[str, str]]:
    rows = await world.sql("SELECT kind, state FROM outbox ORDER BY id")
    return [(row["kind"], row["state"]) for row in rows]


async def _drain(delivery: Delivery) -> int:
    rounds = 0
    while await delivery.send_due():
        rounds += 1
    return rounds


async def test_a_chat_reads_its_notices_in_order_one_per_round(world: World) -> None:
    messenger = FakeMessenger()
    await _queue(world, (BRIAN, "one"), (JANE, "first"), (BRIAN, "two"), (BRIAN, "three"))
    assert await _drain(_delivery(world, messenger)) == 3
    assert [kind for chat, kind in messenger.sent if chat == BRIAN] == ["one", "two", "three"]
    assert [kind for chat, kind in messenger.sent if chat == JANE] == ["first"]
    assert {state for _, state in await _states(world)} == {"SENT"}


async def test_a_notice_that_waits_holds_the_later_ones_of_its_chat_only(world: World) -> None:
    messenger = FakeMessenger()
    messenger.answers[BRIAN] = OFFLINE
    await _queue(world, (BRIAN, "one"), (BRIAN, "two"), (JANE, "first"))
    delivery = _delivery(world, messenger)
    await _drain(delivery)
    assert messenger.tried == [(BRIAN, "one"), (JANE, "first")]
    del messenger.answers[BRIAN]
    world.clock.tick(seconds=2)
    await _drain(delivery)
    assert messenger.sent[1:] == [(BRIAN, "one"), (BRIAN, "two")]


async def test_a_sent_notice_remembers_its_message_and_is_never_sent_again(world: World) -> None:
    messenger = FakeMessenger()
    await _queue(world, (BRIAN, "one"))
    await _drain(_delivery(world, messenger))
    await _drain(_delivery(world, messenger))
    assert messenger.sent == [(BRIAN, "one")]
    (row,) = await world.sql("SELECT message_id, closed_at FROM outbox")
    assert row == {"message_id": 1, "closed_at": world.clock.now()}


async def test_a_notice_that_was_sent_but_not_noted_is_noted_later_and_not_sent_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    messenger = FakeMessenger()
    await _queue(world, (BRIAN, "one"))
    delivery = _delivery(world, messenger)

    async def down(*args: object) -> None:
        raise DatabaseDown

    monkeypatch.setattr(outbox, "sent", down)
    with pytest.raises(DatabaseDown):
        await delivery.send_due()
    monkeypatch.undo()
    await _drain(delivery)
    assert messenger.sent == [(BRIAN, "one")]
    assert await _states(world) == [("one", "SENT")]


async def test_retry_after_holds_every_chat_for_as_long_as_telegram_says(world: World) -> None:
    messenger = FakeMessenger()
    messenger.answers[BRIAN] = SendResult(Sent.LATER, retry_after_seconds=35.0)
    await _queue(world, (BRIAN, "one"))
    delivery = _delivery(world, messenger)
    await delivery.send_due()
    await _queue(world, (JANE, "first"), (OTIENO, "first"))
    assert await delivery.send_due() == 0, "nobody is written to meanwhile"
    delivery._hold_until = 0.0  # the time that Telegram named is over
    del messenger.answers[BRIAN]
    world.clock.tick(seconds=34)
    await _drain(delivery)
    assert messenger.sent == [(JANE, "first"), (OTIENO, "first")]
    world.clock.tick(seconds=1)
    await _drain(delivery)
    assert messenger.sent[-1] == (BRIAN, "one")
    assert await world.value("SELECT tries FROM outbox WHERE chat_id = $1", BRIAN) == 1


async def test_a_hold_that_comes_in_the_middle_of_a_round_stops_its_rest(world: World) -> None:
    messenger = FakeMessenger()
    messenger.answers[JANE] = SendResult(Sent.LATER, retry_after_seconds=60.0)
    people = [JANE, *range(5_000, 5_060)]
    await _queue(world, *((person, "news") for person in people))
    await _delivery(world, messenger).send_due()
    assert len(messenger.tried) < len(people), "those who had not begun don't begin"


async def test_a_blocked_chat_is_marked_dead_and_later_notices_are_still_tried(
    world: World,
) -> None:
    messenger = FakeMessenger()
    messenger.answers[BRIAN] = BLOCKED
    await _queue(world, (BRIAN, "one"))
    delivery = _delivery(world, messenger)
    await _drain(delivery)
    assert await _states(world) == [("one", "UNDELIVERABLE")]
    dead = "SELECT unreachable_at FROM people WHERE telegram_id = $1"
    assert await world.value(dead, BRIAN) == world.clock.now()
    del messenger.answers[BRIAN]
    await world.people.seen(BRIAN, "Brian", None, "en")
    assert await world.value(dead, BRIAN) is None, "he pressed Start again"
    await _queue(world, (BRIAN, "two"))
    await _drain(delivery)
    assert messenger.sent == [(BRIAN, "two")]


async def test_five_refusals_are_the_end_and_the_admins_hear_of_it(world: World) -> None:
    messenger = FakeMessenger()
    messenger.answers[BRIAN] = REFUSED
    await _queue(world, (BRIAN, "bad"), (BRIAN, "good"))
    delivery = _delivery(world, messenger)
    for tries in range(1, 6):
        assert ("bad", "QUEUED") in await _states(world)
        await delivery.send_due()
        assert messenger.tried.count((BRIAN, "bad")) == tries
        assert tries == 5 or await delivery.send_due() == 0, "there is a pause after each"
        world.clock.tick(seconds=60)
    assert ("bad", "DEAD") in await _states(world)
    for admin in ADMINS:
        assert await world.told(admin) == ["notice_dead"]
    del messenger.answers[BRIAN]
    await _drain(delivery)
    assert (BRIAN, "good") in messenger.sent


async def test_a_dead_alert_raises_no_alert_about_itself(world: World) -> None:
    messenger = FakeMessenger()
    for admin in ADMINS:
        messenger.answers[admin] = REFUSED
    messenger.answers[BRIAN] = REFUSED
    await _queue(world, (BRIAN, "bad"))
    delivery = _delivery(world, messenger)
    for _ in range(30):
        await delivery.send_due()
        world.clock.tick(minutes=2)
    assert {state for _, state in await _states(world)} == {"DEAD"}
    assert len(await _states(world)) == 1 + len(ADMINS)


async def test_network_errors_never_count(world: World) -> None:
    messenger = FakeMessenger()
    messenger.answers[BRIAN] = OFFLINE
    await _queue(world, (BRIAN, "one"))
    delivery = _delivery(world, messenger)
    for _ in range(50):
        await delivery.send_due()
        world.clock.tick(minutes=1)
    assert len(messenger.tried) == 50
    assert await world.value("SELECT tries FROM outbox") == 0
    assert await _states(world) == [("one", "QUEUED")]


async def test_a_notice_that_cant_be_rendered_stops_no_other_and_dies_like_a_refused_one(
    world: World,
) -> None:
    messenger = FakeMessenger()
    messenger.broken_kinds = {"poison"}
    await _queue(world, (BRIAN, "poison"), (JANE, "fine"))
    delivery = _delivery(world, messenger)
    for _ in range(6):
        await delivery.send_due()
        world.clock.tick(minutes=2)
    assert (JANE, "fine") in messenger.sent
    assert ("poison", "DEAD") in await _states(world)
    assert await world.value("SELECT error FROM outbox WHERE kind = 'poison'") == "KeyError"


async def test_a_chat_gets_at_most_one_message_a_second(world: World) -> None:
    messenger = FakeMessenger()
    await _queue(world, (BRIAN, "one"), (BRIAN, "two"))
    delivery = _delivery(world, messenger, chat_seconds=1.0)
    assert await delivery.send_due() == 1
    assert await delivery.send_due() == 0
    delivery._chats.clear()  # the second is over
    assert await delivery.send_due() == 1


async def test_all_chats_together_keep_the_pace(world: World) -> None:
    messenger = FakeMessenger()
    await _queue(world, *((person, "news") for person in range(5_000, 5_020)))
    loop = asyncio.get_running_loop()
    started = loop.time()
    await _delivery(world, messenger, per_second=100.0).send_due()
    assert len(messenger.sent) == 20
    assert loop.time() - started >= 0.19, "twenty messages at a hundred a second"


async def test_money_does_not_wait_for_telegram(world: World) -> None:
    messenger = FakeMessenger()
    messenger.gate = asyncio.Event()
    await _queue(world, (BRIAN, "one"))
    sending = asyncio.create_task(_delivery(world, messenger).send_due())
    await messenger.asked.wait()
    pool = world.db.pool
    assert pool.get_idle_size() == pool.get_size(), "no connection is held while Telegram is asked"
    deal = await world.deal()
    assert (await world.pay(deal, 10_500)).outcome is PaymentOutcome.FUNDED
    messenger.gate.set()
    await sending
    assert messenger.sent == [(BRIAN, "one")]


async def test_what_was_queued_while_telegram_was_down_arrives_in_order(world: World) -> None:
    messenger = FakeMessenger()
    messenger.answers = dict.fromkeys((BRIAN, JANE, ADMIN), OFFLINE)
    delivery = _delivery(world, messenger)
    deal = await world.deal()
    for amount in (9_700, 100, 700):
        await world.pay(deal, amount)
        await delivery.send_due()
        world.clock.tick(minutes=1)
    assert messenger.sent == []
    messenger.answers.clear()
    await _drain(delivery)
    assert [kind for chat, kind in messenger.sent if chat == BRIAN] == [
        "underpaid",
        "underpaid",
        "funded",
    ]
    assert (JANE, "held") in messenger.sent


async def test_the_dispatcher_sends_until_it_is_stopped(world: World) -> None:
    messenger = FakeMessenger()
    running = asyncio.create_task(_delivery(world, messenger).run())
    await _queue(world, (BRIAN, "one"))
    await asyncio.wait_for(messenger.asked.wait(), 10)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    assert messenger.sent == [(BRIAN, "one")]


async def test_a_full_disk_neither_ends_it_nor_repeats_what_was_sent(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    messenger = FakeMessenger()
    delivery = _delivery(world, messenger)
    real, tries, done = outbox.sent, 0, asyncio.Event()

    async def full(*arguments: Any) -> None:
        nonlocal tries
        tries += 1
        if tries <= 2:
            raise asyncpg.DiskFullError("no space") if tries == 1 else KeyError("odd")
        await real(*arguments)
        done.set()

    monkeypatch.setattr(outbox, "sent", full)
    await _queue(world, (BRIAN, "one"))
    running = asyncio.create_task(delivery.run())
    await asyncio.wait_for(done.wait(), 10)
    assert not running.done()
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    assert messenger.sent == [(BRIAN, "one")]
    assert tries == 3
