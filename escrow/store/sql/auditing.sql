-- snapshot --
-- For the rest of a transaction: everything as it is now, however long it takes.
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY

-- last --
SELECT coalesce((SELECT max(id) FROM ledger_accounts), 0) AS account,
       coalesce((SELECT max(id) FROM ledger_entries), 0) AS entry

-- kept --
-- The balances that accounts of these ids keep, by kind and currency.
SELECT kind, currency, sum(balance_minor)::bigint AS minor FROM ledger_accounts
 WHERE id > $1 AND id <= $2 AND balance_minor <> 0
 GROUP BY kind, currency

-- derived --
SELECT account_id, kind, owner, currency, balance_minor AS minor FROM ledger_derived_balances
 ORDER BY kind, owner, currency

-- payout_page --
SELECT id FROM payouts WHERE id > $1 ORDER BY id LIMIT $2

-- broken_payouts --
-- Which of these payouts have another amount on their account than is on its way.
SELECT p.id, p.currency, x.held - x.due AS off_minor
  FROM payouts p,
       LATERAL (SELECT coalesce((SELECT a.balance_minor FROM ledger_accounts a
                                  WHERE a.kind = 'payable' AND a.owner = p.id::text
                                    AND a.currency = p.currency), 0) AS held,
                       CASE WHEN p.state IN ('PAID', 'FAILED') THEN 0 ELSE p.amount_minor END
                           AS due) AS x
 WHERE p.id = ANY ($1::bigint[]) AND x.held <> x.due
 ORDER BY p.id
