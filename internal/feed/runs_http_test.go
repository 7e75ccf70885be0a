package feed

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"carfluence/internal/sqldb"
	"carfluence/internal/vehicle"
)

// working is a house whose files are processed when asked.
func working(t testing.TB) (h *house, path string) {
	t.Helper()
	h = newHouse(t)
	h.Limits, h.Spool = DefaultLimits, t.TempDir()
	h.Enqueue = func(context.Context, *sqldb.Tenant, string) error { return nil }
	path, _, _ = h.integration("a")
	return h, path
}

// uploads sends a file and processes it; the answer is its log.
func (h *house) uploads(path, name, text string) map[string]any {
	h.Helper()
	log := h.must(202, "writer", "POST", path+"/files?filename="+name, text)["log"].(map[string]any)
	h.wait(time.Minute)
	h.works(path)
	return h.must(200, "reader", "GET", path+"/logs/"+log["id"].(string), "")["log"].(map[string]any)
}

func (h *house) works(path string) {
	h.Helper()
	if err := h.Work(h.Context(), h.tenant(), strings.TrimPrefix(path, "/integrations/")); err != nil {
		h.Fatal(err)
	}
}

func TestUploadedFileIsLogged(t *testing.T) {
	h, path := working(t)
	code, body, header := h.call("writer", "POST", path+"/files?filename=stock-2026-11-20.csv&modified=2026-11-20T10:00:00Z", "VIN,Price\n"+testVIN(0)+",100\nbad,=1+1\n")
	if code != 202 || !strings.HasPrefix(header.Get("Location"), "/api/v1"+path+"/logs/") || !strings.Contains(body, `"status":"queued"`) {
		t.Fatalf("%d %s %v", code, body, header)
	}
	h.works(path)
	out := h.must(200, "reader", "GET", strings.TrimPrefix(header.Get("Location"), "/api/v1"), "")
	log := out["log"].(map[string]any)
	for name, want := range map[string]any{
		"filename": "stock-2026-11-20.csv", "status": "completed", "records_total": 2.0, "records_created": 1.0, "records_updated": 0.0, "records_errors": 1.0, "records_done": 2.0,
		"file_time": "2026-11-20T00:00:00Z", "charset": "utf-8", "delimiter": ",", "columns": []any{"VIN", "Price"}, "would": nil, "code": nil, "repeated": false, "bytes": 41.0,
	} {
		if got, there := log[name]; !there || !cmp.Equal(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	want := []any{map[string]any{"line": 3.0, "result": "refused", "column": "VIN", "value": "bad", "reason": "no VIN: has 3 characters, not 17"}}
	if diff := cmp.Diff(want, out["errors"]); diff != "" {
		t.Error(diff)
	}
	if page := out["pagination"].(map[string]any); page["total"] != 1.0 {
		t.Errorf("%v", page)
	}
	list := h.must(200, "reader", "GET", path+"/logs?limit=5", "")
	first := list["logs"].([]any)[0].(map[string]any)
	for _, name := range []string{"filename", "processed_at", "records_total", "records_created", "records_updated", "records_errors", "duration_ms"} { // as published
		if _, there := first[name]; !there {
			t.Errorf("a log lacks %s: %v", name, first)
		}
	}
}

func TestErrorsAsCSV(t *testing.T) {
	h, path := working(t)
	h.uploads(path, "a.csv", "VIN,Price\n"+testVIN(0)+",=cmd|'calc'!A\n\"@bad\",5\n")
	log := h.must(200, "", "GET", path+"/logs", "")["logs"].([]any)[0].(map[string]any)
	code, body, header := h.call("reader", "GET", path+"/logs/"+log["id"].(string)+"/errors.csv", "")
	want := "line,result,column,value,reason\n" +
		"2,warning,Price,'=cmd|'calc'!A,\"\"\"=cmd|'calc'!A\"\" is no amount\"\n" +
		"3,refused,VIN,'@bad,\"no VIN: has 4 characters, not 17\"\n"
	if code != 200 || !strings.HasPrefix(header.Get("Content-Type"), "text/csv") || !strings.HasPrefix(header.Get("Content-Disposition"), "attachment") {
		t.Errorf("%d %v", code, header)
	}
	if diff := cmp.Diff(want, body); diff != "" {
		t.Error(diff)
	}
}

func TestUploadRefusals(t *testing.T) {
	h, path := working(t)
	h.Limits.FileBytes = 50
	for _, c := range []struct {
		as, path, body string
		status         int
		code           string
	}{
		{"reader", path + "/files?filename=a.csv", "x", 403, "insufficient_scope"},
		{"foreign", path + "/files?filename=a.csv", "x", 404, "not_found"},
		{"", "/integrations/nope/files?filename=a.csv", "x", 404, "not_found"},
		{"", path + "/files", "x", 422, "invalid"},
		{"", path + "/files?filename=", "x", 422, "invalid"},
		{"", path + "/files?filename=..", "x", 422, "invalid"},
		{"", path + "/files?filename=a%00b", "x", 422, "invalid"},
		{"", path + "/files?filename=a.csv&modified=yesterday", "x", 422, "invalid"},
	} {
		if got := h.must(c.status, c.as, "POST", c.path, c.body)["code"]; got != c.code {
			t.Errorf("%s: %v", c.path, got)
		}
	}
	h.must(200, "", "PATCH", path, `{"status":"paused"}`)
	if got := h.must(409, "", "POST", path+"/files?filename=a.csv", "x")["code"]; got != "integration_paused" {
		t.Errorf("paused: %v", got)
	}
	if logs := h.must(200, "", "GET", path+"/logs", "")["logs"].([]any); len(logs) != 0 {
		t.Errorf("refused uploads left %v", logs)
	}
}

func TestTooLargeUploadIsRefused(t *testing.T) {
	h, path := working(t)
	big := strings.Repeat("x", int(h.Limits.FileBytes>>20)+10)
	h.Limits.FileBytes = 50
	r := httptest.NewRequest("POST", "/api/v1"+path+"/files?filename=a.csv", strings.NewReader(big))
	r.ContentLength = -1 // chunked
	w := httptest.NewRecorder()
	h.api.ServeHTTP(w, r)
	if w.Code != 413 || !strings.Contains(w.Body.String(), "file_too_large") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestHeldFileIsDecidedOverHTTP(t *testing.T) {
	h, path := working(t)
	h.must(200, "", "PATCH", path, `{"syncSettings":{"strategy":"overwrite"}}`)
	h.uploads(path, "a.csv", stockFile(0, 20, "100"))
	log := h.uploads(path, "b.csv", stockFile(0, 5, "100"))
	if log["status"] != "held" || log["would"].(map[string]any)["sell"] != 15.0 || log["detail"] == nil {
		t.Fatalf("%v", log)
	}
	at := path + "/logs/" + log["id"].(string)
	for _, act := range []string{"/confirm", "/discard"} {
		h.must(403, "reader", "POST", at+act, "")
		h.must(404, "foreign", "POST", at+act, "")
		h.must(404, "", "POST", path+"/logs/nope"+act, "")
	}
	if got := h.must(200, "writer", "POST", at+"/discard", "")["log"].(map[string]any)["status"]; got != "discarded" {
		t.Errorf("%v", got)
	}
	for _, act := range []string{"/confirm", "/discard"} {
		if got := h.must(409, "", "POST", at+act, "")["code"]; got != "run_not_held" {
			t.Errorf("%v", got)
		}
	}
	again := h.uploads(path, "c.csv", stockFile(0, 5, "100"))
	h.must(200, "writer", "POST", path+"/logs/"+again["id"].(string)+"/confirm", "")
	h.works(path)
	if got := h.must(200, "", "GET", path+"/logs/"+again["id"].(string), "")["log"].(map[string]any); got["status"] != "completed" || got["vehicles_sold"] != 15.0 {
		t.Errorf("%v", got)
	}
	if got := h.must(200, "", "GET", path, "")["integration"].(map[string]any)["status"]; got != "active" {
		t.Errorf("integration: %v", got)
	}
}

func TestLogsOfOthersAreNotFound(t *testing.T) {
	h, path := working(t)
	log := h.uploads(path, "a.csv", stockFile(0, 2, "100"))
	other, _, _ := h.integration("b")
	for _, c := range []struct{ as, path string }{
		{"foreign", path + "/logs"}, {"foreign", path + "/logs/" + log["id"].(string)}, {"foreign", path + "/logs/" + log["id"].(string) + "/errors.csv"},
		{"", other + "/logs/" + log["id"].(string)}, {"", "/integrations/nope/logs"}, {"foreign", "/mappings/" + strings.TrimPrefix(path, "/integrations/") + "/preview"},
	} {
		h.must(404, c.as, "GET", c.path, "")
	}
	if list := h.must(200, "foreign", "GET", "/dealers/unmatched", "")["unmatched"].([]any); len(list) != 0 {
		t.Errorf("%v", list)
	}
}

func TestUnmatchedDealersAreListedOverHTTP(t *testing.T) {
	h, path := working(t)
	h.uploads(path, "a.csv", "VIN,Dealer Name\n"+testVIN(0)+",Nowhere Cars\n")
	list := h.must(200, "", "GET", "/dealers/unmatched", "")["unmatched"].([]any)
	if len(list) != 1 || list[0].(map[string]any)["name"] != "Nowhere Cars" || list[0].(map[string]any)["code"] != nil || list[0].(map[string]any)["vehicles"] != 1.0 {
		t.Errorf("%v", list)
	}
	h.must(403, "reader", "GET", "/dealers/unmatched", "")
}

func TestMappingsOverHTTP(t *testing.T) {
	h, path := working(t)
	mappings := "/mappings/" + strings.TrimPrefix(path, "/integrations/")
	empty := h.must(200, "reader", "GET", mappings+"/preview", "")["preview"].(map[string]any)
	if empty["filename"] != nil || len(empty["columns"].([]any)) != 0 {
		t.Errorf("before any file: %v", empty)
	}
	h.uploads(path, "a.csv", "VIN,Web Offer,Floorplan,Invoice\n"+testVIN(0)+",100,77700771,88800881\n")
	p := h.must(200, "reader", "GET", mappings+"/preview?rows=1", "")["preview"].(map[string]any)
	if p["filename"] != "a.csv" || p["rowsRead"] != 1.0 {
		t.Errorf("%v", p)
	}
	_, text, _ := h.call("reader", "GET", mappings+"/preview?rows=1", "")
	if strings.Contains(text, "77700771") || strings.Contains(text, "88800881") || !strings.Contains(text, `"Web Offer"`) {
		t.Errorf("a reader sees costs: %s", text)
	}
	if _, text, _ := h.call("", "GET", mappings+"/preview?rows=1", ""); !strings.Contains(text, "77700771") || !strings.Contains(text, "88800881") {
		t.Errorf("an administrator does not: %s", text)
	}
	out := h.must(200, "writer", "PATCH", mappings+"?reprocess=true", `{"mappings":{"Web Offer":"price"}}`)
	if log := out["log"].(map[string]any); log["status"] != "queued" || !cmp.Equal(out["mappings"], any(map[string]any{"Web Offer": "price"})) {
		t.Errorf("%v", out)
	}
	h.works(path)
	v, err := h.Stock.Get(t.Context(), h.tenant(), testVIN(0), "")
	if err != nil || v.Values[vehicle.Price] != "100.00" {
		t.Fatalf("the new mapping is not applied to the latest file: %v %+v", err, v)
	}
	if out := h.must(200, "writer", "PATCH", mappings, `{"mappings":{"web  offer":null}}`); out["log"] != nil || len(out["mappings"].(map[string]any)) != 0 {
		t.Errorf("%v", out)
	}
	faults := h.must(422, "", "PATCH", mappings, `{"mappings":{"A":"prise","B":"dealership_id","C":7},"x":1}`)["errors"].([]any)
	var at []string
	for _, f := range faults {
		at = append(at, f.(map[string]any)["pointer"].(string))
	}
	for _, want := range []string{"#/mappings/A", "#/mappings/B", "#/mappings/C", "#/x"} {
		if !strings.Contains(strings.Join(at, " "), want) {
			t.Errorf("faults at %v lack %s", at, want)
		}
	}
	h.must(403, "reader", "PATCH", mappings, `{"mappings":{}}`)
	h.must(404, "foreign", "PATCH", mappings, `{"mappings":{}}`)
}

func TestLogsShowCostsToAdministratorsOnly(t *testing.T) {
	h, path := working(t)
	log := h.uploads(path, "a.csv", "VIN,Invoice,Price\n"+testVIN(0)+",about 4321x y,cheap\n"+testVIN(1)+",-4321,cheap\n")
	at := path + "/logs/" + log["id"].(string)
	for _, url := range []string{at, at + "/errors.csv"} {
		_, admin, _ := h.call("", "GET", url, "")
		_, reader, _ := h.call("reader", "GET", url, "")
		if !strings.Contains(admin, "4321") || strings.Contains(reader, "4321") || !strings.Contains(reader, "cheap") {
			t.Errorf("%s:\nadministrator %s\nreader %s", url, admin, reader)
		}
	}
}
