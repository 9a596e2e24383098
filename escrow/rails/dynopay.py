"""Coin addresses by DynoPay (rails.md 3): one POST per address, webhooks, and asking what came."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from decimal import Decimal
from typing import Final
from urllib.parse import quote, urlencode

import httpx

from escrow.domain.coins import Coin
from escrow.domain.money import Currency, Money
from escrow.rails import dynopay_wire as wire
from escrow.rails.dynopay_gateway import DynoPayConfig, Gateway
from escrow.services.ports import (
    Answer,
    Clock,
    CoinAsked,
    CoinQuote,
    Deposit,
    RawRequest,
    UnreadableError,
    Verdict,
)

PAGE: Final = 100
PAGES_MAX: Final = 5
RESEND_MAX: Final = 10

UNREADABLE: Final = Answer(Verdict.UNKNOWN, "unreadable", "unknown")

_PRICE_SECONDS: Final = 900
_PRICED: Final = Money(100_00, Currency.USD)
"""What the price of a coin is asked for."""
_NOTHING_YET: Final = ("waiting", "expired")


class DynoPay:
    """The coin rail of one DynoPay account.

    The account's own currency must be the dollar, and its company and its key must have the same
    webhook secret: what is sent again is signed with the company's.
    """

    name = "dynopay"
    running_totals = True

    def __init__(
        self,
        config: DynoPayConfig,
        http: httpx.AsyncClient,
        clock: Clock,
        *,
        gateway: Gateway | None = None,
    ) -> None:
        self._config = config
        self._clock = clock
        self._gateway = gateway or Gateway(config, http)
        self._secret = config.webhook_secret.encode()

    @property
    def coins(self) -> Sequence[Coin]:
        """All that DynoPay has a word for: `open` declines those the account has no wallet for."""
        return tuple(wire.BY_WORD.values())

    async def open(
        self, *, token: str, coin: Coin, usd: Money, callback_url: str
    ) -> CoinQuote | Answer:
        """Price and address for that many dollars. For 24 hours the same token (with the same coin,
        dollars and address of ours) gives the same answer again, so that a lost one may be asked
        for once more; after that it would open a second address.
        """
        if usd.currency is not Currency.USD:
            raise ValueError("DynoPay is asked for dollars")
        if not coin.dynopay:
            return Answer(Verdict.DECLINED, "currency_not_available", "coin_unavailable")
        if usd < wire.LEAST:
            return Answer(Verdict.DECLINED, "amount_below_minimum", "too_small")
        body = wire.creation(usd, coin, token, callback_url)
        said = await self._gateway.create("/user/cryptoPayment", body, token)
        if isinstance(said, Answer):
            return said
        try:
            return wire.quote(said, coin, usd)
        except UnreadableError:
            return UNREADABLE

    async def worth(self, coin: Coin, amount: Decimal) -> Decimal | None:
        """By a quote: DynoPay names prices nowhere else. It opens a payment whose address nobody is
        told, the same one for a quarter of an hour.
        """
        quarter = int(self._clock.now().timestamp()) // _PRICE_SECONDS
        token = hashlib.sha256(f"price:{coin.code}:{quarter}".encode()).hexdigest()[:32]
        said = await self.open(token=token, coin=coin, usd=_PRICED, callback_url="")
        if isinstance(said, Answer):
            return None
        return amount * _PRICED.to_decimal() / said.amount

    async def authentic(self, request: RawRequest) -> bool:
        """Whether our secret signed this body within five minutes of now: to be asked when it
        comes, not later. Nothing but version 2 is believed: version 1 is signed over something
        else than the body, and without a secret DynoPay does not sign at all.
        """
        header = request.headers.get(wire.SIGNATURE, "")
        return wire.signed(header, request.body, self._secret, self._clock.now())

    def read(self, request: RawRequest) -> Sequence[Deposit]:
        """The coins that a webhook names, at most one deposit; none where it says nothing of money.
        `UnreadableError`.
        """
        return wire.webhook(request, simulated=self._config.test)

    async def deposits(self, asked: CoinAsked) -> Sequence[Deposit] | Answer:
        """Nothing came: empty. Otherwise an Answer: DynoPay tells amounts only by webhook, so that
        those which did not reach us are ordered again, and come in by the door while we ask.

        PENDING: something came, and all that was said of it reached us (`delivered`) or is sent
        again (`resent`). UNKNOWN: nobody can say, for instance that something came of which
        DynoPay knows no webhook (`no_events`).
        """
        if not asked.reference:
            return Answer(Verdict.UNKNOWN, "no_reference", "unknown")
        try:
            return await self._what_came(asked)
        except UnreadableError:
            return UNREADABLE

    async def _what_came(self, asked: CoinAsked) -> Sequence[Deposit] | Answer:
        path = f"/user/getPaymentStatus/{quote(asked.reference, safe='')}"
        said = await self._gateway.call("GET", path)
        if isinstance(said, Answer):
            return _in_doubt(said)
        if wire.payment_status(said) in _NOTHING_YET:
            return ()
        sent = await self._sent_to(asked.callback_url)
        if isinstance(sent, Answer):
            return _in_doubt(sent)
        if not sent:
            return Answer(Verdict.UNKNOWN, "no_events", "unknown")
        # A delivery that failed stays in their list when it was sent again: it is sent once more
        # at the next look. That costs a call and credits nothing twice.
        lost = sorted(
            (one for one in sent if not one.delivered),
            key=lambda one: (wire.OF_MONEY.index(one.event), one.id),
        )
        for one in lost[:RESEND_MAX]:
            answer = await self._gateway.call("POST", f"/user/events/{one.id}/resend")
            if isinstance(answer, Answer):
                return _in_doubt(answer)
        return Answer(Verdict.PENDING, "resent" if lost else "delivered")

    async def _sent_to(self, url: str) -> Sequence[wire.Sent] | Answer:
        """The webhooks about money that went, or should have gone, to that address of ours."""
        found: list[wire.Sent] = []
        after = ""
        for _ in range(PAGES_MAX):
            wish = {"limit": PAGE} | ({"starting_after": after} if after else {})
            said = await self._gateway.call("GET", f"/user/events?{urlencode(wish)}")
            if isinstance(said, Answer):
                return said
            page, after = wire.deliveries(said)
            found += [one for one in page if one.url == url and one.event in wire.OF_MONEY]
            if not after:
                break
        return found


def _in_doubt(said: Answer) -> Answer:
    """A question that was refused says nothing of the coins it was about."""
    if said.verdict is not Verdict.DECLINED:
        return said
    return Answer(Verdict.UNKNOWN, said.code, said.reason, retry=said.retry)
