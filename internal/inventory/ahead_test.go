package inventory

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"carfluence/internal/index"
	"carfluence/internal/rest"
	"carfluence/internal/sqldb"
	"carfluence/internal/vehicle"
)

// TestALargeFileShowsAtOnce, to lists that only the index can answer too, and as the store has it.
func TestALargeFileShowsAtOnce(t *testing.T) {
	h, north, south := lot(t)
	h.shown("make=Ford")
	const n = 2*walkBatch + 100
	large := func(edition int) []vehicle.Change {
		changes := file(n, edition)
		for i := range changes {
			if i%3 == 0 {
				vehicle.Cleaner{Now: h.now}.Set(&changes[i], vehicle.DealershipID, []string{north, south}[i%2])
			}
		}
		return changes
	}
	price := fmt.Sprintf("price_min=%d&make=Ford", 20000) // of all in the file, and two of the lot
	for edition, want := range []int{n + 2, n + 2} {
		h.feeds(Source{Name: SourceImport, IntegrationID: integration, File: "stock.csv"}, large(edition)...)
		if got := h.total(price); got != want {
			t.Errorf("edition %d: %d vehicles, not %d", edition, got, want)
		}
		h.sameAsRead()
	}
	var gone []string
	for _, c := range large(0)[:walkBatch+50] {
		gone = append(gone, c.VIN)
	}
	h.retire(Source{Name: SourceImport, IntegrationID: integration}, gone...)
	if got := h.total(price); got != n+2-len(gone) {
		t.Errorf("%d vehicles after sales", got)
	}
	h.sameAsRead()
	h.vehicle(200, "", "PATCH", "/inventory/"+gone[0], `{"status":"active"}`)
	if got := h.total(price); got != n+3-len(gone) {
		t.Errorf("%d vehicles after one has come back", got)
	}
	h.feeds(Source{Name: SourceImport, IntegrationID: second, File: "other.csv"}, large(0)...) // says nothing new of most, but is a source of each
	h.sameAsRead()
	if all := h.stock.indexes; all.reserved != 0 || all.extra != 0 {
		t.Errorf("%d bytes are reserved yet, %d of them beyond the limit", all.reserved, all.extra)
	}
}

func (h *house) total(query string) int {
	h.Helper()
	return int(h.must(200, "", "GET", "/inventory?limit=1&"+query, "")["pagination"].(map[string]any)["total"].(float64))
}

// sameAsRead holds the index to one that is made from the store, document by document.
func (h *house) sameAsRead() {
	h.Helper()
	anew := NewStock(h.db, Options{IndexBytes: 64 << 20, DocumentBytes: 64 << 20, Exports: 1, Now: h.stock.now})
	for _, sel := range []*Selection{{}, {Query: index.Query{Status: vehicle.StatusSold}}, {Query: index.Query{Sort: []index.Key{{Column: index.DaysOnLot}, {Column: index.StockNumber, Descending: true}}}}} {
		var is, want bytes.Buffer
		if err := errors.Join(h.stock.Export(h.Context(), h.tenant(), sel, nil, lines(nil), &is), anew.Export(h.Context(), h.tenant(), sel, nil, lines(nil), &want)); err != nil {
			h.Fatal(err)
		}
		if !bytes.Equal(is.Bytes(), want.Bytes()) {
			h.Errorf("%+v: %d bytes, other than the %d that are stored", sel.Query, is.Len(), want.Len())
		}
	}
	if n := h.stock.indexes.reserved; n != 0 {
		h.Errorf("%d bytes are set aside for indexes that are not there any more", n)
	}
	x, _, err := h.stock.indexes.get(h.Context(), h.tenant(), version{}, needState)
	if err != nil {
		h.Fatal(err)
	}
	for _, row := range x.Page(&index.Query{}, index.Window{Limit: 1 << 20}, nil).Rows {
		var stored int64
		if err := h.tenant().QueryRow(h.Context(), `SELECT version FROM vehicle WHERE dealer_group_id = $1 AND vin = $2`, row.VIN).Scan(&stored); err != nil || stored != row.Version {
			h.Fatalf("%s is of version %d in the index, of %d in the store: %v", row.VIN, row.Version, stored, err)
		}
	}
}

// TestWhatWasRolledBackIsNotShown, even when another server has given its version to something else.
func TestWhatWasRolledBackIsNotShown(t *testing.T) {
	for _, others := range []bool{false, true} {
		h, _, _ := lot(t)
		h.shown("make=Ford")
		given := errors.New("no")
		err := h.tenant().Transact(t.Context(), func(tx *sqldb.Tenant) error {
			if _, err := apply(t.Context(), h.stock, tx, file(walkBatch+1, 0), Source{Name: SourceImport, IntegrationID: integration}); err != nil {
				return err
			}
			return given
		})
		if !errors.Is(err, given) {
			t.Fatal(err)
		}
		want, server := "BA", h.stock
		if others {
			server = NewStock(h.db, Options{Now: h.stock.now})
		}
		if _, _, err := server.Upsert(t.Context(), h.tenant(), row(vinOf("F"), 2, map[vehicle.Field]string{vehicle.Make: "Ford"}), Source{Name: SourceAPI}); err != nil {
			t.Fatal(err)
		}
		h.now = h.now.Add(versionAge)
		if got := h.shown("make=Ford"); got != "F"+want {
			t.Errorf("others write %v: %q", others, got)
		}
		h.sameAsRead()
	}
}

// TestALargeFileAndASmallWriteBehindIt, before anybody has looked.
func TestALargeFileAndASmallWriteBehindIt(t *testing.T) {
	h, _, _ := lot(t)
	h.shown("make=Ford")
	x, _, err := h.stock.indexes.get(t.Context(), h.tenant(), version{}, needState)
	if err != nil {
		t.Fatal(err)
	}
	from := Source{Name: SourceImport, IntegrationID: integration}
	for range 2 {
		err := h.tenant().Transact(t.Context(), func(tx *sqldb.Tenant) error {
			_, err := apply(t.Context(), h.stock, tx, file(walkBatch+1, 0), from)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := h.stock.Upsert(t.Context(), h.tenant(), row(vinOf("F"), 2, map[vehicle.Field]string{vehicle.Make: "Ford"}), Source{Name: SourceAPI}); err != nil {
			t.Fatal(err)
		}
	}
	if g := h.stock.indexes.group(group); g.shown == x || g.next != nil {
		t.Error("the index that was made ahead is lost")
	}
	if got := h.total("make=Ford"); got != walkBatch+4 {
		t.Errorf("%d vehicles", got)
	}
	h.sameAsRead()
}

// TestALargeFileThatNobodyLooksAt takes memory for one index.
func TestALargeFileThatNobodyLooksAt(t *testing.T) {
	h, _, _ := lot(t)
	h.shown("make=Ford")
	h.imports(file(walkBatch+1, 0)...)
	g := h.stock.indexes.group(group)
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		g.mu.Lock()
		there := g.next != nil
		g.mu.Unlock()
		if !there {
			break
		}
		if time.Now().After(end) {
			t.Fatal("two are there")
		}
	}
	h.sameAsRead()
}

// withALargeFile has a file's vehicles in an index, which takes so many bytes.
func withALargeFile(t *testing.T) (h *house, inUse int64) {
	h, _, _ = lot(t)
	h.shown("make=Ford")
	h.imports(file(walkBatch, 0)...)
	h.shown("make=Ford&limit=1")
	x, _, err := h.stock.indexes.get(t.Context(), h.tenant(), version{}, needState)
	if err != nil {
		t.Fatal(err)
	}
	return h, x.Bytes()
}

// TestALargeFileWithoutRoomBeside shows once the index has read it.
func TestALargeFileWithoutRoomBeside(t *testing.T) {
	h, inUse := withALargeFile(t)
	h.stock.indexes.limit = 3 * inUse
	others := room{bytes: 3*inUse - 1}
	h.stock.indexes.reserve(room{}, others)
	h.imports(file(walkBatch, 1)...)
	if g := h.stock.indexes.group(group); g.next != nil {
		t.Error("there was no room for another")
	}
	if page, err := h.stock.Find(t.Context(), h.tenant(), &Selection{}, rest.Page{Limit: 1}); err != nil || !bytes.Contains(page.Body, fmt.Appendf(nil, `"total":%d`, walkBatch+5)) {
		t.Errorf("%v", err)
	}
	h.stock.indexes.reserve(others, room{})
	h.sameAsRead()
}

// TestMemoryIsSetAsideForWhatTheLimitDoesNotHold, as another group's index may have it.
func TestMemoryIsSetAsideForWhatTheLimitDoesNotHold(t *testing.T) {
	h, inUse := withALargeFile(t)
	var extra, most int64
	h.stock.OnReserve(func(bytes int64) { extra, most = bytes, max(most, bytes) })
	h.imports(file(walkBatch, 1)...)
	h.shown("make=Ford&limit=1")
	if most != 0 {
		t.Errorf("%d bytes were set aside, though there was room", most)
	}
	h.stock.indexes.limit = 3 * inUse
	others := room{bytes: 2 * inUse, spare: 2 * inUse} // of others, who had room
	h.stock.indexes.reserve(room{}, others)
	h.imports(file(walkBatch, 2)...)
	h.shown("make=Ford&limit=1")
	if most < 20*walkBatch || extra != 0 { // versions, prices, times and the order at least
		t.Errorf("%d bytes were set aside at most, %d are yet", most, extra)
	}
	h.stock.indexes.reserve(others, room{})
	h.sameAsRead()
}
