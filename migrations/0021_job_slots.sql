-- Jobs that run at a time of the day: one row for each planned time, so that of any number of
-- processes one runs it, another takes over when that one dies, and it is completed once.

CREATE TABLE job_slots (
    job         text NOT NULL CHECK (job <> ''),
    planned_at  timestamptz NOT NULL,
    -- SUPERSEDED: missed, and a newer one ran instead
    state       text NOT NULL CHECK (state IN ('OPEN', 'RUNNING', 'DONE', 'SUPERSEDED')),
    -- the process that runs it, and when it last said that it lives
    owner       text,
    beat_at     timestamptz,
    tries       integer NOT NULL DEFAULT 0 CHECK (tries >= 0),
    -- after a failure: when it may be tried again
    next_try_at timestamptz,
    finished_at timestamptz,
    PRIMARY KEY (job, planned_at),
    CONSTRAINT job_slot_runs_for_somebody
        CHECK ((state = 'RUNNING') = (owner IS NOT NULL AND beat_at IS NOT NULL)
               AND num_nulls(owner, beat_at) IN (0, 2)),
    CONSTRAINT job_slot_over_in_time
        CHECK ((state IN ('DONE', 'SUPERSEDED')) = (finished_at IS NOT NULL))
);
CREATE INDEX job_slots_unfinished ON job_slots (job, planned_at)
    WHERE state IN ('OPEN', 'RUNNING');

-- What is over stays over: no slot is completed twice.
CREATE FUNCTION job_slot_over() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.job, NEW.planned_at) IS DISTINCT FROM (OLD.job, OLD.planned_at)
       OR (OLD.finished_at IS NOT NULL AND NEW IS DISTINCT FROM OLD)
    THEN
        RAISE EXCEPTION 'slot % of % is over', OLD.planned_at, OLD.job
            USING ERRCODE = 'check_violation', CONSTRAINT = 'job_slot_over';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER job_slot_over BEFORE UPDATE ON job_slots
    FOR EACH ROW EXECUTE FUNCTION job_slot_over();

-- Which runs of the last day failed, without reading the others.
CREATE INDEX job_runs_failed ON job_runs (job, started_at) WHERE error IS NOT NULL OR failed > 0;

-- A deal that a timer could not end: it stops no other, and is tried again later and later. The row
-- counts as long as the deal stands as it stood then (`version`).
CREATE TABLE deal_setbacks (
    job         text NOT NULL CHECK (job <> ''),
    escrow_id   text NOT NULL CHECK (escrow_id <> ''),
    version     integer NOT NULL,
    tries       integer NOT NULL CHECK (tries > 0),
    first_at    timestamptz NOT NULL,
    next_try_at timestamptz NOT NULL,
    error       text NOT NULL,
    PRIMARY KEY (job, escrow_id)
);

DO $$
DECLARE
    ours regprocedure;
BEGIN
    FOR ours IN
        SELECT p.oid FROM pg_proc p
         WHERE p.pronamespace = current_schema()::regnamespace
           AND p.proowner = current_user::regrole AND p.proname = 'job_slot_over'
    LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', ours, current_schema());
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', ours);
    END LOOP;
END $$;

DO $$
BEGIN
    GRANT SELECT, INSERT, UPDATE, DELETE ON job_slots, deal_setbacks TO escrow_app;
EXCEPTION
    WHEN undefined_object OR insufficient_privilege THEN
        RAISE NOTICE 'role escrow_app was not set up: %', SQLERRM;
END $$;
