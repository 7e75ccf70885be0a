package index_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"carfluence/internal/index"
	"carfluence/internal/vehicle"
)

var (
	listed = []index.Column{index.Make, index.Model, index.Condition, index.BodyStyle, index.DealershipID, index.SourceIntegrationID, index.Trim}
	ranged = []index.Column{index.Year, index.Price, index.InternetPrice, index.Mileage, index.DaysOnLot}
	sorted = []index.Column{
		index.Created, index.Updated, index.Price, index.InternetPrice, index.Mileage, index.Year, index.DaysOnLot, index.Make, index.Model, index.Trim,
		index.StockNumber, index.VIN, index.Condition, index.BodyStyle, index.Status,
	}
	texts = map[index.Column][]string{
		index.Make: {"", "Ford", "FORD", "ford", "Kia", "Škoda", "škoda", `A"b\c`}, index.Model: {"", "F-150", "f-150", "Rio", "ford", "Élan"}, index.Trim: {"", "XLT", "xlt", "Base", "É"},
		index.Condition: {"", "new", "used"}, index.BodyStyle: {"", "Truck", "SUV"}, index.DealershipID: {"", "d1", "d2", "d3"}, index.SourceIntegrationID: {"", "s1", "s2"},
		index.StockNumber: {"", "A1", "a1", "A12345678", "a12345679", "é1", "F-1", "long stock number of many letters", "long stock number of many lettres"},
	}
	numbers = []int64{-1, 0, 1, 1999, 2000, 2001}
	cents   = []int64{-1, 1, 100, 2_999_900, 3_000_000, 5_000_000_000, 5_000_000_001, 99_999_999_999}
	vins    = func() (all []string) {
		for i := range 150 {
			all = append(all, fmt.Sprintf("1FTEW1EF%d%08d", i%3, mix(uint64(i))%100_000_000))
		}
		return append(all, "1FTEW", "1FTEW1", "A0001", "ZZZZZ99999")
	}()
)

func drawCar(t *rapid.T, vin string, version int64) *car {
	text := func(c index.Column) string { return rapid.SampledFrom(texts[c]).Draw(t, c.String()) }
	number := func(list []int64) int64 { return rapid.SampledFrom(list).Draw(t, "number") }
	c := &car{
		vin: vin, version: version, stock: text(index.StockNumber), make: text(index.Make), model: text(index.Model), trim: text(index.Trim), body: text(index.BodyStyle),
		condition: text(index.Condition), source: text(index.SourceIntegrationID), dealership: text(index.DealershipID), year: number(numbers), mileage: number(numbers),
		price: number(cents), internet: number(cents), lotSince: rapid.Int64Range(-3, 12).Draw(t, "since"), status: vehicle.StatusActive,
		created: rapid.Int64Range(1_700_000_000, 1_700_000_003).Draw(t, "created"), updated: rapid.Int64Range(0, 4).Draw(t, "updated") * 1_000_000_000,
	}
	if rapid.Bool().Draw(t, "sold") {
		c.status, c.soldDays = vehicle.StatusSold, rapid.Int64Range(0, 12).Draw(t, "days")
	}
	return c
}

func drawQuery(t *rapid.T) *index.Query {
	q := &index.Query{Lists: map[index.Column]index.List{}, Ranges: map[index.Column]index.Range{}}
	some := func(what string) bool { return rapid.IntRange(0, 2).Draw(t, what) == 0 }
	if some("by status") {
		q.Status = rapid.SampledFrom([]string{vehicle.StatusActive, vehicle.StatusSold}).Draw(t, "status")
	}
	for some("by list") {
		c := rapid.SampledFrom(listed).Draw(t, "list")
		list := rapid.SliceOfN(rapid.SampledFrom(append([]string{"null", "NULL", "unknown", "KIA"}, texts[c][1:]...)), 0, 3)
		q.Lists[c] = index.List{Include: list.Draw(t, "include"), Exclude: list.Draw(t, "exclude")}
	}
	for some("by range") {
		c, r := rapid.SampledFrom(ranged).Draw(t, "range"), open()
		bounds := append(slices.Clone(numbers), cents...)
		if c == index.DaysOnLot {
			bounds = []int64{0, 1, 5, 9}
		}
		if some("min") {
			r.Min = rapid.SampledFrom(bounds).Draw(t, "min")
		}
		if some("max") {
			r.Max = rapid.SampledFrom(bounds).Draw(t, "max")
		}
		q.Ranges[c] = r
	}
	if some("since") {
		q.UpdatedSince = rapid.Int64Range(0, 4).Draw(t, "updated") * 1_000_000_000
	}
	if some("search") {
		q.Search = rapid.SampledFrom([]string{"f", "ford", "150", "a1", "é", "a12345", "1ftew1ef", "0", "zz9", "\n", "š", "lett", "99991ft", `"b\`, "%", "_", "ſ", "F"}).Draw(t, "text")
	}
	for range rapid.IntRange(0, 3).Draw(t, "keys") {
		q.Sort = append(q.Sort, index.Key{Column: rapid.SampledFrom(sorted).Draw(t, "key"), Descending: rapid.Bool().Draw(t, "descending")})
	}
	q.Facets = rapid.SliceOfNDistinct(rapid.SampledFrom(listed), 0, 3, rapid.ID).Draw(t, "facets")
	return q
}

func TestIndexAnswersAsAPlainSearchDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type known struct {
			x *index.Index
			m model
		}
		budget := index.NewBudget(rapid.Int64Range(0, 20_000).Draw(t, "budget"))
		shown, fork := known{index.New(budget), model{}}, known{}
		var left []known // that readers may have yet
		if rapid.Bool().Draw(t, "reserved") {
			shown.x.Reserve(100)
		}
		version := int64(0)
		for range rapid.IntRange(1, 12).Draw(t, "rounds") {
			into := shown
			if fork.x == nil && rapid.IntRange(0, 3).Draw(t, "forks") == 0 {
				fork = known{shown.x.Fork(), maps.Clone(shown.m)}
				if rapid.Bool().Draw(t, "reserved behind it") {
					shown.x.Reserve(200)
				}
			}
			if fork.x != nil && rapid.IntRange(0, 3).Draw(t, "into the fork") > 0 {
				into = fork
			}
			var rows []index.Row
			for range rapid.SampledFrom([]int{0, 1, 1, 2, 5, 70}).Draw(t, "rows") {
				version++
				c := drawCar(t, rapid.SampledFrom(vins).Draw(t, "vin"), version)
				into.m[c.vin] = c
				rows = append(rows, c.row())
			}
			if err := into.x.Put(rows); err != nil {
				t.Fatal(err)
			}
			check(t, shown.x, shown.m)
			if fork.x != nil {
				check(t, fork.x, fork.m)
				if rapid.Bool().Draw(t, "succeeds") {
					fork.x.Prepare()
					fork.x.Succeed(shown.x)
					left = append(left, shown)
					shown, fork = fork, known{}
					check(t, shown.x, shown.m)
				}
			}
			for _, l := range left {
				want, _ := l.m.page(&index.Query{}, nil)
				checkRows(t, l.m, l.x.Page(&index.Query{}, index.Window{Limit: 1 << 62}, nil).Rows, want)
			}
		}
		if fork.x != nil {
			fork.x.Close()
		}
		if shown.x.Close(); budget.Used() != 0 {
			t.Fatalf("%d bytes are counted after all were closed", budget.Used())
		}
	})
}

// check asks an index what a model knows.
func check(t *rapid.T, x *index.Index, m model) {
	for range rapid.IntRange(0, 3).Draw(t, "queries") {
		day := rapid.Int64Range(9, 10).Draw(t, "day")
		checkPage(t, x, m, drawQuery(t), func(dealership string) int64 {
			return day + int64(len(dealership)) + int64(strings.Count(dealership, "3"))
		})
	}
}

func checkPage(t *rapid.T, x *index.Index, m model, q *index.Query, today index.Today) {
	want, facets := m.page(q, today)
	at := index.Window{Offset: rapid.Int64Range(-1, 100).Draw(t, "offset"), Limit: rapid.Int64Range(-1, 100).Draw(t, "limit")}
	if rapid.Bool().Draw(t, "whole") {
		at = index.Window{Limit: 1 << 62}
	}
	page := x.Page(q, at, today)
	from := min(max(0, at.Offset), int64(len(want)))
	to := from + min(max(0, at.Limit), int64(len(want))-from)
	checkRows(t, m, page.Rows, want[from:to])
	if page.Total != int64(len(want)) || !cmp.Equal(page.Facets, facets) {
		t.Fatalf("%+v: total %d, not %d; facets: %s", q, page.Total, len(want), cmp.Diff(facets, page.Facets))
	}
	s := x.Select(q, today)
	checkRows(t, m, s.Rows(0, s.Len()), want)
	var missing []index.Row
	for _, r := range page.Rows {
		if r.Document == "" {
			missing = append(missing, m[r.VIN].row())
		}
	}
	x.Keep(missing)
}

func checkRows(t *rapid.T, m model, rows []index.Row, want []string) {
	got := []string{}
	for _, r := range rows {
		c := m[r.VIN]
		got = append(got, r.VIN)
		if r.Version != c.version || r.DealershipID != c.dealership || r.Document != "" && r.Document != c.document() || c.status == vehicle.StatusActive && r.LotSince != c.lotSince {
			t.Fatalf("row %+v of %+v", r, c)
		}
	}
	if !slices.Equal(got, want) {
		t.Fatalf("listed\n%v, not\n%v", got, want)
	}
}

func TestQueriesThatMeanTheSameHaveOneKey(t *testing.T) {
	a := index.Query{Lists: map[index.Column]index.List{index.Make: {Include: []string{"Ford", "KIA", "ford"}}, index.Model: {}}, Sort: []index.Key{{Column: index.Price}, {Column: index.Created, Descending: true}}}
	b := index.Query{Lists: map[index.Column]index.List{index.Make: {Include: []string{"kia", "ford"}}}, Sort: []index.Key{{Column: index.Price}, {Column: index.Price, Descending: true}}}
	if a.Key() != b.Key() {
		t.Errorf("%q and %q", a.Key(), b.Key())
	}
	keys := map[string]bool{b.Key(): true}
	for _, q := range []index.Query{
		{}, {Status: "sold"}, {Search: "sold"}, {UpdatedSince: 1}, {Sort: []index.Key{{Column: index.Price}}}, {Sort: []index.Key{{Column: index.Price, Descending: true}}},
		{Facets: []index.Column{index.Make}}, {Lists: map[index.Column]index.List{index.Make: {Exclude: []string{"kia", "ford"}}}},
		{Lists: map[index.Column]index.List{index.Model: {Include: []string{"kia", "ford"}}}}, {Lists: map[index.Column]index.List{index.Make: {Include: []string{"kia,ford"}}}},
		{Ranges: map[index.Column]index.Range{index.Year: {Min: 1, Max: 11}}}, {Ranges: map[index.Column]index.Range{index.Year: {Min: 11, Max: 1}}},
		{Ranges: map[index.Column]index.Range{index.Price: {Min: 1, Max: 11}}},
	} {
		if keys[q.Key()] {
			t.Errorf("%+v has the key of another", q)
		}
		keys[q.Key()] = true
	}
}

func TestAnOlderVersionReplacesNothing(t *testing.T) {
	x := index.New(index.NewBudget(1 << 20))
	older, newer := generated(1), generated(1)
	newer.version, newer.year = 2, 1990
	for _, c := range []*car{newer, older} {
		if err := x.Put([]index.Row{c.row()}); err != nil {
			t.Fatal(err)
		}
	}
	rows := x.Page(&index.Query{}, index.Window{Limit: 10}, nil).Rows
	if v, ok := x.Version(newer.vin); !ok || v != 2 || len(rows) != 1 || rows[0].Document != newer.document() {
		t.Errorf("version %d %v, %+v", v, ok, rows)
	}
	if _, ok := x.Version("1FTEW"); ok {
		t.Error("has a vehicle that nobody put")
	}
}

func TestDamagedDocumentsAreRefused(t *testing.T) {
	x := index.New(index.NewBudget(1 << 20))
	good := generated(2)
	document := good.document()
	damaged := map[string]string{
		"empty": "", "of another": generated(3).document(), "blank": strings.Replace(document, `,"make"`, `, "make"`, 1), "without a member": strings.Replace(document, `,"interior_color":null`, "", 1),
		"sold without days": strings.Replace(document, vehicle.StatusActive, vehicle.StatusSold, 1), "active with days": strings.Replace(document, "\x1f", "5", 1),
		"another status": strings.Replace(document, vehicle.StatusActive, "lost", 1), "price as a number": strings.Replace(document, `"price":"`, `"price":7,"x":"`, 1),
		"no time": strings.Replace(document, `"created_at":"20`, `"created_at":"2x`, 1), "a month too many": strings.Replace(document, `"created_at":"2024-`, `"created_at":"2024-13`, 1),
		"broken UTF-8": strings.Replace(document, good.make, "\xff", 1), "control character": strings.Replace(document, good.make, "\x01", 1), "bad escape": strings.Replace(document, good.make, `\x`, 1),
		"more behind": document + " ", "leading zero": strings.Replace(document, `"year":2`, `"year":02`, 1), "large year": strings.Replace(document, `"year":2`, `"year":92`, 1),
	}
	for n := range len(document) {
		damaged[fmt.Sprintf("cut after %d", n)] = document[:n]
	}
	for what, text := range damaged {
		row := good.row()
		if row.Document = text; text == document {
			t.Errorf("%s: the document is the same", what)
		}
		if err := x.Put([]index.Row{generated(4).row(), row}); err == nil || x.Len() != 0 {
			t.Errorf("%s: %v, %d vehicles", what, err, x.Len())
		}
	}
	if err := x.Put([]index.Row{good.row()}); err != nil {
		t.Error(err)
	}
}

// TestASuccessorKeepsDocuments of vehicles that have not changed, and its own of those that have.
func TestASuccessorKeepsDocuments(t *testing.T) {
	budget := index.NewBudget(1 << 20)
	before := index.New(budget)
	var cars []*car
	for i := range 200 {
		cars = append(cars, generated(i))
	}
	if err := before.Put(rowsOf(cars)); err != nil {
		t.Fatal(err)
	}
	after := before.Fork()
	for _, c := range cars[:20] {
		c.version++
		c.trim += "x"
	}
	if err := after.Put(rowsOf(cars[:20])); err != nil {
		t.Fatal(err)
	}
	after.Succeed(before)
	for _, r := range after.Page(&index.Query{}, index.Window{Limit: 1000}, nil).Rows {
		if i := slices.IndexFunc(cars, func(c *car) bool { return c.vin == r.VIN }); r.Document != cars[i].document() {
			t.Errorf("%s: %q", r.VIN, r.Document)
		}
	}
	anew := index.NewBudget(1 << 20)
	if err := index.New(anew).Put(rowsOf(cars)); err != nil || budget.Used() != anew.Used() {
		t.Errorf("%d bytes counted, not %d: %v", budget.Used(), anew.Used(), err)
	}
	if n := len(before.Page(&index.Query{}, index.Window{Limit: 1000}, nil).Rows); n != 200 {
		t.Errorf("%d vehicles in the index before", n)
	}
}

func TestDocumentsKeepToTheirBudget(t *testing.T) {
	const limit = 20_000
	budget := index.NewBudget(limit)
	first, second := index.New(budget), index.New(budget)
	var cars []*car
	for i := range 200 {
		cars = append(cars, generated(i))
	}
	for _, x := range []*index.Index{first, second} {
		if err := x.Put(rowsOf(cars)); err != nil {
			t.Fatal(err)
		}
	}
	kept := func(x *index.Index) (n int64) {
		for _, r := range x.Page(&index.Query{}, index.Window{Limit: 1000}, nil).Rows {
			n += int64(len(r.Document))
		}
		return n
	}
	if n := kept(first); n < limit/2 || kept(second) != 0 {
		t.Fatalf("%d and %d bytes are kept", n, kept(second))
	}
	for round := range 20 {
		for i, c := range cars {
			c.version++
			c.trim = strings.Repeat("x", (i+round)%50)
			if err := first.Put([]index.Row{c.row()}); err != nil {
				t.Fatal(err)
			}
			if i%3 == 0 {
				first.Keep([]index.Row{c.row()})
			}
		}
		if n := kept(first) + kept(second); n > limit || budget.Used() > limit || n < limit/2 {
			t.Fatalf("%d bytes are kept, %d counted, of %d", n, budget.Used(), limit)
		}
	}
	for range 3 { // who comes late gets a share
		second.Keep(rowsOf(cars)[:20])
	}
	if kept(second) != 0 {
		t.Error("documents of another version are kept")
	}
	if err := second.Put(rowsOf(cars)); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		second.Keep(rowsOf(cars)[:20])
	}
	if n := kept(second); n < limit/4 || budget.Used() > limit {
		t.Errorf("the second index keeps %d bytes, %d counted", n, budget.Used())
	}
	first.Close()
	second.Close()
	if budget.Used() != 0 {
		t.Errorf("%d bytes are counted after all were closed", budget.Used())
	}
}

// TestReadersAndWriters is for the race detector, and holds each page to be of one moment: all vehicles change their
// year together.
func TestReadersAndWriters(t *testing.T) {
	x := index.New(index.NewBudget(50_000))
	all := func(version int64) (rows []index.Row) {
		for i := range 300 {
			c := generated(i)
			c.version, c.year = version, 2000+version%3
			rows = append(rows, c.row())
		}
		return rows
	}
	if err := x.Put(all(1)); err != nil {
		t.Fatal(err)
	}
	var readers sync.WaitGroup
	done := make(chan struct{})
	today := func(string) int64 { return 20_100 }
	for i := range 4 {
		readers.Go(func() {
			for n := i; ; n++ {
				select {
				case <-done:
					return
				default:
				}
				q := &index.Query{Ranges: map[index.Column]index.Range{index.Year: {Min: 2001, Max: 2001}}, Sort: []index.Key{{Column: sorted[n%len(sorted)]}}, Facets: []index.Column{index.Make}}
				page := x.Page(q, index.Window{Limit: 500}, today)
				sum := int64(0)
				for _, c := range page.Facets[0].Counts {
					sum += c.N
				}
				if page.Total != int64(len(page.Rows)) || page.Total != sum || page.Total != 0 && page.Total != 300 {
					t.Errorf("a page of %d, %d rows, %d counted", page.Total, len(page.Rows), sum)
				}
				x.Keep(page.Rows)
				s := x.Select(q, today)
				s.Rows(0, s.Len())
				x.Bytes()
			}
		})
	}
	for version := range int64(60) {
		if err := x.Put(all(version + 2)); err != nil {
			t.Error(err)
		}
	}
	close(done)
	readers.Wait()
}

// TestAForkIsWrittenWhileTheOtherIsRead, for the race detector.
func TestAForkIsWrittenWhileTheOtherIsRead(t *testing.T) {
	x := index.New(index.NewBudget(1 << 20))
	rows := make([]index.Row, 500)
	for i := range rows {
		rows[i] = generated(i).row()
	}
	if err := x.Put(rows); err != nil {
		t.Fatal(err)
	}
	fork := x.Fork()
	var readers sync.WaitGroup
	for _, q := range []*index.Query{{}, {Search: "1ft"}, {Sort: []index.Key{{Column: index.Price}}}, {Facets: []index.Column{index.Make}}} {
		readers.Go(func() {
			want := x.Page(q, index.Window{Limit: 50}, nil).Rows[0].Version
			for range 200 {
				if got := x.Page(q, index.Window{Limit: 50}, nil).Rows[0].Version; got != want {
					t.Errorf("a reader saw version %d, not %d", got, want)
				}
			}
		})
	}
	for i := range 300 {
		c := generated(i)
		c.version, c.price, c.stock, c.make = int64(1000+i), int64(100*i+1), fmt.Sprint("N", i), fmt.Sprint("Make", i)
		if err := fork.Put([]index.Row{c.row(), generated(1000 + i).row()}); err != nil {
			t.Fatal(err)
		}
	}
	fork.Succeed(x)
	readers.Wait()
	if fork.Len() != 800 || x.Len() != 500 {
		t.Errorf("%d and %d vehicles", fork.Len(), x.Len())
	}
}
