"""An admin's commands with examples, by what they are about; made from ADMIN_COMMANDS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from markupsafe import Markup

from escrow.bot.context import Command
from escrow.bot.page import Plain, lines, say, spoken

GROUPS: Final[Mapping[str, tuple[str, ...]]] = {
    "disputes": (
        "disputed_transactions",
        "case",
        "resolve_dispute",
        "transactions",
        "freeze_transaction",
        "unfreeze_transaction",
    ),
    "money": (
        "manual_refund",
        "manual_release",
        "payouts",
        "unmatched",
        "assign_payment",
        "receipt",
        "book",
        "audit",
        "report",
    ),
    "people": (
        "pending_sellers",
        "verify_seller",
        "suspend_seller",
        "suspicious_users",
        "review_flag",
    ),
    "system": (),
}
"""Group → its commands, in the order they are shown. What stands nowhere is the system's."""
_AT_ONCE: Final = frozenset({"pause", "resume"})
"""These act without a question: a name that can be pressed by mistake would be too easy."""


def admin_help(commands: Sequence[Command]) -> Markup:
    heads = {
        "disputes": say("<b>Disputes and deals</b>"),
        "money": say("<b>Money</b>"),
        "people": say("<b>People</b>"),
        "system": say("<b>System</b>"),
    }
    named = {one.name: one for one in commands}
    placed = {name for names in GROUPS.values() for name in names}
    rest = tuple(one.name for one in commands if one.name not in placed)
    parts: list[Markup] = [say("<b>What admins can do</b>")]
    for group, names in GROUPS.items():
        here = [named[name] for name in (*names, *(rest if group == "system" else ()))
                if name in named]  # fmt: skip
        if here:
            parts += [Markup(""), heads[group], *(_line(one) for one in here)]
    return lines(*parts)


def _line(one: Command) -> Markup:
    """Its name to press, or to copy where it acts at once; an example where it takes words."""
    name, menu = Plain(one.name), Plain(spoken(one.menu))
    return lines(
        say("<code>/{name}</code> – {menu}", name=name, menu=menu)
        if one.name in _AT_ONCE
        else say("/{name} – {menu}", name=name, menu=menu),
        say("<code>{usage}</code>", usage=Plain(one.usage))
        if one.usage != f"/{one.name}"
        else None,
    )
