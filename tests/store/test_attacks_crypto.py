"""Direct SQL against deals paid in coins: what was asked for stays, coins are credited once and
exactly as many as were seen, and nothing that is no number passes for one.

Each attack is refused by name, and succeeds once its guard is gone: so no guard is idle.
"""

# ruff: noqa: S608 (the statements are made of this module's own constants)

from decimal import Decimal

import asyncpg
import pytest

from tests.store import attacks
from tests.store.attacks import Attack, attack, bad
from tests.store.books import (
    APP,
    BUYER,
    COIN,
    COINS,
    DUE,
    LATER,
    NOW,
    OWNER,
    PENDING,
    QUOTE,
    Step,
    in_coins,
    insert,
)

BOTH = (OWNER, APP)
NAN = Decimal("NaN")
ASKED, KEPT = "crypto_attempts.crypto_attempt_unchanged", "crypto_attempts.crypto_attempts_kept"
SEEN, SEEN_KEPT = "crypto_deposits.crypto_deposit_guard", "crypto_deposits.crypto_deposits_kept"
ITS_COINS, FROZEN_COINS = "receipts.receipt_in_coins", "receipts.receipt_coins_unchanged"
WHOLE, CONFIRMED = "receipt_in_coins_is_whole", "receipt_in_coins_is_confirmed"
COVERED, RATED = "crypto_attempt_is_covered", "crypto_attempt_shillings_have_a_rate"


def change(table: str, row: str, sets: str, by: str, guard: str) -> Attack:
    return attack(
        f"of {table} ({row}) nobody sets {sets}",
        f"UPDATE {table} SET {sets} WHERE {row}",
        by=by,
        guard=guard,
        roles=BOTH,
    )


def credit(promise: str, by: str, *behind: str, guard: str | None = None, **row: object) -> Attack:
    """A receipt for the coins that are on their way."""
    reference = str(row.pop("reference", "tx2#1"))
    return attack(
        promise, *in_coins(reference, **row), by=by, guard=guard, behind=behind, roles=BOTH
    )


RATES: tuple[Attack, ...] = (
    bad("fx_rates", "fx_rates_pkey", id=1),
    bad("fx_rates", "fx_rates_kes_per_usd_check", kes_per_usd=Decimal(0)),
    bad("fx_rates", "fx_rates_kes_per_usd_check", kes_per_usd=NAN),
    bad("fx_rates", "fx_rates_source_check", source="guess"),
    *(
        attack(
            f"prices are kept: {words.partition(' ')[0]}",
            words,
            by="fx_rates_append_only",
            guard="fx_rates.fx_rates_kept",
        )
        for words in (
            "UPDATE fx_rates SET kes_per_usd = 1",
            "DELETE FROM fx_rates",
            "TRUNCATE fx_rates",
        )
    ),
)

ATTEMPTS: tuple[Attack, ...] = (
    bad("crypto_attempts", "crypto_attempts_pkey", id=1),
    bad("crypto_attempts", "crypto_attempts_cause_check", cause=""),
    bad("crypto_attempts", "crypto_attempts_cause_key", cause="update:6"),
    bad("crypto_attempts", "crypto_attempts_token_check", token="short"),
    bad("crypto_attempts", "crypto_attempts_token_check", token="G" * 32),
    bad("crypto_attempts", "crypto_attempts_token_key", token="6" * 32),
    bad("crypto_attempts", "crypto_attempts_provider_check", provider="mpesa"),
    bad("crypto_attempts", "crypto_attempts_escrow_id_fkey", escrow_id="ES0000000000"),
    bad("crypto_attempts", "crypto_attempts_telegram_id_fkey", telegram_id=9999),
    bad("crypto_attempts", "crypto_attempts_choice_id_fkey", choice_id=999),
    bad("crypto_attempts", "crypto_attempts_coin_check", coin=""),
    bad("crypto_attempts", "crypto_attempts_callback_url_check", callback_url=""),
    bad(
        "crypto_attempts",
        "crypto_attempts_currency_check",
        currency="EUR",
        kes_per_usd=None,
        usd_minor=DUE,
    ),
    bad("crypto_attempts", "crypto_attempts_amount_minor_check", amount_minor=0),
    bad("crypto_attempts", "crypto_attempts_usd_minor_check", usd_minor=0, behind=(COVERED,)),
    bad("crypto_attempts", "crypto_attempts_kes_per_usd_check", kes_per_usd=NAN),
    bad(
        "crypto_attempts",
        "crypto_attempts_kes_per_usd_check",
        kes_per_usd=Decimal(0),
        behind=(COVERED,),
    ),
    bad("crypto_attempts", "crypto_attempts_state_check", state="PAID"),
    bad("crypto_attempts", "crypto_attempts_coin_amount_check", coin_amount=Decimal(0)),
    bad("crypto_attempts", "crypto_attempts_coin_amount_check", coin_amount=NAN),
    bad("crypto_attempts", RATED, kes_per_usd=None, usd_minor=DUE),
    bad("crypto_attempts", RATED, currency="USD"),
    bad("crypto_attempts", COVERED, usd_minor=80),
    bad("crypto_attempts", COVERED, currency="USD", kes_per_usd=None, usd_minor=DUE - 1),
    *(
        bad("crypto_attempts", "crypto_attempt_open_is_whole", **{**QUOTE, "address": "T2", **gap})
        for gap in (
            {"address": ""},
            {"coin_amount": None},
            {"opened_at": None},
            {"expires_at": None},
            {"expires_at": NOW},
        )
    ),
    *(
        attack(
            f"an address has one payer: {address}",
            insert("crypto_attempts", **QUOTE, address=address),
            by="crypto_attempt_address_once",
            roles=BOTH,
        )
        for address in ("T1", "t1")
    ),
    *(
        change("crypto_attempts", "id = 1", sets, "crypto_attempt_frozen", ASKED)
        for sets in (
            "cause = 'other'",
            f"token = '{'9' * 32}'",
            "provider = 'dynopay'",
            f"escrow_id = '{PENDING}'",
            f"telegram_id = {BUYER}",
            "coin = 'BTC'",
            "currency = 'USD', kes_per_usd = NULL, amount_minor = 81",
            "amount_minor = 1",
            "usd_minor = 82",
            "kes_per_usd = 131",
            "choice_id = 1",
            "callback_url = 'https://elsewhere.example'",
            "created_at = now()",
            "state = 'REFUSED'",
            "coin_amount = 1",
            "address = 'T2'",
            "tag = '7'",
            "provider_reference = 'other'",
            "refusal = 'other'",
            "opened_at = opened_at - interval '1 hour'",
            "expires_at = now()",
        )
    ),
    change("crypto_attempts", "id = 2", "amount_minor = 1", "crypto_attempt_frozen", ASKED),
    change("crypto_attempts", "id = 3", "state = 'CREATED'", "crypto_attempt_frozen", ASKED),
    attack(
        "what was asked for in coins is not deleted",
        "DELETE FROM crypto_attempts WHERE id = 2",
        by="crypto_attempts_append_only",
        guard=KEPT,
    ),
    attack(
        "what was asked for in coins is not emptied",
        "TRUNCATE crypto_attempts CASCADE",
        by="crypto_attempts_append_only",
        guard=KEPT,
        behind=(
            SEEN_KEPT,
            "receipts.receipts_kept",
            "payment_claims.payment_claims_kept",
            "payouts.payouts_kept",
            "payout_attempts.payout_attempts_kept",
        ),
    ),
    attack(
        "nobody is asked for coins while everything stands still",
        insert("pauses"),
        insert("crypto_attempts"),
        by="paused",
        guard="crypto_attempts.paused",
        roles=BOTH,
    ),
)

DEPOSITS: tuple[Attack, ...] = (
    bad("crypto_deposits", "crypto_deposits_pkey", txid="tx1"),
    bad("crypto_deposits", "crypto_deposits_attempt_id_fkey", attempt_id=999),
    bad("crypto_deposits", "crypto_deposits_txid_check", txid=""),
    bad("crypto_deposits", "crypto_deposits_coin_check", coin=""),
    bad("crypto_deposits", "crypto_deposits_amount_check", amount=Decimal(0)),
    bad("crypto_deposits", "crypto_deposits_amount_check", amount=NAN),
    bad("crypto_deposits", "crypto_deposit_dust_is_confirmed", dust=True),
    *(
        change("crypto_deposits", f"txid = '{row}'", sets, "crypto_deposit_frozen", SEEN)
        for row, sets in (
            ("tx2", "attempt_id = 2"),
            ("tx2", "txid = 'other'"),
            ("tx2", "coin = 'BTC'"),
            ("tx2", "seen_at = now()"),
            ("tx2", "amount = 105"),
            ("tx1", "amount = 0.01"),
            ("tx1", "confirmed_at = NULL"),
            ("tx1", "dust = true"),
            ("tx3", "dust = false"),
        )
    ),
    *(
        attack(
            f"coins are not done with before they are credited: {what}",
            *steps,
            by="crypto_deposit_has_its_receipt",
            guard=SEEN,
            roles=BOTH,
        )
        for what, steps in {
            "seen before": ("UPDATE crypto_deposits SET confirmed_at = now() WHERE txid = 'tx2'",),
            "never seen": (insert("crypto_deposits", confirmed_at=NOW),),
            "another coin of the same payment": (
                insert("crypto_deposits", txid="tx1", coin="TRX", confirmed_at=NOW),
            ),
        }.items()
    ),
    attack(
        "coins that were seen are not deleted",
        "DELETE FROM crypto_deposits",
        by="crypto_deposits_append_only",
        guard=SEEN_KEPT,
    ),
    attack(
        "coins that were seen are not emptied",
        "TRUNCATE crypto_deposits",
        by="crypto_deposits_append_only",
        guard=SEEN_KEPT,
    ),
)

RECEIPTS: tuple[Attack, ...] = (
    *(
        credit(
            f"coins are credited only as they were seen: {what}",
            "receipt_is_its_coins",
            guard=ITS_COINS,
            **row,
        )
        for what, row in {
            "another number": {"reference": "tx9#1"},
            "the number of others": {"reference": "tx2#2"},
            "a number as if of another coin": {"reference": f"tx2#1:{COIN}"},
            "more": {"coin_amount": COINS + 1},
            "another coin": {"coin": "TRX"},
            "another provider": {"provider": "dynopay"},
            "another deal": {"escrow_id": PENDING},
            "no deal": {"escrow_id": None},
            "another person": {"telegram_id": BUYER},
        }.items()
    ),
    attack(
        "coins are not credited at an address that nobody was given",
        insert("crypto_deposits", attempt_id=2, txid="tx4"),
        *in_coins("tx4#2", crypto_attempt_id=2),
        by="receipt_is_its_coins",
        guard=ITS_COINS,
        roles=BOTH,
    ),
    attack(
        "coins are credited once",
        in_coins("tx1#1")[0],
        by="receipt_once",
        behind=("receipts.receipt_booked",),
        roles=BOTH,
    ),
    credit(
        "a receipt in coins has its attempt",
        "receipts_crypto_attempt_id_fkey",
        ITS_COINS,
        crypto_attempt_id=999,
    ),
    credit(
        "a receipt is of some coins",
        "receipts_coin_amount_check",
        ITS_COINS,
        coin_amount=Decimal(0),
    ),
    credit(
        "a receipt's coins are a number", "receipts_coin_amount_check", ITS_COINS, coin_amount=NAN
    ),
    *(
        credit(f"coins do not cost {cost}", "receipt_coins_cost_a_part", cost_minor=cost)
        for cost in (-1, DUE + 1)
    ),
    *(
        credit(f"coins are not credited because of {evidence}", CONFIRMED, evidence=evidence)
        for evidence in ("status", "limit", "unchecked", "admin")
    ),
    attack(
        "coins do not wait for evidence",
        in_coins("tx2#1", state="WAITING", evidence=None, posted_at=None)[0],
        by=CONFIRMED,
        roles=BOTH,
    ),
    bad("receipts", CONFIRMED, evidence="signed"),
    credit("coins come to an attempt", WHOLE, crypto_attempt_id=None),
    credit("coins have a name", WHOLE, ITS_COINS, coin=None),
    credit("coins have an amount", WHOLE, ITS_COINS, coin_amount=None),
    credit("coins have a number that stays", WHOLE, reference_fitted=True),
    credit("coins answer no prompt", WHOLE, attempt_id=1),
    attack(
        "coins have a number",
        insert(
            "receipts",
            provider="blockbee",
            channel="crypto",
            reference=None,
            attempt_id=1,
            evidence="signed",
            crypto_attempt_id=1,
            coin=COIN,
            coin_amount=COINS,
        ),
        by=WHOLE,
        behind=(ITS_COINS,),
    ),
    *(
        bad("receipts", WHOLE, **extra)
        for extra in (
            {"coin": COIN},
            {"coin_amount": COINS},
            {"cost_minor": 1},
        )
    ),
    bad("receipts", WHOLE, crypto_attempt_id=1, behind=(ITS_COINS,)),
    *(
        change("receipts", "id = 8", sets, "receipt_coins_frozen", FROZEN_COINS)
        for sets in (
            "crypto_attempt_id = 2",
            "coin = 'BTC'",
            "coin_amount = 1",
            "cost_minor = 1",
        )
    ),
)

ATTACKS = (*RATES, *ATTEMPTS, *DEPOSITS, *RECEIPTS)

LAWFUL: dict[str, tuple[Step, ...]] = {
    "a quote is written once": (
        (
            "UPDATE crypto_attempts SET state = 'OPEN', coin_amount = 1, address = 'T2',"
            " opened_at = $1, expires_at = $2 WHERE id = 2",
            (NOW, LATER),
        ),
    ),
    "an attempt is looked at again": (
        "UPDATE crypto_attempts SET next_look_at = now(), looks = looks + 1",
    ),
    "one address takes many tags": (insert("crypto_attempts", **QUOTE, address="T1", tag="7"),),
    "less is seen, credited and done with": (
        "UPDATE crypto_deposits SET amount = 0.5 WHERE txid = 'tx2'",
        *in_coins("tx2#1", coin_amount=Decimal("0.5"), cost_minor=5),
        "UPDATE crypto_deposits SET confirmed_at = now() WHERE txid = 'tx2'",
    ),
    "another coin in the same payment is credited under its own number": (
        insert("crypto_deposits", txid="tx1", coin="TRX"),
        *in_coins("tx1#1:TRX", coin="TRX", currency="USD", evidence="query"),
        "UPDATE crypto_deposits SET confirmed_at = now() WHERE coin = 'TRX'",
    ),
    "dust is done with": (
        "UPDATE crypto_deposits SET confirmed_at = now(), dust = true WHERE txid = 'tx2'",
    ),
}


@pytest.mark.parametrize(("tried", "role"), attacks.each(ATTACKS))
async def test_refused(attacked: asyncpg.Connection, tried: Attack, role: str) -> None:
    refusal = await attacks.try_attack(attacked, tried, role)
    assert refusal is not None, "PostgreSQL let it pass"
    assert attacks.name_of(refusal) == tried.refused_by, refusal


@pytest.mark.parametrize("tried", attacks.guarded(ATTACKS))
async def test_its_guard_alone_refuses_it(attacked: asyncpg.Connection, tried: Attack) -> None:
    assert await attacks.try_attack(attacked, tried, OWNER, without_guard=True) is None


@pytest.mark.parametrize("promise", LAWFUL)
async def test_what_is_lawful_passes(attacked: asyncpg.Connection, promise: str) -> None:
    lawful = Attack(promise, LAWFUL[promise], "", guard="")
    assert await attacks.try_attack(attacked, lawful, APP) is None
