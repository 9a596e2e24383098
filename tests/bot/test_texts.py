"""Whatever people write, every message stays well-formed and short, and tells nobody's number."""

from __future__ import annotations

import functools
import inspect
import re
import unicodedata
from types import ModuleType

import pytest

from escrow.bot import admin_texts, deal_texts, page, texts
from escrow.bot.commands import USER_COMMANDS
from escrow.bot.locales import LANGUAGES
from escrow_handlers_admin import ADMIN_COMMANDS
from sandbox.telegram_html import parse_html, utf16
from tests.bot import hostile, samples
from tests.bot.hostile import CORPUS

_PHONE = re.compile(
    r"(?<![0-9A-Za-z])(?:\+?254|0)[ .\-]?[17][0-9]{2}[ .\-]?[0-9]{3}[ .\-]?[0-9]{3}"
)
_ALLOWED_PHONES = {
    "0712345678",  # the example that texts show
    "254799888777",  # whoever pays out by hand has to know it
}
_PLAIN = {"relayed", "help_answer"}
"""Somebody's own words: no money is spoken of."""
_TURNS = re.compile("[\u202a-\u202e\u2066\u2067\u200e\u200f\u061c]")
_SAID = re.compile("\u2068([^\u2068\u2069]*)\u2069")
_OURS = {"bold", "italic", "blockquote", "code"}


def _problems(name: str, source: str, lines_max: int | None = None) -> list[str]:
    text, entities = parse_html(source)
    found = []
    if not text.strip():
        found.append("empty")
    if utf16(text) > 4096:
        found.append(f"{utf16(text)} characters")
    if {entity["type"] for entity in entities} - _OURS:
        found.append(f"foreign markup {entities}")
    if _TURNS.search(text) or text.count("\u2068") != text.count("\u2069"):
        found.append("turns the line")
    if lines_max is not None and text.count("\n") + 1 > lines_max:
        found.append(f"{text.count(chr(10)) + 1} lines")
    said = {phone for phone in _PHONE.findall(text) if phone not in _ALLOWED_PHONES}
    if said:
        found.append(f"unmasked {said}")
    return [f"{name}: {problem}" for problem in found]


def test_the_corpus_is_large_enough() -> None:
    assert len(CORPUS) >= 2_000


@pytest.fixture(autouse=True)
def _cleaned_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever people write is cleaned once: the same words stand in hundreds of texts."""
    monkeypatch.setattr(page, "clean", functools.cache(page.clean))


def _shape(source: str) -> str:
    return _SAID.sub("\u2068\u2069", source)


def _harmful(said: str) -> list[str]:
    """What a person's words, put into a text, could do to it."""
    text, entities = parse_html(said)
    if entities or "\n" in text or _TURNS.search(text) or _PHONE.search(text):
        return [f"harmful: {said[:80]!r}"]
    return []


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_words_of_people_break_any_text(language: str) -> None:
    """A text with other words in it is the same text: what stands between the isolating signs is
    looked at once, the rest has to be equal. Where it is not, the whole of it is read. (The whole
    corpus goes through every template in `test_locales`.)
    """
    usual = samples.everything("Blue phone case", language)
    shapes = {name: _shape(str(text)) for name, text in usual.items()}
    proven: set[str] = set()
    problems: list[str] = []
    for said in hostile.BASE:
        for name, text in samples.everything(said, language).items():
            for words in set(_SAID.findall(text)) - proven:
                problems += _harmful(words)
                proven.add(words)
            if _shape(str(text)) != shapes[name] or len(text) > 2_000:
                problems += _problems(name, str(text))
                if said.strip() and text.count("\n") > usual[name].count("\n"):
                    problems.append(f"{name}: {said[:20]!r} adds lines")
    assert problems == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_is_well_formed(language: str) -> None:
    for name, text in samples.everything("Blue phone case", language).items():
        assert _problems(name, str(text)) == []


@pytest.mark.parametrize("number", hostile.NUMBERS)
def test_a_number_is_never_shown_however_it_is_written(number: str) -> None:
    for name, text in samples.everything(f"call {number} now").items():
        read = "".join(str(unicodedata.digit(char)) for char in text if char.isdecimal())
        assert "712345678" not in read.replace("0712345678", "", text.count("0712345678")), name


@pytest.mark.parametrize("language", LANGUAGES)
def test_texts_are_short_enough_for_small_phones(language: str) -> None:
    lists = {"help_text", "health", "wallet", "deals", "listed", "disputes", "books_broken"}
    lists |= {"dashboard", "report", "action", "second_wanted", "case", "audited", "jobs"}
    lists |= {"disputed", "transactions", "unmatched", "payouts", "statement"}  # admins' lists
    problems = [
        problem
        for name, text in samples.everything("Blue phone case", language).items()
        if not lists & set(re.split("[ :]", name))
        for problem in _problems(name, str(text), lines_max=10)
    ]
    assert problems == []


def test_every_card_says_play_money_in_the_sandbox_only() -> None:
    for name, text in samples.answers("x", samples.page(sandbox=False)).items():
        assert "Play money" not in text, name
    for name, text in samples.everything("x").items():
        kind = name.removeprefix("notice ").split(":")[0]
        if kind not in _PLAIN and (name.startswith("notice") or "deal_card" in name):
            assert str(text).endswith("<i>Play money – no real money moves.</i>"), name


@pytest.mark.parametrize("module", [texts, deal_texts, admin_texts])
def test_no_text_is_left_out_of_these_tests(module: ModuleType) -> None:
    tried = {name.split(":")[0] for name in samples.answers("x", samples.page())}
    own = {
        name
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__ and not name.startswith("_")
    }
    assert own - tried - {"status_words", "invitation", *samples.everything("x")} == set()


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_text_names_a_command_that_is_not_there(language: str) -> None:
    known = {command.name for command in [*USER_COMMANDS, *ADMIN_COMMANDS]}
    for name, text in samples.everything("x", language).items():
        named = set(re.findall(r"(?<![\w<./])/([a-z_]+)", text))
        assert named - known == set(), name


def test_a_shared_deal_names_amount_and_goods() -> None:
    words = deal_texts.invitation("Blue phone case", samples.kes(10_500))
    assert "Blue phone case" in words
    assert "KES 10,500" in words
