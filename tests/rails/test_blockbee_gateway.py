"""What silence, noise and refusals on the way to BlockBee amount to."""

import asyncio
import logging

import httpx
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from aiolimiter import AsyncLimiter

from escrow.rails import blockbee_gateway, http
from escrow.rails.blockbee_gateway import BlockBeeConfig, Gateway
from escrow.services.ports import Answer, Verdict
from tests.rails.fakes import TLS

BASE = "https://blockbee.test"
PATH = "/trc20/usdt/create/"
KEY = "the-key"
CALLBACK = "https://amana.test/hooks/b/00ff"
GOOD = {"status": "success", "value_coin": "1"}


def config(base=BASE, **changes):
    fields = {"base_url": base, "api_key": KEY, "public_url": "https://amana.test"}
    return BlockBeeConfig(**{**fields, **changes})


@pytest.fixture
async def gateways():
    clients = []

    def build(answer, pace=None, **changes):
        async def give(request):
            give.seen.append(request)
            if isinstance(answer, asyncio.Event):
                await answer.wait()
            if isinstance(answer, type):
                raise (
                    answer("words", request=request)
                    if issubclass(answer, httpx.HTTPError)
                    else answer("words")
                )
            return answer

        give.seen = []
        client = httpx.AsyncClient(transport=httpx.MockTransport(give), verify=TLS)
        clients.append(client)
        gateway = Gateway(config(**changes), client, pace=pace or AsyncLimiter(1000, 1))
        gateway.seen = give.seen
        return gateway

    yield build
    for client in clients:
        await client.aclose()


def error(words, status=200):
    return httpx.Response(status, json={"status": "error", "error": words})


async def test_the_key_goes_in_a_header_and_the_callback_escaped(gateways):
    gateway = gateways(httpx.Response(200, json=GOOD), base_url=f"{BASE}/blockbee/")
    assert await gateway.get(PATH, {"callback": f"{CALLBACK}?a=1&b=2"}) == GOOD
    (request,) = gateway.seen
    assert request.method == "GET"
    assert request.headers["apikey"] == KEY
    assert str(request.url) == (
        f"{BASE}/blockbee{PATH}?callback=https%3A%2F%2Famana.test%2Fhooks%2Fb%2F00ff%3Fa%3D1%26b%3D2"
    )
    assert KEY not in str(request.url)


@pytest.mark.parametrize("kind", [httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout])
async def test_what_never_left_may_be_asked_again(gateways, kind):
    said = await gateways(kind).get(PATH)
    assert said == Answer(Verdict.UNKNOWN, "unreachable", "unknown", retry=True)


async def test_a_closed_port_is_unreachable():
    server = TestServer(web.Application())
    await server.start_server()
    base = str(server.make_url("")).rstrip("/")
    await server.close()
    async with httpx.AsyncClient(verify=TLS) as client:
        assert await Gateway(config(base), client).get(PATH) == blockbee_gateway.UNREACHABLE


@pytest.mark.parametrize(
    "kind",
    [
        httpx.ReadTimeout,
        httpx.WriteTimeout,
        httpx.ReadError,
        httpx.RemoteProtocolError,
        httpx.DecodingError,
        ConnectionResetError,
    ],
)
async def test_what_left_without_an_answer_is_unknown(gateways, kind):
    gateway = gateways(kind)
    assert await gateway.get(PATH) == blockbee_gateway.ANSWER_LOST
    assert len(gateway.seen) == 1


async def test_an_answer_that_never_ends_is_cut(gateways):
    said = await gateways(asyncio.Event(), timeout_seconds=0.02).get(PATH)
    assert said == blockbee_gateway.ANSWER_LOST


async def test_an_answer_without_end_is_not_read_to_its_end(gateways):
    pieces = []

    async def endless():
        while True:
            await asyncio.sleep(0)
            pieces.append(1)
            yield b"x" * 8192

    said = await gateways(httpx.Response(200, content=endless()), timeout_seconds=2).get(PATH)
    assert said == Answer(Verdict.UNKNOWN, "http_200", "unknown")
    assert len(pieces) == 9


async def test_our_own_pace_asks_nobody(gateways, monkeypatch):
    monkeypatch.setattr(http, "PACE_WAIT_SECONDS", 0.01)
    pace = AsyncLimiter(1, 60)
    gateway = gateways(httpx.Response(200, json=GOOD), pace)
    assert await gateway.get(PATH) == GOOD
    assert await gateway.get(PATH) == blockbee_gateway.OUR_PACE
    assert len(gateway.seen) == 1


@pytest.mark.parametrize(
    ("response", "code"),
    [
        (httpx.Response(502, html="<html><h1>Bad Gateway</h1></html>"), "http_502"),
        (httpx.Response(403, html="<html>Just a moment…</html>"), "http_403"),
        (httpx.Response(200, html="<html></html>"), "http_200"),
        (httpx.Response(200, content=b""), "http_200"),
        (httpx.Response(200, json=[GOOD]), "http_200"),
        (httpx.Response(200, json={"value_coin": "1"}), "http_200"),
        (httpx.Response(200, json={"status": True}), "http_200"),
        (httpx.Response(500, json=GOOD), "http_500"),
        (httpx.Response(201, json=GOOD), "http_201"),
        (httpx.Response(200, content=b'{"status":"success","status":"success"}'), "http_200"),
        (httpx.Response(200, content=b'{"status":"success","value_coin":NaN}'), "http_200"),
        (httpx.Response(200, content=b'{"status":"' + b"x" * 70000 + b'"}'), "http_200"),
        (httpx.Response(302, headers={"location": "http://elsewhere.test/"}), "http_302"),
        (httpx.Response(401, json={"detail": "Unauthorized"}), "http_401"),
        (httpx.Response(200, json={"status": "error", "error": None}), "http_200"),
        # words that no list has, and any word while the server is at fault
        (error("Something new"), "http_200"),
        (error(""), "http_200"),
        (error("Coin/Address is invalid", 500), "http_500"),
        (error("Invalid API key", 503), "http_503"),
        (error("Coin/Address is invalid", 408), "http_408"),
    ],
)
async def test_noise_is_unknown(gateways, response, code):
    gateway = gateways(response)
    assert await gateway.get(PATH) == Answer(Verdict.UNKNOWN, code, "unknown")
    assert len(gateway.seen) == 1


@pytest.mark.parametrize("response", [error("Coin", 429), httpx.Response(429, html="slow")])
async def test_too_many_questions_may_be_asked_again(gateways, response):
    said = await gateways(response).get(PATH)
    assert said == Answer(Verdict.UNKNOWN, "http_429", "unknown", retry=True)


@pytest.mark.parametrize(
    ("words", "status", "reason"),
    [
        pytest.param("Coin/Address is invalid", 200, "coin_unavailable", id="error-response"),
        ("Ticker not found", 404, "coin_unavailable"),
        ("Blockchain is under maintenance", 400, "coin_unavailable"),
        ("Invalid API key", 401, "misconfigured"),
        ("API Key not provided", 400, "misconfigured"),
        ("apikey has no permission for this coin", 403, "misconfigured"),
        ("Callback URL is invalid", 400, "misconfigured"),
        ("Value is below the minimum for this coin", 400, "too_small"),
    ],
)
async def test_a_refusal_in_known_words_is_definite(gateways, words, status, reason):
    said = await gateways(error(words, status)).get(PATH)
    assert said == Answer(Verdict.DECLINED, f"http_{status}", reason)


@pytest.mark.parametrize(
    "response",
    [
        httpx.Response(200, json={**GOOD, "callback_url": CALLBACK}),
        error(f"no callback for {CALLBACK}"),
        error(f"wrong API key {KEY}"),
        httpx.ReadTimeout,
    ],
)
async def test_the_log_names_neither_key_nor_callback(gateways, caplog, response):
    caplog.set_level(logging.INFO, "escrow")
    gateway = gateways(response)
    await gateway.get(PATH, {"callback": CALLBACK})
    assert [r.path for r in caplog.records if r.name == blockbee_gateway.__name__] == [PATH]
    for record in caplog.records:
        if record.name.startswith("escrow"):
            assert KEY not in str(record.__dict__)
            assert "00ff" not in str(record.__dict__)
    assert KEY not in repr(config())


async def test_the_words_of_an_error_are_in_the_log(gateways, caplog):
    await gateways(error("Something new " + "xy " * 200)).get(PATH)
    (record,) = (r for r in caplog.records if r.name == blockbee_gateway.__name__)
    assert record.words.startswith("Something new")
    assert len(record.words) == 120


@pytest.mark.parametrize(
    "changes",
    [
        {"base_url": ""},
        {"base_url": "api.blockbee.io"},
        {"base_url": "https://user:pw@api.blockbee.io"},
        {"public_url": "https://amana.test/?a"},
        {"api_key": ""},
        {"api_key": "a b"},
        {"api_key": "a\r\nb"},
        {"public_key_pem": "nonsense"},
    ],
)
def test_a_config_that_cannot_work_is_refused(changes):
    with pytest.raises(ValueError):
        config(**changes)
