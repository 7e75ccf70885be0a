package sqldb

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
)

// Sum is the number of a table's rows, and a checksum over their values in whatever order they were read.
type Sum struct {
	Rows   int64
	digest [2]uint64
}

// String is the checksum.
func (s Sum) String() string { return fmt.Sprintf("%016x%016x", s.digest[0], s.digest[1]) }

// SumOf is the Sum of rows that are not a table's as it is.
func SumOf(rows [][]any) Sum {
	var sum summer
	for _, values := range rows {
		sum.add(values)
	}
	return sum.Sum
}

// summer reckons a Sum row by row.
type summer struct {
	Sum
	row []byte
}

func (s *summer) add(values []any) {
	s.row = s.row[:0]
	for _, v := range values {
		s.row = appendCanonical(s.row, v)
	}
	sum := sha256.Sum256(s.row)
	s.Rows++
	s.digest[0] += binary.BigEndian.Uint64(sum[:])
	s.digest[1] += binary.BigEndian.Uint64(sum[8:])
}

// appendCanonical appends a value as bytes: the same from both engines, others for every other value, and so that it is
// plain where the next one begins.
func appendCanonical(b []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(b, 0)
	case int64:
		return binary.BigEndian.AppendUint64(append(b, 'i'), uint64(v))
	case bool:
		if v {
			return append(b, 't')
		}
		return append(b, 'f')
	case float64:
		return binary.BigEndian.AppendUint64(append(b, 'd'), math.Float64bits(v))
	case string:
		return append(binary.BigEndian.AppendUint64(append(b, 's'), uint64(len(v))), v...)
	case []byte:
		return append(binary.BigEndian.AppendUint64(append(b, 'b'), uint64(len(v))), v...)
	}
	return fmt.Appendf(append(b, '?'), "%T %v", v, v) // none of the stores' types
}
