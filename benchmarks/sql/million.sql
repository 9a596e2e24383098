-- table --
CREATE UNLOGGED TABLE million_plan (n bigint, code text, created_at timestamptz, currency text,
    price bigint, fee bigint, seller bigint, buyer bigint, status text, funded_at timestamptz,
    ended_at timestamptz)

-- plan --
-- $1 deals spread evenly over the $3 days before $2, oldest first, as they stand by then: one in
-- sixteen never paid, one in sixteen refunded, the last week's under way, a few disputed.
INSERT INTO million_plan
SELECT n, 'ES' || lpad((n * 2654435761 % 10000000000)::text, 10, '0') AS code, created_at,
       CASE WHEN n % 50 = 0 THEN 'USD' ELSE 'KES' END AS currency,
       100000 + n % 997 * 1000 AS price, 5000 + n % 997 * 50 AS fee,
       1 + n % 2000 AS seller, 100001 + n * 7919 % 20000 AS buyer,
       CASE WHEN n % 16 = 0 AND age < interval '1 day' THEN 'PENDING'
            WHEN n % 16 = 0 THEN 'CANCELLED'
            WHEN age < interval '7 days' AND n % 97 = 5 THEN 'DISPUTED'
            WHEN age < interval '2 days' THEN 'HELD'
            WHEN age < interval '7 days' THEN 'SHIPPED'
            WHEN n % 16 = 1 THEN 'REFUNDED'
            ELSE 'COMPLETED' END AS status,
       created_at + interval '1 hour' AS funded_at,
       created_at + CASE WHEN n % 16 = 0 THEN interval '1 day' ELSE interval '6 days 20 hours' END
           AS ended_at
  FROM (SELECT n, $2::timestamptz - age AS created_at, age
          FROM (SELECT n, make_interval(secs => $3::float8 * 86400 * ($1::bigint - n) / $1::bigint)
                       AS age
                  FROM generate_series(1, $1::bigint) AS n) AS aged) AS spread

-- people --
INSERT INTO people (telegram_id, first_name, started_at)
SELECT id, 'Person ' || id, $1::timestamptz FROM generate_series(1, 2000) AS id
UNION ALL
SELECT id, 'Person ' || id, $1 FROM generate_series(100001, 120000) AS id

-- sellers --
INSERT INTO escrow_sellers (id, telegram_id, shop_name, status, payout_phone, verified_at,
    verified_by, created_at)
OVERRIDING SYSTEM VALUE
SELECT id, id, 'Shop ' || id, 'VERIFIED', '2547' || lpad(id::text, 8, '0'), $1, 1, $1
  FROM generate_series(1, 2000) AS id

-- deals --
INSERT INTO escrow_transactions (id, cause, seller_id, seller_telegram_id, buyer_telegram_id,
    opened_by, description, currency, price_minor, fee_minor, due_minor, fee_payer, terms,
    held_price_minor, held_fee_minor, status, version, last_event, last_actor, last_data, pay_by,
    ship_by, release_at, created_at, joined_at, funded_at, shipped_at, disputed_at, completed_at,
    refunded_at, cancelled_at, updated_at)
SELECT code, 'million:' || n, seller, seller, buyer, seller, 'Blue phone case, box of 20', currency,
       price, fee, price + fee, 'buyer', '{}',
       CASE WHEN paid THEN price END, CASE WHEN paid THEN fee END, status, 4,
       CASE status WHEN 'PENDING' THEN 'join' WHEN 'HELD' THEN 'fund' WHEN 'SHIPPED' THEN 'ship'
            WHEN 'DISPUTED' THEN 'dispute' WHEN 'CANCELLED' THEN 'cancel'
            WHEN 'REFUNDED' THEN 'manual_refund' ELSE 'release' END,
       'timer', '{}', created_at + interval '1 day', funded_at + interval '3 days',
       funded_at + interval '8 days', created_at, created_at, CASE WHEN paid THEN funded_at END,
       CASE WHEN status IN ('SHIPPED', 'COMPLETED') THEN funded_at END,
       CASE WHEN status = 'DISPUTED' THEN funded_at END,
       CASE WHEN status = 'COMPLETED' THEN ended_at END,
       CASE WHEN status = 'REFUNDED' THEN ended_at END,
       CASE WHEN status = 'CANCELLED' THEN ended_at END,
       CASE WHEN status IN ('COMPLETED', 'REFUNDED', 'CANCELLED') THEN ended_at ELSE funded_at END
  FROM million_plan, LATERAL (SELECT status NOT IN ('PENDING', 'CANCELLED') AS paid) AS p

-- timeline --
INSERT INTO escrow_timeline (escrow_id, version, event, from_status, to_status, actor, at)
SELECT code, version, event, from_status, to_status, 'timer', at
  FROM million_plan p,
       LATERAL (VALUES (1, 'open', NULL, 'PENDING', created_at, true),
                       (2, 'fund', 'PENDING', 'HELD', funded_at,
                        status NOT IN ('PENDING', 'CANCELLED')),
                       (3, 'dispute', 'HELD', 'DISPUTED', funded_at, status = 'DISPUTED'),
                       (3, 'ship', 'HELD', 'SHIPPED', funded_at,
                        status = 'SHIPPED'),
                       (4, 'cancel', 'PENDING', 'CANCELLED', ended_at, status = 'CANCELLED'),
                       (4, 'manual_refund', 'HELD', 'REFUNDED', ended_at, status = 'REFUNDED'),
                       (4, 'release', 'SHIPPED', 'COMPLETED', ended_at, status = 'COMPLETED'))
           AS e (version, event, from_status, to_status, at, happened)
 WHERE happened ORDER BY n, version

-- disputes --
INSERT INTO escrow_disputes (escrow_id, raised_by, raised_role, disputed_from, reason, opened_at,
    answer_by)
SELECT code, buyer, 'buyer', 'HELD', 'not as described', funded_at, funded_at + interval '2 days'
  FROM million_plan WHERE status = 'DISPUTED'

-- settlements --
INSERT INTO settlements (escrow_id, event, seller_minor, buyer_minor, fee_minor, settled_at)
SELECT code, CASE status WHEN 'COMPLETED' THEN 'release' ELSE 'manual_refund' END,
       CASE status WHEN 'COMPLETED' THEN price ELSE 0 END,
       CASE status WHEN 'COMPLETED' THEN 0 ELSE price + fee END,
       CASE status WHEN 'COMPLETED' THEN fee ELSE 0 END, ended_at
  FROM million_plan WHERE status IN ('COMPLETED', 'REFUNDED') ORDER BY n

-- receipts --
INSERT INTO receipts (provider, channel, reference, escrow_id, telegram_id, currency, amount_minor,
    state, evidence, happened_at, received_at, posted_at)
SELECT 'mpesa', 'c2b', 'S' || substr(code, 3), code, buyer, currency, price + fee, 'CREDITED',
       'status', funded_at, funded_at, funded_at
  FROM million_plan WHERE status NOT IN ('PENDING', 'CANCELLED') ORDER BY n

-- payouts --
-- Shillings to a phone, dollars as coins by an admin's hand.
INSERT INTO payouts (id, cause, telegram_id, escrow_id, leg, currency, amount_minor, destination,
    state, provider_reference, closed_by, created_at, finalized_at)
OVERRIDING SYSTEM VALUE
SELECT n, 'settled:' || code, CASE status WHEN 'COMPLETED' THEN seller ELSE buyer END, code,
       CASE status WHEN 'COMPLETED' THEN 'seller' ELSE 'buyer' END, currency, price,
       CASE currency WHEN 'KES' THEN '254700000000' ELSE 'USDT-TRC20:T' || repeat('x', 33) END,
       'PAID', CASE currency WHEN 'KES' THEN 'P' || substr(code, 3)
                    ELSE encode(sha256(code::bytea), 'hex') END,
       CASE currency WHEN 'USD' THEN 900001 END, ended_at, ended_at
  FROM million_plan WHERE status IN ('COMPLETED', 'REFUNDED') ORDER BY n

-- accounts --
-- Outside and fees of both currencies, wallets, and what deals and payouts leave behind them.
INSERT INTO ledger_accounts (kind, owner, currency, balance_minor, entries)
SELECT kind, CASE kind WHEN 'external' THEN 'mpesa:utility' ELSE '' END, currency, 0, 0
  FROM unnest(ARRAY['external', 'fees']) AS kind, unnest(ARRAY['KES', 'USD']) AS currency
UNION ALL
SELECT 'wallet', telegram_id::text, 'KES', 0, 0 FROM people
UNION ALL
(SELECT kind, CASE kind WHEN 'payable' THEN n::text ELSE code END, currency,
        CASE WHEN closed THEN 0 WHEN kind = 'holding' THEN price ELSE fee END,
        CASE WHEN closed THEN 0 ELSE 1 END
   FROM million_plan, LATERAL (SELECT status IN ('COMPLETED', 'REFUNDED') AS closed) AS c,
        unnest(ARRAY['holding', 'pending_fee', 'payable']) AS kind
  WHERE status NOT IN ('PENDING', 'CANCELLED') AND (closed OR kind <> 'payable')
  ORDER BY n)

-- journals --
INSERT INTO ledger_journals (id, kind, escrow_id, idempotency_key, inputs_hash, happened_at)
OVERRIDING SYSTEM VALUE
SELECT n, 'million', code, 'million:' || code, 'x', funded_at
  FROM million_plan WHERE status NOT IN ('PENDING', 'CANCELLED') ORDER BY n

-- entries --
-- Of a deal that is over only what stayed with us, the fee; of an open one all that came in.
INSERT INTO ledger_entries (journal_id, account_id, amount_minor, balance_after, account_seq)
SELECT p.n, a.id, e.minor, CASE WHEN e.kind IN ('holding', 'pending_fee') THEN e.minor END,
       CASE WHEN e.kind IN ('holding', 'pending_fee') THEN 1 END
  FROM million_plan p,
       LATERAL (SELECT p.status IN ('COMPLETED', 'REFUNDED') AS closed) AS c,
       LATERAL (VALUES ('external', 'mpesa:utility', -p.fee, c.closed), ('fees', '', p.fee, c.closed),
                       ('external', 'mpesa:utility', -p.price - p.fee, NOT c.closed),
                       ('holding', p.code, p.price, NOT c.closed),
                       ('pending_fee', p.code, p.fee, NOT c.closed))
           AS e (kind, owner, minor, happened)
  JOIN ledger_accounts a ON a.kind = e.kind AND a.owner = e.owner
 WHERE e.happened AND a.currency = p.currency AND p.status NOT IN ('PENDING', 'CANCELLED')
 ORDER BY p.n

-- outbox --
INSERT INTO outbox (cause, kind, chat_id, escrow_id, state, next_try_at, created_at, closed_at)
SELECT 'deal:' || code || ':fund', 'funded', buyer, code, 'SENT', funded_at, funded_at, funded_at
  FROM million_plan WHERE status NOT IN ('PENDING', 'CANCELLED') ORDER BY n

-- inbox --
INSERT INTO inbox (digest, route, method, body, state, received_at, processed_at)
SELECT sha256(code::bytea), 'mpesa', 'POST', '{}', 'DONE', funded_at, funded_at
  FROM million_plan WHERE status NOT IN ('PENDING', 'CANCELLED') ORDER BY n

-- done --
DROP TABLE million_plan

-- sequences --
-- The next ids stand behind those that were given here.
SELECT setval(pg_get_serial_sequence(t, 'id'), $1::bigint + 1)
  FROM unnest(ARRAY['payouts', 'ledger_journals', 'escrow_sellers']) AS t

-- indexes --
-- What is made anew behind the rows, sorted instead of one by one: every index of the tables $1 that
-- is no constraint's, and their unique constraints that no key refers to.
SELECT 'DROP INDEX ' || i.indexrelid::regclass AS drop, pg_get_indexdef(i.indexrelid) AS make
  FROM pg_index i
 WHERE i.indrelid = ANY ($1::text[]::regclass[])
   AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = i.indexrelid)
UNION ALL
SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', c.conrelid::regclass, c.conname),
       format('ALTER TABLE %s ADD CONSTRAINT %I %s', c.conrelid::regclass, c.conname,
              pg_get_constraintdef(c.oid))
  FROM pg_constraint c
 WHERE c.conrelid = ANY ($1::text[]::regclass[]) AND c.contype = 'u'
   AND NOT EXISTS (SELECT FROM pg_constraint f
                    WHERE f.contype = 'f' AND f.conindid = c.conindid)

-- roll_up --
SELECT ledger_roll_up(1000000000)
