-- The views that outside checks read, and the role the program works as: it may add to the ledger
-- and the timeline, never change or remove.

CREATE VIEW ledger_trial_balance AS
SELECT c.currency, coalesce(sum(e.amount_minor), 0)::bigint AS total_minor
  FROM (VALUES ('KES'), ('USD')) AS c (currency)
  LEFT JOIN ledger_accounts a ON a.currency = c.currency
  LEFT JOIN ledger_entries e ON e.account_id = a.id
 GROUP BY c.currency;

CREATE VIEW wallet_balances AS
SELECT owner::bigint AS telegram_id, currency, balance_minor AS available_minor
  FROM ledger_accounts WHERE kind = 'wallet';

CREATE VIEW escrow_balances AS
SELECT e.id AS escrow_id, e.status, e.currency,
       coalesce(r.balance_minor, 0) AS received_minor,
       coalesce(h.balance_minor, 0) AS holding_minor,
       coalesce(f.balance_minor, 0) AS pending_fee_minor
  FROM escrow_transactions e
  LEFT JOIN ledger_accounts r ON r.kind = 'received' AND r.owner = e.id AND r.currency = e.currency
  LEFT JOIN ledger_accounts h ON h.kind = 'holding' AND h.owner = e.id AND h.currency = e.currency
  LEFT JOIN ledger_accounts f ON f.kind = 'pending_fee' AND f.owner = e.id
                             AND f.currency = e.currency;

CREATE VIEW escrow_events AS
SELECT escrow_id, event, from_status, to_status, actor, at
  FROM escrow_timeline ORDER BY at, id;

CREATE VIEW receipts_overview AS
SELECT provider, reference, escrow_id, currency, amount_minor, state FROM receipts;

CREATE VIEW payouts_overview AS
SELECT id, telegram_id, currency, amount_minor, state, provider_reference FROM payouts;

-- What a provider sent is kept until it is done with.
CREATE FUNCTION inbox_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.state IN ('NEW', 'PARKED') THEN
        RAISE EXCEPTION 'nobody is done with callback %', OLD.id
            USING ERRCODE = 'restrict_violation', CONSTRAINT = 'inbox_kept_until_done';
    END IF;
    RETURN OLD;
END $$;
CREATE TRIGGER inbox_guard BEFORE DELETE ON inbox
    FOR EACH ROW EXECUTE FUNCTION inbox_guard();
CREATE TRIGGER inbox_not_emptied BEFORE TRUNCATE ON inbox
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- A session may put temporary tables before ours; our functions don't look there first. And nobody
-- but us calls them, or makes them triggers of tables of his own: some run as their owner.
DO $$
DECLARE
    ours regprocedure;
BEGIN
    FOR ours IN
        SELECT p.oid FROM pg_proc p
         WHERE p.pronamespace = current_schema()::regnamespace
           AND p.proowner = current_user::regrole
           AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
    LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', ours, current_schema());
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', ours);
    END LOOP;
END $$;

-- Nobody puts functions or tables of his own beside ours, not even for a session.
DO $$
BEGIN
    EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
    REVOKE CREATE ON SCHEMA public FROM PUBLIC;
EXCEPTION
    WHEN insufficient_privilege THEN
        RAISE NOTICE 'database and schema belong to somebody else: %', SQLERRM;
END $$;

-- Where the login may not create roles the triggers alone hold, and `--check` says so.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'escrow_app') THEN
        BEGIN
            CREATE ROLE escrow_app NOLOGIN;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL;  -- another database of this server was set up at the same moment
        END;
    END IF;
    EXECUTE format('GRANT escrow_app TO %I', current_user);
    GRANT USAGE ON SCHEMA public TO escrow_app;
    GRANT SELECT ON ALL TABLES IN SCHEMA public TO escrow_app;
    GRANT INSERT, UPDATE ON people, escrow_sellers, escrow_transactions, escrow_disputes,
        seller_ratings, fraud_flags, payment_attempts, receipts, status_queries,
        underpayment_choices, payouts, payout_attempts, provider_tokens, inbox, telegram_updates,
        outbox, job_runs, path_secrets TO escrow_app;
    GRANT INSERT, UPDATE, DELETE ON reservations, reservation_counts, conversations TO escrow_app;
    GRANT DELETE ON fraud_flags, inbox, telegram_updates, outbox, job_runs TO escrow_app;
    GRANT INSERT ON escrow_timeline, seller_history, settlements, instance TO escrow_app;
    GRANT EXECUTE ON FUNCTION ledger_post(jsonb), ledger_lock_wallet(text, text),
        -- which triggers call that run as the program
        flow_check(escrow_transactions, text), escrow_money_check(text) TO escrow_app;
EXCEPTION
    WHEN insufficient_privilege THEN
        RAISE NOTICE 'role escrow_app was not set up: %', SQLERRM;
END $$;
