"""Direct SQL against deals and disputes: what PostgreSQL refuses whoever asks (invariants I8, I9,
I11).

Each attack is refused by name, and succeeds once its guard is gone: so no guard is idle.
"""

# ruff: noqa: S608 (the statements are made of this module's own constants)

import dataclasses

import asyncpg
import pytest

from tests.store import attacks, books
from tests.store.attacks import Attack, attack, bad
from tests.store.books import (
    ADMIN,
    APP,
    BUYER,
    CANCELLED,
    COMPLETED,
    DISPUTED,
    FROZEN,
    HELD,
    LATER,
    NEW,
    NOW,
    OPEN_LINK,
    OTHER_SELLER,
    OWNER,
    PENDING,
    PRICE,
    REFUNDED,
    SELLER,
    SHIPPED,
    STRANGER,
    change,
    insert,
    move,
)

BOTH = (OWNER, APP)
DEALS = "escrow_transactions"
OPENED = f"{DEALS}.escrow_opened"
OPENED_LINE = f"{DEALS}.escrow_opened_timeline"
EVENT = f"{DEALS}.escrow_event"
UNCHANGED = f"{DEALS}.escrow_unchanged"
MONEY = f"{DEALS}.escrow_money_check"
TIMELINE_GUARD = "escrow_timeline.timeline_guard"
DISPUTE_GUARD = "escrow_disputes.dispute_guard"
EDGE = "flow_edge_missing"
PERSON = "flow_wrong_person"
SILENT = "flow_without_event"


# A new deal: the flow's trigger looks first, then the CHECKs, by name.
NEW_DEALS: tuple[Attack, ...] = (
    bad(DEALS, "escrow_transactions_id_check", id="ES123"),
    bad(DEALS, "escrow_transactions_id_check", id="es1008257624"),
    bad(DEALS, "escrow_transactions_cause_check", cause=""),
    bad(DEALS, "escrow_transactions_cause_key", cause=f"open:{HELD}"),
    bad(
        DEALS,
        "escrow_transactions_pkey",
        behind=("escrow_timeline_escrow_id_version_key",),
        id=HELD,
    ),
    bad(DEALS, "escrow_transactions_description_check", description=""),
    bad(DEALS, "escrow_transactions_description_check", description="x" * 201),
    bad(DEALS, "escrow_transactions_currency_check", currency="EUR"),
    bad(
        DEALS,
        "escrow_transactions_price_minor_check",
        behind=("escrow_transactions_check1",),
        price_minor=0,
        fee_minor=0,
        due_minor=0,
    ),
    bad(
        DEALS,
        "escrow_transactions_check",
        fee_minor=-1,
        due_minor=PRICE - 1,
        behind=("deal_total_is_price_and_fee",),
    ),
    bad(DEALS, "escrow_transactions_check", fee_minor=PRICE // 5 + 1, due_minor=PRICE),
    bad(
        DEALS,
        "escrow_transactions_check1",
        behind=("escrow_transactions_check",),
        fee_minor=PRICE,
        due_minor=PRICE,
    ),
    bad(DEALS, "deal_total_is_price_and_fee", due_minor=PRICE - 1),
    bad(DEALS, "deal_total_is_price_and_fee", due_minor=books.DUE + 1),
    bad(DEALS, "escrow_transactions_fee_payer_check", fee_payer="nobody"),
    bad(
        DEALS,
        "escrow_transactions_held_price_minor_check",
        behind=("deal_held_together", "deal_held_while_funded"),
        held_price_minor=0,
    ),
    bad(
        DEALS,
        "escrow_transactions_held_fee_minor_check",
        behind=("deal_held_together", "deal_held_while_funded"),
        held_fee_minor=-1,
    ),
    bad(
        DEALS,
        "escrow_transactions_status_check",
        behind=(OPENED, MONEY, "deal_held_while_funded"),
        status="LOST",
    ),
    bad(DEALS, "escrow_transactions_version_check", behind=(OPENED,), version=0),
    bad(DEALS, "escrow_transactions_frozen_from_check", frozen_from="PENDING"),
    bad(DEALS, "escrow_transactions_tracking_check", tracking="x" * 201),
    bad(DEALS, "deal_needs_two_people", buyer_telegram_id=SELLER),
    bad(DEALS, "deal_opened_by_a_party", opened_by=STRANGER),
    bad(
        DEALS,
        "deal_held_together",
        held_price_minor=PRICE,
        funded_at=NOW,
        behind=("deal_held_while_funded", MONEY),
    ),
    bad(
        DEALS,
        "deal_held_while_funded",
        behind=(MONEY,),
        held_price_minor=PRICE,
        held_fee_minor=books.FEE,
        funded_at=NOW,
    ),
    bad(
        DEALS,
        "deal_funded_has_buyer",
        behind=("deal_held_while_funded", MONEY),
        buyer_telegram_id=None,
        held_price_minor=PRICE,
        held_fee_minor=books.FEE,
        funded_at=NOW,
    ),
    *(
        bad(DEALS, "deal_final_has_its_time", **{stamp: NOW})
        for stamp in ("completed_at", "refunded_at", "cancelled_at")
    ),
    bad(
        DEALS,
        "deal_frozen_from_somewhere",
        behind=(OPENED, MONEY, "deal_held_while_funded"),
        status="FROZEN",
    ),
    bad(DEALS, "deal_archived_only_when_final", archived_at=NOW),
    bad(DEALS, "escrow_transactions_seller_id_seller_telegram_id_fkey", seller_id=2),
    bad(DEALS, "escrow_transactions_buyer_telegram_id_fkey", buyer_telegram_id=9009),
    bad(
        DEALS,
        "escrow_transactions_opened_by_fkey",
        behind=("deal_opened_by_a_party",),
        opened_by=9009,
    ),
    attack(
        "a deal does not begin as held",
        insert(
            DEALS, status="HELD", held_price_minor=PRICE, held_fee_minor=books.FEE, funded_at=NOW
        ),
        by=EDGE,
        guard=OPENED,
        behind=(MONEY,),
        roles=BOTH,
    ),
    attack(
        "a deal does not begin by another event",
        insert(DEALS, last_event="join", last_actor=f"buyer:{BUYER}"),
        by=EDGE,
        guard=OPENED,
        behind=(TIMELINE_GUARD,),
        roles=BOTH,
    ),
    attack(
        "an admin opens no deal for others",
        insert(DEALS, last_actor=f"admin:{ADMIN}"),
        by=EDGE,
        guard=OPENED,
        roles=BOTH,
    ),
    attack(
        "nobody opens a deal in another seller's name",
        insert(DEALS, last_actor=f"seller:{OTHER_SELLER}"),
        by=PERSON,
        guard=OPENED,
        roles=BOTH,
    ),
    attack(
        "a new deal has version 1",
        insert(DEALS, version=7),
        by="flow_version",
        guard=OPENED,
        roles=BOTH,
    ),
    attack(
        "a new deal is on the timeline",
        insert(DEALS),
        f"DO $$ BEGIN IF EXISTS (SELECT FROM escrow_timeline WHERE escrow_id = '{NEW}'"
        " AND event = 'open' AND version = 1 AND to_status = 'PENDING') THEN"
        " RAISE check_violation USING CONSTRAINT = 'it_is'; END IF; END $$",
        by="it_is",
        guard=OPENED_LINE,
        roles=BOTH,
    ),
)

SELLER_ACTS, BUYER_ACTS = f"seller:{SELLER}", f"buyer:{BUYER}"

# What an event may not do. The flow itself, edge by edge, is in test_flow_table.py.
EVENTS: tuple[Attack, ...] = (
    *(
        attack(
            f"{status} does not become {to} without an event",
            change(deal, status=to, **stamps),
            by=SILENT,
            guard=UNCHANGED,
            roles=BOTH,
        )
        for status, deal, to, stamps in (
            ("HELD", HELD, "SHIPPED", {"shipped_at": NOW}),
            ("SHIPPED", SHIPPED, "DELIVERED", {}),
            ("DISPUTED", DISPUTED, "HELD", {}),
            ("FROZEN", FROZEN, "HELD", {}),
            ("PENDING", PENDING, "CANCELLED", {"cancelled_at": NOW}),
        )
    ),
    *(
        attack(
            f"{status} is final: nothing leads back to HELD",
            change(deal, status="HELD", completed_at=None, refunded_at=None, cancelled_at=None),
            by=EDGE,
            guard=UNCHANGED,
            behind=(MONEY, "deal_held_while_funded"),
            roles=BOTH,
        )
        for status, deal in (
            ("COMPLETED", COMPLETED),
            ("REFUNDED", REFUNDED),
            ("CANCELLED", CANCELLED),
        )
    ),
    attack(
        "a finished deal is not finished another way",
        move(COMPLETED, "manual_refund", "REFUNDED", f"admin:{ADMIN}", completed_at=None),
        by=EDGE,
        guard=EVENT,
        behind=(UNCHANGED, MONEY),
        roles=BOTH,
    ),
    attack(
        "an event that the flow does not know moves nothing",
        move(HELD, "teleport", "DELIVERED", BUYER_ACTS),
        by=EDGE,
        guard=EVENT,
        behind=(UNCHANGED,),
        roles=BOTH,
    ),
    attack(
        "an event does not act in the name of the last one's actor",
        change(HELD, status="SHIPPED", last_event="ship", shipped_at=NOW),
        by=EDGE,
        guard=EVENT,
        behind=(UNCHANGED,),
        roles=BOTH,
    ),
    attack(
        "an event has an actor",
        move(HELD, "ship", "SHIPPED", SELLER_ACTS, last_actor=None),
        by="sqlstate:23502",
        guard=f"ALTER TABLE {DEALS} ALTER last_actor DROP NOT NULL",
        behind=(EVENT, UNCHANGED),
        roles=BOTH,
    ),
    attack(
        "an event says what it did",
        move(HELD, "ship", "SHIPPED", SELLER_ACTS, last_data=None),
        by="sqlstate:23502",
        guard=f"ALTER TABLE {DEALS} ALTER last_data DROP NOT NULL",
        behind=(EVENT, UNCHANGED),
        roles=BOTH,
    ),
    *(
        attack(
            f"{who} does not {event} somebody else's deal",
            move(deal, event, to, actor),
            by=PERSON,
            guard=EVENT,
            behind=(UNCHANGED, MONEY),
            roles=BOTH,
        )
        for who, actor, event, deal, to in (
            ("another seller", f"seller:{OTHER_SELLER}", "ship", HELD, "SHIPPED"),
            ("the buyer as seller", f"seller:{BUYER}", "ship", HELD, "SHIPPED"),
            ("a stranger", f"buyer:{STRANGER}", "deliver", SHIPPED, "DELIVERED"),
            ("the seller as buyer", f"buyer:{SELLER}", "deliver", SHIPPED, "DELIVERED"),
            ("a stranger's button", f"choice:{STRANGER}", "cancel", PENDING, "CANCELLED"),
            ("nobody in particular", "buyer", "deliver", SHIPPED, "DELIVERED"),
            ("an admin who sells", f"admin:{SELLER}", "cancel", PENDING, "CANCELLED"),
            ("an admin who buys", f"admin:{BUYER}", "cancel", PENDING, "CANCELLED"),
        )
    ),
    *(
        attack(
            f"{actor!r} is no actor",
            move(PENDING, "cancel", "CANCELLED", actor),
            by="timeline_known_actor",
            roles=BOTH,
        )
        for actor in (
            "admin",
            "admin:",
            f"admin:0{SELLER}",
            f"admin:{SELLER} ",
            f"admin:{ADMIN}:{SELLER}",
            "admin:-1",
            f"admin:{'9' * 19}",
            "timer:7",
        )
    ),
    attack(
        "a payment cannot be one of nobody's",
        move(PENDING, "cancel", "CANCELLED", "boss:1"),
        by=EDGE,
        guard=EVENT,
        behind=(UNCHANGED,),
    ),
    attack(
        "a version is not written by hand",
        change(HELD, version=99),
        by=SILENT,
        guard=UNCHANGED,
        roles=BOTH,
    ),
    attack(
        "a version is not set by an event either",
        move(HELD, "ship", "SHIPPED", SELLER_ACTS, version=99),
        by="flow_version",
        guard=EVENT,
        behind=(UNCHANGED,),
        roles=BOTH,
    ),
    *(
        attack(
            f"{column} is not rewritten after the event",
            change(HELD, **{column: value}),
            by=by,
            guard=guard,
            behind=behind,
            roles=BOTH,
        )
        for column, value, by, guard, behind in (
            ("last_event", "decline", EDGE, EVENT, (UNCHANGED,)),
            ("last_actor", f"admin:{ADMIN}", SILENT, UNCHANGED, ()),
            ("last_data", '{"x": 1}', SILENT, UNCHANGED, ()),
        )
    ),
)

# What was agreed on, and who is in it.
AGREED: tuple[Attack, ...] = (
    *(
        attack(
            f"{', '.join(sets)} of a deal does not change",
            change(PENDING, **sets),
            by="deal_terms_frozen",
            guard=UNCHANGED,
            roles=BOTH,
        )
        for sets in (
            {"cause": "other"},
            {
                "seller_id": 2,
                "seller_telegram_id": OTHER_SELLER,
                "opened_by": OTHER_SELLER,
            },
            {"opened_by": BUYER},
            {"description": "A stone"},
            {"currency": "USD"},
            {"price_minor": PRICE + 1},
            {"fee_minor": books.FEE + 1},
            {"due_minor": books.DUE - 1},
            {"fee_payer": "split"},
            {"terms": '{"tiers": [1]}'},
            {"created_at": books.LATER},
            {"buyer_telegram_id": STRANGER},
            {"buyer_telegram_id": None},
        )
    ),
    *(
        attack(
            f"{', '.join(sets)} of a funded deal does not change",
            change(HELD, **sets),
            by="deal_terms_frozen",
            guard=UNCHANGED,
            behind=(MONEY,),
            roles=BOTH,
        )
        for sets in (
            {"held_price_minor": PRICE - 1},
            {"held_fee_minor": 0},
            {"funded_at": books.LATER},
        )
    ),
    attack(
        "a deal's code does not change",
        change(PENDING, id=NEW),
        by="deal_terms_frozen",
        guard=UNCHANGED,
        behind=(
            "escrow_timeline_escrow_id_fkey",
            "receipts_escrow_id_fkey",
            "reservations_escrow_id_fkey",
            "reservation_counts_escrow_id_fkey",
        ),
        roles=BOTH,
    ),
    attack(
        "a joining stranger does not push the buyer out",
        move(PENDING, "join", "PENDING", f"buyer:{STRANGER}", buyer_telegram_id=STRANGER),
        by="deal_terms_frozen",
        guard=UNCHANGED,
        roles=BOTH,
    ),
    attack(
        "nobody becomes the buyer without joining",
        change(OPEN_LINK, buyer_telegram_id=STRANGER),
        by=SILENT,
        guard=UNCHANGED,
        roles=BOTH,
    ),
    attack(
        "nobody becomes the buyer by another event",
        move(OPEN_LINK, "cancel", "CANCELLED", "timer", buyer_telegram_id=STRANGER),
        by=SILENT,
        guard=UNCHANGED,
        roles=BOTH,
    ),
    attack(
        "a seller makes nobody his buyer",
        move(OPEN_LINK, "join", "PENDING", SELLER_ACTS, buyer_telegram_id=STRANGER),
        by=PERSON,
        guard=EVENT,
        behind=(UNCHANGED,),
        roles=BOTH,
    ),
    attack(
        "a seller is not his own buyer",
        move(OPEN_LINK, "join", "PENDING", f"buyer:{SELLER}", buyer_telegram_id=SELLER),
        by="deal_needs_two_people",
        roles=BOTH,
    ),
    attack(
        "nothing is held by another event than fund",
        move(
            PENDING,
            "cancel",
            "CANCELLED",
            "timer",
            held_price_minor=PRICE,
            held_fee_minor=0,
            funded_at=NOW,
        ),
        by=SILENT,
        guard=UNCHANGED,
        behind=("deal_held_while_funded", MONEY),
    ),
)

DEADLINES: tuple[Attack, ...] = tuple(
    attack(
        f"{column} is not {what} without an event",
        change(deal, **{column: LATER}),
        change(deal, **{column: value}),
        by="deal_deadline_kept",
        guard=UNCHANGED,
        roles=BOTH,
    )
    for deal, column in ((PENDING, "pay_by"), (HELD, "ship_by"), (SHIPPED, "release_at"))
    for what, value in (("brought forward", NOW), ("taken away", None))
)

FROZEN_AND_DISPUTED: tuple[Attack, ...] = (
    attack(
        "a freeze remembers where the deal stood",
        move(HELD, "freeze", "FROZEN", f"admin:{ADMIN}", frozen_from="SHIPPED"),
        by=EDGE,
        guard=EVENT,
        behind=(UNCHANGED,),
        roles=BOTH,
    ),
    attack(
        "a frozen deal goes back to where it stood and nowhere else",
        move(FROZEN, "unfreeze", "DELIVERED", f"admin:{ADMIN}"),
        by=EDGE,
        guard=EVENT,
        behind=(UNCHANGED,),
        roles=BOTH,
    ),
    attack(
        "where a frozen deal stood is not rewritten meanwhile",
        change(FROZEN, frozen_from="DELIVERED"),
        by=SILENT,
        guard=UNCHANGED,
        roles=BOTH,
    ),
    attack(
        "where a frozen deal stood is not rewritten by another event",
        move(SHIPPED, "deliver", "DELIVERED", BUYER_ACTS, frozen_from="HELD"),
        by=SILENT,
        guard=UNCHANGED,
        roles=BOTH,
    ),
    attack(
        "a withdrawn dispute goes back to where it was raised",
        move(DISPUTED, "withdraw_dispute", "DELIVERED", BUYER_ACTS),
        by=EDGE,
        guard=EVENT,
        behind=(UNCHANGED,),
        roles=BOTH,
    ),
    attack(
        "a dispute row that lies does not move the deal",
        f"UPDATE escrow_disputes SET disputed_from = 'DELIVERED' WHERE escrow_id = '{DISPUTED}'",
        move(DISPUTED, "withdraw_dispute", "DELIVERED", BUYER_ACTS),
        by=EDGE,
        guard=EVENT,
        behind=(UNCHANGED, DISPUTE_GUARD),
        roles=BOTH,
    ),
    bad(
        "escrow_disputes",
        "escrow_disputes_raised_role_check",
        raised_role="admin",
        raised_by=SELLER,
    ),
    bad(
        "escrow_disputes",
        "escrow_disputes_disputed_from_check",
        escrow_id=PENDING,
        disputed_from="PENDING",
    ),
    bad("escrow_disputes", "escrow_disputes_reason_check", reason=""),
    bad("escrow_disputes", "escrow_disputes_reason_check", reason="x" * 1001),
    bad("escrow_disputes", "escrow_disputes_status_check", status="LOST"),
    bad(
        "escrow_disputes",
        "escrow_disputes_resolution_check",
        status="RESOLVED",
        closed_at=NOW,
        resolution="nobody",
    ),
    bad("escrow_disputes", "escrow_disputes_buyer_percent_check", buyer_percent=101),
    bad("escrow_disputes", "escrow_disputes_notes_check", notes="x" * 2001),
    bad("escrow_disputes", "dispute_review_has_reviewer", status="UNDER_REVIEW", taken_by=ADMIN),
    bad("escrow_disputes", "dispute_closed_completely", status="RESOLVED", closed_at=NOW),
    bad("escrow_disputes", "dispute_closed_completely", status="WITHDRAWN"),
    bad("escrow_disputes", "dispute_closed_completely", resolution="buyer"),
    bad("escrow_disputes", "escrow_disputes_pkey", id=1),
    bad(
        "escrow_disputes", "escrow_disputes_escrow_id_fkey", behind=(DISPUTE_GUARD,), escrow_id=NEW
    ),
    bad(
        "escrow_disputes", "escrow_disputes_raised_by_fkey", behind=(DISPUTE_GUARD,), raised_by=9009
    ),
    attack(
        "a deal has one open dispute",
        insert("escrow_disputes"),
        insert("escrow_disputes", raised_by=SELLER, raised_role="seller"),
        by="dispute_one_open",
        roles=BOTH,
    ),
    *(
        attack(
            f"a dispute is not raised {how}",
            insert("escrow_disputes", **changes),
            by="dispute_of_a_party",
            guard=DISPUTE_GUARD,
            roles=BOTH,
        )
        for how, changes in (
            ("by a stranger", {"raised_by": STRANGER}),
            ("by the seller as buyer", {"raised_by": SELLER}),
            ("from a status the deal is not in", {"disputed_from": "DELIVERED"}),
        )
    ),
    *(
        attack(
            f"a dispute's {column} does not change",
            f"UPDATE escrow_disputes SET {column} = {value}",
            by="dispute_frozen",
            guard=DISPUTE_GUARD,
            roles=BOTH,
        )
        for column, value in (
            ("escrow_id", f"'{HELD}'"),
            ("raised_by", str(SELLER)),
            ("raised_role", "'seller'"),
            ("disputed_from", "'HELD'"),
            ("reason", "'nothing'"),
            ("opened_at", "now()"),
        )
    ),
    *(
        attack(
            f"a closed dispute {what}",
            "UPDATE escrow_disputes SET status = 'RESOLVED', resolution = 'buyer',"
            " closed_at = now()",
            f"UPDATE escrow_disputes SET {sets}",
            by="dispute_frozen",
            guard=DISPUTE_GUARD,
            roles=BOTH,
        )
        for what, sets in (
            ("is not opened again", "status = 'OPEN', resolution = NULL, closed_at = NULL"),
            ("is not decided another way", "resolution = 'seller'"),
        )
    ),
    attack(
        "a dispute that an admin took is not given back",
        f"UPDATE escrow_disputes SET status = 'UNDER_REVIEW', taken_by = {ADMIN}, taken_at = now()",
        "UPDATE escrow_disputes SET status = 'OPEN'",
        by="dispute_frozen",
        guard=DISPUTE_GUARD,
        roles=BOTH,
    ),
)


# That a deal and its dispute agree at commit is attacked in test_attacks_life.py; here it would
# refuse most of what these guards refuse before.
FITS = ("escrow_transactions.dispute_fits_deal", "escrow_disputes.dispute_fits_deal")
ATTACKS = tuple(
    dataclasses.replace(one, behind=(*one.behind, *FITS))
    for one in (*NEW_DEALS, *EVENTS, *AGREED, *DEADLINES, *FROZEN_AND_DISPUTED)
)


@pytest.mark.parametrize(("tried", "role"), attacks.each(ATTACKS))
async def test_is_refused(attacked: asyncpg.Connection, tried: Attack, role: str) -> None:
    refusal = await attacks.try_attack(attacked, tried, role)
    assert refusal is not None, "PostgreSQL let it pass"
    assert attacks.name_of(refusal) == tried.refused_by


@pytest.mark.parametrize("tried", attacks.guarded(ATTACKS))
async def test_no_guard_is_idle(attacked: asyncpg.Connection, tried: Attack) -> None:
    refusal = await attacks.try_attack(attacked, tried, tried.roles[-1], without_guard=True)
    assert refusal is None, f"refused by {attacks.name_of(refusal)} as well"
