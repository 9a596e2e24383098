-- seen --
-- Somebody wrote to the bot: he is known from now on, and reachable again.
INSERT INTO people (telegram_id, first_name, username, language, started_at)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (telegram_id) DO UPDATE
    SET first_name = $2, username = $3, unreachable_at = NULL
  WHERE (people.first_name, people.username) IS DISTINCT FROM ($2, $3)
     OR people.unreachable_at IS NOT NULL

-- person --
SELECT * FROM people WHERE telegram_id = $1

-- lock_person --
SELECT telegram_id FROM people WHERE telegram_id = $1 FOR UPDATE

-- set_phone --
-- The same number typed again keeps what Telegram vouched for.
UPDATE people
   SET phone = $2, phone_is_contact = $3 OR (phone_is_contact AND phone IS NOT DISTINCT FROM $2)
 WHERE telegram_id = $1

-- set_language --
UPDATE people SET language = $2 WHERE telegram_id = $1

-- unreachable --
UPDATE people SET unreachable_at = $2 WHERE telegram_id = $1 AND unreachable_at IS NULL

-- started --
-- Which of these have pressed Start and can be reached.
SELECT telegram_id FROM people WHERE telegram_id = ANY ($1) AND unreachable_at IS NULL

-- insert_seller --
INSERT INTO escrow_sellers (telegram_id, shop_name, payout_phone, created_at)
VALUES ($1, $2, $3, $4)
ON CONFLICT (telegram_id) DO NOTHING
RETURNING id

-- seller_by_person --
SELECT * FROM escrow_sellers WHERE telegram_id = $1

-- seller_by_id --
SELECT * FROM escrow_sellers WHERE id = $1

-- lock_seller --
SELECT * FROM escrow_sellers WHERE id = $1 FOR UPDATE

-- verify_seller --
UPDATE escrow_sellers SET status = 'VERIFIED', verified_at = $2, verified_by = $3,
       suspended_at = NULL, suspended_by = NULL, suspension_reason = NULL
 WHERE id = $1 AND status <> 'VERIFIED'
RETURNING id

-- suspend_seller --
UPDATE escrow_sellers SET status = 'SUSPENDED', suspended_at = $2, suspended_by = $3,
       suspension_reason = $4
 WHERE id = $1 AND status <> 'SUSPENDED'
RETURNING id

-- rename_shop --
-- While he waits for an admin: what an admin verified keeps its name.
UPDATE escrow_sellers SET shop_name = $2
 WHERE id = $1 AND status = 'PENDING' AND shop_name <> $2
RETURNING id

-- change_payout_phone --
UPDATE escrow_sellers SET payout_phone = $2, payout_phone_since = $3
 WHERE id = $1 AND payout_phone <> $2
RETURNING id

-- owns_number_of --
-- Whether a person's number is the seller's own: his payout number, or what he pays with.
SELECT EXISTS (SELECT FROM people p
                 JOIN escrow_sellers s ON s.id = $2
                 JOIN people o ON o.telegram_id = s.telegram_id
                WHERE p.telegram_id = $1 AND p.phone IN (s.payout_phone, o.phone))

-- add_seller_history --
INSERT INTO seller_history (seller_id, status, actor, reason, at, cause)
VALUES ($1, $2, $3, $4, $5, $6)

-- completed_deals --
SELECT count(*) FROM escrow_transactions WHERE seller_id = $1 AND status = 'COMPLETED'

-- conversation --
SELECT step, data FROM conversations WHERE telegram_id = $1

-- set_conversation --
INSERT INTO conversations (telegram_id, step, data, updated_at) VALUES ($1, $2, $3, $4)
ON CONFLICT (telegram_id) DO UPDATE SET step = $2, data = $3, updated_at = $4

-- end_conversation --
DELETE FROM conversations WHERE telegram_id = $1
