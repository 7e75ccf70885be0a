package feed

import (
	"strings"

	"github.com/cespare/xxhash/v2"

	"carfluence/internal/mapping"
	"carfluence/internal/sheet"
)

// rowHasher makes hashes of rows as their source wrote them: equal ones mean the same, under the same header and settings.
type rowHasher struct{ seed uint64 }

func newRowHasher(header []string, settled string) rowHasher {
	return rowHasher{xxhash.Sum64String(mapping.Edition + "\x1e" + settled + "\x1e" + strings.Join(header, "\x1f"))}
}

// of hashes the cells of a row.
func (h rowHasher) of(row sheet.Row) uint64 {
	d := xxhash.NewWithSeed(h.seed)
	for _, cell := range row.Cells {
		_, _ = d.WriteString(cell)
		_, _ = d.WriteString("\x1f")
	}
	return d.Sum64()
}

// rowAt adds to a row's hash which dealership its names lead to; never 0, which stands for a row to be read again.
func rowAt(hash uint64, dealershipID string) int64 {
	d := xxhash.NewWithSeed(hash)
	_, _ = d.WriteString(dealershipID)
	if n := int64(d.Sum64()); n != 0 {
		return n
	}
	return 1
}

// rowSet is a set of row numbers.
type rowSet struct {
	bits []uint64
	n    int64
}

func (s *rowSet) add(row int64) {
	for int(row/64) >= len(s.bits) {
		s.bits = append(s.bits, 0)
	}
	if !s.has(row) {
		s.n++
	}
	s.bits[row/64] |= 1 << (row % 64)
}

func (s *rowSet) has(row int64) bool {
	return int(row/64) < len(s.bits) && s.bits[row/64]&(1<<(row%64)) != 0
}
