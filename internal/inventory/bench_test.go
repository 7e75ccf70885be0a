package inventory

import (
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"

	"carfluence/internal/sqldb"
	"carfluence/internal/sqldb/sqldbtest"
	"carfluence/internal/vehicle"
)

// file makes the changes of a feed of n vehicles; edition 1 differs from 0 in every price.
func file(n, edition int) []vehicle.Change {
	out := make([]vehicle.Change, n)
	clean := vehicle.Cleaner{Now: time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)}
	for i := range out {
		c := &out[i]
		c.VIN = fmt.Sprintf("1FTEW1EF%09d", (i*7919)%1_000_000_000)
		c.Line = i + 2
		for f, raw := range map[vehicle.Field]string{
			vehicle.StockNumber: fmt.Sprintf("S%07d", i), vehicle.Year: "2017", vehicle.Make: "Ford", vehicle.Model: "F-150", vehicle.Trim: "Platinum", vehicle.Price: fmt.Sprint(20000 + i%9999 + edition),
			vehicle.Mileage: fmt.Sprint(i % 90000), vehicle.ExteriorColor: "Ruby Red", vehicle.InteriorColor: "Brunello", vehicle.BodyStyle: "4D SuperCrew", vehicle.Condition: "U", vehicle.Transmission: "6-Speed Automatic",
			vehicle.Drivetrain: "4x4", vehicle.FuelType: "Gasoline", vehicle.DateInStock: "07/04/2021", vehicle.SourceDealerName: "Ancira Ford Floresville",
			vehicle.Description: "A clean one-owner truck with a full service history. Call today to schedule a test drive, or visit our showroom.",
			vehicle.Features:    "Bluetooth|Navigation|Heated seats|Backup camera", vehicle.Photos: "http://photos.example.com/1.jpg|http://photos.example.com/2.jpg|http://photos.example.com/3.jpg",
		} {
			clean.Set(c, f, raw)
		}
	}
	return out
}

func importFile(b testing.TB, s *Stock, t *sqldb.Tenant, changes []vehicle.Change) (outcomes [4]int) {
	b.Helper()
	return importOf(b, s, t, "0199d5a0-5d2c-7c3f-9b64-0e2f6a3b1c00", changes)
}

func importOf(b testing.TB, s *Stock, t *sqldb.Tenant, integrationID string, changes []vehicle.Change) (outcomes [4]int) {
	b.Helper()
	err := t.Transact(b.Context(), func(tx *sqldb.Tenant) error {
		from := Source{Name: SourceImport, IntegrationID: integrationID, File: "stock.csv"}
		return s.Write(b.Context(), tx, from, func(w *Writer) error {
			for some := range slices.Chunk(changes, 1000) {
				list, err := w.Apply(b.Context(), some)
				if err != nil {
					return err
				}
				for _, o := range list {
					outcomes[o]++
				}
			}
			return nil
		})
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
			changes []vehicle.Change
		}{{"new", first}, {"same", first}, {"repriced", second}} {
			start, cpu := time.Now(), cpuTime()
			importFile(b, s, t, part.changes)
			b.ReportMetric(rows/time.Since(start).Seconds(), part.name+"_rows/s")
			b.ReportMetric(rows/(cpuTime()-cpu).Seconds(), part.name+"_rows/cpu-s")
		}
	}
}
