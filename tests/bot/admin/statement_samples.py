"""What admins read of a statement: everything that can be found in one."""

from __future__ import annotations

from dataclasses import replace

from markupsafe import Markup

from escrow.bot.admin import statement_texts as t
from escrow.bot.page import Page
from escrow.domain.statements import (
    BadRow,
    Balance,
    Break,
    BreakKind,
    Compared,
    RowKind,
    Statement,
    StatementRow,
)
from tests.bot.refusal_samples import CODE
from tests.world import NOW, kes

_NOTES = {
    BreakKind.UNKNOWN_PAYMENT: ("waiting", "left", "known"),
    BreakKind.PAYOUT_SHOWN: ("asked", "MANUAL"),
    BreakKind.REVERSED: ("", "left", "own"),
    BreakKind.UNKNOWN_REVERSAL: ("no_link", ""),
}


def compared(said: str) -> Compared:
    row = StatementRow(7, "SG632NMUAB", NOW, RowKind.OTHER, said, kes(5), party=said, account=said)
    whys = ("receipt", "time", "amount", "status", "columns")
    bad = tuple(BadRow(line, why) for line, why in enumerate(whys))
    found = Compared(Statement((row,), bad), 3, 2, kes(10), 1, 2, 5)
    found.breaks = breaks(said)
    found.balance = Balance(NOW, kes(100), kes(90))
    return found


def breaks(said: str) -> list[Break]:
    return [
        Break(kind, "SG632NMUAB", kes(-5), NOW, kes(6), CODE, 7, note, said, 9, 4)
        for kind in BreakKind
        for note in _NOTES.get(kind, ("",))
    ]


def answers(said: str, on: Page) -> dict[str, Markup]:
    found = compared(said)
    texts = {
        "statement:read": t.progress(0, 0),
        "statement:progress": t.progress(500, 20_000),
        "statement:paused": t.compared(replace(found, paused=True), on),
        "statement:whole": t.compared(
            replace(
                found,
                breaks=[],
                charged=None,
                left=0,
                statement=replace(found.statement, bad=()),
                balance=Balance(NOW, kes(1), kes(1)),
            ),
            on,
        ),
        "statement:known": t.compared(replace(found, charged=None, charges_known=0), on),
    }
    for number, bad in enumerate(found.statement.bad):
        one = replace(found, statement=replace(found.statement, bad=(bad,)))
        texts[f"statement:bad:{number}"] = t.compared(one, on)
    for one in found.breaks:
        only = replace(found, breaks=[replace(one, receipt=one.receipt if one.note else "")])
        texts[f"statement:{one.kind}:{one.note}"] = t.compared(only, on)
    return texts | {"statement": t.compared(found, on)}
