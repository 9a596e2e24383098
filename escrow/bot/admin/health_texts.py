"""Is the money safe? One word, why, and what deals with it; then the figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from markupsafe import Markup
from telegram import InlineKeyboardButton, InlineKeyboardMarkup

from escrow.bot.buttons import Button, Verb, pack
from escrow.bot.page import Page, Plain, card, clock_time, lines, say, when, words
from escrow.domain.money import Currency, Money
from escrow.services.health import (
    BROKEN,
    DISPUTE_AFTER,
    OK,
    PAUSED,
    STUCK_AFTER,
    WATCH,
    Health,
    JobHealth,
    Reason,
    rows_named,
)

_SHOWN: Final = 4
_ERROR_CHARS: Final = 80
_ERRORS_CHARS: Final = 900
"""Of a job's error, and of all together: every job may have failed, and still it is one message."""
_SOON: Final = timedelta(hours=12)
_CODES: Final = 4
"""Deals of a sort that get a button."""
Values = Mapping[str, Any]


def health(look: Health, page: Page) -> Markup:
    """The word first, each reason with what deals with it, and what it is made of."""
    return card(
        page,
        say("<b>{word}</b> – {meaning}", word=Plain(look.word), meaning=_meaning(look.word)),
        _paused(look, page),
        *_reasons(look, page),
        *(() if look.proved_at is None else _figures(look, page)),
    )


def _meaning(word: str) -> Markup:
    return {
        OK: say("Everything is in order."),
        WATCH: say("The money is safe; something needs a look."),
        BROKEN: say("Look at once: what is below can't be trusted, and no payout leaves."),
        PAUSED: say("Somebody paused it: nothing moves money."),
    }[word]


def _paused(look: Health, page: Page) -> Markup | None:
    if look.paused_at is None:
        return None
    return say(
        "Paused since {when}: no deals, prompts, payouts or timers. /resume",
        when=when(page, look.paused_at),
    )


# -- reasons -------------------------------------------------------------------------------------


def _reasons(look: Health, page: Page) -> list[Markup]:
    """A line each; of several jobs only the first ones."""
    jobs = [reason for reason in look.reasons if reason.key.startswith("job_")]
    others = [reason for reason in look.reasons if reason not in jobs]
    found = []
    for one in (*others, *jobs[:_SHOWN]):
        found.append(say("• {line}", line=_reason(one, page)))
        if one.key == "books":
            found += [say("  {line}", line=line) for line in look.breaks[:_SHOWN]]
    if len(jobs) > _SHOWN:
        found.append(say("• Jobs in trouble besides: {count}", count=len(jobs) - _SHOWN))
    return found


def _reason(reason: Reason, page: Page) -> Markup:
    return REASONS[reason.key](reason.values, page)


def database_down(v: Values, page: Page) -> Markup:
    return say(
        "The database does not answer: {why}. Nothing is lost: payments and messages wait. "
        "On the host: <code>python main.py --check</code>",
        why=v["why"],
    )


def books(v: Values, page: Page) -> Markup:
    return say("Breaks in the books: {count}. /audit names each.", count=v["count"])


def clock(v: Values, page: Page) -> Markup:
    return say("The clock jumped: timers stand still. Set the host's clock, then restart Amana.")


def payouts_stopped(v: Values, page: Page) -> Markup:
    return say(
        "M-Pesa refuses our API user (code {code}): no payout leaves. /payouts", code=v["code"]
    )


def short(v: Values, page: Page) -> Markup:
    return say(
        "The float is short of {amount} for the next 24 hours. Top up the utility account, "
        "then /book float.",
        amount=v["float"].short,
    )


def provider_off(v: Values, page: Page) -> Markup:
    values = {"amount": v["off"], "when": when(page, v["since"])}
    if v["more"]:
        return say(
            "M-Pesa holds {amount} more than the books say, since {when}. /audit shows both.",
            **values,
        )
    return say(
        "M-Pesa holds {amount} less than the books say, since {when}. /audit shows both.", **values
    )


def by_hand(v: Values, page: Page) -> Markup:
    return say("Payouts that wait for an admin: {count}. /payouts", count=v["count"])


def unknown(v: Values, page: Page) -> Markup:
    return say("Payouts that M-Pesa gave no answer to: {count}. /payouts", count=v["count"])


def receipts(v: Values, page: Page) -> Markup:
    return say("Payments that wait for confirmation: {count}. /unmatched", count=v["count"])


def unmatched(v: Values, page: Page) -> Markup:
    sums = Plain(", ".join(map(str, v["sums"])))
    return say("Unmatched money waits for an admin: {sums}. /unmatched", sums=sums)


def flags(v: Values, page: Page) -> Markup:
    return say("Critical flags: {count}. /suspicious_users", count=v["count"])


def disputes(v: Values, page: Page) -> Markup:
    return say(
        "Disputes open for more than {days} days: {count}, the oldest since {when}. "
        "/disputed_transactions",
        days=DISPUTE_AFTER.days,
        count=v["waiting"].count,
        when=when(page, v["waiting"].since),
    )


def stuck(v: Values, page: Page) -> Markup:
    return say(
        "Deals without a change for more than {days} days: {count}, the oldest since {when}. "
        "/transactions",
        days=STUCK_AFTER.days,
        count=v["waiting"].count,
        when=when(page, v["waiting"].since),
    )


def setbacks(v: Values, page: Page) -> Markup:
    codes = list(dict.fromkeys(one.escrow_id for one in v["setbacks"]))
    return say(
        "Deals that should be over by now and could not be ended: {count}, tried again later. "
        "The log says why. /manual_release or /manual_refund end them: {codes}",
        count=len(codes),
        codes=Plain(", ".join(codes[:_SHOWN])),
    )


def parked(v: Values, page: Page) -> Markup:
    return say(
        "Callbacks that can't be processed: {count} (rows {rows}). On the host: "
        "<code>python main.py rerun</code>",
        count=v["count"],
        rows=Plain(rows_named(v["rows"], v["count"])),
    )


def outbox(v: Values, page: Page) -> Markup:
    return say(
        "Notices that wait: {count}, since {when}. On the host: "
        "<code>python main.py --check</code>",
        count=v["count"],
        when=when(page, v["since"]),
    )


def slow(v: Values, page: Page) -> Markup:
    return say(
        "The database is slow: {ms} ms, more than {limit}. Look at the host's disk and load.",
        ms=Plain(f"{v['ms']:.0f}"),
        limit=v["limit"],
    )


def job_failed(v: Values, page: Page) -> Markup:
    job: JobHealth = v["job"]
    return say(
        "Job {job} failed: {error}. {next}",
        job=_name(job),
        error=job.error,
        next=_next(job, page),
    )


def job_late(v: Values, page: Page) -> Markup:
    job: JobHealth = v["job"]
    if job.started_at is None:
        return say("Job {job} has not run yet. Restart Amana.", job=_name(job))
    return say(
        "Job {job} has not run since {when}. Restart Amana.",
        job=_name(job),
        when=when(page, job.started_at),
    )


REASONS: Final[Mapping[str, Callable[[Values, Page], Markup]]] = {
    "database_down": database_down,
    "books": books,
    "clock": clock,
    "payouts_stopped": payouts_stopped,
    "short": short,
    "provider_off": provider_off,
    "by_hand": by_hand,
    "unknown": unknown,
    "receipts": receipts,
    "unmatched": unmatched,
    "flags": flags,
    "disputes": disputes,
    "stuck": stuck,
    "setbacks": setbacks,
    "parked": parked,
    "outbox": outbox,
    "slow": slow,
    "job_failed": job_failed,
    "job_late": job_late,
}
"""`Reason.key` → its sentence."""


# -- figures -------------------------------------------------------------------------------------


def _figures(look: Health, page: Page) -> list[Markup | None]:
    return [
        _float(look, page),
        _books(look, page),
        *_held(look),
        say("Database: {ms} ms", ms=Plain(f"{look.database_ms:.0f}")),
        say(
            "Callbacks waiting: {waiting}, parked: {parked}",
            waiting=look.inbox_waiting,
            parked=look.inbox_parked,
        ),
        _notices(look, page),
        say("Receipts that wait for confirmation: {count}", count=look.receipts_waiting),
        _payouts(look),
        say(
            "Deals without a change for {days} days: {count}",
            days=STUCK_AFTER.days,
            count=look.stuck.count,
        ),
        say(
            "Disputes open for {days} days: {count}",
            days=DISPUTE_AFTER.days,
            count=look.disputes.count,
        ),
        say("Critical flags: {count}", count=look.critical_flags),
        _jobs(look),
        say("Clock: steady") if look.clock_steady else say("Clock: it jumped"),
    ]


def bare(amount: Money) -> Plain:
    """`82,400`: where the currency is clear."""
    return Plain(str(amount).replace(f"{amount.currency.code} ", ""))


def _float(look: Health, page: Page) -> Markup | None:
    if look.float is None:
        return None
    line = say(
        "<b>Float</b>: utility {utility} · due in 24 h {due} · short {short} · "
        "yours to take {yours}",
        utility=bare(look.float.utility),
        due=bare(look.float.due),
        short=bare(look.float.short),
        yours=bare(look.float.to_take),
    )
    if look.float.read_at is None:
        return lines(line, say("(in KES, by the books: M-Pesa named no balance yet)"))
    return lines(line, say("(in KES, as M-Pesa said {when})", when=when(page, look.float.read_at)))


def _books(look: Health, page: Page) -> Markup:
    assert look.proved_at is not None  # noqa: S101 there are figures
    at = when(page, look.proved_at)
    if look.breaks:
        return say("Books: broken, proved {when}", when=at)
    return say("Books: in balance, proved {when}", when=at)


def _notices(look: Health, page: Page) -> Markup:
    if look.outbox_oldest is None:
        return say("Notices waiting: {count}", count=look.outbox_waiting)
    return say(
        "Notices waiting: {count}, the oldest was due {when}",
        count=look.outbox_waiting,
        when=when(page, look.outbox_oldest),
    )


def _payouts(look: Health) -> Markup:
    leaving = look.payouts
    if leaving is None or leaving.oldest is None:
        return say("Payouts: none waits")
    return say(
        "Payouts: {under_way} under way, {unknown} unknown, {by_hand} wait for an admin (/payouts)",
        under_way=leaving.under_way,
        unknown=leaving.unknown,
        by_hand=leaving.by_hand,
    )


def _jobs(look: Health) -> Markup:
    ill = sum(not job.well for job in look.jobs)
    if ill:
        return say("Jobs: {ill} of {count} in trouble", ill=ill, count=len(look.jobs))
    return say("Jobs: {count}, all well", count=len(look.jobs))


def _sums(look: Health, kind: str) -> str:
    return ", ".join(
        str(Money(row["total_minor"], Currency.of(row["currency"])))
        for row in look.held
        if row["kind"] == kind and row["total_minor"]
    )


def purposes() -> dict[str, Markup]:
    """Kind of account → what customers' money in it is for."""
    return {
        "holding": say("Held for deals"),
        "pending_fee": say("Fees of open deals"),
        "received": say("Being decided"),
        "suspense": say("Unmatched"),
        "wallet": say("In wallets"),
        "payable": say("On the way out"),
    }


def _held(look: Health) -> list[Markup]:
    """One line per purpose that money is held for."""
    found = [
        say("{what}: {sums}", what=what, sums=Plain(sums))
        for kind, what in purposes().items()
        if (sums := _sums(look, kind))
    ]
    return found or [say("Held: nothing")]


def keyboard(look: Health) -> InlineKeyboardMarkup | None:
    """The oldest of what stands still, and the list of jobs."""
    codes = dict.fromkeys((*look.disputes.codes[:_CODES], *look.stuck.codes[:_CODES]))
    deals = [
        InlineKeyboardButton(code, callback_data=pack(Button(Verb.CASE, code))) for code in codes
    ]
    rows = [deals[start : start + 2] for start in range(0, len(deals), 2)]
    if look.jobs:
        jobs = pack(Button(Verb.JOBS))
        rows.append([InlineKeyboardButton(words("Jobs"), callback_data=jobs)])
    return InlineKeyboardMarkup(rows) if rows else None


# -- jobs ----------------------------------------------------------------------------------------


def jobs(look: Health, page: Page) -> Markup:
    """Every job: when it ran, and when it runs next; those in trouble first."""
    ordered = sorted(look.jobs, key=lambda job: (job.well, job.name))
    if not ordered:
        return card(page, say("No job has run yet."))
    failed = sum(bool(job.error) for job in ordered)
    room = min(_ERROR_CHARS, _ERRORS_CHARS // max(1, failed))
    return card(page, say("<b>Jobs</b>"), *(_job(job, page, room) for job in ordered))


def _name(job: JobHealth) -> Plain:
    """`look at prompts`: as people read it."""
    return Plain(job.name.replace("_", " "))


def _job(job: JobHealth, page: Page, error_chars: int) -> Markup:
    ran = (
        say("never ran")
        if job.started_at is None
        else say("ran {when}", when=_at(job.started_at, page))
    )
    line = say("{job}: {ran}. {next}", job=_name(job), ran=ran, next=_next(job, page))
    if job.error:
        return say("✘ {line} Failed: {error}", line=line, error=job.error[:error_chars])
    return say("✘ {line} Late.", line=line) if job.late else say("✔ {line}", line=line)


def _next(job: JobHealth, page: Page) -> Markup:
    if job.next_at is None:
        return say("No next run is planned.")
    return say("Next: {when}.", when=_at(job.next_at, page))


def _at(moment: datetime, page: Page) -> Plain:
    """Short where the day is clear."""
    near = abs(moment - page.now) < _SOON
    return clock_time(page, moment) if near else when(page, moment)
