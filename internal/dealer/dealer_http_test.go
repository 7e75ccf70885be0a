package dealer

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"carfluence/internal/auth"
	"carfluence/internal/rest"
)

// served answers requests as a caller with every scope.
func served(t *testing.T) http.Handler {
	t.Helper()
	d, tenant := open(t)
	d.DB = tenant.DB()
	api := rest.New(rest.Config{
		Gate: rest.Gate{
			Admit: func(x *rest.Exchange) error {
				x.Caller = &auth.Principal{Kind: auth.PersonKind, Group: tenant.Group(), ID: "p1", Name: "Jo"}
				return nil
			},
			Allow: func(*rest.Exchange, rest.Security) error { return nil },
		},
		Observe: func(*rest.Exchange) {},
		Log:     slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	d.Register(api)
	return api
}

func call(t *testing.T, h http.Handler, method, path, body string) (*httptest.ResponseRecorder, map[string]any) {
	t.Helper()
	r := httptest.NewRequest(method, "/api/v1"+path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	var out map[string]any
	if w.Body.Len() > 0 {
		if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
			t.Fatalf("%s %s: %v in %s", method, path, err, w.Body)
		}
	}
	return w, out
}

func TestDealerOverHTTP(t *testing.T) {
	h := served(t)
	w, out := call(t, h, "POST", "/dealers", `{"name":"Lakeside Motors","codes":["007"],"latitude":30.5,"address":null}`)
	dealer, _ := out["dealer"].(map[string]any)
	if w.Code != 201 || dealer == nil {
		t.Fatalf("create: %d %s", w.Code, w.Body)
	}
	id := dealer["id"].(string)
	if got := w.Header().Get("Location"); got != "/api/v1/dealers/"+id {
		t.Errorf("Location %s", got)
	}
	for member, want := range map[string]any{"latitude": 30.5, "longitude": nil, "address": nil, "time_zone": "UTC", "currency": "USD"} {
		if got, present := dealer[member]; !present || got != want {
			t.Errorf("%s is %v, want %v", member, got, want)
		}
	}

	w, out = call(t, h, "PATCH", "/dealers/"+id, `{"city":"Austin","latitude":null,"time_zone":"America/Chicago"}`)
	dealer, _ = out["dealer"].(map[string]any)
	if w.Code != 200 || dealer["city"] != "Austin" || dealer["latitude"] != nil || dealer["name"] != "Lakeside Motors" || dealer["time_zone"] != "America/Chicago" {
		t.Errorf("patch: %d %s", w.Code, w.Body)
	}

	w, _ = call(t, h, "POST", "/dealers/"+id+"/aliases", `{"alias":"Lakeside Ford"}`)
	alias := w.Header().Get("Location")
	if w.Code != 201 || !strings.HasPrefix(alias, "/api/v1/dealers/"+id+"/aliases/") {
		t.Errorf("alias: %d %s", w.Code, alias)
	}
	if w, _ = call(t, h, "DELETE", strings.TrimPrefix(alias, "/api/v1"), ""); w.Code != 204 {
		t.Errorf("delete alias: %d %s", w.Code, w.Body)
	}
	call(t, h, "POST", "/dealers/"+id+"/aliases", `{"alias":"Lakeside Ford"}`)
	if w, _ = call(t, h, "DELETE", "/dealers/"+id+"/aliases?alias=LAKESIDE%20ford", ""); w.Code != 204 {
		t.Errorf("delete alias by text: %d %s", w.Code, w.Body)
	}

	w, out = call(t, h, "GET", "/dealers?limit=500", "")
	if page := out["pagination"].(map[string]any); w.Code != 200 || len(out["dealers"].([]any)) != 1 || page["limit"] != 200.0 || page["total"] != 1.0 {
		t.Errorf("list: %d %s", w.Code, w.Body)
	}
	if w, _ = call(t, h, "DELETE", "/dealers/"+id, ""); w.Code != 204 {
		t.Errorf("delete: %d %s", w.Code, w.Body)
	}
	if w, _ = call(t, h, "GET", "/dealers/"+id, ""); w.Code != 404 {
		t.Errorf("after delete: %d", w.Code)
	}
}

func TestDealerRefusals(t *testing.T) {
	h := served(t)
	w, _ := call(t, h, "POST", "/dealers", `{"name":"Taken","codes":["T1"]}`)
	taken := strings.TrimPrefix(w.Header().Get("Location"), "/api/v1")
	tests := []struct {
		method, path, body string
		status             int
		pointers           string
	}{
		{"POST", "/dealers", `{}`, 422, "#/name"},
		{"POST", "/dealers", `{"name":"   "}`, 422, "#/name"},
		{"POST", "/dealers", `{"name":"x","colour":"red"}`, 422, "#/colour"},
		{"POST", "/dealers", `{"name":"x","website":"ftp://x","currency":"XXY","time_zone":"Local"}`, 422, "#/website #/time_zone #/currency"},
		{"POST", "/dealers", `{"name":"x","latitude":91,"codes":7}`, 422, "#/codes #/latitude"},
		{"POST", "/dealers", `{"name":"x","codes":[""]}`, 422, "#/codes/0"},
		{"POST", "/dealers", `{"name":" ","city":5,"latitude":91,"currency":"XXY","time_zone":"Local"}`, 422, "#/name #/city #/latitude #/currency #/time_zone"},
		{"PATCH", taken, `{"name":" ","city":5,"longitude":-181,"website":"x"}`, 422, "#/name #/city #/longitude #/website"},
		{"PATCH", taken, `{"longitude":1e999,"name":null,"city":5,"website":"x"}`, 422, "#/name #/city #/longitude #/website"},
		{"POST", "/dealers", `{"name":"a\u0000b","address":"a\nb","codes":["\u0007"]}`, 422, "#/name #/address #/codes/0"},
		{"POST", taken + "/aliases", `{"alias":"a\u0000b"}`, 422, "#/alias"},
		{"POST", "/dealers", `{"name":"TAKEN"}`, 409, "dealer_name_taken"},
		{"POST", "/dealers", `{"name":"t1"}`, 409, "dealer_name_taken"},
		{"POST", "/dealers", `{"name":"x","codes":["t1"]}`, 409, "alias_taken"},
		{"POST", "/dealers", `{"name":`, 400, ""},
		{"PATCH", "/dealers/unknown", `{"name":"x"}`, 404, ""},
		{"PATCH", taken, `{"name":null}`, 422, "#/name"},
		{"DELETE", "/dealers/unknown/aliases", ``, 422, ""},
		{"DELETE", "/dealers/unknown/aliases?alias=", ``, 422, ""},
		{"DELETE", "/dealers/unknown/aliases?alias=a&alias=b", ``, 422, ""},
		{"GET", "/dealers?offset=-1", ``, 422, ""},
		{"GET", "/dealers?offset=99999999999999999999", ``, 200, ""},
	}
	for _, tt := range tests {
		w, out := call(t, h, tt.method, tt.path, tt.body)
		if w.Code != tt.status {
			t.Errorf("%s %s %s: %d, want %d: %s", tt.method, tt.path, tt.body, w.Code, tt.status, w.Body)
			continue
		}
		if tt.pointers == "" {
			continue
		}
		list, _ := out["errors"].([]any)
		got := []string{out["code"].(string)}
		for _, f := range list {
			got = append(got, f.(map[string]any)["pointer"].(string))
		}
		for _, want := range strings.Fields(tt.pointers) {
			if strings.Count(strings.Join(got, " ")+" ", want+" ") > 1 {
				t.Errorf("%s: %s is named twice: %v", tt.body, want, got)
			}
			if !strings.Contains(strings.Join(got, " ")+" ", want+" ") {
				t.Errorf("%s: faults at %v, want %s", tt.body, got, tt.pointers)
			}
		}
	}
}
