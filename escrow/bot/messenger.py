"""Sends notices to people, and says what became of each. Never raises for what Telegram answers."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

from markupsafe import Markup
from telegram import InlineKeyboardMarkup
from telegram.constants import ParseMode
from telegram.error import (
    BadRequest,
    Forbidden,
    RetryAfter,
    TelegramError,
)
from telegram.ext import ExtBot

from escrow.bot import keyboards
from escrow.bot.admin import confirming
from escrow.bot.context import Office
from escrow.bot.deal_texts import prompt_over
from escrow.bot.desk import NO_PREVIEW
from escrow.bot.files import fits_caption, plain, send_file
from escrow.bot.limiter import UNPACED, Limiter, wait_seconds
from escrow.bot.notices import NOTICES
from escrow.bot.page import Page, lines, moment, speaking
from escrow.bot.talk_texts import file_missing
from escrow.domain.actions import Action as AdminAction
from escrow.domain.errors import DatabaseDown, NotFound, TimedOut
from escrow.services.choice_tokens import Action
from escrow.services.ports import SendResult, Sent
from escrow_service import DealView

_LOG: Final = logging.getLogger(__name__)
_GONE: Final = ("chat not found", "peer_id_invalid", "user not found", "user is deactivated")


class TelegramMessenger:
    """Renders a notice in its reader's language and sends it (`ports.Messenger`)."""

    def __init__(self, bot: ExtBot[int], office: Office) -> None:
        self._bot = bot
        self._office = office
        self._pace = UNPACED if isinstance(bot.rate_limiter, Limiter) else None

    async def send(
        self, chat_id: int, kind: str, params: Mapping[str, Any], language: str
    ) -> SendResult:
        """One message. A notice that can't be rendered is refused, so that it ends before the
        admins instead of blocking its chat.
        """
        try:
            page = Page.of(self._office, language, self._bot.username)
            choice = await self._open_choice(kind, params, page)
            values = {**params, "open": choice is not None}
            view = await self._deal_now(chat_id, kind, params)
            with speaking(language):
                text = NOTICES[kind](values, page)
                alone = lines(text, file_missing())
                keyboard = keyboards.for_notice(
                    kind, params, choice, view, by_hand=bool(page.paybill)
                )
                if kind == "second_wanted":
                    action = AdminAction.of(params["action"])
                    keyboard = confirming.buttons(self._office, action, chat_id)
                keyboard = None if self._office.bare else keyboard
                over = prompt_over()
        except (DatabaseDown, TimedOut) as error:
            return SendResult(Sent.LATER, error=str(error))
        except Exception as error:  # noqa: BLE001 one bad notice must not stop the others
            _LOG.exception(
                "a notice can't be rendered",
                extra={"action": "notice_unreadable", "kind": kind},
            )
            return SendResult(Sent.REFUSED, error=f"{type(error).__name__}: {error}")
        media = params.get("media")
        if media:
            return await self._deliver_file(chat_id, media, text, alone, keyboard)
        sent = await self._deliver(chat_id, text, keyboard)
        if sent.sent is Sent.DELIVERED and params.get("progress"):
            await self._end_progress(chat_id, int(params["progress"]), over)
        return sent

    async def _end_progress(self, chat_id: int, message_id: int, words: Markup) -> None:
        """What a progress message said is over. It stays as it was if Telegram refuses."""
        try:
            await self._bot.edit_message_text(
                str(words),
                chat_id=chat_id,
                message_id=message_id,
                parse_mode=ParseMode.HTML,
                rate_limit_args=self._pace,
            )
        except TelegramError as error:
            _LOG.info("words stay: %s", error, extra={"action": "words_stay"})

    async def _open_choice(
        self, kind: str, params: Mapping[str, Any], page: Page
    ) -> Mapping[Action, str] | None:
        """The signed buttons of an `underpaid` notice, while the choice is open."""
        if kind != "underpaid":
            return None
        ends = moment(params.get("expires_at"))
        if ends is None or ends <= page.now:
            return None
        return await self._office.choices.buttons(int(params["choice"]))

    async def _deal_now(
        self, chat_id: int, kind: str, params: Mapping[str, Any]
    ) -> DealView | None:
        """The deal and the wallet as they are now, for a notice that offers to pay; None
        when it is no longer this person's to see.
        """
        if kind not in keyboards.PAYABLE:
            return None
        try:
            return await self._office.escrows.deal(params["code"], chat_id)
        except NotFound:
            return None

    async def _deliver_file(
        self,
        chat_id: int,
        media: Mapping[str, Any],
        text: Markup,
        alone: Markup,
        keyboard: InlineKeyboardMarkup | None,
    ) -> SendResult:
        """The file with the words below it; words too long for a caption follow it, and `alone`
        stands in place of a file that Telegram does not take.
        """
        whole = fits_caption(plain(text))
        try:
            message = await send_file(
                self._bot,
                chat_id,
                str(media["kind"]),
                str(media["file_id"]),
                text if whole else None,
                keyboard if whole else None,
                rate_limit_args=self._pace,
            )
        except TelegramError as error:
            result = refused(error)
            if result.sent is not Sent.REFUSED:
                return result
            _LOG.warning("a file was not taken: %s", error, extra={"action": "file_refused"})
            return await self._deliver(chat_id, alone, keyboard)
        if whole:
            return SendResult(Sent.DELIVERED, message.message_id)
        return await self._deliver(chat_id, text, keyboard)

    async def _deliver(
        self, chat_id: int, text: Markup, keyboard: InlineKeyboardMarkup | None
    ) -> SendResult:
        try:
            return await self._send(chat_id, str(text), ParseMode.HTML, keyboard)
        except BadRequest as error:
            if "can't parse entities" not in str(error).lower():
                return refused(error)
            _LOG.error("a notice is not well-formed: %s", error, extra={"action": "bad_html"})
        except TelegramError as error:
            return refused(error)
        try:
            return await self._send(chat_id, plain(text), None, keyboard)
        except TelegramError as error:
            return refused(error)

    async def _send(
        self,
        chat_id: int,
        text: str,
        parse_mode: str | None,
        keyboard: InlineKeyboardMarkup | None,
    ) -> SendResult:
        message = await self._bot.send_message(
            chat_id,
            text,
            parse_mode=parse_mode,
            reply_markup=keyboard,
            link_preview_options=NO_PREVIEW,
            rate_limit_args=self._pace,
        )
        return SendResult(Sent.DELIVERED, message.message_id)


def refused(error: TelegramError) -> SendResult:
    """What an answer of Telegram's means for a message. Order matters: a 400 is a `NetworkError`
    to the library.
    """
    words = str(error)[:200]
    if isinstance(error, RetryAfter):
        return SendResult(Sent.LATER, retry_after_seconds=wait_seconds(error), error=words)
    if isinstance(error, Forbidden):
        return SendResult(Sent.UNREACHABLE, error=words)
    if isinstance(error, BadRequest):
        gone = any(part in words.lower() for part in _GONE)
        return SendResult(Sent.UNREACHABLE if gone else Sent.REFUSED, error=words)
    # time-outs, 5xx, no network; 401 and 409: our trouble, not the notice's
    return SendResult(Sent.LATER, error=words)
