-- taken --
SELECT id FROM escrow_transactions WHERE id = ANY ($1::text[])

-- people --
-- $1 sellers and as many buyers, from 5,000,001 on.
INSERT INTO people (telegram_id, first_name, started_at)
SELECT id, 'Person ' || id, $2::timestamptz FROM generate_series(5000001, 5000000 + 2 * $1::bigint) AS id
ON CONFLICT DO NOTHING

-- sellers --
INSERT INTO escrow_sellers (telegram_id, shop_name, status, payout_phone, verified_at, verified_by,
    created_at)
SELECT id, 'Shop ' || id, 'VERIFIED', '2547' || lpad((id % 100000000)::text, 8, '0'), $2, 1, $2
  FROM generate_series(5000001, 5000000 + $1::bigint) AS id
ON CONFLICT DO NOTHING

-- outside --
INSERT INTO ledger_accounts (kind, owner, currency) VALUES ('external', 'mpesa:utility', 'KES')
ON CONFLICT DO NOTHING

-- plan --
-- Deals $1, codes $2, whose buyers' time was over a second to a day before $3, of $4 sellers.
CREATE TEMPORARY TABLE due AS
SELECT n, code, 5000001 + n % $4::bigint AS seller, 5000001 + $4::bigint + n * 7919 % $4::bigint AS buyer,
       100000 + n % 997 * 1000 AS price, 5000 + n % 997 * 50 AS fee,
       $3::timestamptz - make_interval(secs => 1 + n % 86400) AS over
  FROM unnest($1::bigint[], $2::text[]) AS d (n, code)

-- deals --
-- $1: their terms.
INSERT INTO escrow_transactions (id, cause, seller_id, seller_telegram_id, buyer_telegram_id,
    opened_by, description, currency, price_minor, fee_minor, due_minor, fee_payer, terms,
    held_price_minor, held_fee_minor, status, version, last_event, last_actor, last_data, pay_by,
    ship_by, release_at, created_at, joined_at, funded_at, shipped_at, updated_at)
SELECT code, 'due:' || n, s.id, seller, buyer, seller, 'Blue phone case, box of 20', 'KES', price,
       fee, price + fee, 'buyer', $1::jsonb, price, fee, 'SHIPPED', 4, 'ship', 'seller:' || seller, '{}',
       over, over, over, over - interval '9 days', over - interval '9 days',
       over - interval '8 days', over - interval '7 days', over - interval '7 days'
  FROM due JOIN escrow_sellers s ON s.telegram_id = due.seller

-- timeline --
INSERT INTO escrow_timeline (escrow_id, version, event, from_status, to_status, actor, at)
SELECT code, version, event, from_status, to_status, actor, over - interval '1 day' * (11 - version)
  FROM due, LATERAL (VALUES (1, 'open', NULL, 'PENDING', 'seller:' || seller),
                            (2, 'join', 'PENDING', 'PENDING', 'buyer:' || buyer),
                            (3, 'fund', 'PENDING', 'HELD', 'payment'),
                            (4, 'ship', 'HELD', 'SHIPPED', 'seller:' || seller))
                AS e (version, event, from_status, to_status, actor)

-- receipts --
INSERT INTO receipts (provider, channel, reference, escrow_id, telegram_id, currency, amount_minor,
    state, evidence, happened_at, received_at, posted_at)
SELECT 'mpesa', 'c2b', 'D' || n, code, buyer, 'KES', price + fee, 'CREDITED', 'status',
       over - interval '8 days', over - interval '8 days', over - interval '8 days' FROM due

-- accounts --
INSERT INTO ledger_accounts (kind, owner, currency, balance_minor, entries)
SELECT kind, code, 'KES', CASE kind WHEN 'holding' THEN price WHEN 'pending_fee' THEN fee ELSE 0 END,
       CASE kind WHEN 'received' THEN 2 ELSE 1 END
  FROM due, unnest(ARRAY['received', 'holding', 'pending_fee']) AS kind

-- journals --
INSERT INTO ledger_journals (kind, escrow_id, idempotency_key, inputs_hash, happened_at)
SELECT kind, code, key, 'x', over - interval '8 days'
  FROM due, LATERAL (VALUES ('receipt', 'receipt:mpesa:D' || n), ('fund', 'fund:' || code)) AS j (kind, key)

-- entries --
INSERT INTO ledger_entries (journal_id, account_id, amount_minor, balance_after, account_seq)
SELECT j.id, a.id, e.minor, e.after, e.seq
  FROM due, LATERAL (VALUES
           ('receipt:mpesa:D' || n, 'external', 'mpesa:utility', -price - fee, NULL::bigint, NULL::bigint),
           ('receipt:mpesa:D' || n, 'received', code, price + fee, price + fee, 1),
           ('fund:' || code, 'received', code, -price - fee, 0, 2),
           ('fund:' || code, 'holding', code, price, price, 1),
           ('fund:' || code, 'pending_fee', code, fee, fee, 1)) AS e (key, kind, owner, minor, after, seq)
  JOIN ledger_journals j ON j.idempotency_key = e.key
  JOIN ledger_accounts a ON a.kind = e.kind AND a.owner = e.owner AND a.currency = 'KES'

-- done --
DROP TABLE due
