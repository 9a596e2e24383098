"""Which deal somebody means by what he typed into M-Pesa as the account number."""

from __future__ import annotations

from escrow.domain import codes
from escrow.store import escrows
from escrow.store.database import Database


async def deal_meant(database: Database, typed: str) -> str | None:
    """The code itself, however it is written, or the one open deal that is a single wrong digit
    away (flow.md 25). None when no deal fits, or two do: a guess books somebody's money.
    """
    code = codes.read_code(typed)
    if code is not None:
        return code
    near = codes.near_codes(typed)
    if not near:
        return None
    async with database.reading() as conn:
        fitting = await escrows.open_codes(conn, near)
    return fitting[0] if len(fitting) == 1 else None
