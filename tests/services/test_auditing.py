"""The audit reads the whole of the books and names every break that is planted."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from escrow.domain.errors import DatabaseDown, NotAllowed
from escrow.domain.model import Evidence
from escrow.domain.money import Currency
from escrow.services.auditing import Audit, Audits
from escrow.services.oversight import Oversight
from escrow.store import auditing, floating, ledger
from tests.world import ADMIN, ADMINS, BRIAN, OTIENO, World, kes


@pytest.fixture
def oversight(world: World) -> Oversight:
    return Oversight(world.db, world.clock, ADMINS, floating=world.floating)


@pytest.fixture
def audits(world: World, oversight: Oversight) -> Audits:
    return Audits(world.db, world.clock, oversight)


async def _quiet(part: str, rows: int) -> None:
    pass


async def _some_money(world: World) -> str:
    """A funded deal, a finished one, a wallet, a payout on its way, money that nobody claims."""
    deal = await world.deal(buyer=BRIAN)
    await world.pay(deal, 10_600)
    over = await world.deal(buyer=BRIAN)
    await world.pay(over, 10_500)
    await world.escrows.receive(over.id, BRIAN, "test:over")
    await world.give(OTIENO, kes(900))
    await world.payouts.book_withdrawal(OTIENO, kes(300), "test:out")
    unknown = world.by_hand(None, kes(77))
    await world.funds.process_escrow_payment(unknown, Evidence.STATUS)
    params = {"what": "float", "minor": 5_000, "receipt": "SGFLOAT001"}
    await world.rules("book", "float 50 SGFLOAT001", ADMIN, **params)
    return deal.id


async def _tamper(world: World, *statements: str) -> None:
    """As the owner, past every trigger."""
    async with world.db.unit() as conn:
        await conn.execute("SET LOCAL ROLE NONE")
        await conn.execute("SET LOCAL session_replication_role = 'replica'")
        for sql in statements:
            await conn.execute(sql)


async def test_whole_books_are_said_to_be_whole_with_all_that_was_read(
    world: World, audits: Audits
) -> None:
    await _some_money(world)
    heard: list[tuple[str, int]] = []

    async def tell(part: str, rows: int) -> None:
        heard.append((part, rows))

    audit = await audits.run(tell)
    assert (audit.breaks, audit.failed) == ([], "")
    (row,) = await world.sql(
        "SELECT (SELECT count(*) FROM ledger_journals) AS journals,"
        " (SELECT count(*) FROM ledger_accounts) AS accounts,"
        " (SELECT count(*) FROM escrow_transactions) AS deals,"
        " (SELECT count(*) FROM receipts) AS receipts,"
        " (SELECT count(*) FROM payouts) AS payouts,"
        " (SELECT count(*) FROM admin_actions) AS actions"
    )
    assert audit.counts == dict(row)
    assert {part for part, _ in heard} == {*row, "trial"}
    assert sum(minor for (_, one), minor in audit.trial.items() if one is Currency.KES) == 0
    assert audit.trial["holding", Currency.KES] == 1_000_000
    assert audit.trial["fees", Currency.KES] == 50_000
    assert audit.trial["suspense", Currency.KES] == 7_700
    assert audit.trial["payable", Currency.KES] == 30_000
    assert audit.provider is None


_ADD = "UPDATE ledger_accounts SET balance_minor = balance_minor + 3 WHERE kind = "
_BACK = "UPDATE ledger_accounts SET balance_minor = balance_minor - 3 WHERE kind = "
_ENTRY = "UPDATE ledger_entries SET amount_minor = amount_minor {} WHERE id ="
_FIRST = " (SELECT min(id) FROM ledger_entries WHERE account_seq IS NULL)"


@pytest.mark.parametrize(
    ("break_it", "mend_it", "named"),
    [
        (
            f"{_ADD}'wallet' AND owner = '{OTIENO}'",
            f"{_BACK}'wallet' AND owner = '{OTIENO}'",
            [("account", f"wallet:{OTIENO}"), ("trial", "KES"), ("total", "wallet")],
        ),
        (
            f"{_ADD}'holding' AND balance_minor > 0",
            f"{_BACK}'holding' AND balance_minor > 0",
            [("account", "holding:"), ("deal", "ES"), ("trial", "KES"), ("total", "holding")],
        ),
        (
            f"{_ADD}'payable'",
            f"{_BACK}'payable'",
            [("account", "payable:"), ("payout", ""), ("trial", "KES"), ("total", "payable")],
        ),
        (
            f"{_ADD}'suspense'",
            f"{_BACK}'suspense'",
            [
                ("account", "suspense:"),
                ("other", "suspense KES is off its receipts by 3"),
                ("trial", "KES"),
            ],
        ),
        (
            _ENTRY.format("- 3") + _FIRST,
            _ENTRY.format("+ 3") + _FIRST,
            [("journal", ""), ("trial", "KES")],
        ),
        (
            "UPDATE ledger_rollups SET total_minor = total_minor + 3 WHERE account_id = (SELECT id"
            " FROM ledger_accounts WHERE kind = 'fees')",
            "UPDATE ledger_rollups SET total_minor = total_minor - 3 WHERE account_id = (SELECT id"
            " FROM ledger_accounts WHERE kind = 'fees')",
            [("kept", "fees:"), ("total", "wallet")],
        ),
        (
            "UPDATE payouts SET state = 'FAILED', finalized_at = now()",
            "UPDATE payouts SET state = 'READY', finalized_at = NULL",
            [("payout", ""), ("total", "payable")],
        ),
    ],
)
async def test_every_planted_break_is_named_and_gone_once_mended(
    world: World, audits: Audits, break_it: str, mend_it: str, named: Sequence[tuple[str, str]]
) -> None:
    await _some_money(world)
    for _ in range(2):
        async with world.db.reading() as conn:
            await floating.roll_up(conn)
    await _tamper(world, break_it)
    audit = await audits.run(_quiet)
    found = [(one.kind, one.name) for one in audit.breaks]
    for kind, name in named:
        assert any(one == kind and name in of for one, of in found), (kind, found)
    await _tamper(world, mend_it)
    assert (await audits.run(_quiet)).breaks == []


async def test_a_break_is_broken_for_health_and_stops_payouts(
    world: World, oversight: Oversight, audits: Audits
) -> None:
    await _some_money(world)
    await _tamper(world, f"{_ADD}'wallet' AND owner = '{OTIENO}'")
    await audits.run(_quiet)
    look = await oversight.look()
    assert look.word == "BROKEN"
    assert look.reasons[0].key == "books"
    assert oversight.last is not None
    assert oversight.last.breaks, "what `sound` asks before a payout is sent"
    await _tamper(world, f"{_BACK}'wallet' AND owner = '{OTIENO}'")


async def test_what_m_pesa_says_is_compared_with_the_books_of_that_moment(
    world: World, audits: Audits
) -> None:
    await _some_money(world)
    await world.paybill("nothing", kes(100), balance="23000.00")
    audit = await audits.run(_quiet)
    assert audit.provider is not None
    books = audit.provider.books
    assert audit.provider.off == kes(23_000) - books
    await world.give(OTIENO, kes(900))  # what moves later is no difference
    again = (await audits.run(_quiet)).provider
    assert again is not None
    assert (again.books, again.off) == (books, audit.provider.off)


async def test_one_audit_runs_at_a_time(world: World, audits: Audits) -> None:
    inside, go_on = asyncio.Event(), asyncio.Event()
    await _some_money(world)

    async def waits(part: str, rows: int) -> None:
        inside.set()
        await go_on.wait()

    first = asyncio.create_task(audits.run(waits))
    await inside.wait()
    with pytest.raises(NotAllowed) as refused:
        await audits.run(_quiet)
    assert refused.value.reason == "audit_running"
    go_on.set()
    assert (await first).breaks == []
    assert (await audits.run(_quiet)).breaks == []


async def test_one_that_the_database_cuts_short_says_so(
    world: World, audits: Audits, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def down(*_: object) -> None:
        raise DatabaseDown

    monkeypatch.setattr(auditing, "next_payouts", down)
    audit: Audit = await audits.run(_quiet)
    assert audit.failed == "PostgreSQL can't be reached."


async def test_an_audit_in_small_pieces_finds_the_same(
    world: World, audits: Audits, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _some_money(world)
    whole = await audits.run(_quiet)
    monkeypatch.setattr(ledger, "PIECE", 2)
    monkeypatch.setattr(ledger, "PAGE", 2)
    in_pieces = await audits.run(_quiet)
    assert in_pieces.trial == whole.trial
    assert (in_pieces.breaks, in_pieces.counts) == ([], whole.counts)
