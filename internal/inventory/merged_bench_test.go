package inventory

import (
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"
)

// rowsPerCPUSecond tells how many rows a second of processor time does.
func rowsPerCPUSecond(rows int, work func()) float64 {
	cpu := cpuTime()
	work()
	return float64(rows) / (cpuTime() - cpu).Seconds()
}

// BenchmarkMerged compares lists of merged vehicles, 50 out of 100,000 that three integrations bring, with those of the
// inventory, and imports beside merge configs with imports alone.
func BenchmarkMerged(b *testing.B) {
	const vehicles = 100_000
	h := open(b)
	h.api.Log = slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelError}))
	tenant := h.tenant()
	ids := []string{integration, second, third}
	imports := func(id string, edition int) func() {
		changes := file(vehicles, edition)
		return func() { importOf(b, h.stock, tenant, id, changes) }
	}
	figures := map[string]float64{}
	for i, id := range ids {
		figures[fmt.Sprintf("import_%d_rows/cpu-s", i+1)] = rowsPerCPUSecond(vehicles, imports(id, i))
	}
	figures["repriced_alone_rows/cpu-s"] = rowsPerCPUSecond(vehicles, imports(second, 10))
	path := ""
	figures["built_rows/cpu-s"] = rowsPerCPUSecond(vehicles, func() { path = "/merge-configs/" + h.config(over("A", ids...)) })
	figures["repriced_1_config_rows/cpu-s"] = rowsPerCPUSecond(vehicles, imports(second, 20))
	figures["repriced_1_config_first_rows/cpu-s"] = rowsPerCPUSecond(vehicles, imports(integration, 30))
	figures["same_1_config_rows/cpu-s"] = rowsPerCPUSecond(vehicles, imports(integration, 30))
	b.Run("import", func(b *testing.B) {
		for b.Loop() {
		}
		for name, n := range figures {
			b.ReportMetric(n, name)
		}
	})

	random := rand.New(rand.NewPCG(1, 2))
	hot := func() string { return "?limit=50" }
	cold := func() string { return fmt.Sprintf("?limit=50&offset=%d", 50*random.IntN(20)) } // no deeper: that costs both the same walk
	for _, list := range []struct {
		name, path string
		cache      int64
		query      func() string
	}{
		{"plain/hot", "/inventory", 8 << 20, hot}, {"merged/hot", path + "/data", 8 << 20, hot},
		{"plain/random", "/inventory", 0, cold}, {"merged/random", path + "/data", 0, cold}, {"conflicts/random", path + "/conflicts", 0, cold},
	} {
		b.Run(list.name, func(b *testing.B) {
			h.stock.pages = newPages(list.cache)
			h.now = h.now.Add(time.Second)
			start := cpuTime()
			for b.Loop() {
				if code, text, _ := h.call("", "GET", list.path+list.query(), ""); code != 200 {
					b.Fatal(code, text)
				}
			}
			b.ReportMetric(float64((cpuTime()-start).Microseconds())/float64(b.N), "cpu-µs/op")
		})
	}
}
