"""A merchant's client for the stand-in Daraja."""

from __future__ import annotations

from typing import Any

import httpx

from sandbox import persona
from sandbox.daraja import DarajaStandIn
from sandbox.daraja_wire import password, stamp

BRIAN = persona.BUYER.phone
PAYBILL = persona.SHORTCODE


class Shop:
    """A merchant's client: an authorised httpx session and well-formed bodies."""

    def __init__(self, client: httpx.AsyncClient, daraja: DarajaStandIn, hook: str) -> None:
        self.client = client
        self.daraja = daraja
        self.hook = hook

    async def authorise(self) -> str:
        answer = await self.client.get(
            "/oauth/v1/generate",
            params={"grant_type": "client_credentials"},
            auth=(persona.CONSUMER_KEY, persona.CONSUMER_SECRET),
        )
        token = str(answer.json()["access_token"])
        self.client.headers["Authorization"] = f"Bearer {token}"
        return token

    def signed(self) -> dict[str, Any]:
        timestamp = stamp(self.daraja.clock())
        return {
            "BusinessShortCode": int(PAYBILL),
            "Password": password(PAYBILL, persona.PASSKEY, timestamp),
            "Timestamp": timestamp,
        }

    def push_body(self, **changes: Any) -> dict[str, Any]:
        """Like stk-push-request.json: the shortcode a number, the amount a string."""
        body = {
            **self.signed(),
            "TransactionType": "CustomerPayBillOnline",
            "Amount": "105",
            "PartyA": BRIAN,
            "PartyB": PAYBILL,
            "PhoneNumber": BRIAN,
            "CallBackURL": f"{self.hook}/hooks/m/stk/abc123",
            "AccountReference": "ES1008257624",
            "TransactionDesc": "Amana deal",
        }
        return {**body, **changes}

    async def push(self, **changes: Any) -> httpx.Response:
        return await self.client.post(
            "/mpesa/stkpush/v1/processrequest", json=self.push_body(**changes)
        )

    async def query(self, checkout: str, **changes: Any) -> httpx.Response:
        body = {**self.signed(), "CheckoutRequestID": checkout, **changes}
        return await self.client.post("/mpesa/stkpushquery/v1/query", json=body)

    async def register(self, version: str = "v2", **changes: Any) -> httpx.Response:
        """Like c2b-registerurl-request.json."""
        body = {
            "ShortCode": PAYBILL,
            "ResponseType": "Completed",
            "ConfirmationURL": f"{self.hook}/hooks/c/confirm",
            "ValidationURL": f"{self.hook}/hooks/c/validate",
            **changes,
        }
        return await self.client.post(f"/mpesa/c2b/{version}/registerurl", json=body)

    async def status(self, transaction: str, **changes: Any) -> httpx.Response:
        """Like transaction-status-request.DOCTYPO.json, keys without the page's blanks."""
        body = {
            "Initiator": "testapi",
            "SecurityCredential": "c2VjcmV0",
            "CommandID": "TransactionStatusQuery",
            "TransactionID": transaction,
            "PartyA": PAYBILL,
            "IdentifierType": "4",
            "ResultURL": f"{self.hook}/hooks/s/result",
            "QueueTimeOutURL": f"{self.hook}/hooks/s/timeout",
            "Remarks": "OK",
            "Occasion": "OK",
            **changes,
        }
        return await self.client.post("/mpesa/transactionstatus/v1/query", json=body)

    async def pay_out(self, originator: str, **changes: Any) -> httpx.Response:
        """Like b2c-v3-request.json."""
        body = {
            "OriginatorConversationID": originator,
            "InitiatorName": "testapi",
            "SecurityCredential": "c2VjcmV0",
            "CommandID": "BusinessPayment",
            "Amount": "100",
            "PartyA": "600992",
            "PartyB": BRIAN,
            "Remarks": "payout",
            "QueueTimeOutURL": f"{self.hook}/hooks/b/timeout",
            "ResultURL": f"{self.hook}/hooks/b/result",
            "Occassion": "payout",
            **changes,
        }
        return await self.client.post("/mpesa/b2c/v3/paymentrequest", json=body)
