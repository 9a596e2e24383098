"""Direct SQL against what a statement tells: a payment that its provider took back is credited to
nobody, and turns only with its journal.
"""

import asyncpg
import pytest

from tests.store import attacks
from tests.store.attacks import Attack, attack
from tests.store.books import APP, DUE, OWNER, STRANGER, Step, insert, post, posted

BOTH = (OWNER, APP)
TAKEN = "SGTAKEN099"
GOES_BACK = "receipts.receipt_goes_back"
HAS_JOURNAL = "receipts.receipt_reversed_booked"


def reversal(**changes: object) -> Step:
    row = {
        "receipt": TAKEN,
        "reversal": "SGREVERS01",
        "currency": "KES",
        "amount_minor": DUE,
        "happened_at": "2026-11-23T09:00:00Z",
        "told_at": "2026-11-23T09:00:00Z",
        **changes,
    }
    names = ", ".join(row)
    values = ", ".join(f"'{value}'" for value in row.values())
    return f"INSERT INTO provider_reversals ({names}) VALUES ({values})"  # noqa: S608


CREDITED = posted(TAKEN, "CREDITED", telegram_id=STRANGER)
TURNED = f"UPDATE receipts SET state = 'REVERSED' WHERE reference = '{TAKEN}'"  # noqa: S608
BOOKED_OUT = post(
    f"reversed:mpesa:{TAKEN}",
    ("wallet", str(STRANGER), -DUE),
    ("external", "mpesa:utility", DUE),
    kind="reversal",
)

ATTACKS = (
    attack(
        "a reversal names a receipt",
        reversal(receipt="SG1"),
        by="provider_reversals_receipt_check",
    ),
    attack(
        "a reversal has a number", reversal(reversal="x"), by="provider_reversals_reversal_check"
    ),
    attack(
        "M-Pesa reverses shillings",
        reversal(currency="USD"),
        by="provider_reversals_currency_check",
    ),
    attack(
        "a reversal is of something",
        reversal(amount_minor=0),
        by="provider_reversals_amount_minor_check",
    ),
    attack(
        "a payment is taken back once",
        reversal(),
        reversal(reversal="SGREVERS02"),
        by="provider_reversals_pkey",
        roles=BOTH,
    ),
    attack(
        "a reversal takes one payment back",
        reversal(),
        reversal(receipt="SGTAKEN098"),
        by="provider_reversal_once",
        roles=BOTH,
    ),
    attack(
        "a payment that came in is no reversal",
        *posted("SGREVERS01", "CREDITED", telegram_id=STRANGER),
        reversal(),
        by="reversal_is_no_payment",
        guard="provider_reversals.provider_reversal_is_no_payment",
        roles=BOTH,
    ),
    *(
        attack(
            f"reversals stay: {sql}",
            reversal(),
            sql,
            by="provider_reversals_append_only",
            guard="provider_reversals.provider_reversals_append_only",
        )
        for sql in (
            "UPDATE provider_reversals SET amount_minor = 1",
            "DELETE FROM provider_reversals",
            "TRUNCATE provider_reversals",
        )
    ),
    *(
        attack(
            f"what was taken back is not money: {state}",
            reversal(),
            *posted(TAKEN, state),
            by="receipt_was_reversed",
            guard="receipts.receipt_was_not_reversed",
            roles=BOTH,
        )
        for state in ("SUSPENSE", "CREDITED")
    ),
    attack(
        "nor does it become money later",
        insert("receipts", reference=TAKEN),
        reversal(),
        f"UPDATE receipts SET state = 'CREDITED', evidence = 'status', posted_at = now(),"  # noqa: S608
        f" telegram_id = {STRANGER} WHERE reference = '{TAKEN}'",
        post(
            f"receipt:mpesa:{TAKEN}",
            ("external", "mpesa:utility", -DUE),
            ("wallet", str(STRANGER), DUE),
        ),
        by="receipt_was_reversed",
        guard="receipts.receipt_was_not_reversed_later",
        roles=BOTH,
    ),
    attack(
        "a receipt does not turn for another amount",
        *CREDITED,
        reversal(amount_minor=DUE - 1),
        BOOKED_OUT,
        TURNED,
        by="receipt_goes_back",
        guard=GOES_BACK,
        roles=BOTH,
    ),
    attack(
        "a receipt does not turn without its journal",
        *CREDITED,
        reversal(),
        TURNED,
        by="receipt_has_its_journal",
        guard=HAS_JOURNAL,
        roles=BOTH,
    ),
    attack(
        "nor with one that leaves money here",
        *CREDITED,
        reversal(),
        post(
            f"reversed:mpesa:{TAKEN}",
            ("wallet", str(STRANGER), -DUE),
            ("external", "mpesa:utility", DUE - 1),
            ("fees", "", 1),
            kind="reversal",
        ),
        TURNED,
        by="receipt_has_its_journal",
        guard=HAS_JOURNAL,
        roles=BOTH,
    ),
    attack(
        "no reversal is booked of a receipt that stands",
        *CREDITED,
        reversal(),
        BOOKED_OUT,
        by="receipt_has_its_journal",
        guard="ledger_journals.reversal_journal_of_a_receipt",
        roles=BOTH,
    ),
)

LAWFUL: dict[str, tuple[Step, ...]] = {
    "a receipt that was taken back turns with its journal": (
        *CREDITED,
        reversal(),
        BOOKED_OUT,
        TURNED,
    ),
    "a reversal is known before its payment": (reversal(), insert("receipts", reference=TAKEN)),
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
