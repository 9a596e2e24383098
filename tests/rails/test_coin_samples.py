"""Every known body of BlockBee and DynoPay by the name of its file, and what becomes of it: read to
what it means, refused, or of a product of theirs that nobody here uses, and then believed by no
reader. The bodies are ours, with the wire's own keys, forms and figures.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from escrow.domain.coins import BY_CODE
from escrow.domain.money import Currency, Money
from escrow.rails import blockbee_gateway, blockbee_wire, dynopay_gateway, dynopay_wire
from escrow.services.ports import (
    Answer,
    CoinAsked,
    CoinQuote,
    Deposit,
    RawRequest,
    UnreadableError,
    Verdict,
)
from tests.rails.dynopay_samples import HASH, TOKEN

FOLDER = Path(__file__).parent / "samples"
BTC, ETH = BY_CODE["BTC"], BY_CODE["ETH"]
FIFTEEN = Money(1500, Currency.USD)
EVM, EVM_HASH = "0x" + "1a" * 20, "0x" + "ab" * 32
Check = Callable[[str], None]


def raw(name: str) -> bytes:
    return (FOLDER / f"{name}.json").read_bytes()


def told(name: str) -> Any:
    return json.loads(raw(name))


def refused(why: str, read: Callable[..., Any], *given: Any) -> None:
    with pytest.raises(UnreadableError, match=why):
        read(*given)


# -- BlockBee ------------------------------------------------------------------------------------


def _got(query: str) -> RawRequest:
    return RawRequest("GET", f"/hooks/b/{TOKEN}?{query}", query, {}, b"")


def _posted(body: bytes) -> RawRequest:
    return RawRequest("POST", f"/hooks/b/{TOKEN}", "", {}, body)


def _bee_says(name: str) -> Mapping[str, Any]:
    said, _ = blockbee_gateway.understand(200, raw(name), blockbee_gateway.ANSWER_BYTES_MAX)
    assert not isinstance(said, Answer)
    return said


def _bee_asked(address: str, callback_url: str) -> CoinAsked:
    return CoinAsked(TOKEN, ETH, Decimal(10), address, callback_url)


def signed(name: str) -> None:
    """Shows what is signed, of a callback without a coin: that is refused, with one it is read."""
    said = told(name)
    fields = said["signed_bytes"].rpartition("?")[2]

    def request(text: str) -> RawRequest:
        return _got(text) if said["method"] == "GET" else _posted(text.encode())

    refused("coin is missing", blockbee_wire.callback, request(fields))
    (deposit,) = blockbee_wire.callback(request(fields + "&coin=btc"))
    assert (deposit.coin, deposit.amount, deposit.pending) == ("BTC", Decimal("0.05"), False)


def no_money(name: str) -> None:
    """The dashboard's button."""
    assert blockbee_wire.callback(_got(told(name)["query"])) == ()


def deposit(*, pending: bool, cost: str = "0") -> Check:
    """Coins of a network that isn't offered keep the provider's word: an admin decides."""
    ten, kept, dollar = Decimal(10), Decimal(cost), Decimal(1)
    meant = Deposit(EVM_HASH, "base_usdc", ten, pending, address=EVM, cost=kept, usd=dollar)

    def check(name: str) -> None:
        assert blockbee_wire.callback(_posted(raw(name))) == (meant,)

    return check


def priced(name: str) -> None:
    """`exchange_rate` is left alone."""
    assert blockbee_wire.converted(_bee_says(name)) == Decimal("241.126")


def addressed(name: str) -> None:
    """An address for one callback URL, and for no other."""
    said = _bee_says(name)
    ours = "https://amana.test/invoice/1234?payment_id=5678"
    assert blockbee_wire.created(said, BTC, ours) == "14PqCsA7KMgseZMPwg6mJy754MtQkrgszu"
    refused("callback_url", blockbee_wire.created, said, BTC, "https://amana.test/other")
    refused("address_in", blockbee_wire.created, said, ETH, ours)


def minimums(name: str) -> None:
    """All coins at once; we ask by ticker, whose page is one of these entries."""
    listed = told(name)
    assert blockbee_wire.terms(listed["btc"]) == blockbee_wire.Terms(Decimal("0.00008"), None)
    assert blockbee_wire.terms(listed["bch"]).minimum == Decimal("0.0005")
    refused("minimum_transaction_coin", blockbee_wire.terms, listed)


def nothing_yet(name: str) -> None:
    """For certain nothing came to that address; of another it says nothing."""
    said = _bee_says(name)
    ours = _bee_asked(said["address_in"], "https://amana.test/?order_id=1235")
    assert blockbee_wire.logged(said, ours) == ()
    refused("another address", blockbee_wire.logged, said, _bee_asked(EVM, ours.callback_url))
    other = _bee_asked(said["address_in"], "https://amana.test/?order_id=1236")
    refused("callback_url", blockbee_wire.logged, said, other)


def bee_error(name: str) -> None:
    said, words = blockbee_gateway.understand(400, raw(name), blockbee_gateway.ANSWER_BYTES_MAX)
    assert said == Answer(Verdict.DECLINED, "http_400", "coin_unavailable")
    assert words == told(name)["error"]
    _no_reader_of_bee(told(name))


def checkout_call(name: str) -> None:
    """A call of their checkout page, which is a GET and signed like ours."""
    refused("uuid", blockbee_wire.callback, _got(urlencode(told(name))))
    _no_reader_of_bee(told(name))


def other_product(name: str) -> None:
    """Neither a callback nor an answer to anything that we ask."""
    _no_reader_of_bee(_bee_says(name))


def _no_reader_of_bee(body: Mapping[str, Any]) -> None:
    url = "https://amana.test/hooks/b/00ff"
    refused("uuid", blockbee_wire.callback, _posted(json.dumps(body).encode()))
    refused("minimum_transaction_coin", blockbee_wire.terms, body)
    refused("value_coin", blockbee_wire.converted, body)
    refused("address_in", blockbee_wire.created, body, BTC, url)
    refused("address_in", blockbee_wire.logged, body, _bee_asked(EVM, url))


# -- DynoPay -------------------------------------------------------------------------------------


def _dyno_says(name: str) -> Mapping[str, Any]:
    said = dynopay_gateway._understand(200, raw(name))
    assert not isinstance(said, Answer)
    return said


def _hook(name: str) -> tuple[Deposit, ...]:
    request = RawRequest("POST", f"/hooks/d/{TOKEN}", "", {}, raw(name))
    return tuple(dynopay_wire.webhook(request, simulated=False))


def coins(txid: str, amount: str, *, pending: bool, cost: str = "0", minute: int) -> Check:
    """What came, never the price that the body repeats."""

    def check(name: str) -> None:
        (read,) = _hook(name)
        assert (read.txid, read.coin, read.amount) == (txid, "BTC", Decimal(amount))
        assert (read.pending, read.cost) == (pending, Decimal(cost))
        assert read.at == datetime(2021, 6, 28, 6, minute, tzinfo=UTC)

    return check


def no_link(name: str) -> None:
    """We make no links, so whatever one of them was paid is no attempt of ours."""
    assert _hook(name) == ()


def older_shape(name: str) -> None:
    """It names no event, so nobody can say whether its coins are there."""
    refused("event is missing", _hook, name)


def quoted(name: str) -> None:
    said = _dyno_says(name)
    data = told(name)["data"]
    meant = CoinQuote(Decimal("0.000245"), data["address"], "", data["transaction_id"])
    assert dynopay_wire.quote(said, BTC, FIFTEEN) == meant
    other = dynopay_wire.quote(said, BTC, Money(1501, Currency.USD))
    assert isinstance(other, Answer)


def asked_for(name: str) -> None:
    """We ask with the same keys, but nobody is sent back to a page of ours, and the answer is to
    name our token and come to our door.
    """
    body = dynopay_wire.creation(FIFTEEN, BTC, TOKEN, "https://amana.test/hooks/d")
    sent, sample = json.loads(body), told(name)
    assert sent.keys() - {"meta_data", "webhook_url"} == sample.keys() - {"redirect_uri"}
    assert (sent["amount"], sent["currency"]) == (sample["amount"], sample["currency"])


def link_asked_for(name: str) -> None:
    """A link lets the payer choose the coin: our own request always names one."""
    assert "currency" not in told(name)
    assert "currency" in json.loads(dynopay_wire.creation(FIFTEEN, BTC, TOKEN, ""))


def how_far(name: str) -> None:
    """The word, and no amount: those are the expected ones."""
    said = _dyno_says(name)
    assert dynopay_wire.payment_status(said) == "settled"
    assert isinstance(dynopay_wire.quote(said, BTC, FIFTEEN), Answer)
    refused("data is not a list", dynopay_wire.deliveries, said)


def no_key(name: str) -> None:
    said = dynopay_gateway._understand(401, raw(name))
    assert said == Answer(Verdict.DECLINED, "api_key_missing", "misconfigured")


def other_answer(name: str) -> None:
    """The answer to something that we don't ask is none to what we do."""
    said = _dyno_says(name)
    refused("base_currency", dynopay_wire.quote, said, BTC, FIFTEEN)
    refused("payment_status", dynopay_wire.payment_status, said)
    refused("data is not a list", dynopay_wire.deliveries, said)
    refused("event is missing", _hook, name)


# -- all of them ---------------------------------------------------------------------------------

PAGE = "of the checkout page, which we don't use"
PAYOUTS = "of its payouts, which we don't use"
LINKS = "of payment links, which we don't make"
SAMPLES: Mapping[str, tuple[str, Check]] = {
    "blockbee/callback-get-signed-data": ("refused: it names no coin", signed),
    "blockbee/callback-get-test": ("read: no money", no_money),
    "blockbee/callback-json-confirmed": (
        "read: 10 coins, 0.1 of them kept",
        deposit(pending=False, cost="0.1"),
    ),
    "blockbee/callback-json-pending": ("read: 10 coins on their way", deposit(pending=True)),
    "blockbee/callback-post-form-signed-data": ("refused: it names no coin", signed),
    "blockbee/checkout-ipn": (PAGE, checkout_call),
    "blockbee/checkout-logs": (PAGE, other_product),
    "blockbee/checkout-request-response": (PAGE, other_product),
    "blockbee/convert": ("read: so many coins", priced),
    "blockbee/create-response": ("read: an address", addressed),
    "blockbee/deposit-request-response": ("of deposits without an amount", other_product),
    "blockbee/error-response": ("refused: no such coin", bee_error),
    "blockbee/estimate": ("the network's fee: what was kept is said later", other_product),
    "blockbee/info-coins": ("read, entry by entry: the smallest payments", minimums),
    "blockbee/logs-empty": ("read: nothing came", nothing_yet),
    "blockbee/payout-created": (PAYOUTS, other_product),
    "blockbee/payout-list": (PAYOUTS, other_product),
    "blockbee/payout-process-queued": (PAYOUTS, other_product),
    "blockbee/payout-request-bulk-response": (PAYOUTS, other_product),
    "blockbee/payout-status-done": (PAYOUTS, other_product),
    "dynopay/createpayment-request": (LINKS, link_asked_for),
    "dynopay/createpayment-response": (LINKS, other_answer),
    "dynopay/cryptopayment-request": ("what we ask for an address with", asked_for),
    "dynopay/cryptopayment-response": ("read: a quote", quoted),
    "dynopay/error-api-key-missing": ("refused: our key", no_key),
    "dynopay/paymentstatus-response": ("read: how far it is, not how much came", how_far),
    "dynopay/supported-currencies": (
        "not asked: a coin without a wallet is declined when it is wanted",
        other_answer,
    ),
    "dynopay/webhook-direct-confirmed": (
        "read: coins",
        coins(HASH, "0.015", pending=False, cost="0.00075", minute=29),
    ),
    "dynopay/webhook-direct-pending": (
        "read: coins on their way",
        coins(HASH, "0.015", pending=True, minute=24),
    ),
    "dynopay/webhook-direct-underpaid": (
        "read: what came of them, on its way",
        coins("0xpartial789...", "0.01", pending=True, minute=24),
    ),
    "dynopay/webhook-legacy-shape": ("refused: it names no event", older_shape),
    "dynopay/webhook-link-confirmed": (LINKS, no_link),
    "dynopay/webhook-link-overpaid": (LINKS, no_link),
    "dynopay/webhook-link-pending": (LINKS, no_link),
    "dynopay/webhook-link-underpaid": (LINKS, no_link),
}


def test_every_file_has_its_meaning_and_every_meaning_its_file() -> None:
    files = {f"{path.parent.name}/{path.stem}" for path in FOLDER.glob("*/*.json")}
    assert files == set(SAMPLES)
    assert len(SAMPLES) == 35


@pytest.mark.parametrize("name", SAMPLES)
def test_it_becomes_what_it_should(name: str) -> None:
    _, check = SAMPLES[name]
    check(name)
