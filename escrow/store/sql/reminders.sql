-- due_ship --
-- Deals that wait to be sent and whose day (flow.md 21) is now ($1) one of $2, on which their seller
-- is reminded of it. A deadline that was moved moved the days with it: they are counted back from it.
-- The next $5 after (the deadline $3, the deal $4).
SELECT d.id, d.deadline, d.day
  FROM (SELECT e.id, e.ship_by AS deadline,
               floor((extract(epoch FROM $1::timestamptz - e.ship_by)
                      + (e.terms ->> 'ship_seconds')::bigint) / 86400)::int AS day
          FROM escrow_transactions e
         WHERE e.status = 'HELD' AND e.ship_by > $1 AND (e.ship_by, e.id) > ($3, $4)) AS d
 WHERE d.day = ANY ($2::int[])
 ORDER BY d.deadline, d.id
 LIMIT $5

-- due_confirm --
-- As above: deals on their way, on whose day their buyer is reminded that the seller will be paid.
SELECT d.id, d.deadline, d.day
  FROM (SELECT e.id, e.release_at AS deadline,
               floor((extract(epoch FROM $1::timestamptz - e.release_at)
                      + (e.terms ->> 'release_seconds')::bigint) / 86400)::int AS day
          FROM escrow_transactions e
         WHERE e.status = 'SHIPPED' AND e.release_at > $1 AND (e.release_at, e.id) > ($3, $4)) AS d
 WHERE d.day = ANY ($2::int[])
 ORDER BY d.deadline, d.id
 LIMIT $5

-- lock_ship --
-- Which of these (a list of {id, deadline}) still wait as they did, locked.
SELECT e.id FROM escrow_transactions e
  JOIN jsonb_to_recordset($1) AS d (id text, deadline timestamptz) ON d.id = e.id
 WHERE e.status = 'HELD' AND e.ship_by = d.deadline
 ORDER BY e.id
   FOR UPDATE OF e

-- lock_confirm --
-- As above.
SELECT e.id FROM escrow_transactions e
  JOIN jsonb_to_recordset($1) AS d (id text, deadline timestamptz) ON d.id = e.id
 WHERE e.status = 'SHIPPED' AND e.release_at = d.deadline
 ORDER BY e.id
   FOR UPDATE OF e

-- insert --
-- Keeps reminders, a list of {id, kind}; which of them are new. Nobody looks before what is there: a
-- plan made while the table was empty would read all of it each time.
INSERT INTO reminders (escrow_id, kind, at)
SELECT r.id, r.kind, $2 FROM jsonb_to_recordset($1) AS r (id text, kind text)
ON CONFLICT DO NOTHING
RETURNING escrow_id
