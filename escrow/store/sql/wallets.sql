-- entries --
-- The movements of a person's wallets, newest first, from the $3rd on.
SELECT j.kind, j.escrow_id, j.happened_at, e.amount_minor, a.currency
  FROM ledger_accounts a
  JOIN ledger_entries e ON e.account_id = a.id
  JOIN ledger_journals j ON j.id = e.journal_id
 WHERE a.kind = 'wallet' AND a.owner = $1
 ORDER BY e.id DESC LIMIT $2 OFFSET $3

-- on_the_way --
-- What is on its way to a person, oldest first.
SELECT currency, amount_minor, destination FROM payouts
 WHERE telegram_id = $1 AND state NOT IN ('PAID', 'FAILED')
 ORDER BY id

-- sends_by_itself --
-- Whether settled money goes to the phone by itself.
SELECT auto_payout FROM people WHERE telegram_id = $1

-- set_auto_payout --
UPDATE people SET auto_payout = $2 WHERE telegram_id = $1
