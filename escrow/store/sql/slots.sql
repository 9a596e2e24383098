-- last_planned --
SELECT max(planned_at) FROM job_slots WHERE job = $1

-- plan --
-- Missed slots: the newest is open, the others are superseded. Known ones stay as they are.
INSERT INTO job_slots (job, planned_at, state, finished_at)
SELECT $1, at, CASE WHEN at = $3 THEN 'OPEN' ELSE 'SUPERSEDED' END,
       CASE WHEN at = $3 THEN NULL ELSE $4::timestamptz END
  FROM unnest($2::timestamptz[]) AS at
ON CONFLICT (job, planned_at) DO NOTHING

-- supersede --
-- Older slots that nobody runs any more make way for a newer one.
UPDATE job_slots SET state = 'SUPERSEDED', owner = NULL, beat_at = NULL, finished_at = $3
 WHERE job = $1 AND planned_at < $2
   AND (state = 'OPEN' OR state = 'RUNNING' AND beat_at < $4)

-- take --
-- The newest open slot of a job, or one whose owner is silent since $4. None while another one of
-- the job is being run, and none in a pause unless $5.
UPDATE job_slots
   SET state = 'RUNNING', owner = $2, beat_at = $3, tries = tries + 1, next_try_at = NULL
 WHERE job = $1
   AND planned_at = (SELECT max(planned_at) FROM job_slots
                      WHERE job = $1 AND state IN ('OPEN', 'RUNNING'))
   AND (state = 'OPEN' AND (next_try_at IS NULL OR next_try_at <= $3)
        OR state = 'RUNNING' AND beat_at < $4)
   AND NOT EXISTS (SELECT FROM job_slots r WHERE r.job = $1 AND r.state = 'RUNNING'
                    AND r.beat_at >= $4)
   AND ($5 OR NOT EXISTS (SELECT FROM pauses WHERE ended_at IS NULL))
RETURNING planned_at, tries

-- lock_job --
SELECT pg_advisory_xact_lock(hashtextextended('job:' || $1, 0))

-- beat --
UPDATE job_slots SET beat_at = $4
 WHERE job = $1 AND planned_at = $2 AND owner = $3 AND state = 'RUNNING'
RETURNING true

-- finish --
UPDATE job_slots SET state = 'DONE', owner = NULL, beat_at = NULL, finished_at = $4
 WHERE job = $1 AND planned_at = $2 AND owner = $3 AND state = 'RUNNING'
RETURNING true

-- release --
-- It failed: somebody tries again, but not before $4.
UPDATE job_slots SET state = 'OPEN', owner = NULL, beat_at = NULL, next_try_at = $4
 WHERE job = $1 AND planned_at = $2 AND owner = $3 AND state = 'RUNNING'
RETURNING true

-- prune --
-- Slots of long ago; the last one of each job stays, or it would count as never run.
DELETE FROM job_slots s WHERE s.planned_at < $1 AND s.finished_at IS NOT NULL
   AND s.planned_at < (SELECT max(planned_at) FROM job_slots l WHERE l.job = s.job)
