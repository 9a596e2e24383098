-- store_request --
-- Keeps a raw request; the same one again gives its row back and changes nothing.
INSERT INTO inbox (digest, route, token, method, query, body, sender, received_at, next_try_at,
                   listed)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8, $9)
ON CONFLICT (digest) DO NOTHING
RETURNING id

-- request_by_digest --
SELECT id FROM inbox WHERE digest = $1

-- claim_requests --
-- Takes requests that are due; pushes them on, so that one that kills its process is not taken
-- by the next at once. None while everything stands still: they wait for its end.
UPDATE inbox SET tries = tries + 1, next_try_at = $1::timestamptz + interval '1 minute' * (tries + 1)
 WHERE id IN (SELECT id FROM inbox WHERE state = 'NEW' AND next_try_at <= $1
                 AND NOT EXISTS (SELECT FROM pauses WHERE ended_at IS NULL)
               ORDER BY next_try_at, id LIMIT $2 FOR UPDATE SKIP LOCKED)
RETURNING id, route, token, method, query, body, received_at, tries, reruns

-- finish_request --
UPDATE inbox SET state = $2, note = $3, processed_at = $4, next_try_at = NULL
 WHERE id = $1 AND state = 'NEW'

-- retry_request --
UPDATE inbox SET next_try_at = $2, note = $3 WHERE id = $1 AND state = 'NEW'

-- inbox_backlog --
SELECT (SELECT count(*) FROM inbox WHERE state = 'NEW') AS waiting,
       (SELECT count(*) FROM inbox WHERE state = 'PARKED') AS parked

-- parked --
-- What a person must look at, oldest first.
SELECT id, route, note, received_at, processed_at AS parked_at, reruns
  FROM inbox WHERE state = 'PARKED' ORDER BY id LIMIT $1

-- parked_since --
-- How many were parked since then, counted up to a limit.
SELECT count(*) FROM (SELECT FROM inbox WHERE state = 'PARKED' AND processed_at > $1
                       ORDER BY id DESC LIMIT $2) AS late

-- run_again --
-- Puts parked requests back as if they had just come; the others are left out of the answer.
UPDATE inbox SET state = 'NEW', tries = 0, reruns = reruns + 1, next_try_at = $2,
                 processed_at = NULL
 WHERE id = ANY ($1) AND state = 'PARKED'
RETURNING id

-- is_listed --
-- Whether the request came from an address that callbacks may come from.
SELECT listed FROM inbox WHERE id = $1

-- ping --
SELECT true

-- path_secret --
-- The secret in a route's path: made once, then the same for ever.
INSERT INTO path_secrets (route, secret) VALUES ($1, $2)
ON CONFLICT (route) DO NOTHING

-- read_path_secret --
SELECT secret FROM path_secrets WHERE route = $1

-- set_environment --
INSERT INTO instance (environment) VALUES ($1) ON CONFLICT (only_row) DO NOTHING

-- environment --
SELECT environment FROM instance

-- store_updates --
-- Keeps Telegram updates; known ones are left alone.
INSERT INTO telegram_updates (update_id, chat_id, body, received_at)
SELECT u.update_id, u.chat_id, u.body, $2
  FROM jsonb_to_recordset($1) AS u (update_id bigint, chat_id bigint, body jsonb)
ON CONFLICT (update_id) DO NOTHING

-- pending_updates --
-- Updates not handled yet, oldest first.
SELECT update_id, chat_id, body, tries FROM telegram_updates
 WHERE state = 'NEW' ORDER BY update_id LIMIT $1

-- update_started --
UPDATE telegram_updates SET tries = tries + 1 WHERE update_id = $1 AND state = 'NEW' RETURNING tries

-- update_done --
UPDATE telegram_updates SET state = $2, note = $3, done_at = $4 WHERE update_id = $1

-- start_run --
-- No row while everything stands still, unless it runs then, too.
INSERT INTO job_runs (job, started_at)
SELECT $1, $2 WHERE $3 OR NOT EXISTS (SELECT FROM pauses WHERE ended_at IS NULL)
RETURNING id

-- finish_run --
UPDATE job_runs SET finished_at = $2, looked_at = $3, done = $4, skipped = $5, failed = $6, error = $7
 WHERE id = $1

-- prune_runs --
-- Only the runs of the last day are kept, and each job's last one and last good one.
DELETE FROM job_runs r WHERE r.started_at < $1
   AND r.id < (SELECT max(l.id) FROM job_runs l WHERE l.job = r.job)
   AND r.id IS DISTINCT FROM (SELECT g.id FROM job_runs g
                               WHERE g.job = r.job AND g.finished_at IS NOT NULL
                                 AND g.error IS NULL AND g.failed = 0
                               ORDER BY g.id DESC LIMIT 1)

-- last_runs --
-- The last run of each job, the end of its last good one and how many failed since $1, found name by
-- name: some of them run every few seconds.
WITH RECURSIVE names AS (
    (SELECT job FROM job_runs ORDER BY job LIMIT 1)
    UNION ALL
    SELECT (SELECT r.job FROM job_runs r WHERE r.job > n.job ORDER BY r.job LIMIT 1)
      FROM names n WHERE n.job IS NOT NULL)
SELECT l.job, l.started_at, l.finished_at, l.looked_at, l.done, l.failed, l.error,
       (SELECT g.finished_at FROM job_runs g
         WHERE g.job = l.job AND g.finished_at IS NOT NULL AND g.error IS NULL AND g.failed = 0
         ORDER BY g.id DESC LIMIT 1) AS succeeded_at,
       (SELECT count(*) FROM job_runs f
         WHERE f.job = l.job AND f.started_at > $1 AND (f.error IS NOT NULL OR f.failed > 0))
           AS failures
  FROM names n
 CROSS JOIN LATERAL (SELECT * FROM job_runs r WHERE r.job = n.job ORDER BY r.id DESC LIMIT 1) l
 ORDER BY l.job

-- recover_requests --
-- At start: what a killed process had taken is due again.
UPDATE inbox SET next_try_at = $1 WHERE state = 'NEW' AND next_try_at > $1
