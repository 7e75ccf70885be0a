package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"path/filepath"
	"strings"
	"time"

	"carfluence/internal/auth"
	"carfluence/internal/sqldb"
)

// keyText is the text of the i-th of many keys: as auth makes them, but from a digest of its number.
func keyText(i int) string {
	const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	sum := sha256.Sum256(fmt.Appendf(nil, "bench key %d", i))
	text := []byte(auth.KeyPrefix)
	for _, c := range sum {
		text = append(text, base62[c%62])
	}
	crc, check := crc32.ChecksumIEEE(text), make([]byte, 6)
	for at := range check {
		check[len(check)-1-at] = base62[crc%62]
		crc /= 62
	}
	return string(append(text, check...))
}

// addKeys puts many keys into a place that nobody is at work on.
func (p *place) addKeys(n int, scopes string) (err error) {
	ctx := p.b.ctx
	var db *sqldb.DB
	if p.engine == onPostgres {
		db, err = sqldb.OpenPostgres(ctx, p.database, sqldb.Accounts, sqldb.PostgresOptions{})
	} else {
		db, err = sqldb.OpenSQLite(ctx, filepath.Join(p.data, "accounts.db"), sqldb.Options{})
	}
	if err != nil {
		return err
	}
	defer db.Close()
	var group string
	if err := db.QueryRow(ctx, `SELECT id FROM dealer_group`).Scan(&group); err != nil {
		return err
	}
	const batch = 20_000
	for from := 0; from < n; from += batch {
		err := db.Tenant(group).Transact(ctx, func(tx *sqldb.Tenant) error { return insertKeys(ctx, tx, from, min(n, from+batch), scopes) })
		if err != nil {
			return err
		}
	}
	return nil
}

const purposeOfDigests = "carfluence api key digest v1" // auth's

func insertKeys(ctx context.Context, tx *sqldb.Tenant, from, to int, scopes string) error {
	const rows = 100
	pepper, now := auth.Subkey([]byte(benchSecret), purposeOfDigests), sqldb.At(time.Now())
	for ; from < to; from += rows {
		var keys, credentials []string
		var keyArgs, credentialArgs []any
		next := func(args []any) string { return fmt.Sprint("$", len(args)+2) }
		for i := from; i < min(to, from+rows); i++ {
			text := keyText(i)
			m := hmac.New(sha256.New, pepper)
			m.Write([]byte(text))
			id := fmt.Sprintf("0199d5a0-0000-7000-8000-%012x", i)
			keys = append(keys, fmt.Sprintf("($1, %s, 'bench', %s, '%s', 1000000, %s, 'bench', %[4]s)", next(keyArgs), next(append(keyArgs, 0)), scopes, next(append(keyArgs, 0, 0))))
			keyArgs = append(keyArgs, id, text[len(text)-4:], now)
			credentials = append(credentials, fmt.Sprintf("($1, %s, 'api_key', %s, %s)", next(credentialArgs), next(append(credentialArgs, 0)), next(append(credentialArgs, 0, 0))))
			credentialArgs = append(credentialArgs, hex.EncodeToString(m.Sum(nil)), id, now)
		}
		if _, err := tx.Exec(ctx, `INSERT INTO api_key (dealer_group_id, id, name, last4, scopes, rate_limit_per_hour, created_at, created_by, updated_at) VALUES `+strings.Join(keys, ", "), keyArgs...); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `INSERT INTO credential (dealer_group_id, digest, kind, subject_id, created_at) VALUES `+strings.Join(credentials, ", "), credentialArgs...); err != nil {
			return err
		}
	}
	return nil
}
