"""What silence, noise and refusals on the way to M-Pesa amount to."""

import asyncio
import logging
from datetime import timedelta

import httpx
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from aiolimiter import AsyncLimiter

from escrow.domain.errors import DatabaseDown
from escrow.rails import http, mpesa_gateway
from escrow.rails.mpesa_gateway import Gateway, MpesaConfig
from escrow.rails.token_store import TokenWaitError
from escrow.services.ports import Answer, Verdict
from tests.rails.fakes import NOW, TLS, Clock, Tokens

BASE = "https://mpesa.test"
PATH = "/mpesa/x/v1/y"
SECRETS = ("the-key", "the-secret", "the-passkey", "the-credential", "tok")


def config(base=BASE, **changes):
    fields = {
        "base_url": base,
        "consumer_key": "the-key",
        "consumer_secret": "the-secret",
        "shortcode": "174379",
        "passkey": "the-passkey",
        "display_name": "AMANA",
        "initiator_name": "the-initiator",
        "security_credential": "the-credential",
    }
    return MpesaConfig(**{**fields, **changes})


class Wire:
    """Answers OAuth with tok1, tok2, … and everything else with what the test lays ready."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.oauth = []
        self.seen = []
        self.tokens = 0

    async def __call__(self, request):
        if request.url.path.endswith("/oauth/v1/generate"):
            self.seen.append(request)
            if self.oauth:
                return await self.give(self.oauth.pop(0), request)
            self.tokens += 1
            return httpx.Response(
                200, json={"access_token": f"tok{self.tokens}", "expires_in": "3599"}
            )
        self.seen.append(request)
        return await self.give(self.answers.pop(0), request)

    async def give(self, answer, request):
        if isinstance(answer, type) and issubclass(answer, Exception):
            if issubclass(answer, httpx.HTTPError):
                raise answer("words", request=request)
            raise answer("words")
        if isinstance(answer, asyncio.Event):
            await answer.wait()
        return answer

    def posts(self):
        return [r for r in self.seen if r.method == "POST"]


@pytest.fixture
async def gateways():
    clients = []

    def build(wire, tokens=None, pace=None, clock=None, **changes):
        client = httpx.AsyncClient(transport=httpx.MockTransport(wire), verify=TLS)
        clients.append(client)
        return Gateway(
            config(**changes),
            client,
            tokens or Tokens(),
            clock or Clock(),
            pace=pace or AsyncLimiter(1000, 1),
        )

    yield build
    for client in clients:
        await client.aclose()


def envelope(code, message, status=500):
    return httpx.Response(
        status, json={"requestId": "r", "errorCode": code, "errorMessage": message}
    )


def refused_token(code="404.001.03", status=404):
    return envelope(code, "Invalid Access Token", status)


async def test_a_good_answer_is_its_fields(gateways):
    wire = Wire(httpx.Response(200, json={"ResponseCode": "0"}))
    assert await gateways(wire).post(PATH, {"a": 1}) == {"ResponseCode": "0"}
    oauth, post = wire.seen
    assert str(oauth.url) == f"{BASE}/oauth/v1/generate?grant_type=client_credentials"
    assert oauth.method == "GET"
    assert oauth.headers["authorization"] == "Basic dGhlLWtleTp0aGUtc2VjcmV0"
    assert str(post.url) == f"{BASE}{PATH}"
    assert post.headers["authorization"] == "Bearer tok1"
    assert post.headers["content-type"] == "application/json"
    assert post.content == b'{"a":1}'


async def test_a_base_address_may_have_a_path_and_a_slash(gateways):
    wire = Wire(httpx.Response(200, json={"ResponseCode": "0"}))
    await gateways(wire, base="http://127.0.0.1:8090/daraja/").post(PATH, {})
    assert str(wire.seen[1].url) == f"http://127.0.0.1:8090/daraja{PATH}"


@pytest.mark.parametrize("error", [httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout])
async def test_what_never_left_is_declined_and_may_be_sent_again(gateways, error):
    said = await gateways(Wire(error)).post(PATH, {})
    assert said == Answer(Verdict.DECLINED, "unreachable", "mpesa_unreachable", retry=True)


async def test_a_closed_port_is_unreachable():
    server = TestServer(web.Application())
    await server.start_server()
    base = str(server.make_url("")).rstrip("/")
    await server.close()
    async with httpx.AsyncClient(verify=TLS) as client:
        said = await Gateway(config(base), client, Tokens(), Clock()).post(PATH, {})
    assert said == mpesa_gateway.NEVER_SENT


@pytest.mark.parametrize(
    "error",
    [
        httpx.ReadTimeout,
        httpx.WriteTimeout,
        httpx.ReadError,
        httpx.WriteError,
        httpx.RemoteProtocolError,
        httpx.DecodingError,
        ConnectionResetError,
    ],
)
async def test_what_left_without_an_answer_is_unknown(gateways, error):
    wire = Wire(error)
    said = await gateways(wire).post(PATH, {})
    assert said == Answer(Verdict.UNKNOWN, "lost", "unknown")
    assert len(wire.posts()) == 1


async def test_an_answer_that_never_ends_is_cut(gateways):
    said = await gateways(Wire(asyncio.Event()), timeout_seconds=0.02).post(PATH, {})
    assert said == mpesa_gateway.ANSWER_LOST


async def test_an_answer_without_end_is_not_read_to_its_end(gateways):
    pieces = []

    async def endless():
        while True:
            await asyncio.sleep(0)
            pieces.append(1)
            yield b"x" * 8192

    said = await gateways(Wire(httpx.Response(200, content=endless())), timeout_seconds=2).post(
        PATH, {}
    )
    assert said == Answer(Verdict.UNKNOWN, "http_200", "unknown")
    assert len(pieces) == 9


@pytest.mark.parametrize(
    ("response", "code"),
    [
        (httpx.Response(503, html="<html><h1>Service Unavailable</h1></html>"), "http_503"),
        (httpx.Response(500, content=b""), "http_500"),
        (httpx.Response(200, content=b""), "http_200"),
        (httpx.Response(200, html="<html></html>"), "http_200"),
        (httpx.Response(200, json=["ResponseCode", "0"]), "http_200"),
        (httpx.Response(500, json={"ResponseCode": "0"}), "http_500"),
        (httpx.Response(200, content=b'{"ResponseCode":"1","ResponseCode":"0"}'), "http_200"),
        (httpx.Response(200, content=b'{"a":"' + b"x" * 70000 + b'"}'), "http_200"),
        (httpx.Response(302, headers={"location": "http://elsewhere.test/"}), "http_302"),
        # error-soap-fault-envelope: a gateway's fault without an errorCode
        (
            httpx.Response(
                500, json={"Envelope": {"Body": {"Fault": {"faultcode": "soap:Server"}}}}
            ),
            "http_500",
        ),
        (envelope("999.1", "Something new"), "999.1"),
        (envelope(17, "Something new"), ""),
        # error-500.002.1001-system-internal: it may have acted
        (envelope("500.002.1001", "System internal error."), "500.002.1001"),
    ],
)
async def test_noise_is_unknown(gateways, response, code):
    wire = Wire(response)
    assert await gateways(wire).post(PATH, {}) == Answer(Verdict.UNKNOWN, code, "unknown")
    assert len(wire.posts()) == 1


@pytest.mark.parametrize(
    ("code", "status"),
    [("404.001.03", 404), ("400.003.01", 400), ("401.002.01", 401), ("401.003.01", 401)],
)
async def test_a_refused_token_is_fetched_once_more(gateways, code, status):
    """error-404.001.03-invalid-token, and its other codes: nothing was processed."""
    wire = Wire(refused_token(code, status), httpx.Response(200, json={"ResponseCode": "0"}))
    tokens = Tokens()
    assert await gateways(wire, tokens).post(PATH, {"a": 1}) == {"ResponseCode": "0"}
    assert [r.headers["authorization"] for r in wire.posts()] == ["Bearer tok1", "Bearer tok2"]
    assert tokens.forgotten == ["tok1"]


async def test_a_token_refused_twice_is_a_no(gateways):
    wire = Wire(refused_token(), refused_token(), refused_token())
    said = await gateways(wire).post(PATH, {})
    assert said == Answer(Verdict.DECLINED, "404.001.03", "mpesa_unreachable", retry=True)
    assert len(wire.posts()) == 2


async def test_a_bare_401_is_unknown_but_the_token_goes(gateways):
    wire, tokens = Wire(httpx.Response(401, content=b"")), Tokens()
    assert await gateways(wire, tokens).post(PATH, {}) == Answer(
        Verdict.UNKNOWN, "http_401", "unknown"
    )
    assert tokens.forgotten == ["tok1"]


@pytest.mark.parametrize(
    "answers",
    [[httpx.Response(401, content=b"")], [refused_token(), httpx.Response(200, json={})]],
)
async def test_what_mpesa_said_outlives_a_database_that_is_down(gateways, answers):
    class Down(Tokens):
        async def forget(self, provider, token):
            raise DatabaseDown

    wire = Wire(*answers)
    said = await gateways(wire, Down()).post(PATH, {})
    assert said in ({}, Answer(Verdict.UNKNOWN, "http_401", "unknown"))
    assert len(wire.posts()) == len(answers)


@pytest.mark.parametrize(
    ("expires", "seconds"),
    [
        pytest.param(3599, 3599, id="oauth-response"),
        pytest.param("3599", 3599, id="oauth-response-expires-string"),
    ],
)
async def test_a_token_lives_as_long_as_it_says(gateways, expires, seconds):
    wire, tokens = Wire(httpx.Response(200, json={"ResponseCode": "0"})), Tokens()
    token = "c9SQxWWhmdVRlyh0zh8gZDTkubVF"
    wire.oauth = [httpx.Response(200, json={"access_token": token, "expires_in": expires})]
    await gateways(wire, tokens).post(PATH, {})
    assert tokens.fetched.expires_at == NOW + timedelta(seconds=seconds)
    assert wire.posts()[0].headers["authorization"] == f"Bearer {token}"


async def test_a_token_ages_from_the_question_on(gateways):
    wire, tokens, clock = Wire(httpx.Response(200, json={})), Tokens(), Clock()
    gateway = gateways(wire, tokens, clock=clock)
    slow = wire.give

    async def give(answer, request):
        clock.at += timedelta(seconds=9)
        return await slow(answer, request)

    wire.give = give
    wire.oauth = [httpx.Response(200, json={"access_token": "tok", "expires_in": 3599})]
    await gateway.post(PATH, {})
    assert tokens.fetched.expires_at == NOW + timedelta(seconds=3599)


UNREACHABLE = Answer(Verdict.DECLINED, "unreachable", "mpesa_unreachable", retry=True)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (httpx.ConnectError, UNREACHABLE),
        (httpx.ReadTimeout, UNREACHABLE),
        (httpx.Response(503, html="<html></html>"), UNREACHABLE),
        (httpx.Response(200, json={}), UNREACHABLE),
        (httpx.Response(200, json={"access_token": "a\nb", "expires_in": 3599}), UNREACHABLE),
        (httpx.Response(200, json={"access_token": "tok", "expires_in": "soon"}), UNREACHABLE),
        (httpx.Response(200, json={"access_token": "tok", "expires_in": True}), UNREACHABLE),
        (httpx.Response(200, json={"access_token": None, "expires_in": 3599}), UNREACHABLE),
        (httpx.Response(400, content=b""), Answer(Verdict.DECLINED, "http_400", "misconfigured")),
        (
            envelope("400.008.01", "Invalid Authentication passed", 400),
            Answer(Verdict.DECLINED, "400.008.01", "misconfigured"),
        ),
        (
            envelope("500.003.02", "Error Occurred: Spike Arrest Violation"),
            Answer(Verdict.DECLINED, "500.003.02", "mpesa_busy", retry=True),
        ),
    ],
)
async def test_without_a_token_nothing_is_sent(gateways, answer, said):
    wire = Wire()
    wire.oauth = [answer]
    assert await gateways(wire).post(PATH, {}) == said
    assert wire.posts() == []


async def test_a_token_that_others_fetch_in_vain_is_unreachable(gateways):
    class Waiting(Tokens):
        async def get(self, provider, fetch):
            raise TokenWaitError

    assert await gateways(Wire(), Waiting()).post(PATH, {}) == mpesa_gateway.NEVER_SENT


async def test_a_token_that_takes_too_long_is_given_up(gateways, monkeypatch):
    monkeypatch.setattr(mpesa_gateway, "TOKEN_SECONDS", 0.02)
    wire = Wire()
    wire.oauth = [asyncio.Event()]
    assert await gateways(wire).post(PATH, {}) == mpesa_gateway.NEVER_SENT


async def test_our_own_pace(gateways):
    """The first five at once, then one each 200 ms."""
    wire = Wire(*(httpx.Response(200, json={}) for _ in range(6)))
    tokens = Tokens("tok")
    pace = AsyncLimiter(mpesa_gateway.REQUESTS_PER_SECOND, 1)
    gateway = gateways(wire, tokens, pace)
    started = asyncio.get_running_loop().time()
    await asyncio.gather(*(gateway.post(PATH, {}) for _ in range(6)))
    assert 0.15 <= asyncio.get_running_loop().time() - started < 2
    assert not pace.has_capacity()


async def test_a_queue_that_does_not_move_is_left(gateways, monkeypatch):
    monkeypatch.setattr(http, "PACE_WAIT_SECONDS", 0.01)
    tokens, pace = Tokens("tok"), AsyncLimiter(1, 60)
    await pace.acquire()
    wire = Wire()
    assert await gateways(wire, tokens, pace).post(PATH, {}) == mpesa_gateway.OUR_PACE
    assert wire.seen == []


async def test_credentials_have_a_token_of_their_own(gateways):
    keys = {
        gateways(Wire(), **changes).token_key
        for changes in ({}, {"base": "https://b.test"}, {"consumer_key": "other"})
    }
    assert len(keys) == 3
    same = {gateways(Wire(), base=base).token_key for base in (BASE, BASE + "/")}
    assert len(same) == 1
    assert not any(secret in key for key in keys for secret in SECRETS)


async def test_nothing_secret_or_personal_is_logged(gateways, caplog):
    caplog.set_level(logging.DEBUG, "escrow")
    wire = Wire(
        httpx.Response(200, json={"CheckoutRequestID": "ws_CO_708374149"}),
        envelope("x 254708374149", "254708374149"),
        httpx.ReadTimeout,
    )
    gateway = gateways(wire)
    for _ in range(3):
        await gateway.post(PATH, {"PhoneNumber": "254708374149"})
    written = "".join(f"{record.getMessage()} {record.__dict__}" for record in caplog.records)
    for hidden in (*SECRETS, "708374149", "dGhlLWtleTp0aGUtc2VjcmV0"):
        assert hidden not in written
    assert [record.action for record in caplog.records] == ["mpesa_call"] * 4
    assert [record.http_status for record in caplog.records] == [200, 200, 500, 0]


def test_secrets_are_not_printed():
    printed = repr(config())
    assert not any(secret in printed for secret in (*SECRETS, "the-initiator"))
    assert "174379" in printed


@pytest.mark.parametrize(
    "base", ["", "sandbox.safaricom.co.ke", "ftp://a", "https://", "https://a?b", "https://u:p@a"]
)
def test_an_address_is_an_address(base):
    with pytest.raises(ValueError, match="no http address"):
        config(base)


@pytest.mark.parametrize(
    ("answer", "good"),
    [
        (httpx.Response(200, json={"ResponseCode": "0"}), [True, True]),
        (
            httpx.Response(500, json={"errorCode": "500.001.1001", "errorMessage": "x"}),
            [True, True],
        ),
        (httpx.Response(200, text="<html>"), [True, True]),
        (httpx.Response(403, text="<html>"), [True, True]),
        (httpx.Response(503, text="<html>"), [True, False]),
        (httpx.ReadTimeout, [True, False]),
        (httpx.ConnectError, [True, False]),
        (httpx.PoolTimeout, [True]),
    ],
)
async def test_what_says_that_mpesa_is_there_and_what_does_not(answer, good):
    heard = []

    class Pulse:
        def heard(self, at, *, good):
            heard.append(good)

    async with httpx.AsyncClient(transport=httpx.MockTransport(Wire(answer)), verify=TLS) as client:
        await Gateway(config(), client, Tokens(), Clock(), pulse=Pulse()).post(PATH, {})
    assert heard == good
