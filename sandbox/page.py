"""The page's own small API: a stream of what changed, and what the visitor does."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from aiohttp import web

from sandbox import persona
from sandbox.blockbee import BlockBeeStandIn
from sandbox.coin_wallet import PARTS, CoinWallet
from sandbox.daraja import DarajaStandIn
from sandbox.daraja_money import Phone, Prompt
from sandbox.dynopay import DynoPayStandIn
from sandbox.pulse import NAIROBI, Pulse
from sandbox.telegram_api import TelegramStandIn
from sandbox.telegram_chats import Json, Message, Person, Tap

HERE: Final = Path(__file__).parent
_FILES: Final = {
    "/": ("page.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
}
_CODE: Final = re.compile(r"\bES\d{10}\b")
_SHOWN: Final = (
    "image/png",
    "image/jpeg",
    "image/gif",
    "audio/ogg",
    "audio/mpeg",
    "video/mp4",
)
KEEP_ALIVE_SECONDS: Final = 15.0
_POLICY: Final = "default-src 'self'; img-src 'self' data: blob:; frame-ancestors 'none'"


@dataclass(frozen=True, slots=True)
class Invitation:
    """A start link that somebody sent outside the bot."""

    user_id: int
    url: str
    words: str


class Page:
    """Routes of the page: `/`, `/stream` (server-sent events) and `/act`."""

    def __init__(
        self,
        telegram: TelegramStandIn,
        daraja: DarajaStandIn,
        blockbee: BlockBeeStandIn,
        dynopay: DynoPayStandIn,
    ) -> None:
        self.telegram = telegram
        self.daraja = daraja
        self.wallet = CoinWallet(telegram, blockbee, dynopay)
        self.invitations: list[Invitation] = []
        self._pulse = Pulse()
        self._closed = False
        for source in (telegram, daraja, blockbee, dynopay):
            source.pulse.listen(self._pulse.beat)
        self._acts: dict[str, Callable[[Json], Coroutine[Any, Any, None]]] = {
            "send": self._send,
            "start": self._start,
            "link": self._link,
            "forward": self._forward,
            "contact": self._contact,
            "photo": self._photo,
            "file": self._send_file,
            "tap": self._tap,
            "block": self._block,
            "pin": self._pin,
            "paybill": self._paybill,
            "coins": self._coins,
            "confirm": self._confirm,
        }

    def add_routes(self, app: web.Application) -> None:
        for path in _FILES:
            app.router.add_get(path, self._file)
        app.router.add_get("/stream", self._stream)
        app.router.add_get("/photo/{file_id}", self._picture)
        app.router.add_get("/document/{file_id}", self._document)
        app.router.add_post("/act", self._act)
        self._closed = False
        app.on_shutdown.append(self._shutdown)

    async def _shutdown(self, app: web.Application) -> None:
        self._closed = True
        self._pulse.beat()

    def invite(self, user_id: int, payload: str, words: str) -> str:
        url = f"https://t.me/{self.telegram.username}?start={payload}"
        self.invitations.append(Invitation(user_id, url, words))
        self._pulse.beat()
        return url

    # -- what the page reads -------------------------------------------------------------------

    async def _file(self, request: web.Request) -> web.StreamResponse:
        name, kind = _FILES[request.path]
        return web.Response(
            text=(HERE / name).read_text(encoding="utf-8"),
            content_type=kind,
            headers={"Cache-Control": "no-cache", "Content-Security-Policy": _POLICY},
        )

    async def _picture(self, request: web.Request) -> web.StreamResponse:
        file = self.telegram.files.get(request.match_info["file_id"])
        if file is None:
            raise web.HTTPNotFound
        return web.Response(
            body=file.content,
            content_type=file.mime if file.mime in _SHOWN else "image/png",
            headers={"X-Content-Type-Options": "nosniff"},
        )

    async def _document(self, request: web.Request) -> web.StreamResponse:
        """To be saved, never shown here: an HTML file would be a page of this address."""
        file = self.telegram.files.get(request.match_info["file_id"])
        if file is None:
            raise web.HTTPNotFound
        name = quote(file.name, safe="")
        return web.Response(
            body=file.content,
            content_type="application/octet-stream",
            headers={
                "Content-Disposition": f"attachment; filename*=UTF-8''{name}",
                "X-Content-Type-Options": "nosniff",
            },
        )

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        stream = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        )
        await stream.prepare(request)
        seen = -1
        try:
            while not self._closed:
                state, at = self.state(since=seen), self._pulse.seq
                seen = self.telegram.pulse.seq
                await stream.write(f"data: {json.dumps(state)}\n\n".encode())
                while self._pulse.seq == at and not await self._pulse.wait(KEEP_ALIVE_SECONDS):
                    await stream.write(b": still here\n\n")
        except ConnectionError:
            return stream  # the visitor closed the page
        return stream

    def state(self, since: int = -1) -> Json:
        """Everything the page shows; messages and answers only if they changed after `since`."""
        telegram = self.telegram
        changed = [m for m in telegram.messages.values() if m.seq > since]
        answers = [t for t in telegram.taps.values() if t.answered and t.seq > since]
        return {
            "whole": since < 0,
            "bot": {"name": telegram.me["first_name"], "username": telegram.username},
            "people": [self._person(one) for one in telegram.people.values() if one.role],
            "messages": [self._message(one) for one in changed],
            "answers": [_answer(one) for one in answers] if since >= 0 else [],
            "invitations": [
                {"user": one.user_id, "url": one.url, "words": one.words}
                for one in self.invitations
            ],
            "mpesa": {
                "shortcode": self.daraja.shortcode,
                "business": self.daraja.business_name,
                "code": self.latest_code(),
                "phones": [self._phone(one) for one in self.daraja.phones.values()],
            },
            "coins": self.wallet.state(),
        }

    def latest_code(self) -> str:
        """The deal code that was shown last in any buyer's chat, to fill in the paybill form."""
        buyers = {one.id for one in self.telegram.people.values() if one.role.endswith("buyer")}
        for message in sorted(self.telegram.messages.values(), key=lambda m: -m.seq):
            found = _CODE.findall(message.text) if message.chat_id in buyers else []
            if found:
                return str(found[-1])
        return ""

    def _person(self, one: Person) -> Json:
        telegram = self.telegram
        menu = telegram.commands.get(("chat", one.id, 0, "")) or telegram.commands.get(
            ("all_private_chats", 0, 0, "")
        )
        return {
            "id": one.id,
            "name": one.first_name,
            "role": one.role,
            "phone": one.phone,
            "hidden": any(who.id == one.id and who.hidden for who in persona.EVERYBODY),
            "started": one.started,
            "blocked": one.blocked,
            "typing": one.action,
            "keyboard": one.reply_keyboard,
            "commands": menu or telegram.commands.get(("default", 0, 0, "")) or [],
        }

    def _message(self, one: Message) -> Json:
        document = one.media.get("document")
        return {
            "id": one.id,
            "chat": one.chat_id,
            "bot": one.from_bot,
            "at": _hour(one.at),
            "text": one.text,
            "entities": one.entities,
            "photo": one.media["photo"][-1]["file_id"] if "photo" in one.media else None,
            "document": document["file_name"] if document else None,
            "file": document["file_id"] if document else None,
            "sound": next(
                (one.media[kind]["file_id"] for kind in ("voice", "audio") if kind in one.media),
                None,
            ),
            "video": one.media["video"]["file_id"] if "video" in one.media else None,
            "reply": self._replied(one),
            "reaction": one.reaction,
            "contact": one.media.get("contact", {}).get("phone_number"),
            "keyboard": one.keyboard,
            "edited": one.edited_at is not None,
            "deleted": one.deleted,
        }

    def _replied(self, one: Message) -> str:
        """The beginning of the message that this one answers."""
        answered = self.telegram.messages.get(one.reply_to or 0)
        return (answered.text.partition("\n")[0][:60] or "…") if answered else ""

    def _phone(self, one: Phone) -> Json:
        return {
            "number": one.number,
            "name": one.first_name.title(),
            "balance": f"{one.balance:,.2f}",
            "prompts": [_prompt(prompt) for prompt in self.daraja.open_prompts(one.number)],
            "sms": [{"at": _hour(sms.at), "text": sms.text} for sms in one.sms[-20:]],
        }

    # -- what the visitor does -----------------------------------------------------------------

    async def _act(self, request: web.Request) -> web.StreamResponse:
        # Only this page can send JSON here: other sites' scripts are stopped by the browser.
        if request.content_type != "application/json":
            return web.json_response({"error": "JSON only"}, status=415)
        try:
            wish = json.loads(await request.text())
            await self._acts[wish["act"]](wish)
        except (AssertionError, KeyError, TypeError, ValueError, RuntimeError) as error:
            return web.json_response({"error": str(error)}, status=400)
        return web.json_response({"ok": True})

    async def _send(self, wish: Json) -> None:
        text = str(wish["text"]).strip()
        if not text or len(text) > 4096:
            raise ValueError("a message has 1 to 4,096 characters")
        self.telegram.user_sends(int(wish["user"]), text, reply_to=_reply(wish))

    async def _start(self, wish: Json) -> None:
        self.telegram.user_starts(int(wish["user"]))

    async def _link(self, wish: Json) -> None:
        self.telegram.open_link(int(wish["user"]), str(wish["url"]))

    async def _forward(self, wish: Json) -> None:
        """Pass a start link on to somebody, outside the bot."""
        sender = self.telegram.people[int(wish["user"])]
        payload = self.telegram.link_payload(str(wish["url"]))
        self.invite(int(wish["to"]), payload, f"{sender.first_name} sent you a link.")

    async def _contact(self, wish: Json) -> None:
        person = self.telegram.people[int(wish["user"])]
        self.telegram.user_shares_contact(person.id, f"+{person.phone}")

    async def _photo(self, wish: Json) -> None:
        content = base64.b64decode(str(wish["content"]), validate=True)
        caption = str(wish.get("caption", ""))
        self.telegram.user_sends_photo(int(wish["user"]), content, caption, reply_to=_reply(wish))

    async def _send_file(self, wish: Json) -> None:
        """A document, or a voice note, an audio or a video."""
        content = base64.b64decode(str(wish["content"]), validate=True)
        user, caption = int(wish["user"]), str(wish.get("caption", ""))
        name, kind = str(wish["name"])[:100] or "file", str(wish.get("kind", "document"))
        if kind == "document":
            self.telegram.user_sends_document(user, content, name, caption, reply_to=_reply(wish))
        else:
            self.telegram.user_sends_sound(user, content, kind, caption, reply_to=_reply(wish))

    async def _tap(self, wish: Json) -> None:
        self.telegram.user_taps(int(wish["user"]), int(wish["message"]), data=str(wish["data"]))

    async def _block(self, wish: Json) -> None:
        user = int(wish["user"])
        if self.telegram.people[user].blocked:
            self.telegram.user_unblocks(user)
        else:
            self.telegram.user_blocks(user)

    async def _pin(self, wish: Json) -> None:
        ways = {
            "paid": self.daraja.enter_pin,
            "cancelled": self.daraja.cancel,
            "wrong_pin": self.daraja.wrong_pin,
            "no_funds": self.daraja.no_funds,
            "expired": self.daraja.let_expire,
        }
        # Delivered in the background: the phone does not wait for the shop.
        self.daraja.prompt(str(wish["checkout"]))
        self.daraja.spawn(ways[wish["outcome"]](str(wish["checkout"])))

    async def _paybill(self, wish: Json) -> None:
        try:
            amount = Decimal(str(wish["amount"]))
        except InvalidOperation:
            raise ValueError("that is not an amount") from None
        if not amount.is_finite() or not 0 < amount <= 1_000_000 or amount % Decimal("0.01"):
            raise ValueError("an amount from 0.01 to 1,000,000")
        account = str(wish["account"]).strip()[:20]
        self.daraja.spawn(
            self.daraja.pay_paybill(
                str(wish["phone"]), account, amount, shortcode=str(wish["shortcode"]).strip()
            )
        )

    async def _coins(self, wish: Json) -> None:
        """Coins to an address; `later`: the network takes its time."""
        quote, part = self.wallet.quote(str(wish["id"])), str(wish["part"])
        if part not in PARTS:
            raise ValueError("all, less or more")
        self.daraja.spawn(self.wallet.send(quote, part, confirm=not wish.get("later")))

    async def _confirm(self, wish: Json) -> None:
        self.daraja.spawn(self.wallet.confirm(self.wallet.waiting(int(wish["number"]))))


def _reply(wish: Json) -> int | None:
    """The message that is answered, if any. Raises KeyError."""
    return int(wish["reply"]) if wish.get("reply") else None


def _hour(at: datetime) -> str:
    return at.astimezone(NAIROBI).strftime("%H:%M")


def _prompt(prompt: Prompt) -> Json:
    return {
        "checkout": prompt.checkout_id,
        "amount": f"{prompt.amount:,}",
        "account": prompt.account,
        "words": prompt.description,
    }


def _answer(tap: Tap) -> Json:
    return {"user": tap.user_id, "text": tap.text, "alert": tap.alert, "id": tap.id}
