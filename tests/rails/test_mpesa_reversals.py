"""Reversal over HTTP, against the stand-in Daraja, its documented answers and the samples."""

import json
from decimal import Decimal
from pathlib import Path

import httpx
import pytest
from aiolimiter import AsyncLimiter

from escrow.domain.money import Currency, Money
from escrow.rails.mpesa_codes import REVERSAL_CODES
from escrow.rails.mpesa_gateway import MpesaConfig
from escrow.rails.mpesa_reversals import MpesaReversals, reversal_result
from escrow.services.ports import Blame, ReversalRail, UnreadableError, Verdict
from sandbox.daraja import DarajaStandIn
from sandbox.daraja_money import Payment
from sandbox.faults import Fault
from tests.rails.fakes import TLS, Clock, Tokens, heard_from

RECEIPT = "SKC82PACB8"
AMOUNT = Money(200_00, Currency.KES)
SAMPLES = Path(__file__).parent / "samples"


def sample(name):
    return json.loads((SAMPLES / f"reversal-{name}.json").read_text())


def config(base, **changes):
    fields = {
        "base_url": base,
        "consumer_key": "sandbox",
        "consumer_secret": "sandbox",
        "shortcode": "174379",
        "passkey": "",
        "display_name": "",
        "initiator_name": "testapi",
        "security_credential": "play",
        "timeout_seconds": 2,
    }
    return MpesaConfig(**{**fields, **changes})


def made(base, http, **changes):
    pace = AsyncLimiter(1000, 1)
    return MpesaReversals(
        config(base, **changes), http, Tokens(), Clock(), reachable=True, pace=pace
    )


@pytest.fixture
async def daraja():
    """The stand-in over HTTP with one payment by hand, and a place for its results."""
    stand_in = DarajaStandIn(clock=Clock().now)
    stand_in.payments[RECEIPT] = Payment(
        RECEIPT, "paybill", "254708374149", Decimal(200), "ES1", Clock().now()
    )
    async with heard_from(stand_in):
        yield stand_in


@pytest.fixture
async def rail(daraja):
    async with httpx.AsyncClient(verify=TLS) as http:
        yield made(daraja.address, http)


async def reverse(rail, daraja, reference=RECEIPT, amount=AMOUNT):
    return await rail.reverse(
        reference=reference,
        amount=amount,
        remarks="Escrow P1-00ff",
        result_url=f"{daraja.hooks}/x",
        timeout_url=f"{daraja.hooks}/o",
    )


async def heard(daraja):
    await daraja.settle()
    return [reversal_result(body) for _, body in daraja.heard]


def test_it_is_the_reversal_rail_and_needs_its_keys() -> None:
    http = httpx.AsyncClient(verify=TLS)
    rail: ReversalRail = made("http://x", http)
    assert rail.can_reverse
    assert not made("http://x", http, initiator_name="").can_reverse
    assert not made("http://x", http, security_credential="").can_reverse
    deaf = MpesaReversals(config("http://x"), http, Tokens(), Clock(), reachable=False)
    assert not deaf.can_reverse


async def test_the_request_is_the_vendors_sample_field_by_field(rail, daraja) -> None:
    await reverse(rail, daraja)
    sent, documented = daraja.calls[-1].body, sample("request")
    assert sent.keys() == documented.keys()
    same = ("CommandID", "RecieverIdentifierType", "Amount")
    assert {key: sent[key] for key in same} == {key: documented[key] for key in same}


async def test_it_is_accepted_and_its_result_says_what_went_back(rail, daraja) -> None:
    answer = await reverse(rail, daraja)
    assert (answer.verdict, answer.code) == (Verdict.PENDING, "0")
    (result,) = await heard(daraja)
    assert (result.answer.verdict, result.ocid) == (Verdict.PAID, answer.conversation_id)
    assert (result.original, result.amount) == (RECEIPT, AMOUNT)
    assert result.reference == daraja.reversals[0].receipt
    assert daraja.payments[RECEIPT].status == "Reversed"


async def test_it_can_be_asked_about_by_mpesas_id(rail, daraja) -> None:
    answer = await reverse(rail, daraja)
    await daraja.settle()
    daraja.heard.clear()
    asked = await rail.ask(
        ocid=answer.conversation_id,
        result_url=f"{daraja.hooks}/a",
        timeout_url=f"{daraja.hooks}/b",
    )
    assert asked.verdict is Verdict.PENDING
    await daraja.settle()
    ((_, body),) = daraja.heard
    said = rail.read_asked(body)
    assert (said.answer.verdict, said.ocid) == (Verdict.PAID, answer.conversation_id)
    assert (said.reference, said.amount) == (daraja.reversals[0].receipt, AMOUNT)


async def test_twice_is_reversed_already_and_another_payment_is_no_such_one(rail, daraja) -> None:
    await reverse(rail, daraja)
    await daraja.settle()
    await reverse(rail, daraja)
    await daraja.settle()
    await reverse(rail, daraja, reference="SGNOTHING1")
    first, second, third = await heard(daraja)
    assert first.answer.verdict is Verdict.PAID
    assert (second.answer.verdict, second.answer.blame, second.answer.reason) == (
        Verdict.DECLINED,
        None,
        "already_reversed",
    )
    assert (third.answer.code, third.answer.blame) == ("R000002", Blame.PAYEE)


@pytest.mark.parametrize(
    ("name", "verdict", "blame"),
    [
        ("busy", Verdict.DECLINED, Blame.OURS),
        ("invalid_payload", Verdict.DECLINED, Blame.OURS),
        ("system_internal", Verdict.UNKNOWN, None),
        ("internal", Verdict.UNKNOWN, None),
        ("duplicate_originator", Verdict.UNKNOWN, None),
        ("soap_fault", Verdict.UNKNOWN, None),
        ("html", Verdict.UNKNOWN, None),
        ("empty", Verdict.UNKNOWN, None),
    ],
)
async def test_only_a_documented_no_is_a_no(rail, daraja, name, verdict, blame) -> None:
    daraja.fail("reversal", name)
    answer = await reverse(rail, daraja)
    assert (answer.verdict, answer.blame) == (verdict, blame)


@pytest.mark.parametrize("act", [True, False])
async def test_a_cut_connection_is_unknown(rail, daraja, act) -> None:
    daraja.cut("reversal", act=act)
    assert (await reverse(rail, daraja)).verdict is Verdict.UNKNOWN
    assert len(daraja.reversals) == act


async def test_a_refused_token_is_fetched_again_and_nothing_is_sent_twice(rail, daraja) -> None:
    daraja.fail("reversal", "invalid_token")
    assert (await reverse(rail, daraja)).verdict is Verdict.PENDING
    assert len(daraja.reversals) == 1


@pytest.mark.parametrize(
    ("reference", "amount"),
    [
        ("sg", AMOUNT),
        (RECEIPT, Money(0, Currency.KES)),
        (RECEIPT, Money(15_50, Currency.KES)),
        (RECEIPT, Money(200_00, Currency.USD)),
    ],
)
async def test_what_mpesa_would_not_take_is_never_sent(rail, daraja, reference, amount) -> None:
    with pytest.raises(ValueError, match=r"receipt|shillings"):
        await reverse(rail, daraja, reference, amount)
    assert daraja.reversals == []


@pytest.mark.parametrize("code", [21, "21", 17, "SFC_IC0003", "R000003", 100000100, ""])
def test_a_code_that_stands_nowhere_is_unknown_whatever_its_words(code) -> None:
    body = sample("result-0-success")
    body["Result"]["ResultCode"] = code
    try:
        answer = reversal_result(json.dumps(body).encode()).answer
    except UnreadableError:
        return
    assert (answer.verdict, answer.blame) == (Verdict.UNKNOWN, None)


def test_the_vendors_results_are_read() -> None:
    done = reversal_result(json.dumps(sample("result-0-success")).encode())
    assert (done.answer.verdict, done.original, done.reference, done.amount) == (
        Verdict.PAID,
        "SKC82PACB8",
        "SKE52PAWR9",
        Money(1_00, Currency.KES),
    )
    no = reversal_result(json.dumps(sample("result-R000002-failed")).encode())
    assert (no.answer.code, no.answer.verdict, no.reference) == ("R000002", Verdict.DECLINED, "")
    assert "21" not in REVERSAL_CODES


@pytest.mark.parametrize("code", sorted(REVERSAL_CODES))
async def test_every_listed_code_is_read_as_listed(rail, daraja, code) -> None:
    daraja.next_reversal(result=code)
    await reverse(rail, daraja)
    await daraja.settle()
    read = rail.read_result(daraja.heard[-1][1])
    known = REVERSAL_CODES[code]
    assert (read.answer.verdict, read.answer.reason, read.answer.blame) == (
        known.verdict,
        known.reason,
        known.blame,
    )
    assert (read.reference, read.amount, read.original) == ("", None, "")


@pytest.mark.parametrize("code", ["0", "1", "R000001", "4711"])
async def test_an_envelope_never_says_done(rail, daraja, code) -> None:
    """What bears the number of a success where only errors stand is no success."""
    daraja.faults.add(
        Fault("reversal", 1, status=500, body=json.dumps({"errorCode": code, "errorMessage": ""}))
    )
    assert (await reverse(rail, daraja)).verdict in (Verdict.UNKNOWN, Verdict.DECLINED)


@pytest.mark.parametrize("missing", ["Amount", "OriginalTransactionID"])
def test_done_without_saying_what_is_unreadable(missing) -> None:
    body = sample("result-0-success")
    items = body["Result"]["ResultParameters"]["ResultParameter"]
    items[:] = [one for one in items if one["Key"] != missing]
    with pytest.raises(UnreadableError):
        reversal_result(json.dumps(body).encode())


@pytest.mark.parametrize("plan", ["late", "never", "timeout", "twice"])
async def test_the_stand_in_delivers_as_it_is_told(rail, daraja, plan) -> None:
    daraja.next_reversal(deliver=plan)
    await reverse(rail, daraja)
    await daraja.settle()
    count = {"late": 0, "never": 0, "timeout": 1, "twice": 2}[plan]
    assert len(daraja.heard) == count
    await daraja.release()
    assert len(daraja.heard) == (1 if plan == "late" else count)
