"""A statement that an admin sends: a message that becomes the summary, buttons, a file."""

from __future__ import annotations

import csv
import io
import random

import pytest

from escrow.bot.admin.statement import is_sheet
from sandbox.telegram_chats import Message
from tests.bot.admin.test_hostile import _tame, problems, problems_of_file
from tests.bot.admin.test_receipts import paid
from tests.bot.admin.test_unmatched import NUMBER, due, shop
from tests.bot.conftest import ADMIN, BUYER, STRANGER, Town
from tests.bot.hostile import BASE
from tests.statement import HEADER, charge, file, line, payout, reversal

__all__ = ["shop"]


async def sends(
    town: Town, body: bytes, *, who: int = ADMIN, name: str = "ORG.csv"
) -> list[Message]:
    since = town.telegram.mark()
    town.telegram.user_sends_document(who, body, name)
    await town.settle()
    return town.telegram.from_bot(who, since=since)


async def test_one_message_becomes_the_summary(town: Town, shop: str) -> None:
    await paid(town, shop)
    at = town.clock.now()
    amount = await due(town, shop)
    rows = [line(NUMBER, at, amount, balance=f"{amount}.00"), charge(NUMBER, at, 5)]
    (said,) = await sends(town, file([*rows, "bad"]))
    for words in ("2 rows", "Matched: 1", "Charges booked: 1, KES 5", "No breaks", "line 8"):
        assert words in said.text, words
    assert said.edited_at is not None
    (again,) = await sends(town, file(rows))
    assert "Charges: all 1 were booked before" in again.text


async def test_a_reversal_is_named_and_its_deal_is_frozen(town: Town, shop: str) -> None:
    await paid(town, shop)
    at = town.clock.now()
    amount = await due(town, shop)
    rows = [line(NUMBER, at, amount), reversal("SGREV00001", at, amount, NUMBER)]
    found = await sends(town, file(rows))
    summary = found[0]
    assert "taken back by M-Pesa" in summary.text
    assert shop in summary.text
    told = "\n".join(one.text for one in found)
    assert "CRITICAL: M-Pesa took back" in told
    status = "SELECT status FROM escrow_transactions WHERE id = $1"
    assert await town.value(status, shop) == "FROZEN"
    (case,) = await town.taps(ADMIN, summary, f"Open case {shop}")
    assert "payment taken back by M-Pesa" in case.text
    assert "M-Pesa sent" in "\n".join(one.text for one in town.telegram.from_bot(BUYER))


async def test_a_break_opens_its_receipt(town: Town, shop: str) -> None:
    await paid(town, shop)
    at = town.clock.now()
    (summary,) = await sends(town, file([line(NUMBER, at, 1)]))
    assert "another amount than in our books" in summary.text
    (card,) = await town.taps(ADMIN, summary, f"Receipt {NUMBER}")
    assert "credited" in card.text


async def test_a_long_list_comes_as_a_file(town: Town) -> None:
    at = town.clock.now()
    found = await sends(town, file([payout(f"SGOUT{n:05d}", at, n + 1) for n in range(40)]))
    summary = found[0]
    assert "40 × left the account, unknown to us" in summary.text
    assert summary.text.count("SGOUT") == 10
    (sent,) = [one for one in town.telegram.files.values() if one.name.startswith("breaks-")]
    rows = list(csv.reader(io.StringIO(sent.content.decode("utf-8-sig"))))
    assert len(rows) == 41


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"a,b\n1,2\n", "no statement of M-Pesa's portal"),
        (file([]), "no row that moved money"),
        (b"", "no statement of M-Pesa's portal"),
    ],
)
async def test_another_file_is_refused_in_words(town: Town, body: bytes, words: str) -> None:
    found = await sends(town, body)
    assert words in found[-1].text


async def test_others_get_what_they_get_today(town: Town, shop: str) -> None:
    at = town.clock.now()
    before = await town.value("SELECT count(*) FROM bookings")
    for who in (BUYER, STRANGER):
        found = await sends(town, file([charge("SGCHG00001", at, 5)]), who=who)
        assert "rows" not in found[-1].text
    assert await town.value("SELECT count(*) FROM bookings") == before
    other = await sends(town, b"%PDF", name="invoice.pdf")
    assert "statement" not in other[-1].text.lower()


async def test_the_same_update_again_books_nothing_twice(town: Town) -> None:
    at = town.clock.now()
    body = file([charge(f"SGCHG{n:05d}", at, 5) for n in range(3)])
    for _ in range(3):
        await sends(town, body)
    assert await town.value("SELECT count(*) FROM bookings") == 3


async def test_no_words_in_any_column_break_the_screen(
    town: Town, shop: str, caplog: pytest.LogCaptureFixture
) -> None:
    await paid(town, shop)
    chance = random.Random(7)  # noqa: S311
    names = HEADER.split(",")
    at = town.clock.now()
    for column in range(len(names)):
        rows = []
        for number in range(14):
            cells = next(csv.reader([payout(f"SGH{number:07d}", at, 5)]))
            cells[9] = "Words of tomorrow"
            cells[column] = _tame(chance.choice(BASE)).replace("\n", " ").replace("\r", " ")
            out = io.StringIO(newline="")
            csv.writer(out, lineterminator="").writerow(cells)
            rows.append(out.getvalue())
        good = line(
            "SGH9999999", at, 5, "Organization Settlement", account=_tame(chance.choice(BASE))[:40]
        )
        body = file([*rows, good])
        for message in await sends(town, body):
            assert problems(message) == []
    for sent in town.telegram.files.values():
        if sent.name.startswith("breaks-"):
            assert problems_of_file(sent.name, sent.content) == []
    assert [one for one in caplog.records if one.levelname == "ERROR"] == []


def test_what_is_no_document_is_no_sheet() -> None:
    assert not is_sheet(None)
