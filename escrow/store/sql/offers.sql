-- insert --
-- A new offer for the deal as it stands; the caller holds the deal's lock.
INSERT INTO offers (cause, escrow_id, kind, version, offered_by, buyer_percent, seller_minor,
    buyer_minor, fee_minor, hours, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
RETURNING id

-- made_since --
-- How many offers that side made on the deal since then.
SELECT count(*) FROM offers WHERE escrow_id = $1 AND offered_by = $2 AND created_at > $3

-- by_id --
SELECT o.*, e.currency FROM offers o JOIN escrow_transactions e ON e.id = o.escrow_id
 WHERE o.id = $1

-- by_cause --
SELECT o.*, e.currency FROM offers o JOIN escrow_transactions e ON e.id = o.escrow_id
 WHERE o.cause = $1

-- open_of --
-- The offer of a deal that nobody closed; the deal may have moved on since.
SELECT o.*, e.currency FROM offers o JOIN escrow_transactions e ON e.id = o.escrow_id
 WHERE o.escrow_id = $1 AND o.closed_at IS NULL

-- close --
-- Closes an open offer; no row when it is closed.
UPDATE offers SET closed_at = $2, closed_as = $3, closed_by = $4
 WHERE id = $1 AND closed_at IS NULL
RETURNING id
