"""Small pictures of figures for a phone: panels below each other, each with its own axis.

Drawn by Pillow, which is loaded when the first picture is; the words come from the caller, in the
letters of the font that Pillow brings: ASCII.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from PIL import ImageFont as fonts
    from PIL.ImageDraw import ImageDraw

WIDTH: Final = 1080
_HEAD: Final = 110
_PANEL: Final = 460
_TITLE: Final = 74
_FOOT: Final = 86
_LEFT, _RIGHT = 124, 32
_SCALE: Final = 2
"""Drawn twice as large and made smaller: Pillow draws without smooth edges."""

_PAPER, _INK, _FAINT, _GRID = "#ffffff", "#1b1f24", "#5b636d", "#dfe3e8"
_BARS, _AREA, _LINE = "#d9730d", "#b9d4f1", "#1f5fa8"
_STEPS: Final = (1, 2, 3, 4, 6, 8)
_UNITS: Final = ((10**9, "B"), (10**6, "M"), (10**3, "K"), (1, ""))


@dataclass(frozen=True, slots=True)
class Panel:
    """One series: whole units (shillings, dollars), none below 0. As an area with a thick line on
    top, or as bars: told apart by their form, not only by their colour.
    """

    title: str
    values: Sequence[int]
    area: bool = False


async def picture(title: str, labels: Sequence[str], panels: Sequence[Panel]) -> bytes:
    """A PNG; `labels` name the values of every panel. Other work of the loop goes on meanwhile."""
    return await asyncio.to_thread(_draw, title, labels, panels)


def _draw(title: str, labels: Sequence[str], panels: Sequence[Panel]) -> bytes:
    from PIL import Image, ImageDraw, ImageFont

    def font(size: int) -> fonts.FreeTypeFont | fonts.ImageFont:
        return ImageFont.load_default(size * _SCALE)

    height = _HEAD + _PANEL * len(panels)
    with Image.new("RGB", (WIDTH * _SCALE, height * _SCALE), _PAPER) as large:
        draw = ImageDraw.Draw(large)
        large_font, middle, small = font(46), font(38), font(32)
        draw.text((_x(32), _x(30)), _known(title), _INK, large_font)
        for number, panel in enumerate(panels):
            top = _HEAD + number * _PANEL
            draw.text((_x(32), _x(top)), _known(panel.title), _INK, middle)
            _axes(draw, small, top, labels, _top(panel.values))
            _series(draw, top, panel)
        with large.resize((WIDTH, height), Image.Resampling.LANCZOS) as small_one:
            found = io.BytesIO()
            small_one.quantize(64).save(found, "PNG", optimize=True)
    return found.getvalue()


def _known(words: str) -> str:
    """What the font has: anything else would be a box."""
    return words.replace("–", "-").encode("ascii", "replace").decode()


def _x(pixels: int) -> int:
    return pixels * _SCALE


def _axes(
    draw: ImageDraw,
    font: fonts.FreeTypeFont | fonts.ImageFont,
    top: int,
    labels: Sequence[str],
    most: int,
) -> None:
    """Lines at 0, half and `most` with their amounts; below, every few labels up to the last."""
    for part in range(3):
        y = _y(top, most * part, most * 2)
        draw.line((_x(_LEFT), y, _x(WIDTH - _RIGHT), y), _INK if part == 0 else _GRID, _SCALE * 2)
        if part != 1 or most % 2 == 0:
            draw.text((_x(_LEFT - 14), y), short(most * part // 2), _FAINT, font, anchor="rm")
    y = _x(top + _PANEL - _FOOT + 10)
    for place in range(len(labels) - 1, -1, -max(len(labels) // 5, 1)):
        left, right = _slot(place, len(labels))
        room = draw.textlength(_known(labels[place]), font) // 2
        x = min(max((left + right) // 2, _x(_LEFT) + room), _x(WIDTH - _RIGHT) - room)
        draw.text((x, y), _known(labels[place]), _FAINT, font, anchor="ma")


def _series(draw: ImageDraw, top: int, panel: Panel) -> None:
    most, count = _top(panel.values), len(panel.values)
    floor = _y(top, 0, most)
    if not panel.area:
        for place, value in enumerate(panel.values):
            left, right = _slot(place, count)
            gap = (right - left) // 6
            if value:
                draw.rectangle((left + gap, _y(top, value, most), right - gap, floor), _BARS)
        return
    line = []
    for place, value in enumerate(panel.values):
        left, right = _slot(place, count)
        line.append(((left + right) // 2, _y(top, value, most)))
    if count > 1:
        draw.polygon([(line[0][0], floor), *line, (line[-1][0], floor)], _AREA)
        draw.line(line, _LINE, _SCALE * 6, joint="curve")
    for x, y in line[-1:]:
        draw.ellipse((x - _x(9), y - _x(9), x + _x(9), y + _x(9)), _LINE)


def _slot(place: int, count: int) -> tuple[int, int]:
    """From where to where the values of one label stand."""
    width = _x(WIDTH - _LEFT - _RIGHT)
    return _x(_LEFT) + width * place // count, _x(_LEFT) + width * (place + 1) // count


def _y(top: int, value: int, most: int) -> int:
    low, high = _x(top + _PANEL - _FOOT), _x(top + _TITLE)
    return low - (low - high) * value // most


def _top(values: Sequence[int]) -> int:
    """The round number that the axis ends at: one digit and zeros, at least the largest value."""
    largest, power = max([*values, 1]), 1
    while True:
        for step in _STEPS:
            if step * power >= largest:
                return step * power
        power *= 10


def short(units: int) -> str:
    """`0`, `950`, `2.5K`, `400K`, `1.2M`: the whole, or one digit behind the point."""
    for size, letter in _UNITS:
        if units >= size:
            tenths = units * 10 // size
            whole, rest = divmod(tenths, 10)
            return f"{whole}.{rest}{letter}" if rest and letter else f"{whole}{letter}"
    return "0"
