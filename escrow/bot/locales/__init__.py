"""The catalogues of the texts, one file per language: `en.po` and `sw.po` beside this module.

The English template in the code is the key. A catalogue may reword it, English too. An entry that
could break a message (another placeholder, another tag) is logged and not used.
"""

from __future__ import annotations

import functools
import logging
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from string import Formatter
from typing import Final

from babel.messages.pofile import PoFileError, read_po

_LOG: Final = logging.getLogger(__name__)
HERE: Final = Path(__file__).parent
LANGUAGES: Final = ("en", "sw")
"""What the texts are written in; other people read the first."""
NAMES: Final = {"en": "English", "sw": "Kiswahili"}
"""Each in itself, for whoever looks for his own."""
_TAG: Final = re.compile(r"</?[a-z]+>")
_REFERENCE: Final = re.compile(r"&(?:amp|lt|gt|quot);")
_MARKUP: Final = re.compile(r"[<>&]")
_WORDLESS: Final = re.compile(r"</?[a-z]+>|\{[a-z_]*\}|[^\w]|\d")


def translated(language: str, template: str) -> str:
    """The template in that language; as it stands in the code where the catalogue has none."""
    return catalogue(language).get(template, template)


@functools.cache
def catalogue(language: str) -> Mapping[str, str]:
    """A language's templates by the English ones; read from the file once, when first needed."""
    path = HERE / f"{language}.po"
    try:
        with path.open("rb") as file:
            entries = list(read_po(file, locale=language, abort_invalid=True))
    except (OSError, PoFileError, UnicodeDecodeError) as error:
        _LOG.error("%s can't be read: %s", path, error, extra={"action": "catalogue_unreadable"})
        return {}
    found = {}
    for entry in entries:
        if not entry.id or not entry.string or entry.string == entry.id:
            continue
        template, text = str(entry.id), str(entry.string)
        wrong = fault(template, text)
        if wrong:
            _LOG.error(
                "%s: a text is not used: %s: %s",
                path.name,
                wrong,
                text,
                extra={"action": "text_unusable"},
            )
        else:
            found[template] = text
    return found


def fault(template: str, text: str) -> str:
    """What keeps a text from standing for a template; empty when nothing does."""
    try:
        wanted, got = _placeholders(template), _placeholders(text)
    except ValueError as error:
        return str(error)
    if wanted != got:
        return "other placeholders"
    if sorted(_TAG.findall(template)) != sorted(_TAG.findall(text)) or not _balanced(text):
        return "other tags"
    if _raw(text) - _raw(template):
        return "a bare <, > or &"
    return ""


def _raw(text: str) -> set[str]:
    """The signs that mean something in HTML, tags and references aside."""
    return set(_MARKUP.findall(_REFERENCE.sub("", _TAG.sub("", text))))


def _placeholders(template: str) -> Counter[str]:
    """`{name}` as often as it stands there. `ValueError` for anything else in braces."""
    found: Counter[str] = Counter()
    for _, name, form, conversion in Formatter().parse(template):
        if name is None:
            continue
        if not name.isidentifier() or form or conversion:
            raise ValueError(f"not a placeholder: {name}")
        found[name] += 1
    return found


def _balanced(text: str) -> bool:
    opened: list[str] = []
    for tag in _TAG.findall(text):
        if not tag.startswith("</"):
            opened.append(tag)
        elif not opened or opened.pop() != tag.replace("/", ""):
            return False
    return not opened


def has_words(template: str) -> bool:
    """Whether there is anything to translate beside placeholders, tags and signs."""
    return bool(_WORDLESS.sub("", template))
