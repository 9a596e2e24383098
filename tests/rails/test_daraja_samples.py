"""Every known body of Daraja by the name of its file: where it was seen, what it means, and that it
is read so or refused. The bodies are ours, with the wire's own keys, forms and figures.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiolimiter import AsyncLimiter

from escrow.domain.money import Currency, Money
from escrow.rails import mpesa_balances, mpesa_codes, mpesa_parse
from escrow.rails.mpesa import Mpesa, password
from escrow.rails.mpesa_accounts import MpesaAccount, MpesaPull
from escrow.rails.mpesa_gateway import Gateway, MpesaConfig
from escrow.rails.mpesa_payouts import MpesaPayouts, payout_result
from escrow.rails.mpesa_reversals import MpesaReversals, reversal_result
from escrow.services.ports import (
    Answer,
    Blame,
    PayoutAnswer,
    StkCallback,
    UnreadableError,
    Verdict,
)
from escrow.web.webhooks import _ROUTES
from sandbox.daraja_wire import SANDBOX_PASSKEY
from tests.rails.fakes import NOW, TLS, Clock, Tokens

FOLDER = Path(__file__).parent / "samples"
PAID, DECLINED, PENDING, UNKNOWN = Verdict
TEN = Money(1000, Currency.KES)
RESULT, TIMEOUT = "https://amana.test/hooks/m/00ff/k", "https://amana.test/hooks/m/00ff/l"


def raw(name: str) -> bytes:
    return (FOLDER / f"{name}.json").read_bytes()


def told(name: str) -> Any:
    return json.loads(raw(name))


def kes(shillings: int) -> Money:
    return Money(shillings * 100, Currency.KES)


@dataclass
class Wire:
    """A Daraja that answers every POST with one sample, and what it was sent."""

    http: httpx.AsyncClient
    sent: list[Mapping[str, Any]]

    @classmethod
    def saying(cls, name: str, status: int = 200) -> Wire:
        sent: list[Mapping[str, Any]] = []

        def answer(request: httpx.Request) -> httpx.Response:
            if request.method == "GET":
                return httpx.Response(200, content=raw("oauth-response"))
            sent.append(json.loads(request.content))
            return httpx.Response(status, content=raw(name))

        return cls(httpx.AsyncClient(transport=httpx.MockTransport(answer), verify=TLS), sent)

    def parts(self) -> tuple[Any, ...]:
        """What a rail is made of."""
        return _config(), self.http, Tokens(), Clock()


def _config() -> MpesaConfig:
    return MpesaConfig(
        base_url="https://mpesa.test",
        consumer_key="k",
        consumer_secret="s",
        shortcode="174379",
        passkey=SANDBOX_PASSKEY,
        display_name="",
        initiator_name="testapi",
        security_credential="play",
    )


def _pace() -> AsyncLimiter:
    return AsyncLimiter(1000, 1)


# -- what comes to us ----------------------------------------------------------------------------


def stk(name: str) -> StkCallback:
    return mpesa_parse.stk_callback(raw(name))


def paid(reference: str, shillings: int, *when: int) -> Callable[[str], None]:
    def check(name: str) -> None:
        read = stk(name)
        assert (read.answer.verdict, read.reference) == (PAID, reference)
        assert (read.amount, read.phone) == (kes(shillings), "254708374149")
        assert read.happened_at == datetime(*when, tzinfo=UTC)  # type: ignore[misc]

    return check


def not_paid(code: str, verdict: Verdict, reason: str) -> Callable[[str], None]:
    def check(name: str) -> None:
        read = stk(name)
        assert read.answer == Answer(verdict, code, reason)
        assert (read.reference, read.amount) == ("", None)

    return check


def by_hand(reference: str, shillings: int, account: str, shown: str, held: int) -> Any:
    def check(name: str) -> None:
        read = mpesa_parse.paybill(raw(name))
        assert (read.reference, read.amount) == (reference, kes(shillings))
        assert (read.typed_reference, read.shown) == (account, shown)
        (balance,) = mpesa_balances.balances(raw(name), read.shortcode)
        assert (balance.account, balance.balance) == ("mpesa:utility", kes(held))

    return check


def our_answer(name: str) -> None:
    """What we say to a validation is what the vendor expects, key by key."""
    said = told(name)
    assert said.keys() == {"ResultCode", "ResultDesc"}
    assert said["ResultDesc"] in ("Accepted", "Rejected")
    assert said["ResultCode"] == "0" or said["ResultCode"].startswith("C2B000")
    assert _ROUTES["c"][2] == {"ResultCode": 0, "ResultDesc": "Success"}


def payout(name: str) -> None:
    read = payout_result(raw(name))
    if name.endswith("success"):
        assert (read.answer.verdict, read.reference, read.amount) == (PAID, "SG632NMUAB", TEN)
        utility, working = mpesa_balances.balances(raw(name), "600997")
        assert (utility.account, utility.balance) == (
            "mpesa:utility",
            Money(895_926_960, TEN.currency),
        )
        assert (working.account, working.balance) == ("mpesa:working", kes(1_199_371))
        return
    assert (read.answer.verdict, read.answer.blame) == (DECLINED, Blame.STOP)
    assert (read.reference, read.amount) == ("", None), "its TransactionID only looks like one"
    assert mpesa_balances.balances(raw(name), "600997") == []


def reversal(name: str) -> None:
    read = reversal_result(raw(name))
    if name.endswith("success"):
        assert (read.answer.verdict, read.reference) == (PAID, "SKE52PAWR9")
        assert (read.original, read.amount) == ("SKC82PACB8", kes(1))
        return
    assert read.answer == PayoutAnswer(DECLINED, "R000002", "invalid_original", Blame.PAYEE)


def status(name: str) -> None:
    """The question's fate is not the payment's."""
    read = mpesa_parse.status_result(raw(name))
    if "2001" in name:
        assert (read.answer.verdict, read.answer.reason, read.reference) == (
            UNKNOWN,
            "misconfigured",
            "",
        )
        return
    assert read.answer.verdict is PAID
    assert len(read.payers) == 2, "DebitPartyName stands there twice"
    assert read.happened_at == datetime(2018, 2, 23, 2, 41, 12, tzinfo=UTC)


def balance(name: str) -> None:
    names = {"Utility Account": "mpesa:utility", "Working Account": "mpesa:working"}
    read = mpesa_balances.account_balances(raw(name), names)
    assert [(one.account, one.balance) for one in read.balances] == [
        ("mpesa:working", kes(700_000)),
        ("mpesa:utility", kes(228_037)),
    ]
    assert {one.at for one in read.balances} == {datetime(2020, 1, 9, 9, 57, 10, tzinfo=UTC)}


def echoed(name: str) -> None:
    """The body of a queue timeout says nothing: no parser takes it for an answer."""
    readers: tuple[Callable[[bytes], Any], ...] = (
        payout_result,
        reversal_result,
        mpesa_parse.status_result,
        mpesa_parse.stk_callback,
        mpesa_parse.paybill,
    )
    for read in readers:
        with pytest.raises(UnreadableError):
            read(raw(name))


# -- what is answered to us ----------------------------------------------------------------------


def error(verdict: Verdict, reason: str, *, retry: bool = False) -> Callable[[str], None]:
    def check(name: str) -> None:
        said = told(name)
        answer = mpesa_codes.of_error(said["errorCode"], said["errorMessage"])
        assert answer == Answer(verdict, said["errorCode"], reason, retry)

    return check


async def fault(name: str) -> None:
    """No errorCode, so nobody can say what became of the request."""
    wire = Wire.saying(name, 500)
    said = await Gateway(*wire.parts(), pace=_pace()).post("/mpesa/c2b/v1/registerurl", {})
    assert said == Answer(UNKNOWN, "http_500", "unknown")


async def token(name: str) -> None:
    """`expires_in` is a number or a text."""

    def answer(request: httpx.Request) -> httpx.Response:
        body = raw(name) if request.method == "GET" else b"{}"
        return httpx.Response(200, content=body)

    http = httpx.AsyncClient(transport=httpx.MockTransport(answer), verify=TLS)
    tokens = Tokens()
    await Gateway(_config(), http, tokens, Clock(), pace=_pace()).post("/x", {})
    fetched: Any = tokens.fetched
    assert fetched.text == told(name)["access_token"]
    assert (fetched.expires_at - NOW).total_seconds() == 3599


async def prompt_accepted(name: str) -> None:
    wire = Wire.saying(name)
    said = await _prompt(wire)
    assert said.answer.verdict is PENDING
    assert said.checkout_request_id == told(name)["CheckoutRequestID"]
    assert said.merchant_request_id == told(name)["MerchantRequestID"]


async def _prompt(wire: Wire) -> Any:
    return await Mpesa(*wire.parts(), pace=_pace()).prompt(
        phone="254708374149", amount=TEN, reference="ES1", callback_url="https://amana.test/x"
    )


def query(
    verdict: Verdict, reason: str, *, retry: bool = False
) -> Callable[[str], Awaitable[None]]:
    async def check(name: str) -> None:
        said = told(name)
        rail = Mpesa(*Wire.saying(name).parts(), pace=_pace())
        answer = await rail.query(said["CheckoutRequestID"])
        assert answer == Answer(verdict, said["ResultCode"], reason, retry)

    return check


async def queued(name: str) -> None:
    """Accepted only: the outcome comes later, to an address of its own."""
    wire = Wire.saying(name)
    answer: Any
    if name.startswith("account"):
        rail = MpesaAccount(*wire.parts(), names={}, reachable=True, pace=_pace())
        answer = await rail.ask_balance(result_url=RESULT, timeout_url=TIMEOUT)
    elif name.startswith("b2c"):
        payouts = MpesaPayouts(*wire.parts(), credential="c", pace=_pace())
        answer = await payouts.pay(
            ocid="P1", phone="254708374149", amount=TEN, result_url=RESULT, timeout_url=TIMEOUT
        )
        assert answer.conversation_id == told(name)["ConversationID"]
    elif name.startswith("reversal"):
        back = MpesaReversals(*wire.parts(), reachable=True, pace=_pace())
        answer = await back.reverse(
            reference="PDU91HIVIT",
            amount=TEN,
            remarks="Back",
            result_url=RESULT,
            timeout_url=TIMEOUT,
        )
        assert answer.conversation_id == told(name)["OriginatorConversationID"]
    else:
        answer = await Mpesa(*wire.parts(), pace=_pace()).ask_status(
            reference="NEF61H8J60", result_url=RESULT, timeout_url=TIMEOUT
        )
    assert answer.verdict is PENDING


async def c2b_registered(name: str) -> None:
    """The key of the id is misspelt; the code counts."""
    answer = await Mpesa(*Wire.saying(name).parts(), pace=_pace()).register_c2b(RESULT, TIMEOUT)
    assert answer.verdict is PAID


async def pull_registered(name: str) -> None:
    answer = await _pull(Wire.saying(name)).register("https://amana.test/n")
    assert answer.verdict is PAID
    assert (answer.reason == "urls_registered") == name.endswith("already")


async def listed(name: str) -> None:
    """An array in an array; the Z of its times is not to be believed."""
    rail = _pull(Wire.saying(name))
    rows = await rail.pull(NOW, NOW, 0)
    assert not isinstance(rows, Answer)
    read = [rail.read_pulled(row.body) for row in rows]
    assert [one.amount for one in read] == [kes(n) for n in (168, 647, 876, 687, 93)]
    assert {one.happened_at for one in read} == {datetime(2020, 8, 5, 7, 13, tzinfo=UTC)}
    assert {one.typed_reference for one in read} == {"37207636392"}


def _pull(wire: Wire) -> MpesaPull:
    return MpesaPull(*wire.parts(), number="0722000000", live=True, pace=_pace())


# -- what we ask ---------------------------------------------------------------------------------


def asks(
    answered_by: str, send: Callable[[Wire], Awaitable[Any]], *, spelled: Mapping[str, str] = {}
) -> Callable[[str], Awaitable[None]]:
    """The request has the sample's keys, and its answer's sample is understood."""

    async def check(name: str) -> None:
        wire = Wire.saying(answered_by)
        await send(wire)
        wanted = {spelled.get(key, key) for key in told(name)} - {""}
        (sent,) = wire.sent
        assert sent.keys() == wanted

    return check


async def _status_asked(wire: Wire) -> None:
    rail = Mpesa(*wire.parts(), pace=_pace())
    await rail.ask_status(reference="NEF61H8J60", result_url=RESULT, timeout_url=TIMEOUT)


async def _balance_asked(wire: Wire) -> None:
    rail = MpesaAccount(*wire.parts(), names={}, reachable=True, pace=_pace())
    await rail.ask_balance(result_url=RESULT, timeout_url=TIMEOUT)


async def _paid_out(wire: Wire) -> None:
    rail = MpesaPayouts(*wire.parts(), credential="c", pace=_pace())
    await rail.pay(
        ocid="P1", phone="254708374149", amount=TEN, result_url=RESULT, timeout_url=TIMEOUT
    )


async def _reversed(wire: Wire) -> None:
    rail = MpesaReversals(*wire.parts(), reachable=True, pace=_pace())
    await rail.reverse(
        reference="PDU91HIVIT", amount=TEN, remarks="Back", result_url=RESULT, timeout_url=TIMEOUT
    )


async def _c2b(wire: Wire) -> None:
    await Mpesa(*wire.parts(), pace=_pace()).register_c2b(RESULT, TIMEOUT)


async def _pull_register(wire: Wire) -> None:
    await _pull(wire).register("https://amana.test/n")


async def _pull_query(wire: Wire) -> None:
    await _pull(wire).pull(NOW, NOW, 0)


async def prompt_asked(name: str) -> None:
    """The same keys; its Password is that of its own Timestamp."""
    await asks("stk-push-response", _prompt)(name)
    sample = told(name)
    made = password(str(sample["BusinessShortCode"]), SANDBOX_PASSKEY, sample["Timestamp"])
    assert made == sample["Password"]


# -- all of them ---------------------------------------------------------------------------------

PORTAL, OLDER = "Safaricom's Daraja 3.0 portal", "its older documentation"
SAMPLES: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    "account-balance-request": (PORTAL, asks("account-balance-response", _balance_asked)),
    "account-balance-response": (PORTAL, queued),
    "account-balance-result": (PORTAL, balance),
    "b2c-queue-timeout.UNVERIFIED": ("documented nowhere: the request echoed", echoed),
    "b2c-result-0-success": (PORTAL, payout),
    "b2c-result-2001-failed": (PORTAL, payout),
    "b2c-v3-request": (PORTAL, asks("b2c-v3-response", _paid_out)),
    "b2c-v3-response": (PORTAL, queued),
    "c2b-confirmation-masked-msisdn": (
        PORTAL,
        by_hand("RKL51ZDR4F", 5, "Sample Transaction", "2547 ***** 149", 25),
    ),
    "c2b-registerurl-request": (PORTAL, asks("c2b-registerurl-response", _c2b)),
    "c2b-registerurl-response": (PORTAL, c2b_registered),
    "c2b-v1-confirmation-full-msisdn": (
        OLDER,
        by_hand("LGR219G3EY", 10, "xyz", "254708374149", 49_197),
    ),
    "c2b-validation-reply-accept": (PORTAL, our_answer),
    "c2b-validation-reply-reject": (PORTAL, our_answer),
    "error-400.002.02-invalid-phone": ("captured", error(DECLINED, "invalid_phone")),
    "error-400.002.02-invalid-shortcode": (PORTAL, error(DECLINED, "misconfigured")),
    "error-400.002.02-invalid-transactionid": (PORTAL, error(DECLINED, "misconfigured")),
    "error-404.001.03-invalid-token": (PORTAL, error(DECLINED, "mpesa_unreachable", retry=True)),
    "error-500.001.1001-being-processed": ("captured 2026", error(PENDING, "processing")),
    "error-500.001.1001-does-not-exist": ("captured 2026", error(UNKNOWN, "unknown")),
    "error-500.001.1001-unable-to-lock": (
        PORTAL,
        error(DECLINED, "subscriber_locked", retry=True),
    ),
    "error-500.002.1001-duplicate-originator": (PORTAL, error(PENDING, "processing")),
    "error-500.002.1001-system-internal": ("captured", error(UNKNOWN, "unknown")),
    "error-500.003.02-spike-arrest": (PORTAL, error(DECLINED, "mpesa_busy", retry=True)),
    "error-soap-fault-envelope": ("captured 2025", fault),
    "oauth-response": (PORTAL, token),
    "oauth-response-expires-string": (OLDER, token),
    "pull-query-request": (PORTAL, asks("pull-query-response", _pull_query)),
    "pull-query-response": (OLDER, listed),
    "pull-register-request": (PORTAL, asks("pull-register-response", _pull_register)),
    "pull-register-response": (PORTAL, pull_registered),
    "pull-register-response-already": (OLDER, pull_registered),
    "real-stk-0-2018": ("captured", paid("MAO0DO9BYO", 1, 2018, 1, 24, 11, 47, 54)),
    "real-stk-0-2020-balance-no-value": (
        "captured",
        paid("OK394WESPV", 5, 2020, 11, 3, 12, 10, 0),
    ),
    "real-stk-0-2021": ("captured", paid("PE71NZSURN", 1, 2021, 5, 7, 8, 0, 56)),
    "real-stk-1-insufficient-2019": ("captured", not_paid("1", DECLINED, "balance")),
    "real-stk-1019-expired": ("captured 2022", not_paid("1019", DECLINED, "expired")),
    "real-stk-1032-2021": ("captured", not_paid("1032", DECLINED, "cancelled")),
    "real-stk-1037-ds-timeout": ("captured 2022", not_paid("1037", UNKNOWN, "no_answer")),
    "real-stk-1037-no-response": ("captured 2026", not_paid("1037", UNKNOWN, "no_answer")),
    "real-stk-push-response-2023": ("captured", prompt_accepted),
    "real-stk-query-1001-unable-to-lock": (
        "captured 2017",
        query(DECLINED, "subscriber_locked", retry=True),
    ),
    "real-transaction-status-result-2001-2018": ("captured", status),
    "reversal-request": (PORTAL, asks("reversal-response", _reversed)),
    "reversal-response": (PORTAL, queued),
    "reversal-result-0-success": (PORTAL, reversal),
    "reversal-result-R000002-failed": (PORTAL, reversal),
    "stk-callback-0-success": (PORTAL, paid("NLJ7RT61SV", 1, 2019, 12, 19, 7, 21, 15)),
    "stk-callback-0-success-balance-no-value": (
        OLDER,
        paid("LGR7OWQX0R", 1, 2017, 7, 27, 12, 48, 0),
    ),
    "stk-callback-1032-cancelled": (PORTAL, not_paid("1032", DECLINED, "cancelled")),
    "stk-push-request": (PORTAL, prompt_asked),
    "stk-push-response": (PORTAL, prompt_accepted),
    "stk-query-response-0": (PORTAL, query(PAID, "paid")),
    "stk-query-response-1032": (OLDER, query(DECLINED, "cancelled")),
    "stk-query-response-4999-pending": ("captured 2026", query(PENDING, "processing")),
    # the page prints two keys with spaces, which its own table and every client have not; one of
    # the two ways to name a payment is enough
    "transaction-status-request.DOCTYPO": (
        PORTAL,
        asks(
            "transaction-status-response",
            _status_asked,
            spelled={
                "Command ID": "CommandID",
                "Transaction ID": "TransactionID",
                "OriginalConversationID": "",
            },
        ),
    ),
    "transaction-status-response": (PORTAL, queued),
    "transaction-status-result": (PORTAL, status),
}


def test_every_file_has_its_meaning_and_every_meaning_its_file() -> None:
    assert {path.stem for path in FOLDER.glob("*.json")} == set(SAMPLES)
    assert len(SAMPLES) == 58


@pytest.mark.parametrize("name", SAMPLES)
async def test_it_is_read_as_it_is_meant(name: str) -> None:
    _, check = SAMPLES[name]
    done = check(name)
    if done is not None:
        await done
