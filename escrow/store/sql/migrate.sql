-- lock --
-- One start at a time changes the schema; the others wait here.
SELECT pg_advisory_lock($1)

-- unlock --
SELECT pg_advisory_unlock($1)

-- create_table --
CREATE TABLE IF NOT EXISTS schema_migrations (
    number     integer PRIMARY KEY,
    name       text NOT NULL,
    digest     text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
)

-- table_exists --
SELECT to_regclass('schema_migrations') IS NOT NULL

-- applied --
SELECT number, name, digest FROM schema_migrations ORDER BY number

-- record --
INSERT INTO schema_migrations (number, name, digest) VALUES ($1, $2, $3)
