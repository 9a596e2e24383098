-- What a seller's page counts, whether archived or not.
CREATE INDEX escrow_transactions_refunded ON escrow_transactions (seller_id)
    WHERE status = 'REFUNDED';
