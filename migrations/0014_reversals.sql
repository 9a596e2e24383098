-- Money that came in goes back to whoever paid it, by M-Pesa's reversal or by hand: a payout that
-- names its receipt. It comes out of its owner's wallet or, where nobody owns it, out of suspense,
-- and goes back there when it can't be sent.

ALTER TABLE payouts
    -- NULL: money of nobody that we know
    ALTER COLUMN telegram_id DROP NOT NULL,
    -- the receipt whose money goes back, its number, and its deal; all three stay as they are
    ADD COLUMN receipt_id bigint REFERENCES receipts,
    ADD COLUMN receipt    text,
    ADD COLUMN about      text REFERENCES escrow_transactions,
    ADD CONSTRAINT payout_is_somebodys CHECK (telegram_id IS NOT NULL OR receipt_id IS NOT NULL),
    ADD CONSTRAINT payout_back_is_no_leg
        CHECK (receipt_id IS NULL OR (leg IS NULL AND receipt IS NOT NULL));
-- what came in once goes back once
CREATE UNIQUE INDEX payout_back_once ON payouts (receipt_id) WHERE state <> 'FAILED';
CREATE INDEX payouts_receipt ON payouts (receipt_id) WHERE receipt_id IS NOT NULL;
-- whose money may it be: deals that wait for that sum, and people whose number a mask fits
CREATE INDEX escrow_transactions_due ON escrow_transactions (currency, due_minor)
    WHERE status = 'PENDING';
CREATE INDEX people_phone_begins ON people (phone text_pattern_ops) WHERE phone IS NOT NULL;

-- Exactly the money of a receipt goes back: out of its owner's wallet, or out of suspense. The
-- receipt's row is locked, so that nobody credits it meanwhile.
CREATE FUNCTION payout_goes_back() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF (NEW.receipt_id, NEW.receipt, NEW.about)
           IS DISTINCT FROM (OLD.receipt_id, OLD.receipt, OLD.about) THEN
            RAISE EXCEPTION 'payout % does not change that way', OLD.id
                USING ERRCODE = 'check_violation', CONSTRAINT = 'payout_back_frozen';
        END IF;
    ELSIF NEW.receipt_id IS NOT NULL THEN
        PERFORM 1 FROM receipts r
         WHERE r.id = NEW.receipt_id AND r.reference = NEW.receipt
           AND r.escrow_id IS NOT DISTINCT FROM NEW.about
           AND (r.currency, r.amount_minor) = (NEW.currency, NEW.amount_minor)
           AND r.state = CASE WHEN NEW.telegram_id IS NULL THEN 'SUSPENSE' ELSE 'CREDITED' END
           AND r.telegram_id IS NOT DISTINCT FROM NEW.telegram_id
           FOR UPDATE;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'payout of receipt % is not its money', NEW.receipt_id
                USING ERRCODE = 'check_violation', CONSTRAINT = 'payout_is_its_receipt';
        END IF;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER payout_goes_back BEFORE INSERT OR UPDATE ON payouts
    FOR EACH ROW EXECUTE FUNCTION payout_goes_back();

-- What is on its way back is credited to nobody, and has gone back when its payout was paid.
CREATE FUNCTION receipt_goes_back() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    gone text;
BEGIN
    SELECT state INTO gone FROM payouts WHERE receipt_id = NEW.id AND state <> 'FAILED';
    IF (NEW.state IN ('RETURNED', 'REVERSED') AND gone IS DISTINCT FROM 'PAID')
       OR (NEW.state = 'CREDITED' AND gone IS NOT NULL)
    THEN
        RAISE EXCEPTION 'receipt % becomes % and its way back is %', NEW.id, NEW.state, gone
            USING ERRCODE = 'check_violation', CONSTRAINT = 'receipt_goes_back';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER receipt_goes_back BEFORE UPDATE ON receipts
    FOR EACH ROW WHEN (NEW.state <> OLD.state)
    EXECUTE FUNCTION receipt_goes_back();

-- As before (0007), and for money that goes back: out of suspense where it is nobody's, and a
-- payout that was paid has turned its receipt.
CREATE OR REPLACE FUNCTION payout_check(payout bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    p       payouts;
    held    bigint;
    strange bigint;
    booked  bigint;
    live    text;
    home    text;
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
    -- out of his wallet (or suspense), and out to the provider or back into it
    home := CASE WHEN p.telegram_id IS NULL THEN 'suspense' ELSE 'wallet' END;
    SELECT count(*) INTO booked
      FROM (VALUES ('payout:' || p.id, home, coalesce(p.telegram_id::text, ''), -p.amount_minor),
                   (CASE p.state WHEN 'PAID' THEN 'payout_paid:' || p.id
                                 WHEN 'FAILED' THEN 'payout_failed:' || p.id END,
                    CASE p.state WHEN 'PAID' THEN 'external' ELSE home END,
                    CASE p.state WHEN 'FAILED' THEN coalesce(p.telegram_id::text, '') END,
                    p.amount_minor))
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
    IF p.receipt_id IS NOT NULL AND p.state = 'PAID' AND NOT EXISTS (
        SELECT FROM receipts r
         WHERE r.id = p.receipt_id
           AND r.state = CASE WHEN p.telegram_id IS NULL THEN 'RETURNED' ELSE 'REVERSED' END)
    THEN
        RAISE EXCEPTION 'payout % is paid and its receipt did not go back', payout
            USING ERRCODE = 'check_violation', CONSTRAINT = 'payout_turns_its_receipt';
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

DO $$
DECLARE
    ours regprocedure;
BEGIN
    FOR ours IN
        SELECT p.oid FROM pg_proc p
         WHERE p.pronamespace = current_schema()::regnamespace
           AND p.proowner = current_user::regrole
           AND p.proname IN ('payout_goes_back', 'receipt_goes_back', 'payout_check')
    LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', ours, current_schema());
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', ours);
    END LOOP;
END $$;
