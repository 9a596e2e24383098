"""How words are put before one reader: sentences, people's own texts, dates and countdowns.

`say` and `words` are the only ways to a text. Their template is a literal in the code, in English;
the reader's catalogue (`locales/`) may have other words for it. Whatever is a plain `str` among the
values counts as written by a person: it is cleaned, cut, isolated from the writing direction around
it, and escaped.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from babel.dates import format_datetime
from markupsafe import Markup, escape

from escrow.bot.locales import LANGUAGES, translated
from escrow.domain.money import Money
from escrow.domain.phone import mask

if TYPE_CHECKING:
    from escrow.bot.context import Office

SAID_CHARS: Final = 200
_ISOLATE: Final = "\u2068"
_END: Final = "\u2069"
_DROPPED: Final = frozenset({"Cc", "Cf", "Cs", "Co"})
_SPACES: Final = frozenset({"Zs", "Zl", "Zp"})
_MARKS_MAX: Final = 3
"""More combining marks on one letter than any living script needs only hide what is around."""

_LANGUAGE: Final[ContextVar[str]] = ContextVar("language", default=LANGUAGES[0])
"""Whoever reads what this task writes: set when an update is met and around each notice."""
_GAP: Final = r"[ .()/\-]{0,3}"
_NUMBER: Final = re.compile(
    rf"(?<![0-9A-Za-z])(?:(?:(?:\+|00)?254{_GAP}(?:0{_GAP})?|0{_GAP})([17][0-9]{{2}}){_GAP}"
    rf"([0-9]{{3}}){_GAP}([0-9]{{3}})|0(?: ?([17]))((?: ?[0-9]){{8}}))(?![0-9])",
    re.ASCII,
)
"""A Kenyan mobile number as people write it: in groups, or digit by digit with blanks."""
_CONTACT: Final = re.compile(
    r"(?:https?://)?(?:www\.)?(?:[a-z0-9_]+\.)?(?:t\.me|telegram\.(?:me|dog)|wa\.me)\b\S*"
    r"|(?:https?://)?(?:chat|api)\.whatsapp\.com\b\S*|\b(?:tg|whatsapp)://\S*"
    r"|[\w.+-]*@[a-z]\w{2,}(?:\.\w+)*",
    re.IGNORECASE,
)
"""Usernames, mail addresses and links that lead to a chat past us."""


class Plain(str):
    """Words of our own inside a sentence (amounts, codes, dates): escaped, not isolated."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Page:
    """Who reads, and what every text may need to know. `business` is the name that M-Pesa shows,
    empty without M-Pesa; `paybill` the business number, empty where nobody can pay by hand.
    """

    language: str
    zone: ZoneInfo
    now: datetime
    sandbox: bool
    business: str
    paybill: str
    bot_username: str = ""

    @classmethod
    def of(cls, office: Office, language: str, bot_username: str) -> Page:
        return cls(
            language=known_language(language),
            zone=office.zone,
            now=office.clock.now(),
            sandbox=office.sandbox,
            business=office.rail.display_name if office.rail.offered else "",
            paybill=office.rail.shortcode if office.rail.offered and not office.rail.till else "",
            bot_username=bot_username,
        )


def known_language(code: str) -> str:
    """The language of ours for a language code (`sw-KE`, None or unknown ones read English)."""
    base = code.lower().replace("_", "-").partition("-")[0]
    return base if base in LANGUAGES else LANGUAGES[0]


def language() -> str:
    """Of whoever reads what this task writes."""
    return _LANGUAGE.get()


def speak(code: str) -> None:
    """From now on this task writes in that language."""
    _LANGUAGE.set(known_language(code))


@contextmanager
def speaking(code: str) -> Iterator[None]:
    """What is written inside is in that language."""
    token = _LANGUAGE.set(known_language(code))
    try:
        yield
    finally:
        _LANGUAGE.reset(token)


def say(template: str, /, **values: object) -> Markup:
    """A sentence of ours with its values: numbers and `Plain` as they are, strings as said by a
    person.
    """
    shown = {name: _shown(value) for name, value in values.items()}
    ours = translated(_LANGUAGE.get(), template)
    return Markup(ours).format(**shown)  # noqa: S704 templates are literals of our own


def words(template: str, /, **values: object) -> str:
    """Plain text of ours for places without markup: buttons, menus, shared links. Strings in it
    are cleaned to one line.
    """
    shown = {
        name: value
        if isinstance(value, Plain)
        else clean(value)
        if isinstance(value, str)
        else value
        for name, value in values.items()
    }
    return translated(_LANGUAGE.get(), template).format(**shown)


def spoken(template: str) -> str:
    """A text without values that stands in a table of ours (a command's line in the menu)."""
    return translated(_LANGUAGE.get(), template)


def retold(kept: str) -> str:
    """Words that may begin with a text of ours (`It is broken: the screen`): that part is kept
    in English, and each reader has it in his language.
    """
    ours, colon, rest = kept.partition(": ")
    return spoken(ours) + colon + rest


def _shown(value: object) -> Markup:
    if isinstance(value, Markup):
        return value
    if isinstance(value, Plain | Money | int):
        return escape(str(value))
    if value is None:
        return Markup("–")
    if isinstance(value, str):
        return said(value)
    raise TypeError(f"{type(value).__name__} does not go into a sentence")


def said(text: str, limit: int = SAID_CHARS) -> Markup:
    """What a person wrote, fit for any sentence: it can't break the markup or turn the line."""
    return Markup(f"{_ISOLATE}{{text}}{_END}").format(text=clean(text, limit))  # noqa: S704 literal


def clean(text: str, limit: int = SAID_CHARS) -> str:
    """One line of at most `limit` characters as Telegram counts them (an emoji is two or more),
    without control and direction characters. Phone numbers in it are masked, whoever wrote them;
    usernames and links to chats are left out.
    """
    kept: list[str] = []
    marks = 0
    for char in text[: limit * 8]:
        category = unicodedata.category(char)
        if char.isspace() or category in _SPACES:
            kept.append(" ")
            continue
        if category in _DROPPED:
            continue
        marks = marks + 1 if category.startswith("M") else 0
        if marks <= _MARKS_MAX:
            kept.append(char)
    line = _CONTACT.sub("[…]", _one_line(kept))
    line = _masked(line)
    return _cut(line, limit) or "–"


def _cut(line: str, limit: int) -> str:
    units = line.encode("utf-16-le")
    if len(units) <= 2 * limit:
        return line
    return units[: 2 * (limit - 1)].decode("utf-16-le", "ignore").rstrip() + "…"


def _masked(line: str) -> str:
    """Without the middle of every phone number, in whatever digits it is written."""
    read = "".join(str(unicodedata.digit(char)) if char.isdecimal() else char for char in line)
    shown, end = [], 0
    for found in _NUMBER.finditer(read):
        digits = "".join(part for part in found.groups() if part).replace(" ", "")
        shown += [line[end : found.start()], mask(f"254{digits}")]
        end = found.end()
    return "".join([*shown, line[end:]])


def _one_line(chars: list[str]) -> str:
    return " ".join("".join(chars).split())


def code(value: object) -> Markup:
    """A deal's code, to be copied by a tap."""
    return say("<code>{value}</code>", value=Plain(value))


def typed_command(name: str, deal: str) -> Markup:
    """A command with its code, to be copied by a tap."""
    return say("<code>/{name} {deal}</code>", name=Plain(name), deal=Plain(deal))


def when(page: Page, moment: datetime) -> Plain:
    """`Wed 25 Nov, 20:15` in the reader's zone and language."""
    return Plain(
        format_datetime(moment, "EEE d MMM, HH:mm", tzinfo=page.zone, locale=page.language)
    )


def clock_time(page: Page, moment: datetime) -> Plain:
    """`20:15` in the reader's zone."""
    return Plain(format_datetime(moment, "HH:mm", tzinfo=page.zone, locale=page.language))


def deadline(page: Page, moment: datetime) -> Markup:
    """`Wed 25 Nov, 20:15 (in 3 days)`."""
    return say(
        "{when} ({countdown})", when=when(page, moment), countdown=countdown(moment - page.now)
    )


def countdown(left: timedelta) -> Plain:
    """How long that is, in words: `in 3 days`, `in 5 hours`, `in 10 minutes`."""
    minutes = round(left.total_seconds() / 60)
    if left <= timedelta(0):
        return Plain(words("over"))
    if minutes <= 1:
        return Plain(words("in 1 minute"))
    if minutes < 90:
        return Plain(words("in {minutes} minutes", minutes=minutes))
    hours = round(minutes / 60)
    if hours < 36:
        return Plain(words("in {hours} hours", hours=hours))
    return Plain(words("in {days} days", days=round(hours / 24)))


def moment(stored: object) -> datetime | None:
    """A time as notices keep it (ISO 8601), or None."""
    return datetime.fromisoformat(stored) if isinstance(stored, str) else None


def lines(*parts: Markup | None) -> Markup:
    """Sentences below each other; None is left out."""
    return Markup("\n").join(part for part in parts if part is not None)


def card(page: Page, *parts: Markup | None) -> Markup:
    """A message about a deal or money; in the sandbox it says that the money is play money."""
    play = say("<i>Play money – no real money moves.</i>") if page.sandbox else None
    return lines(*parts, play)
