"""When jobs of the clock are due: every local day, once, whatever its clocks do that night."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from escrow.domain.schedule import Schedule, newest, next_one, parse, planned

NAIROBI = ZoneInfo("Africa/Nairobi")
TWICE = parse("9:00,21:00")
SUNDAY = parse("sun 3:00")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def shown(schedule: Schedule, zone: str, since: str, until: str) -> list[str]:
    found = planned(schedule, ZoneInfo(zone), at(since), at(until))
    return [one.strftime("%d %H:%M") for one in found]


@pytest.mark.parametrize(
    ("text", "schedule"),
    [
        ("9:00,21:00", Schedule((time(9), time(21)))),
        ("21:00, 09:00", Schedule((time(9), time(21)))),
        ("0:00", Schedule((time(0),))),
        ("sun 3:00", Schedule((time(3),), 6)),
        ("MON 23:59", Schedule((time(23, 59),), 0)),
    ],
)
def test_a_schedule_is_read(text: str, schedule: Schedule) -> None:
    assert parse(text) == schedule


@pytest.mark.parametrize(
    "text", ["", "9", "24:00", "9:60", "9:00,9:00", "sun", "sunday 3:00", "9:00;21:00", "٩:00"]
)
def test_a_wrong_schedule_says_how_to_write_it(text: str) -> None:
    with pytest.raises(ValueError, match="9:00,21:00"):
        parse(text)


@pytest.mark.parametrize(
    ("text", "hours"), [("9:00,21:00", 12), ("8:00,10:00", 22), ("0:00", 24), ("sun 3:00", 168)]
)
def test_the_longest_gap_between_slots(text: str, hours: int) -> None:
    assert parse(text).longest_gap == timedelta(hours=hours)


def test_slots_are_local_times() -> None:
    assert shown(TWICE, "Africa/Nairobi", "2026-11-23T00:00", "2026-11-24T00:00") == [
        "23 06:00",
        "23 18:00",
    ]
    assert shown(SUNDAY, "Africa/Nairobi", "2026-11-23T00:00", "2026-12-07T00:00") == [
        "29 00:00",
        "06 00:00",
    ]


def test_a_slot_is_due_at_its_second_and_not_before() -> None:
    six = at("2026-11-23T06:00")
    second = timedelta(seconds=1)
    assert newest(TWICE, NAIROBI, six - second) == at("2026-11-22T18:00")
    assert newest(TWICE, NAIROBI, six) == newest(TWICE, NAIROBI, six + second) == six
    assert next_one(TWICE, NAIROBI, six - second) == six
    assert next_one(TWICE, NAIROBI, six) == at("2026-11-23T18:00")
    assert planned(TWICE, NAIROBI, six, six) == []


@pytest.mark.parametrize(
    ("text", "zone", "since", "until", "expected"),
    [
        # New York, 8 March 2026: 2:00 to 3:00 is skipped; the job runs right after the gap
        (
            "2:30",
            "America/New_York",
            "2026-03-07T05:00",
            "2026-03-10T04:00",
            ["07 07:30", "08 07:30", "09 06:30"],
        ),
        # 1 November 2026: 1:30 comes twice, the job once
        (
            "1:30",
            "America/New_York",
            "2026-10-31T04:00",
            "2026-11-03T05:00",
            ["31 05:30", "01 05:30", "02 06:30"],
        ),
        # Helsinki, 29 March and 25 October 2026: 3:00 is skipped, and comes twice
        (
            "sun 3:00",
            "Europe/Helsinki",
            "2026-03-21T00:00",
            "2026-04-06T00:00",
            ["22 01:00", "29 01:00", "05 00:00"],
        ),
        (
            "3:00",
            "Europe/Helsinki",
            "2026-10-23T20:00",
            "2026-10-26T22:00",
            ["24 00:00", "25 00:00", "26 01:00"],
        ),
        # Apia left out 30 December 2011
        (
            "0:00",
            "Pacific/Apia",
            "2011-12-28T00:00",
            "2012-01-01T00:00",
            ["28 10:00", "29 10:00", "30 10:00", "31 10:00"],
        ),
        # Santiago, 6 September 2026: midnight is skipped, the day is not
        (
            "0:00",
            "America/Santiago",
            "2026-09-05T00:00",
            "2026-09-08T00:00",
            ["05 04:00", "06 04:00", "07 03:00"],
        ),
    ],
)
def test_nights_of_changing_clocks_have_each_slot_once(
    text: str, zone: str, since: str, until: str, expected: list[str]
) -> None:
    assert shown(parse(text), zone, since, until) == expected


@given(
    since=st.datetimes(
        at("2010-01-01").replace(tzinfo=None),
        at("2030-01-01").replace(tzinfo=None),
        timezones=st.just(UTC),
    ),
    zone=st.sampled_from(
        ["Africa/Nairobi", "America/New_York", "Europe/Helsinki", "Pacific/Apia", "UTC"]
    ),
    text=st.sampled_from(["0:00", "2:00", "3:30", "9:00,21:00", "sun 3:00"]),
    hours=st.integers(1, 24 * 20),
)
def test_looking_in_pieces_finds_every_slot_once(
    since: datetime, zone: str, text: str, hours: int
) -> None:
    schedule, home = parse(text), ZoneInfo(zone)
    until = since + timedelta(hours=hours)
    middle = since + timedelta(hours=hours) / 3
    whole = planned(schedule, home, since, until)
    assert planned(schedule, home, since, middle) + planned(schedule, home, middle, until) == whole
    assert len(set(whole)) == len(whole)
    assert next_one(schedule, home, since) > since
    assert newest(schedule, home, since) <= since
