"""What the audit found, and what `/book` does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from markupsafe import Markup

from escrow.bot.admin.health_texts import bare, purposes
from escrow.bot.files import plain
from escrow.bot.page import Page, Plain, card, lines, say, when
from escrow.domain.actions import Action
from escrow.domain.money import Currency, Money
from escrow.services.auditing import Audit, Break, Difference

SHOWN: Final = 10
"""Breaks in the message; all of them are in the file."""
Values = Mapping[str, Any]


# -- the audit -----------------------------------------------------------------------------------


def progress(counts: Mapping[str, int], page: Page) -> Markup:
    """How far it is."""
    return card(
        page,
        say("<b>The audit is running.</b> It disturbs nobody."),
        say(
            "Proved so far: {journals} journals, {accounts} accounts, {deals} deals, "
            "{payouts} payouts.",
            **_counts(counts),
        ),
    )


def _counts(counts: Mapping[str, int]) -> dict[str, Plain]:
    return {
        part: Plain(f"{counts.get(part, 0):,}")
        for part in ("journals", "accounts", "deals", "payouts")
    }


def audited(audit: Audit, page: Page) -> Markup:
    """What was found, the verdict first."""
    seconds = audit.took.total_seconds()
    return card(
        page,
        _verdict(audit),
        say(
            "Proved in {seconds} s: journals {journals}, accounts {accounts}, deals {deals}, "
            "payouts {payouts}.",
            **_counts(audit.counts),
            seconds=Plain(f"{seconds:.1f}"),
        ),
        *(say("• {line}", line=break_words(one)) for one in audit.breaks[:SHOWN]),
        say("… and {count} more: in the file.", count=len(audit.breaks) - SHOWN)
        if len(audit.breaks) > SHOWN
        else None,
        _what_to_do(audit),
        *(_trial(audit, currency) for currency in Currency),
        _provider(audit.provider, page),
    )


def _verdict(audit: Audit) -> Markup:
    if audit.failed:
        return say("<b>The audit was cut short</b>: {why}. Send /audit again.", why=audit.failed)
    if audit.breaks:
        return say("<b>BROKEN: {count} breaks.</b>", count=len(audit.breaks))
    return say("<b>The books are whole.</b> Every cent is where it should be.")


def _what_to_do(audit: Audit) -> Markup | None:
    if not audit.breaks:
        return None
    return say(
        "Mend nothing by hand. Send /pause, keep this list, and have the database compared with "
        "the last backup. No payout leaves while the proof names a break."
    )


def break_words(one: Break) -> Markup:
    return BREAKS[one.kind](one)


def journal(one: Break) -> Markup:
    return say("Journal {id} does not sum to zero.", id=Plain(one.name))


def account(one: Break) -> Markup:
    return say("{line}.", line=one.name)


def deal(one: Break) -> Markup:
    return say("Deal {code} does not hold what its status says. /case {code}", code=Plain(one.name))


def payout(one: Break) -> Markup:
    return say(
        "Payout {id}: its account is off by {off}. /payouts", id=Plain(one.name), off=one.off
    )


def trial(one: Break) -> Markup:
    return say(
        "{currency} does not sum to zero: off by {off}.", currency=Plain(one.name), off=one.off
    )


def kept(one: Break) -> Markup:
    return say("The kept sum of {account} is off by {off}.", account=Plain(one.name), off=one.off)


def total(one: Break) -> Markup:
    return say(
        "{what}: the accounts have {off} beside what their rows say.",
        what=purposes()[one.name],
        off=one.off,
    )


BREAKS: Final[Mapping[str, Callable[[Break], Markup]]] = {
    "journal": journal,
    "account": account,
    "deal": deal,
    "payout": payout,
    "trial": trial,
    "kept": kept,
    "total": total,
    "other": account,
}
"""`Break.kind` → its sentence."""


def all_breaks(audit: Audit) -> bytes:
    """Every break, a line each, as a text file."""
    return "\n".join(plain(break_words(one)) for one in audit.breaks).encode()


def _trial(audit: Audit, currency: Currency) -> Markup | None:
    sums = {kind: minor for (kind, one), minor in audit.trial.items() if one is currency and minor}
    if not sums:
        return None

    def amount(kind: str, sign: int = 1) -> Plain:
        return bare(Money(sign * sums.get(kind, 0), currency))

    customers = lines(
        *(
            say("  {what}: {amount}", what=what, amount=amount(kind))
            for kind, what in purposes().items()
            if kind in sums
        )
    )
    owed = sums.get("receivable", 0)
    return lines(
        say(
            "<b>{currency}</b>: trial balance {total}",
            currency=Plain(currency.code),
            total=bare(Money(sum(sums.values()), currency)),
        ),
        say("At the provider: {amount}", amount=amount("external", -1)),
        say("Customers' money:") if customers else say("Customers' money: nothing"),
        customers or None,
        say(
            "Ours: fees {fees}, put in {owner}, charges {costs}",
            fees=amount("fees"),
            owner=amount("owner"),
            costs=amount("costs"),
        ),
        say("Owed to us for reversed receipts: {amount}", amount=amount("receivable", -1))
        if owed
        else None,
    )


def _provider(found: Difference | None, page: Page) -> Markup:
    if found is None:
        return say("M-Pesa has named no balance yet: nothing to compare the books with.")
    values = {
        "says": found.says,
        "books": found.books,
        "when": when(page, found.read_at),
        "off": max(found.off, -found.off),
    }
    if not found.off:
        return say(
            "M-Pesa said {says} {when}, and so did the books when Amana read that.", **values
        )
    if found.off.minor > 0:
        return say(
            "M-Pesa said {says} {when}. When Amana read that, the books had {books}: {off} more at "
            "M-Pesa. Is a payment missing (/unmatched), or float that was put in (/book float)?",
            **values,
        )
    return say(
        "M-Pesa said {says} {when}. When Amana read that, the books had {books}: {off} less at "
        "M-Pesa. Is a charge (/book charge) or a withdrawal (/book withdraw) missing, or a payout "
        "under way?",
        **values,
    )


# -- /book -----------------------------------------------------------------------------------------


def _booked_words(facts: Values) -> dict[str, Any]:
    return {
        "receipt": Plain(facts["receipt"]),
        "before": Money(facts["before"], Currency.KES),
        "after": Money(facts["after"], Currency.KES),
    }


def _change(facts: Values) -> Markup:
    """The account of ours that moves."""
    if facts["what"] == "charge":
        return say(
            "M-Pesa's charges in the books: {before} before, {after} after.", **_booked_words(facts)
        )
    return say(
        "What you put in, less what you took: {before} before, {after} after.",
        **_booked_words(facts),
    )


def book_preview(facts: Values, action: Action, page: Page) -> Markup:
    """What it would book."""
    values = {"amount": action.amount, "receipt": Plain(facts["receipt"])}
    first = {
        "float": lambda: say("<b>{amount}</b> of your money went into M-Pesa's account?", **values),
        "withdraw": lambda: say("<b>{amount}</b> of your own was taken out?", **values),
        "charge": lambda: say("<b>{amount}</b> were charged by M-Pesa?", **values),
    }[facts["what"]]()
    return lines(first, say("Receipt {receipt}", **values), _change(facts))


def book_done(facts: Values, action: Action, page: Page) -> Markup:
    """What was booked."""
    values = {"amount": action.amount, "receipt": Plain(facts["receipt"])}
    first = {
        "float": lambda: say("<b>{amount} booked</b> as put in.", **values),
        "withdraw": lambda: say("<b>{amount} booked</b> as taken out.", **values),
        "charge": lambda: say("<b>{amount} booked</b> as M-Pesa's charge.", **values),
    }[facts["what"]]()
    return lines(first, say("Receipt {receipt}", **values), _change(facts))


PREVIEWS: Final = {"book": book_preview}
OUTCOMES: Final = {"book": book_done}


def booked_before(v: Values, page: Page) -> Markup:
    return say(
        "Receipt {receipt} was booked before: {amount} ({what}), by admin {by}, {when}. "
        "Nothing changed.",
        receipt=Plain(v["receipt"]),
        amount=v["amount"],
        what=Plain(v["what"]),
        by=v["by"],
        when=when(page, v["at"]),
    )


def booking_of_customer(v: Values, page: Page) -> Markup:
    return say(
        "Receipt {receipt} is a customer's payment or payout: it is booked already. /receipt "
        "shows it.",
        receipt=Plain(v["receipt"]),
    )


def above_yours(v: Values, page: Page) -> Markup:
    return say(
        "Only {most} is yours by the books; the rest of {amount} would be customers' money. "
        "If it left M-Pesa all the same, put it back, then /book float.",
        most=v["most"],
        amount=v["amount"],
    )


def audit_running(v: Values, page: Page) -> Markup:
    return say("An audit is running already. Its result comes to whoever asked for it.")


REFUSALS: Final = {
    "booked_before": booked_before,
    "booking_of_customer": booking_of_customer,
    "above_yours": above_yours,
    "audit_running": audit_running,
}
"""`CannotDo.reason` → its words."""
