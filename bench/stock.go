package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"

	"carfluence/internal/vin"
)

const feedHeader = "VIN,Stock #,New/Used,Year,Make,Model,Series,Body,Odometer,Colour,Interior Color,Transmission,Drivetrain Desc,Fuel,Price,MSRP,Inventory Date,Status,Dealership,Description"

var (
	trims   = []string{"Base", "LE", "SE", "XLT", "Limited", "Touring", "Sport", "EX-L", "Premium", "Platinum"}
	colours = []string{"Black", "White", "Silver", "Gray", "Blue", "Red", "Green", "Brown", "Pearl White", "Midnight Blue"}
	towns   = []string{"Springfield", "Riverside", "Fairview", "Madison", "Georgetown", "Franklin", "Clinton", "Salem", "Bristol", "Dover"}
)

// shuffled is a number that looks random and belongs to i (splitmix64): the same vehicle is the same in every run.
func shuffled(i int) uint64 {
	x := uint64(i)*0x9e3779b97f4a7c15 + 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// modelOf: some makes are met far more often than others.
func modelOf(i int) int {
	u := float64(shuffled(i)>>40) / (1 << 24)
	return int(u * math.Sqrt(u) * float64(len(models)))
}

// vinOf is the VIN of the i-th vehicle.
func vinOf(i int) string {
	const letters = "ABCDEFGHJKLMNPRSTUVWXYZ"
	m, x := modelOf(i), shuffled(i)
	text := []byte(fmt.Sprintf("%s%c%c%02dX0%c%c%06d", models[m].wmi, letters[m%23], letters[m/23], x%100, letters[x>>8%17], letters[i/1_000_000], i%1_000_000))
	text[8] = vin.CheckDigit(string(text))
	return string(text)
}

// isSold is every tenth or so.
func isSold(i int) bool { return shuffled(i)>>50%10 == 0 }

// priceOf is in dollars; a change makes another one.
func priceOf(i, change int) int {
	age := int(shuffled(i) >> 4 % 11)
	return 62_000 - age*4_500 + int(shuffled(i)>>12%9_000) + modelOf(i)*20 + 137*change
}

const dealerships = 30

// dealershipOf is the name of the i-th.
func dealershipOf(i int) string {
	return []string{"Prime", "Union", "Valley"}[i%3] + " Motors of " + towns[i/3]
}

// writeFeed writes a file in a layout that is known without a mapping: n vehicles from the first. Every one of changes, 0 for none, has another price.
func writeFeed(to io.Writer, first, n, every int) error {
	w := bufio.NewWriter(to)
	fmt.Fprintln(w, feedHeader)
	for i := first; i < first+n; i++ {
		m, x := models[modelOf(i)], shuffled(i)
		age := int(x >> 4 % 11)
		condition, mileage := "U", age*11_000+int(x>>20%14_000)
		if age == 0 {
			condition, mileage = "N", int(x%90)
		}
		status := "Active"
		if isSold(i) {
			status = "Sold"
		}
		change := 0
		if every > 0 && i%every == 0 {
			change = 1
		}
		price, store := priceOf(i, change), dealershipOf(int(x>>24%dealerships))
		fmt.Fprintf(w, "%s,S%06d,%s,%d,%s,%s,%s,%s,%d,%s,%s,8-Speed Automatic,%s,%s,%d,%d,%02d/%02d/2026,%s,%s,\"%s %s, one owner, clean.\"\n",
			vinOf(i), i, condition, 2026-age, m.make, m.name, trims[x>>28%10], m.body, mileage, colours[x>>32%10], colours[x>>36%3],
			[]string{"AWD", "FWD", "RWD", "4WD"}[x>>40%4], []string{"Gasoline", "Hybrid", "Diesel", "Electric"}[x>>42%4],
			price, price+2500, 1+x>>44%9, 1+x>>48%28, status, store, m.make, m.name)
	}
	return w.Flush()
}

// createFeed writes one to a new file.
func createFeed(path string, first, n, every int) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(writeFeed(f, first, n, every), f.Close())
}

// stocked is an installation with that many vehicles. They come in several files, so that they were not all created at one
// time. What -keep has kept is used again.
func (b *bench) stocked(on *build, engine string, n int) (*place, error) {
	p, ready, err := b.placeOf(on, engine, fmt.Sprintf("%d_%s", n, on.schema))
	if err != nil {
		return nil, err
	}
	p.vehicles = n
	if !ready {
		fmt.Fprintf(os.Stderr, "bench: making %d vehicles on %s\n", n, engine)
		if err := p.fill(); err != nil {
			return nil, err
		}
		if err := p.settle(); err != nil {
			return nil, err
		}
	}
	return p, p.makeKeys(12, "inventory:read,inventory:write")
}

// placeOf is an installation of a name, and whether it is filled already.
func (b *bench) placeOf(on *build, engine, name string) (p *place, ready bool, err error) {
	root := b.dir
	if *keep != "" {
		if root, err = filepath.Abs(*keep); err != nil {
			return nil, false, err
		}
	}
	p = &place{b: b, on: on, engine: engine, data: filepath.Join(root, engine+"_"+name)}
	if engine == onSQLite {
		_, err := os.Stat(filepath.Join(p.data, "bench-ready"))
		if err != nil { // what an interrupted run has left
			return p, false, os.RemoveAll(p.data)
		}
		return p, true, nil
	}
	database := "bench_" + name
	if ready, err = b.pg.isReady(b.ctx, database); err != nil {
		return nil, false, err
	}
	if ready {
		p.database = b.pg.url(database)
		return p, true, nil
	}
	p.database, err = b.pg.database(b.ctx, database, "template0")
	return p, false, err
}

// fill imports the vehicles.
func (p *place) fill() error {
	if err := p.found(); err != nil {
		return err
	}
	const files = 10
	file := filepath.Join(p.b.dir, "stock.csv")
	for i := range files {
		first, next := i*p.vehicles/files, (i+1)*p.vehicles/files
		if err := createFeed(file, first, next-first, 0); err != nil {
			return err
		}
		if _, err := unpinned(p.command("import", file, "--json")).Output(); err != nil {
			return fmt.Errorf("import: %w\n%s", err, exitText(err))
		}
	}
	return os.Remove(file)
}

// settle does what a database at rest has had done, and notes that the place can be used.
func (p *place) settle() error {
	if p.engine == onPostgres {
		return p.b.pg.settle(p.b.ctx, p.database)
	}
	return os.WriteFile(filepath.Join(p.data, "bench-ready"), nil, 0o600)
}

// copied is another installation with the same data, for this run. Nobody may be at work on the first.
func (p *place) copied(on *build, name string) (_ *place, err error) {
	c := *p
	c.on, c.data = on, filepath.Join(p.b.dir, p.engine+"_"+name)
	if p.engine == onPostgres {
		c.database, err = p.b.pg.database(p.b.ctx, "bench_"+name, p.b.pg.nameOf(p.database))
		return &c, err
	}
	if err := os.RemoveAll(c.data); err != nil { // of another part
		return nil, err
	}
	if out, err := exec.CommandContext(p.b.ctx, "cp", "-r", "--reflink=auto", p.data, c.data).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("copy: %w\n%s", err, out)
	}
	return &c, nil
}

// stockedEach is one for each build, with equal data: copied, or made anew when their databases differ.
func (b *bench) stockedEach(engine string, n int) ([]*place, error) {
	first, err := b.stocked(b.this, engine, n)
	if err != nil || b.that == nil {
		return []*place{first}, err
	}
	var other *place
	if b.that.schema == b.this.schema {
		other, err = first.copied(b.that, "other")
	} else {
		other, err = b.stocked(b.that, engine, n)
	}
	return []*place{other, first}, err
}
