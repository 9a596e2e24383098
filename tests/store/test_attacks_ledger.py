"""Direct SQL against the ledger: what PostgreSQL refuses whoever asks (invariants I1–I7, I10, I16).

Each attack is refused by name, and succeeds once its guard is gone: so no guard is idle.
"""

# ruff: noqa: S608 (the statements are made of these modules' own constants)

import asyncpg
import pytest

from tests.store import attacks, books
from tests.store.attacks import Attack, attack
from tests.store.books import (
    APP,
    CANCELLED,
    COMPLETED,
    DUE,
    FEE,
    HELD,
    OWNER,
    PENDING,
    PRICE,
    RECEIVED,
    REFUNDED,
    SELLER,
    SHIPPED,
    SPARE,
    STRANGER,
    UNDERPAID,
    drain,
    entry,
    insert,
    journal,
    move,
    post,
    settle,
)

BOTH = (OWNER, APP)
ENTRIES_KEPT = "ledger_entries.ledger_entries_append_only"
JOURNALS_KEPT = "ledger_journals.ledger_journals_append_only"
ACCOUNTS_KEPT = "ledger_accounts.ledger_accounts_kept"
ACCOUNT_GUARD = "ledger_accounts.ledger_account_guard"
ENTRY_WRITTEN = "ledger_entries.ledger_entry_written"
BALANCED = "ledger_journals.ledger_journal_balanced"
DEAL_CHECK = "escrow_transactions.escrow_money_check"
ACCOUNT_CHECK = "ledger_accounts.escrow_money_check"
SETTLEMENT_CHECK = "settlements.escrow_money_check"
SETTLEMENTS_KEPT = "settlements.settlements_append_only"
SETTLEMENT_WHOLE = "settlements.settlement_whole"
PAYOUTS_KEPT = ("payouts.payouts_kept", "payout_attempts.payout_attempts_kept")
OUT = "mpesa:utility"
WALLET = str(STRANGER)  # has SPARE

WHOLE = {"seller_minor": 0, "buyer_minor": 0, "fee_minor": 0}

JOURNALS: tuple[Attack, ...] = (
    attack(
        "a journal whose entries do not sum to zero is not committed",
        journal(),
        entry("external", OUT, -1_00),
        entry("wallet", WALLET, 50),
        by="journal_balanced",
        guard=BALANCED,
    ),
    attack("an empty journal is not committed", journal(), by="journal_balanced", guard=BALANCED),
    attack(
        "a journal of one leg is not committed",
        journal(),
        entry("external", OUT, -1_00),
        by="journal_balanced",
        guard=BALANCED,
    ),
    attack(
        "shillings do not balance dollars",
        insert("ledger_accounts", kind="external", owner=OUT, currency="USD"),
        journal(),
        entry("external", OUT, -5_00, currency="USD"),
        entry("wallet", WALLET, 5_00),
        by="journal_balanced",
        guard=BALANCED,
    ),
    *(
        attack(
            f"the program cannot post {what} either",
            post("attack", *entries),
            by="journal_balanced",
            guard=BALANCED,
            roles=BOTH,
        )
        for what, entries in (
            ("an unbalanced journal", (("external", OUT, -2), ("wallet", WALLET, 1))),
            ("an empty journal", ()),
            ("a journal of one leg", (("external", OUT, -1),)),
        )
    ),
    attack(
        "a closed journal takes no more entries",
        entry("external", OUT, -1_00, key="late"),
        entry("wallet", WALLET, 1_00, key="late"),
        by="journal_closed",
        guard=ENTRY_WRITTEN,
    ),
    attack(
        "a journal is not changed",
        "UPDATE ledger_journals SET kind = 'other'",
        by="ledger_journals_append_only",
        guard=JOURNALS_KEPT,
    ),
    attack(
        "a journal is not deleted",
        "DELETE FROM ledger_journals",
        by="ledger_journals_append_only",
        guard=JOURNALS_KEPT,
        behind=("ledger_entries_journal_id_fkey",),
    ),
    attack(
        "journals are not emptied",
        "TRUNCATE ledger_journals CASCADE",
        by="ledger_journals_append_only",
        guard=JOURNALS_KEPT,
        behind=(ENTRIES_KEPT,),
    ),
    *(
        attack(
            f"an entry is not {done}",
            sql,
            by="ledger_entries_append_only",
            guard=ENTRIES_KEPT,
        )
        for done, sql in (
            ("changed", "UPDATE ledger_entries SET amount_minor = amount_minor + 1"),
            ("deleted", "DELETE FROM ledger_entries"),
            ("emptied away", "TRUNCATE ledger_entries"),
        )
    ),
    attack(
        "a key is used for one journal only",
        journal("late", digest="y"),
        by="ledger_journals_idempotency_key_key",
        behind=(BALANCED,),
    ),
    attack(
        "a key that comes back with other inputs is a conflict",
        post("late", ("external", OUT, -1), ("wallet", WALLET, 1), digest="other"),
        by="journal_key_reused",
        guard="",
        roles=BOTH,
    ),
    attack(
        "a journal has a key",
        journal(""),
        by="ledger_journals_idempotency_key_check",
        behind=(BALANCED,),
    ),
    attack(
        "a journal has a hash of its inputs",
        journal(digest=""),
        by="ledger_journals_inputs_hash_check",
        behind=(BALANCED,),
    ),
    attack(
        "a journal's kind is a word",
        journal(kind="Not a word"),
        by="ledger_journals_kind_check",
        behind=(BALANCED,),
    ),
    attack(
        "a journal of a deal names one that exists",
        post(
            "attack",
            ("external", OUT, -1),
            ("wallet", WALLET, 1),
            escrow=books.NEW,
        ),
        by="ledger_journals_escrow_id_fkey",
        roles=BOTH,
    ),
    attack(
        "a journal has a number of its own",
        "INSERT INTO ledger_journals (id, kind, idempotency_key, inputs_hash, happened_at)"
        " OVERRIDING SYSTEM VALUE VALUES (1, 'attack', 'attack', 'x', now())",
        by="ledger_journals_pkey",
        behind=(BALANCED,),
    ),
    attack(
        "an entry of nothing is not written",
        post("attack", ("external", OUT, -1), ("wallet", WALLET, 1), ("wallet", WALLET, 0)),
        by="ledger_entries_amount_minor_check",
        roles=BOTH,
    ),
    attack(
        "an entry larger than all money is not written",
        post("attack", ("external", OUT, -(10**15) - 1), ("wallet", WALLET, 10**15 + 1)),
        by="ledger_entries_amount_minor_check",
        roles=BOTH,
    ),
    attack(
        "an entry belongs to an account",
        journal(),
        "INSERT INTO ledger_entries (journal_id, account_id, amount_minor)"
        " SELECT id, 999999, 1 FROM ledger_journals WHERE idempotency_key = 'attack'",
        by="ledger_entries_account_id_fkey",
        behind=(BALANCED,),
    ),
    attack(
        "an entry belongs to a journal",
        "INSERT INTO ledger_entries (journal_id, account_id, amount_minor) VALUES (999999, 1, 1)",
        by="ledger_entries_journal_id_fkey",
        behind=(ENTRY_WRITTEN,),
    ),
    attack(
        "an entry has a number of its own",
        journal(),
        "INSERT INTO ledger_entries (id, journal_id, account_id, amount_minor)"
        " OVERRIDING SYSTEM VALUE SELECT 1, j.id, a.id, 1 FROM ledger_journals j,"
        " ledger_accounts a WHERE j.idempotency_key = 'attack' AND a.kind = 'external'",
        by="ledger_entries_pkey",
        behind=(BALANCED,),
    ),
    attack(
        "an account counts no entry twice",
        "INSERT INTO ledger_entries (journal_id, account_id, amount_minor, account_seq)"
        " SELECT journal_id, account_id, amount_minor, account_seq FROM ledger_entries"
        "  WHERE account_seq IS NOT NULL LIMIT 1",
        by="ledger_entries_account_id_account_seq_key",
        behind=(ENTRY_WRITTEN,),
    ),
    attack(
        "the balance beside an entry is the database's, whatever the writer says",
        journal(),
        "INSERT INTO ledger_entries (journal_id, account_id, amount_minor, balance_after)"
        " SELECT j.id, a.id, v.minor, 777 FROM ledger_journals j, ledger_accounts a,"
        " (VALUES (1), (-1)) AS v (minor)"
        " WHERE j.idempotency_key = 'attack' AND a.kind = 'wallet' AND a.owner = '4004'",
        "DO $$ BEGIN IF NOT EXISTS (SELECT FROM ledger_entries WHERE balance_after = 777) THEN"
        " RAISE check_violation USING CONSTRAINT = 'balance_from_the_trigger'; END IF; END $$",
        by="balance_from_the_trigger",
        guard=ENTRY_WRITTEN,
    ),
)

ACCOUNTS: tuple[Attack, ...] = (
    attack(
        "a balance is not changed by hand",
        f"UPDATE ledger_accounts SET balance_minor = balance_minor + 1 WHERE owner = '{WALLET}'",
        by="account_moves_by_entry",
        guard=ACCOUNT_GUARD,
    ),
    attack(
        "a count of entries is not changed by hand",
        f"UPDATE ledger_accounts SET entries = entries + 1 WHERE owner = '{WALLET}'",
        by="account_moves_by_entry",
        guard=ACCOUNT_GUARD,
    ),
    attack(
        "a wallet does not become another person's",
        f"UPDATE ledger_accounts SET owner = '5005' WHERE owner = '{WALLET}'",
        by="account_moves_by_entry",
        guard=ACCOUNT_GUARD,
    ),
    attack(
        "an account does not open with money in it",
        insert("ledger_accounts", balance_minor=1),
        by="account_moves_by_entry",
        guard=ACCOUNT_GUARD,
    ),
    attack(
        "an account is not deleted",
        "DELETE FROM ledger_accounts WHERE owner = '4004'",
        by="ledger_accounts_append_only",
        guard=ACCOUNTS_KEPT,
    ),
    attack(
        "accounts are not emptied",
        "TRUNCATE ledger_accounts CASCADE",
        by="ledger_accounts_append_only",
        guard=ACCOUNTS_KEPT,
        behind=(ENTRIES_KEPT,),
    ),
    attack(
        "a wallet does not go below zero",
        post("attack", ("wallet", WALLET, -SPARE - 1), ("external", OUT, SPARE + 1)),
        by="account_not_negative",
        roles=BOTH,
    ),
    attack(
        "an empty wallet pays nothing",
        post("attack", ("wallet", "4004", -1), ("external", OUT, 1)),
        by="account_not_negative",
        roles=BOTH,
    ),
    attack(
        "suspense does not go below zero",
        post("attack", ("suspense", "", -20_01), ("external", OUT, 20_01)),
        by="account_not_negative",
        roles=BOTH,
    ),
    attack(
        "a payout that was not decided takes nothing",
        post("attack", ("payable", "1", -PRICE - 1), ("external", OUT, PRICE + 1)),
        by="account_not_negative",
        behind=("ledger_accounts.payout_check",),
        roles=BOTH,
    ),
    attack(
        "a holding does not go below zero",
        post("attack", ("holding", PENDING, -1), ("wallet", WALLET, 1)),
        by="account_not_negative",
        behind=(ACCOUNT_CHECK,),
        roles=BOTH,
    ),
    attack(
        "an account that every payment touches keeps no balance",
        "UPDATE ledger_accounts SET balance_minor = 5 WHERE kind = 'fees'",
        by="account_derived_keeps_no_balance",
        behind=(ACCOUNT_GUARD,),
    ),
    attack(
        "no account has fewer than no entries",
        "UPDATE ledger_accounts SET entries = -1 WHERE owner = '4004'",
        by="ledger_accounts_entries_check",
        behind=(ACCOUNT_GUARD,),
    ),
    attack(
        "a wallet is a person's",
        post("attack", ("external", OUT, -1), ("wallet", "None", 1)),
        by="account_wallet_of_a_person",
        roles=BOTH,
    ),
    attack(
        "a wallet's owner fits into a number",
        post("attack", ("external", OUT, -1), ("wallet", "9" * 19, 1)),
        by="account_wallet_of_a_person",
        roles=BOTH,
    ),
    attack(
        "a kind of account that nobody knows is not opened",
        post("attack", ("external", OUT, -1), ("pocket", "1", 1)),
        by="ledger_accounts_kind_check",
        roles=BOTH,
    ),
    attack(
        "the books know no euros",
        post("attack", ("external", OUT, -1), ("wallet", WALLET, 1), currency="EUR"),
        by="ledger_accounts_currency_check",
        roles=BOTH,
    ),
    attack(
        "an account exists once",
        insert("ledger_accounts", owner=WALLET),
        by="ledger_accounts_kind_owner_currency_key",
    ),
    attack(
        "an account has a number of its own",
        insert("ledger_accounts", id=1),
        by="ledger_accounts_pkey",
    ),
)

DEAL_MONEY: tuple[Attack, ...] = (
    attack(
        "a deal is not held without its money",
        move(PENDING, "fund", "HELD", "payment", held_price_minor=PRICE, held_fee_minor=FEE),
        by="deal_money_matches",
        guard=DEAL_CHECK,
        roles=BOTH,
    ),
    attack(
        "a deal is not held with less than it says",
        *books.fund(PENDING, holding=PRICE - 1)[:2],
        move(PENDING, "fund", "HELD", "payment", held_price_minor=PRICE, held_fee_minor=FEE),
        by="deal_money_matches",
        guard=DEAL_CHECK,
        behind=(ACCOUNT_CHECK,),
        roles=BOTH,
    ),
    attack(
        "a deal does not hold money while it waits for it",
        post("attack", ("external", OUT, -PRICE), ("holding", PENDING, PRICE)),
        by="deal_money_matches",
        guard=ACCOUNT_CHECK,
        roles=BOTH,
    ),
    attack(
        "a fee is not held while the deal waits for money",
        post("attack", ("external", OUT, -FEE), ("pending_fee", PENDING, FEE)),
        by="deal_money_matches",
        guard=ACCOUNT_CHECK,
        roles=BOTH,
    ),
    *(
        attack(
            f"{account} is not drained while the deal stays {status}",
            post("attack", (kind, deal, -1), ("wallet", str(SELLER), 1)),
            by="deal_money_matches",
            guard=ACCOUNT_CHECK,
            roles=BOTH,
        )
        for status, deal in (
            ("HELD", HELD),
            ("SHIPPED", SHIPPED),
            ("DELIVERED", books.DELIVERED),
            ("DISPUTED", books.DISPUTED),
            ("FROZEN", books.FROZEN),
        )
        for account, kind in (("the holding", "holding"), ("the pending fee", "pending_fee"))
    ),
    *(
        attack(
            f"a {status} deal takes no money into its {kind}",
            post("attack", ("external", OUT, -1), (kind, deal, 1)),
            by="deal_money_matches",
            guard=ACCOUNT_CHECK,
            roles=BOTH,
        )
        for status, deal in (
            ("COMPLETED", COMPLETED),
            ("REFUNDED", REFUNDED),
            ("CANCELLED", CANCELLED),
        )
        for kind in ("received", "holding", "pending_fee")
    ),
    attack(
        "a funded deal has no undecided money",
        post("attack", ("external", OUT, -1), ("received", HELD, 1)),
        by="deal_money_matches",
        guard=ACCOUNT_CHECK,
        roles=BOTH,
    ),
    attack(
        "a deal is not cancelled over undecided money",
        move(UNDERPAID, "cancel", "CANCELLED", "timer"),
        by="deal_money_matches",
        guard=DEAL_CHECK,
        roles=BOTH,
    ),
    attack(
        "a deal is not funded with undecided money left over",
        post(
            "attack",
            ("received", UNDERPAID, -RECEIVED + 1),
            ("holding", UNDERPAID, RECEIVED - 1),
        ),
        move(UNDERPAID, "fund", "HELD", "payment", held_price_minor=RECEIVED - 1, held_fee_minor=0),
        by="deal_money_matches",
        guard=DEAL_CHECK,
        behind=(ACCOUNT_CHECK,),
        roles=BOTH,
    ),
    attack(
        "a deal in shillings holds no dollars",
        post("attack", ("external", OUT, -1), ("holding", PENDING, 1), currency="USD"),
        by="deal_money_matches",
        guard=ACCOUNT_CHECK,
        roles=BOTH,
    ),
    attack(
        "dollars do not stand in for shillings",
        post("attack", ("holding", HELD, -1), ("wallet", WALLET, 1)),
        post("in dollars", ("external", OUT, -1), ("holding", HELD, 1), currency="USD"),
        by="deal_money_matches",
        guard=ACCOUNT_CHECK,
        roles=BOTH,
    ),
    attack(
        "money of a deal belongs to one that exists",
        post("attack", ("external", OUT, -1), ("received", books.NEW, 1)),
        by="deal_money_matches",
        guard=ACCOUNT_CHECK,
        roles=BOTH,
    ),
    attack(
        "a deal does not end while its money stays",
        *settle(SHIPPED, "release", seller=PRICE, buyer=0, fee=FEE)[1:],
        move(SHIPPED, "release", "COMPLETED", "timer"),
        by="deal_money_matches",
        guard=DEAL_CHECK,
        behind=(SETTLEMENT_CHECK,),
        roles=BOTH,
    ),
)

SETTLED: tuple[Attack, ...] = (
    attack(
        "a deal that held money does not end without its settlement",
        drain(HELD, seller=0, buyer=DUE, fee=0),
        move(HELD, "refund", "REFUNDED", "timer"),
        by="deal_settled_once",
        guard=DEAL_CHECK,
        behind=(ACCOUNT_CHECK,),
        roles=BOTH,
    ),
    attack(
        "a deal is not settled while it goes on",
        insert("settlements"),
        by="deal_settled_once",
        guard=SETTLEMENT_CHECK,
        roles=BOTH,
    ),
    attack(
        "a settlement names the event that ended the deal",
        *settle(HELD, "release", seller=0, buyer=DUE, fee=0),
        move(HELD, "refund", "REFUNDED", "timer"),
        by="deal_settled_once",
        guard=DEAL_CHECK,
        behind=(ACCOUNT_CHECK, SETTLEMENT_CHECK),
        roles=BOTH,
    ),
    attack(
        "a refunded deal paid the seller nothing",
        *settle(HELD, "refund", seller=1, buyer=DUE - 1, fee=0),
        move(HELD, "refund", "REFUNDED", "timer"),
        by="deal_settled_once",
        guard=DEAL_CHECK,
        behind=(ACCOUNT_CHECK, SETTLEMENT_CHECK),
        roles=BOTH,
    ),
    *(
        attack(
            f"a settlement of {what} than was held is refused",
            insert("settlements", seller_minor=PRICE + more),
            by="settlement_whole",
            guard=SETTLEMENT_WHOLE,
            behind=(SETTLEMENT_CHECK,),
            roles=BOTH,
        )
        for what, more in (("more", 1), ("less", -1))
    ),
    attack(
        "a deal that never held money is not settled",
        insert("settlements", escrow_id=PENDING),
        by="settlement_whole",
        guard=SETTLEMENT_WHOLE,
        behind=(SETTLEMENT_CHECK,),
        roles=BOTH,
    ),
    attack(
        "a deal is settled once, the same way",
        insert("settlements", escrow_id=COMPLETED),
        by="settlements_pkey",
        roles=BOTH,
    ),
    attack(
        "a deal that was released is not refunded as well",
        insert(
            "settlements",
            escrow_id=COMPLETED,
            event="refund",
            seller_minor=0,
            buyer_minor=DUE,
            fee_minor=0,
        ),
        by="settlements_pkey",
        behind=(SETTLEMENT_CHECK,),
        roles=BOTH,
    ),
    *(
        attack(
            f"a settlement takes nothing from the {part}",
            insert("settlements", **{**WHOLE, f"{part}_minor": -1, other: DUE + 1}),
            by=f"settlements_{part}_minor_check",
            behind=(SETTLEMENT_CHECK,),
            roles=BOTH,
        )
        for part, other in (
            ("seller", "buyer_minor"),
            ("buyer", "seller_minor"),
            ("fee", "buyer_minor"),
        )
    ),
    attack(
        "a deal is settled by an event that ends deals",
        insert("settlements", event="ship"),
        by="settlements_event_check",
        behind=(SETTLEMENT_CHECK,),
        roles=BOTH,
    ),
    attack(
        "a settlement belongs to a deal",
        insert("settlements", escrow_id=books.NEW),
        by="settlements_escrow_id_fkey",
        behind=(SETTLEMENT_CHECK, SETTLEMENT_WHOLE),
    ),
    attack(
        "a settlement is not changed",
        "UPDATE settlements SET seller_minor = 0, buyer_minor = seller_minor",
        by="settlements_append_only",
        guard=SETTLEMENTS_KEPT,
    ),
    attack(
        "a settlement is not deleted",
        f"DELETE FROM settlements WHERE escrow_id = '{REFUNDED}'",
        by="settlements_append_only",
        guard=SETTLEMENTS_KEPT,
    ),
    attack(
        "settlements are not emptied",
        "TRUNCATE settlements CASCADE",
        by="settlements_append_only",
        guard=SETTLEMENTS_KEPT,
        behind=PAYOUTS_KEPT,
    ),
)


ATTACKS = (*JOURNALS, *ACCOUNTS, *DEAL_MONEY, *SETTLED)


@pytest.mark.parametrize(("tried", "role"), attacks.each(ATTACKS))
async def test_is_refused(attacked: asyncpg.Connection, tried: Attack, role: str) -> None:
    refusal = await attacks.try_attack(attacked, tried, role)
    assert refusal is not None, "PostgreSQL let it pass"
    assert attacks.name_of(refusal) == tried.refused_by


@pytest.mark.parametrize("tried", attacks.guarded(ATTACKS))
async def test_no_guard_is_idle(attacked: asyncpg.Connection, tried: Attack) -> None:
    refusal = await attacks.try_attack(attacked, tried, tried.roles[-1], without_guard=True)
    assert refusal is None, f"refused by {attacks.name_of(refusal)} as well"
