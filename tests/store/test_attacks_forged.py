"""What the program's role cannot reach by triggers and tables of its own: rows of the timeline that
the flow did not write, balances that no entry moved.

A clone of a database does not inherit who may make temporary tables, so that here, unlike in a
migrated database, the attacks get as far as their real guards.
"""

# ruff: noqa: S608 (the statements are made of this module's own constants)

import asyncpg
import pytest

from escrow.store import embedded
from tests.store import attacks, books
from tests.store.attacks import Attack, attack
from tests.store.books import APP, HELD, NOW, SELLER, STRANGER, Step, change, post

TIMELINE_GUARD = "escrow_timeline.timeline_guard"
NO_RIGHT = "sqlstate:42501"
WALLET = str(STRANGER)
CALLED = {
    "flow_check(escrow_transactions,text)",
    "escrow_money_check(text)",
    "ledger_post(jsonb)",
    "ledger_lock_wallet(text,text)",
    "ledger_roll_up(bigint)",
    "payout_check(bigint)",  # reads, and refuses
    "time_stood_still(timestamp with time zone,timestamp with time zone)",  # only reads
    "refresh_statistics(text)",  # counts for the planner
    "crypto_receipt_number(crypto_deposits,text)",  # only says a number
}


def nested(statement: str, *, definer: bool = False) -> tuple[Step, ...]:
    """A statement inside a trigger of the session's own."""
    return (
        "CREATE TEMP TABLE lever (pulled int)",
        "CREATE FUNCTION pg_temp.pull() RETURNS trigger LANGUAGE plpgsql"
        f" {'SECURITY DEFINER' if definer else ''} AS $$ BEGIN {statement}; RETURN NEW; END $$",
        "CREATE TRIGGER pull BEFORE INSERT ON lever FOR EACH ROW EXECUTE FUNCTION pg_temp.pull()",
        "INSERT INTO lever VALUES (1)",
    )


FORGED_ROW = (
    "INSERT INTO public.escrow_timeline (escrow_id, version, event, from_status, to_status, actor,"
    f" at) SELECT id, version + 1, last_event, status, 'SHIPPED', last_actor, '{NOW}'"
    f" FROM public.escrow_transactions WHERE id = '{HELD}'"
)

ATTACKS: tuple[Attack, ...] = (
    *(
        attack(
            f"a trigger {whose} forges no event, so that a deal moves without the flow",
            *nested(FORGED_ROW, definer=definer),
            change(HELD, status="SHIPPED", version=3, shipped_at=NOW, release_at=NOW),
            by="timeline_tells_the_truth",
            guard=TIMELINE_GUARD,
            roles=(APP,),
        )
        for whose, definer in (("of a session", False), ("that runs as the program", True))
    ),
    attack(
        "the trigger that writes the timeline serves no table of a session's own",
        "CREATE TEMP TABLE lever AS SELECT * FROM escrow_transactions LIMIT 0",
        "CREATE TRIGGER pull AFTER INSERT ON lever"
        " FOR EACH ROW EXECUTE FUNCTION public.escrow_opened_timeline()",
        "INSERT INTO lever (id, last_event, status, last_actor, updated_at, last_data)"
        f" VALUES ('{HELD}', 'release', 'COMPLETED', 'admin:1', now(), '{{}}')",
        by=NO_RIGHT,
        guard=f"GRANT EXECUTE ON FUNCTION escrow_opened_timeline() TO {APP}",
        behind=("escrow_timeline_escrow_id_version_key",),
        roles=(APP,),
    ),
    *(
        attack(
            f"a trigger {whose} moves no balance",
            *nested(
                "UPDATE public.ledger_accounts SET balance_minor = balance_minor + 100"
                f" WHERE kind = 'wallet' AND owner = '{WALLET}'",
                definer=definer,
            ),
            by=NO_RIGHT,
            guard=f"GRANT UPDATE ON ledger_accounts TO {APP}",
            roles=(APP,),
        )
        for whose, definer in (("of a session", False), ("that runs as the program", True))
    ),
    attack(
        "the trigger that moves balances serves no table of a session's own",
        post("attack", ("external", "mpesa:utility", -1), ("wallet", WALLET, 1)),
        "CREATE TEMP TABLE lever AS SELECT * FROM ledger_entries LIMIT 0",
        "CREATE TRIGGER pull BEFORE INSERT ON lever"
        " FOR EACH ROW EXECUTE FUNCTION public.ledger_entry_written()",
        "INSERT INTO lever (journal_id, account_id, amount_minor)"
        " SELECT j.id, a.id, 100 FROM ledger_journals j, ledger_accounts a"
        f" WHERE j.idempotency_key = 'attack' AND a.kind = 'wallet' AND a.owner = '{WALLET}'",
        by=NO_RIGHT,
        guard=f"GRANT EXECUTE ON FUNCTION ledger_entry_written() TO {APP}",
        roles=(APP,),
    ),
)


@pytest.mark.parametrize(("tried", "role"), attacks.each(ATTACKS))
async def test_is_refused(attacked: asyncpg.Connection, tried: Attack, role: str) -> None:
    refusal = await attacks.try_attack(attacked, tried, role)
    assert refusal is not None, "PostgreSQL let it pass"
    assert attacks.name_of(refusal) == tried.refused_by


@pytest.mark.parametrize("tried", attacks.guarded(ATTACKS))
async def test_no_guard_is_idle(attacked: asyncpg.Connection, tried: Attack) -> None:
    refusal = await attacks.try_attack(attacked, tried, tried.roles[-1], without_guard=True)
    assert refusal is None, f"refused by {attacks.name_of(refusal)} as well"


async def test_the_flow_still_writes_the_timeline_for_the_program(
    attacked: asyncpg.Connection,
) -> None:
    lawful = attack("", books.move(HELD, "ship", "SHIPPED", f"seller:{SELLER}"), by="", guard="")
    assert await attacks.try_attack(attacked, lawful, APP) is None


async def test_nobody_puts_things_of_his_own_into_a_migrated_database(
    cluster: embedded.Cluster, template_database: str
) -> None:
    conn = await asyncpg.connect(cluster.dsn())
    try:
        for right in ("TEMPORARY", "CREATE"):
            asked = "SELECT has_database_privilege($1, $2, $3)"
            assert not await conn.fetchval(asked, APP, template_database, right)
    finally:
        await conn.close()


async def test_nobody_calls_our_functions_but_the_program_those_it_needs(
    attacked: asyncpg.Connection,
) -> None:
    functions = await attacked.fetch(
        "SELECT oid::regprocedure::text AS name, has_function_privilege('public', oid, 'EXECUTE')"
        " AS anybody, has_function_privilege($1, oid, 'EXECUTE') AS program"
        " FROM pg_proc WHERE pronamespace = 'public'::regnamespace",
        APP,
    )
    assert [row["name"] for row in functions if row["anybody"]] == []
    assert {row["name"] for row in functions if row["program"]} == CALLED
