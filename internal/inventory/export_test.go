package inventory

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"carfluence/internal/index"
	"carfluence/internal/sqldb"
	"carfluence/internal/sqldb/sqldbtest"
)

// exported is what a caller gets.
func (h *house) exported(as, query string) string {
	h.Helper()
	code, body, header := h.call(as, "GET", "/inventory/export?"+query, "")
	if code != 200 {
		h.Fatalf("%s: %d %s", query, code, body)
	}
	if header.Get("Etag") != "" || header.Get("Cache-Control") != "private, no-store" {
		h.Errorf("%s may be kept: %v", query, header)
	}
	return body
}

// rows reads a table back, its rows by the names of their columns.
func rows(t testing.TB, file string) (columns []string, list []map[string]string) {
	t.Helper()
	all, err := csv.NewReader(strings.NewReader(file)).ReadAll()
	if err != nil {
		t.Fatalf("%v in %q", err, file)
	}
	for _, cells := range all[1:] {
		row := map[string]string{}
		for i, cell := range cells {
			row[all[0][i]] = cell
		}
		list = append(list, row)
	}
	return all[0], list
}

func TestExportHasWhatTheListShows(t *testing.T) {
	h, north, _ := lot(t)
	for _, query := range []string{
		"", "status=all", "status=sold", "make=ford&status=all", "search=f-1", "sort=-price", "sort=make,-year&status=all", "dealership_id=" + north, "year_min=2020&sort=mileage",
		"days_on_lot_min=4", "updated_since=2026-11-23T12:03:00Z", "make=Tesla", "fields=price,make,days_on_lot&sort=vin", "fields=photos,trim,make&status=all", "fields=vin",
	} {
		want := h.must(200, "", "GET", "/inventory?limit=100&"+query, "")["vehicles"].([]any)
		got := []any{}
		for line := range strings.Lines(h.exported("", query)) {
			var v any
			if err := json.Unmarshal([]byte(line), &v); err != nil || !strings.HasSuffix(line, "}\n") {
				t.Fatalf("%s: %v %q", query, err, line)
			}
			got = append(got, v)
		}
		if !cmp.Equal(got, want) {
			t.Errorf("%s: %s", query, cmp.Diff(want, got))
		}
		columns, table := rows(t, h.exported("", "format=csv&"+query))
		if len(table) != len(want) || columns[0] != "vin" {
			t.Errorf("%s: %v %v", query, columns, table)
			continue
		}
		for i, v := range want {
			if v := v.(map[string]any); len(columns) != len(v) || !maps.Equal(table[i], cells(v)) {
				t.Errorf("%s: %v, want %v", query, table[i], cells(v))
			}
		}
	}
	if columns, _ := rows(t, h.exported("", "format=csv&fields=price,vin,%20make,photos")); !slices.Equal(columns, []string{"vin", "price", "make", "photos"}) {
		t.Errorf("columns %v", columns)
	}
}

// cells are an object's members as a table shows them.
func cells(v map[string]any) map[string]string {
	out := map[string]string{}
	for name, value := range v {
		switch value := value.(type) {
		case nil:
			out[name] = ""
		case string:
			out[name] = value
		default:
			text, _ := json.Marshal(value)
			out[name] = string(text)
		}
	}
	return out
}

func TestExportedTextsSurvive(t *testing.T) {
	h, _, _ := lot(t)
	texts := map[string]string{
		"trim": `Big "Horn", 4x4`, "model": "Škoda – 日本 🚗", "description": "one\ntwo, \"three\"\n\n=four", "exterior_color": "=cmd|' /C calc'!A0", "interior_color": "+1 red", "series_detail": "-x",
		"engine": `@SUM(A1)`, "stock_number": "7 ", "transmission": `back\slash`, "price": "30000.00",
	}
	body, _ := json.Marshal(texts)
	h.vehicle(200, "", "PATCH", "/inventory/"+vinOf("A"), string(body))
	h.vehicle(200, "", "PATCH", "/inventory/"+vinOf("A"), `{"photos":["http://a/1","http://a/2,3"]}`)
	names := slices.Sorted(maps.Keys(texts))
	file := h.exported("", "format=csv&search="+vinOf("A")+"&fields=photos,year,msrp,"+strings.Join(names, ","))
	_, table := rows(t, file)
	shown := h.must(200, "", "GET", "/inventory/"+vinOf("A"), "")["vehicle"].(map[string]any)
	for _, name := range names {
		want := shown[name].(string)
		if slices.Contains([]string{"exterior_color", "interior_color", "series_detail", "engine"}, name) {
			want = "'" + want
		}
		if got := table[0][name]; got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if got := table[0]; got["photos"] != `["http://a/1","http://a/2,3"]` || got["year"] != "2020" || got["msrp"] != "" {
		t.Errorf("%v", got)
	}
	if strings.Count(file, "\r\n") != 2 || !strings.HasSuffix(file, "\r\n") || strings.HasPrefix(file, "\ufeff") {
		t.Errorf("lines of %q", file)
	}
}

func TestCells(t *testing.T) {
	for value, want := range map[string]string{
		`null`: "", `""`: "", `"a"`: "a", `"=1"`: "'=1", `"+1"`: "'+1", `"-1"`: "'-1", `"@a"`: "'@a", `"\u0009a"`: "\"'\ta\"", `"\u000da"`: "\"'\ra\"", `-5`: "-5", `true`: "true",
		`"a=1"`: "a=1", `"=1,\"2\""`: `"'=1,""2"""`, `"a,b"`: `"a,b"`, `"a\nb"`: "\"a\nb\"", `"a\\b"`: `a\b`, `" a"`: `" a"`, `["a","b"]`: `"[""a"",""b""]"`, `{}`: "{}",
	} {
		if got := string(appendCell(nil, []byte(value), false)); got != want {
			t.Errorf("%s: %q, want %q", value, got, want)
		}
	}
	if got := string(appendCell(nil, []byte(`"-5.00"`), true)); got != "-5.00" {
		t.Errorf("an amount: %q", got)
	}
}

func TestWhoMayExport(t *testing.T) {
	h, _, _ := lot(t)
	h.vehicle(200, "admin", "PATCH", "/inventory/"+vinOf("A"), `{"cost":"20000.00"}`)
	if code, body, _ := h.call("integrations reader", "GET", "/inventory/export", ""); code != 403 {
		t.Errorf("without the scope: %d %s", code, body)
	}
	if got := h.exported("foreign", "status=all"); got != "" {
		t.Errorf("another group sees %s", got)
	}
	if got := h.exported("foreign", "format=csv&fields=price"); got != "vin,price\r\n" {
		t.Errorf("another group sees %s", got)
	}
	if got, want := h.exported("admin", "fields=cost&search="+vinOf("A")), `{"vin":"1FTEW1EF8HF00000A","cost":"20000.00"}`+"\n"; got != want {
		t.Errorf("administrators: %s, want %s", got, want)
	}
	for query, want := range map[string]string{
		"fields=cost": "fields",
		"format=xlsx&status=gone&search=a%0Ab&sort=color&year_min=x&make=,&fields=colour": "fields format make search sort status year_min",
		"sort=color&search=a%0Ab": "search sort",
	} {
		code, body, _ := h.call("", "GET", "/inventory/export?"+query, "")
		var problem struct{ Errors []struct{ Parameter string } }
		_ = json.Unmarshal([]byte(body), &problem)
		var said []string
		for _, e := range problem.Errors {
			said = append(said, e.Parameter)
		}
		slices.Sort(said)
		if got := strings.Join(said, " "); code != 422 || got != want {
			t.Errorf("%s: %d %q, want %q", query, code, got, want)
		}
	}
}

func TestExportHeaders(t *testing.T) {
	h, _, _ := lot(t)
	for format, want := range map[string]string{"ndjson": "application/x-ndjson", "csv": "text/csv; charset=utf-8; header=present"} {
		for _, method := range []string{"GET", "HEAD"} {
			code, body, header := h.call("", method, "/inventory/export?format="+format, "")
			if code != 200 || header.Get("Content-Type") != want || header.Get("Content-Disposition") != `attachment; filename="inventory-2026-11-23.`+format+`"` || (body == "") != (method == "HEAD") {
				t.Errorf("%s %s: %d %v", method, format, code, header)
			}
		}
	}
	if code, _, _ := h.call("", "HEAD", "/inventory/export?format=xlsx", ""); code != 422 {
		t.Errorf("HEAD of a bad request: %d", code)
	}
	r := httptest.NewRequest("GET", "/api/v1/inventory/export?status=all", nil)
	r.Header.Set("Accept-Encoding", "gzip")
	w := httptest.NewRecorder()
	h.api.ServeHTTP(w, r)
	zip, err := gzip.NewReader(w.Body)
	if err != nil || w.Header().Get("Content-Encoding") != "gzip" {
		t.Fatal(err, w.Header())
	}
	if plain, err := io.ReadAll(zip); err != nil || string(plain) != h.exported("", "status=all") {
		t.Errorf("%q %v", plain, err)
	}
}

// Without room for the index all of the stock is exported, and what is found by status and search.
func TestExportWithoutAnIndex(t *testing.T) {
	h, _, _ := lot(t)
	h.stock.indexes.limit = 0
	for query, want := range map[string]string{"": "ABCD", "status=all": "ABCDE", "status=sold": "E", "search=f-1&status=all": "AE", "search=a%25": "", "search=f-1&fields=make": "A"} {
		got := ""
		for line := range strings.Lines(h.exported("", query)) {
			var v struct{ VIN string }
			_ = json.Unmarshal([]byte(line), &v)
			got += strings.TrimPrefix(v.VIN, vinOf(""))
		}
		if got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
	for _, query := range []string{"make=Ford", "sort=price", "year_min=2000", "updated_since=2026-11-23T12:03:00Z"} {
		if code, body, header := h.call("", "GET", "/inventory/export?"+query, ""); code != 503 || !strings.Contains(body, "inventory_too_large") || header.Get("Content-Disposition") != "" {
			t.Errorf("%s: %d %s", query, code, body)
		}
	}
}

// TestExportHasWhatWasWrittenBefore, also while lists still show what was there before a large file.
func TestExportHasWhatWasWrittenBefore(t *testing.T) {
	h, _, _ := lot(t)
	h.exported("", "")
	h.imports(file(walkBatch+1, 0)...)
	if n := strings.Count(h.exported("", ""), "\n"); n != walkBatch+5 {
		t.Errorf("%d vehicles", n)
	}
	seen, err := selectVersion(t.Context(), h.tenant())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.tenant().Exec(t.Context(), `UPDATE inventory_version SET n = n + 1 WHERE dealer_group_id = $1`); err != nil {
		t.Fatal(err)
	}
	h.now = h.now.Add(versionAge)
	h.exported("", "")
	soon, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if _, _, err := h.stock.indexes.get(soon, h.tenant(), seen, needAll); err != nil {
		t.Errorf("a call that began before a write of the release before: %v", err)
	}
}

func TestExportsAtOnceAreBounded(t *testing.T) {
	h, _, _ := lot(t)
	h.stock.exports = make(chan struct{}, 1)
	began, goOn := make(chan struct{}), make(chan struct{})
	done := make(chan error)
	go func() {
		done <- h.stock.Export(t.Context(), h.tenant(), &Selection{}, nil, lines(nil), writerFunc(func(b []byte) (int, error) {
			close(began)
			<-goOn
			return len(b), nil
		}))
	}()
	<-began
	if code, body, header := h.call("", "GET", "/inventory/export", ""); code != 503 || header.Get("Retry-After") != "30" || !strings.Contains(body, "--exports-max") {
		t.Errorf("one more than may: %d %s", code, body)
	}
	close(goOn)
	if err := <-done; err != nil {
		t.Error(err)
	}
	h.exported("", "")
	h.exported("", "")
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// TestExportWhileOthersWrite: each VIN once, with an index, without one, and with all members.
func TestExportWhileOthersWrite(t *testing.T) {
	const n = 10_000
	place := sqldbtest.New(t)
	db, writing := place.Open(t, sqldb.Stock), place.Open(t, sqldb.Stock)
	other, tenant := NewStock(writing, Options{}), writing.Patient().Tenant(group) // as files are written
	importFile(t, other, tenant, file(n, 0))
	stop := make(chan struct{})
	var writers sync.WaitGroup
	for i := range 2 {
		writers.Go(func() {
			for edition := 1; ; edition++ {
				for some := range slices.Chunk(file(n, edition), 500) {
					select {
					case <-stop:
						return
					default:
						importOf(t, other, tenant, []string{integration, second}[i], some)
					}
				}
			}
		})
	}
	defer writers.Wait()
	defer close(stop)
	for name, c := range map[string]struct {
		options Options
		sel     Selection
	}{
		"in memory":        {Options{IndexBytes: 64 << 20, DocumentBytes: 64 << 20}, Selection{Query: index.Query{Sort: []index.Key{{Column: index.Price}}}}},
		"some in memory":   {Options{IndexBytes: 64 << 20, DocumentBytes: 1 << 20}, Selection{}},
		"without an index": {Options{}, Selection{}},
		"all members":      {Options{IndexBytes: 64 << 20}, Selection{Fields: []string{"photos"}}},
	} {
		c.options.Exports = 1
		s := NewStock(db, c.options)
		times := map[string]int{}
		count := writerFunc(func(b []byte) (int, error) {
			for line := range bytes.Lines(b) {
				times[string(line[8:25])]++
			}
			return len(b), nil
		})
		if err := s.Export(t.Context(), db.Tenant(group), &c.sel, nil, lines(c.sel.Fields), count); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for vin, n := range times {
			if n != 1 {
				t.Errorf("%s: %s comes %d times", name, vin, n)
			}
		}
		if len(times) != n {
			t.Errorf("%s: %d vehicles", name, len(times))
		}
	}
}

// TestAnExportEndsWithItsClient: nothing more is read for one that has left.
func TestAnExportEndsWithItsClient(t *testing.T) {
	for _, withIndex := range []int64{64 << 20, 0} {
		db := sqldbtest.Open(t, sqldb.Stock)
		s := NewStock(db, Options{IndexBytes: withIndex, Exports: 1})
		importFile(t, s, db.Tenant(group), file(2*exportPiece, 0))
		ctx, leave := context.WithCancel(t.Context())
		pieces := 0
		err := s.Export(ctx, db.Tenant(group), &Selection{}, nil, lines(nil), writerFunc(func(b []byte) (int, error) {
			pieces++
			leave()
			return len(b), nil
		}))
		if !errors.Is(err, context.Canceled) || pieces != 1 || len(s.exports) != 0 {
			t.Errorf("%v after %d pieces, %d places taken", err, pieces, len(s.exports))
		}
	}
}

func BenchmarkExport(b *testing.B) {
	const n = 100_000
	db := sqldbtest.Open(b, sqldb.Stock)
	tenant := db.Tenant(group)
	importFile(b, NewStock(db, Options{}), tenant, file(n, 0))
	_, csvForm := table(nil)
	for _, c := range []struct {
		name    string
		options Options
		form    writing
	}{
		{"in memory, ndjson", Options{IndexBytes: 64 << 20, DocumentBytes: 256 << 20}, lines(nil)},
		{"in memory, csv", Options{IndexBytes: 64 << 20, DocumentBytes: 256 << 20}, csvForm},
		{"from the store, ndjson", Options{IndexBytes: 64 << 20}, lines(nil)},
		{"without an index, ndjson", Options{}, lines(nil)},
	} {
		b.Run(c.name, func(b *testing.B) {
			c.options.Exports = 1
			s := NewStock(db, c.options)
			if err := s.Export(b.Context(), tenant, &Selection{}, nil, c.form, io.Discard); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			began := cpuTime()
			for b.Loop() {
				if err := s.Export(b.Context(), tenant, &Selection{}, nil, c.form, io.Discard); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(n*b.N)/(cpuTime()-began).Seconds(), "vehicles/cpu-s")
		})
	}
}
