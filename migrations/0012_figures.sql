-- The dashboard's figures without reading all deals: what is over is kept as one row a day and
-- currency, what is not is read from the timeline by time. Nothing here is touched by a payment but
-- two indexes of append-only tables, which grow at their right end.

-- Days that are over, in the operator's zone, because that is what he calls a day. The bounds are
-- kept: when TIMEZONE changes, the next day begins where the last one ended and nothing is counted
-- twice. Figures come from the timeline and the settlements, which never change, so they don't either.
CREATE TABLE daily_figures (
    starts_at      timestamptz NOT NULL,
    ends_at        timestamptz NOT NULL,
    currency       text NOT NULL CHECK (currency IN ('KES', 'USD')),
    opened         bigint NOT NULL,
    cancelled      bigint NOT NULL,
    disputed       bigint NOT NULL,
    -- what was held when deals were funded
    funded         bigint NOT NULL,
    funded_minor   bigint NOT NULL,
    -- deals by how they ended, money by where it went: a split pays both sides
    completed      bigint NOT NULL,
    refunded       bigint NOT NULL,
    released_minor bigint NOT NULL,
    refunded_minor bigint NOT NULL,
    fees_minor     bigint NOT NULL,
    PRIMARY KEY (starts_at, currency),
    CONSTRAINT daily_figures_of_a_day
        CHECK (ends_at > starts_at AND ends_at <= starts_at + interval '2 days')
);
CREATE TRIGGER daily_figures_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON daily_figures
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- A day begins where the one before it ended, so that no moment is counted twice or left out.
CREATE FUNCTION daily_figures_follow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.starts_at <> (SELECT max(d.ends_at) FROM daily_figures d
                          WHERE d.currency = NEW.currency) THEN
        RAISE EXCEPTION 'the figures of % do not follow the last ones', NEW.starts_at
            USING ERRCODE = 'check_violation', CONSTRAINT = 'daily_figures_follow_each_other';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER daily_figures_follow BEFORE INSERT ON daily_figures
    FOR EACH ROW EXECUTE FUNCTION daily_figures_follow();

-- The live rest. A BRIN index would be smaller, but until it is summarised it reads everything new.
CREATE INDEX escrow_timeline_counted ON escrow_timeline (at)
    WHERE event IN ('open', 'cancel', 'fund', 'dispute');
-- also the order of the month's report
CREATE INDEX settlements_settled ON settlements (settled_at, escrow_id);

DO $$
DECLARE
    ours regprocedure;
BEGIN
    FOR ours IN
        SELECT p.oid FROM pg_proc p
         WHERE p.pronamespace = current_schema()::regnamespace
           AND p.proowner = current_user::regrole
           AND p.proname = 'daily_figures_follow'
    LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', ours, current_schema());
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', ours);
    END LOOP;
END $$;

DO $$
BEGIN
    GRANT SELECT, INSERT ON daily_figures TO escrow_app;
EXCEPTION
    WHEN undefined_object OR insufficient_privilege THEN
        RAISE NOTICE 'role escrow_app was not set up: %', SQLERRM;
END $$;
