"""Files are read from messages and fetched within what a bot may fetch."""

from __future__ import annotations

import pytest
from telegram import Update

from escrow.bot.files import TelegramFiles, fits_caption, plain, read_media
from escrow.domain.model import MediaKind
from escrow.services.ports import FetchLater, FileGone, FileTooLarge
from sandbox.server import Sandbox
from tests.bot.conftest import BUYER, Town


@pytest.fixture
async def quiet(town: Town) -> Town:
    await town.store.stop()
    return town


def _update(town: Town) -> Update:
    return Update.de_json(town.telegram.updates.pending[-1], town.application.bot)


async def test_every_kind_is_read_with_its_caption(quiet: Town) -> None:
    people = quiet.telegram
    people.user_sends_photo(BUYER, b"jpeg", "look")
    photo = read_media(_update(quiet).message)
    assert photo is not None
    assert (photo.kind, photo.words, photo.file_size) == (MediaKind.PHOTO, "look", 4)
    for kind in ("voice", "audio", "video"):
        people.user_sends_sound(BUYER, b"x", kind)
        found = read_media(_update(quiet).message)
        assert found is not None
        assert found.kind == kind
    people.user_sends_document(BUYER, b"pdf", "a.pdf", size=21_000_000)
    document = read_media(_update(quiet).message)
    assert document is not None
    assert (document.kind, document.file_size) == (MediaKind.DOCUMENT, 21_000_000)
    people.user_sends(BUYER, "words")
    assert read_media(_update(quiet).message) is None
    assert read_media(None) is None


async def test_bytes_are_fetched(quiet: Town) -> None:
    file = quiet.telegram.store_file(b"bytes", "documents", "a.bin", "x/y")
    assert await TelegramFiles(quiet.application.bot).fetch(file.file_id) == b"bytes"


async def test_what_can_not_be_fetched_says_why(quiet: Town, sandbox: Sandbox) -> None:
    files = TelegramFiles(quiet.application.bot)
    large = quiet.telegram.store_file(b"x", "d", "a.bin", "x/y", pretended=20 * 1024 * 1024 + 1)
    with pytest.raises(FileTooLarge):
        await files.fetch(large.file_id)
    with pytest.raises(FileGone):
        await files.fetch("nothing")
    quiet.telegram.fail("getFile", status=502)
    with pytest.raises(FetchLater):
        await files.fetch(large.file_id)
    await sandbox.stop()
    with pytest.raises(FetchLater):
        await files.fetch(large.file_id)


def test_captions_are_counted_as_telegram_does() -> None:
    from markupsafe import Markup

    assert fits_caption("x" * 1024)
    assert not fits_caption("x" * 1025)
    assert not fits_caption("💰" * 513)
    assert plain(Markup("<b>a &amp; b</b>")) == "a & b"
