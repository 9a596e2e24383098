"""What a button carries: a typed wish, packed and unpacked in this one place.

Anybody can send any data, so a button grants nothing: every wish is checked where it is carried
out. Data that is not of this form is simply not ours. The buttons of an underpayment choice are
signed by their service and begin with `v1:`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

DATA_BYTES: Final = 64
_FORM: Final = re.compile(
    r"b:([a-z_]{1,12})(?::(ES[0-9]{10}))?(?::([1-9][0-9]{0,17}))?(?::w([1-9][0-9]{0,17}))?",
    re.ASCII,
)
_CHOICE: Final = re.compile(r"v1:[\x21-\x7e]{1,61}", re.ASCII)


class Verb(StrEnum):
    """What a press asks for."""

    SHOW = "show"  # a deal's card
    PAY = "pay"  # a prompt for what the deal needs
    PAYBILL = "paybill"  # how to pay by hand
    COINS = "coins"  # in which coins it can be paid
    COIN = "coin"  # an address for the coin of that number
    WALLET = "wallet"  # pay from the wallet, the rest by a prompt
    TOP_UP = "top_up"  # complete a short payment by a prompt
    TOP_UP_WALLET = "top_wallet"  # complete it from the wallet, the rest by a prompt
    CREATE = "create"  # open the deal that was previewed
    DROP = "drop"  # forget it
    SHARE = "share"  # share one's own number, then pay
    NUMBER = "number"  # take this number in place of the old one
    KEEP = "keep"  # keep the old one
    CANCEL = "cancel"  # end an unpaid deal
    DECLINE = "decline"  # give a paid one back
    SELLING = "selling"  # how to sell
    BUYING = "buying"  # how to buy
    DEALS = "deals"  # the list
    DEALS_PAGE = "deals_pg"  # its page of that number
    WITHDRAW_ASK = "withdraw_q"  # whether to withdraw the dispute
    SENT = "sent"  # sellers: it is on its way
    DECLINE_ASK = "decline_q"  # whether to give it back
    CANCEL_ASK = "cancel_q"  # whether to end it
    RECEIVED = "received"  # buyers: I have it
    RECEIVED_YES = "received_yes"  # yes, pay the seller
    RELEASE = "release"  # buyers: end the inspection, pay now
    RELEASE_YES = "release_yes"  # yes, without looking longer
    BACK = "back"  # back to the card
    EXTEND = "extend"  # offer more time
    EXTEND_BY = "extend_by"  # offer that many hours
    ACCEPT_OFFER = "accept"  # take the offer of that number
    DECLINE_OFFER = "no_offer"  # decline it
    DISPUTE = "dispute"  # something is wrong
    REASON = "reason"  # that reason
    WITHDRAW = "withdraw_d"  # withdraw the dispute
    EVIDENCE = "evidence"  # add evidence
    SEE_EVIDENCE = "see_ev"  # see all evidence
    SETTLE = "settle"  # settle without an admin
    SETTLE_PRESET = "settle_p"  # that division, shown before sending
    SETTLE_SEND = "settle_s"  # send that division
    MESSAGE = "message"  # write to the other side
    HELP_DEAL = "help_deal"  # ask the admins about a deal
    STARS = "stars"  # rate with so many stars
    STAR_WORDS = "star_words"  # add words to a rating
    ACCEPT = "take_it"  # sellers: accept a proposal
    REFUSE = "refuse"  # sellers: refuse a proposal
    AGAIN = "again"  # the same deal again
    SHARE_DEAL = "share_deal"  # the link of a deal again
    PHOTO = "photo"  # what is sold, as its seller shows it
    NEW = "new"  # open a deal, guided
    STEP = "step"  # a choice in a guided dialogue
    STEP_BACK = "step_back"  # one step back
    STEP_STOP = "step_stop"  # end the dialogue
    PROPOSE = "propose"  # buyers: propose a deal to that seller
    SHOP = "shop"  # a seller's page
    PAYOUT_PHONE = "payout_nr"  # sellers: another number for payouts
    WALLET_PAGE = "wallet_pg"  # the next page of a wallet
    WITHDRAW_ALL = "wd_all"  # send the wallet to the phone
    WITHDRAW_YES = "wd_yes"  # send that amount (minor units)
    DOLLARS_ALL = "usd_all"  # withdraw all dollars: asks for the coin first
    DOLLARS_COIN = "usd_coin"  # as that coin
    DOLLARS_YES = "usd_yes"  # send what the question of that number shows
    AUTO_PAYOUT = "auto_pay"  # turn automatic payouts on (1) or off (2)
    LANGUAGE = "language"  # 1: English, 2: Kiswahili
    HELP = "help"  # ask the admins
    PAYOUT_PAID = "po_paid"  # admins: that payout was paid by hand
    PAYOUT_FAILED = "po_failed"  # admins: it will not be paid
    PAYOUT_SURE = "po_sure"  # admins: it was paid, though M-Pesa gives no answer
    VERIFY = "verify"  # admins: verify this seller
    CREDIT = "credit"  # admins: this receipt is real
    NOT_OURS = "not_ours"  # admins: it is not
    MORE_EVIDENCE = "more_ev"  # evidence after that many
    SUSPEND = "suspend"  # admins: suspend that seller, for a reason that is asked for
    LIFT = "lift"  # admins: lift his suspension
    REVIEW = "review"  # admins: that flag is looked at, with a note
    REVIEW_PLAIN = "review_plain"  # admins: without one
    WAITING = "waiting"  # admins: that list of what waits
    TALK_DONE = "talk_done"  # that was all the evidence
    CLAIM_YES = "claim_yes"  # admins: that claim is true
    CLAIM_NO = "claim_no"  # admins: it is not
    CASE = "case"  # admins: a deal's case
    PAGE = "page"  # admins: that page of that list
    BUNDLE = "bundle"  # admins: a case as a file
    RESOLVE = "resolve"  # admins: decide: 1 buyer, 2 seller, 3 half and half
    RULE = "rule"  # admins: 1 refund all, 2 release all, 3 freeze, 4 unfreeze
    ASSIGN = "assign"  # admins: that receipt is that deal's
    SEND_BACK = "send_back"  # admins: that receipt goes back to who paid it
    REVERSE = "reverse"  # admins: that receipt goes back, and its deal ends
    PAYOUT_RETRY = "po_retry"  # admins: send that payout now
    PAYOUT_ASK = "po_ask"  # admins: ask M-Pesa about that payout again
    PAYOUT_GO = "po_go"  # admins: the credential is fixed, payouts go on
    RECEIPT = "receipt"  # admins: everything about that receipt
    JOBS = "jobs"  # admins: when each job ran and runs


_NEEDS: Final[dict[Verb, tuple[bool, bool]]] = {
    Verb.SHOW: (True, False),
    Verb.PAY: (True, False),
    Verb.PAYBILL: (True, False),
    Verb.COINS: (True, False),
    Verb.COIN: (True, True),
    Verb.WALLET: (True, False),
    Verb.TOP_UP: (True, True),
    Verb.TOP_UP_WALLET: (True, True),
    Verb.CREATE: (False, True),
    Verb.DROP: (False, True),
    Verb.SHARE: (True, False),
    Verb.NUMBER: (False, True),
    Verb.KEEP: (False, False),
    Verb.CANCEL: (True, False),
    Verb.DECLINE: (True, False),
    Verb.SELLING: (False, False),
    Verb.BUYING: (False, False),
    Verb.DEALS: (False, False),
    Verb.DEALS_PAGE: (False, True),
    Verb.WITHDRAW_ASK: (True, False),
    Verb.SENT: (True, False),
    Verb.DECLINE_ASK: (True, False),
    Verb.CANCEL_ASK: (True, False),
    Verb.RECEIVED: (True, False),
    Verb.RECEIVED_YES: (True, False),
    Verb.RELEASE: (True, False),
    Verb.RELEASE_YES: (True, False),
    Verb.BACK: (True, False),
    Verb.EXTEND: (True, False),
    Verb.EXTEND_BY: (True, True),
    Verb.ACCEPT_OFFER: (True, True),
    Verb.DECLINE_OFFER: (True, True),
    Verb.DISPUTE: (True, False),
    Verb.REASON: (True, True),
    Verb.WITHDRAW: (True, False),
    Verb.EVIDENCE: (True, False),
    Verb.SEE_EVIDENCE: (True, False),
    Verb.SETTLE: (True, False),
    Verb.SETTLE_PRESET: (True, True),
    Verb.SETTLE_SEND: (True, True),
    Verb.MESSAGE: (True, False),
    Verb.HELP_DEAL: (True, False),
    Verb.STARS: (True, True),
    Verb.STAR_WORDS: (True, False),
    Verb.ACCEPT: (True, False),
    Verb.REFUSE: (True, False),
    Verb.AGAIN: (True, False),
    Verb.SHARE_DEAL: (True, False),
    Verb.PHOTO: (True, False),
    Verb.NEW: (False, False),
    Verb.STEP: (False, True),
    Verb.STEP_BACK: (False, False),
    Verb.STEP_STOP: (False, False),
    Verb.PROPOSE: (False, True),
    Verb.SHOP: (False, True),
    Verb.PAYOUT_PHONE: (False, False),
    Verb.WALLET_PAGE: (False, True),
    Verb.WITHDRAW_ALL: (False, False),
    Verb.WITHDRAW_YES: (False, True),
    Verb.DOLLARS_ALL: (False, False),
    Verb.DOLLARS_COIN: (False, True),
    Verb.DOLLARS_YES: (False, True),
    Verb.AUTO_PAYOUT: (False, True),
    Verb.LANGUAGE: (False, True),
    Verb.HELP: (False, False),
    Verb.PAYOUT_PAID: (False, True),
    Verb.PAYOUT_FAILED: (False, True),
    Verb.PAYOUT_SURE: (False, True),
    Verb.VERIFY: (False, True),
    Verb.CREDIT: (False, True),
    Verb.NOT_OURS: (False, True),
    Verb.MORE_EVIDENCE: (True, True),
    Verb.TALK_DONE: (True, False),
    Verb.SUSPEND: (False, True),
    Verb.LIFT: (False, True),
    Verb.REVIEW: (False, True),
    Verb.REVIEW_PLAIN: (False, True),
    Verb.WAITING: (False, True),
    Verb.CLAIM_YES: (False, True),
    Verb.CLAIM_NO: (False, True),
    Verb.CASE: (True, False),
    Verb.PAGE: (False, True),
    Verb.BUNDLE: (True, False),
    Verb.RESOLVE: (True, True),
    Verb.RULE: (True, True),
    Verb.ASSIGN: (True, True),
    Verb.SEND_BACK: (False, True),
    Verb.REVERSE: (False, True),
    Verb.PAYOUT_RETRY: (False, True),
    Verb.PAYOUT_ASK: (False, True),
    Verb.PAYOUT_GO: (False, False),
    Verb.RECEIPT: (False, True),
    Verb.JOBS: (False, False),
}
"""Verb → (names a deal, names a number)."""

FROM_WALLET: Final = frozenset({Verb.WALLET, Verb.TOP_UP_WALLET})
"""These name what they take from the wallet: a press takes no more than its label said."""


@dataclass(frozen=True, slots=True)
class Button:
    """A wish: the deal's code and a number (a choice, a draft, a row) where the verb has them;
    `wallet` is what it takes from the wallet, in minor units.
    """

    verb: Verb
    deal: str = ""
    number: int = 0
    wallet: int = 0


def pack(button: Button) -> str:
    """The callback data. `ValueError` when it could not be read back."""
    parts = ["b", str(button.verb)]
    if button.deal:
        parts.append(button.deal)
    if button.number:
        parts.append(str(button.number))
    if button.wallet:
        parts.append(f"w{button.wallet}")
    data = ":".join(parts)
    if len(data.encode()) > DATA_BYTES or unpack(data) != button:
        raise ValueError(f"not a button that can be read back: {data[:80]!r}")
    return data


def unpack(data: object) -> Button | None:
    """The wish in callback data, or None when it is not one of ours."""
    match = _FORM.fullmatch(data) if isinstance(data, str) else None
    if match is None or match[1] not in set(Verb):
        return None
    verb = Verb(match[1])
    if (match[2] is not None, match[3] is not None) != _NEEDS[verb]:
        return None
    if (match[4] is not None) != (verb in FROM_WALLET):
        return None
    return Button(verb, match[2] or "", int(match[3] or 0), int(match[4] or 0))


def is_choice(data: object) -> bool:
    """Whether that may be a signed button of an underpayment choice."""
    return isinstance(data, str) and _CHOICE.fullmatch(data) is not None
