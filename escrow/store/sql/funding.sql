-- claim_looks --
-- Receipts of large deals (from $2 on) that are on their way: M-Pesa is asked about them again at
-- shipping and $3 before the release, until it answers, $5 times at most, not again since $4.
SELECT r.id, r.reference FROM receipts r
 WHERE r.id = ANY (ARRAY(
       SELECT f.id
         FROM escrow_transactions e
        CROSS JOIN LATERAL (SELECT CASE WHEN e.release_at - $3::interval <= $1::timestamptz
                                        THEN greatest(e.release_at - $3::interval, e.shipped_at)
                                        ELSE e.shipped_at END AS since) AS look
        -- deal by deal, so that no plan reads all receipts
        CROSS JOIN LATERAL (SELECT d.id FROM receipts d
                             WHERE d.escrow_id = e.id AND d.state = 'CREDITED'
                               AND d.provider = 'mpesa' AND d.reference IS NOT NULL
                               -- a number that was only read off may be another payment's
                               AND NOT d.reference_fitted
                            OFFSET 0) AS f
        WHERE e.status IN ('SHIPPED', 'DELIVERED') AND e.currency = 'KES' AND e.price_minor >= $2
          AND look.since IS NOT NULL
          AND NOT EXISTS (SELECT FROM status_queries q
                           WHERE q.receipt_id = f.id AND q.asked_at >= look.since
                             AND (q.asked_at > $4 OR q.answer IN ('completed', 'denied')))
          AND (SELECT count(*) FROM status_queries q
                WHERE q.receipt_id = f.id AND q.asked_at >= look.since) < $5
        ORDER BY e.release_at, f.id
        LIMIT $6))
 ORDER BY r.id
   FOR UPDATE SKIP LOCKED

-- refused --
-- Answers that a receipt does not stand, and nobody has acted upon. What was asked before it was
-- credited is a claim's question: the credit knew the answer.
SELECT q.id, q.asked_at, q.receipt_id, r.escrow_id,
       coalesce(q.asked_at >= r.posted_at AND NOT r.reference_fitted, false) AS counts
  FROM status_queries q JOIN receipts r ON r.id = q.receipt_id
 WHERE q.answer = 'denied' AND q.looked_at IS NULL AND q.id <> ALL ($1::bigint[])
 ORDER BY q.id
 LIMIT $2

-- looked --
-- No row: somebody else acted upon it.
UPDATE status_queries SET looked_at = $2 WHERE id = $1 AND looked_at IS NULL RETURNING id
