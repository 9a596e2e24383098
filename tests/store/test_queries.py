"""The named SQL blocks: each is well-formed against the migrated schema, and none stands twice."""

from pathlib import Path

import asyncpg
import pytest

from escrow.store import queries

MODULES = sorted(path.stem for path in queries.SQL_FOLDER.glob("*.sql"))
BLOCKS = [(module, name) for module in MODULES for name in queries.load(module)]


def test_there_are_blocks_to_look_at() -> None:
    assert len(BLOCKS) > 80


@pytest.mark.parametrize(("module", "name"), BLOCKS)
async def test_a_block_can_be_prepared(
    attacked: asyncpg.Connection, module: str, name: str
) -> None:
    await attacked.prepare(queries.load(module)[name])


@pytest.mark.parametrize(
    ("module", "name", "arguments", "indexes"),
    [
        (
            "flags",
            "shortages_since",
            "3001, now()",
            {"escrow_transactions_funded"},
        ),
        (
            "escrows",
            "deals_of",
            "3001, 20",
            {"escrow_transactions_buyer", "escrow_transactions_seller"},
        ),
        ("people", "completed_deals", "1", {"escrow_transactions_completed"}),
        ("cases", "open_counts", "", {"escrow_transactions_status"}),
        ("cases", "by_status", "'HELD', 0, 5", {"escrow_transactions_status"}),
        ("cases", "receipts", "'ES1008257624'", {"receipts_deal"}),
        ("cases", "payouts", "'ES1008257624'", {"payouts_escrow_id_leg_key"}),
        ("cases", "ways_back", "'ES1008257624'", {"receipts_deal", "payouts_receipt"}),
        ("cases", "timeline", "'ES1008257624'", {"escrow_timeline_deal"}),
        ("inbox", "inbox_backlog", "", {"inbox_due", "inbox_parked"}),
        ("inbox", "last_runs", "now()", {"job_runs_job", "job_runs_failed"}),
        (
            "escrows",
            "due_to_release",
            "now(), 100, NULL",
            {"escrow_transactions_release_at", "deal_setbacks_pkey"},
        ),
        (
            "escrows",
            "due_to_refund",
            "now(), 100, NULL",
            {"escrow_transactions_ship_by", "deal_setbacks_pkey"},
        ),
        (
            "escrows",
            "due_to_cancel",
            "now(), 100, NULL, '1 hour'",
            {"escrow_transactions_pay_by", "deal_setbacks_pkey"},
        ),
        ("inbox", "parked", "5", {"inbox_parked"}),
        ("inbox", "parked_since", "now(), 5", {"inbox_parked"}),
        (
            "ledger",
            "touched_receipts",
            "5, 5",
            {"receipt_once", "receipt_one_per_attempt", "ledger_journals_pkey"},
        ),
        (
            "ledger",
            "touched_deals",
            "5, 5",
            {"escrow_timeline_pkey", "ledger_entries_pkey", "ledger_accounts_pkey"},
        ),
        (
            "ledger",
            "touched_payouts",
            "5",
            {"payouts_open", "ledger_entries_pkey", "ledger_accounts_pkey"},
        ),
        (
            "ledger",
            "broken_receipts",
            "ARRAY[1, 2]::bigint[]",
            {"receipts_pkey", "ledger_journals_idempotency_key_key"},
        ),
        (
            "funding",
            "claim_looks",
            "now(), 2000000, '24 hours', now(), 3, 20",
            {"escrow_transactions_large", "receipts_deal", "status_queries_receipt"},
        ),
        ("funding", "refused", "'{}', 20", {"status_queries_refused"}),
        (
            "unmatched",
            "unclaimed",
            "now(), '24 hours', '{}', NULL, 50",
            {"receipts_suspense", "payouts_receipt"},
        ),
        (
            "claims",
            "prompts_without_number",
            "105000, now()",
            {"payment_attempts_amount", "receipt_one_per_attempt"},
        ),
        (
            "claims",
            "prompts_without_number",
            "105000, NULL",
            {"payment_attempts_amount", "receipt_one_per_attempt"},
        ),
        ("disputes", "silent", "now(), 100", {"escrow_disputes_unanswered"}),
        (
            "escrows",
            "due_to_release",
            "now(), 100, NULL",
            {"escrow_transactions_release_at", "outage_one_open"},
        ),
    ],
)
async def test_what_grows_is_read_by_its_index(
    attacked: asyncpg.Connection, module: str, name: str, arguments: str, indexes: set[str]
) -> None:
    given = f"({arguments})" if arguments else ""
    looking = attacked.transaction()
    await looking.start()
    try:
        # every table looks as if it held 100,000 rows a page and nobody had counted their
        # values: which index is cheapest then doesn't hang on when autovacuum last came by
        await attacked.execute(
            "DELETE FROM pg_statistic USING pg_class"
            " WHERE oid = starelid AND relnamespace = current_schema()::regnamespace"
        )
        await attacked.execute(
            "UPDATE pg_class SET relpages = 1, reltuples = 100000"
            " WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace"
        )
        await attacked.execute("SET LOCAL enable_seqscan = off")
        await attacked.execute(f"PREPARE looked_at AS {queries.load(module)[name]}")
        try:
            plan = [row[0] for row in await attacked.fetch(f"EXPLAIN EXECUTE looked_at{given}")]
        finally:
            await attacked.execute("DEALLOCATE looked_at")
    finally:
        await looking.rollback()
    text = "\n".join(plan)
    assert "Seq Scan" not in text
    assert all(f"using {index} " in text or f"on {index} " in text for index in indexes), text


@pytest.mark.parametrize("module", MODULES)
def test_every_sql_file_belongs_to_the_module_of_its_name(module: str) -> None:
    assert (Path(queries.__file__).parent / f"{module}.py").is_file()


def test_a_name_that_stands_twice_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "twice.sql").write_text("-- one --\nSELECT 1\n-- one --\nSELECT 2\n", "utf-8")
    monkeypatch.setattr(queries, "SQL_FOLDER", tmp_path)
    with pytest.raises(ValueError, match=r"sql/twice\.sql has one twice"):
        queries.load("twice")


def test_a_block_ends_where_the_next_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "two.sql").write_text(
        "-- one --\n-- What it returns.\nSELECT 1\n\n-- two_more --\nSELECT 2\n", "utf-8"
    )
    monkeypatch.setattr(queries, "SQL_FOLDER", tmp_path)
    assert queries.load("two") == {
        "one": "-- What it returns.\nSELECT 1",
        "two_more": "SELECT 2",
    }


def test_a_file_that_is_not_there_fails_at_once() -> None:
    with pytest.raises(FileNotFoundError):
        queries.load("nowhere")
