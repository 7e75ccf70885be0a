package inventory

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"carfluence/internal/audit"
	"carfluence/internal/auth"
	"carfluence/internal/dealer"
	"carfluence/internal/errs"
	"carfluence/internal/rest"
	"carfluence/internal/rest/resttest"
	"carfluence/internal/sqldb"
	"carfluence/internal/sqldb/sqldbtest"
	"carfluence/internal/vehicle"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const (
	truck       = "1FTEW1EF8HFA85881"
	sedan       = "1N4AL3AP3FN366609"
	wrongDigit  = "1FTEW1EF9HFA85881"
	integration = "0199d5a0-5d2c-7c3f-9b64-0e2f6a3b1c00"
	group       = "0199d5a0-5d2c-7c3f-9b64-0e2f6a3b1c01"
	foreign     = "0199d5a0-5d2c-7c3f-9b64-0e2f6a3b1c02"
	third       = "0199d5a0-5d2c-7c3f-9b64-0e2f6a3b1c06"
	theirs      = "0199d5a0-5d2c-7c3f-9b64-0e2f6a3b1c07" // an integration of the foreign group
)

// house is the inventory behind its real handler, with callers named by a header.
type house struct {
	testing.TB
	api     *rest.API
	stock   *Stock
	dealers *dealer.Dealers
	db      *sqldb.DB
	now     time.Time
}

func open(t testing.TB) *house {
	h := &house{TB: t, db: sqldbtest.Open(t, sqldb.Stock), now: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)}
	clock := func() time.Time { return h.now }
	h.stock = NewStock(h.db, Options{PageCacheBytes: 1 << 20, IndexBytes: 64 << 20, DocumentBytes: 1 << 20, Exports: 8, Now: clock})
	h.stock.Integrations = func(_ context.Context, t *sqldb.Tenant) (map[string]IntegrationName, error) {
		if t.Group() == foreign {
			return map[string]IntegrationName{theirs: {"vauto", "Theirs"}}, nil
		}
		return map[string]IntegrationName{integration: {"vauto", "Nightly"}, second: {"homenet", "Website"}, third: {"custom", "DMS"}}, nil
	}
	h.dealers = &dealer.Dealers{DB: h.db, Now: clock, Held: h.stock.Count, Changed: h.stock.Bump}
	h.api = rest.New(rest.Config{
		Version: "test", Log: slog.New(slog.DiscardHandler), Observe: func(*rest.Exchange) {},
		Gate: rest.Gate{
			Admit: func(x *rest.Exchange) error {
				p := &auth.Principal{Kind: auth.KeyKind, Group: group, ID: "key-1", Name: "Test key", Scopes: auth.InventoryRead | auth.InventoryWrite | auth.IntegrationsRead | auth.IntegrationsWrite}
				switch x.Request().Header.Get("X-Caller") {
				case "admin":
					p.Scopes = auth.Admin
				case "reader":
					p.Scopes = auth.InventoryRead
				case "integrations reader":
					p.Scopes = auth.IntegrationsRead
				case "foreign":
					p.Group = foreign
				}
				x.Caller = p
				return nil
			},
			Allow: func(x *rest.Exchange, s rest.Security) error {
				need, _ := auth.ParseScope(s.Needs())
				if !x.Caller.(*auth.Principal).Scopes.Has(need) {
					return errs.New(errs.KindForbidden, "insufficient_scope", "no")
				}
				return nil
			},
		},
	})
	h.stock.Register(h.api)
	return h
}

// overridden names a vehicle's overridden fields.
func overridden(vehicle map[string]any) []any {
	names := []any{}
	for _, o := range vehicle["overrides"].([]any) {
		names = append(names, o.(map[string]any)["field"])
	}
	return names
}

func (h *house) tenant() *sqldb.Tenant { return h.db.Tenant(group) }

// call answers status, body and header. as is "" for a caller who may read and write.
func (h *house) call(as, method, path, body string) (int, string, http.Header) {
	h.Helper()
	r := httptest.NewRequest(method, "/api/v1"+path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	r.Header.Set("X-Caller", as)
	w := httptest.NewRecorder()
	h.api.ServeHTTP(w, r)
	return w.Code, w.Body.String(), resttest.Header(w.Header())
}

// must is call for a status that is expected; it returns the body decoded.
func (h *house) must(status int, as, method, path, body string) map[string]any {
	h.Helper()
	code, text, _ := h.call(as, method, path, body)
	if code != status {
		h.Fatalf("%s %s %s: %d %s, want %d", method, path, body, code, text, status)
	}
	var out map[string]any
	if status == http.StatusNoContent && text == "" {
		return nil
	}
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		h.Fatalf("%s %s: %v in %s", method, path, err, text)
	}
	return out
}

func (h *house) vehicle(status int, as, method, path, body string) map[string]any {
	h.Helper()
	return h.must(status, as, method, path, body)["vehicle"].(map[string]any)
}

// vins of a list.
func (h *house) vins(query string) string {
	h.Helper()
	var out []string
	for _, v := range h.must(200, "", "GET", "/inventory"+query, "")["vehicles"].([]any) {
		out = append(out, v.(map[string]any)["vin"].(string))
	}
	return strings.Join(out, " ")
}

// imports applies feed changes in one transaction, as package feed does.
func (h *house) imports(changes ...vehicle.Change) []Outcome {
	h.Helper()
	var outcomes []Outcome
	err := h.tenant().Transact(h.Context(), func(tx *sqldb.Tenant) (err error) {
		outcomes, err = apply(h.Context(), h.stock, tx, changes, Source{Name: SourceImport, IntegrationID: integration, File: "stock.csv"})
		return err
	})
	if err != nil {
		h.Fatal(err)
	}
	h.stock.Committed(group)
	return outcomes
}

func row(vin string, line int, cells map[vehicle.Field]string) vehicle.Change {
	c := vehicle.Change{VIN: vin, Line: line}
	for f := range vehicle.NumFields {
		if raw, ok := cells[f]; ok {
			vehicle.Cleaner{Now: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)}.Set(&c, f, raw)
		}
	}
	return c
}

func (h *house) values(vin string) vehicle.Values {
	h.Helper()
	v, err := h.stock.Get(h.Context(), h.tenant(), vin, "")
	if err != nil {
		h.Fatal(err)
	}
	return v.Values
}

func (h *house) dealership(name, zone string) string {
	h.Helper()
	d, err := h.dealers.Create(h.Context(), h.tenant(), audit.Actor{}, dealer.Dealer{Name: name, TimeZone: zone})
	if err != nil {
		h.Fatal(err)
	}
	h.stock.Committed(group)
	return d.ID
}

func TestVehicleIsCreatedAndKnownAgain(t *testing.T) {
	h := open(t)
	body := `{"vin":" 1ftew1ef8hfa85881","make":"Ford","model":"F-150","price":35997,"internet_price":"35497.5","mileage":107031,"condition":"used","transmission":"6-Speed Automatic"}`
	code, text, header := h.call("", "POST", "/inventory", body)
	if code != 201 || header.Get("Location") != "/api/v1/inventory/"+truck || header.Get("Content-Type") != "application/json" {
		t.Fatalf("%d %s %v", code, text, header)
	}
	v := h.vehicle(200, "", "GET", "/inventory/"+strings.ToLower(truck), "")
	for name, want := range map[string]any{
		"vin": truck, "price": "35997.00", "internet_price": "35497.50", "mileage": 107031.0, "status": "active", "days_on_lot": 0.0, "vin_status": "valid",
		"transmission_type": "automatic", "gears": 6.0, "source_integration_id": nil, "photos": []any{}, "custom": map[string]any{}, "dealership_id": nil,
		"created_at": "2026-11-23T12:00:00Z", "sold_at": nil, "year": nil, "overrides": []any{}, "rules": []any{},
	} {
		if got, there := v[name]; !there || !cmp.Equal(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	h.now = h.now.Add(time.Hour)
	again := h.vehicle(200, "", "POST", "/inventory", `{"vin":"`+truck+`","price":"30000"}`)
	if again["price"] != "30000.00" || again["make"] != "Ford" || again["created_at"] != v["created_at"] || again["updated_at"] != "2026-11-23T13:00:00Z" {
		t.Errorf("second: %v", again)
	}
	if got := h.vehicle(201, "", "POST", "/inventory", `{"vin":"`+wrongDigit+`","make":"Ford"}`)["vin_status"]; got != "check_digit_failed" {
		t.Errorf("wrong check digit: %v", got)
	}
}

func TestPatchOverridesFeedsUntilReleased(t *testing.T) {
	h := open(t)
	feed := row(truck, 2, map[vehicle.Field]string{vehicle.Price: "30000", vehicle.Make: "Ford", vehicle.Custom: `{"lane":"A"}`, vehicle.Photos: "http://a/1"})
	h.imports(feed)
	v := h.vehicle(200, "", "PATCH", "/inventory/"+truck, `{"price":"28000.00","custom":{"row":"7","lane":null},"photos":[]}`)
	if v["price"] != "28000.00" || !cmp.Equal(v["custom"], map[string]any{"row": "7"}) || !cmp.Equal(overridden(v), []any{"price", "custom"}) || v["photo_count"] != 1.0 {
		t.Errorf("patched: %v", v)
	}
	if v["source_integration_id"] != integration {
		t.Errorf("a patch took the vehicle from its source: %v", v["source_integration_id"])
	}
	feed.Put(vehicle.Price, "29000.00")
	feed.Put(vehicle.Make, "RAM")
	h.imports(feed)
	v = h.vehicle(200, "", "GET", "/inventory/"+truck, "")
	if v["price"] != "28000.00" || v["make"] != "RAM" {
		t.Errorf("after the feed: %v %v", v["price"], v["make"])
	}
	if v = h.vehicle(200, "", "PATCH", "/inventory/"+truck, `{"price":null}`); v["price"] != "29000.00" || !cmp.Equal(overridden(v), []any{"custom"}) {
		t.Errorf("released: %v %v", v["price"], v["overrides"])
	}
}

// A feed does not complete what a PATCH has said by what it had to say itself.
func TestFeedsLeaveAloneWhatGoesWithAnOverride(t *testing.T) {
	type cells = map[vehicle.Field]string
	for name, tt := range map[string]struct {
		patch string
		feed  cells
		want  cells
	}{
		"transmission":                     {`{"transmission":"Manual"}`, cells{vehicle.Transmission: "8-Speed Automatic"}, cells{vehicle.TransmissionType: "manual", vehicle.Gears: ""}},
		"gears told by themselves":         {`{"transmission":"Manual"}`, cells{vehicle.Transmission: "8-Speed Automatic", vehicle.Gears: "6"}, cells{vehicle.TransmissionType: "manual", vehicle.Gears: ""}},
		"mileage":                          {`{"mileage":1000}`, cells{vehicle.Mileage: "2000 km"}, cells{vehicle.Mileage: "1000", vehicle.MileageUnit: ""}},
		"certified":                        {`{"certified":false}`, cells{vehicle.Certified: "HPD"}, cells{vehicle.Certified: vehicle.False, vehicle.CertifiedProgram: ""}},
		"condition":                        {`{"condition":"new"}`, cells{vehicle.Condition: "CPO"}, cells{vehicle.Condition: vehicle.ConditionNew, vehicle.Certified: ""}},
		"condition, certified by a column": {`{"condition":"used"}`, cells{vehicle.Condition: "N", vehicle.Certified: ""}, cells{vehicle.Condition: vehicle.ConditionUsed, vehicle.Certified: vehicle.False}},
		"a loaner":                         {`{"condition":"new","disposition":"loaner"}`, cells{vehicle.Condition: "U"}, cells{vehicle.Condition: vehicle.ConditionNew, vehicle.Disposition: "loaner"}},
		"photos":                           {`{"photos":["http://b/1"],"photo_count":null}`, cells{vehicle.Photos: "http://a/1|http://a/2"}, cells{vehicle.Photos: `["http://b/1"]`}},
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t)
			h.imports(row(truck, 2, cells{vehicle.Make: "Ford"}))
			h.vehicle(200, "", "PATCH", "/inventory/"+truck, tt.patch)
			for range 2 {
				h.imports(row(truck, 2, tt.feed))
			}
			got := h.values(truck)
			for f, want := range tt.want {
				if got[f] != want {
					t.Errorf("%s is %q, want %q", f, got[f], want)
				}
			}
		})
	}
}

// Nothing a PATCH has set may be kept from feeds for ever: not the status, which can't be null, nor what had
// followed from another field.
func TestEveryOverrideCanBeReleased(t *testing.T) {
	h := open(t)
	feed := row(truck, 2, map[vehicle.Field]string{vehicle.Transmission: "8-Speed Automatic", vehicle.Photos: "http://a/1|http://a/2"})
	h.imports(feed)
	v := h.vehicle(200, "", "PATCH", "/inventory/"+truck, `{"status":"sold","photos":["http://b/1"],"transmission":"6-Speed Manual"}`)
	if want := []any{"transmission", "transmission_type", "gears", "status", "photos", "photo_count"}; !cmp.Equal(overridden(v), want) {
		t.Errorf("overrides: %v", v["overrides"])
	}
	v = h.vehicle(200, "", "PATCH", "/inventory/"+truck, `{"status":null,"photos":null,"transmission":null}`)
	if !cmp.Equal(overridden(v), []any{}) || v["status"] != "active" || v["sold_at"] != nil || v["transmission_type"] != "automatic" {
		t.Errorf("released: %v, status %v, type %v", v["overrides"], v["status"], v["transmission_type"])
	}
	feed.Put(vehicle.Status, vehicle.StatusActive)
	h.imports(feed)
	v = h.vehicle(200, "", "GET", "/inventory/"+truck, "")
	if v["status"] != "active" || v["photo_count"] != 2.0 || v["transmission_type"] != "automatic" || v["gears"] != 8.0 {
		t.Errorf("after the feed: %v %v %v %v", v["status"], v["photo_count"], v["transmission_type"], v["gears"])
	}
	v = h.vehicle(200, "", "PATCH", "/inventory/"+truck, `{"transmission":null,"gears":7}`)
	if !cmp.Equal(overridden(v), []any{"gears"}) {
		t.Errorf("an override of its own is released: %v", v["overrides"])
	}
}

func TestRefusedBodies(t *testing.T) {
	h := open(t)
	h.vehicle(201, "", "POST", "/inventory", `{"vin":"`+truck+`","make":"Ford"}`)
	for _, c := range []struct{ method, path, body, pointers string }{
		{"POST", "/inventory", `{"vin":"1FTEW1EF8HFA8588O","make":"Ford"}`, "#/vin"},
		{"POST", "/inventory", `{"vin":"1FTEW1EF8HFA8588","make":"Ford"}`, "#/vin"},
		{"POST", "/inventory", `{"vin":17,"make":"Ford"}`, "#/vin"},
		{"POST", "/inventory", `{"make":"Ford"}`, "#/vin"},
		{"POST", "/inventory", `{"vin":"` + truck + `"}`, "#"},
		{"POST", "/inventory", `[]`, "#"},
		{"POST", "/inventory", `{"vin":"` + truck + `","year":"2021","price":-1,"condition":"New","colour":"x","status":null,"photos":["ftp://a"],"days_on_lot":3,"make":7}`,
			"#/colour #/condition #/days_on_lot #/make #/photos/0 #/price #/status #/year"},
		{"POST", "/inventory", `{"vin":"` + truck + `","year":2029,"price":"12.345","mileage":1000000,"date_in_stock":"2026-02-30","dealership_id":"x"}`,
			"#/date_in_stock #/dealership_id #/mileage #/price #/year"},
		{"POST", "/inventory", `{"vin":"` + truck + `","dealership_id":"` + integration + `"}`, "#/dealership_id"},
		{"PATCH", "/inventory/" + truck, `{"vin":"` + sedan + `"}`, "#/vin"},
		{"PATCH", "/inventory/" + truck, `{"source_integration_id":null}`, "#/source_integration_id"},
		{"PATCH", "/inventory/" + truck, `{"dealership_id":"` + integration + `"}`, "#/dealership_id"},
	} {
		out := h.must(422, "", c.method, c.path, c.body)
		var pointers []string
		for _, e := range out["errors"].([]any) {
			pointers = append(pointers, e.(map[string]any)["pointer"].(string))
		}
		slices.Sort(pointers)
		if got := strings.Join(pointers, " "); got != c.pointers {
			t.Errorf("%s %s: %s, want %s", c.method, c.body, got, c.pointers)
		}
	}
	for _, body := range []string{`{"vin":"x",}`, `{"vin":"a","vin":"b"}`, `{} {}`, "{\"vin\":\"\xff\"}"} {
		h.must(400, "", "POST", "/inventory", body)
	}
	if v := h.vehicle(200, "", "GET", "/inventory/"+truck, ""); v["updated_at"] != "2026-11-23T12:00:00Z" || v["year"] != nil {
		t.Errorf("a refused body changed the vehicle: %v", v)
	}
}

func TestRefusedQueries(t *testing.T) {
	h := open(t)
	for query, parameter := range map[string]string{
		"?status=": "status", "?status": "status", "?integration_id=": "integration_id", "?status=sold&status=bogus": "status", "?search=a&search=b": "search",
		"?limit=0": "limit", "?limit=x": "limit", "?offset=-1": "offset", "?status=gone": "status", "?integration_id=7": "integration_id", "?search=a%0Ab": "search", "?search=%FF": "search",
	} {
		out := h.must(422, "", "GET", "/inventory"+query, "")
		if got := out["errors"].([]any)[0].(map[string]any)["parameter"]; got != parameter {
			t.Errorf("%s: %v", query, out)
		}
	}
	h.must(422, "", "GET", "/inventory/"+truck+"?integration_id=7", "")
	h.must(422, "", "GET", "/inventory/"+truck+"?integration_id=", "")
	for _, query := range []string{"?search=", "?search", "?search=&limit=99999999999999999999", "?nobody=knows&nobody=cares&offset=99999999999999999999"} {
		h.must(200, "", "GET", "/inventory"+query, "")
	}
	for _, path := range []string{"/inventory", "/inventory/" + truck} {
		method := map[bool]string{true: "POST", false: "PATCH"}[path == "/inventory"]
		h.must(403, "reader", method, path, `{"vin":"`+truck+`","make":"Ford"}`)
	}
}

func TestForeignVehiclesAreNotFound(t *testing.T) {
	h := open(t)
	h.vehicle(201, "", "POST", "/inventory", `{"vin":"`+truck+`","make":"Ford"}`)
	for _, c := range []struct{ method, path, body string }{
		{"GET", "/inventory/%s", ""}, {"GET", "/inventory/%s/history", ""}, {"PATCH", "/inventory/%s", `{"make":"Ford"}`}, {"GET", "/inventory/%s?integration_id=" + integration, ""},
	} {
		known, knownBody, _ := h.call("foreign", c.method, fmt.Sprintf(c.path, truck), c.body)
		unknown, unknownBody, _ := h.call("foreign", c.method, fmt.Sprintf(c.path, sedan), c.body)
		if known != 404 || unknown != 404 || comparable(knownBody, truck) != comparable(unknownBody, sedan) {
			t.Errorf("%s %s: %d %s, unknown %d %s", c.method, c.path, known, knownBody, unknown, unknownBody)
		}
	}
	for _, path := range []string{"/inventory?status=all", "/inventory?search=ford"} {
		if out := h.must(200, "foreign", "GET", path, ""); len(out["vehicles"].([]any)) != 0 {
			t.Errorf("%s: %v", path, out)
		}
	}
	if out := h.must(200, "foreign", "GET", "/inventory/stats/summary", ""); out["stats"].(map[string]any)["total_count"] != "0" {
		t.Error(out)
	}
	h.vehicle(201, "foreign", "POST", "/inventory", `{"vin":"`+truck+`","make":"Jeep"}`) // the same VIN, theirs
	if v := h.vehicle(200, "", "GET", "/inventory/"+truck, ""); v["make"] != "Ford" {
		t.Errorf("a foreign write changed it: %v", v)
	}
}

// comparable takes out of a problem what names the request.
func comparable(problem, vin string) string {
	var p map[string]any
	_ = json.Unmarshal([]byte(problem), &p)
	delete(p, "requestId")
	b, _ := json.Marshal(p)
	return strings.ReplaceAll(string(b), vin, "VIN")
}

func TestListFilters(t *testing.T) {
	h := open(t)
	h.imports(row(truck, 2, map[vehicle.Field]string{vehicle.Make: "Ford", vehicle.Model: "F-150", vehicle.StockNumber: "A_100%"}))
	h.now = h.now.Add(time.Minute)
	h.vehicle(201, "", "POST", "/inventory", `{"vin":"`+sedan+`","make":"Nissan","model":"Altima","stock_number":"N\\1"}`)
	h.now = h.now.Add(time.Minute)
	h.vehicle(201, "", "POST", "/inventory", `{"vin":"`+wrongDigit+`","make":"Škoda","status":"sold"}`)
	for query, want := range map[string]string{
		"":                                       sedan + " " + truck,
		"?status=active":                         sedan + " " + truck,
		"?status=sold":                           wrongDigit,
		"?status=all":                            wrongDigit + " " + sedan + " " + truck,
		"?limit=1":                               sedan,
		"?limit=1&offset=1":                      truck,
		"?offset=2":                              "",
		"?offset=9223372036854775807":            "",
		"?limit=1000":                            sedan + " " + truck,
		"?integration_id=" + integration:         truck,
		"?integration_id=" + group:               "",
		"?search=alTI":                           sedan,
		"?search=hfa858":                         truck,
		"?search=_1":                             truck,
		"?search=0%25":                           truck,
		"?search=%25":                            truck,
		"?search=n%5C1":                          sedan,
		"?search=FORD+":                          truck,
		"?search=fordf":                          "",
		"?status=all&search=%C5%A1KODA":          wrongDigit,
		"?status=all&search=ford&limit=1":        truck,
		"?status=sold&integration_id=" + group:   "",
		"?search=" + url.QueryEscape("' OR 1=1"): "",
	} {
		if got := h.vins(query); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	page := h.must(200, "", "GET", "/inventory?limit=1000&search=a", "")["pagination"]
	if want := (map[string]any{"total": 2.0, "limit": 200.0, "offset": 0.0}); !cmp.Equal(page, want) {
		t.Errorf("pagination: %v", page)
	}
	h.vehicle(200, "", "GET", "/inventory/"+truck+"?integration_id="+strings.ToUpper(integration), "")
	h.must(404, "", "GET", "/inventory/"+sedan+"?integration_id="+integration, "")
}

func TestListPageGolden(t *testing.T) {
	h := open(t)
	id := h.dealership("Ancira Ford", "America/Chicago")
	h.imports(row(truck, 2, map[vehicle.Field]string{
		vehicle.StockNumber: "FA85881", vehicle.Year: "2017", vehicle.Make: "FORD", vehicle.Model: "F-150", vehicle.Trim: "Platinum", vehicle.Price: "$35,997", vehicle.InternetPrice: "35497.50", vehicle.Mileage: "107,031 mi", vehicle.ExteriorColor: "Ruby \"Red\"",
		vehicle.InteriorColor: "Brunello", vehicle.BodyStyle: "4D SuperCrew", vehicle.Condition: "U", vehicle.DateInStock: "11/03/2026", vehicle.DealershipID: id, vehicle.Description: "one\ntwo", vehicle.Cost: "20000",
	}))
	h.imports(row(wrongDigit, 3, map[vehicle.Field]string{vehicle.Status: "sold"}))
	_, body, _ := h.call("", "GET", "/inventory?status=all&limit=5", "")
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, []byte(body), "", "  "); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", "list.golden.json")
	if *update {
		_ = os.MkdirAll("testdata", 0o755)
		if err := os.WriteFile(path, pretty.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), pretty.String()); diff != "" {
		t.Errorf("list page (go test -update rewrites it):\n%s", diff)
	}
}

func TestSensitiveFieldsAreForAdministrators(t *testing.T) {
	h := open(t)
	h.vehicle(201, "", "POST", "/inventory", `{"vin":"`+truck+`","cost":"20000","price":"30000","invoice":1,"book_value":"2","wholesale_price":"3.00"}`)
	h.vehicle(200, "", "PATCH", "/inventory/"+truck, `{"cost":"21000"}`)
	secret := []string{"cost", "invoice", "book_value", "wholesale_price"}
	for as, shown := range map[string]bool{"": false, "reader": false, "admin": true} {
		v := h.vehicle(200, as, "GET", "/inventory/"+truck, "")
		_, history, _ := h.call(as, "GET", "/inventory/"+truck+"/history", "")
		for _, name := range secret {
			if _, there := v[name]; there != shown || strings.Contains(history, `"`+name+`"`) != shown {
				t.Errorf("%q sees %s: %v %s", as, name, there, history)
			}
		}
		if n := strings.Count(history, "change_type"); n != map[bool]int{true: 2, false: 1}[shown] {
			t.Errorf("%q: %d entries: %s", as, n, history)
		}
	}
}

// historyLine is an entry of a vehicle's history.
type historyLine struct {
	ChangeType string                            `json:"change_type"`
	Changed    map[string]struct{ Old, New any } `json:"changed_fields"`
	Source     string
	ActorName  *string `json:"actor_name"`
	File       *string
	Line       *int
	CreatedAt  string `json:"created_at"`
}

// history is a vehicle's, a line each: what describe makes of it, by whom, and the changed fields.
func (h *house) history(vin string, describe func(historyLine) string) (lines []string) {
	h.Helper()
	var got struct{ History []historyLine }
	_, body, _ := h.call("", "GET", "/inventory/"+vin+"/history", "")
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		h.Fatal(err, body)
	}
	for _, e := range got.History {
		line := describe(e)
		if e.ActorName != nil {
			line += " by " + *e.ActorName
		}
		fields, _ := json.Marshal(e.Changed)
		lines = append(lines, line+" "+string(fields))
	}
	return lines
}

// told is a vehicle's history in short.
func (h *house) told(vin string) []string {
	h.Helper()
	return h.history(vin, func(e historyLine) string { return e.ChangeType + " " + e.Source })
}

// What the history may name as the source of a change stands in the document.
func TestSourcesOfHistoryAreDocumented(t *testing.T) {
	field, _ := reflect.TypeFor[historyEntry]().FieldByName("Source")
	documented := strings.Split(field.Tag.Get("enum"), ",")
	for _, source := range []string{SourceAPI, SourceImport, sourceRule, sourceIntegration} {
		if !slices.Contains(documented, source) {
			t.Errorf("%s is not among %q", source, documented)
		}
	}
}

func TestHistoryTellsWhatHappened(t *testing.T) {
	h := open(t)
	h.imports(row(truck, 7, map[vehicle.Field]string{vehicle.Price: "30000", vehicle.Make: "Ford", vehicle.Transmission: "8-Speed Automatic", vehicle.ExteriorColor: "Ruby Red"}))
	h.now = h.now.Add(time.Hour)
	if got := h.imports(row(truck, 8, map[vehicle.Field]string{vehicle.Price: "$30,000.00", vehicle.Make: "FORD", vehicle.Transmission: "automatic", vehicle.ExteriorColor: "ruby  red"})); got[0] != Unchanged {
		t.Errorf("other spelling: %v", got)
	}
	h.imports(row(truck, 9, map[vehicle.Field]string{vehicle.Price: "29000", vehicle.Transmission: "CVT", vehicle.Status: "sold"}))
	h.now = h.now.Add(time.Hour)
	h.vehicle(200, "", "PATCH", "/inventory/"+truck, `{"exterior_color":"RUBY RED"}`)
	lines := h.history(truck, func(e historyLine) string {
		line := e.ChangeType + " " + e.Source + " " + e.CreatedAt
		if e.File != nil {
			line += fmt.Sprintf(" %s:%d", *e.File, *e.Line)
		}
		return line
	})
	want := []string{
		`created import 2026-11-23T12:00:00Z stock.csv:7 {"exterior_color":{"Old":null,"New":"Ruby Red"},"gears":{"Old":null,"New":8},"make":{"Old":null,"New":"Ford"},"price":{"Old":null,"New":"30000.00"},"status":{"Old":null,"New":"active"},"transmission":{"Old":null,"New":"8-Speed Automatic"},"transmission_type":{"Old":null,"New":"automatic"}}`,
		`price_change import 2026-11-23T13:00:00Z stock.csv:9 {"price":{"Old":"30000.00","New":"29000.00"}}`,
		`status_change import 2026-11-23T13:00:00Z stock.csv:9 {"status":{"Old":"active","New":"sold"}}`,
		`field_update import 2026-11-23T13:00:00Z stock.csv:9 {"gears":{"Old":8,"New":null},"transmission":{"Old":"8-Speed Automatic","New":"CVT"},"transmission_type":{"Old":"automatic","New":"cvt"}}`,
		`field_update api 2026-11-23T14:00:00Z by Test key {"exterior_color":{"Old":"Ruby Red","New":"RUBY RED"}}`,
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Error(diff)
	}
}

func TestSummary(t *testing.T) {
	h := open(t)
	stats := func() map[string]any {
		return h.must(200, "", "GET", "/inventory/stats/summary", "")["stats"].(map[string]any)
	}
	zero := map[string]any{"total_count": "0", "active_count": "0", "sold_count": "0", "new_count": "0", "used_count": "0", "avg_price": "0", "avg_mileage": "0", "avg_days_on_lot": "0"}
	if diff := cmp.Diff(zero, stats()); diff != "" {
		t.Error(diff)
	}
	h.imports(
		row(truck, 2, map[vehicle.Field]string{vehicle.Price: "10000.01", vehicle.Mileage: "10", vehicle.Condition: "U", vehicle.DateInStock: "2026-11-13"}),
		row(sedan, 3, map[vehicle.Field]string{vehicle.Price: "10000.00", vehicle.Mileage: "11", vehicle.Condition: "N", vehicle.DateInStock: "2026-11-18"}),
		row(wrongDigit, 4, map[vehicle.Field]string{vehicle.Price: "500000", vehicle.Condition: "N", vehicle.Status: "sold"}),
		row("1FTEW1EF8HFA85882", 5, map[vehicle.Field]string{vehicle.DateInStock: "2027-01-01"}),
	)
	want := map[string]any{"total_count": "4", "active_count": "3", "sold_count": "1", "new_count": "1", "used_count": "1", "avg_price": "10000.01", "avg_mileage": "11", "avg_days_on_lot": "5"}
	if diff := cmp.Diff(want, stats()); diff != "" {
		t.Error(diff)
	}
	h.vehicle(200, "", "PATCH", "/inventory/"+truck, `{"status":"sold"}`)
	want = map[string]any{"total_count": "4", "active_count": "2", "sold_count": "2", "new_count": "1", "used_count": "0", "avg_price": "10000.00", "avg_mileage": "11", "avg_days_on_lot": "3"}
	if diff := cmp.Diff(want, stats()); diff != "" {
		t.Error(diff)
	}
}
