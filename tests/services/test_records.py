"""Evidence is kept while a dispute is open, messages reach the other side without a name, and
files get their fingerprints.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
from dataclasses import dataclass, field

import pytest

from escrow.domain.errors import (
    CannotDo,
    IllegalMove,
    InvalidInput,
    LimitReached,
    NotAllowed,
    NotFound,
)
from escrow.domain.model import Escrow, Media, MediaKind, Purpose
from escrow.services import records as module
from escrow.services.ports import FetchLater, FileGone, FileTooLarge
from tests.world import ADMIN, BRIAN, JANE, OTIENO, SECOND_ADMIN, World

PHOTO = Media(MediaKind.PHOTO, "AgAC1", "u1", 1234, "a crack")
_causes = itertools.count(1)


def cause() -> str:
    return f"update:records:{next(_causes)}"


async def held(world: World) -> Escrow:
    deal = await world.deal(buyer=BRIAN)
    await world.pay(deal, 10_500)
    return await world.escrow(deal.id)


async def disputed(world: World) -> Escrow:
    """A held deal with a dispute of its buyer."""
    deal = await held(world)
    await world.escrows.dispute(deal.id, BRIAN, "broken", cause())
    return await world.escrow(deal.id)


# -- evidence ------------------------------------------------------------------------------------


async def test_evidence_is_kept_and_both_sides_and_the_admins_see_it(world: World) -> None:
    deal = await disputed(world)
    kept = await world.records.keep_evidence(deal.id, BRIAN, PHOTO, cause())
    assert (kept.count, kept.record.media) == (1, PHOTO)
    await world.records.keep_evidence(deal.id, JANE, "It was whole when I sent it", cause())
    for person in (BRIAN, JANE, ADMIN):
        found = await world.records.evidence_of(deal.id, person)
        assert [found.role(one) for one in found.records] == ["buyer", "seller"]
    with pytest.raises(NotFound):
        await world.records.evidence_of(deal.id, OTIENO)


async def test_admins_see_what_the_sides_wrote_to_each_other_among_the_evidence(
    world: World,
) -> None:
    deal = await disputed(world)
    await world.records.keep_evidence(deal.id, BRIAN, PHOTO, cause())
    relayed = Media(MediaKind.PHOTO, "AgAC2", "u2", 99, "as I packed it")
    await world.records.relay(deal.id, JANE, relayed, cause())
    for admin in (ADMIN, SECOND_ADMIN):
        found = await world.records.evidence_of(deal.id, admin)
        assert [(found.role(one), one.purpose, one.media) for one in found.records] == [
            ("buyer", Purpose.EVIDENCE, PHOTO),
            ("seller", Purpose.MESSAGE, relayed),
        ]
        case = await world.cases.look(deal.id, admin)
        assert case.records == found.records


async def test_without_an_open_dispute_nothing_is_kept(world: World) -> None:
    deal = await held(world)
    with pytest.raises(IllegalMove, match="no_dispute"):
        await world.records.keep_evidence(deal.id, BRIAN, PHOTO, cause())
    with pytest.raises(IllegalMove, match="no_dispute"):
        await world.records.takes_evidence(deal.id, BRIAN)
    deal = await disputed(world)
    await world.records.takes_evidence(deal.id, BRIAN)
    await world.escrows.withdraw_dispute(deal.id, BRIAN)
    with pytest.raises(IllegalMove, match="no_dispute"):
        await world.records.keep_evidence(deal.id, BRIAN, PHOTO, cause())
    assert (await world.records.evidence_of(deal.id, BRIAN)).records == []


async def test_a_stranger_adds_nothing(world: World) -> None:
    deal = await disputed(world)
    for person in (OTIENO, ADMIN):
        with pytest.raises(NotFound):
            await world.records.keep_evidence(deal.id, person, PHOTO, cause())


async def test_the_other_sides_first_word_answers_the_dispute(world: World) -> None:
    deal = await disputed(world)
    answered = "SELECT answered_at FROM escrow_disputes"
    await world.records.keep_evidence(deal.id, BRIAN, PHOTO, cause())
    assert await world.value(answered) is None
    world.clock.tick(hours=2)
    await world.records.keep_evidence(deal.id, JANE, PHOTO, cause())
    first = world.clock.now()
    world.clock.tick(hours=2)
    await world.records.keep_evidence(deal.id, JANE, PHOTO, cause())
    assert await world.value(answered) == first


async def test_a_message_answers_a_dispute_too(world: World) -> None:
    deal = await disputed(world)
    await world.records.relay(deal.id, JANE, "I send you another one", cause())
    assert await world.value("SELECT answered_at FROM escrow_disputes") == world.clock.now()


async def test_a_repeat_keeps_nothing_twice_even_after_the_end(world: World) -> None:
    deal = await disputed(world)
    once = cause()
    first = await world.records.keep_evidence(deal.id, BRIAN, PHOTO, once)
    assert await world.records.keep_evidence(deal.id, BRIAN, "other words", once) == first
    await world.escrows.withdraw_dispute(deal.id, BRIAN)
    assert await world.records.keep_evidence(deal.id, BRIAN, PHOTO, once) == first


async def test_an_album_at_once_is_kept_whole_and_told_once_an_hour(world: World) -> None:
    deal = await disputed(world)
    photos = [Media(MediaKind.PHOTO, f"AgAC{n}", f"u{n}", 9) for n in range(10)]
    await asyncio.gather(
        *(world.records.keep_evidence(deal.id, BRIAN, photo, cause()) for photo in photos)
    )
    assert len((await world.records.evidence_of(deal.id, JANE)).records) == 10
    for person in (JANE, ADMIN, SECOND_ADMIN):
        assert (await world.told(person)).count("evidence_added") == 1
    assert "evidence_added" not in await world.told(BRIAN)
    world.clock.tick(hours=1)
    await world.records.keep_evidence(deal.id, BRIAN, "and this", cause())
    assert (await world.told(JANE)).count("evidence_added") == 2


async def test_evidence_has_an_end(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EVIDENCE_PER_DISPUTE", 2)
    deal = await disputed(world)
    for _ in range(2):
        await world.records.keep_evidence(deal.id, BRIAN, PHOTO, cause())
    with pytest.raises(LimitReached, match="enough_evidence"):
        await world.records.keep_evidence(deal.id, BRIAN, PHOTO, cause())
    await world.records.keep_evidence(deal.id, JANE, PHOTO, cause())


@pytest.mark.parametrize("words", ["", "  \n ", "\x00"])
async def test_empty_words_are_no_evidence(world: World, words: str) -> None:
    deal = await disputed(world)
    with pytest.raises(InvalidInput, match="no_words"):
        await world.records.keep_evidence(deal.id, BRIAN, words, cause())


@pytest.mark.parametrize("words", ["x" * 4097, "💰" * 1501])
async def test_words_that_would_not_be_shown_whole_are_refused(world: World, words: str) -> None:
    deal = await disputed(world)
    with pytest.raises(InvalidInput, match="too_many_words"):
        await world.records.keep_evidence(deal.id, BRIAN, words, cause())


async def test_odd_characters_are_stored(world: World) -> None:
    deal = await disputed(world)
    for words in ("a\x00b", "half \ud800 pair", "\u202eturned", "<b>bold"):
        await world.records.keep_evidence(deal.id, BRIAN, words, cause())
    assert len((await world.records.evidence_of(deal.id, BRIAN)).records) == 4


# -- messages ------------------------------------------------------------------------------------


async def test_a_message_reaches_the_other_side_by_role_alone(world: World) -> None:
    deal = await held(world)
    done = await world.records.relay(deal.id, BRIAN, "When do you send it?", cause())
    assert (done.to, done.reachable) == ("seller", True)
    notice = await world.notice(JANE, "relayed")
    assert (notice["role"], notice["words"]) == ("buyer", "When do you send it?")
    assert "3001" not in str(notice)
    assert "Brian" not in str(notice)
    await world.records.relay(deal.id, JANE, PHOTO, cause())
    assert (await world.notice(BRIAN, "relayed"))["media"] == {"kind": "photo", "file_id": "AgAC1"}
    found = await world.records.evidence_of(deal.id, JANE)
    assert [one.purpose for one in found.records] == ["message", "message"]


async def test_nobody_is_written_to_before_there_is_somebody(world: World) -> None:
    deal = await world.deal()
    with pytest.raises(NotAllowed, match="nobody_there"):
        await world.records.relay(deal.id, JANE, "hello", cause())
    with pytest.raises(NotFound):
        await world.records.relay(deal.id, OTIENO, "hello", cause())
    bound = await world.deal(buyer=BRIAN)
    await world.records.relay(bound.id, JANE, "hello", cause())
    assert "relayed" in await world.told(BRIAN)


async def test_messages_end_30_days_after_the_deal(world: World) -> None:
    deal = await world.deal(buyer=BRIAN)
    await world.escrows.cancel(deal.id, JANE)
    world.clock.tick(days=30)
    await world.records.relay(deal.id, JANE, "sorry", cause())
    world.clock.tick(seconds=1)
    with pytest.raises(NotAllowed, match="talk_over"):
        await world.records.relay(deal.id, JANE, "sorry", cause())


async def test_twenty_messages_an_hour_per_deal_and_person(world: World) -> None:
    deal, other = await held(world), await held(world)
    for _ in range(20):
        await world.records.relay(deal.id, BRIAN, "hello", cause())
    with pytest.raises(LimitReached, match="too_many_messages"):
        await world.records.relay(deal.id, BRIAN, "hello", cause())
    await world.records.relay(deal.id, JANE, "hello", cause())
    await world.records.relay(other.id, BRIAN, "hello", cause())
    world.clock.tick(hours=1)
    await world.records.relay(deal.id, BRIAN, "hello", cause())


async def test_a_repeated_message_is_sent_once(world: World) -> None:
    deal = await held(world)
    once = cause()
    await asyncio.gather(
        *(world.records.relay(deal.id, BRIAN, "hello", once) for _ in range(5)),
    )
    assert (await world.told(JANE)).count("relayed") == 1


async def test_the_sender_hears_that_the_other_blocked_the_bot(world: World) -> None:
    deal = await held(world)
    await world.people.blocked(JANE)
    done = await world.records.relay(deal.id, BRIAN, "hello", cause())
    assert done.reachable is False
    assert not (await world.records.can_relay(deal.id, BRIAN)).reachable
    back = await world.records.relay(deal.id, JANE, "I am here", cause())
    assert back.reachable


@pytest.mark.parametrize("words", ["", " ", "x" * 1001])
async def test_empty_and_endless_messages_are_refused(world: World, words: str) -> None:
    deal = await held(world)
    with pytest.raises(CannotDo):
        await world.records.relay(deal.id, BRIAN, words, cause())
    assert "relayed" not in await world.told(JANE)


# -- fingerprints --------------------------------------------------------------------------------


@dataclass
class FakeFiles:
    """Files as a test wants them; asked for again and again."""

    content: dict[str, bytes | Exception] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    async def fetch(self, file_id: str) -> bytes:
        self.asked.append(file_id)
        found = self.content[file_id]
        if isinstance(found, Exception):
            raise found
        return found


async def _notes(world: World) -> list[tuple[bytes | None, str]]:
    rows = await world.sql("SELECT sha256, note FROM fingerprints ORDER BY record_id")
    return [(row["sha256"], row["note"]) for row in rows]


async def test_a_fingerprint_is_the_sha256_of_the_bytes(world: World) -> None:
    deal = await disputed(world)
    await world.records.keep_evidence(deal.id, BRIAN, PHOTO, cause())
    await world.records.keep_evidence(deal.id, BRIAN, "words have none", cause())
    assert await world.records.fingerprint_due() == (0, 0)  # nobody fetches yet
    world.records.use(FakeFiles({"AgAC1": b"jpeg"}))
    assert await world.records.fingerprint_due() == (1, 0)
    assert await _notes(world) == [(hashlib.sha256(b"jpeg").digest(), "")]
    assert await world.records.fingerprint_due() == (0, 0)
    found = await world.records.evidence_of(deal.id, JANE)
    assert found.records[0].sha256 == hashlib.sha256(b"jpeg").digest()


async def test_files_over_20_mb_are_not_even_asked_for(world: World) -> None:
    deal = await held(world)
    files = FakeFiles({"small": FileTooLarge()})
    world.records.use(files)
    large = Media(MediaKind.VIDEO, "large", "u", 20 * 1024 * 1024 + 1)
    await world.records.relay(deal.id, BRIAN, large, cause())
    await world.records.relay(deal.id, BRIAN, Media(MediaKind.VIDEO, "small", "v", None), cause())
    assert await world.records.fingerprint_due() == (2, 0)
    assert files.asked == ["small"]
    assert await _notes(world) == [(None, "too_large"), (None, "too_large")]


async def test_what_can_not_be_had_now_is_tried_later_and_later(world: World) -> None:
    deal = await held(world)
    files = FakeFiles({"AgAC1": FetchLater("502"), "new": b"x"})
    world.records.use(files)
    await world.records.relay(deal.id, BRIAN, PHOTO, cause())
    assert await world.records.fingerprint_due() == (1, 1)
    assert await world.records.fingerprint_due() == (0, 0)  # not at once
    await world.records.relay(deal.id, BRIAN, Media(MediaKind.VOICE, "new", "n", 1), cause())
    assert await world.records.fingerprint_due() == (1, 0)  # and nothing waits behind it
    world.clock.tick(minutes=1)
    assert await world.records.fingerprint_due() == (1, 1)
    world.clock.tick(minutes=1)
    assert await world.records.fingerprint_due() == (0, 0)
    world.clock.tick(minutes=1)
    files.content["AgAC1"] = b"there"
    assert await world.records.fingerprint_due() == (1, 0)
    assert len(await _notes(world)) == 2


async def test_a_file_counts_as_gone_after_a_day_of_refusals(world: World) -> None:
    deal = await held(world)
    world.records.use(FakeFiles({"AgAC1": FileGone("wrong file_id")}))
    await world.records.relay(deal.id, BRIAN, PHOTO, cause())
    assert await world.records.fingerprint_due() == (1, 1)
    assert await _notes(world) == []
    world.clock.tick(days=1)
    assert await world.records.fingerprint_due() == (1, 0)
    assert await _notes(world) == [(None, "gone")]
