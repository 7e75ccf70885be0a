package inventory

import (
	"fmt"
	"strings"
)

// unknownField says that a name is no field's, and whose it may be meant to be.
func unknownField(name string) string {
	detail := fmt.Sprintf("%q is no field of a vehicle", clip(name, 40))
	if near, ok := nearestField(name); ok {
		detail += "; did you mean " + near.String() + "?"
	}
	return detail
}

// nearestField is the field whose name is spelled most like a text; ok is false when none is near.
func nearestField(text string) (nearest Field, ok bool) {
	meant := letters(text)
	if len(meant) > maxText {
		return 0, false
	}
	best := len(meant)/4 + 1 // letters that may be wrong
	for f := range NumFields {
		if d := distance(meant, letters(fields[f].name)); d < best || d == best && !ok {
			nearest, best, ok = f, d, true
		}
	}
	return nearest, ok
}

// letters of a name, without case and what separates its words.
func letters(name string) string {
	return strings.NewReplacer("_", "", "-", "", " ", "", ".", "").Replace(strings.ToLower(name))
}

// distance is the number of bytes to insert, delete or replace to make one text of another (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		corner := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := corner
			if a[i] != b[j] {
				cost++
			}
			corner = row[j+1]
			row[j+1] = min(row[j+1]+1, row[j]+1, cost)
		}
	}
	return row[len(b)]
}
