package inventory

import (
	"fmt"
	"strconv"
	"sync"
	"testing"

	"carfluence/internal/sqldb"
	"carfluence/internal/sqldb/sqldbtest"
	"carfluence/internal/vehicle"
)

// TestVehiclesWrittenAtOnce by several processes: counters and history are as if one had come after the other.
func TestVehiclesWrittenAtOnce(t *testing.T) {
	place := sqldbtest.New(t)
	dbs := []*sqldb.DB{place.Open(t, sqldb.Stock), place.Open(t, sqldb.Stock)}
	vins := []string{truck, sedan}
	const writers, rounds = 4, 12
	var wg sync.WaitGroup
	for i := range writers {
		stock := NewStock(dbs[i%2], Options{})
		wg.Go(func() {
			for n := range rounds {
				var c vehicle.Change
				c.VIN = vins[(i+n)%2]
				c.Put(vehicle.Price, fmt.Sprintf("%d.00", 10_000+100*i+n))
				c.Put(vehicle.Status, vehicle.StatusActive)
				if _, _, err := stock.Upsert(t.Context(), dbs[i%2].Tenant(group), c, Source{Name: SourceAPI, ActorID: strconv.Itoa(i)}); err != nil {
					t.Errorf("%d: %v", i, err)
				}
			}
		})
	}
	wg.Wait()
	tenant := dbs[0].Tenant(group)
	stock := NewStock(dbs[0], Options{})
	counted, err := selectCounts(t.Context(), tenant)
	if err != nil {
		t.Fatal(err)
	}
	recounted := counts{}
	for _, vin := range vins {
		v, err := stock.Get(t.Context(), tenant, vin, "")
		if err != nil {
			t.Fatal(err)
		}
		recounted.add(v, 1)
		var rows, last int64
		if err := tenant.QueryRow(t.Context(), `SELECT count(*), max(n) FROM vehicle_history WHERE dealer_group_id = $1 AND vin = $2`, vin).Scan(&rows, &last); err != nil || rows != last || rows != v.entries {
			t.Errorf("%s: %d entries up to %d, the vehicle says %d, %v", vin, rows, last, v.entries, err)
		}
	}
	if *counted[""] != *recounted[""] {
		t.Errorf("counted %+v, there are %+v", *counted[""], *recounted[""])
	}
	if n, err := selectVersion(t.Context(), tenant); err != nil || n.changes < writers*rounds-2 {
		t.Errorf("version %d after %d writes, %v", n, writers*rounds, err)
	}
}
