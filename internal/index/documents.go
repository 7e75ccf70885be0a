package index

import (
	"math/bits"
	"sync"
	"sync/atomic"
)

// Budget bounds the bytes of documents that indexes keep together.
type Budget struct {
	limit int64
	used  atomic.Int64

	mu      sync.Mutex
	members []*documents
}

// NewBudget makes a budget of so many bytes; 0 keeps no documents.
func NewBudget(bytes int64) *Budget { return &Budget{limit: bytes} }

// Used are the bytes of documents kept now.
func (b *Budget) Used() int64 { return b.used.Load() }

func (b *Budget) join(d *documents) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.members = append(b.members, d)
}

// leave gives back the room of documents, and those that were held.
func (b *Budget) leave(d *documents) (texts []string, held bitset) {
	b.mu.Lock()
	for i, m := range b.members {
		if m == d {
			b.members = append(b.members[:i], b.members[i+1:]...)
			break
		}
	}
	b.mu.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	b.used.Add(-d.bytes.Load())
	d.bytes.Store(0)
	texts, held = d.texts, d.held
	d.texts, d.held, d.seen, d.closed = nil, nil, nil, true
	return texts, held
}

// take takes room for n bytes if it is there.
func (b *Budget) take(n int64) bool {
	if b.used.Add(n) <= b.limit {
		return true
	}
	b.used.Add(-n)
	return false
}

// clear makes room for n bytes. Whoever keeps most gives first: so a group that comes late gets its share, and one
// that is asked for nothing any more does not keep it for ever.
func (b *Budget) clear(n int64) bool {
	for b.used.Load()+n > b.limit {
		if m := b.largest(); n > b.limit || m == nil || m.evict(max(n, b.limit/1000)) == 0 {
			return false
		}
	}
	return true
}

func (b *Budget) largest() (most *documents) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range b.members {
		if most == nil || m.bytes.Load() > most.bytes.Load() {
			most = m
		}
	}
	return most
}

// documents keeps the list documents of an index by slot. Its lock is taken under the index's, never the other way
// round, and no two of them are held at once.
type documents struct {
	budget *Budget
	bytes  atomic.Int64 // what they cost

	mu    sync.RWMutex
	texts []string
	held  bitset   // slots with a document
	seen  []uint64 // bits by slot, set by readers: used since the hand passed
	hand  int      // word of held that is looked at next

	closed bool
}

// overhead of a document beside its bytes: the string and what the allocator rounds up.
const overhead = 16 + 16

func cost(text string) int64 { return int64(len(text)) + overhead }

// grow makes room for the slots of n vehicles.
func (d *documents) grow(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.budget.limit <= 0 || d.closed || n <= len(d.texts) {
		return
	}
	words := (n + 63) / 64
	d.texts = append(make([]string, 0, n), d.texts...)[:n]
	d.held = append(make(bitset, 0, words), d.held...)[:words]
	d.seen = append(make([]uint64, 0, words), d.seen...)[:words]
}

// put replaces a vehicle's document. The new one is kept if there is room.
func (d *documents) put(slot uint32, text string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if int(slot) >= len(d.texts) {
		return
	}
	if d.drop(slot); text != "" && d.budget.take(cost(text)) {
		d.hold(slot, text)
	}
}

func (d *documents) hold(slot uint32, text string) {
	d.texts[slot] = text
	d.held.set(slot)
	d.bytes.Add(cost(text))
}

func (d *documents) drop(slot uint32) (freed int64) {
	if !d.held.has(slot) {
		return 0
	}
	freed = cost(d.texts[slot])
	d.texts[slot] = ""
	d.held[slot/64] &^= 1 << (slot % 64)
	d.budget.used.Add(-freed)
	d.bytes.Add(-freed)
	return freed
}

// keep keeps a document for which room was made, unless somebody else took it.
func (d *documents) keep(slot uint32, text string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if int(slot) < len(d.texts) && !d.held.has(slot) && d.budget.take(cost(text)) {
		d.hold(slot, text)
	}
}

// takeOver keeps documents, by slot, as far as there is room and a newer one is not kept.
func (d *documents) takeOver(texts []string, same func(slot uint32) bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for slot := range uint32(min(len(texts), len(d.texts))) {
		if same(slot) && !d.held.has(slot) && d.budget.take(cost(texts[slot])) {
			d.hold(slot, texts[slot])
		}
	}
}

// evict drops documents not used since the hand last passed, until n bytes are free or none are left.
func (d *documents) evict(n int64) (freed int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for range 2*len(d.held) + 1 {
		if d.hand >= len(d.held) {
			d.hand = 0
		}
		if len(d.held) == 0 || freed >= n {
			break
		}
		old := d.held[d.hand] &^ d.seen[d.hand]
		d.seen[d.hand] = 0
		for ; old != 0 && freed < n; old &= old - 1 {
			freed += d.drop(uint32(d.hand*64 + bits.TrailingZeros64(old)))
		}
		if old == 0 {
			d.hand++
		}
	}
	return freed
}

// show fills in the documents of rows that are kept.
func (d *documents) show(rows []Row, slots []uint32) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if len(d.texts) == 0 {
		return
	}
	for i, slot := range slots {
		rows[i].Document = d.texts[slot]
	}
	for _, slot := range slots {
		if word, bit := &d.seen[slot/64], uint64(1)<<(slot%64); atomic.LoadUint64(word)&bit == 0 {
			atomic.OrUint64(word, bit)
		}
	}
}

// Keep offers documents that were not kept and had to be read from the store. Those of another version than the index
// has are left alone.
func (x *Index) Keep(rows []Row) {
	for i := range rows {
		row := &rows[i]
		if row.Document == "" || x.docs.budget.limit <= 0 || !x.docs.budget.clear(cost(row.Document)) {
			continue
		}
		x.mu.RLock()
		if slot, ok := x.find(row.VIN); ok && x.versions[slot] == row.Version {
			x.docs.keep(slot, row.Document)
		}
		x.mu.RUnlock()
	}
}
