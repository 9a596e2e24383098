-- begin --
-- No row: one is open, or this cause began one before.
INSERT INTO pauses (cause, paused_at, paused_by, reason) VALUES ($1, $2, $3, $4)
ON CONFLICT DO NOTHING
RETURNING *

-- open_one --
SELECT * FROM pauses WHERE ended_at IS NULL

-- lock_open --
SELECT * FROM pauses WHERE ended_at IS NULL FOR UPDATE

-- caused --
-- The pause that this cause began, or ended.
SELECT * FROM pauses WHERE cause = $1 OR resume_cause = $1

-- last --
SELECT * FROM pauses ORDER BY id DESC LIMIT 1

-- resume --
UPDATE pauses SET resumed_at = $2, resumed_by = $3, resume_cause = $4 WHERE id = $1 RETURNING *

-- told --
UPDATE pauses SET told_to = $2, told = $3 WHERE id = $1

-- moved --
UPDATE pauses SET moved_to = $2, moved = moved + $3 WHERE id = $1

-- end --
UPDATE pauses SET ended_at = $2 WHERE id = $1 RETURNING *

-- parties --
-- Whose money is held, from one Telegram id on.
SELECT DISTINCT p.telegram_id
  FROM escrow_transactions e,
       LATERAL (VALUES (e.buyer_telegram_id), (e.seller_telegram_id)) AS p (telegram_id)
 WHERE e.status IN ('HELD', 'SHIPPED', 'DELIVERED', 'DISPUTED', 'FROZEN')
   AND e.archived_at IS NULL AND p.telegram_id > $1
 ORDER BY p.telegram_id
 LIMIT $2

-- next_deals --
-- Locks the deals under way after one code.
SELECT id FROM escrow_transactions
 WHERE status IN ('PENDING', 'HELD', 'SHIPPED', 'DELIVERED', 'DISPUTED', 'FROZEN')
   AND archived_at IS NULL AND id > $1
 ORDER BY id
 LIMIT $2
   FOR UPDATE

-- move_deadlines --
-- Moves the deadline that runs, where it is later than the pause's beginning, by the pause's length.
-- What is disputed or frozen gets its time back when that ends (flow.md 31); of a deal frozen during
-- the pause that is the time from its freezing on, so here only what came before it.
UPDATE escrow_transactions e
   SET pay_by = CASE WHEN h.clock = 'PENDING' THEN e.pay_by + h.span ELSE e.pay_by END,
       ship_by = CASE WHEN h.clock = 'HELD' THEN e.ship_by + h.span ELSE e.ship_by END,
       release_at = CASE WHEN h.clock IN ('SHIPPED', 'DELIVERED') THEN e.release_at + h.span
                         ELSE e.release_at END
  FROM (SELECT d.id,
               CASE d.status WHEN 'FROZEN' THEN d.frozen_from ELSE d.status END AS clock,
               CASE d.status WHEN 'FROZEN' THEN least(d.frozen_at, $3) ELSE $3 END
                   - $2::timestamptz AS span
          FROM escrow_transactions d WHERE d.id = ANY ($1::text[])) AS h
 WHERE e.id = h.id AND h.span > interval '0'
   AND CASE h.clock WHEN 'PENDING' THEN e.pay_by WHEN 'HELD' THEN e.ship_by
                    WHEN 'SHIPPED' THEN e.release_at WHEN 'DELIVERED' THEN e.release_at END > $2
RETURNING e.id

-- note_moved --
INSERT INTO escrow_timeline (escrow_id, version, event, from_status, to_status, actor, at, data)
SELECT e.id, NULL, 'deadline_moved', e.status, e.status, 'system', $2, $3
  FROM escrow_transactions e WHERE e.id = ANY ($1::text[])

-- move_rests --
-- Payouts to a number that is new: its owner could not take them back meanwhile.
UPDATE payouts p SET not_before = p.not_before + ($2::timestamptz - $1::timestamptz)
 WHERE p.state IN ('READY', 'MANUAL') AND p.not_before > $1
   AND NOT EXISTS (SELECT FROM payout_attempts a WHERE a.payout_id = p.id)

-- open_choices --
SELECT id FROM underpayment_choices
 WHERE escrow_id = ANY ($1::text[]) AND used_at IS NULL AND voided_at IS NULL
 ORDER BY id
