"""A stand-in Bot API over HTTP, with Telegram's own limits and refusals.

Serve `TelegramStandIn.app()` somewhere; python-telegram-bot takes `<there>/bot` as `base_url`
and `<there>/file/bot` as `base_file_url`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, Final

from aiohttp import web

from sandbox.faults import misbehave
from sandbox.pulse import Clock, wall_clock
from sandbox.telegram_chats import (
    ApiError,
    Call,
    Json,
    Message,
    Person,
    StoredFile,
    bad_request,
    inline_keyboard,
    reply_keyboard,
)
from sandbox.telegram_html import utf16
from sandbox.telegram_people import SOUNDS, TelegramPeople
from sandbox.telegram_query import Query, chat_of, logged, read_query, words
from sandbox.telegram_updates import allowed_updates

MAX_TEXT: Final = 4096
MAX_CAPTION: Final = 1024
MAX_ANSWER: Final = 200
MAX_COMMANDS: Final = 100
MAX_PHOTO_BYTES: Final = 10 * 1024 * 1024
MAX_FETCH_BYTES: Final = 20 * 1024 * 1024
MAX_UPLOAD_BYTES: Final = 50 * 1024 * 1024
DELETE_HOURS: Final = 48
_REACTIONS: Final = "👍👎❤🔥🥰👏😁🤔🤯😱🤬😢🎉🤩🙏👌"
"""Some of those that Telegram allows."""
_PICTURES: Final = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"RIFF")
_COMMAND: Final = re.compile(r"[a-z0-9_]{1,32}")
_NOT_MODIFIED: Final = (
    "message is not modified: specified new message content and reply markup are exactly the "
    "same as a current content and reply markup of the message"
)
_TOO_OLD: Final = "query is too old and response timeout expired or query ID is invalid"
_HARMLESS: Final = (
    "setMyDescription",
    "setMyShortDescription",
    "setMyName",
    "setChatMenuButton",
    "setMyDefaultAdministratorRights",
    "pinChatMessage",
    "unpinChatMessage",
    "unpinAllChatMessages",
    "logOut",
    "close",
)

Handler = Callable[["Query"], Awaitable[Any]]


class TelegramStandIn(TelegramPeople):
    """The Bot API, the people who use the bot, and faults on demand."""

    def __init__(
        self,
        *,
        token: str = "1000000:sandbox-play-money",  # noqa: S107 - play money
        username: str = "AmanaSandboxBot",
        name: str = "Amana",
        clock: Clock = wall_clock,
    ) -> None:
        super().__init__(token=token, username=username, name=name, clock=clock)
        self._methods: dict[str, Handler] = {
            "getme": self._get_me,
            "getupdates": self._get_updates,
            "setwebhook": self._set_webhook,
            "deletewebhook": self._delete_webhook,
            "getwebhookinfo": self._get_webhook_info,
            "sendmessage": self._send_message,
            "sendphoto": self._send_photo,
            "senddocument": self._send_document,
            "sendvoice": self._send_voice,
            "sendaudio": self._send_audio,
            "sendvideo": self._send_video,
            "setmessagereaction": self._set_reaction,
            "editmessagetext": self._edit_text,
            "editmessagecaption": self._edit_text,
            "editmessagereplymarkup": self._edit_markup,
            "deletemessage": self._delete_message,
            "answercallbackquery": self._answer_callback_query,
            "sendchataction": self._send_chat_action,
            "getfile": self._get_file,
            "getchat": self._get_chat,
            "setmycommands": self._set_commands,
            "getmycommands": self._get_commands,
            "deletemycommands": self._delete_commands,
            **{name.lower(): self._agree for name in _HARMLESS},
        }

    def app(self) -> web.Application:
        """A fresh application to mount or serve; uploads need its server's `client_max_size`."""
        app = web.Application(client_max_size=MAX_UPLOAD_BYTES + 1_000_000)
        app.router.add_route("*", "/bot{token}/{method}", self._serve)
        app.router.add_get("/file/bot{token}/{path:.+}", self._serve_file)
        app.on_startup.append(self._startup)
        app.on_shutdown.append(self._shutdown)
        return app

    async def _startup(self, app: web.Application) -> None:
        self.updates.open()

    async def _shutdown(self, app: web.Application) -> None:
        await self.close()

    async def close(self) -> None:
        self.faults.clear()
        await self.updates.close()

    # -- HTTP ----------------------------------------------------------------------------------

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        method = request.match_info["method"].lower()
        if request.match_info["token"] != self.token:
            return _answer(ApiError(401, "Unauthorized").wire())
        try:
            query = await read_query(request)
        except (ValueError, web.HTTPRequestEntityTooLarge) as error:
            large = isinstance(error, web.HTTPRequestEntityTooLarge)
            refusal = ApiError(413, "Request Entity Too Large") if large else None
            return _answer((refusal or bad_request("can't parse request")).wire())
        call = Call(method, logged(query), self.clock(), chat_of(query))
        self.calls.append(call)

        async def act() -> web.StreamResponse:
            try:
                handler = self._methods.get(method)
                if handler is None or request.method not in ("GET", "POST"):
                    raise ApiError(404, "Not Found: method not found")
                call.answer = {"ok": True, "result": await handler(query)}
            except ApiError as error:
                call.answer = error.wire()
            return _answer(call.answer)

        fault = self.faults.take(method, call.chat_id)
        if fault is None:
            answer = await act()
        else:
            answer = await misbehave(fault, request, act)
            if fault.status is not None:
                call.answer = json.loads(fault.body)
        self.pulse.beat()
        return answer

    async def _serve_file(self, request: web.Request) -> web.StreamResponse:
        path = request.match_info["path"]
        found = [file for file in self.files.values() if file.path == path]
        if request.match_info["token"] != self.token or not found:
            return _answer(ApiError(404, "Not Found").wire())
        return web.Response(body=found[0].content, content_type="application/octet-stream")

    # -- updates -------------------------------------------------------------------------------

    async def _get_me(self, query: Query) -> Json:
        return self.me

    async def _get_updates(self, query: Query) -> list[Json]:
        return await self.updates.get_updates(
            query.number("offset"),
            query.number("limit", 100),
            query.number("timeout"),
            allowed_updates(query.json("allowed_updates")),
        )

    async def _set_webhook(self, query: Query) -> bool:
        self.updates.set_webhook(
            query.text("url"),
            query.text("secret_token"),
            allowed_updates(query.json("allowed_updates")),
            query.flag("drop_pending_updates"),
        )
        return True

    async def _delete_webhook(self, query: Query) -> bool:
        self.updates.set_webhook("", "", None, query.flag("drop_pending_updates"))
        return True

    async def _get_webhook_info(self, query: Query) -> Json:
        return self.updates.webhook_info()

    # -- messages ------------------------------------------------------------------------------

    async def _send_message(self, query: Query) -> Json:
        text, entities = words(query, "text", "entities", MAX_TEXT)
        return self._post(query, text, entities, {})

    async def _send_photo(self, query: Query) -> Json:
        caption, entities = words(query, "caption", "caption_entities", MAX_CAPTION)
        person = self._recipient(query)
        file = self._file(query, "photo", "photos", "Photo")
        if query.files and not file.content.startswith(_PICTURES):
            raise bad_request("IMAGE_PROCESS_FAILED")
        if query.files and len(file.content) > MAX_PHOTO_BYTES:
            raise ApiError(413, "Request Entity Too Large")
        return self._post(query, caption, entities, {"photo": self._photo(file)}, person)

    async def _send_document(self, query: Query) -> Json:
        caption, entities = words(query, "caption", "caption_entities", MAX_CAPTION)
        person = self._recipient(query)
        file = self._file(query, "document", "documents", "Document")
        return self._post(query, caption, entities, {"document": self._document(file)}, person)

    async def _send_voice(self, query: Query) -> Json:
        return self._send_sound(query, "voice")

    async def _send_audio(self, query: Query) -> Json:
        return self._send_sound(query, "audio")

    async def _send_video(self, query: Query) -> Json:
        return self._send_sound(query, "video")

    def _send_sound(self, query: Query, kind: str) -> Json:
        caption, entities = words(query, "caption", "caption_entities", MAX_CAPTION)
        person = self._recipient(query)
        file = self._file(query, kind, kind, SOUNDS[kind][2])
        return self._post(query, caption, entities, {kind: self.sound(kind, file)}, person)

    async def _set_reaction(self, query: Query) -> bool:
        """One emoji of those that everybody may use; an empty list takes it away."""
        message = self.messages.get(query.number("message_id"))
        if message is None or message.deleted or message.chat_id != chat_of(query):
            raise bad_request("message to react not found")
        if self.people[message.chat_id].blocked:
            raise ApiError(403, "Forbidden: bot was blocked by the user")
        wanted = query.json("reaction") or []
        if not isinstance(wanted, list) or len(wanted) > 1:
            raise bad_request("REACTIONS_TOO_MANY")
        emoji = wanted[0].get("emoji", "") if wanted else ""
        if wanted and (wanted[0].get("type") != "emoji" or emoji not in _REACTIONS):
            raise bad_request("REACTION_INVALID")
        message.reaction = emoji
        self.touch(message)
        return True

    def _post(
        self,
        query: Query,
        text: str,
        entities: list[Json],
        media: Json,
        person: Person | None = None,
    ) -> Json:
        """Put a message of the bot into a chat, keyboards included."""
        markup = query.json("reply_markup")
        if markup is not None and not isinstance(markup, dict):
            raise bad_request("object expected as reply markup")
        inline = inline_keyboard(markup) if markup and "inline_keyboard" in markup else []
        below = reply_keyboard(markup) if markup and not inline and markup != {} else None
        person = person or self._recipient(query)
        replied = self._replied(query, person)
        if markup and "inline_keyboard" not in markup:
            person.reply_keyboard = below
        message = self.add_message(
            person,
            from_bot=True,
            text=text,
            entities=entities,
            media=media,
            keyboard=inline,
            reply_to=replied.id if replied else None,
        )
        wire = message.wire()
        if replied:
            wire["reply_to_message"] = replied.wire()
        return wire

    def _recipient(self, query: Query) -> Person:
        """The person behind `chat_id`, if the bot may write there."""
        if not query.text("chat_id"):
            raise bad_request("chat_id is empty")
        person = self.people.get(chat_of(query) or 0)
        if person is None:
            raise bad_request("chat not found")
        if not person.started:
            raise ApiError(403, "Forbidden: bot can't initiate conversation with a user")
        if person.blocked:
            raise ApiError(403, "Forbidden: bot was blocked by the user")
        return person

    def _replied(self, query: Query, person: Person) -> Message | None:
        reply = query.json("reply_parameters") or {}
        wanted = reply.get("message_id") or query.number("reply_to_message_id")
        if not wanted:
            return None
        found = self.messages.get(int(wanted))
        if found is not None and found.chat_id == person.id and not found.deleted:
            return found
        if reply.get("allow_sending_without_reply") or query.flag("allow_sending_without_reply"):
            return None
        raise bad_request("message to be replied not found")

    def _file(self, query: Query, name: str, folder: str, type: str) -> StoredFile:
        """An uploaded file, or one sent before by its `file_id`."""
        upload = query.files.get(name)
        value = query.text(name)
        if upload is None and value.startswith("attach://"):
            upload = query.files.get(value.removeprefix("attach://"))
        if upload is not None:
            content = upload.file.read()
            if not content:
                raise bad_request("file must be non-empty")
            return self.store_file(content, folder, upload.filename, upload.content_type, type=type)
        if not value:
            raise bad_request(f"there is no {name} in the request")
        if value not in self.files:
            raise bad_request("wrong file identifier/HTTP URL specified")
        if self.files[value].type != type:
            raise bad_request(f"can't use file of type {self.files[value].type} as {type}")
        return self.files[value]

    def _own(self, query: Query, verb: str) -> Message:
        """A message of the bot that it may change."""
        message = self.messages.get(query.number("message_id"))
        if message is None or message.deleted or message.chat_id != chat_of(query):
            raise bad_request(f"message to {verb} not found")
        if not message.from_bot and verb == "edit":
            raise bad_request("message can't be edited")
        return message

    async def _edit_text(self, query: Query) -> Json:
        captioned = "caption" in query.fields
        name, limit = ("caption", MAX_CAPTION) if captioned else ("text", MAX_TEXT)
        text, entities = words(query, name, f"{name}_entities".removeprefix("text_"), limit)
        message = self._own(query, "edit")
        if bool(message.media) != captioned:
            raise bad_request(
                f"there is no {'caption' if captioned else 'text'} in the message to edit"
            )
        markup = query.json("reply_markup")
        keyboard = inline_keyboard(markup) if markup else []
        if (message.text, message.entities, message.keyboard) == (text, entities, keyboard):
            raise bad_request(_NOT_MODIFIED)
        message.text, message.entities, message.keyboard = text, entities, keyboard
        message.edited_at = self.clock()
        self.touch(message)
        return message.wire()

    async def _edit_markup(self, query: Query) -> Json:
        markup = query.json("reply_markup")
        keyboard = inline_keyboard(markup) if markup else []
        message = self._own(query, "edit")
        if message.keyboard == keyboard:
            raise bad_request(_NOT_MODIFIED)
        message.keyboard = keyboard
        message.edited_at = self.clock()
        self.touch(message)
        return message.wire()

    async def _delete_message(self, query: Query) -> bool:
        message = self._own(query, "delete")
        if self.clock() - message.at > timedelta(hours=DELETE_HOURS):
            raise bad_request("message can't be deleted for everyone")
        message.deleted = True
        self.touch(message)
        return True

    async def _answer_callback_query(self, query: Query) -> bool:
        tap = self.taps.get(query.text("callback_query_id"))
        if tap is None or self.too_old(tap):
            raise bad_request(_TOO_OLD)
        text = query.text("text")
        if utf16(text) > MAX_ANSWER:
            raise bad_request("MESSAGE_TOO_LONG")
        tap.answered, tap.text, tap.alert = True, text, query.flag("show_alert")
        tap.seq = self.pulse.beat()
        return True

    async def _send_chat_action(self, query: Query) -> bool:
        if not query.text("action"):
            raise bad_request("wrong parameter action in request")
        self._recipient(query).action = query.text("action")
        return True

    async def _get_file(self, query: Query) -> Json:
        file = self.files.get(query.text("file_id"))
        if file is None:
            raise bad_request("invalid file_id")
        if file.size > MAX_FETCH_BYTES:
            raise bad_request("file is too big")
        return {
            "file_id": file.file_id,
            "file_unique_id": file.unique_id,
            "file_size": file.size,
            "file_path": file.path,
        }

    async def _get_chat(self, query: Query) -> Json:
        person = self.people.get(chat_of(query) or 0)
        if person is None or not person.started:
            raise bad_request("chat not found")
        return {**person.chat(), "accent_color_id": 0, "max_reaction_count": 11}

    # -- menus ---------------------------------------------------------------------------------

    def _scope(self, query: Query) -> tuple[str, int, int, str]:
        scope = query.json("scope") or {"type": "default"}
        kind = str(scope.get("type", ""))
        chat_id, user_id = int(scope.get("chat_id", 0)), int(scope.get("user_id", 0))
        if kind in ("chat", "chat_member", "chat_administrators"):
            person = self.people.get(chat_id)
            if person is None or not person.started:
                raise bad_request("chat not found")
        elif kind not in (
            "default",
            "all_private_chats",
            "all_group_chats",
            "all_chat_administrators",
        ):
            raise bad_request("can't parse BotCommandScope")
        return kind, chat_id, user_id, query.text("language_code")

    async def _set_commands(self, query: Query) -> bool:
        commands = query.json("commands")
        if not isinstance(commands, list) or len(commands) > MAX_COMMANDS:
            raise bad_request("BOT_COMMANDS_TOO_MUCH" if commands else "commands are not specified")
        for one in commands:
            if not _COMMAND.fullmatch(str(one.get("command", ""))):
                raise bad_request("BOT_COMMAND_INVALID")
            if not 1 <= utf16(str(one.get("description", ""))) <= 256:
                raise bad_request("BOT_COMMAND_DESCRIPTION_INVALID")
        self.commands[self._scope(query)] = commands
        return True

    async def _get_commands(self, query: Query) -> list[Json]:
        return self.commands.get(self._scope(query), [])

    async def _delete_commands(self, query: Query) -> bool:
        self.commands.pop(self._scope(query), None)
        return True

    async def _agree(self, query: Query) -> bool:
        return True


def _answer(body: Json) -> web.Response:
    return web.json_response(body, status=int(body.get("error_code", 200)))
