"""The morning's digest as its readers see it, and its buttons."""

from __future__ import annotations

from datetime import timedelta

from escrow.bot.admin import digest_texts
from escrow.services.digest import Digest
from escrow_handlers_admin import ADMIN_COMMANDS
from tests.bot.conftest import ADMIN, NAIROBI, SELLER, Town


async def _morning(town: Town) -> None:
    await town.says(ADMIN, "/start")
    before = town.clock.now() - timedelta(days=2)
    async with town.database.unit() as conn:
        await conn.execute("UPDATE people SET started_at = $1", before)
    await Digest(town.database, town.clock, town.office.admins, NAIROBI, 8).queue_due()
    await town.settle()


async def test_when_nothing_waits_it_is_one_line(town: Town) -> None:
    await _morning(town)
    digest = town.last(ADMIN)
    assert digest.text == "Good morning. Nothing waits."
    assert digest.keyboard == []


async def test_its_buttons_show_the_lists_as_they_stand_now(town: Town) -> None:
    await town.people.seen(SELLER, "Jane", None, "en")
    await town.people.register_seller(SELLER, "Jane Shop", "254712000111")
    await _morning(town)
    digest = town.last(ADMIN)
    assert digest.text.startswith("Good morning. This waits for you:\nSellers to verify: 1\n")
    assert digest.labels == ["New sellers"]
    listed = (await town.taps(ADMIN, digest, "New sellers"))[-1]
    assert "Sellers who wait: 1" in listed.text
    assert town.telegram.messages[digest.id].labels == ["New sellers"]


def test_its_buttons_stand_for_commands() -> None:
    assert set(digest_texts.LISTS) <= {one.name for one in ADMIN_COMMANDS}
