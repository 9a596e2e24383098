"""The catalogues: complete, safe to edit, and read by whoever chose that language."""

from __future__ import annotations

import ast
import functools
import logging
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from string import Formatter

import pytest

from escrow.bot import locales, page
from escrow.bot.locales import HERE, LANGUAGES, catalogue, fault, has_words
from escrow.bot.locales import __main__ as renewing
from escrow.bot.page import say, speaking, words
from sandbox.telegram_html import parse_html, utf16
from tests.bot import samples
from tests.bot.admin import case_samples
from tests.bot.hostile import CORPUS

ROOT = Path(__file__).parents[2]
TEMPLATES = renewing.templates()
_SAID = re.compile("\u2068[^\u2068\u2069]*\u2069")
_ENGLISH = re.compile(
    r"\b(?:the|is|are|was|were|you|your|and|please|of|for|with|this|that|can|will|has|have|from|by"
    r"|not|it|its|be|been|no|on|at|to|in)\b",
    re.IGNORECASE,
)
_QUOTED = re.compile(r"<code>.*?</code>|\(ES…\)|/[a-z_]+|API|SIM")


def _sources() -> list[tuple[str, ast.Module]]:
    files = [*sorted(ROOT.glob("escrow/**/*.py")), *sorted(ROOT.glob("*.py"))]
    return [
        (path.relative_to(ROOT).as_posix(), ast.parse(path.read_text(encoding="utf-8")))
        for path in files
    ]


def _fields(template: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(template) if name is not None}


# -- the code ------------------------------------------------------------------------------------


def test_every_text_is_a_literal_where_it_is_said() -> None:
    found = [
        f"{place}:{call.lineno}"
        for place, tree in _sources()
        for call in renewing.calls(tree)
        if renewing.literal(call) is None
    ]
    assert found == []


def test_every_text_gets_exactly_the_values_that_it_names() -> None:
    found = []
    for place, tree in _sources():
        for call in renewing.calls(tree):
            given = {one.arg for one in call.keywords}
            template = renewing.literal(call)
            is_command = isinstance(call.func, ast.Name) and call.func.id == "Command"
            if template is None or is_command or None in given:
                continue  # None: **values
            if given != _fields(template):
                found.append(f"{place}:{call.lineno} {template}")
    assert found == []


def test_no_text_is_said_before_its_reader_is_known() -> None:
    """At import everything would be English for good."""
    found = []
    for place, tree in _sources():
        inside = {
            id(node)
            for function in ast.walk(tree)
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            for part in (function.body if isinstance(function.body, list) else [function.body])
            for node in ast.walk(part)
        }
        found += [
            f"{place}:{call.lineno}"
            for call in renewing.calls(tree)
            if id(call) not in inside and getattr(call.func, "id", "") != "Command"
        ]
    assert found == []


# -- the catalogues ------------------------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_catalogue_has_every_text_and_nothing_else(language: str) -> None:
    entries = renewing.read(HERE / f"{language}.po", language)
    texts = {str(one.id): str(one.string or "") for one in entries if one.id}
    assert sorted(set(TEMPLATES) - set(texts)) == []
    assert sorted(set(texts) - set(TEMPLATES)) == []
    assert [template for template, text in texts.items() if not text] == []
    assert not entries.obsolete


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_catalogue_keeps_placeholders_and_tags(language: str) -> None:
    entries = renewing.read(HERE / f"{language}.po", language)
    problems = {
        str(one.id): wrong
        for one in entries
        if one.id and (wrong := fault(str(one.id), str(one.string)))
    }
    assert problems == {}


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_catalogue_is_as_its_command_writes_it(language: str) -> None:
    """`python -m escrow.bot.locales` was run after the last change of a text."""
    path = HERE / f"{language}.po"
    new = renewing.renewed(renewing.read(path, language), language, TEMPLATES)
    assert renewing.content(path, new) == path.read_bytes()


def test_english_is_what_the_code_says() -> None:
    assert catalogue("en") == {}, "only what is reworded has to be looked up"


def test_a_button_that_a_text_names_is_called_so_on_the_button() -> None:
    ours = {template: locales.translated("sw", template) for template in TEMPLATES}
    named = [(text, label) for text in TEMPLATES for label in re.findall("“([^{}”]+)”", text)]
    assert named
    for text, label in named:
        assert f"“{ours[label]}”" in ours[text]


def test_labels_in_kiswahili_fit_a_small_phone() -> None:
    """Where the English one does, or nearly: Telegram shows about thirty characters."""
    long = {
        text
        for place, tree in _sources()
        for call in renewing.calls(tree)
        if getattr(call.func, "id", "") == "words"
        and (template := renewing.literal(call)) is not None
        and not template.endswith(":")  # goes with a shared link
        and len(text := catalogue("sw").get(template, template)) > max(34, len(template) + 4)
    }
    assert long == set()


# -- people's words ------------------------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_words_of_people_break_any_template(
    language: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two thousand hostile texts in every place of every text. Such words are isolated and cut the
    same way wherever they stand, so each is read by Telegram's rules once, and each template once
    with all of them in turn: what stands around them never changes.
    """
    monkeypatch.setattr(page, "clean", functools.cache(page.clean))
    everybody = [str(page.said(said)) for said in CORPUS]
    for shown in everybody:
        text, entities = parse_html(shown)
        assert not entities
        assert "\n" not in text
        assert utf16(text) <= page.SAID_CHARS + 2
    for template in (one for one in TEMPLATES if _fields(one)):
        names = _fields(template)
        with speaking(language):
            usual = str(say(template, **dict.fromkeys(names, "x")))
        ours = catalogue(language).get(template, template)
        assert utf16(parse_html(usual)[0]) <= 4096
        shape = usual.replace("\u2068x\u2069", "\u2068\u2069")
        for shown in everybody:
            text = ours.format(**dict.fromkeys(names, shown))
            assert text.replace(shown, "\u2068\u2069") == shape, template
            assert len(text) <= 4096 or utf16(parse_html(text)[0]) <= 4096, template


# -- who reads what ------------------------------------------------------------------------------


@contextmanager
def _seen(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[str]]:
    """Which templates were looked up."""
    found: set[str] = set()

    def noting(language: str, template: str) -> str:
        found.add(template)
        return locales.translated(language, template)

    with monkeypatch.context() as patch:
        patch.setattr(page, "translated", noting)
        yield found


def test_a_reader_of_kiswahili_never_gets_an_english_sentence() -> None:
    ours = catalogue("sw")
    kiswahili = "\n".join(ours.values())
    parts = {
        part.strip(" .:,–")
        for template, text in ours.items()
        if template != text
        for part in re.split(r"\{[a-z_]*\}|</?[a-z]+>", template)
    }
    english = {part for part in parts if len(part) > 11 and part not in kiswahili}
    assert len(english) > 300
    problems = []
    texts = samples.everything("Simu", "sw")
    assert "Choose your language." in texts.pop("ask_language")
    for name, text in texts.items():
        problems += [f"{name}: {part}" for part in english if part in text]
        rest = _QUOTED.sub("", _SAID.sub("", text))
        problems += [f"{name}: {found[0]}: {rest[:200]}" for found in _ENGLISH.finditer(rest)]
    assert problems == []


def test_every_text_is_looked_at_in_these_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `samples` never says is not tried with anybody's words."""
    with _seen(monkeypatch) as seen:
        samples.everything("x")
        case_samples.files("x")
    said = {
        template
        for place, tree in _sources()
        for call in renewing.calls(tree)
        if getattr(call.func, "id", "") == "say"
        and (template := renewing.literal(call)) is not None
        and has_words(template)
    }
    assert sorted(said - seen) == []


@pytest.mark.parametrize(
    ("code", "language"),
    [("sw", "sw"), ("sw-KE", "sw"), ("SW_tz", "sw"), ("en-GB", "en"), ("fr", "en"), ("", "en")],
)
def test_a_language_without_texts_reads_english(code: str, language: str) -> None:
    assert page.known_language(code) == language
    with speaking(code):
        assert words("Yes") == {"en": "Yes", "sw": "Ndiyo"}[language]
    assert page.language() == "en"


# -- an operator's edits -------------------------------------------------------------------------


@pytest.fixture
def edited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the catalogues that may be changed."""
    for language in LANGUAGES:
        shutil.copy(HERE / f"{language}.po", tmp_path)
    monkeypatch.setattr(locales, "HERE", tmp_path)
    monkeypatch.setattr(renewing, "HERE", tmp_path)
    catalogue.cache_clear()
    yield tmp_path
    catalogue.cache_clear()


def _reword(path: Path, template: str, text: str) -> None:
    catalog = renewing.read(path, path.stem)
    catalog[template].string = text
    renewing.write(path, catalog)


def test_english_can_be_reworded_without_touching_code(edited: Path) -> None:
    _reword(edited / "en.po", "Which deal?", "Which of your deals?")
    assert say("Which deal?") == "Which of your deals?"


@pytest.mark.parametrize(
    "text",
    [
        "Deal {kode}",
        "Deal",
        "Deal {code} {code}",
        "Deal {code.__class__}",
        "Deal {code!r}",
        "Deal {code",
        "Deal <b>{code}",
        "Deal <b>{code}</b>",
        "Deal {code} <3",
        "Deal {code} & more",
    ],
)
def test_an_edit_that_could_break_a_message_is_left_out_and_logged(
    edited: Path, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    assert fault("Deal {code}", text)
    catalog = renewing.read(edited / "sw.po", "sw")
    catalog["Deal {code}"].string = text
    renewing.write(edited / "sw.po", catalog)
    with caplog.at_level(logging.ERROR), speaking("sw"):
        assert say("Deal {code}", code=7) == "Deal 7"
        assert say("Which deal?") == "Biashara gani?"
    assert any(getattr(record, "action", "") == "text_unusable" for record in caplog.records)


@pytest.mark.parametrize("content", [b"msgid \xff\xfe", b'msgid "a"\nnonsense\n', None])
def test_a_catalogue_that_cannot_be_read_leaves_english(
    edited: Path, caplog: pytest.LogCaptureFixture, content: bytes | None
) -> None:
    path = edited / "sw.po"
    path.unlink() if content is None else path.write_bytes(content)
    with caplog.at_level(logging.ERROR), speaking("sw"):
        assert say("Which deal?") == "Which deal?"
    assert any(getattr(record, "action", "") == "catalogue_unreadable" for record in caplog.records)


def test_renewing_keeps_what_is_translated_and_names_what_is_missing(
    edited: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {language: (edited / f"{language}.po").read_bytes() for language in LANGUAGES}
    assert renewing.main() == 0
    assert {one: (edited / f"{one}.po").read_bytes() for one in LANGUAGES} == before
    _reword(edited / "en.po", "Which deal?", "Which of your deals?")
    catalog = renewing.read(edited / "sw.po", "sw")
    catalog["Which deal?"].string = ""
    catalog.add("Gone from the code", "Imeondoka")
    renewing.write(edited / "sw.po", catalog)
    capsys.readouterr()
    assert renewing.main() == 1
    assert "sw.po: missing: Which deal?" in capsys.readouterr().out
    assert renewing.read(edited / "en.po", "en")["Which deal?"].string == "Which of your deals?"
    assert "Gone from the code" not in (edited / "sw.po").read_text(encoding="utf-8")
