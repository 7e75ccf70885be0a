package index

import (
	"bytes"
	"maps"
	"slices"
)

// Fork makes an index of the same vehicles, without their documents, that goes its own way from now on. Columns are shared until
// one of the two changes a value of them: then it makes its own. Who still reads the other goes on reading what was.
func (x *Index) Fork() *Index {
	x.writer.Lock()
	defer x.writer.Unlock()
	x.mu.RLock()
	defer x.mu.RUnlock()
	x.shared = allColumns
	f := New(x.docs.budget)
	f.seed, f.table, f.columns = x.seed, x.table, x.columns
	f.versions = slices.Clone(x.versions)
	for i, d := range x.texts {
		f.texts[i] = d.fork()
	}
	f.orderOf(byDefault).slots = slices.Clone(x.ordered(byDefault, nil))
	f.kept.clear(f.len())
	return f
}

func (d *dictionary) fork() *dictionary {
	d.ranks.Lock()
	defer d.ranks.Unlock()
	return &dictionary{
		codes: maps.Clone(d.codes), words: slices.Clone(d.words), free: slices.Clone(d.free),
		order: slices.Clone(d.order), fresh: slices.Clone(d.fresh), rank: slices.Clone(d.rank),
	}
}

// Prepare makes the order ready that most lists are in.
func (x *Index) Prepare() {
	x.mu.RLock()
	defer x.mu.RUnlock()
	x.ordered(byDefault, nil)
}

// Succeed takes the place of another index and closes that: the documents of vehicles that are the same in both, and have the
// same slot, as in a fork, are kept.
func (x *Index) Succeed(before *Index) {
	texts, held := before.docs.budget.leave(&before.docs)
	x.mu.RLock()
	defer x.mu.RUnlock()
	before.mu.RLock()
	defer before.mu.RUnlock()
	x.docs.takeOver(texts, func(slot uint32) bool {
		return held.has(slot) && int(slot) < x.len() && x.versions[slot] == before.versions[slot] && bytes.Equal(x.vin(slot), before.vin(slot))
	})
}
