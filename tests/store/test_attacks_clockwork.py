"""Direct SQL against the slots of the clock's jobs: each planned time is there once, is run by
somebody, and is over once; and against what timers could not end.

Each attack is refused by name, and succeeds once its guard is gone: so no guard is idle.
"""

from datetime import timedelta

import asyncpg
import pytest

from tests.store import attacks
from tests.store.attacks import Attack, attack, bad
from tests.store.books import APP, NOW, OWNER, insert

BOTH = (OWNER, APP)
OVER = "job_slots.job_slot_over"
RUNS = "job_slot_runs_for_somebody"
IN_TIME = "job_slot_over_in_time"
DONE = insert("job_slots", state="DONE", finished_at=NOW)


ATTACKS: tuple[Attack, ...] = (
    attack(
        "a planned time is there once",
        insert("job_slots"),
        insert("job_slots"),
        by="job_slots_pkey",
        roles=BOTH,
    ),
    bad("job_slots", "job_slots_job_check", job=""),
    bad("job_slots", "job_slots_state_check", state="LATE"),
    bad("job_slots", "job_slots_tries_check", tries=-1),
    bad("job_slots", RUNS, state="RUNNING"),
    bad("job_slots", RUNS, state="RUNNING", owner="a"),
    bad("job_slots", RUNS, owner="a", beat_at=NOW),
    bad("job_slots", RUNS, beat_at=NOW),
    bad("job_slots", IN_TIME, state="DONE"),
    bad("job_slots", IN_TIME, state="SUPERSEDED"),
    bad("job_slots", IN_TIME, finished_at=NOW),
    attack(
        "what is done is not run again",
        DONE,
        "UPDATE job_slots SET state = 'OPEN', finished_at = NULL",
        by="job_slot_over",
        guard=OVER,
        roles=BOTH,
    ),
    attack(
        "what was superseded is not run after all",
        insert("job_slots", state="SUPERSEDED", finished_at=NOW),
        "UPDATE job_slots SET state = 'DONE'",
        by="job_slot_over",
        guard=OVER,
        roles=BOTH,
    ),
    attack(
        "a slot keeps its time",
        insert("job_slots"),
        ("UPDATE job_slots SET planned_at = $1", (NOW + timedelta(hours=1),)),
        by="job_slot_over",
        guard=OVER,
        roles=BOTH,
    ),
    attack(
        "a deal is set back once per job",
        insert("deal_setbacks"),
        insert("deal_setbacks", tries=2),
        by="deal_setbacks_pkey",
        roles=BOTH,
    ),
    bad("deal_setbacks", "deal_setbacks_job_check", job=""),
    bad("deal_setbacks", "deal_setbacks_escrow_id_check", escrow_id=""),
    bad("deal_setbacks", "deal_setbacks_tries_check", tries=0),
)


@pytest.mark.parametrize(("tried", "role"), attacks.each(ATTACKS))
async def test_refused(attacked: asyncpg.Connection, tried: Attack, role: str) -> None:
    refusal = await attacks.try_attack(attacked, tried, role)
    assert refusal is not None, tried.promise
    assert attacks.name_of(refusal) == tried.refused_by


@pytest.mark.parametrize("tried", attacks.guarded(ATTACKS))
async def test_its_guard_alone_refuses_it(attacked: asyncpg.Connection, tried: Attack) -> None:
    assert await attacks.try_attack(attacked, tried, OWNER, without_guard=True) is None
