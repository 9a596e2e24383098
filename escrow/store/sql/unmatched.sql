-- waiting --
-- Money that nobody is credited with, oldest first: in suspense (but not on its way back), or
-- waiting for an admin's word.
SELECT r.* FROM receipts r
 WHERE (r.state = 'SUSPENSE' AND NOT EXISTS (SELECT FROM payouts p
                                              WHERE p.receipt_id = r.id AND p.state <> 'FAILED'))
    OR (r.state = 'WAITING' AND r.next_check_at IS NULL)
 ORDER BY r.received_at, r.id
OFFSET $1 LIMIT $2

-- waiting_count --
SELECT count(*) FROM receipts r
 WHERE (r.state = 'SUSPENSE' AND NOT EXISTS (SELECT FROM payouts p
                                              WHERE p.receipt_id = r.id AND p.state <> 'FAILED'))
    OR (r.state = 'WAITING' AND r.next_check_at IS NULL)

-- going_back --
-- How many receipts out of suspense are on their way back now.
SELECT count(*) FROM payouts
 WHERE receipt_id IS NOT NULL AND telegram_id IS NULL AND state NOT IN ('PAID', 'FAILED')

-- by_sum --
-- Deals that wait for exactly that sum, or for exactly that missing part; those that were there
-- when it was paid first, the newest of them before the others.
SELECT id FROM (
    SELECT id, created_at FROM escrow_transactions
     WHERE status = 'PENDING' AND currency = $1 AND due_minor = $2 AND archived_at IS NULL
    UNION
    SELECT e.id, e.created_at
      FROM underpayment_choices c JOIN escrow_transactions e ON e.id = c.escrow_id
     WHERE c.used_at IS NULL AND c.voided_at IS NULL AND e.currency = $1
       AND c.due_minor - c.received_minor = $2) AS found
 ORDER BY created_at > $4, greatest(created_at, $4) - least(created_at, $4) LIMIT $3

-- by_number --
-- Unpaid deals of people whose number begins and ends so.
SELECT e.id FROM people p
  JOIN escrow_transactions e ON e.buyer_telegram_id = p.telegram_id
 WHERE p.phone LIKE $1 AND e.status = 'PENDING' AND e.archived_at IS NULL
 ORDER BY e.created_at DESC LIMIT $2

-- candidates --
-- These deals, if they can still be paid, with the number of their buyer or reserver, and whether
-- somebody was about to pay them at that time ($3): a prompt within the half hour before, or a
-- reservation.
SELECT e.id, coalesce(b.phone, h.phone) AS phone,
       EXISTS (SELECT FROM payment_attempts a
                WHERE a.escrow_id = e.id
                  AND a.created_at BETWEEN $3::timestamptz - interval '30 minutes'
                                       AND $3::timestamptz + interval '2 minutes')
       OR EXISTS (SELECT FROM reservations r
                   WHERE r.escrow_id = e.id AND $3 BETWEEN r.since AND r.until) AS then_paid
  FROM escrow_transactions e
  LEFT JOIN people b ON b.telegram_id = e.buyer_telegram_id
  LEFT JOIN reservations v ON v.escrow_id = e.id AND v.until > $2
  LEFT JOIN people h ON h.telegram_id = v.telegram_id
 WHERE e.id = ANY ($1::text[]) AND e.status = 'PENDING'

-- paid_from --
-- The payer's number as far as we know it, and whether the receipt's number was only fitted to it.
SELECT coalesce(a.phone, r.payer_shown) AS paid_from, r.reference_fitted AS fitted
  FROM receipts r LEFT JOIN payment_attempts a ON a.id = r.attempt_id
 WHERE r.id = $1

-- by_reference --
-- Whatever provider it came by.
SELECT * FROM receipts WHERE reference = $1 ORDER BY id LIMIT 1

-- used_wallet --
-- Whether (a part of) this deal was paid from a wallet.
SELECT EXISTS (SELECT FROM ledger_journals WHERE escrow_id = $1 AND kind = 'wallet_payment')

-- went_to_wallet --
-- Whether undecided money of its deal went to the wallet after this receipt had come in.
SELECT EXISTS (
    SELECT FROM receipts r
      JOIN ledger_journals j ON j.escrow_id = r.escrow_id
      JOIN ledger_entries e ON e.journal_id = j.id AND e.amount_minor < 0
      JOIN ledger_accounts a ON a.id = e.account_id AND a.kind = 'received'
     WHERE r.id = $1 AND j.kind NOT IN ('fund', 'overpayment', 'reversal')
       AND j.id > (SELECT max(c.id) FROM ledger_journals c
                    WHERE c.idempotency_key = ANY (ARRAY[
                              'receipt:' || r.provider || ':' || r.reference,
                              'claim:' || r.provider || ':' || r.reference,
                              'receipt:' || r.provider || ':attempt-' || r.attempt_id,
                              'claim:' || r.provider || ':attempt-' || r.attempt_id])))
