-- AccountBalance: what was asked of M-Pesa about our own accounts. Its answer comes later, to an
-- address of its own, and names no shortcode, so that the token in the path has to tell which one it
-- is about. What M-Pesa never was asked for is no reading.

CREATE TABLE balance_queries (
    token       text PRIMARY KEY CHECK (token ~ '^[0-9a-f]{32}$'),
    shortcode   text NOT NULL CHECK (shortcode ~ '^[0-9]{1,10}$'),
    asked_at    timestamptz NOT NULL,
    answered_at timestamptz,
    -- the ResultCode of the answer, and whether it refuses our API user: asking on would lock it
    code        text CHECK (code ~ '^[A-Za-z0-9_.-]{1,40}$'),
    refused     boolean NOT NULL DEFAULT false,
    CONSTRAINT balance_answer_is_whole
        CHECK ((answered_at IS NULL) = (code IS NULL) AND (code IS NOT NULL OR NOT refused))
);
CREATE INDEX balance_queries_last ON balance_queries (shortcode, asked_at DESC);

-- How much more M-Pesa has than the books, as long as that lasts, and what the admins were told.
CREATE TABLE provider_differences (
    provider   text PRIMARY KEY CHECK (provider = 'mpesa'),
    currency   text NOT NULL CHECK (currency = 'KES'),
    off_minor  bigint NOT NULL CHECK (off_minor <> 0),
    since      timestamptz NOT NULL,
    told_minor bigint,
    told_at    timestamptz,
    CONSTRAINT difference_told_completely CHECK (num_nulls(told_minor, told_at) IN (0, 2))
);

CREATE FUNCTION balance_query_unchanged() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.token, NEW.shortcode, NEW.asked_at)
       IS DISTINCT FROM (OLD.token, OLD.shortcode, OLD.asked_at)
       OR OLD.answered_at IS NOT NULL
    THEN
        RAISE EXCEPTION 'the question about % does not change that way', OLD.shortcode
            USING ERRCODE = 'check_violation', CONSTRAINT = 'balance_query_frozen';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER balance_query_unchanged BEFORE UPDATE ON balance_queries
    FOR EACH ROW EXECUTE FUNCTION balance_query_unchanged();
CREATE TRIGGER balance_queries_kept BEFORE DELETE OR TRUNCATE ON balance_queries
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

DO $$
DECLARE
    ours regprocedure;
BEGIN
    FOR ours IN
        SELECT p.oid FROM pg_proc p
         WHERE p.pronamespace = current_schema()::regnamespace
           AND p.proowner = current_user::regrole
           AND p.proname IN ('balance_query_unchanged')
    LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', ours, current_schema());
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', ours);
    END LOOP;
END $$;

DO $$
BEGIN
    GRANT SELECT, INSERT, UPDATE ON balance_queries TO escrow_app;
    GRANT SELECT, INSERT, UPDATE, DELETE ON provider_differences TO escrow_app;
EXCEPTION
    WHEN undefined_object OR insufficient_privilege THEN
        RAISE NOTICE 'role escrow_app was not set up: %', SQLERRM;
END $$;
