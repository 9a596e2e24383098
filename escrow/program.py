"""The running program: starts the parts in order, stops them in the other order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from pydantic import SecretStr
from telegram.error import TelegramError

import escrow_automation
from escrow.bootstrap import Services, migrate_when_up, office_of, open_services_on
from escrow.bot import application, menus
from escrow.bot.commands import USER_COMMANDS
from escrow.bot.context import Office
from escrow.bot.files import TelegramFiles
from escrow.bot.messenger import TelegramMessenger
from escrow.bot.poller import KINDS
from escrow.bot.updates import UpdateStore
from escrow.domain.errors import AmanaError, Fault
from escrow.domain.money import Currency, Money
from escrow.metrics import Metrics
from escrow.services.delivery import Delivery
from escrow.services.health import rows_named
from escrow.services.ports import Verdict
from escrow.settings import Settings
from escrow.store import inbox, migrate
from escrow.store.database import acts_as_app_role
from escrow.web.coin_hooks import CoinHooks
from escrow.web.health import Health
from escrow.web.server import PortTakenError, Server
from escrow.web.telegram import TelegramHook
from escrow.web.webhooks import Webhooks
from escrow_handlers_admin import ADMIN_BUTTONS, ADMIN_COMMANDS

if TYPE_CHECKING:
    from sandbox.server import Sandbox

_LOG: Final = logging.getLogger(__name__)
Say = Callable[[str], None]
_SANDBOX_DOLLAR: Final = Decimal("129.50")
POLL_SILENCE_SECONDS: Final = 900.0
"""A poll takes 40 s at most. After this long without a good answer a restart may help; sooner it
is Telegram's outage, and no reason to stop taking in money.
"""


class Program:
    """`start()` returns when everything runs; `stop()` may be called at any time, once."""

    def __init__(self, settings: Settings, dsn: str, key: bytes, say: Say) -> None:
        self._settings = settings
        self._dsn = dsn
        self._key = key
        self._say = say
        self._closers: list[tuple[str, Callable[[], Awaitable[Any]]]] = []
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._automation: escrow_automation.Automation | None = None
        self._updates: UpdateStore | None = None

    async def start(self) -> None:
        started = time.perf_counter()
        sandbox = None if self._settings.token else await self._start_sandbox()
        environment = "live" if sandbox is None else "sandbox"
        for name in await migrate_when_up(self._dsn, environment, self._say):
            self._say(f"Schema: {name}")
        services = await open_services_on(self._settings, self._dsn, self._key)
        self._closers.append(("services", services.close))
        app, office = await self._start_bot(services, sandbox)
        await services.oversight.look()
        await services.intake.recover()
        self._spawn("intake", services.intake.run())
        messenger = TelegramMessenger(app.bot, office)
        admins = self._settings.admin_chat_id
        delivery = Delivery(services.database, services.clock, messenger, admins)
        self._spawn("outbox", delivery.run())
        if sandbox is not None:
            await _register_play(services, sandbox)
        self._automation = await escrow_automation.start_automation(app.bot, services)
        self._closers.append(("automation", escrow_automation.stop_automation))
        hook = self._settings.telegram_webhook_url
        updates = UpdateStore(app, services.database, services.clock, polling=not hook)
        async with services.database.reading() as conn:
            hook_secret = await inbox.path_secret(conn, "telegram", secrets.token_hex(16))
        telegram = TelegramHook(hook_secret, updates.accept)
        await self._start_http(services, telegram)
        await updates.start()
        self._closers.append(("updates", updates.stop))
        self._updates = updates
        if hook:
            await app.bot.set_webhook(
                hook + telegram.path, secret_token=hook_secret, allowed_updates=list(KINDS)
            )
        await menus.publish(app.bot, app.bot_data)
        if sandbox is not None:
            await _furnish(services, sandbox)
        seconds = time.perf_counter() - started
        _LOG.info("ready", extra={"action": "ready", "seconds": round(seconds, 2)})
        if sandbox is not None:
            self._say(f"Sandbox with play money: {sandbox.url}  (Ctrl-C stops it)")
        else:
            self._say(f"Amana runs as @{app.bot.username}. Ctrl-C stops it.")
            if not self._settings.admin_chat_id:
                self._say(
                    "No admins: set ADMIN_CHAT_ID. Whoever presses Start is shown his id here."
                )

    async def stop(self) -> None:
        """Intake first, then the work under way, the connections last."""
        for name, close in reversed(self._closers):
            try:
                await close()
            except (AmanaError, TelegramError, OSError, RuntimeError) as error:
                _LOG.warning("%s did not stop cleanly: %s", name, error)
        self._closers.clear()

    # -- parts -------------------------------------------------------------------------------------

    async def _start_sandbox(self) -> Sandbox:
        from sandbox.server import PROMPT_SECONDS, Sandbox

        sandbox = Sandbox(prompt_seconds=PROMPT_SECONDS)
        try:
            await sandbox.start("127.0.0.1", self._settings.sandbox_port)
        except OSError as error:
            raise PortTakenError(
                f"can't listen on 127.0.0.1:{self._settings.sandbox_port} ({error.strerror}): "
                "set SANDBOX_PORT to a free port"
            ) from error
        self._closers.append(("sandbox", sandbox.stop))
        self._settings = as_sandbox(self._settings).model_copy(
            update={
                "telegram_api_url": sandbox.telegram_url,
                "mpesa_base_url": sandbox.daraja_url,
                "blockbee_base_url": sandbox.blockbee_url,
                "blockbee_public_key": sandbox.blockbee.public_key_pem,
                "dynopay_base_url": sandbox.dynopay_url,
            }
        )
        return sandbox

    async def _start_bot(
        self, services: Services, sandbox: Sandbox | None
    ) -> tuple[application.Bot, Office]:
        settings = self._settings
        office = office_of(services, sandbox=sandbox is not None)
        app = application.build(
            settings.token,
            api_url=settings.telegram_api_url,
            office=office,
            user_commands=USER_COMMANDS,
            admin_commands=ADMIN_COMMANDS,
            admin_buttons=ADMIN_BUTTONS,
        )
        services.records.use(TelegramFiles(app.bot))
        services.cases.use(TelegramFiles(app.bot))
        await _connect_bot(app, self._say)
        self._closers.append(("bot", app.shutdown))
        return app, office

    async def _start_http(self, services: Services, telegram: TelegramHook) -> None:
        settings = self._settings
        metrics = Metrics(services.oversight, services.choices)
        health = Health(
            services.oversight,
            services.clock,
            self._stopped,
            metrics.render,
            settings.metrics_token.get_secret_value(),
        )
        webhooks = Webhooks(services.intake, settings.trusted_proxies, settings.mpesa_allowed_ips)
        coin_hooks = CoinHooks(services.intake, services.coin_secrets, settings.trusted_proxies)
        server = Server(
            [
                *health.routes(),
                *webhooks.routes(),
                *coin_hooks.routes(),
                *telegram.routes(),
            ]
        )
        await server.start(settings.http_host, settings.http_port)
        self._closers.append(("http", server.stop))

    def _spawn(self, name: str, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.create_task(work, name=name)
        self._tasks[name] = task

        async def close() -> None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait_for(task, 3)

        self._closers.append((name, close))

    def _stopped(self) -> list[str]:
        """The parts that should run and don't."""
        found = [name for name, task in self._tasks.items() if task.done()]
        if self._automation is None or not self._automation.running:
            found.append("scheduler")
        if self._updates is not None and self._updates.silent_seconds > POLL_SILENCE_SECONDS:
            found.append("updates")
        return found


def as_sandbox(settings: Settings) -> Settings:
    """The people, keys and terms of the sandbox, for whoever works beside it, too: with others he
    would see another preview.
    """
    from sandbox import persona

    chosen = settings.model_fields_set
    return settings.model_copy(
        update={
            "telegram_bot_token": SecretStr(persona.BOT_TOKEN),
            "telegram_webhook_url": "",
            "admin_chat_id": (persona.ADMIN.id, persona.SECOND_ADMIN.id),
            "public_url": f"http://{settings.http_host}:{settings.http_port}",
            "mpesa_consumer_key": SecretStr(persona.CONSUMER_KEY),
            "mpesa_consumer_secret": SecretStr(persona.CONSUMER_SECRET),
            "mpesa_shortcode": persona.SHORTCODE,
            "mpesa_passkey": SecretStr(persona.PASSKEY),
            "mpesa_display_name": persona.BUSINESS_NAME,
            "mpesa_initiator_name": "sandbox",
            "mpesa_security_credential": SecretStr("play-money"),
            "mpesa_b2c_shortcode": persona.SHORTCODE,
            "mpesa_till": "",
            "mpesa_pull_number": persona.ADMIN.phone,
            "blockbee_api_key": SecretStr(persona.BLOCKBEE_API_KEY),
            "dynopay_api_key": SecretStr(persona.DYNOPAY_API_KEY),
            "dynopay_webhook_secret": SecretStr(persona.DYNOPAY_WEBHOOK_SECRET),
            "new_seller_open_deals": 0,
            **({} if "fee_percent" in chosen else {"fee_percent": Decimal(5)}),
        }
    )


async def _connect_bot(app: application.Bot, say: Say) -> None:
    """Telegram may be away at the start: money still has to be taken in, so keep trying."""
    wait = 1.0
    while True:
        try:
            await app.initialize()
        except TelegramError as error:
            if "token" in str(error).lower() or "unauthorized" in str(error).lower():
                raise CannotStartError(
                    "TELEGRAM_BOT_TOKEN: Telegram does not know this token"
                ) from error
            say(f"Telegram does not answer yet, trying again in {wait:.0f} s …")
            await asyncio.sleep(wait)
            wait = min(wait * 2, 30.0)
        else:
            return


class CannotStartError(Fault):
    """The program can't start; the message names the key."""


async def _register_play(services: Services, sandbox: Sandbox) -> None:
    """What `--register-c2b` does for a real paybill, before the first job asks for its payments.
    The play one holds what the books say, also after a restart.
    """
    sandbox.daraja.till = (await services.balances.by_the_books()).to_decimal()
    await services.rail.register_c2b(
        confirmation_url=f"{services.callback_base}/c",
        validation_url=f"{services.callback_base}/v",
    )
    await services.pull_rail.register(f"{services.callback_base}/n")


async def _furnish(services: Services, sandbox: Sandbox) -> None:
    """The sandbox's people, a verified seller, and a deal that is ready to be paid."""
    from sandbox import persona

    for one in persona.EVERYBODY:
        if one.started:
            await services.people.seen(one.id, one.first_name, one.username, "en")
            await services.people.set_phone(one.id, one.phone, is_contact=True)
    seller = await services.people.register_seller(
        persona.SELLER.id, "Jane Shop", persona.SELLER.phone
    )
    await services.people.verify_seller(seller.id, persona.ADMIN.id)
    await services.coins.set_rate(_SANDBOX_DOLLAR, "host")
    waiting = [
        escrow
        for escrow, _ in await services.escrows.deals(persona.SELLER.id)
        if escrow.can_be_paid
        and escrow.currency is Currency.KES
        and escrow.buyer_telegram_id in (None, persona.BUYER.id)
    ]
    deal = waiting[0] if waiting else None
    if deal is None:
        deal = await services.escrows.open_deal(
            telegram_id=persona.SELLER.id,
            price=Money(10_000_00, Currency.KES),
            description="Blue phone case, box of 20",
            cause=f"sandbox:{secrets.token_hex(8)}",
        )
    link = sandbox.invite(persona.BUYER.id, deal.id, "Hi Brian, here is the deal. Pay here:")
    sandbox.telegram.open_link(persona.BUYER.id, link)


async def check(settings: Settings, dsn: str, key: bytes, say: Say) -> int:
    """`--check`: one ✔/✘ line per step with the next action; 0 when all is well."""
    good = True

    def line(ok: bool, words: str, action: str = "") -> None:
        nonlocal good
        good = good and ok
        say(f"{'✔' if ok else '✘'} {words}" + (f" → {action}" if action and not ok else ""))

    line(True, "Settings are readable")
    line(len(key) >= 32, "Secret key", "set ESCROW_SECRET_KEY to 32 bytes or more")
    try:
        environment = "live" if settings.token else "sandbox"
        applied = await migrate_when_up(dsn, environment, say, patience_seconds=4)
        services = await open_services_on(settings, dsn, key)
    except AmanaError as error:
        line(False, f"Database: {error}", "check DATABASE_URL and that PostgreSQL runs")
        return 1
    try:
        line(True, "Database answers")
        words = "Schema is up to date" + (f" ({len(applied)} applied now)" if applied else "")
        async with services.database.reading() as conn:
            line(await migrate.pending(conn) == 0, words, "start the program once")
            by_role = await acts_as_app_role(conn)
        line(
            by_role,
            "Database role: the ledger can only be added to",
            "let the login create roles once, or the triggers alone hold",
        )
        await services.oversight.search_all()
        health = await services.oversight.look()
        line(not health.breaks, "Books: every cent is where it should be", "; ".join(health.breaks))
        parked = health.inbox_parked
        words = f"Callbacks: {parked} parked ({rows_named(health.parked_rows, parked)})"
        action = "python main.py rerun lists them and runs them again"
        line(not parked, words if parked else "Callbacks: none parked", action)
        pause = await services.pauses.current()
        if pause is not None:
            by = f"admin {pause.paused_by}" if pause.paused_by else "the host"
            say(
                f"  Amana is paused since {pause.paused_at:%Y-%m-%d %H:%M} UTC by {by}: "
                "python main.py resume lets it go on"
            )
        await _check_telegram(settings, line)
        if settings.token:
            await _check_admins(services, line, say)
        if settings.mpesa_consumer_key.get_secret_value():
            answer = await services.rail.query("ws_CO_check")
            reached = answer.verdict is not Verdict.PENDING and answer.reason not in (
                "misconfigured",
                "mpesa_unreachable",
            )
            line(
                reached and answer.code != "unreachable",
                f"M-Pesa: {settings.mpesa_base_url} takes our keys",
                "check MPESA_CONSUMER_KEY, MPESA_CONSUMER_SECRET and the network",
            )
            can_ask = services.rail.can_ask_status
            say(
                "✔ M-Pesa: receipts can be asked about"
                if can_ask
                else "  M-Pesa: no initiator keys: payments to the paybill above "
                "MPESA_UNCONFIRMED_LIMIT wait for an admin"
            )
            if settings.mpesa_till:
                say(
                    f"✔ M-Pesa: till {settings.mpesa_till}, paid by prompts only; nobody is "
                    "offered to pay by hand"
                )
            say(
                "✔ M-Pesa: payments that were not announced are looked for each hour"
                if services.pull_rail.can_pull
                else "  M-Pesa: no MPESA_PULL_NUMBER, or Safaricom's sandbox: a payment to the "
                "paybill whose announcement is lost is found by its receipt only (/paid)"
            )
            say(
                "✔ M-Pesa: payouts are sent by themselves"
                if services.payout_rail.can_pay
                else "  M-Pesa: no keys for payouts (MPESA_B2C_SHORTCODE, MPESA_INITIATOR_NAME): "
                "or no PUBLIC_URL: an admin pays each one by hand"
            )
        elif settings.token:
            say("  M-Pesa: no MPESA_CONSUMER_KEY: it is not offered")
            line(
                bool(services.coins.providers),
                "Ways to pay: in crypto only",
                "set MPESA_CONSUMER_KEY and MPESA_CONSUMER_SECRET, or the keys of a crypto rail",
            )
        _say_coins(services, say)
        if settings.token and not settings.public_url:
            say("  PUBLIC_URL is empty: payments are found by asking M-Pesa, not by callbacks")
    finally:
        await services.close()
    return 0 if good else 1


def _say_coins(services: Services, say: Say) -> None:
    """Which crypto rails are offered, and what keeps the others and shilling deals from it."""
    settings = services.settings
    keys = {"blockbee": settings.blockbee_api_key, "dynopay": settings.dynopay_api_key}
    for provider, name in (("blockbee", "BlockBee"), ("dynopay", "DynoPay")):
        if provider in services.coins.providers:
            say(f"✔ {name}: deals can be paid in crypto")
        elif keys[provider].get_secret_value():
            say(f"  {name}: has keys, but no PUBLIC_URL to call back: it is not offered")
        else:
            say(f"  {name}: no {provider.upper()}_API_KEY: it is not offered")
    if not services.coins.providers:
        return
    newest, fresh = services.coins.newest_rate, services.coins.rate
    if fresh is not None:
        say(f"✔ Dollar: USD 1 is KES {fresh.normalize():f}")
    elif newest is not None:
        say(
            f"  Dollar: the price of {newest.set_at:%Y-%m-%d %H:%M} UTC is too old: shilling deals "
            "are not paid in crypto → python main.py rate 129.50"
        )
    else:
        say(
            "  Dollar: no price, so shilling deals are not paid in crypto → set FX_KES_PER_USD or "
            "python main.py rate 129.50"
        )


async def _check_telegram(settings: Settings, line: Callable[..., None]) -> None:
    if not settings.token:
        line(True, "Telegram: no token, so the sandbox would start")
        return
    from telegram import Bot

    try:
        async with Bot(settings.token, base_url=f"{settings.telegram_api_url}/bot") as bot:
            line(True, f"Telegram: @{bot.username}")
    except TelegramError as error:
        line(False, f"Telegram: {error}", "check TELEGRAM_BOT_TOKEN and TELEGRAM_API_URL")
    line(bool(settings.admin_chat_id), "Admins", "set ADMIN_CHAT_ID to your Telegram id")


async def _check_admins(services: Services, line: Callable[..., None], say: Say) -> None:
    """Whom Telegram lets us write to: those who pressed Start."""
    for admin in services.settings.admin_chat_id:
        person = await services.people.person(admin)
        if person is None:  # before the first start nobody can have
            say(
                f"  Admin {admin} never pressed Start, so nothing reaches him → open the bot in "
                "Telegram with that account and press Start"
            )
        elif person.unreachable_at is not None:
            line(
                False,
                f"Admin {admin} ({person.first_name}) blocked the bot",
                "unblock it in Telegram with that account and press Start",
            )


async def register_c2b(settings: Settings, dsn: str, key: bytes, say: Say) -> int:
    """`--register-c2b`: once per paybill; M-Pesa keeps it until it is deleted in its portal."""
    if settings.mpesa_till:
        say(
            f"Till {settings.mpesa_till} is paid by prompts only: M-Pesa announces each one by "
            "itself, and nothing is registered"
        )
        return 0
    if not settings.public_url:
        say("PUBLIC_URL is empty: M-Pesa needs a public https address to announce payments to")
        return 1
    await migrate_when_up(dsn, "live" if settings.token else "sandbox", say)
    services = await open_services_on(settings, dsn, key)
    try:
        answer = await services.rail.register_c2b(
            confirmation_url=f"{services.callback_base}/c",
            validation_url=f"{services.callback_base}/v",
        )
        listed = await _register_pull(services, say)
    finally:
        await services.close()
    if answer.verdict is Verdict.PAID:
        paybill = services.rail.shortcode
        say(f"✔ Registered: payments to {paybill} are announced to {settings.public_url}")
        return 0 if listed else 1
    say(f"✘ M-Pesa did not register the addresses: {answer.reason} {answer.code}")
    return 1


async def _register_pull(services: Services, say: Say) -> bool:
    """Lets the payments of the last days be listed, where that is wanted; once is enough."""
    if not services.pull_rail.can_pull:
        return True
    answer = await services.pull_rail.register(f"{services.callback_base}/n")
    if answer.verdict is Verdict.PAID:
        before = " before" if answer.reason == "urls_registered" else ""
        say(f"✔ Registered{before}: payments that were not announced are found within the hour")
        return True
    say(f"✘ M-Pesa's Pull API was not registered: {answer.reason} {answer.code}")
    return False
