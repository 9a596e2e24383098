-- What admins decide about people stays decided: a flag does not change but by its one review, and
-- a decision is known by what caused it, so that handling the same update again decides nothing
-- twice. And whose menu shows the admins' commands.

-- what made the change, e.g. update:17; NULL: it was no admin's command
ALTER TABLE seller_history ADD COLUMN cause text UNIQUE CHECK (cause <> '');

ALTER TABLE fraud_flags ADD COLUMN review_cause text CHECK (review_cause <> '');

CREATE FUNCTION flag_frozen() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    review CONSTANT text[] := ARRAY['reviewed_at', 'reviewed_by', 'review_notes', 'review_cause'];
BEGIN
    IF OLD.reviewed_at IS NOT NULL OR to_jsonb(NEW) - review <> to_jsonb(OLD) - review THEN
        RAISE EXCEPTION 'flag % does not change that way', OLD.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'flag_frozen';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER flag_frozen BEFORE UPDATE ON fraud_flags
    FOR EACH ROW EXECUTE FUNCTION flag_frozen();

-- The chats whose menu shows the admins' commands: who is no admin any more loses it.
CREATE TABLE admin_menus (
    chat_id bigint PRIMARY KEY CHECK (chat_id > 0),
    set_at  timestamptz NOT NULL
);

DO $$
DECLARE
    ours regprocedure;
BEGIN
    FOR ours IN
        SELECT p.oid FROM pg_proc p
         WHERE p.pronamespace = current_schema()::regnamespace
           AND p.proowner = current_user::regrole
           AND p.proname = 'flag_frozen'
    LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', ours, current_schema());
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', ours);
    END LOOP;
END $$;

DO $$
BEGIN
    GRANT SELECT, INSERT, DELETE ON admin_menus TO escrow_app;
EXCEPTION
    WHEN undefined_object OR insufficient_privilege THEN
        RAISE NOTICE 'role escrow_app was not set up: %', SQLERRM;
END $$;
