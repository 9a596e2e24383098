"""M-Pesa over HTTP, against the stand-in Daraja and against its documented answers."""

import asyncio
import base64
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import httpx
import pytest
from aiohttp.test_utils import TestServer
from aiolimiter import AsyncLimiter
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from escrow.domain.money import Currency, Money
from escrow.rails.mpesa import Mpesa, MpesaConfig, password, security_credential
from escrow.rails.token_store import TokenStore
from escrow.services.ports import Answer, PromptAnswer, Rail, Verdict
from escrow.store.database import Database
from sandbox.daraja import DarajaStandIn
from sandbox.daraja_wire import SANDBOX_PASSKEY, SANDBOX_SHORTCODE
from tests.rails.fakes import NOW, TLS, Clock, Tokens

PHONE = "254708374149"
CALLBACK = "https://amana.test/hooks/m/00ff"
CHECKOUT = "ws_CO_28062021092408000708374149"
TEN = Money(1000, Currency.KES)


def config(base, **changes):
    fields = {
        "base_url": base,
        "consumer_key": "sandbox",
        "consumer_secret": "sandbox",
        "shortcode": SANDBOX_SHORTCODE,
        "passkey": SANDBOX_PASSKEY,
        "display_name": "AMANA",
        "initiator_name": "testapi",
        "security_credential": "ClONZiMYBpc65lmpJ7nvnrDmUe0WvHvA5QbOsPjEo92B6IGFwDdvdeJIFL0kg",
    }
    return MpesaConfig(**{**fields, **changes})


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
async def daraja(clock):
    """The stand-in over HTTP, with its address."""
    stand_in = DarajaStandIn(clock=clock.now)
    server = TestServer(stand_in.app())
    await server.start_server()
    stand_in.address = str(server.make_url("")).rstrip("/")
    yield stand_in
    stand_in.faults.clear()
    await server.close()


@pytest.fixture
async def build(clock):
    """Builds rails whose clients are closed at the end."""
    clients = []

    def make(base, *, tokens=None, transport=None, **changes):
        client = httpx.AsyncClient(transport=transport, verify=TLS)
        clients.append(client)
        return Mpesa(
            config(base, **changes),
            client,
            tokens or Tokens(),
            clock,
            pace=AsyncLimiter(1000, 1),
        )

    yield make
    for client in clients:
        await client.aclose()


@pytest.fixture
def mpesa(daraja, build) -> Rail:
    return build(daraja.address)


@pytest.fixture
def hearing(build):
    """A rail that hears just this answer to whatever it asks."""

    def hear(status=200, **options):
        def answer(request):
            if request.method == "GET":
                return httpx.Response(200, json={"access_token": "t", "expires_in": 3599})
            return httpx.Response(status, **options)

        return build("https://mpesa.test", transport=httpx.MockTransport(answer))

    return hear


def prompt(mpesa, **changes):
    asked = {
        "phone": PHONE,
        "amount": TEN,
        "reference": "ES1234567890",
        "callback_url": CALLBACK,
    }
    return mpesa.prompt(**{**asked, **changes})


# -- prompts -----------------------------------------------------------------------------------


def test_the_golden_password():
    """stk-push-request: shortcode 174379, the public passkey, 20210628092408."""
    assert password("174379", SANDBOX_PASSKEY, "20210628092408") == (
        "MTc0Mzc5YmZiMjc5ZjlhYTliZGJjZjE1OGU5N2RkNzFhNDY3Y2QyZTBjODkzMDU5YjEwZjc4ZTZiNzJhZGExZWQy"
        "YzkxOTIwMjEwNjI4MDkyNDA4"
    )


async def test_a_prompt_as_documented(mpesa, daraja):
    """stk-push-request and stk-push-response; the time is Nairobi's."""
    said = await prompt(mpesa)
    (sent,) = daraja.stk_requests
    assert sent.request == {
        "BusinessShortCode": "174379",
        "Password": password("174379", SANDBOX_PASSKEY, "20210628092408"),
        "Timestamp": "20210628092408",
        "TransactionType": "CustomerPayBillOnline",
        "Amount": 10,
        "PartyA": PHONE,
        "PartyB": "174379",
        "PhoneNumber": PHONE,
        "CallBackURL": CALLBACK,
        "AccountReference": "ES1234567890",
        "TransactionDesc": "Escrow 567890",
    }
    assert len(sent.request["TransactionDesc"]) <= 13
    assert said == PromptAnswer(
        Answer(Verdict.PENDING, "0", "processing"), sent.checkout_id, sent.merchant_id
    )


async def test_a_prompt_of_a_till(build, daraja):
    assert (await prompt(build(daraja.address, till="600123"))).answer.verdict is Verdict.PENDING
    (sent,) = daraja.stk_requests
    assert sent.request["TransactionType"] == "CustomerBuyGoodsOnline"
    assert sent.request["PartyB"] == "600123"
    assert sent.request["BusinessShortCode"] == "174379"


@pytest.mark.parametrize(
    ("checkout", "merchant"),
    [
        pytest.param(
            "ws_CO_1007202409152617172396192",
            "2654-4b64-97ff-b827b542881d3130",
            id="stk-push-response",
        ),
        pytest.param(
            "ws_CO_12032023195619069708374149",
            "93461-72184432-1",
            id="real-stk-push-response-2023",
        ),
    ],
)
async def test_accepted_prompts(hearing, checkout, merchant):
    words = "Success. Request accepted for processing"
    mpesa = hearing(
        json={
            "MerchantRequestID": merchant,
            "CheckoutRequestID": checkout,
            "ResponseCode": "0",
            "ResponseDescription": words,
            "CustomerMessage": words,
        }
    )
    said = await prompt(mpesa)
    assert said.answer.verdict is Verdict.PENDING
    assert (said.checkout_request_id, said.merchant_request_id) == (checkout, merchant)


@pytest.mark.parametrize(
    "changes",
    [
        {"amount": Money(0, Currency.KES)},
        {"amount": Money(-100, Currency.KES)},
        {"amount": Money(1050, Currency.KES)},
        {"amount": Money(25_000_001, Currency.KES)},
        {"amount": Money(25_000_100, Currency.KES)},
        {"amount": Money(1000, Currency.USD)},
        {"phone": "0708374149"},
        {"phone": "+254708374149"},
        {"phone": "255708374149"},
        {"phone": "2547083741٤٩"},
        {"reference": ""},
        {"reference": "ES12345678901"},
        {"reference": "ES 123"},
        {"reference": "ES&1"},
    ],
)
async def test_what_is_never_sent(mpesa, daraja, changes):
    with pytest.raises(ValueError, match=r"M-Pesa|mobile|letters"):
        await prompt(mpesa, **changes)
    assert not daraja.calls


@pytest.mark.parametrize("shillings", [1, 250_000])
async def test_the_smallest_and_the_largest_prompt(mpesa, daraja, shillings):
    said = await prompt(mpesa, amount=Money(shillings * 100, Currency.KES))
    assert said.answer.verdict is Verdict.PENDING
    assert daraja.stk_requests[0].amount == shillings


@pytest.mark.parametrize(
    ("fault", "verdict", "reason", "retry"),
    [
        pytest.param(
            "spike_arrest", "declined", "mpesa_busy", True, id="error-500.003.02-spike-arrest"
        ),
        ("busy", "declined", "mpesa_busy", True),
        ("quota", "declined", "mpesa_busy", True),
        pytest.param(
            "unable_to_lock",
            "declined",
            "subscriber_locked",
            True,
            id="error-500.001.1001-unable-to-lock",
        ),
        ("no_merchant", "declined", "misconfigured", False),
        ("wrong_credentials", "declined", "misconfigured", False),
        ("invalid_payload", "declined", "misconfigured", False),
        ("not_found", "declined", "misconfigured", False),
        ("invalid_auth_header", "declined", "misconfigured", False),
        pytest.param(
            "system_internal", "unknown", "unknown", False, id="error-500.002.1001-system-internal"
        ),
        pytest.param(
            "duplicate_originator",
            "unknown",
            "unknown",
            False,
            id="error-500.002.1001-duplicate-originator",
        ),
        pytest.param(
            "being_processed", "unknown", "unknown", False, id="error-500.001.1001-being-processed"
        ),
        pytest.param(
            "does_not_exist", "unknown", "unknown", False, id="error-500.001.1001-does-not-exist"
        ),
        ("internal", "unknown", "unknown", False),
        pytest.param("soap_fault", "unknown", "unknown", False, id="error-soap-fault-envelope"),
        ("html", "unknown", "unknown", False),
        ("empty", "unknown", "unknown", False),
    ],
)
async def test_a_prompt_that_went_wrong(mpesa, daraja, fault, verdict, reason, retry):
    daraja.fail("stkpush", fault)
    said = await prompt(mpesa)
    assert (said.answer.verdict, said.answer.reason, said.answer.retry) == (verdict, reason, retry)
    assert (said.checkout_request_id, said.merchant_request_id) == ("", "")
    assert len([call for call in daraja.calls if call.endpoint == "stkpush"]) == 1


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        pytest.param("Invalid PhoneNumber", "invalid_phone", id="error-400.002.02-invalid-phone"),
        pytest.param(
            "Invalid BusinessShortCode", "misconfigured", id="error-400.002.02-invalid-shortcode"
        ),
        pytest.param(
            "Invalid TransactionID", "misconfigured", id="error-400.002.02-invalid-transactionid"
        ),
    ],
)
async def test_a_prompt_that_is_a_bad_request(hearing, message, reason):
    body = {"requestId": "1", "errorCode": "400.002.02", "errorMessage": f"Bad Request - {message}"}
    said = await prompt(hearing(400, json=body))
    assert said.answer == Answer(Verdict.DECLINED, "400.002.02", reason)


@pytest.mark.parametrize("act", [True, False])
async def test_a_prompt_whose_answer_is_cut_off_is_unknown(mpesa, daraja, act):
    await prompt(mpesa, phone="254708374140")  # the connection is in use already
    daraja.cut("stkpush", act=act)
    said = await prompt(mpesa)
    assert said == PromptAnswer(Answer(Verdict.UNKNOWN, "lost", "unknown"))
    assert len(daraja.open_prompts(PHONE)) == act


async def test_a_prompt_whose_answer_takes_too_long_is_unknown(build, daraja):
    mpesa = build(daraja.address, timeout_seconds=0.2)
    await prompt(mpesa, phone="254708374140")
    hold = daraja.hold("stkpush")
    said = await prompt(mpesa)
    assert said == PromptAnswer(Answer(Verdict.UNKNOWN, "lost", "unknown"))
    hold.release()


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"ResponseCode": "0"},
        {"ResponseCode": "0", "CheckoutRequestID": ""},
        {"ResponseCode": "0", "CheckoutRequestID": 7},
        {"ResponseCode": "0", "CheckoutRequestID": "a b"},
        {"CheckoutRequestID": CHECKOUT},
        {"ResponseCode": "1", "CheckoutRequestID": CHECKOUT},
        {"ResponseCode": False, "CheckoutRequestID": CHECKOUT},
        {"Envelope": {}},
    ],
)
async def test_a_prompt_that_is_half_accepted_is_unknown(hearing, body):
    said = await prompt(hearing(json=body))
    assert said.answer.verdict is Verdict.UNKNOWN
    assert said.checkout_request_id == ""


async def test_a_prompt_survives_a_token_that_others_replaced(mpesa, daraja):
    """error-404.001.03-invalid-token"""
    await prompt(mpesa, phone="254708374140")
    daraja.invalidate_tokens()
    assert (await prompt(mpesa)).answer.verdict is Verdict.PENDING
    assert len(daraja.stk_requests) == 2


async def test_wrong_keys_are_our_mistake(build, daraja):
    said = await prompt(build(daraja.address, consumer_secret="wrong"))
    assert said.answer == Answer(Verdict.DECLINED, "400.008.01", "misconfigured")
    assert [call.endpoint for call in daraja.calls] == ["oauth"]


# -- queries -----------------------------------------------------------------------------------


async def asked(mpesa):
    return (await prompt(mpesa)).checkout_request_id


@pytest.mark.parametrize(
    ("result", "verdict", "reason"),
    [
        pytest.param(0, "paid", "paid", id="stk-query-response-0"),
        pytest.param(1032, "declined", "cancelled", id="stk-query-response-1032"),
        pytest.param(
            1001, "declined", "subscriber_locked", id="real-stk-query-1001-unable-to-lock"
        ),
        (1, "declined", "balance"),
        (1019, "declined", "expired"),
        (1036, "declined", "no_answer"),
        (1037, "declined", "no_answer"),
        (2001, "declined", "wrong_pin"),
        ("SFC_IC0003", "declined", "misconfigured"),
        (7777, "unknown", "unlisted"),
    ],
)
async def test_a_query_of_a_prompt_that_ended(mpesa, daraja, result, verdict, reason):
    checkout = await asked(mpesa)
    prompt_there = daraja.stk_requests[0]
    prompt_there.open, prompt_there.result = False, result
    said = await mpesa.query(checkout)
    assert (said.verdict, said.code, said.reason) == (verdict, str(result), reason)


@pytest.mark.parametrize(
    "form",
    [
        pytest.param("error", id="error-500.001.1001-being-processed"),
        pytest.param("4999", id="stk-query-response-4999-pending"),
    ],
)
async def test_a_query_of_an_open_prompt(mpesa, daraja, form):
    daraja.pending_form = form
    said = await mpesa.query(await asked(mpesa))
    assert (said.verdict, said.reason) == (Verdict.PENDING, "processing")


async def test_a_query_as_documented(mpesa, daraja):
    checkout = await asked(mpesa)
    await mpesa.query(checkout)
    assert daraja.calls[-1].body == {
        "BusinessShortCode": "174379",
        "Password": password("174379", SANDBOX_PASSKEY, "20210628092408"),
        "Timestamp": "20210628092408",
        "CheckoutRequestID": checkout,
    }


async def test_a_query_of_a_stranger_is_unknown(mpesa):
    """error-500.001.1001-does-not-exist: the same code as "being processed"."""
    said = await mpesa.query("ws_CO_nobody")
    assert (said.verdict, said.code) == (Verdict.UNKNOWN, "500.001.1001")


@pytest.mark.parametrize(
    ("fault", "code", "reason"),
    [
        ("spike_arrest", "500.003.02", "mpesa_busy"),
        ("quota", "500.003.03", "mpesa_busy"),
        ("unable_to_lock", "500.001.1001", "subscriber_locked"),
        ("no_merchant", "500.001.1001", "misconfigured"),
        ("wrong_credentials", "500.001.1001", "misconfigured"),
        ("system_internal", "500.002.1001", "unknown"),
        ("not_found", "404.001.01", "misconfigured"),
        ("html", "http_503", "unknown"),
        ("soap_fault", "http_500", "unknown"),
    ],
)
async def test_a_query_that_went_wrong_declines_nothing(mpesa, daraja, fault, code, reason):
    checkout = await asked(mpesa)
    daraja.fail("stkquery", fault)
    said = await mpesa.query(checkout)
    assert (said.verdict, said.code, said.reason) == (Verdict.UNKNOWN, code, reason)


async def test_a_query_that_was_not_heard_or_not_answered_is_unreachable(mpesa, daraja, build):
    checkout = await asked(mpesa)
    daraja.cut("stkquery")
    said = await mpesa.query(checkout)
    assert (said.verdict, said.code, said.reason) == (
        Verdict.UNKNOWN,
        "unreachable",
        "mpesa_unreachable",
    )

    def refuse(request):
        raise httpx.ConnectError("no")

    nobody = build("https://mpesa.test", transport=httpx.MockTransport(refuse))
    assert await nobody.query(checkout) == said


@pytest.mark.parametrize(
    ("body", "verdict"),
    [
        ({"ResponseCode": "0", "CheckoutRequestID": CHECKOUT, "ResultCode": "0"}, "paid"),
        ({"ResponseCode": 0, "CheckoutRequestID": CHECKOUT, "ResultCode": 0}, "paid"),
        ({"ResultCode": "0"}, "paid"),
        ({"ResponseCode": "0", "CheckoutRequestID": "ws_CO_other", "ResultCode": "0"}, "unknown"),
        ({"ResponseCode": "0", "CheckoutRequestID": None, "ResultCode": "0"}, "unknown"),
        ({"ResponseCode": "1", "CheckoutRequestID": CHECKOUT, "ResultCode": "0"}, "unknown"),
        ({"ResponseCode": "0", "CheckoutRequestID": CHECKOUT}, "unknown"),
        ({"ResponseCode": "0", "CheckoutRequestID": CHECKOUT, "ResultCode": False}, "unknown"),
        ({"ResponseCode": "0", "CheckoutRequestID": CHECKOUT, "ResultCode": 0.0}, "unknown"),
        ({}, "unknown"),
    ],
)
async def test_only_a_whole_yes_is_paid(hearing, body, verdict):
    assert (await hearing(json=body).query(CHECKOUT)).verdict == verdict


# -- receipts asked about, addresses registered --------------------------------------------------


async def test_a_status_question_as_documented(hearing, mpesa, daraja):
    """transaction-status-request.DOCTYPO without its spaces, transaction-status-response."""
    said = await mpesa.ask_status(
        reference="NEF61H8J60",
        result_url="http://127.0.0.1:1/hooks/m/r",
        timeout_url="http://127.0.0.1:1/hooks/m/t",
    )
    assert said.verdict is Verdict.PENDING
    (call,) = [call for call in daraja.calls if call.endpoint == "transactionstatus"]
    assert call.body == {
        "Initiator": "testapi",
        "SecurityCredential": config("https://mpesa.test").security_credential,
        "CommandID": "TransactionStatusQuery",
        "TransactionID": "NEF61H8J60",
        "PartyA": "174379",
        "IdentifierType": "4",
        "ResultURL": "http://127.0.0.1:1/hooks/m/r",
        "QueueTimeOutURL": "http://127.0.0.1:1/hooks/m/t",
        "Remarks": "Escrow",
        "Occasion": "Escrow",
    }


def ask(mpesa, reference="NEF61H8J60"):
    return mpesa.ask_status(
        reference=reference, result_url=f"{CALLBACK}/r", timeout_url=f"{CALLBACK}/t"
    )


@pytest.mark.parametrize("fault", ["spike_arrest", "invalid_payload", "html", "wrong_credentials"])
async def test_a_status_question_that_went_wrong_says_nothing(mpesa, daraja, fault):
    daraja.fail("transactionstatus", fault)
    assert (await ask(mpesa)).verdict is Verdict.UNKNOWN


async def test_a_status_question_that_is_not_taken_says_nothing(hearing):
    assert (await ask(hearing(json={"ResponseCode": "1"}))).verdict is Verdict.UNKNOWN
    assert (await ask(hearing(json={}))).verdict is Verdict.UNKNOWN


async def test_without_an_initiator_no_status_is_asked(build, daraja):
    for missing in ({"initiator_name": ""}, {"security_credential": ""}):
        mpesa = build(daraja.address, **missing)
        assert not mpesa.can_ask_status
        assert await ask(mpesa) == Answer(Verdict.UNKNOWN, "", "misconfigured")
    assert not daraja.calls


@pytest.mark.parametrize("reference", ["", "x", "NEF61H8J60 ", "nef61h8j60"])
async def test_only_receipts_are_asked_about(mpesa, reference):
    with pytest.raises(ValueError, match="receipt"):
        await ask(mpesa, reference)


async def test_registering_as_documented(mpesa, daraja):
    """c2b-registerurl-request and c2b-registerurl-response."""
    said = await mpesa.register_c2b("https://amana.test/hooks/m/c", "https://amana.test/hooks/m/v")
    assert (said.verdict, said.reason) == (Verdict.PAID, "registered")
    assert daraja.calls[-1].body == {
        "ShortCode": "174379",
        "ResponseType": "Completed",
        "ConfirmationURL": "https://amana.test/hooks/m/c",
        "ValidationURL": "https://amana.test/hooks/m/v",
    }


async def test_registering_twice_has_a_reason_of_its_own(mpesa, daraja):
    daraja.register_once = True
    await mpesa.register_c2b(f"{CALLBACK}/c", f"{CALLBACK}/v", "Cancelled")
    said = await mpesa.register_c2b(f"{CALLBACK}/c", f"{CALLBACK}/v")
    assert said == Answer(Verdict.DECLINED, "500.003.1001", "urls_registered")


async def test_registering_that_went_wrong(mpesa, daraja, hearing):
    said = await mpesa.register_c2b("https://amana.test/cmd", "https://amana.test/v")
    assert said == Answer(Verdict.DECLINED, "400.002.02", "misconfigured")
    assert (await hearing(json={}).register_c2b("a", "b")).verdict is Verdict.UNKNOWN
    with pytest.raises(ValueError, match="Completed or Cancelled"):
        await mpesa.register_c2b("a", "b", "completed")


# -- callbacks that the stand-in posts are readable ------------------------------------------------


@pytest.mark.parametrize("form", ["decimal", "tenth", "integer"])
@pytest.mark.parametrize("balance", ["absent", "empty", "value"])
async def test_a_paid_callback_from_the_wire(mpesa, daraja, form, balance):
    daraja.next_stk(result=0, amount_form=form, balance=balance)
    said = await mpesa.prompt(
        phone=PHONE, amount=TEN, reference="ES1", callback_url=f"{daraja.address}/nobody"
    )
    delivery = await daraja.wait_delivery("stk")
    read = mpesa.read_stk_callback(delivery.body.encode())
    assert read.answer.verdict is Verdict.PAID
    assert read.checkout_request_id == said.checkout_request_id
    assert (read.amount, read.phone, read.happened_at) == (TEN, PHONE, NOW)
    assert read.reference == daraja.stk_requests[0].receipt


@pytest.mark.parametrize("shown", ["masked", "hashed", "clear"])
async def test_a_paybill_payment_from_the_wire(mpesa, daraja, shown):
    daraja.c2b_msisdn = shown
    await mpesa.register_c2b(f"{daraja.address}/nobody", f"{daraja.address}/nobody")
    payment = await daraja.pay_paybill(PHONE, "es 12", Decimal("99.50"))
    read = mpesa.read_paybill((await daraja.wait_delivery("confirmation")).body.encode())
    assert (read.reference, read.amount) == (payment.receipt, Money(9950, Currency.KES))
    assert (read.shortcode, read.typed_reference, read.happened_at) == ("174379", "es 12", NOW)


@pytest.mark.parametrize(
    ("plan", "verdict"),
    [({}, "paid"), ({"status": "Declined"}, "declined"), ({"result": 2001}, "unknown")],
)
async def test_a_status_result_from_the_wire(mpesa, daraja, plan, verdict):
    payment = await daraja.pay_paybill(PHONE, "es 12", 10)
    daraja.next_status(**plan)
    url = f"{daraja.address}/nobody"
    await mpesa.ask_status(reference=payment.receipt, result_url=url, timeout_url=url)
    read = mpesa.read_status_result((await daraja.wait_delivery("status")).body.encode())
    assert read.answer.verdict == verdict
    if verdict == "paid":
        assert (read.reference, read.amount) == (payment.receipt, TEN)
        assert any(PHONE in party for party in read.parties)


# -- two processes, one token ----------------------------------------------------------------------


@pytest.fixture
async def processes(build, daraja, dsn, clock):
    """Two rails that share nothing but PostgreSQL."""
    pools = [await Database.connect(dsn, minimum=1, maximum=3) for _ in range(2)]
    yield [build(daraja.address, tokens=TokenStore(pool, clock)) for pool in pools]
    for pool in pools:
        await pool.close()


async def test_two_processes_never_knock_each_other_out(processes, daraja, clock):
    """Every new token ends the old one, and still two clients work side by side."""
    daraja.new_token_invalidates = True
    daraja.expires_as_text = True
    phones = (f"2547083741{n}" for n in range(10, 100))

    async def all_prompt(turns):
        rails = processes * turns
        said = await asyncio.gather(*(prompt(rail, phone=next(phones)) for rail in rails))
        assert {one.answer.verdict for one in said} == {Verdict.PENDING}
        return len([call for call in daraja.calls if call.endpoint == "oauth"])

    assert await all_prompt(turns=3) == 1
    clock.at += timedelta(seconds=3540)  # less than a minute is left
    assert await all_prompt(turns=1) == 2
    daraja.invalidate_tokens()
    assert await all_prompt(turns=1) == 3
    assert len(daraja.stk_requests) == 10


# -- the initiator's password ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def key():
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def certificate(key):
    """One that ran out ten years ago, like those in use."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "amana.test")])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2015, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2016, 11, 11, tzinfo=UTC))
        .sign(key, hashes.SHA256())
    )


@pytest.mark.parametrize("form", [serialization.Encoding.PEM, serialization.Encoding.DER])
def test_a_security_credential_is_opened_by_the_key(key, form):
    made = security_credential("Safaricom#999", certificate(key).public_bytes(form))
    assert len(made) == 344
    assert key.decrypt(base64.b64decode(made), padding.PKCS1v15()) == b"Safaricom#999"


def test_what_makes_no_security_credential(key):
    good = certificate(key).public_bytes(serialization.Encoding.PEM)
    other = certificate(ec.generate_private_key(ec.SECP256R1()))
    with pytest.raises(ValueError, match="RSA"):
        security_credential("x", other.public_bytes(serialization.Encoding.PEM))
    for wrong in (b"", b"-----BEGIN CERTIFICATE-----\n", b"\x00" * 100):
        with pytest.raises(ValueError):
            security_credential("x", wrong)
    with pytest.raises(ValueError):
        security_credential("x" * 246, good)


# -- whatever M-Pesa may answer --------------------------------------------------------------------

WORDS = st.sampled_from(
    [
        *("errorCode", "errorMessage", "ResponseCode", "ResultCode", "CheckoutRequestID"),
        *("500.001.1001", "400.002.02", "404.001.03", "0", "1037", CHECKOUT),
    ]
)
ANSWERS = st.binary(max_size=60) | st.recursive(
    st.none() | st.booleans() | st.integers() | WORDS | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=5),
    max_leaves=8,
).map(lambda value: json.dumps(value).encode())


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=ANSWERS, status=st.sampled_from([200, 200, 400, 404, 500, 503]))
async def test_any_answer_is_one_of_the_verdicts(hearing, body, status):
    mpesa = hearing(status, content=body)
    said = (await prompt(mpesa)).answer
    assert said.verdict in (Verdict.PENDING, Verdict.DECLINED, Verdict.UNKNOWN)
    assert (await mpesa.query(CHECKOUT)).verdict in Verdict
    assert (await ask(mpesa)).verdict in (Verdict.PENDING, Verdict.UNKNOWN)
    assert (await mpesa.register_c2b("a", "b")).verdict in Verdict


def test_it_is_the_rail(hearing):
    mpesa = hearing()
    assert (mpesa.shortcode, mpesa.display_name, mpesa.can_ask_status) == ("174379", "AMANA", True)
