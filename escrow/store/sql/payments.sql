-- insert_attempt --
-- One prompt; no row when this cause made one before.
INSERT INTO payment_attempts (cause, token, escrow_id, telegram_id, phone, own_number, currency,
    amount_minor, wallet_part_minor, choice_id, created_at, next_query_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
ON CONFLICT (cause) DO NOTHING
RETURNING *

-- attempt_by_cause --
SELECT * FROM payment_attempts WHERE cause = $1

-- attempt_by_token --
SELECT * FROM payment_attempts WHERE token = $1

-- attempt_by_id --
SELECT * FROM payment_attempts WHERE id = $1

-- prompted --
-- M-Pesa accepted the request. The callback may have closed the attempt already.
UPDATE payment_attempts
   SET checkout_request_id = coalesce(checkout_request_id, $2),
       merchant_request_id = coalesce(merchant_request_id, $3),
       prompted_at = coalesce(prompted_at, $4),
       state = CASE state WHEN 'CREATED' THEN 'PROMPTED' ELSE state END
 WHERE id = $1
RETURNING *

-- close_attempt --
-- Ends an attempt that is not paid; a paid one stays paid. A later success is still taken.
UPDATE payment_attempts
   SET state = $2, result_code = $3, closed_at = coalesce(closed_at, $4), next_query_at = $5
 WHERE id = $1 AND state IN ('CREATED', 'PROMPTED')
RETURNING id

-- attempt_paid --
UPDATE payment_attempts
   SET state = 'PAID', closed_at = coalesce(closed_at, $2), result_code = '0', next_query_at = NULL
 WHERE id = $1 AND state <> 'PAID'

-- claimed --
-- A callback says paid; the query decides. Keeps its ids where our own row had none yet.
UPDATE payment_attempts
   SET claimed_at = coalesce(claimed_at, $2),
       next_query_at = CASE state WHEN 'PAID' THEN NULL ELSE $2::timestamptz END,
       checkout_request_id = coalesce(checkout_request_id, $3),
       merchant_request_id = coalesce(merchant_request_id, $4)
 WHERE id = $1

-- set_message --
UPDATE payment_attempts SET chat_message_id = $2 WHERE id = $1

-- claim_queries --
-- Takes attempts that are due for a query; pushes them on so that nobody else asks meanwhile.
UPDATE payment_attempts
   SET next_query_at = $1::timestamptz + interval '60 seconds', queries = queries + 1
 WHERE id IN (SELECT id FROM payment_attempts WHERE next_query_at <= $1
               ORDER BY next_query_at LIMIT $2 FOR UPDATE SKIP LOCKED)
RETURNING *

-- query_again --
-- Nobody is asked about a paid one any more.
UPDATE payment_attempts SET next_query_at = CASE state WHEN 'PAID' THEN NULL ELSE $2::timestamptz END
 WHERE id = $1

-- open_attempt --
SELECT * FROM payment_attempts WHERE escrow_id = $1 AND state IN ('CREATED', 'PROMPTED')

-- recent_prompts --
-- Prompts of the last hour: by this person to any number, to this number that was not his own,
-- and the last one of this amount to this number.
SELECT (SELECT count(*) FROM payment_attempts WHERE telegram_id = $1 AND created_at > $3) AS by_person,
       (SELECT count(*) FROM payment_attempts
         WHERE phone = $2 AND NOT own_number AND created_at > $3) AS to_foreign_number,
       (SELECT max(created_at) FROM payment_attempts
         WHERE phone = $2 AND amount_minor = $4 AND prompted_at IS NOT NULL
           AND created_at > $3) AS same_amount_at

-- reserve --
-- Reserves an open deal for a person; no row when another holds it.
INSERT INTO reservations (escrow_id, telegram_id, since, until) VALUES ($1, $2, $4, $3)
ON CONFLICT (escrow_id) DO UPDATE SET telegram_id = $2, since = $4, until = $3
 WHERE reservations.until <= $4 OR reservations.telegram_id = $2
RETURNING telegram_id

-- reservation --
SELECT telegram_id, until FROM reservations WHERE escrow_id = $1 AND until > $2

-- count_reservation --
INSERT INTO reservation_counts (escrow_id, telegram_id, made) VALUES ($1, $2, 1)
ON CONFLICT (escrow_id, telegram_id) DO UPDATE SET made = reservation_counts.made + 1
RETURNING made

-- insert_choice --
-- A new choice. That the one before could not be ended puts nothing of this one off.
WITH rested AS (DELETE FROM deal_setbacks WHERE job = 'expire' AND escrow_id = $1)
INSERT INTO underpayment_choices (escrow_id, telegram_id, due_minor, received_minor, created_at,
    expires_at)
VALUES ($1, $2, $3, $4, $5, $6)
RETURNING id

-- void_choice --
-- A newer receipt replaces the open choice.
UPDATE underpayment_choices SET voided_at = $2
 WHERE escrow_id = $1 AND used_at IS NULL AND voided_at IS NULL

-- use_choice --
-- Takes the choice, once: no row when it was used, voided or is over.
UPDATE underpayment_choices SET used_at = $3, used_action = $2
 WHERE id = $1 AND used_at IS NULL AND voided_at IS NULL AND ($4::boolean OR expires_at > $3)
RETURNING id

-- choice --
SELECT c.*, e.currency FROM underpayment_choices c
  JOIN escrow_transactions e ON e.id = c.escrow_id WHERE c.id = $1

-- open_choice --
SELECT c.*, e.currency FROM underpayment_choices c
  JOIN escrow_transactions e ON e.id = c.escrow_id
 WHERE c.escrow_id = $1 AND c.used_at IS NULL AND c.voided_at IS NULL

-- expired_choices --
-- Open choices whose time is over. While a prompt for the missing amount is open, or money that
-- came in time waits for its confirmation, they wait, at most $3 past the end; while coins that were
-- seen in time are on their way, at most $4 after they were seen (flow.md 8). $5: only this one,
-- NULL for all. One that could not be
-- ended waits for its next try.
SELECT c.id, c.escrow_id FROM underpayment_choices c
 WHERE c.used_at IS NULL AND c.voided_at IS NULL AND c.expires_at <= $1
   AND ($5::bigint IS NULL OR c.id = $5)
   AND NOT EXISTS (SELECT FROM deal_setbacks s
                    WHERE s.job = 'expire' AND s.escrow_id = c.escrow_id AND s.next_try_at > $1)
   AND (c.expires_at <= $1::timestamptz - $3::interval
        OR NOT EXISTS (SELECT FROM payment_attempts a WHERE a.escrow_id = c.escrow_id
                        AND a.state IN ('CREATED', 'PROMPTED'))
           AND NOT EXISTS (SELECT FROM receipts r WHERE r.escrow_id = c.escrow_id
                            AND r.state = 'WAITING' AND r.happened_at <= c.expires_at))
   AND NOT EXISTS (SELECT FROM crypto_attempts q JOIN crypto_deposits d ON d.attempt_id = q.id
                    WHERE q.escrow_id = c.escrow_id AND d.confirmed_at IS NULL
                      AND d.seen_at <= c.expires_at
                      AND d.seen_at > $1::timestamptz - $4::interval)
 ORDER BY c.expires_at LIMIT $2
