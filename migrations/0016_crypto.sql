-- Deals paid in coins: what was asked for, what is on its way, what arrived. The ledger books the
-- value in shillings or dollars; coin amounts stay here and on the receipt. (NaN is larger than any
-- number here, hence the upper bounds.)

-- The operator's price of a dollar. The newest one counts, while it is fresh.
CREATE TABLE fx_rates (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kes_per_usd numeric(12, 4) NOT NULL CHECK (kes_per_usd > 0 AND kes_per_usd < 'NaN'),
    source      text NOT NULL CHECK (source IN ('env', 'host')),
    set_at      timestamptz NOT NULL
);
CREATE INDEX fx_rates_newest ON fx_rates (set_at, id);
CREATE TRIGGER fx_rates_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON fx_rates
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- One address that a payer was given. The row and its path token are committed before the provider
-- hears of it; whatever comes to the address, however late, names it by the token.
CREATE TABLE crypto_attempts (
    id                 bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- what started it, e.g. update:17: a repeated update opens no second address
    cause              text NOT NULL UNIQUE CHECK (cause <> ''),
    token              text NOT NULL UNIQUE CHECK (token ~ '^[0-9a-f]{32,}$'),
    provider           text NOT NULL CHECK (provider IN ('blockbee', 'dynopay')),
    escrow_id          text NOT NULL REFERENCES escrow_transactions,
    telegram_id        bigint NOT NULL REFERENCES people,
    coin               text NOT NULL CHECK (coin <> ''),
    -- what the deal needs, in its own currency, and the same in dollars
    currency           text NOT NULL CHECK (currency IN ('KES', 'USD')),
    amount_minor       bigint NOT NULL CHECK (amount_minor > 0),
    usd_minor          bigint NOT NULL CHECK (usd_minor > 0),
    kes_per_usd        numeric(12, 4) CHECK (kes_per_usd > 0 AND kes_per_usd < 'NaN'),
    choice_id          bigint REFERENCES underpayment_choices,
    -- the address that its provider calls, for ever, whatever PUBLIC_URL becomes
    callback_url       text NOT NULL CHECK (callback_url <> ''),
    state              text NOT NULL DEFAULT 'CREATED'
                       CHECK (state IN ('CREATED', 'OPEN', 'REFUSED')),
    -- the provider's answer: how much of the coin, where to
    coin_amount        numeric(38, 18) CHECK (coin_amount > 0 AND coin_amount < 'NaN'),
    address            text NOT NULL DEFAULT '',
    tag                text NOT NULL DEFAULT '',
    provider_reference text NOT NULL DEFAULT '',
    refusal            text NOT NULL DEFAULT '',
    created_at         timestamptz NOT NULL,
    opened_at          timestamptz,
    -- the quote's end: what is seen later is valued at its own time's price
    expires_at         timestamptz,
    -- when the provider is asked what it saw, and how often it was
    next_look_at       timestamptz,
    looks              integer NOT NULL DEFAULT 0,
    CONSTRAINT crypto_attempt_shillings_have_a_rate CHECK ((currency = 'KES') = (kes_per_usd IS NOT NULL)),
    -- the dollars that are asked for are never less than what the deal needs
    CONSTRAINT crypto_attempt_is_covered CHECK (usd_minor * coalesce(kes_per_usd, 1) >= amount_minor),
    CONSTRAINT crypto_attempt_open_is_whole CHECK (state <> 'OPEN' OR (
        coin_amount IS NOT NULL AND address <> '' AND opened_at IS NOT NULL
        AND expires_at IS NOT NULL AND expires_at > opened_at))
);
-- one address has one payer, or coins would be credited twice: receipts are told apart by attempt
CREATE UNIQUE INDEX crypto_attempt_address_once ON crypto_attempts (lower(address), tag)
    WHERE address <> '';
CREATE INDEX crypto_attempts_deal ON crypto_attempts (escrow_id, created_at);
CREATE INDEX crypto_attempts_person ON crypto_attempts (telegram_id, created_at);
CREATE INDEX crypto_attempts_due ON crypto_attempts (next_look_at) WHERE next_look_at IS NOT NULL;

-- What was asked for stays; an answer is written once.
CREATE FUNCTION crypto_attempt_unchanged() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.id, NEW.cause, NEW.token, NEW.provider, NEW.escrow_id, NEW.telegram_id, NEW.coin,
        NEW.currency, NEW.amount_minor, NEW.usd_minor, NEW.kes_per_usd, NEW.choice_id,
        NEW.callback_url, NEW.created_at)
       IS DISTINCT FROM
       (OLD.id, OLD.cause, OLD.token, OLD.provider, OLD.escrow_id, OLD.telegram_id, OLD.coin,
        OLD.currency, OLD.amount_minor, OLD.usd_minor, OLD.kes_per_usd, OLD.choice_id,
        OLD.callback_url, OLD.created_at)
       OR (OLD.state <> 'CREATED'
           AND (NEW.state, NEW.coin_amount, NEW.address, NEW.tag, NEW.provider_reference,
                NEW.refusal, NEW.opened_at, NEW.expires_at)
               IS DISTINCT FROM
               (OLD.state, OLD.coin_amount, OLD.address, OLD.tag, OLD.provider_reference,
                OLD.refusal, OLD.opened_at, OLD.expires_at))
    THEN
        RAISE EXCEPTION 'what crypto attempt % asked for does not change', OLD.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'crypto_attempt_frozen';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER crypto_attempt_unchanged BEFORE UPDATE ON crypto_attempts
    FOR EACH ROW EXECUTE FUNCTION crypto_attempt_unchanged();
CREATE TRIGGER crypto_attempts_kept BEFORE DELETE OR TRUNCATE ON crypto_attempts
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Nobody is asked for coins while everything stands still.
CREATE TRIGGER paused BEFORE INSERT ON crypto_attempts
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_while_paused();

-- Coins seen at an address, before and after they are confirmed.
CREATE TABLE crypto_deposits (
    attempt_id   bigint NOT NULL REFERENCES crypto_attempts,
    txid         text NOT NULL CHECK (txid <> ''),
    coin         text NOT NULL CHECK (coin <> ''),
    amount       numeric(38, 18) NOT NULL CHECK (amount > 0 AND amount < 'NaN'),
    seen_at      timestamptz NOT NULL,
    confirmed_at timestamptz,
    -- its provider said that it is confirmed: from then on a later amount may include it
    counted      boolean NOT NULL DEFAULT false,
    -- worth less than a cent: nothing was credited for it
    dust         boolean NOT NULL DEFAULT false,
    PRIMARY KEY (attempt_id, txid, coin),
    CONSTRAINT crypto_deposit_dust_is_confirmed CHECK (NOT dust OR confirmed_at IS NOT NULL)
);
CREATE INDEX crypto_deposits_pending ON crypto_deposits (seen_at) WHERE confirmed_at IS NULL;

-- The number under which coins are credited.
CREATE FUNCTION crypto_receipt_number(d crypto_deposits, asked text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT d.txid || '#' || d.attempt_id || CASE WHEN d.coin = asked THEN '' ELSE ':' || d.coin END
$$;

-- What was seen stays, but that it may turn out to be less; and coins are done with only once they
-- are credited, or were worth nothing.
CREATE FUNCTION crypto_deposit_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE'
       AND ((NEW.attempt_id, NEW.txid, NEW.coin, NEW.seen_at)
            IS DISTINCT FROM (OLD.attempt_id, OLD.txid, OLD.coin, OLD.seen_at)
            OR NEW.amount > OLD.amount
            OR (OLD.confirmed_at IS NOT NULL AND NEW IS DISTINCT FROM OLD))
    THEN
        RAISE EXCEPTION 'deposit % does not change that way', OLD.txid
            USING ERRCODE = 'check_violation', CONSTRAINT = 'crypto_deposit_frozen';
    END IF;
    IF NEW.confirmed_at IS NOT NULL AND NOT NEW.dust AND NOT EXISTS (
        SELECT FROM receipts r JOIN crypto_attempts q ON q.id = r.crypto_attempt_id
         WHERE r.crypto_attempt_id = NEW.attempt_id
           AND r.reference = crypto_receipt_number(NEW, q.coin))
    THEN
        RAISE EXCEPTION 'deposit % has no receipt', NEW.txid
            USING ERRCODE = 'check_violation', CONSTRAINT = 'crypto_deposit_has_its_receipt';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER crypto_deposit_guard BEFORE INSERT OR UPDATE ON crypto_deposits
    FOR EACH ROW EXECUTE FUNCTION crypto_deposit_guard();
CREATE TRIGGER crypto_deposits_kept BEFORE DELETE OR TRUNCATE ON crypto_deposits
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Receipts in coins.
ALTER TABLE receipts DROP CONSTRAINT receipts_channel_check;
ALTER TABLE receipts ADD CONSTRAINT receipts_channel_check
    CHECK (channel IN ('stk', 'c2b', 'crypto'));
ALTER TABLE receipts DROP CONSTRAINT receipts_evidence_check;
ALTER TABLE receipts ADD CONSTRAINT receipts_evidence_check
    CHECK (evidence IN ('query', 'status', 'limit', 'unchecked', 'admin', 'signed'));
ALTER TABLE receipts ADD COLUMN crypto_attempt_id bigint REFERENCES crypto_attempts;
ALTER TABLE receipts ADD COLUMN coin text;
ALTER TABLE receipts ADD COLUMN coin_amount numeric(38, 18)
    CHECK (coin_amount > 0 AND coin_amount < 'NaN');
ALTER TABLE receipts ADD COLUMN cost_minor bigint NOT NULL DEFAULT 0
    CONSTRAINT receipt_coins_cost_a_part CHECK (cost_minor = 0 OR cost_minor BETWEEN 1 AND amount_minor);
-- coins are believed by their provider's signature, or because he says so when we ask
ALTER TABLE receipts ADD CONSTRAINT receipt_in_coins_is_confirmed CHECK (
    CASE channel WHEN 'crypto' THEN evidence IS NOT NULL AND evidence IN ('signed', 'query')
                 ELSE evidence IS DISTINCT FROM 'signed' END);
ALTER TABLE receipts ADD CONSTRAINT receipt_in_coins_is_whole CHECK (
    (channel = 'crypto') = (crypto_attempt_id IS NOT NULL)
    AND (channel = 'crypto') = (coin IS NOT NULL)
    AND (channel = 'crypto') = (coin_amount IS NOT NULL)
    AND (CASE channel WHEN 'crypto' THEN reference IS NOT NULL AND NOT reference_fitted
                                         AND attempt_id IS NULL
                      ELSE cost_minor = 0 END));
CREATE INDEX receipts_crypto_attempt ON receipts (crypto_attempt_id)
    WHERE crypto_attempt_id IS NOT NULL;

-- A receipt in coins is for coins that were seen at the address of that provider's payer and deal:
-- exactly so many, under a number of their own.
CREATE FUNCTION receipt_in_coins() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM crypto_deposits d JOIN crypto_attempts q ON q.id = d.attempt_id
      WHERE q.id = NEW.crypto_attempt_id AND q.state = 'OPEN' AND q.provider = NEW.provider
        AND q.escrow_id = NEW.escrow_id AND q.telegram_id = coalesce(NEW.telegram_id, q.telegram_id)
        AND d.coin = NEW.coin AND d.amount = NEW.coin_amount
        AND crypto_receipt_number(d, q.coin) = NEW.reference
        FOR SHARE OF d;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'receipt % is not for coins that were seen', NEW.reference
            USING ERRCODE = 'check_violation', CONSTRAINT = 'receipt_is_its_coins';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER receipt_in_coins BEFORE INSERT ON receipts
    FOR EACH ROW WHEN (NEW.crypto_attempt_id IS NOT NULL) EXECUTE FUNCTION receipt_in_coins();
CREATE FUNCTION receipt_coins_unchanged() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.crypto_attempt_id, NEW.coin, NEW.coin_amount, NEW.cost_minor)
       IS DISTINCT FROM (OLD.crypto_attempt_id, OLD.coin, OLD.coin_amount, OLD.cost_minor)
    THEN
        RAISE EXCEPTION 'the coins of receipt % do not change', OLD.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'receipt_coins_frozen';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER receipt_coins_unchanged BEFORE UPDATE ON receipts
    FOR EACH ROW EXECUTE FUNCTION receipt_coins_unchanged();

DO $$
DECLARE
    ours regprocedure;
BEGIN
    FOR ours IN
        SELECT p.oid FROM pg_proc p
         WHERE p.pronamespace = current_schema()::regnamespace
           AND p.proowner = current_user::regrole
           AND p.proname IN ('crypto_attempt_unchanged', 'crypto_receipt_number',
                             'crypto_deposit_guard', 'receipt_in_coins',
                             'receipt_coins_unchanged')
    LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', ours, current_schema());
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', ours);
    END LOOP;
END $$;

DO $$
BEGIN
    GRANT SELECT, INSERT ON fx_rates TO escrow_app;
    GRANT SELECT, INSERT, UPDATE ON crypto_attempts, crypto_deposits TO escrow_app;
    GRANT EXECUTE ON FUNCTION crypto_receipt_number(crypto_deposits, text) TO escrow_app;
EXCEPTION
    WHEN undefined_object OR insufficient_privilege THEN
        RAISE NOTICE 'role escrow_app was not set up: %', SQLERRM;
END $$;
