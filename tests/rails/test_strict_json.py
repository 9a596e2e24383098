"""One reading of a body or none, and no words of the body in an error."""

import contextlib
import json
import time
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from escrow.rails import strict_json
from escrow.services.ports import UnreadableError

TEXT = st.text(st.characters(exclude_characters="\x00", exclude_categories=("Cs",)), max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**29), 10**29) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"Amount":1.00}', {"Amount": Decimal("1.00")}),
        (b'{"Amount":1}', {"Amount": 1}),
        (b"[1e2, -0.5E-3, 0]", [Decimal("1E+2"), Decimal("-0.0005"), 0]),
        (b'"\\ud83d\\ude00"', "\N{GRINNING FACE}"),
        ('"Wanjikũ"'.encode(), "Wanjikũ"),
        (b' {"a": ["}]{[", "\\"[["]} ', {"a": ["}]{[", '"[[']}),
        (b"1" * 30, int("1" * 30)),
        (b"1e30", Decimal("1e30")),
        (b"1e-030", Decimal("1e-30")),
    ],
)
def test_reads(body, value):
    assert strict_json.loads(body) == value


def test_keeps_decimals_exact():
    read = strict_json.loads(b"[1.10, 0.1]")
    assert [str(number) for number in read] == ["1.10", "0.1"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not JSON"),
        (b"<html></html>", "not JSON"),
        (b'{"a":1} x', "not JSON"),
        (b"{'a':1}", "not JSON"),
        (b'{"a":1,}', "not JSON"),
        (b'"unended', "not JSON"),
        (b'"raw \x01"', "not JSON"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        ('{"a":1}'.encode("utf-16"), "not UTF-8"),
        (b'"\xff"', "not UTF-8"),
        (b'"\xed\xa0\x80"', "not UTF-8"),
        (b"NaN", "not finite"),
        (b'{"Amount":Infinity}', "not finite"),
        (b"-Infinity", "not finite"),
        (b'{"Amount":1,"Amount":2}', "key twice"),
        (b'[{"a":{"b":1,"b":1}}]', "key twice"),
        (b'{"a":1,"\\u0061":1}', "key twice"),
        (b'"a\\u0000b"', "character"),
        (b'{"\\u0000":1}', "character"),
        (b'["\\ud800"]', "character"),
        (b'{"k":"\\udc00\\ud800"}', "character"),
        (b"1" * 31, "30 digits"),
        (b"-" + b"1" * 31, "30 digits"),
        (b"0." + b"0" * 30, "30 digits"),
        (b"1e999", "exponent"),
        (b"1e31", "exponent"),
        (b"1e-31", "exponent"),
        (b"1e" + b"9" * 5000, "exponent"),
        (b"1" * 5000, "30 digits"),
        (b"[" * 33 + b"]" * 33, "levels"),
        (b'{"a":' * 40 + b"1" + b"}" * 40, "levels"),
        (b"[" * 60000, "levels"),
    ],
)
def test_refuses(body, words):
    with pytest.raises(UnreadableError, match=words):
        strict_json.loads(body)


def test_takes_as_many_levels_as_it_says():
    assert strict_json.loads(b"[" * 32 + b"]" * 32)
    assert strict_json.loads(b"[" + b'[{"a":[]}],' * 40 + b"1]")[40] == 1


def test_takes_as_many_bytes_as_it_says():
    assert strict_json.loads(b'"' + b"a" * 8 + b'"', limit=10) == "a" * 8
    with pytest.raises(UnreadableError, match="longer than 10 bytes"):
        strict_json.loads(b'"' + b"a" * 9 + b'"', limit=10)


@pytest.mark.parametrize("piece", [b'"\\', b'\\"', b'"', b"\\", b'"a\\"'])
def test_hostile_quotes_cost_no_time(piece):
    body = (piece * 65536)[:65536]
    started = time.perf_counter()
    with pytest.raises(UnreadableError):
        strict_json.loads(body)
    assert time.perf_counter() - started < 1


@pytest.mark.parametrize(
    "body",
    [
        b'{"phone":254708374149',
        b'{"a":254708374149,"a":1}',
        b'"254708374149\xff"',
        b'["254708374149\\u0000"]',
    ],
)
def test_errors_never_quote(body):
    with pytest.raises(UnreadableError) as caught:
        strict_json.loads(body)
    assert "254708374149" not in f"{caught.value!r} {caught.value.__cause__!r}"
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@given(VALUES)
def test_reads_what_json_writes(value):
    assert strict_json.loads(json.dumps(value).encode()) == value
    assert strict_json.loads(json.dumps(value, ensure_ascii=False).encode()) == value


@given(
    st.binary(max_size=200)
    | st.text('[]{}",:\\u0e1.-+ \x00\ud800'.replace("\ud800", "é")).map(str.encode)
)
def test_reads_or_refuses_and_nothing_else(body):
    with contextlib.suppress(UnreadableError):
        strict_json.loads(body)
