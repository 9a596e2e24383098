"""Messages through the bot, evidence, questions to the admins; and where a file belongs.

What somebody replies to decides first, then the question that is open (it lives in PostgreSQL, a
restart loses nothing).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from telegram import ForceReply, InaccessibleMessage, Update

from escrow.bot import asking, desk, talk_texts
from escrow.bot.desk import Desk
from escrow.domain.model import Media
from escrow.services.records import Kept

Said = Mapping[str, Any]
EVIDENCE: Final = "evidence"
RELAY: Final = "relay"
HELP: Final = "help"
AT_ONCE: Final = 10
_OF_A_DISPUTE: Final = ("dispute", "evidence")


# -- messages to the other side ------------------------------------------------------------------


async def message(update: Update, context: Desk) -> None:
    """[Message seller], [Message buyer], [Reply]: asks for the words."""
    office, me = desk.office(context), desk.user(update).id
    to = await office.records.can_relay(desk.button(update).deal, me)
    await office.people.set_conversation(me, RELAY, {"deal": to.escrow.id})
    text = talk_texts.ask_message(to.escrow.id, to.to)
    await desk.answer(update, context, text, ForceReply())


async def _relay(update: Update, context: Desk, sent: Media | str, said: Said) -> None:
    """One message: then the question is over."""
    office, me = desk.office(context), desk.user(update).id
    done = await office.records.relay(said["deal"], me, sent, desk.cause(update))
    await asking.end(update, context, RELAY)
    await desk.answer(
        update,
        context,
        talk_texts.message_sent(done.to, reachable=done.reachable),
        talk_texts.message_again(done.escrow.id, done.to),
    )


# -- evidence ------------------------------------------------------------------------------------


async def evidence(update: Update, context: Desk) -> None:
    """[Add evidence]: everything that is sent from now on is kept, until [Done]."""
    office, me = desk.office(context), desk.user(update).id
    deal = desk.button(update).deal
    await office.records.takes_evidence(deal, me)
    asked = await desk.answer(
        update, context, talk_texts.ask_evidence(deal), talk_texts.evidence_open(deal)
    )
    await office.people.set_conversation(me, EVIDENCE, {"deal": deal, "asked": asked.message_id})


async def _keep(update: Update, context: Desk, sent: Media | str, said: Said) -> None:
    """A thumb on what was sent says that it is kept; where Telegram does not take that, the
    question above counts. Never a message per photo.
    """
    office, me = desk.office(context), desk.user(update).id
    kept = await office.records.keep_evidence(said["deal"], me, sent, desk.cause(update))
    if not await desk.thumb_up(update, context):
        await _count(update, context, kept, said)


async def _count(update: Update, context: Desk, kept: Kept, said: Said) -> None:
    deal = kept.record.escrow_id
    text, done = talk_texts.ask_evidence(deal, kept.count), talk_texts.evidence_open(deal)
    chat = update.effective_chat
    if said.get("asked") and chat is not None:
        await desk.edit(context, InaccessibleMessage(chat, said["asked"]), text, done)
        return
    asked = await desk.answer(update, context, text, done)
    await desk.office(context).people.set_conversation(
        desk.user(update).id, EVIDENCE, {"deal": deal, "asked": asked.message_id}
    )


async def _reply_with_evidence(
    update: Update, context: Desk, sent: Media | str, said: Said
) -> None:
    """A reply to a dispute's message is evidence, and opens the step, so that more may follow."""
    people, me = desk.office(context).people, desk.user(update).id
    step = await asking.open_step(update, context)
    if step is not None and step[0] == EVIDENCE and step[1].get("deal") == said["deal"]:
        said = step[1]
    await _keep(update, context, sent, said)
    if step is None or step[0] == EVIDENCE:
        now = await asking.open_step(update, context)
        if now is None or now[1].get("deal") != said["deal"]:
            await people.set_conversation(me, EVIDENCE, said)


async def evidence_done(update: Update, context: Desk) -> None:
    """[Done]"""
    await asking.end(update, context, EVIDENCE)
    deal = desk.button(update).deal
    await desk.replace_pressed(update, context, talk_texts.evidence_done(deal))
    desk.done(update, context)


async def see_evidence(update: Update, context: Desk) -> None:
    """[See evidence] and [More]: everything that was sent with the deal, ten at once."""
    pressed = desk.button(update)
    found = await desk.office(context).records.evidence_of(pressed.deal, desk.user(update).id)
    if not found.records:
        await desk.answer(update, context, talk_texts.nothing_to_see(found.escrow.id))
    page = desk.page(context)
    end = min(pressed.number + AT_ONCE, len(found.records))
    admin = desk.user(update).id in desk.office(context).admins
    for number, one in enumerate(found.records[pressed.number : end], pressed.number + 1):
        more = number == end and end < len(found.records)
        way_back = talk_texts.to_case(found.escrow.id) if admin and number == end else None
        await desk.show(
            update,
            context,
            talk_texts.record(one, found, number, page),
            one.media,
            talk_texts.more_evidence(found.escrow.id, end) if more else way_back,
            talk_texts.file_missing(),
        )
    desk.done(update, context, for_good=False)


# -- questions to the admins ---------------------------------------------------------------------


async def ask(update: Update, context: Desk) -> None:
    """[Ask a person], about a deal or not."""
    deal = desk.button(update).deal
    me = desk.user(update).id
    await desk.office(context).people.set_conversation(me, HELP, {"deal": deal})
    await desk.answer(update, context, talk_texts.ask_question(deal), ForceReply())


async def _ask(update: Update, context: Desk, sent: Media | str, said: Said) -> None:
    if isinstance(sent, Media):
        await desk.answer(update, context, talk_texts.words_for_question(), ForceReply())
        return
    me = desk.user(update).id
    await desk.office(context).help.ask(me, said.get("deal") or None, sent, desk.cause(update))
    await asking.end(update, context, HELP)
    await desk.answer(update, context, talk_texts.question_sent())


async def _answer(update: Update, context: Desk, sent: Media | str, said: Said) -> None:
    """An admin replied to a question."""
    me = desk.user(update).id
    done = await desk.office(context).help.answer(said["help"], me, sent, desk.cause(update))
    text = talk_texts.answer_sent(done.first_name, reachable=done.reachable)
    await desk.answer(update, context, text)


# -- where something belongs ---------------------------------------------------------------------


async def replied(update: Update, context: Desk, sent: Media | str) -> bool:
    """Takes what is a reply to one of our notices; False when it is none that is answered so."""
    said_to = update.message.reply_to_message if update.message is not None else None
    if said_to is None:
        return False
    office, me = desk.office(context), desk.user(update).id
    notice = await office.records.notice_of(me, said_to.message_id)
    if notice is None:
        return False
    said = {**notice.params, "deal": notice.escrow_id}
    admin = me in office.admins
    if notice.kind == "help_asked" and admin:
        await _answer(update, context, sent, said)
    elif notice.kind == "help_answer":
        await _ask(update, context, sent, said)
    elif notice.kind == "relayed":
        await _relay(update, context, sent, said)
    elif notice.kind.startswith(_OF_A_DISPUTE) and notice.escrow_id and not admin:
        await _reply_with_evidence(update, context, sent, {"deal": notice.escrow_id})
    else:
        return False
    return True


async def stray(update: Update, context: Desk) -> None:
    """A file that nothing asked for."""
    deals = await desk.office(context).escrows.deals(desk.user(update).id)
    await desk.answer(update, context, talk_texts.stray_file(), talk_texts.for_stray(deals))


async def leave(update: Update, context: Desk) -> None:
    """A command ends the collecting of evidence: what follows it is meant otherwise."""
    text = (update.message.text or "") if update.message is not None else ""
    if text.startswith("/") and not text.lower().startswith("/cancel"):
        await asking.end(update, context, EVIDENCE)


STEPS: Final[dict[str, Callable[[Update, Desk, Any, Said], Awaitable[None]]]] = {
    EVIDENCE: _keep,
    RELAY: _relay,
    HELP: _ask,
}
"""Step → what takes the next words or the next file."""
