-- insert_attempt --
-- One address to be asked for; no row when this cause asked before.
INSERT INTO crypto_attempts (cause, token, provider, escrow_id, telegram_id, coin, currency,
    amount_minor, usd_minor, kes_per_usd, choice_id, created_at, callback_url)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
ON CONFLICT (cause) DO NOTHING
RETURNING *

-- by_cause --
SELECT * FROM crypto_attempts WHERE cause = $1

-- by_token --
SELECT * FROM crypto_attempts WHERE token = $1

-- by_id --
SELECT * FROM crypto_attempts WHERE id = $1

-- reusable --
-- A quote that this person has for the same, of which enough is left, or one that the provider did
-- not answer. Not one that got coins: what comes there next may be named as the sum of both.
SELECT * FROM crypto_attempts a
 WHERE escrow_id = $1 AND telegram_id = $2 AND coin = $3 AND amount_minor = $4
   AND (state = 'OPEN' AND expires_at >= $5 OR state = 'CREATED' AND created_at >= $6)
   AND NOT EXISTS (SELECT FROM crypto_deposits d WHERE d.attempt_id = a.id)
 ORDER BY state = 'OPEN' DESC, id DESC LIMIT 1

-- asked_since --
SELECT count(*) FROM crypto_attempts WHERE telegram_id = $1 AND created_at > $2

-- asked_for --
SELECT EXISTS (SELECT FROM crypto_attempts
                WHERE escrow_id = $1 AND telegram_id = $2 AND state = 'OPEN')

-- opened --
-- The provider's quote, written once.
UPDATE crypto_attempts
   SET state = 'OPEN', coin_amount = $2, address = $3, tag = $4, provider_reference = $5,
       opened_at = $6, expires_at = $7, next_look_at = $8
 WHERE id = $1 AND state = 'CREATED'

-- refused --
UPDATE crypto_attempts SET state = 'REFUSED', refusal = $2
 WHERE id = $1 AND state = 'CREATED'

-- claim_looks --
-- Takes attempts whose provider is to be asked; pushes them on so that nobody else asks meanwhile.
UPDATE crypto_attempts
   SET next_look_at = $1::timestamptz + interval '5 minutes', looks = looks + 1
 WHERE id IN (SELECT id FROM crypto_attempts WHERE next_look_at <= $1
               ORDER BY next_look_at LIMIT $2 FOR UPDATE SKIP LOCKED)
RETURNING *

-- look_again --
-- Coins that are still on their way are looked for more often.
UPDATE crypto_attempts
   SET next_look_at = CASE WHEN EXISTS (SELECT FROM crypto_deposits d
                                         WHERE d.attempt_id = $1 AND d.confirmed_at IS NULL
                                           AND d.seen_at > $4)
                           THEN least($2::timestamptz, $3::timestamptz)
                           ELSE $2::timestamptz END
 WHERE id = $1

-- lock --
-- Deposits of one address follow each other.
SELECT FROM crypto_attempts WHERE id = $1 FOR NO KEY UPDATE

-- before --
-- What was counted at an address in this coin before that deposit was; nothing once it is counted.
SELECT coalesce(sum(d.amount) FILTER (WHERE d.txid <> $2), 0) AS amount,
       coalesce(bool_or(d.txid = $2), false) AS known
  FROM crypto_deposits d
 WHERE d.attempt_id = $1 AND d.coin = $3 AND d.counted

-- saw --
-- Coins at an address. The time at which they were first kept stays, and the least amount that was
-- ever named: what contradicts itself is never credited in full. What is confirmed stays.
-- known_before: the amount until now.
INSERT INTO crypto_deposits AS d (attempt_id, txid, coin, amount, seen_at, counted)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (attempt_id, txid, coin) DO UPDATE
   SET amount = CASE WHEN d.confirmed_at IS NULL THEN least(d.amount, excluded.amount)
                     ELSE d.amount END,
       counted = d.counted OR excluded.counted
RETURNING *, (SELECT o.amount FROM crypto_deposits o
               WHERE o.attempt_id = $1 AND o.txid = $2 AND o.coin = $3) AS known_before

-- any_deposit --
SELECT EXISTS (SELECT FROM crypto_deposits WHERE attempt_id = $1)

-- confirmed --
-- Coins are done with. PostgreSQL asks for their receipt, but of dust.
UPDATE crypto_deposits SET confirmed_at = $4, dust = $5
 WHERE attempt_id = $1 AND txid = $2 AND coin = $3 AND confirmed_at IS NULL

-- add_rate --
-- The environment's price counts once: a restart does not make an old price fresh.
INSERT INTO fx_rates (kes_per_usd, source, set_at)
SELECT $1, $2, $3
 WHERE $2 <> 'env'
    OR $1 IS DISTINCT FROM (SELECT kes_per_usd FROM fx_rates WHERE source = 'env'
                             ORDER BY set_at DESC, id DESC LIMIT 1)
RETURNING id

-- newest_rate --
SELECT kes_per_usd, set_at FROM fx_rates ORDER BY set_at DESC, id DESC LIMIT 1
