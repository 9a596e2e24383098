-- Somebody says that he paid, by a receipt number (flow.md 26). A claim by itself moves nothing: it
-- is credited together with its receipt, to the one whose money that is, or it is not.

CREATE TABLE payment_claims (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- what made it, e.g. update:17: a repeated update claims nothing twice
    cause         text NOT NULL UNIQUE CHECK (cause <> ''),
    -- stands in the path of M-Pesa's answers about it
    token         text NOT NULL UNIQUE CHECK (token ~ '^[0-9a-f]{32,}$'),
    telegram_id   bigint NOT NULL REFERENCES people,
    -- the deal he means; NULL: none, so that the money would become wallet money
    escrow_id     text REFERENCES escrow_transactions,
    reference     text NOT NULL CHECK (reference ~ '^[A-Z0-9]{10}$'),
    receipt_id    bigint REFERENCES receipts,
    state         text NOT NULL
                  CHECK (state IN ('ASKED', 'WAITING', 'PERSON', 'CREDITED', 'DENIED')),
    -- how it was decided, or why a person has to
    why           text NOT NULL DEFAULT '',
    currency      text NOT NULL DEFAULT 'KES' CHECK (currency = 'KES'),
    -- what his message says, and what M-Pesa says; only the second one is believed by itself
    claimed_minor bigint CHECK (claimed_minor > 0),
    said_at       timestamptz,
    amount_minor  bigint CHECK (amount_minor > 0),
    payer_shown   text NOT NULL DEFAULT '',
    happened_at   timestamptz,
    created_at    timestamptz NOT NULL,
    decided_at    timestamptz,
    -- the admin who decided it
    decided_by    bigint,
    checks        integer NOT NULL DEFAULT 0,
    next_check_at timestamptz,
    CONSTRAINT claim_decided_in_time
        CHECK ((state IN ('CREDITED', 'DENIED')) = (decided_at IS NOT NULL)),
    CONSTRAINT claim_decided_is_done CHECK (decided_at IS NULL OR next_check_at IS NULL)
);
-- asking for the same receipt twice is one claim
CREATE UNIQUE INDEX claim_one_open ON payment_claims (telegram_id, reference)
    WHERE state IN ('ASKED', 'WAITING', 'PERSON');
CREATE UNIQUE INDEX claim_one_credit ON payment_claims (receipt_id) WHERE state = 'CREDITED';
CREATE INDEX payment_claims_due ON payment_claims (next_check_at) WHERE next_check_at IS NOT NULL;
CREATE INDEX payment_claims_person ON payment_claims (telegram_id, created_at);

-- A claim stays what it asked for, and is decided once; credited only together with a receipt of its
-- number that became this person's money.
CREATE FUNCTION claim_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF (NEW.id, NEW.cause, NEW.token, NEW.telegram_id, NEW.escrow_id, NEW.reference,
            NEW.claimed_minor, NEW.said_at, NEW.created_at)
           IS DISTINCT FROM
           (OLD.id, OLD.cause, OLD.token, OLD.telegram_id, OLD.escrow_id, OLD.reference,
            OLD.claimed_minor, OLD.said_at, OLD.created_at)
           OR (OLD.amount_minor IS NOT NULL
               AND (NEW.amount_minor, NEW.payer_shown, NEW.happened_at)
                   IS DISTINCT FROM (OLD.amount_minor, OLD.payer_shown, OLD.happened_at))
           OR (OLD.decided_at IS NOT NULL AND NEW IS DISTINCT FROM OLD)
        THEN
            RAISE EXCEPTION 'claim % does not change that way', OLD.id
                USING ERRCODE = 'check_violation', CONSTRAINT = 'claim_frozen';
        END IF;
    END IF;
    IF NEW.state = 'CREDITED' AND NOT EXISTS (
        SELECT FROM receipts r
         WHERE r.id = NEW.receipt_id AND r.state = 'CREDITED' AND r.reference = NEW.reference
           AND r.telegram_id = NEW.telegram_id) THEN
        RAISE EXCEPTION 'claim % names no money of its person', NEW.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'claim_credited_with_its_receipt';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER claim_guard BEFORE INSERT OR UPDATE ON payment_claims
    FOR EACH ROW EXECUTE FUNCTION claim_guard();
CREATE TRIGGER payment_claims_kept BEFORE DELETE OR TRUNCATE ON payment_claims
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

DO $$
DECLARE
    ours regprocedure;
BEGIN
    FOR ours IN
        SELECT p.oid FROM pg_proc p
         WHERE p.pronamespace = current_schema()::regnamespace
           AND p.proowner = current_user::regrole
           AND p.proname = 'claim_guard'
    LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', ours, current_schema());
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', ours);
    END LOOP;
END $$;

DO $$
BEGIN
    GRANT SELECT, INSERT, UPDATE ON payment_claims TO escrow_app;
EXCEPTION
    WHEN undefined_object OR insufficient_privilege THEN
        RAISE NOTICE 'role escrow_app was not set up: %', SQLERRM;
END $$;
