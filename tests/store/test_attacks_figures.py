"""Direct SQL against the figures of closed days: each day stands there once, for ever, and begins
where the last one ended.

Each attack is refused by name, and succeeds once its guard is gone: so no guard is idle.
"""

from datetime import timedelta

import asyncpg
import pytest

from tests.store import attacks
from tests.store.attacks import Attack, attack, bad
from tests.store.books import APP, NOW, OWNER, Step, insert

BOTH = (OWNER, APP)
FOLLOW = "daily_figures.daily_figures_follow"


def day(number: int, length: int = 1) -> Step:
    """The figures of that day from NOW on, of so many days."""
    start = NOW + timedelta(days=number)
    return insert("daily_figures", starts_at=start, ends_at=start + timedelta(days=length))


ATTACKS: tuple[Attack, ...] = (
    attack(
        "a day is kept once",
        day(0),
        day(0),
        by="daily_figures_pkey",
        behind=(FOLLOW,),
        roles=BOTH,
    ),
    attack(
        "no day begins before the last one ended",
        day(0),
        insert(
            "daily_figures",
            starts_at=NOW + timedelta(hours=23),
            ends_at=NOW + timedelta(hours=47),
        ),
        by="daily_figures_follow_each_other",
        guard=FOLLOW,
        roles=BOTH,
    ),
    attack(
        "no day is left out",
        day(0),
        day(2),
        by="daily_figures_follow_each_other",
        guard=FOLLOW,
        roles=BOTH,
    ),
    attack("a day ends after it began", day(0, 0), by="daily_figures_of_a_day"),
    attack("a day is no week", day(0, 7), by="daily_figures_of_a_day"),
    bad("daily_figures", "daily_figures_currency_check", currency="EUR"),
    attack(
        "what is counted stays counted",
        day(0),
        "UPDATE daily_figures SET opened = 7",
        by="daily_figures_append_only",
        guard="daily_figures.daily_figures_append_only",
    ),
    attack(
        "no day is forgotten",
        day(0),
        "DELETE FROM daily_figures",
        by="daily_figures_append_only",
        guard="daily_figures.daily_figures_append_only",
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
