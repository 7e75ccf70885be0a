package index

import (
	"cmp"
	"math/bits"
	"slices"
	"strings"
)

// Facet counts the values of a column among the vehicles that pass all filters but the column's own.
type Facet struct {
	Column Column
	Counts []Count // most frequent first, then by value, those without one last
}

// Count is how many vehicles have a value. Values that differ in case alone count as one, which is written as most are.
type Count struct {
	Value string // "" for vehicles without one
	N     int64
}

func (a *answer) facets() []Facet {
	if len(a.q.Facets) == 0 {
		return nil
	}
	out := make([]Facet, len(a.q.Facets))
	for i, c := range a.q.Facets {
		out[i] = Facet{c, a.facet(c)}
	}
	return out
}

func (a *answer) facet(c Column) []Count {
	if !c.Listed() {
		panic("index: no facet counts " + c.String())
	}
	key := string(append(a.q.appendFilter(nil), 'f', byte(c)))
	r := a.x.kept.get(key, a.days)
	r.once.Do(func() {
		r.counts = a.x.count(c.text(), matches(a.conditions(), c))
		a.x.kept.weigh(r, 24*cap(r.counts))
	})
	return r.counts
}

// count counts the values of a text among the vehicles that pass; nil are all.
func (x *Index) count(i int, pass bitset) []Count {
	d := x.texts[i]
	n := make([]int64, len(d.words))
	if pass == nil {
		for code := range d.words {
			n[code] = int64(d.words[code].n)
		}
	} else {
		countCodes(x.codes[i], pass, n)
	}
	return d.group(n)
}

func countCodes(codes []uint32, pass bitset, n []int64) {
	for i, word := range pass {
		for ; word != 0; word &= word - 1 {
			n[codes[i*64+bits.TrailingZeros64(word)]]++
		}
	}
}

// group puts together what differs in case alone.
func (d *dictionary) group(n []int64) []Count {
	ranks := d.ranked()
	most := make([]uint32, 0, len(n)) // the codes that stand for their group
	at := make(map[uint32]int, len(n))
	sums := make([]int64, 0, len(n))
	for code := 1; code < len(n); code++ {
		if n[code] == 0 {
			continue
		}
		g, ok := at[ranks[code]]
		if !ok {
			g = len(most)
			at[ranks[code]] = g
			most, sums = append(most, uint32(code)), append(sums, 0)
		}
		sums[g] += n[code]
		if c := most[g]; cmp.Or(cmp.Compare(n[c], n[code]), strings.Compare(d.words[code].text, d.words[c].text)) < 0 {
			most[g] = uint32(code)
		}
	}
	groups := make([]int, len(most))
	for g := range groups {
		groups[g] = g
	}
	slices.SortFunc(groups, func(a, b int) int {
		return cmp.Or(cmp.Compare(sums[b], sums[a]), cmp.Compare(ranks[most[a]], ranks[most[b]]))
	})
	out := make([]Count, 0, len(groups)+1)
	for _, g := range groups {
		out = append(out, Count{d.words[most[g]].text, sums[g]})
	}
	if n[0] == 0 {
		return out
	}
	missing, _ := slices.BinarySearchFunc(out, n[0], func(c Count, n int64) int { // behind those as frequent
		if c.N >= n {
			return -1
		}
		return 1
	})
	return slices.Insert(out, missing, Count{"", n[0]})
}
