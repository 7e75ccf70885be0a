package inventory

import (
	"context"
	"strings"
	"testing"

	"carfluence/internal/audit"
	"carfluence/internal/sqldb"
	"carfluence/internal/vehicle"
)

// queued collects the refreshes that a job is to carry out.
func (h *house) queued() *[]string {
	var ids []string
	h.stock.EnqueueRefresh = func(_ context.Context, _ *sqldb.Tenant, id string) error {
		ids = append(ids, id)
		return nil
	}
	return &ids
}

// some takes a refresh a few batches further, as before a crash.
func (h *house) some(id string, batches int) {
	h.Helper()
	for range batches {
		h.within(func(tx *sqldb.Tenant) error {
			r, err := h.stock.Refreshed(h.Context(), tx, id)
			if err != nil {
				return err
			}
			return h.stock.refreshBatch(h.Context(), tx, &r)
		})
	}
}

func (h *house) run(id string) {
	h.Helper()
	if err := h.stock.RunRefresh(h.Context(), h.tenant(), id); err != nil {
		h.Fatal(err)
	}
}

// rows counts what is stored of all views: vehicles and views.
func (h *house) rows() (vehicles, views int) {
	h.Helper()
	t := h.tenant()
	err := t.QueryRow(h.Context(), `SELECT count(*) FROM merged_vehicle WHERE dealer_group_id = $1`).Scan(&vehicles)
	if err == nil {
		err = t.QueryRow(h.Context(), `SELECT count(*) FROM merged_count WHERE dealer_group_id = $1`).Scan(&views)
	}
	if err != nil {
		h.Fatal(err)
	}
	return vehicles, views
}

func TestLargeGroupIsMergedByAJob(t *testing.T) {
	h := open(t)
	queued := h.queued()
	const vehicles = refreshAtOnce + 100
	a, b := feedOf(integration), feedOf(second)
	first, other := file(vehicles, 0), file(vehicles, 1)
	h.feeds(a, first...)
	h.feeds(b, other...)
	id := h.config(over("A", integration, second))
	path := "/merge-configs/" + id
	status := func() any { h.Helper(); return h.mergeConfig(200, "GET", path, "")["status"] }
	price := func() any {
		h.Helper()
		v := h.must(200, "", "GET", path+"/data?search="+first[7].VIN, "")["vehicles"].([]any)[0].(map[string]any)
		if full := h.vehicle(200, "", "GET", path+"/data/"+first[7].VIN, ""); full["price"] != v["price"] {
			t.Errorf("%v in the list, %v in the record", v["price"], full["price"])
		}
		return v["price"]
	}
	if len(*queued) != 1 || status() != "building" {
		t.Fatalf("queued %v, %v", *queued, status())
	}
	for range 2 { // nobody has run it, then it was cut off
		for _, list := range []string{"/data", "/data/" + first[0].VIN, "/conflicts"} {
			code, text, header := h.call("", "GET", path+list, "")
			if code != 503 || !strings.Contains(text, `"code":"merge_config_building"`) || header.Get("Retry-After") != "5" {
				t.Errorf("%s: %d %s %v", list, code, text, header)
			}
		}
		h.some((*queued)[0], 2)
	}
	h.feeds(a, row(first[3].VIN, 2, map[vehicle.Field]string{vehicle.Make: "Changed while it is built"}))
	h.run((*queued)[0])
	if out := h.must(200, "", "GET", path+"/data", ""); out["pagination"].(map[string]any)["total"] != float64(vehicles) || status() != "ready" {
		t.Errorf("built: %v, %v", out["pagination"], status())
	}
	if n := h.must(200, "", "GET", path+"/conflicts?field=price", "")["pagination"].(map[string]any)["total"]; n != float64(vehicles) {
		t.Errorf("%v conflicts", n)
	}
	mergedRowsFollow(t, h.stock, h.tenant(), id)
	old, next := price(), "20008.00"
	if old != "20007.00" {
		t.Errorf("price %v", old)
	}

	// What is shown stays as it was built before; a second change takes the first one's place.
	h.mergeConfig(200, "PATCH", path, `{"mileageTolerance":2}`)
	h.mergeConfig(200, "PATCH", path, `{"mileageTolerance":1}`)
	if len(*queued) != 2 { // a passage that has not begun serves both
		t.Errorf("queued %d", len(*queued))
	}
	h.some((*queued)[1], 1)
	h.mergeConfig(200, "PATCH", path, `{"priorityOrder":["`+second+`"]}`)
	h.some((*queued)[1], 2)
	if price() != old || status() != "building" {
		t.Errorf("while it is built: %v, %v", price(), status())
	}
	h.feeds(a, row(first[7].VIN, 2, map[vehicle.Field]string{vehicle.Price: "7"}))
	if price() != "7.00" {
		t.Errorf("a change while it is built: %v", price())
	}
	h.run((*queued)[1]) // of the change that was overtaken
	if price() != "7.00" || status() != "building" {
		t.Errorf("after the old passage: %v, %v", price(), status())
	}
	h.some((*queued)[2], 2)
	h.run((*queued)[2])
	if price() != next || status() != "ready" {
		t.Errorf("built again: %v, %v", price(), status())
	}
	mergedRowsFollow(t, h.stock, h.tenant(), id)
	if n, views := h.rows(); n != vehicles || views != 1 {
		t.Errorf("%d rows of %d views are left", n, views)
	}
	h.run((*queued)[2]) // a job may run twice
	if code, text, _ := h.call("", "DELETE", path, ""); code != 204 {
		t.Fatal(code, text)
	}
	h.must(404, "", "GET", path+"/data", "")
	if n, _ := h.rows(); n != vehicles || len(*queued) != 4 {
		t.Errorf("%d rows, queued %d", n, len(*queued))
	}
	h.run((*queued)[3])
	if n, views := h.rows(); n != 0 || views != 0 {
		t.Errorf("%d rows of %d views are left", n, views)
	}
}

func TestSmallGroupKeepsNoOldRows(t *testing.T) {
	h := open(t)
	h.feeds(feedOf(integration), file(10, 0)...)
	path := "/merge-configs/" + h.config(over("A", integration))
	h.config(over("B", integration))
	h.mergeConfig(200, "PATCH", path, `{"mileageTolerance":1}`)
	if n, views := h.rows(); n != 20 || views != 2 {
		t.Errorf("%d rows of %d views", n, views)
	}
	h.call("", "DELETE", path, "")
	if n, views := h.rows(); n != 10 || views != 1 {
		t.Errorf("%d rows of %d views", n, views)
	}
}

// A passage that was given up leaves its config building; the next one, whatever it is for, builds it.
func TestNextPassageBuildsWhatAFailedOneLeft(t *testing.T) {
	h := open(t)
	queued := h.queued()
	h.feeds(feedOf(integration), file(refreshAtOnce+1, 0)...)
	path := "/merge-configs/" + h.config(over("A", integration))
	h.some((*queued)[0], 1)
	if err := h.stock.FailRefresh(t.Context(), h.tenant(), (*queued)[0], "broken"); err != nil {
		t.Fatal(err)
	}
	h.run((*queued)[0])
	h.must(503, "", "GET", path+"/data", "")
	h.within(func(tx *sqldb.Tenant) error {
		_, err := h.stock.StartRefresh(t.Context(), tx, audit.Actor{}, RefreshRules, true)
		return err
	})
	h.run((*queued)[1])
	h.must(503, "", "GET", path+"/data", "") // a dry one builds nothing
	h.within(func(tx *sqldb.Tenant) error {
		_, err := h.stock.StartRefresh(t.Context(), tx, audit.Actor{}, RefreshRules, false)
		return err
	})
	h.run((*queued)[2])
	if out := h.must(200, "", "GET", path+"/data", ""); out["pagination"].(map[string]any)["total"] != float64(refreshAtOnce+1) {
		t.Errorf("%v", out["pagination"])
	}
}
