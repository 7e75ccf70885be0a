package app

import (
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"carfluence/internal/sqldb"
	"carfluence/internal/sqldb/sqldbtest"
)

// TestAMoveThatCantEndIsEndedByTheNextCall, though all was copied, compared and sealed.
func TestAMoveThatCantEndIsEndedByTheNextCall(t *testing.T) {
	sqldbtest.Only(t, sqldb.PostgreSQL, "it moves to a server")
	store := Store{Data: t.TempDir()}
	s, err := OpenStores(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	secret := string(s.Secret)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	url := sqldbtest.Empty(t)
	conn, err := pgx.Connect(t.Context(), sqldbtest.AdminURL(url))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	exec := func(query string) {
		t.Helper()
		if _, err := conn.Exec(t.Context(), query); err != nil {
			t.Fatal(err)
		}
	}
	exec(`CREATE FUNCTION hold() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
		IF EXISTS (SELECT 1 FROM pg_event_trigger_dropped_objects() WHERE object_identity = 'stock.unfinished_move') THEN RAISE 'held'; END IF; END $$`)
	exec(`CREATE EVENT TRIGGER hold ON sql_drop EXECUTE FUNCTION hold()`)
	move := func() error {
		_, err := Move(t.Context(), store.Data, MoveTarget{To: url}, MoveWatch{Phase: func(string, int64) {}, Progress: func(int64) {}})
		return err
	}
	if err := move(); err == nil || !strings.Contains(err.Error(), "held") {
		t.Fatalf("%v", err)
	}
	exec(`DROP EVENT TRIGGER hold`)
	if err := move(); err != nil {
		t.Fatal(err)
	}
	t.Setenv("CARFLUENCE_SECRET", secret)
	moved, err := OpenStores(t.Context(), Store{Data: t.TempDir(), Database: Database{Database: url}})
	if err != nil {
		t.Fatal(err)
	}
	if err := moved.Close(); err != nil {
		t.Error(err)
	}
}
