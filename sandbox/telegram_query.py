"""A request to the Bot API: its parameters in all their forms, and the text they carry."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from sandbox.telegram_chats import Json, bad_request
from sandbox.telegram_html import EntityError, parse_html, trimmed, utf16


class Query:
    """One request's parameters, whether they came as query, form, multipart or JSON."""

    def __init__(self, fields: Json, files: dict[str, web.FileField]) -> None:
        self.fields = fields
        self.files = files

    def text(self, name: str) -> str:
        value = self.fields.get(name)
        return "" if value is None else str(value)

    def number(self, name: str, default: int = 0) -> int:
        value = self.fields.get(name)
        if value is None or value == "":
            return default
        try:
            return int(value)
        except (TypeError, ValueError):
            raise bad_request(f'invalid parameter "{name}"') from None

    def flag(self, name: str) -> bool:
        return str(self.fields.get(name, "")).lower() in ("true", "1")

    def json(self, name: str) -> Any:
        """A parameter that is JSON, in its text form or already read; None when left out."""
        value = self.fields.get(name)
        if not isinstance(value, str):
            return value
        if not value:
            return None
        try:
            return json.loads(value)
        except ValueError:
            raise bad_request(f"can't parse {name} JSON object") from None


async def read_query(request: web.Request) -> Query:
    """Every parameter of a request. Raises ValueError."""
    fields: Json = dict(request.query)
    files: dict[str, web.FileField] = {}
    if request.method != "POST":
        return Query(fields, files)
    if request.content_type == "application/json":
        body = await request.text()
        read = json.loads(body) if body else {}
        if not isinstance(read, dict):
            raise ValueError("not an object")
        fields.update(read)
        return Query(fields, files)
    for name, value in (await request.post()).items():
        if isinstance(value, web.FileField):
            files[name] = value
        else:
            fields[name] = value if isinstance(value, str) else bytes(value).decode()
    return Query(fields, files)


def words(query: Query, name: str, entities_name: str, limit: int) -> tuple[str, list[Json]]:
    """The text or caption after parsing, held to its limit. Raises ApiError."""
    text, mode = query.text(name), query.text("parse_mode")
    if mode and mode.lower() != "html":
        raise bad_request("unsupported parse_mode")
    try:
        text, entities = parse_html(text) if mode else (text, query.json(entities_name) or [])
    except EntityError as error:
        raise bad_request(f"can't parse entities: {error}") from None
    text, entities = trimmed(text, entities)
    caption = name == "caption"
    if not text and not caption:
        raise bad_request("message text is empty")
    if utf16(text) > limit:
        raise bad_request(f"message {'caption ' if caption else ''}is too long")
    return text, entities


def chat_of(query: Query) -> int | None:
    try:
        return int(query.text("chat_id"))
    except ValueError:
        return None


def logged(query: Query) -> Json:
    """The parameters for the call log, keyboards read."""
    params = {**query.fields, **{name: file.filename for name, file in query.files.items()}}
    if isinstance(params.get("reply_markup"), str):
        try:
            params["reply_markup"] = json.loads(params["reply_markup"])
        except ValueError:
            return params
    return params
