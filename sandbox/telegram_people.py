"""The people's side of the stand-in Telegram: what users do, and what tests wait for."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import json
import re
from collections import deque
from collections.abc import Callable
from datetime import timedelta
from typing import Final
from urllib.parse import parse_qs, urlsplit

from sandbox.faults import Fault, FaultBox
from sandbox.pulse import Clock, Pulse, first_id
from sandbox.telegram_chats import ApiError, Call, Json, Message, Person, StoredFile, Tap
from sandbox.telegram_html import command_entities
from sandbox.telegram_updates import UpdateQueue

SOUNDS: Final = {
    "voice": ("voice.ogg", "audio/ogg", "VoiceNote"),
    "audio": ("audio.mp3", "audio/mpeg", "Audio"),
    "video": ("video.mp4", "video/mp4", "Video"),
}
"""Kind → file name, MIME type, what Telegram calls the file."""
_PAYLOAD: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
QUERY_SECONDS: Final = 15
"""How long a tap can be answered; measured, Telegram names no number."""
MAX_CALLS: Final = 20_000
"""How many of the bot's requests are remembered."""
_WORDS: Final = {
    401: "Unauthorized",
    403: "Forbidden: bot was blocked by the user",
    404: "Not Found",
    500: "Internal Server Error",
    502: "Bad Gateway",
}


class TelegramPeople:
    """Accounts, chats and what happens in them.

    Waiting methods raise AssertionError when nothing fitting came in time. `since` takes the `seq`
    of anything before: `sent = user_sends(…)`, then `wait_message(…, since=sent.seq)`.
    """

    def __init__(self, *, token: str, username: str, name: str, clock: Clock) -> None:
        self.token = token
        self.username = username
        self.clock = clock
        self.bot_id = int(token.partition(":")[0])
        self.me: Json = {
            "id": self.bot_id,
            "is_bot": True,
            "first_name": name,
            "username": username,
            "can_join_groups": True,
            "can_read_all_group_messages": False,
            "supports_inline_queries": False,
            "can_connect_to_business": False,
            "has_main_web_app": False,
        }
        self.pulse = Pulse()
        self.updates = UpdateQueue(clock)
        self.faults = FaultBox()
        self.calls: deque[Call] = deque(maxlen=MAX_CALLS)
        self.people: dict[int, Person] = {}
        self.messages: dict[int, Message] = {}
        self.taps: dict[str, Tap] = {}
        self.files: dict[str, StoredFile] = {}
        self.commands: dict[tuple[str, int, int, str], list[Json]] = {}
        """Menus by (scope, chat id, user id, language)."""
        self._message_ids = itertools.count(first_id())
        self._tap_ids = itertools.count(first_id() * 1000)

    # -- accounts ------------------------------------------------------------------------------

    def add_user(
        self,
        id: int,
        first_name: str,
        username: str | None = None,
        language_code: str = "en",
        *,
        started: bool = False,
        role: str = "",
        phone: str | None = None,
    ) -> Person:
        """An account. `started`: has already pressed Start, so the bot may write."""
        person = Person(
            id, first_name, username, language_code, started=started, role=role, phone=phone
        )
        self.people[id] = person
        self.pulse.beat()
        return person

    def user_blocks(self, user_id: int) -> None:
        """Block the bot; it hears of it by `my_chat_member`."""
        self._membership(user_id, blocked=True)

    def user_unblocks(self, user_id: int) -> None:
        self._membership(user_id, blocked=False)

    def _membership(self, user_id: int, *, blocked: bool) -> None:
        person = self.people[user_id]
        if person.blocked == blocked:
            return
        person.blocked = blocked
        self.pulse.beat()
        status = ("member", "kicked") if blocked else ("kicked", "member")
        old, new = (_member(one, self.me) for one in status)
        self.updates.push(
            "my_chat_member",
            {
                "chat": person.chat(),
                "from": person.wire(),
                "date": int(self.clock().timestamp()),
                "old_chat_member": old,
                "new_chat_member": new,
            },
        )

    # -- what people do ------------------------------------------------------------------------

    def user_sends(
        self,
        user_id: int,
        text: str,
        *,
        entities: list[Json] | None = None,
        reply_to: int | None = None,
    ) -> Message:
        """Type a message; `/commands` in it are marked."""
        marks = command_entities(text) if entities is None else entities
        return self._from_user(user_id, text=text, entities=marks, reply_to=reply_to)

    def user_replies(self, user_id: int, message_id: int, text: str) -> Message:
        """Answer one of the messages in the chat."""
        return self.user_sends(user_id, text, reply_to=message_id)

    def user_starts(self, user_id: int, payload: str = "") -> Message:
        """Press Start, with the payload of a deep link."""
        if payload and not _PAYLOAD.fullmatch(payload):
            raise ValueError("a deep link takes 1-64 of A-Z a-z 0-9 _ -")
        if self.people[user_id].blocked:
            self.user_unblocks(user_id)
        return self.user_sends(user_id, f"/start {payload}".strip())

    def open_link(self, user_id: int, url: str) -> Message:
        """Open `https://t.me/<bot>?start=…` and press Start there. Raises ValueError."""
        return self.user_starts(user_id, self.link_payload(url))

    def link_payload(self, url: str) -> str:
        """What a link to this bot hands to Start. Raises ValueError for any other address."""
        parts = urlsplit(url if "://" in url else f"https://{url}")
        name = parts.path.strip("/")
        if parts.netloc not in ("t.me", "telegram.me") or name.lower() != self.username.lower():
            raise ValueError(f"not a link to this bot: {url}")
        return parse_qs(parts.query).get("start", [""])[0]

    def user_shares_contact(
        self, user_id: int, phone: str, *, contact_user_id: int | None = None
    ) -> Message:
        """Share a contact, by default the person's own; `contact_user_id=0`: of nobody's."""
        person = self.people[user_id]
        owner = user_id if contact_user_id is None else contact_user_id
        contact: Json = {"phone_number": phone, "first_name": person.first_name}
        if owner:
            contact["user_id"] = owner
        return self._from_user(user_id, media={"contact": contact})

    def user_sends_photo(
        self,
        user_id: int,
        content: bytes,
        caption: str = "",
        *,
        reply_to: int | None = None,
        album: str = "",
    ) -> Message:
        """A photo; several of one `album` are messages of their own, as Telegram sends them."""
        file = self.store_file(content, "photos", "photo.jpg", "image/jpeg", type="Photo")
        return self._from_user(
            user_id,
            text=caption,
            entities=command_entities(caption),
            media={"photo": self._photo(file)},
            reply_to=reply_to,
            album=album,
        )

    def user_sends_document(
        self,
        user_id: int,
        content: bytes,
        name: str,
        caption: str = "",
        *,
        reply_to: int | None = None,
        size: int | None = None,
    ) -> Message:
        """A file of any kind. `size`: what Telegram says it has, whatever `content` is."""
        kind = "application/octet-stream"
        file = self.store_file(content, "documents", name, kind, pretended=size)
        return self._from_user(
            user_id,
            text=caption,
            entities=command_entities(caption),
            media={"document": self._document(file)},
            reply_to=reply_to,
        )

    def user_sends_sound(
        self,
        user_id: int,
        content: bytes,
        kind: str = "voice",
        caption: str = "",
        *,
        reply_to: int | None = None,
        size: int | None = None,
    ) -> Message:
        """A `voice` note, an `audio` or a `video`."""
        name, mime, type_ = SOUNDS[kind]
        file = self.store_file(content, kind, name, mime, type=type_, pretended=size)
        return self._from_user(
            user_id,
            text=caption,
            entities=command_entities(caption),
            media={kind: self.sound(kind, file)},
            reply_to=reply_to,
        )

    def user_taps(
        self, user_id: int, message_id: int, button: str = "", *, data: str | None = None
    ) -> Tap:
        """Tap a button, named by its callback data or by how its label begins.

        `data` sends any data at all, and `user_id` may be anybody: real clients can do both.
        """
        message = self.messages[message_id]
        if data is None:
            found = message.button(button)
            if found is None:
                raise AssertionError(f"no button {button!r} among {message.labels}")
            if "callback_data" not in found:
                raise AssertionError(f"{found['text']!r} is not a callback button")
            data = str(found["callback_data"])
        seq = self.pulse.beat()
        tap = Tap(str(next(self._tap_ids)), user_id, message_id, data, self.clock(), seq)
        self.taps[tap.id] = tap
        self.updates.push(
            "callback_query",
            {
                "id": tap.id,
                "from": self.people[user_id].wire(),
                "message": message.wire(),
                "chat_instance": str(message.chat_id * 7919),
                "data": data,
            },
        )
        return tap

    def _from_user(
        self,
        user_id: int,
        *,
        text: str = "",
        entities: list[Json] | None = None,
        media: Json | None = None,
        reply_to: int | None = None,
        album: str = "",
    ) -> Message:
        person = self.people[user_id]
        if person.blocked:
            raise RuntimeError(f"{person.first_name} has blocked the bot")
        person.started = True
        if person.reply_keyboard and person.reply_keyboard.get("one_time_keyboard"):
            person.reply_keyboard = None
        message = self.add_message(
            person,
            from_bot=False,
            text=text,
            entities=entities or [],
            media=media or {},
            reply_to=reply_to,
        )
        wire = message.wire()
        if reply_to is not None and not self.messages[reply_to].deleted:
            wire["reply_to_message"] = self.messages[reply_to].wire()
        if album:
            wire["media_group_id"] = album
        self.updates.push("message", wire)
        return message

    # -- shared with the Bot API's side --------------------------------------------------------

    def add_message(
        self,
        person: Person,
        *,
        from_bot: bool,
        text: str = "",
        entities: list[Json] | None = None,
        media: Json | None = None,
        keyboard: list[list[Json]] | None = None,
        reply_to: int | None = None,
    ) -> Message:
        """Put a message into a person's chat."""
        message = Message(
            id=next(self._message_ids),
            chat_id=person.id,
            from_bot=from_bot,
            sender=self.me if from_bot else person.wire(),
            chat=person.chat(),
            at=self.clock(),
            seq=self.pulse.beat(),
            text=text,
            entities=entities or [],
            media=media or {},
            keyboard=keyboard or [],
            reply_to=reply_to,
        )
        self.messages[message.id] = message
        person.action = ""
        return message

    def touch(self, message: Message) -> None:
        """The message changed."""
        message.seq = self.pulse.beat()

    def store_file(
        self,
        content: bytes,
        folder: str,
        name: str,
        mime: str,
        *,
        type: str = "Document",
        pretended: int | None = None,
    ) -> StoredFile:
        digest = hashlib.sha256(content + name.encode()).hexdigest()
        suffix = name.rpartition(".")[2][:8] if "." in name else "bin"
        file_id = f"AgAC{len(self.files):06d}{digest[:40]}"
        path = f"{folder}/file_{len(self.files)}.{suffix}"
        file = StoredFile(file_id, digest[:16], path, name, mime, content, type, pretended)
        self.files[file_id] = file
        return file

    @staticmethod
    def _photo(file: StoredFile) -> list[Json]:
        sizes = ((90, 67), (800, 600))
        return [
            {
                "file_id": file.file_id,
                "file_unique_id": file.unique_id,
                "width": width,
                "height": height,
                "file_size": file.size,
            }
            for width, height in sizes
        ]

    @staticmethod
    def _document(file: StoredFile) -> Json:
        return {
            "file_id": file.file_id,
            "file_unique_id": file.unique_id,
            "file_name": file.name,
            "mime_type": file.mime,
            "file_size": file.size,
        }

    @staticmethod
    def sound(kind: str, file: StoredFile) -> Json:
        """Voice, audio or video on the wire."""
        body: Json = {
            "file_id": file.file_id,
            "file_unique_id": file.unique_id,
            "duration": 3,
            "mime_type": file.mime,
            "file_size": file.size,
        }
        if kind == "video":
            body |= {"width": 640, "height": 480}
        if kind != "voice":
            body["file_name"] = file.name
        return body

    # -- what tests read and wait for ----------------------------------------------------------

    def chat(self, user_id: int) -> list[Message]:
        """The chat with that person, oldest first, without deleted messages."""
        return [m for m in self.messages.values() if m.chat_id == user_id and not m.deleted]

    def from_bot(self, user_id: int, *, since: int = 0) -> list[Message]:
        """What the bot wrote or changed there after `since`."""
        return [m for m in self.chat(user_id) if m.from_bot and m.seq > since]

    def mark(self) -> int:
        """Now, as a `since`."""
        return self.pulse.seq

    async def wait_message(
        self,
        chat_id: int,
        containing: str = "",
        *,
        button: str | None = None,
        since: int = 0,
        timeout: float = 10.0,
    ) -> Message:
        """The newest message of the bot there that contains that text (and such a button)."""

        def probe() -> Message | None:
            fitting = [
                m
                for m in self.from_bot(chat_id, since=since)
                if containing in m.text and (button is None or m.button(button) is not None)
            ]
            return max(fitting, key=lambda m: m.seq, default=None)

        def missing() -> str:
            heard = [m.text for m in self.from_bot(chat_id)][-5:]
            words = f"{containing!r}" + (f" with a button {button!r}" if button else "")
            return f"chat {chat_id} got no message with {words} in {timeout} s; last: {heard}"

        return await self.pulse.until(probe, timeout, missing)

    async def wait_call(
        self,
        method: str,
        *,
        where: Callable[[Call], bool] = lambda call: True,
        count: int = 1,
        timeout: float = 10.0,
    ) -> Call:
        """The `count`-th call of that method that fits and has been answered."""

        def fitting() -> list[Call]:
            return [
                call
                for call in self.calls
                if call.method == method.lower() and call.answer is not None and where(call)
            ]

        def probe() -> Call | None:
            found = fitting()
            return found[count - 1] if len(found) >= count else None

        return await self.pulse.until(
            probe,
            timeout,
            lambda: f"{len(fitting())} of {count} calls of {method} came in {timeout} s",
        )

    async def wait_answer(self, tap: Tap, *, timeout: float = 10.0) -> Tap:
        """Until the bot has answered that tap."""
        return await self.pulse.until(
            lambda: tap if tap.answered else None,
            timeout,
            lambda: f"the tap on {tap.data!r} was not answered in {timeout} s",
        )

    # -- faults --------------------------------------------------------------------------------

    def fail(
        self,
        method: str = "*",
        *,
        status: int = 500,
        description: str | None = None,
        chat_id: int | None = None,
        times: int | None = 1,
        retry_after: int | None = None,
        parameters: Json | None = None,
        act: bool = False,
    ) -> Fault:
        """Answer the next `times` calls (None: all) so; `act`: and carry them out."""
        extra = dict(parameters or {})
        if status == 429:
            seconds = 1 if retry_after is None else retry_after
            extra["retry_after"] = seconds
            description = description or f"Too Many Requests: retry after {seconds}"
        error = ApiError(status, description or _WORDS.get(status, "Bad Request"), extra)
        return self.faults.add(
            Fault(method, times, chat_id, act=act, status=status, body=json.dumps(error.wire()))
        )

    def cut(
        self,
        method: str = "*",
        *,
        chat_id: int | None = None,
        times: int | None = 1,
        act: bool = True,
    ) -> Fault:
        """Break the connection, after accepting the call (`act`) or before."""
        return self.faults.add(Fault(method, times, chat_id, act=act, cut=True))

    def delay(
        self,
        method: str = "*",
        *,
        seconds: float,
        chat_id: int | None = None,
        times: int | None = 1,
    ) -> Fault:
        return self.faults.add(Fault(method, times, chat_id, act=True, delay_seconds=seconds))

    def hold(
        self, method: str = "*", *, chat_id: int | None = None, times: int | None = 1
    ) -> Fault:
        """Let calls wait until the fault's `release()`."""
        return self.faults.add(Fault(method, times, chat_id, act=True, gate=asyncio.Event()))

    def too_old(self, tap: Tap) -> bool:
        """Whether Telegram no longer takes an answer to that tap."""
        return self.clock() - tap.at > timedelta(seconds=QUERY_SECONDS)


def _member(status: str, user: Json) -> Json:
    member: Json = {"status": status, "user": user}
    if status == "kicked":
        member["until_date"] = 0
    return member
