"""Posting through the store, as the program's role: once per key, all or nothing, and right when
many post at once.
"""

# ruff: noqa: S608 (the statements are made of this module's own constants)

import asyncio
import random
from collections import Counter
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from escrow.domain.errors import BooksBroken, Conflict, Fault
from escrow.domain.model import Entry, Journal
from escrow.domain.money import Currency, Money
from escrow.store import ledger
from escrow.store.database import Database
from tests.store import books
from tests.store.books import (
    BUYER,
    COMPLETED,
    DUE,
    FEE,
    HELD,
    NOW,
    PENDING,
    PRICE,
    SELLER,
    UNDERPAID,
)

KES = Currency.KES
OUT = "mpesa:utility"


def journal(
    key: str,
    *entries: tuple[str, str, int],
    currency: Currency = KES,
    kind: str = "test",
    escrow_id: str | None = None,
) -> Journal:
    return Journal(kind, key, currency, [Entry(*entry) for entry in entries], NOW, escrow_id)


def paid_in(key: str, person: int | str, minor: int) -> Journal:
    return journal(key, ("external", OUT, -minor), ("wallet", str(person), minor))


def withdrawal(key: str, person: int | str, minor: int) -> Journal:
    return journal(key, ("wallet", str(person), -minor), ("external", OUT, minor))


async def post(db: Database, *journals: Journal) -> dict[tuple[str, str], int]:
    async with db.unit() as conn:
        return await ledger.post(conn, journals)


async def wallet(db: Database, person: int | str) -> int:
    async with db.reading() as conn:
        return (await ledger.balance(conn, "wallet", str(person), KES)).minor


async def test_a_posting_answers_with_the_balances_it_left(db: Database) -> None:
    assert await post(db, paid_in("a", 7, 500)) == {("wallet", "7"): 500}
    after = await post(db, journal("b", ("wallet", "7", -200), ("wallet", "8", 200)))
    assert after == {("wallet", "7"): 300, ("wallet", "8"): 200}


async def test_accounts_that_every_payment_touches_are_not_answered(db: Database) -> None:
    after = await post(
        db,
        paid_in("a", 7, 500),
        journal("b", ("wallet", "7", -5), ("fees", "", 5)),
        journal("c", ("costs", "mpesa", 3), ("external", OUT, -3)),
        journal("d", ("owner", "", -100), ("external", OUT, 100)),
    )
    assert after == {("wallet", "7"): 495}


async def test_the_same_key_with_the_same_inputs_posts_nothing_more(db: Database) -> None:
    await post(db, paid_in("a", 7, 500))
    assert await post(db, paid_in("a", 7, 500)) == {("wallet", "7"): 500}
    assert await post(db, paid_in("a", 7, 500), paid_in("a", 7, 500)) == {("wallet", "7"): 500}


async def test_a_later_hour_is_not_another_input(db: Database) -> None:
    first = paid_in("a", 7, 500)
    await post(db, first)
    again = Journal("test", "a", KES, first.entries, NOW + timedelta(hours=1))
    assert await post(db, again) == {("wallet", "7"): 500}


@pytest.mark.parametrize(
    "other",
    [
        paid_in("a", 7, 501),
        paid_in("a", 8, 500),
        journal("a", ("external", OUT, -500), ("wallet", "7", 500), kind="other"),
        journal("a", ("external", OUT, -500), ("wallet", "7", 500), currency=Currency.USD),
    ],
    ids=["amount", "account", "kind", "currency"],
)
async def test_the_same_key_with_other_inputs_is_a_conflict(db: Database, other: Journal) -> None:
    await post(db, paid_in("a", 7, 500))
    with pytest.raises(Conflict):
        await post(db, other)
    assert await wallet(db, 7) == 500
    assert await wallet(db, 8) == 0


async def test_all_journals_of_a_unit_are_written_or_none(db: Database) -> None:
    with pytest.raises(BooksBroken):
        await post(db, paid_in("a", 7, 500), withdrawal("b", 7, 501))
    assert await wallet(db, 7) == 0
    assert await post(db, paid_in("a", 7, 300)) == {("wallet", "7"): 300}, "the key is still free"


@pytest.mark.parametrize(
    "broken",
    [
        journal("x", ("external", OUT, -500), ("wallet", "7", 499)),
        journal("x", ("wallet", "7", 500)),
        journal("x"),
        withdrawal("x", 7, 1),
        journal("x", ("external", OUT, -1), ("holding", books.NEW, 1)),
    ],
    ids=["unbalanced", "one leg", "empty", "below zero", "no such deal"],
)
async def test_what_would_break_the_books_says_so(db: Database, broken: Journal) -> None:
    with pytest.raises(BooksBroken):
        await post(db, broken)


@pytest.mark.parametrize("minor", [1.5, float("nan"), "1.5", "1e3", None, "x"])
async def test_only_whole_minor_units_are_posted(db: Database, minor: Any) -> None:
    entries = [Entry("external", OUT, minor), Entry("wallet", "7", minor)]
    with pytest.raises((asyncpg.DataError, Fault)):
        await post(db, Journal("test", "x", KES, entries, NOW))
    assert await wallet(db, 7) == 0


async def test_what_is_simply_wrong_is_a_fault(db: Database) -> None:
    with pytest.raises(Fault):
        await post(db, journal("x", ("external", OUT, -1), ("wallet", "nobody", 1)))


async def test_an_account_that_was_never_used_has_nothing(db: Database) -> None:
    async with db.reading() as conn:
        assert await ledger.balance(conn, "wallet", "7", KES) == Money(0, KES)
        assert await ledger.wallets(conn, 7) == []
    async with db.unit() as conn:
        assert await ledger.lock_wallet(conn, 7, KES) == Money(0, KES)


async def test_a_persons_wallets(db: Database) -> None:
    usd = journal("u", ("external", OUT, -9), ("wallet", "7", 9), currency=Currency.USD)
    await post(db, paid_in("a", 7, 500), usd, withdrawal("b", 7, 200), paid_in("other", 8, 1))
    async with db.reading() as conn:
        assert await ledger.wallets(conn, 7) == [Money(300, KES), Money(9, Currency.USD)]


async def test_what_is_held_in_a_persons_deals(world_db: Database) -> None:
    async with world_db.reading() as conn:
        buyer = await ledger.held_in_deals(conn, BUYER)
        seller = await ledger.held_in_deals(conn, SELLER)
    assert buyer == [{"currency": "KES", "paid_minor": 5 * DUE, "coming_minor": 0}]
    assert seller == [{"currency": "KES", "paid_minor": 0, "coming_minor": 5 * PRICE}]


# -- many at once --------------------------------------------------------------------------------


async def test_of_fifty_withdrawals_of_ten_a_wallet_of_a_hundred_pays_ten(db: Database) -> None:
    await post(db, paid_in("in", 7, 100_00))
    done = await asyncio.gather(
        *(post(db, withdrawal(f"w{number}", 7, 10_00)) for number in range(50)),
        return_exceptions=True,
    )
    outcomes = Counter(type(outcome).__name__ for outcome in done)
    assert outcomes == {"dict": 10, "BooksBroken": 40}
    assert await wallet(db, 7) == 0
    async with db.reading() as conn:
        assert await ledger.proof(conn) == []


async def test_fifty_postings_over_shared_wallets_never_deadlock_and_add_up(
    db: Database, conn: asyncpg.Connection
) -> None:
    """Each moves money between three of five wallets, named in any order."""
    people = [str(number) for number in range(11, 16)]
    await post(db, *(paid_in(f"in:{person}", person, 1_000_00) for person in people))
    dice = random.Random(4)  # noqa: S311 the same dice in every run
    expected = dict.fromkeys(people, 1_000_00)
    journals = []
    for number in range(50):
        giver, first, second = dice.sample(people, 3)
        a, b = dice.randint(1, 500), dice.randint(1, 500)
        entries = [("wallet", giver, -a - b), ("wallet", first, a), ("wallet", second, b)]
        dice.shuffle(entries)
        journals.append(journal(f"move:{number}", *entries))
        for _, person, minor in entries:
            expected[person] += minor
    before = await conn.fetchval(
        "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    )
    await asyncio.gather(*(post(db, one) for one in journals))  # an error would come out here
    assert {person: await wallet(db, person) for person in people} == expected
    after = await conn.fetchval(
        "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    )
    assert after == before
    await entries_are_gapless(conn)


async def test_the_same_key_fifty_times_at_once_is_posted_once(db: Database) -> None:
    done = await asyncio.gather(*(post(db, paid_in("a", 7, 500)) for _ in range(50)))
    assert done == [{("wallet", "7"): 500}] * 50
    assert await wallet(db, 7) == 500


async def test_a_key_with_different_inputs_at_once_is_posted_once(db: Database) -> None:
    done = await asyncio.gather(
        *(post(db, paid_in("a", 7, 500 + number)) for number in range(20)),
        return_exceptions=True,
    )
    outcomes = Counter(type(outcome).__name__ for outcome in done)
    assert outcomes == {"dict": 1, "Conflict": 19}


async def test_a_locked_wallet_waits_for_the_one_who_locked_it(db: Database) -> None:
    await post(db, paid_in("in", 7, 100))
    order: list[str] = []
    locked = asyncio.Event()

    async def first() -> None:
        async with db.unit() as conn:
            assert (await ledger.lock_wallet(conn, 7, KES)).minor == 100
            locked.set()
            await ledger.post(conn, [withdrawal("w", 7, 60)])
            order.append("first")

    async def second() -> None:
        await locked.wait()
        async with db.unit() as conn:
            seen = await ledger.lock_wallet(conn, 7, KES)
            order.append(f"second saw {seen.minor}")

    await asyncio.gather(first(), second())
    assert order == ["first", "second saw 40"]


async def entries_are_gapless(conn: asyncpg.Connection) -> None:
    """Every kept account counts 1, 2, 3 …, and each entry's balance is the sum up to it."""
    rows = await conn.fetch(
        "SELECT account_id, account_seq, balance_after,"
        " row_number() OVER by_account AS number, sum(amount_minor) OVER by_account AS running"
        " FROM ledger_entries WHERE account_seq IS NOT NULL"
        " WINDOW by_account AS (PARTITION BY account_id ORDER BY account_seq)"
    )
    assert rows
    assert all(row["account_seq"] == row["number"] for row in rows)
    assert all(row["balance_after"] == row["running"] for row in rows)
    accounts = await conn.fetch(
        "SELECT a.balance_minor, a.entries, count(e.id) AS n, coalesce(sum(e.amount_minor), 0) AS s"
        " FROM ledger_accounts a LEFT JOIN ledger_entries e ON e.account_id = a.id"
        " WHERE a.kind NOT IN ('external', 'fees', 'costs', 'owner') GROUP BY a.id"
    )
    assert all((row["balance_minor"], row["entries"]) == (row["s"], row["n"]) for row in accounts)


async def test_after_a_thousand_postings_every_number_is_right(
    db: Database, conn: asyncpg.Connection
) -> None:
    dice = random.Random(2)  # noqa: S311 the same dice in every run
    expected: Counter[str] = Counter()
    for batch in range(20):
        journals = []
        for number in range(50):
            person, minor = str(dice.randint(1, 9)), dice.randint(1, 10_000)
            if expected[person] >= minor and dice.random() < 0.5:
                journals.append(withdrawal(f"out:{batch}:{number}", person, minor))
                expected[person] -= minor
            else:
                journals.append(paid_in(f"in:{batch}:{number}", person, minor))
                expected[person] += minor
        await post(db, *journals)
    await entries_are_gapless(conn)
    assert {person: await wallet(db, person) for person in expected} == dict(expected)
    async with db.reading() as reading:
        assert await ledger.proof(reading) == []


# -- the proof of the books ----------------------------------------------------------------------

UNPAID = "holds money that nobody paid"


async def test_the_proof_finds_nothing_in_good_books(world_db: Database) -> None:
    async with world_db.reading() as conn:
        breaks = await ledger.proof(conn)
    assert all(line.endswith(UNPAID) for line in breaks), "its deals were funded by hand"


@pytest.mark.parametrize(
    ("tampering", "found"),
    [
        (
            "UPDATE ledger_entries SET amount_minor = amount_minor + 5 WHERE account_id ="
            " (SELECT id FROM ledger_accounts WHERE kind = 'fees')",
            ["trial balance KES is 5"],
        ),
        (
            f"UPDATE ledger_accounts SET balance_minor = 1 WHERE owner = '{SELLER}'",
            [f"(wallet:{SELLER}) is not the sum of its entries"],
        ),
        (
            "UPDATE ledger_accounts SET balance_minor = balance_minor - 1"
            f" WHERE kind = 'holding' AND owner = '{HELD}'",
            [
                f"(holding:{HELD}) is not the sum of its entries",
                f"deal {HELD} does not hold what its status says",
            ],
        ),
        (
            f"UPDATE escrow_transactions SET held_fee_minor = {FEE - 1} WHERE id = '{HELD}'",
            [f"deal {HELD} does not hold what its status says"],
        ),
        (
            "UPDATE escrow_transactions SET status = 'CANCELLED', cancelled_at = now()"
            f" WHERE id = '{UNDERPAID}'",
            [f"deal {UNDERPAID} does not hold what its status says"],
        ),
        (
            "UPDATE receipts SET amount_minor = amount_minor - 3 WHERE state = 'SUSPENSE'",
            ["(SGLOST0003) is not booked as it says", "suspense KES is off its receipts by 3"],
        ),
        (
            f"DELETE FROM settlements WHERE escrow_id = '{COMPLETED}'",
            [f"deal {COMPLETED} is not settled as its status says"],
        ),
        (
            f"UPDATE settlements SET fee_minor = fee_minor + 1 WHERE escrow_id = '{COMPLETED}'",
            [f"deal {COMPLETED} is not settled as its status says"],
        ),
        (
            "ALTER TABLE settlements DROP CONSTRAINT settlements_pkey CASCADE;"
            f" INSERT INTO settlements SELECT * FROM settlements WHERE escrow_id = '{COMPLETED}'",
            [f"deal {COMPLETED} is not settled as its status says"],
        ),
        (
            "INSERT INTO settlements (escrow_id, event, seller_minor, buyer_minor, fee_minor,"
            f" settled_at) VALUES ('{HELD}', 'release', {PRICE}, 0, {FEE}, now())",
            [f"deal {HELD} is not settled as its status says"],
        ),
        (
            f"UPDATE receipts SET state = 'IGNORED' WHERE escrow_id = '{HELD}'",
            [
                f"deal {HELD} {UNPAID}",
                "(SGCREDIT01) is not booked as it says",
                "(SGFITTED05) is not booked as it says",
                "(SGTAKEN006) is not booked as it says",
                "(tx1#1) is not booked as it says",
            ],
        ),
        (
            "UPDATE ledger_journals SET idempotency_key = 'x' WHERE idempotency_key ="
            f" 'fund:{HELD}'",
            [f"deal {HELD} {UNPAID}"],
        ),
        (
            f"UPDATE escrow_transactions SET status = 'SHIPPED' WHERE id = '{HELD}'",
            [f"deal {HELD} is not where its timeline says"],
        ),
        (
            f"DELETE FROM escrow_timeline WHERE escrow_id = '{HELD}' AND event = 'fund'",
            [f"deal {HELD} is not where its timeline says"],
        ),
        (
            f"UPDATE escrow_transactions SET version = version + 1 WHERE id = '{PENDING}'",
            [f"deal {PENDING} is not where its timeline says"],
        ),
        (
            "UPDATE ledger_journals SET idempotency_key = 'x' WHERE idempotency_key ="
            " 'receipt:mpesa:SGCREDIT01'",
            ["(SGCREDIT01) is not booked as it says"],
        ),
        (
            "UPDATE receipts SET state = 'CREDITED', evidence = 'admin', posted_at = now()"
            " WHERE reference = 'SGWAIT0002'",
            ["(SGWAIT0002) is not booked as it says"],
        ),
        (
            "UPDATE receipts SET amount_minor = amount_minor + 1 WHERE reference = 'SGCREDIT01'",
            ["(SGCREDIT01) is not booked as it says"],
        ),
        (
            "UPDATE payouts SET amount_minor = amount_minor + 1 WHERE id = 2",
            ["payout 2 is not as it is booked"],
        ),
        (
            "UPDATE payouts SET state = 'PAID', provider_reference = 'SGNEVER001',"
            " finalized_at = now() WHERE id = 2",
            ["payout 2 is not as it is booked"],
        ),
        (
            "UPDATE payouts SET state = 'READY', finalized_at = NULL WHERE id = 3",
            ["payout 3 is not as it is booked"],
        ),
        (
            "DROP INDEX payout_one_live_attempt; INSERT INTO payout_attempts (payout_id, token,"
            " originator_conversation_id, state, sent_at)"
            f" VALUES (1, '{'e' * 32}', 'out-9', 'SENDING', now())",
            ["payout 1 is not as it is booked"],
        ),
        (
            "UPDATE ledger_journals SET idempotency_key = 'x' WHERE idempotency_key = 'payout:2'",
            ["payout 2 is not as it is booked"],
        ),
        (
            "DELETE FROM ledger_entries WHERE account_id ="
            f" (SELECT id FROM ledger_accounts WHERE kind = 'wallet' AND owner = '{SELLER}')"
            " AND account_seq IN (1, 2)",
            ["trial balance KES is -20000", f"(wallet:{SELLER}) is not the sum of its entries"],
        ),
    ],
)
async def test_the_proof_names_every_break(
    world_db: Database, tampering: str, found: list[str]
) -> None:
    async with world_db.reading() as conn:
        before = await ledger.proof(conn)
    async with world_db.unit() as conn:
        await conn.execute("SET LOCAL ROLE NONE")  # the owner, with the triggers out of the way
        await conn.execute("SET LOCAL session_replication_role = 'replica'")
        await conn.execute(tampering)
    async with world_db.reading() as conn:
        breaks = [line for line in await ledger.proof(conn) if line not in before]
    assert len(breaks) == len(found)
    assert all(line.endswith(words) for line, words in zip(breaks, found, strict=True))


async def test_what_is_held_for_customers_is_added_up(world_db: Database) -> None:
    async with world_db.reading() as conn:
        totals = {row["kind"]: row["total_minor"] for row in await ledger.held_totals(conn)}
    assert totals == {
        "received": books.RECEIVED,
        "holding": 5 * PRICE,
        "pending_fee": 5 * FEE,
        "wallet": DUE - PRICE + books.SPARE,  # what else they had is on its way
        "payable": 2 * PRICE,
        "suspense": 20_00,
    }
