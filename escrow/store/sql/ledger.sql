-- post --
-- Writes journals through the one posting function; returns balances after.
SELECT kind, owner, currency, balance_minor FROM ledger_post($1)

-- balance --
SELECT balance_minor FROM ledger_accounts WHERE kind = $1 AND owner = $2 AND currency = $3

-- held --
-- What is held for a deal: for the seller, and the pending fee.
SELECT coalesce(sum(balance_minor) FILTER (WHERE kind = 'holding'), 0)::bigint AS holding,
       coalesce(sum(balance_minor) FILTER (WHERE kind = 'pending_fee'), 0)::bigint AS pending_fee
  FROM ledger_accounts
 WHERE kind IN ('holding', 'pending_fee') AND owner = $1 AND currency = $2

-- lock_wallet --
-- Locks a wallet before a part of it is promised; nothing when it never had money.
SELECT ledger_lock_wallet($1, $2)

-- wallet --
-- A person's wallets, and what is held for or by him in open deals.
SELECT a.currency, a.balance_minor AS available_minor FROM ledger_accounts a
 WHERE a.kind = 'wallet' AND a.owner = $1 AND a.balance_minor > 0 ORDER BY a.currency

-- wallet_entries --
-- The last movements of a wallet, newest first.
SELECT j.kind, j.escrow_id, j.happened_at, e.amount_minor, e.balance_after, a.currency
  FROM ledger_accounts a
  JOIN ledger_entries e ON e.account_id = a.id
  JOIN ledger_journals j ON j.id = e.journal_id
 WHERE a.kind = 'wallet' AND a.owner = $1
 ORDER BY e.id DESC LIMIT $2

-- held_in_deals --
-- What is held in a person's open deals, by role.
SELECT e.currency,
       coalesce(sum(e.held_price_minor + e.held_fee_minor)
                FILTER (WHERE e.buyer_telegram_id = $1), 0)::bigint AS paid_minor,
       coalesce(sum(e.held_price_minor) FILTER (WHERE e.seller_telegram_id = $1), 0)::bigint
           AS coming_minor
  FROM escrow_transactions e
 WHERE (e.buyer_telegram_id = $1 OR e.seller_telegram_id = $1)
   AND e.archived_at IS NULL
   AND e.status IN ('HELD', 'SHIPPED', 'DELIVERED', 'DISPUTED', 'FROZEN')
 GROUP BY e.currency

-- trial_balance --
SELECT currency, total_minor FROM ledger_trial_balance

-- broken_balances --
-- Accounts whose balance is not the sum of their entries.
SELECT a.id, a.kind, a.owner FROM ledger_accounts a
 WHERE a.kind NOT IN ('external', 'fees', 'costs', 'owner')
   AND a.balance_minor <> (SELECT coalesce(sum(e.amount_minor), 0) FROM ledger_entries e
                            WHERE e.account_id = a.id)
 LIMIT 20

-- broken_deals --
-- Deals whose accounts are not what their status says.
SELECT b.escrow_id FROM escrow_balances b JOIN escrow_transactions e ON e.id = b.escrow_id
 WHERE (b.status IN ('HELD', 'SHIPPED', 'DELIVERED', 'DISPUTED', 'FROZEN')
        AND (b.holding_minor <> e.held_price_minor OR b.pending_fee_minor <> e.held_fee_minor
             OR b.received_minor <> 0))
    OR (b.status NOT IN ('HELD', 'SHIPPED', 'DELIVERED', 'DISPUTED', 'FROZEN')
        AND (b.holding_minor <> 0 OR b.pending_fee_minor <> 0))
    OR (b.status <> 'PENDING' AND b.received_minor <> 0)
 LIMIT 20

-- suspense_difference --
-- Suspense must be exactly the receipts that wait there.
SELECT c.currency,
       coalesce((SELECT balance_minor FROM ledger_accounts a
                  WHERE a.kind = 'suspense' AND a.currency = c.currency), 0)
     - coalesce((SELECT sum(amount_minor) FROM receipts r
                  WHERE r.state = 'SUSPENSE' AND r.currency = c.currency), 0)::bigint AS off_minor
  FROM (VALUES ('KES'), ('USD')) AS c (currency)

-- held_totals --
-- What is held for customers now.
SELECT currency, kind, sum(balance_minor)::bigint AS total_minor FROM ledger_accounts
 WHERE kind IN ('received', 'holding', 'pending_fee', 'wallet', 'payable', 'suspense')
 GROUP BY currency, kind ORDER BY currency, kind
