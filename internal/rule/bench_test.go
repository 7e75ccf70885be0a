package rule

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"carfluence/internal/vehicle"
)

// truck is a vehicle with most of what rules look at.
func truck() vehicle.Values {
	v := vehicle.Values{
		vehicle.StockNumber: "FA85881", vehicle.Year: "2017", vehicle.Make: "Ford", vehicle.Model: "F-150", vehicle.Trim: "Platinum",
		vehicle.BodyStyle: "Truck", vehicle.EngineDisplacement: "3.5", vehicle.Transmission: "6-Speed Automatic", vehicle.TransmissionType: "automatic", vehicle.Gears: "6",
		vehicle.ExteriorColor: "Tuxedo Black Metallic", vehicle.Condition: "used", vehicle.Certified: "false", vehicle.Status: "active", vehicle.Mileage: "107031",
		vehicle.Price: "35997.00", vehicle.InternetPrice: "35497.00", vehicle.MSRP: "60000.00", vehicle.Cost: "30000.00", vehicle.DateInStock: "2021-07-04",
		vehicle.Features: `["Bluetooth","Navigation","Heated \"sport\" seats"]`, vehicle.Photos: `["https://photos.example.com/1.jpg"]`, vehicle.PhotoCount: "1",
		vehicle.VDPURL: "https://cars.example.com/FA85881", vehicle.Custom: `{"floor":"29000","paint code":"RR","vin":"x"}`,
	}
	return v
}

const truckVIN = "1FTEW1EF5HFA85881"

// run measures rules on one vehicle. What they set is put back each time, so that they find work again.
func run(b *testing.B, v vehicle.Values, rules ...Rule) {
	ready := ordered(b, rules...)
	w, r := v, vehicle.Ruling{VIN: truckVIN, DaysOnLot: 120}
	b.ReportAllocs()
	for b.Loop() {
		r.Set, r.Faults = vehicle.Fields{}, r.Faults[:0]
		ready.Run(&w, &r)
		if !r.Set.Empty() {
			for f := vehicle.Price; f <= vehicle.InternetPrice; f++ {
				w[f] = v[f]
			}
		}
	}
}

func ordered(t testing.TB, rules ...Rule) vehicle.Rules {
	t.Helper()
	list := make([]*Compiled, len(rules))
	for i, r := range rules {
		list[i] = compiled(t, r)
	}
	return InOrder(list)
}

func BenchmarkRun(b *testing.B) {
	for _, c := range []struct {
		name string
		rule Rule
	}{
		{"none", Rule{Name: "off", Actions: []Action{to("price", "5")}}},
		{"does not hold", rule(where("condition", Equals, "new"), by("price", "price * 0.95"))},
		{"value", rule(where("price", LessThan, "50000"), to("price", "50000"))},
		{"expression", rule(where("condition", Equals, "used"), by("price", "price * 0.95"))},
		{"long expression", rule(where("days_on_lot", GreaterThan, "90"), by("internet_price", "max(round(price * (days_on_lot > 100 ? 0.9 : 0.95)) - 0.01, (custom.floor ?? cost) * 1.02)"))},
		{"fraction", rule(by("price", "price / 7 * 1.05"))},
		{"transmission", rule(to("transmission", "8-Speed Automatic"))},
		{"custom", rule(to("custom.aged", "yes"))},
		{"fault", rule(by("price", "sale_price * 0.95"))},
	} {
		b.Run(c.name, func(b *testing.B) { run(b, truck(), c.rule) })
	}
}

// fifty rules of the sorts that stocks have, a third of which apply to the truck.
func fifty() []Rule {
	var rules []Rule
	for i := range 10 {
		rules = append(rules,
			rule(where("make", In, fmt.Sprintf("BMW,Audi,Lexus,Make %d", i)), to("tags", "luxury,premium")),
			rule(where("condition", Equals, "new"), where("model", Contains, "F-"), to("trim", "Lariat")),
			rule(where("exterior_color", Contains, "Black"), to("exterior_color_generic", "Black")),
			rule(where("year", LessThan, fmt.Sprint(1990+i)), to("disposition", "wholesale")),
			rule(where("condition", Equals, "used"), where("price", GreaterThan, fmt.Sprint(30000+1000*i)), by("internet_price", fmt.Sprintf("price * 0.9%d", i))),
		)
	}
	return rules
}

func BenchmarkFifty(b *testing.B) { run(b, truck(), fifty()...) }

func BenchmarkCompile(b *testing.B) {
	r := rule(where("condition", Equals, "used"), by("price", "max(price * 0.95, cost ?? 1000)"))
	b.ReportAllocs()
	for b.Loop() {
		if _, faults := Compile(r, now); len(faults) > 0 {
			b.Fatal(faults)
		}
	}
}

// dearest is about the most that an expression can cost: fractions as long as they may be, in as many parts.
func dearest() string {
	return "price" + strings.Repeat("/999999999999999989.0", 8) + strings.Repeat("+mileage/3", 20)
}

func BenchmarkDearest(b *testing.B) { run(b, truck(), rule(by("misc_price_1", dearest()))) }

// The dearest expressions stay far below a millisecond; the least of some runs is taken, since the machine may
// be busy.
func TestNoExpressionIsDear(t *testing.T) {
	laden, custom := truck(), map[string]string{"zip": "7"}
	for i := range 199 {
		custom[fmt.Sprintf("p%d", i)] = strings.Repeat("x", 2000)
	}
	laden[vehicle.Custom] = vehicle.MapOf(custom)
	for _, c := range []struct {
		vehicle    vehicle.Values
		expression string
		result     string
	}{
		{truck(), dearest(), "713540.00"},
		{laden, "custom.zip" + strings.Repeat("+custom.zip", 23), "168.00"},
	} {
		rules := ordered(t, rule(by("misc_price_1", c.expression)))
		least := time.Hour
		for range 20 {
			v, r := c.vehicle, vehicle.Ruling{}
			start := time.Now()
			rules.Run(&v, &r)
			least = min(least, time.Since(start))
			if v[vehicle.MiscPrice1] != c.result {
				t.Fatal(v[vehicle.MiscPrice1], r.Faults)
			}
		}
		if least > time.Millisecond {
			t.Errorf("%.60s took %v", c.expression, least)
		}
	}
}

// A condition with as long a list as there may be costs little on a vehicle with as many options as there may be.
func BenchmarkLongLists(b *testing.B) {
	var options, list []string
	for i := range 1000 {
		options = append(options, fmt.Sprintf("option %06d", i))
	}
	for i := range MaxItems {
		list = append(list, fmt.Sprintf("nption %06d", i))
	}
	v := truck()
	v[vehicle.OptionList] = vehicle.ListOf(options)
	run(b, v, rule(where("options", In, strings.Join(list, ",")), to("price", "1")))
}
