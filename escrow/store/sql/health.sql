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

-- last_runs --
-- The last run of each job, found name by name: one of them runs every few seconds.
WITH RECURSIVE names AS (
    (SELECT job FROM job_runs ORDER BY job LIMIT 1)
    UNION ALL
    SELECT (SELECT r.job FROM job_runs r WHERE r.job > n.job ORDER BY r.job LIMIT 1)
      FROM names n WHERE n.job IS NOT NULL)
SELECT l.job, l.started_at, l.finished_at, l.looked_at, l.done, l.failed, l.error
  FROM names n
 CROSS JOIN LATERAL (SELECT * FROM job_runs r WHERE r.job = n.job ORDER BY r.id DESC LIMIT 1) l
 ORDER BY l.job
