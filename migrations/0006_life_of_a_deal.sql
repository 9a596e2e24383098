-- What the two people of a deal do once it is there: offers that need both of them, disputes with
-- evidence, messages through the bot, help, ratings. What only both may do needs an accepted offer
-- here; what was said stays.

-- Settled money goes to the phone by itself unless he turned that off.
ALTER TABLE people ADD COLUMN auto_payout boolean NOT NULL DEFAULT true;
-- When the payout number was changed; NULL: it is the one he registered with.
ALTER TABLE escrow_sellers ADD COLUMN payout_phone_since timestamptz;

-- An offer to settle or to extend. It is void as soon as the deal has another version.
CREATE TABLE offers (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- what made it, e.g. update:17: a repeated update offers nothing twice
    cause         text NOT NULL UNIQUE CHECK (cause <> ''),
    escrow_id     text NOT NULL REFERENCES escrow_transactions,
    kind          text NOT NULL CHECK (kind IN ('settle', 'extend')),
    version       integer NOT NULL CHECK (version > 0),
    offered_by    bigint NOT NULL REFERENCES people,
    -- settle: who would get what of everything held; the share where it was offered as one
    buyer_percent smallint CHECK (buyer_percent BETWEEN 0 AND 100),
    seller_minor  bigint CHECK (seller_minor >= 0),
    buyer_minor   bigint CHECK (buyer_minor >= 0),
    fee_minor     bigint CHECK (fee_minor >= 0),
    -- extend: by how much
    hours         smallint CHECK (hours BETWEEN 1 AND 72),
    created_at    timestamptz NOT NULL,
    closed_at     timestamptz,
    closed_as     text CHECK (closed_as IN ('accepted', 'declined', 'withdrawn', 'replaced')),
    closed_by     bigint,
    CONSTRAINT offer_of_its_kind
        CHECK ((kind = 'settle') = (num_nulls(seller_minor, buyer_minor, fee_minor) = 0)
               AND (kind = 'extend') = (num_nulls(seller_minor, buyer_minor, fee_minor) = 3)
               AND (kind = 'extend') = (hours IS NOT NULL)
               AND (kind = 'settle' OR buyer_percent IS NULL)),
    CONSTRAINT offer_closed_completely
        CHECK (num_nulls(closed_at, closed_as, closed_by) IN (0, 3))
);
CREATE UNIQUE INDEX offer_one_open ON offers (escrow_id) WHERE closed_at IS NULL;
CREATE INDEX offers_deal ON offers (escrow_id, id);

-- Made by a party for the deal as it stands, of all that is held; closed once, accepted by the
-- other party while the deal is still the same.
CREATE FUNCTION offer_guard() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    e escrow_transactions;
BEGIN
    SELECT * INTO e FROM escrow_transactions WHERE id = NEW.escrow_id;
    IF TG_OP = 'INSERT' THEN
        IF NEW.closed_at IS NOT NULL
           OR NEW.version <> e.version
           OR (NEW.offered_by IN (e.seller_telegram_id, e.buyer_telegram_id)) IS NOT TRUE
           OR (NEW.kind = 'settle' AND NEW.seller_minor + NEW.buyer_minor + NEW.fee_minor
                                       IS DISTINCT FROM e.held_price_minor + e.held_fee_minor)
        THEN
            RAISE EXCEPTION 'nobody offers that on deal %', NEW.escrow_id
                USING ERRCODE = 'check_violation', CONSTRAINT = 'offer_of_a_party';
        END IF;
        RETURN NEW;
    END IF;
    IF (NEW.id, NEW.cause, NEW.escrow_id, NEW.kind, NEW.version, NEW.offered_by, NEW.buyer_percent,
        NEW.seller_minor, NEW.buyer_minor, NEW.fee_minor, NEW.hours, NEW.created_at)
       IS DISTINCT FROM
       (OLD.id, OLD.cause, OLD.escrow_id, OLD.kind, OLD.version, OLD.offered_by, OLD.buyer_percent,
        OLD.seller_minor, OLD.buyer_minor, OLD.fee_minor, OLD.hours, OLD.created_at)
       OR (OLD.closed_at IS NOT NULL AND (NEW.closed_at, NEW.closed_as, NEW.closed_by)
                                         IS DISTINCT FROM
                                         (OLD.closed_at, OLD.closed_as, OLD.closed_by))
       OR (OLD.closed_at IS NULL AND NEW.closed_as = 'accepted'
           AND (NEW.version <> e.version
                OR NEW.closed_by = OLD.offered_by
                OR (NEW.closed_by IN (e.seller_telegram_id, e.buyer_telegram_id)) IS NOT TRUE))
    THEN
        RAISE EXCEPTION 'offer % does not change that way', OLD.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'offer_frozen';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER offer_guard BEFORE INSERT OR UPDATE ON offers
    FOR EACH ROW EXECUTE FUNCTION offer_guard();
CREATE TRIGGER offers_kept BEFORE DELETE OR TRUNCATE ON offers
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- As in 0001, and: both are needed for what both decide, some things happen once, and only whoever
-- raised a dispute withdraws it.
CREATE OR REPLACE FUNCTION escrow_event() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT AS $$
BEGIN
    IF NEW.version <> OLD.version THEN
        RAISE EXCEPTION 'version is raised by the database alone'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'flow_version';
    END IF;
    PERFORM flow_check(NEW, OLD.status);
    IF NEW.last_event = 'join' AND OLD.buyer_telegram_id IS NULL
       AND NEW.last_actor IS DISTINCT FROM 'buyer:' || NEW.buyer_telegram_id
    THEN
        RAISE EXCEPTION 'nobody joins deal % but the one who becomes its buyer', NEW.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'flow_wrong_person';
    END IF;
    IF (NEW.last_event = 'join' AND OLD.joined_at IS NOT NULL)
       OR (NEW.last_event = 'extend' AND OLD.extended_at IS NOT NULL)
    THEN
        RAISE EXCEPTION 'deal % had its %', NEW.id, NEW.last_event
            USING ERRCODE = 'check_violation', CONSTRAINT = 'flow_once';
    END IF;
    IF NEW.last_event IN ('settle', 'extend') AND NOT EXISTS (
        SELECT FROM offers o
         WHERE o.escrow_id = NEW.id AND o.kind = NEW.last_event AND o.version = OLD.version
           AND o.closed_as = 'accepted') THEN
        RAISE EXCEPTION 'deal % has no accepted offer to %', NEW.id, NEW.last_event
            USING ERRCODE = 'check_violation', CONSTRAINT = 'flow_needs_both';
    END IF;
    IF NEW.last_event = 'unfreeze' AND NEW.status IS DISTINCT FROM OLD.frozen_from THEN
        RAISE EXCEPTION 'deal % was frozen from %', NEW.id, OLD.frozen_from
            USING ERRCODE = 'check_violation', CONSTRAINT = 'flow_edge_missing';
    END IF;
    IF NEW.last_event = 'freeze' AND NEW.frozen_from IS DISTINCT FROM OLD.status THEN
        RAISE EXCEPTION 'frozen_from must be %', OLD.status
            USING ERRCODE = 'check_violation', CONSTRAINT = 'flow_edge_missing';
    END IF;
    IF NEW.last_event = 'withdraw_dispute' AND NOT EXISTS (
        SELECT FROM escrow_disputes d
         WHERE d.escrow_id = NEW.id AND d.disputed_from = NEW.status
           AND d.id = (SELECT max(l.id) FROM escrow_disputes l WHERE l.escrow_id = NEW.id)
           AND d.disputed_from = (SELECT t.from_status FROM escrow_timeline t
                                   WHERE t.escrow_id = NEW.id AND t.event = 'dispute'
                                   ORDER BY t.id DESC LIMIT 1)) THEN
        RAISE EXCEPTION 'deal % was not disputed from %', NEW.id, NEW.status
            USING ERRCODE = 'check_violation', CONSTRAINT = 'flow_edge_missing';
    END IF;
    IF NEW.last_event = 'withdraw_dispute' AND NOT EXISTS (
        SELECT FROM escrow_disputes d
         WHERE d.escrow_id = NEW.id AND NEW.last_actor = d.raised_role || ':' || d.raised_by
           AND d.id = (SELECT max(l.id) FROM escrow_disputes l WHERE l.escrow_id = NEW.id)) THEN
        RAISE EXCEPTION '% did not raise the dispute of deal %', NEW.last_actor, NEW.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'flow_wrong_person';
    END IF;
    NEW.version := OLD.version + 1;
    INSERT INTO escrow_timeline (escrow_id, version, event, from_status, to_status, actor, at, data)
    VALUES (NEW.id, NEW.version, NEW.last_event, OLD.status, NEW.status, NEW.last_actor,
            NEW.updated_at, NEW.last_data);
    RETURN NEW;
END $$;

-- A dispute is withdrawn once per deal.
CREATE UNIQUE INDEX dispute_withdrawn_once ON escrow_disputes (escrow_id) WHERE status = 'WITHDRAWN';

-- At commit: a deal is disputed (or frozen out of a dispute) exactly while a dispute is open.
CREATE FUNCTION dispute_fits_deal() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    deal     text;
    disputed boolean;
    open     boolean;
BEGIN
    IF TG_TABLE_NAME = 'escrow_disputes' THEN
        deal := NEW.escrow_id;
    ELSE
        deal := NEW.id;
    END IF;
    SELECT e.status = 'DISPUTED' OR (e.status = 'FROZEN' AND e.frozen_from = 'DISPUTED')
      INTO disputed FROM escrow_transactions e WHERE e.id = deal;
    SELECT EXISTS (SELECT FROM escrow_disputes d
                    WHERE d.escrow_id = deal AND d.status IN ('OPEN', 'UNDER_REVIEW')) INTO open;
    IF disputed IS DISTINCT FROM open THEN
        RAISE EXCEPTION 'deal % and its dispute disagree', deal
            USING ERRCODE = 'check_violation', CONSTRAINT = 'dispute_fits_deal';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER dispute_fits_deal AFTER UPDATE OF status ON escrow_transactions
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (OLD.status = 'DISPUTED' OR NEW.status = 'DISPUTED' OR OLD.status = 'FROZEN')
    EXECUTE FUNCTION dispute_fits_deal();
CREATE CONSTRAINT TRIGGER dispute_fits_deal AFTER INSERT OR UPDATE OF status ON escrow_disputes
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    EXECUTE FUNCTION dispute_fits_deal();

-- As in 0002, and: what both settled on is what is paid.
CREATE OR REPLACE FUNCTION settlement_whole() RETURNS trigger LANGUAGE plpgsql
SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM 1 FROM escrow_transactions e
     WHERE e.id = NEW.escrow_id
       AND e.held_price_minor + e.held_fee_minor
           = NEW.seller_minor + NEW.buyer_minor + NEW.fee_minor;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the settlement of % is not what was held', NEW.escrow_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'settlement_whole';
    END IF;
    IF NEW.event = 'settle' AND NOT EXISTS (
        SELECT FROM offers o
         WHERE o.escrow_id = NEW.escrow_id AND o.kind = 'settle' AND o.closed_as = 'accepted'
           AND (o.seller_minor, o.buyer_minor, o.fee_minor)
               = (NEW.seller_minor, NEW.buyer_minor, NEW.fee_minor)) THEN
        RAISE EXCEPTION 'nobody accepted that division of %', NEW.escrow_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'settlement_as_accepted';
    END IF;
    RETURN NEW;
END $$;

-- What people sent with a deal: its photo, the proof of shipping, evidence, messages through the
-- bot. Telegram keeps the bytes; file_id finds them again.
CREATE TABLE deal_records (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    cause          text NOT NULL UNIQUE CHECK (cause <> ''),
    escrow_id      text NOT NULL REFERENCES escrow_transactions,
    purpose        text NOT NULL CHECK (purpose IN ('photo', 'shipping', 'evidence', 'message')),
    dispute_id     bigint REFERENCES escrow_disputes,
    telegram_id    bigint NOT NULL REFERENCES people,
    kind           text NOT NULL CHECK (kind IN
                   ('text', 'photo', 'document', 'voice', 'audio', 'video')),
    words          text NOT NULL DEFAULT '' CHECK (char_length(words) <= 4096),
    file_id        text CHECK (file_id <> ''),
    file_unique_id text,
    file_size      bigint CHECK (file_size >= 0),
    at             timestamptz NOT NULL,
    CONSTRAINT record_has_content
        CHECK ((kind = 'text') = (file_id IS NULL) AND (kind <> 'text' OR words <> '')),
    CONSTRAINT record_evidence_in_a_dispute
        CHECK ((purpose = 'evidence') = (dispute_id IS NOT NULL))
);
CREATE INDEX deal_records_deal ON deal_records (escrow_id, id);
CREATE TRIGGER deal_records_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON deal_records
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE FUNCTION record_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM escrow_transactions e
     WHERE e.id = NEW.escrow_id AND NEW.telegram_id IN (e.seller_telegram_id, e.buyer_telegram_id);
    IF NOT FOUND OR (NEW.dispute_id IS NOT NULL AND NOT EXISTS (
        SELECT FROM escrow_disputes d
         WHERE d.id = NEW.dispute_id AND d.escrow_id = NEW.escrow_id
           AND d.status IN ('OPEN', 'UNDER_REVIEW')))
    THEN
        RAISE EXCEPTION 'nobody keeps that with deal %', NEW.escrow_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'record_of_a_party';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER record_guard BEFORE INSERT ON deal_records
    FOR EACH ROW EXECUTE FUNCTION record_guard();

-- SHA-256 of a record's bytes, taken once they were fetched; or why there is none.
CREATE TABLE fingerprints (
    record_id bigint PRIMARY KEY REFERENCES deal_records,
    sha256    bytea CHECK (octet_length(sha256) = 32),
    note      text NOT NULL DEFAULT '' CHECK (note IN ('', 'too_large', 'gone')),
    at        timestamptz NOT NULL,
    CONSTRAINT fingerprint_or_why_not CHECK ((sha256 IS NULL) = (note <> ''))
);
CREATE TRIGGER fingerprints_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON fingerprints
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Somebody asks the admins; their answers go back to him.
CREATE TABLE help_requests (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    cause       text NOT NULL UNIQUE CHECK (cause <> ''),
    telegram_id bigint NOT NULL REFERENCES people,
    escrow_id   text REFERENCES escrow_transactions,
    words       text NOT NULL CHECK (char_length(words) BETWEEN 1 AND 1000),
    asked_at    timestamptz NOT NULL,
    answered_at timestamptz,
    answered_by bigint,
    CONSTRAINT help_answered_by_somebody CHECK ((answered_at IS NULL) = (answered_by IS NULL))
);
CREATE INDEX help_requests_open ON help_requests (asked_at) WHERE answered_at IS NULL;
CREATE INDEX help_requests_person ON help_requests (telegram_id, asked_at);
CREATE TRIGGER help_requests_kept BEFORE DELETE OR TRUNCATE ON help_requests
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- The message that somebody replies to.
CREATE INDEX outbox_message ON outbox (chat_id, message_id) WHERE message_id IS NOT NULL;

-- A rating is given by the buyer of a funded deal that is over; for 24 hours it may be replaced.
CREATE FUNCTION rating_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        PERFORM 1 FROM escrow_transactions e
         WHERE e.id = NEW.escrow_id AND e.status IN ('COMPLETED', 'REFUNDED')
           AND e.seller_id = NEW.seller_id AND e.buyer_telegram_id = NEW.buyer_telegram_id;
        IF NOT FOUND OR NEW.replaced_at IS NOT NULL OR NEW.created_at > (
            SELECT min(r.created_at) + interval '24 hours' FROM seller_ratings r
             WHERE r.escrow_id = NEW.escrow_id)
        THEN
            RAISE EXCEPTION 'nobody rates deal % like that', NEW.escrow_id
                USING ERRCODE = 'check_violation', CONSTRAINT = 'rating_of_the_buyer';
        END IF;
    ELSIF (NEW.id, NEW.escrow_id, NEW.seller_id, NEW.buyer_telegram_id, NEW.stars, NEW.words,
           NEW.created_at)
          IS DISTINCT FROM
          (OLD.id, OLD.escrow_id, OLD.seller_id, OLD.buyer_telegram_id, OLD.stars, OLD.words,
           OLD.created_at)
          OR OLD.replaced_at IS NOT NULL
    THEN
        RAISE EXCEPTION 'rating % does not change that way', OLD.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'rating_frozen';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER rating_guard BEFORE INSERT OR UPDATE ON seller_ratings
    FOR EACH ROW EXECUTE FUNCTION rating_guard();

-- The timers read these.
CREATE INDEX escrow_disputes_unanswered ON escrow_disputes (answer_by)
    WHERE status IN ('OPEN', 'UNDER_REVIEW');

DO $$
DECLARE
    ours regprocedure;
BEGIN
    FOR ours IN
        SELECT p.oid FROM pg_proc p
         WHERE p.pronamespace = current_schema()::regnamespace
           AND p.proowner = current_user::regrole
           AND p.proname IN ('offer_guard', 'escrow_event', 'dispute_fits_deal',
                             'settlement_whole', 'record_guard', 'rating_guard')
    LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', ours, current_schema());
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', ours);
    END LOOP;
END $$;

DO $$
BEGIN
    GRANT SELECT ON offers, deal_records, fingerprints, help_requests TO escrow_app;
    GRANT INSERT, UPDATE ON offers, help_requests TO escrow_app;
    GRANT INSERT ON deal_records, fingerprints TO escrow_app;
EXCEPTION
    WHEN undefined_object OR insufficient_privilege THEN
        RAISE NOTICE 'role escrow_app was not set up: %', SQLERRM;
END $$;
