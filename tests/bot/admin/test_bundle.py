"""A case's file needs nothing else and runs nothing."""

from __future__ import annotations

import base64
from html.parser import HTMLParser

from escrow.bot.admin import bundle
from escrow.domain.flow import Status
from tests.bot import samples
from tests.bot.admin import case_samples
from tests.bot.hostile import CORPUS

_ALLOWED = {
    *("html", "head", "meta", "title", "style", "body", "main", "section", "h1", "h2", "p", "ol"),
    *("li", "figure", "figcaption", "blockquote", "img", "b", "code", "i"),
}


class Reader(HTMLParser):
    """Tags, attributes and addresses of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.sources: list[str] = []
        self.names: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.names |= {name for name, _ in attrs}
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]


def _read(said: str, pictures: dict[int, bytes]) -> tuple[Reader, str]:
    case = case_samples.case(said, samples.escrow(said, Status.DISPUTED, tracking=said))
    html = bundle.render(case, pictures, samples.page()).decode()
    reader = Reader()
    reader.feed(html)
    return reader, html


def test_no_words_of_people_become_markup() -> None:
    for said in CORPUS[::40]:
        reader, _ = _read(said, {})
        assert reader.tags <= _ALLOWED, said
        assert reader.sources == [], said
        assert not {name for name in reader.names if name.startswith("on")}, said


def test_pictures_are_inside_and_nothing_is_fetched() -> None:
    picture = b"\x89PNG\r\n\x1a\n" + bytes(10)
    reader, html = _read("broken", {2: picture})
    assert reader.sources == [f"data:image/png;base64,{base64.b64encode(picture).decode()}"]
    assert "default-src &#39;none&#39;" in html
    assert "254712345678" not in html
    assert "SHA-256 " + bytes(32).hex() in html


def test_everything_that_happened_stands_in_it() -> None:
    _, html = _read("broken", {})
    assert html.count("<li>") == len(case_samples.EVENTS)
    assert "2026-11-23" in html
