package auth

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"carfluence/internal/audit"
	"carfluence/internal/sqldb"
)

// SigningKeys are the keys of this installation's access tokens: read from the store, handed to signer and
// verifier, and replaced in time.
type SigningKeys struct {
	authority *Authority
	sealer    *KeySealer
	rotation  Rotation
	signer    *Signer
	verifier  *Verifier
	log       *slog.Logger

	loading sync.Mutex
	current atomic.Pointer[KeySet]
}

// NewSigningKeys ties the keys in the authority's store to a signer and a verifier; secret is the server's.
// Call Rotate once before the first login and Run afterwards.
func NewSigningKeys(a *Authority, secret []byte, rotation Rotation, s *Signer, v *Verifier, log *slog.Logger) (*SigningKeys, error) {
	sealer, err := NewKeySealer(secret)
	if err != nil {
		return nil, err
	}
	k := &SigningKeys{authority: a, sealer: sealer, rotation: rotation, signer: s, verifier: v, log: log}
	a.SigningKeysChanged = k.Load
	return k, nil
}

// Load reads the keys and puts them to use.
func (k *SigningKeys) Load(ctx context.Context) error {
	k.loading.Lock()
	defer k.loading.Unlock()
	set, err := k.read(ctx, k.authority.db)
	if err != nil {
		return fmt.Errorf("read signing keys: %w", err)
	}
	k.current.Store(set)
	k.verifier.SetKeys(set) // before the signer: what is signed can be verified
	k.signer.SetKeys(set)
	return nil
}

func (k *SigningKeys) read(ctx context.Context, db *sqldb.DB) (*KeySet, error) {
	rows, err := selectSigningKeys(ctx, db)
	if err != nil {
		return nil, err
	}
	keys := make([]*SigningKey, 0, len(rows))
	for _, r := range rows {
		key, err := k.sealer.Open(r.id, r.sealed, r.createdAt, r.activeFrom)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return NewKeySet(k.rotation, keys...), nil
}

// Rotate loads the keys, makes a successor when one is due, and forgets keys that are gone. A replica that
// comes second finds it done.
func (k *SigningKeys) Rotate(ctx context.Context) error {
	if err := k.Load(ctx); err != nil {
		return err
	}
	now := k.authority.now()
	set := k.current.Load()
	from, due := set.NextDue(now)
	if !due && len(set.Gone(now)) == 0 {
		return nil
	}
	var next *SigningKey
	if due { // outside the transaction: it takes a second
		var err error
		if next, err = NewSigningKey(now, from); err != nil {
			return err
		}
	}
	if err := k.replace(ctx, now, next); err != nil {
		return fmt.Errorf("rotate signing keys: %w", err)
	}
	return k.Load(ctx)
}

func (k *SigningKeys) replace(ctx context.Context, now time.Time, next *SigningKey) error {
	by := audit.System("signing key rotation")
	return k.authority.Commit(ctx, "", func(tx *sqldb.Tenant) (refs []Ref, err error) {
		if err := tx.Lock(ctx, "signing keys"); err != nil {
			return nil, err
		}
		set, err := k.read(ctx, tx.DB())
		if err != nil {
			return nil, err
		}
		for _, gone := range set.Gone(now) {
			if err := deleteSigningKey(ctx, tx.DB(), gone.ID); err != nil {
				return nil, err
			}
			refs = append(refs, Ref{SigningKeyRef, gone.ID})
			if err := k.audit(ctx, tx, now, by, "signing_key.retired", gone); err != nil {
				return nil, err
			}
		}
		if _, due := set.NextDue(now); !due || next == nil {
			return refs, nil
		}
		sealed, err := k.sealer.Seal(next)
		if err != nil {
			return nil, err
		}
		if err := insertSigningKey(ctx, tx.DB(), signingKeyRow{next.ID, sealed, next.CreatedAt, next.ActiveFrom}); err != nil {
			return nil, err
		}
		return append(refs, Ref{SigningKeyRef, next.ID}), k.audit(ctx, tx, now, by, "signing_key.created", next)
	})
}

func (k *SigningKeys) audit(ctx context.Context, tx *sqldb.Tenant, now time.Time, by audit.Actor, event string, key *SigningKey) error {
	return audit.Record(ctx, tx.DB(), "", now, audit.Event{Name: event, Actor: by, SubjectType: "signing_key", SubjectID: key.ID,
		Detail: map[string]any{"activeFrom": key.ActiveFrom.Format(time.RFC3339)}})
}

// Run rotates in time until ctx ends. A failure is logged and tried again; the keys in use stay good.
func (k *SigningKeys) Run(ctx context.Context) error {
	tick := time.NewTicker(min(max(k.rotation.Period/20, time.Second), time.Minute))
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := k.rotateIfDue(ctx); err != nil && ctx.Err() == nil {
				k.log.Error("signing keys not rotated", "error", err)
			}
		case <-ctx.Done():
			return nil
		}
	}
}

func (k *SigningKeys) rotateIfDue(ctx context.Context) error {
	now, set := k.authority.now(), k.current.Load()
	if set != nil {
		if _, due := set.NextDue(now); !due && len(set.Gone(now)) == 0 {
			return nil
		}
	}
	return k.Rotate(ctx)
}

// Purposes of keys derived from the server's secret.
const (
	purposeSigningKeys = "carfluence signing keys v1"
	purposeRefresh     = "carfluence refresh token digest v1"
	purposeSuccessor   = "carfluence refresh token successor v1"
	purposeThrottle    = "carfluence login throttle v1"
)

// KeySealer encrypts signing keys for storage, bound to the key's id.
type KeySealer struct{ sealer Sealer }

// NewKeySealer derives the encryption key.
func NewKeySealer(secret []byte) (*KeySealer, error) {
	s, err := NewSealer(secret, purposeSigningKeys)
	return &KeySealer{s}, err
}

// Seal returns base64 of nonce, PKCS #8 and tag.
func (s *KeySealer) Seal(k *SigningKey) (string, error) {
	der, err := x509.MarshalPKCS8PrivateKey(k.private)
	if err != nil {
		return "", fmt.Errorf("auth: seal signing key: %w", err)
	}
	return s.sealer.Seal(der, k.ID), nil
}

// unseal returns the PKCS #8 form. It fails under another secret.
func (s *KeySealer) unseal(id, sealed string) ([]byte, error) {
	der, err := s.sealer.Open(sealed, id)
	if err != nil {
		return nil, fmt.Errorf("auth: signing key %s: %w", id, err)
	}
	return der, nil
}

// CheckSecret tells whether the secret is the one the store's signing keys were sealed under. Under another
// one nobody could log in, and keys made under it would be good for nothing.
func CheckSecret(ctx context.Context, db *sqldb.DB, secret []byte) error {
	s, err := NewKeySealer(secret)
	if err != nil {
		return err
	}
	rows, err := selectSigningKeys(ctx, db)
	if err != nil {
		return fmt.Errorf("read signing keys: %w", err)
	}
	for _, r := range rows {
		if _, err := s.unseal(r.id, r.sealed); err != nil {
			return fmt.Errorf("the secret does not belong to this database; give the one it was made with (CARFLUENCE_SECRET, CARFLUENCE_SECRET_FILE or the file secret beside it): %w", err)
		}
	}
	return nil
}

// Open is the reverse of Seal.
func (s *KeySealer) Open(id, sealed string, createdAt, activeFrom time.Time) (*SigningKey, error) {
	der, err := s.unseal(id, sealed)
	if err != nil {
		return nil, err
	}
	private, err := parsePKCS8(der)
	if err != nil {
		return nil, fmt.Errorf("auth: signing key %s: %w", id, err)
	}
	k := newSigningKey(private, createdAt, activeFrom)
	if k.ID != id {
		return nil, fmt.Errorf("auth: signing key %s has another thumbprint", id)
	}
	return k, nil
}

func parsePKCS8(der []byte) (*rsa.PrivateKey, error) {
	k, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, err
	}
	private, ok := k.(*rsa.PrivateKey)
	if !ok {
		return nil, errors.New("not an RSA key")
	}
	return private, nil
}
