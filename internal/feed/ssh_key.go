package feed

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"golang.org/x/crypto/ssh"

	"carfluence/internal/audit"
	"carfluence/internal/errs"
	"carfluence/internal/rest"
	"carfluence/internal/sqldb"
)

const (
	maxSSHKeys    = 20
	maxSSHKeyName = 100
	maxSSHKeyText = 16 << 10
	minRSABits    = 2048
	maxRSABits    = 8192 // a check of a longer one costs too much
)

// SSHKey is a public key by which an integration may log in instead of its password.
type SSHKey struct {
	ID          string // UUIDv7
	Name        string // "" when it has none
	PublicKey   string // authorized_keys format: algorithm and key, without options and comment
	Fingerprint string // "SHA256:…"
	CreatedAt   time.Time
}

// SSHKeys returns a page of an integration's keys, newest first, and how many there are.
func (f *Feeds) SSHKeys(ctx context.Context, t *sqldb.Tenant, integrationID string, page rest.Page) ([]SSHKey, int64, error) {
	if _, err := selectIntegration(ctx, t, integrationID); err != nil {
		return nil, 0, err
	}
	total, err := countSSHKeys(ctx, t, integrationID)
	if err != nil {
		return nil, 0, err
	}
	list, err := selectSSHKeys(ctx, t, integrationID, page)
	return list, total, err
}

// SSHKey returns one key of an integration; not found for unknown and foreign ids.
func (f *Feeds) SSHKey(ctx context.Context, t *sqldb.Tenant, integrationID, id string) (SSHKey, error) {
	keys, _, err := f.SSHKeys(ctx, t, integrationID, rest.Page{Limit: maxSSHKeys})
	if err != nil {
		return SSHKey{}, err
	}
	for _, k := range keys {
		if k.ID == id {
			return k, nil
		}
	}
	return SSHKey{}, rest.NotFound("SSH key")
}

// AddSSHKey lets an integration log in by a key, given as a line of an authorized_keys file. Without a name the
// line's comment is the name.
func (f *Feeds) AddSSHKey(ctx context.Context, t *sqldb.Tenant, by audit.Actor, integrationID, name, line string) (SSHKey, error) {
	k, err := newSSHKey(name, line)
	if err != nil {
		return SSHKey{}, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return SSHKey{}, fmt.Errorf("make SSH key id: %w", err)
	}
	k.ID, k.CreatedAt = id.String(), f.Now().UTC()
	err = t.Transact(ctx, func(tx *sqldb.Tenant) error {
		if err := lockIntegration(ctx, tx, integrationID); err != nil {
			return err
		}
		i, err := selectIntegration(ctx, tx, integrationID)
		if err != nil {
			return err
		}
		if err := fits(ctx, tx, i, k); err != nil {
			return err
		}
		if err := insertSSHKey(ctx, tx, integrationID, k); err != nil {
			return err
		}
		return f.record(ctx, tx, by, "integration.ssh_key_added", i, keyDetail(k))
	})
	if err != nil {
		return SSHKey{}, err
	}
	return k, nil
}

// fits refuses a key that the integration has, or for which there is no room.
func fits(ctx context.Context, tx *sqldb.Tenant, i Integration, k SSHKey) error {
	switch known, err := selectSSHKeyByFingerprint(ctx, tx, i.ID, k.Fingerprint); {
	case err == nil:
		return keyExists(known.Name)
	case !errors.Is(err, sqldb.ErrNoRows):
		return err
	}
	n, err := countSSHKeys(ctx, tx, i.ID)
	if err == nil && n >= maxSSHKeys {
		err = errs.Conflict("too_many_ssh_keys", fmt.Sprintf("%s has %d SSH keys, the most there may be. Remove one first.", i.Name, maxSSHKeys))
	}
	return err
}

func keyExists(name string) *errs.Error {
	if name == "" {
		return errs.Conflict("ssh_key_exists", "The integration has this key already.")
	}
	return errs.Conflict("ssh_key_exists", fmt.Sprintf("The integration has this key already, as %q.", name))
}

// RemoveSSHKey takes a key away. All connections of the integration end, also those of other keys.
func (f *Feeds) RemoveSSHKey(ctx context.Context, t *sqldb.Tenant, by audit.Actor, integrationID, id string) error {
	return t.Transact(ctx, func(tx *sqldb.Tenant) error {
		i, err := selectIntegration(ctx, tx, integrationID)
		if err != nil {
			return err
		}
		k, err := deleteSSHKey(ctx, tx, integrationID, id)
		if err != nil {
			return sqldb.Found(err, rest.NotFound("SSH key of this integration"))
		}
		if err := raiseEpoch(ctx, tx, integrationID); err != nil {
			return err
		}
		return f.record(ctx, tx, by, "integration.ssh_key_removed", i, keyDetail(k))
	})
}

func keyDetail(k SSHKey) map[string]any {
	return map[string]any{"key": k.Name, "keyId": k.ID, "fingerprint": k.Fingerprint}
}

// newSSHKey reads a key and its name, reporting every fault at once.
func newSSHKey(name, line string) (SSHKey, error) {
	key, comment, reason := parseSSHKey(line)
	var faults []errs.Fault
	if reason != "" {
		faults = append(faults, errs.At("#/publicKey", reason))
	}
	name = strings.TrimSpace(name)
	if name != "" && !graphic(name, maxSSHKeyName) {
		faults = append(faults, errs.At("#/name", "must be 1 to 100 printable characters"))
	}
	if len(faults) > 0 {
		return SSHKey{}, errs.Invalid("invalid", "The key can't be added as given; errors lists every fault.", faults...)
	}
	if name == "" && graphic(comment, maxSSHKeyName) {
		name = comment
	}
	return SSHKey{Name: name, PublicKey: authorizedKey(key), Fingerprint: ssh.FingerprintSHA256(key)}, nil
}

// authorizedKey is a key as it is stored and compared.
func authorizedKey(key ssh.PublicKey) string {
	return strings.TrimSuffix(string(ssh.MarshalAuthorizedKey(key)), "\n")
}

// SSH algorithms that keys may have.
var sshAlgorithms = []string{ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521, ssh.KeyAlgoRSA}

// parseSSHKey reads one line of an authorized_keys file. reason says why it can't be used.
func parseSSHKey(text string) (key ssh.PublicKey, comment, reason string) {
	text = strings.TrimSpace(text)
	switch {
	case strings.Contains(text, "PRIVATE KEY") || strings.HasPrefix(text, "PuTTY-User-Key-File"):
		return nil, "", "is a private key, which nobody but its owner may have: replace it, as it is exposed now, and send the public one (the file that ends in .pub)"
	case len(text) > maxSSHKeyText:
		return nil, "", "is too long for a public key"
	case strings.HasPrefix(text, "---- BEGIN SSH2 PUBLIC KEY"):
		return nil, "", "is in the format of RFC 4716; ssh-keygen -i turns it into a line as in authorized_keys"
	case strings.ContainsAny(text, "\r\n"):
		return nil, "", "must be one key on one line"
	}
	key, comment, options, _, err := ssh.ParseAuthorizedKey([]byte(text))
	switch {
	case err != nil:
		return nil, "", "is no public key as in an authorized_keys file: ssh-ed25519 AAAA…"
	case len(options) > 0:
		return nil, "", "must not have options before the key"
	}
	return key, comment, weakness(key)
}

// weakness is why a key is not good enough, "" when it is.
func weakness(key ssh.PublicKey) string {
	if !slices.Contains(sshAlgorithms, key.Type()) {
		return "is of an algorithm that is not accepted here; use Ed25519, ECDSA or RSA"
	}
	crypto, ok := key.(ssh.CryptoPublicKey)
	if !ok {
		return "can't be used"
	}
	if k, ok := crypto.CryptoPublicKey().(*rsa.PublicKey); ok {
		if bits := k.N.BitLen(); bits < minRSABits || bits > maxRSABits {
			return fmt.Sprintf("is an RSA key of %d bits; 2048 to 8192 are accepted", bits)
		}
	}
	return ""
}
