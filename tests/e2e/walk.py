"""The scripted walk of a deal: what people type and tap, up to the moment before paying."""

from __future__ import annotations

import re

from tests.e2e.conftest import ADMIN, BUYER, PHONE, SELLER, Running

SELLER_PHONE = "254711002001"


async def become_seller(running: Running) -> None:
    """Jane presses Start, registers, shares her number; an admin verifies her."""
    telegram = running.telegram
    since = telegram.mark()
    telegram.user_starts(ADMIN)
    telegram.user_starts(SELLER)
    await telegram.wait_message(SELLER, since=since)
    telegram.user_sends(SELLER, "/sell Jane Shop")
    await running.until("SELECT step FROM conversations WHERE telegram_id = $1", *_ANY, SELLER)
    telegram.user_shares_contact(SELLER, SELLER_PHONE)
    await running.until("SELECT status FROM escrow_sellers", "PENDING")
    telegram.user_sends(ADMIN, f"/verify_seller {SELLER}")
    await telegram.wait_message(SELLER, "is verified", since=since)


class _Anything:
    def __eq__(self, other: object) -> bool:
        return other is not None

    __hash__ = None  # type: ignore[assignment]


_ANY = (_Anything(),)


async def open_deal(running: Running, words: str = "10000 Blue phone case") -> str:
    """Jane opens a deal; its code, read from the chat."""
    telegram = running.telegram
    since = telegram.mark()
    telegram.user_sends(SELLER, f"/newdeal {words}")
    message = await telegram.wait_message(SELLER, since=since)
    if message.button("Create") is not None:
        since = telegram.mark()
        telegram.user_taps(SELLER, message.id, "Create")
        message = await telegram.wait_message(SELLER, "start=ES", since=since)
    found = re.search(r"ES[0-9]{10}", message.text)
    assert found, message.text
    return found[0]


async def ask_to_pay(running: Running, code: str) -> None:
    """Brian opens the link, pays, and gives his number the first time: his phone asks."""
    telegram = running.telegram
    asked = len(running.daraja.stk_requests)
    since = telegram.mark()
    telegram.user_starts(BUYER, code)
    await telegram.wait_message(BUYER, code, since=since)
    known = await running.sql("SELECT phone FROM people WHERE telegram_id = $1", BUYER)
    telegram.user_sends(BUYER, f"/pay {code}")
    if not known or known[0]["phone"] is None:
        await running.until("SELECT step FROM conversations WHERE telegram_id = $1", *_ANY, BUYER)
        telegram.user_shares_contact(BUYER, PHONE)
    await until(lambda: len(running.daraja.stk_requests) > asked, running)
    await running.until(
        "SELECT count(*) FROM payment_attempts WHERE escrow_id = $1 AND state = 'CREATED'", 0, code
    )


async def until(condition, running: Running, timeout: float = 15.0) -> None:
    """Waits for something in the stand-ins."""

    def probe() -> bool | None:
        return True if condition() else None

    await running.daraja.pulse.until(
        probe, timeout, lambda: "the stand-in never saw it\n" + "\n".join(running.output[-30:])
    )


async def status(running: Running, code: str) -> str:
    return str(
        (await running.sql("SELECT status FROM escrow_transactions WHERE id = $1", code))[0][0]
    )


async def balances(running: Running, code: str) -> tuple[int, int, int]:
    """received, holding, pending fee of a deal."""
    row = (await running.sql("SELECT * FROM escrow_balances WHERE escrow_id = $1", code))[0]
    return row["received_minor"], row["holding_minor"], row["pending_fee_minor"]


async def wallet(running: Running, telegram_id: int) -> int:
    rows = await running.sql(
        "SELECT available_minor FROM wallet_balances WHERE telegram_id = $1", telegram_id
    )
    return int(rows[0][0]) if rows else 0


async def events(running: Running, code: str) -> list[str]:
    rows = await running.sql("SELECT event FROM escrow_events WHERE escrow_id = $1", code)
    return [row[0] for row in rows]
