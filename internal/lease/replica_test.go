package lease

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"carfluence/internal/sqldb"
	"carfluence/internal/sqldb/sqldbtest"
)

// shelf is what a replica of these tests holds.
type shelf struct {
	held      []string
	applied   []Change
	unsettled int64
}

func (s *shelf) Forget() { s.held = nil }

func (s *shelf) Apply(_ context.Context, changes []Change, all bool) error {
	if all {
		s.Forget()
	}
	s.applied = append(s.applied, changes...)
	for _, c := range changes {
		s.held = slices.DeleteFunc(s.held, func(id string) bool { return id == c.ID })
	}
	return nil
}

func (s *shelf) Unsettled() int64 { return s.unsettled }

func register(t *testing.T, store Store, now func() time.Time) (*Replica, *shelf) {
	t.Helper()
	r, s := New(store, Options{Shared: true, Now: now, Log: slog.New(slog.DiscardHandler)}), &shelf{}
	r.Hold(s)
	beats(t, r)
	return r, s
}

func beats(t *testing.T, all ...*Replica) {
	t.Helper()
	for _, r := range all {
		if err := r.Beat(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func change(t *testing.T, db *sqldb.DB, id string) (n int64) {
	t.Helper()
	err := db.Tenant("group").Transact(t.Context(), func(tx *sqldb.Tenant) error {
		Record(tx, "api_key", id, 7, time.Now(), &n)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func seen(t *testing.T, store Store) (all []int64) {
	t.Helper()
	rows, err := store.Roster(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		all = append(all, r.Seen)
	}
	return all
}

func TestAChangeIsAppliedThenReported(t *testing.T) {
	db := sqldbtest.Open(t, sqldb.Accounts)
	store := NewStore(db)
	change(t, db, "before")
	r, s := register(t, store, time.Now)
	s.held = []string{"a", "b"}
	n := change(t, db, "a")
	if got := seen(t, store); !slices.Equal(got, []int64{n - 1}) {
		t.Fatalf("reported %v before the beat", got)
	}
	beats(t, r)
	want := Change{N: n, Kind: "api_key", Group: "group", ID: "a", Window: 7}
	if !slices.Equal(s.held, []string{"b"}) || !slices.Equal(s.applied, []Change{want}) || r.Applied() != n {
		t.Errorf("holds %v after %+v", s.held, s.applied)
	}
	if got := seen(t, store); !slices.Equal(got, []int64{n}) {
		t.Errorf("reported %v after the beat", got)
	}
	s.unsettled = change(t, db, "b")
	beats(t, r)
	if got := seen(t, store); r.Applied() != n+1 || !slices.Equal(got, []int64{n}) {
		t.Errorf("applied %d and reported %v while something is to be settled", r.Applied(), got)
	}
}

func TestAReplicaThatCantRelyOnWhatItKnowsBeginsAnew(t *testing.T) {
	exec := func(query string) func(*testing.T, *sqldb.DB) {
		return func(t *testing.T, db *sqldb.DB) {
			if _, err := db.Exec(t.Context(), query); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, event := range map[string]func(*testing.T, *sqldb.DB){
		"its row is gone":       exec(`DELETE FROM replica`),
		"a backup was restored": exec(`UPDATE authority SET n = n - 1`),
		"changes were pruned": func(t *testing.T, db *sqldb.DB) {
			change(t, db, "b")
			if err := Prune(t.Context(), db, time.Now().Add(time.Hour)); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			db := sqldbtest.Open(t, sqldb.Accounts)
			change(t, db, "a")
			r, s := register(t, NewStore(db), time.Now)
			s.held = []string{"c"}
			event(t, db)
			beats(t, r)
			if len(s.held) > 0 || !r.Fresh() || len(seen(t, NewStore(db))) != 1 {
				t.Errorf("holds %v, fresh: %v, %d rows", s.held, r.Fresh(), len(seen(t, NewStore(db))))
			}
		})
	}
}

// broken fails the next statements of a connection.
type broken struct {
	Store
	fails int
	sent  func() // before a registration
}

func (b *broken) Beat(ctx context.Context, id string, seen int64) (Pulse, error) {
	if b.fails > 0 {
		b.fails--
		return Pulse{}, errors.New("connection lost")
	}
	return b.Store.Beat(ctx, id, seen)
}

func (b *broken) Register(ctx context.Context, id string, earlier []string, at time.Time) (int64, error) {
	if b.sent != nil {
		b.sent()
	}
	return b.Store.Register(ctx, id, earlier, at)
}

func TestALostConnectionKeepsTheLeaseAndEndsWhatIsHeld(t *testing.T) {
	store := &broken{Store: NewStore(sqldbtest.Open(t, sqldb.Accounts))}
	r, s := register(t, store, time.Now)
	s.held = []string{"a"}
	id := r.id
	store.fails = 1
	if err := r.Beat(t.Context()); err == nil || !r.Fresh() || len(s.held) != 1 {
		t.Fatalf("%v, fresh: %v, holds %v", err, r.Fresh(), s.held)
	}
	era := r.era.Load()
	store.sent = func() { // a new row confirms what was changed before it, whenever its answer comes
		if r.Fresh() || len(s.held) > 0 || r.era.Load() == era {
			t.Errorf("registers while fresh: %v, holding %v", r.Fresh(), s.held)
		}
		era = r.era.Load()
	}
	beats(t, r)
	if r.era.Load() == era {
		t.Error("what was read while the registration was under way counts")
	}
	if len(s.held) > 0 || r.id == id || len(seen(t, store)) != 1 {
		t.Errorf("holds %v under id %s, %d rows", s.held, r.id, len(seen(t, store)))
	}
}

func TestAReplicaIsTakenOutByTheOthersClocks(t *testing.T) {
	db := sqldbtest.Open(t, sqldb.Accounts)
	store := NewStore(db)
	now := time.Now()
	clock := func() time.Time { return now }
	first, _ := register(t, store, clock)
	second, _ := register(t, NewStore(db), func() time.Time { return now.Add(-time.Hour) })
	beats(t, first, second, first)
	if d := time.Until(second.StoreNow()); d.Abs() > time.Minute {
		t.Errorf("the store's time is %s off", d)
	}
	if first.Count() != 2 {
		t.Fatalf("%d replicas", first.Count())
	}
	for range 3 {
		now = now.Add(goneAfter / 2)
		beats(t, first)
	}
	if n := len(seen(t, store)); n != 1 {
		t.Errorf("%d rows after %s", n, 3*goneAfter/2)
	}
	beats(t, second, first)
	if err := second.Stop(t.Context()); err != nil || second.Fresh() || second.Beat(t.Context()) == nil {
		t.Errorf("stopped with %v, fresh: %v", err, second.Fresh())
	}
	if n := len(seen(t, store)); n != 1 {
		t.Errorf("%d rows after one has left", n)
	}
}
