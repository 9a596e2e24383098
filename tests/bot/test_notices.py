"""Every notice that is queued anywhere has its words, and they say what its reader needs."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from escrow.bot.locales import LANGUAGES
from escrow.bot.notices import NOTICES
from sandbox.telegram_html import parse_html
from tests.bot import samples

_ROOT = Path(__file__).parents[2]
_SOURCES = [_ROOT / "escrow_service.py", *sorted((_ROOT / "escrow/services").glob("*.py"))]
_PLACE = {"Notice": 1, "_tell": 0, "_tell_admins": 1, "cards": 1, "_cards": 1, "_to_admins": 1}
_PLACE["_alert"] = 2  # the intake's


def _strings(node: ast.expr, inside: ast.AST) -> set[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return {node.value}
    if isinstance(node, ast.IfExp):
        return _strings(node.body, inside) | _strings(node.orelse, inside)
    if isinstance(node, ast.Name):
        return {
            text
            for one in ast.walk(inside)
            if isinstance(one, ast.Assign)
            and any(isinstance(target, ast.Name) and target.id == node.id for target in one.targets)
            for text in _strings(one.value, inside)
        }
    return set()


def _queued() -> set[str]:
    found: set[str] = set()
    for path in _SOURCES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        functions = (ast.FunctionDef, ast.AsyncFunctionDef)
        for function in (node for node in ast.walk(tree) if isinstance(node, functions)):
            for call in (node for node in ast.walk(function) if isinstance(node, ast.Call)):
                name = getattr(call.func, "id", None) or getattr(call.func, "attr", None)
                place = _PLACE.get(str(name))
                if place is not None and len(call.args) > place:
                    found |= _strings(call.args[place], function)
                if name == "told":  # payout_guards: also of money that goes back to its payer
                    for kind in ("payout_paid", "payout_failed"):
                        back = kind.replace("payout", "back", 1)
                        found |= {kind, back, f"{back}_admin"}
    return found


def test_every_queued_notice_has_words_and_no_words_are_left_over() -> None:
    queued = _queued()
    assert len(queued) > 20
    assert queued - set(NOTICES) == set()
    assert set(NOTICES) - queued == set()


def test_every_notice_is_tried_here() -> None:
    assert set(samples.notice_values("x")) == set(NOTICES)


_SEEDS = {
    "payment received, the money is held": ("funded", "held"),
    "overpayment credited": ("funded_over",),
    "accepted although short": ("funded_short",),
    "the choices after a short payment": ("underpaid", "funded_partial", "cancelled_refund"),
    "refunded by itself, with a new start": ("too_short", "window_over"),
    "ship your order": ("remind_ship",),
    "confirm delivery": ("remind_confirm",),
    "shipped": ("shipped",),
    "auto-released, both sides": ("auto_released", "auto_released_buyer"),
    "auto-refunded, both sides": ("auto_refunded", "auto_refunded_seller"),
    "disputes": ("disputed", "dispute_raised", "dispute_admin", "dispute_withdrawn", "resolved"),
    "a seller is verified or suspended": ("seller_verified", "seller_suspended"),
    "a seller's level changes": ("level_up", "level_down"),
    "the month is reported": ("monthly_report",),
}
"""What the documents that Amana began with promise to tell people."""


@pytest.mark.parametrize("promise", _SEEDS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_promised_notice_has_its_text(promise: str, language: str) -> None:
    texts = samples.everything("x", language)
    heads = [str(texts[f"notice {kind}"]).splitlines()[0] for kind in _SEEDS[promise]]
    assert all(head.startswith("<b>") for head in heads)
    assert len(set(heads)) == len(heads)


def test_each_language_says_every_notice_in_its_own_words() -> None:
    english, kiswahili = samples.everything("x"), samples.everything("x", "sw")
    assert english.keys() == kiswahili.keys()
    same = {name for name in english if english[name] == kiswahili[name]}
    theirs = {"answer quoted", "answer rule:refunds", "figures picture:10"}
    assert same == theirs, "nothing of ours stands in these"


def _text(kind: str, **changes: object) -> str:
    values = {**samples.notice_values("Blue phone case")[kind], **changes}
    return parse_html(str(NOTICES[kind](values, samples.page())))[0]


def test_a_tolerated_shortage_is_told_as_agreed() -> None:
    text = _text("funded_short", received="KES 10,400", waived="KES 100")
    assert text.startswith("Payment accepted: KES 10,400 (KES 100 short but within tolerance)")


def test_the_choice_says_what_came_what_is_short_and_until_when() -> None:
    text = _text("underpaid", expires_at="2026-11-23T09:10:00+00:00")
    assert text.startswith("Payment received: KES 9,800 (KES 700 short)")
    assert "until 12:10 (in 10 minutes)" in text


def test_a_closed_choice_says_so() -> None:
    assert "closed by now" in _text("underpaid", open=False)


def test_the_seller_reads_when_to_send_and_never_because_of_an_sms() -> None:
    for kind in ("held", "held_less"):
        text = _text(kind)
        assert "Thu 26 Nov, 12:00 (in 3 days)" in text
        assert "Never send because of an SMS or a screenshot" in text


def test_a_shortage_tells_the_seller_both_amounts() -> None:
    assert _text("held_less").startswith("KES 9,333.33 is held for you, not KES 10,000.")


def test_money_that_came_too_short_or_too_late_is_said_to_be_in_the_wallet() -> None:
    assert "KES 9,800 is in your wallet" in _text("too_short")
    assert "KES 9,800 is back in your wallet" in _text("window_over")
    assert "KES 500 is in your wallet" in _text("late_money")
    assert "without a deal" in _text("late_money", code=None)


@pytest.mark.parametrize(
    ("by", "words"),
    [
        ("seller", "The seller ended it."),
        ("buyer", "The buyer ended it."),
        ("timer", "Nobody paid in time."),
        ("admin", "An admin ended it."),
    ],
)
def test_a_cancelled_deal_says_by_whom(by: str, words: str) -> None:
    assert words in _text("cancelled", by=by)
    assert "wallet" not in _text("cancelled", by=by, returned=None)
