"""A stand-in Daraja over HTTP in M-Pesa's documented wire format, odd corners included.

Serve `DarajaStandIn.app()` somewhere and give the address as MPESA_BASEURL.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from aiohttp import web

from sandbox.daraja_accounts import DarajaAccounts
from sandbox.daraja_money import DarajaCall, Prompt, Registration, StkPlan
from sandbox.daraja_results import QUEUED, Work
from sandbox.daraja_wire import (
    FORBIDDEN_IN_URLS,
    INVALID_TOKEN,
    MSISDN,
    SANDBOX_PASSKEY,
    SANDBOX_SHORTCODE,
    URL,
    Json,
    Refusal,
    access_token,
    checkout_id,
    error_body,
    invalid_field,
    merchant_id,
    named_refusal,
    password,
    read_stamp,
)
from sandbox.faults import misbehave
from sandbox.pulse import NAIROBI, Clock, wall_clock

STK_MAX: Final = 250_000
_PLAIN: Final = re.compile(r"[A-Za-z0-9 -]*")

Handler = Callable[[Json, web.Request], Awaitable["tuple[Json, Work | None]"]]


class DarajaStandIn(DarajaAccounts):
    """Safaricom's API, the subscribers, and faults on demand.

    More switches: `expires_as_text`, `new_token_invalidates`, `pending_form` ("error" or "4999"),
    `register_once`, `timestamp_tolerance` (None: any Timestamp will do), `store_till` (the till of
    this shortcode).
    """

    def __init__(
        self,
        *,
        shortcode: str = SANDBOX_SHORTCODE,
        passkey: str = SANDBOX_PASSKEY,
        consumer_key: str = "sandbox",
        consumer_secret: str = "sandbox",  # noqa: S107 - play money
        business_name: str = "AMANA",
        clock: Clock = wall_clock,
        prompt_seconds: float | None = None,
    ) -> None:
        super().__init__(
            shortcode=shortcode,
            business_name=business_name,
            clock=clock,
            prompt_seconds=prompt_seconds,
        )
        self.passkey = passkey
        self.credentials = {consumer_key: consumer_secret}
        self.tokens: dict[str, datetime] = {}
        self.token_seconds = 3599
        self.expires_as_text = False
        self.new_token_invalidates = False
        self.pending_form: Literal["error", "4999"] = "error"
        self.register_once = False
        self.store_till = ""
        self.timestamp_tolerance: timedelta | None = timedelta(minutes=5)

    def app(self) -> web.Application:
        """A fresh application to mount or serve."""
        app = web.Application()
        app.router.add_route("*", "/oauth/v1/generate", self._serve_oauth)
        for path, endpoint, handler in (
            ("/mpesa/stkpush/v1/processrequest", "stkpush", self._stk_push),
            ("/mpesa/stkpushquery/v1/query", "stkquery", self._stk_query),
            ("/mpesa/c2b/{version:v[12]}/registerurl", "registerurl", self._register),
            ("/mpesa/transactionstatus/v1/query", "transactionstatus", self._status),
            ("/mpesa/b2c/{version:v[13]}/paymentrequest", "b2c", self._b2c),
            ("/mpesa/reversal/v1/request", "reversal", self._reversal),
            ("/mpesa/accountbalance/v1/query", "accountbalance", self._balance),
            ("/pulltransactions/v1/register", "pullregister", self._pull_register),
            ("/pulltransactions/v1/query", "pullquery", self._pull),
        ):
            app.router.add_route("*", path, self._endpoint(endpoint, handler))
        app.router.add_route("*", "/{rest:.*}", self._not_found)
        app.on_shutdown.append(self._shutdown)
        return app

    async def _shutdown(self, app: web.Application) -> None:
        await self.close()

    # -- plans ---------------------------------------------------------------------------------

    def next_stk(self, plan: StkPlan | None = None, **changes: Any) -> None:
        """How the next STK request goes: `next_stk(result=1037, deliver="never")`."""
        self.plans.append(replace(plan or self.plan, **changes))

    # -- HTTP ----------------------------------------------------------------------------------

    async def _not_found(self, request: web.Request) -> web.StreamResponse:
        return _envelope(named_refusal("not_found"))

    async def _serve_oauth(self, request: web.Request) -> web.StreamResponse:
        call = DarajaCall("oauth", {}, self.clock())
        self.calls.append(call)

        async def act() -> web.StreamResponse:
            try:
                answer = web.json_response(self._token(request))
            except Refusal as refusal:
                answer = _envelope(refusal)
            call.status, call.answer = answer.status, answer.text or ""
            return answer

        fault = self.faults.take("oauth")
        answer = await (misbehave(fault, request, act) if fault else act())
        if fault is not None and fault.status is not None:
            call.status, call.answer = fault.status, fault.body
        self.pulse.beat()
        return answer

    def _token(self, request: web.Request) -> Json:
        if request.method != "GET":
            raise named_refusal("method_not_allowed")
        if request.query.get("grant_type") != "client_credentials":
            raise named_refusal("bad_grant_type")
        kind, _, text = request.headers.get("Authorization", "").partition(" ")
        try:
            key, _, secret = base64.b64decode(text, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            key, secret = "", ""
        if kind != "Basic" or not key or self.credentials.get(key) != secret:
            raise named_refusal("bad_auth_type")
        if self.new_token_invalidates:
            self.tokens.clear()
        token = access_token()
        self.tokens[token] = self.clock() + timedelta(seconds=self.token_seconds)
        seconds = self.token_seconds
        return {
            "access_token": token,
            "expires_in": str(seconds) if self.expires_as_text else seconds,
        }

    def invalidate_tokens(self) -> None:
        """Every token handed out so far is refused from now on."""
        self.tokens.clear()

    def _endpoint(
        self, endpoint: str, handler: Handler
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def serve(request: web.Request) -> web.StreamResponse:
            call = DarajaCall(endpoint, {}, self.clock())
            self.calls.append(call)
            after: list[Work] = []

            async def act() -> web.StreamResponse:
                try:
                    call.body = await self._authorised(endpoint, request)
                    body, work = await handler(call.body, request)
                    answer = web.json_response(body)
                    after.extend([work] if work else [])
                except Refusal as refusal:
                    answer = _envelope(refusal)
                call.status, call.answer = answer.status, answer.text or ""
                return answer

            fault = self.faults.take(endpoint)
            answer = await (misbehave(fault, request, act) if fault else act())
            if fault is not None and fault.status is not None:
                call.status, call.answer = fault.status, fault.body
            if fault is None or not fault.cut:
                # The acknowledgement is out before anything asynchronous happens.
                await answer.prepare(request)
                await answer.write_eof()
            for work in after:
                self.spawn(work())
            self.pulse.beat()
            return answer

        return serve

    async def _authorised(self, endpoint: str, request: web.Request) -> Json:
        """The body of an authorised POST. Raises Refusal."""
        if request.method != "POST":
            raise named_refusal("method_not_allowed")
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        if kind != "Bearer" or not token:
            raise named_refusal("invalid_auth_header")
        expires = self.tokens.get(token)
        if expires is None or expires <= self.clock():
            raise Refusal(*INVALID_TOKEN[endpoint])
        try:
            body = json.loads(await request.text())
        except ValueError:
            body = None
        if not isinstance(body, dict):
            raise named_refusal("invalid_payload")
        return body

    # -- STK -----------------------------------------------------------------------------------

    def _check_password(self, body: Json) -> None:
        shortcode, timestamp = str(body.get("BusinessShortCode", "")), str(body.get("Timestamp"))
        if not re.fullmatch(r"\d{5,7}", shortcode):
            raise invalid_field("BusinessShortCode")
        named = read_stamp(timestamp)
        if named is None:
            raise invalid_field("Timestamp")
        if self.timestamp_tolerance is not None:
            away = abs(self.clock().astimezone(NAIROBI) - named)
            if away > self.timestamp_tolerance:
                raise invalid_field("Timestamp")
        if shortcode != self.shortcode:
            raise named_refusal("no_merchant")
        if body.get("Password") != password(shortcode, self.passkey, timestamp):
            raise named_refusal("wrong_credentials")

    async def _stk_push(self, body: Json, request: web.Request) -> tuple[Json, Work | None]:
        self._check_password(body)
        prompt = self._read_stk(body)
        plan = prompt.plan
        if plan.prompt and self.open_prompts(prompt.phone):
            raise named_refusal("unable_to_lock")
        if self.plans:
            self.plans.pop(0)
        self.phone(prompt.phone)
        prompt.seq = self.pulse.beat()
        self.stk_requests.append(prompt)
        self.start_timer(prompt)
        work: Work | None = None
        if plan.deliver == "before_answer":
            await self.finish(prompt.checkout_id, 0 if plan.result is None else plan.result)
        elif plan.result is not None:
            result = plan.result

            async def conclude() -> None:
                if prompt.open:
                    await self.finish(prompt.checkout_id, result)

            work = conclude
        words = "Success. Request accepted for processing"
        answer: Json = {
            "MerchantRequestID": prompt.merchant_id,
            "CheckoutRequestID": prompt.checkout_id,
            "ResponseCode": "0",
            "ResponseDescription": words,
            "CustomerMessage": words,
        }
        return answer, work

    def _read_stk(self, body: Json) -> Prompt:
        kind = body.get("TransactionType")
        if kind not in ("CustomerPayBillOnline", "CustomerBuyGoodsOnline"):
            raise invalid_field("TransactionType")
        amount = str(body.get("Amount", ""))
        if not re.fullmatch(r"\d{1,7}", amount, re.ASCII) or not 1 <= int(amount) <= STK_MAX:
            raise invalid_field("Amount")
        for field in ("PartyA", "PhoneNumber"):
            if not MSISDN.fullmatch(str(body.get(field, ""))):
                raise invalid_field(field)
        paid = self.shortcode if kind == "CustomerPayBillOnline" else self.store_till
        if paid and str(body.get("PartyB", "")) != paid:
            raise invalid_field("PartyB")
        if not URL.fullmatch(str(body.get("CallBackURL", ""))):
            raise invalid_field("CallBackURL")
        account, words = str(body.get("AccountReference", "")), str(body.get("TransactionDesc", ""))
        if not 1 <= len(account) <= 12 or not _PLAIN.fullmatch(account):
            raise invalid_field("AccountReference")
        if len(words) > 13 or not _PLAIN.fullmatch(words):
            raise invalid_field("TransactionDesc")
        phone = str(body["PhoneNumber"])
        at = self.clock()
        while any(one.checkout_id == checkout_id(at, phone) for one in self.stk_requests):
            at += timedelta(milliseconds=1)
        return Prompt(
            merchant_id=merchant_id(),
            checkout_id=checkout_id(at, phone),
            shortcode=self.shortcode,
            phone=phone,
            amount=int(amount),
            account=account,
            description=words,
            callback_url=str(body["CallBackURL"]),
            at=at,
            plan=self.plans[0] if self.plans else self.plan,
            request=body,
        )

    async def _stk_query(self, body: Json, request: web.Request) -> tuple[Json, Work | None]:
        self._check_password(body)
        wanted = body.get("CheckoutRequestID")
        found = [one for one in self.stk_requests if one.checkout_id == wanted]
        if not found:
            raise named_refusal("does_not_exist")
        prompt = found[0]
        if prompt.open and self.pending_form == "error":
            raise named_refusal("being_processed")
        pending = prompt.open or prompt.result is None
        answer: Json = {
            "ResponseCode": "0",
            "ResponseDescription": "The service request has been accepted successsfully",
            "MerchantRequestID": prompt.merchant_id,
            "CheckoutRequestID": prompt.checkout_id,
            "ResultCode": "4999" if pending else str(prompt.result),
            "ResultDesc": self.text_of(4999) if pending else prompt.desc,
        }
        return answer, None

    # -- C2B -----------------------------------------------------------------------------------

    async def _register(self, body: Json, request: web.Request) -> tuple[Json, Work | None]:
        shortcode = str(body.get("ShortCode", ""))
        if shortcode != self.shortcode:
            raise invalid_field("ShortCode")
        if body.get("ResponseType") not in ("Completed", "Cancelled"):
            raise invalid_field("ResponseType")
        for field in ("ConfirmationURL", "ValidationURL"):
            url = str(body.get(field, ""))
            if not URL.fullmatch(url) or FORBIDDEN_IN_URLS.search(url):
                raise invalid_field(field)
        if self.register_once and shortcode in self.registrations:
            raise named_refusal("urls_registered")
        self.registrations[shortcode] = Registration(
            shortcode,
            request.match_info["version"],
            str(body["ConfirmationURL"]),
            str(body["ValidationURL"]),
            str(body["ResponseType"]),
        )
        answer: Json = {
            "OriginatorCoversationID": merchant_id(),
            "ResponseCode": "0",
            "ResponseDescription": QUEUED,
        }
        return answer, None

    # -- asynchronous ones ---------------------------------------------------------------------

    async def _status(self, body: Json, request: web.Request) -> tuple[Json, Work | None]:
        return self.status_query(body)

    async def _b2c(self, body: Json, request: web.Request) -> tuple[Json, Work | None]:
        return self.pay_out(body, request.match_info["version"])

    async def _reversal(self, body: Json, request: web.Request) -> tuple[Json, Work | None]:
        return self.reverse(body)

    async def _balance(self, body: Json, request: web.Request) -> tuple[Json, Work | None]:
        return self.balance_query(body)

    async def _pull_register(self, body: Json, request: web.Request) -> tuple[Json, Work | None]:
        return self.pull_register(body), None

    async def _pull(self, body: Json, request: web.Request) -> tuple[Json, Work | None]:
        return self.pull(body), None


def _envelope(refusal: Refusal) -> web.Response:
    body = error_body(refusal.code, refusal.message)
    return web.json_response(body, status=refusal.status)
