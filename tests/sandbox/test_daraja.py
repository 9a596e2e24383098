"""The stand-in Daraja over HTTP, held against bodies like those of the collected samples.

A sample is named where a shape comes from; numbers and names are the sandbox's own.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx
import pytest

from sandbox import persona
from sandbox.daraja import DarajaStandIn
from sandbox.daraja_wire import ERRORS, checkout_id, password, receipt, stamp
from sandbox.server import Sandbox
from tests.sandbox.shop import BRIAN, PAYBILL, Shop


@pytest.fixture
async def daraja(sandbox: Sandbox) -> DarajaStandIn:
    return sandbox.daraja


@pytest.fixture
async def shop(sandbox: Sandbox, hooks: Any) -> AsyncIterator[Shop]:
    async with httpx.AsyncClient(base_url=sandbox.daraja_url) as client:
        one = Shop(client, sandbox.daraja, hooks.url)
        await one.authorise()
        yield one


def callback(hit: Any) -> dict[str, Any]:
    inner: dict[str, Any] = hit.body["Body"]["stkCallback"]
    return inner


def items(hit: Any) -> dict[str, Any]:
    metadata = callback(hit)["CallbackMetadata"]["Item"]
    return {item["Name"]: item.get("Value", "-") for item in metadata}


def error(answer: httpx.Response) -> tuple[int, str, str]:
    body = answer.json()
    assert set(body) == {"requestId", "errorCode", "errorMessage"}
    return answer.status_code, body["errorCode"], body["errorMessage"]


# -- OAuth -------------------------------------------------------------------------------------


async def test_oauth_gives_28_characters_for_an_hour(shop: Shop, daraja: DarajaStandIn) -> None:
    """oauth-response.json, and oauth-response-expires-string.json."""
    auth = (persona.CONSUMER_KEY, persona.CONSUMER_SECRET)
    url = "/oauth/v1/generate?grant_type=client_credentials"
    answer = (await shop.client.get(url, auth=auth)).json()
    assert len(answer["access_token"]) == 28
    assert answer["expires_in"] == 3599
    daraja.expires_as_text = True
    assert (await shop.client.get(url, auth=auth)).json()["expires_in"] == "3599"


async def test_oauth_refuses_wrong_keys_and_grants(shop: Shop) -> None:
    url = "/oauth/v1/generate"
    right = (persona.CONSUMER_KEY, persona.CONSUMER_SECRET)
    good = {"grant_type": "client_credentials"}
    wrong_key = await shop.client.get(url, params=good, auth=("sandbox", "wrong"))
    wrong_grant = await shop.client.get(url, params={"grant_type": "password"}, auth=right)
    posted = await shop.client.post(url, params=good, auth=right)
    assert error(wrong_key)[:2] == (400, "400.008.01")
    assert error(wrong_grant)[:2] == (400, "400.008.02")
    assert error(posted)[:2] == (405, "405.001")


async def test_a_token_ends_after_its_seconds(shop: Shop, clock: Any) -> None:
    """error-404.001.03-invalid-token.json: HTTP 404 for STK, other codes elsewhere."""
    clock.advance(seconds=3600)
    assert error(await shop.push()) == (404, "404.001.03", "Invalid Access Token")
    assert error(await shop.register())[:2] == (400, "400.003.01")
    assert error(await shop.status("NLJ7RT61SV"))[:2] == (400, "400.003.01")
    assert error(await shop.pay_out("x"))[:2] == (401, "401.002.01")
    await shop.authorise()
    assert (await shop.push()).status_code == 200


async def test_a_new_token_ends_the_old_one_when_told_so(shop: Shop, daraja: DarajaStandIn) -> None:
    old = await shop.authorise()
    await shop.authorise()
    shop.client.headers["Authorization"] = f"Bearer {old}"
    assert (await shop.register()).status_code == 200
    daraja.new_token_invalidates = True
    await shop.authorise()
    shop.client.headers["Authorization"] = f"Bearer {old}"
    assert error(await shop.register())[1] == "400.003.01"


async def test_a_missing_header_and_a_wrong_path(shop: Shop) -> None:
    del shop.client.headers["Authorization"]
    assert error(await shop.push())[:2] == (404, "404.001.04")
    assert error(await shop.client.post("/mpesa/nothing/v1", json={}))[:2] == (404, "404.001.01")
    assert error(await shop.client.get("/mpesa/stkpush/v1/processrequest"))[1] == "405.001"


# -- STK push ----------------------------------------------------------------------------------


async def test_a_push_is_accepted_and_shown_on_the_phone(shop: Shop, daraja: DarajaStandIn) -> None:
    """stk-push-response.json; the CheckoutRequestID ends in the payer's nine digits."""
    answer = (await shop.push()).json()
    assert {key: answer[key] for key in answer if not key.endswith("RequestID")} == {
        "ResponseCode": "0",
        "ResponseDescription": "Success. Request accepted for processing",
        "CustomerMessage": "Success. Request accepted for processing",
    }
    assert re.fullmatch(r"ws_CO_\d{14}\d{1,3}711003001", answer["CheckoutRequestID"])
    (prompt,) = daraja.open_prompts("0711003001")
    assert (prompt.checkout_id, prompt.amount, prompt.account) == (
        answer["CheckoutRequestID"],
        105,
        "ES1008257624",
    )
    assert daraja.stk_requests[0].request["Amount"] == "105"


def test_the_password_of_the_published_sample() -> None:
    """stk-push-request.json."""
    sample = (
        "MTc0Mzc5YmZiMjc5ZjlhYTliZGJjZjE1OGU5N2RkNzFhNDY3Y2QyZTBjODkzMDU5YjEwZjc4ZTZiNzJhZGExZWQy"
        "YzkxOTIwMjEwNjI4MDkyNDA4"
    )
    assert password("174379", persona.PASSKEY, "20210628092408") == sample


def test_checkout_ids_look_like_the_captured_one() -> None:
    """real-stk-1037-no-response.json: Nairobi time, bare milliseconds, the payer's nine digits."""
    at = datetime(2026, 9, 22, 10, 35, 36, 2000, tzinfo=UTC)
    assert checkout_id(at, "254708374149") == "ws_CO_220920261335362708374149"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"BusinessShortCode": "x"}, "BusinessShortCode"),
        ({"Timestamp": "2021-06-28"}, "Timestamp"),
        ({"Timestamp": "20210628092408"}, "Timestamp"),
        ({"Amount": 0}, "Amount"),
        ({"Amount": "1.50"}, "Amount"),
        ({"Amount": 1.0}, "Amount"),
        ({"Amount": 250001}, "Amount"),
        ({"PhoneNumber": "0711003001"}, "PhoneNumber"),
        ({"PhoneNumber": "254211003001"}, "PhoneNumber"),
        ({"PartyA": "+254711003001"}, "PartyA"),
        ({"PartyB": "600000"}, "PartyB"),
        ({"TransactionType": "PayBill"}, "TransactionType"),
        ({"CallBackURL": "not a url"}, "CallBackURL"),
        ({"AccountReference": "ES10082576241"}, "AccountReference"),
        ({"AccountReference": "a&b"}, "AccountReference"),
        ({"TransactionDesc": "x" * 14}, "TransactionDesc"),
    ],
)
async def test_bad_fields_are_refused(shop: Shop, changes: dict[str, Any], field: str) -> None:
    """error-400.002.02-invalid-phone.json."""
    assert error(await shop.push(**changes)) == (
        400,
        "400.002.02",
        f"Bad Request - Invalid {field}",
    )


async def test_the_timestamp_is_nairobi_time(shop: Shop, daraja: DarajaStandIn) -> None:
    utc = daraja.clock().strftime("%Y%m%d%H%M%S")
    changes = {"Timestamp": utc, "Password": password(PAYBILL, persona.PASSKEY, utc)}
    assert error(await shop.push(**changes))[2] == "Bad Request - Invalid Timestamp"
    daraja.timestamp_tolerance = None
    assert (await shop.push(**changes)).status_code == 200


async def test_wrong_credentials_and_unknown_merchants_share_a_code(shop: Shop) -> None:
    assert error(await shop.push(Password="wrong")) == (
        500,
        "500.001.1001",
        "[MerchantValidate] - Wrong credentials",
    )
    assert error(await shop.push(BusinessShortCode=600000))[1:] == (
        "500.001.1001",
        "Merchant does not exist",
    )


async def test_a_body_that_is_not_an_object_is_refused(shop: Shop) -> None:
    answer = await shop.client.post("/mpesa/stkpush/v1/processrequest", content=b"[1")
    assert error(answer)[:2] == (400, "400.002.05")


async def test_one_prompt_at_a_time_per_phone(shop: Shop, daraja: DarajaStandIn) -> None:
    """error-500.001.1001-unable-to-lock.json."""
    await shop.push()
    assert error(await shop.push())[1:] == ERRORS["unable_to_lock"][1:]
    other = persona.STRANGER.phone
    assert (await shop.push(PhoneNumber=other, PartyA=other)).status_code == 200
    await daraja.cancel(BRIAN)
    assert (await shop.push()).status_code == 200


# -- STK callbacks -----------------------------------------------------------------------------


async def test_a_pin_pays_and_calls_back(shop: Shop, daraja: DarajaStandIn, hooks: Any) -> None:
    """stk-callback-0-success.json: no Balance, Amount with decimals, date and phone as ints."""
    answer = (await shop.push()).json()
    prompt = await daraja.enter_pin(BRIAN)
    (hit,) = hooks.hits
    assert hit.path == "/hooks/m/stk/abc123"
    assert hit.headers["Businessshortcode"] == PAYBILL
    assert hit.headers["Content-Type"] == "application/json;charset=UTF-8"
    assert '"Amount", "Value": 105.00}' in hit.text
    inner = callback(hit)
    assert (inner["ResultCode"], inner["CheckoutRequestID"], inner["MerchantRequestID"]) == (
        0,
        answer["CheckoutRequestID"],
        answer["MerchantRequestID"],
    )
    assert items(hit) == {
        "Amount": 105.0,
        "MpesaReceiptNumber": prompt.receipt,
        "TransactionDate": int(stamp(daraja.payments[prompt.receipt].at)),
        "PhoneNumber": int(BRIAN),
    }
    assert daraja.phone(BRIAN).balance == Decimal(500_000 - 105)
    assert prompt.receipt in daraja.phone(BRIAN).sms[-1].text
    assert daraja.deliveries[0].status == 200


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({"balance": "empty", "amount_form": "integer"}, '"Value": 105}'),  # …-balance-no-value
        ({"balance": "value", "amount_form": "tenth"}, '"Value": 105.0}'),
    ],
)
async def test_metadata_varies(
    shop: Shop, daraja: DarajaStandIn, hooks: Any, changes: dict[str, Any], shown: str
) -> None:
    """stk-callback-0-success-balance-no-value.json."""
    daraja.next_stk(**changes)
    await shop.push()
    await daraja.enter_pin(BRIAN)
    (hit,) = hooks.hits
    assert shown in hit.text
    assert items(hit)["Balance"] == ("-" if changes["balance"] == "empty" else 0.0)


@pytest.mark.parametrize(
    ("way", "code"),
    [("cancel", 1032), ("let_expire", 1037), ("wrong_pin", 2001), ("no_funds", 1)],
)
async def test_failures_have_no_metadata(
    shop: Shop, daraja: DarajaStandIn, hooks: Any, way: str, code: int
) -> None:
    """stk-callback-1032-cancelled.json, real-stk-1-insufficient-2019.json and the rest."""
    checkout = (await shop.push()).json()["CheckoutRequestID"]
    await getattr(daraja, way)(checkout)
    inner = callback(hooks.hits[0])
    assert inner["ResultCode"] == code
    assert "CallbackMetadata" not in inner
    assert not daraja.payments


async def test_an_empty_wallet_is_result_1(shop: Shop, daraja: DarajaStandIn) -> None:
    daraja.add_phone(BRIAN, "Brian", balance=104)
    await shop.push()
    assert (await daraja.enter_pin(BRIAN)).result == 1


async def test_any_code_a_string_too(shop: Shop, daraja: DarajaStandIn, hooks: Any) -> None:
    await shop.push()
    await daraja.finish(BRIAN, "SFC_IC0003", "The operator does not exist.")
    assert callback(hooks.hits[0])["ResultCode"] == "SFC_IC0003"


async def test_the_texts_of_a_code_vary(shop: Shop, daraja: DarajaStandIn) -> None:
    """real-stk-1037-ds-timeout.json, real-stk-1037-no-response.json."""
    texts = set()
    for _ in range(4):
        await shop.push()
        texts.add((await daraja.let_expire(BRIAN)).desc)
    assert len(texts) == 4


async def test_another_amount_than_asked(shop: Shop, daraja: DarajaStandIn, hooks: Any) -> None:
    await shop.push()
    await daraja.enter_pin(BRIAN, amount=Decimal("98.00"))
    assert items(hooks.hits[0])["Amount"] == 98.0


async def test_callbacks_come_twice_late_or_never(
    shop: Shop, daraja: DarajaStandIn, hooks: Any
) -> None:
    daraja.next_stk(deliver="twice")
    daraja.next_stk(deliver="late")
    daraja.next_stk(deliver="never")
    for expected in (2, 2, 2):
        await shop.push()
        await daraja.enter_pin(BRIAN)
        assert len(hooks.hits) == expected
    assert hooks.hits[0].text == hooks.hits[1].text
    assert await daraja.release() == 1
    assert len(hooks.hits) == 3
    await daraja.redeliver(daraja.stk_requests[2])
    assert len(hooks.hits) == 4


async def test_a_callback_can_overtake_the_answer(
    shop: Shop, daraja: DarajaStandIn, hooks: Any
) -> None:
    daraja.next_stk(deliver="before_answer")
    answer = await shop.push()
    assert callback(hooks.hits[0])["CheckoutRequestID"] == answer.json()["CheckoutRequestID"]


async def test_a_plan_can_decide_without_a_person(
    shop: Shop, daraja: DarajaStandIn, hooks: Any
) -> None:
    daraja.next_stk(result=0)
    await shop.push()
    (hit,) = await hooks.wait(1)
    assert callback(hit)["ResultCode"] == 0


async def test_a_prompt_that_never_arrives_locks_nothing(shop: Shop, daraja: DarajaStandIn) -> None:
    daraja.next_stk(prompt=False)
    checkout = (await shop.push()).json()["CheckoutRequestID"]
    assert not daraja.open_prompts(BRIAN)
    assert (await shop.push()).status_code == 200
    await daraja.let_expire(checkout)


async def test_prompts_time_out_by_themselves_where_told(hooks: Any) -> None:
    async with Sandbox(prompt_seconds=0.05) as sandbox:
        async with httpx.AsyncClient(base_url=sandbox.daraja_url) as client:
            shop = Shop(client, sandbox.daraja, hooks.url)
            await shop.authorise()
            await shop.push()
        (hit,) = await hooks.wait(1)
        assert callback(hit)["ResultCode"] == 1037


async def test_a_failed_delivery_is_recorded_and_not_repeated(
    shop: Shop, daraja: DarajaStandIn, hooks: Any
) -> None:
    hooks.answers["/hooks/m/stk/abc123"] = (500, "down")
    await shop.push()
    await daraja.enter_pin(BRIAN)
    await shop.push(CallBackURL="http://127.0.0.1:9/nobody")
    await daraja.enter_pin(BRIAN)
    assert [(one.status, bool(one.error)) for one in daraja.deliveries] == [
        (500, False),
        (None, True),
    ]
    assert len(hooks.hits) == 1


# -- STK query ---------------------------------------------------------------------------------


async def test_a_query_of_an_open_prompt_is_an_error_500(shop: Shop, daraja: DarajaStandIn) -> None:
    """error-500.001.1001-being-processed.json and stk-query-response-4999-pending.json."""
    checkout = (await shop.push()).json()["CheckoutRequestID"]
    assert error(await shop.query(checkout)) == ERRORS["being_processed"]
    daraja.pending_form = "4999"
    answer = await shop.query(checkout)
    assert (answer.status_code, answer.json()["ResultCode"]) == (200, "4999")
    assert answer.json()["ResultDesc"] == "The transaction is still under processing"


async def test_a_query_of_an_unknown_id_has_the_same_code(shop: Shop) -> None:
    """error-500.001.1001-does-not-exist.json."""
    assert error(await shop.query("ws_CO_x")) == ERRORS["does_not_exist"]


@pytest.mark.parametrize("code", [0, 1032])
async def test_a_final_query_says_strings_and_no_receipt(
    shop: Shop, daraja: DarajaStandIn, code: int
) -> None:
    """stk-query-response-0.json, stk-query-response-1032.json."""
    daraja.next_stk(deliver="never")
    pushed = (await shop.push()).json()
    await daraja.finish(BRIAN, code)
    answer = (await shop.query(pushed["CheckoutRequestID"])).json()
    assert set(answer) == {
        "ResponseCode",
        "ResponseDescription",
        "MerchantRequestID",
        "CheckoutRequestID",
        "ResultCode",
        "ResultDesc",
    }
    assert answer["ResultCode"] == str(code)
    assert answer["MerchantRequestID"] == pushed["MerchantRequestID"]


# -- C2B ---------------------------------------------------------------------------------------


async def test_registering_answers_the_misspelt_key(shop: Shop, daraja: DarajaStandIn) -> None:
    """c2b-registerurl-response.json."""
    answer = await shop.register()
    assert set(answer.json()) == {
        "OriginatorCoversationID",
        "ResponseCode",
        "ResponseDescription",
    }
    daraja.register_once = True
    assert error(await shop.register()) == ERRORS["urls_registered"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"ResponseType": "completed"}, "ResponseType"),
        ({"ConfirmationURL": "https://example.org/mpesa/c"}, "ConfirmationURL"),
        ({"ValidationURL": "https://example.org/Query"}, "ValidationURL"),
        ({"ShortCode": "600000"}, "ShortCode"),
    ],
)
async def test_register_refuses_bad_types_and_forbidden_words(
    shop: Shop, changes: dict[str, Any], field: str
) -> None:
    assert error(await shop.register(**changes))[2] == f"Bad Request - Invalid {field}"


async def test_a_paybill_payment_is_confirmed_with_a_masked_number(
    shop: Shop, daraja: DarajaStandIn, hooks: Any
) -> None:
    """c2b-confirmation-masked-msisdn.json."""
    await shop.register("v2")
    payment = await daraja.pay_paybill("0711003001", "es 1008257624 ", "104.50")
    (hit,) = hooks.hits
    assert hit.path == "/hooks/c/confirm"
    assert hit.body == {
        "TransactionType": "Pay Bill",
        "TransID": payment.receipt,
        "TransTime": stamp(payment.at),
        "TransAmount": "104.50",
        "BusinessShortCode": PAYBILL,
        "BillRefNumber": "es 1008257624 ",
        "InvoiceNumber": "",
        "OrgAccountBalance": "25104.50",
        "ThirdPartyTransID": "",
        "MSISDN": "2547 ***** 001",
        "FirstName": "BRIAN",
        "MiddleName": "",
        "LastName": "",
    }


async def test_v1_hashes_the_number_or_shows_it(
    shop: Shop, daraja: DarajaStandIn, hooks: Any
) -> None:
    """c2b-v1-confirmation-full-msisdn.json."""
    await shop.register("v1")
    await daraja.pay_paybill(BRIAN, "x", 5)
    daraja.c2b_msisdn = "clear"
    await daraja.pay_paybill(BRIAN, "x", 5)
    hashed, clear = (hit.body for hit in hooks.hits)
    assert hashed["MSISDN"] == hashlib.sha256(BRIAN.encode()).hexdigest()
    assert (clear["MSISDN"], clear["TransactionType"]) == (BRIAN, "")


async def test_validation_comes_first_and_can_refuse(
    shop: Shop, daraja: DarajaStandIn, hooks: Any
) -> None:
    """c2b-validation-reply-accept.json, c2b-validation-reply-reject.json."""
    daraja.c2b_validation = True
    await shop.register()
    hooks.answers["/hooks/c/validate"] = (
        200,
        '{"ResultCode": "0", "ResultDesc": "Accepted", "ThirdPartyTransID": "ours-1"}',
    )
    await daraja.pay_paybill(BRIAN, "ES1008257624", 100)
    assert [hit.path for hit in hooks.hits] == ["/hooks/c/validate", "/hooks/c/confirm"]
    assert hooks.hits[1].body["ThirdPartyTransID"] == "ours-1"
    hooks.answers["/hooks/c/validate"] = (
        200,
        '{"ResultCode": "C2B00012", "ResultDesc": "Rejected"}',
    )
    refused = await daraja.pay_paybill(BRIAN, "nonsense", 100)
    assert not refused.accepted
    assert len(hooks.hits) == 3
    assert daraja.phone(BRIAN).balance == Decimal(500_000 - 100)


@pytest.mark.parametrize(("default", "accepted"), [("Completed", True), ("Cancelled", False)])
async def test_without_an_answer_the_registered_default_holds(
    shop: Shop, daraja: DarajaStandIn, hooks: Any, default: str, accepted: bool
) -> None:
    daraja.c2b_validation = True
    await shop.register(ResponseType=default)
    hooks.answers["/hooks/c/validate"] = (500, "")
    assert (await daraja.pay_paybill(BRIAN, "x", 100)).accepted is accepted


@pytest.mark.parametrize("order", ["before", "after"])
async def test_an_stk_payment_may_come_as_c2b_too(
    shop: Shop, daraja: DarajaStandIn, hooks: Any, order: Any
) -> None:
    await shop.register()
    daraja.c2b_for_stk = order
    await shop.push()
    prompt = await daraja.enter_pin(BRIAN)
    paths = [hit.path for hit in hooks.hits]
    both = ["/hooks/m/stk/abc123", "/hooks/c/confirm"]
    assert paths == (both if order == "after" else both[::-1])
    c2b = next(hit for hit in hooks.hits if hit.path == "/hooks/c/confirm").body
    assert (c2b["TransID"], c2b["BillRefNumber"]) == (prompt.receipt, "ES1008257624")


async def test_paybill_payments_fail_politely(shop: Shop, daraja: DarajaStandIn) -> None:
    assert not (await daraja.pay_paybill(BRIAN, "x", 100, shortcode="600000")).accepted
    assert not (await daraja.pay_paybill(BRIAN, "x", 1_000_000)).accepted
    assert not daraja.payments
    assert (await daraja.pay_paybill(BRIAN, "x", 100)).accepted  # no address registered yet
    assert not daraja.deliveries


# -- TransactionStatus -------------------------------------------------------------------------


async def test_status_answers_later_with_the_samples_oddities(
    shop: Shop, daraja: DarajaStandIn, hooks: Any
) -> None:
    """transaction-status-response.json, transaction-status-result.json."""
    payment = await daraja.pay_paybill(BRIAN, "ES1008257624", 300)
    ack = (await shop.status(payment.receipt)).json()
    assert ack["ResponseDescription"] == "Accept the service request successfully."
    (hit,) = await hooks.wait(1)
    assert hit.path == "/hooks/s/result"
    result = hit.body["Result"]
    assert (result["ResultCode"], result["ConversationID"]) == (0, ack["ConversationID"])
    assert result["OriginatorConversationID"] == ack["OriginatorConversationID"]
    listed = [
        (one["Key"], one.get("Value", "-")) for one in result["ResultParameters"]["ResultParameter"]
    ]
    assert [value for key, value in listed if key == "DebitPartyName"] == [
        "174379 - AMANA",
        "254711003001 - BRIAN KIPROP",
    ]
    values = dict(listed)
    assert (values["TransactionStatus"], values["Amount"], values["ReceiptNo"]) == (
        "Completed",
        "300",
        payment.receipt,
    )
    assert values["TransactionReason"] == "-"
    assert all(isinstance(value, str) for value in values.values())


async def test_status_can_fail_in_every_way(shop: Shop, daraja: DarajaStandIn, hooks: Any) -> None:
    """real-transaction-status-result-2001-2018.json: the query's fate, not the payment's."""
    payment = await daraja.pay_paybill(BRIAN, "x", 300)
    daraja.next_status(result=2001)
    daraja.next_status(status="Declined")
    daraja.next_status(deliver="never")
    daraja.next_status(deliver="timeout")
    for _ in range(4):
        assert (await shop.status(payment.receipt)).status_code == 200
        await daraja.settle()
    failed, declined, timeout = hooks.hits
    assert failed.body["Result"]["ResultCode"] == 2001
    assert "ResultParameters" not in failed.body["Result"]
    assert '"Value": "Declined"' in declined.text
    assert timeout.path == "/hooks/s/timeout"
    await shop.status("UK10000000")
    await daraja.settle()
    assert hooks.hits[3].body["Result"]["ResultCode"] != 0


async def test_status_checks_its_fields(shop: Shop) -> None:
    """error-400.002.02-invalid-transactionid.json."""
    assert error(await shop.status("short"))[2] == "Bad Request - Invalid TransactionID"
    assert error(await shop.status("", Initiator=""))[2] == "Bad Request - Invalid Initiator"


# -- B2C ---------------------------------------------------------------------------------------


async def test_a_payout_is_acknowledged_then_paid(
    shop: Shop, daraja: DarajaStandIn, hooks: Any
) -> None:
    """b2c-v3-response.json, b2c-result-0-success.json."""
    ack = (await shop.pay_out("payout-1")).json()
    assert (ack["ResponseCode"], ack["OriginatorConversationID"]) == ("0", "payout-1")
    (hit,) = await hooks.wait(1)
    result = hit.body["Result"]
    values = {one["Key"]: one["Value"] for one in result["ResultParameters"]["ResultParameter"]}
    assert values["TransactionAmount"] == 100
    assert values["TransactionReceipt"] == result["TransactionID"]
    assert re.fullmatch(r"\d\d\.\d\d\.\d{4} \d\d:\d\d:\d\d", values["TransactionCompletedDateTime"])
    assert daraja.phone(BRIAN).balance == Decimal(500_100)
    await shop.status("", OriginalConversationID="payout-1")
    assert (await hooks.wait(2))[1].body["Result"]["ResultCode"] == 0


async def test_an_originator_id_is_taken_once(shop: Shop, daraja: DarajaStandIn) -> None:
    """error-500.002.1001-duplicate-originator.json."""
    await shop.pay_out("payout-1")
    assert error(await shop.pay_out("payout-1")) == ERRORS["duplicate_originator"]
    await daraja.settle()
    assert daraja.phone(BRIAN).balance == Decimal(500_100)


async def test_a_failed_payout_still_has_a_transaction_id(
    shop: Shop, daraja: DarajaStandIn, hooks: Any
) -> None:
    """b2c-result-2001-failed.json, b2c-queue-timeout.UNVERIFIED.json."""
    daraja.next_b2c(result=2001)
    daraja.next_b2c(deliver="timeout")
    await shop.pay_out("payout-1")
    await hooks.wait(1)
    await shop.pay_out("payout-2")
    failed, timeout = await hooks.wait(2)
    result = failed.body["Result"]
    assert "ResultParameters" not in result
    assert re.fullmatch(r"[A-Z0-9]{10}", result["TransactionID"])
    assert timeout.path == "/hooks/b/timeout"
    assert timeout.body["OriginatorConversationID"] == "payout-2"


# -- errors on demand --------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(ERRORS))
async def test_every_envelope_can_be_ordered(shop: Shop, daraja: DarajaStandIn, name: str) -> None:
    daraja.fail("stkpush", name)
    assert error(await shop.push()) == ERRORS[name]
    assert not daraja.stk_requests
    assert (await shop.push()).status_code == 200


async def test_gateway_faults_have_no_envelope(shop: Shop, daraja: DarajaStandIn) -> None:
    """error-soap-fault-envelope.json, and a page of HTML."""
    for kind in ("soap_fault", "html", "empty"):
        daraja.fail("stkpush", kind)
    soap, html, empty = [await shop.push() for _ in range(3)]
    assert "errorCode" not in soap.json()
    assert html.headers["Content-Type"].startswith("text/html")
    assert (empty.status_code, empty.content) == (500, b"")


async def test_an_error_may_hide_a_request_that_was_carried_out(
    shop: Shop, daraja: DarajaStandIn
) -> None:
    """error-500.002.1001-system-internal.json."""
    daraja.fail("stkpush", "system_internal", act=True)
    assert error(await shop.push())[1] == "500.002.1001"
    assert len(daraja.open_prompts(BRIAN)) == 1


@pytest.mark.parametrize(("act", "prompts"), [(True, 1), (False, 0)])
async def test_a_connection_breaks_after_or_before_acting(
    shop: Shop, daraja: DarajaStandIn, act: bool, prompts: int
) -> None:
    daraja.cut("stkpush", act=act)
    with pytest.raises(httpx.TransportError):
        await shop.push()
    assert len(daraja.stk_requests) == prompts


async def test_an_invalid_token_and_a_held_answer(shop: Shop, daraja: DarajaStandIn) -> None:
    daraja.fail("b2c", "invalid_token")
    assert error(await shop.pay_out("x"))[:2] == (401, "401.002.01")
    held = daraja.hold("stkquery")
    with pytest.raises(httpx.ReadTimeout):
        await shop.client.post("/mpesa/stkpushquery/v1/query", json={}, timeout=0.05)
    held.release()
    await daraja.wait_call("stkquery")


# -- receipts ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "letters"),
    [
        (datetime(2019, 12, 19, 12, tzinfo=UTC), "NLJ"),  # NLJ7RT61SV
        (datetime(2024, 7, 6, 12, tzinfo=UTC), "SG6"),  # SG632NMUAB
        (datetime(2017, 7, 27, 12, tzinfo=UTC), "LGR"),  # LGR7OWQX0R
        (datetime(2026, 11, 22, 22, tzinfo=UTC), "UKN"),  # already the 23rd in Nairobi
    ],
)
def test_receipts_begin_with_their_day(at: datetime, letters: str) -> None:
    made = {receipt(at) for _ in range(200)}
    assert len(made) == 200
    assert all(re.fullmatch(rf"{letters}[A-Z0-9]{{7}}", one) for one in made)


async def test_receipts_are_never_used_twice(daraja: DarajaStandIn) -> None:
    payments = [await daraja.pay_paybill(BRIAN, "x", 1) for _ in range(50)]
    assert len({payment.receipt for payment in payments}) == 50


def test_the_passkey_is_the_public_one() -> None:
    assert len(persona.PASSKEY) == 64
    assert re.fullmatch(r"[0-9a-f]+", persona.PASSKEY)
