-- +goose Up
CREATE TABLE dealer_group (
    id         TEXT PRIMARY KEY,
    name       TEXT NOT NULL UNIQUE,
    created_at BIGINT NOT NULL
);

CREATE TABLE person (
    id            TEXT PRIMARY KEY,
    email         TEXT NOT NULL UNIQUE, -- lower case
    name          TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    created_at    BIGINT NOT NULL,
    updated_at    BIGINT NOT NULL
);

CREATE TABLE membership (
    dealer_group_id TEXT NOT NULL REFERENCES dealer_group (id),
    person_id       TEXT NOT NULL REFERENCES person (id) ON DELETE CASCADE,
    role            TEXT NOT NULL CHECK (role IN ('admin', 'manager', 'viewer')),
    status          TEXT NOT NULL CHECK (status IN ('active', 'disabled')),
    created_at      BIGINT NOT NULL,
    PRIMARY KEY (dealer_group_id, person_id)
);
CREATE UNIQUE INDEX membership_person ON membership (person_id);

CREATE TABLE session (
    dealer_group_id TEXT NOT NULL,
    id              TEXT NOT NULL,
    person_id       TEXT NOT NULL,
    created_at      BIGINT NOT NULL,
    last_seen_at    BIGINT NOT NULL,
    expires_at      BIGINT NOT NULL, -- the absolute end
    ended_at        BIGINT,
    ended_reason    TEXT,
    source          TEXT NOT NULL,   -- client address at login
    ip_address      TEXT NOT NULL,   -- client address last seen
    user_agent      TEXT NOT NULL,
    PRIMARY KEY (dealer_group_id, id),
    FOREIGN KEY (dealer_group_id, person_id) REFERENCES membership (dealer_group_id, person_id) ON DELETE CASCADE
);
CREATE INDEX session_person ON session (dealer_group_id, person_id, created_at);

CREATE TABLE api_key (
    dealer_group_id     TEXT NOT NULL REFERENCES dealer_group (id),
    id                  TEXT NOT NULL,
    name                TEXT NOT NULL,
    last4               TEXT NOT NULL,
    scopes              TEXT NOT NULL, -- JSON array
    rate_limit_per_hour BIGINT NOT NULL CHECK (rate_limit_per_hour BETWEEN 1 AND 1000000),
    created_at          BIGINT NOT NULL,
    created_by          TEXT NOT NULL,
    updated_at          BIGINT NOT NULL,
    revoked_at          BIGINT,
    revoked_by          TEXT,
    PRIMARY KEY (dealer_group_id, id)
);
CREATE INDEX api_key_created ON api_key (dealer_group_id, created_at, id);

-- Whose secret is this? Read before the group is known. Only digests under the server's secret are kept.
CREATE TABLE credential (
    digest          TEXT PRIMARY KEY, -- hex HMAC-SHA-256
    dealer_group_id TEXT NOT NULL,
    kind            TEXT NOT NULL CHECK (kind IN ('api_key', 'refresh')),
    subject_id      TEXT NOT NULL,    -- api_key.id or session.id
    created_at      BIGINT NOT NULL,
    expires_at      BIGINT,
    used_at         BIGINT            -- refresh only: when it was exchanged
);
CREATE INDEX credential_subject ON credential (dealer_group_id, subject_id);

-- A key signs from active_from until the next one's; its state at any time follows from these alone.
CREATE TABLE signing_key (
    id          TEXT PRIMARY KEY, -- kid: RFC 7638 thumbprint
    sealed      TEXT NOT NULL,    -- base64 of AES-256-GCM(PKCS #8)
    created_at  BIGINT NOT NULL,
    active_from BIGINT NOT NULL
);

-- The change log: every change of who may do what ends with authority.n + 1 and a row here.
CREATE TABLE authority (
    id BIGINT PRIMARY KEY CHECK (id = 1),
    n  BIGINT NOT NULL
);
INSERT INTO authority (id, n) VALUES (1, 0);

CREATE TABLE change (
    n               BIGINT PRIMARY KEY,
    dealer_group_id TEXT NOT NULL,
    kind            TEXT NOT NULL, -- api_key, person, session, signing_key
    subject_id      TEXT NOT NULL,
    created_at      BIGINT NOT NULL
);

CREATE TABLE replica (
    id         TEXT PRIMARY KEY,
    seen       BIGINT NOT NULL,
    started_at BIGINT NOT NULL
);

-- Credits of one subject (key or person) in one window; also the usage statistics.
CREATE TABLE quota (
    dealer_group_id TEXT NOT NULL,
    subject_id      TEXT NOT NULL,
    window_no       BIGINT NOT NULL,
    lim             BIGINT NOT NULL,
    used            BIGINT NOT NULL, -- credits handed out to replicas
    spent           BIGINT NOT NULL, -- of these, spent by calls
    granted         BIGINT NOT NULL, -- by the last take
    last_used_at    BIGINT NOT NULL,
    PRIMARY KEY (dealer_group_id, subject_id, window_no)
);

CREATE TABLE login_throttle (
    subject  TEXT PRIMARY KEY, -- keyed digest of account, source, or both
    since    BIGINT NOT NULL,
    failures BIGINT NOT NULL
);
CREATE INDEX login_throttle_since ON login_throttle (since);

CREATE TABLE audit (
    dealer_group_id TEXT NOT NULL, -- '' when nobody knows yet (a failed login of an unknown address)
    id              TEXT NOT NULL,
    created_at      BIGINT NOT NULL,
    event           TEXT NOT NULL,
    actor_type      TEXT NOT NULL,
    actor_id        TEXT NOT NULL,
    actor_name      TEXT NOT NULL,
    subject_type    TEXT NOT NULL,
    subject_id      TEXT NOT NULL,
    ip_address      TEXT NOT NULL,
    request_id      TEXT NOT NULL,
    detail          TEXT NOT NULL, -- JSON object, no secrets
    PRIMARY KEY (dealer_group_id, id)
);
CREATE INDEX audit_created ON audit (dealer_group_id, created_at);
