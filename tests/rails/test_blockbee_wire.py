"""What BlockBee calls us with and answers, each documented body by the name of its sample."""

import json
from datetime import UTC, datetime
from decimal import Decimal, localcontext
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from escrow.domain.coins import BY_CODE, COINS
from escrow.rails import blockbee_wire as wire
from escrow.services.ports import CoinAsked, Deposit, RawRequest, UnreadableError

TXID = "ab" * 32
ADDRESS = "TN3W4H6rK2ce4vX9YnFQHwKENnHjoxb3m9"
URL = "https://amana.test/hooks/b/00ff"


def got(query):
    return RawRequest("GET", f"/hooks/b/00ff?{query}", query, {}, b"")


def posted(body, kind="application/json"):
    body = body if isinstance(body, bytes) else body.encode()
    return RawRequest("POST", "/hooks/b/00ff", "", {"content-type": kind}, body)


def told(**changes):
    """A confirmed callback as the documentation lists its fields; None leaves one out."""
    fields = {
        "uuid": "5b0a2f6e-0c1d-4e2f-8a3b-4c5d6e7f8a9b",
        "address_in": ADDRESS,
        "address_out": "TLs4cUSm5pb5q2GNUnqNbVvNyMqCZkB2Xf",
        "txid_in": TXID,
        "txid_out": "cd" * 32,
        "confirmations": "1",
        "value_coin": "10.5",
        "value_forwarded_coin": "10.395",
        "fee_coin": "0.105",
        "coin": "trc20_usdt",
        "price": "1.0002",
        "pending": "0",
        **changes,
    }
    return {name: value for name, value in fields.items() if value is not None}


def read(**changes):
    return wire.callback(got(urlencode(told(**changes))))


def one(**changes):
    (deposit,) = read(**changes)
    return deposit


# -- the samples -------------------------------------------------------------------------------

EVM = "0x" + "1a" * 20
EVM_HASH = "0x" + "ab" * 32
CONFIRMED = (
    '{"uuid":"5b0a2f6e-0c1d-4e2f-8a3b-4c5d6e7f8a9b","address_in":"' + EVM + '",'
    '"address_out":"0x' + "fa" * 20 + '","txid_in":"' + EVM_HASH + '","txid_out":"0x'
    "" + "cd" * 32 + '","confirmations":1,"value_coin":10,"value_forwarded_coin":9.9,'
    '"fee_coin":0.1,"value_forwarded_coin_convert":"{\\"USD\\": \\"9.90\\"}",'
    '"coin":"base_usdc","price":1,"pending":0}'
)
PENDING = (
    '{"uuid":"5b0a2f6e-0c1d-4e2f-8a3b-4c5d6e7f8a9b","address_in":"' + EVM + '",'
    '"address_out":"0x' + "fa" * 20 + '","txid_in":"' + EVM_HASH + '","value_coin":10,'
    '"coin":"base_usdc","price":1,"pending":1}'
)
UNSIGNED_COIN = (
    "uuid=dbfcb40e-5a6b-4305-9fa2-b0fbda6e3ff2&address_in=3PFoGK63cVVUWnd2vu7W1kM83NXUfvzMqM"
    "&txid_in=a2174ffd39289100709f2a07b129cdbba69df2e22e5be1830221dab1fd4e332c&value_coin=0.05"
    "&confirmations=3&pending=0"
)
TEST = (
    "uuid=TEST_aabf0e8e-cf58-4719-b5db-237c3e9a32c0"
    "&address_in=TEST_0x0000000000000000000000000000000000000000"
    "&address_out=TEST_0x0000000000000000000000000000000000000000&confirmations=1"
    f"&txid_in=TEST_0x{'0' * 64}&txid_out=TEST_0x{'0' * 64}&fee=10000&fee_coin=0.01"
    "&value=1000000&value_coin=1&value_forwarded=990000&value_forwarded_coin=0.99"
    "&coin=test_coin&price=1&result=sent&pending=0"
)


def test_callback_json_confirmed():
    (deposit,) = wire.callback(posted(CONFIRMED))
    assert deposit == Deposit(
        EVM_HASH,
        "base_usdc",
        Decimal(10),
        False,
        address=EVM,
        cost=Decimal("0.1"),
        usd=Decimal(1),
    )


def test_callback_json_pending():
    (deposit,) = wire.callback(posted(PENDING))
    assert (deposit.pending, deposit.amount, deposit.cost) == (True, 10, 0)
    assert deposit.txid == EVM_HASH


def test_callback_get_test_is_no_money():
    """callback-get-test: the dashboard's button, with BlockBee's own signature."""
    assert wire.callback(got(TEST)) == ()


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(got(UNSIGNED_COIN), id="callback-get-signed-data"),
        pytest.param(posted(UNSIGNED_COIN, "x"), id="callback-post-form-signed-data"),
    ],
)
def test_the_signing_samples_name_no_coin_and_are_refused(request_):
    with pytest.raises(UnreadableError, match="coin is missing"):
        wire.callback(request_)


@pytest.mark.parametrize("ways", [got, posted])
def test_the_signing_samples_with_their_coin_are_read(ways):
    (deposit,) = wire.callback(ways(UNSIGNED_COIN + "&coin=btc"))
    assert (deposit.coin, deposit.amount, deposit.pending) == ("BTC", Decimal("0.05"), False)
    assert deposit.usd is None


def test_convert():
    said = {"status": "success", "value_coin": "241.126", "exchange_rate": "0.803753"}
    assert wire.converted(said) == Decimal("241.126")


def test_info_coins():
    """An entry of the list is what the ticker's own page says."""
    entry = {
        "coin": "Bitcoin",
        "ticker": "btc",
        "minimum_transaction": 8000,
        "minimum_transaction_coin": "0.00008000",
        "minimum_fee_coin": "0.00000546",
        "fee_percent": "1.000",
    }
    assert wire.terms(entry) == wire.Terms(Decimal("0.00008"), None)
    priced = {**entry, "prices": {"AED": "396670.64", "USD": "107995.3359480198"}}
    assert wire.terms(priced).usd == Decimal("107995.3359480198")
    with pytest.raises(UnreadableError):
        wire.terms({"btc": entry})


def test_create_response():
    said = {
        "address_in": "14PqCsA7KMgseZMPwg6mJy754MtQkrgszu",
        "address_out": "1H6ZZpRmMnrw8ytepV3BYwMjYYnEkWDqVP",
        "callback_url": "https://example.com/invoice/1234?payment_id=5678",
        "priority": "default",
        "status": "success",
    }
    ours = "https://example.com/invoice/1234?payment_id=5678"
    assert wire.created(said, BY_CODE["BTC"], ours) == said["address_in"]
    escaped = {**said, "callback_url": "https://example.com/invoice/1234?payment_id%3D5678"}
    assert wire.created(escaped, BY_CODE["BTC"], ours) == said["address_in"]
    with pytest.raises(UnreadableError, match="callback_url"):
        wire.created(said, BY_CODE["BTC"], URL)
    with pytest.raises(UnreadableError, match="address_in"):
        wire.created(said, BY_CODE["USDT-TRC20"], ours)


def asked_for(address=ADDRESS, coin="USDT-TRC20"):
    return CoinAsked("00ff", BY_CODE[coin], Decimal(10), address, URL)


def logs(*entries, address=ADDRESS, url=URL):
    return {
        "status": "success",
        "callback_url": url,
        "address_in": address,
        "notify_pending": False,
        "notify_confirmations": 1,
        "priority": "default",
        "callbacks": list(entries),
    }


def test_logs_empty():
    own = "0x58e90D31530A5566dA97e34205730323873eb88B"
    said = logs(address=own, url="https://example.com/?order_id=1235")
    asked = CoinAsked(
        "1235", BY_CODE["ETH"], Decimal(1), own.lower(), "https://example.com/?order_id=1235"
    )
    assert wire.logged(said, asked) == ()


# -- callbacks ---------------------------------------------------------------------------------


def test_every_way_of_calling_says_the_same():
    fields = told()
    text = urlencode(fields)
    numbers = {**fields, "pending": 0, "confirmations": 1}
    exact = json.dumps(numbers).replace('"10.5"', "10.5").replace('"10.395"', "1.0395E+1")
    ways = [got(text), posted(text, "whatever"), posted(exact), posted(json.dumps(fields))]
    assert len({wire.callback(way) for way in ways}) == 1
    (deposit,) = wire.callback(ways[0])
    assert deposit == Deposit(
        TXID,
        "USDT-TRC20",
        Decimal("10.5"),
        False,
        address=ADDRESS,
        cost=Decimal("0.105"),
        usd=Decimal("1.0002"),
    )


def test_the_query_of_a_post_is_not_signed_and_not_read():
    good, other = told(), told(value_coin="999999")
    request = RawRequest("POST", "/x?" + urlencode(other), urlencode(other), {}, b"{}")
    with pytest.raises(UnreadableError):
        wire.callback(request)
    request = RawRequest(
        "POST", "/x?" + urlencode(other), urlencode(other), {}, json.dumps(good).encode()
    )
    (deposit,) = wire.callback(request)
    assert deposit.amount == Decimal("10.5")


def test_somebody_elses_signed_url_is_no_form():
    """One key signs for everybody: what was signed as a URL must not be read as a body."""
    with pytest.raises(UnreadableError, match="a name that none has"):
        wire.callback(posted(f"https://evil.test/?a=1&{urlencode(told())}"))


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("0.05", "0.05"),
        ("5E-2", "0.05"),
        ("1.844926267290333679", "1.844926267290333679"),
        ("0.1234567890123456789", "0.123456789012345678"),
        ("1e19", "1e19"),
        ("00010.50", "10.5"),
        ("12345678901234567890.123456789012345678", "12345678901234567890.123456789012345678"),
    ],
)
def test_an_amount_is_exact_in_whatever_form(text, amount):
    changes = {"value_coin": text, "value_forwarded_coin": None, "fee_coin": None}
    with localcontext(prec=5):
        assert one(**changes).amount == Decimal(amount)


@pytest.mark.parametrize("text", ["0", "0E-8", "0.000000000000000000", "1E-30"])
def test_nothing_at_all_is_no_deposit(text):
    assert read(value_coin=text, value_forwarded_coin=None, fee_coin=None) == ()


NO_AMOUNTS = ["", "-1", "+1", "nan", "NaN", "Infinity", "1e20", "1e99", "1e999", "1_0", "1,5"]
NO_AMOUNTS += [" 1", "0x10", "1" * 31, "1." + "1" * 41, "٣", "1.", ".5", "1\n", "true"]


@pytest.mark.parametrize("text", NO_AMOUNTS)
def test_what_is_no_amount_is_unreadable(text):
    for way in (
        got(urlencode(told(value_coin=text))),
        posted(json.dumps(told(value_coin=text))),
    ):
        with pytest.raises(UnreadableError):
            wire.callback(way)


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-1", "1e31", "true", "null", "[1]", "-0.5"])
def test_a_json_number_that_is_no_amount_is_unreadable(text):
    body = json.dumps(told(value_coin="@")).replace('"@"', text)
    with pytest.raises(UnreadableError):
        wire.callback(posted(body))


def test_a_pending_callback_may_not_know_the_amount_yet():
    assert read(pending="1", value_coin=None) == ()
    with pytest.raises(UnreadableError, match="value_coin"):
        read(value_coin=None)


@pytest.mark.parametrize(("value", "expected"), [(0, False), (1, True), ("0", False), ("1", True)])
def test_pending_is_a_number_or_text(value, expected):
    (deposit,) = wire.callback(posted(json.dumps(told(pending=value))))
    assert deposit.pending is expected


@pytest.mark.parametrize("value", [None, "", "2", 2, -1, True, False, "true", "00", 1.0, [1]])
def test_anything_else_is_neither_pending_nor_confirmed(value):
    fields = told()
    fields["pending"] = value
    with pytest.raises(UnreadableError, match="pending"):
        wire.callback(posted(json.dumps(fields)))


def test_confirmed_and_pending_at_once_is_unreadable():
    with pytest.raises(UnreadableError, match="different things"):
        read(result="pending")
    assert one(result="done").pending is False


@pytest.mark.parametrize(
    ("changes", "cost"),
    [
        ({}, "0.105"),
        ({"value_forwarded_coin": "9"}, "1.5"),  # the network's part, too
        ({"value_forwarded_coin": None}, "0.105"),
        ({"fee_coin": None}, "0.105"),
        ({"fee_coin": None, "value_forwarded_coin": None}, "0"),
        ({"value_forwarded_coin": "10.5"}, "0.105"),  # as the documentation's own example
        ({"value_forwarded_coin": "11", "fee_coin": None}, "0"),  # never negative
        ({"fee_coin": "11"}, "10.5"),  # never more than came
        ({"value_forwarded_coin": "0"}, "10.5"),
    ],
)
def test_what_was_kept_on_the_way_is_the_cost(changes, cost):
    assert one(**changes).cost == Decimal(cost)
    assert one(**changes).amount == Decimal("10.5")


@pytest.mark.parametrize(
    ("word", "code"),
    [(coin.blockbee.replace("/", "_"), coin.code) for coin in COINS if coin.blockbee]
    + [("TRC20/USDT", "USDT-TRC20"), ("BTC", "BTC"), ("XRP", "xrp"), ("polygon_pol", "polygon_pol")]
    + [("USDT-TRC20", "usdt-trc20")],
)
def test_a_coin_gets_our_code_or_keeps_the_providers_word(word, code):
    assert one(coin=word).coin == code


@pytest.mark.parametrize(
    ("changes", "usd"),
    [
        ({}, "1.0002"),
        ({"price": "107995.3359480198"}, "107995.3359480198"),
        ({"price": None}, None),
        ({"price": "0"}, None),
        ({"price": "", "value_coin_convert": '{"USD": "21.00"}'}, "2"),
        ({"price": None, "value_coin_convert": '{"USD": "0.00"}'}, None),
        ({"price": None, "value_coin_convert": '{"EUR": "21.00"}'}, None),
    ],
)
def test_the_price_of_one_coin(changes, usd):
    assert one(**changes).usd == (None if usd is None else Decimal(usd))


def test_the_conversion_may_be_an_object():
    body = json.dumps({**told(price=None), "value_coin_convert": {"USD": "10.50"}})
    (deposit,) = wire.callback(posted(body))
    assert deposit.usd == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"price": "-1"},
        {"price": "nan"},
        {"price": None, "value_coin_convert": "{"},
        {"price": None, "value_coin_convert": "[]"},
        {"price": None, "value_coin_convert": '{"USD":"1","USD":"2"}'},
        {"price": None, "value_coin_convert": '{"USD":NaN}'},
        {"fee_coin": "-1"},
        {"value_forwarded_coin": "x"},
        {"uuid": None},
        {"uuid": ""},
        {"uuid": "a b c d e f"},
        {"txid_in": None},
        {"txid_in": "a#1:btc-and-more"},
        {"txid_in": "x" * 129},
        {"address_in": None},
        {"address_in": "a b"},
        {"coin": None},
        {"coin": "x" * 41},
        {"coin": "b tc"},
    ],
)
def test_what_is_not_as_documented_is_unreadable(changes):
    with pytest.raises(UnreadableError):
        read(**changes)


def test_one_payment_has_one_name_however_its_hash_is_written():
    assert one(txid_in="0x" + "AB" * 32).txid == "0x" + "ab" * 32
    assert one(txid_in="AB" * 32).txid == one(txid_in="ab" * 32).txid
    assert one(txid_in="Not-A-Hash").txid == "Not-A-Hash"


@pytest.mark.parametrize(
    "request_",
    [
        got(""),
        got("uuid"),
        got(urlencode(told()) + "&value_coin=11"),
        got(urlencode(told()) + "&%76alue_coin=11"),
        got(urlencode(told()) + "&x=" + "y" * 8192),
        got(urlencode(told()) + "&x=%FF"),
        got(urlencode(told()) + "&x=é"),
        got("&".join(f"a{n}=1" for n in range(65))),
        posted(b""),
        posted(b"\xff\xfe{}"),
        posted(b"{"),
        posted(b"[]"),
        posted(b"[1]"),
        posted(b'{"uuid":"a","uuid":"b"}'),
        posted(b" " * 65537),
        posted(b'{"a":' * 40 + b"1" + b"}" * 40),
        RawRequest("HEAD", "/x", urlencode(told()), {}, b""),
        RawRequest("PUT", "/x", "", {}, json.dumps(told()).encode()),
    ],
)
def test_what_is_no_callback_at_all_is_unreadable(request_):
    with pytest.raises(UnreadableError):
        wire.callback(request_)


def test_our_own_parameters_may_stand_before_theirs():
    (deposit,) = wire.callback(got("attempt=00ff&" + urlencode(told())))
    assert deposit.txid == TXID


def test_words_of_errors_do_not_quote():
    secret = "SECRET"
    for body in (f'{{"uuid":"{secret} {secret}"}}', f'{{"{secret}":', f"{secret}%FF=%FF&a"):
        with pytest.raises(UnreadableError) as caught:
            wire.callback(posted(body))
        assert secret not in str(caught.value)
        assert caught.value.__cause__ is None


# -- logs --------------------------------------------------------------------------------------


def entry(**changes):
    """The documentation's entry, in our coin."""
    fields = {
        "txid_in": "33f11611f863d7475eb10daada2f225f0877561cf58cdfff175e99635dfd9120",
        "txid_out": "5ea53d5e728bfdb56b54c0b945990b69ae1e66cec56ab24679c9a622c4695276",
        "value_coin": Decimal("0.1"),
        "value_forwarded_coin": "0.08",
        "confirmations": 13,
        "last_update": "15/02/2018 21:23:42",
        "result": "done",
        "fee_percent": 1,
        "fee_coin": Decimal("0.02"),
        "logs": [{"request_url": "https://example.com/callback.php?order_id=423"}],
        **changes,
    }
    return {name: value for name, value in fields.items() if value is not None}


def test_a_payment_in_the_logs():
    (deposit,) = wire.logged(logs(entry()), asked_for())
    assert deposit == Deposit(
        "33f11611f863d7475eb10daada2f225f0877561cf58cdfff175e99635dfd9120",
        "USDT-TRC20",
        Decimal("0.1"),
        False,
        address=ADDRESS,
        cost=Decimal("0.02"),
        at=datetime(2018, 2, 15, 21, 23, 42, tzinfo=UTC),
    )


@pytest.mark.parametrize(("word", "pending"), [("pending", True), ("sent", False), ("done", False)])
def test_the_result_says_whether_it_is_confirmed(word, pending):
    (deposit,) = wire.logged(logs(entry(result=word)), asked_for())
    assert deposit.pending is pending


@pytest.mark.parametrize("word", [None, "", "Done", "ok", 1, True])
def test_another_result_is_not_believed(word):
    with pytest.raises(UnreadableError):
        wire.logged(logs(entry(result=word)), asked_for())


def test_an_older_log_names_its_coin():
    (deposit,) = wire.logged(logs(entry(coin="trc20_usdc")), asked_for())
    assert deposit.coin == "trc20_usdc"


def test_a_day_without_an_hour_is_no_time():
    for when in ("15/02/2018", "31/02/2018 10:00:00", "", None, 5):
        (deposit,) = wire.logged(logs(entry(last_update=when)), asked_for())
        assert deposit.at is None


def test_one_odd_entry_hides_no_money(caplog):
    good, odd = entry(), entry(txid_in="")
    assert len(wire.logged(logs(odd, good, "x"), asked_for())) == 1
    assert len([r for r in caplog.records if "can't be read" in r.message]) == 2
    with pytest.raises(UnreadableError):
        wire.logged(logs(odd), asked_for())


def test_coins_whose_amount_is_not_known_yet_are_not_listed():
    on_the_way = entry(result="pending", value_coin=None, value_forwarded_coin=None)
    assert wire.logged(logs(on_the_way), asked_for()) == ()


@pytest.mark.parametrize(
    "said",
    [
        logs(entry(), address="TLs4cUSm5pb5q2GNUnqNbVvNyMqCZkB2Xf"),
        logs(entry(), address=ADDRESS.lower()),
        logs(entry(), url="https://amana.test/hooks/b/ffff"),
        {**logs(), "callbacks": None},
        {**logs(), "callbacks": {}},
        {},
    ],
)
def test_logs_of_something_else_are_unreadable(said):
    with pytest.raises(UnreadableError):
        wire.logged(said, asked_for())


# -- whatever comes ----------------------------------------------------------------------------

ANY = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from([ADDRESS, TXID, "0", "1", "btc", "0E-8", "nan", "1e99", "\x00", "\ud800"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from([*told(), "value_coin_convert", "result", "last_update"]) | st.text()


def harmless(call):
    try:
        return call()
    except UnreadableError:
        return ()


@given(st.binary(max_size=400), st.text(max_size=400))
def test_no_bytes_break_the_reader(body, query):
    harmless(lambda: wire.callback(RawRequest("POST", "/x", "", {}, body)))
    harmless(lambda: wire.callback(RawRequest("GET", "/x?" + query, query, {}, b"")))


@given(st.dictionaries(NAMES, ANY, max_size=4), st.booleans())
def test_no_fields_break_the_reader(changes, whole):
    fields = {**(told() if whole else {}), **changes}
    body = json.dumps(fields).encode()
    for deposit in harmless(lambda: wire.callback(posted(body))):
        assert deposit.amount > 0
        assert 0 <= deposit.cost <= deposit.amount
        assert deposit.txid
        assert deposit.usd is None or deposit.usd > 0
    safe = {k: v for k, v in fields.items() if "\ud800" not in f"{k}{v}"}
    query = urlencode(safe, errors="replace")
    harmless(lambda: wire.callback(got(query)))
    coin = BY_CODE["USDT-TRC20"]
    for reader in (wire.terms, wire.converted, lambda f: wire.created(f, coin, URL)):
        harmless(lambda reader=reader: reader(fields))


@given(
    st.lists(
        ANY
        | st.dictionaries(NAMES, ANY, max_size=4).map(
            lambda c: entry(**{k: v for k, v in c.items() if k.isidentifier()})
        ),
        max_size=3,
    )
)
def test_no_logs_break_the_reader(entries):
    harmless(lambda: wire.logged(logs(*entries), asked_for()))


@given(
    st.decimals(min_value=0, max_value=10**19, allow_nan=False, allow_infinity=False, places=18),
    st.sampled_from(["f", "E"]),
)
def test_18_decimals_survive_every_way(amount, form):
    text = format(amount, form)
    changes = {"value_coin": text, "value_forwarded_coin": None, "fee_coin": None}
    if len(amount.as_tuple().digits) > 30:  # more than JSON numbers may have here
        ways = [got(urlencode(told(**changes)))]
    else:
        numbers = json.dumps(told(**changes)).replace(json.dumps(text), text)
        ways = [got(urlencode(told(**changes))), posted(numbers)]
    for way in ways:
        deposits = wire.callback(way)
        assert [one.amount for one in deposits] == ([amount] if amount else [])
