-- insert --
-- A question; no row when this cause asked before.
INSERT INTO admin_actions (cause, kind, target, escrow_id, params, facts, currency, amount_minor,
    parties, asked_by, asked_at, expires_at, number, needs_second, state)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 'ASKED')
ON CONFLICT (cause) DO NOTHING
RETURNING id

-- by_cause --
SELECT id FROM admin_actions WHERE cause = $1

-- one --
-- An action, and who confirmed it besides the one who asked.
SELECT a.*, EXISTS (SELECT FROM admin_approvals p
                     WHERE p.action_id = a.id AND p.admin IS DISTINCT FROM a.asked_by) AS seconded,
       (SELECT p.admin FROM admin_approvals p
         WHERE p.action_id = a.id AND p.admin <> a.asked_by ORDER BY p.at LIMIT 1) AS second
  FROM admin_actions a WHERE a.id = $1

-- lock --
SELECT id FROM admin_actions WHERE id = $1 FOR NO KEY UPDATE

-- newest_open --
-- The newest open action that this admin asked for, or that waits for a second and is another's.
SELECT id FROM admin_actions
 WHERE kind = $1 AND target = $2 AND state IN ('ASKED', 'CONFIRMED')
   AND (asked_by = $3 OR state = 'CONFIRMED')
 ORDER BY number = $4 DESC, id DESC LIMIT 1

-- last_with --
-- The newest action with that number, over or not: what a repeat means.
SELECT id FROM admin_actions
 WHERE kind = $1 AND target = $2 AND number = $3
 ORDER BY id DESC LIMIT 1

-- approve --
-- One more confirmation; no row when he confirmed before.
INSERT INTO admin_approvals (action_id, admin, at) VALUES ($1, $2, $3)
ON CONFLICT DO NOTHING
RETURNING action_id

-- confirm --
UPDATE admin_actions SET state = 'CONFIRMED', second_until = $2 WHERE id = $1

-- done --
UPDATE admin_actions SET state = 'DONE', outcome = $2, done_at = $3 WHERE id = $1

-- close --
UPDATE admin_actions SET state = $2, closed_by = $3 WHERE id = $1

-- wrong --
-- A wrong number; the same cause counts once. The third one ends the action.
UPDATE admin_actions
   SET wrong = wrong || $2::text,
       state = CASE WHEN cardinality(wrong) + 1 >= $3::integer THEN 'LEFT' ELSE state END
 WHERE id = $1 AND NOT $2::text = ANY (wrong)

-- waiting_for --
-- What was asked for about a deal and waits for a second confirmation, oldest first.
SELECT id FROM admin_actions WHERE state = 'CONFIRMED' AND escrow_id = $1 ORDER BY id

-- over --
-- Open actions whose time is over.
SELECT id FROM admin_actions
 WHERE state IN ('ASKED', 'CONFIRMED') AND coalesce(second_until, expires_at) <= $1
 ORDER BY id LIMIT $2

-- last_move --
-- The last event that moved a deal, and the name of whoever caused it.
SELECT t.event, t.actor, t.at, p.first_name AS name
  FROM escrow_timeline t
  LEFT JOIN people p ON p.telegram_id = nullif(split_part(t.actor, ':', 2), '')::bigint
 WHERE t.escrow_id = $1 AND t.version IS NOT NULL
 ORDER BY t.version DESC LIMIT 1

-- name_of --
-- How an admin is called, if he ever pressed Start.
SELECT nullif(first_name, '') FROM people WHERE telegram_id = $1
