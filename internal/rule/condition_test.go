package rule

import (
	"fmt"
	"strings"
	"testing"

	"carfluence/internal/vehicle"
)

// TestConditions has for every sort of field what each operator says to some values.
func TestConditions(t *testing.T) {
	v := truck()
	v[vehicle.Tags] = `["aged","one \"owner\"","50"]`
	v[vehicle.PhotosUpdatedAt] = "2021-08-28T10:00:00Z"
	v[vehicle.Description] = "One owner.\nClean."
	v[vehicle.DealershipID] = "0199d5a0-5d2c-7c3f-9b64-0e2f6a3b1c00"
	for _, c := range []struct {
		field string
		o     Operator
		yes   []string // values for which it holds
		no    []string
	}{
		// texts
		{"make", Equals, []string{"Ford"}, []string{"ford", "For", "Ford ", "BMW"}},
		{"make", NotEquals, []string{"ford", "BMW"}, []string{"Ford"}},
		{"make", Contains, []string{"Ford", "or"}, []string{"OR", "Fords"}},
		{"make", In, []string{"BMW,Ford", " BMW , Ford ", "Ford"}, []string{"BMW", "ford,BMW", "For"}},
		{"description", Contains, []string{"owner.\nC"}, []string{"x"}},
		{"vdp_url", Contains, []string{"cars.example"}, []string{"other.example"}},
		{"vdp_url", Equals, []string{"https://cars.example.com/FA85881"}, []string{"https://cars.example.com/"}},
		{"dealership_id", Equals, []string{"0199d5a0-5d2c-7c3f-9b64-0e2f6a3b1c00", "0199D5A0-5D2C-7C3F-9B64-0E2F6A3B1C00"}, []string{"0199d5a0-5d2c-7c3f-9b64-0e2f6a3b1c01"}},
		{"vin", Equals, []string{truckVIN}, []string{"1ftew1ef5hfa85881"}},
		{"vin", NotEquals, []string{"1"}, []string{truckVIN}},
		{"vin", Contains, []string{"1FT"}, []string{"2FT"}},
		{"vin", In, []string{"a," + truckVIN}, []string{"a,b"}},
		// numbers
		{"price", Equals, []string{"35997", "35997.00", "35997.0000", "035997"}, []string{"35997.001", "35996.99", "-35997"}},
		{"price", NotEquals, []string{"35996", "0.001"}, []string{"35997"}},
		{"price", In, []string{"1,35997", "35997.0,2"}, []string{"1,2"}},
		{"price", GreaterThan, []string{"35996.99", "0", "-5", "35996.999999"}, []string{"35997", "35997.000001", "9999999999999999999"}},
		{"price", LessThan, []string{"35997.01", "35997.000001", "9999999999999999999"}, []string{"35997", "35996.99"}},
		{"year", Equals, []string{"2017", "2017.0"}, []string{"2017.5", "2018", "20170"}},
		{"year", In, []string{"2016,2017"}, []string{"2016,2018"}},
		{"year", GreaterThan, []string{"2016", "2016.5", "999"}, []string{"2017"}},
		{"year", LessThan, []string{"2018", "10000"}, []string{"2017", "999"}},
		{"engine_displacement_l", Equals, []string{"3.5", "3.50"}, []string{"3.51", "3"}},
		{"engine_displacement_l", NotEquals, []string{"3.51"}, []string{"3.5"}},
		{"engine_displacement_l", GreaterThan, []string{"3.49", "3"}, []string{"3.5", "10"}},
		{"engine_displacement_l", LessThan, []string{"3.51", "10"}, []string{"3.5"}},
		{"days_on_lot", Equals, []string{"120", "120.0"}, []string{"12", "121", "120.5"}},
		{"days_on_lot", NotEquals, []string{"12"}, []string{"120"}},
		{"days_on_lot", In, []string{"90,120"}, []string{"90,100"}},
		{"days_on_lot", GreaterThan, []string{"119", "119.5", "9"}, []string{"120", "1000"}},
		{"days_on_lot", LessThan, []string{"121", "1000"}, []string{"120", "9"}},
		// words and truths
		{"condition", Equals, []string{"used"}, []string{"new"}},
		{"condition", NotEquals, []string{"new"}, []string{"used"}},
		{"condition", In, []string{"new,used"}, []string{"new"}},
		{"condition", Contains, []string{"us"}, []string{"U"}},
		{"certified", Equals, []string{"false"}, []string{"true"}},
		{"certified", NotEquals, []string{"true"}, []string{"false"}},
		{"certified", In, []string{"true,false"}, []string{"true"}},
		// dates and times
		{"date_in_stock", Equals, []string{"2021-07-04"}, []string{"2021-07-05"}},
		{"date_in_stock", NotEquals, []string{"2021-07-05"}, []string{"2021-07-04"}},
		{"date_in_stock", In, []string{"2020-01-01,2021-07-04"}, []string{"2020-01-01"}},
		{"date_in_stock", Contains, []string{"2021-07"}, []string{"2021-08"}},
		{"date_in_stock", GreaterThan, []string{"2021-07-03", "1999-12-31"}, []string{"2021-07-04", "2022-01-01"}},
		{"date_in_stock", LessThan, []string{"2021-07-05"}, []string{"2021-07-04", "2020-12-31"}},
		{"photos_updated_at", Equals, []string{"2021-08-28T10:00:00Z", "2021-08-28T12:00:00+02:00"}, []string{"2021-08-28T10:00:01Z"}},
		{"photos_updated_at", GreaterThan, []string{"2021-08-28T11:00:00+02:00"}, []string{"2021-08-28T10:00:00Z"}},
		{"photos_updated_at", LessThan, []string{"2021-08-28T10:00:01Z"}, []string{"2021-08-28T12:00:00+02:00"}},
		// lists
		{"tags", Equals, []string{"aged", `one "owner"`, "50"}, []string{"age", "aged,50", "Aged"}},
		{"tags", NotEquals, []string{"age"}, []string{"aged", `one "owner"`}},
		{"tags", In, []string{"x,aged", `one "owner"`}, []string{"x,y"}},
		{"tags", Contains, []string{"age", `"owner"`, "5"}, []string{"Age", `,`, "["}},
		// custom properties
		{"custom.floor", Equals, []string{"29000"}, []string{"29000.00"}},
		{"custom.floor", NotEquals, []string{"29000.00"}, []string{"29000"}},
		{"custom.floor", In, []string{"1,29000"}, []string{"1,2"}},
		{"custom.floor", Contains, []string{"900"}, []string{"901"}},
		{"custom.floor", GreaterThan, []string{"28999.99", "3000"}, []string{"29000", "100000"}},
		{"custom.floor", LessThan, []string{"100000"}, []string{"29000", "3000"}},
		{"custom.paint code", Equals, []string{"RR"}, []string{"rr"}},
		{"custom.paint code", GreaterThan, nil, []string{"0", "-1"}},
		{"custom.paint code", LessThan, nil, []string{"0", "1000"}},
		{"custom.vin", Equals, []string{"x"}, []string{truckVIN}},
		// what is empty
		{"sale_price", Equals, nil, []string{"0", "5"}},
		{"sale_price", NotEquals, []string{"0", "5"}, nil},
		{"sale_price", In, nil, []string{"0,5"}},
		{"sale_price", GreaterThan, nil, []string{"0", "-5"}},
		{"sale_price", LessThan, nil, []string{"5"}},
		{"upholstery", Equals, nil, []string{"x"}},
		{"upholstery", NotEquals, []string{"x"}, nil},
		{"upholstery", Contains, nil, []string{"x"}},
		{"upholstery", In, nil, []string{"x,y"}},
		{"options", Equals, nil, []string{"x"}},
		{"options", NotEquals, []string{"x"}, nil},
		{"options", Contains, nil, []string{"x"}},
		{"fuel_type", NotEquals, []string{"diesel"}, nil},
		{"custom.nothing", NotEquals, []string{"x"}, nil},
		{"custom.nothing", GreaterThan, nil, []string{"0"}},
		{"custom.nothing", Equals, nil, []string{"x"}},
	} {
		for i, value := range append(c.yes, c.no...) {
			got := compiled(t, rule(where(c.field, c.o, value), to("trim", "x"))).Test(v, vehicle.Ruling{VIN: truckVIN, DaysOnLot: 120})
			if want := i < len(c.yes); got.Applied != want {
				t.Errorf("%s %s %q: %v, want %v", c.field, c.o, value, got.Applied, want)
			}
		}
	}
	for field, empty := range map[string]bool{
		"make": false, "upholstery": true, "price": false, "sale_price": true, "condition": false, "fuel_type": true, "certified": false, "date_in_stock": false, "video_url": true,
		"options": true, "features": false, "custom": false, "custom.floor": false, "custom.x": true, "vin": false, "days_on_lot": false, "photos_updated_at": false,
	} {
		for o, want := range map[Operator]bool{IsEmpty: empty, IsNotEmpty: !empty} {
			for _, c := range []Condition{where(field, o), where(field, o, "")} {
				if got := compiled(t, rule(c, to("trim", "x"))).Test(v, vehicle.Ruling{VIN: truckVIN}); got.Applied != want {
					t.Errorf("%s %s: %v", field, o, got.Applied)
				}
			}
		}
	}
}

func TestAllConditionsMustHold(t *testing.T) {
	yes, no := where("make", Equals, "Ford"), where("make", Equals, "BMW")
	for _, c := range []struct {
		conditions []any
		want       bool
	}{{nil, true}, {[]any{yes}, true}, {[]any{yes, yes}, true}, {[]any{yes, no}, false}, {[]any{no, yes}, false}, {[]any{no, no}, false}} {
		if got := compiled(t, rule(append(c.conditions, to("trim", "x"))...)).Test(truck(), vehicle.Ruling{}); got.Applied != c.want {
			t.Errorf("%v: %v", c.conditions, got.Applied)
		}
	}
}

func TestConditionsAreRefused(t *testing.T) {
	const needsNumber = "/value must be a plain number, as in 5000 or 19.99"
	long := strings.Repeat("x", MaxValue+1)
	for _, c := range []struct {
		condition Condition
		want      string // pointer below the condition and detail
	}{
		{where("", Equals, "x"), "/field must name a field of vehicles, as in price"},
		{where("pric", LessThan, "5"), "/field is not a field of vehicles; did you mean price?"},
		{where("Price", LessThan, "5"), "/field is not a field of vehicles; did you mean price?"},
		{where("daysonlot", GreaterThan, "5"), "/field is not a field of vehicles; did you mean days_on_lot?"},
		{where("colour", Equals, "x"), "/field is not a field of vehicles"},
		{where("created_at", IsEmpty), "/field is computed, and rules can't read it"},
		{where("custom.", Equals, "x"), "/field must name a property of 1 to 200 characters after custom."},
		{where("custom."+long, Equals, "x"), "/field must name a property of 1 to 200 characters after custom."},
		{where("price", "is", "5"), "/operator must be one of equals, not_equals, contains, in, greater_than, less_than, is_empty, is_not_empty"},
		{where("price", "", "5"), "/operator must be one of equals, not_equals, contains, in, greater_than, less_than, is_empty, is_not_empty"},
		{where("price", Contains, "5"), "/operator does not fit price; use equals, not_equals, in, greater_than, less_than, is_empty or is_not_empty"},
		{where("year", Contains, "5"), "/operator does not fit year; use equals, not_equals, in, greater_than, less_than, is_empty or is_not_empty"},
		{where("engine_displacement_l", Contains, "5"), "/operator does not fit engine_displacement_l; use equals, not_equals, in, greater_than, less_than, is_empty or is_not_empty"},
		{where("days_on_lot", Contains, "5"), "/operator does not fit days_on_lot; use equals, not_equals, in, greater_than, less_than, is_empty or is_not_empty"},
		{where("certified", Contains, "t"), "/operator does not fit certified; use equals, not_equals, in, is_empty or is_not_empty"},
		{where("certified", LessThan, "true"), "/operator does not fit certified; use equals, not_equals, in, is_empty or is_not_empty"},
		{where("make", GreaterThan, "5"), "/operator does not fit make; use equals, not_equals, contains, in, is_empty or is_not_empty"},
		{where("vin", LessThan, "5"), "/operator does not fit vin; use equals, not_equals, contains, in, is_empty or is_not_empty"},
		{where("condition", LessThan, "5"), "/operator does not fit condition; use equals, not_equals, contains, in, is_empty or is_not_empty"},
		{where("tags", GreaterThan, "5"), "/operator does not fit tags; use equals, not_equals, contains, in, is_empty or is_not_empty"},
		{where("vdp_url", LessThan, "5"), "/operator does not fit vdp_url; use equals, not_equals, contains, in, is_empty or is_not_empty"},
		{where("dealership_id", Equals, "Lakeside"), "/value must be an id, a UUID"},
		{where("dealership_id", LessThan, "5"), "/operator does not fit dealership_id; use equals, not_equals, contains, in, is_empty or is_not_empty"},
		{where("custom", Equals, "x"), "/operator does not fit custom; use is_empty or is_not_empty"},
		{where("custom", Contains, "x"), "/operator does not fit custom; use is_empty or is_not_empty"},
		{where("price", IsEmpty, "5"), "/value must be left out with is_empty"},
		{where("make", IsNotEmpty, " "), "/value must be left out with is_not_empty"},
		{where("make", Equals), "/value is needed for equals"},
		{where("make", Contains, ""), "/value is needed for contains"},
		{where("make", Equals, long), "/value must not be longer than 2000 characters"},
		{where("make", In, strings.Repeat("x", MaxLongValue+1)), "/value must not be longer than 20000 characters"},
		{where("make", In, strings.Repeat("x,", MaxItems)+"x"), "/value must not list more than 500 values"},
		{where("make", In, "a,,b"), "/value must have a value before, between and after its commas; item 2 is empty"},
		{where("make", In, "a, "), "/value must have a value before, between and after its commas; item 2 is empty"},
		{where("price", Equals, "$5"), needsNumber},
		{where("price", Equals, "1,000"), needsNumber},
		{where("price", NotEquals, "1e3"), needsNumber},
		{where("price", GreaterThan, " 5"), needsNumber},
		{where("price", LessThan, "five"), needsNumber},
		{where("price", LessThan, "+5"), needsNumber},
		{where("price", LessThan, "5."), needsNumber},
		{where("price", LessThan, ".5"), needsNumber},
		{where("price", LessThan, "-"), needsNumber},
		{where("price", LessThan, "0x10"), needsNumber},
		{where("price", LessThan, "12345678901234567890"), needsNumber},
		{where("price", LessThan, "0.12345678901234567890"), needsNumber},
		{where("year", Equals, "MMXVII"), needsNumber},
		{where("days_on_lot", GreaterThan, "long"), needsNumber},
		{where("custom.floor", GreaterThan, "high"), needsNumber},
		{where("price", In, "5,x"), "/value item 2 must be a plain number, as in 5000 or 19.99"},
		{where("condition", Equals, "Used"), "/value must be one of new, used"},
		{where("condition", In, "new,old"), "/value item 2 must be one of new, used"},
		{where("certified", Equals, "yes"), "/value must be true or false"},
		{where("date_in_stock", GreaterThan, "07/04/2021"), "/value must be a date, as in 2021-08-28"},
		{where("photos_updated_at", LessThan, "2021-08-28"), "/value must be a time by RFC 3339, as in 2021-08-28T10:00:00Z"},
	} {
		_, faults := Compile(rule(where("make", Equals, "x"), c.condition, to("trim", "x")), now)
		got := make([]string, len(faults))
		for i, f := range faults {
			got[i] = f.Pointer + " " + f.Detail
		}
		if want := "#/conditions/1" + c.want; len(got) != 1 || got[0] != want {
			t.Errorf("%v %.40q: %q, want %q", c.condition.Field, fmt.Sprint(c.condition.Operator), got, want)
		}
	}
}
