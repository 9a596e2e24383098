-- settled_facts --
-- For each leg of a settlement, by its place in the list: whether his money goes by itself, and
-- where it may go. `funding_phone` only where one prompt alone funded the deal: what came out of a
-- wallet goes back to its owner, and a prompt that came late bought nothing.
SELECT l.n, p.auto_payout, p.phone, p.phone_is_contact, s.payout_phone, s.payout_phone_since,
       s.created_at AS shop_since, coalesce(s.status = 'SUSPENDED', false) AS suspended,
       (SELECT min(a.phone) FROM receipts r LEFT JOIN payment_attempts a ON a.id = r.attempt_id
         WHERE r.escrow_id = l.escrow_id AND r.state = 'CREDITED'
        HAVING count(*) = 1 AND min(r.channel) = 'stk' AND min(a.telegram_id) = l.telegram_id
           AND min(a.wallet_part_minor) = 0 AND min(r.outcome ->> 'outcome') = 'funded'
           AND NOT EXISTS (SELECT FROM ledger_journals j
                            WHERE j.escrow_id = l.escrow_id AND j.kind = 'wallet_payment'))
           AS funding_phone
  FROM unnest($1::text[], $2::bigint[]) WITH ORDINALITY AS l (escrow_id, telegram_id, n)
  JOIN people p ON p.telegram_id = l.telegram_id
  LEFT JOIN escrow_sellers s ON s.telegram_id = l.telegram_id
 ORDER BY l.n

-- person_facts --
-- Where a person's own money may go.
SELECT p.phone, p.phone_is_contact, s.payout_phone, s.payout_phone_since,
       s.created_at AS shop_since, coalesce(s.status = 'SUSPENDED', false) AS suspended
  FROM people p LEFT JOIN escrow_sellers s ON s.telegram_id = p.telegram_id
 WHERE p.telegram_id = $1

-- insert --
-- New payouts; one whose cause is there already is left out.
INSERT INTO payouts (cause, telegram_id, escrow_id, leg, currency, amount_minor, destination, state,
                     note, not_before, receipt_id, receipt, about, created_at)
SELECT x.cause, x.telegram_id, x.escrow_id, x.leg, x.currency, x.amount_minor, x.destination,
       x.state, x.note, x.not_before, x.receipt_id, x.receipt, x.about, $2
  FROM jsonb_to_recordset($1) AS x (cause text, telegram_id bigint, escrow_id text, leg text,
       currency text, amount_minor bigint, destination text, state text, note text,
       not_before timestamptz, receipt_id bigint, receipt text, about text)
ON CONFLICT (cause) DO NOTHING
RETURNING *

-- by_cause --
SELECT * FROM payouts WHERE cause = $1

-- one --
SELECT * FROM payouts WHERE id = $1

-- lock --
SELECT * FROM payouts WHERE id = $1 FOR UPDATE

-- claim_ready --
-- Locks payouts that are due, oldest first; those that somebody else is taking are left to him,
-- those of deals whose money was taken back are left, and those of large deals (from $3 on) until
-- M-Pesa said once more that their money came in. $4: what is paid, $5: what is sent back.
SELECT p.* FROM payouts p
 WHERE p.state = 'READY' AND (p.not_before IS NULL OR p.not_before <= $1)
   AND CASE WHEN p.receipt_id IS NULL THEN $4::boolean ELSE $5::boolean END
   AND (p.leg = 'buyer' OR NOT EXISTS (
            SELECT FROM escrow_sellers s
             WHERE s.telegram_id = p.telegram_id AND s.status = 'SUSPENDED'))
   AND (p.leg IS DISTINCT FROM 'seller' OR NOT EXISTS (
            SELECT FROM ledger_accounts a
             WHERE a.kind = 'receivable' AND a.owner = p.escrow_id AND a.currency = p.currency
               AND a.balance_minor < 0))
   AND ($3::bigint IS NULL OR p.leg IS DISTINCT FROM 'seller' OR NOT EXISTS (
            SELECT FROM escrow_transactions e JOIN receipts r ON r.escrow_id = e.id
             WHERE e.id = p.escrow_id AND e.currency = 'KES' AND e.price_minor >= $3
               AND r.state = 'CREDITED' AND r.provider = 'mpesa' AND r.reference IS NOT NULL
               AND NOT EXISTS (SELECT FROM status_queries q
                                WHERE q.receipt_id = r.id AND q.asked_at >= p.created_at
                                  AND q.answer = 'completed')))
 ORDER BY p.not_before NULLS FIRST, p.id LIMIT $2
   FOR UPDATE OF p SKIP LOCKED

-- claim_questions --
-- Locks payouts of large deals (from $2 on) that are due: receipts of theirs that M-Pesa has to be
-- asked about, and was not asked since $3.
SELECT r.id, r.reference
  FROM payouts p JOIN escrow_transactions e ON e.id = p.escrow_id
  JOIN receipts r ON r.escrow_id = e.id
 WHERE p.state = 'READY' AND p.leg = 'seller' AND (p.not_before IS NULL OR p.not_before <= $1)
   AND e.currency = 'KES' AND e.price_minor >= $2
   AND r.state = 'CREDITED' AND r.provider = 'mpesa' AND r.reference IS NOT NULL
   AND NOT EXISTS (SELECT FROM status_queries q
                    WHERE q.receipt_id = r.id AND q.asked_at >= p.created_at
                      AND (q.asked_at > $3 OR q.answer IN ('completed', 'denied')))
 ORDER BY p.id, r.id LIMIT $4
   FOR UPDATE OF p SKIP LOCKED

-- hold_doubtful --
-- Large deals (from $1 on) whose money M-Pesa took back, or says nothing about since $2.
UPDATE payouts p
   SET state = 'MANUAL', note = CASE WHEN d.denied THEN 'funding_reversed'
                                     ELSE 'funding_unknown' END
  FROM (SELECT w.id, bool_or(q.answer = 'denied') IS TRUE AS denied
          FROM payouts w JOIN escrow_transactions e ON e.id = w.escrow_id
          JOIN receipts r ON r.escrow_id = e.id
          JOIN status_queries q ON q.receipt_id = r.id AND q.asked_at >= w.created_at
         WHERE w.state = 'READY' AND w.leg = 'seller'
           AND e.currency = 'KES' AND e.price_minor >= $1 AND r.state = 'CREDITED'
           AND NOT EXISTS (SELECT FROM status_queries a
                            WHERE a.receipt_id = r.id AND a.asked_at >= w.created_at
                              AND a.answer = 'completed')
         GROUP BY w.id
        HAVING bool_or(q.answer = 'denied') OR min(q.asked_at) <= $2) AS d
 WHERE p.id = d.id AND p.state = 'READY'
RETURNING p.*

-- hold_reversed --
-- Those of deals that owe what M-Pesa took back: a person decides.
UPDATE payouts p SET state = 'MANUAL', note = 'funding_reversed'
 WHERE p.state = 'READY' AND p.leg = 'seller'
   AND EXISTS (SELECT FROM ledger_accounts a
                WHERE a.kind = 'receivable' AND a.owner = p.escrow_id AND a.currency = p.currency
                  AND a.balance_minor < 0)
RETURNING p.*

-- name_receipt --
-- An admin says that it was paid, under that receipt: M-Pesa is asked.
UPDATE payouts SET named_reference = $2, named_by = $3, named_token = $4, note = 'checking',
       looks = 1, next_look_at = $5
 WHERE id = $1
RETURNING *

-- by_named_token --
SELECT * FROM payouts WHERE named_token = $1 FOR UPDATE

-- by_reference --
SELECT * FROM payouts WHERE provider_reference = $1

-- came_in --
SELECT EXISTS (SELECT FROM receipts WHERE reference = $1)
    OR EXISTS (SELECT FROM payment_claims WHERE reference = $1 AND state <> 'DENIED')

-- coins_came_in --
-- Whether coins came to an address of ours by this transaction; its hash without 0x.
SELECT EXISTS (SELECT FROM crypto_deposits WHERE lower(txid) IN ($1, '0x' || $1))

-- address_of_ours --
-- Whether a payer was given this address by us.
SELECT EXISTS (SELECT FROM crypto_attempts WHERE address <> '' AND lower(address) = lower($1))

-- way_back --
SELECT * FROM payouts WHERE receipt_id = $1 AND state <> 'FAILED'

-- numbered --
SELECT * FROM payouts WHERE provider_reference = $1
UNION
SELECT * FROM payouts
 WHERE named_reference = $1 AND state NOT IN ('PAID', 'FAILED')
 ORDER BY id

-- turn_receipt --
-- Out of suspense it was sent back; somebody's was reversed.
UPDATE receipts r
   SET state = CASE WHEN p.telegram_id IS NULL THEN 'RETURNED' ELSE 'REVERSED' END
  FROM payouts p
 WHERE p.id = $1 AND r.id = p.receipt_id

-- sides --
SELECT p.id, array_remove(ARRAY[p.telegram_id, e.seller_telegram_id, e.buyer_telegram_id], NULL)
       AS people
  FROM payouts p LEFT JOIN escrow_transactions e ON e.id = coalesce(p.escrow_id, p.about)
 WHERE p.id = ANY ($1::bigint[])

-- lock_resting --
-- Never asked for, and not before that number's day is over, which a pause does not use up.
SELECT p.* FROM payouts p
 WHERE p.telegram_id = $1 AND p.destination = $2 AND p.state IN ('READY', 'MANUAL')
   AND p.not_before > coalesce((SELECT least(z.paused_at, $3) FROM pauses z
                                 WHERE z.ended_at IS NULL), $3)
   AND p.named_reference IS NULL
   AND NOT EXISTS (SELECT FROM payout_attempts a WHERE a.payout_id = p.id)
 ORDER BY p.id
   FOR UPDATE OF p

-- word_unproved --
-- Nobody can say: it waits for an admin's second word.
UPDATE payouts SET note = 'no_word', next_look_at = NULL WHERE id = $1
RETURNING *

-- forget_word --
-- The receipt that was named is not this payment's.
UPDATE payouts SET note = 'not_confirmed', next_look_at = NULL, named_reference = NULL,
       named_by = NULL, named_token = NULL
 WHERE id = $1
RETURNING *

-- claim_words --
-- Locks payouts whose receipt was asked about without an answer.
SELECT * FROM payouts
 WHERE state = 'MANUAL' AND note = 'checking' AND next_look_at <= $1
 ORDER BY next_look_at LIMIT $2
   FOR UPDATE SKIP LOCKED

-- start_attempts --
-- The intent of each request, before a byte of it is sent.
INSERT INTO payout_attempts (payout_id, originator_conversation_id, token, sent_at)
SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[]), (VALUES ($4::timestamptz)) AS t (at)
RETURNING *

-- sending --
UPDATE payouts SET state = 'SENDING', next_look_at = $2, looks = 0, note = ''
 WHERE id = ANY ($1::bigint[])

-- hold_by_hand --
-- What can't be sent by itself (no keys to pay: $1, or to send back: $2; a suspended seller's)
-- becomes a person's task.
UPDATE payouts p SET state = 'MANUAL', note = CASE WHEN s.id IS NULL THEN 'no_keys'
                                                   ELSE 'suspended' END
  FROM payouts q LEFT JOIN escrow_sellers s
       ON s.telegram_id = q.telegram_id AND s.status = 'SUSPENDED'
          AND q.leg IS DISTINCT FROM 'buyer'
 WHERE q.id = p.id AND p.state = 'READY'
   AND (s.id IS NOT NULL
        OR NOT CASE WHEN p.receipt_id IS NULL THEN $1::boolean ELSE $2::boolean END)
RETURNING p.*

-- attempt_by_token --
SELECT * FROM payout_attempts WHERE token = $1

-- live_attempt --
SELECT * FROM payout_attempts WHERE payout_id = $1 AND state <> 'FAILED'

-- attempt --
SELECT * FROM payout_attempts WHERE id = $1

-- attempts_made --
SELECT count(*) FROM payout_attempts WHERE payout_id = $1

-- attempt_accepted --
UPDATE payout_attempts SET conversation_id = coalesce(conversation_id, nullif($2, ''))
 WHERE id = $1

-- close_attempt --
UPDATE payout_attempts SET state = $2, result_code = $3,
       closed_at = CASE WHEN $2 IN ('PAID', 'FAILED') THEN $4::timestamptz END
 WHERE id = $1

-- set_state --
UPDATE payouts SET state = $2, note = $3, not_before = $4, next_look_at = $5 WHERE id = $1
RETURNING *

-- finish --
UPDATE payouts SET state = $2, note = $3, provider_reference = $4, closed_by = $5,
       finalized_at = $6, next_look_at = NULL
 WHERE id = $1
RETURNING *

-- claim_looks --
-- Locks what nobody has answered for in time.
SELECT * FROM payouts
 WHERE state IN ('SENDING', 'UNKNOWN') AND next_look_at <= $1
 ORDER BY next_look_at LIMIT $2
   FOR UPDATE SKIP LOCKED

-- looked --
UPDATE payouts SET looks = looks + 1, next_look_at = $2 WHERE id = $1

-- look_at --
UPDATE payouts SET next_look_at = $2 WHERE id = $1 AND state IN ('SENDING', 'UNKNOWN')

-- open_ones --
-- Everything that is not over, what waits for a person first.
SELECT * FROM payouts WHERE state NOT IN ('PAID', 'FAILED')
 ORDER BY (state = 'MANUAL') DESC, (state = 'UNKNOWN') DESC, id LIMIT $1

-- open_page --
-- What is not over with whose it is, what waits for a person first, each oldest first.
SELECT p.*, coalesce(CASE WHEN p.leg = 'seller' THEN s.shop_name END, o.first_name) AS name,
       (SELECT count(*) FROM payout_attempts a WHERE a.payout_id = p.id) AS attempts,
       EXISTS (SELECT FROM payout_attempts a
                WHERE a.payout_id = p.id AND a.state <> 'FAILED') AS live
  FROM payouts p
  LEFT JOIN people o ON o.telegram_id = p.telegram_id
  LEFT JOIN escrow_sellers s ON s.telegram_id = p.telegram_id
 WHERE p.state NOT IN ('PAID', 'FAILED')
 ORDER BY (p.state = 'MANUAL') DESC, (p.state = 'UNKNOWN') DESC, p.created_at, p.id
OFFSET $1 LIMIT $2

-- open_count --
SELECT count(*) FILTER (WHERE state = 'MANUAL') AS by_hand,
       count(*) FILTER (WHERE state = 'UNKNOWN') AS unknown,
       count(*) FILTER (WHERE state IN ('READY', 'SENDING')) AS under_way,
       min(created_at) AS oldest
  FROM payouts WHERE state NOT IN ('PAID', 'FAILED')

-- of_person --
-- What is on its way to somebody, newest first.
SELECT * FROM payouts WHERE telegram_id = $1 AND state NOT IN ('PAID', 'FAILED')
 ORDER BY id DESC

-- late --
-- Open for long, and nobody was told yet.
SELECT p.* FROM payouts p
 WHERE p.state NOT IN ('PAID', 'FAILED')
   AND p.created_at <= CASE WHEN p.currency = 'USD' THEN $3::timestamptz ELSE $1 END
   -- a changed number waits its day; a refusal for a reason of ours is no excuse
   AND (p.not_before IS NULL OR p.not_before <= $1 OR (p.state = 'READY' AND p.note <> ''))
   AND NOT EXISTS (SELECT FROM outbox o
                    WHERE o.cause = 'payout:' || p.id || ':late')
 ORDER BY p.id LIMIT $2

-- stopped --
SELECT code FROM payout_stops WHERE credential = $1 AND lifted_at IS NULL

-- stop --
INSERT INTO payout_stops (credential, code, stopped_at) VALUES ($1, $2, $3)
ON CONFLICT (credential) WHERE lifted_at IS NULL DO NOTHING
RETURNING id

-- lift --
UPDATE payout_stops SET lifted_at = $2, lifted_by = $3 WHERE credential = $1 AND lifted_at IS NULL
RETURNING id
