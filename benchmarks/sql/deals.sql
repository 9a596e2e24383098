-- people --
-- Everybody who buys or sells: $1 Telegram ids that have pressed Start.
INSERT INTO people (telegram_id, first_name, started_at)
SELECT id, 'Person ' || id, now() FROM unnest($1::bigint[]) AS id

-- sellers --
-- Verified shops of these people.
INSERT INTO escrow_sellers (telegram_id, shop_name, status, payout_phone, verified_at,
    verified_by, created_at)
SELECT id, 'Shop ' || id, 'VERIFIED', '2547' || lpad(id::text, 8, '0'), now(), 1, now()
  FROM unnest($1::bigint[]) AS id

-- deals --
-- Opens deals: codes $1, their sellers $2, price $3, fee $4, terms $5.
INSERT INTO escrow_transactions (id, cause, seller_id, seller_telegram_id, opened_by, description,
    currency, price_minor, fee_minor, due_minor, fee_payer, terms, status, last_event, last_actor,
    last_data, pay_by, created_at, updated_at)
SELECT d.code, 'benchmark:' || d.code, s.id, s.telegram_id, s.telegram_id,
       'Blue phone case, box of 20', 'KES', $3, $4, $3::bigint + $4::bigint, 'buyer', $5, 'PENDING',
       'open', 'seller:' || s.telegram_id, '{}', now() + interval '1 day', now(), now()
  FROM unnest($1::text[], $2::bigint[]) AS d (code, seller)
  JOIN escrow_sellers s ON s.telegram_id = d.seller

-- join --
-- The buyers $2 of the deals $1 are known.
UPDATE escrow_transactions e
   SET buyer_telegram_id = d.buyer, joined_at = now(), updated_at = now(), last_event = 'join',
       last_actor = 'buyer:' || d.buyer, last_data = '{}'
  FROM unnest($1::text[], $2::bigint[]) AS d (code, buyer)
 WHERE e.id = d.code

-- reserve --
-- The people $2 are about to pay the deals $1.
INSERT INTO reservations (escrow_id, telegram_id, since, until)
SELECT d.code, d.buyer, now(), now() + interval '1 day'
  FROM unnest($1::text[], $2::bigint[]) AS d (code, buyer)

-- books --
-- What a run left: deals held, and the rows that stand behind them.
SELECT (SELECT count(*) FROM escrow_transactions WHERE status = 'HELD') AS held,
       (SELECT count(*) FROM receipts) AS receipts,
       (SELECT count(*) FROM ledger_journals) AS journals,
       (SELECT count(*) FROM ledger_entries) AS entries,
       (SELECT count(*) FROM ledger_accounts WHERE kind <> 'external') AS accounts,
       (SELECT count(*) FROM outbox) AS notices,
       (SELECT count(*) FROM escrow_timeline WHERE event IN ('join', 'fund')) AS moves,
       (SELECT coalesce(sum(amount_minor), 0) FROM ledger_entries) AS balance
