"""Direct SQL against ratings: only the buyer of a paid deal that is over rates it, and what was
said stays.

Each attack is refused by name, and succeeds once its guard is gone: so no guard is idle.
"""

from datetime import timedelta

import asyncpg
import pytest

from tests.store import attacks
from tests.store.attacks import Attack, attack
from tests.store.books import (
    APP,
    CANCELLED,
    COMPLETED,
    HELD,
    NOW,
    OWNER,
    REFUNDED,
    SELLER,
    STRANGER,
    insert,
)

BOTH = (OWNER, APP)
GUARD = "seller_ratings.rating_guard"
REPLACED = "UPDATE seller_ratings SET replaced_at = now() WHERE escrow_id = $1"


def _nobody(promise: str, **changes: object) -> Attack:
    return attack(
        promise,
        insert("seller_ratings", **changes),
        by="rating_of_the_buyer",
        guard=GUARD,
        roles=BOTH,
    )


def _frozen(promise: str, change: str) -> Attack:
    return attack(
        promise,
        f"UPDATE seller_ratings SET {change}",  # noqa: S608 this module's own words
        by="rating_frozen",
        guard=GUARD,
        roles=BOTH,
    )


ATTACKS = (
    _nobody("nobody rates a deal that goes on", escrow_id=HELD),
    _nobody("nobody rates a deal that was never paid", escrow_id=CANCELLED),
    _nobody("a stranger rates nothing", escrow_id=REFUNDED, buyer_telegram_id=STRANGER),
    _nobody("a seller does not rate himself", escrow_id=REFUNDED, buyer_telegram_id=SELLER),
    _nobody("another seller gets no stars", escrow_id=REFUNDED, seller_id=2),
    _nobody("a rating does not begin as history", escrow_id=REFUNDED, replaced_at=NOW),
    attack(
        "a rating is not replaced after a day",
        (REPLACED, (COMPLETED,)),
        insert(
            "seller_ratings", escrow_id=COMPLETED, created_at=NOW + timedelta(hours=24, seconds=1)
        ),
        by="rating_of_the_buyer",
        guard=GUARD,
        roles=BOTH,
    ),
    _frozen("stars don't change", "stars = 1"),
    _frozen("words don't change", "words = 'bad'"),
    _frozen("a rating does not move to another time", "created_at = now()"),
    attack(
        "what was replaced does not come back",
        (REPLACED, (COMPLETED,)),
        "UPDATE seller_ratings SET replaced_at = NULL",
        by="rating_frozen",
        guard=GUARD,
        roles=BOTH,
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
