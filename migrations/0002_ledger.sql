-- The ledger: double entry, append-only, in whole minor units. Customers' claims are positive,
-- the money at the provider (external) is negative, everything together is zero per currency.

CREATE TABLE ledger_accounts (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind          text NOT NULL CHECK (kind IN
                  ('external', 'received', 'holding', 'pending_fee', 'wallet', 'payable', 'fees',
                   'suspense', 'receivable', 'costs', 'owner')),
    -- the deal, the person's Telegram id, the payout, the rail's account; '' for the only one
    owner         text NOT NULL DEFAULT '',
    currency      text NOT NULL CHECK (currency IN ('KES', 'USD')),
    balance_minor bigint NOT NULL DEFAULT 0,
    entries       bigint NOT NULL DEFAULT 0 CHECK (entries >= 0),
    UNIQUE (kind, owner, currency),
    -- a wallet is a person's, or wallet_balances could not be read
    CONSTRAINT account_wallet_of_a_person
        CHECK (kind <> 'wallet' OR owner ~ '^[1-9][0-9]{0,17}$'),
    -- only what stands outside the customers' money may be negative
    CONSTRAINT account_not_negative
        CHECK (balance_minor >= 0 OR kind IN ('external', 'receivable', 'costs', 'owner')),
    -- accounts that every payment touches keep no running balance: one row there would make all
    -- payments queue for it; their balance is the sum of their entries
    CONSTRAINT account_derived_keeps_no_balance
        CHECK (kind NOT IN ('external', 'fees', 'costs', 'owner')
               OR (balance_minor = 0 AND entries = 0))
);

CREATE TABLE ledger_journals (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind            text NOT NULL CHECK (kind ~ '^[a-z_]+$'),
    escrow_id       text REFERENCES escrow_transactions,
    idempotency_key text NOT NULL UNIQUE CHECK (idempotency_key <> ''),
    -- of everything that was asked for: the same key with other inputs is an error
    inputs_hash     text NOT NULL CHECK (inputs_hash <> ''),
    happened_at     timestamptz NOT NULL,
    written_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- only the transaction that opened a journal may add entries to it
    xid             xid8 NOT NULL DEFAULT pg_current_xact_id()
);
CREATE INDEX ledger_journals_deal ON ledger_journals (escrow_id, id) WHERE escrow_id IS NOT NULL;

CREATE TABLE ledger_entries (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    journal_id    bigint NOT NULL REFERENCES ledger_journals,
    account_id    bigint NOT NULL REFERENCES ledger_accounts,
    amount_minor  bigint NOT NULL CHECK (amount_minor <> 0
                  AND amount_minor BETWEEN -1000000000000000 AND 1000000000000000),
    -- written by the trigger; NULL on accounts without a running balance
    balance_after bigint,
    account_seq   bigint,
    UNIQUE (account_id, account_seq)
);
CREATE INDEX ledger_entries_journal ON ledger_entries (journal_id);
CREATE INDEX ledger_entries_derived ON ledger_entries (account_id) INCLUDE (amount_minor)
    WHERE account_seq IS NULL;

CREATE TRIGGER ledger_journals_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_journals
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER ledger_entries_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_entries
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER ledger_accounts_kept BEFORE DELETE OR TRUNCATE ON ledger_accounts
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- An account opens empty and only an entry moves its balance.
CREATE FUNCTION ledger_account_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.balance_minor <> 0 OR NEW.entries <> 0 THEN
            RAISE EXCEPTION 'an account opens empty'
                USING ERRCODE = 'check_violation', CONSTRAINT = 'account_moves_by_entry';
        END IF;
        RETURN NEW;
    END IF;
    IF pg_trigger_depth() < 2
       OR (NEW.id, NEW.kind, NEW.owner, NEW.currency)
          IS DISTINCT FROM (OLD.id, OLD.kind, OLD.owner, OLD.currency)
    THEN
        RAISE EXCEPTION 'account %:% moves only by an entry', OLD.kind, OLD.owner
            USING ERRCODE = 'check_violation', CONSTRAINT = 'account_moves_by_entry';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER ledger_account_guard BEFORE INSERT OR UPDATE ON ledger_accounts
    FOR EACH ROW EXECUTE FUNCTION ledger_account_guard();

CREATE FUNCTION ledger_entry_written() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM 1 FROM ledger_journals WHERE id = NEW.journal_id AND xid = pg_current_xact_id();
    IF NOT FOUND THEN
        RAISE EXCEPTION 'journal % is closed', NEW.journal_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'journal_closed';
    END IF;
    UPDATE ledger_accounts SET balance_minor = balance_minor + NEW.amount_minor,
                               entries = entries + 1
     WHERE id = NEW.account_id AND kind NOT IN ('external', 'fees', 'costs', 'owner')
    RETURNING balance_minor, entries INTO NEW.balance_after, NEW.account_seq;
    IF NOT FOUND THEN
        NEW.balance_after := NULL;
        NEW.account_seq := NULL;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER ledger_entry_written BEFORE INSERT ON ledger_entries
    FOR EACH ROW EXECUTE FUNCTION ledger_entry_written();

-- At commit: a journal has two or more entries and sums to zero per currency.
CREATE FUNCTION ledger_journal_balanced() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    legs bigint;
    off  bigint;
BEGIN
    SELECT coalesce(sum(n), 0), count(*) FILTER (WHERE total <> 0) INTO legs, off
      FROM (SELECT count(*) AS n, sum(e.amount_minor) AS total
              FROM ledger_entries e JOIN ledger_accounts a ON a.id = e.account_id
             WHERE e.journal_id = NEW.id GROUP BY a.currency) AS per_currency;
    IF legs < 2 OR off > 0 THEN
        RAISE EXCEPTION 'journal % (%) does not balance', NEW.id, NEW.idempotency_key
            USING ERRCODE = 'check_violation', CONSTRAINT = 'journal_balanced';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER ledger_journal_balanced AFTER INSERT ON ledger_journals
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION ledger_journal_balanced();

-- One settlement per deal, for ever; its parts are everything that was held.
CREATE TABLE settlements (
    escrow_id    text PRIMARY KEY REFERENCES escrow_transactions,
    event        text NOT NULL CHECK (event IN ('release', 'refund', 'decline', 'resolve',
                 'settle', 'manual_release', 'manual_refund')),
    seller_minor bigint NOT NULL CHECK (seller_minor >= 0),
    buyer_minor  bigint NOT NULL CHECK (buyer_minor >= 0),
    fee_minor    bigint NOT NULL CHECK (fee_minor >= 0),
    settled_at   timestamptz NOT NULL
);
CREATE TRIGGER settlements_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON settlements
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE FUNCTION settlement_whole() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM escrow_transactions e
     WHERE e.id = NEW.escrow_id
       AND e.held_price_minor + e.held_fee_minor
           = NEW.seller_minor + NEW.buyer_minor + NEW.fee_minor;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the settlement of % is not what was held', NEW.escrow_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'settlement_whole';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER settlement_whole BEFORE INSERT ON settlements
    FOR EACH ROW EXECUTE FUNCTION settlement_whole();

-- At commit, whatever touched the deal or its accounts: holding and pending fee are what `fund`
-- put there while the deal is funded and nothing otherwise; undecided money only waits on a
-- PENDING deal; a finished deal that held money has its one settlement. Rows are read again,
-- since deliver and release may share a transaction.
CREATE FUNCTION escrow_money_check(deal text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    e        escrow_transactions;
    s        settlements;
    funded   boolean;
    finished boolean;
    h        bigint;
    f        bigint;
    r        bigint;
    strange  bigint;
BEGIN
    SELECT * INTO e FROM escrow_transactions WHERE id = deal;
    SELECT coalesce(sum(balance_minor) FILTER (WHERE kind = 'holding'), 0),
           coalesce(sum(balance_minor) FILTER (WHERE kind = 'pending_fee'), 0),
           coalesce(sum(balance_minor) FILTER (WHERE kind = 'received'), 0),
           coalesce(sum(balance_minor) FILTER (WHERE currency <> e.currency), 0)
      INTO h, f, r, strange
      FROM ledger_accounts
     WHERE kind IN ('holding', 'pending_fee', 'received') AND owner = deal;
    IF e.id IS NULL THEN
        RAISE EXCEPTION 'there is no deal %', deal
            USING ERRCODE = 'check_violation', CONSTRAINT = 'deal_money_matches';
    END IF;
    funded := e.status IN ('HELD', 'SHIPPED', 'DELIVERED', 'DISPUTED', 'FROZEN');
    IF h <> (CASE WHEN funded THEN e.held_price_minor ELSE 0 END)
       OR f <> (CASE WHEN funded THEN e.held_fee_minor ELSE 0 END)
       OR (r <> 0 AND e.status <> 'PENDING')
       OR strange <> 0  -- money of another currency than the deal's
    THEN
        RAISE EXCEPTION 'deal % is % with holding %, pending fee %, received %',
            deal, e.status, h, f, r
            USING ERRCODE = 'check_violation', CONSTRAINT = 'deal_money_matches';
    END IF;
    IF e.held_price_minor IS NOT NULL THEN
        SELECT * INTO s FROM settlements WHERE escrow_id = deal;
        finished := e.status IN ('COMPLETED', 'REFUNDED');
        IF finished <> (s.escrow_id IS NOT NULL)
           OR (finished AND s.event <> e.last_event)
           OR (e.status = 'REFUNDED'
               AND s.buyer_minor <> e.held_price_minor + e.held_fee_minor)
        THEN
            RAISE EXCEPTION 'deal % is % and its settlement disagrees', deal, e.status
                USING ERRCODE = 'check_violation', CONSTRAINT = 'deal_settled_once';
        END IF;
    END IF;
END $$;

CREATE FUNCTION escrow_money_check_deal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM escrow_money_check(NEW.id);
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER escrow_money_check AFTER INSERT OR UPDATE OF status, held_price_minor
    ON escrow_transactions DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION escrow_money_check_deal();

CREATE FUNCTION escrow_money_check_account() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- the last change of an account in a transaction is the one that counts
    PERFORM 1 FROM ledger_accounts WHERE id = NEW.id AND entries = NEW.entries;
    IF FOUND THEN
        PERFORM escrow_money_check(NEW.owner);
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER escrow_money_check AFTER UPDATE ON ledger_accounts
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (NEW.kind IN ('received', 'holding', 'pending_fee'))
    EXECUTE FUNCTION escrow_money_check_account();

CREATE FUNCTION escrow_money_check_settlement() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM escrow_money_check(NEW.escrow_id);
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER escrow_money_check AFTER INSERT ON settlements
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION escrow_money_check_settlement();

-- The one way to write journals. Takes a list:
--   [{"kind", "key", "hash", "currency", "at", "escrow", "entries": [[kind, owner, minor], …]}, …]
-- A journal whose key exists is skipped when its hash is the same and refused when it is not.
-- Accounts are locked by id before anything is written, so that two postings never wait for each
-- other in a circle. Returns the balance after of every touched account that keeps one.
CREATE FUNCTION ledger_post(journals jsonb)
RETURNS TABLE (kind text, owner text, currency text, balance_minor bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
#variable_conflict use_column
DECLARE
    journal    jsonb;
    new_id     bigint;
    known_hash text;
    touched    bigint[];
BEGIN
    -- Accounts are looked up by scalar subqueries: as joins, PostgreSQL expects thousands of
    -- entries in a jsonb and reads the whole table of accounts.
    INSERT INTO ledger_accounts (kind, owner, currency)
    SELECT DISTINCT e ->> 0, e ->> 1, j ->> 'currency'
      FROM jsonb_array_elements(journals) AS j, jsonb_array_elements(j -> 'entries') AS e
     WHERE (SELECT a.id FROM ledger_accounts a
             WHERE a.kind = e ->> 0 AND a.owner = e ->> 1 AND a.currency = j ->> 'currency') IS NULL
     ORDER BY 1, 2, 3
    ON CONFLICT DO NOTHING;

    touched := ARRAY(SELECT (SELECT a.id FROM ledger_accounts a
                              WHERE a.kind = e ->> 0 AND a.owner = e ->> 1
                                AND a.currency = j ->> 'currency')
                       FROM jsonb_array_elements(journals) AS j,
                            jsonb_array_elements(j -> 'entries') AS e);
    PERFORM FROM ledger_accounts a
      WHERE a.id = ANY (touched) AND a.kind NOT IN ('external', 'fees', 'costs', 'owner')
      ORDER BY a.id FOR NO KEY UPDATE;

    FOR journal IN SELECT * FROM jsonb_array_elements(journals) LOOP
        INSERT INTO ledger_journals (kind, escrow_id, idempotency_key, inputs_hash, happened_at)
        VALUES (journal ->> 'kind', journal ->> 'escrow', journal ->> 'key', journal ->> 'hash',
                (journal ->> 'at')::timestamptz)
        ON CONFLICT (idempotency_key) DO NOTHING
        RETURNING id INTO new_id;
        IF new_id IS NULL THEN
            SELECT inputs_hash INTO known_hash FROM ledger_journals
             WHERE idempotency_key = journal ->> 'key';
            IF known_hash IS DISTINCT FROM journal ->> 'hash' THEN
                RAISE EXCEPTION 'journal key % was used for something else', journal ->> 'key'
                    USING ERRCODE = 'unique_violation', CONSTRAINT = 'journal_key_reused';
            END IF;
            CONTINUE;
        END IF;
        INSERT INTO ledger_entries (journal_id, account_id, amount_minor)
        SELECT new_id, (SELECT a.id FROM ledger_accounts a
                         WHERE a.kind = t.e ->> 0 AND a.owner = t.e ->> 1
                           AND a.currency = journal ->> 'currency'),
               (t.e ->> 2)::bigint
          FROM jsonb_array_elements(journal -> 'entries') WITH ORDINALITY AS t (e, n)
         ORDER BY t.n;
    END LOOP;

    RETURN QUERY SELECT a.kind, a.owner, a.currency, a.balance_minor
                   FROM ledger_accounts a
                  WHERE a.id = ANY (touched)
                    AND a.kind NOT IN ('external', 'fees', 'costs', 'owner');
END $$;

-- Locks a wallet before a part of it is promised; nothing when it never had money. A function, since
-- the program's role may not lock rows that it may not change.
CREATE FUNCTION ledger_lock_wallet(person text, code text) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT AS $$
    SELECT balance_minor FROM ledger_accounts
     WHERE kind = 'wallet' AND owner = person AND currency = code FOR NO KEY UPDATE
$$;
