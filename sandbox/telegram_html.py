"""Telegram's HTML parse mode: text and entities out of tags, and its refusals.

Stricter than Telegram in one thing: an `&` that is not one of the four named references or a
numeric one is refused, so that unescaped text of people is noticed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final

Json = dict[str, Any]

MAX_ENTITIES: Final = 100

_SIMPLE: Final = {
    "b": "bold",
    "strong": "bold",
    "i": "italic",
    "em": "italic",
    "u": "underline",
    "ins": "underline",
    "s": "strikethrough",
    "strike": "strikethrough",
    "del": "strikethrough",
    "tg-spoiler": "spoiler",
    "code": "code",
    "pre": "pre",
    "blockquote": "blockquote",
}
_SPECIAL: Final = {"a", "span", "tg-emoji"}
_NAMED: Final = {"lt": "<", "gt": ">", "amp": "&", "quot": '"'}
_REFERENCE: Final = re.compile(r"&(?:#(\d{1,7})|#[xX]([0-9a-fA-F]{1,6})|([A-Za-z]+));")
_NAME: Final = re.compile(r"[^\s>/]*")
_ATTRIBUTE: Final = re.compile(
    r"""\s+(?P<name>[^\s=>/"']+)(?:\s*=\s*(?:"(?P<d>[^"]*)"|'(?P<s>[^']*)'|(?P<bare>[^\s>"']+)))?"""
)
_LINK: Final = re.compile(r"(?:https?|tg|ton)://\S+|(?:mailto|tel):\S+|[^\s:]+\.\S+", re.IGNORECASE)


class EntityError(ValueError):
    """Telegram's words for text it cannot parse."""


def utf16(text: str) -> int:
    """Length in UTF-16 code units, as Telegram counts."""
    return len(text) + sum(char > "\uffff" for char in text)


@dataclass(slots=True)
class _Open:
    tag: str
    offset: int
    attributes: dict[str, str]
    parent: str


@dataclass(slots=True)
class _Parsed:
    source: str
    out: list[str] = field(default_factory=list)
    length: int = 0  # UTF-16 units written so far
    stack: list[_Open] = field(default_factory=list)
    entities: list[Json] = field(default_factory=list)

    def write(self, text: str) -> None:
        self.out.append(text)
        self.length += utf16(text)

    def byte(self, index: int) -> int:
        return len(self.source[:index].encode())


def parse_html(source: str) -> tuple[str, list[Json]]:
    """The text and its entities (offsets in UTF-16 units). Raises EntityError."""
    state = _Parsed(source)
    index = 0
    while index < len(source):
        char = source[index]
        if char == "&":
            index = _reference(state, index)
        elif char == "<":
            closing = source.startswith("</", index)
            index = _end_tag(state, index) if closing else _start_tag(state, index)
        else:
            stop = index
            while stop < len(source) and source[stop] not in "&<":
                stop += 1
            state.write(source[index:stop])
            index = stop
    if state.stack:
        raise EntityError(f'Can\'t find end tag corresponding to start tag "{state.stack[-1].tag}"')
    entities = sorted(state.entities, key=lambda one: (one["offset"], -one["length"]))
    return "".join(state.out), entities[:MAX_ENTITIES]


def _reference(state: _Parsed, index: int) -> int:
    match = _REFERENCE.match(state.source, index)
    if match is not None:
        decimal, hexadecimal, named = match.groups()
        if named is not None:
            char = _NAMED.get(named)
        else:
            code = int(decimal) if decimal else int(hexadecimal, 16)
            char = chr(code) if 0 < code < 0x110000 and not 0xD800 <= code < 0xE000 else None
        if char is not None:
            state.write(char)
            return match.end()
    raise EntityError(f"Unsupported character reference at byte offset {state.byte(index)}")


def _start_tag(state: _Parsed, index: int) -> int:
    source = state.source
    name = _NAME.match(source, index + 1)
    tag = name.group().lower() if name else ""
    at = state.byte(index)
    if tag not in _SIMPLE and tag not in _SPECIAL:
        raise EntityError(f'Unsupported start tag "{tag}" at byte offset {at}')
    position = index + 1 + len(tag)
    attributes: dict[str, str] = {}
    while (match := _ATTRIBUTE.match(source, position)) is not None:
        value = next((v for v in match.group("d", "s", "bare") if v is not None), "")
        attributes[match.group("name").lower()] = _unescape(state, value)
        position = match.end()
    while position < len(source) and source[position].isspace():
        position += 1
    if position >= len(source) or source[position] != ">":
        raise EntityError(f"Unclosed start tag at byte offset {at}")
    if tag == "span" and attributes.get("class") != "tg-spoiler":
        raise EntityError(f'Tag "span" must have class "tg-spoiler" at byte offset {at}')
    if tag == "tg-emoji" and not attributes.get("emoji-id", "").isdigit():
        raise EntityError(f'Tag "tg-emoji" must have a valid emoji-id at byte offset {at}')
    parent = state.stack[-1].tag if state.stack else ""
    state.stack.append(_Open(tag, state.length, attributes, parent))
    return position + 1


def _unescape(state: _Parsed, value: str) -> str:
    inner = _Parsed(value)
    index = 0
    while index < len(value):
        if value[index] == "&" and _REFERENCE.match(value, index):
            index = _reference(inner, index)
        else:
            inner.write(value[index])
            index += 1
    return "".join(inner.out)


def _end_tag(state: _Parsed, index: int) -> int:
    at = state.byte(index)
    end = state.source.find(">", index)
    if not state.stack:
        raise EntityError(f"Unexpected end tag at byte offset {at}")
    if end < 0:
        raise EntityError(f"Unclosed end tag at byte offset {at}")
    name = state.source[index + 2 : end].strip().lower()
    opened = state.stack.pop()
    if name and name != opened.tag:
        raise EntityError(
            f'Unmatched end tag at byte offset {at}, expected "</{opened.tag}>", found "</{name}>"'
        )
    length = state.length - opened.offset
    if length:
        entity = _entity(state, opened)
        if entity is not None:
            state.entities.append({"offset": opened.offset, "length": length, **entity})
    return end + 1


def _entity(state: _Parsed, opened: _Open) -> Json | None:
    """What a closed tag means; None when it means nothing."""
    attributes = opened.attributes
    match opened.tag:
        case "a":
            inner = "".join(state.out).encode("utf-16-le")[opened.offset * 2 :].decode("utf-16-le")
            url = attributes.get("href") or inner
            return {"type": "text_link", "url": url} if _LINK.fullmatch(url) else None
        case "span":
            return {"type": "spoiler"}
        case "tg-emoji":
            return {"type": "custom_emoji", "custom_emoji_id": attributes["emoji-id"]}
        case "code":
            language = attributes.get("class", "")
            if opened.parent == "pre" and language.startswith("language-"):
                state.stack[-1].attributes["language"] = language.removeprefix("language-")
                return None
            return {"type": "code"}
        case "pre" if attributes.get("language"):
            return {"type": "pre", "language": attributes["language"]}
        case "blockquote" if "expandable" in attributes:
            return {"type": "expandable_blockquote"}
    return {"type": _SIMPLE[opened.tag]}


def trimmed(text: str, entities: list[Json]) -> tuple[str, list[Json]]:
    """The text without the blanks at both ends, as Telegram keeps it, entities moved along."""
    lead = utf16(text) - utf16(text.lstrip())
    text = text.strip()
    size = utf16(text)
    kept: list[Json] = []
    for entity in entities:
        start = max(0, entity["offset"] - lead)
        stop = min(size, entity["offset"] - lead + entity["length"])
        if stop > start:
            kept.append({**entity, "offset": start, "length": stop - start})
    return text, kept


def command_entities(text: str) -> list[Json]:
    """The `/commands` in what a person typed, as Telegram marks them."""
    return [
        {
            "type": "bot_command",
            "offset": utf16(text[: match.start(1)]),
            "length": utf16(match.group(1)),
        }
        for match in re.finditer(r"(?:^|\s)(/[A-Za-z0-9_]{1,32}(?:@[A-Za-z0-9_]{3,32})?)", text)
    ]
