-- totals --
-- Everything in the days that are closed, and how far they reach.
SELECT currency, max(ends_at) AS until, sum(opened)::bigint AS opened,
       sum(cancelled)::bigint AS cancelled, sum(disputed)::bigint AS disputed,
       sum(funded)::bigint AS funded, sum(funded_minor)::bigint AS funded_minor,
       sum(completed)::bigint AS completed, sum(refunded)::bigint AS refunded,
       sum(released_minor)::bigint AS released_minor,
       sum(refunded_minor)::bigint AS refunded_minor, sum(fees_minor)::bigint AS fees_minor
  FROM daily_figures GROUP BY currency

-- closed_days --
-- The closed days that end in ($1, $2], each by its date in the zone $3: a day's last moment says
-- which one it is, also where a change of zone cut it.
SELECT ((ends_at - interval '1 microsecond') AT TIME ZONE $3)::date AS day, currency, opened,
       cancelled, disputed, funded, funded_minor, completed, refunded, released_minor,
       refunded_minor, fees_minor
  FROM daily_figures WHERE ends_at > $1 AND ends_at <= $2

-- between --
-- What happened in [$1, $2) by day in the zone $3 and currency, from what never changes. Deals are
-- looked up one by one, so that no plan reads all of them. Both bounds stand there for the same
-- reason: with one, PostgreSQL expects a third of the table.
SELECT (m.at AT TIME ZONE $3)::date AS day, m.currency,
       count(*) FILTER (WHERE m.event = 'open') AS opened,
       count(*) FILTER (WHERE m.event = 'cancel') AS cancelled,
       count(*) FILTER (WHERE m.event = 'dispute') AS disputed,
       count(*) FILTER (WHERE m.event = 'fund') AS funded,
       coalesce(sum(m.held) FILTER (WHERE m.event = 'fund'), 0)::bigint AS funded_minor,
       count(*) FILTER (WHERE m.event = 'COMPLETED') AS completed,
       count(*) FILTER (WHERE m.event = 'REFUNDED') AS refunded,
       coalesce(sum(m.seller_minor), 0)::bigint AS released_minor,
       coalesce(sum(m.buyer_minor), 0)::bigint AS refunded_minor,
       coalesce(sum(m.fee_minor), 0)::bigint AS fees_minor
  FROM (SELECT t.at, t.event, e.currency, e.held, NULL::bigint AS seller_minor,
               NULL::bigint AS buyer_minor, NULL::bigint AS fee_minor
          FROM escrow_timeline t
         CROSS JOIN LATERAL (SELECT d.currency, d.held_price_minor + d.held_fee_minor AS held
                               FROM escrow_transactions d WHERE d.id = t.escrow_id LIMIT 1) e
         WHERE t.event IN ('open', 'cancel', 'fund', 'dispute') AND t.at >= $1 AND t.at < $2
        UNION ALL
        SELECT s.settled_at, e.status, e.currency, NULL, s.seller_minor, s.buyer_minor, s.fee_minor
          FROM settlements s
         CROSS JOIN LATERAL (SELECT d.currency, d.status FROM escrow_transactions d
                              WHERE d.id = s.escrow_id LIMIT 1) e
         WHERE s.settled_at >= $1 AND s.settled_at < $2) AS m
 GROUP BY 1, 2 ORDER BY 1, 2

-- first_event --
SELECT min(at) FROM escrow_timeline WHERE event IN ('open', 'cancel', 'fund', 'dispute')

-- lock --
-- One closes days at a time, until his transaction ends.
SELECT pg_advisory_xact_lock(1718186867)

-- close_day --
-- Keeps the figures $3 of [$1, $2), a row per currency.
INSERT INTO daily_figures (starts_at, ends_at, currency, opened, cancelled, disputed, funded,
    funded_minor, completed, refunded, released_minor, refunded_minor, fees_minor)
SELECT $1, $2, f.currency, f.opened, f.cancelled, f.disputed, f.funded, f.funded_minor,
       f.completed, f.refunded, f.released_minor, f.refunded_minor, f.fees_minor
  FROM jsonb_to_recordset($3) AS f (currency text, opened bigint, cancelled bigint,
       disputed bigint, funded bigint, funded_minor bigint, completed bigint, refunded bigint,
       released_minor bigint, refunded_minor bigint, fees_minor bigint)

-- standing --
-- Sellers by their status, and funded deals that somebody has to decide.
SELECT 'sellers' AS what, status, count(*) AS count FROM escrow_sellers GROUP BY status
UNION ALL
SELECT 'deals', status, count(*) FROM escrow_transactions
 WHERE status IN ('DISPUTED', 'FROZEN') AND archived_at IS NULL GROUP BY status

-- settled_page --
-- The next settlements of [$1, $2) after (the time $3, deal $4), oldest first, $5 at most, each with
-- what came in and what went out for it, and what M-Pesa took for that where it was booked.
SELECT s.settled_at, s.escrow_id, s.event, e.currency, e.price_minor,
       s.seller_minor, s.buyer_minor, s.fee_minor,
       (SELECT string_agg(r.reference, ' ' ORDER BY r.id) FROM receipts r
         WHERE r.escrow_id = s.escrow_id AND r.state = 'CREDITED') AS receipts_in,
       (SELECT string_agg(p.provider_reference, ' ' ORDER BY p.id) FROM payouts p
         WHERE p.escrow_id = s.escrow_id AND p.state = 'PAID') AS receipts_out,
       (SELECT sum(b.amount_minor)::bigint FROM payouts p
          JOIN bookings b ON b.receipt = p.provider_reference AND b.kind = 'charge'
         WHERE p.escrow_id = s.escrow_id AND p.state = 'PAID') AS charge_minor
  FROM settlements s
 CROSS JOIN LATERAL (SELECT d.currency, d.price_minor FROM escrow_transactions d
                      WHERE d.id = s.escrow_id LIMIT 1) e
 WHERE s.settled_at >= $1 AND s.settled_at < $2 AND (s.settled_at, s.escrow_id) > ($3, $4)
 ORDER BY s.settled_at, s.escrow_id LIMIT $5
