package inventory

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"carfluence/internal/errs"
	"carfluence/internal/rest"
	"carfluence/internal/sqldb"
	"carfluence/internal/sqldb/sqldbtest"
	"carfluence/internal/vehicle"
)

// replica is a partner's copy of the stock, kept by following.
type replica struct {
	stock    *Stock
	tenant   *sqldb.Tenant
	followed Followed
	since    *Cursor
	vehicles map[string]string // list documents by VIN
	removals []string
}

func follower(s *Stock, t *sqldb.Tenant, f Followed) *replica {
	return &replica{stock: s, tenant: t, followed: f, vehicles: map[string]string{}}
}

// step makes one call and says how many changes came. The cursor goes over the wire.
func (r *replica) step(ctx context.Context, limit int, wait time.Duration) (n int, more bool, err error) {
	c, err := r.stock.Follow(ctx, r.tenant, r.followed, r.since, limit, wait)
	if err != nil {
		return 0, false, err
	}
	var list []struct {
		Type, VIN, Reason string
		Vehicle           json.RawMessage
	}
	if err := json.Unmarshal(c.List, &list); err != nil {
		return 0, false, fmt.Errorf("%w in %s", err, c.List)
	}
	for _, one := range list {
		if one.Type == "remove" {
			r.removals = append(r.removals, one.VIN+" "+one.Reason)
			delete(r.vehicles, one.VIN)
			continue
		}
		var v struct{ VIN string }
		if err := json.Unmarshal(one.Vehicle, &v); err != nil || v.VIN == "" {
			return 0, false, fmt.Errorf("%v: %s", err, one.Vehicle)
		}
		r.vehicles[v.VIN] = string(one.Vehicle)
	}
	if len(list) > limit {
		return 0, false, fmt.Errorf("%d changes of at most %d", len(list), limit)
	}
	r.since, err = ParseCursor(r.tenant.Group(), c.Next.Text(r.tenant.Group()))
	return len(list), c.More, err
}

// catchUp follows until there is no more.
func (r *replica) catchUp(t testing.TB, limit int) {
	t.Helper()
	for more := true; more; {
		var err error
		if _, more, err = r.step(t.Context(), limit, 0); err != nil {
			t.Fatal(err)
		}
	}
}

// shownByList is what the list shows, by VIN.
func shownByList(t testing.TB, s *Stock, tenant *sqldb.Tenant, f Followed) map[string]string {
	t.Helper()
	out, filter := map[string]string{}, Filter{Status: string(f)}
	if f == FollowAll {
		filter.Status = ""
	}
	for at := (rest.Page{Limit: 200}); ; at.Offset += at.Limit {
		page, err := s.List(t.Context(), tenant, filter, at)
		var got struct{ Vehicles []json.RawMessage }
		if err == nil {
			err = json.Unmarshal(page.Body, &got)
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range got.Vehicles {
			var v struct{ VIN string }
			_ = json.Unmarshal(text, &v)
			out[v.VIN] = string(text)
		}
		if len(got.Vehicles) < 200 {
			return out
		}
	}
}

func (r *replica) equalsList(t testing.TB) {
	t.Helper()
	if diff := cmp.Diff(shownByList(t, r.stock, r.tenant, r.followed), r.vehicles); diff != "" {
		t.Errorf("%s: the copy differs from the list (-list +copy):\n%.3000s", r.followed, diff)
	}
}

// TestFollowersHaveTheStock while files in large transactions, PATCHes and sales come from two servers, and some follow by the
// one and some by the other, in small steps.
func TestFollowersHaveTheStock(t *testing.T) {
	place := sqldbtest.New(t)
	place.Busy = 30 * time.Second // as the server's stock; the race detector makes writers ten times slower
	var stocks [2]*Stock
	var tenants [2]*sqldb.Tenant
	for i := range stocks {
		db := place.Open(t, sqldb.Stock)
		stocks[i], tenants[i] = NewStock(db, Options{PageCacheBytes: 1 << 20, Waiting: 10}), db.Tenant(group)
	}
	vins := make([]string, 300)
	for i := range vins {
		vins[i] = fmt.Sprintf("1FTEW1EF%09d", i)
	}
	var writers, followers sync.WaitGroup
	var done atomic.Bool
	for w := range 4 {
		s, tenant, random := stocks[w%2], tenants[w%2], rand.New(rand.NewPCG(7, uint64(w)))
		writers.Go(func() {
			for round := range 12 {
				var err error
				switch from := feedOf([]string{integration, second, third, ""}[w]); {
				case w == 3:
					var c vehicle.Change
					c.VIN = vins[random.IntN(len(vins))]
					c.Put(vehicle.Price, fmt.Sprintf("%d.00", 1000+round))
					c.Put(vehicle.Status, []string{vehicle.StatusActive, vehicle.StatusSold}[random.IntN(2)])
					_, _, err = s.Upsert(t.Context(), tenant, c, Source{Name: SourceAPI})
				default:
					err = writeSome(t.Context(), s, tenant, from, vins, random, round)
				}
				if err != nil {
					t.Errorf("writer %d: %v", w, err)
				}
				s.Committed(group)
			}
		})
	}
	var copies []*replica
	for i, f := range []Followed{FollowActive, FollowAll, FollowSold, FollowActive} {
		copies = append(copies, follower(stocks[i%2], tenants[i%2], f))
		r, random := copies[i], rand.New(rand.NewPCG(8, uint64(i)))
		followers.Go(func() {
			for !done.Load() {
				if _, _, err := r.step(t.Context(), 1+random.IntN(40), 20*time.Millisecond); err != nil {
					t.Errorf("%s: %v", r.followed, err)
					return
				}
			}
		})
	}
	writers.Wait()
	done.Store(true)
	followers.Wait()
	for _, r := range copies {
		r.catchUp(t, 17)
		r.stock.Committed(group)
		r.equalsList(t)
	}
	if active, sold := len(copies[0].vehicles), len(copies[2].vehicles); active == 0 || sold == 0 || len(copies[0].removals) == 0 {
		t.Errorf("%d active, %d sold, %d removals prove nothing", active, sold, len(copies[0].removals))
	}
}

// writeSome brings a part of the vehicles in, and retires another, in one transaction.
func writeSome(ctx context.Context, s *Stock, tenant *sqldb.Tenant, from Source, vins []string, random *rand.Rand, round int) error {
	var changes []vehicle.Change
	var gone []string
	for _, vin := range vins {
		switch n := random.IntN(10); {
		case n < 4:
			changes = append(changes, row(vin, 2, map[vehicle.Field]string{vehicle.Make: "Ford", vehicle.Price: fmt.Sprint(1000 + round*10 + n)}))
		case n == 4:
			gone = append(gone, vin)
		}
	}
	return tenant.Transact(ctx, func(tx *sqldb.Tenant) error {
		return s.Write(ctx, tx, from, func(w *Writer) error {
			if _, err := w.Apply(ctx, changes); err != nil {
				return err
			}
			return w.Retire(ctx, gone)
		})
	})
}

// A file is one version. Pages within it lose nothing when its vehicles are written again between them, also the one a cursor
// stands on.
func TestAPageWithinOneFile(t *testing.T) {
	h := open(t)
	var file []vehicle.Change
	for i := range 50 {
		file = append(file, row(fmt.Sprintf("1FTEW1EF%09d", i), 2, map[vehicle.Field]string{vehicle.Price: "1000"}))
	}
	h.imports(file...)
	r := follower(h.stock, h.tenant(), FollowActive)
	if n, more, err := r.step(t.Context(), 20, 0); n != 20 || !more || err != nil {
		t.Fatal(n, more, err)
	}
	again := []vehicle.Change{file[0], file[19], file[20], file[21], file[49]}
	for i := range again {
		again[i] = row(again[i].VIN, 2, map[vehicle.Field]string{vehicle.Price: "2000"})
	}
	h.imports(again...)
	h.retire(Source{Name: SourceImport, IntegrationID: integration}, file[5].VIN, file[30].VIN)
	n, more, err := r.step(t.Context(), 1000, 0)
	if n != 33 || more || err != nil { // the 30 behind the cursor, and three before it
		t.Fatal(n, more, err)
	}
	r.equalsList(t)
	if len(r.vehicles) != 48 || !strings.Contains(r.vehicles[file[19].VIN], `"price":"2000.00"`) {
		t.Errorf("%d vehicles, %s", len(r.vehicles), r.vehicles[file[19].VIN])
	}
	if n, more, err := r.step(t.Context(), 1000, 0); n != 0 || more || err != nil {
		t.Errorf("nothing has happened since: %d %v %v", n, more, err)
	}
}

func TestWhatLeavesIsRemoved(t *testing.T) {
	h := open(t)
	h.must(201, "", "POST", "/inventory", `{"vin":"`+sedan+`","price":"1","status":"sold"}`)
	h.must(201, "", "POST", "/inventory", `{"vin":"`+truck+`","price":"1"}`)
	copies := map[Followed]*replica{}
	for _, f := range []Followed{FollowActive, FollowSold, FollowAll} {
		copies[f] = follower(h.stock, h.tenant(), f)
		copies[f].catchUp(t, 1)
		copies[f].equalsList(t)
	}
	status := func(s string) {
		h.now = h.now.Add(time.Minute)
		h.must(200, "", "PATCH", "/inventory/"+truck, `{"status":"`+s+`"}`)
		for _, r := range copies {
			r.catchUp(t, 1)
			r.equalsList(t)
		}
	}
	h.must(200, "", "PATCH", "/inventory/"+truck, `{"price":"2"}`)
	status("sold")
	status("active")
	want := map[Followed][]string{FollowActive: {truck + " sold"}, FollowSold: {truck + " relisted"}, FollowAll: nil}
	for f, r := range copies {
		if !slices.Equal(r.removals, want[f]) {
			t.Errorf("%s: removed %q, want %q", f, r.removals, want[f])
		}
	}
	status("sold")
	_, text, _ := h.call("", "GET", "/inventory/changes?since="+cursorOf(h, ""), "")
	if !strings.Contains(text, `{"changes":[],`) {
		t.Errorf("who begins now is told of what others had: %s", text)
	}
}

// cursorOf follows to the end and returns where it is.
func cursorOf(h *house, query string) string {
	h.Helper()
	next := ""
	for more := true; more; {
		out := h.must(200, "", "GET", "/inventory/changes?"+query+"&since="+next, "")
		next, more = out["next"].(string), out["more"].(bool)
	}
	return next
}

// A long run of vehicles that are not followed is no reason for one long call, nor for an answer that looks like the end.
func TestMuchThatIsNotFollowed(t *testing.T) {
	h := open(t)
	const fill = `INSERT INTO vehicle (dealer_group_id, vin, status, lot_since, created_at, updated_at, entries, overrides, search, origin, document)
		WITH RECURSIVE k(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM k WHERE n < $2) SELECT $1, 'VIN' || n, 'sold', 0, n, n, 1, '', '', '{}', '{}' FROM k`
	if _, err := h.tenant().Exec(t.Context(), fill, maxPassed+1400); err != nil {
		t.Fatal(err)
	}
	importFile(t, h.stock, h.tenant(), file(100, 0))
	r, calls := follower(h.stock, h.tenant(), FollowActive), 0
	for more := true; more; calls++ {
		var err error
		if _, more, err = r.step(t.Context(), 1000, 0); err != nil {
			t.Fatal(err)
		}
	}
	r.equalsList(t)
	if calls > 4 || len(r.vehicles) != 100 {
		t.Errorf("%d calls, %d vehicles", calls, len(r.vehicles))
	}
}

// TestChangesThatLeaveNoTrace make cursors expire: writes of the program of the release before, and a store from before the cursor.
func TestChangesThatLeaveNoTrace(t *testing.T) {
	h := open(t)
	h.imports(row(truck, 2, map[vehicle.Field]string{vehicle.Price: "1"}), row(sedan, 3, map[vehicle.Field]string{vehicle.Price: "1"}))
	early := cursorOf(h, "limit=1")
	h.must(200, "", "PATCH", "/inventory/"+truck, `{"price":"2"}`)
	late := cursorOf(h, "")
	expire := func(since string) {
		t.Helper()
		if code, text, _ := h.call("", "GET", "/inventory/changes?since="+since, ""); code != 410 || !strings.Contains(text, `"code":"cursor_expired"`) || !strings.Contains(text, "without `since`") {
			t.Errorf("%d %s", code, text)
		}
	}
	set := func(columns string) {
		t.Helper()
		if _, err := h.tenant().Exec(t.Context(), `UPDATE inventory_version SET `+columns+` WHERE dealer_group_id = $1`); err != nil {
			t.Fatal(err)
		}
		h.stock.Committed(group)
	}
	set(`n = n - 1, changes = changes - 1`)
	expire(late)
	h.must(200, "", "GET", "/inventory/changes?since="+early, "")
	set(`n = n + 2, changes = changes + 1`)
	expire(early)
	h.must(200, "", "GET", "/inventory/changes?since="+cursorOf(h, ""), "")
}

func TestChangesAreFoundByIndex(t *testing.T) {
	db := sqldbtest.Open(t, sqldb.Stock)
	for _, f := range []Followed{FollowActive, FollowAll} {
		err := db.Tenant(group).Transact(t.Context(), func(tx *sqldb.Tenant) error {
			query, args := changesAfter(f, place{7, truck}, 200)
			plan, err := explain(t, tx, query, args)
			if !strings.Contains(plan, "vehicle_version") || strings.Contains(plan, "B-TREE") || strings.Contains(plan, "Sort") || strings.Contains(strings.ReplaceAll(plan, "One-Time Filter", ""), "Filter") ||
				db.Engine() == sqldb.SQLite && !strings.Contains(plan, "(version,vin)>(?,?)") {
				t.Errorf("%s:\n%s", f, plan)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestCursors(t *testing.T) {
	for _, c := range []Cursor{{Followed: FollowActive}, {FollowSold, place{1 << 40, truck}, 1 << 41, 3}, {FollowAll, place{1, "S"}, 0, -1}} {
		text := c.Text(group)
		got, err := ParseCursor(group, text)
		if err != nil || *got != c || len(text) > maxCursor || strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			t.Errorf("%+v: %s is %+v, %v", c, text, got, err)
		}
		if _, err := ParseCursor(foreign, text); errs.KindOf(err) != errs.KindInvalid {
			t.Errorf("another group's: %v", err)
		}
		for i := range text {
			for _, mangled := range []string{text[:i], text[:i] + "x" + text[i+1:], text[:i] + "x" + text[i:]} {
				if _, err := ParseCursor(group, mangled); err == nil && mangled != text {
					t.Errorf("%s was taken for a cursor, made of %s", mangled, text)
				}
			}
		}
	}
}

func FuzzCursor(f *testing.F) {
	c := Cursor{FollowSold, place{17, truck}, 12, 3}
	f.Add(c.Text(group))
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		if c, err := ParseCursor(group, text); err == nil && c.Text(group) != text {
			t.Errorf("%q is %+v, which is %q", text, *c, c.Text(group))
		}
	})
}

func TestRefusedChanges(t *testing.T) {
	h := open(t)
	h.imports(row(truck, 2, map[vehicle.Field]string{vehicle.Price: "1"}))
	cursor, sold := cursorOf(h, ""), cursorOf(h, "status=sold")
	c, err := ParseCursor(group, cursor)
	if err != nil {
		t.Fatal(err)
	}
	theirs := h.must(200, "foreign", "GET", "/inventory/changes", "")
	if len(theirs["changes"].([]any)) != 0 {
		t.Errorf("another group is shown %v", theirs)
	}
	for _, tt := range []struct {
		as, query string
		status    int
		want      string
	}{
		{"integrations reader", "", 403, "insufficient_scope"},
		{"", "since=nonsense", 422, `"parameter":"since"`},
		{"", "since=" + cursor + "A", 422, `"parameter":"since"`},
		{"", "since=" + c.Text(foreign), 422, `"parameter":"since"`},
		{"foreign", "since=" + cursor, 422, `"parameter":"since"`},
		{"", "since=" + cursor + "&status=sold", 422, "which is active; send that or none"},
		{"", "since=" + sold + "&status=active", 422, "which is sold; send that or none"},
		{"", "status=gone&limit=0&wait=61", 422, `"parameter":"status"`},
		{"", "status=gone&limit=0&wait=61", 422, `"parameter":"limit"`},
		{"", "status=gone&limit=0&wait=61", 422, `"parameter":"wait"`},
		{"", "wait=-1", 422, `"parameter":"wait"`},
		{"", "limit=100000&since=" + cursor, 200, `{"changes":[],"next":"`},
		{"reader", "since=" + sold, 200, `{"changes":[],"next":"`},
	} {
		code, text, header := h.call(tt.as, "GET", "/inventory/changes?"+tt.query, "")
		if code != tt.status || !strings.Contains(text, tt.want) || code != 200 && strings.Contains(text, truck) {
			t.Errorf("%s %s: %d %s", tt.as, tt.query, code, text)
		}
		if header.Get("Cache-Control") != "private, no-store" || header.Get("ETag") != "" {
			t.Errorf("%s: %v", tt.query, header)
		}
	}
}

// Costs are for administrators, and are in no list.
func TestChangesShowWhatListsShow(t *testing.T) {
	h := open(t)
	h.imports(row(truck, 2, map[vehicle.Field]string{vehicle.Price: "1", vehicle.Cost: "4711", vehicle.DateInStock: "11/20/2026"}))
	code, text, _ := h.call("admin", "GET", "/inventory/changes", "")
	if code != 200 || strings.Contains(text, "4711") || !strings.Contains(text, `"days_on_lot":3,`) {
		t.Errorf("%d %s", code, text)
	}
	h.now = h.now.Add(24 * time.Hour)
	if _, text, _ := h.call("admin", "GET", "/inventory/changes", ""); !strings.Contains(text, `"days_on_lot":4,`) {
		t.Errorf("a day later: %s", text)
	}
	want := shownByList(t, h.stock, h.tenant(), FollowActive)
	r := follower(h.stock, h.tenant(), FollowActive)
	r.catchUp(t, 10)
	if !maps.Equal(want, r.vehicles) {
		t.Errorf("%v, the list shows %v", r.vehicles, want)
	}
}

func isUnavailable(err error) bool {
	e, ok := errors.AsType[*errs.Error](err)
	return ok && e.Kind == errs.KindUnavailable && e.RetryAfter > 0
}
