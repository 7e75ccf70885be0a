package inventory

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"carfluence/internal/audit"
	"carfluence/internal/sqldb"
	"carfluence/internal/vehicle"
)

// config creates a merge config and returns its id. The body is a template of member texts.
func (h *house) config(body string) string {
	h.Helper()
	return h.mergeConfig(201, "POST", "/merge-configs", body)["id"].(string)
}

func (h *house) mergeConfig(status int, method, path, body string) map[string]any {
	h.Helper()
	return h.must(status, "", method, path, body)["mergeConfig"].(map[string]any)
}

// over is the least body of a config over some integrations.
func over(name string, ids ...string) string {
	b, _ := json.Marshal(map[string]any{"name": name, "sourceIntegrationIds": ids})
	return string(b)
}

// faultsOf are the places a refusal names.
func faultsOf(out map[string]any) string {
	var places []string
	list, _ := out["errors"].([]any)
	for _, e := range list {
		e := e.(map[string]any)
		place, _ := e["pointer"].(string)
		if place == "" {
			place, _ = e["parameter"].(string)
		}
		places = append(places, place)
	}
	slices.Sort(places)
	return strings.Join(places, " ")
}

func TestMergeConfigOverHTTP(t *testing.T) {
	h := open(t)
	code, text, header := h.call("", "POST", "/merge-configs", over(" DMS first ", strings.ToUpper(third), integration, second))
	var created struct{ MergeConfig map[string]any }
	if err := json.Unmarshal([]byte(text), &created); err != nil || code != 201 {
		t.Fatal(code, text)
	}
	id := created.MergeConfig["id"].(string)
	if header.Get("Location") != "/api/v1/merge-configs/"+id {
		t.Errorf("Location %s", header.Get("Location"))
	}
	all := []any{third, integration, second}
	want := map[string]any{
		"id": id, "name": "DMS first", "sourceIntegrationIds": all, "priorityOrder": all, "fieldPriority": map[string]any{}, "isDefault": false,
		"mileageTolerance": 100.0, "status": "ready", "createdAt": "2026-11-23T12:00:00Z", "updatedAt": "2026-11-23T12:00:00Z",
	}
	if diff := cmp.Diff(want, created.MergeConfig); diff != "" {
		t.Error(diff)
	}
	path := "/merge-configs/" + id
	patch := func(body string, change map[string]any) {
		t.Helper()
		h.now = h.now.Add(time.Minute)
		for name, value := range change {
			want[name] = value
		}
		if len(change) > 0 {
			want["updatedAt"] = h.now.Format(time.RFC3339)
		}
		if diff := cmp.Diff(want, h.mergeConfig(200, "PATCH", path, body)); diff != "" {
			t.Error(body, diff)
		}
		if diff := cmp.Diff(want, h.mergeConfig(200, "GET", path, "")); diff != "" {
			t.Error(body, diff)
		}
	}
	patch(`{}`, nil)
	patch(`{"name":"Mine","isDefault":true}`, map[string]any{"name": "Mine", "isDefault": true})
	patch(`{"priorityOrder":["`+second+`"]}`, map[string]any{"priorityOrder": []any{second, third, integration}})
	patch(`{"fieldPriority":{"price":"`+second+`","make":"`+third+`"}}`, map[string]any{"fieldPriority": map[string]any{"price": second, "make": third}})
	patch(`{"fieldPriority":{"price":null,"trim":"`+integration+`"},"mileageTolerance":0}`,
		map[string]any{"fieldPriority": map[string]any{"make": third, "trim": integration}, "mileageTolerance": 0.0})
	patch(`{"sourceIntegrationIds":["`+integration+`","`+second+`"]}`, // what a source was preferred for goes with it
		map[string]any{"sourceIntegrationIds": []any{integration, second}, "priorityOrder": []any{second, integration}, "fieldPriority": map[string]any{"trim": integration}})
	patch(`{"priorityOrder":null,"fieldPriority":null,"mileageTolerance":null,"isDefault":null}`,
		map[string]any{"priorityOrder": []any{integration, second}, "fieldPriority": map[string]any{}, "mileageTolerance": 100.0, "isDefault": false})

	h.now = h.now.Add(time.Minute)
	newer := h.config(over("Another", second))
	list := h.must(200, "", "GET", "/merge-configs?limit=1", "")
	if got := list["mergeConfigs"].([]any); len(got) != 1 || got[0].(map[string]any)["id"] != newer || list["pagination"].(map[string]any)["total"] != 2.0 {
		t.Errorf("list: %v", list)
	}
	if list = h.must(200, "", "GET", "/merge-configs?offset=1", ""); list["mergeConfigs"].([]any)[0].(map[string]any)["id"] != id {
		t.Errorf("second page: %v", list)
	}
	if list = h.must(200, "", "GET", "/merge-configs?offset=9", ""); len(list["mergeConfigs"].([]any)) != 0 {
		t.Errorf("beyond: %v", list)
	}
	if code, text, _ := h.call("", "DELETE", path, ""); code != 204 || text != "" {
		t.Errorf("delete: %d %s", code, text)
	}
	for _, path := range []string{path, path + "/data", path + "/data/" + truck, path + "/conflicts"} {
		h.must(404, "", "GET", path, "")
	}
	h.config(over("mine", second)) // the name is free
	rows, err := audit.List(t.Context(), h.tenant(), 100)
	if err != nil {
		t.Fatal(err)
	}
	counted := map[string]int{}
	for _, r := range rows {
		if counted[r.Name]++; r.SubjectType != "merge_config" || r.Actor.ID != "key-1" {
			t.Errorf("audit: %+v", r)
		}
	}
	if diff := cmp.Diff(map[string]int{"merge_config.created": 3, "merge_config.updated": 6, "merge_config.deleted": 1}, counted); diff != "" {
		t.Error(diff)
	}
}

func TestMergeConfigRefusals(t *testing.T) {
	h := open(t)
	id := h.config(`{"name":"Taken","sourceIntegrationIds":["` + integration + `","` + second + `"]}`)
	own := h.config(over("Own", second))
	for _, c := range []struct {
		method, path, body string
		status             int
		faults             string
	}{
		{"POST", "/merge-configs", `{}`, 422, "#/name #/sourceIntegrationIds"},
		{"POST", "/merge-configs", `[]`, 422, "#"},
		{"POST", "/merge-configs", `{"name":" ","sourceIntegrationIds":[]}`, 422, "#/name #/sourceIntegrationIds"},
		{"POST", "/merge-configs", `{"name":7,"sourceIntegrationIds":{"a":1},"colour":1,"status":"ready"}`, 422, "#/colour #/name #/sourceIntegrationIds #/status"},
		{"POST", "/merge-configs", `{"name":null,"sourceIntegrationIds":null}`, 422, "#/name #/sourceIntegrationIds"},
		{"POST", "/merge-configs", `{"name":"` + strings.Repeat("x", 201) + `","sourceIntegrationIds":["` + second + `","` + theirs + `","unknown","",7,"` + second + `"]}`, 422,
			"#/name #/sourceIntegrationIds/1 #/sourceIntegrationIds/2 #/sourceIntegrationIds/3 #/sourceIntegrationIds/4 #/sourceIntegrationIds/5"},
		{"POST", "/merge-configs", `{"name":"x\u0000y","sourceIntegrationIds":["` + second + `"],"priorityOrder":["` + integration + `","` + second + `","` + second + `"]}`, 422,
			"#/name #/priorityOrder/0 #/priorityOrder/2"},
		{"POST", "/merge-configs", `{"name":"x","sourceIntegrationIds":["` + theirs + `"],"isDefault":"yes","mileageTolerance":-1,
			"fieldPriority":{"prize":"` + second + `","custom":"` + theirs + `","vin":"` + theirs + `","days_on_lot":"` + theirs + `","price":"` + second + `","make":7,"model":"","trim":"` + theirs + `"}}`, 422,
			"#/fieldPriority/custom #/fieldPriority/days_on_lot #/fieldPriority/make #/fieldPriority/model #/fieldPriority/price #/fieldPriority/prize #/fieldPriority/vin " +
				"#/isDefault #/mileageTolerance #/sourceIntegrationIds/0"},
		{"POST", "/merge-configs", `{"name":"x","sourceIntegrationIds":["` + second + `"],"mileageTolerance":1.5,"fieldPriority":[],"priorityOrder":"x"}`, 422,
			"#/fieldPriority #/mileageTolerance #/priorityOrder"},
		{"POST", "/merge-configs", `{"name":"x","sourceIntegrationIds":["` + second + `"],"mileageTolerance":1000000}`, 422, "#/mileageTolerance"},
		{"POST", "/merge-configs", over("TAKEN ", second), 409, ""},
		{"POST", "/merge-configs", `{"name":`, 400, ""},
		{"PATCH", "/merge-configs/" + own, `{"name":"taken"}`, 409, ""},
		{"PATCH", "/merge-configs/" + id, `{"sourceIntegrationIds":["` + theirs + `","` + second + `"]}`, 422, "#/sourceIntegrationIds/0"},
		{"PATCH", "/merge-configs/" + id, `{"sourceIntegrationIds":["` + second + `"],"priorityOrder":["` + integration + `"],"fieldPriority":{"make":"` + integration + `"}}`, 422,
			"#/fieldPriority/make #/priorityOrder/0"},
		{"PATCH", "/merge-configs/" + id, `{"fieldPriority":{"nope":null},"name":null,"createdAt":1}`, 422, "#/createdAt #/fieldPriority/nope #/name"},
		{"PATCH", "/merge-configs/unknown", `{"name":"x"}`, 404, ""},
		{"DELETE", "/merge-configs/unknown", ``, 404, ""},
		{"GET", "/merge-configs/unknown", ``, 404, ""},
		{"GET", "/merge-configs/unknown/data", ``, 404, ""},
		{"GET", "/merge-configs/unknown/data/" + truck, ``, 404, ""},
		{"GET", "/merge-configs/unknown/conflicts", ``, 404, ""},
		{"GET", "/merge-configs/" + id + "/data/" + truck, ``, 404, ""},
		{"GET", "/merge-configs?limit=0", ``, 422, "limit"},
		{"GET", "/merge-configs/" + id + "/data?status=gone&limit=x", ``, 422, "limit status"},
		{"GET", "/merge-configs/" + id + "/data?search=a%0Ab", ``, 422, "search"},
		{"GET", "/merge-configs/" + id + "/conflicts?field=prize", ``, 422, "field"},
		{"GET", "/merge-configs/" + id + "/conflicts?field=cost", ``, 422, "field"},
		{"GET", "/merge-configs/" + id + "/conflicts?field=photos&limit=0", ``, 422, "limit"},
	} {
		out := h.must(c.status, "", c.method, c.path, c.body)
		if got := faultsOf(out); got != c.faults {
			t.Errorf("%s %s %s: %s, want %s", c.method, c.path, c.body, got, c.faults)
		}
	}
	out := h.must(422, "", "POST", "/merge-configs", `{"name":"x","sourceIntegrationIds":["`+second+`","`+theirs+`","`+truck+`"],"fieldPriority":{"internetPrize":"`+second+`"}}`)
	var details []string
	for _, e := range out["errors"].([]any) {
		details = append(details, e.(map[string]any)["detail"].(string))
	}
	want := []string{`"internetPrize" is no field of a vehicle; did you mean internet_price?`, "names no integration of this group", "names no integration of this group"}
	if diff := cmp.Diff(want, details); diff != "" {
		t.Error(diff)
	}
	if out := h.must(409, "", "POST", "/merge-configs", over("taken", second)); out["code"] != "merge_config_name_taken" || !strings.Contains(out["detail"].(string), id) {
		t.Errorf("taken: %v", out)
	}
	if got := h.mergeConfig(200, "GET", "/merge-configs/"+id, "")["name"]; got != "Taken" {
		t.Errorf("a refused body changed the config: %v", got)
	}
}

func TestMergeConfigScopes(t *testing.T) {
	h := open(t)
	path := "/merge-configs/" + h.config(over("A", integration))
	h.feeds(feedOf(integration), row(truck, 2, map[vehicle.Field]string{vehicle.Price: "1"}))
	for _, c := range []struct {
		method, path, body string
		allowed            string // callers, beside those with every scope
	}{
		{"GET", "/merge-configs", "", "integrations reader"},
		{"GET", path, "", "integrations reader"},
		{"POST", "/merge-configs", over("B", integration), ""},
		{"PATCH", path, `{}`, ""},
		{"GET", path + "/data", "", "reader"},
		{"GET", path + "/data/" + truck, "", "reader"},
		{"GET", path + "/conflicts", "", "reader"},
		{"DELETE", path, "", ""},
	} {
		for _, as := range []string{"reader", "integrations reader"} {
			if code, text, _ := h.call(as, c.method, c.path, c.body); (code == 403) != (as != c.allowed) || code != 403 && code != 200 {
				t.Errorf("%s: %s %s: %d %s", as, c.method, c.path, code, text)
			}
		}
		if code, text, _ := h.call("admin", c.method, c.path, c.body); code >= 300 {
			t.Errorf("admin: %s %s: %d %s", c.method, c.path, code, text)
		}
	}
}

func TestForeignMergeConfigsAreNotFound(t *testing.T) {
	h := open(t)
	id := h.config(over("Ours", integration))
	h.feeds(feedOf(integration), row(truck, 2, map[vehicle.Field]string{vehicle.Price: "1"}))
	for _, c := range []struct{ method, path, body string }{
		{"GET", "/merge-configs/%s", ""}, {"PATCH", "/merge-configs/%s", `{"name":"x"}`}, {"DELETE", "/merge-configs/%s", ""},
		{"GET", "/merge-configs/%s/data", ""}, {"GET", "/merge-configs/%s/data/" + truck, ""}, {"GET", "/merge-configs/%s/conflicts", ""},
	} {
		known, knownBody, _ := h.call("foreign", c.method, fmt.Sprintf(c.path, id), c.body)
		unknown, unknownBody, _ := h.call("foreign", c.method, fmt.Sprintf(c.path, theirs), c.body)
		if known != 404 || unknown != 404 || comparable(knownBody, id) != comparable(unknownBody, theirs) {
			t.Errorf("%s %s: %d %s, unknown %d %s", c.method, c.path, known, knownBody, unknown, unknownBody)
		}
	}
	if out := h.must(200, "foreign", "GET", "/merge-configs", ""); len(out["mergeConfigs"].([]any)) != 0 {
		t.Errorf("their list: %v", out)
	}
	if out := h.must(422, "foreign", "POST", "/merge-configs", over("Ours", integration)); faultsOf(out) != "#/sourceIntegrationIds/0" {
		t.Errorf("our integration: %v", out)
	}
	h.must(201, "foreign", "POST", "/merge-configs", `{"name":"Ours","sourceIntegrationIds":["`+theirs+`"],"isDefault":true}`) // the same name, theirs
	if h.mergeConfig(200, "GET", "/merge-configs/"+id, "")["isDefault"] != false {
		t.Error("a foreign config changed ours")
	}
}

func TestMergeConfigsAreLimited(t *testing.T) {
	h := open(t)
	for i := range maxMergeConfigs {
		h.config(over(fmt.Sprint(i), integration))
	}
	if out := h.must(409, "", "POST", "/merge-configs", over("one more", integration)); out["code"] != "too_many_merge_configs" {
		t.Errorf("%v", out)
	}
	list := make([]string, maxMergeSources+1)
	for i := range list {
		list[i] = fmt.Sprint(i)
	}
	if out := h.must(422, "", "POST", "/merge-configs", over("wide", list...)); !strings.Contains(faultsOf(out), "#/sourceIntegrationIds ") {
		t.Errorf("%v", out)
	}
}

// An integration that was deleted may stay where it stands, and its vehicles with it; it can't come back.
func TestDeletedIntegrationStaysInItsConfigs(t *testing.T) {
	h := open(t)
	path := "/merge-configs/" + h.config(over("A", integration, second))
	h.feeds(feedOf(second), row(truck, 2, map[vehicle.Field]string{vehicle.Price: "1"}))
	h.stock.Integrations = func(context.Context, *sqldb.Tenant) (map[string]IntegrationName, error) {
		return map[string]IntegrationName{integration: {"vauto", "Nightly"}, third: {"custom", "DMS"}}, nil
	}
	h.mergeConfig(200, "PATCH", path, `{"name":"B","priorityOrder":["`+second+`"],"fieldPriority":{"price":"`+second+`"}}`)
	h.mergeConfig(200, "PATCH", path, `{"sourceIntegrationIds":["`+second+`","`+third+`"]}`)
	if got := h.merged(path)[truck]["price"]; got != "1.00" {
		t.Errorf("price: %v", got)
	}
	h.mergeConfig(200, "PATCH", path, `{"sourceIntegrationIds":["`+third+`"]}`)
	h.must(422, "", "PATCH", path, `{"sourceIntegrationIds":["`+second+`"]}`)
}

func TestOneMergeConfigIsTheDefault(t *testing.T) {
	h := open(t)
	edition := func() int64 {
		t.Helper()
		n, err := h.stock.Edition(t.Context(), h.tenant())
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	a := "/merge-configs/" + h.config(over("A", integration, second))
	b := "/merge-configs/" + h.config(`{"name":"B","sourceIntegrationIds":["`+second+`","`+integration+`"],"isDefault":true}`)
	first := edition()
	if first != 1 {
		t.Errorf("edition %d", first)
	}
	for i, step := range []struct {
		path, body string
		raises     bool
	}{
		{a, `{"name":"C"}`, false},
		{a, `{"priorityOrder":["` + second + `"]}`, false},
		{b, `{"name":"D"}`, false},
		{b, `{"mileageTolerance":5}`, false},
		{b, `{"priorityOrder":["` + integration + `"]}`, true},
		{b, `{"fieldPriority":{"price":"` + second + `"}}`, true},
		{b, `{"isDefault":true}`, false},
		{a, `{"isDefault":true}`, true},
		{b, `{"isDefault":false}`, false},
		{a, `{"isDefault":false}`, true},
	} {
		before := edition()
		h.mergeConfig(200, "PATCH", step.path, step.body)
		if raised := edition() > before; raised != step.raises {
			t.Errorf("step %d, %s: raised %v", i, step.body, raised)
		}
		if i == 7 && (h.mergeConfig(200, "GET", a, "")["isDefault"] != true || h.mergeConfig(200, "GET", b, "")["isDefault"] != false) {
			t.Error("two defaults")
		}
	}
}
