-- insert --
-- One open flag per person and type, for unshipped orders one per deal; a second one is left out.
INSERT INTO fraud_flags (telegram_id, user_type, flag_type, severity, escrow_id, rule, deals, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT DO NOTHING
RETURNING id

-- open --
-- Flags that nobody has reviewed, the worst and oldest first, with whom they are about.
SELECT f.*, p.first_name, s.id AS seller_id, s.shop_name, s.status AS seller_status
  FROM fraud_flags f
  JOIN people p USING (telegram_id)
  LEFT JOIN escrow_sellers s USING (telegram_id)
 WHERE f.reviewed_at IS NULL
 ORDER BY array_position(ARRAY['CRITICAL', 'HIGH', 'MEDIUM', 'LOW'], f.severity), f.created_at, f.id
OFFSET $1 LIMIT $2

-- open_counts --
-- How many flags nobody has reviewed, by severity.
SELECT severity, count(*) AS count FROM fraud_flags WHERE reviewed_at IS NULL GROUP BY severity

-- one --
SELECT f.*, p.first_name, s.id AS seller_id, s.shop_name, s.status AS seller_status
  FROM fraud_flags f
  JOIN people p USING (telegram_id)
  LEFT JOIN escrow_sellers s USING (telegram_id)
 WHERE f.id = $1

-- review --
-- Somebody looked at it: once. No row: it was reviewed before.
UPDATE fraud_flags SET reviewed_at = $2, reviewed_by = $3, review_notes = $4, review_cause = $5
 WHERE id = $1 AND reviewed_at IS NULL
RETURNING id

-- unshipped_since --
-- The deals that a seller did not send in time since then, newest first.
SELECT escrow_id FROM fraud_flags
 WHERE telegram_id = $1 AND flag_type = 'unshipped_order' AND created_at >= $2
 ORDER BY id DESC

-- shortages_since --
-- A buyer's deals that were funded short within the tolerance since then, newest first.
SELECT e.id FROM escrow_transactions e
  JOIN escrow_timeline t ON t.escrow_id = e.id AND t.event = 'fund'
 WHERE e.buyer_telegram_id = $1 AND e.funded_at >= $2 AND (t.data ->> 'waived_minor')::bigint > 0
 ORDER BY e.funded_at DESC, e.id
