-- A pause (flow.md 32): while one is open PostgreSQL itself lets no deal open, no prompt and no payout
-- out, no money move and no status change, but a freeze. It ends when every deadline that it held up
-- was moved by its length, so nothing falls due in between.

CREATE TABLE pauses (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- what began it, e.g. update:17: a repeated update pauses nothing twice
    cause        text NOT NULL UNIQUE CHECK (cause <> ''),
    paused_at    timestamptz NOT NULL,
    -- the admin's Telegram id; NULL: whoever has the host
    paused_by    bigint CHECK (paused_by > 0),
    reason       text NOT NULL CHECK (char_length(reason) <= 300),
    -- everybody up to this Telegram id was told of it
    told_to      bigint NOT NULL DEFAULT 0 CHECK (told_to >= 0),
    told         boolean NOT NULL DEFAULT false,
    -- the promise that it ends; from here on deadlines are moved, deal by deal
    resume_cause text UNIQUE CHECK (resume_cause <> ''),
    resumed_at   timestamptz CONSTRAINT pause_has_a_length CHECK (resumed_at >= paused_at),
    resumed_by   bigint CHECK (resumed_by > 0),
    moved_to     text NOT NULL DEFAULT '',
    moved        integer NOT NULL DEFAULT 0 CHECK (moved >= 0),
    ended_at     timestamptz,
    CONSTRAINT pause_ends_in_order
        CHECK ((resumed_at IS NULL) = (resume_cause IS NULL)
               AND (resumed_at IS NOT NULL OR resumed_by IS NULL)
               AND (ended_at IS NULL OR coalesce(ended_at >= resumed_at, false)))
);
CREATE UNIQUE INDEX pause_one_open ON pauses ((true)) WHERE ended_at IS NULL;

-- What was said at its beginning and its end stays; what is done is not done again; an ended one is
-- history.
CREATE FUNCTION pause_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.ended_at IS NOT NULL
       OR (NEW.id, NEW.cause, NEW.paused_at, NEW.paused_by, NEW.reason)
          IS DISTINCT FROM (OLD.id, OLD.cause, OLD.paused_at, OLD.paused_by, OLD.reason)
       OR (OLD.resumed_at IS NOT NULL
           AND (NEW.resumed_at, NEW.resumed_by, NEW.resume_cause)
               IS DISTINCT FROM (OLD.resumed_at, OLD.resumed_by, OLD.resume_cause))
       OR NEW.told_to < OLD.told_to OR NEW.told < OLD.told
       OR NEW.moved_to COLLATE "C" < OLD.moved_to COLLATE "C" OR NEW.moved < OLD.moved
    THEN
        RAISE EXCEPTION 'pause % does not change that way', OLD.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'pause_frozen';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER pause_guard BEFORE UPDATE ON pauses
    FOR EACH ROW EXECUTE FUNCTION pause_guard();
CREATE TRIGGER pauses_kept BEFORE DELETE OR TRUNCATE ON pauses
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE FUNCTION refuse_while_paused() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM pauses WHERE ended_at IS NULL) THEN
        RAISE EXCEPTION 'Amana is paused: % on % refused', TG_OP, TG_TABLE_NAME
            USING ERRCODE = 'check_violation', CONSTRAINT = 'paused';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER paused BEFORE INSERT ON escrow_transactions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_while_paused();
CREATE TRIGGER paused_event BEFORE UPDATE OF last_event ON escrow_transactions
    FOR EACH ROW WHEN (NEW.last_event <> 'freeze') EXECUTE FUNCTION refuse_while_paused();
CREATE TRIGGER paused BEFORE INSERT ON payment_attempts
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_while_paused();
CREATE TRIGGER paused BEFORE INSERT ON payout_attempts
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_while_paused();
CREATE TRIGGER paused BEFORE INSERT ON ledger_journals
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_while_paused();

DO $$
DECLARE
    ours regprocedure;
BEGIN
    FOR ours IN
        SELECT p.oid FROM pg_proc p
         WHERE p.pronamespace = current_schema()::regnamespace
           AND p.proowner = current_user::regrole
           AND p.proname IN ('pause_guard', 'refuse_while_paused')
    LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', ours, current_schema());
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', ours);
    END LOOP;
END $$;

DO $$
BEGIN
    GRANT SELECT, INSERT, UPDATE ON pauses TO escrow_app;
EXCEPTION
    WHEN undefined_object OR insufficient_privilege THEN
        RAISE NOTICE 'role escrow_app was not set up: %', SQLERRM;
END $$;
