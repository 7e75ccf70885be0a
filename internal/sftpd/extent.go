package sftpd

import "slices"

// maxSpans bounds the pieces of a file that wait for the ones between them.
const maxSpans = 4096

type span struct{ from, to int64 }

// extent knows which bytes of an upload are there. Writes come in any order; a resumed upload begins on base
// bytes of an earlier one. Bytes of the earlier one at or after the first write don't count: an upload that
// starts again from 0 without truncating never mixes with what it replaces.
type extent struct {
	base  int64
	spans []span // sorted, neither touching nor overlapping
}

// add notes a written piece; false when there are too many pieces.
func (e *extent) add(from, to int64) bool {
	if from == to {
		return true
	}
	i, _ := slices.BinarySearchFunc(e.spans, from, func(s span, from int64) int {
		if s.to < from {
			return -1
		}
		return 1
	})
	j := i
	for ; j < len(e.spans) && e.spans[j].from <= to; j++ {
		from, to = min(from, e.spans[j].from), max(to, e.spans[j].to)
	}
	e.spans = slices.Replace(e.spans, i, j, span{from, to})
	return len(e.spans) <= maxSpans
}

// whole is the length of the part without a gap.
func (e *extent) whole() int64 {
	if len(e.spans) == 0 || e.spans[0].from > e.base {
		return e.base
	}
	return e.spans[0].to
}

// first is the first byte that was written; ok is false when none was, or none is left.
func (e *extent) first() (from int64, ok bool) {
	if len(e.spans) == 0 {
		return 0, false
	}
	return e.spans[0].from, true
}

// size is the length of the file, gaps included.
func (e *extent) size() int64 {
	if len(e.spans) == 0 {
		return e.base
	}
	return e.spans[len(e.spans)-1].to
}

// cut shortens the file; false when it is not that long.
func (e *extent) cut(size int64) bool {
	if size > e.size() {
		return false
	}
	e.base = min(e.base, size)
	for i, s := range e.spans {
		if s.to > size {
			e.spans[i].to = size
		}
	}
	e.spans = slices.DeleteFunc(e.spans, func(s span) bool { return s.from >= size })
	return true
}
