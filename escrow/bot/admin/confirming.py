"""Money commands in two steps: the preview with its buttons, then what was done."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from markupsafe import Markup
from telegram import Update

from escrow.bot.desk import Desk
from escrow.bot.page import Page
from escrow.domain.actions import Action

Values = Mapping[str, Any]
Words = Callable[[Values, Action, Page], Markup]


async def ask(
    update: Update, context: Desk, kind: str, target: str, params: Mapping[str, Any]
) -> None:
    """Shows what it would do, with [Confirm] and [Leave it] and the form to type."""
    raise NotImplementedError


def number_of(args: Sequence[str]) -> int | None:
    """4821 when what was typed ends in `confirm 4821`."""
    raise NotImplementedError


async def typed(update: Update, context: Desk, kind: str, target: str, number: int) -> None:
    """`/manual_refund ES… confirm 4821`: the effect of its [Confirm]."""
    raise NotImplementedError
