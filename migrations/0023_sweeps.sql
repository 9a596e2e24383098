-- What the sweeps of the clock keep: when Amana and the rail were last seen alive, the outages that
-- deadlines are moved by (flow.md 31), and what was told or looked at once.

CREATE TABLE heartbeats (
    source        text PRIMARY KEY CHECK (source IN ('bot', 'rail')),
    -- when it was last seen alive: some process of ours, or a good answer of M-Pesa
    at            timestamptz NOT NULL,
    -- of the rail: it was asked and did not answer, again and again, from when to when
    failing_since timestamptz,
    failed_at     timestamptz,
    CONSTRAINT heartbeat_fails_in_order
        CHECK ((failing_since IS NULL) = (failed_at IS NULL) AND failed_at >= failing_since),
    CONSTRAINT heartbeat_bot_never_fails CHECK (source = 'rail' OR failing_since IS NULL)
);

CREATE TABLE outages (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source   text NOT NULL CHECK (source IN ('bot', 'rail')),
    began_at timestamptz NOT NULL,
    -- NULL: it goes on, and deadlines after its beginning stand still
    ended_at timestamptz CONSTRAINT outage_has_a_length CHECK (ended_at > began_at),
    -- deals up to this code got their time back, so many of them
    moved_to text NOT NULL DEFAULT '',
    moved    integer NOT NULL DEFAULT 0 CHECK (moved >= 0),
    done_at  timestamptz CONSTRAINT outage_done_after_its_end
             CHECK (done_at IS NULL OR coalesce(done_at >= ended_at, false))
);
-- one after the other: no minute counts twice
CREATE UNIQUE INDEX outage_one_open ON outages ((true)) WHERE done_at IS NULL;
CREATE INDEX outages_ended ON outages (ended_at);

-- What was said of it stays, what is done is not done again; none begins before another's end.
CREATE FUNCTION outage_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF EXISTS (SELECT FROM outages WHERE ended_at > NEW.began_at) THEN
            RAISE EXCEPTION 'an outage from % counts what another did', NEW.began_at
                USING ERRCODE = 'check_violation', CONSTRAINT = 'outage_counts_once';
        END IF;
    ELSIF OLD.done_at IS NOT NULL
       OR (NEW.id, NEW.source, NEW.began_at) IS DISTINCT FROM (OLD.id, OLD.source, OLD.began_at)
       OR (OLD.ended_at IS NOT NULL AND NEW.ended_at IS DISTINCT FROM OLD.ended_at)
       OR NEW.moved_to COLLATE "C" < OLD.moved_to COLLATE "C" OR NEW.moved < OLD.moved
    THEN
        RAISE EXCEPTION 'outage % does not change that way', OLD.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'outage_frozen';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER outage_guard BEFORE INSERT OR UPDATE ON outages
    FOR EACH ROW EXECUTE FUNCTION outage_guard();
CREATE TRIGGER outages_kept BEFORE DELETE OR TRUNCATE ON outages
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- How long, between two moments, nobody could do anything: paused, or out.
CREATE FUNCTION time_stood_still(since timestamptz, until timestamptz) RETURNS interval
LANGUAGE sql STABLE AS $$
    SELECT coalesce(sum(upper(span) - lower(span)), interval '0')
      FROM unnest((SELECT range_agg(tstzrange(greatest(began, since), least(ended, until)))
                     FROM (SELECT paused_at AS began, coalesce(resumed_at, until) AS ended
                             FROM pauses
                           UNION ALL
                           SELECT began_at, coalesce(ended_at, until) FROM outages) AS stops
                    WHERE greatest(began, since) < least(ended, until))) AS span
$$;

-- What a proof of the books found broken, until it is mended: payouts stand still, also after a
-- restart.
CREATE TABLE broken_rows (
    part     text NOT NULL CHECK (part IN
             ('journals', 'accounts', 'deals', 'receipts', 'payouts', 'actions')),
    id       text NOT NULL,
    found_at timestamptz NOT NULL,
    PRIMARY KEY (part, id)
);

-- The proof's own count of the accounts that are rolled up: the sum of an account's entries up to
-- `upto`. A roll-up must be this and the entries after it; each night it is counted from the first.
CREATE TABLE ledger_recounts (
    account_id  bigint PRIMARY KEY REFERENCES ledger_accounts,
    upto        bigint NOT NULL,
    total_minor bigint NOT NULL
);

-- The admins were told, once, that the other side of a dispute let its time pass.
ALTER TABLE escrow_disputes ADD COLUMN silence_told_at timestamptz;
-- A "no" about a receipt was acted upon, once.
ALTER TABLE status_queries ADD COLUMN looked_at timestamptz;
-- those of before are history: claims that were turned down, payouts that were told of
UPDATE status_queries SET looked_at = coalesce(answered_at, asked_at) WHERE answer = 'denied';
CREATE INDEX status_queries_refused ON status_queries (id)
    WHERE answer = 'denied' AND looked_at IS NULL;
-- Large deals on their way, whose receipts are asked about again.
CREATE INDEX escrow_transactions_large ON escrow_transactions (price_minor)
    WHERE status IN ('SHIPPED', 'DELIVERED') AND currency = 'KES';
-- Prompts that a payment without a prompt may be of.
CREATE INDEX payment_attempts_amount ON payment_attempts (amount_minor, created_at)
    WHERE state <> 'DECLINED';

DO $$
DECLARE
    ours regprocedure;
BEGIN
    FOR ours IN
        SELECT p.oid FROM pg_proc p
         WHERE p.pronamespace = current_schema()::regnamespace
           AND p.proowner = current_user::regrole
           AND p.proname IN ('outage_guard', 'time_stood_still')
    LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', ours, current_schema());
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', ours);
    END LOOP;
END $$;

DO $$
BEGIN
    GRANT SELECT, INSERT, UPDATE ON heartbeats, outages TO escrow_app;
    GRANT SELECT, INSERT, DELETE ON broken_rows TO escrow_app;
    GRANT SELECT, INSERT, UPDATE ON ledger_recounts TO escrow_app;
    GRANT EXECUTE ON FUNCTION time_stood_still(timestamptz, timestamptz) TO escrow_app;
EXCEPTION
    WHEN undefined_object OR insufficient_privilege THEN
        RAISE NOTICE 'role escrow_app was not set up: %', SQLERRM;
END $$;
