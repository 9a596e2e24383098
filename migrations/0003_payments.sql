-- Money on its way in and out: prompts, receipts, underpayment choices, payouts.

-- One STK prompt. The row and its path token are committed before M-Pesa hears of it.
CREATE TABLE payment_attempts (
    id                  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- what started it, e.g. update:17: a repeated update prompts nobody twice
    cause               text NOT NULL UNIQUE CHECK (cause <> ''),
    token               text NOT NULL UNIQUE CHECK (token ~ '^[0-9a-f]{32,}$'),
    escrow_id           text NOT NULL REFERENCES escrow_transactions,
    telegram_id         bigint NOT NULL REFERENCES people,
    provider            text NOT NULL DEFAULT 'mpesa',
    phone               text NOT NULL CHECK (phone ~ '^254[17][0-9]{8}$'),
    -- whether the number was the person's own shared contact
    own_number          boolean NOT NULL,
    currency            text NOT NULL CHECK (currency IN ('KES', 'USD')),
    amount_minor        bigint NOT NULL CHECK (amount_minor > 0),
    wallet_part_minor   bigint NOT NULL DEFAULT 0 CHECK (wallet_part_minor >= 0),
    choice_id           bigint,
    state               text NOT NULL DEFAULT 'CREATED'
                        CHECK (state IN ('CREATED', 'PROMPTED', 'PAID', 'DECLINED', 'EXPIRED')),
    merchant_request_id text,
    checkout_request_id text UNIQUE,
    result_code         text,
    -- the message in the payer's chat that shows its progress
    chat_message_id     bigint,
    created_at          timestamptz NOT NULL,
    prompted_at         timestamptz,
    -- a callback said paid and the query could not be asked since
    claimed_at          timestamptz,
    closed_at           timestamptz,
    queries             integer NOT NULL DEFAULT 0,
    next_query_at       timestamptz,
    CONSTRAINT attempt_prompted_has_its_id
        CHECK (state <> 'PROMPTED' OR checkout_request_id IS NOT NULL),
    CONSTRAINT attempt_closed_in_time
        CHECK ((state IN ('CREATED', 'PROMPTED')) = (closed_at IS NULL))
);
-- one open prompt per deal and per phone
CREATE UNIQUE INDEX attempt_one_open_per_deal ON payment_attempts (escrow_id)
    WHERE state IN ('CREATED', 'PROMPTED');
CREATE UNIQUE INDEX attempt_one_open_per_phone ON payment_attempts (phone)
    WHERE state IN ('CREATED', 'PROMPTED');
CREATE INDEX payment_attempts_due ON payment_attempts (next_query_at)
    WHERE next_query_at IS NOT NULL;
CREATE INDEX payment_attempts_person ON payment_attempts (telegram_id, created_at);
CREATE INDEX payment_attempts_phone ON payment_attempts (phone, created_at);
CREATE INDEX payment_attempts_deal ON payment_attempts (escrow_id, created_at);

CREATE FUNCTION attempt_unchanged() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.cause, NEW.token, NEW.escrow_id, NEW.telegram_id, NEW.phone, NEW.currency,
        NEW.amount_minor, NEW.wallet_part_minor, NEW.created_at)
       IS DISTINCT FROM
       (OLD.cause, OLD.token, OLD.escrow_id, OLD.telegram_id, OLD.phone, OLD.currency,
        OLD.amount_minor, OLD.wallet_part_minor, OLD.created_at)
       OR (OLD.checkout_request_id IS NOT NULL
           AND NEW.checkout_request_id IS DISTINCT FROM OLD.checkout_request_id)
       OR (OLD.state = 'PAID' AND NEW.state <> 'PAID')
    THEN
        RAISE EXCEPTION 'what attempt % asked for does not change', OLD.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'attempt_frozen';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER attempt_unchanged BEFORE UPDATE ON payment_attempts
    FOR EACH ROW EXECUTE FUNCTION attempt_unchanged();
CREATE TRIGGER payment_attempts_kept BEFORE DELETE OR TRUNCATE ON payment_attempts
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Money that a provider says arrived. Each one is credited once, for ever.
CREATE TABLE receipts (
    id                bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    provider          text NOT NULL,
    channel           text NOT NULL CHECK (channel IN ('stk', 'c2b')),
    -- the provider's receipt number; NULL while only a query told of the payment
    -- ('attempt-…' names a receipt without a number in the ledger)
    reference         text CHECK (reference <> '' AND reference NOT LIKE 'attempt-%'),
    -- the number came with a C2B row that fits the attempt, not with the attempt's own callback
    reference_fitted  boolean NOT NULL DEFAULT false,
    attempt_id        bigint REFERENCES payment_attempts,
    escrow_id         text REFERENCES escrow_transactions,
    -- whose money it became, where that is known
    telegram_id       bigint,
    currency          text NOT NULL CHECK (currency IN ('KES', 'USD')),
    amount_minor      bigint NOT NULL CHECK (amount_minor > 0),
    state             text NOT NULL CHECK (state IN
                      ('WAITING', 'CREDITED', 'SUSPENSE', 'RETURNED', 'REVERSED', 'IGNORED')),
    evidence          text CHECK (evidence IN ('query', 'status', 'limit', 'unchecked', 'admin')),
    happened_at       timestamptz NOT NULL,
    received_at       timestamptz NOT NULL,
    posted_at         timestamptz,
    payer_shown       text NOT NULL DEFAULT '',
    payer_name        text NOT NULL DEFAULT '',
    typed_reference   text NOT NULL DEFAULT '',
    inbox_id          bigint,
    -- the answer that its first delivery got; every repeat gets the same
    outcome           jsonb NOT NULL DEFAULT '{}',
    -- confirmation of a waiting one: when it is looked at again, and how often it was
    next_check_at     timestamptz,
    checks            integer NOT NULL DEFAULT 0,
    CONSTRAINT receipt_once UNIQUE (provider, reference),
    CONSTRAINT receipt_slot_only_for_prompts CHECK (reference IS NOT NULL OR attempt_id IS NOT NULL),
    -- nothing is posted without a reason to believe it
    CONSTRAINT receipt_posted_with_evidence
        CHECK (state IN ('WAITING', 'IGNORED') OR (evidence IS NOT NULL AND posted_at IS NOT NULL))
);
-- a prompt is paid once; a second receipt for it is money of its own
CREATE UNIQUE INDEX receipt_one_per_attempt ON receipts (attempt_id)
    WHERE attempt_id IS NOT NULL;
CREATE INDEX receipts_deal ON receipts (escrow_id, received_at) WHERE escrow_id IS NOT NULL;
CREATE INDEX receipts_waiting ON receipts (next_check_at) WHERE state = 'WAITING';
CREATE INDEX receipts_suspense ON receipts (received_at) WHERE state = 'SUSPENSE';

CREATE FUNCTION receipt_unchanged() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.provider, NEW.currency, NEW.received_at)
       IS DISTINCT FROM (OLD.provider, OLD.currency, OLD.received_at)
       OR (OLD.state <> 'WAITING' AND NEW.amount_minor <> OLD.amount_minor)
       OR (OLD.reference IS NOT NULL AND NEW.reference IS DISTINCT FROM OLD.reference
           AND NOT OLD.reference_fitted)
       -- a prompt that was paid by it stays paid by it, or it could be credited once more
       OR (OLD.attempt_id IS NOT NULL AND NEW.attempt_id IS DISTINCT FROM OLD.attempt_id
           AND OLD.state <> 'IGNORED')
       OR (OLD.state = 'CREDITED'
           AND (NEW.channel, NEW.escrow_id, NEW.telegram_id, NEW.evidence, NEW.posted_at)
               IS DISTINCT FROM
               (OLD.channel, OLD.escrow_id, OLD.telegram_id, OLD.evidence, OLD.posted_at))
       OR (OLD.state = 'CREDITED' AND NEW.state NOT IN ('CREDITED', 'REVERSED'))
       OR (OLD.state = 'SUSPENSE' AND NEW.state NOT IN ('SUSPENSE', 'CREDITED', 'RETURNED',
                                                        'REVERSED'))
       OR (OLD.state IN ('RETURNED', 'REVERSED') AND NEW.state <> OLD.state)
    THEN
        RAISE EXCEPTION 'receipt % does not change that way', OLD.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'receipt_frozen';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER receipt_unchanged BEFORE UPDATE ON receipts
    FOR EACH ROW EXECUTE FUNCTION receipt_unchanged();
CREATE TRIGGER receipts_kept BEFORE DELETE OR TRUNCATE ON receipts
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- At commit: a receipt that was posted has its one journal, written by the same transaction, that
-- takes its amount from outside (or out of suspense, when it is assigned from there). Its key names
-- the receipt by its number, or by its prompt when only that was known. The row is read again, since
-- numbers may be exchanged while a payment is posted; both names are unique, so that no journal
-- stands for two receipts.
CREATE FUNCTION receipt_booked() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    claimed boolean := TG_OP = 'UPDATE' AND OLD.state = 'SUSPENSE';
    named   bigint;
    booked  bigint;
BEGIN
    SELECT count(*), count(*) FILTER (WHERE r.amount_minor = -(
               SELECT sum(e.amount_minor)
                 FROM ledger_entries e JOIN ledger_accounts a ON a.id = e.account_id
                WHERE e.journal_id = j.id AND a.currency = r.currency
                  AND a.kind = CASE WHEN claimed THEN 'suspense' ELSE 'external' END))
      INTO named, booked
      FROM receipts r
      JOIN ledger_journals j ON j.idempotency_key = ANY (ARRAY[
               CASE WHEN claimed THEN 'claim:' ELSE 'receipt:' END || r.provider || ':'
                   || r.reference,
               CASE WHEN claimed THEN 'claim:' ELSE 'receipt:' END || r.provider || ':attempt-'
                   || r.attempt_id])
     WHERE r.id = NEW.id AND j.xid = pg_current_xact_id();
    IF named <> 1 OR booked <> 1 THEN
        RAISE EXCEPTION 'receipt % is % without its journal', NEW.id, NEW.state
            USING ERRCODE = 'check_violation', CONSTRAINT = 'receipt_has_its_journal';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER receipt_booked AFTER INSERT ON receipts
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (NEW.state NOT IN ('WAITING', 'IGNORED'))
    EXECUTE FUNCTION receipt_booked();
CREATE CONSTRAINT TRIGGER receipt_booked_later AFTER UPDATE OF state ON receipts
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (NEW.state NOT IN ('WAITING', 'IGNORED')
          AND (OLD.state IN ('WAITING', 'IGNORED')
               OR (OLD.state = 'SUSPENSE' AND NEW.state = 'CREDITED')))
    EXECUTE FUNCTION receipt_booked();

-- A question to TransactionStatus: the answer comes later, to a path with this token.
CREATE TABLE status_queries (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    token       text NOT NULL UNIQUE CHECK (token ~ '^[0-9a-f]{32,}$'),
    receipt_id  bigint NOT NULL REFERENCES receipts,
    asked_at    timestamptz NOT NULL,
    answered_at timestamptz,
    answer      text CHECK (answer IN ('completed', 'denied', 'unknown'))
);
CREATE INDEX status_queries_receipt ON status_queries (receipt_id, id);

-- The buyer's choice after a moderate shortage (seed 2, scenario 3b).
CREATE TABLE underpayment_choices (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    escrow_id      text NOT NULL REFERENCES escrow_transactions,
    telegram_id    bigint NOT NULL REFERENCES people,
    due_minor      bigint NOT NULL,
    received_minor bigint NOT NULL CHECK (received_minor > 0 AND received_minor < due_minor),
    created_at     timestamptz NOT NULL,
    expires_at     timestamptz NOT NULL CHECK (expires_at > created_at),
    used_at        timestamptz,
    used_action    text CHECK (used_action IN ('proceed', 'cancel', 'completed', 'expired')),
    voided_at      timestamptz,
    CONSTRAINT choice_used_for_something CHECK ((used_at IS NULL) = (used_action IS NULL)),
    CONSTRAINT choice_used_or_voided CHECK (used_at IS NULL OR voided_at IS NULL)
);
-- one open choice per deal
CREATE UNIQUE INDEX choice_one_open ON underpayment_choices (escrow_id)
    WHERE used_at IS NULL AND voided_at IS NULL;
CREATE INDEX underpayment_choices_due ON underpayment_choices (expires_at)
    WHERE used_at IS NULL AND voided_at IS NULL;
ALTER TABLE payment_attempts
    ADD FOREIGN KEY (choice_id) REFERENCES underpayment_choices;
-- What was offered stays what it was, to whom and until when; what was decided stays decided.
CREATE FUNCTION choice_unchanged() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.id, NEW.escrow_id, NEW.telegram_id, NEW.due_minor, NEW.received_minor, NEW.created_at,
        NEW.expires_at)
       IS DISTINCT FROM
       (OLD.id, OLD.escrow_id, OLD.telegram_id, OLD.due_minor, OLD.received_minor, OLD.created_at,
        OLD.expires_at)
       OR ((OLD.used_at IS NOT NULL OR OLD.voided_at IS NOT NULL)
           AND (NEW.used_at, NEW.used_action, NEW.voided_at)
               IS DISTINCT FROM (OLD.used_at, OLD.used_action, OLD.voided_at))
    THEN
        RAISE EXCEPTION 'choice % does not change that way', OLD.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'choice_frozen';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER choice_unchanged BEFORE UPDATE ON underpayment_choices
    FOR EACH ROW EXECUTE FUNCTION choice_unchanged();
CREATE TRIGGER underpayment_choices_kept BEFORE DELETE OR TRUNCATE ON underpayment_choices
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Who is paying a deal that names no buyer yet (flow.md 26). Binds nothing by itself.
CREATE TABLE reservations (
    escrow_id   text PRIMARY KEY REFERENCES escrow_transactions,
    telegram_id bigint NOT NULL REFERENCES people,
    -- money that was on its way before is not this person's
    since       timestamptz NOT NULL,
    until       timestamptz NOT NULL CHECK (until > since)
);
CREATE INDEX reservations_person ON reservations (telegram_id, until);
-- how often somebody reserved a deal without paying it
CREATE TABLE reservation_counts (
    escrow_id   text NOT NULL REFERENCES escrow_transactions,
    telegram_id bigint NOT NULL REFERENCES people,
    made        smallint NOT NULL CHECK (made > 0),
    PRIMARY KEY (escrow_id, telegram_id)
);

-- Money on its way out. Sending comes later; what may never happen is ruled out from the start.
CREATE TABLE payouts (
    id                 bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    cause              text NOT NULL UNIQUE CHECK (cause <> ''),
    telegram_id        bigint NOT NULL REFERENCES people,
    escrow_id          text REFERENCES settlements,
    leg                text CHECK (leg IN ('buyer', 'seller')),
    currency           text NOT NULL CHECK (currency IN ('KES', 'USD')),
    amount_minor       bigint NOT NULL CHECK (amount_minor > 0),
    -- frozen when the payout is decided
    destination        text NOT NULL CHECK (destination <> ''),
    state              text NOT NULL DEFAULT 'READY'
                       CHECK (state IN ('READY', 'SENDING', 'PAID', 'FAILED', 'UNKNOWN', 'MANUAL')),
    provider_reference text,
    created_at         timestamptz NOT NULL,
    finalized_at       timestamptz,
    UNIQUE (escrow_id, leg),
    CONSTRAINT payout_of_a_deal_names_its_leg CHECK ((escrow_id IS NULL) = (leg IS NULL)),
    CONSTRAINT payout_paid_has_a_receipt CHECK (state <> 'PAID' OR provider_reference IS NOT NULL),
    CONSTRAINT payout_finalized_in_time
        CHECK ((state IN ('PAID', 'FAILED')) = (finalized_at IS NOT NULL))
);
CREATE INDEX payouts_open ON payouts (created_at) WHERE state NOT IN ('PAID', 'FAILED');
CREATE INDEX payouts_person ON payouts (telegram_id, created_at);
CREATE TABLE payout_attempts (
    id                         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    payout_id                  bigint NOT NULL REFERENCES payouts,
    originator_conversation_id text NOT NULL UNIQUE CHECK (originator_conversation_id <> ''),
    conversation_id            text,
    state                      text NOT NULL DEFAULT 'SENDING'
                               CHECK (state IN ('SENDING', 'PAID', 'FAILED', 'UNKNOWN')),
    result_code                text,
    sent_at                    timestamptz NOT NULL,
    closed_at                  timestamptz
);
-- a new attempt only after a definite no
CREATE UNIQUE INDEX payout_one_live_attempt ON payout_attempts (payout_id)
    WHERE state <> 'FAILED';
-- A payout begins unsent and goes its way step by step; how it ended stays.
CREATE FUNCTION payout_unchanged() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.state IN ('SENDING', 'PAID', 'FAILED', 'UNKNOWN') THEN
            RAISE EXCEPTION 'a payout does not begin as %', NEW.state
                USING ERRCODE = 'check_violation', CONSTRAINT = 'payout_step';
        END IF;
        RETURN NEW;
    END IF;
    IF (NEW.cause, NEW.telegram_id, NEW.escrow_id, NEW.leg, NEW.currency, NEW.amount_minor,
        NEW.destination, NEW.created_at)
       IS DISTINCT FROM
       (OLD.cause, OLD.telegram_id, OLD.escrow_id, OLD.leg, OLD.currency, OLD.amount_minor,
        OLD.destination, OLD.created_at)
       OR (OLD.state IN ('PAID', 'FAILED')
           AND (NEW.state, NEW.provider_reference, NEW.finalized_at)
               IS DISTINCT FROM (OLD.state, OLD.provider_reference, OLD.finalized_at))
    THEN
        RAISE EXCEPTION 'payout % does not change that way', OLD.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'payout_frozen';
    END IF;
    IF NEW.state <> OLD.state AND (OLD.state, NEW.state) NOT IN (
           ('READY', 'SENDING'), ('READY', 'MANUAL'),
           -- back to READY: a definite no for a reason of ours
           ('SENDING', 'READY'), ('SENDING', 'PAID'), ('SENDING', 'FAILED'), ('SENDING', 'UNKNOWN'),
           ('UNKNOWN', 'PAID'), ('UNKNOWN', 'FAILED'), ('UNKNOWN', 'MANUAL'),
           ('MANUAL', 'PAID'), ('MANUAL', 'FAILED'))
    THEN
        RAISE EXCEPTION 'payout % does not go from % to %', OLD.id, OLD.state, NEW.state
            USING ERRCODE = 'check_violation', CONSTRAINT = 'payout_step';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER payout_unchanged BEFORE INSERT OR UPDATE ON payouts
    FOR EACH ROW EXECUTE FUNCTION payout_unchanged();
-- The id a payment was asked for under stays the attempt's own, and a definite answer is definite:
-- else a second attempt could follow a paid one. It is there before the payment is asked for.
CREATE FUNCTION payout_attempt_unchanged() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.state IN ('PAID', 'FAILED', 'UNKNOWN') THEN
            RAISE EXCEPTION 'a payout attempt does not begin as %', NEW.state
                USING ERRCODE = 'check_violation', CONSTRAINT = 'payout_attempt_frozen';
        END IF;
        RETURN NEW;
    END IF;
    IF (NEW.payout_id, NEW.originator_conversation_id, NEW.sent_at)
       IS DISTINCT FROM (OLD.payout_id, OLD.originator_conversation_id, OLD.sent_at)
       OR (OLD.state IN ('PAID', 'FAILED')
           AND (NEW.state, NEW.result_code, NEW.closed_at)
               IS DISTINCT FROM (OLD.state, OLD.result_code, OLD.closed_at))
       OR (OLD.state = 'UNKNOWN' AND NEW.state = 'SENDING')
    THEN
        RAISE EXCEPTION 'payout attempt % does not change that way', OLD.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'payout_attempt_frozen';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER payout_attempt_unchanged BEFORE INSERT OR UPDATE ON payout_attempts
    FOR EACH ROW EXECUTE FUNCTION payout_attempt_unchanged();
CREATE TRIGGER payouts_kept BEFORE DELETE OR TRUNCATE ON payouts
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER payout_attempts_kept BEFORE DELETE OR TRUNCATE ON payout_attempts
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- One OAuth token per credential set, shared by every process: a new one may end the old one.
CREATE TABLE provider_tokens (
    provider   text PRIMARY KEY,
    token      text,
    expires_at timestamptz,
    -- who is fetching a new one, so that only one does
    lease_until timestamptz
);
