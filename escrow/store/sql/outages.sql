-- lock_beat --
-- When that one was last seen alive, locked; no row: never.
SELECT at, failing_since, failed_at FROM heartbeats WHERE source = $1 FOR UPDATE

-- first_beat --
INSERT INTO heartbeats (source, at) VALUES ($1, $2) ON CONFLICT DO NOTHING

-- beat --
UPDATE heartbeats SET at = greatest(at, $2), failing_since = $3, failed_at = $4 WHERE source = $1

-- lock_open --
SELECT * FROM outages WHERE done_at IS NULL FOR UPDATE

-- last_end --
-- When the last outage ended; NULL: there was none.
SELECT max(ended_at) FROM outages

-- begin --
INSERT INTO outages (source, began_at, ended_at) VALUES ($1, $2, $3) RETURNING *

-- end --
UPDATE outages SET ended_at = $2 WHERE id = $1 RETURNING *

-- moved --
UPDATE outages SET moved_to = $2, moved = moved + $3 WHERE id = $1

-- finish --
UPDATE outages SET done_at = $2 WHERE id = $1 RETURNING *

-- move_deadlines --
-- Moves the deadline that runs, where it is later than the outage's beginning ($2; its end: $3), by
-- what the outage took of it: from when it began to run, until it was frozen, and without what
-- others give back, each minute once. A pause that is over gave its time to whatever was due after
-- its beginning; one that is open will. A freeze that was ended and a dispute that was withdrawn gave
-- theirs, too; what is disputed gets it back when that ends.
UPDATE escrow_transactions e
   SET pay_by = CASE WHEN h.clock = 'PENDING' THEN e.pay_by + h.span ELSE e.pay_by END,
       ship_by = CASE WHEN h.clock = 'HELD' THEN e.ship_by + h.span ELSE e.ship_by END,
       release_at = CASE WHEN h.clock IN ('SHIPPED', 'DELIVERED') THEN e.release_at + h.span
                         ELSE e.release_at END
  FROM (SELECT c.id, c.clock, c.due,
               least(c.until, $3) - greatest(c.since, $2)
               - coalesce((SELECT sum(upper(g.span) - lower(g.span))
                             FROM unnest((
                                  SELECT range_agg(tstzrange(greatest(s.began, c.since, $2),
                                                             least(s.ended, c.until, $3)))
                                    FROM (SELECT p.paused_at AS began,
                                                 coalesce(p.resumed_at, $3) AS ended
                                            FROM pauses p
                                           WHERE p.ended_at IS NULL OR p.paused_at < c.due
                                          UNION ALL
                                          SELECT b.at, o.at
                                            FROM escrow_timeline o,
                                                 LATERAL (SELECT t.at FROM escrow_timeline t
                                                           WHERE t.escrow_id = o.escrow_id
                                                             AND t.version < o.version
                                                             AND t.event = CASE o.event
                                                                 WHEN 'unfreeze' THEN 'freeze'
                                                                 ELSE 'dispute' END
                                                           ORDER BY t.version DESC LIMIT 1) AS b
                                           WHERE o.escrow_id = c.id AND o.at > $2
                                             AND o.event IN ('unfreeze', 'withdraw_dispute')) AS s
                                   WHERE greatest(s.began, c.since, $2)
                                         < least(s.ended, c.until, $3))) AS g (span)),
                          interval '0') AS span
          FROM (SELECT d.id, r.clock, CASE d.status WHEN 'FROZEN' THEN d.frozen_at END AS until,
                       CASE r.clock WHEN 'PENDING' THEN d.pay_by WHEN 'HELD' THEN d.ship_by
                                    WHEN 'SHIPPED' THEN d.release_at
                                    WHEN 'DELIVERED' THEN d.release_at END AS due,
                       CASE r.clock WHEN 'PENDING' THEN d.created_at WHEN 'HELD' THEN d.funded_at
                                    WHEN 'SHIPPED' THEN d.shipped_at
                                    WHEN 'DELIVERED' THEN d.delivered_at END AS since
                  FROM escrow_transactions d,
                       LATERAL (SELECT CASE d.status WHEN 'FROZEN' THEN d.frozen_from
                                                     ELSE d.status END AS clock) AS r
                 WHERE d.id = ANY ($1::text[])) AS c
         WHERE c.due > $2::timestamptz AND least(c.until, $3::timestamptz) > greatest(c.since, $2)
       ) AS h
 WHERE e.id = h.id AND h.span > interval '0'
RETURNING e.id, extract(epoch FROM h.span)::bigint AS seconds

-- note_moved --
-- A list of {id, seconds} for the timelines; $2: when, $3: the outage.
INSERT INTO escrow_timeline (escrow_id, version, event, from_status, to_status, actor, at, data)
SELECT e.id, NULL, 'deadline_moved', e.status, e.status, 'system', $2,
       jsonb_build_object('outage', $3::bigint, 'seconds', m.seconds)
  FROM jsonb_to_recordset($1) AS m (id text, seconds bigint)
  JOIN escrow_transactions e ON e.id = m.id

-- move_rests --
-- Payouts to a number that is new rest as much longer, as above: their owner heard nothing.
UPDATE payouts p SET not_before = p.not_before + s.span
  FROM (SELECT q.id, $2::timestamptz - $1::timestamptz
               - coalesce((SELECT sum(least(coalesce(z.resumed_at, $2), $2)
                                      - greatest(z.paused_at, $1))
                             FROM pauses z
                            WHERE (z.ended_at IS NULL OR z.paused_at < q.not_before)
                              AND least(coalesce(z.resumed_at, $2), $2)
                                  > greatest(z.paused_at, $1)), interval '0') AS span
          FROM payouts q
         WHERE q.state IN ('READY', 'MANUAL') AND q.not_before > $1
           AND NOT EXISTS (SELECT FROM payout_attempts a WHERE a.payout_id = q.id)) AS s
 WHERE p.id = s.id AND s.span > interval '0'
