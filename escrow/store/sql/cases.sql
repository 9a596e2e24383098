-- open_disputes --
-- A page of the open disputes: first those whose other side let its time pass, then the oldest;
-- who has each of them.
SELECT d.*, p.first_name AS taken_name
  FROM escrow_disputes d LEFT JOIN people p ON p.telegram_id = d.taken_by
 WHERE d.status IN ('OPEN', 'UNDER_REVIEW')
 ORDER BY (d.answered_at IS NULL AND d.answer_by < $1) DESC, d.opened_at, d.id
OFFSET $2 LIMIT $3

-- open_counts --
-- How many deals are in each status that is not the end.
SELECT status, count(*) AS deals FROM escrow_transactions
 WHERE archived_at IS NULL
   AND status IN ('PENDING', 'HELD', 'SHIPPED', 'DELIVERED', 'DISPUTED', 'FROZEN')
 GROUP BY status

-- by_status --
-- A page of the deals in a status, what changed last first.
SELECT e.id, e.updated_at, p.first_name AS buyer_name
  FROM escrow_transactions e LEFT JOIN people p ON p.telegram_id = e.buyer_telegram_id
 WHERE e.status = $1 AND e.archived_at IS NULL
 ORDER BY e.updated_at DESC, e.id
OFFSET $2 LIMIT $3

-- receipts --
-- What came in for a deal, oldest first.
SELECT * FROM receipts WHERE escrow_id = $1 ORDER BY received_at, id LIMIT 50

-- payouts --
-- What goes out, or went, because of a deal.
SELECT * FROM payouts WHERE escrow_id = $1 ORDER BY id

-- ways_back --
-- What goes back, or went, to whoever paid for a deal.
SELECT * FROM payouts
 WHERE receipt_id = ANY (SELECT id FROM receipts WHERE escrow_id = $1) ORDER BY id

-- balances --
-- What the books hold for a deal.
SELECT kind, balance_minor FROM ledger_accounts
 WHERE kind IN ('received', 'holding', 'pending_fee', 'receivable') AND owner = $1 AND currency = $2

-- buyer_record --
-- A buyer's deals that held money, archived or not, and what became of them.
SELECT count(*) AS deals,
       count(*) FILTER (WHERE e.status = 'COMPLETED') AS completed,
       count(*) FILTER (WHERE e.status = 'REFUNDED') AS refunded,
       count(*) FILTER (WHERE e.disputed_at IS NOT NULL) AS disputed
  FROM escrow_transactions e WHERE e.buyer_telegram_id = $1 AND e.funded_at IS NOT NULL

-- open_flags --
SELECT flag_type, severity FROM fraud_flags
 WHERE telegram_id = $1 AND reviewed_at IS NULL ORDER BY created_at DESC LIMIT 10

-- timeline --
-- Everything that happened to a deal, oldest first, each with the name of whoever did it.
SELECT t.event, t.from_status, t.to_status, t.actor, t.at, t.data, p.first_name AS name,
       s.first_name AS second
  FROM escrow_timeline t
  LEFT JOIN people s ON s.telegram_id = (substring(t.data ->> 'second' FROM '^[0-9]{1,18}$'))::bigint
  LEFT JOIN people p ON p.telegram_id = (substring(t.actor FROM ':([0-9]{1,18})$'))::bigint
 WHERE t.escrow_id = $1 ORDER BY t.id

-- names --
SELECT telegram_id, first_name FROM people WHERE telegram_id = ANY ($1::bigint[])
