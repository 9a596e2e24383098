"""The buttons of selling: the guided dialogue, previews, shops, proposals, stars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode

from telegram import CopyTextButton, InlineKeyboardButton, InlineKeyboardMarkup

from escrow.bot import labels
from escrow.bot.buttons import Button, Verb, pack
from escrow.bot.page import Plain, clean, words
from escrow.domain.model import Seller, SellerStatus
from escrow.domain.terms import FeePayer
from escrow.services.ratings import SellerPage

Row = Sequence[InlineKeyboardButton]
FEE_STEPS: Final = {1: FeePayer.BUYER, 2: FeePayer.SELLER, 3: FeePayer.SPLIT}
"""The number of a [STEP] button → who pays the fee."""
SKIP: Final = 4
CHANGE_FEE: Final = 5
_SHARED: Final = 3


def _button(label: str, verb: Verb, deal: str = "", number: int = 0) -> InlineKeyboardButton:
    return InlineKeyboardButton(label, callback_data=pack(Button(verb, deal, number)))


def _way_out(*, back: bool) -> list[InlineKeyboardButton]:
    stop = _button(words("Cancel"), Verb.STEP_STOP)
    return [_button(words("Back"), Verb.STEP_BACK), stop] if back else [stop]


def step(*, back: bool) -> InlineKeyboardMarkup:
    return InlineKeyboardMarkup([_way_out(back=back)])


def fee_payer() -> InlineKeyboardMarkup:
    return InlineKeyboardMarkup(
        [
            [_button(words("The buyer"), Verb.STEP, number=1)],
            [_button(words("I pay it"), Verb.STEP, number=2)],
            [_button(words("Half each"), Verb.STEP, number=3)],
            _way_out(back=True),
        ]
    )


def photo() -> InlineKeyboardMarkup:
    skip = _button(words("Skip"), Verb.STEP, number=SKIP)
    return InlineKeyboardMarkup([[skip], _way_out(back=True)])


def preview(number: int, payer: FeePayer) -> InlineKeyboardMarkup:
    """`payer` bears the fee now; the button changes that."""
    return InlineKeyboardMarkup(
        [
            [
                _button(labels.create(), Verb.CREATE, number=number),
                _button(labels.drop(), Verb.DROP, number=number),
            ],
            [_button(_change(payer), Verb.STEP, number=CHANGE_FEE)],
            [_button(words("Back"), Verb.STEP_BACK)],
        ]
    )


def _change(payer: FeePayer) -> str:
    """What pressing makes of it."""
    if payer is FeePayer.BUYER:
        return words("I pay the fee instead")
    if payer is FeePayer.SELLER:
        return words("Share the fee instead")
    return words("The buyer pays the fee instead")


def next_payer(payer: FeePayer) -> FeePayer:
    return {
        FeePayer.BUYER: FeePayer.SELLER,
        FeePayer.SELLER: FeePayer.SPLIT,
        FeePayer.SPLIT: FeePayer.BUYER,
    }[payer]


def proposal_preview(number: int) -> InlineKeyboardMarkup:
    return InlineKeyboardMarkup(
        [
            [
                _button(words("Send"), Verb.CREATE, number=number),
                _button(labels.drop(), Verb.DROP, number=number),
            ],
            [_button(words("Back"), Verb.STEP_BACK)],
        ]
    )


def share(link: str, text: str) -> InlineKeyboardMarkup:
    """Sends a link on with a few words, or copies it."""
    return InlineKeyboardMarkup(_share(link, text))


def _share(link: str, text: str) -> list[list[InlineKeyboardButton]]:
    line = clean(text)
    telegram = "https://t.me/share/url?" + urlencode({"url": link, "text": line})
    whatsapp = "https://wa.me/?" + urlencode({"text": f"{line} {link}"})
    return [
        [InlineKeyboardButton(labels.share_telegram(), url=telegram)],
        [InlineKeyboardButton(labels.share_whatsapp(), url=whatsapp)],
        [InlineKeyboardButton(words("Copy link"), copy_text=CopyTextButton(link))],
    ]


# -- shops -----------------------------------------------------------------------------------------


def shop_link(bot_username: str, seller_id: int) -> str:
    """What opens a seller's page in anybody's Telegram."""
    return f"https://t.me/{bot_username}?start=s_{seller_id}"


def shop(seller: Seller) -> InlineKeyboardMarkup:
    """Below /sell."""
    rows = [[_button(words("My page"), Verb.SHOP, number=seller.id)]]
    if seller.status is not SellerStatus.SUSPENDED:
        rows.insert(0, [_button(words("Open a deal"), Verb.NEW)])
    rows.append([_change_number()])
    return InlineKeyboardMarkup(rows)


def _change_number() -> InlineKeyboardButton:
    return _button(words("Change payout number"), Verb.PAYOUT_PHONE)


def selling() -> InlineKeyboardMarkup:
    """Below how selling works."""
    return InlineKeyboardMarkup([[_button(words("Open a deal"), Verb.NEW)]])


def shop_page(
    found: SellerPage, link: str, invitation: str, *, mine: bool
) -> InlineKeyboardMarkup | None:
    if mine:
        return InlineKeyboardMarkup(_share(link, invitation))
    if found.seller.status is not SellerStatus.VERIFIED:
        return None
    propose = _button(words("Propose a deal"), Verb.PROPOSE, number=found.seller.id)
    return InlineKeyboardMarkup([[propose]])


def which_number(msisdn: str) -> InlineKeyboardMarkup:
    """What a seller's new number is for."""
    return InlineKeyboardMarkup(
        [
            [_button(words("Paying for what I buy"), Verb.NUMBER, number=int(msisdn))],
            [_button(words("Getting my money"), Verb.PAYOUT_PHONE)],
            [_button(words("Neither"), Verb.KEEP)],
        ]
    )


# -- stars -----------------------------------------------------------------------------------------


def stars(deal: str) -> InlineKeyboardMarkup:
    """One to five, in one row."""
    return InlineKeyboardMarkup([star_row(deal)])


def star_row(deal: str) -> list[InlineKeyboardButton]:
    return [_button(f"{count} ★", Verb.STARS, deal, count) for count in range(1, 6)]


def rated(deal: str) -> InlineKeyboardMarkup:
    """Below the thanks."""
    return InlineKeyboardMarkup([[_button(words("Add words"), Verb.STAR_WORDS, deal)]])


# -- notices ---------------------------------------------------------------------------------------


def for_notice(kind: str, values: Mapping[str, Any]) -> InlineKeyboardMarkup | None:
    """The buttons of these notices."""
    if kind == "proposal":
        deal = values["code"]
        return InlineKeyboardMarkup(
            [
                [
                    _button(words("Accept"), Verb.ACCEPT, deal),
                    _button(words("Refuse"), Verb.REFUSE, deal),
                ]
            ]
        )
    if kind == "payout_number_changed":
        return InlineKeyboardMarkup([[_change_number()]])
    if kind == "seller_verified":
        codes = (values.get("codes") or [])[:_SHARED]
        rows = [
            [_button(words("Share {code}", code=Plain(code)), Verb.SHARE_DEAL, code)]
            for code in codes
        ]
        return InlineKeyboardMarkup(rows) if rows else None
    return None


NOTICES: Final = frozenset({"proposal", "seller_verified", "payout_number_changed"})
"""The notices that have buttons here."""
