"""The door for providers: who has no secret gets nothing, who has it is kept and answered."""

import asyncio
import gzip
import json

import pytest

from escrow.web import webhooks
from tests.web.conftest import TOKEN, Door, open_door

# after shared sample daraja/stk-callback-1032-cancelled
FAILED = {
    "Body": {
        "stkCallback": {
            "MerchantRequestID": "f1e2-4b95-a71d-b30d3cdbb7a7942864",
            "CheckoutRequestID": "ws_CO_21072024125243250708374149",
            "ResultCode": 1032,
            "ResultDesc": "Request cancelled by user",
        }
    }
}
# after shared sample daraja/c2b-confirmation-masked-msisdn
PAYBILL = {
    "TransactionType": "Pay Bill",
    "TransID": "RKL51ZDR4F",
    "TransTime": "20231121121325",
    "TransAmount": "5.00",
    "BusinessShortCode": "174379",
    "BillRefNumber": "Sample Transaction",
    "InvoiceNumber": "",
    "OrgAccountBalance": "25.00",
    "ThirdPartyTransID": "",
    "MSISDN": "2547 ***** 149",
    "FirstName": "JOHN",
    "MiddleName": "",
    "LastName": "",
}

MALFORMED = {
    "not json": b"ResultCode=0",
    "empty": b"",
    "nan": b'{"Body":{"stkCallback":{"ResultCode":NaN}}}',
    "huge exponent": b'{"Body":{"stkCallback":{"ResultCode":1e999}}}',
    "duplicate keys": b'{"Body":{"stkCallback":{"ResultCode":1,"ResultCode":0}}}',
    "deep nesting": b"[" * 10_000 + b"]" * 10_000,
    "nul": b'{"Body":{"stkCallback":{"MerchantRequestID":"a\\u0000b"}}}',
    "lone surrogate": b'{"Body":{"stkCallback":{"MerchantRequestID":"\\ud800"}}}',
    "not utf-8": b'{"Body":"\xff\xfe"}',
    "5,000 digits": b'{"Body":{"stkCallback":{"ResultCode":' + b"1" * 5000 + b"}}}",
    "a list": b"[]",
    "other shape": b'{"hello":"world"}',
}


async def test_a_wrong_secret_is_an_unknown_path_and_stores_nothing(door: Door) -> None:
    for rest in (f"s/{TOKEN}", "c", "v", f"r/{TOKEN}", f"t/{TOKEN}", f"q/{TOKEN}", f"k/{TOKEN}"):
        for secret in ("0" * 32, "x", "%2e%2e"):
            answer = await door.http.post(door.path(rest, secret), json=FAILED)
            assert answer.status_code == 404
    unknown = await door.http.post("/hooks/other", json=FAILED)
    assert unknown.status_code == 404
    assert unknown.json() == {"error": "Not Found"}
    assert await door.rows() == []


async def test_the_right_secret_on_a_wrong_route_stores_nothing(door: Door) -> None:
    for rest in (
        "",
        "s",
        "s/short",
        f"s/{TOKEN}/more",
        f"c/{TOKEN}",
        f"z/{TOKEN}",
        "s/" + "g" * 32,
    ):
        answer = await door.http.post(door.path(rest), json=FAILED)
        assert answer.status_code == 404, rest
    assert await door.rows() == []


async def test_only_post_is_taken(door: Door) -> None:
    for method in ("GET", "PUT", "DELETE", "PATCH"):
        answer = await door.http.request(method, door.path("c"))
        assert answer.status_code == 405
        assert answer.headers["Allow"] == "POST"
    assert await door.rows() == []


async def test_a_callback_is_stored_before_it_is_answered(door: Door) -> None:
    answer = await door.http.post(door.path(f"s/{TOKEN}"), json=FAILED)
    assert answer.status_code == 200
    assert answer.json() == {"ResultCode": 0, "ResultDesc": "Accepted"}
    assert await door.rows() == [("stk", "NEW", "")]


async def test_a_confirmation_is_answered_as_the_portal_says(door: Door) -> None:
    answer = await door.http.post(door.path("c"), json=PAYBILL)
    assert answer.json() == {"ResultCode": 0, "ResultDesc": "Success"}
    assert await door.rows() == [("paybill", "NEW", "")]


async def test_a_validation_for_no_open_deal_is_refused_and_not_stored(door: Door) -> None:
    answer = await door.http.post(door.path("v"), json=PAYBILL)
    assert answer.json() == {"ResultCode": "C2B00012", "ResultDesc": "Rejected"}
    assert await door.rows() == []


async def test_a_replayed_request_is_stored_once_and_answered_alike(door: Door) -> None:
    answers = await asyncio.gather(
        *(door.http.post(door.path(f"s/{TOKEN}"), json=FAILED) for _ in range(20))
    )
    assert {answer.status_code for answer in answers} == {200}
    assert len(await door.rows()) == 1


@pytest.mark.parametrize("name", MALFORMED)
async def test_malformed_bodies_get_a_400_and_are_kept_for_a_person(door: Door, name: str) -> None:
    for rest in (f"s/{TOKEN}", "c", f"r/{TOKEN}"):
        answer = await door.http.post(door.path(rest), content=MALFORMED[name])
        assert answer.status_code == 400
    rows = await door.rows()
    assert [state for _, state, _ in rows] == ["PARKED"] * 3
    assert all(note.startswith("unreadable") for _, _, note in rows)


async def test_a_queue_time_out_of_any_shape_is_kept(door: Door) -> None:
    answer = await door.http.post(door.path(f"t/{TOKEN}"), content=b"anything at all")
    assert answer.status_code == 200
    assert await door.rows() == [("status_timeout", "NEW", "")]


async def test_a_body_over_64_kib_is_a_413_and_stores_nothing(door: Door) -> None:
    big = json.dumps({"x": "y" * 70_000}).encode()

    async def endless():
        for _ in range(40):
            yield b"z" * 4096

    for content in (big, endless()):
        answer = await door.http.post(door.path(f"s/{TOKEN}"), content=content)
        assert answer.status_code == 413
    assert await door.rows() == []


async def test_a_compressed_body_is_not_unpacked(door: Door) -> None:
    bomb = gzip.compress(b"0" * 5_000_000)
    answer = await door.http.post(
        door.path(f"s/{TOKEN}"), content=bomb, headers={"Content-Encoding": "gzip"}
    )
    assert answer.status_code == 400
    assert [state for _, state, _ in await door.rows()] == ["PARKED"]


async def test_a_body_that_comes_too_slowly_is_cut_and_stores_nothing(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "BODY_SECONDS", 0.2)
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
    path = door.path(f"s/{TOKEN}")
    writer.write(f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\n{{".encode())
    await writer.drain()
    head = await asyncio.wait_for(reader.read(200), 5)
    assert b"408" in head.split(b"\r\n")[0]
    writer.close()
    assert await door.rows() == []


async def test_headers_that_never_end_are_cut(door: Door) -> None:
    connections = [await asyncio.open_connection("127.0.0.1", door.port) for _ in range(50)]
    for _, writer in connections:
        writer.write(b"POST /hooks/m/x HTTP/1.1\r\nHost: a\r\nX-Slow: ")
        await writer.drain()
    served = await door.http.post(door.path(f"s/{TOKEN}"), json=FAILED)
    assert served.status_code == 200
    for reader, writer in connections:
        assert await asyncio.wait_for(reader.read(), 10) == b""
        writer.close()


async def test_while_the_database_is_down_nothing_is_acknowledged(door: Door) -> None:
    await door.database.close()
    answer = await door.http.post(door.path(f"s/{TOKEN}"), json=FAILED)
    assert answer.status_code == 503


async def test_forged_callbacks_move_nothing_and_never_break_the_server(door: Door) -> None:
    codes = set()
    for number in range(500):
        forged = dict(PAYBILL, TransID=f"FORGED{number:04d}", BusinessShortCode="600000")
        rest, secret = ("c", f"{number:032x}") if number % 2 else (f"s/{number:032x}", "0" * 32)
        answer = await door.http.post(door.path(rest, secret), json=forged)
        codes.add(answer.status_code)
    assert codes == {404}
    async with door.database.reading() as conn:
        assert await conn.fetchval("SELECT count(*) FROM receipts") == 0
        assert await conn.fetchval("SELECT count(*) FROM ledger_journals") == 0


async def test_answers_about_claimed_receipts_have_a_door_of_their_own(door: Door) -> None:
    body = {"Result": {"ResultType": 0, "ResultCode": 2032, "ResultDesc": "no such receipt"}}
    answer = await door.http.post(door.path(f"q/{TOKEN}"), json=body)
    assert answer.status_code == 200
    late = await door.http.post(door.path(f"u/{TOKEN}"), content=b"anything at all")
    assert late.status_code == 200
    assert await door.rows() == [("claim", "NEW", ""), ("claim_timeout", "NEW", "")]


SAFARICOM = "196.201.214.0/24"


@pytest.mark.parametrize(
    ("proxies", "forwarded", "sender", "listed"),
    [
        ("", "", "127.0.0.1", False),
        # whoever calls directly may write what he likes into the header
        ("", "196.201.214.200", "127.0.0.1", False),
        ("10.0.0.0/8", "196.201.214.200", "127.0.0.1", False),
        # behind our own proxy the rightmost address is the one that it saw
        ("127.0.0.1", "196.201.214.200", "196.201.214.200", True),
        ("127.0.0.1", "196.201.214.200, 203.0.113.9", "203.0.113.9", False),
        ("127.0.0.1", "203.0.113.9, 196.201.214.200", "196.201.214.200", True),
        ("127.0.0.1,10.0.0.0/8", "196.201.214.200, 10.1.2.3", "196.201.214.200", True),
        ("127.0.0.1", "196.201.214.200, unknown", "127.0.0.1", False),
        ("127.0.0.1", "", "127.0.0.1", False),
    ],
)
async def test_the_list_of_addresses_reads_a_forwarded_one_only_behind_our_proxies(
    dsn: str, proxies: str, forwarded: str, sender: str, listed: bool
) -> None:
    """And an unlisted one is kept and answered like any other: lists change."""
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    async with open_door(dsn, proxies=proxies, allowed=SAFARICOM) as door:
        answer = await door.http.post(door.path("c"), json=PAYBILL, headers=headers)
        assert answer.json() == {"ResultCode": 0, "ResultDesc": "Success"}
        async with door.database.reading() as conn:
            (row,) = await conn.fetch("SELECT sender, listed FROM inbox")
    assert (row["sender"], row["listed"]) == (sender, listed)


async def test_without_a_list_every_address_may_call(door: Door) -> None:
    await door.http.post(door.path("c"), json=PAYBILL)
    async with door.database.reading() as conn:
        assert await conn.fetchval("SELECT listed FROM inbox")


async def test_a_listed_address_without_the_secret_gets_nothing(dsn: str) -> None:
    async with open_door(dsn, allowed="127.0.0.1") as door:
        answer = await door.http.post(door.path("c", "0" * 32), json=PAYBILL)
        assert answer.status_code == 404
        assert await door.rows() == []
