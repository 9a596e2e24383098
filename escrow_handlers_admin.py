"""The admin commands, each `(update, context)`, and ADMIN_COMMANDS: the one list of them that
menus, guide and tests are made from.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from telegram import Update
from telegram.ext import CallbackContext

from escrow.bot import admin_texts, desk, paid, payouts
from escrow.bot.admin import (
    cases,
    confirming,
    figures,
    flags,
    lists,
    pausing,
    receipts,
    safe,
    sellers,
    unmatched,
    waiting,
)
from escrow.bot.admin.guard import admin_only
from escrow.bot.buttons import Verb
from escrow.bot.context import Command, Handler
from escrow.bot.divisions import read_decision, read_ruling
from escrow.services.verdicts import REFUND, RELEASE, RESOLVE
from escrow.services.work import read_code

__all__ = [
    "disputed_transactions",
    "escrow_dashboard",
    "freeze_transaction",
    "manual_refund",
    "manual_release",
    "resolve_dispute",
    "suspend_seller",
    "suspicious_users",
    "system_health",
    "verify_seller",
]

Context = CallbackContext[Any, Any, Any, Any]


@admin_only
async def verify_seller(update: Update, context: Context) -> None:
    """/verify_seller <Telegram id or row>: he may sell, and his open deals can be paid."""
    await sellers.verify_seller(update, context)


@admin_only
async def suspend_seller(update: Update, context: Context) -> None:
    """/suspend_seller <Telegram id or row> <reason>: no new deals; funded ones go on."""
    await sellers.suspend_seller(update, context)


@admin_only
async def suspicious_users(update: Update, context: Context) -> None:
    """/suspicious_users: flags that nobody has reviewed, the worst first."""
    await flags.suspicious_users(update, context)


@admin_only
async def escrow_dashboard(update: Update, context: Context) -> None:
    """/escrow_dashboard: money, deals, sellers, the last 30 days, and a picture of them."""
    await figures.escrow_dashboard(update, context)


@admin_only
async def disputed_transactions(update: Update, context: Context) -> None:
    """/disputed_transactions: what is open, those with a silent other side first."""
    await cases.disputed_transactions(update, context)


@admin_only
async def resolve_dispute(update: Update, context: Context) -> None:
    """/resolve_dispute <CODE> <buyer|seller|split|split:NN> <notes>: ends the deal once it is
    confirmed.
    """
    args = context.args or []
    number = confirming.number_of(args)
    if number is not None:
        await confirming.typed(update, context, RESOLVE, read_code(args[0]), number)
        return
    said = read_decision(args)
    params = {"decision": said.decision, "percent": said.buyer_percent, "notes": said.notes}
    await confirming.ask(update, context, RESOLVE, read_code(said.deal), params)


@admin_only
async def freeze_transaction(update: Update, context: Context) -> None:
    """/freeze_transaction <CODE> [reason]: at once no timer and neither side moves it."""
    deal, reason = read_ruling(context.args or (), "freeze_transaction")
    escrow = await desk.office(context).escrows.freeze(
        deal, desk.user(update).id, reason, desk.cause(update)
    )
    await cases.say_frozen(update, context, escrow)


@admin_only
async def unfreeze_transaction(update: Update, context: Context) -> None:
    """/unfreeze_transaction <CODE> [reason]: it goes on, with the time it lost."""
    deal, reason = read_ruling(context.args or (), "unfreeze_transaction")
    escrow = await desk.office(context).escrows.unfreeze(
        deal, desk.user(update).id, reason, desk.cause(update)
    )
    await cases.say_unfrozen(update, context, escrow)


@admin_only
async def manual_refund(update: Update, context: Context) -> None:
    """/manual_refund <CODE> [reason]: once confirmed, everything held goes back to the buyer."""
    await _rule(update, context, REFUND)


@admin_only
async def manual_release(update: Update, context: Context) -> None:
    """/manual_release <CODE> [reason]: once confirmed, the seller is paid, whatever stood in the
    way.
    """
    await _rule(update, context, RELEASE)


async def _rule(update: Update, context: Context, kind: str) -> None:
    args = context.args or []
    deal, reason = read_ruling(args, kind)
    number = confirming.number_of(args)
    if number is not None:
        await confirming.typed(update, context, kind, read_code(deal), number)
    else:
        await confirming.ask(update, context, kind, read_code(deal), {"reason": reason})


@admin_only
async def system_health(update: Update, context: Context) -> None:
    """/system_health: one word first, why, and the figures behind it."""
    await safe.system_health(update, context)


# -- buttons -------------------------------------------------------------------------------------


@admin_only
async def _credit_pressed(update: Update, context: Context) -> None:
    await _decide(update, context, ours=True)


@admin_only
async def _not_ours_pressed(update: Update, context: Context) -> None:
    await _decide(update, context, ours=False)


async def _decide(update: Update, context: Context, *, ours: bool) -> None:
    """An admin's word on a receipt that waits. Decided before: the error says so."""
    receipt = await desk.office(context).confirmations.confirm_receipt(
        desk.button(update).number, desk.user(update).id, ours=ours
    )
    await desk.strip_buttons(update, context)
    text = admin_texts.receipt_decided(receipt, desk.page(context))
    await desk.answer(update, context, text)


ADMIN_COMMANDS: Final[tuple[Command, ...]] = (
    Command("verify_seller", "verify a seller", "/verify_seller 2001", verify_seller),
    Command("suspend_seller", "suspend a seller", "/suspend_seller 2001 reason", suspend_seller),
    Command(
        "pending_sellers",
        "sellers who wait for you",
        "/pending_sellers",
        admin_only(sellers.pending_sellers),
    ),
    Command(
        "suspicious_users",
        "flags nobody has reviewed",
        "/suspicious_users",
        suspicious_users,
    ),
    Command(
        "review_flag",
        "a flag is looked at",
        "/review_flag 12",
        admin_only(flags.review_flag),
    ),
    Command(
        "disputed_transactions",
        "open disputes",
        "/disputed_transactions",
        disputed_transactions,
    ),
    Command("case", "everything about a deal", "/case ES1008257624", admin_only(cases.case)),
    Command(
        "transactions",
        "deals by status",
        "/transactions HELD",
        admin_only(cases.transactions),
    ),
    Command(
        "resolve_dispute",
        "decide: buyer, seller, split or split:70",
        "/resolve_dispute ES1008257624 split:70 reason",
        resolve_dispute,
    ),
    Command(
        "freeze_transaction",
        "stop a deal",
        "/freeze_transaction ES1008257624 reason",
        freeze_transaction,
    ),
    Command(
        "unfreeze_transaction",
        "let it go on",
        "/unfreeze_transaction ES1008257624",
        unfreeze_transaction,
    ),
    Command(
        "manual_refund",
        "all back to the buyer",
        "/manual_refund ES1008257624 reason",
        manual_refund,
    ),
    Command(
        "manual_release",
        "pay the seller",
        "/manual_release ES1008257624 reason",
        manual_release,
    ),
    Command(
        "system_health", "is the money safe, is anything stuck", "/system_health", system_health
    ),
    Command("escrow_dashboard", "the business in figures", "/escrow_dashboard", escrow_dashboard),
    Command("report", "a month in figures", "/report 2026-11", admin_only(figures.report)),
    Command("audit", "prove the whole of the books", "/audit", admin_only(safe.audit)),
    Command(
        "book",
        "money of ours: float, withdraw or charge",
        "/book float 50,000 SGL51H2K3M",
        admin_only(safe.book),
    ),
    Command("payouts", "money on its way out", "/payouts", admin_only(payouts.payouts)),
    Command("unmatched", "money that is nobody's", "/unmatched", admin_only(unmatched.unmatched)),
    Command(
        "assign_payment",
        "say whose money that is",
        "/assign_payment SG632NMUAB ES1008257624",
        admin_only(unmatched.assign_payment),
    ),
    Command("receipt", "one payment", "/receipt SG632NMUAB", admin_only(receipts.receipt)),
    Command("pause", "stop everything", "/pause reason", admin_only(pausing.pause)),
    Command("resume", "let it go on", "/resume", admin_only(pausing.resume)),
)

ADMIN_BUTTONS: Final[Mapping[Verb, Handler]] = {
    Verb.VERIFY: admin_only(sellers.verify_pressed),
    Verb.LIFT: admin_only(sellers.lift_pressed),
    Verb.SUSPEND: admin_only(sellers.suspend_pressed),
    Verb.REVIEW: admin_only(flags.review_pressed),
    Verb.REVIEW_PLAIN: admin_only(flags.plain_pressed),
    Verb.WAITING: admin_only(waiting.listed),
    Verb.CASE: admin_only(cases.pressed),
    Verb.BUNDLE: admin_only(cases.file_pressed),
    Verb.RESOLVE: admin_only(cases.resolve_pressed),
    Verb.RULE: admin_only(cases.rule_pressed),
    Verb.PAGE: admin_only(lists.turned),
    Verb.CREDIT: _credit_pressed,
    Verb.NOT_OURS: _not_ours_pressed,
    Verb.PAYOUT_PAID: admin_only(payouts.paid_pressed),
    Verb.PAYOUT_FAILED: admin_only(payouts.failed_pressed),
    Verb.PAYOUT_SURE: admin_only(payouts.sure_pressed),
    Verb.PAYOUT_RETRY: admin_only(payouts.retry_pressed),
    Verb.PAYOUT_ASK: admin_only(payouts.ask_pressed),
    Verb.PAYOUT_GO: admin_only(payouts.resume_pressed),
    Verb.ASSIGN: admin_only(unmatched.assign_pressed),
    Verb.SEND_BACK: admin_only(unmatched.send_back_pressed),
    Verb.RECEIPT: admin_only(receipts.opened),
    Verb.REVERSE: admin_only(receipts.reverse_pressed),
    Verb.CLAIM_YES: admin_only(paid.credit_pressed),
    Verb.CLAIM_NO: admin_only(paid.refuse_pressed),
    Verb.JOBS: admin_only(safe.jobs_pressed),
}
