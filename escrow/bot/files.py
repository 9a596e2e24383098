"""Photos, documents, voice notes, audio and video: read from a message, sent again, fetched."""

from __future__ import annotations

import html
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from markupsafe import Markup
from telegram import InlineKeyboardMarkup, Message
from telegram.constants import MessageLimit, ParseMode
from telegram.error import BadRequest, TelegramError
from telegram.ext import ExtBot

from escrow.domain.errors import InvalidInput
from escrow.domain.model import Media, MediaKind
from escrow.services.ports import FetchLater, FileGone, FileTooLarge

FETCH_BYTES: Final = 20 * 1024 * 1024
"""The Bot API lets a bot fetch files up to 20 MB."""
_TAG: Final = re.compile(r"<[^<>]*>")
_CAPTION_KEPT: Final = 4096


def read_media(message: Message | None) -> Media | None:
    """What a message carries besides words, with its caption; None when nothing we take."""
    if message is None:
        return None
    words = (message.caption or "")[:_CAPTION_KEPT]
    if message.photo:
        kind, file = MediaKind.PHOTO, message.photo[-1]  # the sizes are sorted, the largest last
        return Media(kind, file.file_id, file.file_unique_id, file.file_size, words)
    for kind, sent in (
        (MediaKind.VOICE, message.voice),
        (MediaKind.AUDIO, message.audio),
        (MediaKind.VIDEO, message.video),
        (MediaKind.DOCUMENT, message.document),
    ):
        if sent is not None:
            return Media(kind, sent.file_id, sent.file_unique_id, sent.file_size, words)
    return None


def plain(text: Markup) -> str:
    """The words of a text without its markup."""
    return html.unescape(_TAG.sub("", str(text)))


def fits_caption(plain_words: str) -> bool:
    """Whether these words, their markup read, may stand below a file."""
    return _units(plain_words) <= MessageLimit.CAPTION_LENGTH


def fits_message(plain_words: str) -> bool:
    """Whether these words, their markup read, are one message."""
    return _units(plain_words) <= MessageLimit.MAX_TEXT_LENGTH


def _units(plain_words: str) -> int:
    """How long they are as Telegram counts."""
    return len(plain_words.encode("utf-16-le")) // 2


async def send_file(
    bot: ExtBot[int],
    chat_id: int,
    kind: str,
    file_id: str,
    caption: Markup | None = None,
    keyboard: InlineKeyboardMarkup | None = None,
    **extra: Any,
) -> Message:
    """Sends a file that Telegram keeps once more; nobody sees who sent it first."""
    ways: Mapping[MediaKind, Callable[..., Awaitable[Message]]] = {
        MediaKind.PHOTO: bot.send_photo,
        MediaKind.DOCUMENT: bot.send_document,
        MediaKind.VOICE: bot.send_voice,
        MediaKind.AUDIO: bot.send_audio,
        MediaKind.VIDEO: bot.send_video,
    }
    return await ways[MediaKind(kind)](
        chat_id,
        file_id,
        caption=None if caption is None else str(caption),
        parse_mode=ParseMode.HTML,
        reply_markup=keyboard,
        **extra,
    )


class TelegramFiles:
    """Fetches the bytes of files that people sent (`ports.Files`)."""

    def __init__(self, bot: ExtBot[int]) -> None:
        self._bot = bot

    async def fetch(self, file_id: str) -> bytes:
        """The bytes, at most 20 MB. `FileTooLarge`, `FileGone`, `FetchLater`."""
        try:
            found = await self._bot.get_file(file_id)
            if (found.file_size or 0) > FETCH_BYTES:
                raise FileTooLarge
            return bytes(await found.download_as_bytearray())
        except BadRequest as error:
            if "too big" in str(error).lower():
                raise FileTooLarge from error
            raise FileGone(str(error)) from error
        except (TelegramError, RuntimeError) as error:  # no path yet: the library's RuntimeError
            raise FetchLater(type(error).__name__) from error


async def fetch_now(bot: ExtBot[int], file_id: str, size: int) -> bytes:
    """The bytes of a file that somebody waits for. `InvalidInput` where there are none."""
    if size > FETCH_BYTES:
        raise InvalidInput("statement_too_large")
    try:
        return await TelegramFiles(bot).fetch(file_id)
    except FileTooLarge as error:
        raise InvalidInput("statement_too_large") from error
    except (FileGone, FetchLater) as error:
        raise InvalidInput("statement_not_fetched") from error
