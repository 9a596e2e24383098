"""Somebody says that he has paid: M-Pesa is asked about it, over HTTP, by the started program."""

from __future__ import annotations

from pathlib import Path

from sandbox.server import Sandbox
from tests.e2e import walk
from tests.e2e.conftest import BUYER, PHONE, Running

_VOUCHED = "SELECT phone_is_contact FROM people WHERE telegram_id = $1"


async def test_a_fake_is_told_so_and_a_true_receipt_funds_the_deal(
    sandbox: Sandbox, dsn: str, tmp_path: Path
) -> None:
    """No callback ever names this payment: the pasted message alone leads to it."""
    running = Running(sandbox, dsn, tmp_path)
    await running.start()
    try:
        await walk.become_seller(running)
        code = await walk.open_deal(running)
        telegram = running.telegram
        telegram.user_starts(BUYER, code)
        await telegram.wait_message(BUYER, code)
        telegram.user_shares_contact(BUYER, PHONE)
        await running.until(_VOUCHED, True, BUYER)
        since = telegram.mark()
        telegram.user_sends(BUYER, f"/paid {code} SG632NMUAB")
        await telegram.wait_message(
            BUYER,
            "M-Pesa doesn't know this code. An SMS or screenshot is not payment.",
            since=since,
        )
        paid = await running.daraja.pay_paybill(PHONE, code, 10_500)
        since = telegram.mark()
        telegram.user_sends(
            BUYER, f"{paid.receipt} Confirmed. Ksh99,000.00 sent to AMANA for account {code} on 23"
        )
        await telegram.wait_message(BUYER, "KES 10,500 received", since=since)
        assert await walk.balances(running, code) == (0, 10_000_00, 500_00)
        telegram.user_sends(BUYER, f"/paid {paid.receipt}")
        await telegram.wait_message(BUYER, "already counted", since=since)
        assert await walk.balances(running, code) == (0, 10_000_00, 500_00)
        await running.books_are_right()
    finally:
        await running.stop()
