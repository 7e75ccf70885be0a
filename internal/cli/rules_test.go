package cli

import (
	"strings"
	"testing"
	"time"

	"carfluence/internal/app"
	"carfluence/internal/auth"
	"carfluence/internal/inventory"
	"carfluence/internal/rule"
	"carfluence/internal/vehicle"
)

// Files that commands load pass through the rules, and do again when these have changed, though they hold nothing new.
func TestCommandsApplyRules(t *testing.T) {
	data := t.TempDir()
	install(t, data)
	if code, _, errOut := command(t, data, "group", "add", "Group"); code != exitOK {
		t.Fatal(errOut)
	}
	s, err := app.OpenStores(t.Context(), app.Store{Data: data})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	g, err := auth.NewGroups(s.Accounts, time.Now).Find(t.Context(), "Group")
	if err != nil {
		t.Fatal(err)
	}
	stock, rules := s.NewStock(inventory.Options{Now: time.Now}, rule.Options{})
	tenant := s.Stock.Tenant(g.ID)
	value, expr := "5000", "msrp * 2"
	made, err := rules.Create(t.Context(), tenant, rule.Author{}, rule.Rule{Name: "Price floor", Enabled: true, Actions: []rule.Action{
		{Type: rule.SetField, Field: "price", Value: &value}, {Type: rule.SetField, Field: "sale_price", ValueExpr: &expr},
	}})
	if err != nil {
		t.Fatal(err)
	}
	shows := func(vin, want string) {
		t.Helper()
		stock.Committed(g.ID)
		v, err := stock.Get(t.Context(), tenant, vin, "")
		if err != nil || v.Values[vehicle.Price] != want {
			t.Errorf("%s: %s, %v; want %s", vin, v.Values[vehicle.Price], err, want)
		}
	}
	const imported, pushed = "1FTFW1E84NFA10001", "2HGFE2F52PH500002"
	file := writeFile(t, "import.csv", "VIN,Price\n"+imported+",4000\n")
	load := func(want string) {
		t.Helper()
		if code, out, errOut := command(t, data, "import", file, "--dealer", "Main Street"); code != exitOK {
			t.Fatal(code, out, errOut)
		}
		shows(imported, want)
	}
	load("5000.00")
	load("5000.00")
	if code, _, errOut := command(t, data, "feed", "add", "nightly", "--type", "custom", "--dealer", "Main Street"); code != exitOK {
		t.Fatal(errOut)
	}
	code, out, errOut := command(t, data, "feed", "push", writeFile(t, "push.csv", "VIN,Price\n"+pushed+",4000\n"))
	if code != exitOK || !strings.Contains(out, "  1 × Price floor left sale_price alone: msrp is empty ("+pushed+")\n") {
		t.Error(code, out, errOut)
	}
	shows(pushed, "5000.00")
	if _, err := rules.Update(t.Context(), tenant, rule.Author{}, made.ID, func(r *rule.Rule) { r.Enabled = false }); err != nil {
		t.Fatal(err)
	}
	load("4000.00")
	shows(pushed, "5000.00") // until its own sync
}
