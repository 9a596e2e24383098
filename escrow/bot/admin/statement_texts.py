"""Words of a statement that an admin sends, and of payments that M-Pesa took back."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final

from markupsafe import Markup
from telegram import InlineKeyboardButton

from escrow.bot.admin.paging import Rows
from escrow.bot.admin.sheets import text as cell
from escrow.bot.buttons import Button, Verb, pack
from escrow.bot.page import Page, Plain, card, code, lines, say, when, words
from escrow.domain.money import Money
from escrow.domain.payouts import PayoutState
from escrow.domain.statements import Balance, Break, BreakKind, Compared

Values = Mapping[str, Any]
SHOWN: Final = 10
_BUTTONS: Final = 8
_BAD_SHOWN: Final = 5
_HEADER: Final = (
    "break",
    "receipt",
    "paid in",
    "withdrawn",
    "in our books",
    "at (UTC)",
    "deal",
    "payout",
    "note",
    "line",
    "words",
)


def progress(done: int, rows: int) -> Markup:
    if not rows:
        return say("Reading the statement…")
    return say("Comparing: {done} of {rows} rows", done=done, rows=rows)


def kinds() -> Mapping[BreakKind, Markup]:
    """What each break is called."""
    return {
        BreakKind.MISSING_PAYMENT: say("credited by us, not in the statement"),
        BreakKind.MISSING_PAYOUT: say("paid out by our books, not in the statement"),
        BreakKind.OTHER_AMOUNT: say("another amount than in our books"),
        BreakKind.REVERSED: say("taken back by M-Pesa"),
        BreakKind.REVERSED_PART: say("another amount taken back than came in"),
        BreakKind.UNKNOWN_PAYOUT: say("left the account, unknown to us"),
        BreakKind.PAYOUT_SHOWN: say("may be a payout of ours that is still open"),
        BreakKind.UNKNOWN_PAYMENT: say("came in, unknown to us"),
        BreakKind.NO_NUMBER: say("credited without a receipt number, no row fits"),
        BreakKind.UNKNOWN_REVERSAL: say("taken back, never credited by us"),
        BreakKind.NOT_POSTED: say("known to us, credited to nobody yet"),
        BreakKind.OTHER_CHARGE: say("charge booked with another amount"),
        BreakKind.NOT_BOOKED: say("our own money moved, not in /book"),
        BreakKind.UNCLEAR: say("words that Amana does not know"),
    }


def compared(found: Compared, page: Page, most: int = SHOWN) -> Markup:
    """The summary: what is matched, then every break by its name, the first ones one by one."""
    said = found.statement
    times = [one.at for one in said.rows]
    return card(
        page,
        say(
            "<b>Statement, {first} to {last}</b>: {rows} rows",
            first=when(page, min(times)),
            last=when(page, max(times)),
            rows=len(said.rows),
        ),
        say("Nothing was booked while Amana is paused: send it again after /resume.")
        if found.paused
        else None,
        say("Matched: {count}", count=found.matched),
        _charges(found),
        _bad(found),
        _balance(found.balance, page),
        _breaks(found, most),
        say(
            "{count} rows were left for later, there were too many at once: send the file again.",
            count=found.left,
        )
        if found.left and not found.paused
        else None,
    )


def _charges(found: Compared) -> Markup | None:
    if found.charged is not None:
        return say(
            "Charges booked: {count}, {amount} (booked before: {known})",
            count=found.charges,
            amount=found.charged,
            known=found.charges_known,
        )
    if found.charges_known:
        return say("Charges: all {count} were booked before", count=found.charges_known)
    return None


def _bad(found: Compared) -> Markup | None:
    bad = found.statement.bad
    if not bad:
        return None
    named = Markup(", ").join(
        say("line {line} ({why})", line=one.line, why=cells()[one.why]) for one in bad[:_BAD_SHOWN]
    )
    return say("Not read: {count} lines: {lines}", count=len(bad), lines=named)


def cells() -> Mapping[str, Markup]:
    """What of a line could not be read."""
    return {
        "receipt": say("receipt number"),
        "time": say("time"),
        "amount": say("amount"),
        "status": say("status"),
        "columns": say("columns"),
    }


def _balance(balance: Balance | None, page: Page) -> Markup | None:
    if balance is None:
        return None
    values = {"says": balance.says, "at": when(page, balance.at), "books": balance.books}
    if not balance.off:
        return say("Balance at {at}: {says}, the same as in our books.", **values)
    return say(
        "Balance at {at}: {says}; our books have {books}. Difference: {off}. A float that nobody "
        "booked is the usual reason: /book",
        off=balance.off,
        **values,
    )


def _breaks(found: Compared, most: int) -> Markup:
    if not found.breaks:
        return say("<b>No breaks.</b>")
    names = kinds()
    counts = Counter(one.kind for one in found.breaks)
    counted = Markup("; ").join(
        say("{count} × {name}", count=counts[kind], name=names[kind])
        for kind in BreakKind
        if counts[kind]
    )
    return lines(
        say("<b>{count} breaks:</b> {counted}", count=len(found.breaks), counted=counted),
        *(_one(one, names[one.kind]) for one in found.breaks[:most]),
        say("The file below has them all.") if len(found.breaks) > most else None,
    )


def _one(one: Break, name: Markup) -> Markup:
    parts = [say("{receipt} {amount}: {name}", receipt=_number(one), amount=one.amount, name=name)]
    if one.ours is not None:
        parts.append(say("our books: {ours}", ours=one.ours))
    if one.code:
        parts.append(say("deal {code}", code=code(one.code)))
    if one.payout is not None:
        parts.append(say("payout {id}", id=one.payout))
    then = next_step(one)
    if then is not None:
        parts.append(then)
    if one.kind is BreakKind.UNCLEAR:
        parts.append(say("{words}", words=one.words[:60]))
    return Markup(", ").join(parts)


def _number(one: Break) -> Markup:
    return code(one.receipt) if one.receipt else say("no number")


def next_step(one: Break) -> Markup | None:
    """What is done about it, or who has to."""
    if one.kind is BreakKind.UNKNOWN_PAYMENT:
        return {
            "waiting": say("being confirmed"),
            "left": say("not asked about yet"),
        }.get(one.note)
    if one.kind is BreakKind.PAYOUT_SHOWN:
        return say("M-Pesa is asked") if one.note in ("asked", "named") else say("/payouts")
    if one.kind is BreakKind.REVERSED:
        return {
            "left": say("not booked yet"),
            "own": say("you are a party of it: another admin has to send the statement"),
        }.get(one.note, say("booked; an open deal is frozen"))
    if one.kind is BreakKind.UNKNOWN_REVERSAL and one.note == "no_link":
        return say("the row does not name the payment")
    return None


def buttons(found: Compared) -> Rows:
    """Ways on from the first breaks, each once."""
    rows: dict[str, InlineKeyboardButton] = {}
    for one in found.breaks:
        made = _button(one)
        if made is not None and len(rows) < _BUTTONS:
            rows.setdefault(str(made.callback_data), made)
    return [[one] for one in rows.values()]


def _button(one: Break) -> InlineKeyboardButton | None:
    if one.known is not None:
        label = words("Receipt {number}", number=one.receipt)
        return _made(label, Button(Verb.RECEIPT, number=one.known))
    if one.payout is not None and one.note == str(PayoutState.MANUAL):
        return _made(words("Payout {id} was paid…", id=one.payout), _paid(one.payout))
    if one.code:
        return _made(words("Open case {code}", code=one.code), Button(Verb.CASE, one.code))
    return None


def _paid(payout: int) -> Button:
    return Button(Verb.PAYOUT_PAID, number=payout)


def _made(label: str, button: Button) -> InlineKeyboardButton:
    return InlineKeyboardButton(label, callback_data=pack(button))


def every_break(found: Compared) -> bytes:
    """All of them as a CSV that any spreadsheet opens."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(_HEADER)
    for one in found.breaks:
        writer.writerow(
            [
                str(one.kind),
                cell(one.receipt),
                _positive(one.amount) if one.amount.minor > 0 else "",
                _positive(one.amount) if one.amount.minor < 0 else "",
                "" if one.ours is None else _positive(one.ours),
                one.at.isoformat(timespec="seconds"),
                one.code or "",
                one.payout or "",
                one.note,
                one.row or "",
                cell(one.words),
            ]
        )
    return "\ufeff".encode() + out.getvalue().encode()


def _positive(amount: Money) -> str:
    """No spreadsheet takes it for a formula."""
    return str(Money(abs(amount.minor), amount.currency).to_decimal())


# -- notices ---------------------------------------------------------------------------------------


def receipt_taken_back(v: Values, page: Page) -> Markup:
    """For the admins."""
    return card(
        page,
        say(
            "<b>CRITICAL: M-Pesa took back {amount}</b>, receipt {reference}.",
            amount=Plain(v["amount"]),
            reference=code(v["reference"]),
        ),
        say("Deal {code}", code=code(v["code"])) if v.get("code") else None,
        say("It came in as {booked}, so nothing was booked: look it up.", booked=Plain(v["booked"]))
        if not v["whole"]
        else None,
        say("The deal is frozen until an admin decides it.") if v["frozen"] else None,
        say(
            "{owed} of it is spent or promised. A refund of this deal pays that first.",
            owed=Plain(v["owed"]),
        )
        if v.get("owed")
        else None,
        say("Reversal {reversal}. Found in the statement.", reversal=code(v["reversal"])),
    )


def receipt_not_shown(v: Values, page: Page) -> Markup:
    """For the admins."""
    return card(
        page,
        say(
            "<b>CRITICAL: M-Pesa's statement lacks {amount}</b> that we credited, receipt "
            "{reference}.",
            amount=Plain(v["amount"]),
            reference=code(v["reference"]),
        ),
        say("Deal {code}", code=code(v["code"])) if v.get("code") else None,
        say("Look it up in the portal before anything of it is paid out. To stop all: /pause"),
    )


def payment_taken_back(v: Values, page: Page) -> Markup:
    """For whoever paid it."""
    return card(
        page,
        say(
            "<b>M-Pesa sent {amount} back to its payer</b> (receipt {reference}).",
            amount=Plain(v["amount"]),
            reference=code(v["reference"]),
        ),
        say("Deal {code} is not paid with it any more.", code=code(v["code"]))
        if v.get("code")
        else None,
        say("The rest that was paid, {returned}, is in your wallet.", returned=Plain(v["returned"]))
        if v.get("returned")
        else None,
        say("You can pay it again.") if v.get("open") else None,
    )


def refund_covers(v: Values, page: Page) -> Markup:
    """For the buyer, when a deal ends that lacks a payment of his."""
    return card(
        page,
        say(
            "<b>Deal {code}: of your part, {part}, {covers} covers your payment that M-Pesa sent "
            "back.</b>",
            code=code(v["code"]),
            part=Plain(v["part"]),
            covers=Plain(v["covers"]),
        ),
        say("In your wallet from this deal: {left}.", left=Plain(v["left"])),
    )


NOTICES: Final[Mapping[str, Callable[[Values, Page], Markup]]] = {
    words_.__name__: words_
    for words_ in (receipt_taken_back, receipt_not_shown, payment_taken_back, refund_covers)
}
"""The kind is the function's name."""


# -- refusals --------------------------------------------------------------------------------------


def statement_too_large(v: Values, page: Page) -> Markup:
    return say("That file is too large for a statement. Send a shorter time, like one month.")


def statement_too_many_rows(v: Values, page: Page) -> Markup:
    return say("That statement has too many rows for one look. Send a shorter time.")


def statement_no_header(v: Values, page: Page) -> Markup:
    return say(
        "That is no statement of M-Pesa's portal: the line that names its columns is missing. "
        "Export it as CSV, and send it as it came."
    )


def statement_empty(v: Values, page: Page) -> Markup:
    return say("That statement has no row that moved money. Nothing was compared.")


def statement_other_account(v: Values, page: Page) -> Markup:
    return say(
        "That statement is of shortcode {shortcode}, which is not ours. Nothing was compared.",
        shortcode=Plain(v["shortcode"]),
    )


def statement_not_fetched(v: Values, page: Page) -> Markup:
    return say("Telegram does not give me that file now. Please send it again.")


REFUSALS: Final[Mapping[str, Callable[[Values, Page], Markup]]] = {
    words_.__name__: words_
    for words_ in (
        statement_too_large,
        statement_too_many_rows,
        statement_no_header,
        statement_empty,
        statement_other_account,
        statement_not_fetched,
    )
}
"""The reason is the function's name."""
