package inventory

import (
	"testing"

	"carfluence/internal/sqldb"
	"carfluence/internal/sqldb/sqldbtest"
)

// Statistics are read from kept counters, whatever the number of vehicles.
func BenchmarkStatistics(b *testing.B) {
	db := sqldbtest.Open(b, sqldb.Stock)
	s, tenant := NewStock(db, Options{}), db.Tenant(group)
	importFile(b, s, tenant, file(20_000, 0))
	b.Run("summary", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.Summary(b.Context(), tenant); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("activity", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.Activity(b.Context(), tenant, "", 30); err != nil {
				b.Fatal(err)
			}
		}
	})
}
