"""The subscribers' side of the stand-in Daraja: PINs and paybill payments."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from typing import Final, Literal

from sandbox.daraja_base import DarajaBase, maybe_msisdn
from sandbox.daraja_money import Deliver, Payment, Phone, Prompt, Registration
from sandbox.daraja_wire import (
    Json,
    MsisdnForm,
    amount_number,
    msisdn_as,
    stamp,
    stk_callback,
    stk_items,
)
from sandbox.pulse import NAIROBI

VALIDATION_SECONDS: Final = 8.0


class DarajaPeople(DarajaBase):
    """What subscribers do with their phones."""

    # -- answering a prompt --------------------------------------------------------------------

    async def enter_pin(self, key: str, *, amount: Decimal | None = None) -> Prompt:
        """The right PIN: paid, or 1 with too little money. `key`: checkout id or phone."""
        prompt = self.prompt(key)
        short = self.phone(prompt.phone).balance < prompt.amount
        return await self.finish(prompt.checkout_id, 1 if short else 0, amount=amount)

    async def cancel(self, key: str) -> Prompt:
        return await self.finish(key, 1032)

    async def let_expire(self, key: str) -> Prompt:
        return await self.finish(key, 1037)

    async def wrong_pin(self, key: str) -> Prompt:
        return await self.finish(key, 2001)

    async def no_funds(self, key: str) -> Prompt:
        return await self.finish(key, 1)

    async def finish(
        self, key: str, result: int | str, desc: str = "", *, amount: Decimal | None = None
    ) -> Prompt:
        """End a prompt with any result code; answers when its callback was delivered (or held).

        `amount`: what the callback says was paid, if other than asked.
        """
        prompt = self.prompt(key)
        self._conclude(prompt, result, desc, amount)
        await self._announce(prompt)
        return prompt

    def prompt(self, key: str) -> Prompt:
        """The open prompt with that checkout id, or the newest of that phone."""
        number = maybe_msisdn(key)
        for prompt in reversed(self.stk_requests):
            if prompt.open and (key == prompt.checkout_id or number == prompt.phone):
                return prompt
        raise AssertionError(f"no open prompt for {key!r}")

    def _conclude(
        self, prompt: Prompt, result: int | str, desc: str, amount: Decimal | None
    ) -> None:
        """Settle a prompt's fate; money moves here, the callback is another matter."""
        prompt.open = False
        prompt.result = result
        prompt.desc = desc or prompt.plan.desc or self.text_of(result)
        timer = self._timers.pop(prompt.checkout_id, None)
        if timer is not None:
            timer.cancel()
        phone = self.phone(prompt.phone)
        if str(result) == "0":
            paid = amount or prompt.plan.amount or Decimal(prompt.amount)
            prompt.payment = self._paid("stk", phone, paid, prompt.account, prompt.plan.receipt)
        elif str(result) == "1":
            self.send_sms(phone, "Failed. You do not have enough money in your M-PESA account.")
        elif str(result) == "2001":
            self.send_sms(phone, "Failed. You have entered the wrong PIN. Please try again.")
        self.pulse.beat()

    def _paid(
        self,
        kind: Literal["stk", "paybill"],
        phone: Phone,
        amount: Decimal,
        account: str,
        receipt_no: str = "",
    ) -> Payment:
        now = self.clock()
        number = receipt_no or self.new_receipt()
        payment = Payment(number, kind, phone.number, amount, account, now)
        self.payments[number] = payment
        phone.balance -= amount
        self.till += amount
        local = now.astimezone(NAIROBI)
        self.send_sms(
            phone,
            f"{number} Confirmed. Ksh{amount:,.2f} sent to {self.business_name} for account "
            f"{account} on {local.day}/{local.month}/{local:%y} at {local:%I:%M %p}. "
            f"New M-PESA balance is Ksh{phone.balance:,.2f}. Transaction cost, Ksh0.00.",
        )
        return payment

    async def _announce(self, prompt: Prompt) -> None:
        """The callback, and the C2B confirmation where one comes too."""
        plan = prompt.plan
        if plan.delay_seconds:
            await asyncio.sleep(plan.delay_seconds)
        registration = self.registrations.get(prompt.shortcode)
        c2b = self.c2b_for_stk if registration and prompt.payment else "off"
        if c2b == "before" and registration and prompt.payment:
            await self._confirm(registration, prompt.payment, "")
        await self.deliver(plan.deliver, lambda: self.redeliver(prompt))
        if c2b == "after" and registration and prompt.payment:
            await self._confirm(registration, prompt.payment, "")

    async def redeliver(self, prompt: Prompt) -> None:
        """Post a prompt's callback, as often as you like."""
        plan = prompt.plan
        items = None
        if prompt.payment is not None:
            items = stk_items(
                amount_number(prompt.payment.amount, plan.amount_form),
                prompt.payment.receipt,
                prompt.payment.at,
                prompt.phone,
                plan.balance,
            )
        assert prompt.result is not None  # noqa: S101 - only concluded prompts are announced
        body = stk_callback(
            prompt.merchant_id, prompt.checkout_id, prompt.result, prompt.desc, items
        )
        await self.post("stk", prompt.callback_url, body, shortcode=prompt.shortcode)

    # -- paybill -------------------------------------------------------------------------------

    async def pay_paybill(
        self,
        phone: str,
        account: str,
        amount: Decimal | int | str,
        *,
        shortcode: str = "",
        deliver: Deliver | None = None,
    ) -> Payment:
        """Pay by hand: validation if it is on, then the confirmation. Any account, any amount."""
        payer, value = self.phone(phone), Decimal(amount)
        code = shortcode or self.shortcode
        refusal, third_party = "", ""
        registration = self.registrations.get(code)
        if code != self.shortcode:
            refusal = "Failed. The business number is wrong."
        elif payer.balance < value:
            refusal = "Failed. You do not have enough money in your M-PESA account."
        elif registration is not None and self.c2b_validation:
            draft = Payment(
                self.new_receipt(), "paybill", payer.number, value, account, self.clock()
            )
            refusal, third_party = await self._validate(registration, draft)
        if refusal:
            self.send_sms(payer, refusal)
            return Payment(
                "",
                "paybill",
                payer.number,
                value,
                account,
                self.clock(),
                status="Declined",
                accepted=False,
                refusal=refusal,
            )
        payment = self._paid("paybill", payer, value, account)
        if registration is not None:
            known = registration

            async def confirm() -> None:
                await self._confirm(known, payment, third_party)

            await self.deliver(deliver or self.c2b_deliver, confirm)
        return payment

    async def _validate(self, registration: Registration, draft: Payment) -> tuple[str, str]:
        """Why the bot refuses the payment ("" when it does not), and its ThirdPartyTransID."""
        sent = await self.post(
            "validation",
            registration.validation_url,
            self._c2b_body(registration, draft, ""),
            timeout=VALIDATION_SECONDS,
        )
        try:
            read = json.loads(sent.answer) if sent.status == 200 else None
        except ValueError:
            read = None
        if not isinstance(read, dict) or "ResultCode" not in read:
            silent = registration.response_type == "Cancelled"
            return ("Failed. The business did not answer." if silent else ""), ""
        if str(read["ResultCode"]) == "0":
            return "", str(read.get("ThirdPartyTransID", ""))
        return f"Failed. The business refused the payment ({read['ResultCode']}).", ""

    async def _confirm(
        self, registration: Registration, payment: Payment, third_party: str
    ) -> None:
        body = self._c2b_body(registration, payment, third_party)
        await self.post("confirmation", registration.confirmation_url, body)

    def _c2b_body(self, registration: Registration, payment: Payment, third_party: str) -> Json:
        payer = self.phone(payment.phone)
        usual: MsisdnForm = "masked" if registration.version == "v2" else "hashed"
        form = self.c2b_msisdn or usual
        return {
            "TransactionType": "" if form == "clear" else "Pay Bill",
            "TransID": payment.receipt,
            "TransTime": stamp(payment.at),
            "TransAmount": f"{payment.amount:.2f}",
            "BusinessShortCode": registration.shortcode,
            "BillRefNumber": payment.account,
            "InvoiceNumber": "",
            "OrgAccountBalance": f"{self.till:.2f}",
            "ThirdPartyTransID": third_party,
            "MSISDN": msisdn_as(payer.number, form),
            "FirstName": payer.first_name,
            "MiddleName": "",
            "LastName": "" if form == "masked" else payer.last_name,
        }

    def start_timer(self, prompt: Prompt) -> None:
        """Let the prompt time out by itself, where that is on."""
        if self.prompt_seconds is None:
            return

        def expire() -> None:
            if prompt.open:
                self.spawn(self.let_expire(prompt.checkout_id))

        loop = asyncio.get_running_loop()
        self._timers[prompt.checkout_id] = loop.call_later(self.prompt_seconds, expire)
