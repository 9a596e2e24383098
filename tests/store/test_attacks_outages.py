"""Direct SQL against outages, heartbeats and what was found broken: no minute counts twice, and
what was said stays.

Each attack is refused by name, and succeeds once its guard is gone: so no guard is idle.
"""

from datetime import timedelta

import asyncpg
import pytest

from tests.store import attacks
from tests.store.attacks import Attack, attack, bad
from tests.store.books import APP, NOW, OWNER, insert

BOTH = (OWNER, APP)
HOUR = timedelta(hours=1)
GUARD = "outages.outage_guard"
OVER = insert("outages", id=1)
GOES_ON = insert("outages", id=1, source="rail", ended_at=None)
DONE = "UPDATE outages SET done_at = now()"

ATTACKS: tuple[Attack, ...] = (
    attack(
        "one sort of heartbeat is one row",
        insert("heartbeats"),
        insert("heartbeats"),
        by="heartbeats_pkey",
    ),
    attack(
        "a broken row is kept once",
        insert("broken_rows"),
        insert("broken_rows"),
        by="broken_rows_pkey",
    ),
    bad("broken_rows", "broken_rows_part_check", part="moon"),
    attack(
        "an account is counted once",
        "INSERT INTO ledger_recounts SELECT id, 0, 1 FROM ledger_accounts WHERE kind = 'external'",
        "INSERT INTO ledger_recounts SELECT id, 0, 1 FROM ledger_accounts WHERE kind = 'external'",
        by="ledger_recounts_pkey",
    ),
    attack(
        "only an account is counted",
        "INSERT INTO ledger_recounts VALUES (7777777, 0, 1)",
        by="ledger_recounts_account_id_fkey",
    ),
    bad("heartbeats", "heartbeats_source_check", source="moon"),
    bad("heartbeats", "heartbeat_fails_in_order", failing_since=NOW),
    bad("heartbeats", "heartbeat_fails_in_order", failed_at=NOW),
    attack(
        "nothing fails before it began to fail",
        insert("heartbeats", failing_since=NOW, failed_at=NOW - HOUR),
        by="heartbeat_fails_in_order",
    ),
    attack(
        "the bot says that it lives, or nothing",
        insert("heartbeats", source="bot", failing_since=NOW, failed_at=NOW),
        by="heartbeat_bot_never_fails",
    ),
    attack(
        "outages are told apart by id",
        OVER,
        DONE,
        insert("outages", id=1, began_at=NOW + HOUR, ended_at=NOW + 2 * HOUR),
        by="outages_pkey",
    ),
    bad("outages", "outages_source_check", source="moon"),
    bad("outages", "outages_moved_check", moved=-1),
    attack(
        "an outage has a length",
        insert("outages", ended_at=NOW - 3 * HOUR),
        by="outage_has_a_length",
    ),
    attack(
        "what goes on is not done",
        insert("outages", ended_at=None, done_at=NOW),
        by="outage_done_after_its_end",
    ),
    attack(
        "it is not done before its end",
        insert("outages", done_at=NOW - HOUR),
        by="outage_done_after_its_end",
    ),
    attack(
        "one outage is open",
        OVER,
        insert("outages", began_at=NOW + HOUR, ended_at=None),
        by="outage_one_open",
    ),
    attack(
        "no minute is in two outages",
        OVER,
        DONE,
        insert("outages", began_at=NOW - HOUR, ended_at=NOW + HOUR),
        by="outage_counts_once",
        guard=GUARD,
        roles=BOTH,
    ),
    *(
        attack(
            f"of an outage nobody changes: {change}",
            OVER,
            f"UPDATE outages SET {change}",  # noqa: S608 our own words
            by="outage_frozen",
            guard=GUARD,
            roles=BOTH,
        )
        for change in (
            "source = 'rail'",
            "began_at = began_at - interval '1 hour'",
            "ended_at = ended_at + interval '1 hour'",
            "ended_at = NULL",
        )
    ),
    *(
        attack(
            f"what was moved stays moved: {change}",
            insert("outages", moved_to="ES1", moved=3),
            f"UPDATE outages SET {change}",  # noqa: S608 our own words
            by="outage_frozen",
            guard=GUARD,
            roles=BOTH,
        )
        for change in ("moved_to = ''", "moved = 2")
    ),
    attack(
        "an outage that is done is history",
        OVER,
        DONE,
        "UPDATE outages SET done_at = NULL",
        by="outage_frozen",
        guard=GUARD,
        roles=BOTH,
    ),
    attack(
        "outages are kept",
        "DELETE FROM outages",
        by="outages_append_only",
        guard="outages.outages_kept",
    ),
)


@pytest.mark.parametrize(("tried", "role"), attacks.each(ATTACKS))
async def test_refused(attacked: asyncpg.Connection, tried: Attack, role: str) -> None:
    refusal = await attacks.try_attack(attacked, tried, role)
    assert refusal is not None, tried.promise
    assert attacks.name_of(refusal) == tried.refused_by


@pytest.mark.parametrize("tried", attacks.guarded(ATTACKS))
async def test_its_guard_alone_refuses_it(attacked: asyncpg.Connection, tried: Attack) -> None:
    assert await attacks.try_attack(attacked, tried, OWNER, without_guard=True) is None


@pytest.mark.parametrize("role", BOTH)
async def test_what_goes_on_ends_once(attacked: asyncpg.Connection, role: str) -> None:
    ends = "UPDATE outages SET ended_at = began_at + interval '2 hours'"
    allowed = attack("it ends", GOES_ON, ends, DONE, by="")
    assert await attacks.try_attack(attacked, allowed, role) is None


async def test_time_that_stood_still_counts_pauses_and_outages_once(
    attacked: asyncpg.Connection,
) -> None:
    looking = attacked.transaction()
    await looking.start()
    try:
        await attacked.execute(
            "INSERT INTO outages (source, began_at, ended_at) VALUES ('bot', $1, $2)",
            NOW + HOUR,
            NOW + 3 * HOUR,
        )
        await attacked.execute(
            "INSERT INTO pauses (cause, paused_at, reason) VALUES ('x', $1, '')", NOW + 2 * HOUR
        )
        for since, until, hours in ((0, 1, 0), (0, 2, 1), (0, 5, 4), (2, 4, 2), (4, 6, 2)):
            still = await attacked.fetchval(
                "SELECT time_stood_still($1, $2)", NOW + since * HOUR, NOW + until * HOUR
            )
            assert still == hours * HOUR, (since, until)
    finally:
        await looking.rollback()
