package inventory

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"carfluence/internal/audit"
	"carfluence/internal/auth"
	"carfluence/internal/dealer"
	"carfluence/internal/errs"
	"carfluence/internal/sqldb"
	"carfluence/internal/sqldb/sqldbtest"
	"carfluence/internal/vehicle"
	"carfluence/internal/vehicle/vehicletest"
)

// kinds of answers about a vehicle.
var kinds = []answerKind{{"", false}, {"", true}, {integration, false}, {second, true}}

// told is what a stock answers about a vehicle, or why not.
func told(ctx context.Context, t *rapid.T, s *Stock, tenant *sqldb.Tenant, vin string, kind answerKind) string {
	one, err := s.answer(ctx, tenant, vin, kind)
	if errs.KindOf(err) == errs.KindNotFound {
		return "not found"
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(one.body)
}

// TestAnswersInMemoryAreThoseOfTheStore whatever two servers write: the one that writes shows it at once, the other within
// versionAge.
func TestAnswersInMemoryAreThoseOfTheStore(t *testing.T) {
	place := sqldbtest.New(t)
	dbs := []*sqldb.DB{place.Open(t, sqldb.Stock), place.Open(t, sqldb.Stock)}
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		ctx := t.Context()
		n++
		now, rule := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC), "rule"
		stock := func(db *sqldb.DB, bytes int64) *Stock {
			s := NewStock(db, Options{PageCacheBytes: bytes, Now: func() time.Time { return now }})
			s.Rules = func(context.Context, *sqldb.Tenant) (vehicle.Rules, error) {
				r := priceFloor("20000.00")
				r.Names[0].Name = rule
				return r, nil
			}
			return s
		}
		servers := []*Stock{stock(dbs[0], 1<<20), stock(dbs[1], 1<<20)}
		tenants := []*sqldb.Tenant{dbs[0].Tenant(fmt.Sprint("group-", n)), dbs[1].Tenant(fmt.Sprint("group-", n))}
		plain := stock(dbs[0], 0)
		agree := func(i int) {
			for _, vin := range []string{truck, sedan} {
				for _, kind := range kinds {
					want := told(ctx, t, plain, tenants[0], vin, kind)
					for range 2 { // the second from memory
						if got := told(ctx, t, servers[i], tenants[i], vin, kind); got != want {
							t.Fatalf("server %d, %s %+v:\n%s\nthe store's:\n%s", i, vin, kind, got, want)
						}
					}
				}
			}
		}
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			i := rapid.IntRange(0, 1).Draw(t, "server")
			s, tenant := servers[i], tenants[i]
			c := vehicletest.Change(t, rapid.SampledFrom([]string{truck, sedan}).Draw(t, "vin"))
			from := Source{Name: SourceAPI, ActorType: "person", ActorID: rapid.SampledFrom([]string{"ann", "bob"}).Draw(t, "by")}
			wrote, err := true, error(nil)
			switch rapid.IntRange(0, 6).Draw(t, "step") {
			case 0:
				_, err = s.Patch(ctx, tenant, c, from)
			case 1:
				_, _, err = s.Upsert(ctx, tenant, c, from)
			case 2, 3:
				err = tenant.Transact(ctx, func(tx *sqldb.Tenant) error {
					_, err := apply(ctx, s, tx, []vehicle.Change{c}, feedOf(rapid.SampledFrom([]string{integration, second}).Draw(t, "feed")))
					return err
				})
				s.Committed(tenant.Group())
			case 4:
				err = s.Release(ctx, tenant, c.VIN, "", from)
			case 5:
				rule += "'"
				err = tenant.Transact(ctx, func(tx *sqldb.Tenant) error { return s.Bump(ctx, tx) })
				s.Committed(tenant.Group())
			case 6:
				now = now.Add(time.Duration(rapid.IntRange(0, 30).Draw(t, "hours")) * time.Hour)
				wrote = false
			}
			if err != nil && errs.KindOf(err) != errs.KindNotFound {
				t.Fatal(err)
			}
			if wrote && err == nil {
				agree(i)
			}
			if rapid.Bool().Draw(t, "wait") {
				now = now.Add(versionAge)
				agree(0)
				agree(1)
			}
		}
	})
}

func TestAnEditTellsWhatIsShown(t *testing.T) {
	db := sqldbtest.Open(t, sqldb.Stock)
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		ctx := t.Context()
		n++
		now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
		s, tenant := NewStock(db, Options{Now: func() time.Time { return now }}), db.Tenant(fmt.Sprint("group-", n))
		s.Rules = func(context.Context, *sqldb.Tenant) (vehicle.Rules, error) { return priceFloor("20000.00"), nil }
		for range rapid.IntRange(1, 6).Draw(t, "steps") {
			c, from := vehicletest.Change(t, truck), Source{Name: SourceAPI, ActorID: rapid.SampledFrom([]string{"ann", "bob"}).Draw(t, "by")}
			if rapid.Bool().Draw(t, "feed") {
				err := tenant.Transact(ctx, func(tx *sqldb.Tenant) error {
					_, err := apply(ctx, s, tx, []vehicle.Change{c}, feedOf(integration))
					return err
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			r, _, err := s.edit(ctx, tenant, c, from, rapid.Bool().Draw(t, "patch"))
			if errs.KindOf(err) == errs.KindNotFound {
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, sensitive := range []bool{false, true} {
				if got, want := string(r.encode(sensitive, now)), told(ctx, t, s, tenant, truck, answerKind{"", sensitive}); got != want {
					t.Fatalf("told after the edit:\n%s\nthen:\n%s", got, want)
				}
			}
		}
	})
}

func TestVehiclesInMemoryAreForThoseWhoMaySeeThem(t *testing.T) {
	h := open(t)
	h.feeds(feedOf(integration), row(truck, 2, map[vehicle.Field]string{vehicle.Make: "Ford", vehicle.Cost: "12345"}))
	path := "/inventory/" + truck
	for range 2 {
		for _, as := range []string{"admin", "reader", "admin", "reader"} {
			if v, seen := h.vehicle(200, as, "GET", path, "")["cost"]; seen != (as == "admin") {
				t.Errorf("%s is shown the cost %v", as, v)
			}
			if v, seen := h.vehicle(200, as, "GET", path+"?integration_id="+integration, "")["cost"]; seen != (as == "admin") {
				t.Errorf("%s is shown the cost %v of the source", as, v)
			}
		}
		h.must(404, "foreign", "GET", path, "")
		h.must(404, "", "GET", path+"?integration_id="+second, "")
		h.must(404, "", "GET", "/inventory/"+sedan, "")
	}
	h.feeds(feedOf(integration), row(sedan, 2, map[vehicle.Field]string{vehicle.Make: "Nissan"}))
	h.must(200, "", "GET", "/inventory/"+sedan, "")
}

func TestAVehicleInMemoryIsNotSentAgain(t *testing.T) {
	h := open(t)
	h.feeds(feedOf(integration), row(truck, 2, map[vehicle.Field]string{vehicle.Make: "Ford"}))
	_, fresh, header := h.call("", "GET", "/inventory/"+truck, "")
	tag := header.Get("ETag")
	conditional := func() int {
		r := httptest.NewRequest("GET", "/api/v1/inventory/"+truck, nil)
		r.Header.Set("If-None-Match", tag)
		w := httptest.NewRecorder()
		h.api.ServeHTTP(w, r)
		return w.Code
	}
	if _, again, header := h.call("", "GET", "/inventory/"+truck, ""); again != fresh || header.Get("ETag") != tag || tag == "" {
		t.Errorf("from memory: %s %s\nbefore: %s %s", header.Get("ETag"), again, tag, fresh)
	}
	if code := conditional(); code != 304 {
		t.Errorf("unchanged: %d", code)
	}
	h.vehicle(200, "", "PATCH", "/inventory/"+truck, `{"price":7}`)
	if code := conditional(); code != 200 {
		t.Errorf("changed: %d", code)
	}
}

// TestTheCalendarMovesOnInMemory at midnight of the vehicle's dealership, whose time zone may change.
func TestTheCalendarMovesOnInMemory(t *testing.T) {
	h := open(t)
	id := h.dealership("Ancira", "America/Chicago")
	h.feeds(feedOf(integration), row(truck, 2, map[vehicle.Field]string{vehicle.DateInStock: "2026-11-20"}))
	h.vehicle(200, "", "PATCH", "/inventory/"+truck, `{"dealership_id":"`+id+`"}`)
	days := func() float64 { return h.vehicle(200, "", "GET", "/inventory/"+truck, "")["days_on_lot"].(float64) }
	h.now = time.Date(2026, 11, 24, 5, 59, 0, 0, time.UTC)
	if n := days(); n != 3 {
		t.Errorf("%v days before midnight", n)
	}
	h.now = time.Date(2026, 11, 24, 6, 0, 0, 0, time.UTC)
	if n := days(); n != 4 {
		t.Errorf("%v days at midnight", n)
	}
	if _, err := h.dealers.Update(h.Context(), h.tenant(), audit.Actor{}, id, func(d *dealer.Dealer) { d.TimeZone = "America/Los_Angeles" }); err != nil {
		t.Fatal(err)
	}
	h.now = h.now.Add(versionAge)
	if n := days(); n != 3 {
		t.Errorf("%v days in another zone", n)
	}
}

func TestVehiclesInMemoryKeepToTheirBytes(t *testing.T) {
	db := sqldbtest.Open(t, sqldb.Stock)
	s, tenant := NewStock(db, Options{PageCacheBytes: 200 << 10}), db.Tenant(group)
	changes := file(500, 0)
	importFile(t, s, tenant, changes)
	for _, c := range changes {
		if _, err := s.answer(t.Context(), tenant, c.VIN, answerKind{}); err != nil {
			t.Fatal(err)
		}
	}
	s.answers.kept.CleanUp()
	held := 0
	for _, list := range s.answers.kept.All() {
		for _, one := range list {
			held += cap(one.body)
		}
	}
	if held == 0 || held > 100<<10 {
		t.Errorf("%d bytes are held", held)
	}
}

// TestMoreChangesThanAreLookedAtOneByOne take all answers of the group out of memory.
func TestMoreChangesThanAreLookedAtOneByOne(t *testing.T) {
	db := sqldbtest.Open(t, sqldb.Stock)
	now := time.Now()
	s, other := NewStock(db, Options{PageCacheBytes: 64 << 20, Now: func() time.Time { return now }}), NewStock(db, Options{})
	tenant := db.Tenant(group)
	importFile(t, other, tenant, file(mostChanged+2, 0))
	for edition := range 2 {
		importFile(t, other, tenant, file(mostChanged+2, edition))
		now = now.Add(versionAge)
		for i, c := range file(mostChanged+2, edition) {
			one, err := s.answer(t.Context(), tenant, c.VIN, answerKind{})
			if err != nil {
				t.Fatal(err)
			}
			fresh, err := other.answer(t.Context(), tenant, c.VIN, answerKind{})
			if err != nil || string(one.body) != string(fresh.body) {
				t.Fatalf("vehicle %d: %s, want %s, %v", i, one.body, fresh.body, err)
			}
		}
	}
}

// mileageIn an encoded vehicle; all that the test writes have as many digits.
func mileageIn(body []byte) string {
	_, rest, _ := strings.Cut(string(body), `"mileage":`)
	return rest[:4]
}

// TestVehiclesShownWhileTheyChange never go back, whoever asks.
func TestVehiclesShownWhileTheyChange(t *testing.T) {
	place := sqldbtest.New(t)
	reading, writing := place.Open(t, sqldb.Stock), place.Open(t, sqldb.Stock)
	s, w := NewStock(reading, Options{PageCacheBytes: 1 << 20}), NewStock(writing, Options{})
	change := func(n int) vehicle.Change {
		c := vehicle.Change{VIN: truck}
		c.Put(vehicle.Mileage, strconv.Itoa(n))
		return c
	}
	put := func(s *Stock, db *sqldb.DB, n int) {
		if _, _, err := s.Upsert(t.Context(), db.Tenant(group), change(n), Source{Name: SourceAPI}); err != nil {
			t.Error(err)
		}
	}
	put(w, writing, 1000)
	var writers, readers sync.WaitGroup
	done := make(chan struct{})
	writers.Go(func() {
		for n := range 40 {
			if n%2 == 0 {
				put(s, reading, 1001+n)
			} else {
				put(w, writing, 1001+n)
			}
		}
	})
	caller := auth.Principal{Group: group}
	for range 3 {
		readers.Go(func() {
			for last := ""; ; {
				out, err := s.show(t.Context(), caller, &vehicleInput{VIN: truck})
				if err != nil {
					t.Error(err)
					return
				}
				if is := mileageIn(out.Body); is < last {
					t.Errorf("%s is shown after %s", is, last)
				} else {
					last = is
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	writers.Wait()
	close(done)
	readers.Wait()
}
