"""What people and admins read of a pause."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Final

from markupsafe import Markup

from escrow.bot.page import Page, Plain, card, code, deadline, lines, moment, say, when, words
from escrow.domain.flow import Status
from escrow.domain.pauses import Pause
from escrow.services.pauses import Word

Values = Mapping[str, Any]


def lasted(span: timedelta) -> Plain:
    """`13 min`, `5 hours`, `2 days`."""
    minutes = round(span.total_seconds() / 60)
    if minutes < 1:
        return Plain(words("less than a minute"))
    if minutes < 90:
        return Plain(words("{minutes} min", minutes=minutes))
    hours = round(minutes / 60)
    if hours < 48:
        return Plain(words("{hours} hours", hours=hours))
    return Plain(words("{days} days", days=round(hours / 24)))


def _by(name: str) -> Markup:
    return say("{name}", name=name) if name else say("the host")


def _reason(reason: str) -> Markup | None:
    return say("Reason: {reason}", reason=reason) if reason else None


# -- answers to admins -----------------------------------------------------------------------------


def paused_now(word: Word, page: Page) -> Markup:
    """The answer to /pause."""
    pause = word.pause
    assert pause is not None  # noqa: S101 a pause was begun, or was open
    if word.changed:
        head = say("<b>Amana is paused.</b> Nothing moves money until /resume.")
    elif pause.ended_at is not None:
        head = say("<b>That pause is over.</b> To pause again: /pause")
    else:
        head = say("<b>Amana is paused already.</b> Nothing changed. To go on: /resume")
    return card(
        page,
        head,
        say("Since {when}, by {by}.", when=when(page, pause.paused_at), by=_by(word.by)),
        _reason(pause.reason),
        _stands_still() if word.changed else None,
    )


def _stands_still() -> Markup:
    return lines(
        say("Standing still: new deals, prompts, payouts, timers, every button that moves money."),
        say("Payments that come in are kept, and counted at /resume."),
        say("Deadlines will move by the length of the pause. People with money here are told."),
    )


def resumed_now(word: Word, page: Page) -> Markup:
    """The answer to /resume."""
    pause = word.pause
    if pause is None:
        return say("<b>Amana is not paused.</b> Nothing changed.")
    if not word.changed and pause.ended_at is not None:
        return lines(
            say("<b>Amana is not paused.</b> Nothing changed."),
            say(
                "The last pause ended {when}, by {by}.",
                when=when(page, pause.ended_at),
                by=_by(word.by),
            ),
        )
    if pause.ended_at is None:
        return say("<b>Amana is about to go on.</b> Deadlines are being moved; wait a moment.")
    return card(
        page,
        say("<b>Amana goes on.</b>"),
        say("The pause took {length}.", length=lasted(_length(pause, page))),
        _moved(pause.moved),
    )


def _length(pause: Pause, page: Page) -> timedelta:
    return pause.length(page.now)


def _moved(deals: int) -> Markup:
    return say("Deals whose deadline moved by as much: {deals}", deals=deals)


# -- notices ---------------------------------------------------------------------------------------


def pause_began(v: Values, page: Page) -> Markup:
    """To every admin but the one who reads the answer."""
    return card(
        page,
        say("<b>Amana is paused</b>, by {by}. To go on: /resume", by=_by(v["by"])),
        _reason(v["reason"]),
        _stands_still(),
    )


def pause_ended(v: Values, page: Page) -> Markup:
    """To every admin but the one who reads the answer."""
    return card(
        page,
        say("<b>Amana goes on</b>, by {by}.", by=_by(v["by"])),
        say("The pause took {length}.", length=lasted(timedelta(seconds=v["seconds"]))),
        _moved(v["moved"]),
    )


def paused(v: Values, page: Page) -> Markup:
    """To everybody whose money is held, and to whoever tries something."""
    return card(
        page,
        say("<b>Amana is paused for now. Your money is safe, and nothing is lost.</b>"),
        say("Deadlines stand still. You will be told when it goes on."),
    )


def resumed(v: Values, page: Page) -> Markup:
    return card(page, say("<b>Amana goes on.</b> Your deals are as they were: /deals"))


def deadline_moved(v: Values, page: Page) -> Markup:
    """To both sides of a deal whose clock stood still."""
    at = moment(v["until"])
    assert at is not None  # noqa: S101 it moved
    until = deadline(page, at)
    buyer = v["role"] == "buyer"
    return card(
        page,
        say("<b>Amana goes on.</b> The time it was paused does not count."),
        say("{description}, deal {code}.", description=v["description"], code=code(v["code"])),
        until_words(Status(v["status"]), until, buyer=buyer),
    )


def until_words(status: Status, until: Markup, *, buyer: bool) -> Markup:
    """What has to be done by then."""
    if status is Status.PENDING and buyer:
        return say("Please pay by {until}.", until=until)
    if status is Status.PENDING:
        return say("The buyer has until {until} to pay.", until=until)
    if status is Status.HELD and buyer:
        return say("The seller has until {until} to send it.", until=until)
    if status is Status.HELD:
        return say("Please send it by {until}.", until=until)
    if buyer:
        return say("You have until {until} to confirm or dispute it.", until=until)
    return say("The buyer has until {until} to confirm or dispute it.", until=until)


NOTICES: Final[Mapping[str, Callable[[Values, Page], Markup]]] = {
    "paused": paused,
    "resumed": resumed,
    "deadline_moved": deadline_moved,
    "pause_began": pause_began,
    "pause_ended": pause_ended,
}


# -- refusals --------------------------------------------------------------------------------------


def refused(v: Values, page: Page) -> Markup:
    """Whoever tries something while everything stands still."""
    if v.get("admin"):
        return say(
            "<b>Amana is paused: nothing was done.</b> /resume lets it go on; then try again."
        )
    return say(
        "<b>Amana is paused for now, so this was not done.</b> Your money is safe, and nothing is "
        "lost. Please try again later."
    )


REFUSALS: Final[Mapping[str, Callable[[Values, Page], Markup]]] = {"paused": refused}
