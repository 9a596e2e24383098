-- What the jobs of the clock leave behind: a reminder and a month's report are made once, the figures
-- of a seller know when they were counted, an archived deal stays archived. And what a provider sent
-- is known for ever: its body may go when it is done with, its digest never, so the same request
-- again is the same one in ten years, too.

-- Reminders that were queued (flow.md 22): one of each kind per deal, whoever runs the job.
CREATE TABLE reminders (
    escrow_id text NOT NULL REFERENCES escrow_transactions,
    -- whose turn, and how many days after the deal was paid or sent
    kind      text NOT NULL CHECK (kind ~ '^(ship|confirm)_day_[1-9][0-9]?$'),
    at        timestamptz NOT NULL,
    PRIMARY KEY (escrow_id, kind)
);
CREATE TRIGGER reminders_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON reminders
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Nobody is asked to send what he has sent, or to confirm what is frozen, disputed or over.
CREATE FUNCTION reminder_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM escrow_transactions e
     WHERE e.id = NEW.escrow_id
       AND e.status = CASE split_part(NEW.kind, '_', 1) WHEN 'ship' THEN 'HELD' ELSE 'SHIPPED' END;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'deal % needs no %', NEW.escrow_id, NEW.kind
            USING ERRCODE = 'check_violation', CONSTRAINT = 'reminder_fits_deal';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER reminder_guard BEFORE INSERT ON reminders
    FOR EACH ROW EXECUTE FUNCTION reminder_guard();

-- When a seller's average, rates, sales and level were counted last.
ALTER TABLE escrow_sellers ADD COLUMN counted_at timestamptz;

-- The month's report to the admins, as it was: once per month that is over. Its bounds are kept as
-- those of daily_figures are.
CREATE TABLE monthly_reports (
    month     date PRIMARY KEY,
    starts_at timestamptz NOT NULL,
    ends_at   timestamptz NOT NULL,
    figures   jsonb NOT NULL,
    made_at   timestamptz NOT NULL,
    CONSTRAINT monthly_report_of_a_month
        CHECK (extract(day FROM month) = 1
               AND ends_at BETWEEN starts_at + interval '26 days' AND starts_at + interval '33 days'),
    CONSTRAINT monthly_report_of_what_is_over CHECK (made_at >= ends_at)
);
CREATE TRIGGER monthly_reports_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON monthly_reports
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Archived once, for ever.
CREATE FUNCTION escrow_archived() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'deal % is archived', OLD.id
        USING ERRCODE = 'check_violation', CONSTRAINT = 'deal_stays_archived';
END $$;
CREATE TRIGGER escrow_archived BEFORE UPDATE OF archived_at ON escrow_transactions
    FOR EACH ROW WHEN (OLD.archived_at IS NOT NULL
                       AND NEW.archived_at IS DISTINCT FROM OLD.archived_at)
    EXECUTE FUNCTION escrow_archived();

-- As in 0005, and: what was done with stays, or the same request could be taken for a new one.
CREATE OR REPLACE FUNCTION inbox_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.state IN ('NEW', 'PARKED') THEN
        RAISE EXCEPTION 'nobody is done with callback %', OLD.id
            USING ERRCODE = 'restrict_violation', CONSTRAINT = 'inbox_kept_until_done';
    END IF;
    RAISE EXCEPTION 'callback % is known for ever', OLD.id
        USING ERRCODE = 'restrict_violation', CONSTRAINT = 'inbox_known_for_ever';
END $$;

-- What the jobs read. Deadlines go in pages, also where a hundred thousand fall on one moment: in the
-- order of these, each page begins where the last one ended.
DROP INDEX escrow_transactions_ship_by;
CREATE INDEX escrow_transactions_ship_by ON escrow_transactions (ship_by, id) WHERE status = 'HELD';
DROP INDEX escrow_transactions_release_at;
CREATE INDEX escrow_transactions_release_at ON escrow_transactions (release_at, id)
    WHERE status IN ('SHIPPED', 'DELIVERED');
CREATE INDEX escrow_disputes_opened ON escrow_disputes (opened_at);
CREATE INDEX inbox_bodies ON inbox (processed_at, id)
    WHERE state = 'DONE' AND (body <> '' OR query <> '');
CREATE INDEX telegram_updates_bodies ON telegram_updates (done_at, update_id)
    WHERE state = 'DONE' AND body <> '{}';

-- Counts the values of a big table for the planner. A function, since the program's role owns none.
CREATE FUNCTION refresh_statistics(big text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF big <> ALL (ARRAY['escrow_transactions', 'escrow_timeline', 'escrow_disputes', 'settlements',
                         'receipts', 'payouts', 'ledger_accounts', 'ledger_journals',
                         'ledger_entries', 'inbox', 'outbox', 'telegram_updates'])
    THEN
        RAISE EXCEPTION '% is none of the big tables', big
            USING ERRCODE = 'check_violation', CONSTRAINT = 'statistics_of_a_big_table';
    END IF;
    EXECUTE format('ANALYZE %I', big);
END $$;

DO $$
DECLARE
    ours regprocedure;
BEGIN
    FOR ours IN
        SELECT p.oid FROM pg_proc p
         WHERE p.pronamespace = current_schema()::regnamespace
           AND p.proowner = current_user::regrole
           AND p.proname IN ('reminder_guard', 'escrow_archived', 'inbox_guard', 'refresh_statistics')
    LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', ours, current_schema());
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', ours);
    END LOOP;
END $$;

DO $$
BEGIN
    GRANT SELECT, INSERT ON reminders, monthly_reports TO escrow_app;
    GRANT EXECUTE ON FUNCTION refresh_statistics(text) TO escrow_app;
EXCEPTION
    WHEN undefined_object OR insufficient_privilege THEN
        RAISE NOTICE 'role escrow_app was not set up: %', SQLERRM;
END $$;
