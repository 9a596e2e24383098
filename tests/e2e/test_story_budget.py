"""How much work a whole deal is, counted from what the stand-in Telegram has seen.

| what | taps |
|---|---|
| a button, Telegram's [Share], a photo | 1 |
| a link with its [Start]; one's own contact (button and Telegram's question) | 2 |

A PIN is M-Pesa's. A typed line is a message that is no /start. Messages are the bot's new ones to
both people, edits are none.
"""

from __future__ import annotations

import re
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from escrow.store import embedded
from tests.e2e.cast import KES, Actor, Stage, code_in
from tests.e2e.conftest import B2C, started

PRICE = 1_500
ENGLISH = re.compile(r"\b(the|you|your|is|was|with|press|send|seller|buyer|deal)\b", re.IGNORECASE)
COMMAND = re.compile(r"/newdeal [\w ]+|/\w+")
OFFER = f"/newdeal {PRICE} Blue phone case"


@pytest.fixture(scope="module")
async def stage(
    cluster: embedded.Cluster, template_database: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stage]:
    folder = tmp_path_factory.mktemp("budget")
    async with started(
        cluster, template_database, folder, AUTO_PAYOUT="1", FEE_PERCENT="1", **B2C
    ) as running:
        yield Stage(running)


@dataclass(frozen=True, slots=True)
class Work:
    """What both people did and read."""

    taps: int
    typed: int
    messages: int
    words: tuple[str, ...]
    """The new messages, as they last stood."""

    def __str__(self) -> str:
        return f"{self.taps} taps, {self.typed} typed lines, {self.messages} messages"


class Tally:
    """Counts from now on."""

    def __init__(self, stage: Stage, *people: Actor) -> None:
        self._telegram = stage.telegram
        self._people = people
        self._ids = {one.id for one in people}
        self._taps = set(stage.telegram.taps)
        self._messages = set(stage.telegram.messages)
        self._links = sum(one.links for one in people)

    def work(self) -> Work:
        taps = sum(
            tap.user_id in self._ids
            for number, tap in self._telegram.taps.items()
            if number not in self._taps
        )
        taps += sum(one.links for one in self._people) - self._links
        typed, words = 0, []
        for number, message in self._telegram.messages.items():
            if number in self._messages or message.chat_id not in self._ids:
                continue
            if message.from_bot:
                words.append(f"{message.chat_id}: {message.text}")
            elif message.text.startswith("/start"):
                taps += 2 if " " in message.text else 1
            elif "contact" in message.media:
                taps += 2
            elif "photo" in message.media:
                taps += 1
            else:
                typed += 1
        return Work(taps, typed, len(words), tuple(words))


async def whole_deal(stage: Stage, jane: Actor, brian: Actor, *, newcomers: bool) -> str:
    """From "I have something to sell" to "the money is on my phone", the shortest way."""
    if newcomers:
        jane.starts()
        await stage.quiet()
    jane.types(OFFER)
    if newcomers:
        await stage.asked(jane, "phone")
        jane.shares_contact()
    await jane.presses("create")
    code = code_in(await jane.reads("start=ES"))
    link = await jane.shares_link()
    if newcomers:
        await stage.verify(jane)
        await stage.quiet()
    asked = len(stage.daraja.stk_requests)
    brian.opens(link)
    await brian.presses("pay", deal=code)
    if newcomers:
        await stage.asked(brian, "phone")
        brian.shares_contact()
    prompt = await brian.asked_on_phone(after=asked)
    assert prompt.amount == 1_520
    await brian.enters_pin()
    await jane.presses("sent", deal=code)
    await stage.asked(jane, "proof")
    jane.sends_photo()
    await stage.status(code, "SHIPPED")
    await brian.presses("received", deal=code)
    await brian.presses("received_yes", deal=code)
    receipt = await stage.payout(jane, PRICE * KES)
    await brian.presses("stars", deal=code, number=5)
    await jane.reads(receipt)
    await stage.quiet()
    await stage.ends(code, "COMPLETED", seller=(jane, 0), buyer=(brian, 0))
    return code


def tell(capsys: pytest.CaptureFixture[str], who: str, work: Work) -> None:
    with capsys.disabled():
        sys.stdout.write(f"\n{who}: {work}\n")


async def test_a_returning_pair(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    """At most 10 taps and a PIN, 1 typed line, 8 new messages."""
    jane, brian = await stage.pair()
    before = await jane.opens_deal("300 Cup")
    await brian.pays(before)
    await brian.receives(before)
    await stage.payout(jane, 300 * KES)
    await stage.quiet()
    tally = Tally(stage, jane, brian)
    await whole_deal(stage, jane, brian, newcomers=False)
    work = tally.work()
    tell(capsys, "A returning pair", work)
    assert work.taps <= 10, work
    assert work.typed <= 1, work
    assert work.messages <= 8, "\n---\n".join(work.words)


async def test_two_newcomers(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    """At most 15 taps and 11 messages."""
    jane, brian = stage.actor("Jane"), stage.actor("Brian")
    tally = Tally(stage, jane, brian)
    await whole_deal(stage, jane, brian, newcomers=True)
    work = tally.work()
    tell(capsys, "Two newcomers", work)
    assert work.taps <= 15, work
    assert work.typed <= 1, work
    assert work.messages <= 11, "\n---\n".join(work.words)


async def test_the_same_in_kiswahili(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    """Not one more tap or message, and not one English sentence."""
    jane, brian = stage.actor("Jane", language="sw"), stage.actor("Brian", language="sw")
    tally = Tally(stage, jane, brian)
    await whole_deal(stage, jane, brian, newcomers=True)
    work = tally.work()
    tell(capsys, "In Kiswahili", work)
    assert work.taps <= 15, work
    assert work.typed <= 1, work
    assert work.messages <= 11, "\n---\n".join(work.words)
    read = [
        str(call.params.get("text") or call.params.get("caption") or "")
        for call in stage.telegram.calls
        if call.chat_id in (jane.id, brian.id)
    ]
    assert len(read) > work.messages  # the edits too
    english = [words for words in read if ENGLISH.search(COMMAND.sub("", words))]
    assert english == []
