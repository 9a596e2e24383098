"""Stars for sellers, and what a seller's page says of him."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Final

from escrow.domain.errors import IllegalMove, InvalidInput, NotAllowed, NotFound
from escrow.domain.flow import Actor, Status
from escrow.domain.model import Escrow, Seller
from escrow.domain.terms import Level
from escrow.services.ports import Clock
from escrow.services.work import locked, party_of
from escrow.store import escrows, people, ratings
from escrow.store.database import Connection, Database

RATING_WORDS: Final = 500
CHANGEABLE: Final = timedelta(hours=24)
_LISTED: Final = 8
_RATED: Final = frozenset({Status.COMPLETED, Status.REFUNDED})


@dataclass(frozen=True, slots=True)
class Rated:
    """What a buyer has said of a deal; `until` is when he can change it last."""

    escrow: Escrow
    stars: int
    words: str
    until: datetime


@dataclass(frozen=True, slots=True)
class SellerPage:
    """What everybody may know of a seller. Rates are exact shares of 1; None: nothing to go by.
    `success` is completed / (completed + refunded by his fault + disputes lost).
    """

    seller: Seller
    level: Level
    average: Fraction | None
    ratings: int
    sales: int
    success: Fraction | None
    lost: int
    since: datetime


class Ratings:
    """Ratings and sellers' pages."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._db = database
        self._clock = clock

    async def rate(
        self, typed: str, telegram_id: int, stars: int, words: str | None = None
    ) -> Rated:
        """The buyer's 1 to 5 stars for a deal that was paid and is over; within 24 hours he can
        change them, and what he said before is kept. Without `words` those of before stay.
        `InvalidInput`, `NotFound`, `NotAllowed`, `IllegalMove`.
        """
        if not 1 <= stars <= 5:
            raise InvalidInput("stars")

        async def work(conn: Connection) -> Rated:
            escrow = await _bought(conn, typed, telegram_id)
            before = await ratings.current(conn, escrow.id)
            return await self._put(conn, escrow, telegram_id, before, stars, words)

        return await self._db.run(work)

    async def add_words(self, typed: str, telegram_id: int, words: str) -> Rated:
        """Words for stars that were given. As `rate`; `NotFound` before any stars."""

        async def work(conn: Connection) -> Rated:
            escrow = await _bought(conn, typed, telegram_id)
            before = await ratings.current(conn, escrow.id)
            if before is None:
                raise NotFound("not_rated", code=escrow.id)
            return await self._put(conn, escrow, telegram_id, before, before.stars, words)

        return await self._db.run(work)

    async def _put(
        self,
        conn: Connection,
        escrow: Escrow,
        buyer: int,
        before: ratings.Rating | None,
        stars: int,
        words: str | None,
    ) -> Rated:
        now = self._clock.now()
        said = (before.words if before else "") if words is None else _words(words)
        until = (before.first_at if before else now) + CHANGEABLE
        if before is None or (before.stars, before.words) != (stars, said):
            if now > until:
                raise NotAllowed("rating_final")
            await ratings.put(
                conn,
                escrow.id,
                seller_id=escrow.seller_id,
                buyer=buyer,
                stars=stars,
                words=said,
                now=now,
            )
        return Rated(escrow, stars, said, until)

    async def to_rate(self, telegram_id: int) -> list[Escrow]:
        """A buyer's deals that wait for his stars, newest first."""
        async with self._db.reading() as conn:
            found = await ratings.to_rate(conn, telegram_id, _LISTED)
            return [await escrows.get(conn, code) for code in found]

    async def seller_page(self, seller_id: int) -> SellerPage:
        """A seller's figures as they are now. `NotFound`."""
        async with self._db.reading() as conn:
            seller = await people.seller(conn, seller_id)
            figures = await ratings.standing(conn, seller_id)
        if seller is None or figures is None:
            raise NotFound("no_shop")
        return SellerPage(
            seller=seller,
            level=figures.level,
            average=figures.average,
            ratings=figures.ratings,
            sales=figures.sales,
            success=figures.success,
            lost=figures.lost,
            since=figures.since,
        )


def _words(typed: str) -> str:
    words = " ".join(typed.replace("\x00", "").split())
    if len(words) > RATING_WORDS:
        raise InvalidInput("rating_words", maximum=RATING_WORDS, length=len(words))
    return words


async def _bought(conn: Connection, typed: str, telegram_id: int) -> Escrow:
    """A deal that this person paid and that is over, locked. Nobody rates himself, by id or by
    number. `NotFound`, `NotAllowed`, `IllegalMove`.
    """
    escrow = await locked(conn, typed)
    if party_of(escrow, telegram_id).actor is not Actor.BUYER:
        raise NotAllowed("only_buyers_rate")
    if escrow.status not in _RATED:
        raise IllegalMove("not_over", code=escrow.id)
    if await people.owns_number_of(conn, telegram_id, escrow.seller_id):
        raise NotAllowed("own_shop")
    return escrow
