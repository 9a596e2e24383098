-- current --
-- What the buyer of a deal thinks of it now, and when he said so first.
SELECT r.*, (SELECT min(f.created_at) FROM seller_ratings f WHERE f.escrow_id = r.escrow_id) AS first_at
  FROM seller_ratings r
 WHERE r.escrow_id = $1 AND r.replaced_at IS NULL

-- replace --
-- What was said before stays as history.
UPDATE seller_ratings SET replaced_at = $2 WHERE escrow_id = $1 AND replaced_at IS NULL

-- insert --
INSERT INTO seller_ratings (escrow_id, seller_id, buyer_telegram_id, stars, words, created_at)
VALUES ($1, $2, $3, $4, $5, $6)

-- to_rate --
-- Deals of a buyer that are over and wait for his stars, newest first.
SELECT e.id FROM escrow_transactions e
 WHERE e.buyer_telegram_id = $1 AND e.archived_at IS NULL AND e.status IN ('COMPLETED', 'REFUNDED')
   AND NOT EXISTS (SELECT FROM seller_ratings r
                    WHERE r.escrow_id = e.id AND r.replaced_at IS NULL)
 ORDER BY e.created_at DESC
 LIMIT $2

-- standing --
-- A seller's figures as they are now (flow.md 20). By his fault: he declined, or never sent.
SELECT s.created_at,
       (SELECT count(*) FROM escrow_transactions e
         WHERE e.seller_id = s.id AND e.status = 'COMPLETED') AS sales,
       f.failed, f.lost, r.ratings, r.stars
  FROM escrow_sellers s,
       LATERAL (SELECT count(*) FILTER (WHERE e.last_event IN ('decline', 'refund')) AS failed,
                       count(d.id) AS lost
                  FROM escrow_transactions e
                  LEFT JOIN escrow_disputes d ON d.escrow_id = e.id AND d.resolution = 'buyer'
                 WHERE e.seller_id = s.id AND e.status = 'REFUNDED') f,
       LATERAL (SELECT count(*) AS ratings, coalesce(sum(q.stars), 0) AS stars
                  FROM seller_ratings q
                 WHERE q.seller_id = s.id AND q.replaced_at IS NULL) r
 WHERE s.id = $1
