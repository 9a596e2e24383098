-- note --
-- A deal could not be ended by job $1: it is tried again after the wait in $4 that its tries have
-- earned, the last of them at most.
INSERT INTO deal_setbacks AS s (job, escrow_id, version, tries, first_at, next_try_at, error)
SELECT $1, e.id, e.version, 1, $3, $3::timestamptz + ($4::interval[])[1], $5
  FROM escrow_transactions e WHERE e.id = $2
ON CONFLICT (job, escrow_id) DO UPDATE
    SET version = excluded.version, tries = s.tries + 1, error = excluded.error,
        next_try_at = $3 + ($4::interval[])[least(s.tries + 1, cardinality($4::interval[]))]

-- clear --
DELETE FROM deal_setbacks WHERE job = $1 AND escrow_id = $2

-- prune --
-- Deals that moved on since.
DELETE FROM deal_setbacks s USING escrow_transactions e
 WHERE e.id = s.escrow_id AND e.version <> s.version

-- failing --
-- Deals that timers can't end, the oldest first.
SELECT job, escrow_id, tries, first_at FROM deal_setbacks ORDER BY first_at, escrow_id LIMIT $1
