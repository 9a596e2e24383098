"""What silence, noise and refusals on the way to DynoPay amount to."""

import asyncio
import logging

import httpx
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from aiolimiter import AsyncLimiter

from escrow.rails import dynopay_gateway, http
from escrow.rails.dynopay_gateway import ANSWER_LOST, NEVER_SENT, DynoPayConfig, Gateway
from escrow.services.ports import Answer, Verdict
from tests.rails.dynopay_samples import NO_KEY, QUOTED, SECRET, TOKEN
from tests.rails.fakes import TLS

KEY = "dpk_live_of_the_tests"
BASE = "https://dynopay.test/api/"
PATH = "/user/cryptoPayment"


@pytest.fixture
async def build():
    """Builds gateways whose clients are closed at the end; without a transport, to the network."""
    clients = []

    def make(base=BASE, *, transport=None, timeout_seconds=20, **limits):
        client = httpx.AsyncClient(transport=transport, verify=TLS)
        clients.append(client)
        config = DynoPayConfig(base, KEY, SECRET, timeout_seconds)
        return Gateway(config, client, **limits)

    yield make
    for client in clients:
        await client.aclose()


@pytest.fixture
def hearing(build):
    """A gateway that hears these answers, one after the other, and keeps what it asked."""

    def hear(*answers, **limits):
        left, asked = list(answers), []

        def answer(request):
            asked.append(request)
            one = left.pop(0)
            if isinstance(one, type):
                raise one("words", request=request)
            return one if isinstance(one, httpx.Response) else httpx.Response(200, json=one)

        made = build(transport=httpx.MockTransport(answer), **limits)
        made.asked = asked
        return made

    return hear


def create(gateway):
    return gateway.create(PATH, b"{}", TOKEN)


async def test_a_request_names_the_account_and_its_own_key(hearing):
    gateway = hearing(QUOTED, QUOTED)
    assert (await create(gateway))["success"] is True
    await gateway.call("GET", "/user/events?limit=1")
    first, second = gateway.asked
    assert str(first.url) == "https://dynopay.test/api/user/cryptoPayment"
    assert (first.headers["x-api-key"], first.headers["Idempotency-Key"]) == (KEY, TOKEN)
    assert "Idempotency-Key" not in second.headers
    assert "Content-Type" not in second.headers


@pytest.mark.parametrize(
    ("fault", "answer"),
    [
        (httpx.ConnectError, NEVER_SENT),
        (httpx.ConnectTimeout, NEVER_SENT),
        (httpx.PoolTimeout, NEVER_SENT),
        (httpx.ReadTimeout, ANSWER_LOST),
        (httpx.ReadError, ANSWER_LOST),
        (httpx.WriteError, ANSWER_LOST),
        (httpx.RemoteProtocolError, ANSWER_LOST),
    ],
)
async def test_silence_is_a_no_only_where_nothing_left(hearing, fault, answer):
    assert await create(hearing(fault)) == answer


@pytest.mark.parametrize(
    "response",
    [
        httpx.Response(302, headers={"Location": "https://elsewhere.test/"}),
        httpx.Response(200, text="<html>"),
        httpx.Response(200, json={**QUOTED, "success": False}),
        httpx.Response(200, json={**QUOTED, "success": "true"}),
        httpx.Response(200, json=QUOTED["data"]),
        httpx.Response(200, json=[QUOTED]),
        httpx.Response(200, content=b" " * 300_000 + b"{}"),
        httpx.Response(400, text="bad"),
        httpx.Response(403, text="<html>who are you</html>"),
        httpx.Response(400, json={"message": "no"}),
        httpx.Response(408, json={"success": False, "message": "timeout"}),
        httpx.Response(500, json=NO_KEY),
        httpx.Response(503, text="<html>"),
        httpx.Response(500),
    ],
    ids=str,
)
async def test_an_odd_answer_is_no_answer(hearing, response):
    gateway = hearing(response)
    said = await create(gateway)
    assert said == Answer(Verdict.UNKNOWN, f"http_{response.status_code}", "unknown")
    assert len(gateway.asked) == 1  # nobody was redirected


async def test_an_address_may_bring_its_picture(hearing):
    picture = "data:image/png;base64," + "A" * 150_000
    body = {**QUOTED, "data": {**QUOTED["data"], "qr_code": picture}}
    assert (await create(hearing(body)))["success"] is True


async def test_too_many_requests_were_not_looked_at_whatever_the_body(hearing):
    busy = Answer(Verdict.DECLINED, "http_429", "provider_busy", retry=True)
    for response in (httpx.Response(429, text="<html>"), httpx.Response(429)):
        assert await create(hearing(response)) == busy


async def test_a_slow_answer_is_not_waited_for_for_ever(build):
    release = asyncio.Event()

    async def never(request):
        await release.wait()
        return web.Response()

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", never)
    server = TestServer(app)
    await server.start_server()
    said = await create(build(str(server.make_url("")), timeout_seconds=0.1))
    release.set()
    await server.close()
    assert said == ANSWER_LOST


async def test_nothing_goes_out_faster_than_dynopay_takes_it(hearing, monkeypatch):
    monkeypatch.setattr(http, "PACE_WAIT_SECONDS", 0.01)
    gateway = hearing(QUOTED, QUOTED, QUOTED, creations=AsyncLimiter(2, 3600))
    for _ in range(2):
        assert isinstance(await create(gateway), dict)
    assert await create(gateway) == dynopay_gateway.OUR_PACE
    assert isinstance(await gateway.call("GET", "/user/events"), dict)
    gateway = hearing(QUOTED, pace=AsyncLimiter(1, 3600))
    assert isinstance(await create(gateway), dict)
    assert await gateway.call("GET", "/user/events") == dynopay_gateway.OUR_PACE
    assert len(gateway.asked) == 1


async def test_a_minute_holds_thirty_addresses_and_a_hundred_calls(build):
    """What runs off in a minute and what may come at once, together."""
    gateway = build()
    for limiter, most in ((gateway.creations, 30), (gateway.pace, 100)):
        assert limiter.max_rate + 60 * limiter.max_rate / limiter.time_period <= most


async def test_neither_keys_nor_names_of_payments_are_logged(hearing, caplog):
    with caplog.at_level(logging.INFO):
        gateway = hearing(QUOTED, NO_KEY, httpx.ReadTimeout)
        await create(gateway)
        await gateway.call("GET", "/user/getPaymentStatus/a1b2c3d4")
        await gateway.call("GET", "/user/events?starting_after=seven-and-more")
    ours = [record for record in caplog.records if record.name == dynopay_gateway.__name__]
    assert [(one.path, one.http_status, one.levelname) for one in ours] == [
        ("/user/cryptoPayment", 200, "INFO"),
        ("/user/getPaymentStatus", 200, "WARNING"),
        ("/user/events", 0, "WARNING"),
    ]
    text = "\n".join(str(record.__dict__) for record in ours)
    for secret in (KEY, SECRET, TOKEN, "a1b2c3d4", "seven-and-more", QUOTED["data"]["address"]):
        assert secret not in text


def test_an_account_without_keys_does_not_exist():
    """Without a secret DynoPay does not sign, and everybody could."""
    for wrong in ((BASE, KEY, ""), (BASE, "", SECRET), (BASE, "a b", SECRET), ("x", KEY, SECRET)):
        with pytest.raises(ValueError, match="DynoPay"):
            DynoPayConfig(*wrong)


def test_secrets_stay_out_of_what_is_printed():
    text = repr(DynoPayConfig(BASE, KEY, SECRET))
    assert KEY not in text
    assert SECRET not in text


def test_a_test_key_is_known_by_its_beginning():
    assert DynoPayConfig(BASE, "dpk_test_1", SECRET).test
    assert not DynoPayConfig(BASE, KEY, SECRET).test
