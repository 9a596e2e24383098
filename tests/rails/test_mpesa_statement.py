"""The portal's CSV: what is read, what is refused, and how rows are called."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from escrow.domain.money import Currency, Money
from escrow.domain.statements import RowKind
from escrow.rails.mpesa_statement import BYTES_MAX, ROWS_MAX, kind_of, read
from escrow.services.ports import UnreadableError
from tests.statement import HEADER, charge, file, line, payout, reversal
from tests.world import kes

AT = datetime(2026, 11, 20, 6, 30, 15, tzinfo=UTC)
FIRST, SECOND = "TKA1B2C3D4", "TKA1B2C3D5"


def test_a_row_of_the_portal_is_read_whole() -> None:
    row = line(
        FIRST,
        AT,
        1234,
        details="Pay Bill from 2547****222 - BRIAN, OTIENO Acc. ES1008257624",
        balance="12,345.60",
        party="2547****222 - BRIAN, OTIENO",
        account="ES1008257624",
    )
    (found,) = read(file([row], shortcode="174379")).rows
    assert (found.receipt, found.at, found.kind) == (FIRST, AT, RowKind.PAYMENT)
    assert (found.amount, found.balance) == (kes(1234), kes("12345.60"))
    assert (found.party, found.account) == ("2547****222 - BRIAN, OTIENO", "ES1008257624")
    assert (found.line, found.linked) == (6, "")


def test_both_ways_to_write_a_time_are_a_clock_in_nairobi() -> None:
    rows = read(file([line(FIRST, AT, 1), line(SECOND, AT, 1, iso=True)])).rows
    assert [one.at for one in rows] == [AT, AT]


@pytest.mark.parametrize("end", ["\r\n", "\n", "\r"])
def test_marks_ends_of_lines_and_quotes_make_no_difference(end: str) -> None:
    rows = [line(FIRST, AT, "1234.50"), payout(SECOND, AT, 500)]
    said = read(file(rows, shortcode="174379", end=end))
    assert [one.amount for one in said.rows] == [kes("1234.50"), kes(-500)]
    assert said.shortcode == "174379"


def test_money_that_left_is_below_zero_however_it_was_written() -> None:
    row = payout(FIRST, AT, 1500)
    above = row.replace('"-1,500.00"', '"1,500.00"')
    assert above != row
    assert {one.amount for one in read(file([row, above])).rows} == {kes(-1500)}


def test_what_excel_saved_again_is_read() -> None:
    body = file([line(FIRST, AT, 100, party="2547****222 - ZOË")]).decode("utf-8-sig")
    (found,) = read(body.encode("cp1252")).rows
    assert found.party == "2547****222 - ZOË"


def test_bad_rows_are_named_and_the_good_ones_count() -> None:
    good = line(FIRST, AT, 100)
    rows = [
        good,
        good.replace(FIRST, "short"),
        good.replace("20-11-2026", "31-11-2026"),
        good.replace("20-11-2026", "01-01-0001"),
        good.replace("100.00", '"1,00.00"'),
        good.replace("100.00", "100.001"),
        good.replace("100.00", ""),
        good.replace("100.00,,", "100.00,-5.00,"),
        good.replace("Completed", ""),
        f'"{good}',
        "a,b",
        "",
        ",,,,,,,,,,,,",
        payout(SECOND, AT, 50),
    ]
    said = read(file(rows))
    assert [one.receipt for one in said.rows] == [FIRST, SECOND]
    named = [(7, "receipt"), (8, "time"), (9, "time"), *((n, "amount") for n in range(10, 14))]
    named += [(14, "status"), (15, "columns"), (16, "columns")]
    assert [(one.line, one.why) for one in said.bad] == named


def test_what_did_not_complete_moved_nothing() -> None:
    rows = [line(FIRST, AT, 100, status=one) for one in ("Failed", "Cancelled", "Pending")]
    said = read(file([*rows, line(SECOND, AT, 5)]))
    assert (len(said.rows), said.unfinished) == (1, 3)


def test_the_header_stands_in_the_first_twenty_lines_or_it_is_no_statement() -> None:
    row = line(FIRST, AT, 100)
    assert len(read(("x\n" * 19 + f"{HEADER}\n{row}\n").encode()).rows) == 1
    with pytest.raises(UnreadableError, match="no_header"):
        read(("x\n" * 20 + f"{HEADER}\n{row}\n").encode())
    with pytest.raises(UnreadableError, match="no_header"):
        read(HEADER.replace("A/C No.", "Paid In").encode())


def test_columns_may_stand_in_another_order() -> None:
    names = HEADER.split(",")
    cells = line(FIRST, AT, 100).split(",")
    turned = [",".join(reversed(names)), ",".join(reversed(cells))]
    (found,) = read("\n".join(turned).encode()).rows
    assert (found.receipt, found.amount) == (FIRST, kes(100))


def test_a_file_has_its_bounds() -> None:
    with pytest.raises(UnreadableError, match="too_large"):
        read(b"x" * (BYTES_MAX + 1))
    with pytest.raises(UnreadableError, match="too_many_rows"):
        read(file(["x"] * (ROWS_MAX + 5)))


@pytest.mark.parametrize(
    ("reason", "amount", "kind"),
    [
        ("Pay Bill Online", 5, RowKind.PAYMENT),
        ("Pay Utility", 5, RowKind.PAYMENT),
        ("Customer Buy Goods Online", 5, RowKind.PAYMENT),
        ("Merchant Payment", 5, RowKind.PAYMENT),
        ("Business Payment to Customer via API", -5, RowKind.PAYOUT),
        ("Business Payment to Customer Withdrawal Charge Paid", -5, RowKind.PAYOUT),
        ("Salary Payment via API", -5, RowKind.PAYOUT),
        ("Promotion Payment", -5, RowKind.PAYOUT),
        ("Pay Bill Charge", -5, RowKind.CHARGE),
        ("Business Pay Bill Charge", -5, RowKind.CHARGE),
        ("Business Payment Charge", -5, RowKind.CHARGE),
        ("Fee For B2C Payment", -5, RowKind.CHARGE),
        ("Pay Bill Charge", 5, RowKind.OTHER),
        ("Transaction Reversal", -5, RowKind.REVERSAL),
        ("Pay Bill Reversal", -5, RowKind.REVERSAL),
        ("Withdraw Funds to Bank", -5, RowKind.MOVED),
        ("Organization Settlement", 5, RowKind.MOVED),
        ("Business Pay Bill", -5, RowKind.MOVED),
        ("", 5, RowKind.OTHER),
        ("Something new", -5, RowKind.OTHER),
    ],
)
def test_rows_are_called_by_their_reason_and_the_way_of_their_money(
    reason: str, amount: int, kind: RowKind
) -> None:
    assert kind_of(reason, "", kes(amount)) is kind
    assert kind_of("", reason, kes(amount)) is kind


def test_the_last_balance_is_the_newest_rows_in_either_order() -> None:
    later = AT.replace(hour=9)
    rows = [
        line(FIRST, AT, 10, balance="10.00"),
        line(SECOND, later, 100, balance="110.00"),
        charge(SECOND, later, 1, balance="109.00"),
        reversal("TKA1B2C3D6", later, 5, FIRST),
    ]
    for order in (rows, rows[::-1]):
        last = read(file(order)).last
        assert last is not None
        assert last.balance == kes(109)
    assert read(file([line(FIRST, AT, 1)])).last is None


_CELLS = st.text(max_size=30) | st.sampled_from(
    [
        FIRST,
        "20-11-2026 09:30:15",
        "99-99-9999 99:99:99",
        "Completed",
        "1,234.00",
        "-5",
        "NaN",
        "1e9",
    ]
)


@given(st.binary(max_size=300) | st.lists(st.lists(_CELLS, max_size=14), max_size=5).map(str))
def test_whatever_bytes_come_there_are_rows_or_a_named_error(sent: bytes | str) -> None:
    body = sent if isinstance(sent, bytes) else sent.encode("utf-8", "surrogatepass")
    for whole in (body, f"{HEADER}\n".encode() + body):
        try:
            said = read(whole)
        except UnreadableError as error:
            named = str(error)
        else:
            named = "no_header"
            assert all(row.amount != Money.zero(Currency.KES) for row in said.rows)
        assert named in {"too_large", "no_header", "too_many_rows"}


@given(st.lists(st.lists(_CELLS, min_size=13, max_size=13), max_size=5))
def test_whatever_cells_come_every_line_is_a_row_or_is_named(cells: list[list[str]]) -> None:
    lines = [",".join(one) for one in cells]
    said = read(f"{HEADER}\n".encode() + "\n".join(lines).encode("utf-8", "surrogatepass"))
    assert all(one.why for one in said.bad)
