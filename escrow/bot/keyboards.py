"""Arranges buttons below messages. The words are in `labels`, the data in `buttons`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode

from telegram import (
    CopyTextButton,
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    KeyboardButton,
    ReplyKeyboardMarkup,
)

from escrow.bot import (
    coin_texts,
    deal_buttons,
    dispute_texts,
    labels,
    paid_texts,
    payout_texts,
    ruling_texts,
    selling_keyboards,
    settle_texts,
    talk_texts,
)
from escrow.bot.admin import digest_texts, flag_texts, seller_texts, sweep_texts
from escrow.bot.buttons import Button, Verb, pack
from escrow.bot.locales import LANGUAGES, NAMES
from escrow.bot.page import clean, language, words
from escrow.bot.prompt_words import needs_two_minutes
from escrow.domain.model import Choice, Escrow
from escrow.domain.money import Currency, Money
from escrow.services.choice_tokens import Action
from escrow_service import DealView

_LISTED = 8
_BACK_TO_THE_DEAL = frozenset(
    {
        "prompt_open",
        "wallet_is_enough",
        "too_many_reservations",
        "not_payable",
        "reserved",
        "mpesa_not_offered",
        "no_coins_for_currency",
        "no_mpesa_for_currency",
        "coin_not_offered",
        "no_rate",
        "too_many_addresses",
    }
)
"""These may stand in place of a deal's card, which then must be found again."""


def _button(
    label: str, verb: Verb, deal: str = "", number: int = 0, wallet: Money | None = None
) -> InlineKeyboardButton:
    taken = wallet.minor if wallet else 0
    return InlineKeyboardButton(label, callback_data=pack(Button(verb, deal, number, taken)))


def _rows(*buttons: InlineKeyboardButton) -> InlineKeyboardMarkup:
    """One button per row: labels stay readable on small phones."""
    return InlineKeyboardMarkup([[button] for button in buttons])


def greeting() -> InlineKeyboardMarkup:
    return InlineKeyboardMarkup(
        [
            [
                _button(labels.how_to_buy(), Verb.BUYING),
                _button(labels.how_to_sell(), Verb.SELLING),
            ],
            [_button(labels.my_deals(), Verb.DEALS)],
            _languages(*(code for code in LANGUAGES if code != language())),
        ]
    )


def languages() -> InlineKeyboardMarkup:
    return InlineKeyboardMarkup([_languages(*LANGUAGES)])


def _languages(*codes: str) -> list[InlineKeyboardButton]:
    return [_button(NAMES[code], Verb.LANGUAGE, number=LANGUAGES.index(code) + 1) for code in codes]


# -- deals -------------------------------------------------------------------------------------


def deal(
    view: DealView, choice: Mapping[Action, str] | None = None, *, by_hand: bool = True
) -> InlineKeyboardMarkup | None:
    """What this person can press on a deal's card. `choice`: the signed buttons of his open
    underpayment choice; `by_hand`: whether there is a paybill, here and below.
    """
    paying = _paying(view, choice, by_hand=by_hand)
    if choice is not None and paying is not None:
        return paying
    rows = [*(paying.inline_keyboard if paying else ()), *deal_buttons.rows(view)]
    if view.photo is not None:
        rows.append([_button(labels.photo(), Verb.PHOTO, view.escrow.id)])
    return InlineKeyboardMarkup(rows) if rows else None


def _paying(
    view: DealView, choice: Mapping[Action, str] | None = None, *, by_hand: bool
) -> InlineKeyboardMarkup | None:
    """The ways to pay what is missing."""
    escrow = view.escrow
    if not escrow.can_be_paid or view.role == "seller" or view.reserved_by_other:
        return None
    missing = escrow.due - escrow.received
    if choice is not None:
        return underpaid(choice, missing, escrow.received)
    buttons = []
    if view.by_mpesa:
        buttons.append(_button(labels.pay_mpesa(missing, view.phone), Verb.PAY, escrow.id))
        if by_hand:
            buttons.append(_button(labels.pay_paybill(), Verb.PAYBILL, escrow.id))
    if view.in_coins:
        buttons.append(coin_texts.button(escrow.id))
    if view.wallet >= missing:
        buttons.append(_button(labels.use_wallet(missing), Verb.WALLET, escrow.id, wallet=missing))
    elif view.wallet and view.by_mpesa:
        label = labels.use_wallet_too(view.wallet)
        buttons.append(_button(label, Verb.WALLET, escrow.id, wallet=view.wallet))
    return _rows(*buttons) if buttons else None


def deals(rows: Sequence[tuple[Escrow, str]], verb: Verb = Verb.SHOW) -> InlineKeyboardMarkup:
    """One button per deal, for the newest ones."""
    return _rows(
        *(
            _button(labels.deal(escrow.id, escrow.description), verb, escrow.id)
            for escrow, _ in rows[:_LISTED]
        )
    )


def deal_page(rows: Sequence[tuple[Escrow, str]], page: int, pages: int) -> InlineKeyboardMarkup:
    """The buttons of one page of deals, and the way to the others."""
    turns = []
    if page > 1:
        turns.append(_button(words("Newer"), Verb.DEALS_PAGE, number=page - 1))
    if page < pages:
        turns.append(_button(words("Older"), Verb.DEALS_PAGE, number=page + 1))
    listed = deals(rows).inline_keyboard
    return InlineKeyboardMarkup([*listed, turns] if turns else listed)


def underpaid(
    tokens: Mapping[Action, str], missing: object, received: object
) -> InlineKeyboardMarkup:
    """The three signed buttons of an underpayment choice."""
    return _rows(
        InlineKeyboardButton(labels.complete(missing), callback_data=tokens[Action.COMPLETE]),
        InlineKeyboardButton(labels.proceed(received), callback_data=tokens[Action.PROCEED]),
        InlineKeyboardButton(labels.cancel_refund(), callback_data=tokens[Action.CANCEL]),
    )


def complete(choice: Choice, wallet: Money) -> InlineKeyboardMarkup:
    """From where the missing amount shall come."""
    return _rows(*ways_to_complete(choice, wallet, by_mpesa=True))


def ways_to_complete(
    choice: Choice, wallet: Money, *, by_mpesa: bool
) -> list[InlineKeyboardButton]:
    """What a missing amount can come from besides coins: M-Pesa where it can, the wallet, both."""
    missing, deal = choice.missing, choice.escrow_id
    ways = []
    if by_mpesa:
        ways.append(_button(labels.from_mpesa(missing), Verb.TOP_UP, deal, choice.id))
    if wallet >= missing:
        label = labels.from_wallet(missing)
        ways.append(_button(label, Verb.TOP_UP_WALLET, deal, choice.id, missing))
    elif wallet and by_mpesa:
        label = labels.mpesa_and_wallet((missing - wallet).up_to_step(), wallet)
        ways.append(_button(label, Verb.TOP_UP_WALLET, deal, choice.id, wallet))
    return ways


def retry(
    code: str, choice_id: int | None, *, wait: bool, by_hand: bool = True
) -> InlineKeyboardMarkup:
    """After a prompt that brought no money."""
    again = labels.try_again(wait=wait)
    if choice_id:
        return _rows(_button(again, Verb.TOP_UP, code, choice_id))
    other = [_button(labels.pay_paybill(), Verb.PAYBILL, code)] if by_hand else []
    return _rows(_button(again, Verb.PAY, code), *other)


def paybill_only(code: str) -> InlineKeyboardMarkup:
    return _rows(_button(labels.pay_paybill(), Verb.PAYBILL, code))


def by_hand(code: str, amount: Money, paybill: str) -> InlineKeyboardMarkup:
    """What has to be typed into M-Pesa, each copied by a tap."""
    digits = str(amount.up_to_step().to_decimal()).removesuffix(".00")
    return _rows(
        InlineKeyboardButton(labels.copy_paybill(paybill), copy_text=CopyTextButton(paybill)),
        InlineKeyboardButton(labels.copy_account(code), copy_text=CopyTextButton(code)),
        InlineKeyboardButton(labels.copy_amount(amount), copy_text=CopyTextButton(digits)),
    )


def draft(number: int) -> InlineKeyboardMarkup:
    return InlineKeyboardMarkup(
        [
            [
                _button(labels.create(), Verb.CREATE, number=number),
                _button(labels.drop(), Verb.DROP, number=number),
            ]
        ]
    )


def deal_link(bot_username: str, code: str) -> str:
    """What opens a deal in the buyer's Telegram."""
    return f"https://t.me/{bot_username}?start={code}"


def share(link: str, words: str) -> InlineKeyboardMarkup:
    """Sends a link on, with a few words."""
    line = clean(words)
    telegram = "https://t.me/share/url?" + urlencode({"url": link, "text": line})
    whatsapp = "https://wa.me/?" + urlencode({"text": f"{line} {link}"})
    return _rows(
        InlineKeyboardButton(labels.share_telegram(), url=telegram),
        InlineKeyboardButton(labels.share_whatsapp(), url=whatsapp),
    )


def contact() -> ReplyKeyboardMarkup:
    """Below the typing line: sends one's own number, vouched for by Telegram."""
    return ReplyKeyboardMarkup(
        [[KeyboardButton(labels.share_number(), request_contact=True)]],
        resize_keyboard=True,
        one_time_keyboard=True,
    )


def new_number(msisdn: str) -> InlineKeyboardMarkup:
    """Whether this number shall replace the stored one."""
    return InlineKeyboardMarkup(
        [
            [
                _button(labels.yes(), Verb.NUMBER, number=int(msisdn)),
                _button(labels.no(), Verb.KEEP),
            ]
        ]
    )


_TO_THE_CASE: Final = frozenset({"decided_before", "dispute_taken", "no_open_dispute"})
"""After these an admin looks at the deal."""


def for_refusal(
    reason: str, values: Mapping[str, Any], *, by_hand: bool = True
) -> InlineKeyboardMarkup | ReplyKeyboardMarkup | None:
    """The way on from a refusal, where a button can offer one."""
    if reason in ("phone", "phone_mismatch", "foreign_contact"):
        return contact()
    deal = values.get("deal")
    if reason == "same_amount_too_soon" and deal:
        return retry(deal, values.get("choice"), wait=True, by_hand=by_hand)
    if reason == "too_many_prompts_to_number" and deal:
        other = [_button(labels.pay_paybill(), Verb.PAYBILL, deal)] if by_hand else []
        return _rows(_button(labels.share_number(), Verb.SHARE, deal), *other)
    if reason == "too_many_prompts" and deal:
        return paybill_only(deal) if by_hand else None
    if reason in _TO_THE_CASE and values.get("admin") and values.get("code"):
        return _rows(_button(words("Case {deal}", deal=values["code"]), Verb.CASE, values["code"]))
    if reason in _BACK_TO_THE_DEAL and deal:
        return _rows(_button(labels.show_deal(), Verb.SHOW, deal))
    return None


# -- admins ------------------------------------------------------------------------------------


def seller_waits(row: int, shop: str) -> InlineKeyboardMarkup:
    return _rows(_button(labels.verify(shop), Verb.VERIFY, number=row))


def confirm_receipt(row: int) -> InlineKeyboardMarkup:
    return InlineKeyboardMarkup(
        [
            [
                _button(labels.credit(), Verb.CREDIT, number=row),
                _button(labels.not_ours(), Verb.NOT_OURS, number=row),
            ]
        ]
    )


# -- notices -----------------------------------------------------------------------------------


def _pay_again(values: Mapping[str, Any]) -> InlineKeyboardButton:
    """M-Pesa carries shillings; any other deal is looked at first."""
    if str(values["due"]).startswith(Currency.KES.code):
        return _button(labels.pay_mpesa(values["due"]), Verb.PAY, values["code"])
    return _button(labels.show_deal(), Verb.SHOW, values["code"])


PAYABLE: Final = ("proposal_accepted", "too_short", "window_over")
"""Notices that offer every way to pay their deal."""


def for_notice(
    kind: str,
    values: Mapping[str, Any],
    choice: Mapping[Action, str] | None,
    view: DealView | None = None,
    *,
    by_hand: bool = True,
) -> InlineKeyboardMarkup | None:
    """The buttons of a notice. `choice`: the signed ones of an `underpaid` notice; `view`: the
    deal as it stands now, for `PAYABLE` ones.
    """
    if kind == "underpaid" and choice is not None:
        return underpaid(choice, values["missing"], values["received"])
    if kind in PAYABLE:
        offered = _paying(view, by_hand=by_hand) if view is not None else None
        return offered or _rows(_pay_again(values))
    if kind == "prompt_failed":
        wait = needs_two_minutes(str(values["reason"]))
        return retry(values["code"], values.get("choice"), wait=wait, by_hand=by_hand)
    if kind == "seller_waits":
        return seller_waits(values["id"], values["shop"])
    if kind == "confirm_receipt":
        return confirm_receipt(values["receipt"])
    if kind == "suspense":
        return digest_texts.to_unmatched()
    on_its_way = deal_buttons.for_notice(kind, values)
    if on_its_way is not None:
        return on_its_way
    if kind in dispute_texts.NOTICES:
        return dispute_texts.keyboard(kind, values)
    if kind in settle_texts.NOTICES:
        return settle_texts.keyboard(kind, values)
    if kind in ruling_texts.NOTICES:
        return ruling_texts.keyboard(kind, values)
    if kind in sweep_texts.NOTICES:
        return sweep_texts.keyboard(kind, values)
    if kind in talk_texts.NOTICES:
        return talk_texts.keyboard(kind, values)
    if kind in selling_keyboards.NOTICES:
        return selling_keyboards.for_notice(kind, values)
    if kind in coin_texts.NOTICES:
        return coin_texts.notice_keyboard(kind, values)
    if kind in payout_texts.NOTICES:
        return payout_texts.keyboard(kind, values)
    if kind in paid_texts.NOTICES:
        return paid_texts.keyboard(kind, values)
    if kind in seller_texts.NOTICES:
        return seller_texts.keyboard(values)
    if kind in flag_texts.NOTICES:
        return flag_texts.keyboard(values)
    if kind in digest_texts.NOTICES:
        return digest_texts.keyboard(values)
    return None
