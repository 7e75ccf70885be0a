package app

import (
	"context"
	"testing"
	"time"

	"carfluence/internal/audit"
	"carfluence/internal/inventory"
	"carfluence/internal/rule"
	"carfluence/internal/sqldb"
	"carfluence/internal/vehicle"
)

// The schedule runs the rules of groups for which a day has begun, and of no others.
func TestADayBegins(t *testing.T) {
	s := newServer(t)
	value := "2"
	one := rule.Rule{
		Name: "Aged", Enabled: true, Conditions: []rule.Condition{{Field: "days_on_lot", Operator: rule.LessThan, Value: &value}},
		Actions: []rule.Action{{Type: rule.SetField, Field: "price", Value: &value}},
	}
	const vin = "1FTEW1EF8HFA85881"
	var tenants []*sqldb.Tenant
	for _, name := range []string{"a", "b"} {
		g, err := s.Groups.Add(t.Context(), audit.System("test"), name)
		if err != nil {
			t.Fatal(err)
		}
		tenant := s.stores.Stock.Tenant(g.ID)
		tenants = append(tenants, tenant)
		c := vehicle.Change{VIN: vin}
		c.Put(vehicle.Make, "Ford")
		if _, _, err := s.Stock.Upsert(t.Context(), tenant, c, inventory.Source{Name: inventory.SourceAPI}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Rules.Create(t.Context(), tenant, rule.Author{}, one); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := tenants[0].Exec(t.Context(), `UPDATE rule_set SET days = 'UTC 2000-01-01' WHERE dealer_group_id = $1`); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.newDay(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for i, want := range []string{"2.00", ""} {
		v, err := s.Stock.Get(t.Context(), tenants[i], vin, "")
		if err != nil || v.Values[vehicle.Price] != want {
			t.Errorf("group %d: price %q, want %q; %v", i, v.Values[vehicle.Price], want, err)
		}
	}
}

// A large inventory is refreshed by the queue's workers.
func TestRefreshesAreJobs(t *testing.T) {
	s := newServer(t)
	tenant := s.stores.Stock.Tenant("g")
	var id string
	err := tenant.Transact(t.Context(), func(tx *sqldb.Tenant) error {
		changes := make([]vehicle.Change, 2001)
		for i := range changes {
			changes[i].VIN = "1FTEW1EF8HF" + string([]byte{'0' + byte(i/1000), '0' + byte(i/100%10), '0' + byte(i/10%10), '0' + byte(i%10), '0', '0'})
			changes[i].Put(vehicle.Make, "Ford")
		}
		err := s.Stock.Write(t.Context(), tx, inventory.Source{Name: inventory.SourceImport}, func(w *inventory.Writer) error {
			_, err := w.Apply(t.Context(), changes)
			return err
		})
		if err != nil {
			return err
		}
		r, err := s.Stock.StartRefresh(t.Context(), tx, audit.System("test"), inventory.RefreshRules, false)
		id = r.ID
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.jobs.Run(ctx) }()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		r, err := s.Stock.Refreshed(t.Context(), tenant, id)
		if err != nil {
			t.Fatal(err)
		}
		if r.Status == inventory.RefreshCompleted {
			break
		}
		if time.Now().After(end) {
			t.Errorf("%s after 20 s", r.Status)
			break
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
