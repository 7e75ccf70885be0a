package inventory

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"carfluence/internal/sqldb"
	"carfluence/internal/sqldb/sqldbtest"
)

// file makes the changes of a feed of n vehicles; edition 1 differs from 0 in every price.
func file(n, edition int) []Change {
	out := make([]Change, n)
	clean := Cleaner{Now: time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)}
	for i := range out {
		c := &out[i]
		c.VIN = fmt.Sprintf("1FTEW1EF%09d", (i*7919)%1_000_000_000)
		c.Line = i + 2
		for f, raw := range map[Field]string{
			StockNumber: fmt.Sprintf("S%07d", i), Year: "2017", Make: "Ford", Model: "F-150", Trim: "Platinum", Price: fmt.Sprint(20000 + i%9999 + edition),
			Mileage: fmt.Sprint(i % 90000), ExteriorColor: "Ruby Red", InteriorColor: "Brunello", BodyStyle: "4D SuperCrew", Condition: "U", Transmission: "6-Speed Automatic",
			Drivetrain: "4x4", FuelType: "Gasoline", DateInStock: "07/04/2021", SourceDealerName: "Ancira Ford Floresville",
			Description: "A clean one-owner truck with a full service history. Call today to schedule a test drive, or visit our showroom.",
			Features:    "Bluetooth|Navigation|Heated seats|Backup camera", Photos: "http://photos.example.com/1.jpg|http://photos.example.com/2.jpg|http://photos.example.com/3.jpg",
		} {
			clean.Set(c, f, raw)
		}
	}
	return out
}

func importFile(b testing.TB, s *Stock, t *sqldb.Tenant, changes []Change) (outcomes [4]int) {
	b.Helper()
	return importOf(b, s, t, "0199d5a0-5d2c-7c3f-9b64-0e2f6a3b1c00", changes)
}

func importOf(b testing.TB, s *Stock, t *sqldb.Tenant, integrationID string, changes []Change) (outcomes [4]int) {
	b.Helper()
	err := t.Transact(b.Context(), func(tx *sqldb.Tenant) error {
		w, err := s.Writer(b.Context(), tx, Source{Name: SourceImport, IntegrationID: integrationID, File: "stock.csv"})
		if err != nil {
			return err
		}
		for len(changes) > 0 {
			n := min(1000, len(changes))
			list, err := w.Apply(b.Context(), changes[:n])
			if err != nil {
				return err
			}
			for _, o := range list {
				outcomes[o]++
			}
			changes = changes[n:]
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	s.Committed(t.Group())
	return outcomes
}

// cpuTime used by this process so far; steadier than the clock on a shared machine.
func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkImport(b *testing.B) {
	const rows = 100_000
	first, second := file(rows, 0), file(rows, 1)
	for b.Loop() {
		db := sqldbtest.Open(b, sqldb.Stock)
		s, t := NewStock(db, Options{}), db.Tenant("0199d5a0-5d2c-7c3f-9b64-0e2f6a3b1c01")
		for _, part := range []struct {
			name    string
			changes []Change
		}{{"new", first}, {"same", first}, {"repriced", second}} {
			start, cpu := time.Now(), cpuTime()
			importFile(b, s, t, part.changes)
			b.ReportMetric(rows/time.Since(start).Seconds(), part.name+"_rows/s")
			b.ReportMetric(rows/(cpuTime()-cpu).Seconds(), part.name+"_rows/cpu-s")
		}
	}
}
