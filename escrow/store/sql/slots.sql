-- lock_job --
-- One process at a time looks at the slots of a job; false when another one does.
SELECT pg_try_advisory_xact_lock(hashtextextended('job:' || $1, 0))

-- forget_ahead --
-- Slots behind $2 are from before the clock was set back: their time comes again. What was done stays.
DELETE FROM job_slots WHERE job = $1 AND planned_at > $2 AND state IN ('OPEN', 'SUPERSEDED')

-- last_planned --
-- The newest known slot by $2. One behind it, from before a clock was set back, does not count.
SELECT max(planned_at) FROM job_slots WHERE job = $1 AND planned_at <= $2

-- plan --
-- Missed slots: the newest is open, the others are superseded. Known ones stay as they are.
INSERT INTO job_slots (job, planned_at, state, finished_at)
SELECT $1, at, CASE WHEN at = $3 THEN 'OPEN' ELSE 'SUPERSEDED' END,
       CASE WHEN at = $3 THEN NULL ELSE $4::timestamptz END
  FROM unnest($2::timestamptz[]) AS at
ON CONFLICT (job, planned_at) DO NOTHING

-- supersede --
-- Whatever is older than the newest slot by $2 and run by nobody alive makes way for it.
UPDATE job_slots SET state = 'SUPERSEDED', owner = NULL, beat_at = NULL, finished_at = $2
 WHERE job = $1
   AND (state = 'OPEN' OR state = 'RUNNING' AND beat_at NOT BETWEEN $3 AND $4)
   AND planned_at < (SELECT max(planned_at) FROM job_slots WHERE job = $1 AND planned_at <= $2)

-- take --
-- The newest slot by $3 when it is open, or its owner dead: alive is whose last beat is between $4 and
-- $5. None while another one of the job is being run, and none in a pause unless $6.
UPDATE job_slots
   SET state = 'RUNNING', owner = $2, beat_at = $3, tries = tries + 1, next_try_at = NULL
 WHERE job = $1
   AND planned_at = (SELECT max(planned_at) FROM job_slots
                      WHERE job = $1 AND state IN ('OPEN', 'RUNNING') AND planned_at <= $3)
   AND (state = 'OPEN' AND (next_try_at IS NULL OR next_try_at <= $3)
        OR state = 'RUNNING' AND beat_at NOT BETWEEN $4 AND $5)
   AND NOT EXISTS (SELECT FROM job_slots r WHERE r.job = $1 AND r.state = 'RUNNING'
                    AND r.beat_at BETWEEN $4 AND $5)
   AND ($6 OR NOT EXISTS (SELECT FROM pauses WHERE ended_at IS NULL))
RETURNING planned_at, tries

-- beat --
-- Like the two below only for who took it at this try: $4 tells him from himself at an earlier one.
UPDATE job_slots SET beat_at = $5
 WHERE job = $1 AND planned_at = $2 AND owner = $3 AND tries = $4 AND state = 'RUNNING'
RETURNING true

-- finish --
UPDATE job_slots SET state = 'DONE', owner = NULL, beat_at = NULL, finished_at = $5
 WHERE job = $1 AND planned_at = $2 AND owner = $3 AND tries = $4 AND state = 'RUNNING'
RETURNING true

-- release --
-- It is not done: somebody tries again, but not before $5.
UPDATE job_slots SET state = 'OPEN', owner = NULL, beat_at = NULL, next_try_at = $5
 WHERE job = $1 AND planned_at = $2 AND owner = $3 AND tries = $4 AND state = 'RUNNING'
RETURNING true

-- prune --
-- Slots of long ago; the last one of each job stays, or it would count as never run.
DELETE FROM job_slots s WHERE s.planned_at < $1 AND s.finished_at IS NOT NULL
   AND s.planned_at < (SELECT max(planned_at) FROM job_slots l WHERE l.job = s.job)
