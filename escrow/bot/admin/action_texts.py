"""What is said of actions: the preview, what was done, who has to confirm it.

`PREVIEWS` and `OUTCOMES`: kind → its words, of the facts that the effect gave; each effect's own
texts module brings its lines.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from markupsafe import Markup
from telegram import InlineKeyboardButton, InlineKeyboardMarkup

from escrow.bot.admin import audit_texts, receipt_texts, verdict_texts
from escrow.bot.buttons import Button, Verb, pack
from escrow.bot.page import Page, Plain, card, code, lines, say, when, words
from escrow.domain.actions import HOST, Action, ActionState

Values = Mapping[str, Any]
Words = Callable[[Values, Action, Page], Markup]

PREVIEWS: Final[Mapping[str, Words]] = {
    **verdict_texts.PREVIEWS,
    **receipt_texts.PREVIEWS,
    **audit_texts.PREVIEWS,
}
"""Kind → what would be done."""
OUTCOMES: Final[Mapping[str, Words]] = {
    **verdict_texts.OUTCOMES,
    **receipt_texts.OUTCOMES,
    **audit_texts.OUTCOMES,
}
"""Kind → what was done, of the facts of `perform`."""
COMMANDS: Final[Mapping[str, str]] = {
    "resolve": "resolve_dispute",
    "reverse": "receipt",
    "send_back": "unmatched",
}
"""Kind → its command, where that is not its name."""


def keyboard(yes: str, no: str) -> InlineKeyboardMarkup:
    """The two signed buttons."""
    return InlineKeyboardMarkup(
        [
            [
                InlineKeyboardButton(words("Confirm"), callback_data=yes),
                InlineKeyboardButton(words("Leave it"), callback_data=no),
            ]
        ]
    )


def way_on(action: Action) -> InlineKeyboardMarkup | None:
    """To the deal it was about."""
    if action.escrow_id is None or action.state is ActionState.ASKED:
        return None
    data = pack(Button(Verb.CASE, action.escrow_id))
    label = words("Case {deal}", deal=action.escrow_id)
    return InlineKeyboardMarkup([[InlineKeyboardButton(label, callback_data=data)]])


def typed_form(action: Action) -> Markup:
    """What confirms it without a button, to be copied by a tap."""
    command = COMMANDS.get(action.kind, action.kind)
    return say(
        "<code>/{command} {target} confirm {number}</code>",
        command=Plain(command),
        target=Plain(action.target),
        number=action.number,
    )


def answer(action: Action, others: Sequence[int], page: Page) -> Markup:
    """What an action is now. `others`: who may confirm it besides the one who asked."""
    return {
        ActionState.ASKED: lambda: preview(action, others, page),
        ActionState.CONFIRMED: lambda: waiting(action, others, page),
        ActionState.DONE: lambda: done(action, page),
        ActionState.LEFT: lambda: left(page),
        ActionState.EXPIRED: lambda: action_expired({}, page),
    }[action.state]()


def preview(action: Action, others: Sequence[int], page: Page) -> Markup:
    second = None
    if action.needs_second:
        second = (
            say("So large a sum needs a second admin, too: he is asked once you confirm.")
            if others
            else say("So large a sum is confirmed on the host, too, once you confirm.")
        )
    return card(
        page,
        PREVIEWS[action.kind](action.facts, action, page),
        second,
        say("Nothing is done yet. Confirm within 10 minutes, or type:"),
        typed_form(action),
    )


def waiting(action: Action, others: Sequence[int], page: Page) -> Markup:
    until = when(page, action.second_until or action.expires_at)
    admin = say("Another admin can: by the button that he was sent, or by typing:")
    host = (
        say("So can whoever has the host:")
        if others
        else say("No other admin may, so whoever has the host does:")
    )
    return card(
        page,
        say("<b>You confirmed {amount}. Nothing has moved yet.</b>", amount=action.amount),
        say("It has to be confirmed a second time until {until}.", until=until),
        *((admin, typed_form(action)) if others else ()),
        host,
        say("<code>python main.py approve {id}</code>", id=action.id),
    )


def done(action: Action, page: Page) -> Markup:
    return card(page, OUTCOMES[action.kind](action.outcome, action, page))


def left(page: Page) -> Markup:
    return say("<b>Left as it is.</b> Nothing was done.")


# -- notices -------------------------------------------------------------------------------------


def second_wanted(v: Values, page: Page) -> Markup:
    action = Action.of(v["action"])
    until = when(page, action.second_until or action.expires_at)
    return card(
        page,
        say("<b>Admin {by} asks you to confirm: {amount}</b>", by=v["by"], amount=action.amount),
        PREVIEWS[action.kind](action.facts, action, page),
        say("Nothing is done before you confirm, until {until}. Or type:", until=until),
        typed_form(action),
    )


def action_done(v: Values, page: Page) -> Markup:
    action = Action.of(v["action"])
    head = (
        say("<b>What you asked for was confirmed on the host.</b>")
        if v["by"] == HOST
        else say("<b>Admin {by} confirmed what you asked for.</b>", by=v["by"])
    )
    return card(page, head, OUTCOMES[action.kind](action.outcome, action, page))


def action_left_by(v: Values, page: Page) -> Markup:
    action = Action.of(v["action"])
    return card(
        page,
        say("<b>Admin {by} said no: nothing was done.</b>", by=v["by"])
        if v["by"]
        else say("<b>Three wrong numbers were typed for it: nothing was done.</b>"),
        _asked_for(action),
    )


def action_over(v: Values, page: Page) -> Markup:
    action = Action.of(v["action"])
    return card(
        page,
        say("<b>Nobody confirmed it within 24 hours: nothing was done.</b>"),
        _asked_for(action),
    )


def action_stale(v: Values, page: Page) -> Markup:
    return card(
        page,
        say("<b>Something changed since you asked: it can't be confirmed as it was shown.</b>"),
        _asked_for(Action.of(v["action"])),
        say("Nothing was done. Please send the command again."),
    )


def _asked_for(action: Action) -> Markup:
    return say("You had asked: {form}", form=asked(action))


def asked(action: Action) -> Markup:
    """The command that asked for it, and its amount."""
    return say(
        "<code>/{command} {target}</code>, {amount}",
        command=Plain(COMMANDS.get(action.kind, action.kind)),
        target=Plain(action.target),
        amount=action.amount,
    )


NOTICES: Final[Mapping[str, Callable[[Values, Page], Markup]]] = {
    "second_wanted": second_wanted,
    "action_done": action_done,
    "action_left_by": action_left_by,
    "action_over": action_over,
    "action_stale": action_stale,
}


# -- refusals ------------------------------------------------------------------------------------


def action_gone(v: Values, page: Page) -> Markup:
    return say("There is nothing to confirm here. Please send the command again.")


def action_moved(v: Values, page: Page) -> Markup:
    """Nothing was done; what moved the deal, who it was and when, where something did."""
    return lines(
        say(
            "Something changed since this was shown, so nothing was done. "
            "Please send the command again to see how it is now."
        ),
        *((_happened(str(v["event"])), _by(v, page)) if v.get("event") else ()),
    )


def action_expired(v: Values, page: Page) -> Markup:
    return say("The time to confirm is over, so nothing was done. Please send the command again.")


def action_left(v: Values, page: Page) -> Markup:
    if v.get("by"):
        return say("Admin {by} said no to this: nothing was done.", by=v["by"])
    return say(
        "Three wrong numbers: nothing was done, and this can't be confirmed any more. "
        "Please send the command again."
    )


def action_not_yours(v: Values, page: Page) -> Markup:
    return say("The admin who asked for this has to confirm it first.")


def action_not_confirmed(v: Values, page: Page) -> Markup:
    return say("This waits for no word from the host.")


def action_wrong_number(v: Values, page: Page) -> Markup:
    return say("That is another number than the one below the preview. Nothing was done.")


def decided_before(v: Values, page: Page) -> Markup:
    """Somebody was first: what happened, who it was, and when."""
    return lines(
        _happened(str(v["event"])),
        _by(v, page),
        say("Deal {code}", code=code(v["code"])) if v.get("code") else None,
        say("Nothing else was done."),
    )


def _happened(event: str) -> Markup:
    return {
        "resolve": say("<b>The dispute was resolved before.</b>"),
        "manual_refund": say("<b>All went back to the buyer before.</b>"),
        "manual_release": say("<b>The money was released before.</b>"),
        "release": say("<b>The money was released before.</b>"),
        "refund": say("<b>All went back to the buyer before.</b>"),
        "decline": say("<b>The seller gave the money back before.</b>"),
        "settle": say("<b>The two settled before.</b>"),
        "withdraw_dispute": say("<b>The dispute was withdrawn before.</b>"),
        "cancel": say("<b>The deal was cancelled before.</b>"),
        "freeze": say("<b>The deal was frozen before.</b>"),
        "unfreeze": say("<b>The deal went on before.</b>"),
        "dispute": say("<b>The deal was disputed before.</b>"),
        "ship": say("<b>It was sent before.</b>"),
        "deliver": say("<b>The buyer received it before.</b>"),
    }.get(event, say("<b>That was decided before.</b>"))


def _by(v: Values, page: Page) -> Markup:
    at = v["at"] if isinstance(v["at"], datetime) else page.now
    moment = when(page, at)
    if v["by"] == HOST and v["role"] == "admin":
        return say("Confirmed on the host, {when}.", when=moment)
    if v["role"] == "admin":
        return say("By admin {by}, {when}.", by=v["by"], when=moment)
    return {
        "buyer": say("By the buyer, {when}.", when=moment),
        "seller": say("By the seller, {when}.", when=moment),
        "parties": say("By both of them, {when}.", when=moment),
        "timer": say("By itself, {when}: its time was over.", when=moment),
    }.get(str(v["role"]), say("By Amana itself, {when}.", when=moment))


REFUSALS: Final[Mapping[str, Callable[[Values, Page], Markup]]] = {
    refused.__name__: refused
    for refused in (
        action_gone,
        action_moved,
        action_expired,
        action_left,
        action_not_yours,
        action_not_confirmed,
        action_wrong_number,
        decided_before,
    )
}
