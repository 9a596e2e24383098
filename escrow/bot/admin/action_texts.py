"""What is said of actions: the preview, what was done, who has to confirm it.

`PREVIEWS` and `OUTCOMES`: kind → its words, of the facts that the effect gave.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from markupsafe import Markup

from escrow.bot.page import Page
from escrow.domain.actions import Action

Words = Callable[[Mapping[str, Any], Action, Page], Markup]

PREVIEWS: Final[Mapping[str, Words]] = {}
"""Kind → what would be done."""
OUTCOMES: Final[Mapping[str, Words]] = {}
"""Kind → what was done, of the facts of `perform`."""
COMMANDS: Final[Mapping[str, str]] = {}
"""Kind → its command, where that is not its name."""
