-- queue --
-- Queues notices, each once per cause, kind and recipient.
INSERT INTO outbox (cause, kind, chat_id, escrow_id, params, next_try_at, created_at)
SELECT n.cause, n.kind, n.chat_id, n.escrow_id, n.params, n.at, n.at
  FROM jsonb_to_recordset($1) AS n (cause text, kind text, chat_id bigint, escrow_id text,
       params jsonb, at timestamptz)
ON CONFLICT ON CONSTRAINT notice_once DO NOTHING

-- due --
-- Notices to send now: of each chat only its oldest one, so that a chat reads them in order.
SELECT o.id, o.chat_id, o.kind, o.params, o.tries, o.escrow_id, coalesce(p.language, 'en') AS language
  FROM outbox o LEFT JOIN people p ON p.telegram_id = o.chat_id
 WHERE o.state = 'QUEUED' AND o.next_try_at <= $1
   AND NOT EXISTS (SELECT FROM outbox e
                    WHERE e.chat_id = o.chat_id AND e.state = 'QUEUED' AND e.id < o.id)
 ORDER BY o.next_try_at, o.id
 LIMIT $2

-- sent --
UPDATE outbox SET state = 'SENT', message_id = $2, closed_at = $3, tries = tries + 1 WHERE id = $1

-- close --
UPDATE outbox SET state = $2, error = $3, closed_at = $4, tries = tries + 1 WHERE id = $1

-- later --
UPDATE outbox SET next_try_at = $2, error = $3, tries = tries + $4 WHERE id = $1

-- backlog --
-- How many notices wait, and since when the oldest one is due.
SELECT count(*) AS waiting, min(next_try_at) AS oldest FROM outbox WHERE state = 'QUEUED'

-- message --
-- What one of our messages was about, for a reply to it.
SELECT kind, params, escrow_id FROM outbox
 WHERE chat_id = $1 AND message_id = $2
 ORDER BY id DESC
 LIMIT 1
