-- by_hand --
-- What somebody in a hurry would write: the $2 longest over at $1 released by one statement, with the
-- rows that our sweep writes. Nothing is checked; run it while triggers and foreign keys sleep.
WITH due AS (
    SELECT e.id, e.version, e.status, e.currency, e.description, s.shop_name AS shop,
           e.seller_telegram_id AS seller, e.buyer_telegram_id AS buyer,
           e.held_price_minor AS price, e.held_fee_minor AS fee,
           jsonb_build_object('seller_minor', e.held_price_minor, 'buyer_minor', 0,
                              'fee_minor', e.held_fee_minor) AS said,
           'KES ' || ltrim(to_char(e.held_price_minor / 100.0, '999,999,990.00')) AS gets
      FROM escrow_transactions e JOIN escrow_sellers s ON s.id = e.seller_id
     WHERE e.status IN ('SHIPPED', 'DELIVERED') AND e.release_at <= $1
     ORDER BY e.release_at LIMIT $2 FOR UPDATE OF e SKIP LOCKED
), moved AS (
    UPDATE escrow_transactions e
       SET status = 'COMPLETED', version = e.version + 1, last_event = 'release',
           last_actor = 'timer', last_data = due.said, completed_at = $1, updated_at = $1
      FROM due WHERE e.id = due.id
), told AS (
    INSERT INTO escrow_timeline (escrow_id, version, event, from_status, to_status, actor, at, data)
    SELECT id, version + 1, 'release', status, 'COMPLETED', 'timer', $1, said FROM due
), settled AS (
    INSERT INTO settlements (escrow_id, event, seller_minor, buyer_minor, fee_minor, settled_at)
    SELECT id, 'release', price, 0, fee, $1 FROM due
), journal AS (
    INSERT INTO ledger_journals (kind, escrow_id, idempotency_key, inputs_hash, happened_at)
    SELECT 'release', id, 'settlement:' || id, encode(sha256(id::bytea), 'hex'), $1 FROM due
    RETURNING id, escrow_id
), leg AS (
    SELECT j.id AS journal, d.currency, l.kind, l.owner, l.minor
      FROM journal j JOIN due d ON d.id = j.escrow_id,
           LATERAL (VALUES ('holding', d.id, -d.price), ('pending_fee', d.id, -d.fee),
                           ('wallet', d.seller::text, d.price), ('fees', '', d.fee))
               AS l (kind, owner, minor)
), paid AS (
    INSERT INTO ledger_accounts AS a (kind, owner, currency, balance_minor, entries)
    SELECT kind, owner, currency, sum(minor), count(*) FROM leg WHERE kind = 'wallet'
     GROUP BY kind, owner, currency
    ON CONFLICT (kind, owner, currency) DO UPDATE
        SET balance_minor = a.balance_minor + excluded.balance_minor,
            entries = a.entries + excluded.entries
    RETURNING id, kind, owner, currency, balance_minor, entries
), emptied AS (
    UPDATE ledger_accounts a SET balance_minor = a.balance_minor + leg.minor, entries = a.entries + 1
      FROM leg
     WHERE leg.kind IN ('holding', 'pending_fee') AND a.kind = leg.kind AND a.owner = leg.owner
       AND a.currency = leg.currency
    RETURNING a.id, a.kind, a.owner, a.currency, a.balance_minor, a.entries
), account AS (
    SELECT * FROM paid UNION ALL SELECT * FROM emptied
), entry AS (
    INSERT INTO ledger_entries (journal_id, account_id, amount_minor, balance_after, account_seq)
    SELECT leg.journal, a.id, leg.minor,
           a.balance_minor - coalesce(sum(leg.minor) OVER later, 0),
           a.entries - (count(*) OVER later)
      FROM leg JOIN account a ON a.kind = leg.kind AND a.owner = leg.owner
                             AND a.currency = leg.currency
    WINDOW later AS (PARTITION BY a.id ORDER BY leg.journal
                     ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING)
    UNION ALL
    SELECT leg.journal, f.id, leg.minor, NULL, NULL
      FROM leg JOIN ledger_accounts f ON f.kind = 'fees' AND f.owner = ''
                                     AND f.currency = leg.currency
     WHERE leg.kind = 'fees'
), notice AS (
    INSERT INTO outbox (cause, kind, chat_id, escrow_id, params, next_try_at, created_at)
    SELECT 'release:' || id, n.kind, n.chat, id, n.params, $1, $1
      FROM due,
           LATERAL (SELECT jsonb_build_object('code', id, 'description', description, 'shop', shop,
                                              'gets', gets) AS common) AS c,
           LATERAL (VALUES ('auto_released', seller, common || '{"payout": null}'),
                           ('auto_released_buyer', buyer, common)) AS n (kind, chat, params)
)
SELECT count(*) FROM due

-- left --
-- What both ways must leave of the deals $1: rows, and money that is where it belongs.
WITH due AS (SELECT code FROM unnest($1::text[]) AS code)
SELECT (SELECT count(*) FROM escrow_transactions JOIN due ON id = code
         WHERE status = 'COMPLETED') AS deals,
       (SELECT count(*) FROM settlements JOIN due ON escrow_id = code) AS settlements,
       (SELECT count(*) FROM escrow_timeline JOIN due ON escrow_id = code
         WHERE event = 'release') AS moves,
       (SELECT count(*) FROM outbox JOIN due ON cause = 'release:' || code) AS notices,
       (SELECT count(*) FROM ledger_entries e
          JOIN ledger_journals j ON j.id = e.journal_id
          JOIN due ON j.idempotency_key = 'settlement:' || code) AS entries,
       (SELECT count(*) FROM due JOIN ledger_accounts
            ON kind IN ('holding', 'pending_fee') AND owner = code
         WHERE (balance_minor, entries) = (0, 2)) AS emptied
