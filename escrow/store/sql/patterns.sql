-- disputing_buyers --
-- Who as a buyer raised $2 disputes or more since $1, with their deals, the newest first. Not whom a
-- flag for it waits for, nor whose flag knew of all of it. The next $4 after the person $3.
SELECT p.telegram_id, p.disputes AS part, NULL::bigint AS whole, p.deals
  FROM (SELECT d.raised_by AS telegram_id, count(*) AS disputes, max(d.opened_at) AS newest,
               array_agg(d.escrow_id ORDER BY d.opened_at DESC, d.id DESC) AS deals
          FROM escrow_disputes d
         WHERE d.raised_role = 'buyer' AND d.opened_at >= $1 AND d.raised_by > $3
         GROUP BY d.raised_by HAVING count(*) >= $2) AS p
 WHERE NOT EXISTS (SELECT FROM fraud_flags f
                    WHERE f.telegram_id = p.telegram_id AND f.flag_type = 'multiple_disputes'
                      AND (f.reviewed_at IS NULL
                           OR (f.created_at >= p.newest AND f.deals @> to_jsonb(p.deals))))
 ORDER BY p.telegram_id
 LIMIT $4

-- disputed_sellers --
-- Who as a seller has $2 deals or more that were paid since $1, and a buyer's dispute, neither taken
-- back nor lost, on more than $5 percent of them; with the disputed deals. As above.
SELECT p.telegram_id, p.disputed AS part, w.whole, p.deals
  FROM (SELECT e.seller_id, e.seller_telegram_id AS telegram_id, count(DISTINCT e.id) AS disputed,
               max(d.opened_at) AS newest,
               array_agg(e.id ORDER BY d.opened_at DESC, d.id DESC) AS deals
          FROM escrow_disputes d JOIN escrow_transactions e ON e.id = d.escrow_id
         WHERE d.raised_role = 'buyer' AND d.status <> 'WITHDRAWN'
           AND d.resolution IS DISTINCT FROM 'seller'
           -- no deal is disputed before it is paid
           AND d.opened_at >= $1 AND e.funded_at >= $1 AND e.seller_telegram_id > $3
         GROUP BY e.seller_id, e.seller_telegram_id) AS p
 -- what was paid so lately is not archived
 CROSS JOIN LATERAL (SELECT count(*) AS whole FROM escrow_transactions e
                      WHERE e.seller_id = p.seller_id AND e.archived_at IS NULL
                        AND e.funded_at >= $1) AS w
 WHERE w.whole >= $2 AND p.disputed * 100 > w.whole * $5::bigint
   AND NOT EXISTS (SELECT FROM fraud_flags f
                    WHERE f.telegram_id = p.telegram_id AND f.flag_type = 'high_dispute_rate'
                      AND (f.reviewed_at IS NULL
                           OR (f.created_at >= p.newest AND f.deals @> to_jsonb(p.deals))))
 ORDER BY p.telegram_id
 LIMIT $4

-- refunded_buyers --
-- Who as a buyer got all his money back by a decision or a settlement $2 times or more since $1; not
-- what was never sent, declined or cancelled. As above.
SELECT p.telegram_id, p.refunds AS part, NULL::bigint AS whole, p.deals
  FROM (SELECT e.buyer_telegram_id AS telegram_id, count(*) AS refunds,
               max(e.refunded_at) AS newest,
               array_agg(e.id ORDER BY e.refunded_at DESC, e.id) AS deals
          FROM escrow_transactions e
         -- what is over was changed last when it ended
         WHERE e.status = 'REFUNDED' AND e.archived_at IS NULL AND e.updated_at >= $1
           AND e.refunded_at >= $1 AND e.last_event IN ('resolve', 'manual_refund', 'settle')
           AND e.buyer_telegram_id > $3
         GROUP BY e.buyer_telegram_id HAVING count(*) >= $2) AS p
 WHERE NOT EXISTS (SELECT FROM fraud_flags f
                    WHERE f.telegram_id = p.telegram_id AND f.flag_type = 'multiple_refunds'
                      AND (f.reviewed_at IS NULL
                           OR (f.created_at >= p.newest AND f.deals @> to_jsonb(p.deals))))
 ORDER BY p.telegram_id
 LIMIT $4
