package index

import (
	"bytes"
	"encoding/binary"
)

// needle finds the first bytes of a text, heads at most, anywhere in eight bytes at once.
type needle struct {
	text  []byte
	same  [heads]uint64 // eight times the byte
	valid [heads]uint64 // all ones where the text has the byte
}

const (
	heads = 3
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

func needleOf(text string) *needle {
	n := &needle{text: []byte(text)}
	for i := range min(heads, len(text)) {
		n.same[i], n.valid[i] = ones*uint64(text[i]), ^uint64(0)
	}
	return n
}

// in tells whether the first bytes stand in eight. A byte of diff is zero where they begin; what is shifted in is no byte
// of a text.
func (n *needle) in(eight []byte) bool {
	v := binary.LittleEndian.Uint64(eight)
	diff := v ^ n.same[0] | (v>>8^n.same[1])&n.valid[1] | (v>>16^n.same[2])&n.valid[2]
	return (diff-ones)&^diff&highs != 0
}

// index is the place of the text in another one, from a place on, -1 when there is none.
func (n *needle) index(text []byte, from int) int {
	const step = 8 - heads + 1
	for ; from+8 <= len(text); from += step {
		if !n.in(text[from : from+8]) {
			continue
		}
		if at := bytes.Index(text[from:min(from+step-1+len(n.text), len(text))], n.text); at >= 0 {
			return from + at
		}
	}
	if at := bytes.Index(text[from:], n.text); at >= 0 {
		return from + at
	}
	return -1
}
