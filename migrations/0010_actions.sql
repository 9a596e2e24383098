-- What an admin asks for that moves money (flow.md): shown first, done once it is confirmed as it was
-- shown, above a sum by two. Who asked, who confirmed and what came of it stays.

CREATE TABLE admin_actions (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- what made it, e.g. update:17: a repeated update asks nothing twice
    cause        text NOT NULL UNIQUE CHECK (cause <> ''),
    kind         text NOT NULL CHECK (kind ~ '^[a-z_]{1,32}$'),
    -- what it is about: a deal's code, a receipt's number
    target       text NOT NULL CHECK (char_length(target) BETWEEN 1 AND 64),
    escrow_id    text REFERENCES escrow_transactions,
    params       jsonb NOT NULL,
    -- what the preview said; confirmed is this and nothing else
    facts        jsonb NOT NULL,
    currency     text NOT NULL CHECK (currency IN ('KES', 'USD')),
    amount_minor bigint NOT NULL CHECK (amount_minor >= 0),
    -- whose money it is: none of them may confirm it
    parties      bigint[] NOT NULL,
    asked_by     bigint NOT NULL,
    asked_at     timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL CHECK (expires_at > asked_at),
    number       smallint NOT NULL CHECK (number BETWEEN 1000 AND 9999),
    needs_second boolean NOT NULL,
    state        text NOT NULL
                 CHECK (state IN ('ASKED', 'CONFIRMED', 'DONE', 'LEFT', 'EXPIRED')),
    -- how long a confirmed one waits for the second
    second_until timestamptz,
    -- what typed a wrong number; the third one ends it
    wrong        text[] NOT NULL DEFAULT '{}',
    outcome      jsonb,
    done_at      timestamptz,
    -- who left it; NULL: nobody
    closed_by    bigint,
    CONSTRAINT action_asked_by_no_party CHECK (asked_by <> ALL (parties)),
    CONSTRAINT action_waits_until CHECK ((state = 'CONFIRMED') <= (second_until IS NOT NULL)),
    CONSTRAINT action_done_completely
        CHECK (num_nulls(outcome, done_at) = (CASE state WHEN 'DONE' THEN 0 ELSE 2 END)),
    CONSTRAINT action_wrong_thrice CHECK (cardinality(wrong) < 3 OR state = 'LEFT')
);
CREATE INDEX admin_actions_target ON admin_actions (kind, target, id);
CREATE INDEX admin_actions_open ON admin_actions (id) WHERE state IN ('ASKED', 'CONFIRMED');

-- Who confirmed. NULL: whoever has the host, by `main.py approve`.
CREATE TABLE admin_approvals (
    action_id bigint NOT NULL REFERENCES admin_actions,
    admin     bigint,
    at        timestamptz NOT NULL,
    CONSTRAINT approval_once UNIQUE (action_id, admin)
);
CREATE UNIQUE INDEX approval_of_the_host_once ON admin_approvals (action_id) WHERE admin IS NULL;
CREATE TRIGGER admin_approvals_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON admin_approvals
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- What was asked never changes, and what is over stays over. It is done with the word of the one who
-- asked, and where it needs a second one, of somebody else.
CREATE FUNCTION action_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.state <> 'ASKED' OR NEW.wrong <> '{}' THEN
            RAISE EXCEPTION 'an action begins with the question'
                USING ERRCODE = 'check_violation', CONSTRAINT = 'action_begins_asked';
        END IF;
        RETURN NEW;
    END IF;
    IF OLD.state IN ('DONE', 'LEFT', 'EXPIRED')
       OR (OLD.state = 'CONFIRMED' AND NEW.state = 'ASKED')
       OR (NEW.id, NEW.cause, NEW.kind, NEW.target, NEW.escrow_id, NEW.params, NEW.facts,
           NEW.currency, NEW.amount_minor, NEW.parties, NEW.asked_by, NEW.asked_at, NEW.expires_at,
           NEW.number, NEW.needs_second)
          IS DISTINCT FROM
          (OLD.id, OLD.cause, OLD.kind, OLD.target, OLD.escrow_id, OLD.params, OLD.facts,
           OLD.currency, OLD.amount_minor, OLD.parties, OLD.asked_by, OLD.asked_at, OLD.expires_at,
           OLD.number, OLD.needs_second)
    THEN
        RAISE EXCEPTION 'action % does not change that way', OLD.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'action_frozen';
    END IF;
    IF NEW.state IN ('CONFIRMED', 'DONE') AND NOT EXISTS (
        SELECT FROM admin_approvals a WHERE a.action_id = NEW.id AND a.admin = NEW.asked_by)
    THEN
        RAISE EXCEPTION 'action % was not confirmed by the one who asked', NEW.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'action_needs_its_admin';
    END IF;
    IF NEW.state = 'DONE' AND NEW.needs_second AND NOT EXISTS (
        SELECT FROM admin_approvals a
         WHERE a.action_id = NEW.id AND a.admin IS DISTINCT FROM NEW.asked_by)
    THEN
        RAISE EXCEPTION 'action % needs a second admin', NEW.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'action_needs_a_second';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER action_guard BEFORE INSERT OR UPDATE ON admin_actions
    FOR EACH ROW EXECUTE FUNCTION action_guard();
CREATE TRIGGER admin_actions_kept BEFORE DELETE OR TRUNCATE ON admin_actions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Nobody confirms what is over, or what moves his own money.
CREATE FUNCTION approval_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM admin_actions a
     WHERE a.id = NEW.action_id AND a.state IN ('ASKED', 'CONFIRMED')
       AND (NEW.admin IS NULL OR NEW.admin <> ALL (a.parties))
       AND (NEW.admin IS NOT DISTINCT FROM a.asked_by OR (a.needs_second AND a.state = 'CONFIRMED'));
    IF NOT FOUND THEN
        RAISE EXCEPTION 'nobody confirms action % like that', NEW.action_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'approval_of_an_open_action';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER approval_guard BEFORE INSERT ON admin_approvals
    FOR EACH ROW EXECUTE FUNCTION approval_guard();

DO $$
DECLARE
    ours regprocedure;
BEGIN
    FOR ours IN
        SELECT p.oid FROM pg_proc p
         WHERE p.pronamespace = current_schema()::regnamespace
           AND p.proowner = current_user::regrole
           AND p.proname IN ('action_guard', 'approval_guard')
    LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', ours, current_schema());
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', ours);
    END LOOP;
END $$;

DO $$
BEGIN
    GRANT SELECT, INSERT, UPDATE ON admin_actions TO escrow_app;
    GRANT SELECT, INSERT ON admin_approvals TO escrow_app;
EXCEPTION
    WHEN undefined_object OR insufficient_privilege THEN
        RAISE NOTICE 'role escrow_app was not set up: %', SQLERRM;
END $$;
