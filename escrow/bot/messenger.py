"""Sends notices to people, and says what became of each. Never raises for what Telegram answers."""

from __future__ import annotations

import html
import logging
import re
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
from escrow.bot.context import Office
from escrow.bot.desk import NO_PREVIEW
from escrow.bot.limiter import UNPACED, wait_seconds
from escrow.bot.notices import NOTICES
from escrow.bot.page import Page, moment
from escrow.domain.errors import DatabaseDown, NotFound, TimedOut
from escrow.services.choice_tokens import Action
from escrow.services.ports import SendResult, Sent
from escrow_service import DealView

_LOG: Final = logging.getLogger(__name__)
_TAG: Final = re.compile(r"<[^<>]*>")
_GONE: Final = ("chat not found", "peer_id_invalid", "user not found", "user is deactivated")


class TelegramMessenger:
    """Renders a notice in its reader's language and sends it (`ports.Messenger`)."""

    def __init__(self, bot: ExtBot[int], office: Office) -> None:
        self._bot = bot
        self._office = office

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
            text = NOTICES[kind](values, page)
            view = await self._deal_now(chat_id, kind, params)
            keyboard = keyboards.for_notice(kind, params, choice, view)
        except (DatabaseDown, TimedOut) as error:
            return SendResult(Sent.LATER, error=str(error))
        except Exception as error:  # noqa: BLE001 one bad notice must not stop the others
            _LOG.exception(
                "a notice can't be rendered",
                extra={"action": "notice_unreadable", "kind": kind},
            )
            return SendResult(Sent.REFUSED, error=f"{type(error).__name__}: {error}")
        return await self._deliver(chat_id, text, keyboard)

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
        """The deal and the wallet as they are now, for a notice that offers to pay again; None
        when it is no longer this person's to see.
        """
        if kind not in ("too_short", "window_over"):
            return None
        try:
            return await self._office.escrows.deal(params["code"], chat_id)
        except NotFound:
            return None

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
            rate_limit_args=UNPACED,
        )
        return SendResult(Sent.DELIVERED, message.message_id)


def plain(text: Markup) -> str:
    """The words of a text without its markup."""
    return html.unescape(_TAG.sub("", str(text)))


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
