"""Direct SQL against people, the timeline and everything that is kept for ever: what PostgreSQL
refuses whoever asks (invariants I2, I9 and the seed's six tables).

Each attack is refused by name, and succeeds once its guard is gone: so no guard is idle.
"""

# ruff: noqa: S608 (the statements are made of this module's own constants)

import asyncpg
import pytest

from tests.store import attacks
from tests.store.attacks import Attack, attack, bad
from tests.store.books import (
    APP,
    BUYER,
    CANCELLED,
    COMPLETED,
    HELD,
    NEW,
    NOW,
    OWNER,
    SELLER,
    change,
    insert,
)

BOTH = (OWNER, APP)
DEALS = "escrow_transactions"
TIMELINE_GUARD = "escrow_timeline.timeline_guard"
RATING_GUARD = "seller_ratings.rating_guard"

PEOPLE: tuple[Attack, ...] = (
    bad("people", "people_telegram_id_check", telegram_id=0),
    bad("people", "people_telegram_id_check", telegram_id=-5),
    bad("people", "people_language_check", language="fr"),
    bad("people", "people_phone_check", phone="0722000222"),
    bad("people", "people_phone_check", phone="254222000222"),
    bad("people", "people_phone_check", phone="254722***222"),
    bad("people", "people_pkey", telegram_id=BUYER),
    bad("escrow_sellers", "escrow_sellers_shop_name_check", shop_name="J"),
    bad("escrow_sellers", "escrow_sellers_shop_name_check", shop_name="J" * 61),
    bad("escrow_sellers", "escrow_sellers_status_check", status="BANNED"),
    bad("escrow_sellers", "escrow_sellers_payout_phone_check", payout_phone="712000111"),
    bad("escrow_sellers", "escrow_sellers_average_rating_check", average_rating="5.01"),
    bad("escrow_sellers", "escrow_sellers_average_rating_check", average_rating="0.99"),
    bad("escrow_sellers", "escrow_sellers_success_rate_check", success_rate="100.01"),
    bad("escrow_sellers", "escrow_sellers_dispute_rate_check", dispute_rate="-0.01"),
    bad("escrow_sellers", "escrow_sellers_total_sales_check", total_sales=-1),
    bad("escrow_sellers", "escrow_sellers_level_check", level="PLATINUM"),
    bad("escrow_sellers", "escrow_sellers_telegram_id_key", telegram_id=SELLER),
    bad("escrow_sellers", "escrow_sellers_telegram_id_fkey", telegram_id=9009),
    bad("escrow_sellers", "escrow_sellers_pkey", id=1),
    attack(
        "a seller's row and his person are one pair",
        insert("escrow_sellers", id=1, telegram_id=SELLER),
        by="escrow_sellers_id_telegram_id_key",
        behind=("escrow_sellers_pkey", "escrow_sellers_telegram_id_key"),
    ),
    attack(
        "nobody is verified by nobody",
        "UPDATE escrow_sellers SET status = 'VERIFIED', verified_at = now() WHERE id = 2",
        by="seller_verified_by_somebody",
        roles=BOTH,
    ),
    attack(
        "nobody is suspended without a reason",
        "UPDATE escrow_sellers SET status = 'SUSPENDED', suspended_at = now(),"
        " suspension_reason = '' WHERE id = 1",
        by="seller_suspended_for_a_reason",
        roles=BOTH,
    ),
    attack(
        "a seller is not deleted",
        "DELETE FROM escrow_sellers WHERE id = 2",
        by="escrow_sellers_append_only",
        guard="escrow_sellers.escrow_sellers_kept",
    ),
    bad("seller_history", "seller_history_status_check", status="BANNED"),
    bad("seller_history", "seller_history_actor_check", actor=""),
    bad("seller_history", "seller_history_seller_id_fkey", seller_id=99),
    bad("seller_history", "seller_history_pkey", id=1),
    bad("seller_history", "seller_history_cause_check", cause=""),
    attack(
        "one cause decides about a seller once",
        insert("seller_history", cause="update:7"),
        insert("seller_history", cause="update:7"),
        by="seller_history_cause_key",
    ),
    *(
        attack(
            f"a seller's history is not {done}",
            sql,
            by="seller_history_append_only",
            guard="seller_history.seller_history_append_only",
        )
        for done, sql in (
            ("changed", "UPDATE seller_history SET reason = 'none'"),
            ("deleted", "DELETE FROM seller_history"),
            ("emptied away", "TRUNCATE seller_history"),
        )
    ),
)

TIMELINE: tuple[Attack, ...] = (
    *(
        attack(
            f"the timeline is not {done}",
            sql,
            by="escrow_timeline_append_only",
            guard="escrow_timeline.escrow_timeline_append_only",
        )
        for done, sql in (
            ("changed", "UPDATE escrow_timeline SET actor = 'system'"),
            ("deleted", "DELETE FROM escrow_timeline"),
            ("emptied away", "TRUNCATE escrow_timeline"),
        )
    ),
    attack(
        "an event is not forged by writing its row first",
        insert("escrow_timeline", version=3, event="fund", to_status="SHIPPED", actor="payment"),
        change(HELD, status="SHIPPED", version=3, shipped_at=NOW),
        by="timeline_tells_the_truth",
        guard=TIMELINE_GUARD,
        roles=BOTH,
    ),
    attack(
        "a trigger of the program's own does not write the timeline either",
        "CREATE TEMP TABLE own (x int)",
        "CREATE FUNCTION pg_temp.forge() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " INSERT INTO public.escrow_timeline (escrow_id, version, event, from_status, to_status,"
        f" actor, at) VALUES ('{HELD}', 3, 'fund', 'HELD', 'SHIPPED', 'payment', now());"
        " RETURN NEW; END $$",
        "CREATE TRIGGER forge BEFORE INSERT ON own FOR EACH ROW EXECUTE FUNCTION pg_temp.forge()",
        "INSERT INTO own VALUES (1)",
        by="timeline_tells_the_truth",
        guard=TIMELINE_GUARD,
        roles=(APP,),
    ),
    *(
        attack(
            f"a forged row that says another {what} moves nothing",
            insert(
                "escrow_timeline",
                **{
                    "version": 3,
                    "event": "fund",
                    "from_status": "HELD",
                    "to_status": "SHIPPED",
                    "actor": "payment",
                    **lie,
                },
            ),
            change(HELD, status="SHIPPED", version=version, shipped_at=NOW),
            by="flow_without_event",
            guard=f"{DEALS}.escrow_unchanged",
            behind=(TIMELINE_GUARD,),
            roles=BOTH,
        )
        for what, lie, version in (
            ("event", {"event": "ship"}, 3),
            ("actor", {"actor": "timer"}, 3),
            ("beginning", {"from_status": "PENDING"}, 3),
            ("end", {"to_status": "DELIVERED"}, 3),
            ("deal", {"escrow_id": CANCELLED}, 3),
            ("version", {"version": 4}, 4),
        )
    ),
    *(
        attack(
            f"a row by hand does not {what}",
            insert("escrow_timeline", **changes),
            by="timeline_tells_the_truth",
            guard=TIMELINE_GUARD,
            roles=BOTH,
        )
        for what, changes in (
            ("use a word of the flow", {"event": "release"}),
            ("say that the deal moved", {"to_status": "COMPLETED"}),
            (
                "say that it stands elsewhere",
                {"from_status": "COMPLETED", "to_status": "COMPLETED"},
            ),
            ("leave open where it stood", {"from_status": None}),
        )
    ),
    bad("escrow_timeline", "escrow_timeline_event_check", event=""),
    bad("escrow_timeline", "timeline_known_actor", actor="somebody"),
    bad(
        "escrow_timeline", "escrow_timeline_escrow_id_fkey", behind=(TIMELINE_GUARD,), escrow_id=NEW
    ),
    bad(
        "escrow_timeline",
        "escrow_timeline_escrow_id_version_key",
        behind=(TIMELINE_GUARD,),
        version=1,
    ),
    bad("escrow_timeline", "escrow_timeline_pkey", id=1),
)

KEPT: tuple[Attack, ...] = (
    attack(
        "a deal is not deleted",
        f"DELETE FROM {DEALS} WHERE id = '{CANCELLED}'",
        by="escrow_transactions_append_only",
        guard=f"{DEALS}.escrow_transactions_kept",
        behind=("escrow_timeline_escrow_id_fkey",),
    ),
    attack(
        "a dispute is not deleted",
        "DELETE FROM escrow_disputes",
        by="escrow_disputes_append_only",
        guard="escrow_disputes.escrow_disputes_kept",
    ),
    attack(
        "disputes are not emptied",
        "TRUNCATE escrow_disputes CASCADE",
        by="escrow_disputes_append_only",
        guard="escrow_disputes.escrow_disputes_kept",
        behind=("deal_records.deal_records_append_only", "fingerprints.fingerprints_append_only"),
    ),
    attack(
        "a rating is not deleted",
        "DELETE FROM seller_ratings",
        by="seller_ratings_append_only",
        guard="seller_ratings.seller_ratings_kept",
    ),
    attack(
        "ratings are not emptied",
        "TRUNCATE seller_ratings",
        by="seller_ratings_append_only",
        guard="seller_ratings.seller_ratings_kept",
    ),
    *(
        attack(
            f"the flow's own table is not {done}",
            *steps,
            by="flow_edges_append_only",
            guard="flow_edges.flow_edges_append_only",
        )
        for done, steps in (
            ("added to", (insert("flow_edges"),)),
            ("changed", ("UPDATE flow_edges SET actor = 'system' WHERE event = 'ship'",)),
            ("cut", ("DELETE FROM flow_edges",)),
            ("emptied", ("TRUNCATE flow_edges",)),
        )
    ),
    bad(
        "flow_edges",
        "flow_edges_pkey",
        behind=("flow_edges.flow_edges_append_only",),
        event="ship",
        from_status="HELD",
        to_status="SHIPPED",
        actor="seller",
    ),
    attack(
        "emptying the people does not empty the deals",
        "TRUNCATE people CASCADE",
        by="escrow_sellers_append_only",
        guard="",
    ),
)

OPINIONS: tuple[Attack, ...] = (
    bad("seller_ratings", "seller_ratings_stars_check", stars=0),
    bad("seller_ratings", "seller_ratings_stars_check", stars=6),
    bad("seller_ratings", "seller_ratings_words_check", words="x" * 501),
    bad("seller_ratings", "rating_one_per_deal", escrow_id=COMPLETED),
    bad("seller_ratings", "seller_ratings_pkey", id=1),
    bad("seller_ratings", "seller_ratings_escrow_id_fkey", behind=(RATING_GUARD,), escrow_id=NEW),
    bad("seller_ratings", "seller_ratings_seller_id_fkey", behind=(RATING_GUARD,), seller_id=99),
    bad(
        "seller_ratings",
        "seller_ratings_buyer_telegram_id_fkey",
        behind=(RATING_GUARD,),
        buyer_telegram_id=9009,
    ),
    bad("fraud_flags", "fraud_flags_user_type_check", user_type="admin"),
    bad("fraud_flags", "fraud_flags_flag_type_check", flag_type="Multiple Disputes"),
    bad("fraud_flags", "fraud_flags_severity_check", severity="FATAL"),
    bad("fraud_flags", "fraud_flags_rule_check", rule=""),
    bad("fraud_flags", "flag_reviewed_by_somebody", reviewed_at=NOW),
    bad("fraud_flags", "flag_one_open", telegram_id=BUYER),
    bad(
        "fraud_flags",
        "flag_one_per_unshipped",
        telegram_id=BUYER,
        flag_type="unshipped_order",
        escrow_id=HELD,
    ),
    attack(
        "a flag that nobody reviewed is not deleted",
        "DELETE FROM fraud_flags",
        by="flag_kept_until_reviewed",
        guard="fraud_flags.flag_guard",
        roles=BOTH,
    ),
    attack(
        "flags are not emptied away",
        "TRUNCATE fraud_flags",
        by="fraud_flags_append_only",
        guard="fraud_flags.fraud_flags_not_emptied",
    ),
    bad("fraud_flags", "fraud_flags_pkey", id=1),
    bad("fraud_flags", "fraud_flags_review_cause_check", review_cause=""),
    attack(
        "a flag does not change",
        "UPDATE fraud_flags SET severity = 'LOW', rule = 'nothing'",
        by="flag_frozen",
        guard="fraud_flags.flag_frozen",
        roles=BOTH,
    ),
    attack(
        "what was reviewed stays as it is",
        "UPDATE fraud_flags SET reviewed_at = now(), reviewed_by = 1001, review_notes = 'fakes'",
        "UPDATE fraud_flags SET review_notes = 'all is well'",
        by="flag_frozen",
        guard="fraud_flags.flag_frozen",
        roles=BOTH,
    ),
    bad("admin_menus", "admin_menus_chat_id_check", chat_id=0),
    attack(
        "a chat has one menu",
        insert("admin_menus"),
        insert("admin_menus"),
        by="admin_menus_pkey",
    ),
    bad("fraud_flags", "fraud_flags_telegram_id_fkey", telegram_id=9009),
    bad("fraud_flags", "fraud_flags_escrow_id_fkey", escrow_id=NEW),
)


ATTACKS = (*PEOPLE, *TIMELINE, *KEPT, *OPINIONS)


@pytest.mark.parametrize(("tried", "role"), attacks.each(ATTACKS))
async def test_is_refused(attacked: asyncpg.Connection, tried: Attack, role: str) -> None:
    refusal = await attacks.try_attack(attacked, tried, role)
    assert refusal is not None, "PostgreSQL let it pass"
    assert attacks.name_of(refusal) == tried.refused_by


@pytest.mark.parametrize("tried", attacks.guarded(ATTACKS))
async def test_no_guard_is_idle(attacked: asyncpg.Connection, tried: Attack) -> None:
    refusal = await attacks.try_attack(attacked, tried, tried.roles[-1], without_guard=True)
    assert refusal is None, f"refused by {attacks.name_of(refusal)} as well"
