-- finished --
-- Deals that ended so ($1) before $2 and are not archived, the next $5 after (the time $3, deal $4).
-- What is over was changed last when it ended, so this reads its index from where it begins.
SELECT id, updated_at FROM escrow_transactions
 WHERE status = $1 AND archived_at IS NULL AND updated_at < $2 AND (updated_at, id) > ($3, $4)
   AND coalesce(completed_at, refunded_at, cancelled_at) < $2
 ORDER BY updated_at, id
 LIMIT $5

-- archive --
-- They leave lists and working indexes; nothing of them is moved or deleted.
UPDATE escrow_transactions SET archived_at = $2
 WHERE id IN (SELECT id FROM escrow_transactions
               WHERE id = ANY ($1::text[]) AND archived_at IS NULL
                 AND status IN ('COMPLETED', 'REFUNDED', 'CANCELLED')
               ORDER BY id FOR NO KEY UPDATE)
RETURNING id

-- reviewed_flags --
SELECT id FROM fraud_flags WHERE reviewed_at <= $1 AND id > $2 ORDER BY id LIMIT $3

-- drop_flags --
DELETE FROM fraud_flags WHERE id = ANY ($1::bigint[]) AND reviewed_at IS NOT NULL RETURNING id

-- raw_bodies --
-- Callbacks that were done with before $1 and still have what they said, as above.
SELECT id, processed_at AS at FROM inbox
 WHERE state = 'DONE' AND (body <> '' OR query <> '') AND processed_at < $1
   AND (processed_at, id) > ($2, $3)
 ORDER BY processed_at, id
 LIMIT $4

-- empty_bodies --
-- The row and its digest stay: the same request again is known for ever.
UPDATE inbox SET body = '', query = '' WHERE id = ANY ($1::bigint[]) AND state = 'DONE' RETURNING id

-- update_bodies --
SELECT update_id AS id, done_at AS at FROM telegram_updates
 WHERE state = 'DONE' AND body <> '{}' AND done_at < $1 AND (done_at, update_id) > ($2, $3)
 ORDER BY done_at, update_id
 LIMIT $4

-- empty_updates --
-- The row stays, so that the update is known.
UPDATE telegram_updates SET body = '{}' WHERE update_id = ANY ($1::bigint[]) AND state = 'DONE'
RETURNING update_id

-- conversations --
SELECT telegram_id FROM conversations
 WHERE updated_at < $1 AND telegram_id > $2 ORDER BY telegram_id LIMIT $3

-- drop_conversations --
-- Not one that somebody has just taken up again.
DELETE FROM conversations WHERE telegram_id = ANY ($1::bigint[]) AND updated_at < $2
RETURNING telegram_id

-- notices --
-- The next $3 notices after $2, in the order in which they came: whether each is older than $1, and
-- whether it may go: it is closed since then, and its deal, if it has one, is archived. Deals are
-- looked up one by one, so that no plan reads all of them.
SELECT o.id, o.created_at < $1 AS old,
       coalesce(o.closed_at < $1, false)
       AND (o.escrow_id IS NULL
            OR coalesce((SELECT e.archived_at IS NOT NULL FROM escrow_transactions e
                          WHERE e.id = o.escrow_id), false)) AS over
  FROM outbox o WHERE o.id > $2 ORDER BY o.id LIMIT $3

-- drop_notices --
DELETE FROM outbox WHERE id = ANY ($1::bigint[]) AND state <> 'QUEUED' RETURNING id

-- refresh_statistics --
SELECT refresh_statistics($1)

-- ours --
-- Which of these tables belong to whom we work as.
SELECT c.relname FROM pg_class c
 WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r'
   AND c.relname = ANY ($1::text[]) AND pg_has_role(c.relowner, 'USAGE')

-- vacuum_escrow_transactions --
VACUUM (ANALYZE, SKIP_LOCKED) escrow_transactions

-- vacuum_escrow_timeline --
VACUUM (ANALYZE, SKIP_LOCKED) escrow_timeline

-- vacuum_escrow_disputes --
VACUUM (ANALYZE, SKIP_LOCKED) escrow_disputes

-- vacuum_settlements --
VACUUM (ANALYZE, SKIP_LOCKED) settlements

-- vacuum_receipts --
VACUUM (ANALYZE, SKIP_LOCKED) receipts

-- vacuum_payouts --
VACUUM (ANALYZE, SKIP_LOCKED) payouts

-- vacuum_ledger_accounts --
VACUUM (ANALYZE, SKIP_LOCKED) ledger_accounts

-- vacuum_ledger_journals --
VACUUM (ANALYZE, SKIP_LOCKED) ledger_journals

-- vacuum_ledger_entries --
VACUUM (ANALYZE, SKIP_LOCKED) ledger_entries

-- vacuum_inbox --
VACUUM (ANALYZE, SKIP_LOCKED) inbox

-- vacuum_outbox --
VACUUM (ANALYZE, SKIP_LOCKED) outbox

-- vacuum_telegram_updates --
VACUUM (ANALYZE, SKIP_LOCKED) telegram_updates
