"""What is said around deals that are paid in coins, one sample of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

from markupsafe import Markup

from escrow.bot import coin_texts, deal_texts, texts
from escrow.bot.page import Page
from escrow.domain.coins import BY_CODE
from escrow.domain.model import CryptoAttempt, CryptoState
from escrow.domain.money import Currency, Money
from escrow.services.crypto import CoinsAsked
from escrow.services.ports import Answer, Verdict
from tests.bot import samples

ADDRESS = "TJRabPrwbZy45sbavfcjinPJC18kjpRTv8"
LONG = "addr1" + "q" * 98
TXID = "9f" * 32
WHYS = (
    "other_address",
    "other_tag",
    "other_coin",
    "amounts_differ",
    "maybe_total",
    "maybe_counted",
    "unheard",
    "no_rate",
    "from the future",
)


def asked(said: str, coin: str = "USDT-TRC20", **changes: Any) -> CoinsAsked:
    """A quote for the sample deal."""
    values: dict[str, Any] = {
        "id": 7,
        "token": "0" * 32,
        "provider": "blockbee",
        "escrow_id": samples.CODE,
        "telegram_id": 3001,
        "coin": coin,
        "amount": samples.kes(10_500),
        "usd": Money(80_77, Currency.USD),
        "kes_per_usd": Decimal(130),
        "choice_id": None,
        "callback_url": "https://amana.example/hooks/b/0/1",
        "state": CryptoState.OPEN,
        "coin_amount": Decimal("80.770000000000000000"),
        "address": ADDRESS,
        "tag": "",
        "reference": "",
        "refusal": "",
        "created_at": samples.NOW,
        "opened_at": samples.NOW,
        "expires_at": samples.NOW + timedelta(minutes=30),
        "looks": 0,
    }
    attempt = CryptoAttempt(**{**values, **changes})
    return CoinsAsked(attempt, BY_CODE[coin], samples.escrow(said), Answer(Verdict.PENDING))


def dollars(said: str, **changes: Any) -> Any:
    """A deal in dollars as its buyer sees it."""
    usd = {"price": Money(100_00, Currency.USD), "fee": Money(1_00, Currency.USD)}
    usd |= {
        "by_mpesa": False,
        "due": Money(101_00, Currency.USD),
        "received": Money(0, Currency.USD),
    }
    wallet = {"wallet": Money(0, Currency.USD)}
    return samples.view(said, currency=Currency.USD, **{**usd, **wallet, **changes})


def notices(said: str) -> dict[str, dict[str, Any]]:
    odd = {"code": samples.CODE, "why": "other_coin", "provider": "blockbee", "coin": said}
    return {
        "coins_seen": {
            "code": samples.CODE,
            "amount": "80.77",
            "coin": "USDT-TRC20",
            "in_time": False,
        },
        "coins_misconfigured": {"provider": "blockbee", "word": said},
        "odd_coins": {**odd, "amount": "1000", "asked": "USDT-TRC20", "txid": TXID},
    }


def answers(said: str, on: Page) -> dict[str, Markup]:
    """By the function that says it (and a variant after a colon)."""
    t, coin = coin_texts, BY_CODE["USDT-TRC20"]
    same = Money(105_00, Currency.USD)
    in_dollars = {"amount": same, "usd": same, "kes_per_usd": None}
    without_mpesa = replace(on, business="")
    found = {
        "greeting:coins": texts.greeting(said, without_mpesa),
        "how_to_buy:coins": texts.how_to_buy(without_mpesa),
        "which_coin": t.which_coin(samples.escrow(said), samples.kes(10_500), on),
        "one_moment:coin": t.one_moment(coin),
        "quote": t.quote(asked(said), on),
        "quote:dollars": t.quote(asked(said, **in_dollars), on),
        "quote:rest": t.quote(
            replace(asked(said), choice_until=samples.NOW + timedelta(minutes=9)), on
        ),
        "quote:tag": t.quote(asked(said, "XRP", address=LONG, tag="4294967295"), on),
        "deal_card:coins": deal_texts.deal_card(samples.view(said, in_coins=True), on),
        "deal_card:dollars": deal_texts.deal_card(dollars(said, in_coins=True), on),
        "deal_card:dollars from the wallet": deal_texts.deal_card(dollars(said), on),
    }
    for verdict, reason in (
        (Verdict.DECLINED, "too_small"),
        (Verdict.DECLINED, "coin_unavailable"),
        (Verdict.DECLINED, "misconfigured"),
        (Verdict.UNKNOWN, "unknown"),
    ):
        found[f"refused:{reason}"] = t.refused(Answer(verdict, "", reason), coin, on)
    return found


def variants(said: str, on: Page) -> dict[str, Markup]:
    values: Mapping[str, dict[str, Any]] = notices(said)
    found = {
        "notice coins_seen:in time": coin_texts.coins_seen(
            {**values["coins_seen"], "in_time": True}, on
        )
    }
    for why in WHYS:
        odd = {**values["odd_coins"], "why": why, "provider": "dynopay"}
        found[f"notice odd_coins:{why}"] = coin_texts.odd_coins(odd, on)
    return found


def with_address(address: str, tag: str = "") -> CoinsAsked:
    """A quote to that address."""
    one = asked("x")
    return replace(one, attempt=replace(one.attempt, address=address, tag=tag))
