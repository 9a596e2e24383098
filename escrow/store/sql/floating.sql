-- take_reading --
-- Keeps what the provider said of an account; an older reading changes nothing. $6: how much of the
-- books' money he had at that moment.
INSERT INTO provider_balances AS b (account, currency, balance_minor, read_at, source, books_minor)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (account) DO UPDATE
   SET balance_minor = excluded.balance_minor, read_at = excluded.read_at,
       source = excluded.source, books_minor = excluded.books_minor
 WHERE b.read_at <= excluded.read_at
RETURNING account

-- on_the_way --
-- What M-Pesa may have that the books have not yet: payments that wait or that somebody is asked for;
-- and what it may have sent: payouts that nobody knows the end of. What moved since $1 (of the last
-- $2 of an account) counts as both: what was said then may be from before or after it.
SELECT (SELECT coalesce(sum(amount_minor), 0) FROM receipts
         WHERE state = 'WAITING' AND provider = 'mpesa' AND currency = 'KES')::bigint
       + (SELECT coalesce(sum(amount_minor), 0) FROM payment_attempts
           WHERE state IN ('CREATED', 'PROMPTED') AND provider = 'mpesa'
             AND currency = 'KES')::bigint
       + m.paid_out AS coming,
       (SELECT coalesce(sum(amount_minor), 0) FROM payouts
         WHERE state IN ('SENDING', 'UNKNOWN', 'MANUAL') AND currency = 'KES')::bigint
       + m.paid_in AS gone,
       m.moves
  FROM (SELECT coalesce(sum(e.amount_minor) FILTER (WHERE e.amount_minor > 0), 0)::bigint AS paid_out,
               coalesce(-sum(e.amount_minor) FILTER (WHERE e.amount_minor < 0), 0)::bigint AS paid_in,
               count(*) AS moves
          FROM ledger_accounts a
         CROSS JOIN LATERAL (SELECT l.journal_id, l.amount_minor FROM ledger_entries l
                              WHERE l.account_id = a.id AND l.account_seq IS NULL
                              ORDER BY l.id DESC LIMIT $2::bigint) AS e
          JOIN ledger_journals j ON j.id = e.journal_id AND j.happened_at >= $1
         WHERE a.kind = 'external' AND a.owner LIKE 'mpesa:%' AND a.currency = 'KES') AS m

-- difference --
SELECT off_minor, since, told_minor, told_at FROM provider_differences WHERE provider = 'mpesa'

-- keep_difference --
INSERT INTO provider_differences (provider, currency, off_minor, since, told_minor, told_at)
VALUES ('mpesa', 'KES', $1, $2, $3, $4)
ON CONFLICT (provider) DO UPDATE
   SET off_minor = excluded.off_minor, since = excluded.since,
       told_minor = excluded.told_minor, told_at = excluded.told_at

-- drop_difference --
DELETE FROM provider_differences WHERE provider = 'mpesa'

-- readings --
SELECT account, currency, balance_minor, books_minor, read_at, source FROM provider_balances
 ORDER BY account

-- roll_up --
SELECT ledger_roll_up($1)

-- derived --
-- Balances of the accounts that keep none, without reading all their entries, and what is still owed
-- to us for reversed receipts. Customers' money is what these leave of zero.
SELECT kind, owner, currency, balance_minor FROM ledger_derived_balances
UNION ALL
SELECT 'receivable', '', currency, sum(balance_minor)::bigint FROM ledger_accounts
 WHERE kind = 'receivable' GROUP BY currency

-- due --
-- What leaves by itself until $1: payouts that are open, and the whole shillings of deals whose time
-- is over by then, where that side has its money sent by itself.
SELECT coalesce(sum(minor), 0)::bigint AS minor FROM (
    SELECT p.amount_minor AS minor FROM payouts p
     WHERE p.state NOT IN ('PAID', 'FAILED') AND p.currency = 'KES'
    UNION ALL
    SELECT e.held_price_minor / 100 * 100
      FROM escrow_transactions e
     WHERE e.status IN ('SHIPPED', 'DELIVERED') AND e.release_at <= $1 AND e.currency = 'KES' AND $2
       AND (SELECT p.auto_payout FROM people p WHERE p.telegram_id = e.seller_telegram_id)
    UNION ALL
    SELECT (e.held_price_minor + e.held_fee_minor) / 100 * 100
      FROM escrow_transactions e
     WHERE e.status = 'HELD' AND e.ship_by <= $1 AND e.currency = 'KES' AND $2
       AND (SELECT p.auto_payout FROM people p WHERE p.telegram_id = e.buyer_telegram_id)) AS parts

-- warned --
-- Whether the admins were told of one of these shortages.
SELECT EXISTS (SELECT FROM outbox WHERE kind = 'float_short' AND cause = ANY ($1::text[]))

-- lock_bookings --
-- One booking at a time: two may not both take the same fees.
SELECT pg_advisory_xact_lock(hashtextextended('bookings', 0))

-- booking --
SELECT kind, receipt, currency, amount_minor, booked_by, booked_at FROM bookings WHERE receipt = $1

-- add_booking --
INSERT INTO bookings (kind, receipt, currency, amount_minor, booked_by, booked_at)
VALUES ($1, $2, $3, $4, $5, $6)

-- add_balance_query --
INSERT INTO balance_queries (token, shortcode, asked_at) VALUES ($1, $2, $3)

-- last_balance_query --
-- The last question about a shortcode's accounts, and whether our API user was refused.
SELECT asked_at, refused FROM balance_queries WHERE shortcode = $1 ORDER BY asked_at DESC LIMIT 1

-- answer_balance_query --
-- Marks it answered, once; which shortcode it was about. None: it was never asked, or is answered.
UPDATE balance_queries SET answered_at = $2, code = $3, refused = $4
 WHERE token = $1 AND answered_at IS NULL
RETURNING shortcode
