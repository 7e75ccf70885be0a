package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// benchRules are 50 rules of every sort: comparisons, lists, texts and expressions; of the bench's vehicles each concerns
// from none to all.
func benchRules() []string {
	var rules []string
	add := func(conditions, actions string) {
		rules = append(rules, fmt.Sprintf(`{"name":"Rule %d","conditions":[%s],"actions":[%s]}`, len(rules)+1, conditions, actions))
	}
	condition := func(field, operator, value string) string {
		return fmt.Sprintf(`{"field":%q,"operator":%q,"value":%q}`, field, operator, value)
	}
	set := func(field, value string) string {
		return fmt.Sprintf(`{"type":"set_field","field":%q,"value":%q}`, field, value)
	}
	calculate := func(field, expression string) string {
		return fmt.Sprintf(`{"type":"set_field","field":%q,"value_expr":%q}`, field, expression)
	}
	for i := range 10 {
		add(condition("price", "less_than", fmt.Sprint(16000+100*i)), set("price", fmt.Sprint(16000+100*i)))
		add(condition("make", "in", "BMW,Mercedes-Benz,Audi,Lexus")+","+condition("year", "greater_than", fmt.Sprint(2015+i)), set("tags", fmt.Sprintf("luxury, from %d", 2015+i)))
		add(condition("exterior_color", "contains", []string{"Black", "White", "Silver", "Blue", "Red", "Gray", "Green", "Gold", "Brown", "Pearl"}[i]), set("exterior_color_generic", "colour"))
		add(condition("condition", "equals", "used"), calculate("internet_price", fmt.Sprintf("price * 0.9%d", i)))
		add(condition("msrp", "is_not_empty", "")+","+condition("mileage", "less_than", fmt.Sprint(1000*i)), calculate("sale_price", fmt.Sprintf("max(price - %d, msrp * 0.8)", 100*i)))
	}
	return rules
}

// rules measures by how much rules slow a file down: loads of the same file into empty inventories, without and with 50
// rules, in turn.
func (b *bench) rules(w io.Writer) error {
	file := filepath.Join(b.dir, "ruled.csv")
	if err := createFeed(file, 0, *rows, 0); err != nil {
		return err
	}
	var plain, ruled, ratios []float64
	for range *rounds {
		without, err := b.loadUnder(file, nil)
		if err != nil {
			return err
		}
		with, err := b.loadUnder(file, benchRules())
		if err != nil {
			return err
		}
		plain, ruled, ratios = append(plain, without), append(ruled, with), append(ratios, with/without)
	}
	fmt.Fprintf(w, "| first load of %d rows over HTTP (medians of %d rounds) | seconds | rows/s | times the load without rules | at most |\n| --- | --- | --- | --- | --- |\n", *rows, *rounds)
	fmt.Fprintf(w, "| without rules | %.2f | %.0f | 1 |  |\n", median(plain), float64(*rows)/median(plain))
	fmt.Fprintf(w, "| with 50 rules | %.2f | %.0f | %s | 1.6 |\n\n", median(ruled), float64(*rows)/median(ruled), atMost(median(ratios), 1.6, "%.2f"))
	return nil
}

// loadUnder loads a file into an empty inventory with rules, and tells the seconds it took.
func (b *bench) loadUnder(file string, rules []string) (float64, error) {
	p := &place{b: b, on: b.this, engine: onSQLite, data: filepath.Join(b.dir, "rules")}
	defer os.RemoveAll(p.data)
	if err := p.founded(); err != nil {
		return 0, err
	}
	s, err := p.start()
	if err != nil {
		return 0, err
	}
	defer s.kill()
	in, err := s.integrate(p.keys[0])
	if err != nil {
		return 0, err
	}
	for _, rule := range rules {
		var made struct{ Rule struct{ ID string } }
		if err := in.call("POST", "/rules", strings.NewReader(rule), &made); err != nil {
			return 0, err
		}
		if made.Rule.ID == "" {
			return 0, errors.New("a rule was not made")
		}
	}
	return in.load(file, *rows)
}
