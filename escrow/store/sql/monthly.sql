-- last --
-- The newest month that was reported.
SELECT month, ends_at FROM monthly_reports ORDER BY month DESC LIMIT 1

-- people --
-- How many different buyers and sellers had a deal paid in [$1, $2). Deals are looked up one by one,
-- so that no plan reads all of them.
SELECT count(DISTINCT e.buyer_telegram_id) AS buyers, count(DISTINCT e.seller_id) AS sellers
  FROM escrow_timeline t
 CROSS JOIN LATERAL (SELECT d.buyer_telegram_id, d.seller_id FROM escrow_transactions d
                      WHERE d.id = t.escrow_id LIMIT 1) e
 WHERE t.event = 'fund' AND t.at >= $1 AND t.at < $2

-- disputes --
-- Disputes that were opened in [$1, $2), how those ended that were closed in it, and how many were
-- open at its end.
SELECT count(*) FILTER (WHERE opened_at >= $1 AND opened_at < $2) AS opened,
       count(*) FILTER (WHERE closed_at >= $1 AND closed_at < $2 AND resolution = 'buyer') AS buyer,
       count(*) FILTER (WHERE closed_at >= $1 AND closed_at < $2 AND resolution = 'seller')
           AS seller,
       count(*) FILTER (WHERE closed_at >= $1 AND closed_at < $2 AND resolution = 'split') AS split,
       count(*) FILTER (WHERE closed_at >= $1 AND closed_at < $2 AND resolution = 'settled')
           AS settled,
       count(*) FILTER (WHERE closed_at >= $1 AND closed_at < $2 AND status = 'WITHDRAWN')
           AS withdrawn,
       count(*) FILTER (WHERE opened_at < $2 AND (closed_at IS NULL OR closed_at >= $2)) AS open
  FROM escrow_disputes

-- insert --
-- Keeps a month's report. No row: it was made before.
INSERT INTO monthly_reports (month, starts_at, ends_at, figures, made_at)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT DO NOTHING
RETURNING month
