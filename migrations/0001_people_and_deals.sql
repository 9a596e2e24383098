-- People, sellers, deals, disputes, ratings, flags and the timeline: the six tables the product
-- is named after, and the flow they obey. A status moves only along flow_edges, only together
-- with an event, an actor and a timeline row.

CREATE TABLE people (
    telegram_id      bigint PRIMARY KEY CHECK (telegram_id > 0),
    first_name       text NOT NULL DEFAULT '',
    username         text,
    language         text NOT NULL DEFAULT 'en' CHECK (language IN ('en', 'sw')),
    phone            text CHECK (phone ~ '^254[17][0-9]{8}$'),
    -- true: shared as his own contact, so Telegram vouches for it; false: typed twice
    phone_is_contact boolean NOT NULL DEFAULT false,
    started_at       timestamptz NOT NULL,
    -- set when Telegram answers 403: he blocked the bot
    unreachable_at   timestamptz
);
CREATE INDEX people_phone ON people (phone) WHERE phone IS NOT NULL;

CREATE TABLE escrow_sellers (
    id                bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    telegram_id       bigint NOT NULL UNIQUE REFERENCES people,
    shop_name         text NOT NULL CHECK (char_length(shop_name) BETWEEN 2 AND 60),
    status            text NOT NULL DEFAULT 'PENDING'
                      CHECK (status IN ('PENDING', 'VERIFIED', 'SUSPENDED')),
    payout_phone      text NOT NULL CHECK (payout_phone ~ '^254[17][0-9]{8}$'),
    verified_at       timestamptz,
    verified_by       bigint,
    suspended_at      timestamptz,
    suspended_by      bigint,
    suspension_reason text,
    average_rating    numeric(3, 2) CHECK (average_rating BETWEEN 1 AND 5),
    success_rate      numeric(5, 2) CHECK (success_rate BETWEEN 0 AND 100),
    dispute_rate      numeric(5, 2) CHECK (dispute_rate BETWEEN 0 AND 100),
    total_sales       integer NOT NULL DEFAULT 0 CHECK (total_sales >= 0),
    level             text NOT NULL DEFAULT 'NEW'
                      CHECK (level IN ('NEW', 'BRONZE', 'SILVER', 'GOLD', 'DIAMOND')),
    created_at        timestamptz NOT NULL,
    UNIQUE (id, telegram_id),
    -- a verified seller was verified by somebody, a suspended one for a reason
    CONSTRAINT seller_verified_by_somebody
        CHECK (status <> 'VERIFIED' OR (verified_at IS NOT NULL AND verified_by IS NOT NULL)),
    CONSTRAINT seller_suspended_for_a_reason
        CHECK (status <> 'SUSPENDED' OR (suspended_at IS NOT NULL AND suspension_reason <> ''))
);
CREATE INDEX escrow_sellers_pending ON escrow_sellers (created_at) WHERE status = 'PENDING';

-- Every change of a seller's status, for ever.
CREATE TABLE seller_history (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    seller_id bigint NOT NULL REFERENCES escrow_sellers,
    status    text NOT NULL CHECK (status IN ('PENDING', 'VERIFIED', 'SUSPENDED')),
    actor     text NOT NULL CHECK (actor <> ''),
    reason    text NOT NULL DEFAULT '',
    at        timestamptz NOT NULL
);
CREATE INDEX seller_history_seller ON seller_history (seller_id, id);

CREATE TABLE escrow_transactions (
    id                 text PRIMARY KEY CHECK (id ~ '^ES[0-9]{10}$'),
    -- what opened it, e.g. update:17: a repeated update opens nothing twice
    cause              text NOT NULL UNIQUE CHECK (cause <> ''),
    seller_id          bigint NOT NULL,
    seller_telegram_id bigint NOT NULL,
    buyer_telegram_id  bigint REFERENCES people,
    opened_by          bigint NOT NULL REFERENCES people,
    description        text NOT NULL CHECK (char_length(description) BETWEEN 1 AND 200),
    currency           text NOT NULL CHECK (currency IN ('KES', 'USD')),
    price_minor        bigint NOT NULL CHECK (price_minor > 0),
    fee_minor          bigint NOT NULL CHECK (fee_minor >= 0 AND fee_minor * 5 <= price_minor),
    due_minor          bigint NOT NULL CHECK (due_minor > fee_minor),
    fee_payer          text NOT NULL CHECK (fee_payer IN ('buyer', 'seller', 'split')),
    -- the terms it was opened with: tolerance tiers and windows
    terms              jsonb NOT NULL,
    held_price_minor   bigint CHECK (held_price_minor > 0),
    held_fee_minor     bigint CHECK (held_fee_minor >= 0),
    status             text NOT NULL CHECK (status IN
                       ('PENDING', 'HELD', 'SHIPPED', 'DELIVERED', 'DISPUTED', 'FROZEN',
                        'COMPLETED', 'REFUNDED', 'CANCELLED')),
    version            integer NOT NULL DEFAULT 1 CHECK (version > 0),
    -- an UPDATE that moves the deal sets these three; the trigger writes the timeline from them
    last_event         text NOT NULL,
    last_actor         text NOT NULL,
    last_data          jsonb NOT NULL,
    -- absolute deadlines, set when the status changes (flow.md 11)
    pay_by             timestamptz,
    ship_by            timestamptz,
    release_at         timestamptz,
    frozen_from        text CHECK (frozen_from IN ('HELD', 'SHIPPED', 'DELIVERED', 'DISPUTED')),
    tracking           text CHECK (char_length(tracking) <= 200),
    created_at         timestamptz NOT NULL,
    joined_at          timestamptz,
    funded_at          timestamptz,
    shipped_at         timestamptz,
    delivered_at       timestamptz,
    disputed_at        timestamptz,
    frozen_at          timestamptz,
    extended_at        timestamptz,
    completed_at       timestamptz,
    refunded_at        timestamptz,
    cancelled_at       timestamptz,
    archived_at        timestamptz,
    -- the time of the last event, by the clock that decided it
    updated_at         timestamptz NOT NULL,
    FOREIGN KEY (seller_id, seller_telegram_id) REFERENCES escrow_sellers (id, telegram_id),
    CONSTRAINT deal_total_is_price_and_fee
        CHECK (due_minor BETWEEN price_minor AND price_minor + fee_minor),
    CONSTRAINT deal_needs_two_people CHECK (buyer_telegram_id <> seller_telegram_id),
    CONSTRAINT deal_opened_by_a_party
        CHECK (opened_by = seller_telegram_id OR opened_by IS NOT DISTINCT FROM buyer_telegram_id),
    CONSTRAINT deal_held_together
        CHECK ((held_price_minor IS NULL) = (held_fee_minor IS NULL)
               AND (held_price_minor IS NULL) = (funded_at IS NULL)),
    -- money was held in every status but the two that never saw any
    CONSTRAINT deal_held_while_funded
        CHECK ((status IN ('PENDING', 'CANCELLED')) = (held_price_minor IS NULL)),
    CONSTRAINT deal_funded_has_buyer
        CHECK (held_price_minor IS NULL OR buyer_telegram_id IS NOT NULL),
    CONSTRAINT deal_final_has_its_time
        CHECK ((status = 'COMPLETED') = (completed_at IS NOT NULL)
               AND (status = 'REFUNDED') = (refunded_at IS NOT NULL)
               AND (status = 'CANCELLED') = (cancelled_at IS NOT NULL)),
    CONSTRAINT deal_frozen_from_somewhere
        CHECK (status <> 'FROZEN' OR frozen_from IS NOT NULL),
    CONSTRAINT deal_archived_only_when_final
        CHECK (archived_at IS NULL OR status IN ('COMPLETED', 'REFUNDED', 'CANCELLED'))
);
CREATE INDEX escrow_transactions_buyer ON escrow_transactions (buyer_telegram_id, created_at DESC)
    WHERE archived_at IS NULL;
CREATE INDEX escrow_transactions_seller ON escrow_transactions (seller_id, created_at DESC)
    WHERE archived_at IS NULL;
-- for ever, archived or not: what was funded counts for a buyer's leniency, what was completed for
-- a seller's standing
CREATE INDEX escrow_transactions_funded ON escrow_transactions (buyer_telegram_id, funded_at)
    WHERE funded_at IS NOT NULL;
CREATE INDEX escrow_transactions_completed ON escrow_transactions (seller_id)
    WHERE status = 'COMPLETED';
CREATE INDEX escrow_transactions_status ON escrow_transactions (status, updated_at)
    WHERE archived_at IS NULL;
CREATE INDEX escrow_transactions_pay_by ON escrow_transactions (pay_by) WHERE status = 'PENDING';
CREATE INDEX escrow_transactions_ship_by ON escrow_transactions (ship_by) WHERE status = 'HELD';
CREATE INDEX escrow_transactions_release_at ON escrow_transactions (release_at)
    WHERE status IN ('SHIPPED', 'DELIVERED');

CREATE TABLE escrow_timeline (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    escrow_id   text NOT NULL REFERENCES escrow_transactions,
    -- the deal's version after the event; NULL for events that move no status
    version     integer,
    event       text NOT NULL CHECK (event <> ''),
    from_status text,
    to_status   text NOT NULL,
    actor       text NOT NULL CONSTRAINT timeline_known_actor
                CHECK (actor ~ '^((buyer|seller|choice|admin):[1-9][0-9]{0,17}|parties|payment|timer|system)$'),
    at          timestamptz NOT NULL,
    data        jsonb NOT NULL DEFAULT '{}',
    UNIQUE (escrow_id, version)
);
CREATE INDEX escrow_timeline_deal ON escrow_timeline (escrow_id, id);

CREATE TABLE escrow_disputes (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    escrow_id     text NOT NULL REFERENCES escrow_transactions,
    raised_by     bigint NOT NULL REFERENCES people,
    raised_role   text NOT NULL CHECK (raised_role IN ('buyer', 'seller')),
    -- where the deal goes back to when the dispute is withdrawn
    disputed_from text NOT NULL CHECK (disputed_from IN ('HELD', 'SHIPPED', 'DELIVERED')),
    reason        text NOT NULL CHECK (char_length(reason) BETWEEN 1 AND 1000),
    status        text NOT NULL DEFAULT 'OPEN'
                  CHECK (status IN ('OPEN', 'UNDER_REVIEW', 'RESOLVED', 'WITHDRAWN')),
    opened_at     timestamptz NOT NULL,
    answer_by     timestamptz NOT NULL,
    answered_at   timestamptz,
    taken_by      bigint,
    taken_at      timestamptz,
    resolution    text CHECK (resolution IN ('buyer', 'seller', 'split', 'settled')),
    buyer_percent smallint CHECK (buyer_percent BETWEEN 0 AND 100),
    notes         text CHECK (char_length(notes) <= 2000),
    closed_by     text,
    closed_at     timestamptz,
    CONSTRAINT dispute_review_has_reviewer
        CHECK (status <> 'UNDER_REVIEW' OR (taken_by IS NOT NULL AND taken_at IS NOT NULL)),
    CONSTRAINT dispute_closed_completely
        CHECK ((status IN ('RESOLVED', 'WITHDRAWN')) = (closed_at IS NOT NULL)
               AND (status = 'RESOLVED') = (resolution IS NOT NULL))
);
-- at most one open dispute per deal
CREATE UNIQUE INDEX dispute_one_open ON escrow_disputes (escrow_id)
    WHERE status IN ('OPEN', 'UNDER_REVIEW');
CREATE INDEX escrow_disputes_status ON escrow_disputes (status, opened_at);
CREATE INDEX escrow_disputes_deal ON escrow_disputes (escrow_id);

CREATE TABLE seller_ratings (
    id                bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    escrow_id         text NOT NULL REFERENCES escrow_transactions,
    seller_id         bigint NOT NULL REFERENCES escrow_sellers,
    buyer_telegram_id bigint NOT NULL REFERENCES people,
    stars             smallint NOT NULL CHECK (stars BETWEEN 1 AND 5),
    words             text NOT NULL DEFAULT '' CHECK (char_length(words) <= 500),
    created_at        timestamptz NOT NULL,
    -- a changed rating stays as history
    replaced_at       timestamptz
);
CREATE UNIQUE INDEX rating_one_per_deal ON seller_ratings (escrow_id) WHERE replaced_at IS NULL;
CREATE INDEX seller_ratings_seller ON seller_ratings (seller_id, created_at);

CREATE TABLE fraud_flags (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    telegram_id  bigint NOT NULL REFERENCES people,
    user_type    text NOT NULL CHECK (user_type IN ('buyer', 'seller')),
    flag_type    text NOT NULL CHECK (flag_type ~ '^[a-z_]+$'),
    severity     text NOT NULL CHECK (severity IN ('LOW', 'MEDIUM', 'HIGH', 'CRITICAL')),
    escrow_id    text REFERENCES escrow_transactions,
    rule         text NOT NULL CHECK (rule <> ''),
    deals        jsonb NOT NULL DEFAULT '[]',
    created_at   timestamptz NOT NULL,
    reviewed_at  timestamptz,
    reviewed_by  bigint,
    review_notes text,
    CONSTRAINT flag_reviewed_by_somebody CHECK ((reviewed_at IS NULL) = (reviewed_by IS NULL))
);
CREATE INDEX fraud_flags_user ON fraud_flags (telegram_id, flag_type, created_at);
-- one open flag per person and type; unshipped orders one per deal (flow.md 19)
CREATE UNIQUE INDEX flag_one_open ON fraud_flags (telegram_id, flag_type)
    WHERE reviewed_at IS NULL AND flag_type <> 'unshipped_order';
CREATE UNIQUE INDEX flag_one_per_unshipped ON fraud_flags (telegram_id, flag_type, escrow_id)
    WHERE flag_type = 'unshipped_order';
CREATE INDEX fraud_flags_open ON fraud_flags (severity, created_at) WHERE reviewed_at IS NULL;

-- The flow, the same rows as FLOW in escrow/domain/flow.py (a test compares them).
CREATE TABLE flow_edges (
    event       text NOT NULL,
    from_status text NOT NULL,  -- '' : the deal does not exist yet
    to_status   text NOT NULL,
    actor       text NOT NULL,
    PRIMARY KEY (event, from_status, to_status, actor)
);
INSERT INTO flow_edges (event, from_status, to_status, actor)
SELECT e.event, f.s, CASE e.target WHEN '=' THEN f.s ELSE e.target END, a.a
FROM (VALUES
    ('open',             ARRAY[''],                                              'PENDING',   ARRAY['buyer','seller']),
    ('join',             ARRAY['PENDING'],                                       '=',         ARRAY['buyer','seller']),
    ('fund',             ARRAY['PENDING'],                                       'HELD',      ARRAY['payment','choice','admin']),
    ('cancel',           ARRAY['PENDING'],                                       'CANCELLED', ARRAY['buyer','seller','admin','choice','timer']),
    ('ship',             ARRAY['HELD'],                                          'SHIPPED',   ARRAY['seller']),
    ('decline',          ARRAY['HELD'],                                          'REFUNDED',  ARRAY['seller']),
    ('deliver',          ARRAY['HELD','SHIPPED'],                                'DELIVERED', ARRAY['buyer']),
    ('release',          ARRAY['SHIPPED'],                                       'COMPLETED', ARRAY['timer']),
    ('release',          ARRAY['DELIVERED'],                                     'COMPLETED', ARRAY['buyer','timer']),
    ('refund',           ARRAY['HELD'],                                          'REFUNDED',  ARRAY['timer']),
    ('dispute',          ARRAY['HELD','SHIPPED','DELIVERED'],                    'DISPUTED',  ARRAY['buyer','seller']),
    ('withdraw_dispute', ARRAY['DISPUTED'],                                      'HELD',      ARRAY['buyer','seller']),
    ('withdraw_dispute', ARRAY['DISPUTED'],                                      'SHIPPED',   ARRAY['buyer','seller']),
    ('withdraw_dispute', ARRAY['DISPUTED'],                                      'DELIVERED', ARRAY['buyer','seller']),
    ('resolve',          ARRAY['DISPUTED'],                                      'COMPLETED', ARRAY['admin']),
    ('resolve',          ARRAY['DISPUTED'],                                      'REFUNDED',  ARRAY['admin']),
    ('settle',           ARRAY['HELD','SHIPPED','DELIVERED','DISPUTED'],         'COMPLETED', ARRAY['parties']),
    ('settle',           ARRAY['HELD','SHIPPED','DELIVERED','DISPUTED'],         'REFUNDED',  ARRAY['parties']),
    ('freeze',           ARRAY['HELD','SHIPPED','DELIVERED','DISPUTED'],         'FROZEN',    ARRAY['admin','system']),
    ('unfreeze',         ARRAY['FROZEN'],                                        'HELD',      ARRAY['admin']),
    ('unfreeze',         ARRAY['FROZEN'],                                        'SHIPPED',   ARRAY['admin']),
    ('unfreeze',         ARRAY['FROZEN'],                                        'DELIVERED', ARRAY['admin']),
    ('unfreeze',         ARRAY['FROZEN'],                                        'DISPUTED',  ARRAY['admin']),
    ('extend',           ARRAY['HELD','SHIPPED'],                                '=',         ARRAY['parties']),
    ('manual_release',   ARRAY['HELD','SHIPPED','DELIVERED','DISPUTED','FROZEN'],'COMPLETED', ARRAY['admin']),
    ('manual_refund',    ARRAY['HELD','SHIPPED','DELIVERED','DISPUTED','FROZEN'],'REFUNDED',  ARRAY['admin'])
) AS e (event, sources, target, actors), unnest(e.sources) AS f (s), unnest(e.actors) AS a (a);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'restrict_violation', CONSTRAINT = TG_TABLE_NAME || '_append_only';
END $$;

CREATE TRIGGER escrow_timeline_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON escrow_timeline
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER seller_history_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON seller_history
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER flow_edges_append_only BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON flow_edges
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER escrow_transactions_kept BEFORE DELETE OR TRUNCATE ON escrow_transactions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER escrow_disputes_kept BEFORE DELETE OR TRUNCATE ON escrow_disputes
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER seller_ratings_kept BEFORE DELETE OR TRUNCATE ON seller_ratings
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER escrow_sellers_kept BEFORE DELETE OR TRUNCATE ON escrow_sellers
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Whether this actor may cause this event here, and is who he says he is. An admin who is a party
-- may not touch the deal.
CREATE FUNCTION flow_check(deal escrow_transactions, came_from text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    role  text := split_part(deal.last_actor, ':', 1);
    who   text := split_part(deal.last_actor, ':', 2);
BEGIN
    PERFORM 1 FROM flow_edges
     WHERE event = deal.last_event AND from_status = came_from
       AND to_status = deal.status AND actor = role;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the flow has no % from % to % by %',
            deal.last_event, came_from, deal.status, deal.last_actor
            USING ERRCODE = 'check_violation', CONSTRAINT = 'flow_edge_missing';
    END IF;
    IF (role IN ('buyer', 'choice') AND who IS DISTINCT FROM deal.buyer_telegram_id::text)
       OR (role = 'seller' AND who <> deal.seller_telegram_id::text)
       OR (role = 'admin' AND who IN (deal.buyer_telegram_id::text, deal.seller_telegram_id::text))
    THEN
        RAISE EXCEPTION '% may not % deal %', deal.last_actor, deal.last_event, deal.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'flow_wrong_person';
    END IF;
END $$;

CREATE FUNCTION escrow_opened() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM flow_check(NEW, '');
    IF NEW.version <> 1 THEN
        RAISE EXCEPTION 'a new deal has version 1'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'flow_version';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER escrow_opened BEFORE INSERT ON escrow_transactions
    FOR EACH ROW EXECUTE FUNCTION escrow_opened();

CREATE FUNCTION escrow_opened_timeline() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO escrow_timeline (escrow_id, version, event, from_status, to_status, actor, at, data)
    VALUES (NEW.id, 1, NEW.last_event, NULL, NEW.status, NEW.last_actor, NEW.updated_at,
            NEW.last_data);
    RETURN NULL;
END $$;
CREATE TRIGGER escrow_opened_timeline AFTER INSERT ON escrow_transactions
    FOR EACH ROW EXECUTE FUNCTION escrow_opened_timeline();

-- Fires for every UPDATE that names last_event: that is what makes it an event. It writes the
-- timeline as its owner, because nobody else may.
CREATE FUNCTION escrow_event() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
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
    NEW.version := OLD.version + 1;
    INSERT INTO escrow_timeline (escrow_id, version, event, from_status, to_status, actor, at, data)
    VALUES (NEW.id, NEW.version, NEW.last_event, OLD.status, NEW.status, NEW.last_actor,
            NEW.updated_at, NEW.last_data);
    RETURN NEW;
END $$;
CREATE TRIGGER escrow_event BEFORE UPDATE OF last_event ON escrow_transactions
    FOR EACH ROW EXECUTE FUNCTION escrow_event();

-- What no UPDATE may do: change what was agreed, swap a person, move a status without an event,
-- take a deadline away or shorten it by anything but an event.
CREATE FUNCTION escrow_unchanged() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.id, NEW.cause, NEW.seller_id, NEW.seller_telegram_id, NEW.opened_by, NEW.description,
        NEW.currency, NEW.price_minor, NEW.fee_minor, NEW.due_minor, NEW.fee_payer, NEW.terms,
        NEW.created_at)
       IS DISTINCT FROM
       (OLD.id, OLD.cause, OLD.seller_id, OLD.seller_telegram_id, OLD.opened_by, OLD.description,
        OLD.currency, OLD.price_minor, OLD.fee_minor, OLD.due_minor, OLD.fee_payer, OLD.terms,
        OLD.created_at)
       OR (OLD.buyer_telegram_id IS NOT NULL
           AND NEW.buyer_telegram_id IS DISTINCT FROM OLD.buyer_telegram_id)
       OR (OLD.held_price_minor IS NOT NULL
           AND (NEW.held_price_minor, NEW.held_fee_minor, NEW.funded_at)
               IS DISTINCT FROM (OLD.held_price_minor, OLD.held_fee_minor, OLD.funded_at))
    THEN
        RAISE EXCEPTION 'what was agreed on deal % does not change', OLD.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'deal_terms_frozen';
    END IF;
    IF OLD.status IN ('COMPLETED', 'REFUNDED', 'CANCELLED') AND NEW.status <> OLD.status THEN
        RAISE EXCEPTION 'deal % is finished', OLD.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'flow_edge_missing';
    END IF;
    IF (NEW.status, NEW.version, NEW.last_event, NEW.last_actor, NEW.last_data,
        NEW.held_price_minor, NEW.held_fee_minor, NEW.buyer_telegram_id, NEW.frozen_from)
       IS NOT DISTINCT FROM
       (OLD.status, OLD.version, OLD.last_event, OLD.last_actor, OLD.last_data,
        OLD.held_price_minor, OLD.held_fee_minor, OLD.buyer_telegram_id, OLD.frozen_from)
    THEN
        IF NEW.pay_by < OLD.pay_by OR (NEW.pay_by IS NULL AND OLD.pay_by IS NOT NULL)
           OR NEW.ship_by < OLD.ship_by OR (NEW.ship_by IS NULL AND OLD.ship_by IS NOT NULL)
           OR NEW.release_at < OLD.release_at
           OR (NEW.release_at IS NULL AND OLD.release_at IS NOT NULL)
        THEN
            RAISE EXCEPTION 'a deadline of deal % is not taken away', OLD.id
                USING ERRCODE = 'check_violation', CONSTRAINT = 'deal_deadline_kept';
        END IF;
        RETURN NULL;
    END IF;
    PERFORM 1 FROM escrow_timeline t
      WHERE t.escrow_id = NEW.id AND t.version = NEW.version AND NEW.version = OLD.version + 1
        AND t.event = NEW.last_event AND t.from_status = OLD.status AND t.to_status = NEW.status
        AND t.actor = NEW.last_actor;
    IF NOT FOUND
       OR (NEW.held_price_minor IS DISTINCT FROM OLD.held_price_minor AND NEW.last_event <> 'fund')
       OR (NEW.buyer_telegram_id IS DISTINCT FROM OLD.buyer_telegram_id
           AND NEW.last_event <> 'join')
       OR (NEW.frozen_from IS DISTINCT FROM OLD.frozen_from AND NEW.last_event <> 'freeze')
    THEN
        RAISE EXCEPTION 'deal % moves only by an event', OLD.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'flow_without_event';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER escrow_unchanged AFTER UPDATE ON escrow_transactions
    FOR EACH ROW EXECUTE FUNCTION escrow_unchanged();

-- The timeline is not written by hand: a row with a version comes from the flow's own triggers, which
-- run as the table's owner (a trigger of the program's own does not), and any other row says what
-- moved nothing, in no word of the flow.
CREATE FUNCTION timeline_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.version IS NOT NULL THEN
        IF pg_trigger_depth() > 1
           AND current_user = (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = TG_RELID)
        THEN
            RETURN NEW;
        END IF;
    ELSIF NEW.from_status = NEW.to_status
          AND NOT EXISTS (SELECT FROM flow_edges f WHERE f.event = NEW.event)
          AND EXISTS (SELECT FROM escrow_transactions e
                       WHERE e.id = NEW.escrow_id AND e.status = NEW.to_status)
    THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'deal % had no % that the flow knows of', NEW.escrow_id, NEW.event
        USING ERRCODE = 'check_violation', CONSTRAINT = 'timeline_tells_the_truth';
END $$;
CREATE TRIGGER timeline_guard BEFORE INSERT ON escrow_timeline
    FOR EACH ROW EXECUTE FUNCTION timeline_guard();

-- A dispute is raised by a party, from where the deal stands (or stood when its event was written
-- first); what was said then stays, and a closed one is not opened again.
CREATE FUNCTION dispute_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        PERFORM 1 FROM escrow_transactions e
          WHERE e.id = NEW.escrow_id
            AND NEW.raised_by = CASE NEW.raised_role WHEN 'buyer' THEN e.buyer_telegram_id
                                                     ELSE e.seller_telegram_id END
            AND NEW.disputed_from = CASE e.status
                WHEN 'DISPUTED' THEN (SELECT t.from_status FROM escrow_timeline t
                                       WHERE t.escrow_id = e.id AND t.version = e.version)
                ELSE e.status END;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'nobody disputes deal % like that', NEW.escrow_id
                USING ERRCODE = 'check_violation', CONSTRAINT = 'dispute_of_a_party';
        END IF;
    ELSIF (NEW.escrow_id, NEW.raised_by, NEW.raised_role, NEW.disputed_from, NEW.reason,
           NEW.opened_at)
          IS DISTINCT FROM
          (OLD.escrow_id, OLD.raised_by, OLD.raised_role, OLD.disputed_from, OLD.reason,
           OLD.opened_at)
          OR (OLD.status IN ('RESOLVED', 'WITHDRAWN')
              AND (NEW.status, NEW.resolution, NEW.buyer_percent, NEW.closed_by, NEW.closed_at)
                  IS DISTINCT FROM
                  (OLD.status, OLD.resolution, OLD.buyer_percent, OLD.closed_by, OLD.closed_at))
          OR (OLD.status = 'UNDER_REVIEW' AND NEW.status = 'OPEN')
    THEN
        RAISE EXCEPTION 'dispute % does not change that way', OLD.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'dispute_frozen';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER dispute_guard BEFORE INSERT OR UPDATE ON escrow_disputes
    FOR EACH ROW EXECUTE FUNCTION dispute_guard();

-- A flag stays until somebody looked at it.
CREATE FUNCTION flag_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.reviewed_at IS NULL THEN
        RAISE EXCEPTION 'nobody has reviewed flag %', OLD.id
            USING ERRCODE = 'restrict_violation', CONSTRAINT = 'flag_kept_until_reviewed';
    END IF;
    RETURN OLD;
END $$;
CREATE TRIGGER flag_guard BEFORE DELETE ON fraud_flags
    FOR EACH ROW EXECUTE FUNCTION flag_guard();
CREATE TRIGGER fraud_flags_not_emptied BEFORE TRUNCATE ON fraud_flags
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
