"""OAuth tokens that all processes share: a provider may end the old token when it gives a new one.

The row's key names the provider and a hash of the credentials. Who holds the lease fetches.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, cast

from escrow.store import queries
from escrow.store.database import Connection

_SQL: Final = queries.load("tokens")


async def usable(conn: Connection, provider: str, holds_after: datetime) -> str | None:
    """The token that is still good after that time, if there is one."""
    return cast("str | None", await conn.fetchval(_SQL["usable"], provider, holds_after))


async def take_lease(
    conn: Connection, provider: str, now: datetime, holds_after: datetime, until: datetime
) -> datetime | None:
    """The right to fetch a token, named by its end; None while another process has it, or when a
    token that holds after `holds_after` is there already.
    """
    lease = await conn.fetchval(_SQL["take_lease"], provider, now, holds_after, until)
    return cast("datetime | None", lease)


async def keep(
    conn: Connection, provider: str, lease: datetime, token: str, expires_at: datetime
) -> bool:
    """Stores what was fetched under that lease. False when the lease was lost: then another
    process has fetched since, and this token may be dead.
    """
    return bool(await conn.fetchval(_SQL["keep"], provider, lease, token, expires_at))


async def release(conn: Connection, provider: str, lease: datetime) -> None:
    """Gives the lease back without a token."""
    await conn.execute(_SQL["release"], provider, lease)


async def forget(conn: Connection, provider: str, token: str) -> None:
    """Drops exactly that token: a newer one stays."""
    await conn.execute(_SQL["forget"], provider, token)
