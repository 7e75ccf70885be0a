package inventory

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"carfluence/internal/rest"
	"carfluence/internal/sqldb"
	"carfluence/internal/vehicle"
)

// merged lists a config's vehicles by VIN, those of all statuses.
func (h *house) merged(path string) map[string]map[string]any {
	h.Helper()
	out := map[string]map[string]any{}
	for _, v := range h.must(200, "", "GET", path+"/data?status=all&limit=200", "")["vehicles"].([]any) {
		v := v.(map[string]any)
		out[v["vin"].(string)] = v
	}
	return out
}

// mergedShows compares a merged vehicle with what is wanted of it, in the list and in the full record. A name that begins with
// @ is about the field's source.
func (h *house) mergedShows(path, vin string, want map[string]any) {
	h.Helper()
	listed := h.merged(path)[vin]
	full := h.vehicle(200, "", "GET", path+"/data/"+vin, "")
	for name, value := range want {
		field, about := strings.CutPrefix(name, "@")
		for place, v := range map[string]map[string]any{"list": listed, "record": full} {
			if about {
				v = v["_sources"].(map[string]any)
			}
			if _, shown := v[field]; place == "list" && !shown {
				continue
			}
			if !cmp.Equal(v[field], value) {
				h.Errorf("%s: %s is %v, want %v", place, name, v[field], value)
			}
		}
	}
	for name, value := range listed {
		if name != "_sources" && !cmp.Equal(full[name], value) {
			h.Errorf("%s: %v in the list, %v in the record", name, value, full[name])
		}
	}
	for name, value := range listed["_sources"].(map[string]any) {
		if full["_sources"].(map[string]any)[name] != value {
			h.Errorf("source of %s: %v in the list, %v in the record", name, value, full["_sources"].(map[string]any)[name])
		}
	}
}

func TestMergedVehicleBelievesByFieldThenByOrder(t *testing.T) {
	h := open(t)
	a, b, c := feedOf(integration), feedOf(second), feedOf(third)
	path := "/merge-configs/" + h.config(`{"name":"A","sourceIntegrationIds":["`+integration+`","`+second+`"],"fieldPriority":{"price":"`+second+`","trim":"`+second+`","gears":"`+second+`"}}`)
	h.feeds(a, row(truck, 2, map[vehicle.Field]string{vehicle.Make: "Ford", vehicle.Price: "100", vehicle.Trim: "XL", vehicle.Mileage: "10", vehicle.Transmission: "6-Speed Manual", vehicle.StockNumber: "A1", vehicle.Cost: "7"}))
	h.feeds(b, row(truck, 2, map[vehicle.Field]string{vehicle.Make: "FORD TRUCKS", vehicle.Model: "F-150", vehicle.Price: "200", vehicle.Mileage: "20 km", vehicle.Transmission: "8-Speed Automatic", vehicle.StockNumber: "B1"}))
	h.feeds(c, row(truck, 2, map[vehicle.Field]string{vehicle.Make: "Nobody", vehicle.Doors: "4"}))
	h.feeds(c, row(sedan, 2, map[vehicle.Field]string{vehicle.Make: "Nissan"}))
	h.mergedShows(path, truck, map[string]any{
		"make": "Ford", "@make": integration, "model": "F-150", "@model": second, "price": "200.00", "@price": second, "trim": "XL", "@trim": integration,
		"mileage": 10.0, "@mileage": integration, "mileage_unit": nil, "@mileage_unit": nil, // together
		"transmission": "6-Speed Manual", "transmission_type": "manual", "gears": 8.0, "@gears": second, // unless chosen
		"doors": nil, "status": "active", "@status": integration, "source_integration_id": integration, "stock_number": "A1", "days_on_lot": 0.0,
		"created_at": "2026-11-23T12:01:00Z", "updated_at": "2026-11-23T12:02:00Z", "cost": nil, "sold_at": nil,
	})
	h.must(404, "", "GET", path+"/data/"+sedan, "") // known, but of no source of the config
	if n := len(h.merged(path)); n != 1 {
		t.Errorf("%d vehicles", n)
	}
	h.shows(truck, map[string]any{"make": "Nobody"}) // the inventory has no default config

	h.retire(a, truck) // gone records come last
	h.mergedShows(path, truck, map[string]any{"make": "FORD TRUCKS", "price": "200.00", "trim": "XL", "mileage": 20.0, "mileage_unit": "km", "status": "active", "@status": second})
	h.feeds(b, row(truck, 2, map[vehicle.Field]string{vehicle.Price: ""})) // an empty value falls through
	h.mergedShows(path, truck, map[string]any{"price": "100.00", "@price": integration})
	h.retire(b, truck)
	h.mergedShows(path, truck, map[string]any{"status": "sold", "@status": integration, "make": "Ford", "sold_at": "2026-11-23T12:07:00Z"})
	h.feeds(b, row(truck, 2, map[vehicle.Field]string{vehicle.Price: "300", vehicle.Status: "sold"}))
	h.mergedShows(path, truck, map[string]any{"status": "sold", "@status": second, "price": "300.00"})
	h.feeds(a, row(truck, 2, map[vehicle.Field]string{vehicle.Status: "active"}))
	h.mergedShows(path, truck, map[string]any{"status": "active", "@status": integration})
	h.mergeConfig(200, "PATCH", path, `{"fieldPriority":{"status":"`+second+`"}}`)
	h.mergedShows(path, truck, map[string]any{"status": "sold", "@status": second})
	h.mergeConfig(200, "PATCH", path, `{"fieldPriority":null,"priorityOrder":["`+second+`"]}`)
	h.mergedShows(path, truck, map[string]any{"make": "FORD TRUCKS", "gears": 8.0, "source_integration_id": second})
	h.mergeConfig(200, "PATCH", path, `{"sourceIntegrationIds":["`+third+`"]}`)
	if got := h.merged(path); len(got) != 2 || got[truck]["make"] != "Nobody" {
		t.Errorf("over another source: %v", got)
	}
}

func TestMergedVehicleShowsOverridesAndRules(t *testing.T) {
	h := open(t)
	path := "/merge-configs/" + h.config(over("A", integration, second))
	h.feeds(feedOf(integration), row(truck, 2, map[vehicle.Field]string{vehicle.Price: "100", vehicle.Make: "Ford", vehicle.Cost: "50"}))
	h.vehicle(200, "", "PATCH", "/inventory/"+truck, `{"price":"90.00","trim":"XL"}`)
	h.vehicle(200, "", "POST", "/inventory", `{"vin":"`+truck+`","make":"Jeep","doors":4}`) // no override, and the API is no source of the config
	h.mergedShows(path, truck, map[string]any{"price": "90.00", "@price": "api", "trim": "XL", "@trim": "api", "make": "Ford", "doors": nil})
	full := h.vehicle(200, "", "GET", path+"/data/"+truck, "")
	if got, _ := json.Marshal(full["overrides"]); !strings.Contains(string(got), `{"field":"price","set_at":"2026-11-23T12:01:00Z","set_by":{"id":"key-1","name":"Test key","type":"api_key"},"source_value":"100.00","value":"90.00"}`) {
		t.Errorf("overrides: %s", got)
	}

	h.stock.Rules = func(context.Context, *sqldb.Tenant) (vehicle.Rules, error) {
		return vehicle.Rules{Names: []vehicle.RuleName{{ID: "r1", Name: "Used"}}, Run: func(v *vehicle.Values, r *vehicle.Ruling) {
			v[vehicle.Condition], v[vehicle.Status] = vehicle.ConditionUsed, vehicle.StatusSold
			r.Set = vehicle.FieldsOf(vehicle.Condition, vehicle.Status, vehicle.Price)
		}}, nil
	}
	h.feeds(feedOf(integration), row(truck, 2, map[vehicle.Field]string{vehicle.Price: "101"}))
	h.mergedShows(path, truck, map[string]any{"condition": "used", "@condition": "rule:r1", "status": "sold", "@status": "rule:r1", "@price": "api", "sold_at": "2026-11-23T12:02:00Z"})
	full = h.vehicle(200, "", "GET", path+"/data/"+truck, "")
	if got, _ := json.Marshal(full["rules"]); !strings.Contains(string(got), `"field":"condition","rule_id":"r1","rule_name":"Used"`) {
		t.Errorf("rules: %s", got)
	}
	h.stock.Rules = nil // what is shown stays until the vehicle is written again
	h.mergedShows(path, truck, map[string]any{"condition": "used", "@condition": "rule:r1"})
	h.vehicle(200, "", "PATCH", "/inventory/"+truck, `{"price":null}`)
	h.mergedShows(path, truck, map[string]any{"condition": nil, "@condition": nil, "price": "101.00", "@price": integration, "status": "active", "sold_at": nil})

	for as, shown := range map[string]bool{"": false, "reader": false, "admin": true} {
		v := h.vehicle(200, as, "GET", path+"/data/"+strings.ToLower(truck), "")
		_, value := v["cost"]
		_, source := v["_sources"].(map[string]any)["cost"]
		if value != shown || source != shown {
			t.Errorf("%q sees cost %v, its source %v", as, value, source)
		}
	}
}

func TestMergedListFilters(t *testing.T) {
	h := open(t)
	path := "/merge-configs/" + h.config(over("A", integration, second))
	h.feeds(feedOf(integration), row(truck, 2, map[vehicle.Field]string{vehicle.Make: "Ford", vehicle.StockNumber: "A_100%"}))
	h.feeds(feedOf(second), row(sedan, 2, map[vehicle.Field]string{vehicle.Make: "Nissan", vehicle.Model: "Altima"}))
	h.feeds(feedOf(second), row(wrongDigit, 2, map[vehicle.Field]string{vehicle.Make: "Škoda", vehicle.Status: "sold"}))
	h.feeds(feedOf(third), row("1FTEW1EF8HFA85882", 2, map[vehicle.Field]string{vehicle.Make: "Ford"}))
	for query, want := range map[string]string{
		"":                               sedan + " " + truck,
		"?status=active":                 sedan + " " + truck,
		"?status=sold":                   wrongDigit,
		"?status=all":                    wrongDigit + " " + sedan + " " + truck,
		"?limit=1":                       sedan,
		"?limit=1&offset=1":              truck,
		"?offset=2":                      "",
		"?offset=9223372036854775807":    "",
		"?search=alTI":                   sedan,
		"?search=0%25":                   truck,
		"?search=ford":                   truck,
		"?search=fordf":                  "",
		"?status=all&search=%C5%A1KODA":  wrongDigit,
		"?status=sold&search=ford":       "",
		"?status=all&limit=2&offset=1":   sedan + " " + truck,
		"?status=all&search=a&limit=1":   wrongDigit,
		"?integration_id=" + integration: sedan + " " + truck, // is no parameter of this list
	} {
		out := h.must(200, "", "GET", path+"/data"+query, "")
		var vins []string
		for _, v := range out["vehicles"].([]any) {
			vins = append(vins, v.(map[string]any)["vin"].(string))
		}
		if got := strings.Join(vins, " "); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	for query, total := range map[string]float64{"": 2, "?status=sold": 1, "?status=all&limit=1000": 3, "?status=all&search=s": 1} {
		if page := h.must(200, "", "GET", path+"/data"+query, "")["pagination"].(map[string]any); page["total"] != total || page["limit"].(float64) > 200 {
			t.Errorf("%s: %v", query, page)
		}
	}
}

func TestMergedPagesAreKept(t *testing.T) {
	h := open(t)
	path := "/merge-configs/" + h.config(over("A", integration))
	h.feeds(feedOf(integration), row(truck, 2, map[vehicle.Field]string{vehicle.Price: "1"}))
	for _, list := range []string{path + "/data", path + "/conflicts"} {
		_, first, header := h.call("", "GET", list, "")
		if _, again, _ := h.call("", "GET", list, ""); again != first || !strings.HasPrefix(header.Get("ETag"), `W/"`) {
			t.Errorf("%s: %s, then %s", list, first, again)
		}
		r := httptest.NewRequest("GET", "/api/v1"+list, nil)
		r.Header.Set("If-None-Match", header.Get("ETag"))
		w := httptest.NewRecorder()
		if h.api.ServeHTTP(w, r); w.Code != 304 || w.Body.Len() != 0 {
			t.Errorf("If-None-Match: %d %s", w.Code, w.Body)
		}
	}
	tenant, f, at := h.tenant(), Filter{Status: vehicle.StatusActive, Config: strings.TrimPrefix(path, "/merge-configs/")}, rest.Page{Limit: 50}
	if allocs := testing.AllocsPerRun(100, func() { _, _ = h.stock.List(t.Context(), tenant, f, at) }); allocs > 2 {
		t.Errorf("%.0f allocations for a page in memory", allocs)
	}
	_, _, before := h.call("", "GET", path+"/data", "")
	h.vehicle(200, "", "PATCH", "/inventory/"+truck, `{"price":"2.00"}`)
	if _, body, after := h.call("", "GET", path+"/data", ""); !strings.Contains(body, `"price":"2.00"`) || after.Get("ETag") == before.Get("ETag") {
		t.Errorf("own write is not shown: %s", body)
	}
}

// conflicts are the fields of each VIN, with the values of each source.
func (h *house) conflicts(path, query string) map[string]map[string]string {
	h.Helper()
	out := map[string]map[string]string{}
	for _, c := range h.must(200, "admin", "GET", path+"/conflicts"+query, "")["conflicts"].([]any) {
		c := c.(map[string]any)
		fields := map[string]string{}
		for name, f := range c["fields"].(map[string]any) {
			f := f.(map[string]any)
			text := fmt.Sprint(f["shown"], " of ", sourceName(f["source"]), ":")
			for _, v := range f["values"].([]any) {
				v := v.(map[string]any)
				text += fmt.Sprint(" ", sourceName(v["source_integration_id"]), " ", v["value"])
			}
			fields[name] = text
		}
		out[c["vin"].(string)] = fields
	}
	return out
}

func sourceName(id any) any {
	names := map[any]string{integration: "A", second: "B", third: "C"}
	if name, ok := names[id]; ok {
		return name
	}
	return id
}

func TestConflicts(t *testing.T) {
	h := open(t)
	path := "/merge-configs/" + h.config(over("A", integration, second, third))
	a, b, c := feedOf(integration), feedOf(second), feedOf(third)
	h.feeds(a, row(truck, 2, map[vehicle.Field]string{vehicle.Make: "Ford", vehicle.Price: "100", vehicle.Trim: "XL", vehicle.Mileage: "1000", vehicle.Cost: "1", vehicle.Description: "one", vehicle.Photos: "http://a/1", vehicle.Status: "active", vehicle.DateInStock: "2026-11-01"}))
	h.feeds(b, row(truck, 2, map[vehicle.Field]string{vehicle.Make: "FORD", vehicle.Price: "200", vehicle.Mileage: "1100", vehicle.Cost: "2", vehicle.Description: "two", vehicle.Photos: "http://b/1", vehicle.Status: "sold", vehicle.DateInStock: "2026-11-02"}))
	h.feeds(c, row(truck, 2, map[vehicle.Field]string{vehicle.Price: "100"}))
	h.feeds(a, row(sedan, 2, map[vehicle.Field]string{vehicle.Price: "1", vehicle.Mileage: "1000"}))
	h.feeds(b, row(sedan, 2, map[vehicle.Field]string{vehicle.Price: "1", vehicle.Mileage: "1101"}))
	h.feeds(a, row(wrongDigit, 2, map[vehicle.Field]string{vehicle.Price: "1"}))
	want := map[string]map[string]string{
		truck: {"price": "100.00 of A: A 100.00 B 200.00 C 100.00", "date_in_stock": "2026-11-01 of A: A 2026-11-01 B 2026-11-02"},
		sedan: {"mileage": "1000 of A: A 1000 B 1101"},
	}
	if diff := cmp.Diff(want, h.conflicts(path, "")); diff != "" {
		t.Error(diff)
	}
	price := map[string]map[string]string{truck: {"price": want[truck]["price"]}}
	if diff := cmp.Diff(price, h.conflicts(path, "?field=price")); diff != "" {
		t.Error(diff)
	}
	for query, total := range map[string]float64{"": 2, "?field=price": 1, "?field=mileage": 1, "?field=mileage_unit": 0, "?field=make": 0} {
		out := h.must(200, "", "GET", path+"/conflicts"+query, "")
		if got := out["pagination"].(map[string]any)["total"]; got != total || len(out["conflicts"].([]any)) != int(total) {
			t.Errorf("%s: %v", query, out)
		}
	}
	_, text, _ := h.call("", "GET", path+"/conflicts?limit=1", "") // newest first
	if !strings.Contains(text, sedan) || strings.Contains(text, truck) || !strings.Contains(text, `"pagination":{"total":2,"limit":1,"offset":0}`) {
		t.Errorf("first page: %s", text)
	}

	h.mergeConfig(200, "PATCH", path, `{"mileageTolerance":99}`)
	if got := h.conflicts(path, "?field=mileage"); len(got) != 2 || got[truck]["mileage"] != "1000 of A: A 1000 B 1100" {
		t.Errorf("less tolerance: %v", got)
	}
	h.mergeConfig(200, "PATCH", path, `{"mileageTolerance":101}`)
	if got := h.conflicts(path, "?field=mileage"); len(got) != 0 {
		t.Errorf("more tolerance: %v", got)
	}
	h.vehicle(200, "", "PATCH", "/inventory/"+truck, `{"price":"150.00"}`) // says what is shown, and settles nothing
	if got := h.conflicts(path, "?field=price")[truck]["price"]; got != "150.00 of api: A 100.00 B 200.00 C 100.00" {
		t.Errorf("overridden: %s", got)
	}
	h.retire(b, truck) // what is not listed any more disagrees with nobody
	h.retire(b, sedan)
	if got := h.conflicts(path, ""); len(got) != 0 {
		t.Errorf("after the retirement: %v", got)
	}
	h.feeds(b, row(truck, 2, map[vehicle.Field]string{vehicle.Price: "100", vehicle.DateInStock: ""}))
	if got := h.conflicts(path, ""); len(got) != 0 {
		t.Errorf("agreed: %v", got)
	}
}

func TestMileagesAreComparedAcrossUnits(t *testing.T) {
	for _, c := range []struct {
		a, b      [2]string // mileage and unit
		tolerance int64
		want      string // fields in conflict
	}{
		{[2]string{"100000", "km"}, [2]string{"62137", "mi"}, 0, ""},
		{[2]string{"100000", "km"}, [2]string{"62137", ""}, 0, ""},
		{[2]string{"100000", "km"}, [2]string{"62138", ""}, 0, "mileage mileage_unit"},
		{[2]string{"100000", "km"}, [2]string{"62138", ""}, 1, ""},
		{[2]string{"100000", "km"}, [2]string{"100000", ""}, 100, "mileage_unit"}, // the same number of something else
		{[2]string{"100000", "km"}, [2]string{"100101", "km"}, 100, "mileage"},
		{[2]string{"100", ""}, [2]string{"100", "mi"}, 0, ""},
		{[2]string{"100", "km"}, [2]string{"", "mi"}, 0, ""},
		{[2]string{"100", "mi"}, [2]string{"", "km"}, 0, ""},
		{[2]string{"1", ""}, [2]string{"0", ""}, 0, "mileage"},
	} {
		said := func(source string, m [2]string) *record {
			r := &record{vin: truck, source: source}
			r.values[vehicle.Mileage], r.values[vehicle.MileageUnit] = m[0], m[1]
			return r
		}
		var got []string
		for _, order := range [][]*record{{said("a", c.a), said("b", c.b)}, {said("a", c.b), said("b", c.a)}} {
			var m merged
			m.records = order
			m.disagreement(c.tolerance)
			got = append(got, strings.Join(m.disputed.Names(), " "))
		}
		slices.Sort(got)
		if got[0] != c.want || got[1] != c.want {
			t.Errorf("%v and %v within %d: %q, want %q", c.a, c.b, c.tolerance, got, c.want)
		}
	}
}

func TestDefaultConfigChangesTheInventory(t *testing.T) {
	h := open(t)
	a, b := feedOf(integration), feedOf(second)
	h.feeds(a, row(truck, 2, map[vehicle.Field]string{vehicle.Price: "100", vehicle.Trim: "XL"}))
	h.feeds(b, row(truck, 2, map[vehicle.Field]string{vehicle.Price: "200"}))
	h.vehicle(201, "", "POST", "/inventory", `{"vin":"`+sedan+`","make":"Nissan"}`) // what a config does not name is shown still
	h.shows(truck, map[string]any{"price": "200.00", "source_integration_id": second})
	h.now = h.now.Add(time.Minute)
	id := h.config(`{"name":"A","sourceIntegrationIds":["` + integration + `","` + second + `"],"isDefault":true}`)
	path := "/merge-configs/" + id
	h.shows(truck, map[string]any{"price": "100.00", "trim": "XL", "source_integration_id": integration})
	if got := h.vins(""); got != sedan+" "+truck {
		t.Errorf("listed: %s", got)
	}
	h.now = h.now.Add(time.Minute)
	h.mergeConfig(200, "PATCH", path, `{"fieldPriority":{"price":"`+second+`"}}`)
	h.shows(truck, map[string]any{"price": "200.00", "source_integration_id": integration})
	h.feeds(a, row(truck, 2, map[vehicle.Field]string{vehicle.Price: "110"}))
	h.shows(truck, map[string]any{"price": "200.00"})
	h.now = h.now.Add(time.Minute)
	h.mergeConfig(200, "PATCH", path, `{"isDefault":false}`)
	h.shows(truck, map[string]any{"price": "110.00"}) // changed last
	h.now = h.now.Add(time.Minute)
	h.mergeConfig(200, "PATCH", path, `{"isDefault":true}`)
	h.shows(truck, map[string]any{"price": "200.00"})
	h.now = h.now.Add(time.Minute)
	if code, text, _ := h.call("", "DELETE", path, ""); code != 204 {
		t.Fatal(code, text)
	}
	h.shows(truck, map[string]any{"price": "110.00"})
	var changes []string
	for _, e := range h.must(200, "", "GET", "/inventory/"+truck+"/history", "")["history"].([]any) {
		e := e.(map[string]any)
		price, _ := e["changed_fields"].(map[string]any)["price"].(map[string]any)
		changes = append(changes, fmt.Sprint(sourceName(e["actor_id"]), " ", price["new"]))
	}
	want := []string{"A 100.00", "B 200.00", "A 100.00", "B 200.00", "A 110.00", "B 200.00", "A 110.00"}
	if diff := cmp.Diff(want, changes); diff != "" {
		t.Error(diff)
	}
}

// A source that only adds to what others list keeps no vehicle from being sold, however much it is believed.
func TestWhatOnlyAddsDoesNotListMergedVehicles(t *testing.T) {
	h := open(t)
	a, b := feedOf(integration), feedOf(second)
	a.UpdateOnly = true
	path := "/merge-configs/" + h.config(`{"name":"A","sourceIntegrationIds":["`+integration+`","`+second+`"],"isDefault":true}`)
	h.feeds(b, row(truck, 2, map[vehicle.Field]string{vehicle.Price: "200"}))
	h.feeds(a, row(truck, 2, map[vehicle.Field]string{vehicle.Price: "100"}))
	h.mergedShows(path, truck, map[string]any{"status": "active", "@status": second, "price": "100.00"})
	h.retire(b, truck)
	h.shows(truck, map[string]any{"status": "sold"})
	h.mergedShows(path, truck, map[string]any{"status": "sold", "sold_at": "2026-11-23T12:03:00Z"})
	h.feeds(a, row(truck, 2, map[vehicle.Field]string{vehicle.Status: "active"})) // but its word counts
	h.shows(truck, map[string]any{"status": "active"})
	h.mergedShows(path, truck, map[string]any{"status": "active", "@status": integration})
}

func TestChosenSourceThatSaysNothingLeavesItsBundleTogether(t *testing.T) {
	h := open(t)
	path := "/merge-configs/" + h.config(`{"name":"A","sourceIntegrationIds":["`+integration+`","`+second+`"],"fieldPriority":{"mileage":"`+second+`","mileage_unit":"`+second+`"}}`)
	h.feeds(feedOf(integration), row(truck, 2, map[vehicle.Field]string{vehicle.Mileage: "100000", vehicle.MileageUnit: "km"}))
	h.feeds(feedOf(second), row(truck, 2, map[vehicle.Field]string{vehicle.Mileage: "62000"}))
	h.mergedShows(path, truck, map[string]any{"mileage": 62000.0, "mileage_unit": nil})
}

func TestOverridingOneFieldChoosesNoOtherSourceForAnother(t *testing.T) {
	h := open(t)
	a, b := feedOf(integration), feedOf(second)
	path := "/merge-configs/" + h.config(`{"name":"A","sourceIntegrationIds":["`+integration+`","`+second+`"],"fieldPriority":{"price":"`+second+`"},"isDefault":true}`)
	h.feeds(a, row(truck, 2, map[vehicle.Field]string{vehicle.Price: "100"}))
	h.feeds(b, row(truck, 2, map[vehicle.Field]string{vehicle.Price: "200"}))
	h.retire(a, truck)
	h.retire(b, truck)
	for range 2 {
		h.shows(truck, map[string]any{"price": "200.00"})
		h.mergedShows(path, truck, map[string]any{"price": "200.00"})
		h.vehicle(200, "", "PATCH", "/inventory/"+truck, `{"exterior_color":"Red"}`)
	}
	h.vehicle(200, "", "POST", "/inventory", `{"vin":"`+truck+`","price":"50.00"}`) // which nobody has given up
	h.shows(truck, map[string]any{"price": "50.00"})
	h.mergedShows(path, truck, map[string]any{"price": "200.00"})
}

func TestMergedVehicleIsSoldWhenItIsSaidToBe(t *testing.T) {
	h := open(t)
	path := "/merge-configs/" + h.config(over("A", integration))
	h.feeds(feedOf(integration), row(truck, 2, map[vehicle.Field]string{vehicle.Price: "100"}))
	h.now = h.now.Add(100 * 24 * time.Hour)
	h.vehicle(200, "", "PATCH", "/inventory/"+truck, `{"status":"sold"}`)
	h.now = h.now.Add(100 * 24 * time.Hour)
	h.feeds(feedOf(integration), row(truck, 2, map[vehicle.Field]string{vehicle.Price: "90"}))
	h.mergedShows(path, truck, map[string]any{"status": "sold", "@status": "api", "sold_at": "2027-03-03T12:01:00Z", "days_on_lot": 100.0})
}
