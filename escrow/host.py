"""What whoever has the host may do without Telegram: pause, resume, set a price, approve,
rerun, compare. A line says what became of it; the exit status is 0 when it is so, 1 when it could
not be done.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Final

from markupsafe import Markup

from escrow.bootstrap import Services, migrate_when_up, office_of, open_services_on
from escrow.bot import refusals
from escrow.bot.admin import action_texts, statement_texts
from escrow.bot.files import plain
from escrow.bot.page import Page
from escrow.domain.actions import ActionState
from escrow.domain.errors import CannotDo
from escrow.program import as_sandbox
from escrow.services.parked import SHOWN
from escrow.settings import Settings
from escrow.store.inbox import ParkedRequest

Say = Callable[[str], None]
_YES: Final = "yes"
_RATE: Final = re.compile(r"[0-9]{1,4}(\.[0-9]{1,4})?", re.ASCII)
_ROWS_TOLD: Final = 5_000
_PATIENCE_SECONDS: Final = 10.0


@asynccontextmanager
async def _open(settings: Settings, dsn: str, key: bytes, say: Say) -> AsyncIterator[Services]:
    environment = "live" if settings.token else "sandbox"
    if not settings.token:
        settings = as_sandbox(settings)
    await migrate_when_up(dsn, environment, say, patience_seconds=_PATIENCE_SECONDS)
    services = await open_services_on(settings, dsn, key)
    try:
        yield services
    finally:
        await services.close()


async def pause(settings: Settings, dsn: str, key: bytes, say: Say, reason: str) -> int:
    """`main.py pause [reason]`: nothing moves money from now on, whoever runs the bot."""
    async with _open(settings, dsn, key, say) as services:
        try:
            word = await services.pauses.pause(None, reason, _cause())
        except CannotDo as error:
            say(f"✘ Amana was not paused: {_refusal(services, error)}")
            return 1
    assert word.pause is not None  # noqa: S101 it is paused
    since = _time(settings, word.pause.paused_at)
    if word.changed:
        say(f"✔ Amana is paused since {since}. To go on: python main.py resume")
    else:
        say(f"✔ Amana is paused already, since {since}, by {word.by or 'the host'}")
    return 0


async def resume(settings: Settings, dsn: str, key: bytes, say: Say) -> int:
    """`main.py resume`: deadlines are moved, then everything goes on."""
    async with _open(settings, dsn, key, say) as services:
        word = await services.pauses.resume(None, _cause())
        now = services.clock.now()
    if word.changed and word.pause is not None and word.pause.ended_at is not None:
        length = timedelta(seconds=int(word.pause.length(now).total_seconds()))
        say(f"✔ Amana goes on after {length}; deals whose deadline moved: {word.pause.moved}")
    elif word.pause is not None and word.pause.ended_at is None:
        say("✔ Amana is about to go on: deadlines are being moved")
    else:
        say("✔ Amana is not paused; nothing changed")
    return 0


async def rate(settings: Settings, dsn: str, key: bytes, say: Say, typed: str) -> int:
    """`main.py rate 129.50`: the price of the dollar, for FX_MAX_AGE_HOURS from now. A running bot
    takes it over within seconds.
    """
    if not _RATE.fullmatch(typed) or not (price := Decimal(typed)):
        say("✘ Not a price: write shillings for a dollar, like 129.50, at most 9999.9999")
        return 1
    async with _open(settings, dsn, key, say) as services:
        before = services.coins.newest_rate
        await services.coins.set_rate(price, "host")
        now = services.clock.now()
    was = f", before it was {before.kes_per_usd.normalize():f}" if before else ""
    until = _time(settings, now + settings.terms().rate_life)
    say(f"✔ USD 1 is KES {price} until {until}{was}")
    return 0


async def approve(
    settings: Settings, dsn: str, key: bytes, say: Say, action_id: int, *, sure: bool
) -> int:
    """`main.py approve ID`: the second word for what an admin confirmed. Shows it and asks, unless
    `sure`.
    """
    async with _open(settings, dsn, key, say) as services:
        page = _page(services)
        try:
            action = await services.actions.action(action_id)
            if action.state is ActionState.CONFIRMED:
                say(_words(action_texts.PREVIEWS[action.kind](action.facts, action, page)))
                if not sure and not await _typed_yes():
                    say(f"✘ Action {action_id} was not approved; nothing was done")
                    return 1
            done = await services.actions.approve_on_host(action_id)
        except CannotDo as error:
            say(f"✘ Action {action_id} was not approved: {_refusal(services, error)}")
            return 1
        say(_words(action_texts.answer(done, [], page)))
        say(f"✔ Action {action_id} is done")
        return 0


async def rerun(
    settings: Settings, dsn: str, key: bytes, say: Say, rows: Sequence[int], *, every: bool = False
) -> int:
    """`main.py rerun [ID…]`: callbacks that were laid aside are processed again; without a number
    they are listed. `every`: all that are listed.
    """
    async with _open(settings, dsn, key, say) as services:
        if not rows:
            found = await services.parked.rows()
            rows = [row.id for row in found] if every else []
            if not rows:
                _list(settings, say, found)
                return 0
        asked = list(dict.fromkeys(rows))
        put_back = await services.parked.run_again(asked)
    for row in asked:
        if row in put_back:
            say(f"✔ Row {row} is processed again: within seconds, or when the bot starts")
        else:
            say(f"✘ Row {row} is not parked; nothing changed")
    return 0 if len(put_back) == len(asked) else 1


def _list(settings: Settings, say: Say, found: Sequence[ParkedRequest]) -> None:
    if not found:
        say("✔ No callback is parked")
        return
    say(f"{'ID':>8}  {'received':<16}  {'route':<20}  why")
    for row in found:
        why = row.note + (f" (run again {row.reruns}×)" if row.reruns else "")
        say(f"{row.id:>8}  {_time(settings, row.received_at)}  {row.route:<20}  {why}")
    last = ", the oldest" if len(found) == SHOWN else ""
    say(f"{len(found)} parked{last}. Again: python main.py rerun ID… or rerun --all")


async def statement(settings: Settings, dsn: str, key: bytes, say: Say, file: Path) -> int:
    """`main.py statement FILE`: M-Pesa's statement beside the books, as when an admin sends it. All
    breaks are said; a running bot tells the admins what they have to know.
    """
    try:
        body = await asyncio.to_thread(file.read_bytes)
    except OSError as error:
        say(f"✘ {file.name} can't be read: {error.strerror}")
        return 1

    async def tell(done: int, rows: int) -> None:
        if done and done % _ROWS_TOLD == 0:
            say(_words(statement_texts.progress(done, rows)))

    async with _open(settings, dsn, key, say) as services:
        try:
            found = await services.statements.compare(body, None, tell)
        except CannotDo as error:
            say(f"✘ {file.name} was not compared: {_refusal(services, error)}")
            return 1
        say(_words(statement_texts.compared(found, _page(services), most=len(found.breaks))))
        say(f"✔ {file.name} was compared; breaks: {len(found.breaks)}")
        return 0


async def _typed_yes() -> bool:
    try:
        typed = await asyncio.to_thread(input, f"Type {_YES} to do it: ")
    except EOFError:  # nobody is there to ask: --yes says it beforehand
        return False
    return typed.strip().lower() == _YES


def _cause() -> str:
    return f"host:{secrets.token_hex(8)}"


def _page(services: Services) -> Page:
    return Page.of(office_of(services), "en", "")


def _refusal(services: Services, error: CannotDo) -> str:
    values = {"admin": True, **error.values}
    return _words(refusals.refusal(error.reason, values, _page(services)))


def _words(text: Markup) -> str:
    """For a terminal, which shows the marks of the writing direction."""
    return plain(text).translate({0x2068: None, 0x2069: None})


def _time(settings: Settings, at: datetime) -> str:
    return at.astimezone(settings.zone).strftime("%Y-%m-%d %H:%M")
