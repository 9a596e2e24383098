"""Every setting, read once from the environment (and `.env`) and checked. The only such place.

A wrong value stops the start with one line naming the key. `.env.example` is made from the fields
below (`python -m escrow.settings`), and a test keeps them equal.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from escrow.domain import schedule
from escrow.domain.money import Currency, decimal_to_minor
from escrow.domain.schedule import Schedule
from escrow.domain.terms import (
    DEFAULT_TIERS,
    REMIND_FROM,
    REMIND_UNTIL,
    FeeRule,
    Terms,
    Tiers,
    parse_tiers,
)

SANDBOX_DARAJA: Final = "https://sandbox.safaricom.co.ke"
SANDBOX_SHORTCODE: Final = "174379"
SANDBOX_PASSKEY: Final = "bfb279f9aa9bdbcf158e97dd71a467cd2e0c893059b10f78e6b72ada1ed2c919"
"""Published by Safaricom for everybody's tests."""
FORBIDDEN_IN_URLS: Final = re.compile(
    r"m-pesa|mpesa|safaricom|exe|exec|cmd|sql|query", re.IGNORECASE
)


class SettingsError(Exception):
    """One line naming the key and what is wrong."""


def _integer_list(value: Any) -> Any:
    if isinstance(value, str):
        parts = [part.strip() for part in value.split(",") if part.strip()]
        if not all(re.fullmatch(r"[0-9]{1,18}", part) for part in parts):
            raise ValueError("use Telegram ids, comma-separated: 123456789,987654321")
        return tuple(int(part) for part in parts)
    return value


def _url(value: str) -> str:
    if not value:
        return value
    if not value.lower().startswith(("http://", "https://")):
        raise ValueError("use an address that starts with https:// or http://")
    try:
        parts = urlsplit(value)
        whole = parts.hostname and parts.port != 0 and "@" not in parts.netloc
    except ValueError:
        whole = False
    if not whole or parts.query or parts.fragment or re.search(r"\s", value):
        raise ValueError("use an address like https://example.org, without ?, # or a password")
    return value.rstrip("/")


def _database_url(value: SecretStr) -> SecretStr:
    """What asyncpg and libpq read as an address; a password stays out of what is said."""
    text = value.get_secret_value()
    if not text:
        return value
    wrong = "use an address like postgresql://user:password@host:5432/name"
    try:
        parts = urlsplit(text)
        good = parts.scheme in ("postgresql", "postgres") and parts.port != 0
    except ValueError as error:
        if "ort" not in str(error) or "," not in text:  # several hosts: asyncpg reads them
            raise ValueError(wrong) from None
        return value
    if not good:
        raise ValueError(wrong)
    return value


def _times(value: str) -> str:
    schedule.parse(value)
    return value


def _days(value: Any) -> Any:
    if isinstance(value, str):
        parts = [part.strip() for part in value.split(",")]
        if not all(re.fullmatch(r"[1-9][0-9]?", part) for part in parts):
            raise ValueError("use days from 1 to 99, comma-separated: 1,2")
        return tuple(sorted({int(part) for part in parts}))
    return value


Ids = Annotated[tuple[int, ...], NoDecode, BeforeValidator(_integer_list)]
Days = Annotated[tuple[int, ...], NoDecode, BeforeValidator(_days)]
Times = Annotated[str, AfterValidator(_times)]
"""`9:00,21:00`, or one weekday and its times."""
Url = Annotated[str, AfterValidator(_url)]
DatabaseUrl = Annotated[SecretStr, AfterValidator(_database_url)]
Hours = Annotated[Decimal, Field(ge=0, le=24 * 365, allow_inf_nan=False)]
Amount = Annotated[Decimal, Field(ge=0, le=10**9, decimal_places=2, allow_inf_nan=False)]
Whole = Annotated[Decimal, Field(ge=0, le=10**9, multiple_of=1, allow_inf_nan=False)]
"""M-Pesa moves whole shillings."""
Percent = Annotated[Decimal, Field(ge=0, le=20, decimal_places=2, allow_inf_nan=False)]


class Settings(BaseSettings):
    """The environment, in the order of `.env.example`; descriptions are its comments."""

    model_config = SettingsConfigDict(
        env_file=".env", env_file_encoding="utf-8", extra="ignore", env_ignore_empty=True
    )

    # Telegram
    telegram_bot_token: SecretStr = Field(
        SecretStr(""), description="from @BotFather; empty: the sandbox with play money"
    )
    telegram_api_url: Url = Field("https://api.telegram.org", description="Bot API base address")
    telegram_webhook_url: Url = Field(
        "", description="public https address for updates; empty: long polling"
    )
    admin_chat_id: Ids = Field((), description="Telegram ids of the admins, comma-separated")

    # Program
    database_url: DatabaseUrl = Field(
        SecretStr(""), description="postgresql://…; empty: embedded PostgreSQL below DATA_DIR"
    )
    data_dir: Path = Field(Path("data"), description="folder of the database and the secret")
    escrow_pg_bin: str = Field("", description="folder of PostgreSQL's programs; empty: found")
    database_pool_min: int = Field(2, ge=1, le=50, description="connections kept open")
    database_pool_max: int = Field(10, ge=2, le=100, description="connections at most")
    http_host: str = Field("127.0.0.1", description="address to listen on")
    http_port: int = Field(8080, ge=0, le=65535, description="port to listen on")
    public_url: Url = Field(
        "",
        description="public base of callback addresses; empty: payments are found by asking",
    )
    trusted_proxies: str = Field("", description="networks whose X-Forwarded-For is believed")
    metrics_token: SecretStr = Field(
        SecretStr(""), description="bearer token for /metrics from outside; empty: loopback only"
    )
    escrow_secret_key: SecretStr = Field(
        SecretStr(""), description="32 bytes or more, signs buttons; empty: made in DATA_DIR"
    )
    timezone: str = Field("Africa/Nairobi", description="zone of the jobs and of shown times")
    log_file: str = Field("logs/app.log", description="JSON log; empty: console only")
    log_level: str = Field(
        "INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="least level"
    )
    sandbox_port: int = Field(8090, ge=0, le=65535, description="port of the sandbox's page")

    # Terms
    default_currency: str = Field("KES", pattern="^(KES|USD)$", description="of /newdeal")
    fee_percent: Percent = Field(Decimal(1), description="platform fee, percent of the price")
    fee_min: Whole = Field(Decimal(20), description="KES, whole, least fee")
    fee_max: Whole = Field(Decimal(1000), description="KES, whole, largest fee")
    fee_min_usd: Amount = Field(Decimal(0), description="USD, least fee")
    fee_max_usd: Amount = Field(Decimal(10), description="USD, largest fee")
    deal_min: Whole = Field(Decimal(100), description="KES, whole, smallest price")
    deal_max_due: Amount = Field(
        Decimal(250000), description="KES, largest payment (one M-Pesa payment)"
    )
    deal_min_usd: Amount = Field(Decimal(5), description="USD, smallest price")
    deal_max_due_usd: Amount = Field(Decimal(2000), description="USD, largest payment")
    new_seller_open_deals: int = Field(
        3, ge=0, description="open deals of a new seller; 0: no limit"
    )
    new_seller_deal_max: Amount = Field(Decimal(10000), description="KES, his largest price")
    new_seller_until: int = Field(5, ge=0, description="deals done, then the limits end")
    tolerance_tiers: str = Field(
        "", description='JSON: {"KES": [{"below": 5000, "percent": 5, "at_least": 50}, …]}'
    )
    pay_hours: Hours = Field(Decimal(24), description="hours to pay")
    ship_hours: Hours = Field(Decimal(72), description="hours to send, once paid")
    release_hours: Hours = Field(Decimal(168), description="hours until the seller is paid")
    inspection_hours: Hours = Field(Decimal(0), description="hours to look at what came")
    require_shipping_proof: bool = Field(
        True, description="1: sent needs a tracking number or a photo of the waybill"
    )
    auto_payout: bool = Field(
        True, description="1: settled money goes to the phone by itself; 0: it stays in the wallet"
    )
    payout_recheck_above: Amount = Field(
        Decimal(20000), description="KES, price from which M-Pesa is asked again before a payout"
    )
    payout_recheck_hours: Hours = Field(
        Decimal(24), description="hours before a release at which M-Pesa is asked again, too"
    )
    unclaimed_hours: Hours = Field(
        Decimal(24), description="hours that a payment by hand waits for whoever made it"
    )
    second_admin_above: Amount = Field(
        Decimal(50000), description="KES, a larger sum is moved by two admins, or one and the host"
    )
    choice_minutes: Annotated[Decimal, Field(ge=1, le=60 * 24 * 30, allow_inf_nan=False)] = Field(
        Decimal(10), description="minutes to choose after a short payment, 1 or more"
    )

    # M-Pesa
    mpesa_base_url: Url = Field(SANDBOX_DARAJA, description="Daraja's base address")
    mpesa_consumer_key: SecretStr = Field(SecretStr(""), description="of the Daraja app")
    mpesa_consumer_secret: SecretStr = Field(SecretStr(""), description="of the Daraja app")
    mpesa_shortcode: str = Field(
        "", pattern="^[0-9]{0,10}$", description="paybill; empty: the sandbox's 174379"
    )
    mpesa_till: str = Field(
        "",
        pattern="^[0-9]{0,10}$",
        description="till number, then MPESA_SHORTCODE is its store number; paid by prompts only",
    )
    mpesa_pull_number: str = Field(
        "",
        pattern=r"^((0|254)[17][0-9]{8})?$",
        description="phone number named to Safaricom for the Pull API, which finds payments that "
        "were not announced; empty: not asked",
    )
    mpesa_passkey: SecretStr = Field(
        SecretStr(""), description="of Lipa na M-Pesa Online; empty: the sandbox's"
    )
    mpesa_display_name: str = Field(
        "", max_length=60, description="the business name that M-Pesa's prompt shows"
    )
    mpesa_initiator_name: str = Field("", description="API user, to ask about receipts")
    mpesa_initiator_password: SecretStr = Field(SecretStr(""), description="of the API user")
    mpesa_certificate: str = Field("", description="file of Safaricom's certificate")
    mpesa_security_credential: SecretStr = Field(
        SecretStr(""), description="ready-made, instead of password and certificate"
    )
    mpesa_b2c_shortcode: str = Field(
        "", pattern="^[0-9]{0,10}$", description="payouts are sent from it; empty: made by hand"
    )
    mpesa_b2c_consumer_key: SecretStr = Field(
        SecretStr(""), description="of the Daraja app for payouts; empty: MPESA_CONSUMER_KEY"
    )
    mpesa_b2c_consumer_secret: SecretStr = Field(
        SecretStr(""), description="of the Daraja app for payouts"
    )
    mpesa_allowed_ips: str = Field(
        "",
        description="networks callbacks come from; others are told to the admins and credited "
        "only when M-Pesa or a person confirms them; empty: not looked at",
    )
    mpesa_confirm_before_credit: bool = Field(
        True, description="1: ask M-Pesa before a callback is believed"
    )
    mpesa_unconfirmed_limit: Amount = Field(
        Decimal(10000), description="KES, believed while M-Pesa can't be asked"
    )

    # Crypto
    blockbee_base_url: Url = Field("https://api.blockbee.io", description="BlockBee's address")
    blockbee_api_key: SecretStr = Field(
        SecretStr(""), description="empty: deals are not paid through BlockBee"
    )
    blockbee_public_key: str = Field(
        "", description="PEM of the key it signs with, \\n for line ends; empty: the published one"
    )
    dynopay_base_url: Url = Field(
        "https://api.dynopay.com/api", description="DynoPay's base address"
    )
    dynopay_api_key: SecretStr = Field(
        SecretStr(""), description="empty: deals are not paid through DynoPay"
    )
    dynopay_webhook_secret: SecretStr = Field(
        SecretStr(""), description="whsec_…, needed beside DYNOPAY_API_KEY"
    )
    crypto_quote_minutes: Annotated[Decimal, Field(ge=5, le=24 * 60, allow_inf_nan=False)] = Field(
        Decimal(30), description="minutes for which a quoted coin amount stands, 5 or more"
    )
    fx_kes_per_usd: Annotated[Decimal, Field(ge=0, le=10_000, decimal_places=4)] = Field(
        Decimal(0), description="shillings for a dollar; 0: KES deals are not paid in coins"
    )
    fx_max_age_hours: Hours = Field(
        Decimal(24), description="hours for which that price counts once it was set"
    )

    # Jobs
    sweep_seconds: int = Field(15, ge=1, le=300, description="seconds between the quick sweeps")
    proof_seconds: int = Field(30, ge=1, le=120, description="seconds between proofs of the books")
    proof_times: Times = Field(
        "4:00", description="times of TIMEZONE at which the whole of the books is proved"
    )
    outage_hours: Annotated[Decimal, Field(ge=0.25, le=24 * 30, allow_inf_nan=False)] = Field(
        Decimal(1), description="hours that Amana or M-Pesa may be away; more moves all deadlines"
    )
    look_seconds: int = Field(
        60, ge=1, le=3600, description="seconds between looks at money that was paid in"
    )
    float_seconds: int = Field(
        600, ge=1, le=86_400, description="seconds between looks whether the float will do"
    )
    figures_seconds: int = Field(
        900, ge=60, le=86_400, description="seconds between looks for days whose figures are due"
    )
    digest_hour: int = Field(
        8, ge=0, le=23, description="hour of TIMEZONE at which admins read what waits"
    )
    reconcile_seconds: int = Field(
        3600,
        ge=3600,
        le=86_400,
        description="seconds between looks at M-Pesa's own lists and balances",
    )
    auto_release_seconds: int = Field(
        3600, ge=1, le=86_400, description="seconds between releases of deals whose time is over"
    )
    auto_refund_seconds: int = Field(
        21_600, ge=1, le=86_400, description="seconds between refunds of deals nobody sent in time"
    )
    reminder_times: Times = Field(
        "9:00,21:00", description="times of TIMEZONE, daily: reminders, and none outside of them"
    )
    remind_seller_days: Days = Field((1, 2), description="days after a payment, to send")
    remind_buyer_days: Days = Field((5, 6), description="days after sending, to confirm")
    ratings_times: Times = Field("0:00", description="times of TIMEZONE: sellers are counted")
    fraud_times: Times = Field("2:00", description="times of TIMEZONE: patterns are looked for")
    fraud_disputes: int = Field(3, ge=2, le=1000, description="disputes of a buyer, then a flag")
    fraud_disputes_days: int = Field(30, ge=1, le=365, description="in so many days")
    fraud_rate_percent: int = Field(
        30, ge=1, le=99, description="percent of a seller's deals; more of them disputed: a flag"
    )
    fraud_rate_deals: int = Field(5, ge=1, le=1000, description="once he has so many deals")
    fraud_rate_days: int = Field(60, ge=1, le=365, description="that were paid in so many days")
    fraud_refunds: int = Field(3, ge=2, le=1000, description="refunds of a buyer, then a flag")
    fraud_refunds_days: int = Field(14, ge=1, le=365, description="in so many days")
    fraud_shortages: int = Field(
        3, ge=2, le=1000, description="payments of a buyer that were far too little, then a flag"
    )
    fraud_shortages_days: int = Field(30, ge=1, le=365, description="in so many days")
    fraud_unshipped: int = Field(
        3, ge=2, le=1000, description="deals a seller never sent: his suspension is proposed"
    )
    fraud_unshipped_days: int = Field(30, ge=1, le=365, description="in so many days")
    cleanup_times: Times = Field(
        "sun 3:00", description="times of TIMEZONE, daily or of a weekday: what is old makes room"
    )
    archive_days: int = Field(
        90, ge=1, le=3650, description="days, then a finished deal leaves the lists"
    )
    reviewed_flag_days: int = Field(
        30, ge=30, le=3650, description="days, then a reviewed flag goes, 30 or more"
    )

    callback_days: int = Field(
        90, ge=30, le=3650, description="days, then the body of a processed callback goes"
    )
    update_days: int = Field(
        30, ge=7, le=3650, description="days, then the body of a processed Telegram update goes"
    )
    conversation_days: int = Field(
        30, ge=7, le=3650, description="days, then a conversation that nobody went on with goes"
    )
    notice_days: int = Field(180, ge=30, le=3650, description="days, then a sent notice goes")
    slot_days: int = Field(90, ge=30, le=3650, description="days, then the record of a slot goes")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, dotenv_settings

    @field_validator("timezone")
    @classmethod
    def _zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError("use a name like Africa/Nairobi") from error
        return value

    @field_validator("public_url", "telegram_webhook_url")
    @classmethod
    def _allowed_words(cls, value: str) -> str:
        found = FORBIDDEN_IN_URLS.search(value)
        if found:
            raise ValueError(f"Safaricom refuses addresses with {found[0]!r} in them")
        return value

    @field_validator("escrow_secret_key")
    @classmethod
    def _long_enough(cls, value: SecretStr) -> SecretStr:
        if value.get_secret_value() and len(value.get_secret_value().encode()) < 32:
            raise ValueError("32 bytes or more")
        return value

    @field_validator("tolerance_tiers")
    @classmethod
    def _readable_tiers(cls, value: str) -> str:
        if value:
            parse_tiers(value)
        return value

    @field_validator("trusted_proxies", "mpesa_allowed_ips")
    @classmethod
    def _networks(cls, value: str) -> str:
        for part in filter(None, (piece.strip() for piece in value.split(","))):
            ip_network(part, strict=False)
        return value

    @model_validator(mode="after")
    def _together(self) -> Settings:
        if self.database_pool_min > self.database_pool_max:
            raise ValueError("DATABASE_POOL_MIN is above DATABASE_POOL_MAX")
        if self.deal_max_due > 250_000:
            raise ValueError("DEAL_MAX_DUE is above 250000, the most that one M-Pesa payment takes")
        for name in ("pay_hours", "ship_hours", "release_hours"):
            if getattr(self, name) * 3600 < 1:
                raise ValueError(f"{name.upper()} must be a second or more")
        if schedule.parse(self.reminder_times).weekday is not None:
            raise ValueError("REMINDER_TIMES are of every day, without a weekday")
        if self.archive_days < max(self.fraud_rate_days, self.fraud_refunds_days):
            raise ValueError(
                "ARCHIVE_DAYS is below FRAUD_RATE_DAYS or FRAUD_REFUNDS_DAYS, which have to see "
                "what they count"
            )
        if self.fee_min > self.fee_max:
            raise ValueError("FEE_MIN is above FEE_MAX")
        if self.fee_min_usd > self.fee_max_usd:
            raise ValueError("FEE_MIN_USD is above FEE_MAX_USD")
        if not self.token and self.database_url.get_secret_value():
            raise ValueError(
                "DATABASE_URL is set without TELEGRAM_BOT_TOKEN: the sandbox only uses its own "
                "database"
            )
        has_key = bool(self.mpesa_consumer_key.get_secret_value())
        if has_key != bool(self.mpesa_consumer_secret.get_secret_value()):
            raise ValueError("MPESA_CONSUMER_KEY and MPESA_CONSUMER_SECRET go together")
        if (
            self.mpesa_initiator_name
            and self.mpesa_initiator_password.get_secret_value()
            and not self.mpesa_certificate
            and not self.mpesa_security_credential.get_secret_value()
        ):
            raise ValueError(
                "MPESA_CERTIFICATE is needed beside MPESA_INITIATOR_PASSWORD, or "
                "MPESA_SECURITY_CREDENTIAL instead of both"
            )
        if not self.mpesa_base_url:
            raise ValueError("MPESA_BASE_URL is empty")
        if bool(self.dynopay_api_key.get_secret_value()) != bool(
            self.dynopay_webhook_secret.get_secret_value()
        ):
            raise ValueError("DYNOPAY_API_KEY and DYNOPAY_WEBHOOK_SECRET go together")
        if bool(self.mpesa_b2c_consumer_key.get_secret_value()) != bool(
            self.mpesa_b2c_consumer_secret.get_secret_value()
        ):
            raise ValueError("MPESA_B2C_CONSUMER_KEY and MPESA_B2C_CONSUMER_SECRET go together")
        if self.mpesa_till and not self.mpesa_shortcode:
            raise ValueError(
                "MPESA_SHORTCODE (the till's store number) is needed beside MPESA_TILL"
            )
        if self.mpesa_base_url != SANDBOX_DARAJA and has_key and not self.mpesa_shortcode:
            raise ValueError("MPESA_SHORTCODE is needed beside MPESA_BASE_URL")
        return self

    @property
    def token(self) -> str:
        return self.telegram_bot_token.get_secret_value()

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    def schedule(self, name: str) -> Schedule:
        """When a job of the clock runs; `name`: its setting."""
        return schedule.parse(getattr(self, name))

    def terms(self) -> Terms:
        """The platform's terms from these settings."""

        def kes(value: Decimal) -> int:
            return decimal_to_minor(value, Currency.KES)

        def usd(value: Decimal) -> int:
            return decimal_to_minor(value, Currency.USD)

        points = int(self.fee_percent * 100)
        asked = schedule.parse(self.reminder_times).times
        tiers: Tiers = parse_tiers(self.tolerance_tiers) if self.tolerance_tiers else DEFAULT_TIERS
        return Terms(
            fees={
                "KES": FeeRule(points, kes(self.fee_min), kes(self.fee_max)),
                "USD": FeeRule(points, usd(self.fee_min_usd), usd(self.fee_max_usd)),
            },
            deal_min_minor={"KES": kes(self.deal_min), "USD": usd(self.deal_min_usd)},
            deal_max_due_minor={
                "KES": kes(self.deal_max_due),
                "USD": usd(self.deal_max_due_usd),
            },
            tiers=tiers,
            pay_window=hours(self.pay_hours),
            ship_window=hours(self.ship_hours),
            release_window=hours(self.release_hours),
            inspection=hours(self.inspection_hours),
            choice_window=timedelta(seconds=int(self.choice_minutes * 60)),
            require_shipping_proof=self.require_shipping_proof,
            new_seller_open_deals=self.new_seller_open_deals,
            new_seller_deal_max_minor=kes(self.new_seller_deal_max),
            new_seller_until=self.new_seller_until,
            unconfirmed_limit_minor=kes(self.mpesa_unconfirmed_limit),
            coin_quote=timedelta(seconds=int(self.crypto_quote_minutes * 60)),
            rate_life=hours(self.fx_max_age_hours),
            remind_seller_days=self.remind_seller_days,
            remind_buyer_days=self.remind_buyer_days,
            remind_from=min(asked[0], REMIND_FROM),
            remind_until=max(asked[-1], REMIND_UNTIL),
            disputes_before_flag=self.fraud_disputes,
            dispute_days=self.fraud_disputes_days,
            dispute_rate_percent=self.fraud_rate_percent,
            dispute_rate_deals=self.fraud_rate_deals,
            dispute_rate_days=self.fraud_rate_days,
            refunds_before_flag=self.fraud_refunds,
            refund_days=self.fraud_refunds_days,
            archive_after=timedelta(days=self.archive_days),
            reviewed_flag_life=timedelta(days=self.reviewed_flag_days),
            shortages_before_flag=self.fraud_shortages,
            shortage_days=self.fraud_shortages_days,
            unshipped_before_proposal=self.fraud_unshipped,
            unshipped_days=self.fraud_unshipped_days,
            raw_body_life=timedelta(days=self.callback_days),
            update_body_life=timedelta(days=self.update_days),
            conversation_life=timedelta(days=self.conversation_days),
            notice_life=timedelta(days=self.notice_days),
            slot_life=timedelta(days=self.slot_days),
        )


def hours(value: Decimal) -> timedelta:
    """A setting in hours as a span, to the second."""
    return timedelta(seconds=int(value * 3600))


def load(
    environment: Mapping[str, str] | None = None, env_file: str | None = ".env", *, token: str = ""
) -> Settings:
    """Reads and checks the settings; `token` stands in for TELEGRAM_BOT_TOKEN. `SettingsError`
    names the first wrong key.
    """
    try:
        if environment is None:
            given = {"telegram_bot_token": token} if token else {}
            return Settings(_env_file=env_file, **given)  # type: ignore[call-arg,arg-type]
        values = {key.lower(): value for key, value in environment.items() if value != ""}
        known = {key: value for key, value in values.items() if key in Settings.model_fields}
        return Settings(_env_file=None, **known)  # type: ignore[call-arg,arg-type]
    except ValidationError as error:
        first = error.errors()[0]
        key = str(first["loc"][0]).upper() if first["loc"] else ""
        words = first["msg"].removeprefix("Value error, ")
        raise SettingsError(f"{key}: {words}" if key else words) from None


def example() -> str:
    """`.env.example`: every key with its unit and default."""
    lines = [
        "# Every setting of Amana with its default. Copy to .env and change what you need.",
        "# Hours take decimals. A wrong value stops the start with one line naming the key.",
    ]
    groups = {
        "telegram_bot_token": "Telegram",
        "database_url": "Program",
        "default_currency": "Terms",
        "mpesa_base_url": "M-Pesa",
        "blockbee_base_url": "Crypto",
        "sweep_seconds": "Jobs",
    }
    for name, field in Settings.model_fields.items():
        if name in groups:
            lines += ["", f"# -- {groups[name]}"]
        default = field.default
        if isinstance(default, SecretStr):
            default = default.get_secret_value()
        elif isinstance(default, tuple):
            default = ",".join(str(item) for item in default)
        elif isinstance(default, bool):
            default = int(default)
        lines += [f"# {field.description}", f"{name.upper()}={default}"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    Path(".env.example").write_text(example(), encoding="utf-8")
