"""Settings: defaults are the design's, wrong values name their key, the example file is current."""

import datetime
from decimal import Decimal
from pathlib import Path

import pytest

from escrow import settings
from escrow.domain.money import Currency, Money
from escrow.domain.terms import FeePayer

ROOT = Path(__file__).resolve().parents[1]


def test_the_example_file_lists_every_key_with_its_default() -> None:
    assert (ROOT / ".env.example").read_text(encoding="utf-8") == settings.example()


def test_the_example_file_itself_is_a_valid_environment() -> None:
    lines = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    pairs = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    assert settings.load(pairs) == settings.load({})


def test_an_empty_environment_is_the_sandbox_with_the_designs_terms() -> None:
    found = settings.load({})
    assert found.token == ""
    terms = found.terms()
    quote = terms.quote(Money(10_000_00, Currency.KES), FeePayer.BUYER)
    assert (quote.fee.minor, quote.due.minor) == (100_00, 10_100_00)
    assert terms.choice_window == datetime.timedelta(minutes=10)
    assert terms.ship_window == datetime.timedelta(hours=72)


def test_the_clock_jobs_have_the_seeds_schedules_thresholds_and_windows() -> None:
    found = settings.load({})
    assert (found.reminder_times, found.ratings_times) == ("9:00,21:00", "0:00")
    assert (found.fraud_times, found.cleanup_times) == ("2:00", "sun 3:00")
    terms = found.terms()
    assert (terms.remind_seller_days, terms.remind_buyer_days) == ((1, 2), (5, 6))
    assert (terms.remind_from, terms.remind_until) == (datetime.time(9), datetime.time(21))
    assert (terms.disputes_before_flag, terms.dispute_days) == (3, 30)
    assert (terms.dispute_rate_percent, terms.dispute_rate_deals) == (30, 5)
    assert (terms.refunds_before_flag, terms.refund_days) == (3, 14)
    assert terms.archive_after == datetime.timedelta(days=90)
    assert terms.reviewed_flag_life == datetime.timedelta(days=30)
    assert (terms.shortages_before_flag, terms.shortage_days) == (3, 30)
    assert (terms.unshipped_before_proposal, terms.unshipped_days) == (3, 30)
    assert found.reconcile_seconds == 3600


def test_how_long_things_are_kept_is_set_as_the_design_has_it_and_can_be_changed() -> None:
    kept = {
        "CALLBACK_DAYS": ("raw_body_life", 90),
        "UPDATE_DAYS": ("update_body_life", 30),
        "CONVERSATION_DAYS": ("conversation_life", 30),
        "NOTICE_DAYS": ("notice_life", 180),
        "SLOT_DAYS": ("slot_life", 90),
    }
    for key, (name, days) in kept.items():
        assert getattr(settings.load({}).terms(), name).days == days
        assert getattr(settings.load({key: "365"}).terms(), name).days == 365


def test_reminders_of_other_hours_open_the_day_for_them() -> None:
    terms = settings.load({"REMINDER_TIMES": "7:30, 12:00", "REMIND_SELLER_DAYS": "2, 1"}).terms()
    assert terms.remind_from == datetime.time(7, 30)
    assert terms.remind_until == datetime.time(21)
    assert terms.remind_seller_days == (1, 2)


def test_hours_take_decimals() -> None:
    assert settings.load({"SHIP_HOURS": "0.5"}).terms().ship_window.total_seconds() == 1800


def test_five_percent_is_the_seeds_example() -> None:
    terms = settings.load({"FEE_PERCENT": "5"}).terms()
    quote = terms.quote(Money(100_00, Currency.USD), FeePayer.BUYER)
    assert quote.due.to_decimal() == Decimal("105.00")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("FEE_PERCENT", "21"),
        ("FEE_PERCENT", "1.005"),
        ("FEE_MIN", "-1"),
        ("DEAL_MIN", "1e999"),
        ("PAY_HOURS", "0"),
        ("PAY_HOURS", "Infinity"),
        ("HTTP_PORT", "70000"),
        ("DATABASE_POOL_MAX", "0"),
        ("MPESA_CONFIRM_BEFORE_CREDIT", "perhaps"),
        ("MPESA_BASE_URL", "ftp://example.org"),
        ("MPESA_SHORTCODE", "abc"),
        ("TOLERANCE_TIERS", '{"KES": [{"percent": 50}]}'),
        ("TOLERANCE_TIERS", '{"EUR": [{"percent": 5}]}'),
        ("PUBLIC_URL", "https://sql.example.org"),
        ("MPESA_ALLOWED_IPS", "196.201.214.999"),
        ("DATABASE_URL", "foo"),
        ("DATABASE_URL", "postgresql://u:p@localhost:99999/x"),
        ("MPESA_BASE_URL", "https://"),
        ("PUBLIC_URL", "https://example.org/?a=b"),
        ("CHOICE_MINUTES", "0.5"),
        ("PROOF_SECONDS", "121"),
        ("REMINDER_TIMES", "9"),
        ("REMINDER_TIMES", "sun 9:00"),
        ("REMINDER_TIMES", "24:00"),
        ("REMIND_SELLER_DAYS", "0,1"),
        ("REMIND_BUYER_DAYS", "five"),
        ("RATINGS_TIMES", "midnight"),
        ("FRAUD_TIMES", "2:60"),
        ("FRAUD_DISPUTES", "1"),
        ("FRAUD_RATE_PERCENT", "100"),
        ("CLEANUP_TIMES", "sunday 3:00"),
        ("ARCHIVE_DAYS", "59"),
        ("REVIEWED_FLAG_DAYS", "29"),
        ("FEE_MIN", "20.5"),
        ("FEE_MAX", "20.5"),
        ("DEAL_MIN", "100.01"),
    ],
)
def test_a_wrong_value_names_its_key(key: str, value: str) -> None:
    with pytest.raises(settings.SettingsError) as error:
        settings.load({key: value})
    assert key in str(error.value)
    assert "\n" not in str(error.value)


def test_an_initiator_needs_a_certificate_or_a_ready_credential() -> None:
    keys = {"MPESA_INITIATOR_NAME": "amana", "MPESA_INITIATOR_PASSWORD": "pass"}
    with pytest.raises(settings.SettingsError, match="MPESA_CERTIFICATE"):
        settings.load(keys)
    settings.load({**keys, "MPESA_CERTIFICATE": "cert.cer"})
    settings.load({**keys, "MPESA_SECURITY_CREDENTIAL": "ready"})


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://amana:p%40ss@db:5432/amana",
        "postgres:///amana?host=/run/postgresql",
        "postgresql://one:5432,two:5432/amana",
    ],
)
def test_addresses_of_a_database_are_taken_as_postgresql_takes_them(address: str) -> None:
    settings.load({"TELEGRAM_BOT_TOKEN": "1:abc", "DATABASE_URL": address})


def test_secrets_are_never_printed() -> None:
    found = settings.load({"TELEGRAM_BOT_TOKEN": "123456:very-secret-token"})
    assert "very-secret" not in repr(found)
    assert "very-secret" not in str(found)
