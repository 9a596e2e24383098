"""Keyboards arrange what fits a person's deal, within Telegram's limits."""

from __future__ import annotations

import pytest
from telegram import InlineKeyboardMarkup

from escrow.bot import keyboards
from escrow.bot.buttons import Verb, unpack
from escrow.bot.locales import LANGUAGES
from escrow.bot.notices import NOTICES
from escrow.bot.page import speaking
from escrow.domain.flow import Status
from escrow.domain.model import Choice
from escrow.domain.money import Currency, Money
from escrow.services import choice_tokens
from escrow.services.choice_tokens import Action
from sandbox.telegram_chats import inline_keyboard
from tests.bot import samples
from tests.bot.hostile import BASE

CHOICE = Choice(3, samples.CODE, 3001, samples.kes(10_500), samples.kes(9_800), samples.NOW)
TOKENS = {action: choice_tokens.sign(b"k" * 32, action, CHOICE) for action in Action}


def _labels(keyboard: InlineKeyboardMarkup | None) -> list[str]:
    return [button.text for row in keyboard.inline_keyboard for button in row] if keyboard else []


def _verbs(keyboard: InlineKeyboardMarkup | None) -> list[Verb]:
    rows = keyboard.inline_keyboard if keyboard else ()
    found = [unpack(button.callback_data) for row in rows for button in row]
    return [button.verb for button in found if button]


_PAYING = (Verb.PAY, Verb.PAYBILL, Verb.WALLET)


def _paying(keyboard: InlineKeyboardMarkup | None) -> list[Verb]:
    return [verb for verb in _verbs(keyboard) if verb in _PAYING]


def _all(said: str) -> list[InlineKeyboardMarkup | None]:
    rows = [(samples.escrow(said), "buyer")] * 20
    notices = samples.notice_values(said)
    return [
        keyboards.greeting(),
        keyboards.deal(samples.view(said, wallet=samples.kes(300))),
        keyboards.deal(samples.view(said), TOKENS),
        *(keyboards.deals(rows, verb) for verb in (Verb.SHOW, Verb.PAY, Verb.CANCEL, Verb.DECLINE)),
        keyboards.complete(CHOICE, samples.kes(300)),
        keyboards.by_hand(samples.CODE, samples.kes(10_500), "174379"),
        keyboards.draft(2**31),
        keyboards.share("https://t.me/AmanaBot?start=" + samples.CODE, said),
        *(keyboards.for_notice(kind, notices[kind], TOKENS) for kind in NOTICES),
    ]


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_words_of_people_break_a_keyboard(language: str) -> None:
    for said in BASE:
        with speaking(language):
            keyboards_ = _all(said)
        for keyboard in keyboards_:
            if keyboard is not None:
                inline_keyboard(keyboard.to_dict())
                assert all(0 < len(label) <= 60 for label in _labels(keyboard)), said


def test_the_choice_has_one_button_per_row_in_order() -> None:
    keyboard = keyboards.underpaid(TOKENS, "KES 700", "KES 9,800")
    assert [len(row) for row in keyboard.inline_keyboard] == [1, 1, 1]
    assert _labels(keyboard) == [
        "Complete payment – KES 700",
        "Proceed with KES 9,800",
        "Cancel & refund",
    ]
    for row in keyboard.inline_keyboard:
        assert len(str(row[0].callback_data).encode()) <= 64


def test_a_buyer_without_money_pays_by_mpesa_or_paybill() -> None:
    assert _verbs(keyboards.deal(samples.view("x", "guest"))) == [Verb.PAY, Verb.PAYBILL]
    assert _verbs(keyboards.deal(samples.view("x")))[:2] == [Verb.PAY, Verb.PAYBILL]


def test_a_wallet_offers_itself() -> None:
    part = keyboards.deal(samples.view("x", "guest", wallet=samples.kes(300)))
    assert _labels(part)[-1] == "Use wallet: KES 300, rest by M-Pesa"
    whole = keyboards.deal(samples.view("x", "guest", wallet=samples.kes(20_000)))
    assert _labels(whole)[-1] == "Use wallet: KES 10,500"


def test_a_dollar_deal_is_paid_from_the_wallet_only() -> None:
    usd = {
        "currency": Currency.USD,
        "due": Money(101_00, Currency.USD),
        "received": Money(0, Currency.USD),
        "by_mpesa": False,
    }
    none = samples.view("x", **usd, wallet=Money(0, Currency.USD))
    assert _paying(keyboards.deal(none)) == []
    some = samples.view("x", **usd, wallet=Money(5, Currency.USD))
    assert _paying(keyboards.deal(some)) == []
    enough = samples.view("x", **usd, wallet=Money(101_00, Currency.USD))
    assert _paying(keyboards.deal(enough)) == [Verb.WALLET]


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.PENDING])
def test_a_deal_that_is_past_paying_has_no_pay_buttons(status: Status) -> None:
    assert _paying(keyboards.deal(samples.view("x", status=status))) == []


def test_sellers_and_late_comers_see_no_pay_buttons() -> None:
    assert _paying(keyboards.deal(samples.view("x", "seller"))) == []
    assert keyboards.deal(samples.view("x", "guest", reserved_by_other=True)) is None


def test_completing_offers_wallet_and_mpesa() -> None:
    assert _labels(keyboards.complete(CHOICE, samples.kes(300))) == [
        "From M-Pesa: KES 700",
        "M-Pesa KES 400 + wallet KES 300",
    ]
    assert _labels(keyboards.complete(CHOICE, samples.kes(700)))[1] == "From wallet: KES 700"


def test_a_failed_prompt_of_a_choice_asks_for_the_rest_again() -> None:
    values = {**samples.notice_values("x")["prompt_failed"], "choice": 3}
    keyboard = keyboards.for_notice("prompt_failed", values, None)
    assert _labels(keyboard) == ["Try again (wait 2 minutes)"]
    assert _verbs(keyboard) == [Verb.TOP_UP]


def test_a_payment_that_came_short_can_be_paid_in_full_with_the_wallet() -> None:
    for kind in ("too_short", "window_over"):
        values = samples.notice_values("x")[kind]
        whole = keyboards.for_notice(
            kind, values, None, samples.view("x", wallet=samples.kes(20_000))
        )
        assert _labels(whole)[0] == "Pay KES 10,500 by M-Pesa"
        assert _verbs(whole) == [Verb.PAY, Verb.PAYBILL, Verb.WALLET]
        assert _labels(whole)[-1] == "Use wallet: KES 10,500"
        part = keyboards.for_notice(kind, values, None, samples.view("x", wallet=samples.kes(300)))
        assert _labels(part)[-1] == "Use wallet: KES 300, rest by M-Pesa"
        for view in (None, samples.view("x", status=Status.CANCELLED)):
            closed = keyboards.for_notice(kind, values, None, view)
            assert _labels(closed) == ["Pay KES 10,500 by M-Pesa"]


def test_a_refusal_offers_the_way_on() -> None:
    values = {"deal": samples.CODE}
    both = keyboards.for_refusal("too_many_prompts_to_number", values)
    assert isinstance(both, InlineKeyboardMarkup)
    assert _verbs(both) == [Verb.SHARE, Verb.PAYBILL]
    assert keyboards.for_refusal("phone", {}) == keyboards.contact()
    assert keyboards.for_refusal("no_deal", {}) is None


def test_a_link_is_shared_with_its_words() -> None:
    link = keyboards.deal_link("AmanaBot", samples.CODE)
    keyboard = keyboards.share(link, "Blue & green")
    telegram, whatsapp = (row[0].url or "" for row in keyboard.inline_keyboard)
    assert telegram.startswith("https://t.me/share/url?url=https%3A%2F%2Ft.me%2FAmanaBot")
    assert whatsapp.startswith("https://wa.me/?text=Blue+%26+green+https%3A%2F%2Ft.me")


@pytest.mark.parametrize("choice", [None, 3])
def test_with_a_till_no_keyboard_offers_to_pay_by_hand(choice: int | None) -> None:
    view = samples.view("x")
    boards = [
        keyboards.deal(view, by_hand=False),
        keyboards.retry(samples.CODE, choice, wait=False, by_hand=False),
        *(
            keyboards.for_notice(kind, {**values, "choice": choice}, None, view, by_hand=False)
            for kind, values in samples.notice_values("x").items()
        ),
        *(
            keyboards.for_refusal(reason, {"deal": samples.CODE}, by_hand=False)
            for reason in (
                "too_many_prompts",
                "too_many_prompts_to_number",
                "same_amount_too_soon",
            )
        ),
    ]
    found = [_verbs(one) for one in boards if isinstance(one, InlineKeyboardMarkup)]
    assert any(Verb.PAY in verbs for verbs in found)
    assert not any(Verb.PAYBILL in verbs for verbs in found)
