-- Dollars leave as coins that an admin sends by hand: to which coin and address stands frozen with
-- the payout, it is never sent by the program, and it ends with a transaction's hash on an admin's
-- word who is not its payee. Its money leaves by an account of its own, beside those at M-Pesa.

ALTER TABLE payouts
    ADD CONSTRAINT payout_in_coins_names_coin_and_address CHECK (
        receipt_id IS NOT NULL
        OR (currency = 'USD')
           = (destination ~ '^[A-Z0-9]{2,10}(-[A-Z0-9]{2,10})?:[0-9A-Za-z]{20,120}$')),
    -- no request to M-Pesa, no question to it
    ADD CONSTRAINT payout_in_coins_is_by_hand CHECK (
        receipt_id IS NOT NULL OR currency <> 'USD'
        OR (state IN ('MANUAL', 'PAID', 'FAILED') AND named_reference IS NULL)),
    ADD CONSTRAINT payout_in_coins_ends_on_a_word CHECK (
        receipt_id IS NOT NULL OR currency <> 'USD' OR state NOT IN ('PAID', 'FAILED')
        OR (closed_by IS NOT NULL AND closed_by <> telegram_id)),
    -- a hash is of coins, and a payment of M-Pesa has none
    ADD CONSTRAINT payout_names_what_its_rail_gives CHECK (
        receipt_id IS NOT NULL OR provider_reference IS NULL
        OR CASE currency WHEN 'USD' THEN provider_reference ~ '^[0-9a-f]{64}$'
                         ELSE provider_reference !~* '^(0x)?[0-9a-f]{64}$' END);

-- was it one that came in; is that an address of ours
CREATE INDEX crypto_deposits_txid ON crypto_deposits (lower(txid));
CREATE INDEX crypto_attempts_address ON crypto_attempts (lower(address)) WHERE address <> '';

-- What was paid in coins did not leave M-Pesa's account, and the other way round.
CREATE FUNCTION payout_leaves_by_its_rail() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM ledger_journals j
       JOIN ledger_entries e ON e.journal_id = j.id
       JOIN ledger_accounts a ON a.id = e.account_id
      WHERE j.idempotency_key = 'payout_paid:' || NEW.id AND a.kind = 'external'
        AND a.currency = NEW.currency AND e.amount_minor = NEW.amount_minor
        AND (a.owner = 'coins') = (NEW.currency = 'USD');
    IF NOT FOUND THEN
        RAISE EXCEPTION 'payout % is paid and its money left by another way', NEW.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'payout_leaves_by_its_rail';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER payout_leaves_by_its_rail AFTER UPDATE OF state ON payouts
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (NEW.state = 'PAID' AND NEW.receipt_id IS NULL)
    EXECUTE FUNCTION payout_leaves_by_its_rail();

DO $$
DECLARE
    ours regprocedure;
BEGIN
    FOR ours IN
        SELECT p.oid FROM pg_proc p
         WHERE p.pronamespace = current_schema()::regnamespace
           AND p.proowner = current_user::regrole
           AND p.proname IN ('payout_leaves_by_its_rail')
    LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', ours, current_schema());
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', ours);
    END LOOP;
END $$;
