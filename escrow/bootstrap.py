"""The composition root: the only place that calls constructors across layers."""

from __future__ import annotations

import asyncio
import hmac
import logging
import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Final

import asyncpg
import httpx

from escrow.bot.context import Office
from escrow.domain.errors import DatabaseDown
from escrow.domain.money import Currency, Money
from escrow.domain.outages import Pulse
from escrow.rails import mpesa_balances, mpesa_statement
from escrow.rails.blockbee import BlockBee
from escrow.rails.blockbee_gateway import BlockBeeConfig
from escrow.rails.dynopay import DynoPay
from escrow.rails.dynopay_gateway import DynoPayConfig
from escrow.rails.mpesa import Mpesa, security_credential
from escrow.rails.mpesa_accounts import MpesaAccount, MpesaPull
from escrow.rails.mpesa_gateway import MpesaConfig
from escrow.rails.mpesa_payouts import MpesaPayouts
from escrow.rails.mpesa_reversals import MpesaReversals
from escrow.rails.token_store import TokenStore
from escrow.services.actions import Actions
from escrow.services.auditing import Audits
from escrow.services.balances import Balances
from escrow.services.bookings import Book
from escrow.services.cases import Cases
from escrow.services.choices import UnderpaymentChoices
from escrow.services.claims import Claims
from escrow.services.cleanup import Cleanup
from escrow.services.comparing import Comparing
from escrow.services.confirmations import Confirmations
from escrow.services.crypto import CoinPayments
from escrow.services.digest import Digest
from escrow.services.figures import Figures
from escrow.services.flags import Flags
from escrow.services.float_watch import FloatWatch
from escrow.services.floating import PAYBILL, UTILITY, Floating
from escrow.services.fund_manager import EscrowFundManager
from escrow.services.funding_looks import FundingLooks
from escrow.services.help import HelpDesk
from escrow.services.intake import COIN_ROUTES, Intake
from escrow.services.monthly import MonthlyReports
from escrow.services.outages import Outages
from escrow.services.oversight import Oversight
from escrow.services.parked import Parked
from escrow.services.patterns import FraudPatterns
from escrow.services.pauses import Pauses
from escrow.services.payout_booking import PayoutBooking
from escrow.services.payout_funding import FundingChecks
from escrow.services.payouts import Payouts
from escrow.services.people import People
from escrow.services.ports import CoinRail
from escrow.services.prompts import Prompts
from escrow.services.provider_reversals import ProviderReversals
from escrow.services.pulls import Pulls
from escrow.services.ratings import Ratings
from escrow.services.receipts import Receipts
from escrow.services.records import Records
from escrow.services.reminders import Reminders
from escrow.services.reversals import receipt_effects
from escrow.services.silences import Silences
from escrow.services.slots import Slots
from escrow.services.standing import Standings
from escrow.services.statements import Statements
from escrow.services.unclaimed import Unclaimed
from escrow.services.verdicts import verdicts
from escrow.services.wallets import Wallets
from escrow.settings import (
    SANDBOX_DARAJA,
    SANDBOX_PASSKEY,
    SANDBOX_SHORTCODE,
    Settings,
    SettingsError,
    hours,
)
from escrow.settings import load as load_settings
from escrow.store import embedded, inbox, migrate
from escrow.store.database import Database, DatabaseClock
from escrow_service import EscrowService

_LOG: Final = logging.getLogger(__name__)
NOWHERE: Final = "https://callbacks.invalid"
"""Daraja wants a callback address; without PUBLIC_URL payments are found by asking."""


@dataclass(frozen=True, slots=True)
class Services:
    """Everything a running Amana is made of, below the edges."""

    settings: Settings
    database: Database
    clock: DatabaseClock
    escrows: EscrowService
    actions: Actions
    people: People
    flags: Flags
    digest: Digest
    wallets: Wallets
    funds: EscrowFundManager
    choices: UnderpaymentChoices
    prompts: Prompts
    ratings: Ratings
    confirmations: Confirmations
    claims: Claims
    payouts: Payouts
    receipts: Receipts
    intake: Intake
    balances: Balances
    pulls: Pulls
    records: Records
    help: HelpDesk
    cases: Cases
    figures: Figures
    reminders: Reminders
    standings: Standings
    patterns: FraudPatterns
    cleanup: Cleanup
    oversight: Oversight
    outages: Outages
    funding_looks: FundingLooks
    unclaimed: Unclaimed
    silences: Silences
    float_watch: FloatWatch
    audits: Audits
    statements: Statements
    pauses: Pauses
    slots: Slots
    coins: CoinPayments
    coin_secrets: Mapping[str, str]
    parked: Parked
    rail: Mpesa
    payout_rail: MpesaPayouts
    pull_rail: MpesaPull
    http: httpx.AsyncClient
    callback_base: str

    async def close(self) -> None:
        await self.http.aclose()
        await self.database.close()


def office_of(services: Services, *, sandbox: bool = False, bare: bool = False) -> Office:
    """What handlers may reach of these services."""
    return Office(
        escrows=services.escrows,
        actions=services.actions,
        people=services.people,
        flags=services.flags,
        ratings=services.ratings,
        wallets=services.wallets,
        prompts=services.prompts,
        choices=services.choices,
        confirmations=services.confirmations,
        claims=services.claims,
        payouts=services.payouts,
        receipts=services.receipts,
        records=services.records,
        help=services.help,
        cases=services.cases,
        figures=services.figures,
        oversight=services.oversight,
        audits=services.audits,
        statements=services.statements,
        pauses=services.pauses,
        coins=services.coins,
        rail=services.rail,
        clock=services.clock,
        admins=services.settings.admin_chat_id,
        zone=services.settings.zone,
        sandbox=sandbox,
        bare=bare,
        currency=Currency.of(services.settings.default_currency),
    )


def home(settings: Settings) -> Path:
    """The folder of the embedded database and the secret; the sandbox has its own."""
    return settings.data_dir if settings.token else settings.data_dir / "sandbox"


def start_cluster(settings: Settings, progress: Callable[[str], None]) -> embedded.Cluster | None:
    """The embedded PostgreSQL, or None when DATABASE_URL names a server."""
    if settings.database_url.get_secret_value():
        return None
    return embedded.start(home(settings), bin_dir=settings.escrow_pg_bin or None, progress=progress)


def secret_key(settings: Settings) -> bytes:
    """ESCROW_SECRET_KEY, or the one made in the data folder for the embedded default.

    `SettingsError` when DATABASE_URL is set without it: two hosts must not make two keys.
    """
    given = settings.escrow_secret_key.get_secret_value()
    if given:
        return given.encode()
    if settings.database_url.get_secret_value():
        raise SettingsError(
            "ESCROW_SECRET_KEY: needed beside DATABASE_URL, 32 bytes or more "
            "(python -c 'import secrets; print(secrets.token_hex(32))')"
        )
    path = home(settings) / "secret.key"
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        fresh = path.with_suffix(f".{os.getpid()}.new")
        fresh.touch(mode=0o600)
        fresh.write_text(secrets.token_hex(32), encoding="ascii")
        try:
            os.link(fresh, path)  # whoever is first wins, a crash leaves no half key
        except FileExistsError:
            _LOG.info("the secret key was made by another start")
        finally:
            fresh.unlink()
    key = path.read_text(encoding="ascii").strip().encode()
    if len(key) < 32:
        raise SettingsError(f"ESCROW_SECRET_KEY: {path} is damaged: restore it from a backup")
    return key


async def migrate_when_up(
    dsn: str, environment: str, progress: Callable[[str], None], *, patience_seconds: float = 60.0
) -> list[str]:
    """Waits for PostgreSQL, brings the schema up to date and claims the database for this
    environment. `DatabaseDown` when it does not answer in time.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patience_seconds
    while True:
        try:
            conn = await asyncpg.connect(dsn, timeout=5)
            break
        except (asyncpg.InvalidPasswordError, asyncpg.InvalidCatalogNameError) as error:
            raise DatabaseDown(f"DATABASE_URL: PostgreSQL refuses: {error}") from error
        except (asyncpg.InterfaceError, ValueError, OverflowError) as error:
            raise SettingsError(f"DATABASE_URL: can't be read ({type(error).__name__})") from error
        except (OSError, TimeoutError, asyncpg.PostgresError) as error:
            if loop.time() + 2 > deadline:
                raise DatabaseDown(
                    f"DATABASE_URL: PostgreSQL does not answer ({type(error).__name__})"
                ) from error
            progress("PostgreSQL does not answer yet, trying again in 2 s …")
            await asyncio.sleep(2)
    try:
        applied = await migrate.migrate(conn)
        await inbox.claim_environment(conn, environment)
        return applied
    finally:
        await conn.close()


async def open_services_on(settings: Settings, dsn: str, key: bytes) -> Services:
    """Connects and builds every service."""
    database = await Database.connect(
        dsn, minimum=settings.database_pool_min, maximum=settings.database_pool_max
    )
    clock = DatabaseClock()
    async with database.reading() as conn:
        await clock.read(conn)
        path_secret = await inbox.path_secret(conn, "mpesa", secrets.token_hex(16))
        coin_secrets = {
            route: await inbox.path_secret(conn, route, secrets.token_hex(16))
            for route in COIN_ROUTES
        }
    http = httpx.AsyncClient(follow_redirects=False)
    tokens = TokenStore(database, clock)
    pulse = Pulse()
    rail = Mpesa(_mpesa(settings), http, tokens, clock, pulse=pulse)
    payout_rail = _payout_rail(settings, http, tokens, clock, key, pulse)
    reversals = MpesaReversals(
        _mpesa(settings),
        http,
        tokens,
        clock,
        reachable=bool(settings.public_url),
        pulse=pulse,
    )
    terms = settings.terms()
    if not settings.public_url:  # nobody can call back: ask early and often
        terms = replace(terms, query_after=timedelta(seconds=10))
    admins = settings.admin_chat_id
    base = f"{settings.public_url or NOWHERE}/hooks/m/{path_secret}"
    funds = EscrowFundManager(database, clock, terms, admins)
    confirmations = Confirmations(
        database,
        clock,
        terms,
        rail,
        funds,
        admins,
        callback_base=base,
        confirm=settings.mpesa_confirm_before_credit,
    )
    coins = CoinPayments(
        database,
        clock,
        terms,
        _coin_rails(settings, http, clock),
        funds,
        admins,
        callback_base=lambda route: (
            f"{settings.public_url or NOWHERE}/hooks/{route[0]}/{coin_secrets[route]}"
        ),
    )
    if settings.fx_kes_per_usd:
        await coins.set_rate(settings.fx_kes_per_usd, "env")
    await coins.read_rate()
    claims = Claims(database, clock, rail, funds, admins, callback_base=base)
    paying = settings.mpesa_b2c_shortcode or rail.shortcode
    live = settings.mpesa_base_url != SANDBOX_DARAJA
    ours = (UTILITY,) if paying == rail.shortcode else (UTILITY, PAYBILL)
    floating = Floating(
        database,
        clock,
        lambda body: mpesa_balances.balances(body, paying),
        auto_payout=settings.auto_payout,
        comparing=Comparing(clock, ours if live else (), admins),
    )
    oversight = Oversight(
        database,
        clock,
        admins,
        floating=floating,
        credential=payout_rail.credential,
        proved_every=timedelta(seconds=settings.proof_seconds),
    )
    booking = PayoutBooking(
        auto=settings.auto_payout,
        can_pay_out=lambda: payout_rail.can_pay,
        can_reverse=lambda: reversals.can_reverse,
        admins=admins,
    )
    funding = FundingChecks(
        database,
        clock,
        rail,
        Money.from_decimal(settings.payout_recheck_above, Currency.KES),
        callback_base=base,
        may_ask=lambda: confirmations.may_ask,
    )
    pauses = Pauses(database, clock, admins)
    payouts = Payouts(
        database,
        clock,
        payout_rail,
        booking,
        admins,
        callback_base=base,
        funding=funding,
        reversals=reversals,
        sound=lambda: oversight.sound,
    )
    balances = Balances(
        database,
        clock,
        _accounts(settings, http, tokens, clock),
        floating,
        callback_base=base,
        credential=payout_rail.credential,
    )
    pull_rail = MpesaPull(
        _mpesa(settings),
        http,
        tokens,
        clock,
        number=settings.mpesa_pull_number,
        live=live,
    )
    intake = Intake(
        database,
        clock,
        rail,
        confirmations,
        admins,
        path_secret,
        claims=claims,
        payouts=payouts,
        floating=floating,
        balances=balances,
        pull=pull_rail,
        coins=coins,
        pulse=pulse,
    )
    return Services(
        settings=settings,
        database=database,
        clock=clock,
        escrows=EscrowService(
            database,
            clock,
            terms,
            admins,
            booking,
            in_coins=lambda currency: bool(coins.offers(currency)),
            by_mpesa=lambda currency: rail.offered and currency is Currency.KES,
        ),
        actions=Actions(
            database,
            clock,
            admins,
            key,
            [
                Book(),
                *verdicts(database, clock, terms, admins, booking),
                *receipt_effects(database, clock, terms, admins, booking, funds),
            ],
            second_above=Money.from_decimal(settings.second_admin_above, Currency.KES),
        ),
        people=People(database, clock, admins),
        flags=Flags(database, clock),
        digest=Digest(database, clock, admins, settings.zone, settings.digest_hour),
        ratings=Ratings(database, clock),
        wallets=Wallets(database, clock),
        funds=funds,
        choices=UnderpaymentChoices(database, clock, terms, key),
        prompts=Prompts(database, clock, terms, rail, base),
        confirmations=confirmations,
        claims=claims,
        payouts=payouts,
        receipts=Receipts(database, clock),
        intake=intake,
        balances=balances,
        pulls=Pulls(database, clock, pull_rail, intake),
        records=Records(database, clock, admins),
        help=HelpDesk(database, clock, admins),
        cases=Cases(database, clock, admins, Ratings(database, clock)),
        figures=Figures(database, clock, settings.zone),
        reminders=Reminders(database, clock, terms, settings.zone),
        standings=Standings(database, clock),
        patterns=FraudPatterns(database, clock, terms, admins),
        cleanup=Cleanup(
            database, clock, terms, MonthlyReports(database, clock, admins, settings.zone)
        ),
        oversight=oversight,
        audits=Audits(database, clock, oversight),
        statements=Statements(
            database,
            clock,
            mpesa_statement.read,
            confirmations,
            payouts,
            ProviderReversals(database, clock, admins),
            (rail.shortcode, paying),
            admins,
        ),
        outages=Outages(
            database,
            clock,
            admins,
            pauses,
            pulse,
            longest=hours(settings.outage_hours),
        ),
        funding_looks=FundingLooks(
            database,
            clock,
            funding,
            admins,
            before=hours(settings.payout_recheck_hours),
        ),
        unclaimed=Unclaimed(
            database, clock, booking, admins, after=hours(settings.unclaimed_hours)
        ),
        silences=Silences(database, clock, admins),
        float_watch=FloatWatch(database, clock, floating, admins, settings.zone),
        pauses=pauses,
        slots=Slots(database, clock, settings.zone),
        coins=coins,
        coin_secrets=coin_secrets,
        parked=Parked(database, clock),
        rail=rail,
        payout_rail=payout_rail,
        pull_rail=pull_rail,
        http=http,
        callback_base=base,
    )


def _coin_rails(
    settings: Settings, http: httpx.AsyncClient, clock: DatabaseClock
) -> list[CoinRail]:
    """The crypto providers whose keys are set. Without PUBLIC_URL none could say what came."""
    if not settings.public_url:
        return []
    rails: list[CoinRail] = []
    bee_key = settings.blockbee_api_key.get_secret_value()
    try:
        if bee_key:
            bee = BlockBeeConfig(
                base_url=settings.blockbee_base_url,
                api_key=bee_key,
                public_url=settings.public_url,
                public_key_pem=settings.blockbee_public_key.replace("\\n", "\n"),
            )
            rails.append(BlockBee(bee, http, clock))
    except ValueError as error:
        raise SettingsError(f"BLOCKBEE_API_KEY, BLOCKBEE_PUBLIC_KEY: {error}") from error
    dyno_key = settings.dynopay_api_key.get_secret_value()
    try:
        if dyno_key:
            dyno = DynoPayConfig(
                base_url=settings.dynopay_base_url,
                api_key=dyno_key,
                webhook_secret=settings.dynopay_webhook_secret.get_secret_value(),
            )
            rails.append(DynoPay(dyno, http, clock))
    except ValueError as error:
        raise SettingsError(f"DYNOPAY_API_KEY, DYNOPAY_WEBHOOK_SECRET: {error}") from error
    return rails


def _payout_rail(
    settings: Settings,
    http: httpx.AsyncClient,
    tokens: TokenStore,
    clock: DatabaseClock,
    key: bytes,
    pulse: Pulse,
) -> MpesaPayouts:
    """The paying-out half: its own shortcode and app where they are set, the same API user. Without
    PUBLIC_URL no result could come, so payouts are made by hand.
    """
    shortcode = settings.mpesa_b2c_shortcode if settings.public_url else ""
    config = replace(_paying(settings), shortcode=shortcode)
    secret = (
        settings.mpesa_security_credential.get_secret_value()
        or settings.mpesa_initiator_password.get_secret_value()
    )
    named = "\n".join((config.shortcode, config.consumer_key, config.initiator_name, secret))
    digest = hmac.new(key, named.encode(), "sha256").hexdigest()
    return MpesaPayouts(config, http, tokens, clock, credential=digest, pulse=pulse)


def _accounts(
    settings: Settings, http: httpx.AsyncClient, tokens: TokenStore, clock: DatabaseClock
) -> list[MpesaAccount]:
    """The shortcodes whose accounts are asked about: the one that pays, and the one that is paid
    where it is another.
    """
    paid, paying = _mpesa(settings), _paying(settings)
    asked = [(paying, {"Utility Account": "mpesa:utility", "Working Account": "mpesa:working"})]
    if paid.shortcode != paying.shortcode:
        asked.append((paid, {"Utility Account": "mpesa:paybill"}))
    reachable = bool(settings.public_url)
    return [
        MpesaAccount(config, http, tokens, clock, names=names, reachable=reachable)
        for config, names in asked
    ]


def _paying(settings: Settings) -> MpesaConfig:
    """The app and shortcode that pay out; those that are paid where no others are set."""
    ours = _mpesa(settings)
    b2c_key = settings.mpesa_b2c_consumer_key.get_secret_value()
    b2c_secret = settings.mpesa_b2c_consumer_secret.get_secret_value()
    return replace(
        ours,
        shortcode=settings.mpesa_b2c_shortcode or ours.shortcode,
        consumer_key=b2c_key or ours.consumer_key,
        consumer_secret=b2c_secret or ours.consumer_secret,
    )


def _mpesa(settings: Settings) -> MpesaConfig:
    credential = settings.mpesa_security_credential.get_secret_value()
    password = settings.mpesa_initiator_password.get_secret_value()
    if not credential and password and settings.mpesa_certificate:
        try:
            certificate = Path(settings.mpesa_certificate).read_bytes()
            credential = security_credential(password, certificate)
        except (OSError, ValueError) as error:
            raise SettingsError(f"MPESA_CERTIFICATE: {error}") from error
    shortcode = settings.mpesa_shortcode or SANDBOX_SHORTCODE
    return MpesaConfig(
        base_url=settings.mpesa_base_url,
        consumer_key=settings.mpesa_consumer_key.get_secret_value(),
        consumer_secret=settings.mpesa_consumer_secret.get_secret_value(),
        shortcode=shortcode,
        till=settings.mpesa_till,
        passkey=settings.mpesa_passkey.get_secret_value() or SANDBOX_PASSKEY,
        display_name=settings.mpesa_display_name or settings.mpesa_till or shortcode,
        initiator_name=settings.mpesa_initiator_name,
        security_credential=credential,
    )


async def open_services(token: str) -> tuple[Services, embedded.Cluster | None]:
    """For the Quick Start on a bare Application: services from the environment, for the bot with
    that token, on a database that is there already or embedded (whoever gets it stops it).
    Creates missing tables.
    """
    settings = load_settings(token=token)
    cluster = start_cluster(settings, lambda words: _LOG.info("%s", words))
    dsn = cluster.dsn() if cluster else settings.database_url.get_secret_value()
    try:
        await migrate_when_up(dsn, "live", lambda words: _LOG.info("%s", words))
        return await open_services_on(settings, dsn, secret_key(settings)), cluster
    except BaseException:
        if cluster:
            await asyncio.to_thread(cluster.stop)
        raise
