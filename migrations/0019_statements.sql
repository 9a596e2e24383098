-- What M-Pesa's own statement says: a payment that it took back by itself is nobody's money any more,
-- and a receipt turns that way only together with the journal that says where the loss lies.

-- Each reversal of the provider once, for ever, by the number of what was taken back. It may be
-- known before its payment is: that one is never credited then.
CREATE TABLE provider_reversals (
    receipt      text PRIMARY KEY CHECK (receipt ~ '^[A-Z0-9]{10}$'),
    -- the reversal's own number
    reversal     text NOT NULL CHECK (reversal ~ '^[A-Z0-9]{10}$'),
    currency     text NOT NULL CHECK (currency = 'KES'),
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    happened_at  timestamptz NOT NULL,
    -- whose statement said so; NULL: the host's
    told_by      bigint,
    told_at      timestamptz NOT NULL,
    CONSTRAINT provider_reversal_once UNIQUE (reversal)
);
CREATE TRIGGER provider_reversals_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON provider_reversals
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- A file that an admin sends is not the provider's word: what only it told of is not credited
-- because of its small amount.
ALTER TABLE receipts ADD COLUMN from_statement boolean NOT NULL DEFAULT false;

-- A reversal has a number of its own, that no payment came in under. The lock is the one that a
-- booking takes (0013): whichever comes second sees the first.
CREATE FUNCTION provider_reversal_is_no_payment() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('mpesa:' || NEW.receipt, 0));
    IF EXISTS (SELECT FROM receipts WHERE provider = 'mpesa' AND reference = NEW.reversal
                                      AND state NOT IN ('WAITING', 'IGNORED'))
    THEN
        RAISE EXCEPTION 'reversal % is a payment that came in', NEW.reversal
            USING ERRCODE = 'check_violation', CONSTRAINT = 'reversal_is_no_payment';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER provider_reversal_is_no_payment BEFORE INSERT ON provider_reversals
    FOR EACH ROW EXECUTE FUNCTION provider_reversal_is_no_payment();

-- What was taken back is credited to nobody, but for the one case where it was credited by a query
-- before its number was known: then the number must find its row, or it could not be booked out.
CREATE FUNCTION receipt_was_not_reversed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(NEW.provider || ':' || NEW.reference, 0));
    IF NEW.provider = 'mpesa' AND EXISTS (
        SELECT FROM provider_reversals WHERE receipt = NEW.reference)
    THEN
        RAISE EXCEPTION 'receipt % was taken back by its provider', NEW.reference
            USING ERRCODE = 'check_violation', CONSTRAINT = 'receipt_was_reversed';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER receipt_was_not_reversed BEFORE INSERT ON receipts
    FOR EACH ROW WHEN (NEW.state IN ('CREDITED', 'SUSPENSE'))
    EXECUTE FUNCTION receipt_was_not_reversed();
CREATE TRIGGER receipt_was_not_reversed_later BEFORE UPDATE OF state ON receipts
    FOR EACH ROW WHEN (NEW.state IN ('CREDITED', 'SUSPENSE') AND NEW.state <> OLD.state)
    EXECUTE FUNCTION receipt_was_not_reversed();

-- As in 0014, and: a receipt also turns when its provider took it back whole.
CREATE OR REPLACE FUNCTION receipt_goes_back() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    gone  text;
    taken boolean;
BEGIN
    SELECT state INTO gone FROM payouts WHERE receipt_id = NEW.id AND state <> 'FAILED';
    taken := NEW.state = 'REVERSED' AND gone IS NULL AND NEW.provider = 'mpesa' AND EXISTS (
        SELECT FROM provider_reversals
         WHERE receipt = NEW.reference
           AND (currency, amount_minor) = (NEW.currency, NEW.amount_minor));
    IF (NEW.state IN ('RETURNED', 'REVERSED') AND gone IS DISTINCT FROM 'PAID' AND NOT taken)
       OR (NEW.state = 'CREDITED' AND gone IS NOT NULL)
    THEN
        RAISE EXCEPTION 'receipt % becomes % and its way back is %', NEW.id, NEW.state, gone
            USING ERRCODE = 'check_violation', CONSTRAINT = 'receipt_goes_back';
    END IF;
    RETURN NEW;
END $$;

-- At commit: what the provider took back has left the books for outside by one journal of its own
-- amount, written by the same transaction, and no such journal stands without its receipt.
CREATE FUNCTION receipt_reversed_booked() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM payouts WHERE receipt_id = NEW.id AND state = 'PAID') THEN
        RETURN NULL;
    END IF;
    PERFORM 1
      FROM ledger_journals j
     WHERE j.idempotency_key = 'reversed:' || NEW.provider || ':' || NEW.reference
       AND j.xid = pg_current_xact_id()
       AND NEW.amount_minor = (
               SELECT sum(e.amount_minor)
                 FROM ledger_entries e JOIN ledger_accounts a ON a.id = e.account_id
                WHERE e.journal_id = j.id AND a.currency = NEW.currency AND a.kind = 'external');
    IF NOT FOUND THEN
        RAISE EXCEPTION 'receipt % was reversed without its journal', NEW.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'receipt_has_its_journal';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER receipt_reversed_booked AFTER UPDATE OF state ON receipts
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (NEW.state = 'REVERSED' AND OLD.state <> 'REVERSED')
    EXECUTE FUNCTION receipt_reversed_booked();

CREATE FUNCTION reversal_journal_of_a_receipt() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM receipts r
     WHERE r.state = 'REVERSED' AND NEW.idempotency_key = 'reversed:' || r.provider || ':' || r.reference
       AND r.provider = 'mpesa'
       AND r.reference = substr(NEW.idempotency_key, char_length('reversed:mpesa:') + 1);
    IF NOT FOUND THEN
        RAISE EXCEPTION 'journal % is of no reversed receipt', NEW.idempotency_key
            USING ERRCODE = 'check_violation', CONSTRAINT = 'receipt_has_its_journal';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER reversal_journal_of_a_receipt AFTER INSERT ON ledger_journals
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (NEW.kind = 'reversal')
    EXECUTE FUNCTION reversal_journal_of_a_receipt();

-- What a statement is laid beside: receipts by their time, payouts by the receipt that paid them.
CREATE INDEX receipts_happened ON receipts (happened_at, id) WHERE state IN ('CREDITED', 'SUSPENSE');
CREATE INDEX payouts_finalized ON payouts (finalized_at, id) WHERE state = 'PAID';

DO $$
DECLARE
    ours regprocedure;
BEGIN
    FOR ours IN
        SELECT p.oid FROM pg_proc p
         WHERE p.pronamespace = current_schema()::regnamespace
           AND p.proowner = current_user::regrole
           AND p.proname IN ('provider_reversal_is_no_payment', 'receipt_was_not_reversed',
                             'receipt_goes_back', 'receipt_reversed_booked',
                             'reversal_journal_of_a_receipt')
    LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', ours, current_schema());
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', ours);
    END LOOP;
END $$;

DO $$
BEGIN
    GRANT SELECT, INSERT ON provider_reversals TO escrow_app;
EXCEPTION
    WHEN undefined_object OR insufficient_privilege THEN
        RAISE NOTICE 'role escrow_app was not set up: %', SQLERRM;
END $$;
