package index

import (
	"container/list"
	"slices"
	"sync"
)

// results keeps what queries found until the next Put, and of that what was used last.
type results struct {
	mu    sync.Mutex
	limit int64
	bytes int64
	byKey map[string]*result
	used  list.List // of *result, the last used in front
}

// result is the matches of a query, or a facet. What it holds is set once and must not be changed.
type result struct {
	once   sync.Once
	key    string
	days   []int64 // it depends on
	slots  []uint32
	shared bool // slots are an order's own
	counts []Count
	size   int64 // once weighed
	place  *list.Element
}

// The bytes kept are in proportion to the vehicles: eight whole lists, and something to begin with.
const (
	resultBytes    = 32
	leastBytes     = 1 << 20
	resultOverhead = 300
)

// get is the result of a key, which may be empty so far, and is another one on another day.
func (k *results) get(key string, days []int64) *result {
	k.mu.Lock()
	defer k.mu.Unlock()
	if r := k.byKey[key]; r != nil {
		if slices.Equal(r.days, days) {
			k.used.MoveToFront(r.place)
			return r
		}
		k.remove(r)
	}
	r := &result{key: key, days: days}
	r.place = k.used.PushFront(r)
	if k.byKey == nil {
		k.byKey = map[string]*result{}
	}
	k.byKey[key] = r
	return r
}

// weigh counts a result that was made, beside its key, and lets go of others if need be.
func (k *results) weigh(r *result, size int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.byKey[r.key] != r {
		return
	}
	r.size = int64(size + len(r.key) + resultOverhead)
	k.bytes += r.size
	for e := k.used.Back(); e != nil && k.bytes > k.limit; e = k.used.Back() {
		k.remove(e.Value.(*result))
	}
}

// remove lets go of a result. One that is being made weighs nothing and is not counted any more.
func (k *results) remove(r *result) {
	delete(k.byKey, r.key)
	k.used.Remove(r.place)
	k.bytes -= r.size
}

// clear lets go of all, when there are n vehicles now.
func (k *results) clear(n int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.limit = max(leastBytes, resultBytes*int64(n))
	k.byKey, k.bytes = nil, 0
	k.used.Init()
}

func (k *results) size() int64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.bytes
}
