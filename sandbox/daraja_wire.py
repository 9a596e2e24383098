"""Daraja's documented bodies: identifiers, receipts, callbacks, results and error envelopes.

Pure functions. `dump` writes JSON in which a number keeps its digits (`1.00`, `1.0`, `1`).
"""

from __future__ import annotations

import base64
import hashlib
import json
import random
import re
import string
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, Literal

from sandbox.pulse import NAIROBI

Json = dict[str, Any]
AmountForm = Literal["decimal", "tenth", "integer"]
MsisdnForm = Literal["masked", "hashed", "clear"]
BalanceForm = Literal["absent", "empty", "value"]

SANDBOX_SHORTCODE: Final = "174379"
_SAMPLE: Final = (  # a Password of the public documentation: shortcode, passkey, timestamp
    "MTc0Mzc5YmZiMjc5ZjlhYTliZGJjZjE1OGU5N2RkNzFhNDY3Y2QyZTBjODkzMDU5YjEwZjc4ZTZiNzJhZGExZWQy"
    "YzkxOTIwMjEwNjI4MDkyNDA4"
)
SANDBOX_PASSKEY: Final = base64.b64decode(_SAMPLE).decode()[6:-14]
"""The passkey everybody's sandbox shares."""

ERRORS: Final[dict[str, tuple[int, str, str]]] = {
    "invalid_payload": (400, "400.002.05", "Invalid Request Payload"),
    "invalid_auth_header": (404, "404.001.04", "Invalid Authentication Header"),
    "bad_auth_type": (400, "400.008.01", "Invalid Authentication passed"),
    "bad_grant_type": (400, "400.008.02", "Invalid grant type passed"),
    "not_found": (404, "404.001.01", "Resource not found"),
    "method_not_allowed": (405, "405.001", "Method Not Allowed"),
    "no_merchant": (500, "500.001.1001", "Merchant does not exist"),
    "wrong_credentials": (500, "500.001.1001", "[MerchantValidate] - Wrong credentials"),
    "unable_to_lock": (
        500,
        "500.001.1001",
        "Unable to lock subscriber, a transaction is already in process for the current subscriber",
    ),
    "being_processed": (500, "500.001.1001", "The transaction is being processed"),
    "does_not_exist": (500, "500.001.1001", "The transaction does not Exist"),
    "duplicate_originator": (500, "500.002.1001", "Duplicate OriginatorConversationID."),
    "system_internal": (500, "500.002.1001", "System internal error."),
    "busy": (500, "500.003.02", "System is busy. Please try again in few minutes."),
    "spike_arrest": (500, "500.003.02", "Error Occurred: Spike Arrest Violation"),
    "quota": (500, "500.003.03", "Error Occurred: Quota Violation"),
    "internal": (500, "500.003.1001", "Internal Server Error"),
    "urls_registered": (500, "500.003.1001", "Urls are already registered"),
}
"""Error envelopes by name: HTTP status, errorCode, errorMessage."""

INVALID_TOKEN: Final[dict[str, tuple[int, str, str]]] = {
    "stkpush": (404, "404.001.03", "Invalid Access Token"),
    "stkquery": (404, "404.001.03", "Invalid Access Token"),
    "registerurl": (400, "400.003.01", "Invalid Access Token"),
    "transactionstatus": (400, "400.003.01", "Invalid Access Token"),
    "b2c": (401, "401.002.01", "Invalid Access Token"),
    "reversal": (404, "404.001.03", "Invalid Access Token"),
    "accountbalance": (401, "401.002.01", "Invalid Access Token"),
    "pullregister": (404, "404.001.03", "Invalid Access Token"),
    "pullquery": (404, "404.001.03", "Invalid Access Token"),
}

SOAP_FAULT: Final = {
    "Envelope": {
        "encodingStyle": "http://schemas.xmlsoap.org/soap/encoding/",
        "Body": {
            "Fault": {
                "faultcode": "soap:Server",
                "faultstring": "Execution of ServiceCallout SCO-AddURLVault failed. "
                "Reason: ResponseCode 409 is treated as error",
                "faultactor": {},
                "detail": {"source": {"errorcode": "steps.servicecallout.ExecutionFailed"}},
            }
        },
    }
}
HTML_FAULT: Final = (
    "<html><head><title>503 Service Unavailable</title></head>"
    "<body><h1>Service Unavailable</h1></body></html>"
)

RESULT_TEXTS: Final[dict[str, tuple[str, ...]]] = {
    "0": ("The service request is processed successfully.",),
    "1": (
        "The balance is insufficient for the transaction.",
        "[MpesaCB - ]The balance is insufficient for the transaction.",
    ),
    "17": ("Rule limited.",),
    "26": ("System busy. The service request is rejected.",),
    "1001": (
        "[STK_CB - ]Unable to lock subscriber, a transaction is already in process for the "
        "current subscriber",
    ),
    "1019": ("Transaction has expired", "Transaction expired"),
    "1025": ("An error occurred while sending a push request",),
    "1031": ("Request Cancelled by user", "[STK_CB - ]Request cancelled by user"),
    "1032": (
        "Request cancelled by user",
        "[STK_CB - ]Request cancelled by user",
        "Request Cancelled by user.",
    ),
    "1036": ("SMSC ACK timeout.", "[STK_CB - ]SMSC ACK timeout."),
    "1037": (
        "DS timeout user cannot be reached",
        "No response from user.",
        "DS timeout.",
        "[STK_CB - ]DS timeout.",
    ),
    "2001": (
        "The initiator information is invalid.",
        "[MpesaCB - ]The initiator information is invalid.",
    ),
    "4999": ("The transaction is still under processing",),
    "8006": ("The security credential is locked.",),
    "9999": ("An error occurred while sending a push request",),
    "SFC_IC0003": ("The operator does not exist.",),
}
"""What ResultDesc may say; the words change from one time to the next."""

_RANDOM: Final = random.SystemRandom()
_ALPHABET: Final = string.ascii_uppercase + string.digits
FORBIDDEN_IN_URLS: Final = re.compile(
    r"m-?pesa|safaricom|exe|cmd|sql|query|ngrok|requestbin|mockbin", re.IGNORECASE
)
MSISDN: Final = re.compile(r"254[17]\d{8}", re.ASCII)
URL: Final = re.compile(r"https?://[^\s/]+(?:/\S*)?")


class Refusal(Exception):
    """A request that is answered with an error envelope."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


def named_refusal(name: str) -> Refusal:
    return Refusal(*ERRORS[name])


def invalid_field(field: str) -> Refusal:
    return Refusal(400, "400.002.02", f"Bad Request - Invalid {field}")


@dataclass(frozen=True, slots=True)
class Number:
    """A JSON number written with exactly these digits."""

    digits: str


def dump(body: Any) -> str:
    """JSON text, `Number`s as they stand."""
    text = json.dumps(body, default=lambda number: f"\x00{number.digits}\x00")
    return re.sub(r'"\\u0000([^"\\]*)\\u0000"', r"\1", text)


def amount_number(amount: Decimal, form: AmountForm) -> Number:
    """An amount as callbacks write it: `105.00`, `105.0` or `105`."""
    whole = amount == amount.to_integral_value()
    if form == "integer" and whole:
        return Number(str(int(amount)))
    if form == "tenth" and whole:
        return Number(f"{int(amount)}.0")
    return Number(f"{amount:.2f}")


def stamp(at: datetime) -> str:
    """`YYYYMMDDHHmmss` in Nairobi."""
    return at.astimezone(NAIROBI).strftime("%Y%m%d%H%M%S")


def read_stamp(text: str) -> datetime | None:
    """The time a Timestamp names, or None."""
    if not re.fullmatch(r"\d{14}", text, re.ASCII):
        return None
    try:
        return datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=NAIROBI)
    except ValueError:
        return None


def password(shortcode: str, passkey: str, timestamp: str) -> str:
    return base64.b64encode(f"{shortcode}{passkey}{timestamp}".encode()).decode()


def receipt(at: datetime) -> str:
    """Ten characters: year, month and day as letters, then seven at random (NLJ… is 19-12-2019)."""
    local = at.astimezone(NAIROBI)
    year = chr(ord("L") + (local.year - 2017) % 15)
    month = chr(ord("A") + local.month - 1)
    day = str(local.day) if local.day < 10 else chr(ord("A") + local.day - 10)
    return year + month + day + "".join(_RANDOM.choices(_ALPHABET, k=7))


def checkout_id(at: datetime, phone: str) -> str:
    """`ws_CO_ddMMyyyyHHmmss`, milliseconds without leading zeros, the payer's nine digits."""
    local = at.astimezone(NAIROBI)
    return f"ws_CO_{local:%d%m%Y%H%M%S}{local.microsecond // 1000}{phone[3:]}"


def merchant_id() -> str:
    return f"{_hex(4)}-{_hex(4)}-{_hex(4)}-{_hex(12)}{_RANDOM.randrange(1000, 9_999_999)}"


def conversation_id(at: datetime) -> str:
    return f"AG_{at.astimezone(NAIROBI):%Y%m%d}_{_hex(20)}"


def access_token() -> str:
    return "".join(_RANDOM.choices(string.ascii_letters + string.digits, k=28))


def _hex(digits: int) -> str:
    return f"{_RANDOM.getrandbits(4 * digits):0{digits}x}"


def msisdn_as(phone: str, form: MsisdnForm) -> str:
    """A payer's number as C2B shows it."""
    if form == "masked":
        return f"{phone[:4]} ***** {phone[-3:]}"
    if form == "hashed":
        return hashlib.sha256(phone.encode()).hexdigest()
    return phone


def error_body(code: str, message: str) -> Json:
    return {"requestId": merchant_id(), "errorCode": code, "errorMessage": message}


def stk_callback(
    merchant: str,
    checkout: str,
    result: int | str,
    desc: str,
    items: list[Json] | None,
) -> Json:
    """The callback's body; a failure has no metadata at all."""
    inner: Json = {
        "MerchantRequestID": merchant,
        "CheckoutRequestID": checkout,
        "ResultCode": result,
        "ResultDesc": desc,
    }
    if items is not None:
        inner["CallbackMetadata"] = {"Item": items}
    return {"Body": {"stkCallback": inner}}


def stk_items(
    amount: Number, receipt_no: str, at: datetime, phone: str, balance: BalanceForm
) -> list[Json]:
    items: list[Json] = [
        {"Name": "Amount", "Value": amount},
        {"Name": "MpesaReceiptNumber", "Value": receipt_no},
        {"Name": "TransactionDate", "Value": int(stamp(at))},
        {"Name": "PhoneNumber", "Value": int(phone)},
    ]
    if balance == "empty":
        items.insert(2, {"Name": "Balance"})
    elif balance == "value":
        items.insert(2, {"Name": "Balance", "Value": Number("0.00")})
    return items


def result_envelope(
    *,
    result: int | str,
    desc: str,
    originator: str,
    conversation: str,
    transaction: str,
    parameters: list[Json] | None,
    reference: Json,
    kind: int | str = 0,
) -> Json:
    """An asynchronous Result; a failed one has no parameters."""
    inner: Json = {
        "ResultType": kind,
        "ResultCode": result,
        "ResultDesc": desc,
        "OriginatorConversationID": originator,
        "ConversationID": conversation,
        "TransactionID": transaction,
    }
    if parameters is not None:
        inner["ResultParameters"] = {"ResultParameter": parameters}
    inner["ReferenceData"] = {"ReferenceItem": reference}
    return {"Result": inner}
