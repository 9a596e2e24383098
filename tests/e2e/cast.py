"""People of the stories: a stage with one running program, and actors who read and press.

Buttons are found by what they carry (`b:<verb>…`), never by their words, so that the same story
can be told in another language. `reads` looks at what came or changed since the actor's last act.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final, TypeVar
from urllib.parse import parse_qs, urlsplit

from escrow.domain.phone import mask
from sandbox import persona
from sandbox.daraja_money import Payment, Prompt
from sandbox.telegram_chats import Message, Tap
from tests.e2e import walk
from tests.e2e.conftest import Running

KES: Final = 100
"""Minor units of a shilling."""
FEE_PAYERS: Final = {"buyer": 1, "seller": 2, "split": 3}
NO_PHOTO: Final = 4
"""The numbers of the guided dialogue's choices."""
WAYBILL: Final = b"a waybill: G4S 12345, parcel for Nairobi CBD"
T = TypeVar("T")
_CODE: Final = re.compile(r"ES[0-9]{10}")
_ids: Final = itertools.count(5001)


class Stage:
    """One running program and everybody in its world."""

    def __init__(self, running: Running) -> None:
        self.running = running
        self.telegram = running.telegram
        self.daraja = running.daraja
        self.admin = Actor(self, persona.ADMIN.id, persona.ADMIN.first_name, persona.ADMIN.phone)
        self.admin.starts()

    def actor(self, name: str, *, language: str = "en") -> Actor:
        """Somebody new, with a Telegram account and a phone; the bot has never heard of them."""
        number = next(_ids)
        phone = f"25471{number:07d}"
        self.telegram.add_user(number, name, language_code=language, phone=phone)
        self.daraja.add_phone(phone, name, "Kamau")
        return Actor(self, number, name, phone)

    async def seller(
        self, name: str = "Jane", shop: str = "Jane Shop", *, language: str = "en"
    ) -> Actor:
        """A verified seller, registered as `/sell` does it."""
        jane = self.actor(name, language=language)
        jane.starts()
        jane.types(f"/sell {shop}")
        await self.asked(jane, "phone")
        jane.shares_contact()
        await self.seller_is(jane, "PENDING")
        await self.verify(jane)
        return jane

    async def buyer(self, name: str = "Brian", *, language: str = "en") -> Actor:
        """A buyer whose number the bot knows."""
        brian = self.actor(name, language=language)
        brian.starts()
        await brian.reads()
        brian.types("/wallet")
        await brian.reads()
        return brian

    async def verify(self, seller: Actor) -> None:
        self.admin.types(f"/verify_seller {seller.id}")
        await self.seller_is(seller, "VERIFIED")

    async def pair(self) -> tuple[Actor, Actor]:
        return await self.seller(), self.actor("Brian")

    # -- the books ---------------------------------------------------------------------------------

    async def sql(self, query: str, *values: Any) -> list[Any]:
        return await self.running.sql(query, *values)

    async def value(self, query: str, *values: Any) -> Any:
        rows = await self.running.sql(query, *values)
        return rows[0][0] if rows else None

    async def until(self, query: str, expected: Any, *values: Any, timeout: float = 20) -> None:
        await self.running.until(query, expected, *values, timeout=timeout)

    async def status(self, code: str, expected: str, *, timeout: float = 20) -> None:
        await self.until(
            "SELECT status FROM escrow_transactions WHERE id = $1", expected, code, timeout=timeout
        )

    async def seller_is(self, seller: Actor, expected: str) -> None:
        await self.until(
            "SELECT status FROM escrow_sellers WHERE telegram_id = $1", expected, seller.id
        )

    async def asked(self, who: Actor, step: str) -> None:
        """Until the bot waits for that person's answer to that question."""
        await self.until("SELECT step FROM conversations WHERE telegram_id = $1", step, who.id)

    async def is_asked(self, who: Actor, step: str) -> bool:
        """Whether it does, now that everything is handled."""
        await self.handled()
        found = await self.value("SELECT step FROM conversations WHERE telegram_id = $1", who.id)
        return bool(found == step)

    async def gives_evidence(self, who: Actor, code: str) -> None:
        """Whatever that person sends from now on is evidence."""
        if not await self.is_asked(who, "evidence"):
            await who.presses("evidence", deal=code)
        await self.asked(who, "evidence")

    async def handled(self) -> None:
        """Until everything that people did and M-Pesa sent is dealt with; notices may still wait
        their second.
        """
        await self.telegram.updates.wait_empty()
        await self.until("SELECT count(*) FROM telegram_updates WHERE state = 'NEW'", 0)
        await self.until("SELECT count(*) FROM inbox WHERE state = 'NEW'", 0)

    async def quiet(self) -> None:
        """The same, and every notice is sent or given up."""
        await self.handled()
        await self.until("SELECT count(*) FROM outbox WHERE state = 'QUEUED'", 0)

    async def wallet(self, who: Actor) -> int:
        return await walk.wallet(self.running, who.id)

    async def ends(self, code: str, status: str, **wallets: tuple[Actor, int]) -> None:
        """The end of a story: that status, nothing left in the deal, those wallets, right books.

        `wallets`: any names, each (person, shillings and cents in minor units).
        """
        await self.status(code, status)
        assert await walk.balances(self.running, code) == (0, 0, 0)
        for who, minor in wallets.values():
            assert await self.wallet(who) == minor, who.name
        await self.running.books_are_right()

    async def timeline(self, code: str) -> list[str]:
        return await walk.events(self.running, code)

    async def payout(self, who: Actor, minor: int, *, to: str | None = None) -> str:
        """Until a payout of that amount to that person is PAID; its receipt, which M-Pesa knows."""
        await self.until(
            "SELECT count(*) FROM payouts_overview"
            " WHERE telegram_id = $1 AND amount_minor = $2 AND state = 'PAID'",
            1,
            who.id,
            minor,
        )
        receipt = await self.value(
            "SELECT provider_reference FROM payouts_overview"
            " WHERE telegram_id = $1 AND amount_minor = $2",
            who.id,
            minor,
        )
        sent = self.daraja.payments[str(receipt)]
        assert (sent.phone, sent.amount) == (to or who.phone, Decimal(minor) / KES)
        return str(receipt)

    async def withdrawn(self, who: Actor, code: str) -> None:
        """`/withdraw_dispute` did it, or asks once more first."""
        await self.handled()
        if who.shown("withdraw_d") and await self.disputed(code):
            await who.presses("withdraw_d", deal=code)

    async def disputed(self, code: str) -> bool:
        return bool(
            await self.value(
                "SELECT status = 'DISPUTED' FROM escrow_transactions WHERE id = $1", code
            )
        )

    async def told(self, who: Actor, code: str) -> list[str]:
        """Which notices of that deal the person got, in order."""
        rows = await self.sql(
            "SELECT kind FROM outbox WHERE chat_id = $1 AND escrow_id = $2 AND state = 'SENT'"
            " ORDER BY id",
            who.id,
            code,
        )
        return [str(row[0]) for row in rows]

    async def ask_now(self, who: Actor) -> None:
        """A payout whose result did not come is asked for now, not after its minutes."""
        await self.until(
            "SELECT state FROM payouts_overview WHERE telegram_id = $1", "UNKNOWN", who.id
        )
        await self.sql(
            "UPDATE payouts SET next_look_at = now() WHERE telegram_id = $1 RETURNING id", who.id
        )


class Actor:
    """Somebody in Telegram with a phone in the pocket."""

    def __init__(self, stage: Stage, id: int, name: str, phone: str) -> None:
        self.stage = stage
        self.id = id
        self.name = name
        self.phone = phone
        self.since = 0
        self.number_known = False
        self.links = 0
        """Taps on buttons that open an address, which Telegram never tells the bot of."""

    def __repr__(self) -> str:
        return f"{self.name} ({self.id})"

    # -- acts --------------------------------------------------------------------------------------

    def _act(self) -> None:
        self.since = self.stage.telegram.mark()

    def starts(self, payload: str = "") -> None:
        self._act()
        self.stage.telegram.user_starts(self.id, payload)

    def opens(self, link: str) -> None:
        self._act()
        self.stage.telegram.open_link(self.id, link)

    def types(self, text: str) -> None:
        self._act()
        self.stage.telegram.user_sends(self.id, text)

    def shares_contact(self) -> None:
        self._act()
        self.stage.telegram.user_shares_contact(self.id, self.phone)
        self.number_known = True

    def sends_photo(self, content: bytes = WAYBILL, caption: str = "") -> None:
        self._act()
        self.stage.telegram.user_sends_photo(self.id, content, caption)

    def replies(self, message: Message, text: str) -> None:
        """Telegram's own reply to a message of the bot."""
        self._act()
        self.stage.telegram.user_sends(self.id, text, reply_to=message.id)

    async def presses(self, verb: str, *, deal: str = "", number: int | None = None) -> Tap:
        """Presses the newest such button, and waits until the bot has answered the press."""
        message = await self.sees(verb, deal=deal, number=number)
        data = find(message, verb, deal, number)
        assert data is not None
        self._act()
        tap = self.stage.telegram.user_taps(self.id, message.id, data=data)
        return await self.stage.telegram.wait_answer(tap, timeout=20)

    async def taps(self, label: str) -> Tap:
        """The same by how the label begins (signed buttons, and those the contract names)."""
        message = await self.stage.telegram.wait_message(self.id, button=label, timeout=20)
        self._act()
        tap = self.stage.telegram.user_taps(self.id, message.id, label)
        return await self.stage.telegram.wait_answer(tap, timeout=20)

    async def shares_link(self) -> str:
        """[Share on Telegram] below the deal: the link that the other side gets."""

        def probe() -> str | None:
            for message in reversed(self.stage.telegram.chat(self.id)):
                for row in message.keyboard:
                    for button in row:
                        url = str(button.get("url", ""))
                        if url.startswith("https://t.me/share/url"):
                            return parse_qs(urlsplit(url).query)["url"][0]
            return None

        link = await self._pulse(probe, "no [Share on Telegram]")
        self.links += 1
        return link

    async def commands(self, text: str) -> None:
        """An admin's command that moves money, confirmed by its button where one asks."""
        self.types(text)
        message = await self.reads()
        if message.button("Confirm") is not None:
            tap = self.stage.telegram.user_taps(self.id, message.id, "Confirm")
            await self.stage.telegram.wait_answer(tap, timeout=20)

    # -- reading -----------------------------------------------------------------------------------

    async def _pulse(self, probe: Callable[[], T | None], missing: str) -> T:
        def words() -> str:
            heard = [(m.text, m.labels) for m in self.stage.telegram.from_bot(self.id)][-4:]
            tail = "\n".join(self.stage.running.output[-20:])
            return f"{self.name}: {missing}; last heard: {heard}\n{tail}"

        return await self.stage.telegram.pulse.until(probe, 20.0, words)

    async def reads(
        self, *words: str, button: str | None = None, since: int | None = None
    ) -> Message:
        """The newest message of the bot since the last act that contains all those words (and such
        a button, by its verb).
        """
        start = self.since if since is None else since

        def probe() -> Message | None:
            fitting = [
                m
                for m in self.stage.telegram.from_bot(self.id, since=start)
                if all(one in m.text for one in words)
                and (button is None or find(m, button) is not None)
            ]
            return max(fitting, key=lambda m: m.seq, default=None)

        return await self._pulse(probe, f"nothing with {words!r} and button {button!r}")

    async def sees(self, verb: str, *, deal: str = "", number: int | None = None) -> Message:
        """The newest message with such a button, whenever it came."""

        def probe() -> Message | None:
            fitting = [
                m
                for m in self.stage.telegram.from_bot(self.id)
                if find(m, verb, deal, number) is not None
            ]
            return max(fitting, key=lambda m: m.seq, default=None)

        return await self._pulse(probe, f"no button {verb!r} {deal} {number}")

    def shown(self, verb: str) -> bool:
        """Whether any message shows such a button now."""
        return any(find(m, verb) for m in self.stage.telegram.from_bot(self.id))

    # -- money -------------------------------------------------------------------------------------

    async def asked_on_phone(self, *, after: int) -> Prompt:
        """The prompt that M-Pesa shows on this phone, newer than the first `after` of all."""

        def probe() -> Prompt | None:
            fitting = [p for p in self.stage.daraja.stk_requests[after:] if p.phone == self.phone]
            return fitting[-1] if fitting else None

        def words() -> str:
            heard = [m.text for m in self.stage.telegram.from_bot(self.id)][-3:]
            tail = "\n".join(self.stage.running.output[-20:])
            return f"{self.name}'s phone was not asked; last heard: {heard}\n{tail}"

        found = await self.stage.daraja.pulse.until(probe, 20.0, words)
        await self.stage.until(
            "SELECT count(*) FROM payment_attempts WHERE telegram_id = $1 AND state = 'CREATED'",
            0,
            self.id,
        )
        assert isinstance(found, Prompt)
        return found

    async def asks_to_pay(self, code: str) -> Prompt:
        """Link, [Pay], the number the first time: the phone asks for the PIN."""
        after = len(self.stage.daraja.stk_requests)
        self.starts(code)
        await self.reads(code, button="pay")
        await self.presses("pay", deal=code)
        if not self.number_known:
            await self.stage.asked(self, "phone")
            self.shares_contact()
        return await self.asked_on_phone(after=after)

    async def enters_pin(self) -> Prompt:
        return await self.stage.daraja.enter_pin(self.phone)

    async def pays(self, code: str) -> Prompt:
        """The whole amount by prompt; the deal is held."""
        await self.asks_to_pay(code)
        prompt = await self.enters_pin()
        await self.stage.status(code, "HELD")
        return prompt

    async def pays_by_hand(self, code: str, shillings: int) -> Payment:
        """Declines a prompt, which leaves the deal reserved, then pays to the paybill."""
        await self.asks_to_pay(code)
        await self.stage.daraja.cancel(self.phone)
        await self.reads(button="pay")
        return await self.pays_to_paybill(code, shillings)

    async def pays_to_paybill(self, code: str, shillings: int) -> Payment:
        payment = await self.stage.daraja.pay_paybill(self.phone, code, shillings)
        assert payment.accepted, payment.refusal
        return payment

    # -- deals -------------------------------------------------------------------------------------

    async def opens_deal(self, words: str = "10000 Blue phone case") -> str:
        """`/newdeal …`, [Create]; the code of the deal."""
        self.types(f"/newdeal {words}")
        await self.presses("create")
        return code_in(await self.reads("start=ES"))

    async def opens_guided(self, amount: str, words: str, payer: str = "buyer") -> str:
        """`/newdeal` step by step: amount, words, who pays the fee, no photo, [Create]."""
        self.types("/newdeal")
        await self.stage.asked(self, "deal_amount")
        self.types(amount)
        await self.stage.asked(self, "deal_words")
        self.types(words)
        await self.stage.asked(self, "deal_fee")
        await self.presses("step", number=FEE_PAYERS[payer])
        await self.stage.asked(self, "deal_photo")
        await self.presses("step", number=NO_PHOTO)
        await self.presses("create")
        return code_in(await self.reads("start=ES"))

    async def proposes_to(self, seller: Actor, amount: str, words: str) -> str:
        """From the seller's page, as a buyer: amount, words, [Send]."""
        row = await self.stage.value(
            "SELECT id FROM escrow_sellers WHERE telegram_id = $1", seller.id
        )
        self.starts(f"s_{row}")
        await self.presses("propose")
        await self.stage.asked(self, "deal_amount")
        self.types(amount)
        await self.stage.asked(self, "deal_words")
        self.types(words)
        await self.presses("create")
        return code_in(await self.reads("ES"))

    async def ships(self, code: str, *, tracking: str = "G4S 12345") -> None:
        self.types(f"/ship {code} {tracking}")
        await self.stage.status(code, "SHIPPED")

    async def receives(self, code: str) -> None:
        """[Received], then [Yes, pay …]."""
        await self.presses("received", deal=code)
        await self.presses("received_yes", deal=code)
        await self.stage.status(code, "COMPLETED")

    async def receives_typed(self, code: str) -> None:
        self.types(f"/received {code}")
        await self.reads(button="received_yes")
        await self.presses("received_yes", deal=code)
        await self.stage.status(code, "COMPLETED")

    async def receives_first(self, code: str) -> None:
        """The same where an inspection follows."""
        await self.presses("received", deal=code)
        await self.presses("received_yes", deal=code)

    async def declines(self, code: str) -> None:
        """`/decline`, confirmed by its button where one asks."""
        self.types(f"/decline {code}")
        await self.stage.handled()
        if self.shown("decline"):
            await self.presses("decline", deal=code)
        await self.stage.status(code, "REFUNDED")

    async def disputes(self, code: str, words: str = "The box was empty") -> None:
        self.types(f"/dispute {code} {words}")
        await self.stage.status(code, "DISPUTED")


def find(message: Message, verb: str, deal: str = "", number: int | None = None) -> str | None:
    """The data of the first such button below a message."""
    for row in message.keyboard:
        for button in row:
            parts = str(button.get("callback_data", "")).split(":")
            if parts[:2] != ["b", verb] or (deal and deal not in parts):
                continue
            if number is not None and str(number) not in parts[2:]:
                continue
            return str(button["callback_data"])
    return None


def code_in(message: Message) -> str:
    """The deal's code in a message: in its words, else in an address below it."""
    urls = " ".join(str(b.get("url", "")) for row in message.keyboard for b in row)
    found = _CODE.search(message.text) or _CODE.search(urls)
    assert found, message.text
    return found[0]


def masked(who: Actor) -> str:
    """A person's own number as the bot shows it."""
    return mask(who.phone)
