"""B2C over HTTP, against the stand-in Daraja, its documented answers and the samples."""

import json
from decimal import Decimal
from pathlib import Path

import httpx
import pytest
from aiolimiter import AsyncLimiter

from escrow.domain.money import Currency, Money
from escrow.rails.mpesa_codes import PAYOUT_CODES
from escrow.rails.mpesa_gateway import MpesaConfig
from escrow.rails.mpesa_payouts import MpesaPayouts, asked_result, payout_result
from escrow.services.ports import Blame, PayoutRail, UnreadableError, Verdict
from sandbox.daraja import DarajaStandIn
from tests.rails.fakes import TLS, Clock, Tokens, heard_from

PHONE = "254708374149"
TEN = Money(10_00, Currency.KES)
SUCCESS = {
    "Result": {
        "ResultType": 0,
        "ResultCode": 0,
        "ResultDesc": "The service request is processed successfully.",
        "OriginatorConversationID": "P1-00ff",
        "ConversationID": "AG_20240706_2010759fd5662ef6d054",
        "TransactionID": "SG632NMUAB",
        "ResultParameters": {
            "ResultParameter": [
                {"Key": "TransactionAmount", "Value": 10},
                {"Key": "TransactionReceipt", "Value": "SG632NMUAB"},
                {"Key": "ReceiverPartyPublicName", "Value": "254708374149 - JOHN DOE"},
                {"Key": "TransactionCompletedDateTime", "Value": "06.07.2024 22:48:52"},
            ]
        },
    }
}


def config(base, **changes):
    fields = {
        "base_url": base,
        "consumer_key": "sandbox",
        "consumer_secret": "sandbox",
        "shortcode": "600997",
        "passkey": "",
        "display_name": "",
        "initiator_name": "testapi",
        "security_credential": "play",
    }
    return MpesaConfig(**{**fields, **changes})


@pytest.fixture
async def daraja():
    """The stand-in over HTTP, and a place for its results."""
    stand_in = DarajaStandIn(clock=Clock().now)
    async with heard_from(stand_in):
        yield stand_in


@pytest.fixture
async def rail(daraja):
    async with httpx.AsyncClient(verify=TLS) as http:
        yield MpesaPayouts(
            config(daraja.address, timeout_seconds=2),
            http,
            Tokens(),
            Clock(),
            credential="ab" * 16,
            pace=AsyncLimiter(1000, 1),
        )


async def pay(rail, daraja, ocid="P1-00ff", amount=TEN, phone=PHONE):
    return await rail.pay(
        ocid=ocid,
        phone=phone,
        amount=amount,
        result_url=f"{daraja.hooks}/p",
        timeout_url=f"{daraja.hooks}/o",
    )


def test_it_is_the_payout_rail() -> None:
    rail: PayoutRail = MpesaPayouts(
        config("http://x"), httpx.AsyncClient(verify=TLS), Tokens(), Clock()
    )
    assert not rail.can_pay


async def test_a_payment_is_accepted_and_its_result_read(rail, daraja) -> None:
    assert rail.can_pay
    answer = await pay(rail, daraja)
    assert (answer.verdict, answer.code) == (Verdict.PENDING, "0")
    assert answer.conversation_id.startswith("AG_")
    sent = daraja.calls[-1].body
    assert sent["OriginatorConversationID"] == "P1-00ff"
    assert (sent["Amount"], sent["PartyB"], sent["PartyA"]) == (10, PHONE, "600997")
    assert "Occassion" in sent
    await daraja.settle()
    ((path, body),) = daraja.heard
    result = rail.read_result(body)
    assert (path, result.answer.verdict, result.ocid) == ("/p", Verdict.PAID, "P1-00ff")
    assert (result.amount, result.reference) == (TEN, daraja.payouts[0].receipt)
    assert result.receiver.startswith(PHONE)


async def test_the_same_id_again_means_accepted_before(rail, daraja) -> None:
    await pay(rail, daraja)
    again = await pay(rail, daraja)
    assert (again.verdict, again.code) == (Verdict.PENDING, "500.002.1001")
    assert len(daraja.payouts) == 1


@pytest.mark.parametrize(
    ("error", "verdict", "reason", "blame"),
    [
        ("spike_arrest", Verdict.DECLINED, "mpesa_busy", Blame.OURS),
        ("internal", Verdict.UNKNOWN, "unknown", None),
        ("html", Verdict.UNKNOWN, "unknown", None),
        ("soap_fault", Verdict.UNKNOWN, "unknown", None),
        ("empty", Verdict.UNKNOWN, "unknown", None),
        ("wrong_credentials", Verdict.DECLINED, "misconfigured", Blame.OURS),
    ],
)
async def test_every_error_is_a_no_with_its_blame_or_unknown(
    rail, daraja, error, verdict, reason, blame
) -> None:
    daraja.fail("b2c", error, times=None)
    answer = await pay(rail, daraja)
    assert (answer.verdict, answer.reason, answer.blame) == (verdict, reason, blame)


@pytest.mark.parametrize("act", [True, False])
async def test_a_connection_that_breaks_after_the_request_is_unknown(rail, daraja, act) -> None:
    daraja.cut("b2c", act=act)
    assert (await pay(rail, daraja)).verdict is Verdict.UNKNOWN


async def test_a_provider_that_is_not_there_was_asked_for_nothing(daraja) -> None:
    async with httpx.AsyncClient(verify=TLS) as http:
        rail = MpesaPayouts(config("http://127.0.0.1:1"), http, Tokens("t"), Clock())
        answer = await pay(rail, daraja)
    assert (answer.verdict, answer.blame) == (Verdict.DECLINED, Blame.OURS)


async def test_a_refused_token_is_fetched_again(rail, daraja) -> None:
    await pay(rail, daraja)
    daraja.invalidate_tokens()
    assert (await pay(rail, daraja, "P2-00ff")).verdict is Verdict.PENDING


@pytest.mark.parametrize(
    "wrong",
    [
        {"ocid": "a b"},
        {"ocid": "x" * 37},
        {"phone": "0708374149"},
        {"amount": Money(9_00, Currency.KES)},
        {"amount": Money(10_50, Currency.KES)},
        {"amount": Money(250_001_00, Currency.KES)},
        {"amount": Money(100_00, Currency.USD)},
    ],
)
async def test_what_mpesa_would_not_take_is_not_sent(rail, daraja, wrong) -> None:
    with pytest.raises(ValueError):
        await pay(rail, daraja, **wrong)
    assert not daraja.calls


async def test_asking_by_our_own_id_finds_the_payment(rail, daraja) -> None:
    await pay(rail, daraja)
    await daraja.settle()
    asked = await rail.ask(
        ocid="P1-00ff", result_url=f"{daraja.hooks}/a", timeout_url=f"{daraja.hooks}/b"
    )
    assert asked.verdict is Verdict.PENDING
    assert daraja.calls[-1].body["OriginalConversationID"] == "P1-00ff"
    await daraja.settle()
    result = rail.read_asked(daraja.heard[-1][1])
    assert (result.answer.verdict, result.ocid, result.amount) == (Verdict.PAID, "P1-00ff", TEN)


async def test_an_unknown_id_says_nothing(rail, daraja) -> None:
    await rail.ask(ocid="P9-ff", result_url=f"{daraja.hooks}/a", timeout_url=f"{daraja.hooks}/b")
    await daraja.settle()
    result = rail.read_asked(daraja.heard[-1][1])
    assert (result.answer.verdict, result.answer.code) == (Verdict.UNKNOWN, "2032")


@pytest.mark.parametrize("code", sorted(PAYOUT_CODES))
async def test_every_listed_code_is_read_as_listed(rail, daraja, code) -> None:
    daraja.next_b2c(result=code)
    await pay(rail, daraja)
    await daraja.settle()
    result = rail.read_result(daraja.heard[-1][1])
    known = PAYOUT_CODES[code]
    verdict = Verdict.DECLINED if known.blame else Verdict.UNKNOWN
    assert (result.answer.verdict, result.answer.reason) == (verdict, known.reason)
    # a refused one carries a TransactionID, too
    assert (result.reference, result.amount) == ("", None)


def test_a_code_that_stands_nowhere_is_unknown() -> None:
    body = {"Result": {**SUCCESS["Result"], "ResultCode": 4711}}
    assert payout_result(json.dumps(body).encode()).answer.verdict is Verdict.UNKNOWN


@pytest.mark.parametrize("spoiled", ["amount", "receipt", "id", "json"])
def test_a_success_without_what_proves_it_is_unreadable(spoiled) -> None:
    body = json.loads(json.dumps(SUCCESS))
    items = body["Result"]["ResultParameters"]["ResultParameter"]
    if spoiled == "amount":
        del items[0]
    if spoiled == "receipt":
        del items[1], body["Result"]["TransactionID"]
    if spoiled == "id":
        del body["Result"]["OriginatorConversationID"]
    raw = b"{" if spoiled == "json" else json.dumps(body).encode()
    with pytest.raises(UnreadableError):
        payout_result(raw)


def test_a_single_parameter_may_come_as_an_object() -> None:
    body = {"Result": {**SUCCESS["Result"], "ResultCode": "2040"}}
    body["Result"]["ResultParameters"] = {
        "ResultParameter": {"Key": "BOCompletedTime", "Value": 20240706224852}
    }
    assert payout_result(json.dumps(body).encode()).answer.blame is Blame.PAYEE


SAMPLES = Path(__file__).parent / "samples"


def test_the_documented_results_are_read() -> None:
    paid = payout_result((SAMPLES / "b2c-result-0-success.json").read_bytes())
    assert paid.answer.verdict is Verdict.PAID
    assert paid.reference
    assert paid.amount is not None
    failed = payout_result((SAMPLES / "b2c-result-2001-failed.json").read_bytes())
    assert (failed.answer.blame, failed.reference) == (Blame.STOP, "")
    asked = asked_result((SAMPLES / "transaction-status-result.json").read_bytes())
    assert (asked.answer.verdict, asked.ocid, asked.reference) == (
        Verdict.PAID,
        "3211-416020-3",
        "MBN31H462N",
    )
    assert asked.amount == Money.from_decimal(Decimal(300), Currency.KES)
