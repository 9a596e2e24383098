"""Whatever people write, every admin screen of the real bot stays well-formed, short enough, and
honest about who speaks. The screens are found by typing every command of ADMIN_COMMANDS and by
pressing every button that comes, so a new one can't escape.
"""

from __future__ import annotations

import csv
import functools
import io
import itertools
import logging
import random
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any, Final

import pytest

from escrow.bot.admin import action_texts
from escrow.bot.buttons import unpack
from escrow.domain.errors import CannotDo
from escrow.domain.model import Escrow, Media, MediaKind
from escrow.services.digest import Digest
from escrow.store import inbox
from escrow_handlers_admin import ADMIN_BUTTONS, ADMIN_COMMANDS
from sandbox.server import Sandbox
from sandbox.telegram_chats import Message
from sandbox.telegram_html import utf16
from tests.bot.conftest import NAIROBI, FixedClock, Town
from tests.bot.hostile import BASE
from tests.payout_rail import LOCKED, LOST, SHORT
from tests.world import ADMIN, BRIAN, JANE, OTIENO, PHONES, SECOND_ADMIN, World, kes, new_reference

ROUNDS: Final = 3
_PICTURE: Final = b"\x89PNG\r\n\x1a\n" + bytes(60)
_OURS: Final = {"bold", "italic", "blockquote", "code", "pre"}
_TURNS: Final = re.compile("[\u202a-\u202e\u2066\u2067\u200e\u200f\u061c]")
_SAID: Final = re.compile("\u2068([^\u2068\u2069]*)\u2069")
_PHONE: Final = re.compile(r"(?<![0-9A-Za-z])(?:\+?254|0)[17][0-9]{8}(?![0-9])")
_EXAMPLE: Final = "0712345678"
_SHOWN: Final = ("held", "pending", "disputed", "disputed too", "large", "completed")
_causes: Final = itertools.count(1)


def _tame(text: str) -> str:
    """Without what neither JSON nor PostgreSQL can carry."""
    return "".join(char for char in text if char != "\x00" and not "\ud800" <= char <= "\udfff")


@dataclass
class Hostile:
    """A town where everybody writes hostile words; `words` are those of this round."""

    world: World
    town: Town
    words: Iterator[str]
    deals: dict[str, Escrow] = field(default_factory=dict)
    receipts: dict[str, str] = field(default_factory=dict)
    chance: random.Random = field(default_factory=lambda: random.Random(4))  # noqa: S311
    pressed: Counter[str] = field(default_factory=Counter)

    def bad(self, limit: int = 200) -> str:
        """The next hostile text that is not blank."""
        return next(text for text in self.words if text.strip())[:limit]

    async def settle_in(self) -> None:
        """Names, shops, deals in several statuses, evidence, messages, lost payments, questions."""
        telegram, world = self.town.telegram, self.world
        for person in (ADMIN, SECOND_ADMIN, JANE, BRIAN, OTIENO):
            telegram.people[person].first_name = self.bad(64)
            await world.person(person, telegram.people[person].first_name, PHONES[person])
        for person in (JANE, OTIENO):
            await self._try(functools.partial(self._register, person))
        await world.people.verify_seller(JANE, ADMIN)
        for name in ("pending", "held", "disputed", "disputed too", "frozen", "completed", "large"):
            self.deals[name] = await self._deal(name)
        await self._talk(self.deals["disputed"])
        for number in range(3):
            await self.town.pays_by_hand(
                700 + number, self.bad(40), shown=self.bad(40), receipt=f"SKH000000{number}"
            )
        await self._money_to_look_at()
        await self._flags()
        await self.town.says(ADMIN, "/suspicious_users")
        await self._try(
            lambda text: world.help.ask(BRIAN, self.deals["held"].id, text, self._cause())
        )
        await self.town.settle()

    async def _register(self, person: int, shop: str) -> None:
        await self.world.people.register_seller(person, shop[:40], PHONES[person])

    async def _deal(self, name: str) -> Escrow:
        world, price = self.world, 60_000 if name == "large" else 10_000
        opened: Escrow = await self._try(
            lambda text: world.escrows.open_deal(
                telegram_id=JANE,
                price=kes(price),
                description=text,
                cause=self._cause(),
            )
        )
        await world.join(opened.id, BRIAN)
        if name == "pending":
            return opened
        self.receipts[name] = new_reference()
        await world.pay(opened, price + price // 100, reference=self.receipts[name])
        if name == "held":
            return opened
        await self._try(
            lambda text: world.escrows.ship(
                opened.id, JANE, tracking=text[:60] + " 1", proof=None, cause=self._cause()
            )
        )
        if name in ("disputed", "disputed too", "large"):
            await self._try(
                lambda text: world.escrows.dispute(opened.id, BRIAN, text, self._cause())
            )
        elif name == "frozen":
            await self._try(lambda text: world.escrows.freeze(opened.id, ADMIN, text))
        elif name == "completed":
            await world.escrows.receive(opened.id, BRIAN, self._cause())
            await self._try(lambda text: self.town.office.ratings.rate(opened.id, BRIAN, 1, text))
        return opened

    async def _money_to_look_at(self) -> None:
        """A payment nobody can confirm, a claim, one that fits a deal, payouts in every state."""
        town, pending = self.town, self.deals["pending"].id
        await town.pays_by_hand(10_100, self.bad(40), receipt="SKH0000003")
        town.confirmations._confirm = True
        await town.pays_by_hand(20_000, self.bad(40), receipt="SKH0000004")
        town.confirmations._confirm = False
        await town.says(BRIAN, f"/paid {pending} SKH0000005")
        await town.says(BRIAN, f"/paid {pending} SKH0000006")
        town.booking._auto = True
        town.payout_rail.answers = [LOST, SHORT, LOCKED]
        for _ in range(3):
            deal = await self._deal("shipped")
            await town.escrows.receive(deal.id, BRIAN, self._cause())
        await town.payouts.send_due()
        await town.settle()

    async def _flags(self) -> None:
        """Of each severity; a run of a job; the morning's digest."""
        town = self.town
        town.clock.advance(days=1)
        await Digest(town.database, town.clock, (ADMIN, SECOND_ADMIN), NAIROBI, 9).queue_due()
        async with self.town.database.reading() as conn:
            for who, kind, severity in (
                (JANE, "high_dispute_rate", "CRITICAL"),
                (JANE, "unshipped_order", "MEDIUM"),
                (BRIAN, "multiple_disputes", "HIGH"),
                (BRIAN, "repeated_shortage", "LOW"),
            ):
                await conn.execute(
                    "INSERT INTO fraud_flags (telegram_id, user_type, flag_type, severity,"
                    " escrow_id, rule, deals, created_at)"
                    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
                    who,
                    "seller" if who == JANE else "buyer",
                    kind,
                    severity,
                    self.deals["disputed"].id if kind == "unshipped_order" else None,
                    "the rule",
                    [self.deals["disputed"].id],
                    self.town.clock.now(),
                )
            run = await inbox.start_run(conn, "read_clock", self.town.clock.now())
            assert run is not None
            await inbox.finish_run(
                conn,
                run,
                self.town.clock.now(),
                looked_at=1,
                done=0,
                skipped=0,
                failed=1,
                error=self.bad(100),
            )

    async def _talk(self, deal: Escrow) -> None:
        telegram = self.town.telegram
        for who, kind in itertools.product((BRIAN, JANE), ("photo", "words")):
            text = self.bad(450)
            sent: Media | str = text
            if kind == "photo":
                name = f"{who}.jpg"
                file = telegram.store_file(_PICTURE, "photos", name, "image/jpeg", type="Photo")
                sent = Media(MediaKind.PHOTO, file.file_id, file.unique_id, 68, text)
            await self.world.records.keep_evidence(deal.id, who, sent, self._cause())
            await self.world.records.relay(deal.id, who, sent, self._cause())

    async def _try(self, act: Any) -> Any:
        """With the next words that the service takes; where it takes none of them, plain ones."""
        for _ in range(12):
            try:
                return await act(self.bad())
            except CannotDo:
                continue
        return await act("plain words")

    @staticmethod
    def _cause() -> str:
        return f"hostile:{next(_causes)}"

    # -- the walk ----------------------------------------------------------------------------------

    def lines(self) -> Iterator[str]:
        """Every command, on deals in several statuses, with hostile words wherever words go."""
        for command in ADMIN_COMMANDS:
            usage = command.usage.replace("2001", str(JANE)).replace("SG632NMUAB", "SKH0000000")
            names = _SHOWN if "ES1008257624" in usage else _SHOWN[:1]
            for name in names:
                line = usage.replace("ES1008257624", self.deals[name].id)
                line, word, _ = re.split(r"( reason| notes| why|$)", line, maxsplit=1)
                yield f"{line} {self.bad(300)}" if word else line
            if command.name not in ("pause", "resume"):
                yield f"/{command.name} {self.bad(100)}"
        for name in ("held", "completed"):
            yield f"/receipt {self.receipts[name]}"

    async def walk(self, presses: int = 400) -> None:
        """Types them all, then presses every button of the admins' chats, the newest first."""
        for line in self.lines():
            heard = await self.town.says(ADMIN, line)
            command = line.split()[0]
            if heard and heard[-1].button("Confirm") and not self.pressed[command]:
                self.pressed[command] += 1
                await self.town.taps(ADMIN, heard[-1], "Confirm")
        while await self.town.office.pauses.carry_on():
            pass
        done: set[tuple[int, str]] = set()
        for _ in range(presses):
            found = self._next(done)
            if found is None:
                return
            who, message, data = found
            done.add((message.id, data))
            self.pressed[_verb(data)] += 1
            await self.town.taps_data(who, message, data)

    def _next(self, done: set[tuple[int, str]]) -> tuple[int, Message, str] | None:
        """A button not pressed yet, of the verb that was pressed least; any of its messages."""
        waiting = [
            (self.pressed[_verb(data)], self.chance.random(), who, message, data)
            for who in (ADMIN, SECOND_ADMIN)
            for message in self.town.telegram.from_bot(who)
            for row in message.keyboard
            for data in (str(button.get("callback_data", "")) for button in row)
            if data
            and (message.id, data) not in done
            and self.pressed[_verb(data)] < (25 if data.startswith("a1:y") else 5)
        ]
        if not waiting:
            return None
        _, _, who, message, data = min(waiting, key=lambda one: one[:2])
        return who, message, data


def _verb(data: str) -> str:
    button = unpack(data)
    return str(button.verb) if button else data[:4]


@asynccontextmanager
async def hostile(dsn: str, sandbox: Sandbox, number: int) -> AsyncIterator[Hostile]:
    sandbox.telegram.add_user(SECOND_ADMIN, "Abdi", started=True)
    for person in sandbox.telegram.people.values():
        person.started = True
    async with World.open(dsn, people=False, fee_percent=1) as world:
        town = Town(sandbox, world.db, FixedClock(), (ADMIN, SECOND_ADMIN))
        town.payout_rail.can_pay = number % 2 == 0
        await town.application.initialize()
        await town.store.start()
        words = [_tame(text) for text in BASE]
        start = number * len(words) // ROUNDS
        place = Hostile(world, town, itertools.cycle(words[start:] + words[:start]))
        try:
            await place.settle_in()
            yield place
        finally:
            await town.store.stop()
            await town.application.shutdown()


# -- what is wrong with a message ------------------------------------------------------------------


def problems(message: Message) -> list[str]:
    text, found = message.text, []
    limit = 1024 if message.media else 4096
    if utf16(text) > limit:
        found.append(f"{utf16(text)} characters")
    foreign = {entity["type"] for entity in message.entities} - _OURS
    if foreign:
        found.append(f"foreign markup {foreign}")
    if _TURNS.search(text) or text.count("\u2068") != text.count("\u2069"):
        found.append("turns the line")
    for said in _SAID.finditer(text):
        inner = (utf16(text[: said.start(1)]), utf16(text[: said.end(1)]))
        for entity in message.entities:
            ends = (entity["offset"], entity["offset"] + entity["length"])
            if any(inner[0] < end < inner[1] for end in ends):
                found.append(f"markup begins or ends in a person's words: {said[1]!r}")
    numbers = set(_PHONE.findall(text)) - {_EXAMPLE}
    to_pay_by_hand = any("po_" in str(one.get("callback_data")) for one in _flat(message))
    if numbers and not to_pay_by_hand:
        found.append(f"a number in clear: {numbers}")
    if "went wrong on our side" in text:
        found.append("an apology")
    labels = [button["text"] for button in _flat(message)]
    found += [f"button {one!r}" for one in labels if _TURNS.search(one) or len(one) > 64]
    return [f"{problem}: {text[:300]!r}" for problem in found]


def _flat(message: Message) -> list[dict[str, Any]]:
    return [button for row in message.keyboard for button in row]


class _Tags(HTMLParser):
    """The tags of a bundle that do more than show words."""

    def __init__(self) -> None:
        super().__init__()
        self.wrong: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("script", "iframe", "object", "embed", "form", "base", "link", "a"):
            self.wrong.append(tag)
        for name, value in attrs:
            reaches_out = name in ("src", "href", "srcset", "action") and not (
                value or ""
            ).startswith("data:image/")
            if name.startswith("on") or reaches_out:
                self.wrong.append(f"{tag} {name}={value!r}")


def problems_of_file(name: str, content: bytes) -> list[str]:
    if name.endswith(".html"):
        tags = _Tags()
        tags.feed(content.decode())
        return [f"{name}: {wrong}" for wrong in tags.wrong]
    if name.endswith(".csv"):
        rows = list(csv.reader(io.StringIO(content.decode("utf-8-sig"))))
        assert len({len(row) for row in rows}) == 1, name
        cells = [cell for row in rows for cell in row]
        return [f"{name}: formula {cell!r}" for cell in cells if cell[:1] in ("=", "+", "-", "@")]
    return []


# -- the tests -------------------------------------------------------------------------------------

_PRESSED: Final[set[str]] = set()
_KINDS: Final[dict[str, set[str]]] = {"asked": set(), "done": set()}
NEVER_SHOWN: Final = {
    "po_sure": "tests/bot/test_payouts.py",
    "receipt": "tests/bot/admin/test_statement.py",
}
"""Buttons that this walk does not come to, and where they are pressed instead."""


@pytest.mark.parametrize("number", range(ROUNDS))
async def test_no_words_break_a_screen(
    dsn: str, sandbox: Sandbox, number: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with hostile(dsn, sandbox, number) as place:
        await place.walk()
        telegram = place.town.telegram
        wrong = [
            f"{who}: {problem}"
            for who in (ADMIN, SECOND_ADMIN, BRIAN, JANE)
            for message in telegram.from_bot(who)
            for problem in problems(message)
        ]
        wrong += [
            problem
            for file in telegram.files.values()
            for problem in problems_of_file(file.name, file.content)
        ]
        wrong += [
            f"{call.method} refused: {call.answer}"
            for call in telegram.calls
            if call.answer and not call.ok and "not modified" not in str(call.answer)
        ]
        wrong += [
            record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR
        ]
        _PRESSED.update(place.pressed)
        for row in await place.world.sql("SELECT kind, state FROM admin_actions"):
            _KINDS["asked"].add(row["kind"])
            if row["state"] == "DONE":
                _KINDS["done"].add(row["kind"])
        await place.world.books()
    assert not wrong, "\n".join(dict.fromkeys(wrong))


def test_every_button_and_every_action_was_seen() -> None:
    """Of the rounds above, together."""
    missing = {str(verb) for verb in ADMIN_BUTTONS} - _PRESSED - NEVER_SHOWN.keys()
    unseen = {"buttons": missing}
    unseen["previews"] = set(action_texts.PREVIEWS) - _KINDS["asked"]
    unseen["outcomes"] = set(action_texts.OUTCOMES) - _KINDS["done"]
    assert not any(unseen.values()), unseen
