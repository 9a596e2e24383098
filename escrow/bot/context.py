"""What handlers may reach, and the two lists of commands that everything else is made from."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from escrow.services.choices import UnderpaymentChoices
from escrow.services.claims import Claims
from escrow.services.confirmations import Confirmations
from escrow.services.help import HelpDesk
from escrow.services.oversight import Oversight
from escrow.services.payouts import Payouts
from escrow.services.people import People
from escrow.services.ports import Clock, Rail
from escrow.services.prompts import Prompts
from escrow.services.ratings import Ratings
from escrow.services.records import Records
from escrow.services.wallets import Wallets

if TYPE_CHECKING:
    from escrow_service import EscrowService

Handler = Callable[[Any, Any], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Command:
    """One slash command: name, what the menu says, the usage line with an example, the handler."""

    name: str
    menu: str
    usage: str
    handler: Handler


@dataclass(frozen=True, slots=True)
class Office:
    """Everything a handler works with; lives in `application.bot_data["office"]`."""

    escrows: EscrowService
    people: People
    wallets: Wallets
    prompts: Prompts
    ratings: Ratings
    choices: UnderpaymentChoices
    confirmations: Confirmations
    claims: Claims
    records: Records
    help: HelpDesk
    payouts: Payouts
    oversight: Oversight
    rail: Rail
    clock: Clock
    admins: Sequence[int]
    zone: ZoneInfo
    sandbox: bool
    bot_username: str = ""
