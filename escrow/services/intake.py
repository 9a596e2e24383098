"""The one door for providers: stored raw first, answered, then processed from the stored row.

A row is processed until it is done; one that keeps failing is parked with an alert after five
tries, and run again when a person says so (`services/parked`). Every step behind it may be
repeated, so a crash anywhere only means: again.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from escrow.domain.errors import DatabaseDown, OutcomeUnknown, Paused, PriceUnknown, TimedOut
from escrow.domain.model import Notice
from escrow.domain.outages import Pulse
from escrow.services.balances import Balances
from escrow.services.claims import Claims
from escrow.services.confirmations import Confirmations
from escrow.services.crypto import ODD, CoinPayments
from escrow.services.floating import Floating
from escrow.services.payouts import Payouts
from escrow.services.ports import Clock, PullRail, Rail, RawRequest, UnreadableError
from escrow.store import inbox, outbox, payments
from escrow.store.database import Connection, Database
from escrow.store.inbox import StoredRequest

_LOG: Final = logging.getLogger(__name__)
_TRIES: Final = 5
_AT_ONCE: Final = 8
_ALERTS_PER_HOUR: Final = 5
"""Of parked rows, one by one; a flood of them is one more."""
_BACK_OFF: Final = (
    timedelta(seconds=2),
    timedelta(seconds=10),
    timedelta(minutes=1),
    timedelta(minutes=5),
)
STK, PAYBILL, STATUS, STATUS_TIMEOUT = "stk", "paybill", "status", "status_timeout"
CLAIM, CLAIM_TIMEOUT = "claim", "claim_timeout"
PAYOUT, PAYOUT_TIMEOUT = "payout", "payout_timeout"
PAYOUT_ASKED, ASKED_TIMEOUT = "payout_asked", "payout_asked_timeout"
PAYOUT_WORD = "payout_word"
REVERSAL = "reversal"
BLOCKBEE, DYNOPAY = COIN_ROUTES = ("blockbee", "dynopay")
"""Named like the providers whose signed requests come by them."""
BALANCE, BALANCE_TIMEOUT = "balance", "balance_timeout"
PULLED, PULL_NOTE = "pulled", "pull_note"


class Intake:
    """Stores, then processes what providers send."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        rail: Rail,
        confirmations: Confirmations,
        admins: Sequence[int],
        path_secret: str,
        *,
        claims: Claims | None = None,
        payouts: Payouts | None = None,
        floating: Floating | None = None,
        coins: CoinPayments | None = None,
        balances: Balances | None = None,
        pull: PullRail | None = None,
        pulse: Pulse | None = None,
    ) -> None:
        self._db = database
        self._clock = clock
        self._rail = rail
        self._confirmations = confirmations
        self._admins = tuple(admins)
        self._path_secret = path_secret
        self._claims = claims
        self._payouts = payouts
        self._floating = floating
        self._coins = coins
        self._balances = balances
        self._pull = pull
        self._pulse = pulse
        self._wake = asyncio.Event()

    def knows(self, secret: str) -> bool:
        """Whether a path carries our secret, in constant time."""
        given = secret.encode("utf-8", "surrogateescape")
        return hmac.compare_digest(given, self._path_secret.encode())

    def check(
        self, route: str, body: bytes, *, token: str = "", method: str = "POST", query: str = ""
    ) -> None:
        """`UnreadableError` when the request is not what the provider documents."""
        if self._coins is not None and route in COIN_ROUTES:
            self._coins.read(route, _raw(token, method, query, body))
        elif route == STK:
            self._rail.read_stk_callback(body)
        elif route == PAYBILL:
            self._rail.read_paybill(body)
        elif route == PAYOUT and self._payouts is not None:
            self._payouts.check(body)
        elif route == PAYOUT_ASKED and self._payouts is not None:
            self._payouts.check(body, asked=True)
        elif route == REVERSAL and self._payouts is not None:
            self._payouts.check(body, back=True)
        elif route == BALANCE and self._balances is not None:
            self._balances.read(body)
        elif route == PULLED and self._pull is not None:
            self._pull.read_pulled(body)
        elif route in (STATUS, CLAIM, PAYOUT_WORD):
            self._rail.read_status_result(body)

    async def store(
        self,
        route: str,
        token: str,
        method: str,
        query: str,
        body: bytes,
        sender: str,
        *,
        listed: bool = True,
    ) -> bool:
        """Keeps a raw request before it is answered; True when it is new. `DatabaseDown`.

        One that can't be read is kept as PARKED, for a person to look at, and raises. One whose
        sender is not `listed` is told to the admins, at most once an hour, and is never credited
        on its word alone.
        """
        unreadable: UnreadableError | None = None
        try:
            self.check(route, body, token=token, method=method, query=query)
        except UnreadableError as error:
            unreadable = error
        now = self._clock.now()
        async with self._db.unit() as conn:
            row, new = await inbox.store_request(
                conn,
                route=route,
                token=token,
                method=method,
                query=query,
                body=body,
                sender=sender,
                now=now,
                listed=listed,
            )
            if unreadable is not None and new:
                await self._park(conn, row, route, _unreadable(unreadable), now)
            if not listed and new:
                said = {"sender": sender, "route": route, "row": row}
                await self._alert(conn, f"unlisted:{_hour(now)}", "unlisted_sender", said, now)
        if unreadable is not None:
            _LOG.warning(
                "a callback can't be read: %s",
                unreadable,
                extra={"action": "unreadable", "route": route, "row": row},
            )
            raise unreadable
        for action in ("authenticated", "stored" if new else "duplicate"):
            _LOG.info("callback %s", action, extra={"action": action, "route": route, "row": row})
        if new and self._pulse is not None and route not in COIN_ROUTES:
            self._pulse.heard(now, good=True)
        self._wake.set()
        return new

    async def authentic(self, route: str, token: str, request: RawRequest) -> bool | None:
        """Whether a coin provider signed exactly this request; None: nobody can say now.
        `DatabaseDown`.
        """
        return None if self._coins is None else await self._coins.authentic(route, token, request)

    async def validate(self, body: bytes) -> str | None:
        """The answer to a C2B validation: None accepts, else the refusal's code."""
        return await self._confirmations.acceptable(self._rail.read_paybill(body))

    async def recover(self) -> None:
        """At start: what a killed process had taken is due again."""
        async with self._db.unit() as conn:
            await inbox.recover_requests(conn, self._clock.now())
        self._wake.set()

    async def run(self) -> None:
        """Processes what comes, until cancelled. A database that is down, full or odd is waited
        for.
        """
        while True:
            self._wake.clear()
            try:
                busy = await self.process_due()
            except (DatabaseDown, TimedOut):
                _LOG.warning("the inbox waits for PostgreSQL", extra={"action": "inbox_waits"})
                busy = 0
            except Exception:  # noqa: BLE001 nothing may end it
                _LOG.exception("the inbox failed", extra={"action": "inbox_failed"})
                busy = 0
            if not busy:
                try:
                    await asyncio.wait_for(self._wake.wait(), 1.0)
                except TimeoutError:
                    continue

    async def process_due(self) -> int:
        """Processes what is due now; returns how many rows it took."""
        async with self._db.unit() as conn:
            taken = await inbox.claim_requests(conn, self._clock.now(), _AT_ONCE)
        if taken:
            done = await asyncio.gather(
                *(self._process_safely(request) for request in taken), return_exceptions=True
            )
            for error in filter(None, done):  # every row had its turn; its next one is set
                raise error
        return len(taken)

    async def _process_safely(self, request: StoredRequest) -> None:
        try:
            note = await self._process(request)
        except (DatabaseDown, TimedOut, OutcomeUnknown, Paused, PriceUnknown) as error:
            await self._retry(request, str(error), park=False)
        except UnreadableError as error:  # run again, and no better: its bytes do not change
            await self._retry(request, _unreadable(error), park=True)
        except Exception as error:  # noqa: BLE001 one bad row must not stop the others
            _LOG.exception(
                "processing a callback failed",
                extra={"action": "process_failed", "route": request.route, "row": request.id},
            )
            await self._retry(request, type(error).__name__, park=request.tries >= _TRIES)
        else:
            state = "PARKED" if note in _PARKED else "DONE"
            async with self._db.unit() as conn:
                await inbox.finish_request(conn, request.id, state, note, self._clock.now())
            if self._floating is not None and (request.route, state) in _TELL_BALANCES:
                source = f"inbox:{request.id}"
                await self._floating.take(request.body, source, request.received_at)

    async def _process(self, request: StoredRequest) -> str:
        """One stored request; returns a word on what became of it."""
        if self._coins is not None and request.route in COIN_ROUTES:
            raw = _raw(request.token, request.method, request.query, request.body)
            return await self._coins.on_request(
                request.route, request.token, raw, request.received_at, request.id
            )
        if request.route == STK:
            async with self._db.reading() as conn:
                attempt = await payments.attempt_by_token(conn, request.token)
            if attempt is None:
                raise LookupError("no attempt with this token yet")
            callback = self._rail.read_stk_callback(request.body)
            return await self._confirmations.on_callback(attempt, callback, request.id)
        if request.route == PAYBILL:
            payment = self._rail.read_paybill(request.body)
            return await self._confirmations.on_paybill(payment, request.id)
        if request.route == PULLED and self._pull is not None:
            payment = self._pull.read_pulled(request.body)
            return await self._confirmations.on_paybill(payment, request.id)
        if request.route == BALANCE and self._balances is not None:
            source = f"inbox:{request.id}"
            token, body = request.token, request.body
            return await self._balances.on_result(token, body, source, request.received_at)
        if request.route == STATUS:
            result = self._rail.read_status_result(request.body)
            return await self._confirmations.on_status_result(request.token, result)
        if request.route == CLAIM and self._claims is not None:
            result = self._rail.read_status_result(request.body)
            return await self._claims.on_status_result(request.token, result)
        if self._payouts is not None and request.route == PAYOUT:
            return await self._payouts.on_result(request.token, request.body)
        if self._payouts is not None and request.route == REVERSAL:
            return await self._payouts.on_reversed(request.token, request.body)
        if self._payouts is not None and request.route == PAYOUT_ASKED:
            return await self._payouts.on_asked(request.token, request.body)
        if self._payouts is not None and request.route == PAYOUT_WORD:
            return await self._payouts.on_word(request.token, request.body)
        if self._payouts is not None and request.route == PAYOUT_TIMEOUT:
            return await self._payouts.on_timeout(request.token)
        return "noted"  # a queue time-out says nothing; the sweep asks again

    async def _retry(self, request: StoredRequest, why: str, *, park: bool) -> None:
        now = self._clock.now()
        try:
            async with self._db.unit() as conn:
                if not park:
                    wait = _BACK_OFF[min(request.tries, len(_BACK_OFF)) - 1]
                    await inbox.retry_request(conn, request.id, now + wait, why)
                    return
                await self._park(conn, request.id, request.route, why, now, request.reruns)
        except (DatabaseDown, TimedOut):
            _LOG.warning("a callback waits for PostgreSQL", extra={"action": "inbox_waits"})

    async def _park(
        self, conn: Connection, row: int, route: str, why: str, now: datetime, reruns: int = 0
    ) -> None:
        """Lays a row aside for a person, who hears of it. Of a flood he hears once an hour more."""
        before = await inbox.parked_since(conn, now - timedelta(hours=1), _ALERTS_PER_HOUR)
        many = before >= _ALERTS_PER_HOUR
        cause = f"parked:{row}" + (f":{reruns}" if reruns else "")
        if many:
            cause = f"parked-many:{_hour(now)}"
        await inbox.finish_request(conn, row, "PARKED", why, now)
        said = {"row": row, "route": route, "why": why, "many": before if many else 0}
        await self._alert(conn, cause, "request_parked", said, now)

    async def _alert(
        self, conn: Connection, cause: str, kind: str, values: dict[str, Any], now: datetime
    ) -> None:
        notices = [Notice(cause, kind, admin, values) for admin in self._admins]
        await outbox.queue(conn, notices, now)


def _unreadable(error: UnreadableError) -> str:
    return f"unreadable: {error}"


def _hour(now: datetime) -> str:
    return now.strftime("%Y-%m-%dT%H")


_TELL_BALANCES: Final = {(PAYBILL, "DONE"), (PAYOUT, "DONE")}
"""What also says how much our own accounts hold."""
_PARKED: Final = {"wrong_shortcode", "other_request_id", *ODD}


def _raw(token: str, method: str, query: str, body: bytes) -> RawRequest:
    """A request as it was kept: that its provider signed it was looked at before, the token is what
    its path ended with.
    """
    return RawRequest(method, f"/{token}", query, {}, body)
