"""A database with a deal in every status, its money, and a row in every table."""

from __future__ import annotations

import asyncpg

from tests.store.books import (
    ADMIN,
    BUYER,
    CANCELLED,
    COMPLETED,
    DELIVERED,
    DISPUTED,
    DUE,
    FROZEN,
    HELD,
    NOW,
    OPEN_LINK,
    PENDING,
    PHONE,
    PRICE,
    QUOTE,
    RECEIVED,
    REFUNDED,
    SELLER,
    SHIPPED,
    STRANGER,
    UNDERPAID,
    booked_payout,
    bring_to,
    in_coins,
    insert,
    open_deal,
    paid_payout,
    people,
    post,
    posted,
    run,
)


async def world(conn: asyncpg.Connection) -> None:
    """A deal in every status with its money, and a row in every table, committed."""
    async with conn.transaction():
        await run(conn, *people(), insert("seller_history"))
    deals = {
        PENDING: "PENDING",
        UNDERPAID: "PENDING",
        HELD: "HELD",
        SHIPPED: "SHIPPED",
        DELIVERED: "DELIVERED",
        DISPUTED: "DISPUTED",
        FROZEN: "FROZEN",
        COMPLETED: "COMPLETED",
        REFUNDED: "REFUNDED",
        CANCELLED: "CANCELLED",
    }
    for escrow_id, status in deals.items():
        async with conn.transaction():
            await run(conn, open_deal(escrow_id), *bring_to(escrow_id, status))
    async with conn.transaction():
        await run(
            conn,
            open_deal(OPEN_LINK, buyer_telegram_id=None),
            post(
                "receipt:underpaid",
                ("external", "mpesa:utility", -RECEIVED),
                ("received", UNDERPAID, RECEIVED),
                escrow=UNDERPAID,
            ),
            post("late", ("external", "mpesa:utility", -50_00), ("wallet", str(STRANGER), 50_00)),
            insert("ledger_accounts", owner="4004"),
            # a journal that stands for a receipt that nobody stored
            post(
                "receipt:mpesa:SGEARLY008", ("external", "mpesa:utility", -DUE), ("owner", "", DUE)
            ),
            insert("seller_ratings", escrow_id=COMPLETED),
            # offer 1 stands
            insert("offers", cause="update:5", escrow_id=SHIPPED, version=3),
            insert("fraud_flags", telegram_id=BUYER),
            insert("fraud_flags", telegram_id=BUYER, flag_type="unshipped_order", escrow_id=HELD),
            # choice 1 is open, 2 was used
            insert("underpayment_choices", escrow_id=UNDERPAID),
            insert("underpayment_choices", escrow_id=HELD, used_at=NOW, used_action="completed"),
            # attempt 1 is open, 2 was paid, 3 was declined, 4 is over
            insert(
                "payment_attempts",
                cause="update:1",
                token="1" * 32,
                escrow_id=UNDERPAID,
                telegram_id=BUYER,
                phone=PHONE,
                state="PROMPTED",
                checkout_request_id="ws_CO_1",
                choice_id=1,
            ),
            insert(
                "payment_attempts",
                cause="update:2",
                token="2" * 32,
                escrow_id=HELD,
                state="PAID",
                checkout_request_id="ws_CO_2",
                closed_at=NOW,
            ),
            insert(
                "payment_attempts",
                cause="update:3",
                token="3" * 32,
                escrow_id=HELD,
                state="DECLINED",
                checkout_request_id="ws_CO_3",
                closed_at=NOW,
            ),
            insert(
                "payment_attempts",
                cause="update:4",
                token="5" * 32,
                escrow_id=DELIVERED,
                telegram_id=ADMIN,
                phone="254711000444",
                state="EXPIRED",
                checkout_request_id="ws_CO_4",
                closed_at=NOW,
            ),
            # receipt 1 is credited, 2 waits, 3 lies in suspense, 4 was sent back, 5 has a fitted
            # number, 6 was reversed, 7 is not money of ours
            *posted("SGCREDIT01", "CREDITED", channel="stk", attempt_id=2, escrow_id=HELD),
            insert("receipts", reference="SGWAIT0002", escrow_id=PENDING),
            *posted("SGLOST0003", "SUSPENSE", amount=20_00),
            *posted("SGBACK0004", "RETURNED"),
            *posted(
                "SGFITTED05",
                "CREDITED",
                channel="stk",
                attempt_id=3,
                escrow_id=HELD,
                reference_fitted=True,
            ),
            *posted("SGTAKEN006", "REVERSED", escrow_id=HELD),
            insert("receipts", reference="SGFAKE0007", state="IGNORED", attempt_id=4),
            insert("status_queries", token="4" * 32, receipt_id=2),
            insert("fx_rates", source="env"),
            # crypto attempt 1 has its address, 2 waits for its provider, 3 was refused
            insert("crypto_attempts", cause="update:6", token="6" * 32, address="T1", **QUOTE),
            insert("crypto_attempts", cause="update:7", token="7" * 32),
            insert("crypto_attempts", cause="update:8", token="8" * 32, state="REFUSED"),
            # deposit tx1 was credited (receipt 8), tx2 is on its way, tx3 was worth nothing
            insert("crypto_deposits", txid="tx1"),
            insert("crypto_deposits", txid="tx2"),
            insert("crypto_deposits", txid="tx3", confirmed_at=NOW, dust=True),
            *in_coins("tx1#1"),
            "UPDATE crypto_deposits SET confirmed_at = now() WHERE txid = 'tx1'",
            # payout 1 is being sent, 2 is a person's own, 3 was paid
            insert("payouts", cause="settlement:1", escrow_id=COMPLETED, leg="seller"),
            insert("payouts", cause="withdraw:2", telegram_id=BUYER),
            insert("payouts", cause="withdraw:3"),
            post("float", ("external", "mpesa:utility", -PRICE), ("wallet", str(SELLER), PRICE)),
            booked_payout(1),
            booked_payout(2, BUYER),
            booked_payout(3),
            insert(
                "payout_attempts",
                payout_id=1,
                originator_conversation_id="out-1",
                token="a" * 32,
            ),
            insert(
                "payout_attempts",
                payout_id=3,
                originator_conversation_id="out-3",
                token="b" * 32,
            ),
            paid_payout(3),
            insert("payout_stops", credential="d" * 32),
            "UPDATE payouts SET state = 'SENDING' WHERE id IN (1, 3)",
            "UPDATE payout_attempts SET state = 'PAID' WHERE payout_id = 3",
            "UPDATE payouts SET state = 'PAID', provider_reference = 'SGPAID0003',"
            " finalized_at = now() WHERE id = 3",
            insert("inbox", digest=b"w" * 32),
            insert("telegram_updates", update_id=1),
            insert("outbox", cause="receipt:1"),
            insert("instance", environment="sandbox"),
            insert("path_secrets", route="m"),
            insert("provider_tokens", provider="mpesa"),
            insert("reservations", escrow_id=PENDING),
            insert("reservation_counts", escrow_id=PENDING),
            insert("conversations", telegram_id=SELLER),
            insert("job_runs"),
        )
