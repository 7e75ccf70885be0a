package inventory

import (
	"fmt"
	"testing"
)

// TestAnIndexThatIsFullOfOrders and of what queries found lets go of those rather than of itself.
func TestAnIndexThatIsFullOfOrders(t *testing.T) {
	h, _, _ := lot(t)
	h.imports(file(walkBatch, 0)...)
	x, _, err := h.stock.indexes.get(t.Context(), h.tenant(), version{}, needAll)
	if err != nil {
		t.Fatal(err)
	}
	h.total("make=Ford")
	h.stock.indexes.limit = x.Bytes() * 5 / 4
	for _, by := range []string{"price", "-price", "mileage", "-mileage", "year", "model", "-stock_number", "updated_at"} {
		h.total("sort=" + by)
	}
	for i := range 50 {
		h.total(fmt.Sprintf("price_min=%d", i))
	}
	if x.Bytes() <= h.stock.indexes.limit {
		t.Fatalf("%d bytes are no more than %d", x.Bytes(), h.stock.indexes.limit)
	}
	h.vehicle(200, "", "PATCH", "/inventory/"+vinOf("A"), `{"price":"1.00"}`)
	if got := h.total("sort=-price&make=Ford"); got != walkBatch+2 {
		t.Errorf("%d vehicles", got)
	}
}
