-- waiting --
-- What waits for a person now: open disputes and those whose other side kept silent ($1: now),
-- questions, payouts, sellers.
SELECT (SELECT count(*) FROM escrow_disputes
         WHERE status IN ('OPEN', 'UNDER_REVIEW')) AS disputes,
       (SELECT count(*) FROM escrow_disputes
         WHERE status IN ('OPEN', 'UNDER_REVIEW') AND answered_at IS NULL
           AND answer_by < $1) AS unanswered,
       (SELECT count(*) FROM help_requests WHERE answered_at IS NULL) AS questions,
       (SELECT count(*) FROM payouts
         WHERE state NOT IN ('PAID', 'FAILED') AND state = 'MANUAL') AS by_hand,
       (SELECT count(*) FROM payouts
         WHERE state NOT IN ('PAID', 'FAILED') AND state = 'UNKNOWN') AS unknown,
       (SELECT count(*) FROM escrow_sellers WHERE status = 'PENDING') AS sellers

-- readers --
-- Which of these admins were here before $3 and have not been sent the notice of this cause.
SELECT p.telegram_id FROM people p
 WHERE p.telegram_id = ANY ($1::bigint[]) AND p.started_at < $3 AND p.unreachable_at IS NULL
   AND NOT EXISTS (SELECT FROM outbox o
                    WHERE o.cause = $2 AND o.kind = 'digest' AND o.chat_id = p.telegram_id)
 ORDER BY p.telegram_id
