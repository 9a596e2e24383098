"""What the stand-in Telegram remembers: people, messages, taps, files, and its errors."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

Json = dict[str, Any]

INLINE_BUTTONS: Final = 100
ROW_BUTTONS: Final = 8
DATA_BYTES: Final = 64
COPY_CHARACTERS: Final = 256
_INLINE_KINDS: Final = (
    "url",
    "callback_data",
    "copy_text",
    "switch_inline_query",
    "switch_inline_query_current_chat",
    "switch_inline_query_chosen_chat",
    "web_app",
    "login_url",
)
_URL: Final = re.compile(r"(?:https?|tg)://[^\s]+", re.IGNORECASE)


class ApiError(Exception):
    """A refusal in the Bot API's envelope."""

    def __init__(self, status: int, description: str, parameters: Json | None = None) -> None:
        super().__init__(description)
        self.status = status
        self.description = description
        self.parameters = parameters

    def wire(self) -> Json:
        body: Json = {"ok": False, "error_code": self.status, "description": self.description}
        if self.parameters:
            body["parameters"] = self.parameters
        return body


def bad_request(words: str) -> ApiError:
    return ApiError(400, f"Bad Request: {words}")


@dataclass(slots=True)
class Person:
    """Somebody with a Telegram account. The private chat has the same id."""

    id: int
    first_name: str
    username: str | None = None
    language_code: str = "en"
    started: bool = False  # has written to the bot at least once
    blocked: bool = False
    phone: str | None = None
    role: str = ""  # what the page calls this person
    reply_keyboard: Json | None = None
    action: str = ""  # "typing" and the like

    def wire(self) -> Json:
        """The User object."""
        user: Json = {
            "id": self.id,
            "is_bot": False,
            "first_name": self.first_name,
            "language_code": self.language_code,
        }
        if self.username:
            user["username"] = self.username
        return user

    def chat(self) -> Json:
        chat: Json = {"id": self.id, "type": "private", "first_name": self.first_name}
        if self.username:
            chat["username"] = self.username
        return chat


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file somebody sent, as getFile finds it."""

    file_id: str
    unique_id: str
    path: str
    name: str
    mime: str
    content: bytes = field(repr=False)
    type: str = "Document"  # a file is sent again as what it is
    pretended: int | None = None  # a size in bytes, for files that would be too large for a test

    @property
    def size(self) -> int:
        return len(self.content) if self.pretended is None else self.pretended


@dataclass(slots=True)
class Message:
    """A message of a private chat, of the bot or of the person."""

    id: int
    chat_id: int
    from_bot: bool
    sender: Json
    chat: Json
    at: datetime
    seq: int  # the stand-in's count of changes when it was sent or last changed
    text: str = ""  # or the caption
    entities: list[Json] = field(default_factory=list)
    media: Json = field(default_factory=dict)  # photo, document, contact …, as on the wire
    keyboard: list[list[Json]] = field(default_factory=list)
    reply_to: int | None = None
    edited_at: datetime | None = None
    deleted: bool = False
    reaction: str = ""  # of the bot

    @property
    def labels(self) -> list[str]:
        """The inline buttons' words, row by row."""
        return [button["text"] for row in self.keyboard for button in row]

    def button(self, wanted: str) -> Json | None:
        """The inline button with that callback data, or whose label begins so."""
        buttons = [button for row in self.keyboard for button in row]
        exact = [one for one in buttons if one.get("callback_data") == wanted and wanted]
        return next(iter(exact or [one for one in buttons if one["text"].startswith(wanted)]), None)

    def wire(self) -> Json:
        """The Message object."""
        message: Json = {
            "message_id": self.id,
            "from": self.sender,
            "chat": self.chat,
            "date": int(self.at.timestamp()),
        }
        words, marks = ("caption", "caption_entities") if self.media else ("text", "entities")
        if self.text:
            message[words] = self.text
            if self.entities:
                message[marks] = self.entities
        message.update(self.media)
        if self.edited_at is not None:
            message["edit_date"] = int(self.edited_at.timestamp())
        if self.keyboard:
            message["reply_markup"] = {"inline_keyboard": self.keyboard}
        return message


@dataclass(slots=True)
class Tap:
    """A callback query: somebody tapped (or their client says so)."""

    id: str
    user_id: int
    message_id: int
    data: str
    at: datetime
    seq: int
    answered: bool = False
    text: str = ""  # what the bot answered
    alert: bool = False


@dataclass(slots=True)
class Call:
    """One request of the bot, with the answer it got."""

    method: str
    params: Json
    at: datetime
    chat_id: int | None = None
    answer: Json | None = None  # None: still open, or cut

    @property
    def ok(self) -> bool:
        return bool(self.answer and self.answer.get("ok"))


def inline_keyboard(markup: Json) -> list[list[Json]]:
    """The rows of an inline keyboard, held to Telegram's limits. Raises ApiError."""
    rows = markup.get("inline_keyboard")
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise bad_request("object expected as reply markup")
    buttons = [button for row in rows for button in row]
    if len(buttons) > INLINE_BUTTONS or any(len(row) > ROW_BUTTONS for row in rows):
        raise bad_request("reply markup is too long")
    for button in buttons:
        _check_inline(button)
    return [row for row in rows if row]


def _check_inline(button: Any) -> None:
    failed = "can't parse inline keyboard button: "
    if not isinstance(button, dict):
        raise bad_request(failed + "InlineKeyboardButton must be an Object")
    if not isinstance(button.get("text"), str) or not button["text"].strip():
        raise bad_request(failed + "Text buttons must have a non-empty text")
    kinds = [kind for kind in _INLINE_KINDS if kind in button]
    if not kinds and not button.get("pay") and "callback_game" not in button:
        raise bad_request(failed + "Text buttons are unallowed in the inline keyboard")
    if len(kinds) > 1:
        raise bad_request(failed + "exactly one of the optional fields must be used")
    if "callback_data" in button:
        data = button["callback_data"]
        if not isinstance(data, str) or not 1 <= len(data.encode()) <= DATA_BYTES:
            raise bad_request("BUTTON_DATA_INVALID")
    if "url" in button and not _URL.fullmatch(str(button["url"])):
        raise bad_request(
            f"inline keyboard button URL '{button['url']}' is invalid: Wrong HTTP URL"
        )
    if "copy_text" in button:
        words = button["copy_text"].get("text") if isinstance(button["copy_text"], dict) else None
        if not isinstance(words, str) or not 1 <= len(words) <= COPY_CHARACTERS:
            raise bad_request("BUTTON_COPY_TEXT_INVALID")


def reply_keyboard(markup: Json) -> Json | None:
    """A reply keyboard, a forced reply, or None for a removed one. Raises ApiError."""
    if markup.get("remove_keyboard"):
        return None
    if markup.get("force_reply"):
        return {"force_reply": True}
    rows = markup.get("keyboard")
    if not isinstance(rows, list) or not rows or not all(isinstance(row, list) for row in rows):
        raise bad_request("object expected as reply markup")
    kept = [[{"text": one} if isinstance(one, str) else one for one in row] for row in rows]
    for button in (button for row in kept for button in row):
        if not isinstance(button.get("text"), str) or not button["text"]:
            raise bad_request('can\'t parse keyboard button: Field "text" must be of type String')
    return {**markup, "keyboard": kept}
