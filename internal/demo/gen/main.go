// Command gen writes the sample feeds of `carfluence serve --demo` into a folder. Dealerships, stock numbers,
// prices, dates and photos are invented; the output depends on nothing but this code.
package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"
)

// The day the demo stock was counted.
var today = time.Date(2026, time.November, 20, 0, 0, 0, 0, time.UTC)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: gen FOLDER")
		os.Exit(2)
	}
	for name, content := range files() {
		if err := os.WriteFile(filepath.Join(os.Args[1], name), content, 0o644); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

// files are the sample feeds by name.
func files() map[string][]byte {
	r := rand.New(rand.NewPCG(2026, 11)) //nolint:gosec // sample data
	s := &stock{rand: r, serials: map[string]bool{}}
	return map[string][]byte{
		"lakeside-vauto.csv":    vauto(s.cars(lakeside, 150, "LK")),
		"harbor-homenet.csv":    homenet(s.cars(harbor, 130, "H")),
		"prairie-inventory.txt": custom(s.cars(prairie, 80, "P")),
	}
}

// car is one vehicle on a lot.
type car struct {
	model
	trim
	vin, stock string
	year       int
	used       bool
	certified  bool
	miles      int
	price      int // dollars, 0 = call for price
	exterior   string
	interior   string
	since      time.Time
	features   []string
	photos     []string
}

type stock struct {
	rand    *rand.Rand
	serials map[string]bool
	number  int
}

func (s *stock) cars(models []model, n int, prefix string) []car {
	out := make([]car, n)
	for i := range out {
		out[i] = s.car(models[s.rand.IntN(len(models))], prefix)
	}
	return out
}

func (s *stock) car(m model, prefix string) car {
	c := car{model: m, trim: m.trims[s.rand.IntN(len(m.trims))]}
	c.year = m.from + s.rand.IntN(m.to-m.from+1)
	if m.to >= 2026 && s.rand.IntN(5) < 2 {
		c.year = 2026
	}
	c.used = c.year < 2026
	c.vin = s.vin(m, c.year)
	s.number += 1 + s.rand.IntN(9)
	c.stock = fmt.Sprintf("%s%05d", prefix, 10000+s.number)
	age := 2026 - c.year
	if c.used {
		c.stock += string("AP"[s.rand.IntN(2)])
		c.miles = 2000 + age*7000 + s.rand.IntN(9000*age+3000)
		c.certified = age <= 4 && c.miles < 60_000 && s.rand.IntN(3) == 0
	} else {
		c.miles = 3 + s.rand.IntN(40)
	}
	c.price = s.price(c, age)
	c.exterior = pick(s.rand, "Oxford White", "Agate Black", "Carbonized Gray", "Iconic Silver", "Summit White", "Lunar Blue", "Soul Red", "Pearl White", "Harvest Gold", "Forest Green", "Ruby Flare")
	c.interior = pick(s.rand, "Black", "Ebony", "Charcoal", "Light Gray", "Beige", "Dark Walnut")
	c.since = today.AddDate(0, 0, -s.daysOnLot())
	c.features = s.features(m)
	c.photos = s.photos(c)
	return c
}

// vin is a valid VIN of the model: descriptor, check digit, model year, plant and an unused serial number.
func (s *stock) vin(m model, year int) string {
	const yearCodes = "JKLMNPRSTV" // 2018 …
	for {
		serial := fmt.Sprintf("%06d", 100_000+s.rand.IntN(800_000))
		v := []byte(m.vin + "0" + string(yearCodes[year-2018]) + string(m.plant) + serial)
		v[8] = checkDigit(v)
		if !s.serials[string(v)] {
			s.serials[string(v)] = true
			return string(v)
		}
	}
}

// checkDigit is position 9 by 49 CFR 565.15(c); what stands there does not count. Written out here so that the
// sample data does not prove the product's own VIN code by itself.
func checkDigit(v []byte) byte {
	const values = "0123456789.ABCDEFGH..JKLMN.P.R..STUVWXYZ"
	weights := [17]int{8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2}
	sum := 0
	for i, c := range v {
		sum += weights[i] * (bytes.IndexByte([]byte(values), c) % 10)
	}
	return "0123456789X"[sum%11]
}

func (s *stock) price(c car, age int) int {
	if !c.used {
		return c.msrp - 250*s.rand.IntN(8) - 5
	}
	if s.rand.IntN(40) == 0 {
		return 0
	}
	value := float64(c.msrp)
	for range age {
		value *= 0.87
	}
	value -= float64(c.miles) * 0.04
	return int(value/500)*500 + []int{490, 495, 900, 988}[s.rand.IntN(4)]
}

func (s *stock) daysOnLot() int {
	if s.rand.IntN(10) == 0 {
		return 90 + s.rand.IntN(120)
	}
	return 1 + s.rand.IntN(75)
}

func (s *stock) features(m model) []string {
	all := []string{"Backup Camera", "Bluetooth", "Heated Front Seats", "Blind Spot Monitor", "Adaptive Cruise Control", "Apple CarPlay", "Keyless Entry", "Remote Start", "Power Liftgate", "Navigation System", "Leather Seats", "Panoramic Roof", "18\" Alloy Wheels", "Tow Package"}
	n := 3 + s.rand.IntN(6)
	out := make([]string, 0, n)
	for _, i := range s.rand.Perm(len(all))[:n] {
		out = append(out, all[i])
	}
	return out
}

func (s *stock) photos(c car) []string {
	n := s.rand.IntN(8)
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("https://photos.example.com/%s/%d.jpg", c.vin, i+1)
	}
	return out
}

func pick(r *rand.Rand, from ...string) string { return from[r.IntN(len(from))] }
