package feed

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"carfluence/internal/audit"
	"carfluence/internal/auth"
	"carfluence/internal/errs"
	"carfluence/internal/sqldb"
)

// Purposes of keys derived from the server's secret.
const (
	purposeLogin   = "carfluence sftp password digest v1"
	purposeHostKey = "carfluence ssh host key v1"
)

const (
	usernameRandom = 10 // base32 characters, 50 bits: names are no secrets, and are made until they are new
	passwordRandom = 32 // base62 characters, 190 bits: nothing to guess, so no slow hash
	hostKeyName    = "ssh host key"

	failedLoginEvery = time.Minute // of one username is worth an audit row
)

// Login is an integration that has proven who it is. Epoch says as of which change of its credentials.
type Login struct{ Group, Integration, Username, Epoch string }

var errLogin = errs.New(errs.KindUnauthenticated, "credentials_invalid", "The username, password or key is not valid here.")

// Login checks a username and its password. A refusal does not say what was wrong. Paused integrations can't
// log in. When the database is away the error is another one.
func (f *Feeds) Login(ctx context.Context, username, password string) (Login, error) {
	l, err := f.selectLogin(ctx, username)
	if err != nil {
		return Login{}, err
	}
	// An unknown username does the same work: its digest is empty, and differs.
	same := hmac.Equal([]byte(l.digest), []byte(f.digest(username, password)))
	open, err := f.open(ctx, l)
	if err != nil {
		return Login{}, err
	}
	if !same || !open {
		f.LoginFailed(ctx, username, "password")
		return Login{}, errLogin
	}
	return l.login(username), nil
}

// LoginKey checks a username and an SSH public key, as Login does; that the sender holds the private one is
// for SSH to prove. A key that does not fit leaves no trace, since clients offer all they have: when a
// connection ends without a login, call LoginFailed.
func (f *Feeds) LoginKey(ctx context.Context, username string, key ssh.PublicKey) (Login, error) {
	l, err := f.selectLogin(ctx, username)
	if err != nil {
		return Login{}, err
	}
	text := authorizedKey(key)
	stored, err := selectSSHKeyText(ctx, f.DB.Tenant(l.group), l.integration, ssh.FingerprintSHA256(key))
	if err != nil {
		return Login{}, err
	}
	open, err := f.open(ctx, l)
	if err != nil {
		return Login{}, err
	}
	if stored != text || !open {
		return Login{}, errLogin
	}
	return l.login(username), nil
}

// StillValid tells whether a login would be let in again: false once the integration was deleted or paused, its
// password rotated, or one of its keys removed. When the database is away it can't tell: an error.
func (f *Feeds) StillValid(ctx context.Context, login Login) (bool, error) {
	l, err := f.selectLogin(ctx, login.Username)
	if err != nil {
		return false, err
	}
	open, err := f.open(ctx, l)
	return open && l.login(login.Username) == login, err
}

// storedLogin is a row of sftp_login; the zero one stands for an unknown username.
type storedLogin struct {
	group, integration, digest string
	epoch                      int64
}

func (l storedLogin) login(username string) Login {
	return Login{Group: l.group, Integration: l.integration, Username: username, Epoch: strconv.FormatInt(l.epoch, 10)}
}

func (f *Feeds) selectLogin(ctx context.Context, username string) (storedLogin, error) {
	l, err := selectLogin(ctx, f.DB, username)
	if errors.Is(err, sqldb.ErrNoRows) || errs.KindOf(err) == errs.KindInvalid { // text that no row can hold
		return storedLogin{}, nil
	}
	return l, err
}

// open tells whether the login's integration is there and takes files.
func (f *Feeds) open(ctx context.Context, l storedLogin) (bool, error) {
	status, err := selectStatus(ctx, f.DB.Tenant(l.group), l.integration)
	if errors.Is(err, sqldb.ErrNoRows) {
		return false, nil
	}
	return err == nil && status != StatusPaused, err
}

// digest is what is kept of a password: useless without the server's secret, and for another username.
func (f *Feeds) digest(username, password string) string {
	m := hmac.New(sha256.New, auth.Subkey(f.Secret, purposeLogin))
	m.Write([]byte(username + "\x00" + password))
	return hex.EncodeToString(m.Sum(nil))
}

// newLogin makes the login of a new integration, in the caller's transaction.
func (f *Feeds) newLogin(ctx context.Context, tx *sqldb.Tenant, i Integration) (Credentials, error) {
	for {
		c := Credentials{Username: newUsername(i.Type), Password: auth.RandomBase62(passwordRandom)}
		inserted, err := insertLogin(ctx, tx, i, c.Username, f.digest(c.Username, c.Password))
		if err != nil || inserted {
			return c, err
		}
	}
}

// newUsername says whose files a login brings: "vauto-k3f7q2m5xd".
func newUsername(kind string) string {
	return kind + "-" + strings.ToLower(rand.Text()[:usernameRandom])
}

// Rotate gives an integration a new password. The old one ends at once, with all connections.
func (f *Feeds) Rotate(ctx context.Context, t *sqldb.Tenant, by audit.Actor, id string) (Credentials, error) {
	var c Credentials
	err := t.Transact(ctx, func(tx *sqldb.Tenant) error {
		i, err := selectIntegration(ctx, tx, id)
		if err != nil {
			return err
		}
		c = Credentials{Username: i.Username, Password: auth.RandomBase62(passwordRandom)}
		if err := updateDigest(ctx, tx, id, f.digest(c.Username, c.Password)); err != nil {
			return err
		}
		return f.record(ctx, tx, by, "integration.credentials_rotated", i, map[string]any{"username": i.Username})
	})
	if err != nil {
		return Credentials{}, err
	}
	return c, nil
}

// failures remembers when a failed login of each username was last written down. Only usernames that exist
// come in, and leave after a minute.
type failures struct {
	mu   sync.Mutex
	last map[string]time.Time
}

// due tells whether a failure is to be written, and counts it as written.
func (s *failures) due(username string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Sub(s.last[username]) < failedLoginEvery {
		return false
	}
	if s.last == nil {
		s.last = map[string]time.Time{}
	}
	for name, at := range s.last {
		if now.Sub(at) >= failedLoginEvery {
			delete(s.last, name)
		}
	}
	s.last[username] = now
	return true
}

// LoginFailed leaves an audit row of a failed login with a method ("password", "key"): at most one for each
// username and minute, none for unknown usernames. It does not wait for the row: a write may wait for an
// import, and the wait would tell known usernames from unknown ones.
func (f *Feeds) LoginFailed(ctx context.Context, username, method string) {
	ctx = context.WithoutCancel(ctx)
	f.writing.Go(func() {
		if err := f.recordFailure(ctx, username, method); err != nil {
			f.Log.Warn("failed SFTP login not recorded", "error", err)
		}
	})
}

func (f *Feeds) recordFailure(ctx context.Context, username, method string) error {
	l, err := f.selectLogin(ctx, username)
	if err != nil || l.group == "" || !f.failures.due(username, f.Now()) {
		return err
	}
	return f.DB.Tenant(l.group).Transact(ctx, func(tx *sqldb.Tenant) error {
		i, err := selectIntegration(ctx, tx, l.integration)
		if errs.KindOf(err) == errs.KindNotFound {
			return nil
		}
		if err != nil {
			return err
		}
		return f.record(ctx, tx, audit.Actor{Type: "anonymous"}, "integration.login_failed", i, map[string]any{"username": username, "method": method})
	})
}

// Settle waits for audit rows of failed logins that are being written; call it before the store is closed.
func (f *Feeds) Settle() { f.writing.Wait() }

// HostKey returns the SSH host key of this installation in PEM, and makes it when there is none. Replicas that
// come at the same time get the same one.
func (f *Feeds) HostKey(ctx context.Context, make func() ([]byte, error)) ([]byte, error) {
	sealer, err := auth.NewSealer(f.Secret, purposeHostKey)
	if err != nil {
		return nil, err
	}
	sealed, err := selectHostKey(ctx, f.DB)
	if errors.Is(err, sqldb.ErrNoRows) {
		pem, err := make()
		if err != nil {
			return nil, fmt.Errorf("make SSH host key: %w", err)
		}
		if sealed, err = insertHostKey(ctx, f.DB, sealer.Seal(pem, hostKeyName), f.Now()); err != nil {
			return nil, fmt.Errorf("store SSH host key: %w", err)
		}
	} else if err != nil {
		return nil, fmt.Errorf("read SSH host key: %w", err)
	}
	pem, err := sealer.Open(sealed, hostKeyName)
	if err != nil {
		return nil, fmt.Errorf("SSH host key: %w", err)
	}
	return pem, nil
}
