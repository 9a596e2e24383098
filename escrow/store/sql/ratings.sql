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

-- standings --
-- Sellers' figures as they are now (flow.md 20). By his fault: he declined, or never sent.
SELECT s.id, s.created_at,
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
 WHERE s.id = ANY ($1::bigint[])

-- disputed --
-- Of these sellers' deals that were ever paid: how many, and on how many a buyer's dispute was
-- neither taken back nor lost.
SELECT e.seller_id, count(*) AS paid, count(*) FILTER (WHERE EXISTS (
           SELECT FROM escrow_disputes d
            WHERE d.escrow_id = e.id AND d.raised_role = 'buyer' AND d.status <> 'WITHDRAWN'
              AND d.resolution IS DISTINCT FROM 'seller')) AS disputed
  FROM (SELECT seller_id, id FROM escrow_transactions
         WHERE seller_id = ANY ($1::bigint[]) AND status = 'COMPLETED'
        UNION ALL
        SELECT seller_id, id FROM escrow_transactions
         WHERE seller_id = ANY ($1::bigint[]) AND status = 'REFUNDED'
        UNION ALL
        SELECT seller_id, id FROM escrow_transactions
         WHERE seller_id = ANY ($1::bigint[]) AND archived_at IS NULL
           AND status IN ('HELD', 'SHIPPED', 'DELIVERED', 'DISPUTED', 'FROZEN')) AS e
 GROUP BY e.seller_id

-- next_sellers --
-- The next $2 sellers after $1, and whether anything happened to their deals or stars since they
-- were counted, or within $3 before: what was under way then was not counted.
SELECT s.id, s.counted_at IS NULL
             OR EXISTS (SELECT FROM escrow_transactions e
                         WHERE e.seller_id = s.id AND e.archived_at IS NULL
                           AND e.updated_at >= s.counted_at - $3::interval)
             OR EXISTS (SELECT FROM seller_ratings q
                         WHERE q.seller_id = s.id AND q.created_at >= s.counted_at - $3::interval)
           AS changed
  FROM escrow_sellers s WHERE s.id > $1 ORDER BY s.id LIMIT $2

-- lock_levels --
-- Who these sellers are and what level each has, locked against others who count.
SELECT id, telegram_id, shop_name, level FROM escrow_sellers
 WHERE id = ANY ($1::bigint[]) ORDER BY id FOR NO KEY UPDATE

-- keep --
-- What was counted of sellers: a list of {id, average, success, disputed, sales, level}.
UPDATE escrow_sellers s
   SET average_rating = k.average, success_rate = k.success, dispute_rate = k.disputed,
       total_sales = k.sales, level = k.level, counted_at = $2
  FROM jsonb_to_recordset($1) AS k (id bigint, average numeric, success numeric, disputed numeric,
       sales integer, level text)
 WHERE s.id = k.id
