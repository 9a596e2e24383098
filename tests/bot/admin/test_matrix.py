"""Who may do what: eight roles × every admin command × every status a deal can have. What is
expected follows from FLOW and from what an admin's command is for, not from the code that answers;
a command without an expectation fails.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

import pytest

from escrow.domain.flow import FINAL, Actor, Event, Status, allows
from escrow.domain.model import Escrow
from escrow.domain.money import Currency, Money
from escrow.domain.terms import Terms
from escrow.services.action_tokens import Word
from escrow.services.actions import Actions
from escrow.services.flags import raise_flag
from escrow.services.verdicts import verdicts
from escrow_handlers_admin import ADMIN_COMMANDS
from sandbox.server import Sandbox
from sandbox.telegram_chats import Message
from tests.bot.conftest import SECRET, FixedClock, Town
from tests.world import ADMIN, BRIAN, JANE, OTIENO, SECOND_ADMIN, World

BUYING_ADMIN, SELLING_ADMIN, REMOVED_ADMIN = 1003, 1004, 1009
ROLES: Final[Mapping[str, int]] = {
    "admin": ADMIN,
    "second admin": SECOND_ADMIN,
    "admin who buys": BUYING_ADMIN,
    "admin who sells": SELLING_ADMIN,
    "buyer": BRIAN,
    "seller": JANE,
    "stranger": OTIENO,
    "removed admin": REMOVED_ADMIN,
}
ADMINS: Final = (ADMIN, SECOND_ADMIN, BUYING_ADMIN, SELLING_ADMIN)
PARTIES: Final = frozenset({BUYING_ADMIN, SELLING_ADMIN})
_SIDES: Final = {BUYING_ADMIN: (BUYING_ADMIN, JANE), SELLING_ADMIN: (BRIAN, SELLING_ADMIN)}
"""(buyer, seller) of the deal that a role is tried on, where it is not Brian's and Jane's."""

NOT_ADMIN: Final = re.compile(r"^This is for admins of Amana only\.$")
PARTY: Final = re.compile("You are a party of this deal")


LABELS: Final[Mapping[Status, str]] = {
    Status.PENDING: "waiting for payment",
    Status.HELD: "paid, money held",
    Status.SHIPPED: "on its way",
    Status.DELIVERED: "delivered",
    Status.DISPUTED: "in dispute",
    Status.FROZEN: "frozen by an admin",
    Status.COMPLETED: "completed",
    Status.REFUNDED: "refunded to the buyer",
    Status.CANCELLED: "cancelled",
}
"""What a status is called to people."""
ENDED: Final[Mapping[Status, str]] = {
    Status.COMPLETED: "^The money was released before.*By the buyer, Mon 23 Nov, 12:00",
    Status.REFUNDED: "^The seller gave the money back before.*By the seller, Mon 23 Nov, 12:00",
    Status.CANCELLED: "^The deal was cancelled before.*By the seller, Mon 23 Nov, 12:00",
}
"""Who was first, and when."""
FROZEN_BEFORE: Final = "^The deal was frozen before.*By admin \u2068\\w+\u2069, Mon 23 Nov, 12:00"


@dataclass(frozen=True)
class Expect:
    """One command. `event`: what FLOW has to allow an admin in the deal's status; None: any status
    will do. `asks`: it shows a preview first, of that kind of action. `pays`: where FLOW does not
    have this, the money goes to the buyer's wallet. `party`: a party may, too. `target`: what is
    made for each cell, a seller of that status or a flag. `says`: what the answer has, when it is
    not refused.
    """

    text: str
    says: str
    event: Event | None = None
    asks: str = ""
    pays: Event | None = None
    party: bool = False
    target: str = ""

    @property
    def of_a_deal(self) -> bool:
        return "{code}" in self.text or "{status}" in self.text


# A case is looked at after all else: it takes the dispute, and then it is that admin's.
EXPECTED: Final[Mapping[str, Expect]] = {
    # on a deal
    "resolve_dispute": Expect(
        "/resolve_dispute {code} split:70 seen", "{code}", Event.RESOLVE, asks="resolve"
    ),
    "manual_refund": Expect(
        "/manual_refund {code} why", "{code}", Event.MANUAL_REFUND, asks="manual_refund"
    ),
    "manual_release": Expect(
        "/manual_release {code} why", "{code}", Event.MANUAL_RELEASE, asks="manual_release"
    ),
    "freeze_transaction": Expect("/freeze_transaction {code} why", "{code}", Event.FREEZE),
    "unfreeze_transaction": Expect("/unfreeze_transaction {code} why", "{code}", Event.UNFREEZE),
    "assign_payment": Expect(
        "/assign_payment {receipt} {code}", "{code}", asks="assign_payment", pays=Event.FUND
    ),
    "case": Expect("/case {code}", "{code}"),
    "transactions": Expect("/transactions {status}", "{code}", party=True),
    # on people, money and the whole
    "pending_sellers": Expect("/pending_sellers", "Otieno Shop"),
    "suspicious_users": Expect("/suspicious_users", "^No flag waits for a review"),
    "disputed_transactions": Expect("/disputed_transactions", "^No dispute is open"),
    "escrow_dashboard": Expect("/escrow_dashboard", "Deals: 0 · held 0.*Sellers: 3 · verified 2"),
    "system_health": Expect("/system_health", "^(OK|WATCH) – "),
    "report": Expect("/report", "^Report November 2026: nothing"),
    "audit": Expect("/audit", "^The audit is running.*The books are whole"),
    "book": Expect("/book float 1000 SKB0000001", "1,000", asks="book"),
    "unmatched": Expect("/unmatched", "{receipt}"),
    "payouts": Expect("/payouts", "^No payout waits"),
    "receipt": Expect("/receipt {receipt}", "{receipt}"),
    # each on a seller or a flag of its own, after what counts them
    "verify_seller": Expect(
        "/verify_seller {target}", "Shop {target}.* is verified and was told so", target="PENDING"
    ),
    "suspend_seller": Expect(
        "/suspend_seller {target} why", "Shop {target}.* is suspended", target="VERIFIED"
    ),
    "review_flag": Expect(
        "/review_flag {target} fine", "^Flag No. {target} is reviewed", target="flag"
    ),
    "pause": Expect("/pause", "^Amana is paused"),
    "resume": Expect("/resume", "^Amana (goes on|is not paused)"),
}


def cells() -> list[tuple[str, str, Status | None]]:
    """(role, command, status); a command that names no deal has one cell per role."""
    return [
        (role, name, status)
        for name, expect in EXPECTED.items()
        for status in (Status if expect.of_a_deal else [None])
        for role in ROLES
    ]


# -- the place -------------------------------------------------------------------------------------


@dataclass
class Place:
    """A town with deals of one status, whoever is on them."""

    world: World
    town: Town
    status: Status | None
    receipt: str = ""
    deals: dict[tuple[int, int], Escrow] = field(default_factory=dict)

    async def deal(self, who: int, *, price: int = 10_000, fresh: bool = False) -> Escrow:
        """A deal of the status that `who` is tried on; a `fresh` one is used for nothing else."""
        sides = _SIDES.get(who, (BRIAN, JANE))
        if fresh or sides not in self.deals:
            assert self.status is not None
            made = await brought_to(self.world, self.status, *sides, price=price)
            if fresh:
                return made
            self.deals[sides] = made
        return self.deals[sides]

    async def target(self, kind: str) -> int:
        """A new seller of that status, by his Telegram id, or a new flag, by its number."""
        person = next(_newcomers)
        await self.world.person(person, f"P{person}", f"25471000{person}")
        if kind == "flag":
            async with self.town.database.unit() as conn:
                flag = await raise_flag(
                    conn,
                    ADMINS,
                    person,
                    user_type="buyer",
                    flag_type="multiple_refunds",
                    severity="MEDIUM",
                    escrow_id=None,
                    rule="3 refunds in 14 days",
                    deals=[],
                    now=self.town.clock.now(),
                )
            assert flag is not None
            return flag
        await self.world.people.register_seller(person, f"Shop {person}", f"25471000{person}")
        if kind == "VERIFIED":
            await self.world.people.verify_seller(person, ADMIN)
        return person

    async def says(self, who: int, text: str) -> list[Message]:
        return await self.town.says(who, text)

    async def digest(self) -> Any:
        """Everything that a refused command leaves as it is."""
        async with self.town.database.reading() as conn:
            row = await conn.fetchrow(
                """SELECT
                    (SELECT md5(string_agg(t::text, '' ORDER BY id)) FROM escrow_transactions t),
                    (SELECT md5(string_agg(t::text, '' ORDER BY id)) FROM escrow_disputes t),
                    (SELECT md5(string_agg(t::text, '' ORDER BY id)) FROM escrow_sellers t),
                    (SELECT md5(string_agg(t::text, '' ORDER BY id)) FROM payouts t),
                    (SELECT md5(string_agg(t::text, '' ORDER BY id)) FROM receipts t),
                    (SELECT count(*) FROM ledger_journals), (SELECT count(*) FROM ledger_entries),
                    (SELECT count(*) FROM escrow_timeline), (SELECT count(*) FROM settlements),
                    (SELECT count(*) FROM outbox), (SELECT count(*) FROM seller_history),
                    (SELECT md5(string_agg(t::text, '' ORDER BY id)) FROM fraud_flags t),
                    (SELECT md5(string_agg(t::text, '' ORDER BY id)) FROM admin_actions t)"""
            )
        assert row is not None
        return tuple(row)

    async def status_of(self, deal: Escrow) -> Status:
        return Status(await self.world.status_of(deal))


_causes = itertools.count(1)
_newcomers = itertools.count(5001)


async def brought_to(
    world: World, status: Status, buyer: int, seller: int, *, price: int = 10_000
) -> Escrow:
    """A deal of theirs in that status; DISPUTED and FROZEN come from SHIPPED."""
    deal = await world.deal(price, seller=seller, buyer=buyer)
    due = price + price // 20
    cause = f"matrix:{next(_causes)}"
    if status is Status.CANCELLED:
        await world.escrows.cancel(deal.id, seller)
    elif status is not Status.PENDING:
        await world.pay(deal, due, buyer=buyer)
        if status is Status.REFUNDED:
            await world.escrows.decline(deal.id, seller)
        elif status is not Status.HELD:
            await world.escrows.ship(deal.id, seller, tracking="G4S 1", proof=None, cause=cause)
    if status is Status.DISPUTED:
        await world.escrows.dispute(deal.id, buyer, "It is broken", cause)
    elif status is Status.FROZEN:
        await world.escrows.freeze(deal.id, ADMIN, "why")
    elif status in (Status.DELIVERED, Status.COMPLETED):
        await world.escrows.receive(deal.id, buyer, cause)
        if status is Status.COMPLETED:
            await world.escrows.release(deal.id, buyer)
    found = await world.escrow(deal.id)
    assert found.status is status
    return found


@asynccontextmanager
async def opened(dsn: str, sandbox: Sandbox, status: Status | None) -> AsyncIterator[Place]:
    """The place, with the bot running."""
    clock = FixedClock()
    for telegram_id, name in (
        (SECOND_ADMIN, "Abdi"),
        (BUYING_ADMIN, "Beatrice"),
        (SELLING_ADMIN, "Salim"),
        (REMOVED_ADMIN, "Rehema"),
    ):
        sandbox.telegram.add_user(telegram_id, name, started=True)
    async with World.open(dsn) as first:
        world = first.configured(inspection=timedelta(days=2))
        for telegram_id in (BUYING_ADMIN, SELLING_ADMIN, REMOVED_ADMIN):
            await world.person(telegram_id, f"P{telegram_id}", f"25470000{telegram_id}")
        await world.people.register_seller(SELLING_ADMIN, "Salim Shop", "254700001004")
        await world.people.verify_seller(SELLING_ADMIN, ADMIN)
        await world.people.register_seller(OTIENO, "Otieno Shop", "254733000333")
        town = Town(sandbox, world.db, clock, ADMINS)
        await town.application.initialize()
        await town.store.start()
        try:
            place = Place(world, town, status)
            place.receipt = "SKM0000001"
            await town.pays_by_hand(10_500, "nonsense", receipt=place.receipt)
            yield place
        finally:
            await town.store.stop()
            await town.application.shutdown()


# -- one cell --------------------------------------------------------------------------------------


async def problem(place: Place, role: str, name: str) -> str | None:
    """What was wrong with one cell."""
    who, expect = ROLES[role], EXPECTED[name]
    allowed = _may(place.status, who, expect)
    changes = allowed and expect.event is not None and not expect.asks
    deal = await place.deal(who, fresh=changes) if expect.of_a_deal else None
    code = deal.id if deal else ""
    target = await place.target(expect.target) if expect.target else 0
    values = {"code": code, "receipt": place.receipt, "status": place.status, "target": target}
    await place.town.settle()
    before = await place.digest()
    heard = await place.says(who, expect.text.format(**values))
    text = "\n".join(message.text for message in heard)
    if not heard:
        return "no answer"
    if "went wrong" in text:
        return f"failed: {text}"
    changed = await place.digest() != before
    if not allowed:
        wanted = refusal(place.status, who, expect)
        if len(heard) != 1 or not wanted.search(text):
            return f"refused with {text!r}, not {wanted.pattern!r}"
        return "refused, and something changed" if changed else None
    if not re.search(expect.says.format(**values), text, re.DOTALL):
        return f"says {text!r}"
    if expect.pays and place.status:
        into_the_deal = allows(place.status, expect.pays, Actor.ADMIN)
        if into_the_deal == ("it goes to the wallet of" in text):
            return f"says {text!r}"
    if expect.asks:
        return await _asked(place, who, expect, code, heard[-1], before)
    if changes:
        assert deal is not None
        return await _moved(place, expect, deal, who)
    if expect.target:
        return await _judged(place, expect, target, who)
    return None if name in LEAVES_TRACES or not changed else "only looks, and something changed"


LEAVES_TRACES: Final = frozenset({"case", "pause", "resume"})
"""What looks or speaks, and writes that down."""


def _may(status: Status | None, who: int, expect: Expect) -> bool:
    if who not in ADMINS:
        return False
    if expect.of_a_deal and who in PARTIES and not expect.party:
        return False
    return expect.event is None or status is None or allows(status, expect.event, Actor.ADMIN)


def refusal(status: Status | None, who: int, expect: Expect) -> re.Pattern[str]:
    """The sentence for whoever may not."""
    if who not in ADMINS:
        return NOT_ADMIN
    if who in PARTIES:
        return PARTY
    assert status is not None
    if expect.event is Event.RESOLVE and status not in FINAL | {Status.DISPUTED}:
        return re.compile("^Deal ES[0-9]{10} has no open dispute")
    if status in ENDED and not (expect.asks and status is Status.CANCELLED):
        return re.compile(ENDED[status], re.DOTALL)
    if (status, expect.event) == (Status.FROZEN, Event.FREEZE):
        return re.compile(FROZEN_BEFORE, re.DOTALL)
    return re.compile(f"^Deal ES[0-9]{{10}} is “{LABELS[status]}”: that can't be done now")


async def _asked(
    place: Place, who: int, expect: Expect, code: str, message: Message, before: Any
) -> str | None:
    """A preview: kept, with its buttons and the form to type, and nothing else happened."""
    kind, asked_by, state, number = await place.world.value(
        "SELECT ROW(kind, asked_by, state, number) FROM admin_actions ORDER BY id DESC LIMIT 1"
    )
    if (kind, asked_by, state) != (expect.asks, who, "ASKED"):
        return f"asked for {kind} by {asked_by}, {state}"
    if message.button("Confirm") is None or f"confirm {number}" not in message.text:
        return f"nothing to confirm with: {message.text!r} {message.labels}"
    if (await place.digest())[:-1] != before[:-1]:
        return "only a preview, and something changed"
    return None


async def _moved(place: Place, expect: Expect, deal: Escrow, who: int) -> str | None:
    """Done at once: the status that FLOW says, and one row of the timeline, by him."""
    after = await place.status_of(deal)
    wanted = Status.FROZEN if expect.event is Event.FREEZE else Status.SHIPPED
    if after is not wanted:
        return f"is {after}"
    rows = await place.world.sql(
        "SELECT event, actor, from_status, to_status FROM escrow_timeline"
        " WHERE escrow_id = $1 AND version > $2",
        deal.id,
        deal.version,
    )
    told = [tuple(row.values()) for row in rows]
    if told != [(str(expect.event), f"admin:{who}", str(deal.status), str(wanted))]:
        return f"the timeline has {told}"
    return None


async def _judged(place: Place, expect: Expect, target: int, who: int) -> str | None:
    """Done at once: the seller or the flag is as it was to become, by him."""
    if expect.target == "flag":
        by, notes = await place.world.value(
            "SELECT ROW(reviewed_by, review_notes) FROM fraud_flags WHERE id = $1", target
        )
        return None if (by, notes) == (who, "fine") else f"reviewed by {by}: {notes}"
    wanted, reason = (
        ("VERIFIED", "verified") if expect.target == "PENDING" else ("SUSPENDED", "why")
    )
    last = await place.world.value(
        "SELECT ROW(s.status, h.status, h.actor, h.reason) FROM escrow_sellers s"
        " JOIN seller_history h ON h.seller_id = s.id"
        " WHERE s.telegram_id = $1 ORDER BY h.id DESC LIMIT 1",
        target,
    )
    if tuple(last) != (wanted, wanted, f"admin:{who}", reason):
        return f"is {tuple(last)}"
    return None


# -- every cell ------------------------------------------------------------------------------------


async def _tried(place: Place, names: Sequence[str]) -> list[str]:
    wrong = []
    for name, role in itertools.product(names, ROLES):
        said = await problem(place, role, name)
        if said:
            wrong.append(f"{role} × /{name} × {place.status}: {said}")
    return wrong


@pytest.mark.parametrize("status", list(Status))
async def test_on_a_deal_of_each_status(dsn: str, sandbox: Sandbox, status: Status) -> None:
    names = [name for name, expect in EXPECTED.items() if expect.of_a_deal]
    async with opened(dsn, sandbox, status) as place:
        wrong = await _tried(place, names)
        await place.world.books()
    assert not wrong, "\n".join(wrong)


async def test_where_no_deal_is_named(dsn: str, sandbox: Sandbox) -> None:
    names = [name for name, expect in EXPECTED.items() if not expect.of_a_deal]
    async with opened(dsn, sandbox, None) as place:
        wrong = await _tried(place, names)
    assert not wrong, "\n".join(wrong)


def test_every_command_has_its_expectation_and_every_cell_is_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert {one.name for one in ADMIN_COMMANDS} == EXPECTED.keys()
    of_deals = sum(expect.of_a_deal for expect in EXPECTED.values())
    others = len(EXPECTED) - of_deals
    count = len(cells())
    assert count == len(set(cells())) == len(ROLES) * (of_deals * len(Status) + others)
    confirmed = len(ROLES) * len(WORDS) * len(PRICES) * len(WAYS)
    with capsys.disabled():
        print(
            f"\n{count} cells: {len(ROLES)} roles × ({of_deals} commands on a deal × "
            f"{len(Status)} statuses + {others} others); {confirmed} confirmations"
        )


# -- the confirmation ------------------------------------------------------------------------------

WORDS: Final = {
    "resolve_dispute": "split:70 seen",
    "manual_refund": "why",
    "manual_release": "why",
}
"""Commands that end a deal, and what is typed behind the code."""
PRICES: Final = {"one admin": 10_000, "two admins": 60_000}
WAYS: Final = ("button", "typed")
NOTHING_TO_CONFIRM: Final = re.compile("There is nothing to confirm here")
NOT_YOURS: Final = re.compile("The admin who asked for this has to confirm it first")


def _confirms(role: str, need: str, asker: int) -> str | re.Pattern[str]:
    """What becomes of that role's confirmation, once the asker, where two are needed, gave his."""
    who = ROLES[role]
    if who not in ADMINS:
        return NOT_ADMIN
    if who in PARTIES:
        return PARTY
    if who == asker:
        return "done" if need == "one admin" else "waits"
    return "done" if need == "two admins" else NOT_YOURS


async def _confirmed(place: Place, role: str, name: str, need: str, way: str) -> str | None:
    """A preview by an admin, confirmed by that role: what was wrong with it."""
    who, asker = ROLES[role], ADMIN
    deal = await place.deal(who, price=PRICES[need], fresh=True)
    await place.town.settle()
    (preview,) = await place.says(asker, f"/{name} {deal.id} {WORDS[name]}")
    token = preview.keyboard[0][0]["callback_data"]
    if need == "two admins":
        await place.town.taps(asker, preview, "Confirm")
        if await place.status_of(deal) is not Status.DISPUTED:
            return "one was enough"
    action = await place.world.value("SELECT max(id) FROM admin_actions")
    number = await place.world.value("SELECT number FROM admin_actions WHERE id = $1", action)
    before = await place.digest()
    if way == "typed":
        heard = await place.says(who, f"/{name} {deal.id} confirm {number}")
    else:
        heard = await _pressed(place, who, deal, token)
    text = "\n".join(message.text for message in heard)
    state = await place.world.value("SELECT state FROM admin_actions WHERE id = $1", action)
    moved = await place.status_of(deal) is not Status.DISPUTED
    wanted = _confirms(role, need, asker)
    if wanted == "done":
        return None if moved and state == "DONE" else f"not done: {text!r}"
    if moved or state == "DONE":
        return f"done by {role}"
    if wanted == "waits":
        return None if state == "CONFIRMED" else f"is {state}: {text!r}"
    assert isinstance(wanted, re.Pattern)
    if way == "button" and who in ADMINS and who != asker:
        wanted = NOTHING_TO_CONFIRM  # another admin's button says nothing at all
    if not wanted.search(text):
        return f"refused with {text!r}, not {wanted.pattern!r}"
    return None if await place.digest() == before else "refused, and something changed"


async def _pressed(place: Place, who: int, deal: Escrow, token: str) -> list[Message]:
    """[Confirm]: his own, where he was shown one for this deal, else the asker's, forged."""
    own = [
        message
        for message in place.town.telegram.from_bot(who)
        if deal.id in message.text and message.button("Confirm") is not None
    ]
    if own:
        token = own[-1].keyboard[0][0]["callback_data"]
    else:
        own = await place.says(who, "/start")
    since = place.town.telegram.mark()
    await place.town.taps_data(who, own[-1], token)
    return place.town.telegram.from_bot(who, since=since)


@pytest.mark.parametrize("need", PRICES)
@pytest.mark.parametrize("name", WORDS)
async def test_who_may_confirm(dsn: str, sandbox: Sandbox, name: str, need: str) -> None:
    """By whom a preview of one admin is confirmed, by its button and by typing."""
    wrong = []
    async with opened(dsn, sandbox, Status.DISPUTED) as place:
        for role, way in itertools.product(ROLES, WAYS):
            said = await _confirmed(place, role, name, need, way)
            if said:
                wrong.append(f"{role} confirms /{name} ({need}, {way}): {said}")
        await place.world.books()
    assert not wrong, "\n".join(wrong)


async def test_whoever_is_no_admin_any_more_confirms_nothing(dsn: str, sandbox: Sandbox) -> None:
    """He asked while he was one; his button and his number are worth nothing now."""
    async with opened(dsn, sandbox, Status.DISPUTED) as place:
        town, deal = place.town, await place.deal(REMOVED_ADMIN, fresh=True)
        admins = (*ADMINS, REMOVED_ADMIN)
        then = Actions(
            town.database,
            town.clock,
            admins,
            SECRET,
            verdicts(town.database, town.clock, Terms(), admins, town.booking),
            second_above=Money(50_000_00, Currency.KES),
        )
        action = await then.ask("manual_refund", deal.id, {"reason": "x"}, REMOVED_ADMIN, "before")
        (message,) = await place.says(REMOVED_ADMIN, "/start")
        before = await place.digest()
        token = then.buttons(action, REMOVED_ADMIN)[Word.YES]
        for heard in (
            await town.taps_data(REMOVED_ADMIN, message, token),
            await place.says(REMOVED_ADMIN, f"/manual_refund {deal.id} confirm {action.number}"),
        ):
            assert [NOT_ADMIN.search(one.text) is not None for one in heard] == [True]
        assert await place.digest() == before
