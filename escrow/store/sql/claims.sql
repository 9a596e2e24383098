-- insert --
-- A new claim; no row when this cause made one before, or the person has one open on that receipt.
INSERT INTO payment_claims (cause, token, telegram_id, escrow_id, reference, state, claimed_minor,
    created_at, next_check_at, said_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT DO NOTHING
RETURNING *

-- by_cause --
SELECT * FROM payment_claims WHERE cause = $1

-- by_token --
SELECT * FROM payment_claims WHERE token = $1

-- by_id --
SELECT * FROM payment_claims WHERE id = $1

-- open_of --
SELECT * FROM payment_claims
 WHERE telegram_id = $1 AND reference = $2 AND state IN ('ASKED', 'WAITING', 'PERSON')

-- since --
-- How often a person claimed since then.
SELECT count(*) FROM payment_claims WHERE telegram_id = $1 AND created_at > $2

-- told --
-- What M-Pesa says of the receipt, once.
UPDATE payment_claims SET amount_minor = $2, payer_shown = $3, happened_at = $4
 WHERE id = $1 AND amount_minor IS NULL AND state IN ('ASKED', 'WAITING', 'PERSON')

-- step --
-- Moves an open claim on, looked at again then; no row when it is decided.
UPDATE payment_claims SET state = $2, why = $3, next_check_at = $4
 WHERE id = $1 AND state IN ('ASKED', 'WAITING', 'PERSON')
RETURNING *

-- decide --
-- Closes an open claim; no row when it is decided.
UPDATE payment_claims
   SET state = $2, why = $3, receipt_id = $4, decided_at = $5, decided_by = $6, next_check_at = NULL
 WHERE id = $1 AND state IN ('ASKED', 'WAITING', 'PERSON')
RETURNING *

-- take_due --
-- Takes claims that are due for another look; pushes them on so that nobody else does.
UPDATE payment_claims SET next_check_at = $1::timestamptz + interval '2 minutes', checks = checks + 1
 WHERE id IN (SELECT id FROM payment_claims WHERE next_check_at <= $1
               ORDER BY next_check_at LIMIT $2 FOR UPDATE SKIP LOCKED)
RETURNING *

-- prompts_without_number --
-- Prompts on any deal that a payment of this amount may be of, not refused, and no receipt number
-- stands for them yet: about that time. Where the time is not known: those that were credited
-- without a number, or that a query may still find paid; the others only count with their number.
-- The time has bounds where it is not known, too, and receipts are looked up one by one (OFFSET 0),
-- so that no plan reads all prompts or receipts.
SELECT a.* FROM payment_attempts a
 WHERE a.amount_minor = $1 AND a.state <> 'DECLINED'
   AND a.created_at >= coalesce($2::timestamptz - interval '10 minutes', '-infinity')
   AND a.created_at <= coalesce($2::timestamptz + interval '2 minutes', 'infinity')
   AND ($2::timestamptz IS NOT NULL
        OR a.state = 'PAID' OR a.closed_at IS NULL OR a.next_query_at IS NOT NULL)
   AND NOT EXISTS (SELECT FROM receipts r WHERE r.attempt_id = a.id AND r.reference IS NOT NULL
                                            AND r.state <> 'IGNORED' OFFSET 0)
 ORDER BY a.id

-- reserved_by --
-- The deals that a person holds a reservation on and that have no buyer.
SELECT v.escrow_id FROM reservations v JOIN escrow_transactions e ON e.id = v.escrow_id
 WHERE v.telegram_id = $1 AND e.status = 'PENDING' AND e.buyer_telegram_id IS NULL
 ORDER BY v.until DESC
