-- claim_looks --
-- Receipts of large deals (from $2 on) that are on their way: M-Pesa is asked about them again at
-- shipping and $3 before the release, until it answers, $5 times at most, not again since $4.
SELECT r.id, r.reference
  FROM escrow_transactions e
 CROSS JOIN LATERAL (SELECT CASE WHEN e.release_at - $3::interval <= $1::timestamptz
                                 THEN greatest(e.release_at - $3::interval, e.shipped_at)
                                 ELSE e.shipped_at END AS since) AS look
  JOIN receipts r ON r.escrow_id = e.id
 WHERE e.status IN ('SHIPPED', 'DELIVERED') AND e.currency = 'KES' AND e.price_minor >= $2
   AND r.state = 'CREDITED' AND r.provider = 'mpesa' AND r.reference IS NOT NULL
   AND look.since IS NOT NULL
   AND NOT EXISTS (SELECT FROM status_queries q
                    WHERE q.receipt_id = r.id AND q.asked_at >= look.since
                      AND (q.asked_at > $4 OR q.answer IN ('completed', 'denied')))
   AND (SELECT count(*) FROM status_queries q
         WHERE q.receipt_id = r.id AND q.asked_at >= look.since) < $5
 ORDER BY e.release_at, r.id
 LIMIT $6
   FOR UPDATE OF r SKIP LOCKED

-- refused --
-- Answers that a receipt does not stand, and nobody has acted upon.
SELECT q.id, q.asked_at, q.receipt_id, r.escrow_id
  FROM status_queries q JOIN receipts r ON r.id = q.receipt_id
 WHERE q.answer = 'denied' AND q.looked_at IS NULL AND q.id <> ALL ($1::bigint[])
 ORDER BY q.id
 LIMIT $2

-- looked --
-- No row: somebody else acted upon it.
UPDATE status_queries SET looked_at = $2 WHERE id = $1 AND looked_at IS NULL RETURNING id
