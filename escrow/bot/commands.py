"""USER_COMMANDS and USER_BUTTONS: what everybody may use, each once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from escrow.bot import buyer, common, deals, seller, wallet
from escrow.bot.buttons import Verb
from escrow.bot.context import Command, Handler

USER_COMMANDS: Final[tuple[Command, ...]] = (
    Command("start", "what Amana does, or a deal by its link", "/start", common.start),
    Command("help", "what I understand", "/help", common.help_),
    Command("sell", "register your shop", "/sell Jane Shop", seller.sell),
    Command("newdeal", "open a deal for a buyer", "/newdeal 1500 Blue phone case", seller.newdeal),
    Command("deals", "your deals", "/deals", deals.listed),
    Command("deal", "one deal by its code", "/deal ES1008257624", deals.deal),
    Command("pay", "pay a deal by M-Pesa", "/pay ES1008257624", buyer.pay),
    Command("cancel", "end a deal that is not paid", "/cancel ES1008257624", common.cancel),
    Command("decline", "sellers: give a paid deal back", "/decline ES1008257624", deals.decline),
    Command("wallet", "your money with Amana", "/wallet", wallet.wallet),
)

USER_BUTTONS: Final[Mapping[Verb, Handler]] = {
    Verb.SHOW: deals.show_pressed,
    Verb.PAY: buyer.pay_pressed,
    Verb.PAYBILL: buyer.by_hand,
    Verb.WALLET: buyer.from_wallet,
    Verb.TOP_UP: buyer.top_up,
    Verb.TOP_UP_WALLET: buyer.top_up_from_wallet,
    Verb.SHARE: buyer.share,
    Verb.NUMBER: common.number_changed,
    Verb.KEEP: common.number_kept,
    Verb.CREATE: seller.create,
    Verb.DROP: seller.drop,
    Verb.CANCEL: deals.cancel_pressed,
    Verb.DECLINE: deals.decline_pressed,
    Verb.SELLING: common.how_to_sell,
    Verb.BUYING: common.how_to_buy,
    Verb.DEALS: deals.listed,
}
