"""The readers, each with what it promises of any input: the errors it documents, or a value that
keeps its promises. A reader that is not here yet is one line in TARGETS and a function above it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from escrow.bot.typed import means_code, read_amount, read_offer, split_code
from escrow.domain import claims, codes, phone
from escrow.domain.coins import BY_CODE
from escrow.domain.errors import InvalidInput, LimitReached
from escrow.domain.money import Currency, Money
from escrow.rails import (
    blockbee_gateway,
    blockbee_wire,
    dynopay_gateway,
    dynopay_wire,
    mpesa_accounts,
    mpesa_codes,
    mpesa_gateway,
    mpesa_parse,
    mpesa_statement,
    strict_json,
)
from escrow.rails.mpesa_balances import account_balances, balances
from escrow.rails.mpesa_payouts import asked_result, payout_result
from escrow.rails.mpesa_reversals import reversal_result
from escrow.services.crypto import plain
from escrow.services.ports import (
    Answer,
    CoinAsked,
    CoinQuote,
    Deposit,
    PaybillPayment,
    RawRequest,
    UnreadableError,
    Verdict,
)

_SAMPLES: Final = Path(__file__).resolve().parents[1] / "rails" / "samples"
_RECEIPT: Final = re.compile(r"[A-Z0-9]{4,32}", re.ASCII)
_OUTSIDE: Final = re.compile("[\x00\ud800-\udfff]")
_TALE: Final = 30
_NOW: Final = datetime(2026, 11, 23, tzinfo=UTC)
_MINOR_MAX: Final = 2**63
_PAYBILL: Final = "174379"
_ACCOUNTS: Final = {"Utility Account": "mpesa:utility", "Working Account": "mpesa:working"}


@dataclass(frozen=True)
class Target:
    """`read` takes any bytes and raises AssertionError when a promise is broken."""

    read: Callable[[bytes], None]
    seeds: Sequence[bytes]


# -- promises ------------------------------------------------------------------------------------


def _is_receipt(reference: str | None) -> None:
    assert reference is not None
    assert _RECEIPT.fullmatch(reference), "a receipt number is four to 32 capitals and digits"


def _is_money(amount: Money | None) -> None:
    assert isinstance(amount, Money)
    assert 0 < amount.minor < _MINOR_MAX, "above zero, and the ledger can hold it"


def _is_json(value: Any, depth: int = 0) -> None:
    """What PostgreSQL and exact arithmetic can take."""
    assert depth <= strict_json.DEPTH_MAX
    assert type(value) in (dict, list, str, int, bool, Decimal, type(None)), "no float"
    if isinstance(value, str):
        assert not _OUTSIDE.search(value), "no NUL, no half of a pair"
    elif isinstance(value, Decimal):
        assert value.is_finite()
        assert abs(value.adjusted()) <= 2 * _TALE + 1
    elif type(value) is int:
        assert abs(value) < 10**_TALE
    elif isinstance(value, list):
        for item in value:
            _is_json(item, depth + 1)
    elif isinstance(value, dict):
        for key, item in value.items():
            _is_json(key, depth + 1)
            _is_json(item, depth + 1)


def _words(error: UnreadableError) -> None:
    assert len(str(error)) < 200, "an error's words never quote the body"


# -- readers -------------------------------------------------------------------------------------


def _json(body: bytes) -> None:
    try:
        value = strict_json.loads(body)
    except UnreadableError as error:
        _words(error)
        return
    _is_json(value)
    if len(body) < 4_000 and "." not in body.decode() and "e" not in body.decode().lower():
        assert strict_json.loads(json.dumps(value).encode()) == value, "the same when read again"


def _stk(body: bytes) -> None:
    try:
        found = mpesa_parse.stk_callback(body)
    except UnreadableError as error:
        _words(error)
        return
    assert found.checkout_request_id
    if found.answer.verdict is Verdict.PAID:
        _is_receipt(found.reference)
        _is_money(found.amount)
    else:
        assert found.amount is None


def _paybill(body: bytes) -> None:
    try:
        found = mpesa_parse.paybill(body)
    except UnreadableError as error:
        _words(error)
        return
    _by_hand(found)


def _by_hand(found: PaybillPayment) -> None:
    _is_receipt(found.reference)
    _is_money(found.amount)
    assert found.happened_at.utcoffset() == timedelta(0)
    assert found.shortcode
    phone.keep(found.shown)
    phone.mask_shown(found.shown)


def _pulled(body: bytes) -> None:
    """As one row, and as the page of rows that the rail takes apart."""
    rows = [body]
    page = mpesa_gateway._understand(200, body, mpesa_accounts.PAGE_BYTES_MAX)
    if not isinstance(page, Answer):
        listed = mpesa_accounts._flat(mpesa_accounts._spaceless(page).get("Response"))
        kept = [mpesa_accounts._row(one) for one in listed or ()]
        assert all(len(one.body) <= mpesa_accounts.ROW_BYTES_MAX for one in kept)
        assert all(_RECEIPT.fullmatch(one.reference or "NONE") for one in kept)
        rows += [one.body for one in kept]
    for row in rows:
        try:
            found = mpesa_parse.pulled(row, _PAYBILL)
        except UnreadableError as error:
            _words(error)
        else:
            _by_hand(found)


def _held(body: bytes) -> None:
    """What our own accounts hold."""
    try:
        found = account_balances(body, _ACCOUNTS)
    except UnreadableError as error:
        _words(error)
        return
    read = [one.account for one in found.balances]
    assert len(set(read)) == len(read), "one account has one balance"
    assert set(read) <= set(_ACCOUNTS.values())
    assert bool(read) == (found.answer.verdict is Verdict.PAID)
    for one in found.balances:
        assert abs(one.balance.minor) < _MINOR_MAX
        assert one.at is None or one.at.utcoffset() == timedelta(0)


def _mpesa_answer(body: bytes) -> None:
    """What M-Pesa's gateway answers, good or bad, and an envelope's two words given bare."""
    for status in (200, 400, 500):
        said = mpesa_gateway._understand(status, body, mpesa_gateway.ANSWER_BYTES_MAX)
        if isinstance(said, Answer):
            _refusal(said)
        else:
            assert status == 200
    code, _, message = body.decode("utf-8", "surrogateescape").partition(" ")
    _refusal(mpesa_codes.of_error(code, message))


def _refusal(said: Answer) -> None:
    assert said.verdict is not Verdict.PAID, "no error says that money moved"
    assert said.code == "" or mpesa_codes.is_code(said.code), "fit for a log line"
    if mpesa_codes.refuses_token(said):
        assert said.retry
    assert mpesa_codes.of_prompt(said).verdict in (Verdict.DECLINED, Verdict.UNKNOWN)
    assert mpesa_codes.of_question(said).verdict in (Verdict.PENDING, Verdict.UNKNOWN)


def _status(body: bytes) -> None:
    try:
        found = mpesa_parse.status_result(body)
    except UnreadableError as error:
        _words(error)
        return
    if found.answer.verdict is Verdict.PAID:
        _is_receipt(found.reference)
        _is_money(found.amount)
    assert all(found.parties)


def _results(body: bytes) -> None:
    for read in (payout_result, asked_result, reversal_result, mpesa_parse.result):
        try:
            read(body)
        except UnreadableError as error:
            _words(error)
    for one in balances(body, _PAYBILL):
        assert isinstance(one.balance, Money)


def _code(body: bytes) -> None:
    text = body.decode("utf-8", "surrogateescape")
    code = codes.read_code(text)
    near = codes.near_codes(text)
    assert code is None or (codes.is_code(code) and near == ())
    assert all(codes.is_code(one) for one in near)
    digits = codes.ten_digits(text)
    for one in near:
        assert digits is not None
        assert sum(a != b for a, b in zip(one[2:], digits, strict=True)) == 1
    means_code(text)
    found, _ = split_code(text.split(" "))
    assert found == "" or codes.ten_digits(found) is not None


def _amount(body: bytes) -> None:
    text = body.decode("utf-8", "surrogateescape")
    try:
        amount = read_amount(text, "withdraw")
    except InvalidInput:
        pass
    else:
        assert 0 <= amount.minor < _MINOR_MAX
        assert any(char in "123456789" for char in text) or amount.minor == 0
    try:
        offer = read_offer(text.split())
    except (InvalidInput, LimitReached):
        return
    assert 0 <= offer.price.minor < _MINOR_MAX


def _message(body: bytes) -> None:
    text = body.decode("utf-8", "surrogateescape")
    claims.looks_like_message(text)
    found = claims.read_message(text)
    if found is None:
        return
    assert len(found.reference) == 10
    _is_receipt(found.reference)
    assert found.deal is None or codes.is_code(found.deal)
    if found.amount is not None:
        _is_money(found.amount)
    assert found.at is None or found.at.utcoffset() == timedelta(0)


def _phone(body: bytes) -> None:
    shown = body.decode("utf-8", "surrogateescape")
    kept = phone.keep(shown)
    assert phone.keep(kept) == kept, "kept once is kept for good"
    masked = phone.mask_shown(shown)
    assert not re.search(r"[0-9]{10}", masked, re.ASCII), "nobody reads a whole number"
    if phone.proves(shown, "254722000222"):
        assert phone.may_be(shown, "254722000222")


def _samples(*names: str) -> list[bytes]:
    return [path.read_bytes() for name in names for path in sorted(_SAMPLES.glob(name))]


def _deposits(found: Sequence[Deposit]) -> None:
    for one in found:
        assert one.txid
        assert one.txid == one.txid.strip()
        assert one.coin
        assert one.amount.is_finite()
        assert 0 < one.amount < 10**20
        assert 0 <= one.cost <= one.amount
        assert one.usd is None or one.usd > 0
        assert len(plain(one.amount)) < 200


def _blockbee(body: bytes) -> None:
    """As a query, and as a body."""
    text = body.decode("utf-8", "replace")
    for request in (
        RawRequest("GET", f"/t?{text}", text, {}, b""),
        RawRequest("POST", "/t", "", {}, body),
    ):
        try:
            found = blockbee_wire.callback(request)
        except UnreadableError as error:
            _words(error)
        else:
            _deposits(found)


def _dynopay(body: bytes) -> None:
    request = RawRequest("POST", f"/{'5f' * 16}", "", {}, body)
    try:
        found = dynopay_wire.webhook(request, simulated=False)
    except UnreadableError as error:
        _words(error)
    else:
        _deposits(found)
    header = body.decode("latin-1")
    assert not dynopay_wire.signed(header, b"{}", b"whsec_of_nobody", _NOW), "nobody signed it"


def _blockbee_answer(body: bytes) -> None:
    """Each of BlockBee's answers is given to each reader: a page of its may change its mind."""
    for status in (200, 400):
        said, words = blockbee_gateway.understand(status, body, blockbee_wire.LOGS_BYTES_MAX)
        assert len(words) <= blockbee_gateway.TEXT_CHARACTERS_MAX
        if isinstance(said, Answer):
            assert said.verdict in (Verdict.DECLINED, Verdict.UNKNOWN)
            continue
        for read in (_bee_terms, _bee_converted, _bee_created, _bee_logged):
            try:
                read(said)
            except UnreadableError as error:
                _words(error)


def _bee_terms(said: Mapping[str, Any]) -> None:
    found = blockbee_wire.terms(said)
    assert 0 <= found.minimum < 10**20
    assert found.minimum == blockbee_wire.minimum_of(said)
    assert found.usd is None or 0 < found.usd < 10**20


def _bee_converted(said: Mapping[str, Any]) -> None:
    assert 0 < blockbee_wire.converted(said) < 10**20


def _bee_created(said: Mapping[str, Any]) -> None:
    address = blockbee_wire.created(said, _ASKED.coin, _ASKED.callback_url)
    assert address.isascii()
    assert address.isalnum()


def _bee_logged(said: Mapping[str, Any]) -> None:
    found = blockbee_wire.logged(said, _ASKED)
    _deposits(found)
    assert all(one.at is None or one.at.utcoffset() == timedelta(0) for one in found)


def _dynopay_answer(body: bytes) -> None:
    """The same of DynoPay's."""
    for status in (200, 404):
        said = dynopay_gateway._understand(status, body)
        if isinstance(said, Answer):
            assert said.verdict in (Verdict.DECLINED, Verdict.UNKNOWN)
            assert len(said.code) <= 128
            continue
        for read in (_dyno_quote, _dyno_status, _dyno_deliveries):
            try:
                read(said)
            except UnreadableError as error:
                _words(error)


def _dyno_quote(said: Mapping[str, Any]) -> None:
    for coin in (BY_CODE["BTC"], BY_CODE["XRP"]):
        found = dynopay_wire.quote(said, coin, _FIFTEEN)
        if isinstance(found, CoinQuote):
            assert 0 < found.amount <= 10**20
            assert found.address
            assert found.reference
            assert found.tag or not coin.needs_tag
        else:
            assert found.verdict in (Verdict.DECLINED, Verdict.UNKNOWN)


def _dyno_status(said: Mapping[str, Any]) -> None:
    assert 0 < len(dynopay_wire.payment_status(said)) <= 128


def _dyno_deliveries(said: Mapping[str, Any]) -> None:
    page, after = dynopay_wire.deliveries(said)
    assert all(one.id >= 0 and one.event for one in page)
    assert after == "" or (after.isascii() and not re.search(r"[\s/?&#]", after))


def _statement(body: bytes) -> None:
    try:
        found = mpesa_statement.read(body)
    except UnreadableError as error:
        _words(error)
        return
    for row in found.rows:
        _is_receipt(row.receipt)


# after shared samples blockbee/callback-json-confirmed and dynopay/webhook-direct-*
_BEE: Final = (
    b"uuid=5b0a2f6e&address_in=3PFoGK63cVVUWnd2vu7W1kM83NXUfvzMqM&txid_in="
    + b"ab" * 32
    + b"&value_coin=0.05&confirmations=3&pending=0&coin=btc&price=64000.5",
    b'{"uuid":"5b0a","address_in":"0x'
    + b"1a" * 20
    + b'","txid_in":"0x'
    + b"ab" * 32
    + b'","value_coin":10,"value_forwarded_coin":9.9,"fee_coin":0.1,"coin":"eth","pending":0,'
    b'"value_forwarded_coin_convert":"{\\"USD\\": \\"9.90\\"}","price":1}',
)
_DYNO: Final = (
    b'{"event":"payment.confirmed","payment_type":"direct_api","payment_id":"pay_1",'
    b'"transaction_reference":"0x'
    + b"ab"
    * 32
    + b'","amount":0.015,"currency":"BTC","base_amount":500,"merchant_amount":0.01425,'
    b'"meta_data":{"token":"' + b"5f" * 16 + b'"}}',
    b'{"event":"payment.underpaid","payment_type":"direct_api","payment_id":"pay_1","txId":"0x'
    + b"ab" * 32
    + b'","amount_received":0.01,"amount_expected":0.015,"currency":"BTC"}',
)
# after shared samples blockbee/info-coins, convert, create-response and logs-empty
_ASKED: Final = CoinAsked(
    "5f" * 16,
    BY_CODE["BTC"],
    Decimal("0.05"),
    "14PqCsA7KMgseZMPwg6mJy754MtQkrgszu",
    "https://amana.test/hooks/b/" + "5f" * 16,
)
_BEE_ANSWERS: Final = (
    b'{"status":"success","minimum_transaction":8000,"minimum_transaction_coin":"0.00008000",'
    b'"fee_percent":"1.000","prices":{"USD":"64000.5"}}',
    b'{"status":"success","value_coin":"241.126","exchange_rate":"0.803753"}',
    b'{"status":"success","address_in":"14PqCsA7KMgseZMPwg6mJy754MtQkrgszu",'
    b'"callback_url":"https%3A//amana.test/hooks/b/' + b"5f" * 16 + b'","priority":"default"}',
    b'{"status":"success","address_in":"14PqCsA7KMgseZMPwg6mJy754MtQkrgszu","callbacks":['
    b'{"uuid":"5b0a2f6e","txid_in":"' + b"ab" * 32 + b'","value_coin":"0.05","result":"done",'
    b'"value_forwarded_coin":"0.049","last_update":"23/11/2026 12:05:00","confirmations":3,'
    b'"value_coin_convert":"{\\"USD\\": \\"3200.02\\"}"},{"txid_in":"x","result":"pending"}]}',
    b'{"status":"error","error":"Coin/Address is invalid"}',
)
# after shared samples dynopay/cryptopayment-response, paymentstatus-response, error-api-key-missing
_FIFTEEN: Final = Money(1500, Currency.USD)
_DYNO_ANSWERS: Final = (
    b'{"success":true,"data":{"transaction_id":"a1b2c3d4","address":"bc1qxy2kgdygjrsqtzq2n0yrf249",'
    b'"amount":0.000245,"currency":"BTC","base_amount":15.0,"base_currency":"USD"}}',
    b'{"success":true,"data":{"transaction_id":"a1b2c3d4","address":"rEb8TK3gBgk5auZkwc6sHnwrGVJH8D",'
    b'"amount":"6.5","currency":"XRP","base_amount":15,"base_currency":"USD",'
    b'"destination_tag":77}}',
    b'{"success":true,"data":{"payment_status":"settled","is_paid":true,"base_amount":500}}',
    b'{"success":true,"data":[{"id":9,"event":"payment.confirmed","url":"https://amana.test/h",'
    b'"status":"failed"},{"id":8,"event":"payment.pending","status":"success"}],"has_more":true,'
    b'"next_cursor":"8"}',
    b'{"success":false,"message":"API key is required","code":"api_key_missing"}',
)
# the portal's header and one row of each date format
_CSV: Final = (
    b"Receipt No.,Completion Time,Initiation Time,Details,Transaction Status,Paid In,Withdrawn,"
    b"Balance,Balance Confirmed,Reason Type,Other Party Info,Linked Transaction ID,A/C No.\n"
    b"SG632NMUAB,23-11-2026 12:05:00,23-11-2026 12:05:00,Pay Bill from 2547,Completed,1050.00,,"
    b"1050.00,true,Pay Utility,2547 - X,,ES1008257626\n"
    b'SG632NMUAC,2026-11-23 12:05:00,2026-11-23 12:05:00,Charge,Completed,,"-1,005.00",'
    b"45.00,true,Pay Bill Charge,,SG632NMUAB,\n",
)
# after shared samples daraja/stk-callback-0-success and stk-callback-1032-cancelled
_STK: Final = (
    b'{"Body":{"stkCallback":{"MerchantRequestID":"29115-34620561-1","CheckoutRequestID":'
    b'"ws_CO_191220191020363925","ResultCode":0,"ResultDesc":"ok","CallbackMetadata":{"Item":['
    b'{"Name":"Amount","Value":1.00},{"Name":"MpesaReceiptNumber","Value":"NLJ7RT61SV"},'
    b'{"Name":"Balance"},{"Name":"TransactionDate","Value":20191219102115},'
    b'{"Name":"PhoneNumber","Value":254708374149}]}}}}',
    b'{"Body":{"stkCallback":{"CheckoutRequestID":"ws_CO_2","ResultCode":1032,"ResultDesc":"no"}}}',
    b'{"Body":{"stkCallback":{"CheckoutRequestID":"ws_CO_3","ResultCode":"SFC_IC0003"}}}',
)
# after shared sample daraja/c2b-confirmation-masked-msisdn
_C2B: Final = (
    b'{"TransactionType":"Pay Bill","TransID":"RKL51ZDR4F","TransTime":"20231121121325",'
    b'"TransAmount":"5.00","BusinessShortCode":"174379","BillRefNumber":"ES1008257626",'
    b'"OrgAccountBalance":"25.00","MSISDN":"2547 ***** 126","FirstName":"JOHN"}',
)
# a row of shared sample daraja/pull-query-response, and its page
_ROW: Final = (
    b'{"transactionId":"RKL51ZDR4F","trxDate":"2026-11-23T12:05:00Z","msisdn":722000222,'
    b'"sender":"MPESA","transactiontype":"c2b-pay-bill-debit","billreference":"ES1008257626",'
    b'"amount":"168","organizationname":"Amana"}'
)
_PULL: Final = (
    _ROW,
    b'{"ResponseRefID":"1","ResponseCode":"1000","Response":[[' + _ROW + b"," + _ROW + b"]]}",
)
_SMS: Final = (
    b"SG632NMUAB Confirmed. Ksh1,050.00 sent to AMANA for account ES1008257626 on 23/11/26 at "
    b"12:05 PM New M-PESA balance is Ksh1.00.",
    b"SG632NMUAB Imethibitishwa. Ksh10 imetumwa kwa AMANA kwa akaunti nambari 1008257626 tarehe "
    b"1/1/26 saa 9:01 AM",
)

TARGETS: Final[Mapping[str, Target]] = {
    "strict_json": Target(_json, [*_STK, b'[1e30,-0,{"a":[{}]},"\\ud83d\\ude00",null,true]']),
    "stk_callback": Target(_stk, _STK),
    "paybill": Target(_paybill, _C2B),
    "pulled": Target(_pulled, [*_PULL, *_samples("pull-query-response*")]),
    "account_balances": Target(_held, _samples("account-balance-result*")),
    "mpesa_answer": Target(
        _mpesa_answer,
        [*_samples("error-*", "*-response*"), b"500.001.1001 Unable to lock subscriber"],
    ),
    "status_result": Target(_status, _samples("transaction-status*")),
    "results": Target(_results, [*_samples("b2c-result*", "reversal-result*"), *_C2B]),
    "code": Target(_code, [b"ES1008257626", b"es 1008-257 6l6", b"1OO8257625"]),
    "amount": Target(_amount, [b"KSh 1,500/- Blue phone case", b"USD 10.50", b"1500"]),
    "message": Target(_message, _SMS),
    "blockbee": Target(_blockbee, _BEE),
    "dynopay": Target(_dynopay, _DYNO),
    "blockbee_answer": Target(_blockbee_answer, _BEE_ANSWERS),
    "dynopay_answer": Target(_dynopay_answer, _DYNO_ANSWERS),
    "statement": Target(_statement, _CSV),
    "phone": Target(_phone, [b"2547 ***** 126", b"+254712345678", b"a" * 64]),
}
"""Name → reader. An input is its place in this table (one byte), then what it is given."""


def one(written: bytes) -> None:
    """Gives an input to the reader that its first byte names."""
    if written:
        targets = list(TARGETS.values())
        targets[written[0] % len(targets)].read(written[1:])


def seeds() -> list[bytes]:
    """Inputs that every reader understands: from these on it goes astray."""
    return [
        bytes([place]) + seed
        for place, target in enumerate(TARGETS.values())
        for seed in target.seeds
    ]
