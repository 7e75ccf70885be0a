package index

import "testing"

func FuzzDocument(f *testing.F) {
	f.Add("{\"vin\":\"1FTEW1EF5HFA00001\",\"stock_number\":\"A\\\"1\",\"year\":2017,\"make\":\"Ford\",\"model\":null,\"trim\":null,\"price\":\"35997.00\",\"internet_price\":null,\"mileage\":0," +
		"\"exterior_color\":null,\"interior_color\":null,\"body_style\":\"Truck\",\"condition\":\"used\",\"status\":\"active\",\"days_on_lot\":\x1f,\"source_integration_id\":null," +
		"\"created_at\":\"2026-11-25T10:00:00Z\",\"updated_at\":\"2026-11-25T10:00:00Z\",\"vin_status\":\"valid\"}")
	f.Fuzz(func(t *testing.T, document string) {
		var r record
		if err := r.read(document); err == nil && (r.vin == "" || r.price < none || r.days < none || r.text[statuses] == "") {
			t.Errorf("%q was read as %+v", document, r)
		}
	})
}
