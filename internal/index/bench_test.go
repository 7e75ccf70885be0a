package index_test

import (
	"fmt"
	"math"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"carfluence/internal/index"
	"carfluence/internal/vehicle"
)

const million = 1_000_000

var stock = sync.OnceValue(func() []index.Row {
	rows := make([]index.Row, million)
	for i := range rows {
		rows[i] = generated(i).row()
	}
	seen := make(map[string]bool, million)
	for i := range rows { // the generator repeats a VIN now and then
		for seen[rows[i].VIN] {
			c := generated(i)
			c.vin = c.vin[:8] + fmt.Sprintf("%09d", mix(uint64(i+million*len(seen)))%1_000_000_000)
			rows[i] = c.row()
		}
		seen[rows[i].VIN] = true
	}
	return rows
})

func load(b testing.TB, rows []index.Row, budget int64) *index.Index {
	x := index.New(index.NewBudget(budget))
	x.Reserve(len(rows))
	for part := range slices.Chunk(rows, 5000) {
		if err := x.Put(part); err != nil {
			b.Fatal(err)
		}
	}
	return x
}

var loaded = sync.OnceValue(func() *index.Index { return load(nil, stock(), 2<<30) })

func noon(string) int64 { return 20_100 }

// report gives medians of the time on the clock and of the CPU time of the thread that asks, which others at work on the
// machine disturb less. The collector's work beside it is in neither.
func report(b *testing.B, run func(i int) took) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var clock, cpu []time.Duration
	runtime.GC()
	for i := 0; b.Loop(); i++ {
		t := run(i)
		clock, cpu = append(clock, t.clock), append(cpu, t.cpu)
	}
	slices.Sort(clock)
	slices.Sort(cpu)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(cpu[len(cpu)/2].Microseconds())/1e3, "ms-cpu")
	b.ReportMetric(float64(clock[len(clock)/2].Microseconds())/1e3, "ms-clock")
}

type took struct{ clock, cpu time.Duration }

func timed(f func()) took {
	start, used := time.Now(), threadTime()
	f()
	return took{time.Since(start), threadTime() - used}
}

// threadTime is the CPU time of this thread so far.
func threadTime() time.Duration {
	const thread = 1 // RUSAGE_THREAD
	var u syscall.Rusage
	_ = syscall.Getrusage(thread, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkLoad(b *testing.B) {
	rows := stock()
	report(b, func(int) took {
		runtime.GC()
		return timed(func() { load(b, rows, 2<<30) })
	})
}

func BenchmarkMemory(b *testing.B) {
	rows := stock()
	var before, after runtime.MemStats
	for b.Loop() {
		runtime.GC()
		runtime.ReadMemStats(&before)
		x := load(b, rows, 0)
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(x.Bytes())/1e6, "MB-told")
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/1e6, "MB-heap")
	}
	b.ReportMetric(0, "ns/op")
}

// first measures a query whose result is not kept: each run asks for a little else.
func first(b *testing.B, vary func(q *index.Query, i int), q index.Query) {
	x := loaded()
	at := index.Window{Limit: 50}
	x.Page(&q, at, noon) // the orders exist
	report(b, func(i int) took {
		other := q
		vary(&other, i)
		return timed(func() { x.Page(&other, at, noon) })
	})
}

func BenchmarkSearch(b *testing.B) {
	for _, text := range []string{"for", "1ft", "rio", "e12", "777", "xqz"} {
		b.Run(text, func(b *testing.B) {
			first(b, func(q *index.Query, i int) { q.UpdatedSince = int64(i + 1) }, index.Query{Search: text})
		})
	}
}

func BenchmarkRandomPage(b *testing.B) {
	x := loaded()
	for name, q := range map[string]index.Query{"default": {}, "active": {Status: vehicle.StatusActive}} {
		b.Run(name, func(b *testing.B) {
			x.Page(&q, index.Window{}, noon)
			total, size := x.Page(&q, index.Window{}, noon).Total, 0
			for i := 0; b.Loop(); i++ {
				page := x.Page(&q, index.Window{Offset: int64(mix(uint64(i)) % uint64(total-50)), Limit: 50}, noon)
				for _, r := range page.Rows {
					size += len(r.Document)
				}
			}
			if size < b.N*50 {
				b.Fatal("documents are not kept")
			}
		})
	}
}

func BenchmarkFilterAndSort(b *testing.B) {
	byPrice := []index.Key{{Column: index.Price, Descending: true}}
	priced := func(q *index.Query, i int) {
		q.Ranges = map[index.Column]index.Range{index.Price: {Min: int64(i), Max: math.MaxInt64}}
	}
	lists := map[index.Column]index.List{index.Make: {Include: []string{"ford", "kia", "BMW"}}, index.Condition: {Exclude: []string{"new"}}}
	for name, q := range map[string]index.Query{
		"range-by-default": {}, "range-by-price": {Sort: byPrice}, "active-by-price": {Status: vehicle.StatusActive, Sort: byPrice}, "lists-by-price": {Lists: lists, Sort: byPrice},
		"active-by-make": {Status: vehicle.StatusActive, Sort: []index.Key{{Column: index.Make}}}, "active-by-stock-number": {Status: vehicle.StatusActive, Sort: []index.Key{{Column: index.StockNumber}}},
		"active-by-days":          {Status: vehicle.StatusActive, Sort: []index.Key{{Column: index.DaysOnLot}}},
		"three-keys":              {Sort: []index.Key{{Column: index.Make}, {Column: index.Year, Descending: true}, {Column: index.Price}}},
		"three-keys-active-lists": {Status: vehicle.StatusActive, Lists: lists, Sort: []index.Key{{Column: index.Make}, {Column: index.Year, Descending: true}, {Column: index.Price}}},
		"two-keys-stock":          {Sort: []index.Key{{Column: index.Condition}, {Column: index.StockNumber}}},
	} {
		b.Run(name, func(b *testing.B) { first(b, priced, q) })
	}
}

func BenchmarkFacets(b *testing.B) {
	facets := []index.Column{index.Make, index.Model, index.Condition, index.BodyStyle, index.DealershipID}
	lists := map[index.Column]index.List{index.Make: {Include: []string{"ford", "kia", "BMW"}}, index.Condition: {Exclude: []string{"new"}}}
	for name, q := range map[string]index.Query{"active": {Status: vehicle.StatusActive, Facets: facets}, "active-and-lists": {Status: vehicle.StatusActive, Facets: facets, Lists: lists}} {
		b.Run(name, func(b *testing.B) { first(b, func(q *index.Query, i int) { q.UpdatedSince = int64(i + 1) }, q) })
	}
}

// BenchmarkPut changes vehicles' prices, then asks for the default list and one by price.
func BenchmarkPut(b *testing.B) {
	rows := stock()
	for _, size := range []int{1, 1000} {
		for name, q := range map[string]index.Query{"default": {}, "active-by-price": {Status: vehicle.StatusActive, Sort: []index.Key{{Column: index.Price}}}} {
			b.Run(strconv.Itoa(size)+"/"+name, func(b *testing.B) {
				x := load(b, rows, 2<<30)
				x.Page(&q, index.Window{Limit: 50}, noon)
				report(b, func(i int) took {
					var changed []index.Row
					for j := range size {
						row := rows[mix(uint64(i*size+j))%million]
						row.Version = int64(i + 2)
						row.Document = strings.Replace(row.Document, `"price":"`, `"price":"`+strconv.Itoa(1+i%9), 1)
						row.Document = strings.Replace(row.Document, `"created_at":"2024-0`, `"created_at":"2023-0`, 1)
						changed = append(changed, row)
					}
					return timed(func() {
						if err := x.Put(changed); err != nil {
							b.Fatal(err)
						}
						x.Page(&q, index.Window{Limit: 50}, noon)
					})
				})
			})
		}
		b.Run(strconv.Itoa(size)+"/alone", func(b *testing.B) {
			x := load(b, rows, 2<<30)
			x.Page(&index.Query{}, index.Window{Limit: 50}, noon)
			report(b, func(i int) took {
				changed := slices.Clone(rows[i*7919%(million-size):][:size])
				for j := range changed {
					changed[j].Version = int64(i + 2)
				}
				return timed(func() { _ = x.Put(changed) })
			})
		})
	}
}

// BenchmarkOrders makes orders that don't exist.
func BenchmarkOrders(b *testing.B) {
	for _, c := range []index.Column{index.Created, index.VIN, index.Price, index.StockNumber} {
		b.Run(c.String(), func(b *testing.B) {
			report(b, func(int) took {
				x := load(b, stock(), 0)
				runtime.GC()
				return timed(func() {
					x.Page(&index.Query{Sort: []index.Key{{Column: c, Descending: true}}}, index.Window{Limit: 50}, noon)
				})
			})
		})
	}
}
