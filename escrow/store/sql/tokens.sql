-- usable --
-- The token that still holds after $2; no row when one has to be fetched.
SELECT token FROM provider_tokens WHERE provider = $1 AND token IS NOT NULL AND expires_at > $2

-- take_lease --
-- Takes the right to fetch until $4; no row while somebody else has it or a token holds after $3.
-- A lease further away than any is given (a clock stood wrong) counts as over.
INSERT INTO provider_tokens AS t (provider, lease_until) VALUES ($1, $4)
ON CONFLICT (provider) DO UPDATE SET lease_until = excluded.lease_until
 WHERE (t.lease_until IS NULL OR t.lease_until <= $2 OR t.lease_until > excluded.lease_until)
   AND (t.token IS NULL OR t.expires_at IS NULL OR t.expires_at <= $3)
RETURNING t.lease_until

-- keep --
-- Stores a fetched token and ends the lease $2; no row when that lease is somebody else's by now.
UPDATE provider_tokens SET token = $3, expires_at = $4, lease_until = NULL
 WHERE provider = $1 AND lease_until = $2
RETURNING true

-- release --
-- Ends the lease $2 without a token; nothing when it is somebody else's by now.
UPDATE provider_tokens SET lease_until = NULL WHERE provider = $1 AND lease_until = $2

-- forget --
-- Drops a token that the provider refused; nothing when another one took its place.
UPDATE provider_tokens SET token = NULL, expires_at = NULL WHERE provider = $1 AND token = $2
