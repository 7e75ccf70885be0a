package inventory

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"carfluence/internal/auth"
	"carfluence/internal/index"
	"carfluence/internal/rest"
	"carfluence/internal/sqldb"
	"carfluence/internal/sqldb/sqldbtest"
	"carfluence/internal/vehicle"
)

// BenchmarkVehicle answers for one vehicle of any, from the store and from memory; one in ten with an override.
func BenchmarkVehicle(b *testing.B) {
	const rows = 20_000
	db := sqldbtest.Open(b, sqldb.Stock)
	const group = "0199d5a0-5d2c-7c3f-9b64-0e2f6a3b1c01"
	changes := file(rows, 0)
	importFile(b, NewStock(db, Options{}), db.Tenant(group), changes)
	caller := auth.Principal{Kind: auth.KeyKind, Group: group, ID: "key", Scopes: auth.InventoryRead | auth.InventoryWrite}
	overridden := changes[:rows/100]
	for i := range overridden {
		c := vehicle.Change{VIN: overridden[i].VIN}
		c.Put(vehicle.Price, "12345.00")
		if _, err := NewStock(db, Options{}).Patch(b.Context(), db.Tenant(group), c, apiSource(caller)); err != nil {
			b.Fatal(err)
		}
	}
	read := func(b *testing.B, s *Stock, some []vehicle.Change) {
		b.ReportAllocs()
		start := cpuTime()
		for b.Loop() {
			if _, err := s.show(b.Context(), caller, &vehicleInput{VIN: some[rand.IntN(len(some))].VIN}); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64((cpuTime()-start).Nanoseconds())/float64(b.N)/1000, "cpu-µs/op")
	}
	plain := changes[rows/100:]
	b.Run("store", func(b *testing.B) { read(b, NewStock(db, Options{}), plain) })
	b.Run("store/overridden", func(b *testing.B) { read(b, NewStock(db, Options{}), overridden) })
	kept := NewStock(db, Options{PageCacheBytes: 1 << 30})
	for _, c := range changes {
		if _, err := kept.show(b.Context(), caller, &vehicleInput{VIN: c.VIN}); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("memory", func(b *testing.B) { read(b, kept, changes) })
}

// BenchmarkPatch sets one vehicle's price, and answers with the vehicle.
func BenchmarkPatch(b *testing.B) {
	db := sqldbtest.Open(b, sqldb.Stock)
	const group = "0199d5a0-5d2c-7c3f-9b64-0e2f6a3b1c01"
	s := NewStock(db, Options{PageCacheBytes: 1 << 20})
	changes := file(5000, 0)
	importFile(b, s, db.Tenant(group), changes)
	caller := auth.Principal{Kind: auth.KeyKind, Group: group, ID: "key", Scopes: auth.InventoryRead | auth.InventoryWrite}
	for b.Loop() {
		in := &patchInput{VIN: changes[rand.IntN(len(changes))].VIN, Body: VehiclePatch{fmt.Appendf(nil, `{"price":%d}`, 10_000+rand.IntN(50_000))}}
		if _, err := s.patch(b.Context(), caller, in); err != nil {
			b.Fatal(err)
		}
	}
}

// Random pages whose vehicles are all in memory, and none of which is.
func BenchmarkRandomPage(b *testing.B) {
	db := sqldbtest.Open(b, sqldb.Stock)
	s, tenant := NewStock(db, Options{PageCacheBytes: 32 << 20, IndexBytes: 256 << 20, DocumentBytes: 256 << 20}), db.Tenant(group)
	importFile(b, s, tenant, file(100_000, 0))
	sel := &Selection{Query: index.Query{Status: vehicle.StatusActive}}
	find := func(offset int) {
		if _, err := s.Find(b.Context(), tenant, sel, rest.Page{Limit: 50, Offset: int64(offset)}); err != nil {
			b.Fatal(err)
		}
	}
	if more, err := s.Warm(b.Context(), tenant); err != nil || !more {
		b.Fatal(more, err)
	}
	b.ReportAllocs()
	for b.Loop() {
		find(rand.IntN(99_950))
	}
}
