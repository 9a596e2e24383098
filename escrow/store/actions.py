"""What admins asked for, confirmed and left."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from escrow.domain.actions import HOST, TO_CONFIRM, WRONG_NUMBERS, Action, ActionState, Preview
from escrow.domain.money import Currency, Money
from escrow.store import queries
from escrow.store.database import Connection, Row

_SQL: Final = queries.load("actions")


def _action(row: Row) -> Action:
    return Action(
        id=row["id"],
        kind=row["kind"],
        target=row["target"],
        params=row["params"],
        escrow_id=row["escrow_id"],
        amount=Money(row["amount_minor"], Currency.of(row["currency"])),
        facts=row["facts"],
        asked_by=row["asked_by"],
        asked_at=row["asked_at"],
        expires_at=row["expires_at"],
        number=row["number"],
        needs_second=row["needs_second"],
        state=ActionState(row["state"]),
        parties=frozenset(row["parties"]),
        second_until=row["second_until"],
        outcome=row["outcome"] or {},
        done_at=row["done_at"],
        closed_by=row["closed_by"],
        second=(row["second"] or HOST) if row["seconded"] else None,
    )


async def insert(
    conn: Connection,
    *,
    cause: str,
    kind: str,
    target: str,
    params: Mapping[str, Any],
    preview: Preview,
    admin: int,
    number: int,
    needs_second: bool,
    now: datetime,
) -> int | None:
    """A new action's id; None when this cause asked before."""
    found = await conn.fetchval(
        _SQL["insert"],
        cause,
        kind,
        target,
        preview.escrow_id,
        dict(params),
        dict(preview.facts),
        preview.amount.currency.code,
        preview.amount.minor,
        sorted(preview.parties),
        admin,
        now,
        now + TO_CONFIRM,
        number,
        needs_second,
    )
    return int(found) if found else None


async def by_cause(conn: Connection, cause: str) -> Action | None:
    """What this cause asked for."""
    return await get(conn, await conn.fetchval(_SQL["by_cause"], cause))


async def get(conn: Connection, action_id: int | None) -> Action | None:
    row = await conn.fetchrow(_SQL["one"], action_id) if action_id else None
    return _action(row) if row else None


async def lock(conn: Connection, action_id: int) -> Action | None:
    """An action, as it is once nobody else is at it."""
    return await get(conn, await conn.fetchval(_SQL["lock"], action_id))


async def newest_open(
    conn: Connection, kind: str, target: str, admin: int, number: int
) -> Action | None:
    """The open action that this admin means by that number: his own, or one that waits for a second
    admin; one with another number when none has it.
    """
    found = await conn.fetchval(_SQL["newest_open"], kind, target, admin, number)
    return await get(conn, found)


async def last_with(conn: Connection, kind: str, target: str, number: int) -> Action | None:
    """The newest action of that number, over or not."""
    return await get(conn, await conn.fetchval(_SQL["last_with"], kind, target, number))


async def approve(conn: Connection, action_id: int, admin: int | None, now: datetime) -> bool:
    """One more confirmation, None: the host's; False when he confirmed before."""
    return await conn.fetchval(_SQL["approve"], action_id, admin, now) is not None


async def confirm(conn: Connection, action_id: int, until: datetime) -> None:
    """It waits for the second confirmation until then."""
    await conn.execute(_SQL["confirm"], action_id, until)


async def done(conn: Connection, action_id: int, outcome: Mapping[str, Any], now: datetime) -> None:
    await conn.execute(_SQL["done"], action_id, dict(outcome), now)


async def close(
    conn: Connection, action_id: int, state: ActionState, admin: int | None = None
) -> None:
    """LEFT by that admin, or EXPIRED."""
    await conn.execute(_SQL["close"], action_id, state, admin)


async def wrong(conn: Connection, action_id: int, cause: str) -> None:
    """A wrong number was typed; after `WRONG_NUMBERS` of them the action is LEFT."""
    await conn.execute(_SQL["wrong"], action_id, cause, WRONG_NUMBERS)


async def over(conn: Connection, now: datetime, limit: int) -> list[int]:
    """Open actions whose time is over."""
    return [row["id"] for row in await conn.fetch(_SQL["over"], now, limit)]


async def waiting_for(conn: Connection, escrow_id: str) -> list[Action]:
    """What waits for a second confirmation about a deal, oldest first."""
    found = [row["id"] for row in await conn.fetch(_SQL["waiting_for"], escrow_id)]
    return [one for one in [await get(conn, number) for number in found] if one is not None]


async def last_move(conn: Connection, escrow_id: str) -> tuple[str, str, datetime, str]:
    """(event, role, when, name or id of whoever did it) of the last event that moved a deal."""
    row = await conn.fetchrow(_SQL["last_move"], escrow_id)
    assert row is not None  # noqa: S101 a deal is opened by an event
    role, _, number = row["actor"].partition(":")
    return row["event"], role, row["at"], row["name"] or number


async def name_of(conn: Connection, admin: int) -> str:
    """What an admin is called; his number when he never pressed Start."""
    return str(await conn.fetchval(_SQL["name_of"], admin) or admin)
