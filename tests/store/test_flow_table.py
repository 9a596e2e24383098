"""The flow in the database is the flow of the domain: the same rows, and every triple of status,
event and actor tried by SQL.
"""

import itertools

import asyncpg
import pytest

from escrow.domain.flow import FINAL, FLOW, FUNDED, Actor, Event, Status
from tests.store import books
from tests.store.books import ADMIN, BUYER, SELLER, code

ACTS = {
    Actor.BUYER: f"buyer:{BUYER}",
    Actor.SELLER: f"seller:{SELLER}",
    Actor.CHOICE: f"choice:{BUYER}",
    Actor.ADMIN: f"admin:{ADMIN}",
}
Triple = tuple[Status | None, Event, Actor, Status]
FLOW_TRIPLES = {(edge.source, edge.event, actor, edge.target) for edge in FLOW for actor in edge.by}

# Tries one event as it stands and takes it back: '' when PostgreSQL took it, else the name of what
# refused. Everything that a status needs beside the event is set rightly.
TRY = """
CREATE FUNCTION pg_temp.tried(deal text, word text, goes_to text, who text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    name text;
BEGIN
    INSERT INTO offers (cause, escrow_id, kind, version, offered_by, seller_minor, buyer_minor,
                        fee_minor, hours, created_at)
    SELECT 'tried', id, word, version, seller_telegram_id,
           CASE word WHEN 'settle' THEN held_price_minor END,
           CASE word WHEN 'settle' THEN 0 END,
           CASE word WHEN 'settle' THEN held_fee_minor END,
           CASE word WHEN 'extend' THEN 1 END, now()
      FROM escrow_transactions
     WHERE id = deal AND word IN ('settle', 'extend') AND held_price_minor IS NOT NULL;
    UPDATE offers o SET closed_at = now(), closed_as = 'accepted', closed_by = e.buyer_telegram_id
      FROM escrow_transactions e WHERE o.cause = 'tried' AND e.id = o.escrow_id;
    UPDATE escrow_transactions SET
        status = goes_to, last_event = word, last_actor = who, last_data = '{}',
        updated_at = now(),
        frozen_from = CASE word WHEN 'freeze' THEN status ELSE frozen_from END,
        held_price_minor = CASE WHEN goes_to IN ('PENDING', 'CANCELLED') THEN NULL
                                ELSE coalesce(held_price_minor, 1) END,
        held_fee_minor = CASE WHEN goes_to IN ('PENDING', 'CANCELLED') THEN NULL
                              ELSE coalesce(held_fee_minor, 0) END,
        funded_at = CASE WHEN goes_to IN ('PENDING', 'CANCELLED') THEN NULL
                         ELSE coalesce(funded_at, now()) END,
        completed_at = CASE goes_to WHEN 'COMPLETED' THEN coalesce(completed_at, now()) END,
        refunded_at = CASE goes_to WHEN 'REFUNDED' THEN coalesce(refunded_at, now()) END,
        cancelled_at = CASE goes_to WHEN 'CANCELLED' THEN coalesce(cancelled_at, now()) END
     WHERE id = deal;
    RAISE EXCEPTION 'taken' USING ERRCODE = 'P0002';
EXCEPTION
    WHEN no_data_found THEN RETURN '';
    WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS name = CONSTRAINT_NAME;
        RETURN coalesce(nullif(name, ''), SQLERRM);
END $$;
CREATE FUNCTION pg_temp.opened(word text, begins_as text, who text, model text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    name text;
BEGIN
    INSERT INTO escrow_transactions
    SELECT (jsonb_populate_record(e, jsonb_build_object(
               'id', 'ES9999999999', 'cause', 'tried', 'status', begins_as, 'version', 1,
               'last_event', word, 'last_actor', who))).*
      FROM escrow_transactions e WHERE e.id = model;
    RAISE EXCEPTION 'taken' USING ERRCODE = 'P0002';
EXCEPTION
    WHEN no_data_found THEN RETURN '';
    WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS name = CONSTRAINT_NAME;
        RETURN coalesce(nullif(name, ''), SQLERRM);
END $$;
"""


def _actor(actor: Actor) -> str:
    return ACTS.get(actor, str(actor))


RAISED: dict[Actor, dict[Status, str]] = {Actor.SELLER: {}, Actor.BUYER: {}}
"""Who raised a dispute, and from where → the deal of this transaction."""


def _deal(deals: dict[tuple[Status, Status | None], str], triple: Triple) -> str:
    """The deal that an event is tried on: only whoever raised a dispute withdraws it."""
    source, event, actor, target = triple
    assert source is not None
    if source is Status.DISPUTED and event is Event.WITHDRAW_DISPUTE:
        found = RAISED.get(actor, {}).get(target)
        if found is not None:
            return found
    return deals.get((source, target), deals[source, None])


async def _deals(conn: asyncpg.Connection) -> dict[tuple[Status, Status | None], str]:
    """(status, where it goes back to) → a deal that stands there, this transaction's own."""
    made: dict[tuple[Status, Status | None], str] = {}
    numbers = iter(range(100, 200))

    async def make(status: Status, back: Status | None, *extra: books.Step, via: str) -> None:
        escrow_id = code(next(numbers))
        await books.run(conn, books.open_deal(escrow_id), *books.bring_to(escrow_id, via))
        for step in extra:
            await books.run(conn, step)
        made[status, back] = escrow_id

    for status in Status:
        await make(status, None, via=status)
    for who, back in itertools.product(RAISED, (Status.HELD, Status.SHIPPED, Status.DELIVERED)):
        await make(Status.DISPUTED, back, via=back)
        dispute = books.event(made[Status.DISPUTED, back], "dispute", "DISPUTED", _actor(who), back)
        await books.run(conn, *dispute)
        RAISED[who][back] = made[Status.DISPUTED, back]
    for back in (Status.HELD, Status.SHIPPED, Status.DELIVERED, Status.DISPUTED):
        await make(Status.FROZEN, back, via=back)
        await books.run(
            conn,
            *books.event(made[Status.FROZEN, back], "freeze", "FROZEN", f"admin:{ADMIN}", back),
        )
    return made


async def test_the_table_in_the_database_is_the_flow_of_the_domain(
    attacked: asyncpg.Connection,
) -> None:
    rows = await attacked.fetch("SELECT event, from_status, to_status, actor FROM flow_edges")
    assert {tuple(row) for row in rows} == {
        (str(event), str(source or ""), str(target), str(actor))
        for source, event, actor, target in FLOW_TRIPLES
    }


@pytest.mark.parametrize("source", Status)
async def test_postgresql_takes_exactly_the_triples_of_the_flow(
    attacked: asyncpg.Connection, source: Status
) -> None:
    transaction = attacked.transaction()
    await transaction.start()
    try:
        deals = await _deals(attacked)
        await attacked.execute(TRY)
        triples: list[Triple] = [
            (source, event, actor, target)
            for event in Event
            for actor in Actor
            for target in Status
        ]
        answers = await attacked.fetch(
            "SELECT pg_temp.tried(deal, word, goes_to, who) AS refused FROM"
            " unnest($1::text[], $2::text[], $3::text[], $4::text[])"
            " AS t (deal, word, goes_to, who)",
            [_deal(deals, triple) for triple in triples],
            [str(triple[1]) for triple in triples],
            [str(triple[3]) for triple in triples],
            [_actor(triple[2]) for triple in triples],
        )
    finally:
        await transaction.rollback()
    refused = dict(zip(triples, (row["refused"] for row in answers), strict=True))
    assert len(refused) == len(Event) * len(Actor) * len(Status)
    taken = {triple for triple, name in refused.items() if not name}
    assert taken == {triple for triple in FLOW_TRIPLES if triple[0] is source}
    assert {name for name in refused.values() if name} == {"flow_edge_missing"}


async def test_a_deal_begins_only_as_the_flow_says(attacked: asyncpg.Connection) -> None:
    transaction = attacked.transaction()
    await transaction.start()
    try:
        deals = await _deals(attacked)
        await attacked.execute(TRY)
        refused: dict[Triple, str] = {}
        for status in Status:
            for event in Event:
                for actor in Actor:
                    refused[None, event, actor, status] = await attacked.fetchval(
                        "SELECT pg_temp.opened($1, $2, $3, $4)",
                        str(event),
                        str(status),
                        _actor(actor),
                        deals[status, None],
                    )
    finally:
        await transaction.rollback()
    assert {triple for triple, name in refused.items() if not name} == {
        triple for triple in FLOW_TRIPLES if triple[0] is None
    }
    assert {name for name in refused.values() if name} == {"flow_edge_missing"}


@pytest.mark.parametrize(
    ("status", "goes_back_to"),
    [
        (status, back)
        for status, event in (
            (Status.DISPUTED, Event.WITHDRAW_DISPUTE),
            (Status.FROZEN, Event.UNFREEZE),
        )
        for back in (edge.target for edge in FLOW if edge.event is event)
    ],
)
async def test_a_deal_goes_back_to_where_it_came_from_and_nowhere_else(
    attacked: asyncpg.Connection, status: Status, goes_back_to: Status
) -> None:
    disputed = status is Status.DISPUTED
    event, actor = ("withdraw_dispute", "buyer") if disputed else ("unfreeze", "admin")
    transaction = attacked.transaction()
    await transaction.start()
    try:
        deals = await _deals(attacked)
        await attacked.execute(TRY)
        answers = {
            target: await attacked.fetchval(
                "SELECT pg_temp.tried($1, $2, $3, $4)",
                deals[status, goes_back_to],
                event,
                str(target),
                _actor(Actor(actor)),
            )
            for target in Status
        }
    finally:
        await transaction.rollback()
    assert [target for target, refused in answers.items() if not refused] == [goes_back_to]


async def test_the_money_checks_know_the_same_statuses(attacked: asyncpg.Connection) -> None:
    """Which statuses hold money, and which are final, is also written in the money triggers."""
    body = await attacked.fetchval(
        "SELECT prosrc FROM pg_proc WHERE proname = 'escrow_money_check'"
    )
    funded = ", ".join(f"'{status}'" for status in Status if status in FUNDED)
    ended = ", ".join(f"'{status}'" for status in Status if status in FINAL - {Status.CANCELLED})
    assert f"e.status IN ({funded})" in body
    assert f"e.status IN ({ended})" in body
