"""What handlers may reach, and the two lists of commands that everything else is made from."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from escrow.domain.money import Currency
from escrow.services.actions import Actions
from escrow.services.auditing import Audits
from escrow.services.cases import Cases
from escrow.services.choices import UnderpaymentChoices
from escrow.services.claims import Claims
from escrow.services.confirmations import Confirmations
from escrow.services.crypto import CoinPayments
from escrow.services.figures import Figures
from escrow.services.flags import Flags
from escrow.services.help import HelpDesk
from escrow.services.oversight import Oversight
from escrow.services.pauses import Pauses
from escrow.services.payouts import Payouts
from escrow.services.people import People
from escrow.services.ports import Clock, Rail
from escrow.services.prompts import Prompts
from escrow.services.ratings import Ratings
from escrow.services.receipts import Receipts
from escrow.services.records import Records
from escrow.services.statements import Statements
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
    """Everything a handler works with; lives in `application.bot_data["office"]`. `bare`: nothing
    but the ten admin commands is heard there, so buttons would be dead. `currency`: of amounts
    that name none.
    """

    escrows: EscrowService
    actions: Actions
    people: People
    flags: Flags
    wallets: Wallets
    prompts: Prompts
    ratings: Ratings
    choices: UnderpaymentChoices
    confirmations: Confirmations
    claims: Claims
    records: Records
    help: HelpDesk
    payouts: Payouts
    receipts: Receipts
    cases: Cases
    figures: Figures
    oversight: Oversight
    audits: Audits
    statements: Statements
    pauses: Pauses
    coins: CoinPayments
    rail: Rail
    clock: Clock
    admins: Sequence[int]
    zone: ZoneInfo
    sandbox: bool
    bot_username: str = ""
    currency: Currency = Currency.KES
    bare: bool = False
