package inventory

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"carfluence/internal/rest"
	"carfluence/internal/sqldb"
	"carfluence/internal/vehicle"
)

// lot fills the inventory with a few vehicles, a minute apart, and names them by the last letters of their VINs.
func lot(t testing.TB) (h *house, north, south string) {
	h = open(t)
	north, south = h.dealership("North", "America/Chicago"), h.dealership("South", "America/New_York")
	for _, v := range []struct{ name, dealership, fields string }{
		{"A", north, `"make":"Ford","model":"F-150","year":2020,"price":"30000.00","mileage":40000,"condition":"used","body_style":"Truck","stock_number":"N1","date_in_stock":"2026-09-01"`},
		{"B", north, `"make":"Ford","model":"Escape","year":2024,"price":"28000.50","mileage":10,"condition":"new","body_style":"SUV","stock_number":"N2","date_in_stock":"2026-11-20"`},
		{"C", south, `"make":"RAM","model":"1500, Big Horn","year":2022,"price":"45000.00","condition":"used","body_style":"Truck","stock_number":"S1"`},
		{"D", south, `"make":"Škoda","model":"Octavia","year":2019,"mileage":90000,"condition":"used","body_style":"Sedan","stock_number":"S2"`},
		{"E", south, `"make":"ford","model":"F-150","year":2018,"price":"19999.99","mileage":120000,"stock_number":"s3","status":"sold"`},
	} {
		h.now = h.now.Add(time.Minute)
		h.vehicle(201, "", "POST", "/inventory", `{"vin":"`+vinOf(v.name)+`","dealership_id":"`+v.dealership+`",`+v.fields+`}`)
	}
	return h, north, south
}

func vinOf(name string) string { return "1FTEW1EF8HF00000" + name }

// shown names the vehicles of a list, and tells the total when it is another.
func (h *house) shown(query string) string {
	h.Helper()
	body := h.must(200, "", "GET", "/inventory?"+query, "")
	names := ""
	for _, v := range body["vehicles"].([]any) {
		names += strings.TrimPrefix(v.(map[string]any)["vin"].(string), vinOf(""))
	}
	if total := body["pagination"].(map[string]any)["total"].(float64); int(total) != len(names) {
		names += fmt.Sprintf(" of %v", total)
	}
	return names
}

func TestListIsFilteredAndSorted(t *testing.T) {
	h, north, south := lot(t)
	for query, want := range map[string]string{
		"": "DCBA", "status=all": "EDCBA", "status=sold": "E",
		"make=ford": "BA", "make=Ford&status=all": "EBA", "make=!FORD": "DC", "make=RAM,%C5%A0KODA": "DC", "make=ford,!Ford": "", "make=Tesla": "",
		"model=1500%5C,%20big%20horn": "C", "model=F-150,Escape": "BA",
		"condition=used": "DCA", "condition=null&status=all": "E", "condition=!null&status=all": "DCBA", "body_style=truck": "CA", "body_style=!Truck,!Sedan": "B",
		"dealership_id=" + north: "BA", "dealership_id=!" + strings.ToUpper(north): "DC", "dealership_id=" + south + "," + north + "&status=all": "EDCBA",
		"year_min=2020": "CBA", "year_max=2020": "DA", "year_min=2020&year_max=2022": "CA",
		"price_min=28000.50": "CBA", "price_min=28000.51": "CA", "price_max=30000": "BA", "price_min=0": "CBA",
		"mileage_max=10": "B", "mileage_min=11": "DA", "mileage_min=0": "DBA",
		"days_on_lot_min=4": "A", "days_on_lot_max=3": "DCB", "days_on_lot_max=0": "DC",
		"updated_since=2026-11-23T12:03:00Z": "DC", "updated_since=2026-11-23T13:04:00.5%2B01:00&status=all": "ED",
		"search=f-1": "A", "search=F-1&status=all": "EA", "search=s3&status=all": "E", "search=00000c": "C", "search=%C5%A1ko": "D", "search=big%20horn": "C",
		"sort=price": "BACD", "sort=-price": "CABD", "sort=mileage": "BADC", "sort=-mileage": "DABC", "sort=year&status=all": "EDACB",
		"sort=make&status=all": "EBACD", "sort=make,-year": "BACD", "sort=-make,model": "DCBA", "sort=body_style,condition": "DBCA", "sort=-days_on_lot": "ABDC", "sort=created_at": "ABCD",
		"sort=stock_number&status=all": "ABCDE", "sort=-vin": "DCBA", "sort=status,-price&status=all": "CABDE", "sort=updated_at": "ABCD",
		"sort=make,make": "BACD", "sort=-price&limit=2": "CA of 4", "sort=-price&limit=2&offset=2": "BD of 4", "make=ford&offset=5": " of 2",
		"make=ford&year_min=2020&condition=used&price_max=30000&body_style=truck&search=n1&sort=price": "A",
	} {
		if got := h.shown(query); got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
}

func TestFacetsOfferTheAlternatives(t *testing.T) {
	h, north, south := lot(t)
	text := func(query string) string {
		t.Helper()
		facets, err := json.Marshal(h.must(200, "", "GET", "/inventory?limit=1&"+query, "")["facets"])
		if err != nil {
			t.Fatal(err)
		}
		return strings.NewReplacer(`"count":`, "", `"value":`, "", `"`, "", north, "north", south, "south").Replace(string(facets))
	}
	for query, want := range map[string]string{
		"make=ford":                                  "null",
		"facets=make,condition":                      "{condition:[{3,used},{1,new}],make:[{2,Ford},{1,RAM},{1,Škoda}]}",
		"facets=make,body_style&make=RAM":            "{body_style:[{1,Truck}],make:[{2,Ford},{1,RAM},{1,Škoda}]}",
		"facets=dealership_id,condition&status=all":  "{condition:[{3,used},{1,new},{1,null}],dealership_id:[{3,south},{2,north}]}",
		"facets=model&search=f-150&status=all":       "{model:[{2,F-150}]}",
		"facets=make&status=all&make=Ford,RAM":       "{make:[{3,Ford},{1,RAM},{1,Škoda}]}",
		"facets=body_style&status=all&year_max=1999": "{body_style:[]}",
	} {
		if got := text(query); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
}

func TestFieldsAreWhatIsAskedFor(t *testing.T) {
	h, _, _ := lot(t)
	h.vehicle(200, "admin", "PATCH", "/inventory/"+vinOf("A"), `{"photos":["http://a/1","http://a/2"],"cost":"20000.00","description":"a \"b\" {c}, [d]"}`)
	first := func(as, query string) string {
		t.Helper()
		_, body, _ := h.call(as, "GET", "/inventory?limit=1&sort=created_at&"+query, "")
		body, _, _ = strings.Cut(strings.TrimPrefix(body, `{"vehicles":[`), `],"pagination"`)
		return body
	}
	for query, want := range map[string]string{
		"fields=price,make,%20days_on_lot":      `{"vin":"1FTEW1EF8HF00000A","make":"Ford","price":"30000.00","days_on_lot":83}`,
		"fields=vin":                            `{"vin":"1FTEW1EF8HF00000A"}`,
		"fields=photos,trim":                    `{"vin":"1FTEW1EF8HF00000A","trim":null,"photos":["http://a/1","http://a/2"]}`,
		"fields=description,sold_at,updated_at": `{"vin":"1FTEW1EF8HF00000A","updated_at":"2026-11-23T12:05:00Z","description":"a \"b\" {c}, [d]","sold_at":null}`,
	} {
		if got := first("", query); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	if got, want := first("admin", "fields=cost"), `{"vin":"1FTEW1EF8HF00000A","cost":"20000.00"}`; got != want {
		t.Errorf("administrators: %s, want %s", got, want)
	}
}

func TestSelectionsThatCannotBeMade(t *testing.T) {
	h, _, _ := lot(t)
	for query, want := range map[string]string{
		"year_min=x&price_max=1.234&mileage_min=-1":      "mileage_min must be a whole number; price_max must be an amount; year_min must be a whole number",
		"year_min=2021&year_max=2020":                    "year_min is above year_max",
		"year_min=99999999999":                           "year_min must be a whole number from 0 to 2147483647",
		"updated_since=yesterday":                        "updated_since must be a time like 2026-11-23T06:00:00Z",
		"sort=price,color":                               `sort "color" is none of vin, stock_number`,
		"sort=a,b,c,d,e,f":                               "sort has 6 keys, more than 5",
		"facets=make,color":                              `facets "color" is none of make, model`,
		"fields=price,colour":                            `fields "colour" is no field of a vehicle`,
		"fields=cost":                                    "fields cost is shown to administrators only",
		"make=Ford,,RAM":                                 "make has an empty value",
		"make=!":                                         "make has an empty value",
		"model=" + strings.Repeat("a,", 100) + "a":       "model lists 101 values, more than 100",
		"make=Ford&make=RAM":                             "make stands here more than once",
		"integration_id=" + integration + "&make=Ford":   "integration_id goes with status and search alone",
		"integration_id=" + integration + "&facets=make": "integration_id goes with status and search alone",
	} {
		code, body, _ := h.call("", "GET", "/inventory?"+query, "")
		var problem struct {
			Errors []struct{ Parameter, Detail string }
		}
		if err := json.Unmarshal([]byte(body), &problem); err != nil || code != 422 {
			t.Errorf("%s: %d %s", query, code, body)
			continue
		}
		var said []string
		for _, e := range problem.Errors {
			said = append(said, e.Parameter+" "+e.Detail)
		}
		all := strings.Join(said, "\n")
		for part := range strings.SplitSeq(want, "; ") {
			if !strings.Contains(all, part) {
				t.Errorf("%s: %q, want %q", query, said, part)
			}
		}
	}
	if body := h.must(200, "foreign", "GET", "/inventory?make=Ford&facets=make", ""); len(body["vehicles"].([]any)) != 0 || !cmp.Equal(body["facets"], map[string]any{"make": []any{}}) {
		t.Errorf("another group sees %v", body)
	}
}

// Without room for the index, what needs it is refused and all else works.
func TestInventoryTooLargeForTheIndex(t *testing.T) {
	h, _, _ := lot(t)
	for name, bytes := range map[string]int64{"none": 0, "too little": 100} {
		h.stock = NewStock(h.db, Options{IndexBytes: bytes, Now: h.stock.now})
		got, err := h.stock.Find(t.Context(), h.tenant(), &Selection{}, rest.Page{Limit: 50, Offset: 0})
		if err != nil || strings.Count(string(got.Body), `"vin"`) != 5 {
			t.Errorf("%s: %v %v", name, got, err)
		}
		sel := &Selection{Fields: []string{"vin"}}
		if _, err := h.stock.Find(t.Context(), h.tenant(), sel, rest.Page{Limit: 50, Offset: 0}); err != errNoIndex {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The index shows what other servers write, also by a program that does not note versions, and a large file as a whole.
func TestIndexFollowsTheStore(t *testing.T) {
	h, _, _ := lot(t)
	other := NewStock(h.db, Options{Now: h.stock.now})
	if got := h.shown("make=RAM,Audi"); got != "C" {
		t.Fatal(got)
	}
	c := row(vinOf("A"), 2, map[vehicle.Field]string{vehicle.Make: "Audi"})
	if _, _, err := other.Upsert(t.Context(), h.tenant(), c, Source{Name: SourceAPI}); err != nil {
		t.Fatal(err)
	}
	h.now = h.now.Add(versionAge)
	if got := h.shown("make=RAM,Audi"); got != "CA" {
		t.Errorf("after another server's write: %s", got)
	}
	for _, statement := range []string{
		`UPDATE vehicle SET document = replace(document, '"RAM"', '"GMC"') WHERE dealer_group_id = $1`,
		`UPDATE inventory_version SET n = n + 1 WHERE dealer_group_id = $1`,
	} {
		if _, err := h.tenant().Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	h.now = h.now.Add(versionAge)
	if got := h.shown("make=GMC"); got != "C" {
		t.Errorf("after a write of the release before: %s", got)
	}
	many := make([]vehicle.Change, walkBatch+1)
	for i := range many {
		many[i] = row(fmt.Sprintf("1FTEW1EF8HG%06d", i), i, map[vehicle.Field]string{vehicle.Make: "Kia", vehicle.Condition: "used"})
	}
	importOf(t, other, h.tenant(), integration, many)
	h.now = h.now.Add(versionAge)
	for i := 0; ; i++ {
		total := h.must(200, "", "GET", "/inventory?make=Kia&condition=used&limit=1", "")["pagination"].(map[string]any)["total"].(float64)
		if total == float64(len(many)) {
			break
		}
		if total != 0 || i > 2000 {
			t.Fatalf("%v of %d vehicles of one transaction", total, len(many))
		}
		time.Sleep(5 * time.Millisecond)
	}
	if h.must(200, "", "GET", "/inventory?limit=1", "")["pagination"].(map[string]any)["total"].(float64) != float64(len(many)+4) {
		t.Error("the plain list is behind")
	}
}

// What can't be indexed is not tried again with every list, which would read all vehicles each time; the plain list works on.
func TestInventoryThatCannotBeIndexed(t *testing.T) {
	h, _, _ := lot(t)
	if _, err := h.tenant().Exec(t.Context(), `UPDATE vehicle SET document = '{' WHERE dealer_group_id = $1 AND vin = $2`, vinOf("E")); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	h.stock.indexes.log = slog.New(slog.NewTextHandler(&log, nil))
	for range 5 {
		if code, body, _ := h.call("", "GET", "/inventory?make=Ford", ""); code != 500 {
			t.Errorf("%d %s", code, body)
		}
		if got := h.shown(""); got != "DCBA" {
			t.Errorf("the plain list: %q", got)
		}
		h.vehicle(200, "", "PATCH", "/inventory/"+vinOf("A"), `{"price":"1.00"}`)
	}
	if n := strings.Count(log.String(), "could not be brought up to date"); n != 1 {
		t.Errorf("tried %d times:\n%s", n, log.String())
	}
	h.now = h.now.Add(failedFor)
	if _, err := h.tenant().Exec(t.Context(), `UPDATE vehicle SET document = (SELECT replace(document, 'D"', 'E"') FROM vehicle WHERE dealer_group_id = $1 AND vin = $2), status = 'active'
		WHERE dealer_group_id = $1 AND vin = $3`, vinOf("D"), vinOf("E")); err != nil {
		t.Fatal(err)
	}
	if got := h.shown("make=%C5%A0koda&sort=-vin"); got != "ED" {
		t.Errorf("once it is mended: %q", got)
	}
}

// An index that has not been asked for longest makes room for another group's.
func TestIndexesMakeRoom(t *testing.T) {
	h := open(t)
	const vehicles = 300
	for g := range 3 {
		tenant := h.db.Tenant(fmt.Sprintf("group-%d", g))
		err := tenant.Transact(t.Context(), func(tx *sqldb.Tenant) error {
			_, err := apply(t.Context(), h.stock, tx, file(vehicles, 0), Source{Name: SourceImport})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	ask := func(g int) {
		t.Helper()
		h.now = h.now.Add(time.Second)
		if _, err := h.stock.Find(t.Context(), h.db.Tenant(fmt.Sprintf("group-%d", g)), &Selection{Fields: []string{"vin"}}, rest.Page{Limit: 1, Offset: int64(h.now.Second())}); err != nil { // no page it has
			t.Fatal(err)
		}
		if used, _ := h.stock.indexes.usage(nil); used > h.stock.indexes.limit {
			t.Errorf("%d bytes, over %d", used, h.stock.indexes.limit)
		}
	}
	ask(0)
	one, _ := h.stock.indexes.usage(nil)
	h.stock.indexes.limit = 2*one + one/2
	for _, g := range []int{1, 2, 1, 0} {
		ask(g)
	}
	if h.stock.indexes.group("group-2").shown != nil || h.stock.indexes.group("group-1").shown == nil {
		t.Error("the wrong one was let go of")
	}
	if more, err := h.stock.Warm(t.Context(), h.db.Tenant("group-2")); more || err != nil {
		t.Errorf("warmed at the cost of others: %v %v", more, err)
	}
}

func TestWalkOfChangesIsAnIndexWalk(t *testing.T) {
	h, _, _ := lot(t)
	err := h.tenant().Transact(t.Context(), func(tx *sqldb.Tenant) error {
		plan, err := explain(t, tx, writtenVehicles, []any{1, "V", 50})
		if err != nil || !strings.Contains(plan, "vehicle_version") || strings.Contains(plan, "TEMP B-TREE") || strings.Contains(plan, "Sort") || !strings.Contains(strings.ToLower(plan), "version, vin) >") && !strings.Contains(plan, "(version,vin)>") {
			t.Errorf("%v\n%s", err, plan)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func FuzzSelection(f *testing.F) {
	f.Add("make=Ford,!RAM&sort=-price,make&facets=make&fields=vin,price&year_min=2000")
	f.Add(`model=a\,b&updated_since=2026-11-23T06:00:00Z&price_min=1.5&limit=3&offset=1`)
	house, _, _ := lot(f)
	f.Fuzz(func(t *testing.T, query string) {
		h := *house
		h.TB = t
		// What no server reads out of a request line is net/http's to refuse.
		control := func(r rune) bool { return r <= ' ' || r == 0x7f || r == '#' }
		if _, err := url.ParseQuery(query); err != nil || strings.ContainsFunc(query, control) {
			return
		}
		if code, body, _ := h.call("", "GET", "/inventory?"+url.QueryEscape(query), ""); code != 200 {
			t.Errorf("%d %s", code, body)
		}
		if code, body, _ := h.call("", "GET", "/inventory?"+query, ""); code != 200 && code != 422 && code != 400 || !json.Valid([]byte(body)) {
			t.Errorf("%q: %d %s", query, code, body)
		}
	})
}
