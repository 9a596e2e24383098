"""Direct SQL against what stands at the edges: callbacks, updates, notices, secrets, jobs, and what
the database is for (invariant I15).

Each attack is refused by name, and succeeds once its guard is gone: so no guard is idle.
"""

import asyncpg
import pytest

from tests.store import attacks
from tests.store.attacks import Attack, attack, bad
from tests.store.books import APP, NOW, OWNER, SELLER

BOTH = (OWNER, APP)

EDGES: tuple[Attack, ...] = (
    bad("inbox", "inbox_digest_check", digest=b"short"),
    bad("inbox", "inbox_digest_key", digest=b"w" * 32),
    bad("inbox", "inbox_body_check", body=b"x" * 65_537),
    bad("inbox", "inbox_state_check", state="LOST", processed_at=NOW),
    bad("inbox", "inbox_processed_in_time", state="DONE"),
    bad("inbox", "inbox_processed_in_time", processed_at=NOW),
    bad("inbox", "inbox_pkey", id=1),
    *(
        attack(
            f"a callback that is {state} is not deleted",
            *steps,
            "DELETE FROM inbox",
            by="inbox_kept_until_done",
            guard="inbox.inbox_guard",
            roles=BOTH,
        )
        for state, steps in (
            ("NEW", ()),
            ("PARKED", ("UPDATE inbox SET state = 'PARKED', processed_at = now()",)),
        )
    ),
    *(
        attack(
            f"a callback's {column} stays as it came",
            f"UPDATE inbox SET {column} = {value}",  # noqa: S608 both are written here
            by="inbox_as_received",
            guard="inbox.inbox_as_received",
            roles=BOTH,
        )
        for column, value in (
            ("route", "'c2b'"),
            ("body", "'other'"),
            ("sender", "'196.201.214.200'"),
            ("listed", "NOT listed"),
            ("digest", "sha256('other')"),
        )
    ),
    *(
        attack(
            promise,
            f"UPDATE inbox SET state = '{state}', processed_at = now()",  # noqa: S608
            again,
            by="inbox_run_again",
            guard="inbox.inbox_as_received",
            roles=BOTH,
        )
        for promise, state, again in (
            (
                "a callback that is done is not run again",
                "DONE",
                "UPDATE inbox SET state = 'NEW', processed_at = NULL, reruns = reruns + 1",
            ),
            (
                "a parked callback is not run again uncounted",
                "PARKED",
                "UPDATE inbox SET state = 'NEW', processed_at = NULL",
            ),
            (
                "a parked callback is not called done",
                "PARKED",
                "UPDATE inbox SET state = 'DONE'",
            ),
            (
                "a callback's runs are not counted back",
                "PARKED",
                "UPDATE inbox SET reruns = reruns - 1",
            ),
        )
    ),
    attack(
        "callbacks are not emptied away",
        "TRUNCATE inbox",
        by="inbox_append_only",
        guard="inbox.inbox_not_emptied",
    ),
    bad("telegram_updates", "telegram_updates_pkey", update_id=1),
    bad("telegram_updates", "telegram_updates_state_check", state="LOST"),
    bad("conversations", "conversations_pkey", telegram_id=SELLER),
    bad("outbox", "outbox_cause_check", cause=""),
    bad("outbox", "outbox_kind_check", kind="Not a kind"),
    bad("outbox", "outbox_state_check", state="LOST", closed_at=NOW),
    bad("outbox", "notice_once", cause="receipt:1"),
    bad("outbox", "notice_closed_in_time", state="SENT"),
    bad("outbox", "notice_closed_in_time", closed_at=NOW),
    bad("outbox", "outbox_pkey", id=1),
    bad("job_runs", "job_runs_pkey", id=1),
    bad("path_secrets", "path_secrets_pkey", route="m"),
    bad("path_secrets", "path_secrets_secret_check", secret="guess"),
    bad("provider_tokens", "provider_tokens_pkey", provider="mpesa"),
    bad("schema_migrations", "schema_migrations_pkey", number=1),
    bad("instance", "instance_pkey"),
    bad("instance", "instance_environment_check", behind=("instance_pkey",), environment="test"),
    bad("instance", "instance_only_row_check", only_row=False),
    *(
        attack(
            f"what a database is for is not {done}",
            sql,
            by="instance_append_only",
            guard="instance.instance_kept",
        )
        for done, sql in (
            ("changed", "UPDATE instance SET environment = 'live'"),
            ("deleted", "DELETE FROM instance"),
            ("emptied away", "TRUNCATE instance"),
        )
    ),
)

ATTACKS = EDGES


@pytest.mark.parametrize(("tried", "role"), attacks.each(ATTACKS))
async def test_is_refused(attacked: asyncpg.Connection, tried: Attack, role: str) -> None:
    refusal = await attacks.try_attack(attacked, tried, role)
    assert refusal is not None, "PostgreSQL let it pass"
    assert attacks.name_of(refusal) == tried.refused_by


@pytest.mark.parametrize("tried", attacks.guarded(ATTACKS))
async def test_no_guard_is_idle(attacked: asyncpg.Connection, tried: Attack) -> None:
    refusal = await attacks.try_attack(attacked, tried, tried.roles[-1], without_guard=True)
    assert refusal is None, f"refused by {attacks.name_of(refusal)} as well"
