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
SELECT a.owner FROM ledger_entries e JOIN ledger_accounts a ON a.id = e.account_id
 WHERE e.id > $2 AND e.id <= (SELECT max(id) FROM ledger_entries)
   AND a.kind IN ('received', 'holding', 'pending_fee')

-- journal_page --
SELECT id FROM ledger_journals WHERE id > $1 ORDER BY id LIMIT $2

-- account_page --
SELECT id FROM ledger_accounts WHERE id > $1 ORDER BY id LIMIT $2

-- deal_page --
SELECT id FROM escrow_transactions WHERE id > $1 ORDER BY id LIMIT $2

-- broken_journals --
-- Which of these journals are not zero per currency, or no journals at all.
SELECT j.id FROM unnest($1::bigint[]) AS j (id)
 WHERE (SELECT count(*) FROM ledger_entries e WHERE e.journal_id = j.id) < 2
    OR EXISTS (SELECT FROM ledger_entries e JOIN ledger_accounts a ON a.id = e.account_id
                WHERE e.journal_id = j.id GROUP BY a.currency HAVING sum(e.amount_minor) <> 0)
 LIMIT 1000

-- broken_balances --
-- Which of these accounts have a balance that is not the sum of their entries.
SELECT a.id, a.kind, a.owner FROM ledger_accounts a
 WHERE a.id = ANY ($1::bigint[]) AND a.kind NOT IN ('external', 'fees', 'costs', 'owner')
   AND a.balance_minor <> (SELECT coalesce(sum(e.amount_minor), 0) FROM ledger_entries e
                            WHERE e.account_id = a.id)
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
-- Which of these deals have accounts that are not what their status says. The balances are looked
-- up one by one, so that a page never reads all accounts.
SELECT e.id
  FROM (SELECT d.id, d.status, d.held_price_minor, d.held_fee_minor,
               coalesce((SELECT a.balance_minor FROM ledger_accounts a WHERE a.kind = 'holding'
                            AND a.owner = d.id AND a.currency = d.currency), 0) AS holding,
               coalesce((SELECT a.balance_minor FROM ledger_accounts a WHERE a.kind = 'pending_fee'
                            AND a.owner = d.id AND a.currency = d.currency), 0) AS fee,
               coalesce((SELECT a.balance_minor FROM ledger_accounts a WHERE a.kind = 'received'
                            AND a.owner = d.id AND a.currency = d.currency), 0) AS received
          FROM escrow_transactions d WHERE d.id = ANY ($1::text[]) OFFSET 0) AS e
 WHERE (e.status IN ('HELD', 'SHIPPED', 'DELIVERED', 'DISPUTED', 'FROZEN')
        AND (e.holding <> e.held_price_minor OR e.fee <> e.held_fee_minor OR e.received <> 0))
    OR (e.status NOT IN ('HELD', 'SHIPPED', 'DELIVERED', 'DISPUTED', 'FROZEN')
        AND (e.holding <> 0 OR e.fee <> 0))
    OR (e.status <> 'PENDING' AND e.received <> 0)
 LIMIT 1000

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
