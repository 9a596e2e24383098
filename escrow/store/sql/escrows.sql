-- insert_escrow --
-- Opens a deal under the first of the codes $1 that no other deal has; returns no row when this cause
-- opened one before.
INSERT INTO escrow_transactions (id, cause, seller_id, seller_telegram_id, buyer_telegram_id,
    opened_by, description, currency, price_minor, fee_minor, due_minor, fee_payer, terms, status,
    last_event, last_actor, last_data, pay_by, created_at, updated_at)
VALUES ((SELECT code FROM unnest($1::text[]) WITH ORDINALITY AS free (code, n)
          WHERE NOT EXISTS (SELECT FROM escrow_transactions t WHERE t.id = code)
          ORDER BY n LIMIT 1),
        $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 'PENDING', 'open', $14, $15, $16,
        $17, $17)
ON CONFLICT (cause) DO NOTHING
RETURNING id

-- id_by_cause --
SELECT id FROM escrow_transactions WHERE cause = $1

-- lock --
-- Locks one deal; every unit that moves a deal or its money starts here.
SELECT id FROM escrow_transactions WHERE id = $1 FOR UPDATE

-- read --
-- One deal with its seller and its undecided money. Read it after `lock`, in a statement of its
-- own: what is joined in a locking statement may be older than the lock.
SELECT e.*, s.shop_name, s.status AS seller_status, coalesce(r.balance_minor, 0) AS received_minor
  FROM escrow_transactions e
  JOIN escrow_sellers s ON s.id = e.seller_id
  LEFT JOIN ledger_accounts r ON r.kind = 'received' AND r.owner = e.id AND r.currency = e.currency
 WHERE e.id = $1

-- read_many --
-- As `read`, for many.
SELECT e.*, s.shop_name, s.status AS seller_status, coalesce(r.balance_minor, 0) AS received_minor
  FROM escrow_transactions e
  JOIN escrow_sellers s ON s.id = e.seller_id
  LEFT JOIN ledger_accounts r ON r.kind = 'received' AND r.owner = e.id AND r.currency = e.currency
 WHERE e.id = ANY ($1)

-- deals_of --
-- A person's deals that are not archived: those under way first, then the newest of the others.
SELECT e.*, s.shop_name, s.status AS seller_status, coalesce(r.balance_minor, 0) AS received_minor
  FROM escrow_transactions e
  JOIN escrow_sellers s ON s.id = e.seller_id
  LEFT JOIN ledger_accounts r ON r.kind = 'received' AND r.owner = e.id AND r.currency = e.currency
 WHERE e.id IN ((SELECT b.id FROM escrow_transactions b
                  WHERE b.buyer_telegram_id = $1 AND b.archived_at IS NULL
                  ORDER BY b.created_at DESC LIMIT $2)
                UNION
                (SELECT b.id FROM escrow_transactions b
                  WHERE b.buyer_telegram_id = $1 AND b.archived_at IS NULL
                    AND b.status NOT IN ('COMPLETED', 'REFUNDED', 'CANCELLED')
                  ORDER BY b.created_at DESC LIMIT $2)
                UNION
                (SELECT o.id FROM escrow_transactions o
                  WHERE o.seller_id = (SELECT id FROM escrow_sellers WHERE telegram_id = $1)
                    AND o.archived_at IS NULL
                  ORDER BY o.created_at DESC LIMIT $2)
                UNION
                (SELECT o.id FROM escrow_transactions o
                  WHERE o.seller_id = (SELECT id FROM escrow_sellers WHERE telegram_id = $1)
                    AND o.archived_at IS NULL
                    AND o.status NOT IN ('COMPLETED', 'REFUNDED', 'CANCELLED')
                  ORDER BY o.created_at DESC LIMIT $2))
 ORDER BY e.status IN ('COMPLETED', 'REFUNDED', 'CANCELLED'), e.created_at DESC
 LIMIT $2

-- open_codes --
-- Which of these codes are deals that wait for money.
SELECT id FROM escrow_transactions WHERE id = ANY ($1) AND status = 'PENDING'

-- move --
-- Moves deals: a list of {id, source, target, event, actor, data, at, stamp, buyer, held_price,
-- held_fee, ship_by, release_at}. A deal that is no longer in `source` is left out of the answer.
UPDATE escrow_transactions e
   SET status = m.target, last_event = m.event, last_actor = m.actor, last_data = m.data,
       updated_at = m.at,
       buyer_telegram_id = coalesce(m.buyer, e.buyer_telegram_id),
       held_price_minor = coalesce(m.held_price, e.held_price_minor),
       held_fee_minor = coalesce(m.held_fee, e.held_fee_minor),
       ship_by = coalesce(m.ship_by, e.ship_by),
       release_at = coalesce(m.release_at, e.release_at),
       tracking = coalesce(m.tracking, e.tracking),
       joined_at = CASE m.stamp WHEN 'joined_at' THEN m.at ELSE e.joined_at END,
       funded_at = CASE m.stamp WHEN 'funded_at' THEN m.at ELSE e.funded_at END,
       shipped_at = CASE m.stamp WHEN 'shipped_at' THEN m.at ELSE e.shipped_at END,
       delivered_at = CASE m.stamp WHEN 'delivered_at' THEN m.at ELSE e.delivered_at END,
       disputed_at = CASE m.stamp WHEN 'disputed_at' THEN m.at ELSE e.disputed_at END,
       frozen_at = CASE m.stamp WHEN 'frozen_at' THEN m.at ELSE e.frozen_at END,
       extended_at = CASE m.stamp WHEN 'extended_at' THEN m.at ELSE e.extended_at END,
       completed_at = CASE m.stamp WHEN 'completed_at' THEN m.at ELSE e.completed_at END,
       refunded_at = CASE m.stamp WHEN 'refunded_at' THEN m.at ELSE e.refunded_at END,
       cancelled_at = CASE m.stamp WHEN 'cancelled_at' THEN m.at ELSE e.cancelled_at END,
       frozen_from = CASE m.event WHEN 'freeze' THEN m.source ELSE e.frozen_from END
  FROM jsonb_to_recordset($1) AS m (id text, source text, target text, event text, actor text,
       data jsonb, at timestamptz, stamp text, buyer bigint, held_price bigint, held_fee bigint,
       ship_by timestamptz, release_at timestamptz, tracking text)
 WHERE e.id = m.id AND e.status = m.source
RETURNING e.id, e.version

-- note_events --
-- Timeline rows for events that move no status: a list of {id, event, actor, at, data}.
INSERT INTO escrow_timeline (escrow_id, event, from_status, to_status, actor, at, data)
SELECT n.id, n.event, e.status, e.status, n.actor, n.at, n.data
  FROM jsonb_to_recordset($1) AS n (id text, event text, actor text, at timestamptz, data jsonb)
  JOIN escrow_transactions e ON e.id = n.id

-- insert_settlements --
-- The one settlement of each deal: a list of {id, event, seller, buyer, fee, at}.
INSERT INTO settlements (escrow_id, event, seller_minor, buyer_minor, fee_minor, settled_at)
SELECT s.id, s.event, s.seller, s.buyer, s.fee, s.at
  FROM jsonb_to_recordset($1) AS s (id text, event text, seller bigint, buyer bigint, fee bigint,
       at timestamptz)

-- due_to_cancel --
-- Deals whose time to pay is over and that wait for nothing: no open prompt, no undecided money, no
-- coins on their way that were seen in time, for $4 at most. $3: only these, NULL for all. One that
-- could not be ended waits for its next try. Here and below: what falls due in an outage waits until
-- it is moved.
SELECT e.id
  FROM escrow_transactions e
 WHERE e.status = 'PENDING'
   AND e.pay_by <= least($1, (SELECT o.began_at FROM outages o WHERE o.done_at IS NULL))
   AND ($3::text[] IS NULL OR e.id = ANY ($3))
   AND NOT EXISTS (SELECT FROM deal_setbacks s
                    WHERE s.job = 'cancel' AND s.escrow_id = e.id AND s.next_try_at > $1)
   AND NOT EXISTS (SELECT FROM payment_attempts a
                    WHERE a.escrow_id = e.id AND a.state IN ('CREATED', 'PROMPTED'))
   AND NOT EXISTS (SELECT FROM receipts r WHERE r.escrow_id = e.id AND r.state = 'WAITING')
   AND NOT EXISTS (SELECT FROM underpayment_choices c
                    WHERE c.escrow_id = e.id AND c.used_at IS NULL AND c.voided_at IS NULL)
   AND NOT EXISTS (SELECT FROM crypto_attempts q JOIN crypto_deposits d ON d.attempt_id = q.id
                    WHERE q.escrow_id = e.id AND d.confirmed_at IS NULL AND d.seen_at <= e.pay_by
                      AND d.seen_at > $1::timestamptz - $4::interval)
 ORDER BY e.pay_by
 LIMIT $2
   FOR UPDATE OF e SKIP LOCKED

-- due_to_release --
-- Deals whose buyer's time is over, the longest over first, locked; one that somebody else works on
-- is left out, one that could not be ended waits for its next try. $3: only these, NULL for all.
SELECT e.id FROM escrow_transactions e
 WHERE e.status IN ('SHIPPED', 'DELIVERED')
   AND e.release_at <= least($1, (SELECT o.began_at FROM outages o WHERE o.done_at IS NULL))
   AND ($3::text[] IS NULL OR e.id = ANY ($3))
   AND NOT EXISTS (SELECT FROM deal_setbacks s
                    WHERE s.job = 'release' AND s.escrow_id = e.id AND s.next_try_at > $1)
 ORDER BY e.release_at
 LIMIT $2
   FOR UPDATE OF e SKIP LOCKED

-- due_to_refund --
-- Deals that were not sent in time, as above.
SELECT e.id FROM escrow_transactions e
 WHERE e.status = 'HELD'
   AND e.ship_by <= least($1, (SELECT o.began_at FROM outages o WHERE o.done_at IS NULL))
   AND ($3::text[] IS NULL OR e.id = ANY ($3))
   AND NOT EXISTS (SELECT FROM deal_setbacks s
                    WHERE s.job = 'refund' AND s.escrow_id = e.id AND s.next_try_at > $1)
 ORDER BY e.ship_by
 LIMIT $2
   FOR UPDATE OF e SKIP LOCKED

-- start_paying --
-- A verified seller's waiting deals become payable now; not what buyers propose, until he accepts.
UPDATE escrow_transactions SET pay_by = $2::timestamptz + make_interval(secs => (terms ->> 'pay_seconds')::int)
 WHERE seller_id = $1 AND status = 'PENDING' AND pay_by IS NULL
   AND (opened_by = seller_telegram_id OR joined_at IS NOT NULL)
RETURNING id

-- start_paying_deal --
-- The seller has accepted: the deal can be paid from now on.
UPDATE escrow_transactions SET pay_by = $2::timestamptz + make_interval(secs => (terms ->> 'pay_seconds')::int)
 WHERE id = $1 AND status = 'PENDING' AND pay_by IS NULL

-- open_proposals_of_buyer --
-- How many deals of a buyer wait for their seller's word.
SELECT count(*) FROM escrow_transactions
 WHERE buyer_telegram_id = $1 AND archived_at IS NULL AND status = 'PENDING'
   AND opened_by = buyer_telegram_id AND joined_at IS NULL

-- open_deals_of_seller --
-- How many deals of a seller are under way; what buyers propose counts once he accepted.
SELECT count(*) FROM escrow_transactions
 WHERE seller_id = $1 AND archived_at IS NULL
   AND status IN ('PENDING', 'HELD', 'SHIPPED', 'DELIVERED', 'DISPUTED', 'FROZEN')
   AND (opened_by = seller_telegram_id OR joined_at IS NOT NULL)

-- timeline --
SELECT event, from_status, to_status, actor, at, data FROM escrow_timeline
 WHERE escrow_id = $1 ORDER BY id

-- caused --
-- Whether that event of a deal came of this cause.
SELECT EXISTS (SELECT FROM escrow_timeline
                WHERE escrow_id = $1 AND event = $2 AND data ->> 'cause' = $3)

-- settled --
-- How these deals were divided at their end.
SELECT escrow_id, seller_minor, buyer_minor, fee_minor FROM settlements
 WHERE escrow_id = ANY ($1::text[])
