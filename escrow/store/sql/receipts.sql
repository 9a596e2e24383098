-- context --
-- Everything the payment path decides on, read after the lock of the deal and in a statement of
-- its own: the deal, the receipt known by this number, the receipt of this attempt, the open
-- choice, the reservation, the attempt, the numbers of buyer and seller, and whether a prompt of this amount has no number yet.
SELECT e.*, s.shop_name, s.status AS seller_status, coalesce(r.balance_minor, 0) AS received_minor,
       a AS attempt, by_number AS by_number, by_attempt AS by_attempt, c AS choice,
       v AS reservation, p.phone AS reserver_phone, b.phone AS buyer_phone,
       array_remove(ARRAY[s.payout_phone, o.phone], NULL) AS seller_numbers,
       EXISTS (SELECT FROM receipts slot
                WHERE slot.escrow_id = e.id AND slot.reference IS NULL
                  AND slot.amount_minor = $5 AND slot.state = 'CREDITED') AS has_slot,
       EXISTS (SELECT FROM payment_attempts fit
                WHERE fit.escrow_id = e.id AND fit.amount_minor = $5 AND fit.state <> 'DECLINED')
           AS has_prompt
  FROM (SELECT 1) AS one
  LEFT JOIN escrow_transactions e ON e.id = $1
  LEFT JOIN escrow_sellers s ON s.id = e.seller_id
  LEFT JOIN ledger_accounts r ON r.kind = 'received' AND r.owner = e.id AND r.currency = e.currency
  LEFT JOIN payment_attempts a ON a.id = $2
  LEFT JOIN receipts by_number ON by_number.provider = $3 AND by_number.reference = $4
  LEFT JOIN receipts by_attempt ON by_attempt.attempt_id = $2
  LEFT JOIN underpayment_choices c ON c.escrow_id = e.id AND c.used_at IS NULL AND c.voided_at IS NULL
  LEFT JOIN reservations v ON v.escrow_id = e.id
  LEFT JOIN people p ON p.telegram_id = v.telegram_id
  LEFT JOIN people b ON b.telegram_id = e.buyer_telegram_id
  LEFT JOIN people o ON o.telegram_id = s.telegram_id

-- insert --
-- Stores a receipt; no row when its number or its attempt is known already.
INSERT INTO receipts (provider, channel, reference, attempt_id, escrow_id, telegram_id, currency,
    amount_minor, state, evidence, happened_at, received_at, posted_at, payer_shown, payer_name,
    typed_reference, inbox_id, outcome, next_check_at, reference_fitted, crypto_attempt_id, coin,
    coin_amount, cost_minor)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20,
    $21, $22, $23, $24)
ON CONFLICT DO NOTHING
RETURNING id

-- post_waiting --
-- A receipt that waited, was denied or lay in suspense becomes money: by its new state, evidence and owner. A prompt that claimed it
-- keeps it, else that prompt could be credited once more.
UPDATE receipts
   SET state = $2, evidence = $3, posted_at = $4, telegram_id = $5, attempt_id = coalesce(attempt_id, $6),
       reference_fitted = $7, escrow_id = $8, outcome = $9, amount_minor = $10,
       next_check_at = NULL
 WHERE id = $1 AND state IN ('WAITING', 'IGNORED', 'SUSPENSE')
RETURNING id

-- lock_key --
SELECT pg_advisory_xact_lock(hashtextextended($1, 0))

-- reopen --
-- A denied receipt that is claimed again waits again.
UPDATE receipts SET state = 'WAITING', evidence = NULL, outcome = '{}', checks = 0
 WHERE id = $1 AND state = 'IGNORED'

-- detach --
-- A denied claim no longer stands for its prompt.
UPDATE receipts SET attempt_id = NULL WHERE id = $1 AND state = 'IGNORED'

-- fitting_prompts --
-- Prompts of a deal that no money stands for yet, of this amount and about this time.
SELECT a.* FROM payment_attempts a
 WHERE a.escrow_id = $1 AND a.amount_minor = $2 AND a.state <> 'DECLINED'
   AND $3::timestamptz BETWEEN a.created_at - interval '2 minutes'
                           AND a.created_at + interval '10 minutes'
   AND NOT EXISTS (SELECT FROM receipts r WHERE r.attempt_id = a.id AND r.state <> 'IGNORED')
 ORDER BY a.id

-- link_attempt --
-- A credited receipt turns out to be the one of this attempt.
UPDATE receipts SET attempt_id = $2, reference_fitted = $3 WHERE id = $1 AND attempt_id IS NULL

-- fill_slot --
-- The number of a payment that was known by query only, or that was fitted before.
UPDATE receipts SET reference = $2, reference_fitted = $3 WHERE id = $1

-- by_id --
SELECT * FROM receipts WHERE id = $1

-- lock_by_id --
SELECT * FROM receipts WHERE id = $1 FOR UPDATE

-- by_number --
SELECT * FROM receipts WHERE provider = $1 AND reference = $2

-- by_attempt --
SELECT * FROM receipts WHERE attempt_id = $1

-- slots --
-- Credited prompts of a deal whose number is not known yet, of this amount and about this time.
SELECT r.*, a.phone FROM receipts r JOIN payment_attempts a ON a.id = r.attempt_id
 WHERE r.escrow_id = $1 AND r.reference IS NULL AND r.amount_minor = $2 AND r.state = 'CREDITED'
   AND $3::timestamptz BETWEEN a.created_at - interval '2 minutes'
                           AND a.created_at + interval '10 minutes'
 ORDER BY r.id

-- loose --
-- Receipts of a deal that no attempt owns, of this amount and about the time of this attempt; those
-- that M-Pesa took back before they were credited, too.
SELECT r.* FROM receipts r JOIN payment_attempts a ON a.id = $2
 WHERE r.escrow_id = $1 AND r.attempt_id IS NULL AND r.channel = 'c2b'
   AND r.amount_minor = a.amount_minor
   AND (r.state IN ('WAITING', 'CREDITED', 'SUSPENSE')
        OR (r.state = 'IGNORED' AND EXISTS (SELECT FROM provider_reversals p
                                             WHERE p.receipt = r.reference)))
   AND r.happened_at BETWEEN a.created_at - interval '2 minutes'
                         AND a.created_at + interval '10 minutes'
 ORDER BY r.id

-- claim_checks --
-- Takes waiting receipts that are due for another look; pushes them on so that nobody else does.
UPDATE receipts SET next_check_at = $1::timestamptz + interval '2 minutes', checks = checks + 1
 WHERE id IN (SELECT id FROM receipts WHERE state = 'WAITING' AND next_check_at <= $1
               ORDER BY next_check_at LIMIT $2 FOR UPDATE SKIP LOCKED)
RETURNING *

-- check_again --
UPDATE receipts SET next_check_at = $2 WHERE id = $1 AND state = 'WAITING'

-- from_statement --
UPDATE receipts SET from_statement = true, next_check_at = $2 WHERE id = $1 AND state = 'WAITING'

-- ignore --
-- The provider denies it, or an admin says it is not ours.
UPDATE receipts SET state = 'IGNORED', evidence = $2, outcome = $3, next_check_at = NULL
 WHERE id = $1 AND state = 'WAITING'
RETURNING id

-- believe --
-- An admin believes a waiting receipt; crediting it comes next.
UPDATE receipts SET evidence = $2, next_check_at = $3 WHERE id = $1 AND state = 'WAITING'

-- add_status_query --
INSERT INTO status_queries (token, receipt_id, asked_at) VALUES ($1, $2, $3)

-- status_query --
SELECT receipt_id, answered_at FROM status_queries WHERE token = $1

-- answer_status_query --
UPDATE status_queries SET answered_at = $2, answer = $3 WHERE token = $1 AND answered_at IS NULL

-- waiting_count --
SELECT count(*) FROM receipts WHERE state = 'WAITING'

-- sender_listed --
-- Whether the callback that told of a receipt came from an address that callbacks may come from.
SELECT coalesce((SELECT i.listed FROM receipts r JOIN inbox i ON i.id = r.inbox_id
                  WHERE r.id = $1), true)

-- known --
-- Which of these numbers stand on receipts of that provider, whatever became of them.
SELECT reference FROM receipts WHERE provider = $1 AND reference = ANY($2::text[])
