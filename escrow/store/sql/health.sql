-- stuck --
-- Deals under way that nothing has moved since $1, the oldest first.
SELECT id, status, updated_at AS since FROM escrow_transactions
 WHERE status IN ('PENDING', 'HELD', 'SHIPPED', 'DELIVERED', 'DISPUTED', 'FROZEN')
   AND archived_at IS NULL AND updated_at <= $1
 ORDER BY updated_at LIMIT $2

-- old_disputes --
-- Disputes that are open since before $1, the oldest first.
SELECT escrow_id AS id, status, opened_at AS since FROM escrow_disputes
 WHERE status IN ('OPEN', 'UNDER_REVIEW') AND opened_at <= $1
 ORDER BY opened_at LIMIT $2

-- critical_flags --
SELECT count(*) FROM fraud_flags WHERE severity = 'CRITICAL' AND reviewed_at IS NULL
