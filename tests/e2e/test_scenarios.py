"""Seed 2's scenarios through a started `main.py`: typed, tapped, paid, read in the chats."""

from __future__ import annotations

import pytest

from tests.e2e import walk
from tests.e2e.conftest import (
    ADMIN,
    BUYER,
    PHONE,
    SELLER,
    STRANGER,
    Running,
    register_c2b,
)

DUE = 10_500


async def _deal(running: Running) -> str:
    await walk.become_seller(running)
    return await walk.open_deal(running)


async def _paybill(running: Running, code: str, amount: int, *, typed: str | None = None) -> None:
    """Brian's prompt is declined, so that the deal is reserved for him; then he pays by hand."""
    await walk.ask_to_pay(running, code)
    await running.daraja.cancel(PHONE)
    await running.until("SELECT count(*) FROM payment_attempts WHERE state = 'DECLINED'", 1)
    if not running.daraja.registrations:
        await register_c2b(running)
    payment = await running.daraja.pay_paybill(PHONE, typed or code, amount)
    assert payment.accepted
    await running.until("SELECT count(*) FROM receipts WHERE state <> 'WAITING'", 1)


async def test_an_exact_payment_by_prompt_is_held(running: Running) -> None:
    code = await _deal(running)
    await walk.ask_to_pay(running, code)
    prompt = running.daraja.stk_requests[-1]
    assert (prompt.amount, prompt.account, prompt.phone) == (DUE, code, PHONE)
    since = running.telegram.mark()
    await running.daraja.enter_pin(PHONE)
    told = await running.telegram.wait_message(BUYER, "10,500", since=since)
    assert code in told.text
    sold = await running.telegram.wait_message(SELLER, code, since=since)
    assert "SMS" in sold.text
    assert await walk.status(running, code) == "HELD"
    assert await walk.balances(running, code) == (0, 1_000_000, 50_000)
    assert await walk.events(running, code) == ["open", "join", "fund"]
    overview = await running.sql("SELECT * FROM receipts_overview")
    assert [tuple(row) for row in overview] == [
        ("mpesa", prompt.receipt, code, "KES", 1_050_000, "CREDITED")
    ]
    await running.books_are_right()


async def test_an_exact_payment_by_hand_is_held(running: Running) -> None:
    code = await _deal(running)
    await _paybill(running, code, DUE)
    assert await walk.status(running, code) == "HELD"
    assert await walk.balances(running, code) == (0, 1_000_000, 50_000)
    await running.books_are_right()


async def test_a_code_with_one_wrong_digit_still_finds_its_deal(running: Running) -> None:
    code = await _deal(running)
    wrong = code[:5] + str((int(code[5]) + 1) % 10) + code[6:]
    await _paybill(running, code, DUE, typed=wrong)
    assert await walk.status(running, code) == "HELD"
    await running.books_are_right()


async def test_an_overpayment_is_held_and_the_rest_is_in_the_wallet(running: Running) -> None:
    code = await _deal(running)
    since = running.telegram.mark()
    await _paybill(running, code, 11_000)
    assert await walk.status(running, code) == "HELD"
    assert await walk.balances(running, code) == (0, 1_000_000, 50_000)
    assert await walk.wallet(running, BUYER) == 50_000
    told = await running.telegram.wait_message(BUYER, "in your wallet", since=since)
    assert "KES 500" in told.text
    await running.books_are_right()


async def test_a_small_shortage_is_accepted_and_said(running: Running) -> None:
    code = await _deal(running)
    since = running.telegram.mark()
    await _paybill(running, code, 10_400)
    assert await walk.status(running, code) == "HELD"
    assert await walk.balances(running, code) == (0, 1_000_000, 40_000)
    told = await running.telegram.wait_message(BUYER, "within tolerance", since=since)
    assert "KES 10,400" in told.text
    assert "KES 100" in told.text
    await running.books_are_right()


async def test_a_large_shortage_goes_to_the_wallet_and_the_deal_stays_open(
    running: Running,
) -> None:
    code = await _deal(running)
    since = running.telegram.mark()
    await _paybill(running, code, 8_500)
    assert await walk.status(running, code) == "PENDING"
    assert await walk.balances(running, code) == (0, 0, 0)
    assert await walk.wallet(running, BUYER) == 850_000
    told = await running.telegram.wait_message(BUYER, "KES 2,000", since=since)
    assert "KES 8,500" in told.text
    await running.books_are_right()


async def _choice(running: Running) -> tuple[str, int]:
    """A moderate shortage; the deal and the message with the three buttons."""
    code = await _deal(running)
    since = running.telegram.mark()
    await _paybill(running, code, 9_800)
    message = await running.telegram.wait_message(
        BUYER, code, button="Complete payment", since=since
    )
    assert "KES 9,800" in message.text
    assert "KES 700" in message.text
    rows = [[button["text"] for button in row] for row in message.keyboard or []]
    assert [len(row) for row in rows[:3]] == [1, 1, 1]
    labels = [row[0] for row in rows[:3]]
    for label, start in zip(
        labels, ("Complete payment", "Proceed with", "Cancel & refund"), strict=True
    ):
        assert label.startswith(start)
    assert await walk.balances(running, code) == (980_000, 0, 0)
    return code, message.id


async def test_the_missing_amount_completes_the_deal(running: Running) -> None:
    code, message = await _choice(running)
    asked = len(running.daraja.stk_requests)
    running.telegram.user_taps(BUYER, message, "Complete payment")
    await walk.until(lambda: len(running.daraja.stk_requests) > asked, running)
    assert running.daraja.stk_requests[-1].amount == 700
    await running.daraja.enter_pin(PHONE)
    await running.until("SELECT status FROM escrow_transactions", "HELD")
    assert await walk.balances(running, code) == (0, 1_000_000, 50_000)
    await running.books_are_right()


async def test_a_wrong_pin_leaves_the_buttons_alive(running: Running) -> None:
    code, message = await _choice(running)
    asked = len(running.daraja.stk_requests)
    running.telegram.user_taps(BUYER, message, "Complete payment")
    await walk.until(lambda: len(running.daraja.stk_requests) > asked, running)
    since = running.telegram.mark()
    await running.daraja.wrong_pin(PHONE)
    await running.telegram.wait_message(BUYER, "PIN", since=since)
    running.telegram.user_taps(BUYER, message, "Proceed with")
    await running.until("SELECT status FROM escrow_transactions", "HELD")
    assert await walk.balances(running, code) == (0, 933_333, 46_667)
    await running.books_are_right()


async def test_going_on_with_less_tells_the_seller_who_may_decline(running: Running) -> None:
    code, message = await _choice(running)
    since = running.telegram.mark()
    running.telegram.user_taps(BUYER, message, "Proceed with")
    told = await running.telegram.wait_message(SELLER, "9,333.33", since=since)
    assert "Can't send it" in told.labels
    assert await walk.status(running, code) == "HELD"
    running.telegram.user_sends(SELLER, f"/decline {code}")
    await running.until("SELECT status FROM escrow_transactions", "REFUNDED")
    assert await walk.wallet(running, BUYER) == 0  # on its way to his phone by itself
    on_the_way = await running.sql("SELECT telegram_id, amount_minor FROM payouts_overview")
    assert [tuple(row) for row in on_the_way] == [(BUYER, 980_000)]
    await running.books_are_right()


async def test_cancelling_puts_everything_into_the_wallet(running: Running) -> None:
    code, message = await _choice(running)
    running.telegram.user_taps(BUYER, message, "Cancel & refund")
    await running.until("SELECT status FROM escrow_transactions", "CANCELLED")
    assert await walk.wallet(running, BUYER) == 980_000
    assert await walk.balances(running, code) == (0, 0, 0)
    await running.books_are_right()


async def test_foreign_forged_and_repeated_taps_do_nothing(running: Running) -> None:
    code, message = await _choice(running)
    found = running.telegram.messages[message].button("Cancel & refund")
    assert found is not None
    data = found["callback_data"]
    tampered = data[:-1] + ("0" if data[-1] != "0" else "1")
    running.telegram.user_starts(STRANGER)
    taps = [
        running.telegram.user_taps(STRANGER, message, data=data),
        running.telegram.user_taps(BUYER, message, data=tampered),
        running.telegram.user_taps(BUYER, message, data="v1:x:999:" + "0" * 20),
        running.telegram.user_taps(BUYER, message, data="junk"),
    ]
    for tap in taps:
        await running.telegram.wait_answer(tap)
    await running.until("SELECT count(*) FROM telegram_updates WHERE state = 'NEW'", 0)
    assert await walk.status(running, code) == "PENDING"
    for _ in range(5):
        running.telegram.user_taps(BUYER, message, data=data)
    await running.until("SELECT status FROM escrow_transactions", "CANCELLED")
    await running.until("SELECT count(*) FROM telegram_updates WHERE state = 'NEW'", 0)
    assert await walk.wallet(running, BUYER) == 980_000
    await running.books_are_right()


# after the shared samples daraja/real-stk-0-* and stk-callback-0-*: metadata as it really comes
SUCCESSES = {
    "real-stk-0-2018: Balance without a value": [
        {"Name": "Amount", "Value": 10500.00},
        {"Name": "MpesaReceiptNumber", "Value": "MAO0DO9BYO"},
        {"Name": "Balance"},
        {"Name": "TransactionDate", "Value": 20180124144754},
        {"Name": "PhoneNumber", "Value": 254711003001},
    ],
    "real-stk-0-2021: no Balance": [
        {"Name": "Amount", "Value": 10500.0},
        {"Name": "MpesaReceiptNumber", "Value": "PE71NZSURN"},
        {"Name": "TransactionDate", "Value": 20210507110056},
        {"Name": "PhoneNumber", "Value": 254711003001},
    ],
    "stk-callback-0-success-balance-no-value: whole numbers, another order": [
        {"Name": "PhoneNumber", "Value": 254711003001},
        {"Name": "TransactionDate", "Value": 20170727154800},
        {"Name": "Balance"},
        {"Name": "MpesaReceiptNumber", "Value": "LGR7OWQX0R"},
        {"Name": "Amount", "Value": 10500},
    ],
}


@pytest.mark.parametrize("name", SUCCESSES)
async def test_real_success_bodies_are_credited(running: Running, name: str) -> None:
    import httpx

    code = await _deal(running)
    running.daraja.next_stk(deliver="never")
    await walk.ask_to_pay(running, code)
    prompt = running.daraja.stk_requests[-1]
    await running.daraja.enter_pin(PHONE)
    body = {
        "Body": {
            "stkCallback": {
                "MerchantRequestID": prompt.merchant_id,
                "CheckoutRequestID": prompt.checkout_id,
                "ResultCode": 0,
                "ResultDesc": "The service request is processed successfully.",
                "CallbackMetadata": {"Item": SUCCESSES[name]},
            }
        }
    }
    async with httpx.AsyncClient() as http:
        for _ in range(3):
            answer = await http.post(prompt.callback_url, json=body)
            assert answer.status_code == 200
    await running.until("SELECT status FROM escrow_transactions", "HELD")
    assert len(await running.sql("SELECT 1 FROM receipts")) == 1
    await running.books_are_right()


# after the shared samples daraja/real-stk-*: every failure, with what the buyer has to read
FAILURES = {
    "1": (1, "The balance is insufficient for the transaction.", "balance was too low"),
    "1019": (1019, "Transaction has expired", "again"),
    "1032": (1032, "Request cancelled by user", "cancelled"),
    "1037": (1037, "DS timeout user cannot be reached", "*234*1*6#"),
    "2001": (2001, "The initiator information is invalid.", "PIN"),
    "SFC_IC0003": ("SFC_IC0003", "The operator does not exist.", "our connection"),
}


@pytest.mark.parametrize("name", FAILURES)
async def test_every_failure_is_told_in_words_that_help(running: Running, name: str) -> None:
    result, desc, words = FAILURES[name]
    code = await _deal(running)
    await walk.ask_to_pay(running, code)
    since = running.telegram.mark()
    await running.daraja.finish(PHONE, result, desc)
    told = await running.telegram.wait_message(
        BUYER, "was not paid", button="Try again", since=since
    )
    assert words in told.text
    assert await walk.status(running, code) == "PENDING"
    assert await running.sql("SELECT 1 FROM receipts") == []
    await running.books_are_right()


async def test_a_lost_callback_is_found_by_asking(running: Running) -> None:
    code = await _deal(running)
    running.daraja.next_stk(deliver="never")
    await walk.ask_to_pay(running, code)
    await running.daraja.enter_pin(PHONE)
    await running.sql("UPDATE payment_attempts SET next_query_at = now() RETURNING id")
    await running.until("SELECT status FROM escrow_transactions", "HELD", timeout=20)
    overview = await running.sql("SELECT reference, state FROM receipts_overview")
    assert [tuple(row) for row in overview] == [(None, "CREDITED")]
    await running.daraja.redeliver(running.daraja.stk_requests[-1])
    await running.until("SELECT reference FROM receipts", running.daraja.stk_requests[-1].receipt)
    assert len(await running.sql("SELECT 1 FROM receipts")) == 1
    await running.books_are_right()


async def test_the_same_receipt_by_prompt_and_by_paybill_row_is_one_credit(
    running: Running,
) -> None:
    code = await _deal(running)
    await register_c2b(running)
    running.daraja.c2b_for_stk = "before"
    await walk.ask_to_pay(running, code)
    await running.daraja.enter_pin(PHONE)
    await running.until("SELECT status FROM escrow_transactions", "HELD")
    await running.until("SELECT count(*) FROM inbox WHERE state = 'NEW'", 0)
    assert len(await running.sql("SELECT 1 FROM receipts WHERE state = 'CREDITED'")) == 1
    assert await walk.wallet(running, BUYER) == 0
    await running.books_are_right()


async def test_money_for_an_unknown_code_waits_in_suspense_and_the_admin_hears(
    running: Running,
) -> None:
    await walk.become_seller(running)
    await register_c2b(running)
    since = running.telegram.mark()
    await running.daraja.pay_paybill(PHONE, "rent march", 1_000)
    await running.until("SELECT state FROM receipts", "SUSPENSE")
    await running.telegram.wait_message(ADMIN, "KES 1,000", since=since)
    await running.books_are_right()


async def test_system_health_says_one_word_first(running: Running) -> None:
    await walk.become_seller(running)
    since = running.telegram.mark()
    running.telegram.user_sends(ADMIN, "/system_health")
    told = await running.telegram.wait_message(ADMIN, "OK", since=since)
    assert told.text.splitlines()[0].strip(" ✅🟢").startswith(("OK", "System"))
    running.telegram.user_sends(SELLER, "/system_health")
    await running.telegram.wait_message(SELLER, since=since)
    assert all("OK" not in m.text for m in running.telegram.from_bot(SELLER, since=since))
