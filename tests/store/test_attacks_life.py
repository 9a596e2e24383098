"""Direct SQL against what both sides do together: offers, disputes, and what only an accepted offer
allows (invariants I8, I10).

Each attack is refused by name, and succeeds once its guard is gone: so no guard is idle.
"""

import asyncpg
import pytest

from tests.store import attacks, books
from tests.store.attacks import Attack, attack, bad
from tests.store.books import (
    ADMIN,
    APP,
    BUYER,
    DISPUTED,
    HELD,
    NEW,
    NOW,
    OPEN_LINK,
    OWNER,
    PENDING,
    SELLER,
    SHIPPED,
    STRANGER,
    Step,
    insert,
    move,
)

BOTH = (OWNER, APP)
OFFER_GUARD = "offers.offer_guard"
EVENT = "escrow_transactions.escrow_event"
UNCHANGED = "escrow_transactions.escrow_unchanged"
DEAL_FITS = "escrow_transactions.dispute_fits_deal"
DISPUTE_FITS = "escrow_disputes.dispute_fits_deal"
WHOLE = "settlements.settlement_whole"
EXTENSION = {
    "kind": "extend",
    "hours": 24,
    "buyer_percent": None,
    "seller_minor": None,
    "buyer_minor": None,
    "fee_minor": None,
}


def closed(closes_as: str, by: int = SELLER) -> Step:
    """Closes offer 1, of the buyer on SHIPPED."""
    return (
        "UPDATE offers SET closed_at = now(), closed_as = $1, closed_by = $2 WHERE id = 1",
        (closes_as, by),
    )


# Columns of an offer, by the CHECK that is next to refuse when the guard is gone.
OFFERS: tuple[Attack, ...] = (
    bad("offers", "offers_pkey", id=1),
    bad("offers", "offers_cause_check", cause=""),
    bad("offers", "offers_cause_key", cause="update:5"),
    bad("offers", "offers_escrow_id_fkey", behind=(OFFER_GUARD,), escrow_id=NEW),
    bad("offers", "offers_offered_by_fkey", behind=(OFFER_GUARD,), offered_by=9009),
    bad("offers", "offers_kind_check", behind=("offer_of_its_kind",), kind="gift"),
    bad("offers", "offers_version_check", behind=(OFFER_GUARD,), version=0),
    bad("offers", "offers_buyer_percent_check", buyer_percent=101),
    bad("offers", "offers_buyer_percent_check", buyer_percent=-1),
    bad("offers", "offers_seller_minor_check", seller_minor=-1, buyer_minor=102_51),
    bad("offers", "offers_buyer_minor_check", buyer_minor=-1, seller_minor=102_51),
    bad("offers", "offers_fee_minor_check", fee_minor=-1, seller_minor=53_51, buyer_minor=51_50),
    bad("offers", "offers_hours_check", **{**EXTENSION, "hours": 73}),
    bad("offers", "offers_hours_check", **{**EXTENSION, "hours": 0}),
    bad("offers", "offer_of_its_kind", hours=24),
    bad("offers", "offer_of_its_kind", **{**EXTENSION, "hours": None}),
    bad("offers", "offer_of_its_kind", **{**EXTENSION, "buyer_percent": 50}),
    attack(
        "an offer is closed in a way there is",
        closed("forgotten"),
        by="offers_closed_as_check",
        roles=BOTH,
    ),
    attack(
        "an offer is closed by somebody, at a time",
        "UPDATE offers SET closed_as = 'declined' WHERE id = 1",
        by="offer_closed_completely",
        roles=BOTH,
    ),
    attack(
        "a deal has one open offer",
        insert("offers"),
        insert("offers", cause="test:second"),
        by="offer_one_open",
        roles=BOTH,
    ),
    *(
        attack(
            f"nobody offers {what}",
            insert("offers", **changes),
            by="offer_of_a_party",
            guard=OFFER_GUARD,
            roles=BOTH,
        )
        for what, changes in (
            ("as a stranger", {"offered_by": STRANGER}),
            ("as an admin", {"offered_by": ADMIN}),
            (
                "as a stranger where the buyer is missing",
                {**EXTENSION, "escrow_id": OPEN_LINK, "version": 1, "offered_by": STRANGER},
            ),
            ("for an older deal", {"version": 3}),
            ("more than is held", {"buyer_minor": 53_00}),
            ("less than is held", {"buyer_minor": 50_00}),
            ("money where none is held", {"escrow_id": PENDING, "version": 1}),
            ("what is closed", {"closed_at": NOW, "closed_as": "accepted", "closed_by": SELLER}),
        )
    ),
    *(
        attack(
            f"an offer's {column} does not change",
            f"UPDATE offers SET {column} = {value} WHERE id = 1",  # noqa: S608
            by="offer_frozen",
            guard=OFFER_GUARD,
            roles=BOTH,
        )
        for column, value in (
            ("cause", "'x'"),
            ("escrow_id", f"'{HELD}'"),
            ("version", "9"),
            ("offered_by", str(SELLER)),
            ("buyer_percent", "51"),
            ("seller_minor", "1"),
            ("buyer_minor", "1"),
            ("fee_minor", "1"),
            ("created_at", "now()"),
        )
    ),
    *(
        attack(
            f"an offer is not accepted by {who}",
            closed("accepted", by),
            by="offer_frozen",
            guard=OFFER_GUARD,
            roles=BOTH,
        )
        for who, by in (("whoever made it", BUYER), ("a stranger", STRANGER), ("an admin", ADMIN))
    ),
    attack(
        "an offer is not accepted for a deal that moved on",
        *books.event(SHIPPED, "dispute", "DISPUTED", f"buyer:{BUYER}", "SHIPPED"),
        closed("accepted"),
        by="offer_frozen",
        guard=OFFER_GUARD,
        roles=BOTH,
    ),
    attack(
        "a closed offer is not closed another way",
        closed("declined"),
        closed("accepted"),
        by="offer_frozen",
        guard=OFFER_GUARD,
        roles=BOTH,
    ),
    attack(
        "an offer is not deleted",
        "DELETE FROM offers",
        by="offers_append_only",
        guard="offers.offers_kept",
    ),
    attack(
        "offers are not emptied",
        "TRUNCATE offers",
        by="offers_append_only",
        guard="offers.offers_kept",
    ),
)

FIFTY = {"seller": 50_00, "buyer": 52_50, "fee": 2_50}
FORTY = {"seller": 40_00, "buyer": 62_50, "fee": 2_50}
SETTLED = (
    *books.settle(SHIPPED, "settle", **FIFTY),
    move(SHIPPED, "settle", "COMPLETED", "parties"),
)

TOGETHER: tuple[Attack, ...] = (
    *(
        attack(
            f"a deal is not settled {how}",
            *before,
            *SETTLED,
            by="settlement_as_accepted",
            guard=WHOLE,
            behind=(EVENT, UNCHANGED, "escrow_transactions.escrow_money_check"),
        )
        for how, before in (
            ("without an offer's acceptance", ()),
            ("by a declined offer", (closed("declined"),)),
        )
    ),
    attack(
        "what both settled on is what is paid",
        closed("accepted"),
        *books.settle(SHIPPED, "settle", **FORTY),
        move(SHIPPED, "settle", "COMPLETED", "parties"),
        by="settlement_as_accepted",
        guard=WHOLE,
        roles=(OWNER,),
    ),
    attack(
        "a deal is extended by both only",
        move(SHIPPED, "extend", "SHIPPED", "parties", release_at=NOW, extended_at=NOW),
        by="flow_needs_both",
        guard=EVENT,
        behind=(UNCHANGED,),
        roles=BOTH,
    ),
    attack(
        "an offer to settle is none to extend",
        closed("accepted"),
        move(SHIPPED, "extend", "SHIPPED", "parties", release_at=NOW, extended_at=NOW),
        by="flow_needs_both",
        guard=EVENT,
        behind=(UNCHANGED,),
        roles=BOTH,
    ),
    attack(
        "a deal is extended once",
        closed("declined"),
        insert("offers", escrow_id=SHIPPED, version=3, **EXTENSION),
        "UPDATE offers SET closed_at = now(), closed_as = 'accepted', closed_by = 2001"
        " WHERE cause = 'test:offer'",
        move(SHIPPED, "extend", "SHIPPED", "parties", release_at=NOW, extended_at=NOW),
        move(SHIPPED, "extend", "SHIPPED", "parties", release_at=NOW),
        by="flow_once",
        guard=EVENT,
        behind=(UNCHANGED,),
        roles=BOTH,
    ),
    attack(
        "a deal is joined once",
        move(PENDING, "join", "PENDING", f"seller:{SELLER}", joined_at=NOW),
        move(PENDING, "join", "PENDING", f"buyer:{BUYER}"),
        by="flow_once",
        guard=EVENT,
        behind=(UNCHANGED,),
        roles=BOTH,
    ),
)

WITHDRAWN = (
    "UPDATE escrow_disputes SET status = 'WITHDRAWN', closed_at = now(), closed_by = 'x'"
    " WHERE status = 'OPEN'"
)

DISPUTES: tuple[Attack, ...] = (
    attack(
        "a dispute is withdrawn by who raised it",
        WITHDRAWN,
        move(DISPUTED, "withdraw_dispute", "SHIPPED", f"seller:{SELLER}"),
        by="flow_wrong_person",
        guard=EVENT,
        behind=(UNCHANGED,),
        roles=BOTH,
    ),
    attack(
        "a dispute is withdrawn once per deal",
        WITHDRAWN,
        move(DISPUTED, "withdraw_dispute", "SHIPPED", f"buyer:{BUYER}"),
        *books.event(DISPUTED, "dispute", "DISPUTED", f"buyer:{BUYER}", "SHIPPED"),
        WITHDRAWN,
        move(DISPUTED, "withdraw_dispute", "SHIPPED", f"buyer:{BUYER}"),
        by="dispute_withdrawn_once",
        roles=BOTH,
    ),
    attack(
        "no deal is disputed without its dispute",
        move(SHIPPED, "dispute", "DISPUTED", f"buyer:{BUYER}"),
        by="dispute_fits_deal",
        guard=DEAL_FITS,
        roles=BOTH,
    ),
    attack(
        "no deal goes on while its dispute is open",
        move(DISPUTED, "withdraw_dispute", "SHIPPED", f"buyer:{BUYER}"),
        by="dispute_fits_deal",
        guard=DEAL_FITS,
        roles=BOTH,
    ),
    attack(
        "no frozen deal comes back from a dispute that is closed",
        move(DISPUTED, "freeze", "FROZEN", f"admin:{ADMIN}", frozen_from="DISPUTED"),
        WITHDRAWN,
        move(DISPUTED, "unfreeze", "DISPUTED", f"admin:{ADMIN}"),
        by="dispute_fits_deal",
        guard=DEAL_FITS,
        behind=(DISPUTE_FITS,),
        roles=BOTH,
    ),
    attack(
        "no dispute is opened without the event",
        insert("escrow_disputes"),
        by="dispute_fits_deal",
        guard=DISPUTE_FITS,
        roles=BOTH,
    ),
    attack(
        "no dispute is closed while its deal is disputed",
        WITHDRAWN,
        by="dispute_fits_deal",
        guard=DISPUTE_FITS,
        roles=BOTH,
    ),
)

ATTACKS = (*OFFERS, *TOGETHER, *DISPUTES)


@pytest.mark.parametrize(("tried", "role"), attacks.each(ATTACKS))
async def test_is_refused(attacked: asyncpg.Connection, tried: Attack, role: str) -> None:
    refusal = await attacks.try_attack(attacked, tried, role)
    assert refusal is not None, "PostgreSQL let it pass"
    assert attacks.name_of(refusal) == tried.refused_by


@pytest.mark.parametrize("tried", attacks.guarded(ATTACKS))
async def test_no_guard_is_idle(attacked: asyncpg.Connection, tried: Attack) -> None:
    refusal = await attacks.try_attack(attacked, tried, tried.roles[-1], without_guard=True)
    assert refusal is None, f"refused by {attacks.name_of(refusal)} as well"
