-- Where the world comes in and goes out: raw callbacks, Telegram updates, notices, conversations,
-- and what the jobs did.

-- What this database is for; the other kind of program refuses it.
CREATE TABLE instance (
    only_row    boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    environment text NOT NULL CHECK (environment IN ('live', 'sandbox'))
);
CREATE TRIGGER instance_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON instance
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Secrets in callback paths: made once, outliving a change of ESCROW_SECRET_KEY.
CREATE TABLE path_secrets (
    route  text PRIMARY KEY,
    secret text NOT NULL CHECK (secret ~ '^[0-9a-f]{32,}$')
);

-- Every request a provider sent with the right secret, stored before it is answered.
CREATE TABLE inbox (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- SHA-256 over route, method, raw query and body: the same request is stored once
    digest       bytea NOT NULL UNIQUE CHECK (octet_length(digest) = 32),
    route        text NOT NULL,
    token        text NOT NULL DEFAULT '',
    method       text NOT NULL,
    query        text NOT NULL DEFAULT '',
    body         bytea NOT NULL CHECK (octet_length(body) <= 65536),
    sender       text NOT NULL DEFAULT '',
    state        text NOT NULL DEFAULT 'NEW' CHECK (state IN ('NEW', 'DONE', 'PARKED')),
    tries        integer NOT NULL DEFAULT 0,
    next_try_at  timestamptz,
    note         text NOT NULL DEFAULT '',
    received_at  timestamptz NOT NULL,
    processed_at timestamptz,
    CONSTRAINT inbox_processed_in_time CHECK ((state = 'NEW') = (processed_at IS NULL))
);
CREATE INDEX inbox_due ON inbox (next_try_at, id) WHERE state = 'NEW';
CREATE INDEX inbox_parked ON inbox (id) WHERE state = 'PARKED';

-- Telegram updates, stored before they are confirmed to Telegram.
CREATE TABLE telegram_updates (
    update_id   bigint PRIMARY KEY,
    chat_id     bigint NOT NULL,
    body        jsonb NOT NULL,
    state       text NOT NULL DEFAULT 'NEW' CHECK (state IN ('NEW', 'DONE', 'PARKED')),
    tries       integer NOT NULL DEFAULT 0,
    note        text NOT NULL DEFAULT '',
    received_at timestamptz NOT NULL,
    done_at     timestamptz
);
CREATE INDEX telegram_updates_due ON telegram_updates (update_id) WHERE state = 'NEW';

-- Where a guided dialogue stands, so that a restart or a day's pause loses nothing.
CREATE TABLE conversations (
    telegram_id bigint PRIMARY KEY,
    step        text NOT NULL,
    data        jsonb NOT NULL DEFAULT '{}',
    updated_at  timestamptz NOT NULL
);

-- Notices, written in the transaction that caused them, sent afterwards.
CREATE TABLE outbox (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    cause       text NOT NULL CHECK (cause <> ''),
    kind        text NOT NULL CHECK (kind ~ '^[a-z_]+$'),
    chat_id     bigint NOT NULL,
    escrow_id   text,
    params      jsonb NOT NULL DEFAULT '{}',
    state       text NOT NULL DEFAULT 'QUEUED'
                CHECK (state IN ('QUEUED', 'SENT', 'UNDELIVERABLE', 'DEAD')),
    tries       integer NOT NULL DEFAULT 0,
    next_try_at timestamptz NOT NULL,
    created_at  timestamptz NOT NULL,
    closed_at   timestamptz,
    message_id  bigint,
    error       text,
    CONSTRAINT notice_once UNIQUE (cause, kind, chat_id),
    CONSTRAINT notice_closed_in_time CHECK ((state = 'QUEUED') = (closed_at IS NULL))
);
CREATE INDEX outbox_due ON outbox (next_try_at, id) WHERE state = 'QUEUED';
CREATE INDEX outbox_chat ON outbox (chat_id, id) WHERE state = 'QUEUED';

-- What each job did.
CREATE TABLE job_runs (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job         text NOT NULL,
    started_at  timestamptz NOT NULL,
    finished_at timestamptz,
    looked_at   integer NOT NULL DEFAULT 0,
    done        integer NOT NULL DEFAULT 0,
    skipped     integer NOT NULL DEFAULT 0,
    failed      integer NOT NULL DEFAULT 0,
    error       text
);
CREATE INDEX job_runs_job ON job_runs (job, id DESC);
