-- receipts --
-- Those of these numbers that we know.
SELECT * FROM receipts WHERE provider = 'mpesa' AND reference = ANY ($1::text[])

-- payouts --
-- Those that one of these numbers paid, or is said to have paid.
SELECT * FROM payouts WHERE provider_reference = ANY ($1::text[])
UNION
SELECT * FROM payouts
 WHERE named_reference = ANY ($1::text[]) AND state NOT IN ('PAID', 'FAILED')

-- bookings --
SELECT kind, receipt, currency, amount_minor, booked_by, booked_at FROM bookings
 WHERE receipt = ANY ($1::text[])

-- add_charges --
-- Charges that are not booked under their number yet; returns the numbers of the new ones.
INSERT INTO bookings (kind, receipt, currency, amount_minor, booked_by, booked_at)
SELECT 'charge', c.receipt, 'KES', c.minor, $3, $4
  FROM unnest($1::text[], $2::bigint[]) AS c (receipt, minor)
ON CONFLICT (receipt) DO NOTHING
RETURNING receipt

-- credited --
-- A page of what was credited or put into suspense and happened in that time; the cursor is the last
-- row's time and id.
SELECT * FROM receipts
 WHERE state IN ('CREDITED', 'SUSPENSE') AND provider = 'mpesa'
   AND happened_at <= $2 AND (happened_at, id) > ($1, $3)
 ORDER BY happened_at, id LIMIT $4

-- paid --
-- A page of payouts that M-Pesa itself said it paid, asked for and answered in that time.
SELECT p.*, a.sent_at FROM payouts p
  JOIN payout_attempts a ON a.payout_id = p.id AND a.state = 'PAID'
 WHERE p.state = 'PAID' AND p.closed_by IS NULL
   AND p.finalized_at <= $2 AND (p.finalized_at, p.id) > ($1, $3)
 ORDER BY p.finalized_at, p.id LIMIT $4

-- open_payouts --
-- Payouts that nobody can say the end of.
SELECT * FROM payouts WHERE state IN ('UNKNOWN', 'MANUAL', 'SENDING') AND currency = 'KES'
 ORDER BY id LIMIT $1

-- add_reversal --
INSERT INTO provider_reversals (receipt, reversal, currency, amount_minor, happened_at, told_by,
    told_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT DO NOTHING
RETURNING receipt

-- reversal --
SELECT reversal FROM provider_reversals WHERE receipt = $1

-- late_reversals --
-- Reversals of payments that stand in the books, and are not on their way back by us.
SELECT p.* FROM provider_reversals p
  JOIN receipts r ON r.provider = 'mpesa' AND r.reference = p.receipt
 WHERE r.state IN ('CREDITED', 'SUSPENSE')
   AND r.currency = p.currency AND r.amount_minor = p.amount_minor
   AND NOT EXISTS (SELECT FROM payouts o WHERE o.receipt_id = r.id AND o.state <> 'FAILED')
 ORDER BY p.receipt LIMIT $1

-- turn --
-- A receipt that its provider took back.
UPDATE receipts SET state = 'REVERSED' WHERE id = $1

-- after --
-- What the books booked at M-Pesa of things that happened after that time. Journals are written in
-- the order of their ids, so only the newest are read: their entries first (OFFSET 0), since a plan
-- that begins at the account reads all payments there ever were.
SELECT coalesce(sum(e.amount_minor), 0)::bigint
  FROM ledger_journals j
 CROSS JOIN LATERAL (SELECT account_id, amount_minor FROM ledger_entries
                      WHERE journal_id = j.id OFFSET 0) AS e
  JOIN ledger_accounts a ON a.id = e.account_id
 WHERE j.id > coalesce((SELECT b.id FROM ledger_journals b WHERE b.written_at <= $1
                         ORDER BY b.id DESC LIMIT 1), 0)
   AND j.id <= (SELECT max(id) FROM ledger_journals)
   AND j.happened_at > $1 AND a.kind = 'external' AND a.owner LIKE 'mpesa:%' AND a.currency = 'KES'
