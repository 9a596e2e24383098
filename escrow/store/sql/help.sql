-- insert --
-- Somebody asks. No row: this cause asked before.
INSERT INTO help_requests (cause, telegram_id, escrow_id, words, asked_at)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (cause) DO NOTHING
RETURNING id

-- id_by_cause --
SELECT id FROM help_requests WHERE cause = $1

-- open_since --
-- How many of a person's questions since then have no answer.
SELECT count(*) FROM help_requests
 WHERE telegram_id = $1 AND asked_at > $2 AND answered_at IS NULL

-- request --
SELECT id, telegram_id, escrow_id, words, asked_at, answered_at FROM help_requests WHERE id = $1

-- answered --
-- The first answer counts as the answer.
UPDATE help_requests SET answered_at = $2, answered_by = $3 WHERE id = $1 AND answered_at IS NULL
