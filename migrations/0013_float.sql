-- The operator's money: what M-Pesa says that our accounts hold, what admins book by hand between
-- those accounts and ourselves, and the balances of the busy accounts without reading all of them.

-- The last reading of each account at the provider. `books_minor` is what the books had at the
-- provider at that moment (all of his accounts), so that what moves later makes no difference.
CREATE TABLE provider_balances (
    account       text PRIMARY KEY
                  CHECK (account IN ('mpesa:utility', 'mpesa:working', 'mpesa:paybill')),
    currency      text NOT NULL CHECK (currency = 'KES'),
    balance_minor bigint NOT NULL
                  CHECK (balance_minor BETWEEN -1000000000000000 AND 1000000000000000),
    books_minor   bigint NOT NULL,
    read_at       timestamptz NOT NULL,
    source        text NOT NULL CHECK (source <> '')
);

-- Float put in, fees taken out, charges of the provider: each of his receipts once, for ever.
CREATE TABLE bookings (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind         text NOT NULL CHECK (kind IN ('float', 'withdraw', 'charge')),
    receipt      text NOT NULL CHECK (receipt ~ '^[A-Z0-9]{10}$'),
    currency     text NOT NULL CHECK (currency = 'KES'),
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    booked_by    bigint NOT NULL,
    booked_at    timestamptz NOT NULL,
    CONSTRAINT booking_receipt_once UNIQUE (receipt)
);
CREATE TRIGGER bookings_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON bookings
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- What was booked as ours is no customer's payment any more: it would be counted twice. The lock is
-- the one that a booking takes: whichever comes second sees the first.
CREATE FUNCTION receipt_is_not_booked() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(NEW.provider || ':' || NEW.reference, 0));
    IF NEW.provider = 'mpesa' AND EXISTS (
        SELECT FROM bookings WHERE receipt = NEW.reference AND kind <> 'charge')
    THEN
        RAISE EXCEPTION 'receipt % is booked as our own', NEW.reference
            USING ERRCODE = 'check_violation', CONSTRAINT = 'receipt_is_booked';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER receipt_is_not_booked BEFORE INSERT OR UPDATE OF state, reference ON receipts
    FOR EACH ROW WHEN (NEW.state IN ('CREDITED', 'SUSPENSE'))
    EXECUTE FUNCTION receipt_is_not_booked();

-- Accounts that every payment touches keep no running balance. Theirs is what is rolled up here,
-- the sum of their entries up to `upto`, and the few entries after it.
CREATE TABLE ledger_rollups (
    account_id  bigint PRIMARY KEY REFERENCES ledger_accounts,
    total_minor bigint NOT NULL
);
CREATE TABLE ledger_rollup_mark (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    upto     bigint NOT NULL DEFAULT 0 CHECK (upto >= 0),
    -- the next piece: entries up to `entry`, once every transaction before `ceiling` has ended
    entry    bigint NOT NULL DEFAULT 0 CHECK (entry >= upto),
    ceiling  xid8 NOT NULL DEFAULT '0'
);
INSERT INTO ledger_rollup_mark DEFAULT VALUES;

CREATE INDEX ledger_entries_derived_from ON ledger_entries (account_id, id) INCLUDE (amount_minor)
    WHERE account_seq IS NULL;
DROP INDEX ledger_entries_derived;

-- Entries get their number before they are committed, so an entry is rolled up only when no
-- transaction that may hold a lower number is under way: at the next call whose snapshot has no
-- transaction left that began before this one took its number. Returns how many entries it read.
CREATE FUNCTION ledger_roll_up(most bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    last_entry bigint;
    mine       xid8;
    m          ledger_rollup_mark;
    target     bigint;
BEGIN
    IF pg_current_xact_id_if_assigned() IS NOT NULL THEN
        RAISE EXCEPTION 'rolling up stands alone in its transaction'
            USING ERRCODE = 'active_sql_transaction';
    END IF;
    -- first what is there, then a number of our own: whoever has an entry up to `last_entry` has a
    -- lower one
    SELECT coalesce(max(id), 0) INTO last_entry FROM ledger_entries;
    mine := pg_current_xact_id();
    SELECT * INTO m FROM ledger_rollup_mark FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    target := m.upto;
    IF m.ceiling < pg_snapshot_xmin(pg_current_snapshot()) THEN
        target := least(m.entry, m.upto + most);
        INSERT INTO ledger_rollups AS r (account_id, total_minor)
        SELECT e.account_id, sum(e.amount_minor) FROM ledger_entries e
         WHERE e.id > m.upto AND e.id <= target AND e.account_seq IS NULL
         GROUP BY e.account_id
        ON CONFLICT (account_id) DO UPDATE SET total_minor = r.total_minor + excluded.total_minor;
    END IF;
    UPDATE ledger_rollup_mark
       SET upto = target,
           entry = CASE WHEN target = m.entry THEN last_entry ELSE m.entry END,
           ceiling = CASE WHEN target = m.entry THEN mine ELSE m.ceiling END;
    RETURN target - m.upto;
END $$;

CREATE VIEW ledger_derived_balances AS
SELECT a.id AS account_id, a.kind, a.owner, a.currency,
       (coalesce((SELECT r.total_minor FROM ledger_rollups r WHERE r.account_id = a.id), 0)
        + coalesce((SELECT sum(e.amount_minor) FROM ledger_entries e
                     WHERE e.account_id = a.id AND e.account_seq IS NULL
                       AND e.id > (SELECT upto FROM ledger_rollup_mark)), 0))::bigint
           AS balance_minor
  FROM ledger_accounts a
 WHERE a.kind IN ('external', 'fees', 'costs', 'owner');

DO $$
DECLARE
    ours regprocedure;
BEGIN
    FOR ours IN
        SELECT p.oid FROM pg_proc p
         WHERE p.pronamespace = current_schema()::regnamespace
           AND p.proowner = current_user::regrole
           AND p.proname IN ('ledger_roll_up', 'receipt_is_not_booked')
    LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', ours, current_schema());
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', ours);
    END LOOP;
END $$;

DO $$
BEGIN
    GRANT SELECT, INSERT, UPDATE ON provider_balances TO escrow_app;
    GRANT SELECT, INSERT ON bookings TO escrow_app;
    GRANT SELECT ON ledger_rollups, ledger_rollup_mark, ledger_derived_balances TO escrow_app;
    GRANT EXECUTE ON FUNCTION ledger_roll_up(bigint) TO escrow_app;
EXCEPTION
    WHEN undefined_object OR insufficient_privilege THEN
        RAISE NOTICE 'role escrow_app was not set up: %', SQLERRM;
END $$;
