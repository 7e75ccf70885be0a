package feed

import (
	"context"
	"errors"
	"fmt"
	"time"

	"carfluence/internal/rest"
	"carfluence/internal/sqldb"
)

// selectLogin finds a login before its group is known.
func selectLogin(ctx context.Context, db *sqldb.DB, username string) (l storedLogin, err error) {
	err = db.QueryRow(ctx, `SELECT dealer_group_id, integration_id, password_digest, epoch FROM sftp_login WHERE username = $1`, username).
		Scan(&l.group, &l.integration, &l.digest, &l.epoch)
	return l, err
}

func selectStatus(ctx context.Context, t *sqldb.Tenant, id string) (status string, err error) {
	err = t.QueryRow(ctx, `SELECT status FROM integration WHERE dealer_group_id = $1 AND id = $2`, id).Scan(&status)
	return status, err
}

// insertLogin tells whether the username was free.
func insertLogin(ctx context.Context, t *sqldb.Tenant, i Integration, username, digest string) (bool, error) {
	r, err := t.Exec(ctx, `INSERT INTO sftp_login (dealer_group_id, username, integration_id, password_digest, epoch, created_at)
		VALUES ($1, $2, $3, $4, 1, $5) ON CONFLICT (username) DO NOTHING`, username, i.ID, digest, sqldb.At(i.CreatedAt))
	if err != nil {
		return false, fmt.Errorf("store login: %w", err)
	}
	n, err := r.RowsAffected()
	return n == 1, err
}

func updateDigest(ctx context.Context, t *sqldb.Tenant, integrationID, digest string) error {
	_, err := t.Exec(ctx, `UPDATE sftp_login SET password_digest = $3, epoch = epoch + 1 WHERE dealer_group_id = $1 AND integration_id = $2`, integrationID, digest)
	if err != nil {
		return fmt.Errorf("store password: %w", err)
	}
	return nil
}

// raiseEpoch ends all connections of an integration.
func raiseEpoch(ctx context.Context, t *sqldb.Tenant, integrationID string) error {
	_, err := t.Exec(ctx, `UPDATE sftp_login SET epoch = epoch + 1 WHERE dealer_group_id = $1 AND integration_id = $2`, integrationID)
	if err != nil {
		return fmt.Errorf("end connections: %w", err)
	}
	return nil
}

const sshKeyColumns = `id, fingerprint, public_key, name, created_at`

func scanSSHKey(scan func(dest ...any) error) (SSHKey, error) {
	var k SSHKey
	var created sqldb.Time
	err := scan(&k.ID, &k.Fingerprint, &k.PublicKey, &k.Name, &created)
	k.CreatedAt = created.Time
	return k, err
}

func selectSSHKeys(ctx context.Context, t *sqldb.Tenant, integrationID string, p rest.Page) ([]SSHKey, error) {
	rows, err := t.Query(ctx, `SELECT `+sshKeyColumns+` FROM sftp_key WHERE dealer_group_id = $1 AND integration_id = $2
		ORDER BY created_at DESC, id LIMIT $3 OFFSET $4`, integrationID, p.Limit, p.Offset)
	list, err := sqldb.Collect(rows, err, func(r *sqldb.Rows) (SSHKey, error) { return scanSSHKey(r.Scan) })
	if err != nil {
		return nil, fmt.Errorf("list SSH keys: %w", err)
	}
	return list, nil
}

func countSSHKeys(ctx context.Context, t *sqldb.Tenant, integrationID string) (n int64, err error) {
	err = t.QueryRow(ctx, `SELECT count(*) FROM sftp_key WHERE dealer_group_id = $1 AND integration_id = $2`, integrationID).Scan(&n)
	return n, err
}

func selectSSHKeyByFingerprint(ctx context.Context, t *sqldb.Tenant, integrationID, fingerprint string) (SSHKey, error) {
	return scanSSHKey(t.QueryRow(ctx, `SELECT `+sshKeyColumns+` FROM sftp_key WHERE dealer_group_id = $1 AND integration_id = $2 AND fingerprint = $3`,
		integrationID, fingerprint).Scan)
}

// selectSSHKeyText is "" for a key the integration does not have.
func selectSSHKeyText(ctx context.Context, t *sqldb.Tenant, integrationID, fingerprint string) (string, error) {
	k, err := selectSSHKeyByFingerprint(ctx, t, integrationID, fingerprint)
	if errors.Is(err, sqldb.ErrNoRows) {
		return "", nil
	}
	return k.PublicKey, err
}

func insertSSHKey(ctx context.Context, t *sqldb.Tenant, integrationID string, k SSHKey) error {
	_, err := t.Exec(ctx, `INSERT INTO sftp_key (dealer_group_id, integration_id, id, fingerprint, public_key, name, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7)`, integrationID, k.ID, k.Fingerprint, k.PublicKey, k.Name, sqldb.At(k.CreatedAt))
	if sqldb.IsUnique(err) { // come since the check
		return keyExists(k.Name)
	}
	if err != nil {
		return fmt.Errorf("store SSH key: %w", err)
	}
	return nil
}

func deleteSSHKey(ctx context.Context, t *sqldb.Tenant, integrationID, id string) (k SSHKey, err error) {
	return scanSSHKey(t.QueryRow(ctx, `DELETE FROM sftp_key WHERE dealer_group_id = $1 AND integration_id = $2 AND id = $3 RETURNING `+sshKeyColumns,
		integrationID, id).Scan)
}

func selectHostKey(ctx context.Context, db *sqldb.DB) (sealed string, err error) {
	err = db.QueryRow(ctx, `SELECT sealed FROM sftp_host_key WHERE id = 1`).Scan(&sealed)
	return sealed, err
}

// insertHostKey returns the key that is stored afterwards: this one, or that of who came first.
func insertHostKey(ctx context.Context, db *sqldb.DB, sealed string, at time.Time) (stored string, err error) {
	err = db.Transact(ctx, func(tx *sqldb.DB) error {
		if _, err := tx.Exec(ctx, `INSERT INTO sftp_host_key (id, sealed, created_at) VALUES (1, $1, $2) ON CONFLICT (id) DO NOTHING`, sealed, sqldb.At(at)); err != nil {
			return err
		}
		stored, err = selectHostKey(ctx, tx)
		return err
	})
	return stored, err
}
