-- post --
-- Writes journals through the one posting function; returns balances after.
SELECT kind, owner, currency, balance_minor FROM ledger_post($1)

-- balance --
SELECT balance_minor FROM ledger_accounts WHERE kind = $1 AND owner = $2 AND currency = $3

-- held --
-- What is held for a deal: for the seller, and the pending fee.
SELECT coalesce(sum(balance_minor) FILTER (WHERE kind = 'holding'), 0)::bigint AS holding,
       coalesce(sum(balance_minor) FILTER (WHERE kind = 'pending_fee'), 0)::bigint AS pending_fee
  FROM ledger_accounts
 WHERE kind IN ('holding', 'pending_fee') AND owner = $1 AND currency = $2

-- owed --
-- What these deals owe us since a payment of theirs was taken back.
SELECT owner, -balance_minor AS owed_minor FROM ledger_accounts
 WHERE kind = 'receivable' AND owner = ANY ($1::text[]) AND currency = $2 AND balance_minor < 0

-- lock_wallet --
-- Locks a wallet before a part of it is promised; nothing when it never had money.
SELECT ledger_lock_wallet($1, $2)

-- wallet --
-- A person's wallets, and what is held for or by him in open deals.
SELECT a.currency, a.balance_minor AS available_minor FROM ledger_accounts a
 WHERE a.kind = 'wallet' AND a.owner = $1 AND a.balance_minor > 0 ORDER BY a.currency

-- held_in_deals --
-- What is held in a person's open deals, by role.
SELECT e.currency,
       coalesce(sum(e.held_price_minor + e.held_fee_minor)
                FILTER (WHERE e.buyer_telegram_id = $1), 0)::bigint AS paid_minor,
       coalesce(sum(e.held_price_minor) FILTER (WHERE e.seller_telegram_id = $1), 0)::bigint
           AS coming_minor
  FROM escrow_transactions e
 WHERE (e.buyer_telegram_id = $1 OR e.seller_telegram_id = $1)
   AND e.archived_at IS NULL
   AND e.status IN ('HELD', 'SHIPPED', 'DELIVERED', 'DISPUTED', 'FROZEN')
 GROUP BY e.currency

-- trial_balance --
SELECT currency, total_minor FROM ledger_trial_balance

-- marks --
-- The last ids there are, and which transactions may still be under way (`horizon`: none below it;
-- `ceiling`: whoever had taken an id when it was looked has a lower one; a number of our own, since the
-- snapshot's upper bound is only the last one that ended).
SELECT coalesce((SELECT max(id) FROM ledger_journals), 0) AS journal,
       coalesce((SELECT max(id) FROM ledger_entries), 0) AS entry,
       coalesce((SELECT max(id) FROM ledger_accounts), 0) AS account,
       coalesce((SELECT max(id) FROM escrow_timeline), 0) AS event,
       coalesce((SELECT max(id) FROM receipts), 0) AS receipt,
       pg_snapshot_xmin(s)::text::bigint AS horizon, pg_current_xact_id()::text::bigint AS ceiling
  FROM pg_current_snapshot() AS s

-- touched_journals --
-- Journals written after journal $1 or by an entry after $2. Here and below both ends of a range
-- stand there: with one, PostgreSQL expects a third of the table and reads all of it.
SELECT id FROM ledger_journals WHERE id > $1 AND id <= (SELECT max(id) FROM ledger_journals)
UNION
SELECT journal_id FROM ledger_entries
 WHERE id > $2 AND id <= (SELECT max(id) FROM ledger_entries)

-- touched_deals --
-- Deals with an event after $1 or an entry after $2.
SELECT escrow_id AS id FROM escrow_timeline
 WHERE id > $1 AND id <= (SELECT max(id) FROM escrow_timeline)
UNION
SELECT a.owner
  FROM ledger_entries e
  -- one by one, so that no plan reads the accounts of all deals
 CROSS JOIN LATERAL (SELECT l.kind, l.owner FROM ledger_accounts l
                      WHERE l.id = e.account_id LIMIT 1) a
 WHERE e.id > $2 AND e.id <= (SELECT max(id) FROM ledger_entries)
   AND a.kind IN ('received', 'holding', 'pending_fee')

-- touched_receipts --
-- Receipts after $1, and those whose journals came after $2.
SELECT id FROM receipts WHERE id > $1 AND id <= (SELECT max(id) FROM receipts)
UNION
SELECT r.id
  FROM ledger_journals j,
       LATERAL (SELECT split_part(j.idempotency_key, ':', 2) AS provider,
                       split_part(j.idempotency_key, ':', 3) AS number) AS k
  JOIN receipts r ON r.provider = k.provider AND r.reference = k.number
 WHERE j.id > $2 AND j.id <= (SELECT max(id) FROM ledger_journals)
   AND split_part(j.idempotency_key, ':', 1) IN ('receipt', 'claim')
UNION
SELECT r.id
  FROM ledger_journals j
  JOIN receipts r ON r.attempt_id = substring(j.idempotency_key FROM ':attempt-([0-9]{1,18})$')::bigint
 WHERE j.id > $2 AND j.id <= (SELECT max(id) FROM ledger_journals)
   AND split_part(j.idempotency_key, ':', 1) IN ('receipt', 'claim')

-- touched_payouts --
-- What is on its way out, and payouts whose account has entries after $1.
SELECT id FROM payouts WHERE state NOT IN ('PAID', 'FAILED')
UNION
SELECT a.owner::bigint
  FROM ledger_entries e
  -- one by one, as above
 CROSS JOIN LATERAL (SELECT l.kind, l.owner FROM ledger_accounts l
                      WHERE l.id = e.account_id LIMIT 1) a
 WHERE e.id > $1 AND e.id <= (SELECT max(id) FROM ledger_entries)
   AND a.kind = 'payable' AND a.owner ~ '^[1-9][0-9]{0,17}$'

-- newest_actions --
-- What admins asked for last: nothing waits longer than a day for its confirmations.
SELECT id FROM admin_actions ORDER BY id DESC LIMIT $1

-- journal_page --
SELECT id FROM ledger_journals WHERE id > $1 ORDER BY id LIMIT $2

-- account_page --
SELECT id FROM ledger_accounts WHERE id > $1 ORDER BY id LIMIT $2

-- deal_page --
SELECT id FROM escrow_transactions WHERE id > $1 ORDER BY id LIMIT $2

-- receipt_page --
SELECT id FROM receipts WHERE id > $1 ORDER BY id LIMIT $2

-- payout_page --
SELECT id FROM payouts WHERE id > $1 ORDER BY id LIMIT $2

-- action_page --
SELECT id FROM admin_actions WHERE id > $1 ORDER BY id LIMIT $2

-- broken_journals --
-- Which of these journals are not zero per currency, or no journals at all (`off`); and which moved
-- money in or out without the row that says so: a receipt, a payout that was paid, a booking.
SELECT s.id, s.off
  FROM (SELECT j.id, j.kind, j.idempotency_key AS key,
               (SELECT count(*) FROM ledger_entries e WHERE e.journal_id = j.id) < 2
               OR EXISTS (SELECT FROM ledger_entries e JOIN ledger_accounts a ON a.id = e.account_id
                           WHERE e.journal_id = j.id
                           GROUP BY a.currency HAVING sum(e.amount_minor) <> 0) AS off
          FROM ledger_journals j WHERE j.id = ANY ($1::bigint[])) AS s
 WHERE s.off
    -- the entries first (OFFSET 0): no plan may begin at an account with all payments
    OR (EXISTS (SELECT FROM (SELECT account_id FROM ledger_entries
                              WHERE journal_id = s.id OFFSET 0) AS e
                  JOIN ledger_accounts a ON a.id = e.account_id WHERE a.kind = 'external')
        AND NOT CASE
            WHEN s.key ~ '^(receipt|coin_cost):[a-z]+:attempt-[0-9]{1,18}$' THEN
                EXISTS (SELECT FROM receipts r
                         WHERE r.attempt_id = split_part(s.key, ':attempt-', 2)::bigint)
            WHEN s.key ~ '^(receipt|coin_cost|reversed):' THEN
                EXISTS (SELECT FROM receipts r WHERE r.provider = split_part(s.key, ':', 2)
                           AND r.reference = substr(s.key, length(split_part(s.key, ':', 1))
                                                    + length(split_part(s.key, ':', 2)) + 3))
            WHEN s.key ~ '^payout_paid:[1-9][0-9]{0,17}$' THEN
                EXISTS (SELECT FROM payouts p WHERE p.state = 'PAID'
                           AND p.id = split_part(s.key, ':', 2)::bigint)
            WHEN s.key LIKE 'book:%' THEN
                EXISTS (SELECT FROM bookings b WHERE b.receipt = split_part(s.key, ':', 2))
            ELSE false END)
 ORDER BY s.id
 LIMIT 1000

-- broken_balances --
-- Which of these accounts have a balance that is not the sum of their entries, or lack one of them.
SELECT a.id, a.kind, a.owner FROM ledger_accounts a
 WHERE a.id = ANY ($1::bigint[]) AND a.kind NOT IN ('external', 'fees', 'costs', 'owner')
   AND (a.balance_minor, a.entries, a.entries)
       IS DISTINCT FROM (SELECT (coalesce(sum(e.amount_minor), 0)::bigint, count(*),
                                 coalesce(max(e.account_seq), 0))
                           FROM ledger_entries e WHERE e.account_id = a.id)
 LIMIT 1000

-- broken_carries --
-- Accounts opened after account $1 or with entries after entry $2 whose balance is not what the
-- last entry before them left and they add: the sum, as long as the entries before were proved.
WITH touched AS (
    SELECT account_id, min(account_seq) AS first FROM ledger_entries
     WHERE id > $2 AND id <= (SELECT max(id) FROM ledger_entries)
       AND account_seq IS NOT NULL GROUP BY account_id
    UNION
    SELECT id, 1 FROM ledger_accounts
     WHERE id > $1 AND id <= (SELECT max(id) FROM ledger_accounts)
       AND kind NOT IN ('external', 'fees', 'costs', 'owner')
)
SELECT a.id, a.kind, a.owner
  FROM (SELECT account_id, min(first) AS first FROM touched GROUP BY account_id) t
  -- one by one, so that no plan reads all accounts
 CROSS JOIN LATERAL (SELECT l.id, l.kind, l.owner, l.balance_minor FROM ledger_accounts l
                      WHERE l.id = t.account_id LIMIT 1) a
 WHERE a.balance_minor
       <> coalesce((SELECT e.balance_after FROM ledger_entries e
                     WHERE e.account_id = a.id AND e.account_seq = t.first - 1), 0)
        + (SELECT coalesce(sum(e.amount_minor), 0) FROM ledger_entries e
            WHERE e.account_id = a.id AND e.account_seq >= t.first)
 LIMIT 1000

-- broken_deals --
-- Which of these deals are not what their status says: their accounts (looked up one by one, so that
-- a page never reads all accounts), their one settlement, the payment behind what is held, the
-- timeline, and that each of its steps is one that the flow has. The first that is wrong.
SELECT e.id, e.why
  FROM (SELECT d.id, CASE
               WHEN CASE WHEN d.status IN ('HELD', 'SHIPPED', 'DELIVERED', 'DISPUTED', 'FROZEN')
                         THEN (k.holding, k.fee, k.received)
                              IS DISTINCT FROM (d.held_price_minor, d.held_fee_minor, 0::bigint)
                         ELSE k.holding <> 0 OR k.fee <> 0
                              OR (d.status <> 'PENDING' AND k.received <> 0) END
               THEN 'money'
               WHEN (SELECT (count(*), coalesce(sum(s.seller_minor + s.buyer_minor + s.fee_minor), 0))
                       FROM settlements s WHERE s.escrow_id = d.id)
                    IS DISTINCT FROM
                    CASE WHEN d.status IN ('COMPLETED', 'REFUNDED')
                         THEN (1::bigint, (d.held_price_minor + d.held_fee_minor)::numeric)
                         ELSE (0::bigint, 0::numeric) END
               THEN 'settlement'
               WHEN d.held_price_minor IS NOT NULL
                    AND NOT (EXISTS (SELECT FROM ledger_journals j
                                      WHERE j.idempotency_key = 'fund:' || d.id)
                             AND (EXISTS (SELECT FROM receipts r
                                           WHERE r.escrow_id = d.id
                                             AND r.state IN ('CREDITED', 'REVERSED'))
                                  OR EXISTS (SELECT FROM ledger_journals j
                                              WHERE j.escrow_id = d.id
                                                AND j.kind = 'wallet_payment')))
               THEN 'funding'
               WHEN (SELECT (count(*), max(t.version),
                             max(t.to_status) FILTER (WHERE t.version = d.version))
                       FROM escrow_timeline t
                      WHERE t.escrow_id = d.id AND t.version IS NOT NULL)
                    IS DISTINCT FROM (d.version::bigint, d.version, d.status)
               THEN 'timeline'
               WHEN EXISTS (
                    SELECT FROM (SELECT t.event, t.from_status, t.to_status, t.actor,
                                        lag(t.to_status) OVER (ORDER BY t.version) AS before
                                   FROM escrow_timeline t
                                  WHERE t.escrow_id = d.id AND t.version IS NOT NULL) AS t
                     WHERE t.from_status IS DISTINCT FROM t.before
                        OR NOT EXISTS (SELECT FROM flow_edges f
                                        WHERE f.event = t.event AND f.to_status = t.to_status
                                          AND f.from_status = coalesce(t.from_status, '')
                                          AND f.actor = split_part(t.actor, ':', 1)))
               THEN 'flow' END AS why
          FROM escrow_transactions d
         CROSS JOIN LATERAL (
               SELECT coalesce((SELECT a.balance_minor FROM ledger_accounts a
                                 WHERE a.kind = 'holding' AND a.owner = d.id
                                   AND a.currency = d.currency), 0) AS holding,
                      coalesce((SELECT a.balance_minor FROM ledger_accounts a
                                 WHERE a.kind = 'pending_fee' AND a.owner = d.id
                                   AND a.currency = d.currency), 0) AS fee,
                      coalesce((SELECT a.balance_minor FROM ledger_accounts a
                                 WHERE a.kind = 'received' AND a.owner = d.id
                                   AND a.currency = d.currency), 0) AS received) AS k
         WHERE d.id = ANY ($1::text[]) OFFSET 0) AS e
 WHERE e.why IS NOT NULL
 LIMIT 1000

-- broken_receipts --
-- Which of these receipts are not booked as their state says: posted once, by the one journal that
-- names them, with their amount; out of suspense by a journal of its own.
SELECT r.id, r.reference
  FROM receipts r
 CROSS JOIN LATERAL (
       SELECT count(*) FILTER (WHERE j.idempotency_key LIKE 'receipt:%') AS posted,
              count(*) FILTER (WHERE j.idempotency_key LIKE 'claim:%') AS claimed,
              bool_or(j.kind = 'suspense') AS lay,
              min(f.amount_minor) AS least, max(f.amount_minor) AS most
         FROM ledger_journals j
        CROSS JOIN LATERAL (
              SELECT -sum(e.amount_minor) AS amount_minor
                FROM (SELECT account_id, amount_minor FROM ledger_entries
                       WHERE journal_id = j.id AND amount_minor < 0 OFFSET 0) AS e
                JOIN ledger_accounts a ON a.id = e.account_id
               WHERE a.kind IN ('external', 'suspense') AND a.currency = r.currency) AS f
        WHERE j.idempotency_key = ANY (ARRAY['receipt:' || r.provider || ':' || r.reference,
                                             'claim:' || r.provider || ':' || r.reference,
                                             'receipt:' || r.provider || ':attempt-' || r.attempt_id,
                                             'claim:' || r.provider || ':attempt-' || r.attempt_id])
       ) AS k
 WHERE r.id = ANY ($1::bigint[])
   AND NOT CASE WHEN r.state IN ('WAITING', 'IGNORED') THEN k.posted + k.claimed = 0
                ELSE k.posted = 1 AND k.least = r.amount_minor AND k.most = r.amount_minor
                     AND CASE WHEN NOT k.lay OR r.state IN ('SUSPENSE', 'RETURNED')
                              THEN k.claimed = 0
                              WHEN r.state = 'REVERSED' THEN k.claimed <= 1
                              ELSE k.claimed = 1 END END
 LIMIT 1000

-- broken_payouts --
-- Which of these payouts are not there, or not what their state says: the money on their account,
-- their journals, the one request that may have gone out.
SELECT o.id
  FROM unnest($1::bigint[]) AS o (id)
  LEFT JOIN payouts p ON p.id = o.id
 WHERE p.id IS NULL
    OR (p.state IN ('PAID', 'FAILED')) IS DISTINCT FROM (p.finalized_at IS NOT NULL)
    OR (p.state = 'PAID' AND p.provider_reference IS NULL)
    OR coalesce((SELECT a.balance_minor FROM ledger_accounts a WHERE a.kind = 'payable'
                    AND a.owner = p.id::text AND a.currency = p.currency), 0)
       <> CASE WHEN p.state IN ('PAID', 'FAILED') THEN 0 ELSE p.amount_minor END
    OR (SELECT count(*) FROM ledger_journals j
         WHERE j.idempotency_key IN ('payout:' || p.id,
                                     CASE p.state WHEN 'PAID' THEN 'payout_paid:' || p.id
                                                  WHEN 'FAILED' THEN 'payout_failed:' || p.id END))
       <> CASE WHEN p.state IN ('PAID', 'FAILED') THEN 2 ELSE 1 END
    OR EXISTS (SELECT FROM ledger_journals j
                WHERE j.idempotency_key IN ('payout_paid:' || p.id, 'payout_failed:' || p.id)
                  AND j.idempotency_key IS DISTINCT FROM
                      CASE p.state WHEN 'PAID' THEN 'payout_paid:' || p.id
                                   WHEN 'FAILED' THEN 'payout_failed:' || p.id END)
    OR (SELECT count(*) FROM payout_attempts t WHERE t.payout_id = p.id AND t.state <> 'FAILED')
       > CASE WHEN p.state = 'READY' THEN 0 ELSE 1 END
 LIMIT 1000

-- broken_actions --
-- Which of these are confirmed or done without the word of the one who asked, or by somebody whose
-- money it is; or done without a second one where two are needed. NULL: whoever has the host.
SELECT a.id FROM admin_actions a
 WHERE a.id = ANY ($1::bigint[]) AND a.state IN ('CONFIRMED', 'DONE')
   AND (NOT EXISTS (SELECT FROM admin_approvals p
                     WHERE p.action_id = a.id AND p.admin = a.asked_by)
        OR EXISTS (SELECT FROM admin_approvals p
                    WHERE p.action_id = a.id AND p.admin = ANY (a.parties))
        OR (a.state = 'DONE' AND a.needs_second
            AND NOT EXISTS (SELECT FROM admin_approvals p
                             WHERE p.action_id = a.id AND p.admin IS DISTINCT FROM a.asked_by)))
 LIMIT 1000

-- rolled_up --
-- The last entry that the roll-ups of the busy accounts count.
SELECT upto FROM ledger_rollup_mark

-- busy --
-- What entries of these ids say of the accounts that keep no balance.
SELECT account_id, sum(amount_minor)::bigint AS minor FROM ledger_entries
 WHERE id > $1 AND id <= $2 AND account_seq IS NULL
 GROUP BY account_id

-- keep_recount --
-- What entries up to $1 say of the accounts $2: $3. Of other busy accounts they say nothing.
INSERT INTO ledger_recounts AS c (account_id, upto, total_minor)
SELECT a.id, $1, coalesce(s.minor, 0)
  FROM ledger_accounts a
  LEFT JOIN unnest($2::bigint[], $3::bigint[]) AS s (account_id, minor) ON s.account_id = a.id
 WHERE a.kind IN ('external', 'fees', 'costs', 'owner')
ON CONFLICT (account_id) DO UPDATE
   SET upto = excluded.upto, total_minor = excluded.total_minor

-- begin_recounts --
INSERT INTO ledger_recounts (account_id, upto, total_minor)
SELECT a.id, 0, 0 FROM ledger_accounts a
 WHERE a.kind IN ('external', 'fees', 'costs', 'owner')
   AND NOT EXISTS (SELECT FROM ledger_recounts c WHERE c.account_id = a.id)
ON CONFLICT (account_id) DO NOTHING

-- count_on --
-- Counts every busy account on, $1 entries of it at most, as far as the roll-ups go; whether one of
-- them is still behind. Whoever was counted on by somebody else meanwhile is left as it is.
WITH ahead AS (
    SELECT c.account_id, c.upto AS since, t.upto
      FROM ledger_recounts c
     CROSS JOIN ledger_rollup_mark m
     CROSS JOIN LATERAL (
           SELECT coalesce((SELECT e.id FROM ledger_entries e
                             WHERE e.account_id = c.account_id AND e.account_seq IS NULL
                               AND e.id > c.upto AND e.id <= m.upto
                             ORDER BY e.id OFFSET $1::bigint - 1 LIMIT 1), m.upto) AS upto) AS t
     WHERE c.upto < m.upto
), counted AS (
    UPDATE ledger_recounts c
       SET upto = a.upto,
           total_minor = c.total_minor
               + (SELECT coalesce(sum(e.amount_minor), 0)::bigint FROM ledger_entries e
                   WHERE e.account_id = a.account_id AND e.account_seq IS NULL
                     AND e.id > a.since AND e.id <= a.upto)
      FROM ahead a WHERE c.account_id = a.account_id AND c.upto = a.since
    RETURNING c.upto
)
SELECT EXISTS (SELECT FROM counted, ledger_rollup_mark m WHERE counted.upto < m.upto)

-- broken_rollups --
-- Busy accounts whose roll-up is not what was counted apart from it and what came after that. Where
-- $1 entries and more came after it, nothing is found, but what was found before stays.
SELECT a.id, a.kind, a.owner
  FROM ledger_accounts a
 CROSS JOIN ledger_rollup_mark m
  LEFT JOIN ledger_rollups r ON r.account_id = a.id
  LEFT JOIN ledger_recounts c ON c.account_id = a.id
 CROSS JOIN LATERAL (
       SELECT count(*) AS rows, coalesce(sum(e.amount_minor), 0) AS minor
         FROM (SELECT l.amount_minor FROM ledger_entries l
                WHERE l.account_id = a.id AND l.account_seq IS NULL
                  AND l.id > coalesce(c.upto, 0) AND l.id <= m.upto
                ORDER BY l.id LIMIT $1::bigint) AS e) AS n
 WHERE a.kind IN ('external', 'fees', 'costs', 'owner')
   AND CASE WHEN n.rows < $1
            THEN c.upto > m.upto
                 OR coalesce(r.total_minor, 0) <> coalesce(c.total_minor, 0) + n.minor
            ELSE EXISTS (SELECT FROM broken_rows b
                          WHERE b.part = 'accounts' AND b.id = a.id::text) END
 ORDER BY a.id

-- long_statements --
-- For the rest of a transaction: a page with one very busy account takes longer than others.
SELECT set_config('statement_timeout', '25s', true)

-- suspense_difference --
-- Suspense must be exactly the receipts that wait there, but for what is on its way back.
SELECT c.currency,
       coalesce((SELECT balance_minor FROM ledger_accounts a
                  WHERE a.kind = 'suspense' AND a.currency = c.currency), 0)
     - coalesce((SELECT sum(amount_minor) FROM receipts r
                  WHERE r.state = 'SUSPENSE' AND r.currency = c.currency
                    AND NOT EXISTS (SELECT FROM payouts p
                                     WHERE p.receipt_id = r.id AND p.state <> 'FAILED')), 0)::bigint
       AS off_minor
  FROM (VALUES ('KES'), ('USD')) AS c (currency)

-- held_totals --
-- What is held for customers now, by what is open: deals (the proof compares them with their
-- accounts), payouts, suspense. What is left of all customers' money is in wallets: the books sum to
-- zero, so nobody reads the wallets to know their sum.
WITH parts AS (
    SELECT e.currency, k.kind, k.minor
      FROM (SELECT currency, sum(held_price_minor) AS price, sum(held_fee_minor) AS fee
              FROM escrow_transactions
             WHERE status IN ('HELD', 'SHIPPED', 'DELIVERED', 'DISPUTED', 'FROZEN')
               AND archived_at IS NULL
             GROUP BY currency) AS e,
           LATERAL (VALUES ('holding', e.price), ('pending_fee', e.fee)) AS k (kind, minor)
    UNION ALL
    SELECT e.currency, 'received',
           (SELECT a.balance_minor FROM ledger_accounts a WHERE a.kind = 'received'
               AND a.owner = e.id AND a.currency = e.currency)
      FROM escrow_transactions e WHERE e.status = 'PENDING' AND e.archived_at IS NULL
    UNION ALL
    SELECT currency, 'payable', amount_minor FROM payouts WHERE state NOT IN ('PAID', 'FAILED')
    UNION ALL
    SELECT currency, 'suspense', balance_minor FROM ledger_accounts WHERE kind = 'suspense'
), sums AS (
    SELECT currency, kind, sum(minor) AS minor FROM parts WHERE minor > 0 GROUP BY currency, kind
), outside AS (
    SELECT currency, sum(balance_minor) AS minor
      FROM (SELECT currency, balance_minor FROM ledger_derived_balances
            UNION ALL
            SELECT currency, balance_minor FROM ledger_accounts WHERE kind = 'receivable') AS a
     GROUP BY currency
)
SELECT currency, kind, minor::bigint AS total_minor FROM sums
UNION ALL
SELECT o.currency, 'wallet', left_minor::bigint
  FROM outside o,
       LATERAL (SELECT -o.minor - coalesce(sum(s.minor), 0) AS left_minor FROM sums s
                 WHERE s.currency = o.currency) AS l
 WHERE left_minor <> 0
 ORDER BY 1, 2

-- known_broken --
SELECT part, id FROM broken_rows ORDER BY found_at, part, id

-- remember_broken --
-- Of one part $1: these ids $2 were found broken, these $3 are mended.
WITH mended AS (DELETE FROM broken_rows WHERE part = $1 AND id = ANY ($3::text[]))
INSERT INTO broken_rows (part, id, found_at) SELECT $1, id, $4 FROM unnest($2::text[]) AS id
ON CONFLICT (part, id) DO NOTHING
