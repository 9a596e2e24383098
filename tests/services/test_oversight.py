"""The books are proved as they grow: every look what is new, once a day all of them."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from benchmarks import due
from escrow.domain.errors import DatabaseDown
from escrow.domain.model import Evidence
from escrow.services import oversight as module
from escrow.services.oversight import Oversight
from escrow.store import inbox, ledger, queries
from escrow.store.database import Connection
from tests.world import ADMIN, ADMINS, BRIAN, JANE, OTIENO, World, kes


@pytest.fixture
def oversight(world: World, monkeypatch: pytest.MonkeyPatch) -> Oversight:
    """A young process on books that it has not written: its first look goes back two rows."""
    monkeypatch.setattr(module, "_FIRST_ROWS", 2)
    monkeypatch.setattr(module, "_IN_FLIGHT_SECONDS", -1.0)
    return Oversight(world.db, world.clock, ADMINS)


async def _tamper(world: World, sql: str, *arguments: object) -> None:
    """As the owner, past every trigger."""
    async with world.db.unit() as conn:
        await conn.execute("SET LOCAL ROLE NONE")
        await conn.execute("SET LOCAL session_replication_role = 'replica'")
        await conn.execute(sql, *arguments)


BLOCKS_A_ROW_MAX = 60
"""What the proof of a row may touch: its entries, accounts and journals, by their indexes."""
ADD = "UPDATE ledger_accounts SET balance_minor = balance_minor + $2 WHERE owner = $1"


async def _some_deals(world: World) -> None:
    for _ in range(3):
        deal = await world.deal(buyer=BRIAN)
        await world.pay(deal, 10_500)


async def test_a_break_in_an_old_account_is_found_by_the_full_proof_and_stays_until_mended(
    world: World, oversight: Oversight
) -> None:
    await world.give(OTIENO, kes(500))
    await _some_deals(world)
    await _tamper(world, ADD, str(OTIENO), 1)
    for _ in range(2):
        assert (await oversight.look()).breaks == []
    rows, breaks = await oversight.prove_all()
    assert rows > 10
    assert breaks == 1
    for _ in range(2):
        (line,) = (await oversight.look()).breaks
        assert f"wallet:{OTIENO}" in line
    (told,) = await world.sql("SELECT count(*) FROM outbox WHERE kind = 'books_broken'")
    assert told["count"] == len(ADMINS)
    await _tamper(world, ADD, str(OTIENO), -1)
    assert (await oversight.look()).breaks == []


async def test_a_fresh_break_is_found_by_the_next_look(world: World, oversight: Oversight) -> None:
    await _some_deals(world)
    assert (await oversight.look()).breaks == []
    deal = await world.deal(buyer=BRIAN)
    await world.pay(deal, 10_500)
    await _tamper(world, ADD + " AND kind = 'holding'", deal.id, -1)
    account, whole = (await oversight.look()).breaks
    assert f"holding:{deal.id}" in account
    assert whole == f"deal {deal.id} does not hold what its status says"
    for _ in range(3):
        assert len((await oversight.look()).breaks) == 2, "it does not fall out of sight"
    await _tamper(world, ADD + " AND kind = 'holding'", deal.id, 1)
    assert (await oversight.look()).breaks == []


async def test_a_fresh_journal_that_does_not_balance_is_found(
    world: World, oversight: Oversight
) -> None:
    await oversight.look()
    await world.give(OTIENO, kes(500))
    await _tamper(
        world,
        "UPDATE ledger_entries SET amount_minor = amount_minor - 3 WHERE account_seq IS NULL",
    )
    line, receipt = (await oversight.look()).breaks
    assert line.endswith("does not balance")
    assert receipt.endswith("is not booked as it says")
    await _tamper(
        world,
        "UPDATE ledger_entries SET amount_minor = amount_minor + 3 WHERE account_seq IS NULL",
    )


async def test_what_was_under_way_at_a_look_is_proved_when_it_is_committed(
    world: World, oversight: Oversight
) -> None:
    """Its ids are lower than those of units that began later and ended before the look."""
    slow_deal = await world.deal(buyer=BRIAN)
    await oversight.look()
    async with world.db.unit() as slow:
        await slow.execute("SET LOCAL ROLE NONE")
        await slow.execute("SET LOCAL session_replication_role = 'replica'")
        await slow.execute(
            "INSERT INTO escrow_timeline (escrow_id, event, from_status, to_status, actor, at) "
            "VALUES ($1, 'join', 'PENDING', 'PENDING', 'system', now())",
            slow_deal.id,
        )
        await _some_deals(world)
        for _ in range(3):
            assert (await oversight.look()).breaks == []
        async with world.db.reading() as conn:
            event = (await ledger.marks(conn)).event
    (late,) = await world.sql("SELECT id FROM escrow_timeline WHERE actor = 'system'")
    assert late["id"] < event
    assert oversight._since is not None
    assert oversight._since.event < late["id"]
    await oversight.look()
    await oversight.look()
    assert oversight._since.event >= event


async def test_the_first_look_begins_near_the_end_and_later_ones_go_on_from_there(
    world: World, oversight: Oversight
) -> None:
    await _some_deals(world)
    async with world.db.reading() as conn:
        here = await ledger.marks(conn)
    await oversight.look()
    await oversight.look()
    assert oversight._since is not None
    assert oversight._since.entry == here.entry


async def test_the_full_proof_goes_through_every_page_and_waits_for_the_database(
    world: World, oversight: Oversight, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _some_deals(world)
    (count,) = await world.sql(
        "SELECT (SELECT count(*) FROM ledger_journals) + (SELECT count(*) FROM ledger_accounts)"
        " + (SELECT count(*) FROM escrow_transactions) + (SELECT count(*) FROM receipts)"
        " + (SELECT count(*) FROM payouts) + (SELECT count(*) FROM admin_actions) AS rows"
    )
    monkeypatch.setattr(module, "_PATIENCE", (0.0, 0.0))
    real, calls = ledger.next_page, []

    async def by_two(conn: object, part: str, after: object, rows: int = 2) -> list[object]:
        calls.append(part)
        if len(calls) in (1, 2, 5):
            raise DatabaseDown
        return await real(conn, part, after, rows)  # type: ignore[arg-type]

    monkeypatch.setattr(ledger, "next_page", by_two)
    assert await oversight.search_all() == count["rows"]


async def test_a_page_of_the_full_proof_reads_its_own_rows_however_many_payments_there_were(
    world: World,
) -> None:
    """All payments went through one account: no page may go through that account once per row."""
    await due.make(world.dsn, 1, 60_000, world.clock.now())
    blocks = queries.load("ledger")
    async with world.db.unit() as conn:
        await conn.execute("SET LOCAL ROLE NONE")
        await conn.execute("ANALYZE")
        for part, block in (
            ("journals", "broken_journals"),
            ("accounts", "broken_balances"),
            ("deals", "broken_deals"),
            ("receipts", "broken_receipts"),
        ):
            page = await ledger.next_page(conn, part, None)
            assert len(page) == ledger.PAGE
            assert (await ledger.broken_among(conn, part, page)).lines() == []
            read = await _blocks(conn, blocks[block], page) / len(page)
            assert read < BLOCKS_A_ROW_MAX, f"{part}: {read:.0f} blocks a row"
        await _the_busy_accounts_are_counted_on_from_where_the_count_stands(conn)


async def _the_busy_accounts_are_counted_on_from_where_the_count_stands(conn: Connection) -> None:
    blocks = queries.load("ledger")
    await conn.execute(
        "UPDATE ledger_rollup_mark SET (upto, entry) ="
        " (SELECT max(id), max(id) FROM ledger_entries)"
    )
    await conn.execute(
        "INSERT INTO ledger_rollups SELECT account_id, sum(amount_minor) FROM ledger_entries"
        " WHERE account_seq IS NULL GROUP BY account_id"
    )
    for entries, most in ((100, 200), (ledger.PIECE, 12_000)):
        await conn.execute("TRUNCATE ledger_recounts")
        await conn.execute(blocks["begin_recounts"])
        assert await _blocks(conn, blocks["count_on"], entries) < most
    assert (await ledger.broken_rollups(conn)).lines() == []
    assert await _blocks(conn, blocks["count_on"], ledger.PIECE) < 20
    assert await _blocks(conn, blocks["broken_rollups"], 2000) < 100


async def _blocks(conn: Connection, sql: str, *arguments: object) -> int:
    (row,) = await conn.fetch(
        f"EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) {sql}", *arguments
    )
    top = json.loads(row[0])[0]["Plan"]
    return int(top["Shared Hit Blocks"] + top["Shared Read Blocks"])


async def test_admins_hear_once_of_a_clock_that_jumped(world: World, oversight: Oversight) -> None:
    await oversight.watch_clock(timedelta(0))
    world.clock.steady = False
    for _ in range(3):
        world.clock.tick(seconds=30)
        await oversight.watch_clock(timedelta(hours=2))
    rows = await world.sql("SELECT chat_id, params FROM outbox WHERE kind = 'clock_jumped'")
    assert sorted(row["chat_id"] for row in rows) == sorted(ADMINS)


async def test_a_ping_reads_no_table(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(conn: object) -> tuple[int, int]:
        raise AssertionError

    monkeypatch.setattr(inbox, "backlog", never)
    await Oversight(world.db, world.clock, ()).ping()


async def test_a_look_finds_what_is_stuck_and_says_watch(world: World) -> None:
    oversight = Oversight(world.db, world.clock, ADMINS, floating=world.floating)
    old = await world.deal(buyer=BRIAN)
    world.clock.tick(days=1)
    newer = await world.deal(buyer=BRIAN)
    world.clock.tick(days=6, seconds=1)
    look = await oversight.look()
    assert (look.word, look.stuck.codes) == ("WATCH", (old.id,))
    assert look.float is not None
    world.clock.tick(days=1)
    assert (await oversight.look()).stuck.codes == (old.id, newer.id)


async def test_a_dispute_is_named_after_two_weeks(world: World) -> None:
    deal = await world.deal(buyer=BRIAN)
    await world.pay(deal, 10_500)
    await world.escrows.dispute(deal.id, BRIAN, "broken", cause="test:d")
    oversight = Oversight(world.db, world.clock, ADMINS)
    world.clock.tick(days=14)
    assert "disputes" in {reason.key for reason in (await oversight.look()).reasons}
    assert (await oversight.look()).disputes.codes == (deal.id,)


async def test_a_pause_is_the_word_until_it_ends(world: World) -> None:
    oversight = Oversight(world.db, world.clock, ADMINS)
    await world.pauses.pause(ADMINS[0], "test", "test:pause")
    look = await oversight.look()
    assert (look.word, look.paused_at) == ("PAUSED", world.clock.at)


async def test_a_database_that_does_not_answer_is_broken_and_keeps_the_last_look(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    oversight = Oversight(world.db, world.clock, ADMINS)
    kept = await oversight.look()

    async def down(conn: object) -> tuple[int, int]:
        raise DatabaseDown("PostgreSQL can't be reached: OSError")

    monkeypatch.setattr(inbox, "backlog", down)
    look = await oversight.health()
    assert (look.word, look.reasons[0].key) == ("BROKEN", "database_down")
    assert oversight.last is kept


async def test_the_proof_keeps_the_sums_of_busy_accounts_near_their_end(world: World) -> None:
    oversight = Oversight(world.db, world.clock, ADMINS)
    await world.give(OTIENO, kes(500))
    for _ in range(3):
        await oversight.prove()
    (mark,) = await world.sql(
        "SELECT upto, (SELECT max(id) FROM ledger_entries) AS last FROM ledger_rollup_mark"
    )
    assert mark["upto"] == mark["last"]


async def _fees(world: World, monkeypatch: pytest.MonkeyPatch) -> int:
    """Some deals that are over, counted two entries at a time; the fees' account."""
    monkeypatch.setattr(ledger, "PIECE", 2)
    for _ in range(3):
        deal = await world.deal(buyer=BRIAN)
        await world.pay(deal, 10_500)
        await world.escrows.receive(deal.id, BRIAN, f"test:{deal.id}")
    return int(await world.value("SELECT id FROM ledger_accounts WHERE kind = 'fees'"))


async def test_a_roll_up_that_is_off_is_found_until_it_is_mended_whatever_is_rolled_up_meanwhile(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    fees = await _fees(world, monkeypatch)
    oversight = Oversight(world.db, world.clock, ADMINS)
    change = "UPDATE ledger_rollups SET total_minor = total_minor + $2 WHERE account_id = $1"
    for _ in range(2):
        assert await oversight.prove() == (1, 0)
    await _tamper(world, change, fees, 3)
    for one in (oversight, Oversight(world.db, world.clock, ADMINS)):
        await _fees(world, monkeypatch)
        (line,) = (await one.look()).breaks
        assert line == f"account {fees} (fees:) is rolled up to another sum than its entries"
        assert not one.sound
        assert await one.prove() == (1, 1)
        await one.search_all()
        assert await one.prove() == (1, 1)
    await _tamper(world, change, fees, -3)
    assert await oversight.prove() == (1, 0)
    assert await world.value("SELECT count(*) FROM broken_rows") == 0


async def test_a_look_reads_few_entries_of_a_busy_account_and_forgets_no_break_over_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Far behind the roll-ups it says nothing new of them, until the proof has counted on."""
    fees = await _fees(world, monkeypatch)
    oversight = Oversight(world.db, world.clock, ADMINS)
    for _ in range(2):
        assert await oversight.prove() == (1, 0)
    monkeypatch.setattr(ledger, "_FEW", 2)
    await _tamper(world, "UPDATE ledger_recounts SET upto = 0, total_minor = 0")
    change = "UPDATE ledger_rollups SET total_minor = total_minor + $2 WHERE account_id = $1"
    await _tamper(world, change, fees, 3)
    assert (await oversight.look()).breaks == []
    assert await oversight.prove() == (1, 1)
    await _tamper(world, "UPDATE ledger_recounts SET upto = 0, total_minor = 0")
    assert len((await oversight.look()).breaks) == 1
    await _tamper(world, change, fees, -3)
    assert await oversight.prove() == (1, 0)


async def test_each_night_the_busy_accounts_are_counted_from_their_first_entry(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever changes a roll-up and the count beside it alike is found by the full proof."""
    fees = await _fees(world, monkeypatch)
    oversight = Oversight(world.db, world.clock, ADMINS)
    for _ in range(2):
        assert await oversight.prove() == (1, 0)
    tables = ("ledger_rollups", "ledger_recounts")
    change = "UPDATE {} SET total_minor = total_minor + $2 WHERE account_id = $1"
    for table in tables:
        await _tamper(world, change.format(table), fees, 3)
    assert await oversight.prove() == (1, 0)
    assert (await oversight.prove_all())[1] == 1
    assert f"account {fees} (fees:)" in (await oversight.look()).breaks[0]
    await _tamper(world, change.format("ledger_rollups"), fees, -3)
    assert (await oversight.look()).breaks == []


FRESH = {
    "money that came from nowhere": (
        "WITH j AS (INSERT INTO ledger_journals (kind, idempotency_key, inputs_hash, happened_at)"
        " VALUES ('receipt', 'receipt:mpesa:SGNOWHERE1', 'x', now()) RETURNING id),"
        " a AS (SELECT id, kind FROM ledger_accounts WHERE (kind, owner) IN"
        " (('external', 'mpesa:utility'), ('suspense', '')) AND currency = 'KES')"
        " INSERT INTO ledger_entries (journal_id, account_id, amount_minor)"
        " SELECT j.id, a.id, CASE a.kind WHEN 'external' THEN -1 ELSE 1 END FROM j, a",
        "nothing says why",
    ),
    "a payout that was paid without its journal": (
        "UPDATE payouts SET state = 'PAID', provider_reference = 'SGNEVER001',"
        " finalized_at = now()",
        "payout 1 is not as it is booked",
    ),
    "a second settlement": (
        "INSERT INTO settlements (escrow_id, event, seller_minor, buyer_minor, fee_minor,"
        " settled_at) SELECT id, 'release', held_price_minor, 0, held_fee_minor, now()"
        " FROM escrow_transactions WHERE status = 'HELD'",
        "is not settled as its status says",
    ),
    "a receipt that was never booked": (
        "INSERT INTO receipts (provider, channel, reference, currency, amount_minor, state,"
        " evidence, happened_at, received_at, posted_at) VALUES ('mpesa', 'c2b', 'SGUNBOOK01',"
        " 'KES', 500, 'CREDITED', 'admin', now(), now(), now())",
        "(SGUNBOOK01) is not booked as it says",
    ),
    "a deal that says it is funded": (
        "UPDATE receipts SET state = 'IGNORED'",
        "holds money that nobody paid",
    ),
    "a deal that holds another amount": (
        "UPDATE escrow_transactions SET held_price_minor = held_price_minor + 1"
        " WHERE status = 'HELD'",
        "does not hold what its status says",
    ),
    "a timeline that ends elsewhere": (
        "UPDATE escrow_timeline SET to_status = 'SHIPPED' WHERE event = 'fund'",
        "is not where its timeline says",
    ),
    "a step that the flow does not have": (
        "UPDATE escrow_timeline SET event = 'ship' WHERE event = 'fund'",
        "took a step that the flow does not have",
    ),
    "a step by somebody who may not": (
        "UPDATE escrow_timeline SET actor = 'timer' WHERE event = 'fund'",
        "took a step that the flow does not have",
    ),
    "a step that does not begin where the last one ended": (
        "UPDATE escrow_timeline SET event = 'join', from_status = 'HELD', to_status = 'HELD'"
        " WHERE event = 'join'",
        "took a step that the flow does not have",
    ),
    "a journal that does not balance": (
        "UPDATE ledger_entries SET amount_minor = amount_minor - 3 WHERE id ="
        " (SELECT min(id) FROM ledger_entries WHERE account_seq IS NULL)",
        "journal 1 does not balance",
    ),
    "a wallet with more than its entries": (
        "UPDATE ledger_accounts SET balance_minor = balance_minor + 3 WHERE id ="
        " (SELECT max(id) FROM ledger_accounts WHERE kind = 'wallet')",
        f"(wallet:{JANE}) is not the sum of its entries",
    ),
    "suspense that no receipt waits for": (
        "UPDATE ledger_accounts SET balance_minor = balance_minor + 3 WHERE kind = 'suspense'",
        "suspense KES is off its receipts by 3",
    ),
    "a roll-up that is off": (
        "UPDATE ledger_rollups SET total_minor = total_minor + 3 WHERE account_id ="
        " (SELECT id FROM ledger_accounts WHERE kind = 'fees')",
        "(fees:) is rolled up to another sum than its entries",
    ),
    "a roll-up that is gone": (
        "DELETE FROM ledger_rollups WHERE account_id ="
        " (SELECT id FROM ledger_accounts WHERE kind = 'fees')",
        "(fees:) is rolled up to another sum than its entries",
    ),
    "roll-ups that say that they count less": (
        "UPDATE ledger_rollup_mark SET upto = upto - 1",
        "(fees:) is rolled up to another sum than its entries",
    ),
    "a large refund that one admin confirmed": (
        "DELETE FROM admin_approvals p USING admin_actions a"
        " WHERE a.id = p.action_id AND p.admin <> a.asked_by",
        "action 1 was done without those who have to confirm it",
    ),
    "a large refund that its admin never confirmed": (
        "DELETE FROM admin_approvals p USING admin_actions a"
        " WHERE a.id = p.action_id AND p.admin = a.asked_by",
        "action 1 was done without those who have to confirm it",
    ),
    "a refund that its payee confirmed": (
        "UPDATE admin_approvals p SET admin = a.parties[1] FROM admin_actions a"
        " WHERE a.id = p.action_id AND p.admin <> a.asked_by",
        "action 1 was done without those who have to confirm it",
    ),
}


@pytest.mark.parametrize("planted", FRESH)
async def test_every_sort_of_break_stops_payouts_at_the_next_proof_and_names_its_row(
    dsn: str, planted: str
) -> None:
    """The proof runs every 30 s: well within the minute."""
    async with World.open(dsn) as world:
        await world.funds.process_escrow_payment(world.by_hand(None, kes(70)), Evidence.STATUS)
        deal = await world.deal(buyer=BRIAN)
        await world.pay(deal, 10_500)
        await world.give(OTIENO, kes(500))
        await world.payouts.book_withdrawal(OTIENO, kes(100), "test:out")
        large = await world.deal(60_000, buyer=BRIAN)
        await world.pay(large, 63_000)
        await world.manual_refund(large.id, ADMIN)
        done = await world.deal(buyer=BRIAN)
        await world.pay(done, 10_500)
        await world.escrows.receive(done.id, BRIAN, "test:done")
        oversight = Oversight(world.db, world.clock, ADMINS)
        world.payouts._sound = lambda: oversight.sound
        for _ in range(2):
            assert await oversight.prove() == (1, 0)
        statement, words = FRESH[planted]
        await _tamper(world, statement)
        assert await oversight.prove() == (1, len((await oversight.look()).breaks))
        assert any(line.endswith(words) for line in (await oversight.look()).breaks)
        await world.payouts.send_due()
        assert world.payout_rail.sent == [], "nothing leaves"
        told = await world.sql("SELECT params FROM outbox WHERE kind = 'books_broken'")
        assert len(told) == len(ADMINS)
        assert any(line.endswith(words) for line in told[0]["params"]["breaks"])


async def test_without_a_break_payouts_leave_once_the_books_are_proved(world: World) -> None:
    await world.give(OTIENO, kes(500))
    await world.payouts.book_withdrawal(OTIENO, kes(100), "test:out")
    oversight = Oversight(world.db, world.clock, ADMINS)
    world.payouts._sound = lambda: oversight.sound
    await world.payouts.send_due()
    assert world.payout_rail.sent == [], "nobody proved them yet"
    await oversight.prove()
    world.clock.tick(seconds=61)
    await world.payouts.send_due()
    assert world.payout_rail.sent == [], "that proof is old: a proof that hangs stops payouts"
    await oversight.prove()
    await world.payouts.send_due()
    assert len(world.payout_rail.sent) == 1


async def test_an_old_break_stops_payouts_after_a_restart_too_until_it_is_mended(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The full proof runs once a day; what it found does not live in its process alone."""
    monkeypatch.setattr("escrow.services.oversight._FIRST_ROWS", 0)
    await world.give(OTIENO, kes(500))
    change = "UPDATE ledger_accounts SET balance_minor = %d WHERE kind = 'wallet'"
    await _tamper(world, change % 7)
    fresh = Oversight(world.db, world.clock, ADMINS)
    assert not (await fresh.look()).breaks, "too old for the look of a start"
    await Oversight(world.db, world.clock, ADMINS).search_all()
    for one in (fresh, Oversight(world.db, world.clock, ADMINS)):
        assert (await one.look()).breaks
        assert not one.sound
    await _tamper(world, change % 50_000)
    assert not (await fresh.look()).breaks
    assert fresh.sound
    assert await world.value("SELECT count(*) FROM broken_rows") == 0


async def test_other_breaks_are_told_at_once_and_the_same_ones_once_a_day(world: World) -> None:
    told = "SELECT count(*) FROM outbox WHERE kind = 'books_broken'"
    oversight = Oversight(world.db, world.clock, ADMINS[:1])
    await world.give(OTIENO, kes(500))
    await world.give(BRIAN, kes(500))
    change = "UPDATE ledger_accounts SET balance_minor = %d WHERE owner = '%s' AND kind = 'wallet'"
    await _tamper(world, change % (7, OTIENO))
    for _ in range(2):
        await oversight.prove()
    assert await world.value(told) == 1
    await _tamper(world, change % (7, BRIAN))
    await oversight.prove()
    assert await world.value(told) == 2
    world.clock.tick(hours=24)
    await oversight.prove()
    assert await world.value(told) == 3
    for who in (OTIENO, BRIAN):
        await _tamper(world, change % (50_000, who))
