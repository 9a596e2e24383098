-- keys --
CREATE SEQUENCE journal_keys;
GRANT USAGE ON journal_keys TO PUBLIC

-- wallets --
-- Opens the wallets of the people $1 on both sides.
SELECT ledger_post(jsonb_agg(jsonb_build_object('kind', 'late_payment', 'key', 'opening:' || id,
    'hash', '0', 'currency', 'KES', 'at', now(), 'escrow', NULL, 'entries', jsonb_build_array(
        jsonb_build_array('external', 'mpesa:utility', -100),
        jsonb_build_array('wallet', id::text, 100)))))
  FROM unnest($1::bigint[]) AS id

-- post_script --
-- One journal of two entries by the posting function: a payment that goes to somebody's wallet.
-- (chr(58) is a colon, which pgbench would take for a variable.)
\set person random(20001, 20128)
SELECT * FROM ledger_post(format('[{"kind": "late_payment", "key": "payment %s", "hash": "0000000000000000000000000000000000000000000000000000000000000000", "currency": "KES", "at": "%s", "escrow": null, "entries": [["external", "mpesa%sutility", -1050000], ["wallet", "%s", 1050000]]}]', nextval('public.journal_keys'), now(), chr(58), :person::bigint)::jsonb);

-- insert_script --
-- The same three rows, into tables that check nothing.
\set account random(1, 128)
BEGIN;
INSERT INTO ledger_journals (kind, escrow_id, idempotency_key, inputs_hash, happened_at) VALUES ('late_payment', NULL, 'payment ' || nextval('public.journal_keys'), '0000000000000000000000000000000000000000000000000000000000000000', now()) RETURNING id \gset journal_
INSERT INTO ledger_entries (journal_id, account_id, amount_minor, balance_after, account_seq) VALUES (:journal_id, 0, -1050000, NULL, NULL), (:journal_id, :account, 1050000, 1050000, :journal_id);
END;

-- one_insert_script --
-- The same three rows by one statement.
\set account random(1, 128)
WITH j AS (INSERT INTO ledger_journals (kind, escrow_id, idempotency_key, inputs_hash, happened_at) VALUES ('late_payment', NULL, 'payment ' || nextval('public.journal_keys'), '0000000000000000000000000000000000000000000000000000000000000000', now()) RETURNING id) INSERT INTO ledger_entries (journal_id, account_id, amount_minor, balance_after, account_seq) SELECT id, 0, -1050000, NULL, NULL FROM j UNION ALL SELECT id, :account::bigint, 1050000, 1050000, id FROM j;
