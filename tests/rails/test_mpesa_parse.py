"""What M-Pesa posts to us, each documented or captured body by the name of its sample."""

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from escrow.domain.money import Currency, Money
from escrow.rails import mpesa_parse
from escrow.services.ports import UnreadableError, Verdict

PAYER = 254708374149
DONE = "The service request is processed successfully."


def kes(text):
    return Money.from_decimal(Decimal(text), Currency.KES)


def stk(
    items=None, *, code="0", checkout='"ws_CO_191220191020363925"', merchant='"29115-34620561-1"'
):
    """A callback written out by hand, so that numbers keep their digits."""
    metadata = "" if items is None else ',"CallbackMetadata":{"Item":[' + ",".join(items) + "]}"
    return (
        '{"Body":{"stkCallback":{"MerchantRequestID":'
        + merchant
        + ',"CheckoutRequestID":'
        + checkout
        + ',"ResultCode":'
        + code
        + ',"ResultDesc":"whatever it says"'
        + metadata
        + "}}}"
    ).encode()


def item(name, value=None):
    return f'{{"Name":"{name}"}}' if value is None else f'{{"Name":"{name}","Value":{value}}}'


def paid(amount="1.00", number='"NLJ7RT61SV"', when="20191219102115", phone=str(PAYER), balance=()):
    return [
        item("Amount", amount),
        item("MpesaReceiptNumber", number),
        *balance,
        item("TransactionDate", when),
        item("PhoneNumber", phone),
    ]


NO_VALUE = (item("Balance"),)


@pytest.mark.parametrize(
    ("body", "number", "amount", "when"),
    [
        pytest.param(
            stk(paid()), "NLJ7RT61SV", "1", (2019, 12, 19, 7, 21, 15), id="stk-callback-0-success"
        ),
        pytest.param(
            stk(paid("1", '"LGR7OWQX0R"', "20170727154800", balance=NO_VALUE)),
            "LGR7OWQX0R",
            "1",
            (2017, 7, 27, 12, 48, 0),
            id="stk-callback-0-success-balance-no-value",
        ),
        pytest.param(
            stk(paid("1.00", '"MAO0DO9BYO"', "20180124144754", balance=NO_VALUE)),
            "MAO0DO9BYO",
            "1",
            (2018, 1, 24, 11, 47, 54),
            id="real-stk-0-2018",
        ),
        pytest.param(
            stk(paid("5.00", '"OK394WESPV"', "20201103151000", balance=NO_VALUE)),
            "OK394WESPV",
            "5",
            (2020, 11, 3, 12, 10, 0),
            id="real-stk-0-2020-balance-no-value",
        ),
        pytest.param(
            stk(paid("1.00", '"PE71NZSURN"', "20210507110056")),
            "PE71NZSURN",
            "1",
            (2021, 5, 7, 8, 0, 56),
            id="real-stk-0-2021",
        ),
    ],
)
def test_a_paid_prompt(body, number, amount, when):
    read = mpesa_parse.stk_callback(body)
    assert read.answer.verdict is Verdict.PAID
    assert read.reference == number
    assert read.amount == kes(amount)
    assert read.happened_at == datetime(*when, tzinfo=UTC)
    assert read.happened_at.utcoffset().total_seconds() == 0
    assert read.phone == str(PAYER)
    assert read.checkout_request_id == "ws_CO_191220191020363925"
    assert read.merchant_request_id == "29115-34620561-1"


@pytest.mark.parametrize(
    ("code", "verdict", "reason"),
    [
        pytest.param("1032", Verdict.DECLINED, "cancelled", id="stk-callback-1032-cancelled"),
        pytest.param("1032", Verdict.DECLINED, "cancelled", id="real-stk-1032-2021"),
        pytest.param("1", Verdict.DECLINED, "balance", id="real-stk-1-insufficient-2019"),
        pytest.param("1019", Verdict.DECLINED, "expired", id="real-stk-1019-expired"),
        pytest.param("1037", Verdict.UNKNOWN, "no_answer", id="real-stk-1037-ds-timeout"),
        pytest.param("1037", Verdict.UNKNOWN, "no_answer", id="real-stk-1037-no-response"),
        pytest.param('"1032"', Verdict.DECLINED, "cancelled", id="a code as text"),
        pytest.param('"SFC_IC0003"', Verdict.DECLINED, "misconfigured", id="a code with letters"),
        pytest.param("7777", Verdict.UNKNOWN, "unlisted", id="a code that nobody lists"),
    ],
)
def test_an_unpaid_prompt(code, verdict, reason):
    read = mpesa_parse.stk_callback(stk(code=code))
    assert (read.answer.verdict, read.answer.reason) == (verdict, reason)
    assert read.answer.code == code.strip('"')
    assert (read.reference, read.amount, read.happened_at, read.phone) == ("", None, None, "")


def test_an_unpaid_prompt_brings_no_money_fields_even_if_it_has_them():
    read = mpesa_parse.stk_callback(stk(paid(), code="1032"))
    assert (read.reference, read.amount) == ("", None)


@pytest.mark.parametrize("amount", ["105", "105.0", "105.00", '"105.00"', '"105"', "1.05e2"])
def test_an_amount_in_all_its_forms(amount):
    assert mpesa_parse.stk_callback(stk(paid(amount))).amount == kes("105")


def test_items_come_in_any_order_and_with_strangers():
    items = [
        *reversed(paid(when='"20191219102115"')),
        item("NewThing", "[1]"),
        item("Balance", "3.5"),
    ]
    read = mpesa_parse.stk_callback(stk(items))
    assert (read.reference, read.amount) == ("NLJ7RT61SV", kes("1"))
    assert read.happened_at == datetime(2019, 12, 19, 7, 21, 15, tzinfo=UTC)


def test_old_and_new_request_ids_are_opaque():
    read = mpesa_parse.stk_callback(
        stk(
            code="1",
            checkout='"ws_CO_DMZ_357874748_26052019204553539"',
            merchant='"2654-4b64-97ff-b827b542881d3130"',
        )
    )
    assert read.checkout_request_id == "ws_CO_DMZ_357874748_26052019204553539"
    assert read.merchant_request_id == "2654-4b64-97ff-b827b542881d3130"


def test_a_receipt_number_has_one_spelling():
    assert mpesa_parse.stk_callback(stk(paid(number='" nlj7rt61sv "'))).reference == "NLJ7RT61SV"


def test_a_paid_prompt_may_lack_its_time_and_number():
    read = mpesa_parse.stk_callback(stk(paid()[:2]))
    assert (read.happened_at, read.phone) == (None, "")


def one_item(name, value):
    kept = [i for i in paid() if f'"{name}"' not in i]
    return stk([*kept, item(name, value)] if value is not None else kept)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"<html></html>", id="HTML"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b"{}", id="an empty object"),
        pytest.param(b'{"Body":null}', id="no stkCallback"),
        pytest.param(b'{"Body":{"stkCallback":[]}}', id="stkCallback a list"),
        pytest.param(stk(checkout="null"), id="no CheckoutRequestID"),
        pytest.param(stk(checkout='""'), id="an empty CheckoutRequestID"),
        pytest.param(stk(checkout='"a b"'), id="a CheckoutRequestID with a space"),
        pytest.param(stk(checkout='"' + "x" * 129 + '"'), id="a long CheckoutRequestID"),
        pytest.param(stk(code="null"), id="no ResultCode"),
        pytest.param(stk(paid(), code="false"), id="false is not 0"),
        pytest.param(stk(paid(), code="0.0"), id="0.0 is not 0"),
        pytest.param(stk(paid(), code='""'), id="an empty ResultCode"),
        pytest.param(stk(paid(), code="[0]"), id="a list as ResultCode"),
        pytest.param(stk(), id="paid without metadata"),
        pytest.param(stk([]), id="paid without items"),
        pytest.param(stk(["7"]), id="an item that is no object"),
        pytest.param(stk([*paid(), '{"Value":1}']), id="an item without a name"),
        pytest.param(one_item("MpesaReceiptNumber", None), id="no receipt number"),
        pytest.param(one_item("MpesaReceiptNumber", '""'), id="an empty receipt number"),
        pytest.param(one_item("MpesaReceiptNumber", "7"), id="a number as receipt number"),
        pytest.param(one_item("MpesaReceiptNumber", '"NLJ 7RT61SV"'), id="a receipt with a space"),
        pytest.param(
            one_item("MpesaReceiptNumber", '"NLJ7RT61S\\u00df"'), id="a receipt beyond ASCII"
        ),
        pytest.param(one_item("Amount", None), id="no amount"),
        pytest.param(one_item("Amount", "0"), id="nothing"),
        pytest.param(one_item("Amount", "-1.00"), id="less than nothing"),
        pytest.param(one_item("Amount", "1.005"), id="half a cent"),
        pytest.param(one_item("Amount", "true"), id="true as amount"),
        pytest.param(one_item("Amount", '"1,000"'), id="a comma"),
        pytest.param(one_item("Amount", '"1e3"'), id="an exponent as text"),
        pytest.param(one_item("Amount", '"NaN"'), id="NaN as text"),
        pytest.param(one_item("Amount", "NaN"), id="NaN"),
        pytest.param(one_item("Amount", '"\\u0661"'), id="an Arabic digit"),
        pytest.param(one_item("Amount", "1e20"), id="more than the books hold"),
        pytest.param(stk([*paid(), item("Amount", "2")]), id="two amounts"),
        pytest.param(stk([*paid(), item("MpesaReceiptNumber", '"X1234"')]), id="two receipts"),
        pytest.param(one_item("TransactionDate", "20191319102115"), id="month 13"),
        pytest.param(one_item("TransactionDate", "1"), id="a short time"),
        pytest.param(one_item("TransactionDate", '"00010101000000"'), id="year 1"),
        pytest.param(one_item("TransactionDate", '"2019-12-19 10:21:15"'), id="another form"),
    ],
)
def test_an_unreadable_prompt(body):
    with pytest.raises(UnreadableError) as caught:
        mpesa_parse.stk_callback(body)
    assert str(PAYER) not in str(caught.value)
    assert "NLJ7" not in str(caught.value)


def c2b(**changes):
    fields = {
        "TransactionType": "Pay Bill",
        "TransID": "RKL51ZDR4F",
        "TransTime": "20231121121325",
        "TransAmount": "5.00",
        "BusinessShortCode": "600966",
        "BillRefNumber": "Sample Transaction",
        "InvoiceNumber": "",
        "OrgAccountBalance": "25.00",
        "ThirdPartyTransID": "",
        "MSISDN": "2547 ***** 149",
        "FirstName": "JOHN",
        "MiddleName": "",
        "LastName": "",
    }
    fields.update(changes)
    return json.dumps({k: v for k, v in fields.items() if v is not ...}).encode()


def test_c2b_confirmation_masked_msisdn():
    read = mpesa_parse.paybill(c2b())
    assert read.reference == "RKL51ZDR4F"
    assert read.amount == kes("5")
    assert read.shortcode == "600966"
    assert read.typed_reference == "Sample Transaction"
    assert read.happened_at == datetime(2023, 11, 21, 9, 13, 25, tzinfo=UTC)
    assert (read.shown, read.name, read.balance) == ("2547 ***** 149", "JOHN", "25.00")


def test_c2b_v1_confirmation_full_msisdn():
    read = mpesa_parse.paybill(
        c2b(
            TransactionType="",
            TransID="LGR219G3EY",
            TransTime="20170727104247",
            TransAmount="10.00",
            BusinessShortCode="600134",
            BillRefNumber="xyz",
            OrgAccountBalance="49197.00",
            ThirdPartyTransID="1234567890",
            MSISDN=str(PAYER),
            FirstName="John",
            MiddleName="Doe",
        )
    )
    assert (read.reference, read.amount, read.typed_reference) == ("LGR219G3EY", kes("10"), "xyz")
    assert (read.shown, read.name) == (str(PAYER), "John Doe")


def test_a_paybill_payment_with_little_in_it():
    read = mpesa_parse.paybill(
        c2b(
            BusinessShortCode=600966,
            TransTime=20231121121325,
            TransAmount=5,
            MSISDN=PAYER,
            BillRefNumber=None,
            OrgAccountBalance=...,
            FirstName=...,
            MiddleName=None,
            LastName={},
        )
    )
    assert (read.shortcode, read.amount, read.shown) == ("600966", kes("5"), str(PAYER))
    assert (read.typed_reference, read.name, read.balance) == ("", "", "")


def test_cents_are_legal_from_a_paybill():
    assert mpesa_parse.paybill(c2b(TransAmount="99.50")).amount == kes("99.50")


def test_what_a_customer_types_is_kept_but_not_without_end():
    assert mpesa_parse.paybill(c2b(BillRefNumber=" es 0123 ")).typed_reference == "es 0123"
    assert len(mpesa_parse.paybill(c2b(BillRefNumber="x" * 5000)).typed_reference) == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"TransID": ...},
        {"TransID": ""},
        {"TransID": "RKL 1"},
        {"TransAmount": ...},
        {"TransAmount": ""},
        {"TransAmount": "0.00"},
        {"TransAmount": "-5.00"},
        {"TransAmount": "5.001"},
        {"TransAmount": "5,00"},
        {"TransAmount": True},
        {"TransTime": ...},
        {"TransTime": "2023112112132"},
        {"TransTime": "20230230121325"},
        {"BusinessShortCode": ...},
        {"BusinessShortCode": []},
        {"BillRefNumber": "\x00"},
    ],
)
def test_an_unreadable_paybill_payment(changes):
    with pytest.raises(UnreadableError):
        mpesa_parse.paybill(c2b(**changes))


STATUS_ITEMS = [
    {"Key": "DebitPartyName", "Value": "600310 - Safaricom333"},
    {"Key": "DebitPartyName", "Value": "254708374149 - John Doe"},
    {"Key": "OriginatorConversationID", "Value": "3211-416020-3"},
    {"Key": "InitiatedTime", "Value": "20180223054112"},
    {"Key": "DebitAccountType", "Value": "Utility Account"},
    {"Key": "DebitPartyCharges", "Value": "Fee For B2C Payment|KES|22.40"},
    {"Key": "TransactionReason"},
    {"Key": "ReasonType", "Value": "Business Payment to Customer via API"},
    {"Key": "TransactionStatus", "Value": "Completed"},
    {"Key": "FinalisedTime", "Value": "20180223054112"},
    {"Key": "Amount", "Value": "300"},
    {"Key": "ConversationID", "Value": "AG_20180223_000041b09c22e613d6c9"},
    {"Key": "ReceiptNo", "Value": "MBN31H462N"},
]


def status(items=None, *, code=0, spaces=False, **changes):
    result = {
        "ConversationID": "AG_20180223_0000493344ae97d86f75",
        "OriginatorConversationID": "3213-416199-2",
        "ReferenceData": {"ReferenceItem": {"Key": "Occasion"}},
        "ResultCode": code,
        "ResultDesc": DONE,
        "ResultType": 0,
        "TransactionID": "MBN0000000",
        **({} if items is None else {"ResultParameters": {"ResultParameter": items}}),
        **changes,
    }
    if spaces:
        result = {
            k.replace("ConversationID", "Conversation ID").replace("ResultCode", "Result Code"): v
            for k, v in result.items()
        }
    return json.dumps({"Result": result}).encode()


def changed(**values):
    return [
        {"Key": i["Key"], "Value": values[i["Key"]]} if i["Key"] in values else i
        for i in STATUS_ITEMS
        if values.get(i["Key"], "") is not ...
    ]


def test_transaction_status_result():
    read = mpesa_parse.status_result(status(STATUS_ITEMS))
    assert read.answer.verdict is Verdict.PAID
    assert (read.reference, read.amount) == ("MBN31H462N", kes("300"))
    assert read.parties == ("600310 - Safaricom333", "254708374149 - John Doe")


def test_who_was_paid_is_told_from_who_paid():
    """Of our own receipts we stand among the payers, of our own payouts too: only the receiver
    says whose money it is.
    """
    names = [("DebitPartyName", "600310 - Us"), ("DebitPartyName", "254708374149 - John")]
    names.append(("CreditPartyName", "600310 - Us"))
    times = [("InitiatedTime", "20180223054110"), ("FinalisedTime", "20180223054112")]
    kept = [("TransactionStatus", "Completed"), ("Amount", "300"), ("ReceiptNo", "MBN31H462N")]
    items = [{"Key": key, "Value": value} for key, value in names + times + kept]
    read = mpesa_parse.status_result(status(items))
    assert read.payers == ("600310 - Us", "254708374149 - John")
    assert read.receivers == ("600310 - Us",)
    assert read.happened_at == datetime(2018, 2, 23, 2, 41, 12, tzinfo=UTC)
    bare = mpesa_parse.status_result(status(items[5:]))
    assert (bare.payers, bare.receivers, bare.happened_at) == ((), (), None)


def test_a_receipt_that_mpesa_does_not_know_is_said_to_be_so():
    read = mpesa_parse.status_result(status(code=2032))
    assert (read.answer.verdict, read.answer.reason) == (Verdict.UNKNOWN, "no_such_receipt")


def test_real_transaction_status_result_2001_2018():
    """The question failed: nothing is known of the payment, least of all by its TransactionID."""
    read = mpesa_parse.status_result(
        status(
            code=2001,
            TransactionID="MAS0000000",
            ReferenceData={"ReferenceItem": {"Key": "Occasion", "Value": "xf"}},
        )
    )
    assert read.answer.verdict is Verdict.UNKNOWN
    assert (read.answer.code, read.answer.reason) == ("2001", "misconfigured")
    assert (read.reference, read.amount, read.parties) == ("", None, ())


@pytest.mark.parametrize("code", [1, "R000002", 2032, "1037"])
def test_a_question_that_failed_otherwise_is_unknown(code):
    read = mpesa_parse.status_result(status(STATUS_ITEMS, code=code))
    assert (read.answer.verdict, read.answer.code) == (Verdict.UNKNOWN, str(code))
    assert (read.reference, read.amount) == ("", None)


@pytest.mark.parametrize(
    ("word", "verdict"),
    [
        ("Completed", Verdict.PAID),
        ("COMPLETED", Verdict.PAID),
        ("Declined", Verdict.DECLINED),
        ("Cancelled", Verdict.DECLINED),
        ("Expired", Verdict.DECLINED),
        ("Failed", Verdict.DECLINED),
        ("Reversed", Verdict.DECLINED),
        ("Authorized", Verdict.UNKNOWN),
        ("Not Completed", Verdict.UNKNOWN),
        ("", Verdict.UNKNOWN),
        (None, Verdict.UNKNOWN),
        (7, Verdict.UNKNOWN),
    ],
)
def test_the_status_of_a_payment(word, verdict):
    read = mpesa_parse.status_result(status(changed(TransactionStatus=word)))
    assert read.answer.verdict is verdict
    assert read.reference == "MBN31H462N"


def test_old_bodies_have_spaces_and_numbers():
    items = [
        {"Key": "Debit Party Name", "Value": "254708374149 - John Doe"},
        {"Key": "Credit Party Name", "Value": "600310 - Safaricom333"},
        {"Key": "Transaction Status", "Value": "Completed"},
        {"Key": "Receipt No", "Value": "MBN31H462N"},
        {"Key": "FinalizedTime", "Value": 20180223054112},
        {"Key": "Amount", "Value": 300},
    ]
    read = mpesa_parse.status_result(status(items, code="0", spaces=True))
    assert (read.answer.verdict, read.reference, read.amount) == (
        Verdict.PAID,
        "MBN31H462N",
        kes("300"),
    )
    assert read.parties == ("254708374149 - John Doe", "600310 - Safaricom333")


def test_a_single_parameter_may_stand_without_a_list():
    read = mpesa_parse.status_result(status({"Key": "TransactionStatus", "Value": "Declined"}))
    assert read.answer.verdict is Verdict.DECLINED


def test_reference_items_may_be_a_list():
    body = status(
        STATUS_ITEMS, ReferenceData={"ReferenceItem": [{"Key": "Occasion"}, {"Key": "x"}]}
    )
    assert mpesa_parse.status_result(body).answer.verdict is Verdict.PAID


@pytest.mark.parametrize("parameters", [None, "", {}, {"ResultParameter": []}])
def test_without_parameters_nothing_is_known(parameters):
    read = mpesa_parse.status_result(status(ResultParameters=parameters))
    assert read.answer.verdict is Verdict.UNKNOWN


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'{"Result":7}',
        status(STATUS_ITEMS, code=None),
        status(STATUS_ITEMS, code=True),
        status(changed(ReceiptNo=...)),
        status(changed(Amount=...)),
        status(changed(Amount="x")),
        status(changed(Amount="0")),
        status([*STATUS_ITEMS, {"Key": "Amount", "Value": "301"}]),
        status([*STATUS_ITEMS, {"Key": "ReceiptNo", "Value": "OTHER12345"}]),
        status([*STATUS_ITEMS, {"Key": "Transaction Status", "Value": "Declined"}]),
        status([*STATUS_ITEMS, {"Value": "301"}]),
        status(["Amount"]),
        status(ResultParameters=[1]),
        status(STATUS_ITEMS, **{"Result Code": 1}),
    ],
)
def test_an_unreadable_status_result(body):
    with pytest.raises(UnreadableError):
        mpesa_parse.status_result(body)


WORDS = st.sampled_from(
    [
        *("Body", "stkCallback", "CallbackMetadata", "Item", "Name", "Value", "ResultCode"),
        *("CheckoutRequestID", "MerchantRequestID", "Amount", "MpesaReceiptNumber", "PhoneNumber"),
        *("TransactionDate", "TransID", "TransAmount", "TransTime", "BusinessShortCode", "MSISDN"),
        *("Result", "ResultParameters", "ResultParameter", "Key", "TransactionStatus", "ReceiptNo"),
        *("DebitPartyName", "Debit Party Name", "FirstName", "BillRefNumber", "Completed", "0"),
        *("NLJ7RT61SV", "20191219102115", "99999999999999", "1.00", "ws_CO_1", "\ud800", "\x00"),
    ]
)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | WORDS
    | st.sampled_from([0, 1, 20191219102115, 254708374149])
)
ANYTHING = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(WORDS | st.text(max_size=3), inner, max_size=6)
    ),
    max_leaves=25,
)
MUTATED = st.tuples(
    st.sampled_from(["Amount", "MpesaReceiptNumber", "TransactionDate", "PhoneNumber", "Balance"]),
    ANYTHING,
)
READERS = [mpesa_parse.stk_callback, mpesa_parse.paybill, mpesa_parse.status_result]


def reads_or_refuses(body):
    for read in READERS:
        try:
            read(body)
        except UnreadableError:
            continue


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(body):
    reads_or_refuses(body)


@given(ANYTHING)
def test_any_json_is_read_or_refused(value):
    reads_or_refuses(json.dumps(value).encode())


@given(st.lists(MUTATED, max_size=4), ANYTHING)
def test_nearly_right_callbacks_are_read_or_refused(items, code):
    base = {"Amount": 1, "MpesaReceiptNumber": "NLJ7RT61SV", "TransactionDate": 20191219102115}
    listed = [{"Name": k, "Value": v} for k, v in {**base, **dict(items)}.items()]
    for result in (0, code):
        inner = {
            "CheckoutRequestID": "ws_CO_1",
            "ResultCode": result,
            "CallbackMetadata": {"Item": listed},
        }
        reads_or_refuses(json.dumps({"Body": {"stkCallback": inner}}).encode())


@given(st.dictionaries(st.sampled_from(sorted(json.loads(c2b()))), ANYTHING, max_size=3))
def test_nearly_right_paybill_payments_are_read_or_refused(changes):
    reads_or_refuses(c2b(**changes))


@given(st.dictionaries(st.sampled_from(["TransactionStatus", "Amount", "ReceiptNo"]), ANYTHING))
def test_nearly_right_status_results_are_read_or_refused(changes):
    reads_or_refuses(status(changed(**changes)))
