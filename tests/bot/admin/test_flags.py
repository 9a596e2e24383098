"""Flags before admins: the grave ones at once, the rest in a list, each reviewed once."""

from __future__ import annotations

import pytest

from escrow.bot import page
from escrow.bot.admin import flag_texts
from escrow.services.flags import raise_flag
from escrow.services.ports import Answer, Verdict
from sandbox import persona
from tests.bot.admin import people_samples
from tests.bot.admin.people_samples import read
from tests.bot.conftest import ADMIN, BUYER, SELLER, Town

CODE = "ES1008257624"


async def _raise(town: Town, person: int = BUYER, severity: str = "HIGH", **changes: str) -> int:
    kind = changes.get("flag_type", "multiple_disputes")
    async with town.database.unit() as conn:
        row = await raise_flag(
            conn,
            town.office.admins,
            person,
            user_type=changes.get("user_type", "buyer"),
            flag_type=kind,
            severity=severity,
            escrow_id=None,
            rule="3 disputes in 30 days",
            deals=[CODE, "ES1008257616"],
            now=town.clock.now(),
        )
    await town.settle()
    assert row is not None
    return row


async def _here(town: Town) -> None:
    for person in (ADMIN, BUYER):
        await town.says(person, "/start")


async def test_a_grave_flag_is_a_card_with_its_deals_and_buttons(town: Town) -> None:
    await _here(town)
    row = await _raise(town)
    card = town.last(ADMIN)
    assert read(card).startswith(f"HIGH flag No. {row}: buyer ")
    assert "Raised 3 disputes in 30 days." in read(card)
    assert CODE in read(card)
    assert card.labels == [f"No. {row}: reviewed", CODE, "ES1008257616"]


async def test_a_sellers_card_offers_to_suspend(town: Town) -> None:
    await _here(town)
    await town.shop()
    await _raise(town, SELLER, "CRITICAL", user_type="seller", flag_type="high_dispute_rate")
    card = town.last(ADMIN)
    assert read(card).startswith("CRITICAL flag")
    assert "Suspend Jane Shop…" in card.labels


async def test_the_list_has_the_worst_first_by_pages(town: Town) -> None:
    await _here(town)
    assert read((await town.says(ADMIN, "/suspicious_users"))[-1]) == "No flag waits for a review."
    rows = [
        await _raise(town, severity=severity, flag_type=f"kind_{letter}")
        for letter, severity in zip(
            "abcdef", ("LOW", "MEDIUM", "HIGH", "CRITICAL", "LOW", "LOW"), strict=True
        )
    ]
    listed = (await town.says(ADMIN, "/suspicious_users"))[-1]
    assert "1 CRITICAL · 1 HIGH · 1 MEDIUM · 3 LOW" in read(listed)
    reviews = [label for label in listed.labels if "reviewed" in label]
    assert reviews == [f"No. {rows[i]}: reviewed" for i in (3, 2, 1, 0, 4)]
    assert any("2" in label and "Page" in label for label in listed.labels)


async def test_a_flag_is_reviewed_with_a_note_by_its_button(town: Town) -> None:
    await _here(town)
    row = await _raise(town)
    card = town.last(ADMIN)
    asked = (await town.taps(ADMIN, card, f"No. {row}: reviewed"))[-1]
    assert "What did you find?" in read(asked)
    assert asked.labels == ["Reviewed, without a note"]
    done = (await town.says(ADMIN, "He is a shop assistant of another"))[-1]
    assert read(done).startswith(f"Flag No. {row} is reviewed.")
    notes = await town.value("SELECT review_notes FROM fraud_flags")
    assert notes == "He is a shop assistant of another"
    again = (await town.taps(ADMIN, card, f"No. {row}: reviewed"))[-1]
    assert read(again).startswith(f"Flag No. {row} was reviewed before. Nothing changed.")
    assert f"By {persona.ADMIN.first_name} ({ADMIN}), Mon 23 Nov, 12:00." in read(again)


async def test_the_note_may_be_left_out(town: Town) -> None:
    await _here(town)
    row = await _raise(town)
    asked = (await town.taps(ADMIN, town.last(ADMIN), f"No. {row}: reviewed"))[-1]
    await town.taps(ADMIN, asked, "Reviewed, without a note")
    assert read(town.telegram.messages[asked.id]).startswith(f"Flag No. {row} is reviewed.")
    assert await town.value("SELECT review_notes FROM fraud_flags") is None
    assert "didn't understand" in read((await town.says(ADMIN, "not a note"))[-1])


async def test_a_flag_is_reviewed_by_its_command_once(town: Town) -> None:
    await _here(town)
    row = await _raise(town)
    first = read((await town.says(ADMIN, f"/review_flag {row} talked to him"))[-1])
    assert first.startswith(f"Flag No. {row} is reviewed.")
    town.clock.advance(hours=1)
    second = read((await town.says(ADMIN, f"/review_flag {row} nonsense"))[-1])
    assert "was reviewed before" in second
    assert "Mon 23 Nov, 12:00" in second
    assert "talked to him" in second


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("/review_flag", "Like this: /review_flag 12"),
        ("/review_flag twelve", "Like this: /review_flag 12"),
        ("/review_flag 77", "There is no flag 77."),
    ],
)
async def test_what_cant_be_reviewed_is_told(town: Town, text: str, answer: str) -> None:
    assert read((await town.says(ADMIN, text))[-1]).startswith(answer)


async def test_an_admin_does_not_review_a_flag_about_himself(town: Town) -> None:
    await _here(town)
    row = await _raise(town, ADMIN)
    assert "about you" in read((await town.says(ADMIN, f"/review_flag {row}"))[-1])
    assert await town.value("SELECT reviewed_at FROM fraud_flags") is None


async def test_three_unsent_deals_are_a_proposal_with_its_button(town: Town) -> None:
    await _here(town)
    await town.shop()
    for number in range(3):
        code = await town.deal("1000", f"Case {number}")
        await town.says(BUYER, f"/start {code}")
        if not number:
            await town.shares(BUYER, persona.BUYER.phone)
        await town.says(BUYER, f"/pay {code}")
        await town.answers_prompt(number + 1, Answer(Verdict.PAID, "0"))
        town.clock.advance(minutes=15)
    town.clock.advance(days=4)
    await town.escrows.refund_due()
    await town.settle()
    card = town.last(ADMIN)
    assert read(card).startswith("Suspend Jane Shop? 3 deals not sent in 30 days.")
    assert "Nobody is suspended by itself" in read(card)
    asked = (await town.taps(ADMIN, card, "Suspend Jane Shop…"))[-1]
    assert "Why is Jane Shop to be suspended?" in read(asked)


def test_every_rule_has_words_and_an_unknown_one_says_what_it_carries() -> None:
    rules = {"unshipped_order": "not sent in time", **people_samples.RULES}
    said = {kind: str(flag_texts.rule_words(kind, rule)) for kind, rule in rules.items()}
    assert not [kind for kind, text in said.items() if text == page.said(rules[kind])]
    assert said["multiple_disputes"] == "Raised 4 disputes in 30 days."
    assert said["multiple_refunds"] == "Got 3 refunds in 14 days."
    assert said["high_dispute_rate"] == (
        "Buyers dispute 2 of 5 deals paid in 60 days: more than 30 %."
    )
    for kind in ("from_the_future", *people_samples.RULES):
        assert "the figure" in flag_texts.rule_words(kind, "the figure")
