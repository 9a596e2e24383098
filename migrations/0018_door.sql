-- The door: what a provider sent stays as it came, whether its sender was on the list of addresses
-- is kept with it, and a parked callback can be run again, counted.

-- false: a list of addresses was set, and the sender was not on it. Such a callback is processed
-- like any other, but nothing is credited on its word alone.
ALTER TABLE inbox ADD COLUMN listed boolean NOT NULL DEFAULT true;
-- how often a person had it run again
ALTER TABLE inbox ADD COLUMN reruns integer NOT NULL DEFAULT 0;

CREATE FUNCTION inbox_as_received() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- only when it is done with may what it said go, all of it
    IF (NEW.id, NEW.digest, NEW.route, NEW.token, NEW.method, NEW.sender, NEW.listed,
        NEW.received_at)
       IS DISTINCT FROM
       (OLD.id, OLD.digest, OLD.route, OLD.token, OLD.method, OLD.sender, OLD.listed,
        OLD.received_at)
       OR ((NEW.body, NEW.query) IS DISTINCT FROM (OLD.body, OLD.query)
           AND (OLD.state <> 'DONE' OR NEW.body <> '' OR NEW.query <> ''))
    THEN
        RAISE EXCEPTION 'callback % stays as it came', OLD.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'inbox_as_received';
    END IF;
    -- done is done; parked is left only by being run again, and every time counts
    IF (OLD.state = 'DONE' AND NEW.state <> 'DONE')
       OR (OLD.state = 'PARKED' AND NEW.state = 'DONE')
       OR NEW.reruns <> OLD.reruns + (OLD.state = 'PARKED' AND NEW.state = 'NEW')::integer
    THEN
        RAISE EXCEPTION 'callback % does not go from % to % (% runs, then %)',
            OLD.id, OLD.state, NEW.state, OLD.reruns, NEW.reruns
            USING ERRCODE = 'check_violation', CONSTRAINT = 'inbox_run_again';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER inbox_as_received BEFORE UPDATE ON inbox
    FOR EACH ROW EXECUTE FUNCTION inbox_as_received();

DO $$
DECLARE
    ours regprocedure;
BEGIN
    FOR ours IN
        SELECT p.oid FROM pg_proc p
         WHERE p.pronamespace = current_schema()::regnamespace
           AND p.proowner = current_user::regrole
           AND p.proname = 'inbox_as_received'
    LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', ours, current_schema());
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', ours);
    END LOOP;
END $$;
