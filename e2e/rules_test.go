package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestRulesFromFileToHistory is the way of a rule through the real program: written, tested, run on a pushed file, tried
// dry, applied to an inventory that takes a job, taken away.
func TestRulesFromFileToHistory(t *testing.T) {
	t.Parallel()
	const rows = 2500 // more than is refreshed within a request
	s := serve(t, t.TempDir())
	key := s.key(s.login(), 1_000_000, "inventory:read", "dealers:write", "integrations:read", "integrations:write", "rules:read", "rules:write")
	x := s.source(key, s.dealer(key, "Drop Motors"), "dropped")
	file := filepath.Join(t.TempDir(), "stock.csv")
	push := func() {
		t.Helper()
		now := time.Now()
		if err := os.Chtimes(file, now, now); err != nil {
			t.Fatal(err)
		}
		mustRun(t, s.data, "feed", "push", file)
	}
	if err := os.WriteFile(file, []byte(feedText("1FT", rows, 4000, "One owner.")), 0o600); err != nil {
		t.Fatal(err)
	}
	push()
	x.lists(rows)
	vin := vinOf("1FT", 7)
	shows := func(price string) {
		t.Helper()
		eventually(t, "the price is "+price, 5*time.Second, func() bool {
			return s.must(200, "GET", "/api/v1/inventory/"+vin, "", key).text("vehicle.price") == price
		})
	}

	const parts = `"conditions":[{"field":"price","operator":"less_than","value":"5000"}],"actions":[{"type":"set_field","field":"price","value":"5000"}]`
	r := s.must(200, "POST", "/api/v1/rules/test", fmt.Sprintf(`{"rule":{%s},"vin":%q}`, parts, vin), key)
	if r.json("applied") != true || r.text("before.price") != "4000.00" || r.text("vehicle.price") != "5000.00" {
		t.Errorf("%s", r.body)
	}
	r = s.must(201, "POST", "/api/v1/rules", `{"name":"Price floor",`+parts+`}`, key)
	rule := "/api/v1/rules/" + r.text("rule.id")
	s.must(200, "GET", rule, "", key)
	shows("4000.00")

	apply := func(dry string) reply {
		t.Helper()
		r := s.must(202, "POST", "/api/v1/rules/apply", `{"dryRun":`+dry+`}`, key)
		at := r.Header.Get("Location")
		eventually(t, "the run is completed", 20*time.Second, func() bool {
			r = s.must(200, "GET", at, "", key)
			return r.text("run.status") == "completed"
		})
		return r
	}
	r = apply("true")
	if list, _ := r.json("run.examples").([]any); r.json("run.vehicles") != float64(rows) || r.json("run.done") != float64(rows) || r.json("run.fields.price") != float64(rows) || len(list) != 10 {
		t.Errorf("%s", r.body)
	}
	shows("4000.00")
	if r = apply("false"); r.json("run.vehicles") != float64(rows) {
		t.Errorf("%s", r.body)
	}
	shows("5000.00")
	if kinds := x.history(vin); len(kinds) != 2 || kinds[1] != "price_change" {
		t.Errorf("history: %v", kinds)
	}
	if r := s.must(200, "GET", "/api/v1/inventory/"+vin+"/history", "", key); !strings.Contains(string(r.body), `"source":"rule","actor_type":"rule","actor_id":"`+rule[len("/api/v1/rules/"):]+`","actor_name":"Price floor"`) {
		t.Errorf("%s", r.body)
	}
	push() // the same file again: nothing new
	if kinds := x.history(vin); len(kinds) != 2 {
		t.Errorf("history: %v", kinds)
	}
	s.must(204, "DELETE", rule, "", key)
	push()
	shows("4000.00")
	if kinds := x.history(vin); len(kinds) != 3 {
		t.Errorf("history: %v", kinds)
	}
	s.stop()
}
