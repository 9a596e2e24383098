-- insert --
-- Keeps a record, once per cause. No row: this cause kept one before.
INSERT INTO deal_records (cause, escrow_id, purpose, dispute_id, telegram_id, kind, words, file_id,
                          file_unique_id, file_size, at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
ON CONFLICT (cause) DO NOTHING
RETURNING id

-- by_cause --
SELECT r.*, f.sha256, coalesce(f.note, '') AS note
  FROM deal_records r LEFT JOIN fingerprints f ON f.record_id = r.id
 WHERE r.cause = $1

-- of_deal --
SELECT r.*, f.sha256, coalesce(f.note, '') AS note
  FROM deal_records r LEFT JOIN fingerprints f ON f.record_id = r.id
 WHERE r.escrow_id = $1 AND r.purpose = ANY ($2)
 ORDER BY r.id

-- without_fingerprint --
-- Media whose bytes were not fetched yet, newest first: an old one that can't be had now does not
-- stand in the way of a new one.
SELECT r.*, NULL::bytea AS sha256, '' AS note
  FROM deal_records r
 WHERE r.file_id IS NOT NULL AND r.purpose = ANY ($1) AND r.id <> ALL ($2::bigint[])
   AND NOT EXISTS (SELECT FROM fingerprints f WHERE f.record_id = r.id)
 ORDER BY r.id DESC
 LIMIT $3

-- add_fingerprint --
INSERT INTO fingerprints (record_id, sha256, note, at) VALUES ($1, $2, $3, $4)
ON CONFLICT (record_id) DO NOTHING

-- sent_since --
-- How many messages somebody sent about a deal since then.
SELECT count(*) FROM deal_records
 WHERE escrow_id = $1 AND telegram_id = $2 AND purpose = $3 AND at > $4
