"""A stand-in BlockBee over HTTP in its documented wire format: prices, addresses, coins that come
in, signed callbacks, logs. Serve `BlockBeeStandIn.app()` and give the address as the base URL.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

from aiohttp import web

from sandbox.blockbee_payers import BlockBeePayers
from sandbox.blockbee_wire import (
    CoinCall,
    Receiver,
    Refused,
    address_of,
    envelope,
    log_of,
    number,
)
from sandbox.daraja_wire import Json, dump
from sandbox.faults import misbehave

REQUEST_CHARACTERS_MAX: Final = 8192
_TICKER: Final = "{ticker:[a-z0-9]+(?:[/_][a-z0-9]+)?}"

Handler = Callable[[web.Request], Json]


class BlockBeeStandIn(BlockBeePayers):
    """BlockBee's API. One more switch: `logs_empty_is_error`, which its documentation promises and
    its examples don't show.
    """

    logs_empty_is_error = False

    # -- the API -------------------------------------------------------------------------------

    def app(self) -> web.Application:
        """A fresh application to mount or serve."""
        app = web.Application()
        for path, endpoint, handler in (
            ("/info/", "info", self._info_all),
            (f"/{_TICKER}/info/", "info", self._info),
            (f"/{_TICKER}/convert/", "convert", self._convert),
            (f"/{_TICKER}/create/", "create", self._create),
            (f"/{_TICKER}/logs/", "logs", self._logs),
            ("/pubkey/", "pubkey", self._pubkey),
        ):
            app.router.add_get(path, self._endpoint(endpoint, handler))
        app.on_shutdown.append(self._shutdown)
        return app

    async def _shutdown(self, app: web.Application) -> None:
        await self.close()

    def _endpoint(
        self, endpoint: str, handler: Handler
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def serve(request: web.Request) -> web.StreamResponse:
            call = CoinCall(
                endpoint,
                request.raw_path.partition("?")[0],
                dict(request.query),
                {name.lower(): value for name, value in request.headers.items()},
                self.clock(),
            )
            self.calls.append(call)

            async def act() -> web.StreamResponse:
                try:
                    if endpoint != "pubkey":
                        self._check_key(request)
                    answer = _json(handler(request))
                except Refused as error:
                    answer = _json(envelope(error.words), error.status)
                call.status, call.answer = answer.status, answer.text or ""
                return answer

            fault = self.faults.take(endpoint)
            answer = await (misbehave(fault, request, act) if fault else act())
            if fault is not None and fault.status is not None:
                call.status, call.answer = fault.status, fault.body
            self.pulse.beat()
            return answer

        return serve

    def _check_key(self, request: web.Request) -> None:
        given = request.headers.get("apikey") or request.query.get("apikey")
        if not given:
            raise Refused("no_key")
        if given != self.api_key:
            raise Refused("wrong_key")

    def _ticker(self, request: web.Request) -> str:
        ticker = request.match_info["ticker"].replace("_", "/")
        if ticker not in self.prices:
            raise Refused("coin")
        return ticker

    def _terms(self, ticker: str, *, prices: bool) -> Json:
        """Like an entry of info-coins.json."""
        terms: Json = {
            "coin": ticker.upper(),
            "logo": f"https://api.cryptapi.io/media/token_logos/{ticker.replace('/', '_')}.png",
            "ticker": ticker.rpartition("/")[2],
            "minimum_transaction_coin": f"{self.minimums[ticker]:.8f}",
            "minimum_fee_coin": "0.00000546",
            "fee_percent": "1.000",
            "network_fee_estimation": f"{self.network_fee.get(ticker, Decimal(0)):.8f}",
        }
        if prices:
            terms["prices"] = {"EUR": "1.0000000000", "USD": f"{self.prices[ticker]:.10f}"}
            terms["prices_updated"] = f"{self.clock():%Y-%m-%dT%H:%M:%S.000Z}"
        return terms

    def _info_all(self, request: web.Request) -> Json:
        found: Json = {}
        for ticker in self.prices:
            network, _, token = ticker.partition("/")
            terms = self._terms(ticker, prices=request.query.get("prices") == "1")
            if token:
                found.setdefault(network, {})[token] = terms
            else:
                found[network] = terms
        return found

    def _info(self, request: web.Request) -> Json:
        prices = request.query.get("prices") == "1"
        return {**self._terms(self._ticker(request), prices=prices), "status": "success"}

    def _convert(self, request: web.Request) -> Json:
        """convert.json: decimals as strings. Dollars only; there are no shillings."""
        ticker = self._ticker(request)
        if request.query.get("from", "").lower() != "usd":
            raise Refused("convert")
        try:
            value = Decimal(request.query.get("value", ""))
        except ArithmeticError:
            raise Refused("convert") from None
        coins = (value / self.prices[ticker]).quantize(Decimal("1E-8"), ROUND_HALF_EVEN)
        return {
            "status": "success",
            "value_coin": number(coins, "plain"),
            "exchange_rate": number(1 / self.prices[ticker], "plain"),
        }

    def _create(self, request: web.Request) -> Json:
        """create-response.json. The same callback URL gives the same address."""
        ticker = self._ticker(request)
        callback = request.query.get("callback", "")
        if len(request.raw_path) > REQUEST_CHARACTERS_MAX or not callback.startswith("http"):
            raise Refused("callback")
        wants = {name: request.query.get(name) == "1" for name in ("pending", "convert", "post")}
        json_body = request.query.get("json") == "1"
        address = address_of(ticker, callback)
        receiver = self.receivers.setdefault(
            address,
            Receiver(
                ticker,
                callback,
                address,
                wants["pending"],
                "json" if json_body else "post" if wants["post"] else "get",
                wants["convert"],
                request.query.get("multi_token") == "1",
                self.clock(),
            ),
        )
        return {
            "address_in": receiver.address,
            "address_out": address_of(ticker, "our own wallet"),
            "callback_url": receiver.callback_url,
            "priority": "default",
            "minimum_transaction_coin": f"{self.minimums[ticker]:.8f}",
            "status": "success",
        }

    def _logs(self, request: web.Request) -> Json:
        """logs-empty.json and the documentation's entries."""
        address = address_of(self._ticker(request), request.query.get("callback", ""))
        receiver = self.receivers.get(address)
        if receiver is None:
            raise Refused("unknown_callback")
        seen = [one for one in self.payments if one.receiver is receiver and not one.ignored]
        if not seen and self.logs_empty_is_error:
            raise Refused("none_yet")
        return {
            "status": "success",
            "callback_url": receiver.callback_url,
            "address_in": receiver.address,
            "address_out": address_of(receiver.ticker, "our own wallet"),
            "notify_pending": receiver.pending,
            "notify_confirmations": 1,
            "priority": "default",
            "callbacks": [log_of(one) for one in seen],
        }

    def _pubkey(self, request: web.Request) -> Json:
        return {"status": "success", "pubkey": self.public_key_pem}


def _json(body: Json, status: int = 200) -> web.Response:
    return web.json_response(text=dump(body), status=status)
