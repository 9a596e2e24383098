"""Direct SQL against money that goes back to whoever paid it: exactly a receipt's, once, and nobody
is credited with it meanwhile.
"""

# ruff: noqa: S608 (the statements are made of this module's own constants)

import asyncpg
import pytest

from tests.store import attacks
from tests.store.attacks import Attack, attack, bad
from tests.store.books import (
    ADMIN,
    APP,
    BUYER,
    DUE,
    HELD,
    OPEN_LINK,
    OWNER,
    PENDING,
    STRANGER,
    Step,
    insert,
    post,
    posted,
)

BOTH = (OWNER, APP)
BACK, TURNED, BOOKED = (
    "payouts.payout_goes_back",
    "receipts.receipt_goes_back",
    "receipts.receipt_booked_later",
)
CHECKS = (
    "payouts.payout_check",
    "payout_attempts.payout_check",
    "ledger_accounts.payout_check",
)
LOST, LOST_MINOR, MINE = "SGLOST0003", 20_00, "SGMINE0011"


def way_back(number: int = 900, **changes: object) -> list[Step]:
    """Receipt 3 leaves suspense."""
    row = {
        "id": number,
        "cause": f"back:{number}",
        "telegram_id": None,
        "amount_minor": LOST_MINOR,
        "receipt_id": 3,
        "receipt": LOST,
        **changes,
    }
    minor = LOST_MINOR
    return [
        insert("payouts", **row),
        post(f"payout:{number}", ("suspense", "", -minor), ("payable", str(number), minor)),
    ]


def of_mine(**changes: object) -> list[Step]:
    """A receipt that is the stranger's leaves his wallet."""
    row = {"id": 901, "cause": "back:901", "telegram_id": STRANGER, "amount_minor": DUE, **changes}
    return [
        *posted(MINE, "CREDITED", telegram_id=STRANGER, escrow_id=HELD),
        (
            "INSERT INTO payouts (id, cause, telegram_id, amount_minor, receipt_id, receipt, about,"
            " currency, destination, created_at) OVERRIDING SYSTEM VALUE"
            " SELECT $1, $2, $3, $4, r.id, r.reference, r.escrow_id, 'KES', '-', now()"
            " FROM receipts r WHERE r.reference = $5",
            (row["id"], row["cause"], row["telegram_id"], row["amount_minor"], MINE),
        ),
        post("payout:901", ("wallet", str(STRANGER), -DUE), ("payable", "901", DUE)),
    ]


def paid(number: int, minor: int) -> list[Step]:
    """An admin sent it by hand."""
    return [
        f"UPDATE payouts SET state = 'MANUAL' WHERE id = {number}",
        post(
            f"payout_paid:{number}",
            ("payable", str(number), -minor),
            ("external", "mpesa:utility", minor),
        ),
        f"UPDATE payouts SET state = 'PAID', provider_reference = 'SGX{number:07d}',"
        f" closed_by = {ADMIN}, finalized_at = now() WHERE id = {number}",
    ]


def turns(state: str, row: str = "id = 3") -> str:
    return f"UPDATE receipts SET state = '{state}' WHERE {row}"


ATTACKS: tuple[Attack, ...] = (
    bad("payouts", "payout_is_somebodys", telegram_id=None, behind=CHECKS),
    bad(
        "payouts",
        "payout_back_is_no_leg",
        telegram_id=None,
        receipt_id=3,
        behind=(BACK, *CHECKS),
    ),
    bad(
        "payouts",
        "payouts_receipt_id_fkey",
        receipt_id=7777,
        receipt="SGX0000001",
        behind=(BACK, *CHECKS),
    ),
    attack(
        "a way back is about a deal that is there",
        insert("payouts", about="ES0000000000"),
        by="payouts_about_fkey",
        behind=CHECKS,
    ),
    attack(
        "what came in goes back once",
        *way_back(),
        way_back(910)[0],
        by="payout_back_once",
        behind=CHECKS,
        roles=BOTH,
    ),
    *(
        attack(
            f"nothing goes back as a receipt's money with {what}",
            *way_back(**changes),
            by="payout_is_its_receipt",
            guard=BACK,
            behind=CHECKS,
            roles=BOTH,
        )
        for what, changes in (
            ("another amount", {"amount_minor": LOST_MINOR + 1}),
            ("another currency", {"currency": "USD"}),
            ("another number", {"receipt": "SGOTHER001"}),
            ("another deal", {"about": PENDING}),
            ("an owner that it has not", {"telegram_id": BUYER}),
            ("a receipt that waits", {"receipt_id": 2, "receipt": "SGWAIT0002"}),
            ("a receipt that went back", {"receipt_id": 4, "receipt": "SGBACK0004"}),
        )
    ),
    attack(
        "a credited receipt goes back out of nobody else's wallet",
        *of_mine(telegram_id=BUYER),
        by="payout_is_its_receipt",
        guard=BACK,
        behind=CHECKS,
        roles=BOTH,
    ),
    *(
        attack(
            f"of a way back nobody changes: {change}",
            *way_back(),
            f"UPDATE payouts SET {change} WHERE id = 900",
            by="payout_back_frozen",
            guard=BACK,
            roles=BOTH,
        )
        for change in (
            "receipt_id = 1",
            "receipt = 'SGOTHER001'",
            f"about = '{HELD}'",
        )
    ),
    *(
        attack(
            f"a receipt is not {state} before it went back",
            *steps,
            by="receipt_goes_back",
            guard=TURNED,
            behind=("receipts.receipt_reversed_booked",),
            roles=BOTH,
        )
        for state, steps in (
            ("returned", (turns("RETURNED"),)),
            ("returned on its way", (*way_back(), turns("RETURNED"))),
            ("reversed", (turns("REVERSED", "id = 1"),)),
        )
    ),
    attack(
        "what is on its way back is credited to nobody",
        *way_back(),
        "UPDATE receipts SET state = 'CREDITED', telegram_id = 3001 WHERE id = 3",
        by="receipt_goes_back",
        guard=TURNED,
        behind=(BOOKED,),
        roles=BOTH,
    ),
    attack(
        "what went back is not left as if it lay there",
        *way_back(),
        *paid(900, LOST_MINOR),
        by="payout_turns_its_receipt",
        guard=CHECKS[0],
        behind=CHECKS[1:],
        roles=BOTH,
    ),
    attack(
        "money of nobody does not end in a wallet",
        *way_back(),
        "UPDATE payouts SET state = 'MANUAL' WHERE id = 900",
        post("payout_failed:900", ("payable", "900", -LOST_MINOR), ("wallet", "3001", LOST_MINOR)),
        f"UPDATE payouts SET state = 'FAILED', closed_by = {ADMIN}, finalized_at = now()"
        " WHERE id = 900",
        by="payout_has_its_journals",
        guard=CHECKS[0],
        behind=CHECKS[1:],
        roles=BOTH,
    ),
)

LAWFUL: dict[str, tuple[Step, ...]] = {
    "money of nobody is sent back": (*way_back(), *paid(900, LOST_MINOR), turns("RETURNED")),
    "a credited receipt is reversed": (
        *of_mine(),
        *paid(901, DUE),
        turns("REVERSED", f"reference = '{MINE}'"),
    ),
    "what could not be sent back is assigned": (
        *way_back(),
        "UPDATE payouts SET state = 'MANUAL' WHERE id = 900",
        post("payout_failed:900", ("payable", "900", -LOST_MINOR), ("suspense", "", LOST_MINOR)),
        f"UPDATE payouts SET state = 'FAILED', closed_by = {ADMIN}, finalized_at = now()"
        " WHERE id = 900",
        f"UPDATE receipts SET state = 'CREDITED', escrow_id = '{OPEN_LINK}',"
        f" telegram_id = {BUYER} WHERE id = 3",
        post(
            "claim:mpesa:SGLOST0003",
            ("suspense", "", -LOST_MINOR),
            ("received", OPEN_LINK, LOST_MINOR),
        ),
    ),
}


@pytest.mark.parametrize(("tried", "role"), attacks.each(ATTACKS))
async def test_refused(attacked: asyncpg.Connection, tried: Attack, role: str) -> None:
    refusal = await attacks.try_attack(attacked, tried, role)
    assert refusal is not None, "PostgreSQL let it pass"
    assert attacks.name_of(refusal) == tried.refused_by, refusal


@pytest.mark.parametrize("tried", attacks.guarded(ATTACKS))
async def test_its_guard_alone_refuses_it(attacked: asyncpg.Connection, tried: Attack) -> None:
    assert await attacks.try_attack(attacked, tried, OWNER, without_guard=True) is None


@pytest.mark.parametrize("promise", LAWFUL)
async def test_what_is_lawful_passes(attacked: asyncpg.Connection, promise: str) -> None:
    lawful = Attack(promise, LAWFUL[promise], "", guard="")
    assert await attacks.try_attack(attacked, lawful, APP) is None
