"""AccountBalance and Pull over HTTP, against the stand-in Daraja, its documented answers and the
samples (account-balance-*, pull-*).
"""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import httpx
import pytest
from aiolimiter import AsyncLimiter

from escrow.domain.money import Currency, Money
from escrow.rails.mpesa_accounts import PAGE_ROWS_MAX, MpesaAccount, MpesaPull
from escrow.rails.mpesa_gateway import MpesaConfig
from escrow.services.ports import (
    AccountBalance,
    AccountRail,
    Answer,
    PullRail,
    UnreadableError,
    Verdict,
)
from sandbox.daraja import DarajaStandIn
from sandbox.faults import Fault
from tests.rails.fakes import NOW, TLS, Clock, Tokens, heard_from

NAMES = {"Utility Account": "mpesa:utility", "Working Account": "mpesa:working"}
NUMBER = "0722000000"
DAY = timedelta(hours=24)


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


@pytest.fixture
async def daraja():
    stand_in = DarajaStandIn(clock=Clock().now)
    async with heard_from(stand_in):
        yield stand_in
        stand_in.faults.clear()


@pytest.fixture
async def http():
    async with httpx.AsyncClient(verify=TLS) as client:
        yield client


@pytest.fixture
def account(daraja, http) -> AccountRail:
    return MpesaAccount(
        config(daraja.address),
        http,
        Tokens(),
        Clock(),
        names=NAMES,
        reachable=True,
        pace=AsyncLimiter(1000, 1),
    )


@pytest.fixture
def pulling(daraja, http) -> PullRail:
    return pull_rail(daraja.address, http)


def pull_rail(base, http, *, number=NUMBER, live=True, **changes):
    pace = AsyncLimiter(1000, 1)
    return MpesaPull(
        config(base, **changes), http, Tokens(), Clock(), number=number, live=live, pace=pace
    )


async def ask(account, daraja):
    return await account.ask_balance(
        result_url=f"{daraja.hooks}/k/00ff", timeout_url=f"{daraja.hooks}/l/00ff"
    )


# -- AccountBalance ----------------------------------------------------------------------------


async def test_the_question_is_the_vendors_sample_field_by_field(account, daraja):
    """account-balance-request and account-balance-response."""
    said = await ask(account, daraja)
    assert (said.verdict, said.code) == (Verdict.PENDING, "0")
    call = await daraja.wait_call("accountbalance")
    assert call.body == {
        "Initiator": "testapi",
        "SecurityCredential": "play",
        "CommandID": "AccountBalance",
        "PartyA": "174379",
        "IdentifierType": "4",
        "Remarks": "Escrow",
        "QueueTimeOutURL": f"{daraja.hooks}/l/00ff",
        "ResultURL": f"{daraja.hooks}/k/00ff",
    }


async def test_the_answer_comes_to_its_own_address_and_is_read(account, daraja):
    await ask(account, daraja)
    await daraja.settle()
    path, body = daraja.heard[-1]
    assert path == "/k/00ff"
    read = account.read_balances(body)
    assert read.answer.verdict is Verdict.PAID
    assert list(read.balances) == [
        AccountBalance("mpesa:working", Money(0, Currency.KES), NOW),
        AccountBalance("mpesa:utility", Money(25_000_00, Currency.KES), NOW),
    ]


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        (2001, "api_user_refused"),
        ("8006", "api_user_refused"),
        (21, "misconfigured"),
        (2028, "misconfigured"),
        (4711, "unknown"),
        ("SFC_IC0003", "unknown"),
    ],
)
async def test_a_question_that_failed_says_nothing_of_any_account(account, daraja, result, reason):
    daraja.next_balance(result=result)
    await ask(account, daraja)
    await daraja.settle()
    read = account.read_balances(daraja.heard[-1][1])
    assert (read.answer.verdict, read.answer.reason) == (Verdict.UNKNOWN, reason)
    assert list(read.balances) == []


@pytest.mark.parametrize(
    "value",
    [
        "",
        "Utility Account",
        "Utility Account|KES",
        "Utility Account|USD|1.00|1.00|0.00|0.00",
        "Utility Account|KES|NaN|1.00|0.00|0.00",
        "Another Account|KES|1.00|1.00|0.00|0.00",
        "Utility Account|KES|1.00|1.00|0|0&Utility Account|KES|2.00|2.00|0|0",
    ],
)
async def test_an_answer_without_an_account_of_ours_is_unreadable(account, daraja, value):
    daraja.next_balance(value=value)
    await ask(account, daraja)
    await daraja.settle()
    with pytest.raises(UnreadableError):
        account.read_balances(daraja.heard[-1][1])


async def test_an_account_that_cannot_be_read_does_not_hide_the_others(account, daraja):
    daraja.next_balance(
        value="Working Account|KES|x|x|0.00|0.00&Utility Account|KES|-5.50|0.00|0.00|0.00"
    )
    await ask(account, daraja)
    await daraja.settle()
    (only,) = account.read_balances(daraja.heard[-1][1]).balances
    assert only == AccountBalance("mpesa:utility", Money(-550, Currency.KES), NOW)


@pytest.mark.parametrize(("deliver", "paths"), [("twice", ["/k/00ff"] * 2), ("never", [])])
async def test_the_stand_in_answers_as_often_as_it_is_told(account, daraja, deliver, paths):
    daraja.next_balance(deliver=deliver)
    await ask(account, daraja)
    await daraja.settle()
    assert [path for path, _ in daraja.heard] == paths


async def test_a_queue_timeout_comes_to_the_other_address_and_is_no_answer(account, daraja):
    daraja.next_balance(deliver="timeout")
    await ask(account, daraja)
    await daraja.settle()
    path, body = daraja.heard[-1]
    assert path == "/l/00ff"
    with pytest.raises(UnreadableError):
        account.read_balances(body)


FAULTS = [
    ("busy", Verdict.DECLINED, "mpesa_busy"),
    ("spike_arrest", Verdict.DECLINED, "mpesa_busy"),
    ("quota", Verdict.DECLINED, "mpesa_busy"),
    ("internal", Verdict.UNKNOWN, "unknown"),
    ("system_internal", Verdict.UNKNOWN, "unknown"),
    ("soap_fault", Verdict.UNKNOWN, "unknown"),
    ("html", Verdict.UNKNOWN, "unknown"),
    ("empty", Verdict.UNKNOWN, "unknown"),
    ("not_found", Verdict.DECLINED, "misconfigured"),
    ("invalid_payload", Verdict.DECLINED, "misconfigured"),
]


@pytest.mark.parametrize(("error", "verdict", "reason"), FAULTS)
async def test_a_question_that_is_refused_or_lost(account, daraja, error, verdict, reason):
    daraja.fail("accountbalance", error)
    said = await ask(account, daraja)
    assert (said.verdict, said.reason) == (verdict, reason)
    assert daraja.heard == []


async def test_a_refused_token_is_fetched_again(account, daraja):
    daraja.fail("accountbalance", "invalid_token")
    assert (await ask(account, daraja)).verdict is Verdict.PENDING


def test_nobody_is_asked_without_keys_or_an_address_for_the_answer(http):
    def may(reachable=True, **changes):
        made = config("https://mpesa.test", **changes)
        rail = MpesaAccount(made, http, Tokens(), Clock(), names=NAMES, reachable=reachable)
        return rail.can_ask

    assert may()
    assert not may(reachable=False)
    for missing in ("initiator_name", "security_credential", "consumer_key", "shortcode"):
        assert not may(**{missing: ""})


# -- Pull --------------------------------------------------------------------------------------


async def test_registering_twice_is_fine(pulling, daraja):
    """pull-register-request, pull-register-response and, with spaces, …-response-already."""
    first = await pulling.register("https://amana.test/hooks/m/00ff/n")
    assert (first.verdict, first.code, first.reason) == (Verdict.PAID, "1000", "registered")
    again = await pulling.register("https://amana.test/hooks/m/00ff/n")
    assert (again.verdict, again.code, again.reason) == (Verdict.PAID, "1001", "urls_registered")
    call = await daraja.wait_call("pullregister")
    assert call.body == {
        "ShortCode": "174379",
        "RequestType": "Pull",
        "NominatedNumber": NUMBER,
        "CallBackURL": "https://amana.test/hooks/m/00ff/n",
    }


async def test_what_came_in_is_listed_and_read_with_nairobi_time(pulling, daraja):
    await pulling.register(daraja.hooks)
    paid = await daraja.pay_paybill("254708374149", "ES1008257624", "168.50")
    (row,) = await pulling.pull(NOW - DAY, NOW + DAY, 0)
    assert row.reference == paid.receipt
    call = await daraja.wait_call("pullquery")
    assert call.body == {
        "ShortCode": "174379",
        "StartDate": "2021-06-27 09:24:08",
        "EndDate": "2021-06-29 09:24:08",
        "OffSetValue": "0",
    }
    read = pulling.read_pulled(row.body)
    assert (read.reference, read.amount) == (paid.receipt, Money(16_850, Currency.KES))
    assert (read.typed_reference, read.shortcode) == ("ES1008257624", "174379")
    assert read.happened_at == NOW, "its Z is not to be believed"
    assert (read.shown, read.name) == ("254708374149", "JOHN")


async def test_pages_follow_each_other_by_their_offset(pulling, daraja):
    await pulling.register(daraja.hooks)
    daraja.pull_page = 2
    for _ in range(5):
        await daraja.pay_paybill("254708374149", "ES1", 10)
    sizes = [len(await pulling.pull(NOW - DAY, NOW + DAY, offset)) for offset in (0, 2, 4, 6)]
    assert sizes == [2, 2, 1, 0]


async def test_the_same_row_is_the_same_text_each_time(pulling, daraja):
    await pulling.register(daraja.hooks)
    await daraja.pay_paybill("254708374149", "ES1", 10)
    (first,) = await pulling.pull(NOW - DAY, NOW + DAY, 0)
    (again,) = await pulling.pull(NOW - DAY, NOW + DAY, 0)
    assert first == again


async def test_an_odd_row_is_kept_as_it_is_and_stops_no_other(pulling, daraja):
    await pulling.register(daraja.hooks)
    paid = await daraja.pay_paybill("254708374149", "ES1", 10)
    daraja.pull_extra = ["a text", None, 5, [], {"transactionId": 7}, {"x": "y" * 9000}]
    rows = await pulling.pull(NOW - DAY, NOW + DAY, 0)
    assert [row.reference for row in rows] == [paid.receipt, *[""] * 6]
    for odd in rows[1:]:
        with pytest.raises(UnreadableError):
            pulling.read_pulled(odd.body)


@pytest.mark.parametrize(("error", "verdict", "reason"), FAULTS)
async def test_a_list_that_is_refused_or_lost(pulling, daraja, error, verdict, reason):
    daraja.fail("pullquery", error)
    said = await pulling.pull(NOW - DAY, NOW, 0)
    assert isinstance(said, Answer)
    assert (said.verdict, said.reason) == (verdict, reason)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"ResponseCode": "1000"},
        {"ResponseCode": "1000", "Response": "none"},
        {"ResponseCode": "1001", "Response": [[]]},
        {"ResponseCode": 0, "Response": [[]]},
    ],
)
async def test_a_list_in_another_form_is_unknown(pulling, daraja, body):
    daraja.faults.add(Fault("pullquery", 1, status=200, body=json.dumps(body)))
    said = await pulling.pull(NOW - DAY, NOW, 0)
    assert isinstance(said, Answer)
    assert said.verdict is Verdict.UNKNOWN


@pytest.mark.parametrize("response", [[], [[]], [[{"a": 1}]], [{"a": 1}]])
async def test_a_list_may_be_empty_or_flat(pulling, daraja, response):
    body = {"Response Code": "1000", "Response": response}
    daraja.faults.add(Fault("pullquery", 1, status=200, body=json.dumps(body)))
    rows = await pulling.pull(NOW - DAY, NOW, 0)
    assert [json.loads(row.body) for row in rows] == ([{"a": 1}] if "a" in str(response) else [])


async def test_a_page_of_a_thousand_payments_is_read_and_one_without_end_is_not(pulling, daraja):
    await pulling.register(daraja.hooks)
    daraja.pull_extra = [{"transactionId": f"SG{n:08d}", "filler": "y" * 200} for n in range(1000)]
    assert len(await pulling.pull(NOW - DAY, NOW, 0)) == 1000
    daraja.pull_page = 10**6
    daraja.pull_extra = [{"n": n} for n in range(PAGE_ROWS_MAX + 5)]
    assert len(await pulling.pull(NOW - DAY, NOW, 0)) == PAGE_ROWS_MAX
    daraja.pull_extra = [{"filler": "y" * 5_000_000}]
    assert isinstance(await pulling.pull(NOW - DAY, NOW, 0), Answer)


def test_only_a_live_shortcode_with_a_nominated_number_is_pulled(http):
    assert pull_rail("https://mpesa.test", http).can_pull
    assert not pull_rail("https://mpesa.test", http, live=False).can_pull
    assert not pull_rail("https://mpesa.test", http, number="").can_pull
    assert not pull_rail("https://mpesa.test", http, consumer_key="").can_pull


# -- rows --------------------------------------------------------------------------------------

ROW = {  # pull-query-response
    "transactionId": "yzlyrEsRG1",
    "trxDate": "2020-08-05T10:13:00Z",
    "msisdn": 72200000,
    "sender": "UAT2",
    "transactiontype": "c2b-pay-bill-debit",
    "billreference": "37207636392",
    "amount": "168.00",
    "organizationname": "Daraja Pull API Test",
}


def read(http, **changes):
    row = {key: value for key, value in {**ROW, **changes}.items() if value is not ...}
    return pull_rail("https://mpesa.test", http).read_pulled(json.dumps(row).encode())


def test_the_vendors_row(http):
    row = read(http)
    assert (row.reference, row.amount) == ("YZLYRESRG1", Money(16_800, Currency.KES))
    assert row.happened_at == datetime(2020, 8, 5, 7, 13, tzinfo=UTC)
    assert (row.shown, row.name, row.shortcode) == ("", "UAT2", "174379"), "8 digits say nothing"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (722000000, "254722000000"),
        ("0722000000", "254722000000"),
        ("254722000000", "254722000000"),
        ("2547 ***** 126", "2547*****126"),
        ("ab" * 32, "ab" * 32),
        (None, ""),
        (12345, ""),
    ],
)
def test_the_payers_number_in_every_form(http, said, shown):
    assert read(http, msisdn=said).shown == shown


@pytest.mark.parametrize("when", ["2020-08-05T10:13:00", "2020-08-05 10:13:00.000+03:00"])
def test_the_time_is_nairobis_whatever_its_zone_says(http, when):
    assert read(http, trxDate=when).happened_at == datetime(2020, 8, 5, 7, 13, tzinfo=UTC)


@pytest.mark.parametrize("key", ["ShortCode", "businessShortCode", "Short Code"])
def test_a_row_that_names_another_shortcode_is_not_taken_as_ours(http, key):
    assert read(http, **{key: "600999"}).shortcode == "600999"


@pytest.mark.parametrize(
    "changes",
    [
        {"transactionId": ...},
        {"transactionId": "a b"},
        {"transactionId": 7},
        {"amount": "-168.00"},
        {"amount": "0"},
        {"amount": "1e3"},
        {"amount": None},
        {"trxDate": "yesterday"},
        {"trxDate": "2020-13-05T10:13:00Z"},
        {"trxDate": 20200805},
        {"transactiontype": ...},
        {"transactiontype": "b2c-payment"},
        {"transactiontype": "reversal"},
    ],
    ids=str,
)
def test_an_odd_row_is_refused(http, changes):
    with pytest.raises(UnreadableError):
        read(http, **changes)


def test_a_row_with_a_number_for_an_amount(http):
    body = json.dumps({**ROW, "amount": 168.5}).encode()
    rail = pull_rail("https://mpesa.test", http)
    assert rail.read_pulled(body).amount == Money.from_decimal(Decimal("168.5"), Currency.KES)
