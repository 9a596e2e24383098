"""Direct SQL against what the jobs of the clock leave: a reminder that fits its deal, once; a
month's report, once; a deal that stays archived; callbacks that are known for ever.

Each attack is refused by name, and succeeds once its guard is gone: so no guard is idle.
"""

from datetime import date, timedelta

import asyncpg
import pytest

from tests.store import attacks
from tests.store.attacks import Attack, attack, bad
from tests.store.books import (
    APP,
    CANCELLED,
    COMPLETED,
    DELIVERED,
    DISPUTED,
    FROZEN,
    HELD,
    NOW,
    OWNER,
    PENDING,
    REFUNDED,
    SHIPPED,
    insert,
)

BOTH = (OWNER, APP)
FITS = "reminders.reminder_guard"
KNOWN = "inbox.inbox_guard"
FROZEN_BODY = "inbox.inbox_as_received"
DONE = "UPDATE inbox SET state = 'DONE', processed_at = now()"
EMPTY = "UPDATE inbox SET body = '', query = ''"

REMINDERS: tuple[Attack, ...] = (
    attack(
        "a reminder is made once",
        insert("reminders"),
        insert("reminders", at=NOW + timedelta(days=1)),
        by="reminders_pkey",
        roles=BOTH,
    ),
    bad("reminders", "reminders_kind_check", kind="ship_day_0"),
    bad("reminders", "reminders_kind_check", kind="pay_day_1", behind=(FITS,)),
    bad("reminders", "reminders_escrow_id_fkey", escrow_id="ES0000000000", behind=(FITS,)),
    *(
        attack(
            f"nobody is reminded to {turn} while the deal is {status}",
            insert("reminders", escrow_id=code, kind=f"{turn}_day_2"),
            by="reminder_fits_deal",
            guard=FITS,
            roles=BOTH,
        )
        for turn, others in (
            ("ship", (SHIPPED, DELIVERED, DISPUTED, FROZEN, PENDING, COMPLETED)),
            ("confirm", (HELD, DELIVERED, DISPUTED, FROZEN, COMPLETED, REFUNDED, CANCELLED)),
        )
        for status, code in (
            (name, code)
            for name, code in (
                ("HELD", HELD),
                ("SHIPPED", SHIPPED),
                ("DELIVERED", DELIVERED),
                ("DISPUTED", DISPUTED),
                ("FROZEN", FROZEN),
                ("PENDING", PENDING),
                ("COMPLETED", COMPLETED),
                ("REFUNDED", REFUNDED),
                ("CANCELLED", CANCELLED),
            )
            if code in others
        )
    ),
    *(
        attack(
            f"reminders are kept: {step.split()[0]}",
            insert("reminders"),
            step,
            by="reminders_append_only",
            guard="reminders.reminders_append_only",
        )
        for step in ("UPDATE reminders SET at = now()", "DELETE FROM reminders")
    ),
)

MONTHS: tuple[Attack, ...] = (
    attack(
        "a month is reported once",
        insert("monthly_reports"),
        insert("monthly_reports", made_at=NOW + timedelta(days=1)),
        by="monthly_reports_pkey",
        roles=BOTH,
    ),
    bad("monthly_reports", "monthly_report_of_a_month", month=date(2026, 10, 2)),
    bad("monthly_reports", "monthly_report_of_a_month", starts_at=NOW - timedelta(days=60)),
    bad("monthly_reports", "monthly_report_of_what_is_over", made_at=NOW - timedelta(days=40)),
    *(
        attack(
            f"a report stays as it was: {step.split()[0]}",
            insert("monthly_reports"),
            step,
            by="monthly_reports_append_only",
            guard="monthly_reports.monthly_reports_append_only",
        )
        for step in (
            "UPDATE monthly_reports SET figures = '{}'",
            "DELETE FROM monthly_reports",
        )
    ),
)

ARCHIVE: tuple[Attack, ...] = (
    *(
        attack(
            f"an archived deal is not {verb}",
            f"UPDATE escrow_transactions SET archived_at = now() WHERE id = '{COMPLETED}'",  # noqa: S608
            f"UPDATE escrow_transactions SET archived_at = {to} WHERE id = '{COMPLETED}'",  # noqa: S608
            by="deal_stays_archived",
            guard="escrow_transactions.escrow_archived",
            roles=BOTH,
        )
        for verb, to in (("taken back", "NULL"), ("archived again", "now() + interval '1 day'"))
    ),
)

CALLBACKS: tuple[Attack, ...] = (
    attack(
        "a callback that is done with is known for ever",
        DONE,
        "DELETE FROM inbox",
        by="inbox_known_for_ever",
        guard=KNOWN,
        roles=BOTH,
    ),
    attack(
        "a new callback keeps its body",
        EMPTY,
        by="inbox_as_received",
        guard=FROZEN_BODY,
        roles=BOTH,
    ),
    attack(
        "a parked callback keeps its body",
        DONE.replace("DONE", "PARKED"),
        EMPTY,
        by="inbox_as_received",
        guard=FROZEN_BODY,
        roles=BOTH,
    ),
    attack(
        "what a callback said is not replaced",
        DONE,
        "UPDATE inbox SET body = 'x'",
        by="inbox_as_received",
        guard=FROZEN_BODY,
        roles=BOTH,
    ),
    attack(
        "a body does not go and the query stay",
        "UPDATE inbox SET query = ''",
        DONE,
        insert("inbox", query="a=b", state="DONE", processed_at=NOW, next_try_at=None),
        "UPDATE inbox SET body = '' WHERE query <> ''",
        by="inbox_as_received",
        guard=FROZEN_BODY,
        roles=BOTH,
    ),
    *(
        attack(
            f"a callback keeps its {column}",
            DONE,
            f"UPDATE inbox SET {column} = {value}",  # noqa: S608
            by="inbox_as_received",
            guard=FROZEN_BODY,
            roles=BOTH,
        )
        for column, value in (
            ("digest", "sha256('x')"),
            ("route", "'other'"),
            ("token", "'other'"),
            ("method", "'PUT'"),
            ("received_at", "received_at + interval '1 day'"),
        )
    ),
)

STATISTICS: tuple[Attack, ...] = (
    attack(
        "only big tables are counted in the owner's name",
        "SELECT refresh_statistics('pg_authid')",
        by="statistics_of_a_big_table",
        guard="",
        roles=BOTH,
    ),
)

ATTACKS = (*REMINDERS, *MONTHS, *ARCHIVE, *CALLBACKS, *STATISTICS)


@pytest.mark.parametrize(("tried", "role"), attacks.each(ATTACKS))
async def test_refused(attacked: asyncpg.Connection, tried: Attack, role: str) -> None:
    refusal = await attacks.try_attack(attacked, tried, role)
    assert refusal is not None, tried.promise
    assert attacks.name_of(refusal) == tried.refused_by


@pytest.mark.parametrize("tried", attacks.guarded(ATTACKS))
async def test_its_guard_alone_refuses_it(attacked: asyncpg.Connection, tried: Attack) -> None:
    assert await attacks.try_attack(attacked, tried, OWNER, without_guard=True) is None


async def test_the_body_of_a_finished_callback_may_go(attacked: asyncpg.Connection) -> None:
    gone = attack("a body goes", DONE, EMPTY, EMPTY, by="")
    assert await attacks.try_attack(attacked, gone, APP) is None


async def test_the_program_counts_the_values_of_tables_that_are_not_its_own(
    attacked: asyncpg.Connection,
) -> None:
    counted = attack("counted", "SELECT refresh_statistics('outbox')", by="")
    assert await attacks.try_attack(attacked, counted, APP) is None
