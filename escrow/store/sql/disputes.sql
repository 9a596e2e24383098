-- insert --
-- A new dispute; the caller holds the deal's lock.
INSERT INTO escrow_disputes (escrow_id, raised_by, raised_role, disputed_from, reason, opened_at,
    answer_by)
VALUES ($1, $2, $3, $4, $5, $6, $7)
RETURNING *

-- open_of --
-- The open dispute of a deal.
SELECT * FROM escrow_disputes WHERE escrow_id = $1 AND status IN ('OPEN', 'UNDER_REVIEW')

-- last_of --
-- The newest dispute of a deal.
SELECT * FROM escrow_disputes WHERE escrow_id = $1 ORDER BY id DESC LIMIT 1

-- by_cause --
-- The dispute that this cause opened: the timeline keeps both.
SELECT d.* FROM escrow_timeline t JOIN escrow_disputes d ON d.id = (t.data ->> 'dispute')::bigint
 WHERE t.escrow_id = $1 AND t.event = 'dispute' AND t.data ->> 'cause' = $2

-- withdrawn --
-- Whether a dispute of the deal was withdrawn before.
SELECT EXISTS (SELECT FROM escrow_disputes WHERE escrow_id = $1 AND status = 'WITHDRAWN')

-- take --
-- An admin takes an open dispute; no row when one of the admins has it, or it is closed.
UPDATE escrow_disputes SET status = 'UNDER_REVIEW', taken_by = $2, taken_at = $3
 WHERE id = $1 AND (status = 'OPEN'
                    OR (status = 'UNDER_REVIEW' AND taken_by <> ALL ($4::bigint[])))
RETURNING *

-- close --
-- Closes an open dispute; no row when it is closed.
UPDATE escrow_disputes
   SET status = $2, resolution = $3, buyer_percent = $4, notes = $5, closed_by = $6, closed_at = $7
 WHERE id = $1 AND status IN ('OPEN', 'UNDER_REVIEW')
RETURNING id

-- answered --
-- The other side said something for the first time; no row when it did before, or is not he.
UPDATE escrow_disputes SET answered_at = $3
 WHERE id = $1 AND raised_by <> $2 AND answered_at IS NULL AND status IN ('OPEN', 'UNDER_REVIEW')
RETURNING id

-- open --
-- Open disputes: first those whose other side let its time pass, then the oldest.
SELECT * FROM escrow_disputes WHERE status IN ('OPEN', 'UNDER_REVIEW')
 ORDER BY (answered_at IS NULL AND answer_by < $1) DESC, opened_at, id
 LIMIT $2

-- count_open --
SELECT count(*) FROM escrow_disputes WHERE status IN ('OPEN', 'UNDER_REVIEW')

-- silent --
-- Locks disputes whose other side let its time pass, of which the admins were not told. One on a
-- frozen deal waits: nobody may answer there.
SELECT d.* FROM escrow_disputes d JOIN escrow_transactions e ON e.id = d.escrow_id
 WHERE d.status IN ('OPEN', 'UNDER_REVIEW') AND d.answered_at IS NULL AND d.answer_by < $1
   AND d.silence_told_at IS NULL AND e.status = 'DISPUTED'
 ORDER BY d.answer_by, d.id
 LIMIT $2
   FOR UPDATE OF d SKIP LOCKED

-- silence_told --
UPDATE escrow_disputes SET silence_told_at = $2 WHERE id = ANY ($1::bigint[])
