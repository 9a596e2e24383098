"""A case as one HTML file that needs nothing else: to read it large, to print it, to keep it."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Final

from markupsafe import Markup

from escrow.bot.admin import case_texts
from escrow.bot.page import Page, Plain, say, when
from escrow.domain.model import DealRecord, Purpose
from escrow.services.cases import Case

_KINDS: Final = ((b"\xff\xd8\xff", "jpeg"), (b"\x89PNG", "png"), (b"RIFF", "webp"))
_STYLE: Final = Markup("""
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #1c1e21; background: #f3f4f6; margin: 0; }
main { max-width: 46rem; margin: 0 auto; padding: 1rem; }
section { background: #fff; border: 1px solid #d9dce1; border-radius: 8px; padding: .75rem 1rem;
  margin: 0 0 1rem; overflow-wrap: anywhere; }
h1 { font-size: 1.4rem; margin: .5rem 0 1rem; }
h2 { font-size: 1.05rem; margin: 0 0 .5rem; }
p { margin: .25rem 0; }
ol { padding-left: 1.4rem; margin: 0; }
li { margin: .35rem 0; }
figure { margin: .75rem 0; }
img { max-width: 100%; border-radius: 6px; border: 1px solid #d9dce1; }
blockquote { margin: .25rem 0; padding-left: .75rem; border-left: 3px solid #d9dce1;
  white-space: pre-wrap; }
.quiet { color: #5b616b; }
@media print { body { background: #fff; } section { break-inside: avoid; border-color: #999; } }
""")
_FLAGS_MAX: Final = 10
_WORDS_MAX: Final = 1000
_CSP: Final = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def render(found: Case, pictures: Mapping[int, bytes], page: Page) -> bytes:
    """The whole case. `pictures`: the photos that could be had, by their record."""
    code = Plain(found.escrow.id)
    title = say("Case {code}", code=code)
    parts = [
        _section(None, case_texts.deal(found, page)),
        _section(say("Dispute"), case_texts.dispute(found, page)),
        _section(None, case_texts.money(found, page)),
        *(_section(None, case_texts.party(side, _FLAGS_MAX)) for side in found.sides),
        _records(found, pictures, page),
        _timeline(found, page),
    ]
    made = say("As it stood {when}. Times are those of {zone}.", **_stood(page))
    return str(
        _PAGE.format(csp=_CSP, style=_STYLE, title=title, made=made, parts=_joined(parts))
    ).encode()


_PAGE: Final = Markup(
    '<!doctype html><html lang="en"><head><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width, initial-scale=1">'
    '<meta http-equiv="Content-Security-Policy" content="{csp}">'
    "<title>{title}</title><style>{style}</style></head>"
    '<body><main><h1>{title}</h1>{parts}<p class="quiet">{made}</p></main></body></html>\n'
)
_SECTION: Final = Markup("<section>{head}{body}</section>\n")
_HEAD: Final = Markup("<h2>{words}</h2>")
_LINE: Final = Markup("<p>{words}</p>")
_ITEM: Final = Markup("<li>{words}</li>")
_RECORD: Final = Markup("<figure><figcaption>{caption}</figcaption>{words}{picture}</figure>")
_WORDS: Final = Markup("<blockquote>{words}</blockquote>")
_PICTURE: Final = Markup('<img alt="{caption}" src="data:image/{kind};base64,{content}">')


def _stood(page: Page) -> dict[str, Plain]:
    local = page.now.astimezone(page.zone)
    return {"when": Plain(local.strftime("%Y-%m-%d %H:%M")), "zone": Plain(page.zone.key)}


def _joined(parts: list[Markup]) -> Markup:
    return Markup("").join(parts)


def _section(head: Markup | None, body: list[Markup | None]) -> Markup:
    lines = [_LINE.format(words=line) for line in body if line]
    if not lines:
        return Markup("")
    return _SECTION.format(head=_HEAD.format(words=head) if head else "", body=_joined(lines))


def _records(found: Case, pictures: Mapping[int, bytes], page: Page) -> Markup:
    head = _HEAD.format(words=say("Evidence and messages"))
    each = [_record(found, one, pictures.get(one.id), page) for one in found.records]
    body = _joined(each) if each else _LINE.format(words=say("Nobody sent anything."))
    return _SECTION.format(head=head, body=body)


def _record(found: Case, one: DealRecord, picture: bytes | None, page: Page) -> Markup:
    what = {
        Purpose.PHOTO: say("Photo of the deal"),
        Purpose.SHIPPING: say("Proof of shipping"),
        Purpose.EVIDENCE: say("Evidence"),
        Purpose.MESSAGE: say("Message"),
    }[one.purpose]
    seller = one.telegram_id == found.escrow.seller_telegram_id
    who = say("from the seller") if seller else say("from the buyer")
    caption = say("<b>{what} {who}</b>, {when}", what=what, who=who, when=when(page, one.at))
    shown = Markup("")
    if picture is not None:
        label = say("{what} {who}", what=what, who=who)
        content = Plain(base64.b64encode(picture).decode())
        shown = _PICTURE.format(caption=label, kind=_kind(picture), content=content)
    elif one.media is not None:
        print_ = one.sha256.hex() if one.sha256 else "–"
        shown = _LINE.format(
            words=say(
                "A file ({kind}), to be seen in Telegram. SHA-256 {print}",
                kind=Plain(str(one.media.kind)),
                print=Plain(print_),
            )
        )
    words = _WORDS.format(words=case_texts.quoted(one.words)) if one.words else Markup("")
    return _RECORD.format(caption=caption, words=words, picture=shown)


def _kind(picture: bytes) -> Plain:
    for start, kind in _KINDS:
        if picture.startswith(start):
            return Plain(kind)
    return Plain("jpeg")


def _timeline(found: Case, page: Page) -> Markup:
    items = _joined(
        [_ITEM.format(words=case_texts.entry(one, page, _WORDS_MAX)) for one in found.timeline]
    )
    head = _HEAD.format(words=say("What happened"))
    return _SECTION.format(head=head, body=Markup("<ol>{items}</ol>").format(items=items))
