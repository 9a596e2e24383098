-- tables --
-- The same tables, columns and indexes in a schema of their own, without triggers, foreign keys
-- and CHECKs: what somebody in a hurry would write to.
CREATE SCHEMA plain;
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['escrow_transactions', 'escrow_timeline', 'receipts',
        'ledger_accounts', 'ledger_journals', 'ledger_entries', 'outbox']
    LOOP
        EXECUTE format('CREATE TABLE plain.%1$I (LIKE public.%1$I
            INCLUDING DEFAULTS INCLUDING IDENTITY INCLUDING INDEXES)', name);
    END LOOP;
END $$;
INSERT INTO plain.ledger_accounts (kind, owner, currency) VALUES ('external', 'mpesa:utility', 'KES');

-- external --
SELECT id FROM plain.ledger_accounts WHERE kind = 'external'

-- copy --
-- The deals $1 as they stand before they are paid.
INSERT INTO plain.escrow_transactions
SELECT * FROM public.escrow_transactions WHERE id = ANY ($1::text[])

-- lock --
SELECT price_minor, fee_minor, due_minor, currency, description, buyer_telegram_id,
       seller_telegram_id, status, version
  FROM escrow_transactions WHERE id = $1 FOR UPDATE

-- receipt --
INSERT INTO receipts (provider, channel, reference, escrow_id, telegram_id, currency, amount_minor,
    state, evidence, happened_at, received_at, posted_at, outcome)
VALUES ('mpesa', 'c2b', $1, $2, $3, 'KES', $4, 'CREDITED', 'status', $5, $5, $5, $6)
RETURNING id

-- journal --
INSERT INTO ledger_journals (kind, escrow_id, idempotency_key, inputs_hash, happened_at)
VALUES ($1, $2, $3, $4, $5) RETURNING id

-- balance --
INSERT INTO ledger_accounts AS a (kind, owner, currency, balance_minor, entries)
VALUES ($1, $2, 'KES', $3, 1)
ON CONFLICT (kind, owner, currency) DO UPDATE
    SET balance_minor = a.balance_minor + excluded.balance_minor, entries = a.entries + 1
RETURNING id, balance_minor, entries

-- entry --
INSERT INTO ledger_entries (journal_id, account_id, amount_minor, balance_after, account_seq)
VALUES ($1, $2, $3, $4, $5)

-- joined --
UPDATE escrow_transactions
   SET buyer_telegram_id = $2, joined_at = $3, updated_at = $3, last_event = 'join',
       last_actor = $4, last_data = '{}', version = version + 1
 WHERE id = $1

-- held --
UPDATE escrow_transactions
   SET status = 'HELD', held_price_minor = $2, held_fee_minor = $3, funded_at = $4, updated_at = $4,
       ship_by = $5, last_event = 'fund', last_actor = 'payment', last_data = $6,
       version = version + 1
 WHERE id = $1

-- timeline --
INSERT INTO escrow_timeline (escrow_id, version, event, from_status, to_status, actor, at, data)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)

-- notice --
INSERT INTO outbox (cause, kind, chat_id, escrow_id, params, next_try_at, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $6)

-- function --
-- The whole payment as one call, for pgbench: the limit of this server for these rows.
CREATE TABLE plain.todo (number bigint PRIMARY KEY, code text NOT NULL);
CREATE SEQUENCE plain.todo_next;
CREATE FUNCTION plain.fund(place bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    deal    plain.escrow_transactions;
    at      timestamptz := clock_timestamp();
    stored  bigint;
    journal bigint;
    account plain.ledger_accounts;
    outside bigint := (SELECT id FROM ledger_accounts WHERE kind = 'external'
                          AND owner = 'mpesa:utility' AND currency = 'KES');
    said    jsonb;
BEGIN
    SELECT e.* INTO STRICT deal FROM escrow_transactions e
     WHERE e.id = (SELECT t.code FROM todo t WHERE t.number = place) FOR UPDATE;
    INSERT INTO receipts (provider, channel, reference, escrow_id, telegram_id, currency,
        amount_minor, state, evidence, happened_at, received_at, posted_at, outcome)
    VALUES ('mpesa', 'c2b', 'F' || place, deal.id, deal.buyer_telegram_id, 'KES', deal.due_minor,
        'CREDITED', 'status', at, at, at,
        jsonb_build_object('outcome', 'funded', 'escrow_id', deal.id, 'status', 'HELD',
            'currency', 'KES', 'held_minor', deal.price_minor, 'fee_minor', deal.fee_minor,
            'excess_minor', 0, 'waived_minor', 0, 'choice_id', NULL))
    RETURNING id INTO stored;

    INSERT INTO ledger_journals (kind, escrow_id, idempotency_key, inputs_hash, happened_at)
    VALUES ('receipt', deal.id, 'receipt:mpesa:F' || place, repeat('0', 64), at)
    RETURNING id INTO journal;
    INSERT INTO ledger_entries (journal_id, account_id, amount_minor)
    VALUES (journal, outside, -deal.due_minor);
    INSERT INTO ledger_accounts AS a (kind, owner, currency, balance_minor, entries)
    VALUES ('received', deal.id, 'KES', deal.due_minor, 1)
    ON CONFLICT (kind, owner, currency) DO UPDATE
        SET balance_minor = a.balance_minor + excluded.balance_minor, entries = a.entries + 1
    RETURNING * INTO account;
    INSERT INTO ledger_entries (journal_id, account_id, amount_minor, balance_after, account_seq)
    VALUES (journal, account.id, deal.due_minor, account.balance_minor, account.entries);

    INSERT INTO ledger_journals (kind, escrow_id, idempotency_key, inputs_hash, happened_at)
    VALUES ('fund', deal.id, 'fund:' || deal.id, repeat('0', 64), at)
    RETURNING id INTO journal;
    UPDATE ledger_accounts a SET balance_minor = a.balance_minor - deal.due_minor,
                                 entries = a.entries + 1
     WHERE a.id = account.id RETURNING * INTO account;
    INSERT INTO ledger_entries (journal_id, account_id, amount_minor, balance_after, account_seq)
    VALUES (journal, account.id, -deal.due_minor, account.balance_minor, account.entries);
    INSERT INTO ledger_accounts AS a (kind, owner, currency, balance_minor, entries)
    VALUES ('holding', deal.id, 'KES', deal.price_minor, 1)
    ON CONFLICT (kind, owner, currency) DO UPDATE
        SET balance_minor = a.balance_minor + excluded.balance_minor, entries = a.entries + 1
    RETURNING * INTO account;
    INSERT INTO ledger_entries (journal_id, account_id, amount_minor, balance_after, account_seq)
    VALUES (journal, account.id, deal.price_minor, account.balance_minor, account.entries);
    INSERT INTO ledger_accounts AS a (kind, owner, currency, balance_minor, entries)
    VALUES ('pending_fee', deal.id, 'KES', deal.fee_minor, 1)
    ON CONFLICT (kind, owner, currency) DO UPDATE
        SET balance_minor = a.balance_minor + excluded.balance_minor, entries = a.entries + 1
    RETURNING * INTO account;
    INSERT INTO ledger_entries (journal_id, account_id, amount_minor, balance_after, account_seq)
    VALUES (journal, account.id, deal.fee_minor, account.balance_minor, account.entries);

    said := jsonb_build_object('received_minor', deal.due_minor, 'holding_minor', deal.price_minor,
        'fee_minor', deal.fee_minor, 'excess_minor', 0, 'waived_minor', 0, 'evidence', 'status');
    UPDATE escrow_transactions e
       SET status = 'HELD', held_price_minor = deal.price_minor, held_fee_minor = deal.fee_minor,
           funded_at = at, updated_at = at, ship_by = at + interval '3 days', last_event = 'fund',
           last_actor = 'payment', last_data = said, version = e.version + 1
     WHERE e.id = deal.id;
    INSERT INTO escrow_timeline (escrow_id, version, event, from_status, to_status, actor, at, data)
    VALUES (deal.id, deal.version + 1, 'fund', deal.status, 'HELD', 'payment', at, said);
    INSERT INTO outbox (cause, kind, chat_id, escrow_id, params, next_try_at, created_at)
    VALUES ('receipt:mpesa:F' || place, 'funded', deal.buyer_telegram_id, deal.id,
            jsonb_build_object('code', deal.id, 'description', deal.description,
                'shop', 'Shop ' || deal.seller_telegram_id, 'received', 'KES 10,500.00',
                'held', 'KES 10,000.00', 'fee', 'KES 500.00', 'due', 'KES 10,500.00',
                'excess', 'KES 0.00', 'waived', 'KES 0.00', 'ship_by', at + interval '3 days'),
            at, at);
    INSERT INTO outbox (cause, kind, chat_id, escrow_id, params, next_try_at, created_at)
    VALUES ('receipt:mpesa:F' || place, 'held', deal.seller_telegram_id, deal.id,
            jsonb_build_object('code', deal.id, 'description', deal.description,
                'gets', 'KES 10,000.00', 'expected', 'KES 10,000.00',
                'ship_by', at + interval '3 days'),
            at, at);
    RETURN stored;
END $$;

-- todo --
-- The codes $1 wait for the function, in this order.
INSERT INTO plain.todo (number, code)
SELECT (SELECT coalesce(max(number), 0) FROM plain.todo) + t.n, t.code
  FROM unnest($1::text[]) WITH ORDINALITY AS t (code, n)

-- fund_script --
SELECT fund(nextval('todo_next'));
