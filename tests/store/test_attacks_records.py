"""Direct SQL against what people sent with deals, fingerprints and questions to the admins.

Each attack is refused by name, and succeeds once its guard is gone: so no guard is idle.
"""

from typing import Any, Final

import asyncpg
import pytest

from tests.store import attacks, books
from tests.store.attacks import Attack, attack
from tests.store.books import APP, BUYER, DISPUTED, HELD, NOW, OWNER, STRANGER, Step, insert

BOTH = (OWNER, APP)
RECORD: Final[dict[str, Any]] = {
    "id": 9001,
    "cause": "update:9001",
    "escrow_id": HELD,
    "purpose": "message",
    "telegram_id": BUYER,
    "kind": "text",
    "words": "Where is it?",
    "at": NOW,
}
PHOTO: Final = {**RECORD, "kind": "photo", "words": "", "file_id": "AgAC", "file_size": 9}
FINGERPRINT: Final[dict[str, Any]] = {"record_id": 9001, "sha256": b"f" * 32, "at": NOW}
QUESTION: Final[dict[str, Any]] = {
    "id": 9001,
    "cause": "update:9002",
    "telegram_id": BUYER,
    "escrow_id": HELD,
    "words": "Why?",
    "asked_at": NOW,
}


def _record(**changes: Any) -> Step:
    return insert("deal_records", **{**RECORD, **changes})


def _bad(table: str, row: dict[str, Any], by: str, *before: Step, **changes: Any) -> Attack:
    behind = changes.pop("behind", ())
    shown = ", ".join(f"{column} {str(value)[:20]}" for column, value in changes.items())
    row = {**row, **changes}
    return attack(f"{table} takes no {shown}", *before, insert(table, **row), by=by, behind=behind)


GUARD: Final = ("deal_records.record_guard",)

RECORDS: tuple[Attack, ...] = (
    _bad("deal_records", RECORD, "deal_records_pkey", _record(cause="update:first"), kind="text"),
    _bad("deal_records", RECORD, "deal_records_cause_key", _record(id=9002), purpose="message"),
    _bad("deal_records", RECORD, "deal_records_cause_check", cause=""),
    _bad("deal_records", RECORD, "deal_records_purpose_check", purpose="gossip"),
    _bad("deal_records", PHOTO, "deal_records_kind_check", kind="sticker"),
    _bad("deal_records", RECORD, "deal_records_words_check", words="x" * 4097),
    _bad("deal_records", PHOTO, "deal_records_file_id_check", file_id=""),
    _bad("deal_records", PHOTO, "deal_records_file_size_check", file_size=-1),
    _bad("deal_records", PHOTO, "record_has_content", file_id=None),
    _bad("deal_records", RECORD, "record_has_content", words=""),
    _bad("deal_records", RECORD, "record_evidence_in_a_dispute", purpose="evidence"),
    _bad(
        "deal_records",
        {**RECORD, "escrow_id": DISPUTED},
        "record_evidence_in_a_dispute",
        dispute_id=1,
    ),
    _bad(
        "deal_records",
        RECORD,
        "deal_records_escrow_id_fkey",
        escrow_id=books.NEW,
        behind=GUARD,
    ),
    _bad("deal_records", RECORD, "deal_records_telegram_id_fkey", telegram_id=77, behind=GUARD),
    _bad(
        "deal_records",
        {**RECORD, "purpose": "evidence"},
        "deal_records_dispute_id_fkey",
        dispute_id=999,
        behind=GUARD,
    ),
    attack(
        "nobody else keeps anything with a deal",
        _record(telegram_id=STRANGER),
        by="record_of_a_party",
        guard=GUARD[0],
        roles=BOTH,
    ),
    attack(
        "evidence belongs to a dispute of its own deal",
        _record(purpose="evidence", dispute_id=1),
        by="record_of_a_party",
        guard=GUARD[0],
        roles=BOTH,
    ),
    *(
        attack(
            f"what people sent is not {done}",
            _record(),
            sql,
            by="deal_records_append_only",
            guard="deal_records.deal_records_append_only",
            behind=("fingerprints.fingerprints_append_only",),
        )
        for done, sql in (
            ("changed", "UPDATE deal_records SET words = 'other'"),
            ("deleted", "DELETE FROM deal_records"),
            ("emptied away", "TRUNCATE deal_records CASCADE"),
        )
    ),
)

FINGERPRINTS: tuple[Attack, ...] = (
    _bad(
        "fingerprints",
        FINGERPRINT,
        "fingerprints_pkey",
        insert("deal_records", **PHOTO),
        insert("fingerprints", **FINGERPRINT),
        sha256=b"g" * 32,
    ),
    _bad("fingerprints", FINGERPRINT, "fingerprints_record_id_fkey", record_id=999),
    _bad(
        "fingerprints",
        FINGERPRINT,
        "fingerprints_sha256_check",
        insert("deal_records", **PHOTO),
        sha256=b"short",
    ),
    _bad(
        "fingerprints",
        {**FINGERPRINT, "sha256": None},
        "fingerprints_note_check",
        insert("deal_records", **PHOTO),
        note="lost",
    ),
    _bad(
        "fingerprints",
        FINGERPRINT,
        "fingerprint_or_why_not",
        insert("deal_records", **PHOTO),
        note="gone",
    ),
    *(
        attack(
            f"a fingerprint is not {done}",
            insert("deal_records", **PHOTO),
            insert("fingerprints", **FINGERPRINT),
            sql,
            by="fingerprints_append_only",
            guard="fingerprints.fingerprints_append_only",
        )
        for done, sql in (
            ("changed", "UPDATE fingerprints SET sha256 = sha256"),
            ("deleted", "DELETE FROM fingerprints"),
            ("emptied away", "TRUNCATE fingerprints"),
        )
    ),
)

QUESTIONS: tuple[Attack, ...] = (
    _bad(
        "help_requests",
        QUESTION,
        "help_requests_pkey",
        insert("help_requests", **{**QUESTION, "cause": "update:other"}),
        words="Again?",
    ),
    _bad(
        "help_requests",
        QUESTION,
        "help_requests_cause_key",
        insert("help_requests", **{**QUESTION, "id": 9002}),
        words="Twice?",
    ),
    _bad("help_requests", QUESTION, "help_requests_cause_check", cause=""),
    _bad("help_requests", QUESTION, "help_requests_telegram_id_fkey", telegram_id=77),
    _bad("help_requests", QUESTION, "help_requests_escrow_id_fkey", escrow_id=books.NEW),
    _bad("help_requests", QUESTION, "help_requests_words_check", words=""),
    _bad("help_requests", QUESTION, "help_requests_words_check", words="x" * 1001),
    _bad("help_requests", QUESTION, "help_answered_by_somebody", answered_at=NOW),
    *(
        attack(
            f"questions are not {done}",
            insert("help_requests", **QUESTION),
            sql,
            by="help_requests_append_only",
            guard="help_requests.help_requests_kept",
        )
        for done, sql in (
            ("deleted", "DELETE FROM help_requests"),
            ("emptied away", "TRUNCATE help_requests"),
        )
    ),
)

ATTACKS = RECORDS + FINGERPRINTS + QUESTIONS


@pytest.mark.parametrize(("tried", "role"), attacks.each(ATTACKS))
async def test_is_refused(attacked: asyncpg.Connection, tried: Attack, role: str) -> None:
    refusal = await attacks.try_attack(attacked, tried, role)
    assert refusal is not None, "PostgreSQL let it pass"
    assert attacks.name_of(refusal) == tried.refused_by


@pytest.mark.parametrize("tried", attacks.guarded(ATTACKS))
async def test_no_guard_is_idle(attacked: asyncpg.Connection, tried: Attack) -> None:
    refusal = await attacks.try_attack(attacked, tried, tried.roles[-1], without_guard=True)
    assert refusal is None, f"refused by {attacks.name_of(refusal)} as well"
