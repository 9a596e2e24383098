"""Words and buttons of messages through the bot, evidence and help."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from markupsafe import Markup
from telegram import InlineKeyboardButton, InlineKeyboardMarkup

from escrow.bot.buttons import Button, Verb, pack
from escrow.bot.deal_texts import status_words
from escrow.bot.page import Page, Plain, card, code, lines, said, say, when, words
from escrow.domain.flow import Status
from escrow.domain.model import DealRecord, Escrow, Purpose
from escrow.services.records import DealRecords

Values = Mapping[str, Any]
_WORDS_SHOWN: Final = 3000
_TALKING: Final = frozenset({Status.HELD, Status.SHIPPED, Status.DELIVERED, Status.FROZEN})


def _quote(text: str) -> Markup | None:
    """A person's own words, set apart; None when there are none."""
    if not text.strip():
        return None
    return say("<blockquote>{words}</blockquote>", words=said(text, _WORDS_SHOWN))


def _deal(v: Values) -> Markup:
    return say("{description}, deal {code}", description=v["description"], code=code(v["code"]))


# -- notices -------------------------------------------------------------------------------------


def relayed(v: Values, page: Page) -> Markup:
    head = (
        say("<b>The seller writes to you:</b>")
        if v["role"] == "seller"
        else say("<b>The buyer writes to you:</b>")
    )
    return lines(
        head,
        _quote(v["words"]),
        _deal(v),
        say("Pay only through Amana: money paid elsewhere can't be protected."),
    )


def evidence_added(v: Values, page: Page) -> Markup:
    head = (
        say("<b>The seller added evidence.</b>")
        if v["role"] == "seller"
        else say("<b>The buyer added evidence.</b>")
    )
    return card(
        page, head, _deal(v), say("More may follow; the button always shows everything so far.")
    )


def help_asked(v: Values, page: Page) -> Markup:
    return card(
        page,
        say("<b>{name} asks for help.</b>", name=v["name"] or "?"),
        _quote(v["words"]),
        say("Telegram id {person}", person=v["telegram_id"]),
        _help_deal(v) if v.get("code") else say("About no deal."),
        say("Reply to this message: your answer, also a photo or a file, goes back."),
    )


def _help_deal(v: Values) -> Markup:
    return lines(
        _deal(v),
        say(
            "{status}, {price}, asked by the seller",
            status=status_words(Status(v["status"])),
            price=Plain(v["price"]),
        )
        if v["role"] == "seller"
        else say(
            "{status}, {price}, asked by the buyer",
            status=status_words(Status(v["status"])),
            price=Plain(v["price"]),
        ),
    )


def help_answer(v: Values, page: Page) -> Markup:
    return lines(
        say("<b>Amana answers you:</b>"),
        _quote(v["words"]),
        say("You asked: {question}", question=v["question"]),
        say("Deal {code}", code=code(v["code"])) if v.get("code") else None,
        say("To ask more, reply to this message."),
    )


NOTICES: Final[Mapping[str, Callable[[Values, Page], Markup]]] = {
    "relayed": relayed,
    "evidence_added": evidence_added,
    "help_asked": help_asked,
    "help_answer": help_answer,
}


# -- messages ------------------------------------------------------------------------------------


def ask_message(deal: str, to: str) -> Markup:
    head = (
        say("<b>Write your message to the seller</b>, or send a photo, a file or a voice note.")
        if to == "seller"
        else say("<b>Write your message to the buyer</b>, or send a photo, a file or a voice note.")
    )
    return lines(
        head,
        say("Deal {code}. Your name and number are not shown. /cancel stops.", code=code(deal)),
    )


def message_sent(to: str, *, reachable: bool) -> Markup:
    if reachable:
        return (
            say("<b>Sent to the seller.</b> An answer comes here.")
            if to == "seller"
            else say("<b>Sent to the buyer.</b> An answer comes here.")
        )
    return (
        say(
            "<b>The seller can't be reached:</b> they blocked this chat. "
            "Your message is kept with the deal."
        )
        if to == "seller"
        else say(
            "<b>The buyer can't be reached:</b> they blocked this chat. "
            "Your message is kept with the deal."
        )
    )


# -- evidence ------------------------------------------------------------------------------------


def ask_evidence(deal: str, count: int = 0) -> Markup:
    return lines(
        say("<b>Send your evidence now:</b> photos, files, voice notes, videos or words."),
        say("Deal {code}. As many as you need; the other side sees them too.", code=code(deal)),
        say("Kept so far: {count}", count=count) if count else None,
        say("Press Done when that is all."),
    )


def evidence_done(deal: str) -> Markup:
    return say(
        "<b>Thank you, your evidence is kept with deal {code}.</b> You can add more later.",
        code=code(deal),
    )


def nothing_to_see(deal: str) -> Markup:
    return say("Nothing was sent with deal {code} yet.", code=code(deal))


def record(one: DealRecord, found: DealRecords, number: int, page: Page) -> Markup:
    """The caption of one thing that was sent: what, who, when, its fingerprint."""
    role = found.role(one)
    what = {
        Purpose.PHOTO: say("Photo of the deal"),
        Purpose.SHIPPING: say("Proof of shipping"),
        Purpose.EVIDENCE: say("Evidence"),
        Purpose.MESSAGE: say("Message"),
    }[one.purpose]
    who = say("from the seller") if role == "seller" else say("from the buyer")
    return lines(
        say(
            "<b>{number}/{count} {what} {who}</b>, {when}",
            number=number,
            count=len(found.records),
            what=what,
            who=who,
            when=when(page, one.at),
        ),
        _quote(one.words),
        _fingerprint(one) if one.media else None,
    )


def _fingerprint(one: DealRecord) -> Markup:
    if one.sha256 is not None:
        return say("Fingerprint {start}…", start=Plain(one.sha256.hex()[:16]))
    if one.note == "too_large":
        return say("Not fingerprinted: larger than 20 MB.")
    if one.note == "gone":
        return say("Not fingerprinted: Telegram no longer has it.")
    return say("Not fingerprinted yet.")


def file_missing() -> Markup:
    """Below words whose file Telegram did not take."""
    return say("<i>The file that came with it can't be shown.</i>")


# -- help ----------------------------------------------------------------------------------------


def ask_question(deal: str) -> Markup:
    return lines(
        say("<b>What can we help you with?</b> Write it in one message."),
        say("It is about deal {code}; a person reads it. /cancel stops.", code=code(deal))
        if deal
        else say("A person reads it and answers here. /cancel stops."),
    )


def question_sent() -> Markup:
    return say("<b>Your question is with our people.</b> The answer comes here.")


def words_for_question() -> Markup:
    return say("Please write your question in words.")


def answer_sent(name: str, *, reachable: bool) -> Markup:
    if reachable:
        return say("Sent to {name}. Reply again to add something.", name=name or "?")
    return say("{name} has blocked the bot: this may not arrive.", name=name or "?")


# -- files without a place -----------------------------------------------------------------------


def stray_file() -> Markup:
    return lines(
        say("<b>I don't know what this is for.</b> Nothing was kept."),
        say(
            "Files are good for: proof that you sent the item, evidence in a dispute, "
            "a message to the other side. Please choose the deal first: /deals"
        ),
    )


# -- buttons -------------------------------------------------------------------------------------


def _button(label: str, verb: Verb, deal: str = "", number: int = 0) -> InlineKeyboardButton:
    return InlineKeyboardButton(label, callback_data=pack(Button(verb, deal, number)))


def message_button(deal: str, to: str) -> InlineKeyboardButton:
    """[Message seller] or [Message buyer], for cards and notices."""
    label = words("Message the seller") if to == "seller" else words("Message the buyer")
    return _button(label, Verb.MESSAGE, deal)


def help_button(deal: str = "") -> InlineKeyboardButton:
    """[Ask a person], about a deal or not."""
    label = words("Ask a person")
    return _button(label, Verb.HELP_DEAL, deal) if deal else _button(label, Verb.HELP)


def evidence_buttons(deal: str) -> list[InlineKeyboardButton]:
    """[Add evidence] and [See evidence]."""
    return [
        _button(words("Add evidence"), Verb.EVIDENCE, deal),
        _button(words("See evidence"), Verb.SEE_EVIDENCE, deal),
    ]


def help_menu(rows: InlineKeyboardMarkup, *, somebody: bool) -> InlineKeyboardMarkup:
    """These buttons, and below them [Ask a person] when there is one."""
    if not somebody:
        return rows
    return InlineKeyboardMarkup([*rows.inline_keyboard, [help_button()]])


def ask_again(deal: str | None) -> InlineKeyboardMarkup:
    return InlineKeyboardMarkup([[help_button(deal or "")]])


def message_again(deal: str, to: str) -> InlineKeyboardMarkup:
    return InlineKeyboardMarkup([[message_button(deal, to)]])


def evidence_open(deal: str) -> InlineKeyboardMarkup:
    return InlineKeyboardMarkup([[_button(words("Done"), Verb.TALK_DONE, deal)]])


def more_evidence(deal: str, shown: int) -> InlineKeyboardMarkup:
    return InlineKeyboardMarkup([[_button(words("More"), Verb.MORE_EVIDENCE, deal, shown)]])


def to_case(deal: str) -> InlineKeyboardMarkup:
    """Admins: where they decide."""
    return InlineKeyboardMarkup([[_button(words("Case {deal}", deal=deal), Verb.CASE, deal)]])


def for_stray(deals: Sequence[tuple[Escrow, str]]) -> InlineKeyboardMarkup | None:
    """What a file may be for, when exactly one deal comes into question."""
    disputed = [escrow for escrow, _ in deals if escrow.status is Status.DISPUTED]
    if len(disputed) == 1:
        return InlineKeyboardMarkup([[one] for one in evidence_buttons(disputed[0].id)])
    going = [(escrow, role) for escrow, role in deals if escrow.status in _TALKING]
    if disputed or len(going) != 1:
        return None
    escrow, role = going[0]
    rows = [[message_button(escrow.id, "buyer" if role == "seller" else "seller")]]
    if role == "seller" and escrow.status is Status.HELD:
        rows.insert(0, [_button(words("I have sent it"), Verb.SENT, escrow.id)])
    return InlineKeyboardMarkup(rows)


def keyboard(kind: str, values: Values) -> InlineKeyboardMarkup | None:
    """The buttons of these notices."""
    deal = str(values.get("code") or "")
    if kind == "relayed":
        return InlineKeyboardMarkup([[_button(words("Reply"), Verb.MESSAGE, deal)]])
    if kind == "evidence_added":
        return InlineKeyboardMarkup([[_button(words("See evidence"), Verb.SEE_EVIDENCE, deal)]])
    if kind == "help_answer":
        return ask_again(deal)
    return None


# -- refusals ------------------------------------------------------------------------------------


def no_dispute(v: Values, page: Page) -> Markup:
    return say(
        "Deal {code} has no open dispute, so it takes no evidence. Nothing was kept.",
        code=code(v["code"]),
    )


def enough_evidence(v: Values, page: Page) -> Markup:
    return say(
        "You have sent {maximum} pieces of evidence, the most there can be. This one was not kept.",
        maximum=v["maximum"],
    )


def nobody_there(v: Values, page: Page) -> Markup:
    return say("Nobody is on the other side of deal {code} yet.", code=code(v["code"]))


def talk_over(v: Values, page: Page) -> Markup:
    return say(
        "This deal ended more than {days} days ago, so messages are closed. "
        "Is something wrong? Ask us: /help",
        days=v["days"],
    )


def too_many_messages(v: Values, page: Page) -> Markup:
    return say(
        "You sent {maximum} messages about this deal within an hour. This one was not sent; "
        "please try again later.",
        maximum=v["maximum"],
    )


def too_many_words(v: Values, page: Page) -> Markup:
    return say(
        "That is too long: {length} characters, {maximum} is the limit. Nothing was sent. "
        "Please send it in parts.",
        length=v["length"],
        maximum=v["maximum"],
    )


def no_words(v: Values, page: Page) -> Markup:
    return say("That message is empty. Please write some words.")


def too_many_questions(v: Values, page: Page) -> Markup:
    return say(
        "You have {maximum} questions open. Please wait for the answers; "
        "this one was not passed on.",
        maximum=v["maximum"],
    )


def nobody_to_ask(v: Values, page: Page) -> Markup:
    return say("Nobody answers questions here yet: this bot has no admins.")


REFUSALS: Final[Mapping[str, Callable[[Values, Page], Markup]]] = {
    words_.__name__: words_
    for words_ in (
        no_dispute,
        enough_evidence,
        nobody_there,
        talk_over,
        too_many_messages,
        too_many_words,
        no_words,
        too_many_questions,
        nobody_to_ask,
    )
}
