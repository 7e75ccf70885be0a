package demo

import (
	"testing"
	"time"

	"carfluence/internal/audit"
	"carfluence/internal/dealer"
	"carfluence/internal/feed"
	"carfluence/internal/inventory"
	"carfluence/internal/sqldb"
	"carfluence/internal/sqldb/sqldbtest"
)

func TestDemoLoadsCleanly(t *testing.T) {
	db := sqldbtest.Open(t, sqldb.Stock)
	importer := &feed.Importer{
		Stock: inventory.NewStock(db, inventory.Options{Now: time.Now}), Dealers: &dealer.Dealers{DB: db, Now: time.Now}, Now: time.Now,
	}
	reports, err := Load(t.Context(), db.Tenant("group-1"), importer, audit.System("test"))
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []int64{150, 130, 80} {
		r := reports[i]
		if r.Created != want || r.Rows != want || r.Warnings != 0 || len(r.DealersCreated) != 0 {
			t.Errorf("%s: %d of %d rows created, %d warnings, dealerships made: %v", r.File, r.Created, r.Rows, r.Warnings, r.DealersCreated)
			for _, k := range r.WarningKinds {
				t.Logf("%d × %+v", k.Count, k.Example)
			}
		}
	}
}
