-- Payouts go on their way: why one waits and since when it is looked at, the path of its results,
-- and what may never be wrong: the money of an open payout stands in its own account, a payout that
-- was paid has a proof or an admin's word, and nothing is sent for a payout that is over.

ALTER TABLE payouts
    -- why it waits for a person, or how it ended: a key of the words
    ADD COLUMN note         text NOT NULL DEFAULT '',
    -- a changed number has a day to be noticed; a refusal for a reason of ours waits before the next
    ADD COLUMN not_before   timestamptz,
    ADD COLUMN next_look_at timestamptz,
    ADD COLUMN looks        integer NOT NULL DEFAULT 0 CHECK (looks >= 0),
    -- the admin on whose word it ended
    ADD COLUMN closed_by    bigint,
    -- the receipt that an admin named, until M-Pesa was asked about it; its answer's path
    ADD COLUMN named_reference text,
    ADD COLUMN named_by        bigint,
    ADD COLUMN named_token     text CONSTRAINT payout_named_token_once UNIQUE,
    ADD CONSTRAINT payout_named_whole
        CHECK (num_nulls(named_reference, named_by, named_token) IN (0, 3)),
    ADD CONSTRAINT payout_closed_by_word
        CHECK (closed_by IS NULL OR state IN ('PAID', 'FAILED'));
CREATE INDEX payouts_ready ON payouts (not_before NULLS FIRST, id) WHERE state = 'READY';
CREATE INDEX payouts_looked_at ON payouts (next_look_at) WHERE state IN ('SENDING', 'UNKNOWN');
-- one payment of M-Pesa pays one payout
CREATE UNIQUE INDEX payout_reference_once ON payouts (provider_reference)
    WHERE provider_reference IS NOT NULL;

ALTER TABLE payout_attempts
    -- in the path that its results come to
    ADD COLUMN token text NOT NULL UNIQUE CHECK (token ~ '^[0-9a-f]{32,}$');

-- The provider refuses our API user: whoever tries on locks it. Nothing is sent with the same
-- credential until an admin says so; another credential is another story.
CREATE TABLE payout_stops (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- a digest, not the credential
    credential text NOT NULL CHECK (credential ~ '^[0-9a-f]{16,64}$'),
    code       text NOT NULL CHECK (code <> ''),
    stopped_at timestamptz NOT NULL,
    lifted_at  timestamptz,
    lifted_by  bigint,
    CONSTRAINT payout_stop_lifted_by_somebody
        CHECK ((lifted_at IS NULL) = (lifted_by IS NULL))
);
CREATE UNIQUE INDEX payout_one_stop ON payout_stops (credential) WHERE lifted_at IS NULL;
CREATE TRIGGER payout_stops_kept BEFORE DELETE OR TRUNCATE ON payout_stops
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- A payment is only asked for while its payout is to be sent, and never for a suspended seller.
CREATE FUNCTION payout_may_be_sent() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM payouts p
     WHERE p.id = NEW.payout_id AND p.state IN ('READY', 'SENDING')
       AND (p.leg = 'buyer' OR NOT EXISTS (
                SELECT FROM escrow_sellers s
                 WHERE s.telegram_id = p.telegram_id AND s.status = 'SUSPENDED'));
    IF NOT FOUND THEN
        RAISE EXCEPTION 'payout % is not to be sent', NEW.payout_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'payout_may_be_sent';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER payout_may_be_sent BEFORE INSERT ON payout_attempts
    FOR EACH ROW EXECUTE FUNCTION payout_may_be_sent();

-- At commit, whatever touched a payout, its attempts or its account. The row is read again: what
-- counts is how it stands then.
CREATE FUNCTION payout_check(payout bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    p       payouts;
    held    bigint;
    strange bigint;
    booked  bigint;
    live    text;
BEGIN
    SELECT * INTO p FROM payouts WHERE id = payout;
    SELECT coalesce(sum(balance_minor) FILTER (WHERE currency = p.currency), 0),
           coalesce(sum(balance_minor) FILTER (WHERE currency IS DISTINCT FROM p.currency), 0)
      INTO held, strange
      FROM ledger_accounts WHERE kind = 'payable' AND owner = payout::text;
    IF p.id IS NULL OR strange <> 0
       OR held <> (CASE WHEN p.state IN ('PAID', 'FAILED') THEN 0 ELSE p.amount_minor END)
    THEN
        RAISE EXCEPTION 'payout % is % with % on its account', payout, p.state, held
            USING ERRCODE = 'check_violation', CONSTRAINT = 'payout_money_matches';
    END IF;
    -- out of his wallet, and out to the provider or back into it
    SELECT count(*) INTO booked
      FROM (VALUES ('payout:' || p.id, 'wallet', p.telegram_id::text, -p.amount_minor),
                   (CASE p.state WHEN 'PAID' THEN 'payout_paid:' || p.id
                                 WHEN 'FAILED' THEN 'payout_failed:' || p.id END,
                    CASE p.state WHEN 'PAID' THEN 'external' ELSE 'wallet' END,
                    CASE p.state WHEN 'FAILED' THEN p.telegram_id::text END, p.amount_minor))
           AS must (key, kind, owner, minor)
     WHERE must.key IS NOT NULL
       AND EXISTS (SELECT FROM ledger_journals j
                     JOIN ledger_entries e ON e.journal_id = j.id
                     JOIN ledger_accounts a ON a.id = e.account_id
                    WHERE j.idempotency_key = must.key AND a.kind = must.kind
                      AND a.owner = coalesce(must.owner, a.owner) AND a.currency = p.currency
                      AND e.amount_minor = must.minor);
    IF booked <> (CASE WHEN p.state IN ('PAID', 'FAILED') THEN 2 ELSE 1 END) THEN
        RAISE EXCEPTION 'payout % is % without its journals', payout, p.state
            USING ERRCODE = 'check_violation', CONSTRAINT = 'payout_has_its_journals';
    END IF;
    SELECT a.state INTO live FROM payout_attempts a
     WHERE a.payout_id = payout AND a.state <> 'FAILED';
    IF NOT (CASE p.state
               WHEN 'READY' THEN live IS NULL
               WHEN 'SENDING' THEN live IS NOT DISTINCT FROM 'SENDING'
               WHEN 'UNKNOWN' THEN live IS NOT DISTINCT FROM 'UNKNOWN'
               WHEN 'MANUAL' THEN coalesce(live, 'UNKNOWN') = 'UNKNOWN'
               WHEN 'PAID' THEN CASE WHEN p.closed_by IS NULL
                                     THEN live IS NOT DISTINCT FROM 'PAID'
                                     ELSE coalesce(live, 'UNKNOWN') = 'UNKNOWN' END
               WHEN 'FAILED' THEN CASE WHEN p.closed_by IS NULL THEN live IS NULL
                                       ELSE coalesce(live, 'UNKNOWN') = 'UNKNOWN' END
           END)
    THEN
        RAISE EXCEPTION 'payout % is % and its attempt is %', payout, p.state, live
            USING ERRCODE = 'check_violation', CONSTRAINT = 'payout_fits_its_attempt';
    END IF;
END $$;

CREATE FUNCTION payout_check_row() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_TABLE_NAME = 'payouts' THEN
        PERFORM payout_check(NEW.id);
    ELSIF TG_TABLE_NAME = 'payout_attempts' THEN
        PERFORM payout_check(NEW.payout_id);
    ELSE
        -- the last change of an account in a transaction is the one that counts
        PERFORM 1 FROM ledger_accounts WHERE id = NEW.id AND entries = NEW.entries;
        IF FOUND THEN
            PERFORM payout_check(CASE WHEN NEW.owner ~ '^[1-9][0-9]{0,17}$'
                                      THEN NEW.owner::bigint ELSE 0 END);
        END IF;
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER payout_check AFTER INSERT OR UPDATE OF state, closed_by ON payouts
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION payout_check_row();
CREATE CONSTRAINT TRIGGER payout_check AFTER INSERT OR UPDATE OF state ON payout_attempts
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION payout_check_row();
CREATE CONSTRAINT TRIGGER payout_check AFTER UPDATE ON ledger_accounts
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.kind = 'payable')
    EXECUTE FUNCTION payout_check_row();

DO $$
DECLARE
    ours regprocedure;
BEGIN
    FOR ours IN
        SELECT p.oid FROM pg_proc p
         WHERE p.pronamespace = current_schema()::regnamespace
           AND p.proowner = current_user::regrole
           AND p.proname IN ('payout_may_be_sent', 'payout_check', 'payout_check_row')
    LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', ours, current_schema());
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', ours);
    END LOOP;
END $$;

DO $$
BEGIN
    GRANT SELECT, INSERT, UPDATE ON payout_stops TO escrow_app;
    -- which triggers call that run as the program
    GRANT EXECUTE ON FUNCTION payout_check(bigint) TO escrow_app;
EXCEPTION
    WHEN undefined_object OR insufficient_privilege THEN
        RAISE NOTICE 'role escrow_app was not set up: %', SQLERRM;
END $$;
