package inventory

import (
	"cmp"
	"testing"
	"time"

	"pgregory.net/rapid"

	"carfluence/internal/index"
	"carfluence/internal/money"
	"carfluence/internal/vehicle"
	"carfluence/internal/vehicle/vehicletest"
)

// TestIndexReadsTheListDocument holds what is written of a vehicle to what the index finds it by.
func TestIndexReadsTheListDocument(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)
		v := &Vehicle{
			VIN: rapid.SampledFrom([]string{"1FTEW1EF5HFA00001", "A0001"}).Draw(t, "vin"), LotSince: DayOf(at, time.UTC) - 7,
			CreatedAt: at, UpdatedAt: at.Add(rapid.SampledFrom([]time.Duration{0, time.Hour}).Draw(t, "later")),
			SourceIntegrationID: rapid.SampledFrom([]string{"", "0199d5a0-5d2c-7c3f-9b64-0e2f6a3b1c00"}).Draw(t, "source"),
		}
		for _, f := range listed {
			v.Values[f] = vehicletest.Value(t, f)
		}
		today := int64(v.LotSince) + 9
		if v.Values[vehicle.Status] = cmp.Or(v.Values[vehicle.Status], vehicle.StatusActive); v.Values[vehicle.Status] == vehicle.StatusSold {
			v.SoldAt = at
			today = int64(v.LotSince) + 7
		}
		x := index.New(index.NewBudget(0))
		document := string(calendar{}.document(nil, v))
		if err := x.Put([]index.Row{{VIN: v.VIN, Version: 1, LotSince: int64(v.LotSince), DealershipID: "d", Document: document}}); err != nil {
			t.Fatal(err)
		}
		found := func(q index.Query) bool {
			return x.Page(&q, index.Window{}, func(string) int64 { return int64(v.LotSince) + 9 }).Total == 1
		}
		for c, text := range map[index.Column]string{
			index.Make: v.Values[vehicle.Make], index.Model: v.Values[vehicle.Model], index.Trim: v.Values[vehicle.Trim], index.BodyStyle: v.Values[vehicle.BodyStyle],
			index.Condition: v.Values[vehicle.Condition], index.Status: v.Values[vehicle.Status], index.SourceIntegrationID: v.SourceIntegrationID, index.DealershipID: "d",
		} {
			if !found(index.Query{Lists: map[index.Column]index.List{c: {Include: []string{cmp.Or(text, index.Null)}}}}) {
				t.Errorf("not found by %s %q: %s", c, text, document)
			}
			if counts := x.Page(&index.Query{Facets: []index.Column{c}}, index.Window{}, nil).Facets[0].Counts; len(counts) != 1 || counts[0].Value != text {
				t.Errorf("%s %q is read as %v", c, text, counts)
			}
		}
		exactly := func(c index.Column, n int64, there bool) {
			if found(index.Query{Ranges: map[index.Column]index.Range{c: {Min: n, Max: n}}}) != there || !there && found(index.Query{Ranges: map[index.Column]index.Range{c: {Min: index.OpenMin, Max: index.OpenMax}}}) {
				t.Errorf("%s is not read as %d, %v: %s", c, n, there, document)
			}
		}
		exactly(index.DaysOnLot, today-int64(v.LotSince), true)
		for c, f := range map[index.Column]vehicle.Field{index.Year: vehicle.Year, index.Mileage: vehicle.Mileage} {
			n, there := number(v.Values[f])
			exactly(c, n, there)
		}
		for c, f := range map[index.Column]vehicle.Field{index.Price: vehicle.Price, index.InternetPrice: vehicle.InternetPrice} {
			a, err := money.Parse(v.Values[f])
			exactly(c, a.Cents(), err == nil)
		}
		if since := v.UpdatedAt.Unix(); !found(index.Query{UpdatedSince: since}) || found(index.Query{UpdatedSince: since + 1}) {
			t.Errorf("updated at another time: %s", document)
		}
		for _, text := range []string{v.VIN, v.Values[vehicle.Make], v.Values[vehicle.Model], v.Values[vehicle.StockNumber]} {
			if folded, ok := FoldSearch(text); ok && !found(index.Query{Search: folded}) {
				t.Errorf("a search of %q finds nothing: %s", folded, document)
			}
		}
	})
}
