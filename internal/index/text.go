package index

import (
	"cmp"
	"slices"
	"strings"
	"sync"
)

// Texts that many vehicles share. Each has a dictionary; a vehicle's column holds the text's code.
const (
	makes = iota
	models
	trims
	dealerships
	sources
	bodies
	conditions
	statuses
	numTexts
)

// dictionary gives texts codes, from 1; 0 is no text. The codes of texts that no vehicle has any more are given out
// again.
type dictionary struct {
	codes map[string]uint32
	words []word   // by code
	free  []uint32 // codes

	ranks sync.Mutex // of what follows
	order []uint32   // the codes by their texts in lower case, as of the last ranking
	fresh []uint32   // codes given out since
	rank  []uint32   // by code: the same for texts that differ in case alone
}

type word struct {
	text string
	fold string // in lower case
	n    int    // vehicles that have it
}

func newDictionary() *dictionary {
	return &dictionary{codes: map[string]uint32{}, words: make([]word, 1), rank: make([]uint32, 1)}
}

// take is the code of a text for one more vehicle.
func (d *dictionary) take(text string) uint32 {
	if text == "" {
		d.words[0].n++
		return 0
	}
	code, ok := d.codes[text]
	if !ok {
		code = d.add(strings.Clone(text))
	}
	d.words[code].n++
	return code
}

func (d *dictionary) add(text string) uint32 {
	code := uint32(len(d.words))
	if n := len(d.free); n > 0 {
		code, d.free = d.free[n-1], d.free[:n-1]
	} else {
		d.words = append(d.words, word{})
	}
	d.words[code] = word{text: text, fold: strings.ToLower(text)}
	d.codes[text] = code
	d.fresh = append(d.fresh, code)
	return code
}

// give takes one vehicle from a code.
func (d *dictionary) give(code uint32) {
	w := &d.words[code]
	if w.n--; w.n == 0 && code != 0 {
		delete(d.codes, w.text)
		*w = word{}
		d.free = append(d.free, code)
		d.fresh = append(d.fresh, code) // so that the ranking forgets it, whoever gets it next
	}
}

// ranked are the ranks of all codes by their texts in lower case.
func (d *dictionary) ranked() []uint32 {
	d.ranks.Lock()
	defer d.ranks.Unlock()
	if len(d.fresh) == 0 {
		return d.rank
	}
	slices.Sort(d.fresh)
	d.fresh = slices.Compact(d.fresh)
	old := slices.DeleteFunc(d.order, func(c uint32) bool {
		_, changed := slices.BinarySearch(d.fresh, c)
		return changed
	})
	added := slices.DeleteFunc(d.fresh, func(c uint32) bool { return d.words[c].n == 0 })
	slices.SortFunc(added, d.compare)
	d.order = merge(old, added, d.compare)
	d.rank = make([]uint32, len(d.words))
	rank := uint32(0)
	for i, code := range d.order {
		if i > 0 && d.words[code].fold != d.words[d.order[i-1]].fold {
			rank++
		}
		d.rank[code] = rank
	}
	d.fresh = nil
	return d.rank
}

func (d *dictionary) compare(a, b uint32) int { return cmp.Compare(d.words[a].fold, d.words[b].fold) }

// merge merges two sorted lists.
func merge(a, b []uint32, compare func(a, b uint32) int) []uint32 {
	out := make([]uint32, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		if compare(b[0], a[0]) < 0 {
			out, b = append(out, b[0]), b[1:]
		} else {
			out, a = append(out, a[0]), a[1:]
		}
	}
	return append(append(out, a...), b...)
}

// bytes of memory the dictionary takes, about.
func (d *dictionary) bytes() (n int64) {
	for i := range d.words {
		n += int64(len(d.words[i].text) + len(d.words[i].fold))
	}
	return n + int64(cap(d.words))*(40+48+12) // the words, their entries in the map, order and rank
}
