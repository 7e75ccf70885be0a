-- +goose Up
CREATE TABLE integration (
    dealer_group_id  TEXT    NOT NULL,
    id               TEXT    NOT NULL,
    dealership_id    TEXT    NOT NULL, -- holds rows that name no dealership, or an unknown one
    type             TEXT    NOT NULL, -- vauto, homenet, elead, custom
    name             TEXT    NOT NULL,
    status           TEXT    NOT NULL, -- pending, active, paused, error
    status_reason    TEXT    NOT NULL, -- of error: what went wrong last
    strategy         TEXT    NOT NULL, -- overwrite, merge, update_only
    sold_grace_syncs BIGINT  NOT NULL,
    sold_grace_hours BIGINT  NOT NULL,
    track_history    BOOLEAN NOT NULL,
    day_first        BOOLEAN NOT NULL, -- dates are written D/M/Y
    decimal_comma    BOOLEAN NOT NULL, -- numbers are written 12.345,00
    mappings         TEXT    NOT NULL, -- JSON object: source column to canonical field, "" for none
    header           TEXT    NOT NULL, -- JSON array: columns of the latest file that was read
    drift            TEXT    NOT NULL, -- how they differ from the file before, "" when they don't
    created_at       BIGINT  NOT NULL,
    updated_at       BIGINT  NOT NULL,
    PRIMARY KEY (dealer_group_id, id),
    FOREIGN KEY (dealer_group_id, dealership_id) REFERENCES dealership (dealer_group_id, id)
);
CREATE INDEX integration_created ON integration (dealer_group_id, created_at DESC, id);
CREATE INDEX integration_dealership ON integration (dealer_group_id, dealership_id);

-- Who may put files where? Read before the group is known.
CREATE TABLE sftp_login (
    username        TEXT   PRIMARY KEY,
    dealer_group_id TEXT   NOT NULL,
    integration_id  TEXT   NOT NULL,
    password_digest TEXT   NOT NULL, -- hex HMAC-SHA-256 under the server's secret
    epoch           BIGINT NOT NULL, -- rises when password or keys change: connections of an older one end
    created_at      BIGINT NOT NULL,
    FOREIGN KEY (dealer_group_id, integration_id) REFERENCES integration (dealer_group_id, id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX sftp_login_integration ON sftp_login (dealer_group_id, integration_id);

CREATE TABLE sftp_key (
    dealer_group_id TEXT   NOT NULL,
    integration_id  TEXT   NOT NULL,
    id              TEXT   NOT NULL,
    fingerprint     TEXT   NOT NULL, -- SHA256:…
    public_key      TEXT   NOT NULL, -- authorized_keys format without options
    name            TEXT   NOT NULL,
    created_at      BIGINT NOT NULL,
    PRIMARY KEY (dealer_group_id, id),
    FOREIGN KEY (dealer_group_id, integration_id) REFERENCES integration (dealer_group_id, id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX sftp_key_fingerprint ON sftp_key (dealer_group_id, integration_id, fingerprint);

-- The server's SSH host key, sealed under its secret.
CREATE TABLE sftp_host_key (
    id         BIGINT PRIMARY KEY CHECK (id = 1),
    sealed     TEXT   NOT NULL,
    created_at BIGINT NOT NULL
);

-- One file on its way into the inventory, and what became of it.
CREATE TABLE feed_run (
    dealer_group_id TEXT    NOT NULL,
    id              TEXT    NOT NULL,
    integration_id  TEXT    NOT NULL,
    filename        TEXT    NOT NULL,
    path            TEXT    NOT NULL, -- in the login's folder; "" when it did not come by SFTP
    size            BIGINT  NOT NULL, -- bytes as received
    sha256          TEXT    NOT NULL, -- hex
    file_time       BIGINT,           -- from its name, or as its sender set it
    time_of         TEXT    NOT NULL, -- what file_time is comparable with: the name without its time, or 'mtime'; "" for nothing
    received_at     BIGINT  NOT NULL,
    received_by     TEXT    NOT NULL, -- JSON object of the actor
    status          TEXT    NOT NULL, -- queued, running, completed, failed, held, superseded, discarded
    reprocess       BOOLEAN NOT NULL, -- the latest file once more
    attempt         BIGINT  NOT NULL, -- fences an earlier worker off
    confirmed       BOOLEAN NOT NULL, -- somebody has confirmed what it would sell
    applied_as      TEXT    NOT NULL, -- of completed: with which settings; equal bytes and settings need no second reading
    started_at      BIGINT,
    processed_at    BIGINT,
    duration_ms     BIGINT  NOT NULL,
    total           BIGINT  NOT NULL, -- created + updated + errors
    created         BIGINT  NOT NULL,
    updated         BIGINT  NOT NULL, -- unchanged ones among them
    errors          BIGINT  NOT NULL,
    skipped         BIGINT  NOT NULL, -- rows about nothing of ours, no errors
    warnings        BIGINT  NOT NULL,
    missing         BIGINT  NOT NULL, -- listed before, not in this file
    sold            BIGINT  NOT NULL, -- given up with this file
    code            TEXT    NOT NULL, -- of failed: why, stable
    detail          TEXT    NOT NULL, -- of failed and held: why, in words
    report          TEXT    NOT NULL, -- JSON object: format, notes, kinds of warnings
    PRIMARY KEY (dealer_group_id, id),
    FOREIGN KEY (dealer_group_id, integration_id) REFERENCES integration (dealer_group_id, id) ON DELETE CASCADE
);
CREATE INDEX feed_run_integration ON feed_run (dealer_group_id, integration_id, received_at DESC, id DESC);
-- Two runs of one integration never work at once.
CREATE UNIQUE INDEX feed_run_running ON feed_run (dealer_group_id, integration_id) WHERE status = 'running';
CREATE INDEX feed_run_unfinished ON feed_run (dealer_group_id, integration_id, id) WHERE status IN ('queued', 'running');

-- Received files, compressed. Pieces of a run that does not exist are of an upload that never ended.
CREATE TABLE feed_file (
    dealer_group_id TEXT   NOT NULL,
    run_id          TEXT   NOT NULL,
    n               BIGINT NOT NULL, -- from 0
    created_at      BIGINT NOT NULL, -- before the data, so that it is read without them
    data            BYTEA  NOT NULL, -- zstd; one frame over all pieces
    PRIMARY KEY (dealer_group_id, run_id, n)
);

CREATE TABLE feed_problem (
    dealer_group_id TEXT    NOT NULL,
    run_id          TEXT    NOT NULL,
    n               BIGINT  NOT NULL, -- from 1, in order of lines
    line            BIGINT  NOT NULL,
    source_column   TEXT    NOT NULL,
    value           TEXT    NOT NULL,
    reason          TEXT    NOT NULL,
    refused         BOOLEAN NOT NULL, -- the row was left out; else a warning
    PRIMARY KEY (dealer_group_id, run_id, n)
);

-- Names and codes in files that lead to no dealership.
CREATE TABLE unmatched_dealer (
    dealer_group_id TEXT   NOT NULL,
    integration_id  TEXT   NOT NULL,
    code            TEXT   NOT NULL,
    name            TEXT   NOT NULL,
    vehicles        BIGINT NOT NULL, -- rows of the latest file that named it
    last_run_id     TEXT   NOT NULL,
    first_seen_at   BIGINT NOT NULL,
    last_seen_at    BIGINT NOT NULL,
    PRIMARY KEY (dealer_group_id, integration_id, code, name),
    FOREIGN KEY (dealer_group_id, integration_id) REFERENCES integration (dealer_group_id, id) ON DELETE CASCADE
);
