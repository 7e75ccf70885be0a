package sqldb_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"carfluence/internal/errs"
	"carfluence/internal/sqldb"
	"carfluence/internal/sqldb/sqldbtest"
)

func line(t *testing.T, db *sqldb.DB) *sqldb.Line {
	t.Helper()
	l, err := db.Line(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

const keep = `INSERT INTO quota (dealer_group_id, subject_id, window_no, lim, used, spent, granted, last_used_at) VALUES ($1, $2, 1, 1, 1, 0, 0, 0) RETURNING subject_id`

func kept(t *testing.T, db *sqldb.DB, group string) (n int) {
	t.Helper()
	if err := db.Tenant(group).QueryRow(t.Context(), `SELECT count(*) FROM quota WHERE dealer_group_id = $1`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// The last statements are part of the transaction. On PostgreSQL, where others write meanwhile, they lock nothing before.
func TestLastStatements(t *testing.T) {
	db := sqldbtest.Open(t, sqldb.Accounts)
	a := db.Tenant("a")
	var first string
	var n int64
	want := int64(1)
	err := a.Transact(t.Context(), func(tx *sqldb.Tenant) error {
		tx.DB().Last(tx.DB().Statement([]any{&n}, `UPDATE authority SET n = n + 1 RETURNING n`), tx.Statement([]any{&first}, keep, "1"))
		if db.Engine() == sqldb.PostgreSQL {
			if _, err := db.Exec(t.Context(), `UPDATE authority SET n = n + 10`); err != nil {
				t.Errorf("locked before the end: %v", err)
			}
			want += 10
		}
		_, err := tx.Exec(t.Context(), keep, "2")
		return err
	})
	if err != nil || first != "1" || n != want || kept(t, db, "a") != 2 {
		t.Errorf("%q and number %d, want %d, %d rows: %v", first, n, want, kept(t, db, "a"), err)
	}
	for what, last := range map[string]sqldb.Statement{
		"a fault":         a.Statement(nil, keep, "1"),
		"without a group": a.Statement(nil, `UPDATE quota SET used = 2`),
	} {
		err := a.Transact(t.Context(), func(tx *sqldb.Tenant) error {
			tx.DB().Last(last)
			_, err := tx.Exec(t.Context(), keep, "3")
			return err
		})
		if err == nil || kept(t, db, "a") != 2 {
			t.Errorf("%s: half of it was written, or nothing said: %v", what, err)
		}
	}
}

// TestBatch writes rows of two groups in one transaction: all, or none after an error.
func TestBatch(t *testing.T) {
	db := sqldbtest.Open(t, sqldb.Accounts)
	for name, on := range map[string]*sqldb.DB{"pool": db, "line": line(t, db).DB} {
		t.Run(name, func(t *testing.T) {
			a, b := on.Tenant("a "+name), on.Tenant("b "+name)
			var first, second, none string
			var now sqldb.Time
			err := on.Batch(t.Context(), a.Statement([]any{&first}, keep, "1"), b.Statement([]any{&second}, keep, "2"), a.Statement(nil, keep, "3"),
				a.Statement([]any{&none}, `SELECT subject_id FROM quota WHERE dealer_group_id = $1 AND subject_id = $2`, "4"), on.Clock(&now))
			if !errors.Is(err, sqldb.ErrNoRows) || first != "1" || second != "2" || time.Since(now.Time).Abs() > time.Minute {
				t.Errorf("%q, %q at %s: %v", first, second, now, err)
			}
			if kept(t, db, a.Group()) != 2 || kept(t, db, b.Group()) != 1 {
				t.Error("not all was written")
			}
			err = on.Batch(t.Context(), b.Statement(nil, keep, "5"), a.Statement(nil, keep, "1"))
			if !sqldb.IsUnique(err) || kept(t, db, b.Group()) != 1 {
				t.Errorf("half of it was written: %v", err)
			}
			if err := on.Batch(t.Context(), b.Statement(nil, `UPDATE quota SET used = 2`)); err == nil {
				t.Error("a statement without its group was sent")
			}
			err = on.Batch(t.Context(), on.Statement(nil, `UPDATE quota SET used = 2 WHERE subject_id = $1`, "1"))
			if db.Engine() == sqldb.PostgreSQL && err == nil {
				t.Error("row-level security does not bind a batch")
			}
		})
	}
}

// TestALineEndsWithItsConnection and does not connect by itself, as the pool does.
func TestALineEndsWithItsConnection(t *testing.T) {
	server(t)
	place := sqldbtest.New(t)
	db := place.Open(t, sqldb.Accounts)
	l := line(t, db)
	one := func(on *sqldb.DB) error {
		var n int
		return on.QueryRow(t.Context(), `SELECT 1`).Scan(&n)
	}
	if err := one(l.DB); err != nil || l.Lost() {
		t.Fatal(err)
	}
	sqldbtest.CutConnections(t, place.URL())
	for range 3 {
		if err := one(l.DB); errs.KindOf(err) != errs.KindUnavailable {
			t.Errorf("%v", err)
		}
		var at sqldb.Time
		if err := l.Batch(t.Context(), l.Clock(&at)); errs.KindOf(err) != errs.KindUnavailable || !l.Lost() {
			t.Errorf("lost: %v, %v", l.Lost(), err)
		}
	}
	for range 5 { // each idle connection may have been cut
		if one(db) == nil {
			break
		}
	}
	if err := one(db); err != nil {
		t.Errorf("the pool: %v", err)
	}
}

func TestNoticesComeAgainAfterALostConnection(t *testing.T) {
	server(t)
	place := sqldbtest.New(t)
	db := place.Open(t, sqldb.Accounts)
	ctx, cancel := context.WithCancel(t.Context())
	var heard atomic.Int64
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		db.Listen(ctx, "test", func() { heard.Add(1) })
	}()
	hears := func(what string, f func()) {
		t.Helper()
		before := heard.Load()
		f()
		for end := time.Now().Add(10 * time.Second); heard.Load() == before; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("nothing heard after %s", what)
			}
		}
	}
	notice := func() {
		if err := db.Notify(t.Context(), "test"); err != nil {
			t.Error(err)
		}
	}
	hears("connecting", func() {})
	hears("a notice", notice)
	hears("connecting again", func() { sqldbtest.CutConnections(t, place.URL()) })
	_ = db.Ping(t.Context()) // the pool's cut connections make room
	hears("another notice", notice)
	cancel()
	<-ended
}
