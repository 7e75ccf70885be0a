-- +goose Up
-- For forgetting refresh tokens once they have expired: a session leaves one behind with every refresh.
CREATE INDEX credential_expiry ON credential (dealer_group_id, expires_at) WHERE expires_at IS NOT NULL;
