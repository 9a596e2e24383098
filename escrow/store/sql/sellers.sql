-- judged --
-- Who verified or suspended a seller, and when, with their first names where they are known.
SELECT s.verified_at, s.verified_by, v.first_name AS verified_name,
       s.suspended_at, s.suspended_by, u.first_name AS suspended_name
  FROM escrow_sellers s
  LEFT JOIN people v ON v.telegram_id = s.verified_by
  LEFT JOIN people u ON u.telegram_id = s.suspended_by
 WHERE s.id = $1

-- history --
-- Everything that a seller became, newest first.
SELECT h.status, h.actor, h.reason, h.at, h.cause, p.first_name AS name
  FROM seller_history h
  LEFT JOIN people p ON p.telegram_id = nullif(split_part(h.actor, ':', 2), '')::bigint
 WHERE h.seller_id = $1 ORDER BY h.id DESC

-- change_by_cause --
-- What this cause made of a seller before.
SELECT status, actor, reason, at, cause FROM seller_history WHERE seller_id = $1 AND cause = $2

-- deals --
-- His deals that are not over, by currency: how many hold money, and how much; how many are unpaid.
SELECT currency, count(*) FILTER (WHERE status = 'PENDING') AS unpaid,
       count(*) FILTER (WHERE status <> 'PENDING') AS funded,
       coalesce(sum(held_price_minor + held_fee_minor), 0)::bigint AS held_minor
  FROM escrow_transactions
 WHERE seller_id = $1 AND archived_at IS NULL
   AND status IN ('PENDING', 'HELD', 'SHIPPED', 'DELIVERED', 'DISPUTED', 'FROZEN')
 GROUP BY currency ORDER BY currency

-- pending --
-- Sellers who wait for an admin, oldest first, with what they opened and showed meanwhile.
SELECT s.id, s.telegram_id, s.shop_name, s.payout_phone, s.created_at, p.first_name,
       (SELECT count(*) FROM escrow_transactions e
         WHERE e.seller_id = s.id AND e.archived_at IS NULL) AS deals,
       (SELECT count(*) FROM deal_records r JOIN escrow_transactions e ON e.id = r.escrow_id
         WHERE e.seller_id = s.id AND e.archived_at IS NULL AND r.purpose = 'photo') AS photos
  FROM escrow_sellers s JOIN people p USING (telegram_id)
 WHERE s.status = 'PENDING'
 ORDER BY s.created_at, s.id
OFFSET $1 LIMIT $2

-- pending_count --
SELECT count(*) FROM escrow_sellers WHERE status = 'PENDING'

-- cards --
-- Where the notices of these causes stand now, with their readers' languages.
SELECT o.chat_id, o.message_id, coalesce(p.language, 'en') AS language
  FROM outbox o LEFT JOIN people p ON p.telegram_id = o.chat_id
 WHERE o.cause = ANY ($1::text[]) AND o.kind = 'seller_waits' AND o.message_id IS NOT NULL
 ORDER BY o.id

-- menus --
-- Whose menu shows the admins' commands.
SELECT chat_id FROM admin_menus ORDER BY chat_id

-- add_menu --
INSERT INTO admin_menus (chat_id, set_at) VALUES ($1, $2) ON CONFLICT DO NOTHING

-- drop_menu --
DELETE FROM admin_menus WHERE chat_id = $1
