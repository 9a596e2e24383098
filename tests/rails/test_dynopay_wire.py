"""DynoPay's signatures and webhooks: what is believed, and what is read of it."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from escrow.rails.dynopay import DynoPay
from escrow.rails.dynopay_gateway import DynoPayConfig
from escrow.services.ports import Deposit, UnreadableError
from tests.rails.dynopay_samples import HASH, PATH, SECRET, TOKEN, WEBHOOKS, posted, v2, webhook
from tests.rails.fakes import NOW, TLS, Clock

T = int(NOW.timestamp())
PENDING, UNDERPAID, CONFIRMED = (
    f"webhook-direct-{name}" for name in ("pending", "underpaid", "confirmed")
)


def rail(clock=None, **changes):
    fields = {"base_url": "https://dynopay.test", "api_key": "dpk_live_k", "webhook_secret": SECRET}
    http = httpx.AsyncClient(verify=TLS)  # never used, never opened
    return DynoPay(DynoPayConfig(**{**fields, **changes}), http, clock or Clock())


ONE = rail()


def read(name, path=PATH, rail_=None, **changes):
    (found,) = (rail_ or rail()).read(posted(webhook(name, **changes), path=path))
    return found


def refused(body, path=PATH):
    with pytest.raises(UnreadableError) as caught:
        rail().read(posted(body, path=path))
    return str(caught.value)


# -- signatures --------------------------------------------------------------------------------


async def test_a_body_signed_with_our_secret_is_dynopays():
    """The vector is openssl's: HMAC-SHA256 of `1624861448.{}`."""
    right = "a91fc2ea3df6f4ab7bcb5a4321da53ef6ec1541a31426a7f7de24f0b05d0eccf"
    assert await rail().authentic(posted(b"{}", f"t=1624861448,v1={right}"))
    wrong = right[:-1] + ("0" if right[-1] != "0" else "1")
    assert not await rail().authentic(posted(b"{}", f"t=1624861448,v1={wrong}"))


async def test_any_of_several_signatures_may_fit_while_a_secret_is_changed():
    old, new = v2(b"{}", "whsec_old"), v2(b"{}")
    for claims in ((old, new), (new, old), ("0" * 64, old, new), (new, new)):
        header = ",".join([f"t={T}", *(f"v1={claim}" for claim in claims)])
        assert await rail().authentic(posted(b"{}", header))
    assert not await rail().authentic(posted(b"{}", f"t={T},v1={old},v1={'0' * 64}"))


@pytest.mark.parametrize("seconds", [-300, 0, 300])
async def test_five_minutes_either_way_are_fresh(seconds):
    signed = NOW + timedelta(seconds=seconds)
    header = f"t={T + seconds},v1={v2(b'{}', at=signed)}"
    assert await rail().authentic(posted(b"{}", header))


@pytest.mark.parametrize("seconds", [-301, 301, -86400, 86400])
async def test_a_genuine_signature_of_another_time_is_no_use(seconds):
    signed = NOW + timedelta(seconds=seconds)
    header = f"t={T + seconds},v1={v2(b'{}', at=signed)}"
    assert not await rail().authentic(posted(b"{}", header))


async def test_a_fresh_signature_ages_by_the_clock():
    clock = Clock()
    one = rail(clock)
    request = posted(b"{}")
    assert await one.authentic(request)
    clock.at += timedelta(seconds=300, microseconds=1)
    assert not await one.authentic(request)


async def test_another_body_time_or_secret_is_refused():
    good = v2(b'{"amount":1}')
    assert not await rail().authentic(posted(b'{"amount":2}', f"t={T},v1={good}"))
    assert not await rail().authentic(posted(b'{"amount":1}', f"t={T + 1},v1={good}"))
    assert not await rail().authentic(posted(b"{}", f"t={T},v1={v2(b'{}', 'whsec_guess')}"))
    assert not await rail().authentic(
        posted(b"{}", f"t={T},v1={v2(b'{}', 'dynopay-webhook-default-v1')}")
    )


async def test_nothing_but_version_two_is_believed():
    """An unsigned one, and one with the old signature alone."""
    body = b"{}"
    for headers in ({}, {"x-dynopay-signature": v2(body)}, {"X-Dynopay-Signature-V2": v2(body)}):
        request = posted(body)
        bare = type(request)("POST", PATH, "", headers, body)
        assert not await rail().authentic(bare)


GOOD = v2(b"{}")


@pytest.mark.parametrize(
    "header",
    [
        "",
        ",",
        "=",
        f"v1={GOOD}",
        f"t=,v1={GOOD}",
        f"t={T},t={T},v1={GOOD}",
        f"t={T}.0,v1={GOOD}",
        f"t=-{T},v1={GOOD}",
        f"t=+{T},v1={GOOD}",
        f"t={'9' * 400},v1={GOOD}",
        f"t=١٦٢٤٨٦١٤٤٨,v1={GOOD}",
        f"t={T},v1=",
        f"t={T},v1={GOOD[:-1]}",
        f"t={T},v2={GOOD}",
        f"t={T};v1={GOOD}",
        f"T={T},V1={GOOD}",
        f"t={T},v1=\ud800",
        f"t={T},v1={GOOD}" + "," * 5000,
    ],
    ids=range(18),
)
async def test_a_header_of_another_form_is_refused(header):
    assert not await rail().authentic(posted(b"{}", header))


async def test_case_and_spaces_do_no_harm():
    assert await rail().authentic(posted(b"{}", f" t={T}, v1={GOOD.upper()} "))


@given(st.text(), st.binary(max_size=200))
async def test_no_header_and_no_body_makes_it_raise(header, body):
    assert not await ONE.authentic(posted(body, header))


@given(st.lists(st.sampled_from(["t=", "v1=", str(T), GOOD, ",", "=", " ", "0" * 64]), max_size=9))
async def test_no_mixture_of_its_parts_makes_it_raise(parts):
    header = "".join(parts)
    fits = await ONE.authentic(posted(b"{}", header))
    assert not fits or (f"t={T}" in header and f"v1={GOOD}" in header)


# -- every sample ------------------------------------------------------------------------------


def test_pending_coins_are_on_their_way():
    assert read(PENDING) == Deposit(
        txid=HASH,
        coin="BTC",
        amount=Decimal("0.015"),
        pending=True,
        address="0xabcdef1234567890abcdef1234567890abcdef12",
        at=datetime(2021, 6, 28, 6, 24, tzinfo=UTC),
    )


def test_underpaid_coins_are_on_their_way_in_what_came_not_what_was_asked():
    found = read(UNDERPAID)
    assert (found.txid, found.amount, found.pending) == ("0xpartial789...", Decimal("0.01"), True)


def test_confirmed_coins_are_there_and_what_was_kept_is_their_cost():
    assert read(CONFIRMED) == Deposit(
        txid=HASH,
        coin="BTC",
        amount=Decimal("0.015"),
        pending=False,
        cost=Decimal("0.00075"),
        at=datetime(2021, 6, 28, 6, 29, tzinfo=UTC),
    )


@pytest.mark.parametrize("kind", ["pending", "underpaid", "confirmed", "overpaid"])
def test_a_payment_link_is_none_of_ours(kind):
    assert rail().read(posted(webhook(f"webhook-link-{kind}"))) == ()


def test_the_legacy_shape_is_refused():
    assert refused(webhook("webhook-legacy-shape")) == "event is missing or no text"


# -- what is read ------------------------------------------------------------------------------


@pytest.mark.parametrize("base", [500, 1_000_000, "500", None, ..., {}])
def test_the_price_that_was_asked_is_never_what_came(base):
    """A cent's worth with the full `base_amount` is a cent's worth."""
    for name in (PENDING, CONFIRMED):
        tiny = {"amount": 0.00000001, "merchant_amount": ..., "total_fee": ...}
        assert read(name, base_amount=base, **tiny).amount == Decimal("1E-8")
    assert read(UNDERPAID, base_amount=base, amount=0.015).amount == Decimal("0.01")


def test_underpaid_and_then_confirmed_are_one_deposit():
    short = read(UNDERPAID, txId=HASH)
    done = read(CONFIRMED, amount=0.01, merchant_amount=0.0099)
    assert (short.txid, short.coin, short.amount) == (done.txid, done.coin, done.amount)
    assert (short.pending, done.pending) == (True, False)


def test_several_deposits_of_one_payment_have_hashes_of_their_own():
    first, second = "0x" + "1" * 64, "0x" + "2" * 64
    found = {read(CONFIRMED, transaction_reference=one).txid for one in (first, second)}
    assert found == {first, second}


def test_settled_and_other_news_credit_nothing():
    """Settled is the way out to our own wallet: its hash may be another one."""
    for event in (
        *("payment.settled", "payment.settlement_failed", "payment.overpaid", "payment.created"),
        *("payment.expired", "payment.succeeded", "webhook.test"),
    ):
        assert rail().read(posted(webhook(CONFIRMED, event=event))) == ()
        assert rail().read(posted({"event": event})) == ()


@pytest.mark.parametrize("event", ["payment.refunded", "PAYMENT.CONFIRMED", "", None, 1, ["x"], {}])
def test_an_event_that_nobody_lists_goes_to_a_person(event):
    assert refused(webhook(CONFIRMED, event=event)).startswith("event is")


@pytest.mark.parametrize("status", ["done", "completed", "confirmed", "failed", None, 7])
def test_the_event_counts_not_the_status(status):
    assert read(CONFIRMED, status=status).pending is False
    assert read(PENDING, status="confirmed").pending is True


@pytest.mark.parametrize(
    ("written", "amount"),
    [
        ("0.015", "0.015"),
        ('"0.015"', "0.015"),
        ('"0.01500000"', "0.015"),
        ("1.5e-2", "0.015"),
        ('"1.5E-2"', "0.015"),
        ("1", "1"),
        ("0.00000001", "1E-8"),
        ("21000000.00000001", "21000000.00000001"),
        ("0.015000000000000001", "0.015"),
        ("0.30000000000000004", "0.3"),
        ("0.014999999999999999", "0.015"),
    ],
)
def test_amounts_are_exact_as_number_and_as_text(written, amount):
    """Finer than the network's own digits is the noise of their floats."""
    text = json.dumps(webhook(CONFIRMED, amount="@", merchant_amount=..., total_fee=...))
    (found,) = rail().read(posted(text.replace('"@"', written).encode()))
    assert found.amount == Decimal(amount)


def test_eighteen_decimals_of_ether_are_kept():
    one = "0.123456789012345678"
    assert read(PENDING, currency="ETH", amount=one).amount == Decimal(one)


@pytest.mark.parametrize(
    "amount",
    [
        *(0, -1, "0", "-0.1", "nan", "Infinity", "", " 1", "1 ", "0x1", "1,5", "1_0", "1" * 21),
        *(None, ..., True, [], {}, "1e99", "1e-99", 1e-9, "١"),
    ],
)
def test_what_is_no_amount_is_unreadable(amount):
    assert "amount" in refused(webhook(CONFIRMED, amount=amount))
    assert "amount_received" in refused(webhook(UNDERPAID, amount_received=amount))


@pytest.mark.parametrize(
    ("fees", "cost"),
    [
        ({"merchant_amount": 0.01425, "total_fee": 1}, "0.00075"),
        ({"merchant_amount": 0, "total_fee": 0.015}, "0.015"),
        ({"merchant_amount": "0.015"}, "0"),
        ({"merchant_amount": ..., "total_fee": "0.001"}, "0.001"),
        ({"merchant_amount": None, "total_fee": None}, "0"),
        ({"merchant_amount": ..., "total_fee": ...}, "0"),
    ],
)
def test_the_cost_is_what_did_not_reach_us(fees, cost):
    assert read(CONFIRMED, **fees).cost == Decimal(cost)


@pytest.mark.parametrize(
    "fees",
    [
        {"merchant_amount": 0.016},
        {"merchant_amount": -1},
        {"merchant_amount": "x"},
        {"merchant_amount": ..., "total_fee": 1},
        {"merchant_amount": ..., "total_fee": []},
    ],
)
def test_more_kept_than_came_is_unreadable(fees):
    refused(webhook(CONFIRMED, **fees))


def test_the_hash_is_where_each_event_has_it():
    other = "0x" + "cd" * 32
    assert "txId" in refused(webhook(PENDING, txId=..., transaction_reference=other))
    assert "reference" in refused(webhook(CONFIRMED, transaction_reference=..., txId=other))
    assert read(CONFIRMED, txId=HASH).txid == HASH
    assert read(PENDING, transaction_reference=HASH.upper().replace("0X", "0x")).txid == HASH
    assert "two hashes" in refused(webhook(CONFIRMED, txId=other))
    assert "two hashes" in refused(webhook(PENDING, transaction_reference=other))


def test_a_hash_in_another_case_is_the_same_payment():
    upper = "AB12" * 16
    assert read(CONFIRMED, transaction_reference=upper).txid == upper.lower()
    assert read(PENDING, txId=upper.lower()).txid == upper.lower()
    solana = "5xKpABCDEFGH7mZq"  # base58 has a case
    assert read(PENDING, txId=solana).txid == solana


@pytest.mark.parametrize("txid", ["", "a", "a b", "x#1", "a" * 129, None, 12345, ["x"], "тт123456"])
def test_what_is_no_hash_is_unreadable(txid):
    refused(webhook(CONFIRMED, transaction_reference=txid))


@pytest.mark.parametrize(
    ("word", "coin"),
    [("USDT-TRC20", "USDT-TRC20"), ("xrp", "XRP"), ("DOGE", "DOGE"), ("USDT", "USDT")],
)
def test_a_coin_has_our_code_or_their_word(word, coin):
    assert read(PENDING, currency=word).coin == coin


@pytest.mark.parametrize("word", ["", "B", "a" * 33, "BTC ", "BTC:1", None, 1])
def test_what_is_no_word_for_a_coin_is_unreadable(word):
    assert refused(webhook(PENDING, currency=word)).startswith("currency")


def test_a_destination_tag_comes_as_number_or_text():
    for tag in (847291, "847291", "0847291"):
        assert read(PENDING, currency="XRP", destination_tag=tag).tag == "847291"
    assert read(PENDING, currency="XRP", destination_tag=None).tag == ""
    for wrong in (-1, 1.5, "x", True, [], 2**32, "9" * 11):
        assert "destination_tag" in refused(webhook(PENDING, destination_tag=wrong))


def test_the_token_that_comes_back_must_be_the_paths():
    """A signature does not cover the path: one body is no use at another of our paths."""
    for meta in ({"token": TOKEN}, json.dumps({"token": TOKEN}), {"x": 1}, None, "null", ...):
        assert read(CONFIRMED, meta_data=meta).txid == HASH
    for path in ("/hooks/dynopay/" + "6a" * 16, "/hooks/dynopay/", PATH + "0", "/" + TOKEN[:-1]):
        body = webhook(CONFIRMED, meta_data={"token": TOKEN})
        assert refused(body, path) == "meta_data names another payment than the path"
    for wrong in ("", "{", "[]", "x", 1, [], {"token": 1}, {"token": []}, '{"token":""}'):
        refused(webhook(CONFIRMED, meta_data=wrong))


def test_simulated_coins_are_coins_for_a_test_key_only():
    test_rail = rail(api_key="dpk_test_k")
    assert read(CONFIRMED, rail_=test_rail, simulated=True).txid == HASH
    assert "simulated" in refused(webhook(CONFIRMED, simulated=True))
    assert read(CONFIRMED, simulated=False).txid == HASH


@pytest.mark.parametrize("kind", [None, ..., "", "direct", 1, []])
def test_what_is_neither_link_nor_direct_goes_to_a_person(kind):
    assert refused(webhook(CONFIRMED, payment_type=kind)).startswith("payment_type")


def test_a_direct_payment_has_no_link():
    assert refused(webhook(CONFIRMED, link_id=7)).startswith("payment_type")


@pytest.mark.parametrize("when", ["", "yesterday", "2021-06-28T06:24:00", 1624861448, None, [], {}])
def test_a_time_in_another_form_is_no_time(when):
    assert read(CONFIRMED, completed_at=when).at is None


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b"\xff", b'{"event":"a","event":"b"}', b"[" * 40]
)
def test_what_is_no_object_is_unreadable(body):
    refused(body)


def test_a_body_is_never_quoted_in_what_is_logged():
    assert "secretive" not in refused(webhook(CONFIRMED, amount="secretive"))
    assert "secretive" not in refused(webhook(CONFIRMED, event="secretive"))


# -- whatever comes ----------------------------------------------------------------------------

JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
FIELDS = sorted({key for body in WEBHOOKS.values() for key in body} | {"destination_tag"})


def tried(body):
    """Deposits or `UnreadableError`, and every deposit is money."""
    try:
        found = ONE.read(posted(body))
    except UnreadableError:
        return
    for one in found:
        assert 0 < one.amount < 10**20
        assert 0 <= one.cost <= one.amount
        assert one.txid
        assert one.coin


@given(st.binary(max_size=400))
def test_no_bytes_make_it_raise_anything_else(body):
    tried(body)


@given(
    st.sampled_from(sorted(WEBHOOKS)),
    st.dictionaries(st.sampled_from(FIELDS), JUNK | st.just(...), max_size=4),
)
def test_no_field_makes_it_raise_anything_else(name, changes):
    tried(webhook(name, **changes))


@given(
    st.decimals(min_value="1e-8", max_value="21000000", places=8, allow_nan=False),
    st.booleans(),
)
def test_every_amount_of_bitcoin_is_read_as_it_is(amount, as_text):
    written = f'"{amount:f}"' if as_text else f"{amount:f}"
    text = json.dumps(webhook(PENDING, amount="@")).replace('"@"', written)
    (found,) = ONE.read(posted(text.encode()))
    assert found.amount == amount
