"""A stand-in DynoPay over HTTP in its documented wire format, odd corners included.

Serve `DynoPayStandIn.app()` somewhere and give the address as DYNOPAY_BASE_URL.
"""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from aiohttp import web

from sandbox.daraja_wire import Json
from sandbox.dynopay_base import KEPT, DynoPayBase
from sandbox.dynopay_wire import (
    META_BYTES_MAX,
    MINIMUM,
    SUPPORTED,
    TAGGED,
    CoinPayment,
    DynoPayCall,
    Hook,
    Refusal,
    dump,
    error_body,
    iso,
    new_address,
    new_id,
    number,
    rate_limited,
    success,
)
from sandbox.faults import misbehave

MINUTE: Final = timedelta(minutes=1)

Handler = Callable[[web.Request, DynoPayCall], Awaitable[Json]]


class DynoPayStandIn(DynoPayBase):
    """DynoPay's API, and everybody who pays to its addresses."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._answers: dict[str, tuple[str, Json, datetime]] = {}
        self._times: dict[str, deque[datetime]] = {"create": deque(), "call": deque()}

    def app(self) -> web.Application:
        """A fresh application to mount or serve."""
        app = web.Application()
        for method, path, endpoint, handler in (
            ("POST", "/user/cryptoPayment", "cryptoPayment", self._create),
            ("GET", "/user/getPaymentStatus/{id}", "getPaymentStatus", self._status),
            ("GET", "/user/getSupportedCurrency", "getSupportedCurrency", self._currencies),
            ("GET", "/user/events", "events", self._events),
            ("POST", "/user/events/{id}/resend", "resend", self._resend),
        ):
            app.router.add_route(method, path, self._endpoint(endpoint, handler))
        app.router.add_route("*", "/{rest:.*}", self._not_found)
        app.on_shutdown.append(self._shutdown)
        return app

    async def _shutdown(self, app: web.Application) -> None:
        await self.close()

    async def _not_found(self, request: web.Request) -> web.StreamResponse:
        return _json(404, error_body("not_found"))

    def _endpoint(
        self, endpoint: str, handler: Handler
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def serve(request: web.Request) -> web.StreamResponse:
            text = await request.text()
            call = DynoPayCall(endpoint, self.clock(), text, dict(request.headers))
            self.calls.append(call)

            async def act() -> web.StreamResponse:
                answer = await self._answer(request, call, handler)
                call.status, call.answer = answer.status, answer.text or ""
                return answer

            fault = self.faults.take(endpoint)
            answer = await (misbehave(fault, request, act) if fault else act())
            if fault is not None and fault.status is not None:
                call.status, call.answer = fault.status, fault.body
            self.pulse.beat()
            return answer

        return serve

    async def _answer(
        self, request: web.Request, call: DynoPayCall, handler: Handler
    ) -> web.Response:
        key = request.headers.get("x-api-key", "")
        try:
            if not key:
                raise Refusal("api_key_missing")
            if key != self.api_key:
                raise Refusal("api_key_invalid")
            over = self._over("call", self.calls_per_minute)
            if call.endpoint == "cryptoPayment":
                over = self._over("create", self.creations_per_minute) or over
            if over:
                return _json(429, rate_limited(60))
            return _json(200, await handler(request, call))
        except Refusal as refusal:
            return _json(refusal.status, refusal.body)

    def _over(self, what: str, most: int) -> bool:
        """Whether there were `most` in the minute before; otherwise this one counts."""
        now, times = self.clock(), self._times[what]
        while times and now - times[0] >= MINUTE:
            times.popleft()
        if len(times) >= most:
            return True
        times.append(now)
        return False

    async def _create(self, request: web.Request, call: DynoPayCall) -> Json:
        key = request.headers.get("Idempotency-Key", "")
        digest = hashlib.sha256(call.body.encode()).hexdigest()
        known = self._answers.get(key) if key else None
        if known is not None and self.clock() - known[2] < KEPT:
            if known[0] != digest:
                raise Refusal("idempotency_key_reused")
            return known[1]
        answer = self._created(self._new_payment(call.body))
        if key:
            self._answers[key] = (digest, answer, self.clock())
        return answer

    def _new_payment(self, text: str) -> CoinPayment:
        try:
            body = json.loads(text, parse_float=Decimal, parse_int=Decimal)
        except ValueError:
            body = None
        if not isinstance(body, dict):
            raise Refusal("invalid_json")
        amount, currency = body.get("amount"), str(body.get("currency") or "").upper()
        if not isinstance(amount, Decimal) or amount <= 0:
            raise Refusal("amount_invalid")
        if amount < MINIMUM:
            raise Refusal("amount_below_minimum")
        if not currency:
            raise Refusal("currency_required")
        if not self.wallets:
            raise Refusal("no_wallet_configured")
        if currency not in self.wallets:
            raise Refusal("currency_not_available")
        if currency not in self.prices:
            raise Refusal("rate_unavailable")
        meta = body.get("meta_data")
        if len(json.dumps(meta, default=str)) > META_BYTES_MAX:
            raise Refusal("meta_too_large")
        urls = [body[name] for name in ("callback_url", "webhook_url") if body.get(name)]
        step = Decimal("1e-6") if currency in (*TAGGED, "USDT-TRC20", "TRX") else Decimal("1e-8")
        payment = CoinPayment(
            id=new_id(),
            address=new_address(currency),
            currency=currency,
            amount=(amount / self.prices[currency]).quantize(step),
            base_amount=amount,
            base_currency=self.base_currency,
            urls=tuple(dict.fromkeys(map(str, urls))),
            meta=meta,
            at=self.clock(),
            tag=next(self._tags) if currency in TAGGED else None,
        )
        self.payments[payment.id] = payment
        return payment

    def _created(self, payment: CoinPayment) -> Json:
        tag = {} if payment.tag is None else {"destination_tag": payment.tag}
        found: Json = {
            "transaction_id": payment.id,
            "qr_code": "data:image/png;base64,iVBORw0KGgo=",
            "address": payment.address,
            "amount": number(payment.amount),
            "currency": payment.currency,
            "base_amount": number(payment.base_amount),
            "base_currency": payment.base_currency,
            **tag,
        }
        return success("Payment Created!", found)

    async def _status(self, request: web.Request, call: DynoPayCall) -> Json:
        payment = self.payments.get(request.match_info["id"])
        if payment is None:
            raise Refusal("payment_not_found")
        # Once it counts as paid, DynoPay reports what it expected, whatever came.
        paid = payment.status in ("confirmed", "processing", "settled")
        received = payment.amount if paid else payment.received
        found: Json = {
            "payment_id": payment.id,
            "payment_status": payment.status,
            "status": payment.status.upper(),
            "is_paid": payment.status == "settled",
            "payment_mode": "CRYPTO",
            "amount": number(payment.amount),
            "currency": payment.currency,
            "amount_received": number(received),
            "amount_remaining": number(payment.amount - received),
            "paid_amount": number(received),
            "base_amount": number(payment.base_amount),
            "base_currency": payment.base_currency,
            "transaction_reference": None,
            "incoming_tx_hash": payment.incoming or None,
            "created_at": iso(payment.at),
            "updated_at": iso(self.clock()),
        }
        return success("Payment status retrieved", found, display_currency=payment.base_currency)

    async def _currencies(self, request: web.Request, call: DynoPayCall) -> Json:
        found = {"currencies": list(self.wallets), "all_supported": list(SUPPORTED)}
        return success("Supported currencies retrieved", found)

    async def _events(self, request: web.Request, call: DynoPayCall) -> Json:
        wish = request.query
        try:
            limit = min(100, max(1, int(wish.get("limit", "20"))))
            before = int(wish["starting_after"]) if wish.get("starting_after") else None
        except ValueError:
            limit, before = 20, None
        rows = [
            hook
            for hook in reversed(self.hooks)
            if (before is None or hook.id < before)
            and wish.get("type") in (None, "", hook.event)
            and wish.get("status") in (None, "", "success" if hook.delivered else "failed")
        ]
        page = rows[:limit]
        more = len(rows) > limit
        return success(
            "Events retrieved",
            [_listed(hook) for hook in page],
            has_more=more,
            next_cursor=str(page[-1].id) if more else None,
            limit=limit,
        )

    async def _resend(self, request: web.Request, call: DynoPayCall) -> Json:
        wanted = request.match_info["id"]
        found = [hook for hook in self.hooks if str(hook.id) == wanted]
        if not found:
            raise Refusal("event_not_found")
        again = await self.redeliver(found[0])
        resent = again is not None and again.delivered
        return success(
            "Event resent" if resent else "Resend attempted",
            {
                "id": found[0].id,
                "event": found[0].event,
                "url": found[0].url,
                "resent": resent,
                "error": None if resent else "delivery failed",
            },
        )


def _listed(hook: Hook) -> Json:
    """As the list shows it: without payment and payload."""
    return {
        "id": hook.id,
        "object": "event",
        "event": hook.event,
        "webhook_id": hook.webhook_id,
        "url": hook.url,
        "status": "success" if hook.delivered else "failed",
        "response_status": hook.status,
        "response_time_ms": 12,
        "attempts": 0 if hook.delivered else 1,
        "error": hook.error or None,
        "created_at": iso(hook.at),
        "completed_at": iso(hook.at),
    }


def _json(status: int, body: Json) -> web.Response:
    return web.Response(status=status, text=dump(body), content_type="application/json")
