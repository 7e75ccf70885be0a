package dealer

import (
	"context"
	"strings"
	"testing"
	"time"

	"carfluence/internal/audit"
	"carfluence/internal/errs"
	"carfluence/internal/rest"
	"carfluence/internal/sqldb"
	"carfluence/internal/sqldb/sqldbtest"
)

var somebody = audit.Actor{Type: "person", ID: "p1", Name: "Jo"}

func open(t *testing.T) (*Dealers, *sqldb.Tenant) {
	t.Helper()
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	tick := func() time.Time { now = now.Add(time.Second); return now }
	return &Dealers{Now: tick}, sqldbtest.Open(t, sqldb.Stock).Tenant("group-1")
}

func create(t *testing.T, d *Dealers, tenant *sqldb.Tenant, in Dealer) Dealer {
	t.Helper()
	out, err := d.Create(t.Context(), tenant, somebody, in)
	if err != nil {
		t.Fatalf("create %s: %v", in.Name, err)
	}
	return out
}

func TestDealerIsFoundByNameCodeAndAlias(t *testing.T) {
	d, tenant := open(t)
	want := create(t, d, tenant, Dealer{Name: "Ancira  Chevy", Codes: []string{"0412"}}).ID
	create(t, d, tenant, Dealer{Name: "Other"})
	if _, err := d.AddAlias(t.Context(), tenant, somebody, want, "Ancira-Chevrolet"); err != nil {
		t.Fatal(err)
	}
	for _, by := range [][2]string{{"", "ANCIRA CHEVY"}, {"0412", ""}, {"unknown", "ancira-chevrolet"}, {"0412", "unknown"}, {" ancira chevy ", ""}} {
		got, err := d.Resolve(t.Context(), tenant, by[0], by[1])
		if err != nil || got != want {
			t.Errorf("%q: %q, %v", by, got, err)
		}
	}
	for _, by := range [][2]string{{"", ""}, {"412", ""}, {"", "Ancira"}} {
		if _, err := d.Resolve(t.Context(), tenant, by[0], by[1]); errs.KindOf(err) != errs.KindNotFound {
			t.Errorf("%q: %v", by, err)
		}
	}
	if _, err := d.Resolve(t.Context(), tenant.DB().Tenant("group-2"), "0412", ""); errs.KindOf(err) != errs.KindNotFound {
		t.Errorf("another group: %v", err)
	}
}

func TestSpellingHasOneOwner(t *testing.T) {
	d, tenant := open(t)
	first := create(t, d, tenant, Dealer{Name: "First", Codes: []string{"A1"}})
	second := create(t, d, tenant, Dealer{Name: "Second"})
	_, byName := d.Create(t.Context(), tenant, somebody, Dealer{Name: "FIRST"})
	_, byCode := d.Create(t.Context(), tenant, somebody, Dealer{Name: "Third", Codes: []string{"a1"}})
	_, byAlias := d.AddAlias(t.Context(), tenant, somebody, second.ID, "A1")
	_, byRename := d.Update(t.Context(), tenant, somebody, second.ID, func(x *Dealer) { x.Name = "first" })
	for name, err := range map[string]error{"name": byName, "code": byCode, "alias": byAlias, "rename": byRename} {
		if errs.KindOf(err) != errs.KindConflict || !strings.Contains(err.Error(), first.ID) {
			t.Errorf("by %s: %v", name, err)
		}
	}
	if _, err := d.Create(t.Context(), tenant.DB().Tenant("group-2"), somebody, Dealer{Name: "First", Codes: []string{"A1"}}); err != nil {
		t.Errorf("another group: %v", err)
	}
}

func TestRemovedSpellingIsFree(t *testing.T) {
	d, tenant := open(t)
	first := create(t, d, tenant, Dealer{Name: "First", Codes: []string{"A1"}})
	withAlias, err := d.AddAlias(t.Context(), tenant, somebody, first.ID, "Numero Uno")
	if err != nil {
		t.Fatal(err)
	}
	again, err := d.AddAlias(t.Context(), tenant, somebody, first.ID, "numero uno")
	if err != nil || len(again.Aliases) != 1 {
		t.Errorf("same alias again: %d aliases, %v", len(again.Aliases), err)
	}
	if err := d.RemoveAlias(t.Context(), tenant, somebody, first.ID, withAlias.Aliases[0].ID); err != nil {
		t.Fatal(err)
	}
	if err := d.RemoveAlias(t.Context(), tenant, somebody, first.ID, "Numero Uno"); errs.KindOf(err) != errs.KindNotFound {
		t.Errorf("gone alias: %v", err)
	}
	if _, err := d.Update(t.Context(), tenant, somebody, first.ID, func(x *Dealer) { x.Codes = nil }); err != nil {
		t.Fatal(err)
	}
	create(t, d, tenant, Dealer{Name: "Numero Uno", Codes: []string{"A1"}})
}

func TestDealerRules(t *testing.T) {
	d, tenant := open(t)
	far := 200.0
	_, err := d.Create(t.Context(), tenant, somebody, Dealer{Name: " ", Codes: []string{""}, Website: "ftp://x", TimeZone: "Mars/Olympus", Currency: "usd", Latitude: &far})
	var e *errs.Error
	if errs.KindOf(err) != errs.KindInvalid {
		t.Fatal(err)
	}
	e = err.(*errs.Error)
	var got []string
	for _, f := range e.Faults {
		got = append(got, f.Pointer)
	}
	if want := "#/name #/website #/codes/0 #/time_zone #/currency #/latitude"; strings.Join(got, " ") != want {
		t.Errorf("faults at %v, want %s", got, want)
	}
	ok := create(t, d, tenant, Dealer{Name: "Plain"})
	if ok.TimeZone != "UTC" || ok.Currency != "USD" {
		t.Errorf("defaults: %s, %s", ok.TimeZone, ok.Currency)
	}
}

func TestDealerWithVehiclesStays(t *testing.T) {
	d, tenant := open(t)
	held := int64(3)
	d.Held = func(context.Context, *sqldb.Tenant, string) (int64, error) { return held, nil }
	dealer := create(t, d, tenant, Dealer{Name: "Full"})
	err := d.Delete(t.Context(), tenant, somebody, dealer.ID)
	if errs.CodeOf(err) != "dealer_has_vehicles" || !strings.Contains(err.Error(), "3 vehicles") {
		t.Errorf("delete: %v", err)
	}
	held = 0
	var fed []string
	d.Fed = func(context.Context, *sqldb.Tenant, string) ([]string, error) { return fed, nil }
	for _, want := range []string{`the integration "a" (1).`, `2 integrations: "a" (1), "a" (1).`} {
		fed = append(fed, `"a" (1)`)
		if err := d.Delete(t.Context(), tenant, somebody, dealer.ID); errs.CodeOf(err) != "dealer_has_integrations" || !strings.Contains(err.Error(), "Full has "+want) {
			t.Errorf("delete: %v", err)
		}
	}
	fed = nil
	if err := d.Delete(t.Context(), tenant, somebody, dealer.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Get(t.Context(), tenant, dealer.ID); errs.KindOf(err) != errs.KindNotFound {
		t.Errorf("after delete: %v", err)
	}
	create(t, d, tenant, Dealer{Name: "Full"})
}

func TestDealersListNewestFirst(t *testing.T) {
	d, tenant := open(t)
	for _, name := range []string{"a", "b", "c"} {
		created := create(t, d, tenant, Dealer{Name: name})
		if _, err := d.AddAlias(t.Context(), tenant, somebody, created.ID, name+" alias"); err != nil {
			t.Fatal(err)
		}
	}
	list, total, err := d.List(t.Context(), tenant, rest.Page{Limit: 2, Offset: 1})
	if err != nil || total != 3 || len(list) != 2 {
		t.Fatalf("%d of %d, %v", len(list), total, err)
	}
	for i, name := range []string{"b", "a"} {
		if list[i].Name != name || len(list[i].Aliases) != 1 || list[i].Aliases[0].Alias != name+" alias" {
			t.Errorf("place %d: %+v", i, list[i])
		}
	}
}
